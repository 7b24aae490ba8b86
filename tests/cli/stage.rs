//! A cluster of its own for each test, and the program as a person would run it.
//!
//! Lines are cut at blanks; `_` between the fields of a cron expression stands for one.

use dormouse_cluster::{Cluster, Logs, Settings};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;
use tokio::sync::mpsc::UnboundedReceiver;

pub(crate) const PROGRAM: &str = env!("CARGO_BIN_EXE_dormouse");
/// More than any step takes, on a machine that is busy.
pub(crate) const LIMIT: Duration = Duration::from_secs(30);

/// A coordinator and agents in a directory of their own.
pub(crate) struct Stage {
    pub(crate) cluster: Cluster,
    dir: tempfile::TempDir,
}

impl Stage {
    /// Nodes and their racks, all connected.
    pub(crate) async fn with_agents(agents: &[(&str, &str)]) -> Self {
        let dir = tempfile::tempdir().expect("there is a place for temporary files");
        let mut cluster = Cluster::new(Settings {
            program: PathBuf::from(PROGRAM),
            data: dir.path().to_owned(),
            lease: None,
            wake_grace: None,
            agent_flags: Vec::new(),
            logs: Logs::Quiet,
        });
        cluster.start_coordinator(None).expect("it starts");
        for (node, rack) in agents {
            let started = cluster.start_agent(node, rack, None);
            started.expect("it starts");
        }
        let stage = Self { cluster, dir };
        stage.ready().await;
        stage
    }

    pub(crate) async fn ready(&self) {
        let ready = self.cluster.ready(LIMIT).await;
        ready.unwrap_or_else(|error| panic!("{error}"));
    }

    /// Runs a command that asks the coordinator or an agent.
    pub(crate) fn at(&self, member: &str, line: &str) -> Said {
        let address = self.cluster.address(member).expect("it is a member");
        let words = line.split_whitespace().map(|word| word.replace('_', " "));
        run(Command::new(PROGRAM)
            .args(words)
            .env("DORMOUSE_ADDR", address))
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Writes a file, and gives its path.
    pub(crate) fn file(&self, name: &str, text: &str) -> String {
        let path = self.path(name);
        std::fs::write(&path, text).expect("the directory is there");
        let path = path.display().to_string();
        assert!(!path.contains(['_', ' ']), "{path} can be a word of a line");
        path
    }

    /// Waits until a timer is in a state.
    pub(crate) async fn wait_for(&self, member: &str, timer: &str, state: &str) {
        let line = format!("timer get {timer} -o json");
        let reached = async {
            while self.at(member, &line).object()["state"] != state {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        let reached = tokio::time::timeout(LIMIT, reached).await;
        reached.unwrap_or_else(|_| panic!("{timer} does not become {state}"));
    }
}

/// The next line that a worker prints.
pub(crate) async fn next(printed: &mut UnboundedReceiver<String>) -> String {
    let line = tokio::time::timeout(LIMIT, printed.recv()).await;
    line.expect("a line in time").expect("the worker goes on")
}

/// Runs a command without a cluster, away from any default one.
pub(crate) fn dormouse(line: &str) -> Said {
    let words = line.split_whitespace();
    run(Command::new(PROGRAM)
        .args(words)
        .env_remove("DORMOUSE_ADDR"))
}

/// Runs a line of shell in which `dormouse` is the program.
pub(crate) fn lines(line: &str) -> Said {
    let folder = Path::new(PROGRAM).parent().unwrap_or(Path::new("."));
    let path = std::env::var("PATH").unwrap_or_default();
    let path = format!("{}:{path}", folder.display());
    run(Command::new("sh").args(["-c", line]).env("PATH", path))
}

/// What a command said and how it ended.
#[derive(Debug)]
pub(crate) struct Said {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

fn run(command: &mut Command) -> Said {
    let Output {
        status,
        stdout,
        stderr,
    } = command.output().expect("the program starts");
    Said {
        code: status.code().unwrap_or(-1),
        stdout: String::from_utf8(stdout).expect("it prints text"),
        stderr: String::from_utf8(stderr).expect("it prints text"),
    }
}

impl Said {
    /// What it printed; it must have succeeded.
    pub(crate) fn ok(self) -> String {
        assert_eq!(self.code, 0, "{self:?}");
        self.stdout
    }

    /// The lines of JSON that it printed, however it ended.
    pub(crate) fn objects(&self) -> Vec<Value> {
        let parse = |line: &str| {
            serde_json::from_str(line).unwrap_or_else(|error| panic!("{line}: {error}: {self:?}"))
        };
        self.stdout.lines().map(parse).collect()
    }

    /// The one line of JSON that it printed; it must have succeeded.
    pub(crate) fn object(self) -> Value {
        assert_eq!(self.code, 0, "{self:?}");
        let mut objects = self.objects();
        assert_eq!(objects.len(), 1, "{self:?}");
        objects.remove(0)
    }
}
