//! The answer to a submission, to be awaited by any runtime or by a blocked thread.
//!
//! A one-shot channel of our own, so that the crate needs no runtime.

use crate::error::Error;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

#[derive(Default)]
struct State {
    answer: Option<Result<u64, Error>>,
    waker: Option<Waker>,
    /// A thread waits: to wake one that does not is a call of the system for nothing.
    is_blocking: bool,
}

#[derive(Default)]
pub(super) struct Slot {
    state: Mutex<State>,
    answered: Condvar,
}

impl Slot {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn answer(&self, answer: Result<u64, Error>) {
        let mut state = self.state();
        if state.answer.is_some() {
            return;
        }
        state.answer = Some(answer);
        let waker = state.waker.take();
        let is_blocking = state.is_blocking;
        drop(state);
        if is_blocking {
            self.answered.notify_all();
        }
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

/// Answers "stopped" if the writer drops a submission unanswered, as a panic would.
struct Answerer(Arc<Slot>);

impl Drop for Answerer {
    fn drop(&mut self) {
        self.0
            .answer(Err(Error::Stopped("the writer dropped the group".into())));
    }
}

pub(super) fn slot() -> (super::Answer, Arc<Slot>) {
    let slot = Arc::new(Slot::default());
    let answerer = Answerer(Arc::clone(&slot));
    (Box::new(move |answer| answerer.0.answer(answer)), slot)
}

/// A group on its way to the disk. Await it, or [`wait`](Ticket::wait): `Ok` is its position, and
/// that it and everything before it is durable. To drop a ticket does not take the group back.
#[must_use = "the group is durable only when the ticket says so"]
pub struct Ticket {
    position: u64,
    slot: Arc<Slot>,
}

impl Ticket {
    pub(super) fn new(position: u64, slot: Arc<Slot>) -> Self {
        Self { position, slot }
    }

    /// The position that the group will have.
    #[must_use]
    pub fn position(&self) -> u64 {
        self.position
    }

    /// Blocks this thread until the answer is there.
    ///
    /// # Errors
    /// The group may or may not be there after a restart; the process must end.
    pub fn wait(self) -> Result<u64, Error> {
        let mut state = self.slot.state();
        loop {
            match state.answer.clone() {
                Some(answer) => return answer,
                None => {
                    state.is_blocking = true;
                    state = self
                        .slot
                        .answered
                        .wait(state)
                        .unwrap_or_else(PoisonError::into_inner);
                }
            }
        }
    }
}

impl Future for Ticket {
    type Output = Result<u64, Error>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let mut state = self.slot.state();
        match state.answer.clone() {
            Some(answer) => Poll::Ready(answer),
            None => {
                state.waker = Some(context.waker().clone());
                Poll::Pending
            }
        }
    }
}
