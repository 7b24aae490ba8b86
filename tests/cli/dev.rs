//! `dormouse dev` as a person has it: up with one command, gone with Ctrl-C, and never half there.

use crate::stage::{LIMIT, PROGRAM};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use std::io::{BufRead as _, BufReader, Read as _};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// A running `dormouse dev` and the ids of its children: the coordinator's, then those of the agents.
struct Dev {
    process: Child,
    children: Vec<Pid>,
}

impl Dev {
    fn with_nodes(nodes: usize) -> Self {
        let mut process = Command::new(PROGRAM)
            .args(["dev", "-o", "json", "--nodes", &nodes.to_string()])
            .env_remove("DORMOUSE_ADDR")
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("it starts");
        let stdout = process.stdout.take().expect("it is piped");
        let lines = BufReader::new(stdout).lines().take(nodes + 1);
        let children = lines.map(|line| child(&line.expect("a line for each process")));
        let children = children.collect();
        Self { process, children }
    }

    fn signal(&self, signal: Signal) {
        send(pid(u64::from(self.process.id())), signal);
    }

    /// Waits for its end; gives its exit code and what it said.
    fn end(&mut self) -> (Option<i32>, String) {
        let status = self.process.wait().expect("it is a child");
        let mut said = String::new();
        let mut stderr = self.process.stderr.take().expect("it is piped");
        stderr.read_to_string(&mut said).expect("it is text");
        (status.code(), said)
    }

    fn children_are_gone(&self) {
        let step = Duration::from_millis(20);
        let mut waited = Duration::ZERO;
        while let Some(child) = self.children.iter().find(|child| is_alive(**child)) {
            assert!(waited < LIMIT, "{child:?} goes on");
            std::thread::sleep(step);
            waited += step;
        }
    }
}

fn child(line: &str) -> Pid {
    let shown: Value = serde_json::from_str(line).expect("it is JSON");
    let address = shown["address"].as_str().expect("there is an address");
    assert!(address.starts_with("http://127.0.0.1:"), "{shown}");
    pid(shown["pid"].as_u64().expect("there is an id"))
}

pub(crate) fn pid(id: u64) -> Pid {
    let id = i32::try_from(id).expect("ids are small");
    Pid::from_raw(id).expect("ids are positive")
}

pub(crate) fn send(pid: Pid, signal: Signal) {
    kill_process(pid, signal).expect("it is alive and ours");
}

pub(crate) fn is_alive(pid: Pid) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_nonzero()));
    stat.is_ok_and(|stat| !stat.contains(") Z "))
}

#[test]
fn ctrl_c_ends_everything_in_order() {
    let mut dev = Dev::with_nodes(3);
    assert!(dev.children.iter().all(|child| is_alive(*child)));
    dev.signal(Signal::INT);
    let (code, said) = dev.end();
    assert_eq!(code, Some(0), "{said}");
    assert!(!said.contains("WARN"), "an orderly end is quiet: {said}");
    dev.children_are_gone();
}

#[test]
fn a_child_that_dies_is_named_and_ends_the_others() {
    let mut dev = Dev::with_nodes(2);
    send(dev.children[2], Signal::KILL);
    let (code, said) = dev.end();
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("n2 ended unexpectedly"), "{said}");
    dev.children_are_gone();
}

#[test]
fn nobody_outlives_a_parent_that_was_killed() {
    let mut dev = Dev::with_nodes(2);
    dev.signal(Signal::KILL);
    dev.end();
    dev.children_are_gone();
}
