//! One child process: its signals, its output, its end.
//!
//! It is in a process group of its own, so that Ctrl-C in a terminal reaches only the parent, which then ends its
//! children in order. What to start, and what it means that it ended, is for the cluster to say.

use crate::{Error, Logs};
use rustix::process::{Pid, Signal, kill_process};
use std::collections::VecDeque;
use std::ffi::OsString;
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::io::{AsyncBufReadExt as _, AsyncRead, BufReader};
use tokio::process::{Child, Command};
use tokio::sync::{mpsc, watch};
use tokio_util::task::AbortOnDropHandle;

/// How many of its last log lines are kept, to explain an unexpected end.
const LAST_WORDS: usize = 20;
/// How loud a child is if nobody said otherwise.
const LOG_LEVEL: &str = "warn";

/// A running, frozen or ended child. Dropping it kills it.
#[derive(Debug)]
pub(crate) struct Process {
    pid: Pid,
    ended: watch::Receiver<Option<ExitStatus>>,
    last_words: Arc<Mutex<VecDeque<String>>>,
    _tasks: Vec<AbortOnDropHandle<()>>,
}

/// How to start a child, again and again.
#[derive(Debug, Clone)]
pub(crate) struct Recipe {
    pub(crate) name: String,
    pub(crate) arguments: Vec<OsString>,
    /// Where the lines of its standard output go; without it they are dropped.
    pub(crate) lines: Option<mpsc::UnboundedSender<String>>,
}

impl Process {
    pub(crate) fn start(program: &Path, recipe: &Recipe, logs: Logs) -> Result<Self, Error> {
        let mut child = command(program, recipe)
            .spawn()
            .map_err(|error| Error::Start {
                name: recipe.name.clone(),
                error,
            })?;
        let pid = child
            .id()
            .and_then(|id| Pid::from_raw(i32::try_from(id).ok()?))
            .expect("a child that was just started has an id");
        let last_words = Arc::new(Mutex::new(VecDeque::new()));
        let mut tasks = Vec::new();
        if let Some(stderr) = child.stderr.take() {
            let log = Log {
                name: recipe.name.clone(),
                logs,
                last_words: Arc::clone(&last_words),
            };
            tasks.push(follow(stderr, move |line| log.take(line)));
        }
        if let (Some(stdout), Some(lines)) = (child.stdout.take(), recipe.lines.clone()) {
            // Nobody needs to read them.
            tasks.push(follow(stdout, move |line| drop(lines.send(line))));
        }
        let (sender, ended) = watch::channel(None);
        tasks.push(AbortOnDropHandle::new(tokio::spawn(watch_end(
            child, sender,
        ))));
        Ok(Self {
            pid,
            ended,
            last_words,
            _tasks: tasks,
        })
    }

    pub(crate) fn pid(&self) -> u32 {
        self.pid.as_raw_nonzero().get().unsigned_abs()
    }

    /// How it ended; none while it lives.
    pub(crate) fn status(&self) -> Option<ExitStatus> {
        *self.ended.borrow()
    }

    /// Sends a signal, unless it has ended.
    pub(crate) fn signal(&self, signal: Signal) {
        if self.status().is_none() {
            // It may end at this moment, and then nobody is there to hear it.
            let _ = kill_process(self.pid, signal);
        }
    }

    /// Waits for its end.
    pub(crate) async fn ended(&self) -> ExitStatus {
        let mut ended = self.ended.clone();
        match ended.wait_for(Option::is_some).await {
            Ok(status) => status.expect("that is what was waited for"),
            // The runtime is ending, and this future with it.
            Err(_) => std::future::pending().await,
        }
    }

    /// Asks it to end, and kills it if it has not after `grace`.
    pub(crate) async fn end(&self, grace: Duration) -> ExitStatus {
        self.signal(Signal::TERM);
        self.signal(Signal::CONT);
        match tokio::time::timeout(grace, self.ended()).await {
            Ok(status) => status,
            Err(_elapsed) => self.kill().await,
        }
    }

    /// Kills it as `kill -9` does.
    pub(crate) async fn kill(&self) -> ExitStatus {
        self.signal(Signal::KILL);
        self.ended().await
    }

    /// What it logged last.
    pub(crate) fn last_words(&self) -> String {
        let words = self
            .last_words
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        words.iter().map(|line| format!("\n    {line}")).collect()
    }
}

fn command(program: &Path, recipe: &Recipe) -> Command {
    let mut command = Command::new(program);
    // What is meant for the parent is not meant for its children; they are told everything by flags.
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("DORMOUSE_") && name != "DORMOUSE_LOG" {
            command.env_remove(name);
        }
    }
    if std::env::var_os("DORMOUSE_LOG").is_none() && std::env::var_os("RUST_LOG").is_none() {
        command.env("DORMOUSE_LOG", LOG_LEVEL);
    }
    let stdout = if recipe.lines.is_some() {
        Stdio::piped()
    } else {
        Stdio::null()
    };
    command
        .arg("--parent")
        .arg(std::process::id().to_string())
        .args(&recipe.arguments)
        .stdin(Stdio::null())
        .stdout(stdout)
        .stderr(Stdio::piped())
        .process_group(0)
        .kill_on_drop(true);
    command
}

async fn watch_end(mut child: Child, ended: watch::Sender<Option<ExitStatus>>) {
    if let Ok(status) = child.wait().await {
        ended.send_replace(Some(status));
    }
}

fn follow(
    from: impl AsyncRead + Unpin + Send + 'static,
    take: impl Fn(String) + Send + 'static,
) -> AbortOnDropHandle<()> {
    let mut lines = BufReader::new(from).lines();
    AbortOnDropHandle::new(tokio::spawn(async move {
        while let Ok(Some(line)) = lines.next_line().await {
            take(line);
        }
    }))
}

/// Where the log of a child goes.
struct Log {
    name: String,
    logs: Logs,
    last_words: Arc<Mutex<VecDeque<String>>>,
}

impl Log {
    fn take(&self, line: String) {
        if self.logs == Logs::Forward {
            eprintln!("[{}] {line}", self.name);
        }
        let mut words = self
            .last_words
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if words.len() == LAST_WORDS {
            words.pop_front();
        }
        words.push_back(line);
    }
}
