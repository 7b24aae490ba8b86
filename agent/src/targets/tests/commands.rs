//! Commands that do everything a command should not.

use super::*;
use dormouse_engine::timer::CommandTarget;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::net::unix::pipe;

/// A node with one allowed command, `run`, which is a script.
struct Node {
    fixture: Fixture,
    dir: TempDir,
    started: std::time::SystemTime,
}

impl Node {
    fn with(script: &str, fields: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let program = dir.path().join("run.sh");
        let script = script.replace("DIR", &dir.path().display().to_string());
        std::fs::write(&program, format!("#!/bin/sh\n{script}\n")).unwrap();
        let mode = std::fs::Permissions::from_mode(0o755);
        std::fs::set_permissions(&program, mode).unwrap();
        let argv = match fields.contains("argv") {
            true => String::new(),
            false => format!("argv = [\"/bin/sh\", \"{}\"]", program.display()),
        };
        let list = dir.path().join("commands.toml");
        std::fs::write(&list, format!("[command.run]\n{argv}\n{fields}\n")).unwrap();
        let config = Targets {
            commands: Some(list),
            ..Targets::default()
        };
        Self {
            fixture: Fixture::start(&config),
            dir,
            started: std::time::SystemTime::now(),
        }
    }

    /// The line that the command writes into the pipe `said`.
    async fn hear(&self) -> String {
        let path = self.dir.path().join("said");
        // Also a writer itself, so that it does not see an end before the command has opened it.
        let pipe = pipe::OpenOptions::new()
            .read_write(true)
            .open_receiver(path);
        let mut line = String::new();
        let mut pipe = BufReader::new(pipe.unwrap());
        let heard = tokio::time::timeout(PATIENCE, pipe.read_line(&mut line)).await;
        heard.expect("the command says something").unwrap();
        line.trim().to_owned()
    }

    fn content(&self, name: &str) -> String {
        std::fs::read_to_string(self.dir.path().join(name)).unwrap()
    }

    fn took(&self) -> Duration {
        self.started.elapsed().unwrap()
    }
}

/// Opens a pipe `said` for both ends, so that neither waits.
fn with_pipe(script: &str, fields: &str) -> Node {
    let node = Node::with(script, fields);
    let mode = rustix::fs::Mode::from_raw_mode(0o600);
    let path = node.dir.path().join("said");
    rustix::fs::mknodat(rustix::fs::CWD, &path, rustix::fs::FileType::Fifo, mode, 0).unwrap();
    node
}

fn place() -> HandlerName {
    Target::command_place("run").unwrap()
}

fn command(number: u64, args: &[&str]) -> Run {
    let target = Target::Command(CommandTarget {
        name: "run".into(),
        args: args.iter().map(ToString::to_string).collect(),
    });
    run(number, place(), target)
}

/// Waits until a process is no more, or waits for its parent to notice.
async fn gone(pid: &str) {
    let stat = Path::new("/proc").join(pid).join("stat");
    let is_alive = || std::fs::read_to_string(&stat).is_ok_and(|stat| !stat.contains(") Z "));
    let gone = async {
        while is_alive() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    let gone = tokio::time::timeout(PATIENCE, gone).await;
    gone.unwrap_or_else(|_| panic!("process {pid} is killed"));
}

#[tokio::test]
async fn a_command_is_given_its_run_and_nothing_of_the_agents() {
    let node = Node::with(
        "{ cat; echo; env | grep -v '^PWD=\\|^_=\\|^SHLVL=\\|^OLDPWD=' | sort; pwd; } > DIR/out",
        "directory = \"/usr\"\nenvironment = [\"CARGO_PKG_NAME\", \"NOT_SET_ANYWHERE\"]",
    );
    let outcome = node.fixture.outcome_of(command(7, &[])).await;
    assert_eq!(outcome, Outcome::Done);
    let path = std::env::var("PATH").unwrap();
    let expected = format!(
        "the payload\nCARGO_PKG_NAME=dormouse-agent\nDORMOUSE_ATTEMPT=2\nDORMOUSE_FENCING_TOKEN=7\n\
         DORMOUSE_NODE=n1\nDORMOUSE_NOMINAL_TIME=1970-01-01T00:00:01.500Z\nDORMOUSE_RUN=0000000000000007\n\
         DORMOUSE_TIMER=pools/default/timers/t\nPATH={path}\n/usr\n"
    );
    assert_eq!(node.content("out"), expected);
}

#[tokio::test]
async fn values_come_as_arguments_and_never_through_a_shell() {
    let node = Node::with(
        "printf '[%s]' \"$@\" > DIR/out",
        "argv = [\"/bin/sh\", \"-c\", \"printf '[%s]' \\\"$@\\\" >&2; exit 1\", \"name\", \"{2:text}\", \"--n={1:int}\"]",
    );
    let reason = node
        .fixture
        .failure_of(command(1, &["-4", "a b; $(exit) `x` \"'"]))
        .await;
    assert_eq!(
        reason,
        "ended with exit status: 1: [a b; $(exit) `x` \"'][--n=-4]"
    );
    let wrong = node.fixture.failure_of(command(2, &["four", "x"])).await;
    assert!(
        wrong.contains("argument 1 must be a whole number"),
        "{wrong}"
    );
    let few = node.fixture.failure_of(command(3, &["4"])).await;
    assert!(few.contains("takes 2 arguments"), "{few}");
}

#[tokio::test]
async fn any_exit_code_but_0_fails_with_the_end_of_standard_error() {
    let script = "head -c 300000 /dev/zero | tr '\\0' x >&2; echo; echo the end >&2; exit 75";
    let node = Node::with(script, "");
    let reason = node.fixture.failure_of(command(1, &[])).await;
    assert!(
        reason.starts_with("ended with exit status: 75: xxx"),
        "{reason}"
    );
    assert!(
        reason.ends_with("xthe end") && reason.len() <= 1_024,
        "{reason}"
    );
    let silent = Node::with("echo secret >&2; kill -9 $$", "output_max = 0");
    let reason = silent.fixture.failure_of(command(1, &[])).await;
    assert_eq!(reason, "ended with signal: 9 (SIGKILL)");
}

#[tokio::test]
async fn a_command_that_cannot_be_started_fails_and_says_why() {
    let node = Node::with("", "argv = [\"/nowhere/at/all\"]");
    let reason = node.fixture.failure_of(command(1, &[])).await;
    assert!(
        reason.starts_with("/nowhere/at/all cannot be run: "),
        "{reason}"
    );
    let target = Target::Handler;
    let reason = node.fixture.failure_of(run(2, place(), target)).await;
    assert!(reason.contains("not one of a command"), "{reason}");
}

#[tokio::test]
async fn a_gigabyte_on_both_outputs_is_dropped() {
    let script = "head -c 1000000000 /dev/zero; head -c 1000000000 /dev/zero >&2";
    let node = Node::with(script, "");
    let before = resident();
    assert_eq!(
        node.fixture.outcome_of(command(1, &[])).await,
        Outcome::Done
    );
    let grown = resident().saturating_sub(before);
    assert!(grown < 100 << 20, "the agent has grown by {grown} bytes");
}

/// Bytes of this process in memory.
fn resident() -> u64 {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    let pages: u64 = statm.split(' ').nth(1).unwrap().parse().unwrap();
    pages * 4096
}

#[tokio::test]
async fn a_command_that_does_not_read_or_closes_everything_ends_all_the_same() {
    let node = Node::with("exec <&- >&- 2>&-; exit 0", "");
    let long = Run {
        payload: Payload(vec![b'x'; 1 << 20].into()),
        ..command(1, &[])
    };
    assert_eq!(node.fixture.outcome_of(long).await, Outcome::Done);
}

#[tokio::test]
async fn a_command_that_hangs_is_ended_with_all_that_it_started() {
    let script = "trap '' TERM; sh -c 'trap \"\" TERM; sleep 1000' & echo $! > DIR/said; while :; do sleep 1000; done";
    let node = with_pipe(script, "timeout = \"300ms\"\ngrace = \"100ms\"");
    let (pid, reason) = tokio::join!(node.hear(), node.fixture.failure_of(command(1, &[])));
    assert!(reason.contains("longer than 300ms"), "{reason}");
    gone(&pid).await;
    node.fixture.all_free(&place(), 1).await;
}

#[tokio::test]
async fn a_command_that_ends_when_it_is_asked_to_is_not_killed() {
    let script = "trap 'echo told >&2; exit 3' TERM; echo $$ > DIR/said; sleep 1000 & wait";
    let node = with_pipe(script, "timeout = \"300ms\"\ngrace = \"60s\"");
    let (_, reason) = tokio::join!(node.hear(), node.fixture.failure_of(command(1, &[])));
    assert!(reason.ends_with(": told"), "{reason}");
    assert!(node.took() < PATIENCE);
}

#[tokio::test]
async fn what_a_command_leaves_behind_ends_with_it() {
    let script = "sh -c 'trap \"\" TERM HUP; echo $$ > DIR/said; sleep 1000' & while ! [ -e DIR/heard ]; do sleep 0.01; done";
    let node = with_pipe(script, "");
    node.fixture.launch(command(1, &[]));
    let pid = node.hear().await;
    std::fs::write(node.dir.path().join("heard"), "").unwrap();
    let (_, outcome) = node.fixture.outcome().await;
    gone(&pid).await;
    assert_eq!(outcome, Outcome::Done);
}

#[tokio::test]
async fn a_child_that_leaves_the_group_holds_nothing_up() {
    // It keeps standard error open, and lives for as long as the pipe is read.
    let script = "setsid sh -c 'echo $$ > DIR/said; sleep 1000' & echo left >&2; while ! [ -e DIR/heard ]; do sleep 0.01; done; exit 1";
    let node = with_pipe(script, "");
    let heard = async {
        let pid = node.hear().await;
        std::fs::write(node.dir.path().join("heard"), "").unwrap();
        pid
    };
    let (pid, reason) = tokio::join!(heard, node.fixture.failure_of(command(1, &[])));
    assert_eq!(reason, "ended with exit status: 1: left");
    let pid = rustix::process::Pid::from_raw(pid.parse().unwrap()).unwrap();
    rustix::process::kill_process_group(pid, rustix::process::Signal::KILL).unwrap();
}

#[tokio::test]
async fn a_withdrawn_run_kills_its_command_and_the_next_one_runs() {
    let script = "case $(cat) in second) exit 0;; esac; sleep 1000 & echo $! > DIR/said; wait";
    let node = with_pipe(script, "");
    node.fixture.launch(command(1, &[]));
    let pid = node.hear().await;
    node.fixture.executor.abandon(Token(1));
    gone(&pid).await;
    node.fixture.all_free(&place(), 1).await;
    let second = Run {
        payload: Payload(b"second"[..].into()),
        ..command(2, &[])
    };
    assert_eq!(node.fixture.outcome_of(second).await, Outcome::Done);
}

#[tokio::test]
async fn a_command_may_take_longer_than_an_attempt_without_a_sign_of_life() {
    let script = "echo $$ > DIR/said; while ! [ -e DIR/go ]; do sleep 0.01; done";
    let node = with_pipe(script, "");
    let go = node.dir.path().join("go");
    let patient = Run {
        attempt_timeout: Millis(100),
        ..command(1, &[])
    };
    node.fixture.launch(patient);
    node.hear().await;
    let begun = boot_nanos();
    while boot_nanos() < begun + 400 * MILLI {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    std::fs::write(go, "").unwrap();
    assert_eq!(node.fixture.outcome().await, (Token(1), Outcome::Done));
}

#[tokio::test]
async fn an_agent_that_closes_leaves_no_command_behind() {
    let script =
        "trap '' TERM; sleep 1000 & echo $! > DIR/said; while :; do wait; sleep 1000; done";
    let mut node = with_pipe(script, "grace = \"60s\"");
    node.fixture.launch(command(1, &[]));
    let pid = node.hear().await;
    node.fixture.executor.close();
    let ended = async { while node.fixture.workers.join_next().await.is_some() {} };
    tokio::time::timeout(PATIENCE, ended)
        .await
        .expect("the worker ends");
    gone(&pid).await;
}

#[tokio::test]
async fn no_more_run_at_once_than_the_entry_says() {
    let node = with_pipe("echo $$ > DIR/said; sleep 1000", "concurrency = 2");
    assert_eq!(node.fixture.executor.free()[&place()], 2);
    node.fixture.launch(command(1, &[]));
    assert_eq!(node.fixture.executor.free()[&place()], 1);
    node.hear().await;
}

#[tokio::test]
async fn root_runs_a_command_as_the_user_of_its_entry() {
    if !rustix::process::geteuid().is_root() {
        // Then such an entry is refused, as another test of the list shows.
        return;
    }
    let fields =
        "argv = [\"/bin/sh\", \"-c\", \"id -u >&2; id -G >&2; exit 1\"]\nuser = \"12345:23456\"";
    let node = Node::with("", fields);
    let reason = node.fixture.failure_of(command(1, &[])).await;
    assert_eq!(reason, "ended with exit status: 1: 12345 23456");
}
