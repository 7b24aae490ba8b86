//! What has become of runs: the last of each timer, bounded in number, in bytes and in age.
//!
//! Ledger and base each keep what they have settled themselves or were told of. Dead runs are kept beside the
//! others and have bounds of their own, so that many good ones do not push them out before somebody has looked at
//! them. What is over a bound goes, the oldest first, and is counted.

use crate::id::{RunId, TimerName, Uid};
use crate::page::{self, Weigh as _};
use crate::time::{Millis, WallTime};
use crate::timer::{Fate, RunKey, RunRecord};
use serde::{Deserialize, Serialize};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

/// The most records of one timer, and as many dead ones.
pub const KEPT_PER_TIMER: usize = 100;
/// The most records of runs that are not dead, of all timers of a pool or of a node.
pub const RUNS_MAX: usize = 100_000;
/// The most bytes that these take.
pub const RUNS_BYTES_MAX: usize = 64 << 20;
/// The most dead runs, of all timers of a pool or of a node.
pub const DEAD_MAX: usize = 10_000;
/// The most bytes that these take.
pub const DEAD_BYTES_MAX: usize = 16 << 20;
/// No record is kept longer.
pub const KEPT_FOR: Millis = Millis(7 * 24 * 3_600_000);
/// Records that are too old and go in one turn.
const PRUNED_IN_TURN_MAX: usize = 1_024;

/// The records of all timers.
#[derive(Debug)]
pub(crate) struct History {
    timers: BTreeMap<Uid, Past>,
    names: BTreeMap<TimerName, Uid>,
    plain: Ages,
    dead: Ages,
    /// Dead runs by name, those of one timer the newest first.
    letters: BTreeSet<(TimerName, Reverse<RunKey>, Uid)>,
    dirty: BTreeSet<(Uid, RunKey)>,
}

#[derive(Debug)]
struct Past {
    name: TimerName,
    plain: Records,
    dead: Records,
}

/// At most a little more than [`KEPT_PER_TIMER`] records, in the order of their keys: most timers have one or two, and
/// a new one is the last.
#[derive(Debug, Default)]
struct Records(Vec<RunRecord>);

impl Records {
    fn place(&self, key: RunKey) -> Result<usize, usize> {
        self.0.binary_search_by_key(&key, RunRecord::key)
    }

    fn get(&self, key: RunKey) -> Option<&RunRecord> {
        self.0.get(self.place(key).ok()?)
    }

    fn insert(&mut self, run: RunRecord) -> Option<RunRecord> {
        match self.place(run.key()) {
            Ok(at) => Some(std::mem::replace(&mut self.0[at], run)),
            Err(at) => {
                self.0.insert(at, run);
                None
            }
        }
    }

    fn remove(&mut self, key: RunKey) -> Option<RunRecord> {
        let at = self.place(key).ok()?;
        Some(self.0.remove(at))
    }

    /// Those before `key`; all, if there is no `key`.
    fn before(&self, key: Option<RunKey>) -> &[RunRecord] {
        let upto = key.map_or(self.0.len(), |key| {
            self.0.partition_point(|run| run.key() < key)
        });
        &self.0[..upto]
    }
}

/// The records of one kind, the oldest first, and their bounds.
#[derive(Debug)]
struct Ages {
    queue: BTreeSet<(WallTime, Uid, RunKey)>,
    bytes: usize,
    items_max: usize,
    bytes_max: usize,
    /// Records that went because there were too many.
    evicted: u64,
}

impl Ages {
    fn new(items_max: usize, bytes_max: usize) -> Self {
        Self {
            queue: BTreeSet::new(),
            bytes: 0,
            items_max,
            bytes_max,
            evicted: 0,
        }
    }

    /// The oldest, if there are too many.
    fn excess(&self) -> Option<(Uid, RunKey)> {
        let full = self.queue.len() > self.items_max || self.bytes > self.bytes_max;
        let (_, uid, key) = self.queue.first().filter(|_| full)?;
        Some((*uid, *key))
    }
}

impl Default for History {
    fn default() -> Self {
        Self {
            timers: BTreeMap::new(),
            names: BTreeMap::new(),
            plain: Ages::new(RUNS_MAX, RUNS_BYTES_MAX),
            dead: Ages::new(DEAD_MAX, DEAD_BYTES_MAX),
            letters: BTreeSet::new(),
            dirty: BTreeSet::new(),
        }
    }
}

/// A record that is kept, to be written into a journal.
#[derive(Debug, Serialize)]
pub(crate) struct Told<'a> {
    timer: &'a TimerName,
    run: &'a RunRecord,
}

/// A record as it stands in a journal: what [`Told`] writes.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(crate) struct Kept {
    pub(crate) timer: TimerName,
    pub(crate) run: RunRecord,
}

impl Past {
    fn of_fate(&self, dead: bool) -> &Records {
        if dead { &self.dead } else { &self.plain }
    }

    fn get(&self, key: RunKey) -> Option<&RunRecord> {
        self.plain.get(key).or_else(|| self.dead.get(key))
    }

    fn find_dead(&self, id: RunId) -> Option<&RunRecord> {
        self.dead.0.iter().rev().find(|run| run.id == id)
    }

    /// The oldest of a kind, if there are too many of it.
    fn excess(&self, dead: bool) -> Option<RunKey> {
        let runs = self.of_fate(dead);
        let full = runs.0.len() > KEPT_PER_TIMER;
        runs.0.first().filter(|_| full).map(RunRecord::key)
    }
}

impl History {
    /// Takes a record in, and says whether it was new. What has become of a dead run that was queued again stands
    /// for it from then on.
    pub(crate) fn note(&mut self, uid: Uid, kept: Kept) -> bool {
        let key = kept.run.key();
        let past = self.timers.get(&uid);
        if past.is_some_and(|past| past.get(key).is_some()) {
            return false;
        }
        let revived = past.and_then(|past| past.find_dead(kept.run.id));
        if let Some(dead) = revived.map(RunRecord::key) {
            self.remove(uid, dead);
        }
        let dead = kept.run.fate == Fate::Dead;
        self.dirty.insert((uid, key));
        self.restore(uid, kept);
        let excess = self.timers.get(&uid).and_then(|past| past.excess(dead));
        if let Some(key) = excess {
            self.remove(uid, key);
        }
        self.bound(dead);
        true
    }

    /// Takes a record in that is in the journal already.
    pub(crate) fn restore(&mut self, uid: Uid, kept: Kept) {
        let key = kept.run.key();
        let dead = kept.run.fate == Fate::Dead;
        let name = kept.timer;
        let past = self.timers.entry(uid).or_insert_with(|| Past {
            name: name.clone(),
            plain: Records::default(),
            dead: Records::default(),
        });
        let bytes = kept.run.weight();
        let runs = if dead {
            &mut past.dead
        } else {
            &mut past.plain
        };
        if let Some(before) = runs.insert(kept.run) {
            self.ages(dead).bytes -= before.weight();
        }
        if dead {
            self.letters.insert((name.clone(), Reverse(key), uid));
        }
        self.names.insert(name, uid);
        let ages = self.ages(dead);
        ages.queue.insert((key.finished, uid, key));
        ages.bytes += bytes;
    }

    fn ages(&mut self, dead: bool) -> &mut Ages {
        if dead {
            &mut self.dead
        } else {
            &mut self.plain
        }
    }

    /// How many records went because there were too many: of runs that were not dead, and of dead ones.
    pub(crate) fn evicted(&self) -> (u64, u64) {
        (self.plain.evicted, self.dead.evicted)
    }

    /// Records that were taken in or out since the last call.
    pub(crate) fn is_dirty(&self) -> bool {
        !self.dirty.is_empty()
    }

    pub(crate) fn take_dirty(&mut self) -> BTreeSet<(Uid, RunKey)> {
        std::mem::take(&mut self.dirty)
    }

    /// A record, as it is to stand in the journal.
    pub(crate) fn kept(&self, uid: Uid, key: RunKey) -> Option<Told<'_>> {
        let past = self.timers.get(&uid)?;
        Some(Told {
            timer: &past.name,
            run: past.get(key)?,
        })
    }

    fn get(&self, uid: Uid, key: RunKey) -> Option<&RunRecord> {
        self.timers.get(&uid)?.get(key)
    }

    /// The records of the timer of this name, the newest first, older than `before`; and whether there are more.
    pub(crate) fn runs(
        &self,
        name: &TimerName,
        before: Option<RunKey>,
        limit: usize,
    ) -> (Vec<RunRecord>, bool) {
        let past = self.names.get(name).and_then(|uid| self.timers.get(uid));
        let Some(past) = past else {
            return (Vec::new(), false);
        };
        let [plain, dead] = [&past.plain, &past.dead].map(|runs| runs.before(before).iter().rev());
        let runs = page::merge(plain, dead, |a, b| b.key().cmp(&a.key()));
        let (page, more) = page::cut(limit, runs);
        (page.into_iter().cloned().collect(), more)
    }

    /// Whether anything is known of the runs of the timer of this name.
    pub(crate) fn knows(&self, name: &TimerName) -> bool {
        self.names.contains_key(name)
    }

    /// The identity of the timer of this name.
    pub(crate) fn uid_of(&self, name: &TimerName) -> Option<Uid> {
        self.names.get(name).copied()
    }

    /// The dead runs after `after`, by name, those of one timer the newest first; and whether there are more.
    pub(crate) fn dead(
        &self,
        after: Option<&(TimerName, RunKey)>,
        limit: usize,
    ) -> (Vec<(TimerName, RunRecord)>, bool) {
        use std::ops::Bound::{Excluded, Unbounded};
        let after = after.map(|(name, key)| (name.clone(), Reverse(*key), Uid(u128::MAX)));
        let from = after.map_or(Unbounded, Excluded);
        let letters = self.letters.range((from, Unbounded));
        let runs =
            letters.filter_map(|(name, Reverse(key), uid)| Some((name, self.get(*uid, *key)?)));
        let (page, more) = page::cut(limit, runs);
        let owned = page.into_iter();
        let owned = owned.map(|(name, run)| (name.clone(), run.clone()));
        (owned.collect(), more)
    }

    /// The dead run of this id.
    pub(crate) fn find_dead(&self, uid: Uid, id: RunId) -> Option<RunRecord> {
        self.timers.get(&uid)?.find_dead(id).cloned()
    }

    /// Forgets one record.
    pub(crate) fn remove(&mut self, uid: Uid, key: RunKey) {
        let Some(past) = self.timers.get_mut(&uid) else {
            return;
        };
        let (run, dead) = match past.plain.remove(key) {
            Some(run) => (Some(run), false),
            None => (past.dead.remove(key), true),
        };
        let Some(run) = run else { return };
        if dead {
            let letter = (past.name.clone(), Reverse(key), uid);
            self.letters.remove(&letter);
        }
        let empty = past.plain.0.is_empty() && past.dead.0.is_empty();
        let ages = self.ages(dead);
        ages.queue.remove(&(key.finished, uid, key));
        ages.bytes -= run.weight();
        self.dirty.insert((uid, key));
        if empty
            && let Some(past) = self.timers.remove(&uid)
            && self.names.get(&past.name) == Some(&uid)
        {
            self.names.remove(&past.name);
        }
    }

    /// Forgets everything of a timer.
    pub(crate) fn forget(&mut self, uid: Uid) {
        let Some(past) = self.timers.get(&uid) else {
            return;
        };
        let runs = past.plain.0.iter().chain(&past.dead.0);
        let keys: Vec<RunKey> = runs.map(RunRecord::key).collect();
        for key in keys {
            self.remove(uid, key);
        }
    }

    /// Forgets what is too old, so much of it as one turn may.
    pub(crate) fn prune(&mut self, now: WallTime) {
        for _ in 0..PRUNED_IN_TURN_MAX {
            let oldest = [&self.plain, &self.dead].map(|ages| ages.queue.first());
            let oldest = oldest.into_iter().flatten().min();
            let Some((_, uid, key)) = oldest.filter(|(at, ..)| *at + KEPT_FOR <= now) else {
                return;
            };
            self.remove(*uid, *key);
        }
    }

    fn bound(&mut self, dead: bool) {
        while let Some((uid, key)) = self.ages(dead).excess() {
            self.ages(dead).evicted += 1;
            self.remove(uid, key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::Token;

    fn name(text: &str) -> TimerName {
        TimerName::parse(&format!("pools/default/timers/{text}")).unwrap()
    }

    fn kept(timer: &str, at: i64, fate: Fate) -> Kept {
        Kept {
            timer: name(timer),
            run: RunRecord {
                id: RunId(at.unsigned_abs()),
                generation: 1,
                nominal: WallTime(at),
                attempt: 1,
                token: Token(1),
                by: None,
                started: None,
                finished: WallTime(at),
                fate,
                reason: String::new(),
                missed: 0,
            },
        }
    }

    fn noted(history: &History, timer: &str) -> Vec<i64> {
        let (runs, _) = history.runs(&name(timer), None, usize::MAX);
        runs.iter().map(|run| run.nominal.0).collect()
    }

    #[test]
    fn the_newest_hundred_of_a_timer_are_kept_and_the_dead_ones_beside_them() {
        let mut history = History::default();
        history.note(Uid(1), kept("a", 0, Fate::Dead));
        for at in 1..=150 {
            history.note(Uid(1), kept("a", at, Fate::Done));
        }
        let runs = noted(&history, "a");
        assert_eq!((runs.len(), runs[0], runs[99]), (101, 150, 51));
        assert_eq!(runs[100], 0, "the dead one");
    }

    #[test]
    fn nothing_is_kept_longer_than_a_week() {
        let mut history = History::default();
        history.note(Uid(1), kept("a", 0, Fate::Dead));
        history.note(Uid(1), kept("a", 5, Fate::Done));
        history.prune(WallTime(0) + KEPT_FOR);
        assert_eq!(noted(&history, "a"), vec![5]);
        history.prune(WallTime(5) + KEPT_FOR);
        assert!(!history.knows(&name("a")));
    }

    /// A dead run and then this many others, each of a timer of its own.
    fn filled(runs: usize, reason: usize) -> History {
        let mut history = History::default();
        history.note(Uid(u128::MAX), kept("dead", 0, Fate::Dead));
        for number in 0..runs {
            let mut kept = kept("a", i64::try_from(number).unwrap(), Fate::Done);
            kept.run.reason = "x".repeat(reason);
            history.note(Uid(number as u128), kept);
        }
        history
    }

    #[test]
    fn many_good_runs_push_each_other_out_and_no_dead_one() {
        let history = filled(RUNS_MAX + 7, 0);
        assert_eq!(history.evicted(), (7, 0));
        assert_eq!(history.dead(None, 10).0.len(), 1);
        let kept = [6, 7].map(|uid| history.timers.contains_key(&Uid(uid)));
        assert_eq!(kept, [false, true]);
    }

    #[test]
    fn long_reasons_count() {
        let history = filled(70, 1 << 20);
        assert!(history.plain.bytes <= RUNS_BYTES_MAX);
        assert_eq!(history.evicted(), (7, 0));
        assert_eq!(history.dead(None, 10).0.len(), 1);
    }

    #[test]
    fn dead_runs_have_a_bound_of_their_own() {
        let mut history = History::default();
        history.note(Uid(u128::MAX), kept("a", 0, Fate::Done));
        for number in 0..DEAD_MAX + 3 {
            let at = i64::try_from(number).unwrap();
            history.note(Uid(number as u128), kept("b", at, Fate::Dead));
        }
        assert_eq!(history.evicted(), (0, 3));
        assert_eq!(noted(&history, "a").len(), 1);
        for uid in 0..DEAD_MAX + 3 {
            history.forget(Uid(uid as u128));
        }
        assert_eq!((history.dead.bytes, history.letters.len()), (0, 0));
    }

    #[test]
    fn pages_go_on_where_they_ended() {
        let mut history = History::default();
        for at in 0..5 {
            history.note(Uid(1), kept("a", at, Fate::Dead));
            history.note(Uid(2), kept("b", at, Fate::Dead));
        }
        let mut after = None;
        let mut told = Vec::new();
        loop {
            let (page, more) = history.dead(after.as_ref(), 3);
            after = page.last().map(|(name, run)| (name.clone(), run.key()));
            told.extend(page.iter().map(|(name, run)| (name.clone(), run.nominal.0)));
            if !more {
                break;
            }
        }
        let of = |timer: &'static str| (0..5).rev().map(move |at| (name(timer), at));
        assert_eq!(told, of("a").chain(of("b")).collect::<Vec<_>>());
    }
}
