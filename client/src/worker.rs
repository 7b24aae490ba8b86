//! A worker: takes runs from its agent, hands them to handlers, and says what became of them.
//!
//! ```text
//! agent                         drive (one task)               a task for each run
//!   | <-- Attach{handlers, credits} -- |                               |
//!   | --- Fire{run} -----------------> | ---- the handler begins ----> |
//!   | <-- Extend --------------------- | <--- half the time-out ------ |
//!   | <-- Ack / Nack ----------------- | <--- settled ---------------- |
//!   | --- Withdraw{run} -------------> | ---- the handler is ended --> |
//! ```
//!
//! `drive` owns the stream and everything that is in flight, `outbox` is its way up, `execute` runs one handler. This
//! file is what users see.

mod drive;
mod execute;
mod outbox;

use crate::client::Client;
use crate::error::Error;
use crate::id;
use bytes::Bytes;
use std::collections::BTreeMap;
use std::fmt;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

/// The most runs at once that the wire allows.
const CONCURRENCY_MAX: u32 = 10_000;
/// How many runs at once, unless told otherwise.
const CONCURRENCY: u32 = 16;
/// How long a stopped worker waits for its runs, unless told otherwise.
const GRACE: Duration = Duration::from_secs(30);

type Handled = Pin<Box<dyn Future<Output = Result<(), Failure>> + Send>>;
type Handler = Arc<dyn Fn(Run) -> Handled + Send + Sync>;

/// Runs what falls due for its handlers; made by [`Client::worker`](crate::Client::worker).
///
/// It stays attached to its agent: if the agent is not there (yet, or any more) it tries again for ever. A handler
/// that returns an error or panics has failed, and the run is tried again as its timer says. A handler that takes
/// long is reported as alive, so it is not given to another. If the right to its run ends all the same, because the
/// timer was changed or its node lost it, the handler's future is dropped where it waits.
///
/// ```no_run
/// # async fn example() -> Result<(), dormouse_client::Error> {
/// # let client = dormouse_client::Client::connect("unix:/run/dormouse/agent.sock").await?;
/// let ctrl_c = async { drop(tokio::signal::ctrl_c().await) };
/// client
///     .worker()
///     .handle("backup", |run| async move {
///         std::fs::write(format!("/backup/{}", run.run), &run.payload)?;
///         Ok(())
///     })
///     .concurrency(2)
///     .run_until(ctrl_c)
///     .await
/// # }
/// ```
#[must_use = "a worker does nothing until it is run"]
pub struct Worker {
    client: Client,
    handlers: BTreeMap<String, Handler>,
    concurrency: u32,
    grace: Duration,
}

impl fmt::Debug for Worker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Worker")
            .field("client", &self.client)
            .field("handlers", &self.handlers.keys())
            .field("concurrency", &self.concurrency)
            .field("grace", &self.grace)
            .finish()
    }
}

impl Worker {
    pub(crate) fn new(client: Client) -> Self {
        Self {
            client,
            handlers: BTreeMap::new(),
            concurrency: CONCURRENCY,
            grace: GRACE,
        }
    }

    /// Offers a handler. Its errors are for people to read; any [`std::error::Error`] becomes a [`Failure`].
    /// The same name again replaces the former.
    pub fn handle<F, Fut>(mut self, name: &str, handler: F) -> Self
    where
        F: Fn(Run) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<(), Failure>> + Send + 'static,
    {
        self.handlers
            .insert(name.into(), Arc::new(move |run| Box::pin(handler(run))));
        self
    }

    /// How many runs at once, of all handlers together: 1 to 10,000; 16 unless told otherwise.
    pub fn concurrency(mut self, runs_max: u32) -> Self {
        self.concurrency = runs_max.clamp(1, CONCURRENCY_MAX);
        self
    }

    /// How long [`run_until`](Self::run_until) waits for handlers after it was stopped; 30 s unless told otherwise.
    pub fn grace(mut self, grace: Duration) -> Self {
        self.grace = grace;
        self
    }

    /// Works for ever.
    ///
    /// # Errors
    /// As [`run_until`](Self::run_until).
    pub async fn run(self) -> Result<(), Error> {
        self.run_until(std::future::pending()).await
    }

    /// Works until `stop` ends; then takes no more runs, waits for those that have begun, gives the others back,
    /// and returns. Handlers that outlast the grace are dropped, and their runs have failed.
    ///
    /// # Errors
    /// Only what does not pass by itself: [`Error::InvalidArgument`] for a bad handler name or none,
    /// [`Error::Denied`], and [`Error::Unimplemented`] if what answers is no agent.
    pub async fn run_until(self, stop: impl Future<Output = ()>) -> Result<(), Error> {
        if self.handlers.is_empty() {
            return Err(Error::invalid(
                "handlers",
                "a worker needs at least one handler",
            ));
        }
        self.handlers
            .keys()
            .try_for_each(|name| id::handler("handlers", name).map(drop))?;
        Box::pin(drive::Driver::new(self).run(pin!(stop))).await
    }
}

/// One attempt to deliver an occurrence of a timer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Run {
    /// The full name of the timer.
    pub timer: String,
    /// The timer's identity.
    pub uid: String,
    /// The occurrence, the same for every attempt: a key for deduplication.
    pub run: String,
    /// The number of the attempt, from 1.
    pub attempt: u32,
    /// The fencing token: those of one timer grow. A target that remembers the largest and refuses smaller ones sees
    /// no run that has lost its right.
    pub token: u64,
    /// When the schedule says.
    pub nominal_time: SystemTime,
    /// When this attempt was to be launched.
    pub due_time: SystemTime,
    /// When it was launched.
    pub launched_time: SystemTime,
    /// The timer's payload.
    pub payload: Bytes,
    /// The media type of the payload; may be empty.
    pub content_type: String,
    /// The handler that is meant.
    pub handler: String,
    /// The node that runs it.
    pub node: String,
    /// How many missed occurrences this one stands for besides itself.
    pub missed_count: u64,
    /// The timer's generation.
    pub generation: u64,
    /// The attempt fails if nothing is heard of it for this long; the worker sees to that. None if unknown.
    pub attempt_timeout: Option<Duration>,
}

/// Why a run failed, and when to try again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    pub(crate) reason: String,
    pub(crate) retry_after: Option<Duration>,
}

impl Failure {
    /// A failure with a reason for people; the timer's retry policy says when to try again.
    #[must_use]
    pub fn new(reason: impl fmt::Display) -> Self {
        Self {
            reason: reason.to_string(),
            retry_after: None,
        }
    }

    /// Not again before `wait` has passed.
    #[must_use]
    pub fn retry_after(mut self, wait: Duration) -> Self {
        self.retry_after = Some(wait);
        self
    }
}

impl<E: std::error::Error> From<E> for Failure {
    fn from(error: E) -> Self {
        let mut reason = error.to_string();
        let mut cause = error.source();
        while let Some(deeper) = cause {
            reason = format!("{reason}: {deeper}");
            cause = deeper.source();
        }
        Self {
            reason,
            retry_after: None,
        }
    }
}
