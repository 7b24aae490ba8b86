//! Owning again: what changed meanwhile is taken over before anything fires.

use super::desk::Origin;
use super::{Base, Entry, Stance};
use crate::id::{Epoch, Session, Uid};
use crate::ledger::changed_elsewhere;
use crate::message::{Act, Active, Order, Page, Report, Resumed};
use crate::op::{Answer, Op};
use crate::page::{Room, Weigh};
use crate::planted::{self, Fault};
use crate::record::Key;
use crate::time::{BootTime, LogIndex, Millis, Now};
use crate::timer::Timer;
use std::collections::{BTreeMap, BTreeSet};

/// Asking for ownership, a page at a time.
#[derive(Debug)]
pub(super) struct Returning {
    epoch: Epoch,
    /// Ownership had moved without the node's knowledge: it is told everything.
    everything: bool,
    /// Up to where it was told; if it is told only what it does not know, that is what it knows.
    cursor: Option<LogIndex>,
    /// What it was told of, to see at the end what is not its own any more.
    listed: BTreeSet<Uid>,
}

/// Telling the coordinator once more what it should know, a piece at a time.
#[derive(Debug, Default)]
pub(super) struct Retelling {
    last: Option<Uid>,
}

impl Returning {
    fn from(epoch: Epoch, everything: bool) -> Self {
        Self {
            epoch,
            everything,
            cursor: None,
            listed: BTreeSet::new(),
        }
    }
}

/// How long pinned timers wait for the changes that the coordinator may have stored for them.
const PINNED_WAIT: Millis = Millis(2_000);

impl Base {
    /// Asks for ownership, when the coordinator has been told everything that it may not know.
    pub(super) fn say_active(&mut self, now: Now) {
        if !self.link.is_open() || !self.lane.is_free() || self.stance == Stance::Active {
            return;
        }
        let known = self.meta.known;
        let mut room = self.handover.room();
        if !self.ships_all(&mut room) {
            return self.report(now, Act::Tail { known });
        }
        if let Some(again) = self.tell_some_again(&mut room) {
            return self.report_with(now, Act::Tail { known }, again);
        }
        let epoch = self.link.epoch();
        let everything = known == LogIndex(0) || self.meta.epoch != epoch;
        let before = self.returning.take();
        let goes_on = before.filter(|it| it.epoch == epoch && it.everything == everything);
        let returning = goes_on.unwrap_or_else(|| Returning::from(epoch, everything));
        let cursor = returning.cursor;
        self.returning = Some(returning);
        self.report(now, Act::Active(Active { known, cursor }));
    }

    /// Replicated timers that are told once more, as many as there is room for; none if all were.
    fn tell_some_again(&mut self, room: &mut Room) -> Option<Vec<Timer>> {
        let mut retelling = self.retelling.take()?;
        let mut again = Vec::new();
        for entry in self.timers.walk(retelling.last) {
            if entry.timer.is_movable() && !entry.is_light() && !entry.held {
                if !room.take(entry.timer.weight()) {
                    self.retelling = Some(retelling);
                    return Some(again);
                }
                again.push(entry.timer.clone());
            }
            retelling.last = Some(entry.timer.uid);
        }
        (!again.is_empty()).then_some(again)
    }

    /// A piece of what has to be heard before the node owns its timers.
    pub(super) fn hear_page(&mut self, now: Now, report: &Report, page: Page) {
        let Some(mut returning) = self.returning.take() else {
            return;
        };
        if returning.everything {
            returning
                .listed
                .extend(page.changed.iter().map(|timer| timer.uid));
            returning.cursor = Some(page.upto);
        } else {
            self.change_meta(|meta| meta.known = page.upto);
        }
        self.returning = Some(returning);
        self.take_over(report, page.changed);
        for uid in page.gone {
            self.take_leave(now, uid);
        }
    }

    pub(super) fn lost_ownership(&mut self) {
        if matches!(
            self.stance,
            Stance::Active | Stance::Parking | Stance::Parked | Stance::Leaving
        ) {
            self.stance = Stance::Apart;
        }
        self.rest.wake();
        self.handover.give_up();
        // It was said of an ownership that is over, and must not be taken for a word on what is given now.
        let handed = std::mem::take(&mut self.lane.items.handed);
        self.keep_what_was_never_handed(handed);
        self.lane.items.taken.clear();
        self.refuse_deferred_orders();
    }

    /// What was to be handed over, and of which the coordinator has not heard, is this node's own as before.
    fn keep_what_was_never_handed(&mut self, handed: Vec<Uid>) {
        for uid in handed {
            let entry = self.timers.get(uid);
            if entry.is_some_and(|entry| entry.held && !self.is_there(entry)) {
                self.change(uid, |entry| entry.held = false);
            }
        }
    }

    pub(super) fn resumed(
        &mut self,
        now: Now,
        (known, report): (LogIndex, &Report),
        resumed: Resumed,
    ) {
        let returning = self.returning.take().filter(|it| it.everything);
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
        for uid in &resumed.gone {
            self.take_leave(now, *uid);
        }
        if let Some(returning) = returning {
            self.forget_unlisted(returning.listed, &resumed, handed_over);
        }
        self.take_over(report, resumed.changed);
        self.tell_what_was_not_believed();
        // What was handed and taken before has no meaning any more.
        self.lane.items.handed.clear();
        self.lane.items.taken.clear();
        self.awaited.clear();
        self.hold(&resumed.held);
        self.settle_what_ended_apart(now);
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
            let echo = self.timers.contains(timer.uid) && told.get(&timer.uid) == Some(&&timer);
            // A cancellation is final; the coordinator only has not heard of it.
            if echo || self.gone.contains(&timer.uid) {
                continue;
            }
            // Somebody has asked for it again, where nobody knew that it is no more.
            if self.departed.get(timer.uid).is_some() && !self.timers.contains(timer.uid) {
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
            if !self.timers.contains(uid) {
                self.awaited.insert(uid);
            }
            self.change(uid, |entry| {
                entry.held = true;
                entry.starved = None;
            });
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
        let held: Vec<Uid> = self.queues.held.iter().copied().collect();
        for uid in held {
            self.change(uid, |entry| entry.held = false);
        }
    }

    /// What the coordinator had, and does not count among the timers of this node any more, is somebody else's.
    ///
    /// A light timer may also have left the ledger for this node, if that has not handed it over again since. This goes
    /// over all timers, once for each time that the node has lost its place: a new process, or a lease that ran out.
    fn forget_unlisted(&mut self, mut listed: BTreeSet<Uid>, resumed: &Resumed, handed_over: bool) {
        listed.extend(resumed.changed.iter().map(|timer| timer.uid));
        listed.extend(resumed.held.iter().copied());
        let strange = self.timers.uids_of(|entry| {
            entry.timer.is_movable() && entry.shipped > 0 && !listed.contains(&entry.timer.uid)
        });
        for uid in strange {
            if !handed_over && self.timers.get(uid).is_some_and(Entry::is_light) {
                self.own_what_left_the_ledger(&[uid]);
            } else {
                self.remove(uid);
            }
        }
    }

    /// Whether this is no news here. A pinned timer is run nowhere else, and what others changed of it comes as changes
    /// that were stored: what its home knows is the newest.
    fn has(&self, timer: &Timer) -> bool {
        let entry = self.timers.get(timer.uid);
        entry.is_some_and(|entry| !timer.is_movable() || entry.timer == *timer)
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
    pub(super) fn adopt(&mut self, timer: Timer) {
        // What was handed over goes with all of that: `is_there` says so until the ledger has let go of it.
        let shipped = match timer.is_light() && self.meta.stage != 0 {
            true => 0,
            false => timer.revision,
        };
        self.adopt_as(timer, shipped);
    }

    /// The same of a timer that the coordinator has at this revision, or none if that is zero.
    pub(super) fn adopt_as(&mut self, timer: Timer, shipped: u64) {
        self.proposal_known(&timer);
        if self.desk.awaits_ship() {
            // A change of what was here before waits for the coordinator to hear of it, and is lost with that.
            self.change_refused(timer.uid, &changed_elsewhere());
        }
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

    /// A timer ended elsewhere: who asks for it once more must not get another one here.
    pub(super) fn take_leave(&mut self, now: Now, uid: Uid) {
        let clock = self.clock.read(now);
        if self.timers.contains(uid) {
            self.take_out(uid, None, clock);
        } else {
            self.departed.hear(uid, clock);
        }
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
