//! Brings runs to workers: never before their time, never after their right has ended, fairly, with credits.
//!
//! ```text
//! base task --launch, abandon--> +----------+ --Fire, Withdraw--> worker (stream, handler, target)
//!           <--drain: places, -- | Executor | <--settle, extend, release--
//!               what has ended   +----------+ <--- the thread that waits for the next launch or time-out
//! ```
//!
//! A run takes a credit of its worker when the base asks for it and keeps it until the worker settles, also if
//! the right to the run has ended meanwhile: the worker is told, but it is still busy. Who speaks to workers how is
//! elsewhere.

mod state;
#[cfg(test)]
mod tests;

use crate::alarm::{Alarm, boot_nanos};
use dormouse_engine::base::Input;
use dormouse_engine::id::{RunId, Token};
use dormouse_engine::message::Capacity;
use dormouse_engine::time::BootTime;
use dormouse_engine::timer::{HandlerName, Outcome, Run};
use state::State;
use std::collections::BTreeSet;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::SystemTime;
use tokio::sync::{Notify, mpsc};
use tokio_util::sync::CancellationToken;

/// The most runs that one worker may hold.
pub(crate) const CREDITS_MAX: u32 = 10_000;

/// A worker's queue: its credits bound the runs in it, each may be withdrawn, and a few answers fit besides.
pub(crate) const QUEUE_LENGTH: usize = 2 * CREDITS_MAX as usize + 16;

/// One worker while it is attached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct WorkerId(pub(crate) u64);

#[cfg(test)]
impl WorkerId {
    pub(crate) const ANY: Self = Self(0);
}

/// What a worker is sent.
#[derive(Debug)]
pub(crate) enum Said {
    /// Its offer stands.
    Attached,
    /// It may begin this.
    Fire(Box<Delivery>),
    /// It should end this: the outcome does not count any more.
    Withdraw {
        /// Which run.
        run: RunId,
        /// Under which token.
        token: Token,
    },
    /// It broke the protocol; its stream ends.
    Refused(tonic::Status),
}

/// A run on its way to a worker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Delivery {
    /// What to run.
    pub(crate) run: Run,
    /// When it was launched, by the clock that decided that it was due.
    pub(crate) launched: SystemTime,
}

/// Which attempt a worker speaks of.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Attempt {
    /// Who speaks.
    pub(crate) worker: WorkerId,
    /// Of which run.
    pub(crate) run: RunId,
    /// Under which token.
    pub(crate) token: Token,
}

/// The runs of this node that are in flight, and the workers that take them.
pub(crate) struct Executor {
    state: Mutex<State>,
    alarm: Alarm,
    changed: Notify,
    /// Wakes who waits for the end of the runs.
    settled: Notify,
    closed: CancellationToken,
}

impl Executor {
    /// An executor without workers, and its waiting thread.
    ///
    /// # Errors
    /// If the kernel has no timer or no thread to give.
    pub(crate) fn start() -> io::Result<Arc<Self>> {
        let executor = Arc::new(Self {
            state: Mutex::default(),
            alarm: Alarm::new()?,
            changed: Notify::new(),
            settled: Notify::new(),
            closed: CancellationToken::new(),
        });
        let waiting = Arc::clone(&executor);
        std::thread::Builder::new()
            .name("dormouse-launch".into())
            .spawn(move || waiting.watch())?;
        Ok(executor)
    }

    fn watch(&self) {
        while !self.closed.is_cancelled() {
            if let Err(error) = self.alarm.wait() {
                return crate::events::alarm_failed(&error);
            }
            self.with(|state| state.alarm(boot_nanos()));
        }
    }

    /// Starts `run` at a worker when CLOCK_BOOTTIME shows `from`, if it does not show `until` by then.
    ///
    /// If there is no worker for it the next [`Executor::drain`] says so. A token that is known is not started
    /// twice.
    pub(crate) fn launch(&self, run: Run, from: BootTime, until: BootTime) {
        self.with(|state| state.launch(run, from, until));
    }

    /// Forgets a run: it is not started any more, its outcome is not told, and a worker that has it should end it.
    pub(crate) fn abandon(&self, token: Token) {
        self.with(|state| state.abandon(token));
    }

    /// Adds a worker that offers nothing yet.
    pub(crate) fn attach(&self, queue: mpsc::Sender<Said>) -> WorkerId {
        self.with(|state| state.attach(queue))
    }

    /// Says what a worker has to offer from now on.
    pub(crate) fn offer(&self, worker: WorkerId, handlers: BTreeSet<HandlerName>, credits: u32) {
        self.with(|state| state.offer(worker, handlers, credits));
    }

    /// Gives a worker nothing further.
    pub(crate) fn detach(&self, worker: WorkerId) {
        self.with(|state| state.detach(worker));
    }

    /// Removes a worker. What it had begun is interrupted, what it had not gets another one.
    pub(crate) fn gone(&self, worker: WorkerId) {
        self.with(|state| state.gone(worker));
    }

    /// Tells what an attempt came to. What is not, or no longer, that worker's is ignored.
    pub(crate) fn settle(&self, attempt: Attempt, outcome: Outcome) {
        self.with(|state| state.settle(attempt, outcome));
    }

    /// Takes a run back that the worker did not begin.
    pub(crate) fn release(&self, attempt: Attempt) {
        self.with(|state| state.release(attempt));
    }

    /// Gives an attempt its whole time again.
    pub(crate) fn extend(&self, attempt: Attempt) {
        self.with(|state| state.extend(attempt));
    }

    /// What the base has not been told yet: places first, so that it knows why a run came back.
    pub(crate) fn drain(&self) -> Vec<Input> {
        self.lock().drain()
    }

    /// Waits until [`Executor::drain`] may have something to say.
    pub(crate) async fn changed(&self) {
        self.changed.notified().await;
    }

    /// Runs that the workers could take just now, by handler.
    pub(crate) fn free(&self) -> Capacity {
        self.lock().free()
    }

    /// Offers no place any more; what is in flight goes on.
    pub(crate) fn withdraw(&self) {
        self.with(State::withdraw);
    }

    /// Waits until no run is in flight whose outcome still counts. For one caller.
    pub(crate) async fn idle(&self) {
        loop {
            let settled = self.settled.notified();
            if self.in_flight() == 0 {
                return;
            }
            settled.await;
        }
    }

    /// How many runs are in flight whose outcome still counts.
    pub(crate) fn in_flight(&self) -> usize {
        self.lock().in_flight()
    }

    /// Ends every worker's stream and the waiting thread.
    pub(crate) fn close(&self) {
        self.closed.cancel();
        self.with(State::withdraw);
        self.lock().hang_up();
        self.alarm.set(Some(1));
    }

    /// Is cancelled by [`Executor::close`].
    pub(crate) fn closed(&self) -> &CancellationToken {
        &self.closed
    }

    fn with<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let mut state = self.lock();
        let result = change(&mut state);
        if let Some(next) = state.rearm() {
            self.alarm.set(next);
        }
        if state.has_news() {
            self.changed.notify_one();
            self.settled.notify_one();
        }
        result
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state
            .lock()
            .expect("nothing panics while it changes the executor's state")
    }
}
