//! What a pool is told, what it wants done, and what it was configured with.

use crate::hierarchy::Owner;
use crate::id::{NodeId, PoolId};
use crate::ledger::Restore;
use crate::message::{CoordinatorMessage, LedgerId, MessageLimits, NodeMessage};
use crate::op::{Answer, Op};
use crate::time::Millis;

/// One connection of a node; a later connection has a larger number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Link(pub u64);

/// What a pool was configured with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// Its name.
    pub pool: PoolId,
    /// The identity of its ledger, if that is new; a recovered one keeps its own.
    pub ledger: LedgerId,
    /// How long a lease lasts after each renewal.
    pub lease: Millis,
    /// How long a node that promised to wake is believed alive past its time.
    pub wake_grace: Millis,
    /// Members of a group: 8, fewer in tests.
    pub group_capacity: u8,
    /// How much goes into one answer to a report, and into one order.
    pub message: MessageLimits,
}

/// What happened.
#[expect(
    clippy::large_enum_variant,
    reason = "inputs live for one turn, and most are messages"
)]
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Input {
    /// A node said something.
    Said {
        /// On which connection.
        link: Link,
        /// What.
        message: NodeMessage,
    },
    /// A connection is no more.
    Closed {
        /// Which.
        link: Link,
    },
    /// Somebody called the coordinator's own API.
    Asked {
        /// The answer carries it.
        ask: u64,
        /// What is to be done.
        op: Op,
    },
    /// Facts of another ledger are to enter this one.
    Brought {
        /// The answer carries it.
        ask: u64,
        /// The facts.
        restore: Box<Restore>,
    },
    /// A deadline may have come.
    Tick,
}

/// What is to be done, in order, once the records are durable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// Say something to a node; if the connection is gone, nothing is lost by not saying it.
    Send {
        /// On which connection.
        link: Link,
        /// What.
        message: CoordinatorMessage,
    },
    /// End a connection, after what was sent on it before.
    Close {
        /// Which.
        link: Link,
    },
    /// Answer a call of the coordinator's own API.
    Answer {
        /// Which call.
        ask: u64,
        /// The answer.
        answer: Answer,
    },
    /// Something that an operator wants to know.
    Note(Note),
}

/// Something that an operator wants to know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Note {
    /// A node came.
    Joined(NodeId),
    /// A node's lease ran out.
    Lost(NodeId),
    /// A node left.
    Left(NodeId),
    /// Another process took a node's name.
    Replaced(NodeId),
    /// A node's clock is off by more than a second, so that it must not be migrator or sentry.
    Skewed(NodeId, i64),
    /// A sentry did not wake, and another node is woken.
    SentrySilent(NodeId),
    /// An outcome came with a token that is no longer the newest.
    StaleOutcome(NodeId),
    /// A pass over the due timers of this owner made no progress, so that they wait for a while: a fault of the
    /// engine, not of its users.
    NoProgress(Owner),
}
