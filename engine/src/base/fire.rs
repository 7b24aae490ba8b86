//! Beginning what is due: a bounded number in one turn, and of every handler some.
//!
//! ```text
//!            +-- no worker --> starved --- a worker is free ---+
//!  due ------+                    +--- others have room --> handed to the group
//!            +-- a worker ----------------------------------> launched
//! ```

use super::queues::{Queue, Sort, Standing};
use super::runs::Flight;
use super::{Base, Effect, Entry, Stance};
use crate::id::{Token, Uid};
use crate::planted::{self, Fault};
use crate::steps;
use crate::time::{Now, WallTime};
use crate::timer::{HandlerName, Phase};

/// One turn takes up at most this many due timers, so that the first of very many leaves at once; the rest is for
/// the next turns, which follow without a pause.
const TAKEN_UP_MAX: usize = 256;

impl Base {
    /// Begins what is due, may begin here, and has a worker. Returns whether something of that is left for the next
    /// turn.
    pub(super) fn fire(&mut self, now: Now) -> bool {
        let most = match planted::is(Fault::FireAllAtOnce) {
            true => usize::MAX,
            false => TAKEN_UP_MAX,
        };
        // What a node that leaves would begin ends with its process.
        self.rest.fires_pinned = self.may_fire_pinned(now) && self.stance != Stance::Leaving;
        // What has waited longest goes first, but leaves half of the turn to what has just fallen due.
        let waited = self.fire_starved(now, most / 2);
        let clock = self.clock.read(now);
        let is_due = |base: &Self| base.first_to_fire().is_some_and(|due| due <= clock);
        let due = is_due(self);
        if due {
            self.fire_due(now, most - waited);
        }
        self.hand_starved(now);
        due && is_due(self) || self.can_end_starving(now)
    }

    /// Takes up what is due: the same number of each handler, so that many of one hold up no other.
    fn fire_due(&mut self, now: Now, most: usize) {
        let clock = self.clock.read(now);
        let sorts = Sort::ALL.into_iter().filter(|sort| self.may_fire(*sort));
        let lines = sorts.flat_map(|sort| self.timers.due_lines(sort, clock).take(most));
        let mut lines: Vec<(WallTime, Sort, HandlerName)> = lines.collect();
        lines.sort();
        lines.truncate(most);
        let share = most / lines.len().max(1);
        for (_, sort, handler) in lines {
            let line = Queue::Due(sort, handler);
            for _ in 0..share {
                match self.timers.head_of(&line) {
                    Some((due, uid)) if due <= clock => self.try_launch(now, uid),
                    Some(_) | None => break,
                }
            }
        }
    }

    /// Whether timers of this sort may begin here, as the node stands.
    pub(super) fn may_fire(&self, sort: Sort) -> bool {
        if matches!(self.stance, Stance::Parking | Stance::Leaving) && sort != Sort::Pinned {
            return false;
        }
        let active = self.stance == Stance::Active || planted::is(Fault::FireWithoutOwning);
        match self.stands(sort) {
            Standing::Pinned => self.rest.fires_pinned,
            Standing::Alone => active || !self.meta.handed_over,
            Standing::Shared | Standing::Holding | Standing::Claimed => active,
        }
    }

    /// When the first timer is due that may begin here.
    pub(super) fn first_to_fire(&self) -> Option<WallTime> {
        let due = |sort| self.timers.first_due(sort).map(|due| (due, sort));
        let firsts = Sort::ALL.into_iter().filter_map(due);
        let may_fire = firsts.filter(|(_, sort)| self.may_fire(*sort));
        may_fire.map(|(due, _)| due).min()
    }

    /// Launches what is due of a timer, or lets it wait for a worker; either way it leaves its queue.
    pub(super) fn try_launch(&mut self, now: Now, uid: Uid) {
        steps::visit();
        let isolated = |entry: &Entry| self.is_isolated(now, entry);
        if self.timers.get(uid).is_some_and(isolated) {
            return self.wait_for_room(now, uid);
        }
        let Some(nominal) = self.make_ready(now, uid) else {
            return;
        };
        let Some(entry) = self.timers.get(uid) else {
            return;
        };
        if self.must_be_claimed(entry) && self.may_hand() {
            return self.hand(now, uid);
        }
        if !self.must_be_claimed(entry) && self.runs.is_free(&entry.timer.spec.handler) {
            self.launch_own(now, uid, nominal);
        } else {
            self.wait_for_room(now, uid);
        }
    }

    /// Out of the queue of what is due, so that it delays no other.
    fn wait_for_room(&mut self, now: Now, uid: Uid) {
        self.adjust(uid, |entry| entry.starved = Some(now.boot));
    }

    /// Applies misfire, overlap and expiry to what is due. What a later occurrence takes the place of is given up.
    /// Returns the nominal time of what can begin.
    fn make_ready(&mut self, now: Now, uid: Uid) -> Option<WallTime> {
        let clock = self.clock.read(now);
        let entry = self.timers.get(uid)?;
        let mut timer = entry.timer.clone();
        let nominal = timer.ready(entry.flying(), clock);
        if timer.revision == entry.timer.revision {
            return nominal;
        }
        let unwritten = entry.run.filter(|(flying, _)| !timer.has(*flying));
        let written = entry.timer.lines().filter_map(Phase::running);
        let written = written
            .map(|(token, _)| token)
            .filter(|it| !timer.holds(*it));
        let over: Vec<Token> = written.chain(unwritten.map(|(_, token)| token)).collect();
        self.change(uid, |entry| entry.timer = timer);
        self.abandon(now, &over);
        self.ship_outcome(now, uid);
        nominal
    }

    /// Whether the node has to wait for its lease before it fires this one.
    pub(super) fn is_isolated(&self, now: Now, entry: &Entry) -> bool {
        let shared = entry.timer.is_movable() && self.is_there(entry);
        shared && entry.timer.spec.policy.holds() && !self.link.has_lease(now)
    }

    fn launch_own(&mut self, now: Now, uid: Uid, nominal: WallTime) {
        let Some(entry) = self.timers.get(uid) else {
            return;
        };
        let token = self.tokens.next(entry.timer.token);
        let clock = self.clock.read(now);
        let mut begun = entry.timer.clone();
        let Some(run) = begun.begin(nominal, &self.config.node, token, clock) else {
            return;
        };
        if begun.writes_starts() {
            // The coordinator may take it for a claim, and say so, when the timer is handed over.
            self.runs.remember(token);
            self.change(uid, |entry| {
                entry.timer = begun;
                entry.starved = None;
            });
            self.ship_outcome(now, uid);
        } else {
            self.adjust(uid, |entry| {
                entry.run = Some((nominal, token));
                entry.starved = None;
            });
        }
        self.runs.begin(Flight {
            run: run.clone(),
            started: clock,
            own: true,
        });
        let until = now.boot + self.link.lease();
        self.effects.push(Effect::Launch {
            run,
            until,
            from: now.boot,
        });
    }
}
