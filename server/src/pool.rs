//! One pool: the task that owns its machine, and the handle by which everybody else asks it.
//!
//! The mailbox is bounded: when the pool is behind, those who ask wait, and so do those who ask them.

mod task;
#[cfg(test)]
mod tests;

pub(crate) use task::{Task, open};

use crate::session::Outbox;
use dormouse_edge::timers::{self, Feed};
use dormouse_engine::id::PoolId;
use dormouse_engine::ledger::{Exported, Restore};
use dormouse_engine::message::NodeMessage;
use dormouse_engine::op::{Answer, Op};
use dormouse_engine::pool::{Link, View};
use dormouse_engine::time::LogIndex;
use tokio::sync::{mpsc, oneshot};

/// What waits for a pool at most, before those who ask have to wait.
const MAILBOX: usize = 4096;

/// What a pool is told by its surroundings.
#[derive(Debug)]
pub(crate) enum Mail {
    /// A node has connected: what is said to it goes here.
    Opened { link: Link, outbox: Outbox },
    /// A node said something.
    Said {
        link: Link,
        message: Box<NodeMessage>,
    },
    /// A connection is no more.
    Closed { link: Link },
    /// A user asks.
    Asked {
        op: Op,
        answer: oneshot::Sender<Answer>,
    },
    /// An operator wants to see it.
    Viewed { answer: oneshot::Sender<Seen> },
    /// An operator wants everything that it keeps.
    Exported { answer: oneshot::Sender<Exported> },
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
    mail: mpsc::Sender<Mail>,
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

    /// Leaves something in its mailbox; false if the pool has ended.
    pub(crate) async fn tell(&self, mail: Mail) -> bool {
        self.mail.send(mail).await.is_ok()
    }

    /// Has an operation decided; the answer is durable.
    pub(crate) async fn ask(&self, op: Op) -> Answer {
        let (answer, answered) = oneshot::channel();
        self.tell(Mail::Asked { op, answer }).await;
        answered.await.unwrap_or_else(|_| timers::ending())
    }

    /// What the pool looks like; none if it has ended.
    pub(crate) async fn view(&self) -> Option<Seen> {
        let (answer, answered) = oneshot::channel();
        self.tell(Mail::Viewed { answer }).await;
        answered.await.ok()
    }

    /// Everything that the pool keeps, as it is durable; none if it has ended.
    pub(crate) async fn export(&self) -> Option<Exported> {
        let (answer, answered) = oneshot::channel();
        self.tell(Mail::Exported { answer }).await;
        answered.await.ok()
    }

    /// Has the pool take in facts; the answer is durable. None if it has ended.
    pub(crate) async fn bring(&self, restore: Restore) -> Option<Answer> {
        let (answer, answered) = oneshot::channel();
        let restore = Box::new(restore);
        self.tell(Mail::Brought { restore, answer }).await;
        answered.await.ok()
    }
}
