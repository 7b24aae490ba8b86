//! Going to sleep, being woken, and leaving.
//!
//! ```text
//!            Idle                    Parked
//! Active -----------> Parking -----------------> Parked --- alarm, pinned, Wake ---> Apart --> Active
//!    ^                   |                          |
//!    +--- NotCovered ----+                          +--- desired awake ---> Apart --> Active
//! ```
//! A node that is wanted asleep and was woken for a deadline goes back to sleep when the work is done.

use super::desk::{Origin, Place};
use super::handover::{Left, RETRY_BUSY, back_off};
use super::resume::Retelling;
use super::{Base, Stance};
use crate::hierarchy::Cover;
use crate::id::{Epoch, Token};
use crate::ledger::Sum;
use crate::message::{Act, Idle, Uncovered};
use crate::op::{Activity, Answer};
use crate::planted::{self, Fault};
use crate::time::{BootTime, LogIndex, Millis, Now, WallTime};

/// A node that was woken goes back to sleep this long after its last run.
const LINGER: Millis = Millis(500);
/// How long a node that is told to sleep waits for its runs in flight.
const SLEEP_PATIENCE: Millis = Millis(5_000);
/// When it ends whatever was answered.
pub(super) const STOP_AFTER: Millis = Millis(4_500);
/// The shortest wait before a node that was not covered asks again.
const RETRY_MIN: Millis = Millis(100);
/// The wait after the ledger asked to be told everything again.
const RETRY_RESYNC: Millis = Millis(1_000);

/// What the node is wanted to do, and what keeps it from that.
#[derive(Debug, Default)]
pub(super) struct Rest {
    asleep: bool,
    unwilling: bool,
    alarm: Option<WallTime>,
    cover: Option<Cover>,
    uncovered: Option<Uncovered>,
    rejected: Option<String>,
    linger_until: BootTime,
    retry_at: BootTime,
    patience: Option<BootTime>,
    /// More may be left than the closing report holds: pieces go on, however much the node has to do.
    much_left: bool,
    pub(super) stopping: Option<BootTime>,
    waiting: Vec<(Origin, Activity)>,
    /// Runs that were in flight when the node asked to sleep; a pinned one may have begun since.
    interrupted: Vec<Token>,
    pub(super) pinned_since: Option<BootTime>,
    /// It has left, and some of its timers are not taken out yet.
    pub(super) parting: bool,
    /// It was asleep when it left: the group had all its movable timers.
    pub(super) left_asleep: bool,
    /// How often ledger and node did not know the same, and how often without a success in between.
    resyncs: u64,
    resyncs_in_a_row: u32,
    /// What node and ledger knew when they last differed.
    differed: Option<(Sum, Sum)>,
    /// Whether pinned timers fire in this turn.
    pub(super) fires_pinned: bool,
}

impl Rest {
    pub(super) fn says_unwilling(&self) -> Option<bool> {
        Some(!self.unwilling)
    }

    pub(super) fn is_stopping(&self) -> bool {
        self.stopping.is_some()
    }

    pub(super) fn cover(&self) -> Option<&Cover> {
        self.cover.as_ref()
    }

    pub(super) fn uncovered(&self) -> Option<Uncovered> {
        self.uncovered
    }

    pub(super) fn rejected(&self) -> Option<&str> {
        self.rejected.as_deref()
    }

    pub(super) fn note_rejected(&mut self, why: String) {
        self.rejected = Some(why);
    }

    pub(super) fn resyncs(&self) -> (u64, Option<(Sum, Sum)>) {
        (self.resyncs, self.differed)
    }

    pub(super) fn note_work(&mut self, now: Now) {
        self.linger_until = now.boot + LINGER;
    }

    pub(super) fn note_resumed(&mut self, now: Now) {
        self.rejected = None;
        self.uncovered = None;
        self.note_work(now);
    }

    /// Somebody else watches.
    pub(super) fn release(&mut self) {
        self.alarm = None;
        if matches!(self.cover, Some(Cover::Sentry { .. })) {
            self.cover = Some(Cover::Covered { by: None });
        }
    }

    pub(super) fn wake(&mut self) {
        self.alarm = None;
        self.cover = None;
    }

    pub(super) fn drop_waiting(&mut self, origin: &Origin) {
        self.waiting.retain(|(waiting, _)| waiting != origin);
    }
}

impl Base {
    /// Somebody wants the node to sleep, to be awake, or to serve only itself.
    pub(super) fn set_activity(&mut self, now: Now, origin: Origin, activity: Activity) {
        self.rest.asleep = activity == Activity::Idle;
        let unwilling = activity == Activity::Drain;
        if self.rest.unwilling != unwilling {
            self.rest.unwilling = unwilling;
            self.lane.items.eligible = Some(!unwilling);
        }
        if !self.rest.asleep {
            self.abandon_attempt();
        }
        self.rest.retry_at = now.boot;
        self.rest.linger_until = now.boot;
        self.rest.patience = None;
        self.rest.much_left = true;
        self.desk.note_place(&origin, Place::Rest);
        self.rest.waiting.push((origin, activity));
        match (activity, self.stance) {
            (Activity::Idle, Stance::Parked) => self.answer_sleepers(),
            (Activity::Active | Activity::Drain, Stance::Parked) => self.rouse(now),
            (Activity::Active | Activity::Drain, _) => self.activity_reached(now),
            (Activity::Idle, _) => {}
        }
    }

    /// Answers those who wait for the node to be awake, once the coordinator knows.
    pub(super) fn activity_reached(&mut self, _now: Now) {
        if self.stance != Stance::Active || self.lane.items.eligible.is_some() {
            return;
        }
        self.answer_waiting(false, None, None);
    }

    fn answer_sleepers(&mut self) {
        let (cover, uncovered) = (self.rest.cover.clone(), self.rest.uncovered);
        self.answer_waiting(true, cover, uncovered);
    }

    /// Answers those who wait for the node to sleep, or those who wait for it to be awake.
    fn answer_waiting(&mut self, asleep: bool, cover: Option<Cover>, uncovered: Option<Uncovered>) {
        let answer = Answer::Activity { cover, uncovered };
        for (origin, activity) in std::mem::take(&mut self.rest.waiting) {
            match (activity == Activity::Idle) == asleep {
                true => self.answer(origin, answer.clone()),
                false => self.rest.waiting.push((origin, activity)),
            }
        }
    }

    /// Looks whether the node should wake, sleep or leave now.
    pub(super) fn keep_rest(&mut self, now: Now) {
        if self.rest.is_stopping() {
            return self.keep_stopping(now);
        }
        match self.stance {
            Stance::Parked if self.must_wake(now) => self.rouse(now),
            Stance::Apart => self.say_active(now),
            Stance::Active if self.rest.asleep => self.try_sleep(now),
            Stance::Active | Stance::Parked | Stance::Parking | Stance::Leaving => {}
        }
    }

    fn must_wake(&self, now: Now) -> bool {
        let clock = self.clock.read(now);
        let alarm = self.rest.alarm.is_some_and(|at| at <= clock);
        let pinned = self.first_pinned().is_some_and(|due| due <= clock);
        alarm || pinned || self.may_end_starving()
    }

    /// A parked node is awake from here on; it owns its timers again when it has resumed.
    pub(super) fn rouse(&mut self, now: Now) {
        self.rest.note_work(now);
        if self.stance == Stance::Parked {
            self.stance = Stance::Apart;
            self.rest.wake();
            self.say_active(now);
        }
    }

    pub(super) fn arm(&mut self, now: Now, at: WallTime) {
        if self.stance != Stance::Parked {
            return;
        }
        self.rest.alarm = Some(at);
        self.rest.cover = Some(Cover::Sentry { at });
        self.lane.items.armed = Some(at);
        self.lane.ship_by(now.boot);
    }

    fn try_sleep(&mut self, now: Now) {
        if self.runs.in_flight() == 0 {
            self.rest.patience = None;
        }
        let ready = self.link.has_lease(now)
            && self.lane.can_hand_over()
            && self.desk.proposed().next().is_none()
            && now.boot >= self.rest.retry_at;
        if !ready || !self.rest.much_left && self.is_at_work(now) {
            return;
        }
        let left = self.stage_next(now);
        self.rest.much_left = left == Left::Pieces;
        match left {
            Left::Pieces => return self.wait_longer(now),
            Left::Busy => {
                self.rest.retry_at = now.boot + RETRY_BUSY;
                self.rest.uncovered = Some(Uncovered::Busy);
                return self.answer_sleepers();
            }
            Left::OneMessage if self.is_at_work(now) => return,
            Left::OneMessage => {}
        }
        let interrupted = self.runs.tokens();
        self.rest.interrupted.clone_from(&interrupted);
        self.stance = Stance::Parking;
        self.rest.patience = None;
        let (attempt, rest) = self.close_attempt();
        self.change_meta(|meta| {
            meta.handed_over = true;
            meta.stage = attempt;
        });
        let idle = Idle {
            attempt,
            sum: self.sum,
            self_wake: self.first_pinned(),
            interrupted,
        };
        self.report_with(now, Act::Idle(idle), rest);
    }

    /// Whether the node does not close yet, since it has begun something or has just ended it.
    fn is_at_work(&mut self, now: Now) -> bool {
        now.boot < self.rest.linger_until || self.waits_for_runs(now, SLEEP_PATIENCE)
    }

    /// As long as pieces are answered nobody who waits for the node to sleep is told that nothing is known.
    fn wait_longer(&mut self, now: Now) {
        for (origin, _) in &self.rest.waiting {
            self.desk.wait_from(now, origin);
        }
    }

    /// Runs in flight are given some time to end.
    pub(super) fn waits_for_runs(&mut self, now: Now, patience: Millis) -> bool {
        if self.runs.in_flight() == 0 {
            self.rest.patience = None;
            return false;
        }
        let until = *self.rest.patience.get_or_insert(now.boot + patience);
        now.boot < until
    }

    pub(super) fn parked(&mut self, now: Now, epoch: Epoch, cover: &Cover) {
        if self.stance == Stance::Parking {
            self.note_parked(now, epoch);
        }
        if self.stance != Stance::Parked {
            return;
        }
        self.rest.uncovered = None;
        // A pinned run that began meanwhile: only its end tells when the node has to wake for the next one.
        if self.runs.in_flight() > 0 {
            return self.rouse(now);
        }
        self.rest.cover = Some(cover.clone());
        match cover {
            Cover::Sentry { at } if self.rest.alarm != Some(*at) => self.arm(now, *at),
            Cover::Sentry { .. } => {}
            Cover::Covered { .. } => self.rest.alarm = None,
            Cover::NotCovered { .. } => self.rouse(now),
        }
        self.answer_sleepers();
    }

    /// The ledger has closed the attempt: the node's movable timers are the group's.
    pub(super) fn note_parked(&mut self, now: Now, epoch: Epoch) {
        self.stance = Stance::Parked;
        self.handover.give_up();
        self.rest.resyncs_in_a_row = 0;
        // Only now their right has ended: a node that was not covered goes on with them.
        let interrupted = std::mem::take(&mut self.rest.interrupted);
        self.abandon(now, &interrupted);
        self.lane.items.resumed = None;
        self.link.note_epoch(epoch);
        self.change_meta(|meta| {
            meta.epoch = epoch;
            // Ledger and node knew the same; whatever has come since has come after the move.
            meta.known = LogIndex(epoch.0);
        });
        self.run_deferred(now);
    }

    pub(super) fn not_covered(
        &mut self,
        now: Now,
        (why, ledger): (Uncovered, Option<Sum>),
        retry_after: Millis,
    ) {
        self.rest.retry_at = now.boot + retry_after.max(RETRY_MIN);
        self.rest.uncovered = Some(why);
        match self.stance {
            Stance::Parking => self.unpark(now),
            Stance::Parked => self.rouse(now),
            Stance::Apart | Stance::Active | Stance::Leaving => {}
        }
        if why == Uncovered::Resync {
            let failures = self.rest.resyncs_in_a_row;
            self.rest.retry_at = back_off(now.boot, RETRY_RESYNC, failures);
            self.rest.resyncs_in_a_row = failures.saturating_add(1);
            self.rest.resyncs += 1;
            self.rest.differed = ledger.map(|ledger| (self.sum, ledger));
            return self.resync();
        }
        self.answer_sleepers();
    }

    /// Tells and asks everything, as a node that knows nothing of the ledger would: in pieces, and seldom.
    fn resync(&mut self) {
        self.stance = Stance::Apart;
        self.handover.give_up();
        self.meta.known = LogIndex(0);
        self.returning = None;
        self.retelling = Some(Retelling::default());
    }

    /// The node owns its timers still: it was not allowed to sleep, or the coordinator never heard it ask.
    pub(super) fn unpark(&mut self, now: Now) {
        self.stance = Stance::Active;
        self.close_was_not_heard();
        if self.lane.items.resumed.is_some() {
            self.lane.ship_by(now.boot);
        }
        self.run_deferred(now);
    }

    /// Nothing was handed over: the ledger has no stage of this attempt, or has not closed it.
    pub(super) fn close_was_not_heard(&mut self) {
        self.own_what_was_offered();
        self.change_meta(|meta| {
            meta.handed_over = false;
            meta.stage = 0;
        });
    }

    /// When the node's rest wants to be looked at again.
    pub(super) fn rest_deadlines(&self) -> impl Iterator<Item = BootTime> {
        let sleepy = self.stance == Stance::Active && self.rest.asleep && self.lane.is_free();
        let sleepy = sleepy && self.link.is_open();
        let patience = self.rest.patience.filter(|_| self.runs.in_flight() > 0);
        let at_work = self.rest.linger_until.max(patience.unwrap_or_default());
        let at_work = at_work.max(self.rest.retry_at);
        let try_at = sleepy.then_some(match self.rest.much_left {
            true => self.rest.retry_at,
            false => at_work,
        });
        // Without a lease it is the next renewal that is waited for.
        let had_lease = self
            .last_turn
            .is_none_or(|last| last < self.link.lease_until());
        let try_at = try_at.filter(|_| had_lease);
        let stop = self.rest.stopping.map(|since| since + STOP_AFTER);
        let may_leave = self.link.is_open() && self.lane.is_free();
        let may_leave = may_leave && self.stance != Stance::Leaving;
        let stop_runs = self.rest.stopping.and(self.rest.patience);
        let stop_runs = stop_runs.filter(|_| may_leave);
        [try_at, stop, stop_runs].into_iter().flatten()
    }

    /// When a parked node has to wake, on the clock that decides.
    pub(super) fn alarm(&self) -> Option<WallTime> {
        let watching = self.stance == Stance::Parked && !self.rest.is_stopping();
        let watching = watching && !planted::is(Fault::SleepThrough);
        self.rest.alarm.filter(|_| watching)
    }
}
