//! A process of the binary that is no regular member of a cluster: a second of a name, or one behind a proxy.
//!
//! How it ends and what it logs is for the test to judge; what it prints is not read.

use std::ffi::OsStr;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;
use tokio::io::AsyncReadExt as _;
use tokio::process::{Child, Command};
use tokio::task::JoinHandle;

/// The binary under test.
pub(crate) const PROGRAM: &str = env!("CARGO_BIN_EXE_dormouse");

/// A running process; dropping it kills it.
#[derive(Debug)]
pub(crate) struct Guest {
    child: Child,
    log: Option<JoinHandle<String>>,
}

impl Guest {
    pub(crate) fn start<Word: AsRef<OsStr>>(words: impl IntoIterator<Item = Word>) -> Self {
        let mut child = command()
            .stdout(Stdio::null())
            .args(["--parent", &std::process::id().to_string()])
            .args(words)
            .spawn()
            .expect("the binary starts");
        let mut stderr = child.stderr.take().expect("it is piped");
        let log = tokio::spawn(async move {
            let mut log = String::new();
            // A log that is no text is shown as far as it is one.
            let _ = stderr.read_to_string(&mut log).await;
            log
        });
        Self {
            child,
            log: Some(log),
        }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id().expect("it runs")
    }

    /// Waits for its end.
    pub(crate) async fn ended(&mut self, limit: Duration) -> ExitStatus {
        let ended = tokio::time::timeout(limit, self.child.wait()).await;
        ended
            .unwrap_or_else(|_| panic!("it did not end in {limit:?}"))
            .unwrap()
    }

    /// What it logged; it must have ended.
    pub(crate) async fn log(&mut self) -> String {
        let log = self.log.take().expect("the log is asked for once");
        log.await.unwrap()
    }
}

/// The binary with nothing of the test's own environment, and piped.
pub(crate) fn command() -> Command {
    let mut command = Command::new(PROGRAM);
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("DORMOUSE_") {
            command.env_remove(name);
        }
    }
    command
        .env("DORMOUSE_LOG", "warn")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    command
}
