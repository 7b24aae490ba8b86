//! The durable facts of a pool: its timers, its nodes, who owns what, who may run what.
//!
//! ```text
//!  reports of nodes --> judge ----+
//!  calls of users ----> request --+--> timers, nodes --> records (absolute, once per turn)
//!  the hierarchy -----> claim ----+         |
//!  leases ------------> ownership +         +--> queues: the earliest movable deadline of each home
//! ```
//!
//! Every change marks what it touched; [`Ledger::take_records`] writes the marked facts as they are then,
//! so a timer created and cancelled within one turn leaves no trace. Sessions, leases and who is awake are
//! not facts of the ledger; the pool keeps them.

mod backlog;
mod claims;
mod ended;
mod entry;
mod gone;
mod judge;
mod leaving;
mod names;
mod ownership;
mod past;
mod pending;
mod recover;
mod request;
mod stage;
mod stands;
mod sum;
mod timers;
mod transfer;
mod turn;

pub(crate) use backlog::Want;
pub use ended::ENDED_BYTES_MAX;
pub use entry::Entry;
pub use judge::Tail;
pub(crate) use judge::changed_elsewhere;
pub use ownership::Greeting;
pub use past::Forgotten;
pub(crate) use past::no_dead_run;
pub use recover::Stored;
pub use request::Routed;
pub(crate) use request::{cancelled, new_time, not_allowed, not_found, refuse_schedule, repeated};
pub use sum::Sum;
pub use transfer::{Exported, Fact, PIECE_BYTES_MAX, PIECE_FACTS_MAX, Place, Restore, Restored};

use crate::agenda::Agenda;
use crate::departed::Departed;
use crate::feed::Feed;
use crate::history::History;
use crate::id::{Epoch, NodeId, PoolId, RackId, Session, Token, Uid};
use crate::intern::Interner;
use crate::message::LedgerId;
use crate::op::Op;
use crate::record::Key;
use crate::shelf::Shelf;
use crate::time::{LogIndex, Millis, WallTime};
use crate::timer::HandlerName;
use backlog::{Backlog, Places};
use ended::Ended;
use entry::Known;
use leaving::Parting;
use pending::PendingChanges;
use serde::{Deserialize, Serialize};
use stage::{Holding, Stages};
use stands::{Queue, WAITS};
use std::collections::{BTreeMap, BTreeSet};
use turn::Turn;

/// Timers that are no more, and of which a node that is not known any more may have to hear: at most so many.
const GONE_MAX: usize = 65_536;

/// Bits of a token below the log index: room for the runs of one session of a home.
pub const TOKEN_BITS: u32 = 24;

/// The highest log index that is taken over from a node: a third of a million a second for twenty-five years,
/// and half of what a token has room for.
pub const INDEX_MAX: u64 = 1 << 38;

/// A home whose queue is meant: a node, or the pool itself.
pub type Home = Option<NodeId>;

/// The facts of one pool.
#[derive(Debug)]
pub struct Ledger {
    pool: PoolId,
    meta: Meta,
    timers: Shelf<Entry, 2>,
    homes: BTreeMap<NodeId, Holding>,
    stages: Stages,
    /// Nodes that have left, and whose timers are becoming the pool's.
    leaving: BTreeMap<NodeId, Parting>,
    /// The first that is due of each of these.
    leavers: Agenda<(WallTime, Uid), NodeId>,
    /// Runs in flight by who runs them, in the order in which they were claimed.
    claims: BTreeMap<NodeId, BTreeMap<Token, Uid>>,
    /// Timers at which something has to be looked when their home moves.
    apart: BTreeMap<NodeId, BTreeSet<Uid>>,
    /// Timers of the pool that are named after a node.
    orphans: BTreeMap<NodeId, BTreeSet<Uid>>,
    backlog: Backlog,
    places: Places,
    nodes: BTreeMap<NodeId, Node>,
    gone: BTreeMap<Uid, Gone>,
    /// The same by the home that has to hear of it, in the order in which they went.
    gone_of: BTreeMap<NodeId, BTreeSet<(LogIndex, Uid)>>,
    /// Those of them that may be at a home that sleeps, and were cancelled here: it is not done before the home hears.
    unheard_cancels: BTreeSet<Uid>,
    /// Up to where active homes have heard of what is gone.
    heard: BTreeMap<NodeId, LogIndex>,
    /// Timers that were taken out while their home was active: it has still to hear of it.
    ended_elsewhere: BTreeMap<NodeId, BTreeSet<Uid>>,
    pending: PendingChanges,
    ended: Ended,
    history: History,
    departed: Departed,
    feed: Feed,
    interner: Interner,
    turn: Turn,
}

/// The ledger's facts about itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Meta {
    pool: PoolId,
    #[serde(with = "crate::record::wide")]
    ledger: LedgerId,
    index: LogIndex,
    lease_max: Millis,
}

/// Why an active home does not have one of its timers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Held {
    /// A run of it was in flight elsewhere when the home came back.
    Claimed,
    /// The home could not run it, and gave it to the group for one run.
    Handed,
    /// It is on its way back; the home has not said yet that it has it.
    Giving,
}

/// What the ledger knows of a node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Node {
    /// Its rack.
    pub rack: RackId,
    /// Raised whenever ownership of its timers moves.
    pub epoch: Epoch,
    /// Its newest session.
    pub session: Session,
    /// The process that has that session.
    #[serde(with = "crate::record::wide")]
    pub incarnation: u128,
    /// Whether it owns its timers, and if not, why.
    pub stance: Stance,
    /// Since when.
    pub since: WallTime,
    /// The handlers that its workers had last.
    pub handlers: BTreeSet<HandlerName>,
    /// When it wakes by itself.
    pub self_wake: Option<WallTime>,
    /// The attempt to sleep whose timers are the group's: with this they are there, without it they are not.
    #[serde(default)]
    pub stage: Option<u64>,
}

/// Whether a node owns its timers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Stance {
    /// It has a session, but has not asked for its timers yet.
    Greeted,
    /// It owns its timers.
    Active,
    /// It gave them to the group and sleeps.
    Parked,
    /// Its lease ran out.
    Lost,
    /// It left; only its pinned timers remember it.
    Left,
}

/// A timer that is no more, for a home that has not heard of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Gone {
    home: NodeId,
    at: LogIndex,
}

/// A change of a pinned timer that waits for its home.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Pending {
    node: NodeId,
    op: Op,
}

impl Ledger {
    /// Which ledger this is.
    #[must_use]
    pub fn id(&self) -> LedgerId {
        self.meta.ledger
    }

    /// Everything up to here is decided.
    #[must_use]
    pub fn index(&self) -> LogIndex {
        self.meta.index
    }

    /// The longest lease that was ever granted.
    #[must_use]
    pub fn lease_max(&self) -> Millis {
        self.meta.lease_max
    }

    /// Remembers that leases of this length are granted.
    pub fn grant_leases_of(&mut self, lease: Millis) {
        if lease > self.meta.lease_max {
            self.meta.lease_max = lease;
            self.turn.dirty.insert(Key::Meta);
        }
    }

    /// The nodes in the order of their names.
    pub fn nodes(&self) -> impl Iterator<Item = (&NodeId, &Node)> {
        self.nodes.iter()
    }

    /// One node.
    #[must_use]
    pub fn node(&self, node: &NodeId) -> Option<&Node> {
        self.nodes.get(node)
    }

    /// Whether `home` is a node that owns its timers.
    #[must_use]
    pub fn is_active(&self, home: &NodeId) -> bool {
        self.node(home)
            .is_some_and(|node| node.stance == Stance::Active)
    }

    /// One timer.
    #[must_use]
    pub fn entry(&self, uid: Uid) -> Option<&Entry> {
        self.timers.get(uid).filter(|entry| self.is_real(entry))
    }

    /// All timers, in the order of their uids: sorted for the occasion, so not for every turn.
    pub fn entries(&self) -> impl Iterator<Item = &Entry> {
        let all = self.timers.by_uid().into_iter();
        all.filter(|entry| self.is_real(entry))
    }

    /// How many timers there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.timers.len().saturating_sub(self.stages.unreal())
    }

    /// Whether there are no timers.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.timers.is_empty()
    }

    /// The earliest movable deadline of `home` that is neither claimed nor in the backlog.
    #[must_use]
    pub fn first(&self, home: &Home) -> Option<WallTime> {
        self.first_of(home).map(|(due, _)| due)
    }

    /// The first timer of `home` that is due.
    #[must_use]
    pub fn first_due(&self, home: &Home, now: WallTime) -> Option<Uid> {
        let (due, uid) = self.first_of(home)?;
        (due <= now).then_some(uid)
    }

    fn first_of(&self, home: &Home) -> Option<(WallTime, Uid)> {
        let own = self.first_at((home.clone(), None));
        let beside = match home {
            None => self.leavers.first(),
            Some(node) => {
                let staged = self.stages.attached(node);
                staged.and_then(|stage| self.first_at((home.clone(), Some(stage.attempt))))
            }
        };
        own.into_iter().chain(beside).min()
    }

    fn first_at(&self, place: timers::Place) -> Option<(WallTime, Uid)> {
        let (due, entry) = self.timers.first(WAITS, &Queue::Due(place))?;
        Some((due, entry.timer.uid))
    }

    /// What home and ledger compare before the home sleeps.
    #[must_use]
    pub fn sum_of(&self, node: &NodeId) -> Sum {
        let own = self.homes.get(node);
        let own = own.map(|holding| holding.sum).unwrap_or_default();
        let staged = self.stages.current.get(node);
        staged.map_or(own, |stage| own.with(stage.holding.sum))
    }

    /// A fresh place in the order of decisions.
    fn stamp(&mut self) -> LogIndex {
        self.meta.index.0 += 1;
        self.turn.dirty.insert(Key::Meta);
        self.meta.index
    }

    /// A fresh token, above every token that was handed out before.
    fn stamp_token(&mut self) -> Token {
        Token(self.stamp().0 << TOKEN_BITS)
    }

    /// Goes on above a number that a node has seen but this ledger has not (it was restored from a copy).
    ///
    /// A number that no ledger reaches is not believed: above it tokens would have no room.
    fn catch_up(&mut self, seen: u64) {
        if seen > self.meta.index.0 && seen <= INDEX_MAX {
            self.meta.index.0 = seen;
            self.turn.dirty.insert(Key::Meta);
        }
    }
}
