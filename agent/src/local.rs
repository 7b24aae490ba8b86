//! Handlers inside the agent's own process: a worker without a wire.
//!
//! For applications that embed the agent, and for the agent's own targets. A handler is a worker like any other to the executor, with as many
//! credits as runs may be in work at once.

use crate::executor::{Attempt, Delivery, Executor, QUEUE_LENGTH, Said, WorkerId};
use dormouse_engine::id::Token;
use dormouse_engine::timer::{HandlerName, Outcome, Run};
use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::ops::Deref;
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tokio_util::task::JoinMap;

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
    /// Gives the attempt its whole time again: without this it has failed when the run's
    /// `attempt_timeout` has passed since its launch.
    pub fn extend(&self) {
        self.executor.extend(self.attempt());
    }

    /// When it was launched, by the clock that decided that it was due.
    #[must_use]
    pub fn launched(&self) -> SystemTime {
        self.delivery.launched
    }

    /// Is cancelled when the agent closes, after it has waited for what is in flight.
    pub(crate) fn closing(&self) -> &CancellationToken {
        self.executor.closed()
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

/// Attaches `handler` for `name` with `concurrency` credits. It stays until the executor is closed. A handler whose
/// run is withdrawn is dropped where it waits.
pub(crate) fn attach<F, Fut>(
    executor: &Arc<Executor>,
    name: HandlerName,
    concurrency: u32,
    handler: F,
) where
    F: Fn(LocalRun) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<(), Failure>> + Send + 'static,
{
    let served = serve(executor, name, concurrency, move |run, withdrawn| {
        let work = handler(run);
        async move {
            tokio::select! {
                ended = work => ended,
                () = withdrawn.cancelled() => Err("the right to the run was over".into()),
            }
        }
    });
    tokio::spawn(served);
}

/// Attaches `handler` for `name` at once, and serves it until the executor is closed and everything has ended. Each
/// run comes with a token that is cancelled when the right to it is over; the handler sees to its end itself.
pub(crate) fn serve<F, Fut>(
    executor: &Arc<Executor>,
    name: HandlerName,
    concurrency: u32,
    handler: F,
) -> impl Future<Output = ()> + Send + use<F, Fut>
where
    F: Fn(LocalRun, CancellationToken) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<(), Failure>> + Send + 'static,
{
    let (queue, said) = mpsc::channel(QUEUE_LENGTH);
    let worker = executor.attach(queue);
    executor.offer(worker, BTreeSet::from([name]), concurrency);
    let worker = LocalWorker {
        executor: Arc::clone(executor),
        id: worker,
        handler: Arc::new(handler),
        works: JoinMap::new(),
        withdrawals: BTreeMap::new(),
    };
    worker.serve(said)
}

/// A worker without a wire, and what it has in work.
struct LocalWorker<F> {
    executor: Arc<Executor>,
    id: WorkerId,
    handler: Arc<F>,
    works: JoinMap<Token, ()>,
    withdrawals: BTreeMap<Token, CancellationToken>,
}

impl<F, Fut> LocalWorker<F>
where
    F: Fn(LocalRun, CancellationToken) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<(), Failure>> + Send + 'static,
{
    async fn serve(mut self, mut said: mpsc::Receiver<Said>) {
        loop {
            tokio::select! {
                said = said.recv() => match said {
                    Some(said) => self.hear(said),
                    None => break,
                },
                // What has ended has settled its run itself.
                Some((token, _)) = self.works.join_next() => drop(self.withdrawals.remove(&token)),
            }
        }
        self.withdrawals
            .values()
            .for_each(CancellationToken::cancel);
        while self.works.join_next().await.is_some() {}
    }

    fn hear(&mut self, said: Said) {
        match said {
            Said::Fire(delivery) => self.begin(*delivery),
            Said::Withdraw { token, .. } => {
                if let Some(withdrawn) = self.withdrawals.get(&token) {
                    withdrawn.cancel();
                }
            }
            Said::Attached | Said::Refused(_) => {}
        }
    }

    fn begin(&mut self, delivery: Delivery) {
        let token = delivery.run.token;
        let run = LocalRun {
            delivery,
            executor: Arc::clone(&self.executor),
            worker: self.id,
        };
        let settlement = Settlement {
            executor: Arc::clone(&self.executor),
            attempt: run.attempt(),
        };
        let (handler, withdrawn) = (Arc::clone(&self.handler), CancellationToken::new());
        self.withdrawals.insert(token, withdrawn.clone());
        let work = async move { settlement.tell(handler(run, withdrawn).await) };
        self.works.spawn(token, work);
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
