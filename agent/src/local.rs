//! Handlers inside the agent's own process: a worker without a wire.
//!
//! For applications that embed the agent. A handler is a worker like any other to the executor, with as many
//! credits as runs may be in work at once.

use crate::executor::{Attempt, Delivery, Executor, QUEUE_LENGTH, Said, WorkerId};
use dormouse_engine::timer::{HandlerName, Outcome, Run};
use std::collections::BTreeSet;
use std::future::Future;
use std::ops::Deref;
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

/// Why a handler did not do its work; another attempt may follow.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Failure {
    /// Why, for people.
    pub reason: String,
    /// Not again before this; the timer's own wait if none.
    pub retry_after: Option<Duration>,
}

impl<E: std::fmt::Display> From<E> for Failure {
    fn from(error: E) -> Self {
        Self {
            reason: error.to_string(),
            retry_after: None,
        }
    }
}

/// A run in the hands of a handler; it reads like a [`Run`].
pub struct LocalRun {
    delivery: Delivery,
    executor: Arc<Executor>,
    worker: WorkerId,
}

impl LocalRun {
    /// Gives the attempt its whole time again: without this it has failed 60 s after its launch.
    pub fn extend(&self) {
        self.executor.extend(self.attempt());
    }

    /// When it was launched, by the clock that decided that it was due.
    #[must_use]
    pub fn launched(&self) -> SystemTime {
        self.delivery.launched
    }

    fn attempt(&self) -> Attempt {
        Attempt {
            worker: self.worker,
            run: self.delivery.run.id,
            token: self.delivery.run.token,
        }
    }
}

impl Deref for LocalRun {
    type Target = Run;
    fn deref(&self) -> &Run {
        &self.delivery.run
    }
}

/// Attaches `handler` for `name` with `concurrency` credits. It stays until the executor is closed.
pub(crate) fn attach<F, Fut>(
    executor: &Arc<Executor>,
    name: HandlerName,
    concurrency: u32,
    handler: F,
) where
    F: Fn(LocalRun) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<(), Failure>> + Send + 'static,
{
    let (queue, said) = mpsc::channel(QUEUE_LENGTH);
    let worker = executor.attach(queue);
    tokio::spawn(serve(Arc::clone(executor), worker, said, Arc::new(handler)));
    executor.offer(worker, BTreeSet::from([name]), concurrency);
}

async fn serve<F, Fut>(
    executor: Arc<Executor>,
    worker: WorkerId,
    mut said: mpsc::Receiver<Said>,
    handler: Arc<F>,
) where
    F: Fn(LocalRun) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<(), Failure>> + Send + 'static,
{
    let mut works = JoinSet::new();
    while let Some(said) = said.recv().await {
        // Those that have ended settled their runs themselves.
        while works.try_join_next().is_some() {}
        if let Said::Fire(delivery) = said {
            let run = LocalRun {
                delivery,
                executor: Arc::clone(&executor),
                worker,
            };
            let settlement = Settlement {
                executor: Arc::clone(&executor),
                attempt: run.attempt(),
            };
            let handler = Arc::clone(&handler);
            works.spawn(async move { settlement.tell(handler(run).await) });
        }
    }
}

/// Settles a run also if its handler panics: that is a failure like another.
struct Settlement {
    executor: Arc<Executor>,
    attempt: Attempt,
}

impl Settlement {
    fn tell(self, result: Result<(), Failure>) {
        let outcome = match result {
            Ok(()) => Outcome::Done,
            Err(failure) => Outcome::Failed {
                retry_after: failure.retry_after.map(crate::wire::millis),
                reason: failure.reason,
            },
        };
        self.executor.settle(self.attempt, outcome);
    }
}

impl Drop for Settlement {
    fn drop(&mut self) {
        let reason = "the handler panicked".to_owned();
        // After `tell` the attempt is unknown, and this is ignored.
        self.executor.settle(
            self.attempt,
            Outcome::Failed {
                retry_after: None,
                reason,
            },
        );
    }
}
