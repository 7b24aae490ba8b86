//! The outgoing half of a connection: where a pool puts what it says to a node, and the stream that the node reads.
//!
//! The queue is bounded. What it drops and what it keeps is the edge's affair; here it is shared between the pool's
//! task, the connection's reader and the transport.

use dormouse_edge::answer;
use dormouse_edge::clock;
use dormouse_edge::session::write_coordinator;
use dormouse_edge::shell::{self, weigh};
use dormouse_engine::message::CoordinatorMessage;
use dormouse_engine::time::Millis;
use dormouse_proto::v1;
use futures_util::Stream;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use tokio_util::sync::DropGuard;
use tonic::Status;

/// Messages that may wait for a node to read them, of those that are said again.
const MESSAGES_MAX: usize = 256;
/// Their bytes.
const BYTES_MAX: usize = 4 << 20;
/// When a node that was cut off should come back.
pub(super) const COME_BACK: Millis = Millis(500);

/// Where a pool puts what it says to a node. When it is dropped the connection ends after what was said.
#[derive(Debug)]
pub(crate) struct Outbox(Replies);

/// By which the connection's reader answers. It keeps nothing open.
#[derive(Debug, Clone)]
pub(super) struct Replies(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    said: shell::Outbox<CoordinatorMessage>,
    lease: Millis,
    /// Nothing more will be said.
    is_closed: bool,
    /// How the stream ends after what was said.
    end: Option<Status>,
    /// It ends at once.
    is_cut: bool,
    reader: Option<Waker>,
}

/// An outbox, by which its reader answers, and what the node reads.
pub(super) fn outbox(lease: Millis, left: DropGuard) -> (Outbox, Replies, Outgoing) {
    let replies = Replies(Arc::new(Mutex::new(State {
        said: shell::Outbox::new(MESSAGES_MAX, BYTES_MAX),
        lease,
        is_closed: false,
        end: None,
        is_cut: false,
        reader: None,
    })));
    let outgoing = Outgoing {
        replies: replies.clone(),
        is_over: false,
        _left: left,
    };
    (Outbox(replies.clone()), replies, outgoing)
}

impl Outbox {
    /// Says something; false if the node has read nothing for longer than a lease. What the machine says again may be
    /// dropped.
    pub(crate) fn send(&self, message: CoordinatorMessage) -> bool {
        self.0.send(message)
    }

    /// Ends the connection, without what still waits.
    pub(crate) fn cut_off(&self) {
        let why = "nothing was read for longer than a lease; connect again";
        self.0.change(|state| {
            state.is_cut = true;
            state.end = Some(answer::unavailable(why, COME_BACK));
        });
    }
}

impl Drop for Outbox {
    fn drop(&mut self) {
        self.0.change(|state| state.is_closed = true);
    }
}

impl Replies {
    /// As [`Outbox::send`].
    pub(super) fn send(&self, message: CoordinatorMessage) -> bool {
        let now = clock::now().boot;
        let (keep, bytes) = weigh::from_coordinator(&message);
        self.change(|state| {
            state.said.push(now, keep, bytes, message);
            !state.said.is_stuck(now, state.lease)
        })
    }

    /// Says how the stream ends, after what was said.
    pub(super) fn end(&self, why: Status) {
        self.change(|state| {
            state.end.get_or_insert(why);
        });
    }

    fn change<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let mut state = self.lock();
        let result = change(&mut state);
        let reader = state.reader.take();
        drop(state);
        if let Some(reader) = reader {
            reader.wake();
        }
        result
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn next(&mut self) -> Poll<Option<Result<CoordinatorMessage, Status>>> {
        if !self.is_cut
            && let Some(message) = self.said.pop(clock::now().boot)
        {
            return Poll::Ready(Some(Ok(message)));
        }
        match self.end.take() {
            Some(why) => Poll::Ready(Some(Err(why))),
            None if self.is_closed => Poll::Ready(None),
            None => Poll::Pending,
        }
    }
}

/// What is said to a node; dropping it ends its reader.
pub(super) struct Outgoing {
    replies: Replies,
    is_over: bool,
    _left: DropGuard,
}

impl Stream for Outgoing {
    type Item = Result<v1::CoordinatorMessage, Status>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.is_over {
            return Poll::Ready(None);
        }
        let mut state = self.replies.lock();
        let next = state.next();
        if next.is_pending() {
            state.reader = Some(context.waker().clone());
            return Poll::Pending;
        }
        drop(state);
        self.is_over = !matches!(next, Poll::Ready(Some(Ok(_))));
        next.map(|said| said.map(|said| said.map(write_coordinator)))
    }
}
