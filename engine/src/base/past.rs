//! What the base remembers of what is over: runs, and timers that are no more; and what it tells those who watch.
//!
//! Of a timer that the coordinator keeps it keeps the history too: the base tells it what has become of runs here.

use super::desk::Origin;
use super::{Base, Entry};
use crate::history::Kept;
use crate::id::{TimerName, Uid};
use crate::ledger::not_found;
use crate::op::{Answer, Cancelled, Change, Op, Refusal};
use crate::page::{self, Page};
use crate::record::Key;
use crate::time::{Now, WallTime};
use crate::timer::{Fate, RunKey, RunRecord};
use std::cmp::Reverse;
use std::collections::BTreeMap;

/// At most so many runs wait for the coordinator to hear what has become of them; then the oldest are left out.
const UNTOLD_MAX: usize = 4_096;

/// What has become of runs of which the coordinator may not have heard: as much of it as an answer holds.
pub(super) type Untold = Page<(TimerName, RunRecord)>;

impl Base {
    /// The number of the newest change.
    #[must_use]
    pub fn newest_change(&self) -> u64 {
        self.feed.newest()
    }

    /// Takes up what the steps of a timer have noted.
    pub(super) fn note_runs(&mut self, uid: Uid, noted: Vec<RunRecord>) {
        if noted.is_empty() {
            return;
        }
        let Some(entry) = self.timers.get(uid) else {
            return;
        };
        let (timer, durability) = (entry.timer.name.clone(), entry.timer.spec.durability);
        for run in noted {
            self.feed.ran(timer.clone(), run.clone());
            if durability.is_replicated() {
                self.lane.items.past.push((uid, run));
            } else {
                let timer = timer.clone();
                self.history.note(uid, Kept { timer, run });
            }
        }
        let excess = self.lane.items.past.len().saturating_sub(UNTOLD_MAX);
        self.lane.items.past.drain(..excess);
    }

    /// What of the past has to be in the journal: nothing of a timer that is not in it itself.
    pub(super) fn past_to_store(&mut self) -> Vec<Key> {
        let unwritten = |entry: &Entry| !entry.timer.spec.durability.is_journalled();
        let runs = self.history.take_dirty().into_iter();
        let runs = runs.filter(|(uid, _)| !self.timers.get(*uid).is_some_and(unwritten));
        let runs = runs.map(|(uid, run)| Key::Run(uid, run));
        let farewells = self.departed.take_dirty().into_iter();
        runs.chain(farewells.map(Key::Farewell)).collect()
    }

    /// A timer of this node is no more, for its user too.
    pub(super) fn take_out(&mut self, uid: Uid, cancel: Option<(u128, Cancelled)>, now: WallTime) {
        let Some(entry) = self.remove(uid) else {
            return;
        };
        let durable = entry.timer.spec.durability.is_journalled();
        self.history.forget(uid);
        self.departed.bid(&entry.timer, cancel, now, durable);
        self.feed.removed(entry.timer.name);
    }

    /// The answer to a request about a timer that is no more, if it was done here before.
    pub(super) fn answered_before(&self, op: &Op) -> Option<Answer> {
        self.departed.answer(op)
    }

    /// What the coordinator has to commit is not acknowledged before it has, however often it is asked.
    pub(super) fn answer_once_more(&mut self, now: Now, origin: Origin, op: &Op, answer: Answer) {
        let cancelled = if let Op::Change { request, .. } = op {
            self.departed.cancelled_by(*request)
        } else {
            None
        };
        let waits = |uid: &Uid| self.gone.contains(uid) && self.desk.waits_for(*uid);
        match cancelled.filter(waits) {
            Some(uid) => self.answer_when_known(now, origin, (uid, u64::MAX), answer),
            None => self.answer(origin, answer),
        }
    }

    /// A change of a dead run that is remembered here, ready to be made.
    pub(super) fn with_dead_run(&self, uid: Uid, change: &Change) -> Option<Change> {
        let (Change::Requeue(id) | Change::Purge(id)) = change else {
            return None;
        };
        let dead = self.history.find_dead(uid, *id)?;
        Some(if let Change::Requeue(_) = change {
            Change::Revive(Box::new(dead))
        } else {
            Change::Purge(dead.id)
        })
    }

    /// A dead run that begins again, or that its user does not want, is forgotten. Returns whether it was here.
    pub(super) fn forget_dead(&mut self, uid: Uid, change: &Change) -> bool {
        let id = match change {
            Change::Revive(dead) => dead.id,
            Change::Purge(id) => *id,
            Change::Rearm { .. }
            | Change::Update { .. }
            | Change::Pause
            | Change::Resume
            | Change::RunNow
            | Change::Requeue(_)
            | Change::Cancel => return false,
        };
        let dead = self.history.find_dead(uid, id);
        if let Some(dead) = &dead {
            self.history.remove(uid, dead.key());
        }
        dead.is_some()
    }

    /// Runs and dead runs: what is known here, and what the coordinator knows besides.
    pub(super) fn read_past(&mut self, origin: Origin, op: Op) {
        let asked_by_owner = matches!(origin, Origin::Change(_));
        if !asked_by_owner && self.link.is_open() {
            return self.forward(origin, op);
        }
        let nothing = if let Op::Runs { .. } = op {
            no_runs()
        } else {
            no_letters()
        };
        let answer = self.with_own_past(&op, self.untold(&op), nothing);
        self.answer(origin, answer);
    }

    /// What an answer about the past has to have beside what the coordinator knows. A timer is seen to have ended as
    /// soon as it has; its run is in a report, which may come after the question that follows.
    pub(super) fn untold(&self, op: &Op) -> Untold {
        let about = |uid: &Uid| Some(self.timers.get(*uid)?.timer.name.clone());
        let untold = self.lane.untold();
        match op {
            Op::Runs {
                name,
                before,
                limit,
            } => {
                let uid = self.timers.named(name).map(|entry| entry.timer.uid);
                let of_it = untold.filter(|(it, _)| Some(*it) == uid);
                let older = of_it.filter(|(_, run)| before.is_none_or(|key| run.key() < key));
                // Of two records of one run the later one counts.
                let runs: BTreeMap<_, _> = older.map(|(_, run)| (run.key(), run)).collect();
                let newest_first = runs.into_values().rev();
                let page = newest_first.map(|run| (name.clone(), run.clone()));
                page::cut(page::limit(*limit), page)
            }
            Op::Dead { after, limit } => {
                let after = after.clone().map(|(name, key)| (name, Reverse(key)));
                let place = |uid, run: &RunRecord| Some((about(uid)?, Reverse(run.key())));
                let dead = untold.filter(|(_, run)| run.fate == Fate::Dead);
                let placed = dead.filter_map(|(uid, run)| Some((place(uid, run)?, run)));
                let behind = placed.filter(|(place, _)| Some(place) > after.as_ref());
                let letters: BTreeMap<_, _> = behind.collect();
                let letters = letters.into_iter();
                let page = letters.map(|((name, _), run)| (name, run.clone()));
                page::cut(page::limit(*limit), page)
            }
            Op::Create(_)
            | Op::Look { .. }
            | Op::List { .. }
            | Op::Kept { .. }
            | Op::Change { .. }
            | Op::News { .. }
            | Op::Activity { .. } => Untold::default(),
        }
    }

    /// The coordinator's answer and what only this node knows, as one.
    pub(super) fn with_own_past(&self, op: &Op, untold: Untold, answer: Answer) -> Answer {
        match op {
            Op::Runs {
                name,
                before,
                limit,
            } => {
                let runs = untold.0.into_iter().map(|(_, run)| run).collect();
                self.with_own_runs(name, (*before, *limit), (runs, untold.1), answer)
            }
            Op::Dead { after, limit } => {
                self.with_own_letters((after.as_ref(), *limit), untold, answer)
            }
            Op::Create(_)
            | Op::Look { .. }
            | Op::List { .. }
            | Op::Kept { .. }
            | Op::Change { .. }
            | Op::News { .. }
            | Op::Activity { .. } => answer,
        }
    }

    fn with_own_runs(
        &self,
        name: &TimerName,
        (before, limit): (Option<RunKey>, u32),
        untold: Page<RunRecord>,
        answer: Answer,
    ) -> Answer {
        let here = self.timers.named(name).is_some() || self.history.knows(name);
        #[expect(
            clippy::wildcard_enum_match_arm,
            reason = "what is not about runs is answered as it is"
        )]
        let (theirs, more) = match answer {
            Answer::Runs { runs, more } if here || more || !runs.is_empty() => (runs, more),
            Answer::Refused(Refusal::NotFound { .. }) if here => (Vec::new(), false),
            Answer::Runs { .. } => return not_found(name),
            other => return other,
        };
        let limit = page::limit(limit);
        let own = self.history.runs(name, before, limit);
        let newest_first = |a: &RunRecord, b: &RunRecord| b.key().cmp(&a.key());
        let theirs = page::join(limit, untold, (theirs, more), newest_first);
        let (runs, more) = page::join(limit, theirs, own, newest_first);
        Answer::Runs { runs, more }
    }

    fn with_own_letters(
        &self,
        (after, limit): (Option<&(TimerName, RunKey)>, u32),
        untold: Untold,
        answer: Answer,
    ) -> Answer {
        let Answer::Dead { letters, more } = answer else {
            return answer;
        };
        let limit = page::limit(limit);
        let own = self.history.dead(after, limit);
        let by_name = |(a, run): &(TimerName, RunRecord), (b, other): &(TimerName, RunRecord)| {
            a.cmp(b).then(other.key().cmp(&run.key()))
        };
        let own = page::join(limit, untold, own, by_name);
        let (letters, more) = page::join(limit, own, (letters, more), by_name);
        Answer::Dead { letters, more }
    }
}

fn no_runs() -> Answer {
    Answer::Runs {
        runs: Vec::new(),
        more: false,
    }
}

fn no_letters() -> Answer {
    Answer::Dead {
        letters: Vec::new(),
        more: false,
    }
}
