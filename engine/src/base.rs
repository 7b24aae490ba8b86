//! A node's own timers: what is due, what has to be shipped, and whether the node may fire at all.
//!
//! ```text
//!  applications -- op -->  ops  --> timers, queues --> records
//!  workers -- settled -->  runs --> launch
//!  coordinator ---------> link, resume, sleep
//!                              lane --> one report at a time
//! ```
//!
//! Who may fire what:
//!
//! | timer | fires |
//! | --- | --- |
//! | pinned | always; after the changes that wait for it, if the coordinator can be reached |
//! | movable, never shipped | unless the node has asked to sleep |
//! | movable, shipped | while the node owns its timers, and has run all the time |

mod asks;
mod clock;
mod desk;
mod fire;
mod forwards;
mod given;
mod handover;
mod input;
mod lane;
mod leaving;
mod link;
mod ops;
mod others;
mod passing;
mod past;
mod pulled;
mod queues;
mod recover;
mod resume;
mod runs;
mod sleep;
mod starved;
mod timers;
mod tokens;
mod view;

pub use input::{Config, Effect, Input};
pub use others::WANTED_MAX;
pub use recover::Stored;
pub use view::{State, View};

use crate::decision::Decision;
use crate::departed::Departed;
use crate::feed::Feed;
use crate::history::History;
use crate::id::{Epoch, NodeId, Uid};
use crate::intern::Interner;
use crate::ledger::Sum;
use crate::message::{CoordinatorMessage, LedgerId};
use crate::planted::{self, Fault};
use crate::record::Key;
use crate::time::{BootTime, LogIndex, Millis, Now};
use crate::timer::Timer;
use clock::Clock;
use desk::Desk;
use handover::Handover;
use lane::Lane;
use link::Link;
use others::Others;
use passing::Passing;
use queues::{Queues, Timers};
use resume::{Retelling, Returning};
use runs::Runs;
use serde::{Deserialize, Serialize};
use sleep::Rest;
use std::collections::BTreeSet;
use tokens::Tokens;

/// The machine of one node.
#[derive(Debug)]
pub struct Base {
    config: Config,
    meta: Meta,
    timers: Timers,
    queues: Queues,
    gone: BTreeSet<Uid>,
    /// What home and ledger compare before the home sleeps.
    sum: Sum,
    /// Timers of this node that somebody else runs, and that the node does not know.
    awaited: BTreeSet<Uid>,
    stance: Stance,
    clock: Clock,
    link: Link,
    lane: Lane,
    desk: Desk,
    runs: Runs,
    others: Others,
    rest: Rest,
    handover: Handover,
    returning: Option<Returning>,
    retelling: Option<Retelling>,
    tokens: Tokens,
    history: History,
    departed: Departed,
    feed: Feed,
    interner: Interner,
    last_turn: Option<BootTime>,
    /// What has to be in the journal beside timers and the past.
    dirty: BTreeSet<Key>,
    effects: Vec<Effect>,
    /// The last turn had more to begin than a turn may.
    more: bool,
}

/// The base's durable facts about itself.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Meta {
    /// The ledger that the numbers below refer to.
    #[serde(with = "crate::record::wide")]
    ledger: LedgerId,
    /// The last epoch that the node knows.
    epoch: Epoch,
    /// Up to where it knows the ledger.
    known: LogIndex,
    /// It has asked to sleep or to leave: its movable timers may be the group's.
    handed_over: bool,
    /// Every token it ever gave to a run is below this.
    token_ceiling: u64,
    /// The attempt to sleep whose timers the ledger may have; zero once it has let go of them.
    #[serde(default)]
    stage: u64,
    /// The last change that waited for this node at the coordinator, and was applied.
    pending_done: u64,
}

/// A timer and what the base alone knows of it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Entry {
    timer: Timer,
    /// The revision that the coordinator has; zero if it has none.
    shipped: u64,
    /// It was told to the coordinator, which may have it: the answer may be lost.
    offered: bool,
    /// A run of it is in flight elsewhere, or the node has handed it over for one run.
    held: bool,
    passing: Passing,
}

/// What of an entry is in the journal beside its timer.
#[derive(Debug, Serialize, Deserialize)]
struct Known {
    shipped: u64,
    offered: bool,
    held: bool,
}

/// Whether the node owns its movable timers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stance {
    /// It has not been given them, or has lost them.
    Apart,
    /// It owns them.
    Active,
    /// It has asked to sleep and does not know yet whether it may.
    Parking,
    /// The group has them.
    Parked,
    /// It has said goodbye.
    Leaving,
}

impl Base {
    /// Decides one turn.
    pub fn handle(&mut self, now: Now, inputs: Vec<Input>) -> Decision<Effect> {
        // Most of what is asked is answered at once. Room for four would be a large piece, which is slow to get.
        let asked = inputs.iter().filter(|it| matches!(it, Input::Asked { .. }));
        self.effects.reserve_exact(asked.count());
        self.notice_gap(now);
        for input in inputs {
            self.decide(now, input);
        }
        self.settle_late(now);
        self.prune(now);
        self.keep_rest(now);
        // What falls due leaves before everything that was asked: nothing of a turn stops a fire.
        let said = std::mem::take(&mut self.effects);
        self.more = self.fire(now) || self.rest.parting;
        match self.effects.is_empty() {
            true => self.effects = said,
            false => self.effects.extend(said),
        }
        self.keep_link(now);
        self.offer_what_was_declined(now);
        self.expire_asks(now);
        self.ship(now);
        self.last_turn = Some(now.boot);
        Decision {
            records: self.take_records(),
            effects: std::mem::take(&mut self.effects),
            more: self.more,
        }
    }

    fn decide(&mut self, now: Now, input: Input) {
        match input {
            Input::Connected => self.connected(now),
            Input::Disconnected => self.disconnected(),
            Input::Heard(message) => self.hear(now, message),
            Input::Asked { ask, op } => self.ask(now, desk::Origin::Ask(ask), op),
            Input::Workers { places } => self.set_places(now, places),
            Input::Settled {
                uid,
                token,
                outcome,
            } => self.settled(now, uid, token, outcome),
            Input::NotLaunched { uid, token } => self.not_launched(now, uid, token),
            Input::Tick => {}
            Input::Stop => self.stop(now),
        }
    }

    fn hear(&mut self, now: Now, message: CoordinatorMessage) {
        match message {
            CoordinatorMessage::Welcome(welcome) => self.welcomed(now, &welcome),
            CoordinatorMessage::Rejected { why } => self.rejected(now, why),
            CoordinatorMessage::Answer(answer) => self.answered(now, answer),
            CoordinatorMessage::Pulse {
                session,
                sent,
                clock,
                rooms,
            } => {
                self.pulse(now, session, (sent, clock), rooms);
            }
            CoordinatorMessage::Order { session, order } => self.ordered(now, session, order),
            CoordinatorMessage::Forwarded { id, answer } => self.forwarded(id, answer),
            CoordinatorMessage::Fenced { session, replaced } => self.fenced(now, session, replaced),
        }
    }

    /// A process that did not run for longer than its lease may have been replaced meanwhile: it fires
    /// nothing shipped before it has resumed.
    fn notice_gap(&mut self, now: Now) {
        let Some(last) = self.last_turn else { return };
        let owning = matches!(self.stance, Stance::Active | Stance::Parking);
        let stopped = now.boot.since(last) > self.link.lease();
        if owning && stopped && !planted::is(Fault::OverlookTheGap) {
            self.stance = Stance::Apart;
            self.reconnect();
        }
    }

    fn node(&self) -> &NodeId {
        &self.config.node
    }
}

/// After how long a change that nobody waits for is shipped at the latest: outcomes of the node's own runs.
const SHIP_OUTCOMES_AFTER: Millis = Millis(50);
