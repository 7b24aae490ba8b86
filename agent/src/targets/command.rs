//! Runs an allowed command for a run of a timer.
//!
//! ```text
//! payload --> standard input     its group lives until the leader ends, the entry's time is over, the right to the
//! standard error --> the tail    run is over, or the agent ends; then nothing of it is left
//! ```
//!
//! What it prints to standard output is dropped, and of standard error the end is kept for the reason of a failure.
//! While it runs the agent says for it that it is alive.

use super::allowlist::Entry;
use super::group::Group;
use super::reason::{Part, reason};
use crate::local::{Failure, LocalRun};
use dormouse_engine::id::NodeId;
use dormouse_engine::timer::{Payload, Target};
use std::collections::VecDeque;
use std::convert::Infallible;
use std::ffi::OsString;
use std::process::Stdio;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::{ChildStderr, ChildStdin, Command};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

/// How long the rest of what a command said may take to arrive when nothing of its group is left: somebody who has
/// left the group may keep its end open.
const REST: Duration = Duration::from_millis(100);
/// Signs of life are not more frequent than this.
const HEARTBEAT_MIN: Duration = Duration::from_millis(10);

/// An entry of the allowlist as a worker.
pub(super) struct Commands {
    pub(super) entry: Entry,
    pub(super) node: NodeId,
}

/// Why a command is over.
enum End {
    /// It ended by itself.
    Exited,
    /// The entry's time is over.
    TimedOut,
    /// The right to the run is.
    Withdrawn,
}

impl Commands {
    /// Runs it to its end; any exit code but 0 is a failure.
    pub(super) async fn run(
        self: Arc<Self>,
        run: LocalRun,
        withdrawn: CancellationToken,
    ) -> Result<(), Failure> {
        let argv = self.argv(&run).await?;
        let mut group = Group::start(&mut self.command(&argv, &run)).map_err(|error| {
            let program = argv[0].to_string_lossy();
            Failure::from(format!("{program} cannot be run: {error}"))
        })?;
        let (stdin, stderr) = group.pipes();
        let tail = Arc::new(Mutex::new(Tail::new(self.entry.output_max)));
        // Tasks of their own: a command whose pipes nobody serves does not end.
        let _feeding = AbortOnDropHandle::new(tokio::spawn(feed(stdin, run.payload.clone())));
        let listening = AbortOnDropHandle::new(tokio::spawn(listen(stderr, Arc::clone(&tail))));
        let end = self.watch(&group, &run, &withdrawn).await?;
        let status = group.finish().await?;
        let _ = tokio::time::timeout(REST, listening).await;
        let summary = match end {
            End::Exited if status.success() => return Ok(()),
            End::Exited => format!("ended with {status}"),
            End::TimedOut => format!("was ended: it took longer than {:?}", self.entry.timeout),
            End::Withdrawn => "was ended: the right to the run was over".into(),
        };
        let said = lock(&tail).bytes();
        Err(reason(&summary, &said, Part::Last).into())
    }

    async fn argv(&self, run: &LocalRun) -> Result<Vec<OsString>, Failure> {
        let Target::Command(target) = &run.target else {
            return Err("the run is not one of a command".into());
        };
        let (argv, args) = (self.entry.argv.clone(), target.args.clone());
        // It may look at the disk, which may be a slow one.
        let filled = tokio::task::spawn_blocking(move || argv.fill(&args)).await;
        Ok(filled??)
    }

    fn command(&self, argv: &[OsString], run: &LocalRun) -> Command {
        let mut command = Command::new(&argv[0]);
        command
            .args(&argv[1..])
            .current_dir(&self.entry.directory)
            .env_clear()
            .env("DORMOUSE_TIMER", run.name.to_string())
            .env("DORMOUSE_RUN", run.id.to_string())
            .env("DORMOUSE_NOMINAL_TIME", run.nominal.to_string())
            .env("DORMOUSE_FENCING_TOKEN", run.token.to_string())
            .env("DORMOUSE_NODE", self.node.to_string())
            .env("DORMOUSE_ATTEMPT", run.attempt.to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped());
        let inherited = self.entry.environment.iter().map(String::as_str);
        for name in inherited.chain(["PATH"]) {
            if let Some(value) = std::env::var_os(name) {
                command.env(name, value);
            }
        }
        if let Some(user) = self.entry.user {
            // The groups of the agent are dropped with its user.
            command.uid(user.uid).gid(user.gid);
        }
        command
    }

    /// Waits for the end of the group's leader, and brings it about if need be.
    async fn watch(
        &self,
        group: &Group,
        run: &LocalRun,
        withdrawn: &CancellationToken,
    ) -> std::io::Result<End> {
        let end = tokio::select! {
            ended = group.ended() => return ended.map(|()| End::Exited),
            () = tokio::time::sleep(self.entry.timeout) => End::TimedOut,
            () = withdrawn.cancelled() => End::Withdrawn,
            never = stay_alive(run) => match never {},
        };
        group.terminate(self.entry.grace, run.closing()).await;
        Ok(end)
    }
}

/// Says again and again that the run is alive; never ends.
async fn stay_alive(run: &LocalRun) -> Infallible {
    let heartbeat = Duration::from_millis(run.attempt_timeout.0 / 2).max(HEARTBEAT_MIN);
    loop {
        tokio::time::sleep(heartbeat).await;
        run.extend();
    }
}

/// Gives the payload and closes the input, so that the command sees its end.
async fn feed(stdin: Option<ChildStdin>, payload: Payload) {
    if let Some(mut stdin) = stdin {
        // A command that closes its input has read what it wanted.
        let _ = stdin.write_all(&payload.0).await;
    }
}

/// Reads what the command says as fast as it says it, and keeps the end.
async fn listen(stderr: Option<ChildStderr>, tail: Arc<Mutex<Tail>>) {
    let Some(mut stderr) = stderr else { return };
    let mut said = vec![0; 16 << 10];
    while let Ok(length @ 1..) = stderr.read(&mut said).await {
        lock(&tail).keep(&said[..length]);
    }
}

fn lock(tail: &Mutex<Tail>) -> MutexGuard<'_, Tail> {
    tail.lock().expect("nothing panics while it changes a tail")
}

/// The end of what a command says.
struct Tail {
    kept: VecDeque<u8>,
    length_max: usize,
}

impl Tail {
    fn new(length_max: usize) -> Self {
        Self {
            kept: VecDeque::with_capacity(length_max),
            length_max,
        }
    }

    fn keep(&mut self, said: &[u8]) {
        let new = &said[said.len().saturating_sub(self.length_max)..];
        let excess = (self.kept.len() + new.len()).saturating_sub(self.length_max);
        self.kept.drain(..excess);
        self.kept.extend(new);
    }

    fn bytes(&self) -> Vec<u8> {
        self.kept.iter().copied().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tail_is_the_end_of_everything_that_was_said() {
        for (pieces, tail) in [
            (&["ab", "c"][..], "abc"),
            (&["ab", "cd", "e"], "bcde"),
            (&["abcdefgh"], "efgh"),
            (&["abcd", "efgh"], "efgh"),
            (&["abc", "", "d", "e"], "bcde"),
        ] {
            let mut kept = Tail::new(4);
            pieces.iter().for_each(|piece| kept.keep(piece.as_bytes()));
            assert_eq!(kept.bytes(), tail.as_bytes());
        }
        let mut nothing = Tail::new(0);
        nothing.keep(b"secret");
        assert!(nothing.bytes().is_empty());
    }
}
