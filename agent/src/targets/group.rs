//! A command's process group, from its start until none of it is left.
//!
//! ```text
//! started --> the leader ends -----------------------------> what is left of the group is killed, the leader reaped
//!    '------> terminate: SIGTERM, then a grace for the leader --^
//! ```
//!
//! The leader is reaped last: until then its number, which is the group's, cannot be another's. A process that leaves
//! the group by itself (`setsid`) is beyond this; the service's own control group ends it with the agent.

use rustix::process::{Pid, PidfdFlags, Signal, kill_process_group, pidfd_open};
use std::io;
use std::os::fd::OwnedFd;
use std::process::ExitStatus;
use std::time::Duration;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::process::{Child, ChildStderr, ChildStdin, Command};
use tokio_util::sync::CancellationToken;

/// How long a command has to end by itself when the agent ends: it has less than a second in all.
const CLOSING_GRACE: Duration = Duration::from_millis(150);

/// The process group of a command. Dropping it kills all of it.
pub(super) struct Group {
    // Dropped before the child, which is when the child may be reaped.
    leader: Leader,
    child: Child,
}

/// The first process of the group. Dropped before it is reaped, it takes the group with it.
struct Leader {
    pid: Pid,
    /// Whether its number may be another's.
    is_reaped: bool,
    /// Is readable when it has ended, and does not reap it.
    ended: AsyncFd<OwnedFd>,
}

impl Group {
    /// Starts a command in a group of its own.
    pub(super) fn start(command: &mut Command) -> io::Result<Self> {
        let child = command.process_group(0).kill_on_drop(true).spawn()?;
        let id = child.id().and_then(|id| i32::try_from(id).ok());
        let pid = id.and_then(Pid::from_raw);
        let pid = pid.ok_or_else(|| io::Error::other("the command has no process id"))?;
        let ended = end_of(pid).inspect_err(|_| kill(pid, Signal::KILL))?;
        let leader = Leader {
            pid,
            is_reaped: false,
            ended,
        };
        Ok(Self { leader, child })
    }

    /// The command's input and what it says to standard error, as far as they were asked for; once.
    pub(super) fn pipes(&mut self) -> (Option<ChildStdin>, Option<ChildStderr>) {
        (self.child.stdin.take(), self.child.stderr.take())
    }

    /// Waits until the leader has ended.
    pub(super) async fn ended(&self) -> io::Result<()> {
        self.leader.ended.readable().await.map(drop)
    }

    /// Asks the group to end, and waits for its leader: for `grace`, or less if the agent is closing.
    pub(super) async fn terminate(&self, grace: Duration, closing: &CancellationToken) {
        kill(self.leader.pid, Signal::TERM);
        let hurry = async {
            closing.cancelled().await;
            tokio::time::sleep(CLOSING_GRACE).await;
        };
        tokio::select! {
            _ = self.ended() => {}
            () = tokio::time::sleep(grace) => {}
            () = hurry => {}
        }
    }

    /// Kills what is left of the group, and says how its leader ended.
    pub(super) async fn finish(mut self) -> io::Result<ExitStatus> {
        kill(self.leader.pid, Signal::KILL);
        self.ended().await?;
        self.leader.is_reaped = true;
        self.child.wait().await
    }
}

impl Drop for Leader {
    fn drop(&mut self) {
        if !self.is_reaped {
            kill(self.pid, Signal::KILL);
        }
    }
}

/// Is readable when the process has ended.
#[expect(
    deprecated,
    reason = "the safe constructor is deprecated for descriptors that are not one's own; this one is"
)]
fn end_of(pid: Pid) -> io::Result<AsyncFd<OwnedFd>> {
    let end = pidfd_open(pid, PidfdFlags::NONBLOCK)?;
    AsyncFd::with_interest(end, Interest::READABLE)
}

fn kill(leader: Pid, signal: Signal) {
    // Everything of the group may be gone already.
    let _ = kill_process_group(leader, signal);
}
