//! A worker that counts: what it is given, how late, and whether anything comes twice.
//!
//! It speaks the wire itself, so that it decides when a run is settled: at once, after a while, or when it is told
//! to. A run is known by its id, which is the same for every attempt of one occurrence.

use crate::stage::connect;
use anyhow::Context as _;
use dormouse_client::wire;
use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until, timeout};
use tokio_stream::wrappers::UnboundedReceiverStream;
use tonic::Streaming;
use wire::work_request::Message as Up;
use wire::work_response::Message as Down;
use wire::worker_service_client::WorkerServiceClient;

/// Between two looks at what was seen.
const PAUSE: Duration = Duration::from_millis(20);

/// When a run is settled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Settle {
    AtOnce,
    After(Duration),
    /// By [`Sink::settle`].
    WhenTold,
}

/// A worker with one handler. Dropping it ends its stream.
#[derive(Debug)]
pub(crate) struct Sink {
    seen: Arc<Mutex<Seen>>,
    up: mpsc::UnboundedSender<wire::WorkRequest>,
    tasks: Vec<tokio::task::JoinHandle<()>>,
}

/// What a worker has seen so far.
#[derive(Debug, Clone, Default)]
pub(crate) struct Seen {
    /// How often each occurrence came.
    runs: HashMap<String, u32>,
    /// Arrival minus due time, in microseconds.
    late_us: Vec<i64>,
    pub(crate) first: Option<Instant>,
    pub(crate) last: Option<Instant>,
    pub(crate) withdrawn: usize,
    /// Why its stream ended.
    pub(crate) ended: Option<String>,
    held: VecDeque<wire::Ack>,
}

/// Quantiles of lateness in milliseconds; nothing seen makes them NaN.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Lateness {
    pub(crate) p50: f64,
    pub(crate) p99: f64,
    pub(crate) max: f64,
}

impl Sink {
    /// Attaches a worker of `handler` at an agent.
    pub(crate) async fn attach(
        address: &str,
        handler: &str,
        credits: u32,
        settle: Settle,
    ) -> anyhow::Result<Self> {
        let mut workers =
            WorkerServiceClient::new(connect(address).await?).max_decoding_message_size(16 << 20);
        let (up, outbound) = mpsc::unbounded_channel();
        let attach = wire::Attach {
            handlers: vec![handler.to_owned()],
            credits,
        };
        up.send(wire::WorkRequest {
            message: Some(Up::Attach(attach)),
        })?;
        let mut down = workers
            .work(UnboundedReceiverStream::new(outbound))
            .await?
            .into_inner();
        let first = down.message().await?.and_then(|it| it.message);
        anyhow::ensure!(
            matches!(first, Some(Down::Attached(_))),
            "the agent does not attach a worker"
        );
        let seen = Arc::new(Mutex::new(Seen::default()));
        let (settled, settling) = mpsc::unbounded_channel();
        let take = take(down, Arc::clone(&seen), settle, settled);
        let tasks = vec![
            tokio::spawn(take),
            tokio::spawn(settle_in_order(settling, up.clone())),
        ];
        Ok(Self { seen, up, tasks })
    }

    /// What it has seen so far.
    pub(crate) fn seen(&self) -> MutexGuard<'_, Seen> {
        lock(&self.seen)
    }

    /// How many occurrences it has seen.
    pub(crate) fn count(&self) -> usize {
        self.seen().runs.len()
    }

    /// Waits until it has seen `count` occurrences, or nothing new for `patience`.
    pub(crate) async fn until(&self, count: usize, patience: Duration) -> usize {
        let (mut known, mut since) = (self.count(), Instant::now());
        loop {
            let seen = self.count();
            if seen >= count || since.elapsed() > patience {
                return seen;
            }
            if seen != known {
                (known, since) = (seen, Instant::now());
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Settles up to `count` of the runs that are held.
    pub(crate) fn settle(&self, count: usize) -> anyhow::Result<usize> {
        let mut seen = self.seen();
        let count = count.min(seen.held.len());
        for ack in seen.held.drain(..count) {
            self.up.send(wire::WorkRequest {
                message: Some(Up::Ack(ack)),
            })?;
        }
        Ok(count)
    }

    /// Takes no more runs, and waits a moment until what it has settled is heard.
    pub(crate) async fn leave(mut self) -> anyhow::Result<Seen> {
        self.up.send(wire::WorkRequest {
            message: Some(Up::Detach(wire::Detach {})),
        })?;
        let reader = self.tasks.first_mut().context("it has a reader")?;
        // An agent that keeps the stream open has heard everything by then.
        let _ = timeout(Duration::from_secs(1), reader).await;
        Ok(self.seen().clone())
    }
}

impl Drop for Sink {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}

impl Seen {
    /// Occurrences.
    pub(crate) fn count(&self) -> usize {
        self.runs.len()
    }

    /// Occurrences that came more than once.
    pub(crate) fn twice(&self) -> usize {
        self.runs.values().filter(|times| **times > 1).count()
    }

    /// Runs that came before they were due.
    pub(crate) fn early(&self) -> usize {
        self.late_us.iter().filter(|late| **late < 0).count()
    }

    /// Runs a second, from the first to the last; NaN for fewer than two.
    pub(crate) fn rate(&self) -> f64 {
        let span = self.first.zip(self.last).map(|(first, last)| last - first);
        match span {
            Some(span) if self.late_us.len() > 1 => {
                count(self.late_us.len() - 1) / span.as_secs_f64()
            }
            _ => f64::NAN,
        }
    }

    pub(crate) fn lateness(&self) -> Lateness {
        let mut late = self.late_us.clone();
        late.sort_unstable();
        Lateness {
            p50: quantile(&late, 0.5),
            p99: quantile(&late, 0.99),
            max: quantile(&late, 1.0),
        }
    }

    /// Also what another worker has seen.
    pub(crate) fn add(&mut self, other: &Self) {
        for (run, times) in &other.runs {
            *self.runs.entry(run.clone()).or_default() += times;
        }
        self.late_us.extend(&other.late_us);
        self.withdrawn += other.withdrawn;
    }

    /// Lateness counts from what arrives now on.
    pub(crate) fn forget_lateness(&mut self) {
        self.late_us.clear();
    }

    fn note(&mut self, run: &wire::Run) {
        let now = Instant::now();
        self.first.get_or_insert(now);
        self.last = Some(now);
        let due = run.due_time.and_then(|due| SystemTime::try_from(due).ok());
        self.late_us.push(due.map_or(i64::MAX, late));
        *self.runs.entry(run.run.clone()).or_default() += 1;
    }
}

/// A count as a measurement.
pub(crate) fn count(count: usize) -> f64 {
    f64::from(u32::try_from(count).unwrap_or(u32::MAX))
}

/// Microseconds since `due`; negative before.
fn late(due: SystemTime) -> i64 {
    match SystemTime::now().duration_since(due) {
        Ok(late) => i64::try_from(late.as_micros()).unwrap_or(i64::MAX),
        Err(early) => -i64::try_from(early.duration().as_micros()).unwrap_or(i64::MAX),
    }
}

/// In milliseconds, of what is sorted.
fn quantile(sorted_us: &[i64], share: f64) -> f64 {
    let Some(last) = sorted_us.len().checked_sub(1) else {
        return f64::NAN;
    };
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a share of an index is one"
    )]
    let index = (count(last) * share).round() as usize;
    #[expect(clippy::cast_precision_loss, reason = "lateness is below a century")]
    let late = sorted_us[index] as f64;
    late / 1000.0
}

fn lock(seen: &Mutex<Seen>) -> MutexGuard<'_, Seen> {
    seen.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Takes runs until the stream ends.
async fn take(
    mut down: Streaming<wire::WorkResponse>,
    seen: Arc<Mutex<Seen>>,
    settle: Settle,
    settled: mpsc::UnboundedSender<(Option<Instant>, wire::Ack)>,
) {
    let why = loop {
        let message = match down.message().await {
            Ok(Some(response)) => response.message,
            Ok(None) => break "the agent ended the stream".to_owned(),
            Err(status) => break status.to_string(),
        };
        match message {
            Some(Down::Fire(wire::Fire { run: Some(run) })) => {
                lock(&seen).note(&run);
                let ack = wire::Ack {
                    run: run.run,
                    token: run.token,
                };
                let at = match settle {
                    Settle::AtOnce => None,
                    Settle::After(wait) => Some(Instant::now() + wait),
                    Settle::WhenTold => {
                        lock(&seen).held.push_back(ack);
                        continue;
                    }
                };
                if settled.send((at, ack)).is_err() {
                    break "the worker has ended".to_owned();
                }
            }
            Some(Down::Withdraw(_)) => lock(&seen).withdrawn += 1,
            _ => {}
        }
    };
    lock(&seen).ended = Some(why);
}

/// Each waits as long as every other, so their order is that of their ends.
async fn settle_in_order(
    mut settling: mpsc::UnboundedReceiver<(Option<Instant>, wire::Ack)>,
    up: mpsc::UnboundedSender<wire::WorkRequest>,
) {
    while let Some((at, ack)) = settling.recv().await {
        if let Some(at) = at {
            sleep_until(at).await;
        }
        if up
            .send(wire::WorkRequest {
                message: Some(Up::Ack(ack)),
            })
            .is_err()
        {
            break;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_of_what_was_seen_and_nothing_seen_is_no_number() {
        let sorted: Vec<i64> = (0..=100).map(|ms| ms * 1000).collect();
        assert_eq!(
            (
                quantile(&sorted, 0.5),
                quantile(&sorted, 0.99),
                quantile(&sorted, 1.0)
            ),
            (50.0, 99.0, 100.0)
        );
        assert!(quantile(&[], 0.5).is_nan());
    }

    #[test]
    fn an_occurrence_that_comes_again_is_counted_once_and_as_twice() {
        let mut seen = Seen::default();
        for run in ["a", "b", "a"] {
            seen.note(&wire::Run {
                run: run.into(),
                ..wire::Run::default()
            });
        }
        assert_eq!((seen.count(), seen.twice()), (2, 1));
    }
}
