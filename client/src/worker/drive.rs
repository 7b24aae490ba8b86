//! The worker's loop: one stream after the other, and everything that is in flight.
//!
//! A run belongs to the stream on which it came. If that breaks, the agent counts the runner as dead and starts
//! another attempt, so what becomes of the old one is of no use to anybody any more; its handler is left to end,
//! and takes its place until then.

use super::execute::{Attempt, Event, Work, execute};
use super::outbox::Outbox;
use super::{Failure, Worker};
use crate::convert;
use crate::error::Error;
use crate::retry;
use dormouse_proto::v1 as wire;
use std::collections::BTreeMap;
use std::pin::{Pin, pin};
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;
use tonic::{Status, Streaming};
use wire::work_response::Message as Down;

/// How long an agent may take to accept a stream.
const OPEN_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a stopped worker that has settled everything waits for the agent to end the stream.
const FAREWELL: Duration = Duration::from_secs(2);
/// Events of runs that wait for the loop; a full channel makes the runs wait.
const EVENTS_MAX: usize = 256;
/// Counts the streams of a worker, from 1.
type StreamNumber = u64;

/// The loop and all that it owns.
pub(super) struct Driver {
    worker: Worker,
    /// The stream that is open, or was last tried.
    stream: StreamNumber,
    /// Whether the agent has accepted it.
    attached: bool,
    /// The runs whose handlers have not ended.
    running: BTreeMap<Attempt, InFlight>,
    tasks: JoinSet<()>,
    events_in: mpsc::Sender<Event>,
    events: mpsc::Receiver<Event>,
    phase: Phase,
}

/// A run whose handler has not ended.
struct InFlight {
    /// The stream that it came on.
    stream: StreamNumber,
    /// Ends its handler.
    withdrawn: CancellationToken,
}

/// How far a worker is from its end.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// Takes runs.
    Working,
    /// Takes none, and waits for those that have begun.
    Finishing { until: Instant },
    /// Has settled everything, and waits for the agent to end the stream.
    Leaving { until: Instant },
}

/// Why a stream is over.
pub(super) enum End {
    /// The worker was stopped.
    Stopped,
    /// The stream broke, or could not be opened; none if nobody said why.
    Broken(Option<Error>),
}

impl Driver {
    pub(super) fn new(worker: Worker) -> Self {
        let (events_in, events) = mpsc::channel(EVENTS_MAX);
        Self {
            worker,
            stream: 0,
            attached: false,
            running: BTreeMap::new(),
            tasks: JoinSet::new(),
            events_in,
            events,
            phase: Phase::Working,
        }
    }

    /// Works until `stop`, or until the agent's answer shows that trying again does not help.
    pub(super) async fn run(
        mut self,
        mut stop: Pin<&mut impl Future<Output = ()>>,
    ) -> Result<(), Error> {
        let mut failures = 0;
        let result = loop {
            let error = match self.attach(&mut stop).await {
                End::Stopped => break Ok(()),
                End::Broken(_) if self.phase != Phase::Working => break Ok(()),
                End::Broken(Some(error)) if is_final(&error) => break Err(error),
                End::Broken(error) => {
                    error.map_or_else(|| "the stream ended".into(), |error| error.to_string())
                }
            };
            failures = if self.attached { 1 } else { failures + 1 };
            tracing::warn!(
                event = "worker.detached",
                address = self.worker.client.address(),
                failures,
                error,
                "the agent does not answer; the worker tries again"
            );
            if self.pause(retry::full_jitter(failures), &mut stop).await {
                break Ok(());
            }
        };
        self.finish().await;
        result
    }

    /// One stream from its opening to its end.
    async fn attach(&mut self, stop: &mut Pin<&mut impl Future<Output = ()>>) -> End {
        self.stream += 1;
        self.attached = false;
        let (outbox, requests) = Outbox::new(self.worker.concurrency);
        if let Err(end) = self.offer(&outbox) {
            return end;
        }
        let mut client = self.worker.client.workers();
        let mut opening = pin!(tokio::time::timeout(OPEN_TIMEOUT, client.work(requests)));
        let opened = tokio::select! {
            opened = &mut opening => opened,
            () = &mut *stop => {
                // The agent may have accepted it already, and handed runs over: they are given back.
                let _ = self.detach(&outbox);
                match tokio::time::timeout(FAREWELL, opening).await {
                    Ok(opened) => opened,
                    Err(_elapsed) => return End::Stopped,
                }
            }
        };
        match opened {
            Ok(Ok(response)) => self.serve(response.into_inner(), &outbox, stop).await,
            Ok(Err(status)) => End::Broken(Some(self.worker.client.error(&status))),
            Err(_elapsed) => {
                let message = format!(
                    "{} does not accept the stream",
                    self.worker.client.address()
                );
                End::Broken(Some(Error::TimedOut { message }))
            }
        }
    }

    /// Takes runs and settles them until the stream ends.
    async fn serve(
        &mut self,
        mut inbound: Streaming<wire::WorkResponse>,
        outbox: &Outbox,
        stop: &mut Pin<&mut impl Future<Output = ()>>,
    ) -> End {
        loop {
            self.leave_if_settled();
            let step = tokio::select! {
                message = inbound.message() => self.hear(message, outbox),
                Some(event) = self.events.recv() => self.settle(event, outbox),
                () = &mut *stop, if self.phase == Phase::Working => self.detach(outbox),
                () = self.phase.over() => self.give_up(outbox),
            };
            if let Err(end) = step {
                return end;
            }
        }
    }

    /// Says what this worker has, and how much it can take besides what still runs from earlier streams.
    fn offer(&self, outbox: &Outbox) -> Result<(), End> {
        let orphans = self
            .running
            .values()
            .filter(|flight| flight.stream != self.stream)
            .count();
        let credits = self
            .worker
            .concurrency
            .saturating_sub(u32::try_from(orphans).unwrap_or(u32::MAX));
        let handlers = self.worker.handlers.keys().cloned().collect();
        outbox.attach(handlers, credits)
    }

    /// What the agent says.
    fn hear(
        &mut self,
        message: Result<Option<wire::WorkResponse>, Status>,
        outbox: &Outbox,
    ) -> Result<(), End> {
        match message {
            Ok(Some(response)) => match response.message {
                Some(Down::Attached(attached)) => {
                    self.attached = true;
                    tracing::info!(
                        event = "worker.attached",
                        node = attached.node,
                        pool = attached.pool,
                        "the agent knows the worker"
                    );
                    Ok(())
                }
                Some(Down::Fire(fire)) => fire.run.map_or(Ok(()), |run| self.fire(run, outbox)),
                Some(Down::Withdraw(withdraw)) => {
                    self.withdraw(withdraw);
                    Ok(())
                }
                // A message of a newer agent.
                None => Ok(()),
            },
            Ok(None) => Err(End::Broken(None)),
            Err(status) => Err(End::Broken(Some(self.worker.client.error(&status)))),
        }
    }

    /// Begins a run, or gives it back.
    fn fire(&mut self, run: wire::Run, outbox: &Outbox) -> Result<(), End> {
        let attempt = Attempt {
            run: run.run.clone(),
            token: run.token,
        };
        if self.running.contains_key(&attempt) {
            return Ok(());
        }
        if self.phase != Phase::Working || self.running.len() >= self.worker.concurrency as usize {
            return outbox.release(attempt);
        }
        let Some(handler) = self.worker.handlers.get(&run.handler).cloned() else {
            let failure = Failure::new(format_args!("this worker has no handler {}", run.handler));
            return outbox.settle(attempt, Err(failure));
        };
        match convert::run(run) {
            Ok(run) => {
                let withdrawn = CancellationToken::new();
                let flight = InFlight {
                    stream: self.stream,
                    withdrawn: withdrawn.clone(),
                };
                self.running.insert(attempt.clone(), flight);
                let work = Work {
                    attempt,
                    run,
                    handler,
                    withdrawn,
                };
                self.tasks.spawn(execute(work, self.events_in.clone()));
                Ok(())
            }
            Err(error) => outbox.settle(attempt, Err(error.into())),
        }
    }

    /// Ends a handler; its run is settled when it has ended, which gives the agent its credit back.
    fn withdraw(&self, withdraw: wire::Withdraw) {
        let wire::Withdraw { run, token } = withdraw;
        let flight = self.running.get(&Attempt { run, token });
        if let Some(flight) = flight.filter(|flight| flight.stream == self.stream) {
            flight.withdrawn.cancel();
        }
    }

    /// Tells the agent what a run's task tells.
    fn settle(&mut self, event: Event, outbox: &Outbox) -> Result<(), End> {
        match event {
            Event::Alive(attempt) => {
                let flight = self.running.get(&attempt);
                if flight.is_some_and(|flight| flight.stream == self.stream) {
                    // If there is no room, the next sign of life is soon enough.
                    let _ = outbox.extend(attempt);
                }
                Ok(())
            }
            Event::Settled(attempt, settled) => match self.forget(&attempt) {
                Some(stream) if stream == self.stream => outbox.settle(attempt, settled),
                Some(_) if self.phase == Phase::Working => self.offer(outbox),
                Some(_) | None => Ok(()),
            },
        }
    }

    /// A handler has ended; says which stream its run came on, if it was still wanted.
    fn forget(&mut self, attempt: &Attempt) -> Option<StreamNumber> {
        while self.tasks.try_join_next().is_some() {}
        let stream = self.running.remove(attempt)?.stream;
        if stream != self.stream || !self.attached {
            tracing::warn!(
                event = "outcome.lost",
                run = attempt.run,
                token = attempt.token,
                "a handler ended after the stream on which its run came"
            );
        }
        Some(stream)
    }

    /// Waits, while handlers go on; says whether the worker was stopped meanwhile.
    async fn pause(
        &mut self,
        wait: Duration,
        stop: &mut Pin<&mut impl Future<Output = ()>>,
    ) -> bool {
        // Whatever ends from now on came on a stream that is gone.
        self.attached = false;
        let until = Instant::now() + wait;
        loop {
            tokio::select! {
                () = sleep_until(until) => return false,
                Some(event) = self.events.recv() => self.hear_last_of(&event),
                () = &mut *stop => {
                    self.stop();
                    return true;
                }
            }
        }
    }

    /// Waits for handlers that nobody settles any more, as long as the grace lasts; then drops them.
    async fn finish(mut self) {
        self.stop();
        while !self.running.is_empty() {
            tokio::select! {
                () = self.phase.over() => break,
                Some(event) = self.events.recv() => self.hear_last_of(&event),
            }
        }
        self.tasks.shutdown().await;
    }

    fn hear_last_of(&mut self, event: &Event) {
        if let Event::Settled(attempt, _) = event {
            self.forget(attempt);
        }
    }

    /// Takes no more runs; the grace begins.
    fn stop(&mut self) {
        if self.phase == Phase::Working {
            self.phase = Phase::Finishing {
                until: Instant::now() + self.worker.grace,
            };
        }
    }

    /// Takes no more runs, and says so.
    fn detach(&mut self, outbox: &Outbox) -> Result<(), End> {
        self.stop();
        outbox.detach()
    }

    /// Once nothing runs any more, the agent is given a moment to end the stream: only then is everything heard.
    fn leave_if_settled(&mut self) {
        if matches!(self.phase, Phase::Finishing { .. }) && self.running.is_empty() {
            self.phase = Phase::Leaving {
                until: Instant::now() + FAREWELL,
            };
        }
    }

    /// The grace is over: drops the handlers that are left, and says so. Or the moment of leaving is.
    fn give_up(&mut self, outbox: &Outbox) -> Result<(), End> {
        if matches!(self.phase, Phase::Leaving { .. }) {
            return Err(End::Stopped);
        }
        self.tasks.abort_all();
        for (attempt, flight) in std::mem::take(&mut self.running) {
            if flight.stream == self.stream {
                let failure = Failure::new("the worker was stopped before the handler ended");
                outbox.settle(attempt, Err(failure))?;
            }
        }
        Ok(())
    }
}

impl Phase {
    /// Ends when this phase has lasted long enough; never while working.
    async fn over(self) {
        match self {
            Self::Working => std::future::pending().await,
            Self::Finishing { until } | Self::Leaving { until } => sleep_until(until).await,
        }
    }
}

/// Whether trying again does not help: somebody has to change something first.
fn is_final(error: &Error) -> bool {
    matches!(
        error,
        Error::InvalidArgument { .. } | Error::Denied { .. } | Error::Unimplemented { .. }
    )
}
