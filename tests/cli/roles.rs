//! `dormouse server` and `dormouse agent` as a supervisor has them: why they do not start, what they log, and who may
//! connect.

use crate::dev::{pid, send};
use crate::stage::{PROGRAM, Stage, dormouse};
use rustix::process::Signal;
use serde_json::Value;
use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::PermissionsExt as _;
use std::process::{Command, Stdio};

/// Runs a role under a umask until it says that it is ready; gives what `look` sees then, and what it logged in all.
fn life<T>(umask: &str, line: &str, look: impl FnOnce() -> T) -> (T, Vec<Value>) {
    let mut process = Command::new("sh")
        .args([
            "-c",
            &format!("umask {umask}; exec {PROGRAM} --log json {line}"),
        ])
        .env_remove("DORMOUSE_LOG")
        .env_remove("RUST_LOG")
        .stderr(Stdio::piped())
        .spawn()
        .expect("it starts");
    let stderr = process.stderr.take().expect("it is piped");
    let mut lines = BufReader::new(stderr).lines().map(|line| {
        let line = line.expect("it is text");
        serde_json::from_str::<Value>(&line).unwrap_or_else(|error| panic!("{line}: {error}"))
    });
    let is_ready = |line: &Value| {
        let event = line["fields"]["event"].as_str();
        event.is_some_and(|event| event.ends_with(".ready"))
    };
    let mut logged = Vec::new();
    while !logged.last().is_some_and(is_ready) {
        logged.push(lines.next().expect("it gets ready"));
    }
    let seen = look();
    send(pid(u64::from(process.id())), Signal::TERM);
    logged.extend(lines);
    let status = process.wait().expect("it is a child");
    assert!(status.success(), "{status}: {logged:?}");
    (seen, logged)
}

#[test]
fn everything_that_a_role_logs_has_a_name() {
    let dir = tempfile::tempdir().expect("there is a place for temporary files");
    let dir = dir.path().display();
    let agent = format!(
        "agent --node n1 --rack r1 --data {dir}/n1 --listen unix:{dir}/n1.sock --coordinator http://127.0.0.1:9"
    );
    let server = format!("server --data {dir}/coordinator --listen unix:{dir}/coordinator.sock");
    for (role, line) in [("agent", agent), ("server", server)] {
        let ((), logged) = life("022", &line, || ());
        let ours = |line: &&Value| {
            let target = line["target"].as_str().unwrap_or_default();
            target.starts_with("dormouse_agent") || target.starts_with("dormouse_server")
        };
        let events = logged.iter().filter(ours).map(|line| {
            let name = line["fields"]["event"].as_str();
            name.unwrap_or_else(|| panic!("it has no name: {line}"))
        });
        let events: Vec<&str> = events.collect();
        for stage in ["ready", "stopping", "stopped"] {
            let wanted = format!("{role}.{stage}");
            assert!(events.contains(&wanted.as_str()), "{wanted}: {events:?}");
        }
    }
}

#[test]
fn the_umask_says_whether_the_group_may_connect() {
    let dir = tempfile::tempdir().expect("there is a place for temporary files");
    let socket = dir.path().join("n1.sock");
    let dir = dir.path().display();
    let agent = format!(
        "agent --node n1 --rack r1 --data {dir}/n1 --listen unix:{dir}/n1.sock --coordinator http://127.0.0.1:9"
    );
    for (umask, mode) in [("022", 0o640), ("007", 0o660)] {
        let (seen, _) = life(umask, &agent, || std::fs::metadata(&socket));
        let seen = seen.expect("it is there").permissions().mode();
        assert_eq!(seen & 0o777, mode, "under {umask}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_in_use_exits_with_1_and_one_that_is_not_allowed_is_all_that_is_said() {
    let mut stage = Stage::with_agents(&[("n1", "r1")]).await;
    let address = stage.cluster.address("n1").expect("it is a member");
    let taken = address.strip_prefix("http://").expect("it is TCP");
    let fresh = stage.path("fresh").display().to_string();
    for line in [
        format!("server --data {fresh} --listen {taken}"),
        format!("agent --node n2 --rack r1 --data {fresh}-agent --listen {taken}"),
    ] {
        let said = dormouse(&line);
        assert_eq!(said.code, 1, "{line}: {said:?}");
        assert!(said.stderr.contains("in use"), "{line}: {said:?}");
        assert!(!said.stderr.contains("please report"), "{line}: {said:?}");
    }
    let data = stage.path("coordinator").display().to_string();
    let ended = stage.cluster.end("coordinator").await;
    assert!(ended.expect("it is a member").is_some(), "it has run");
    let said = dormouse(&format!("server --data {data} --listen 0.0.0.0:0"));
    assert_eq!(said.code, 78, "{said:?}");
    assert!(
        said.stderr.starts_with("error: ") && said.stderr.contains("--insecure"),
        "nothing is said before: {said:?}"
    );
}
