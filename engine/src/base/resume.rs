//! Owning again: what changed meanwhile is taken over before anything fires.

use super::ops::Origin;
use super::{Base, Entry, Stance};
use crate::id::Session;
use crate::message::{Act, Order, Resumed};
use crate::record::Key;
use crate::time::{BootTime, LogIndex, Millis, Now};
use crate::timer::Timer;

/// How long pinned timers wait for the changes that the coordinator may have stored for them.
const PINNED_WAIT: Millis = Millis(2_000);

impl Base {
    /// Asks for ownership, with everything that the coordinator may not know.
    pub(super) fn say_active(&mut self, now: Now) {
        if self.link.is_open() && self.lane.is_free() && self.stance != Stance::Active {
            let known = self.meta.known;
            self.report(now, Act::Active { known }, Some(is_stale_there));
        }
    }

    pub(super) fn lost_ownership(&mut self) {
        if matches!(
            self.stance,
            Stance::Active | Stance::Parking | Stance::Parked
        ) {
            self.stance = Stance::Apart;
        }
        self.rest.wake();
    }

    pub(super) fn resumed(&mut self, now: Now, known: LogIndex, resumed: Resumed) {
        self.tokens.raise(resumed.floor);
        self.stance = Stance::Active;
        self.change_meta(|meta| {
            meta.epoch = resumed.epoch;
            meta.known = known;
            meta.handed_over = false;
        });
        self.own_what_left_the_ledger();
        for timer in resumed.changed {
            self.adopt(timer);
        }
        for uid in resumed.gone {
            self.remove(uid);
        }
        for uid in resumed.held {
            self.change(uid, |entry| {
                entry.held = true;
                entry.starved = None;
            });
        }
        for (id, op) in resumed.pending {
            self.ask(now, Origin::Change(id), op);
        }
        self.lane.items.resumed = Some(known);
        self.lane.ship_by(now.boot);
        self.rest.note_resumed(now);
        self.activity_reached(now);
        self.run_deferred(now);
    }

    /// Timers of the lighter classes leave the ledger with this: nobody but the node has them now.
    fn own_what_left_the_ledger(&mut self) {
        let lighter = self.timers.values().filter(|entry| {
            !entry.timer.spec.durability.is_replicated() && (entry.shipped > 0 || entry.held)
        });
        let uids: Vec<_> = lighter.map(|entry| entry.timer.uid).collect();
        for uid in uids {
            self.change(uid, |entry| {
                entry.shipped = 0;
                entry.held = false;
            });
        }
        let held = self.timers.values().filter(|entry| entry.held);
        let held: Vec<_> = held.map(|entry| entry.timer.uid).collect();
        for uid in held {
            self.change(uid, |entry| entry.held = false);
        }
    }

    /// Takes a timer as the coordinator has it. A run in flight here has lost its right to settle it.
    fn adopt(&mut self, timer: Timer) {
        let replicated = timer.spec.durability.is_replicated();
        let shipped = if replicated { timer.revision } else { 0 };
        self.proposal_known(&timer);
        self.insert(Entry::new(timer, shipped));
    }

    pub(super) fn ordered(&mut self, now: Now, session: Session, order: Order) {
        if self.link.session() != session {
            return;
        }
        match order {
            Order::Due { runs } => self.pull(now, runs),
            Order::Give {
                epoch,
                timers,
                floor,
            } => {
                if epoch == self.meta.epoch && self.stance == Stance::Active {
                    self.tokens.raise(floor);
                    self.take_given(now, timers);
                }
            }
            Order::Change { id, op } => self.ask(now, Origin::Change(id), op),
            Order::Arm { at } => self.arm(now, at),
            Order::Release => self.rest.release(),
            Order::Wake => self.rouse(now),
        }
    }

    /// Timers that come back; one that is here already was given twice.
    fn take_given(&mut self, now: Now, timers: Vec<Timer>) {
        for timer in timers {
            let uid = timer.uid;
            if self.timers.get(&uid).is_some_and(|entry| entry.held) {
                self.adopt(timer);
            }
            self.lane.items.taken.push(uid);
        }
        self.lane.ship_by(now.boot);
    }

    /// Pinned timers of a node that has just woken wait for the changes that the coordinator may have stored.
    pub(super) fn may_fire_pinned(&mut self, now: Now) -> bool {
        if !matches!(self.stance, Stance::Apart | Stance::Parked) {
            self.rest.pinned_since = None;
            return true;
        }
        let clock = self.clock.read(now);
        if self.first_pinned().is_none_or(|due| due > clock) {
            self.rest.pinned_since = None;
            return false;
        }
        let since = *self.rest.pinned_since.get_or_insert(now.boot);
        since + PINNED_WAIT <= now.boot
    }

    pub(super) fn pinned_deadline(&self) -> Option<BootTime> {
        self.rest.pinned_since.map(|since| since + PINNED_WAIT)
    }

    pub(super) fn note_gone(&mut self, uid: crate::id::Uid) {
        self.gone.insert(uid);
        self.dirty.insert(Key::Gone(uid));
    }
}

/// The coordinator has an older state of it: of a light timer, that was handed over once.
fn is_stale_there(entry: &Entry) -> bool {
    entry.shipped > 0 && entry.shipped < entry.timer.revision
}
