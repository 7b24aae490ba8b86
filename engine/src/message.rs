//! What a node and its coordinator say to each other on a session.
//!
//! ```text
//! node                              coordinator
//!   | -- Hello ------------------------> |   a session, never ownership
//!   | <------------------------ Welcome -|
//!   | -- Report{seq, act, items} ------> |   one at a time, repeated until answered
//!   | <------------------- Answer{seq} --|
//!   | -- Heartbeat --------------------> |   renews the lease
//!   | <-------------------------- Pulse -|
//!   | <-------------------------- Order -|   repeated until an item of a report answers it
//!   | -- Forward{id, op} --------------> |   what this node does not own
//!   | <-------------- Forwarded{id} -----|
//! ```
//!
//! Everything that must arrive travels in the one outstanding report, the *lane*: whatever the network does,
//! reports are applied once and in order. All state in it is absolute, so that a report repeated under a new
//! session does no harm either.

mod items;

pub use items::Items;

use crate::hierarchy::Cover;
use crate::id::{Epoch, NodeId, PoolId, RackId, Session, Token, Uid};
use crate::ledger::Sum;
use crate::op::{Answer, Op, Refusal};
use crate::time::{BootTime, LogIndex, Millis, WallTime};
use crate::timer::{HandlerName, Run, Timer};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Identifies one ledger for ever, so that a node notices a replaced coordinator.
pub type LedgerId = u128;

/// Free worker places for pulled runs, by handler.
pub type Capacity = BTreeMap<HandlerName, u32>;

/// How much goes into one message between a node and its coordinator: what is more travels in pieces.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MessageLimits {
    /// At most about this many bytes of items, and one item in any case.
    pub bytes: usize,
    /// At most this many items of each kind.
    pub items: usize,
}

impl Default for MessageLimits {
    /// A message of this size costs the receiver a few milliseconds, in which nothing else is heard.
    fn default() -> Self {
        Self {
            bytes: 1 << 20,
            items: 4_096,
        }
    }
}

/// What a node says.
#[expect(
    clippy::large_enum_variant,
    reason = "messages live for one turn, and most are reports"
)]
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NodeMessage {
    /// Opens a session.
    Hello(Hello),
    /// The one outstanding report.
    Report(Report),
    /// Renews the lease.
    Heartbeat(Heartbeat),
    /// An operation on a timer that this node does not own.
    Forward {
        /// Of which session.
        session: Session,
        /// Chosen by the node; the answer carries it.
        id: u64,
        /// What to do.
        op: Op,
    },
}

/// Who asks for a session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hello {
    /// The node.
    pub node: NodeId,
    /// Its pool.
    pub pool: PoolId,
    /// Its rack.
    pub rack: RackId,
    /// Another number for every start of the process.
    pub incarnation: u128,
    /// The last epoch that it knows; zero if none.
    pub epoch: Epoch,
    /// Up to where it knows the ledger; zero if nothing.
    pub known: LogIndex,
    /// The ledger that this refers to; zero if none.
    pub ledger: LedgerId,
    /// Its UTC clock, to measure the skew.
    pub wall: WallTime,
}

/// Renews the lease.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Heartbeat {
    /// Of which session.
    pub session: Session,
    /// The node's own clock when it was sent; echoed.
    pub sent: BootTime,
    /// Its UTC clock, to measure the skew.
    pub wall: WallTime,
    /// Handlers that its timers wait for and that other nodes may have room for; at most
    /// [`WANTED_MAX`](crate::base::WANTED_MAX).
    pub wanted: Vec<HandlerName>,
}

/// The one outstanding report of a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// Of which session.
    pub session: Session,
    /// Counts the reports of the session from 1.
    pub seq: u64,
    /// The epoch under which the node owns its timers.
    pub epoch: Epoch,
    /// What becomes of the ownership.
    pub act: Act,
    /// What else there is to tell.
    pub items: Items,
}

/// What becomes of the ownership of the node's movable timers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Act {
    /// Nothing.
    Stay,
    /// Nothing: a piece of what the node may have to hand over. Its unreplicated timers are staged under the attempt;
    /// they are in no list before the node closes it.
    Stage {
        /// Counts the node's attempts to sleep; a newer one ends an older one.
        attempt: u64,
    },
    /// Nothing: a piece of what the node has to tell before it asks for its timers.
    Tail {
        /// Up to where the node knows the ledger.
        known: LogIndex,
    },
    /// The node is awake and wants its timers back.
    Active(Active),
    /// The node wants to sleep, and hands its timers over: the last piece of an attempt.
    Idle(Idle),
    /// The node leaves for good.
    Goodbye(Goodbye),
}

/// The node is awake and wants its timers back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Active {
    /// Up to where the node knows the ledger; zero if it wants everything.
    pub known: LogIndex,
    /// Up to where it has heard of what it wants, in earlier pages; none if it begins.
    pub cursor: Option<LogIndex>,
}

/// The node wants to sleep, and hands its timers over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Idle {
    /// The attempt whose pieces become the group's.
    pub attempt: u64,
    /// What the node knows of its movable timers; the ledger has to know the same.
    pub sum: Sum,
    /// When it will wake by itself, for its first pinned timer.
    pub self_wake: Option<WallTime>,
    /// Runs whose right ends here.
    pub interrupted: Vec<Token>,
}

/// The node leaves for good.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Goodbye {
    /// The attempt whose pieces become the pool's; none if the node could not hand anything over.
    pub attempt: Option<u64>,
    /// Runs whose right ends here.
    pub interrupted: Vec<Token>,
}

/// What the coordinator says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CoordinatorMessage {
    /// A session.
    Welcome(Welcome),
    /// No session, and why.
    Rejected {
        /// In words.
        why: String,
    },
    /// The answer to the newest report.
    Answer(ReportAnswer),
    /// The answer to a heartbeat.
    Pulse {
        /// Of which session.
        session: Session,
        /// Echoed.
        sent: BootTime,
        /// The coordinator's UTC clock, which decides.
        clock: WallTime,
        /// How many runs of the wanted handlers other nodes have free places for.
        rooms: Capacity,
    },
    /// Something to do.
    Order {
        /// For which session.
        session: Session,
        /// What.
        order: Order,
    },
    /// The answer to a forwarded operation.
    Forwarded {
        /// Of the node's choice.
        id: u64,
        /// The answer.
        answer: Answer,
    },
    /// This session is over: a newer one of the same name exists, or the lease ran out.
    Fenced {
        /// The session that ended.
        session: Session,
        /// Whether another process took the name, rather than the lease having run out.
        replaced: bool,
    },
}

/// Opens a session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Welcome {
    /// Its number.
    pub session: Session,
    /// The epoch of the node.
    pub epoch: Epoch,
    /// Whether the node still owns its movable timers (same process, lease not over).
    pub owns: bool,
    /// How long the lease lasts after each renewal.
    pub lease: Millis,
    /// The coordinator's UTC clock, which decides.
    pub clock: WallTime,
    /// Which ledger this is.
    pub ledger: LedgerId,
    /// How long a node that promised to wake is believed alive past its time.
    pub wake_grace: Millis,
    /// The attempt to sleep whose pieces the ledger has, if there is one.
    pub stage: Option<Staged>,
}

/// What the ledger has of an attempt to sleep.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Staged {
    /// Which attempt.
    pub attempt: u64,
    /// Whether it was closed: the timers are the group's.
    pub closed: bool,
}

/// The answer to a report.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReportAnswer {
    /// Of which session.
    pub session: Session,
    /// Of which report.
    pub seq: u64,
    /// The ledger up to here is known to the node with this answer.
    pub known: LogIndex,
    /// The coordinator's UTC clock, which decides.
    pub clock: WallTime,
    /// What became of the ownership.
    pub reply: Reply,
    /// Changes that were not applied.
    pub refused: Vec<(Uid, Refusal)>,
}

/// What became of the ownership.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply {
    /// The items are durable; ownership did not move.
    Noted,
    /// The node does not own its timers (any more): it must say `Active` first. Items were judged all the same.
    NotOwner,
    /// A piece of what the node has to hear before it owns its timers: it asks for the next one.
    Page(Page),
    /// The node owns its timers again.
    Resumed(Resumed),
    /// The node's timers are the group's, and it may sleep unless the cover says that it is needed.
    Parked {
        /// The new epoch.
        epoch: Epoch,
        /// Who watches.
        cover: Cover,
    },
    /// The node must stay awake, and keeps its timers.
    NotCovered {
        /// Why.
        why: Uncovered,
        /// Asking again earlier is of no use.
        retry_after: Millis,
        /// What the ledger knows of the node's movable timers, if that is why.
        ledger: Option<Sum>,
    },
    /// The node has left.
    Gone,
}

/// Why a node must stay awake.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Uncovered {
    /// A deadline is due and nobody else is on duty.
    Due,
    /// Nobody else is on duty, and this node may not be sentry.
    NobodyEligible,
    /// The coordinator has just started and does not know yet who is awake.
    Rebuilding,
    /// Node and ledger do not know the same movable timers: the node must say everything again.
    Resync,
    /// Its timers change faster than they can be handed over. Only a node says this, of itself.
    Busy,
}

/// A piece of what a node has to hear before it owns its timers.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Page {
    /// Its timers that changed after what it knew.
    pub changed: Vec<Timer>,
    /// Its timers that are no more.
    pub gone: Vec<Uid>,
    /// With this it knows what has become of its timers up to here.
    pub upto: LogIndex,
    /// Whether there is more.
    pub more: bool,
}

/// What a node learns when it owns its timers again.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Resumed {
    /// The new epoch.
    pub epoch: Epoch,
    /// Tokens of the node's own runs are above this one.
    pub floor: Token,
    /// Its timers that changed after what it knew.
    pub changed: Vec<Timer>,
    /// Its timers that are no more.
    pub gone: Vec<Uid>,
    /// Its timers that are not its own yet: a run of them is in flight elsewhere.
    pub held: Vec<Uid>,
    /// Changes of its pinned timers that wait for it, with the number to answer each by.
    pub pending: Vec<(u64, Op)>,
}

/// Something that the coordinator wants done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Order {
    /// Run these.
    Due {
        /// Claimed for this node.
        runs: Vec<Run>,
    },
    /// Own this timer again.
    Give {
        /// The epoch for which it is meant.
        epoch: Epoch,
        /// As it is now.
        timers: Vec<Timer>,
        /// Timers of the node that are no more: they ended while others had them.
        gone: Vec<Uid>,
        /// Tokens of the node's own runs are above this one.
        floor: Token,
    },
    /// Change a timer that is yours, or your own activity.
    Change {
        /// The answer carries it.
        id: u64,
        /// What to do.
        op: Op,
    },
    /// Wake for this deadline: nobody else will.
    Arm {
        /// The first deadline of all.
        at: WallTime,
    },
    /// Somebody else watches.
    Release,
    /// Wake now.
    Wake,
    /// A run need not go on: its outcome does not count any more.
    Withdraw {
        /// Which run.
        token: Token,
    },
}
