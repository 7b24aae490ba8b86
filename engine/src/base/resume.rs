//! Owning again: what changed meanwhile is taken over before anything fires.

use super::desk::Origin;
use super::{Base, Entry, Stance};
use crate::id::{Session, Token, Uid};
use crate::message::{Act, Order, Report, Resumed};
use crate::op::{Answer, Op};
use crate::planted::{self, Fault};
use crate::record::Key;
use crate::time::{BootTime, LogIndex, Millis, Now};
use crate::timer::Timer;
use std::collections::{BTreeMap, BTreeSet};

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
        // It was said of an ownership that is over, and must not be taken for a word on what is given now.
        self.lane.items.handed.clear();
        self.lane.items.taken.clear();
        self.refuse_deferred_orders();
    }

    pub(super) fn resumed(
        &mut self,
        now: Now,
        (known, report): (LogIndex, &Report),
        resumed: Resumed,
    ) {
        let everything = self.asks_everything(report);
        let handed_over = self.meta.handed_over;
        self.tokens.raise(resumed.floor);
        self.runs.claims_begin_above(resumed.floor);
        self.link.note_epoch(resumed.epoch);
        self.stance = Stance::Active;
        self.change_meta(|meta| {
            meta.epoch = resumed.epoch;
            meta.known = known;
            meta.handed_over = false;
        });
        self.hold_nothing();
        if everything {
            self.forget_unlisted(&resumed, handed_over);
        }
        self.take_over(report, resumed.changed);
        for uid in resumed.gone {
            self.take_leave(now, uid);
        }
        // What was handed and taken before has no meaning any more.
        self.lane.items.handed.clear();
        self.lane.items.taken.clear();
        self.awaited.clear();
        self.hold(&resumed.held);
        self.settle_what_came_back(now, &report.items.outcomes);
        for (id, op) in resumed.pending {
            self.apply_pending(now, id, op);
        }
        self.lane.items.resumed = Some(known);
        self.lane.ship_by(now.boot);
        self.rest.note_resumed(now);
        self.activity_reached(now);
        self.run_deferred(now);
    }

    /// Takes over what changed while others owned it.
    fn take_over(&mut self, report: &Report, changed: Vec<Timer>) {
        let told: BTreeMap<Uid, &Timer> = report
            .items
            .changed
            .iter()
            .map(|timer| (timer.uid, timer))
            .collect();
        for timer in changed {
            let echo =
                self.timers.contains_key(&timer.uid) && told.get(&timer.uid) == Some(&&timer);
            // A cancellation is final; the coordinator only has not heard of it.
            if echo || self.gone.contains(&timer.uid) {
                continue;
            }
            // Somebody has asked for it again, where nobody knew that it is no more.
            if self.departed.get(timer.uid).is_some() && !self.timers.contains_key(&timer.uid) {
                self.note_gone(timer.uid);
                continue;
            }
            if self.has(&timer) {
                self.note_there(&timer);
            } else {
                self.adopt(timer);
            }
        }
    }

    /// What is being run elsewhere comes back by itself.
    fn hold(&mut self, held: &[Uid]) {
        if planted::is(Fault::ForgetHeld) {
            return;
        }
        for uid in held.iter().copied() {
            if !self.timers.contains_key(&uid) {
                self.awaited.insert(uid);
            }
            self.change(uid, |entry| {
                entry.held = true;
                entry.starved = None;
            });
        }
    }

    /// Timers of the lighter classes have left the ledger: nobody but the node has them now.
    pub(super) fn own_all_that_left_the_ledger(&mut self) {
        let shipped = self.timers.values().filter(|entry| entry.shipped > 0);
        let uids: Vec<Uid> = shipped.map(|entry| entry.timer.uid).collect();
        self.own_what_left_the_ledger(&uids);
    }

    /// The same for timers that were given back. One that is handed over stays there, once that was told.
    pub(super) fn own_what_left_the_ledger(&mut self, uids: &[Uid]) {
        let untold: BTreeSet<Uid> = self.lane.items.handed.iter().copied().collect();
        for uid in uids {
            let left = self.timers.get(uid).is_some_and(|entry| {
                let light = !entry.timer.spec.durability.is_replicated();
                light && entry.shipped > 0 && (!entry.held || untold.contains(uid))
            });
            if left {
                self.change(*uid, |entry| {
                    entry.shipped = 0;
                    entry.offered = false;
                });
                self.change_answered(*uid, u64::MAX);
            }
        }
    }

    /// Light timers that were offered in vain: the coordinator does not have them.
    pub(super) fn own_what_was_offered(&mut self) {
        let offered = self.timers.values().filter(|entry| {
            let light = !entry.timer.spec.durability.is_replicated();
            light && entry.offered && entry.shipped == 0
        });
        let uids: Vec<Uid> = offered.map(|entry| entry.timer.uid).collect();
        for uid in uids {
            self.change(uid, |entry| entry.offered = false);
        }
    }

    /// A change that waited is applied once, also if the answer to it was lost with the process.
    fn apply_pending(&mut self, now: Now, id: u64, op: Op) {
        if id <= self.meta.pending_done {
            return self.lane.items.answers.push((id, Answer::Pending));
        }
        self.change_meta(|meta| meta.pending_done = id);
        self.ask(now, Origin::Change(id), op);
    }

    fn hold_nothing(&mut self) {
        let held = self.timers.values().filter(|entry| entry.held);
        let held: Vec<Uid> = held.map(|entry| entry.timer.uid).collect();
        for uid in held {
            self.change(uid, |entry| entry.held = false);
        }
    }

    /// What the coordinator had, and does not count among the timers of this node any more, is somebody else's.
    ///
    /// A light timer may also have left the ledger for this node, if that has not handed it over again since.
    fn forget_unlisted(&mut self, resumed: &Resumed, handed_over: bool) {
        let listed: BTreeSet<Uid> = resumed
            .changed
            .iter()
            .map(|timer| timer.uid)
            .chain(resumed.held.iter().copied())
            .collect();
        let strange = self.timers.values().filter(|entry| {
            entry.timer.is_movable() && entry.shipped > 0 && !listed.contains(&entry.timer.uid)
        });
        let strange: Vec<Uid> = strange.map(|entry| entry.timer.uid).collect();
        for uid in strange {
            let light = |entry: &Entry| !entry.timer.spec.durability.is_replicated();
            if !handed_over && self.timers.get(&uid).is_some_and(light) {
                self.own_what_left_the_ledger(&[uid]);
            } else {
                self.remove(uid);
            }
        }
    }

    /// Whether this is no news here. A pinned timer is run nowhere else, so what its home knows is the newest.
    fn has(&self, timer: &Timer) -> bool {
        self.timers.get(&timer.uid).is_some_and(|entry| {
            let newer =
                entry.timer.generation >= timer.generation && entry.timer.token >= timer.token;
            let pinned = !timer.is_movable() && newer;
            pinned || entry.timer == *timer
        })
    }

    /// The coordinator has a timer in this state, whoever told it.
    fn note_there(&mut self, timer: &Timer) {
        self.change(timer.uid, |entry| {
            entry.shipped = entry.shipped.max(timer.revision);
            if entry.timer != *timer {
                // What its home knows better is news there, whatever was noted meanwhile.
                let newest = entry.timer.revision.max(timer.revision);
                entry.timer.revision = newest.saturating_add(1);
            }
        });
    }

    /// Takes a timer as the coordinator has it. A run in flight here has lost its right to settle it.
    fn adopt(&mut self, timer: Timer) {
        let shipped = timer.revision;
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
                gone,
                floor,
            } => {
                if epoch == self.meta.epoch && self.stance == Stance::Active {
                    self.tokens.raise(floor);
                    self.take_given(now, timers);
                    self.take_gone(now, gone);
                }
            }
            Order::Change { id, op } => self.ask(now, Origin::Change(id), op),
            Order::Arm { at } => self.arm(now, at),
            Order::Release => self.rest.release(),
            Order::Wake => self.rouse(now),
            Order::Withdraw { token } => self.abandon(now, &[token]),
        }
    }

    /// Timers that come back; one that is here already was given twice.
    fn take_given(&mut self, now: Now, timers: Vec<Timer>) {
        let mut back = BTreeSet::new();
        for timer in timers {
            let (uid, token) = (timer.uid, timer.token);
            let held = self.timers.get(&uid).is_some_and(|entry| entry.held);
            // Every giving back follows a claim, and so has a newer token.
            let newer = self
                .timers
                .get(&uid)
                .is_some_and(|entry| timer.token > entry.timer.token);
            // One that was brought from elsewhere is given without having been claimed.
            let unknown = !self.timers.contains_key(&uid)
                && !self.gone.contains(&uid)
                && self.departed.get(uid).is_none();
            if self.awaited.remove(&uid) || newer || unknown {
                self.adopt(timer);
                back.insert(uid);
            } else if held {
                // An old copy: the timer was handed over again since, and is not taken.
                continue;
            }
            self.lane.items.taken.push((uid, token));
        }
        self.lane.forget_handed(&back);
        self.lane.ship_by(now.boot);
    }

    /// Timers that ended while others had them.
    fn take_gone(&mut self, now: Now, gone: Vec<Uid>) {
        for uid in &gone {
            self.take_leave(now, *uid);
        }
        let ended = gone.into_iter().map(|uid| (uid, Token::default()));
        self.lane.items.taken.extend(ended);
    }

    /// A timer ended elsewhere: who asks for it once more must not get another one here.
    fn take_leave(&mut self, now: Now, uid: Uid) {
        self.bid_farewell(uid, None, self.clock.read(now));
        self.remove(uid);
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
