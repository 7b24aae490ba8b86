//! One pool: the task that owns its machine, and the handle by which everybody else asks it.
//!
//! The mailbox has lanes, each with a bound: a pool that is behind refuses at once what can be asked again, and still
//! hears of leases.

mod task;
#[cfg(test)]
mod tests;

pub(crate) use task::{Task, open};

use crate::session::{Line, Outbox};
use dormouse_edge::shell::{Bounds, Lane, Mailbox, Refused};
use dormouse_edge::timers::{self, Feed};
use dormouse_engine::id::PoolId;
use dormouse_engine::ledger::{Exported, Place, Restore};
use dormouse_engine::message::{Hello, NodeMessage};
use dormouse_engine::op::{Answer, Op};
use dormouse_engine::pool::{Link, View};
use dormouse_engine::time::LogIndex;
use std::sync::Arc;
use tokio::sync::oneshot;

/// The most that waits in a lane of a pool's mailbox: some 300 ms of its work.
const BOUNDS: Bounds = Bounds {
    items: 16_384,
    cost: 64 << 20,
};

/// What a pool is told by its surroundings.
#[derive(Debug)]
pub(crate) enum Mail {
    /// A node has connected, and says who it is: what is said to it goes here.
    Opened {
        link: Link,
        outbox: Outbox,
        hello: Box<Hello>,
    },
    /// A node renews its lease.
    Beat { line: Arc<Line> },
    /// A node said something else.
    Said {
        line: Arc<Line>,
        message: Box<NodeMessage>,
    },
    /// A connection is no more.
    Closed { line: Arc<Line> },
    /// A user asks.
    Asked {
        op: Op,
        answer: oneshot::Sender<Answer>,
    },
    /// An operator wants to see it.
    Viewed { answer: oneshot::Sender<Arc<Seen>> },
    /// An operator wants everything that it keeps.
    Exported {
        /// After where the piece begins.
        after: Option<Place>,
        answer: oneshot::Sender<Exported>,
    },
    /// An operator brings facts of another ledger.
    Brought {
        restore: Box<Restore>,
        answer: oneshot::Sender<Answer>,
    },
    /// The process ends: make durable what was decided, and answer it.
    Stop,
}

/// What an operator sees of a pool.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    /// What the machine shows.
    pub(crate) view: View,
    /// How far its ledger has come.
    pub(crate) index: LogIndex,
    /// Nodes with an open connection.
    pub(crate) connected: usize,
}

/// By which everybody else asks a pool.
#[derive(Debug, Clone)]
pub(crate) struct Handle {
    pool: PoolId,
    mail: Mailbox<Mail>,
    feed: Feed,
}

impl Handle {
    /// Which pool it is.
    pub(crate) fn pool(&self) -> &PoolId {
        &self.pool
    }

    /// How to hear that its timers have changed.
    pub(crate) fn feed(&self) -> Feed {
        self.feed.clone()
    }

    /// Leaves something in its mailbox that has a bound of its own, as what a connection or an operator asks has; false
    /// if the pool has ended.
    pub(crate) fn tell(&self, mail: Mail) -> bool {
        let lane = match mail {
            Mail::Viewed { .. } | Mail::Exported { .. } => Lane::Read,
            Mail::Brought { .. } => Lane::Create,
            _ => Lane::Lease,
        };
        self.mail.post_always(lane, mail)
    }

    /// Leaves something of so many bytes in its mailbox.
    pub(crate) fn post(&self, lane: Lane, bytes: usize, mail: Mail) -> Result<(), Refused> {
        self.mail.post(lane, bytes, mail)
    }

    /// Has an operation decided; the answer is durable.
    pub(crate) async fn ask(&self, op: Op) -> Answer {
        let letter = |op, answer| Mail::Asked { op, answer };
        timers::ask(&self.mail, op, letter, || overloaded(&self.pool)).await
    }

    /// What the pool looks like; none if it has ended.
    pub(crate) async fn view(&self) -> Option<Arc<Seen>> {
        let (answer, answered) = oneshot::channel();
        self.tell(Mail::Viewed { answer });
        answered.await.ok()
    }

    /// A piece of what the pool keeps, as it is durable; none if it has ended.
    pub(crate) async fn export(&self, after: Option<Place>) -> Option<Exported> {
        let (answer, answered) = oneshot::channel();
        self.tell(Mail::Exported { after, answer });
        answered.await.ok()
    }

    /// Has the pool take in facts; the answer is durable. None if it has ended.
    pub(crate) async fn bring(&self, restore: Restore) -> Option<Answer> {
        let (answer, answered) = oneshot::channel();
        let restore = Box::new(restore);
        self.tell(Mail::Brought { restore, answer });
        answered.await.ok()
    }
}

/// The answer to what found no room.
pub(crate) fn overloaded(pool: &PoolId) -> Answer {
    timers::overloaded(format_args!("pool {pool}"))
}
