//! Real processes: killed with -9, counted by strace, stopped by a full disk.
//!
//! The test program runs itself again as the process that appends (`appender`, chosen by
//! `DORMOUSE_STORE_CHILD`), which prints each position that was acknowledged. What it appends at a
//! position is a pure function of it, so the parent knows the state at every position.
//! `DORMOUSE_STORE_KILLS=1000` kills more often than the default.
#![allow(clippy::unwrap_used, reason = "a test ends at what it did not expect")]

use dormouse_store::{Config, Disk, Entry, Group, Journal, Kind, Policy, State, Writer};
use std::collections::{BTreeMap, VecDeque};
use std::env;
use std::fs;
use std::io::{BufRead, BufReader, Write, stdout};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

const CHILD: &str = "DORMOUSE_STORE_CHILD";
const DIR: &str = "DORMOUSE_STORE_DIR";

/// A scrambled number, the same for the same `n` everywhere.
fn scramble(n: u64) -> u64 {
    let mut x = n.wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    x ^= x >> 29;
    x = x.wrapping_mul(0xBF58_476D_1CE4_E5B9);
    x ^ (x >> 32)
}

/// What is appended at `position`: mostly small, now and then of several chunks.
fn group(position: u64) -> Group {
    let dice = scramble(position);
    let length = if dice.is_multiple_of(10) {
        dice % 40_000
    } else {
        dice % 300
    } as usize;
    let mut group = vec![
        Entry::put((dice % 97).to_be_bytes(), vec![position as u8; length]),
        Entry::put(*b"position", position.to_be_bytes()),
    ];
    if dice.is_multiple_of(3) {
        group.push(Entry::delete((dice / 97 % 97).to_be_bytes()));
    }
    group
}

/// The state after a position, computed forward.
#[derive(Default)]
struct Model {
    position: u64,
    state: State,
}

impl Model {
    fn advance_to(&mut self, position: u64) {
        while self.position < position {
            self.position += 1;
            for Entry { key, value } in group(self.position) {
                match value {
                    Some(value) => self.state.insert(key, value),
                    None => self.state.remove(&key),
                };
            }
        }
    }
}

fn config(dir: &Path) -> Config {
    Config::new(dir, Kind::Coordinator, "crash test")
}

/// Runs this program again as `wrapper... self appender`.
fn appender_command(wrapper: &[&str], role: &str, dir: &Path) -> Command {
    let own = env::current_exe().expect("this program has a path");
    let mut command = match wrapper {
        [] => Command::new(own),
        [program, arguments @ ..] => {
            let mut command = Command::new(program);
            command.args(arguments).arg(own);
            command
        }
    };
    command.args([
        "appender",
        "--exact",
        "--ignored",
        "--nocapture",
        "--test-threads=1",
    ]);
    command
        .env(CHILD, role)
        .env(DIR, dir)
        .stdin(Stdio::null())
        .stdout(Stdio::piped());
    command
}

/// The process that appends; only useful when another test starts it.
#[test]
#[ignore = "started by the other tests of this file"]
fn appender() {
    let (Ok(role), Ok(dir)) = (env::var(CHILD), env::var(DIR)) else {
        return;
    };
    match role.as_str() {
        "stream" => append_for_ever(Path::new(&dir), busy_policy()),
        "fill" => append_for_ever(
            Path::new(&dir),
            Policy {
                log_bytes_min: u64::MAX,
                ..Policy::default()
            },
        ),
        "one by one" => append_one_by_one(Path::new(&dir), 50),
        "together" => append_together(Path::new(&dir), 100),
        other => panic!("no role {other:?}"),
    }
}

fn acknowledge(position: u64) {
    // One write call per line, so that a kill never leaves half a number with a newline.
    stdout()
        .write_all(format!("acknowledged {position}\n").as_bytes())
        .expect("the parent reads");
}

/// Snapshots and truncation all the time.
fn busy_policy() -> Policy {
    Policy {
        log_bytes_min: 200_000,
        log_percent: 100,
        snapshot_step_bytes: 20_000,
        truncate_step_keys: 16,
        unit_bytes_max: 100_000,
    }
}

/// Keeps up to eight groups in flight until it fails.
fn append_for_ever(dir: &Path, policy: Policy) {
    let disk = Disk::open(&config(dir)).expect("the store opens");
    let (writer, _) = Writer::with_policy(disk, policy).expect("the store loads");
    let mut tickets = VecDeque::new();
    loop {
        tickets.push_back(writer.submit(group(writer.position() + 1)));
        if tickets.len() < 8 {
            continue;
        }
        match tickets.pop_front().expect("there are eight").wait() {
            Ok(position) => acknowledge(position),
            Err(error) => {
                stdout()
                    .write_all(format!("failed: {error}\n").as_bytes())
                    .expect("the parent reads");
                std::process::exit(7);
            }
        }
    }
}

fn append_one_by_one(dir: &Path, count: u64) {
    let (writer, _) = Writer::start(Disk::open(&config(dir)).unwrap()).unwrap();
    for position in 1..=count {
        acknowledge(writer.submit(group(position)).wait().unwrap());
    }
}

/// Holds the thread in the answer to the first group until `count` others wait.
fn append_together(dir: &Path, count: u64) {
    let (writer, _) = Writer::start(Disk::open(&config(dir)).unwrap()).unwrap();
    let (release, released) = mpsc::channel::<()>();
    let (held, holds) = mpsc::channel();
    writer.submit_then(vec![Entry::put(*b"first", *b"")], move |answer| {
        acknowledge(answer.unwrap());
        held.send(()).unwrap();
        released.recv().unwrap();
    });
    holds.recv().unwrap();
    let small = |n: u64| vec![Entry::put(n.to_be_bytes(), vec![0; 100])];
    let tickets: Vec<_> = (0..count).map(|n| writer.submit(small(n))).collect();
    release.send(()).unwrap();
    tickets
        .into_iter()
        .for_each(|ticket| acknowledge(ticket.wait().unwrap()));
}

/// The last position that a process acknowledged, read until it ends, and what else it said.
fn follow(child: &mut Child) -> thread::JoinHandle<(u64, String)> {
    let lines = BufReader::new(child.stdout.take().expect("it is piped"));
    thread::spawn(move || {
        let (mut last, mut rest) = (0, String::new());
        // The harness writes "test appender ... " before the first line, without a newline.
        for line in lines.lines().map_while(Result::ok) {
            match line
                .split_once("acknowledged ")
                .map(|(_, number)| number.parse::<u64>())
            {
                Some(Ok(position)) => {
                    assert_eq!(position, if last == 0 { position } else { last + 1 });
                    last = position;
                }
                _ => rest += &(line + "\n"),
            }
        }
        (last, rest)
    })
}

#[test]
fn kill_9_at_any_moment_loses_nothing_acknowledged() {
    let rounds = env::var("DORMOUSE_STORE_KILLS")
        .ok()
        .and_then(|n| n.parse().ok())
        .unwrap_or(25_u64);
    let dir = tempfile::tempdir().unwrap();
    let mut model = Model::default();
    for round in 0..rounds {
        let mut child = appender_command(&[], "stream", dir.path()).spawn().unwrap();
        let lines = follow(&mut child);
        thread::sleep(Duration::from_millis(
            30 + scramble(round ^ u64::from(child.id())) % 500,
        ));
        child.kill().unwrap();
        child.wait().unwrap();
        let (acknowledged, _) = lines.join().unwrap();
        let found = Disk::open(&config(dir.path()))
            .unwrap()
            .load()
            .unwrap()
            .collect()
            .unwrap();
        assert!(
            found.position >= acknowledged.max(model.position),
            "round {round}: {acknowledged} was acknowledged, {} is there",
            found.position
        );
        model.advance_to(found.position);
        assert!(
            found.state == model.state,
            "round {round}: another state at {}",
            found.position
        );
    }
    assert!(
        model.position > 20 * rounds,
        "the process got somewhere: {}",
        model.position
    );
    let snapshots = fs::read_dir(dir.path().join("snapshots")).unwrap().count();
    assert!(
        snapshots >= 2 || rounds < 10,
        "snapshots were taken meanwhile"
    );
}

#[test]
fn a_disk_that_refuses_writes_ends_in_an_error_and_loses_nothing() {
    let dir = tempfile::tempdir().unwrap();
    // No file may grow beyond a few MiB; the signal for it is ignored, so that write answers EFBIG.
    let shell = "trap '' XFSZ; ulimit -f 8192; exec \"$0\" \"$@\"";
    let mut child = appender_command(&["sh", "-c", shell], "fill", dir.path())
        .spawn()
        .unwrap();
    let lines = follow(&mut child);
    let mut ended = None;
    for _ in 0..600 {
        ended = child.try_wait().unwrap();
        if ended.is_some() {
            break;
        }
        thread::sleep(Duration::from_millis(50));
    }
    if ended.is_none() {
        child.kill().unwrap();
        child.wait().unwrap();
    }
    let (acknowledged, said) = lines.join().unwrap();
    assert_eq!(
        ended.and_then(|status| status.code()),
        Some(7),
        "it hangs instead of failing: {said}"
    );
    assert!(acknowledged > 0 && said.contains("failed: "), "{said}");
    let found = Disk::open(&config(dir.path()))
        .unwrap()
        .load()
        .unwrap()
        .collect()
        .unwrap();
    assert!(
        found.position >= acknowledged,
        "{acknowledged} was acknowledged, {}",
        found.position
    );
    let mut model = Model::default();
    model.advance_to(found.position);
    assert!(found.state == model.state);
}

#[test]
fn a_directory_in_use_by_another_process_is_refused_until_that_one_is_killed() {
    let dir = tempfile::tempdir().unwrap();
    let mut child = appender_command(&[], "stream", dir.path()).spawn().unwrap();
    let mut first = String::new();
    let mut lines = BufReader::new(child.stdout.take().unwrap());
    while !first.contains("acknowledged") {
        lines.read_line(&mut first).unwrap();
    }
    let error = Disk::open(&config(dir.path()))
        .map(|_| ())
        .expect_err("it is in use");
    let pid = child.id();
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(
        error.is_config() && error.to_string().contains(&format!("pid {pid}")),
        "{error}"
    );
    Disk::open(&config(dir.path())).unwrap();
}

/// What a role did, as strace saw it: for each acknowledged position, the fdatasyncs before it.
fn syncs_before_answers(role: &str) -> Option<BTreeMap<u64, usize>> {
    if Command::new("strace")
        .arg("-V")
        .stdout(Stdio::null())
        .status()
        .is_err()
    {
        eprintln!("skipped: there is no strace");
        return None;
    }
    let dir = tempfile::tempdir().unwrap();
    let trace = dir.path().join("trace");
    let trace_text = trace.to_str().expect("a temporary path is text");
    let wrapper = [
        "strace",
        "-f",
        "-e",
        "trace=fdatasync,fsync,write",
        "-o",
        trace_text,
    ];
    let output = appender_command(&wrapper, role, &dir.path().join("data"))
        .output()
        .unwrap();
    let Ok(text) = fs::read_to_string(&trace).map_err(|_| output.status) else {
        eprintln!("skipped: strace may not trace here");
        return None;
    };
    if !output.status.success() && text.trim().is_empty() {
        eprintln!("skipped: strace may not trace here");
        return None;
    }
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let (mut syncs, mut before) = (0, BTreeMap::new());
    for line in text.lines() {
        // An interrupted call ends on a line of its own: "<... fdatasync resumed>) = 0".
        let synced = line.contains("fdatasync") && line.ends_with("= 0");
        syncs += usize::from(synced);
        if let Some((_, rest)) = line.split_once("write(1, \"acknowledged ") {
            let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
            before.insert(digits.parse().expect("a position"), syncs);
        }
    }
    Some(before)
}

#[test]
fn each_group_has_an_fdatasync_of_its_own_before_its_answer() {
    let Some(before) = syncs_before_answers("one by one") else {
        return;
    };
    assert_eq!(before.len(), 50);
    let mut last = 0;
    for (position, syncs) in before {
        assert!(
            syncs > last,
            "group {position} was answered after {syncs} syncs, as the one before"
        );
        last = syncs;
    }
    // One more for the creation of the log; the multi-chunk groups are small enough for one each.
    assert_eq!(last, 51);
}

#[test]
fn groups_that_wait_together_share_one_fdatasync() {
    let Some(before) = syncs_before_answers("together") else {
        return;
    };
    assert_eq!(before.len(), 101);
    assert_eq!(
        before[&1], 2,
        "the creation of the log, and the first group"
    );
    assert!(
        (2..=101).all(|position| before[&position] == 3),
        "{before:?}"
    );
}
