//! Runs one handler: says that it is alive while it takes long, ends it if its run is withdrawn, and turns a panic
//! into a failure.

use super::{Failure, Handler, Run};
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::task::JoinError;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

/// The attempt time-out if the agent did not say.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(60);
/// Signs of life are not more frequent than this.
const HEARTBEAT_MIN: Duration = Duration::from_millis(10);

/// Names one attempt of one occurrence.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Attempt {
    pub(super) run: String,
    pub(super) token: u64,
}

/// What the task of a run tells.
#[derive(Debug)]
pub(super) enum Event {
    /// The handler is still at it.
    Alive(Attempt),
    /// The handler has ended.
    Settled(Attempt, Result<(), Failure>),
}

/// One attempt in the hands of its handler.
pub(super) struct Work {
    pub(super) attempt: Attempt,
    pub(super) run: Run,
    pub(super) handler: Handler,
    /// Is cancelled when the right to the run is over.
    pub(super) withdrawn: CancellationToken,
}

/// Runs a handler to its end; dropping this future ends the handler too.
pub(super) async fn execute(work: Work, events: mpsc::Sender<Event>) {
    let Work {
        attempt,
        run,
        handler,
        withdrawn,
    } = work;
    let heartbeat = (run.attempt_timeout.unwrap_or(ATTEMPT_TIMEOUT) / 2).max(HEARTBEAT_MIN);
    // A task of its own, so that a handler that blocks its thread does not stop the signs of life.
    let mut task = AbortOnDropHandle::new(tokio::spawn(async move { handler(run).await }));
    let ended = loop {
        tokio::select! {
            ended = &mut task => break ended,
            () = withdrawn.cancelled() => {
                task.abort();
                // It ends where it waits next, and its place is free then.
                break task.await;
            }
            () = tokio::time::sleep(heartbeat) => {
                // The loop outlives its runs' tasks, unless it was dropped: then nobody needs to know.
                let _ = events.send(Event::Alive(attempt.clone())).await;
            }
        }
    };
    let outcome = ended.unwrap_or_else(|error| Err(panicked(error)));
    let _ = events.send(Event::Settled(attempt, outcome)).await;
}

fn panicked(error: JoinError) -> Failure {
    let Ok(panic) = error.try_into_panic() else {
        return Failure::new("the handler was ended: the right to its run was over");
    };
    let words = panic
        .downcast_ref::<&str>()
        .map(|words| (*words).to_owned());
    let words = words.or_else(|| panic.downcast_ref::<String>().cloned());
    Failure::new(format_args!(
        "the handler panicked: {}",
        words.unwrap_or_default()
    ))
}
