//! Runs a command for a run of a timer: in a process group of its own, with the payload on its standard input.
//!
//! The group lives as long as the handler: if that is dropped because the worker ends, everything that the command
//! started is killed. What the command prints goes where the worker's own output goes.

use crate::output::time;
use dormouse_client::{Failure, Run};
use rustix::process::{Pid, Signal, kill_process_group};
use std::ffi::OsString;
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;
use tokio::io::AsyncWriteExt as _;
use tokio::process::{Child, ChildStdin};

/// A program and its arguments.
#[derive(Debug)]
pub(super) struct Command {
    program: OsString,
    arguments: Vec<OsString>,
}

impl Command {
    /// From words; none if there are none.
    pub(super) fn new(words: Vec<OsString>) -> Option<Self> {
        let mut words = words.into_iter();
        Some(Self {
            program: words.next()?,
            arguments: words.collect(),
        })
    }

    /// Runs it to its end; any exit code but 0 is a failure.
    pub(super) async fn run(self: Arc<Self>, run: Run) -> Result<(), Failure> {
        let child = self.start(&run).map_err(|error| {
            let why = format!("cannot run {}: {error}", self.program.to_string_lossy());
            tracing::warn!(
                event = "command.failed",
                run = run.run,
                timer = run.timer,
                why,
                "it does not start"
            );
            Failure::new(why)
        })?;
        let mut group = Group::of(child);
        let status = group.finish(&run).await?;
        if status.success() {
            return Ok(());
        }
        tracing::warn!(event = "command.failed", run = run.run, timer = run.timer, %status, "it ended");
        Err(Failure::new(format_args!(
            "{} ended with {status}",
            self.program.to_string_lossy()
        )))
    }

    fn start(&self, run: &Run) -> std::io::Result<Child> {
        tokio::process::Command::new(&self.program)
            .args(&self.arguments)
            .env("DORMOUSE_TIMER", &run.timer)
            .env("DORMOUSE_RUN", &run.run)
            .env("DORMOUSE_NOMINAL_TIME", time(run.nominal_time))
            .env("DORMOUSE_FENCING_TOKEN", run.token.to_string())
            .env("DORMOUSE_NODE", &run.node)
            .env("DORMOUSE_ATTEMPT", run.attempt.to_string())
            .stdin(Stdio::piped())
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
    }
}

/// The process group of a command. Dropping it before the command has ended kills all of it.
struct Group {
    child: Child,
    /// None once the command has ended.
    leader: Option<Pid>,
}

impl Group {
    fn of(child: Child) -> Self {
        let id = child.id().and_then(|id| i32::try_from(id).ok());
        Self {
            child,
            leader: id.and_then(Pid::from_raw),
        }
    }

    async fn finish(&mut self, run: &Run) -> Result<ExitStatus, Failure> {
        let stdin = self.child.stdin.take();
        let mut feeding = Box::pin(feed(stdin, &run.payload));
        let mut is_fed = false;
        let status = loop {
            tokio::select! {
                status = self.child.wait() => break status?,
                // A command need not read its input, and what it started may outlive it with the input open.
                () = &mut feeding, if !is_fed => is_fed = true,
            }
        };
        self.leader = None;
        Ok(status)
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(leader) = self.leader {
            // Everything of the group may be gone already.
            let _ = kill_process_group(leader, Signal::KILL);
        }
    }
}

/// Gives the payload and closes the input, so that the command sees its end.
async fn feed(stdin: Option<ChildStdin>, payload: &[u8]) {
    if let Some(mut stdin) = stdin {
        // A command that closes its input has read what it wanted.
        let _ = stdin.write_all(payload).await;
        let _ = stdin.shutdown().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use dormouse_client::Bytes;
    use std::path::Path;
    use std::time::{Duration, UNIX_EPOCH};

    fn run(payload: impl Into<Bytes>) -> Run {
        Run {
            timer: "pools/default/timers/a".into(),
            uid: "u".into(),
            run: "r".into(),
            attempt: 2,
            token: 7,
            nominal_time: UNIX_EPOCH,
            due_time: UNIX_EPOCH,
            launched_time: UNIX_EPOCH,
            payload: payload.into(),
            content_type: String::new(),
            handler: "h".into(),
            node: "n1".into(),
            missed_count: 0,
            generation: 1,
            attempt_timeout: None,
        }
    }

    fn shell(script: &str) -> Arc<Command> {
        let words = ["sh", "-c", script].map(OsString::from).to_vec();
        Arc::new(Command::new(words).unwrap())
    }

    #[tokio::test]
    async fn a_command_is_given_its_run() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("out");
        let script = format!(
            "cat > {0}; echo $DORMOUSE_TIMER $DORMOUSE_RUN $DORMOUSE_NOMINAL_TIME $DORMOUSE_FENCING_TOKEN \
             $DORMOUSE_NODE $DORMOUSE_ATTEMPT >> {0}",
            file.display()
        );
        shell(&script).run(run("payload\n")).await.unwrap();
        assert_eq!(
            std::fs::read_to_string(&file).unwrap(),
            "payload\npools/default/timers/a r 1970-01-01T00:00:00.000Z 7 n1 2\n"
        );
    }

    #[tokio::test]
    async fn any_exit_code_but_0_is_a_failure() {
        assert!(shell("exit 0").run(run("")).await.is_ok());
        let failure = format!("{:?}", shell("exit 3").run(run("")).await.unwrap_err());
        assert!(failure.contains("exit status: 3"), "{failure}");
        let words = vec![OsString::from("/nowhere/at/all")];
        let missing = Arc::new(Command::new(words).unwrap()).run(run("")).await;
        assert!(format!("{missing:?}").contains("/nowhere/at/all"));
    }

    #[tokio::test]
    async fn a_command_that_does_not_read_its_input_ends_all_the_same() {
        let long = vec![b'x'; 1 << 20];
        assert!(shell("exit 0").run(run(long)).await.is_ok());
    }

    #[tokio::test]
    async fn a_dropped_run_kills_what_its_command_started() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("pid");
        let script = format!(
            "sleep 100 & echo $! > {0}.new; mv {0}.new {0}; wait",
            file.display()
        );
        let running = tokio::spawn(shell(&script).run(run("")));
        while !file.exists() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let pid = std::fs::read_to_string(&file).unwrap();
        let process = Path::new("/proc").join(pid.trim());
        assert!(process.exists());
        running.abort();
        let gone = async {
            while is_alive(&process) {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        let gone = tokio::time::timeout(Duration::from_secs(5), gone).await;
        gone.expect("the grandchild is killed");
    }

    /// A process that nobody has waited for yet is not alive any more.
    fn is_alive(process: &Path) -> bool {
        let stat = std::fs::read_to_string(process.join("stat"));
        stat.is_ok_and(|stat| !stat.contains(") Z "))
    }
}
