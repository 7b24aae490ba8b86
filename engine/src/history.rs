//! What has become of runs: the last of each timer, bounded in number and in age.
//!
//! Ledger and base each keep what they have settled themselves or were told of. Dead runs are kept beside the
//! others, so that many good ones do not push them out before somebody has looked at them.

use crate::id::{RunId, TimerName, Uid};
use crate::page;
use crate::time::{Millis, WallTime};
use crate::timer::{Fate, RunKey, RunRecord};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// At most so many records of one timer, and as many dead ones.
pub const KEPT_PER_TIMER: usize = 100;
/// At most so many in all.
pub const KEPT_IN_ALL: usize = 100_000;
/// No record is kept longer.
pub const KEPT_FOR: Millis = Millis(7 * 24 * 3_600_000);

/// The records of all timers.
#[derive(Debug, Default)]
pub(crate) struct History {
    timers: BTreeMap<Uid, Past>,
    names: BTreeMap<TimerName, Uid>,
    ages: BTreeSet<(WallTime, Uid, RunKey)>,
    dirty: BTreeSet<(Uid, RunKey)>,
}

#[derive(Debug)]
struct Past {
    name: TimerName,
    runs: BTreeMap<RunKey, RunRecord>,
    dead: usize,
}

/// A record as it stands in a journal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Kept {
    pub(crate) timer: TimerName,
    pub(crate) run: RunRecord,
}

impl History {
    /// Takes a record in, and says whether it was new. What has become of a dead run that was queued again stands
    /// for it from then on.
    pub(crate) fn note(&mut self, uid: Uid, kept: Kept) -> bool {
        let key = kept.run.key();
        if self.get(uid, key).is_some() {
            return false;
        }
        if let Some(dead) = self.find_dead(uid, kept.run.id) {
            self.remove(uid, dead.key());
        }
        self.dirty.insert((uid, key));
        self.restore(uid, kept);
        self.bound(uid);
        true
    }

    /// Takes a record in that is in the journal already.
    pub(crate) fn restore(&mut self, uid: Uid, kept: Kept) {
        let key = kept.run.key();
        let name = kept.timer;
        let past = self.timers.entry(uid).or_insert_with(|| Past {
            name: name.clone(),
            runs: BTreeMap::new(),
            dead: 0,
        });
        past.dead += usize::from(kept.run.fate == Fate::Dead);
        past.runs.insert(key, kept.run);
        self.names.insert(name, uid);
        self.ages.insert((key.finished, uid, key));
    }

    /// Records that were taken in or out since the last call.
    pub(crate) fn take_dirty(&mut self) -> BTreeSet<(Uid, RunKey)> {
        std::mem::take(&mut self.dirty)
    }

    /// A record, as it is to stand in the journal.
    pub(crate) fn kept(&self, uid: Uid, key: RunKey) -> Option<Kept> {
        let past = self.timers.get(&uid)?;
        Some(Kept {
            timer: past.name.clone(),
            run: past.runs.get(&key)?.clone(),
        })
    }

    fn get(&self, uid: Uid, key: RunKey) -> Option<&RunRecord> {
        self.timers.get(&uid)?.runs.get(&key)
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
        let older = |(key, _): &(&RunKey, &RunRecord)| before.is_none_or(|before| **key < before);
        let runs = past.runs.iter().rev().filter(older).map(|(_, run)| run);
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
        use std::ops::Bound::{Included, Unbounded};
        let from = after.map_or(Unbounded, |(name, _)| Included(name));
        let timers = self.names.range((from, Unbounded));
        let pasts = timers.filter_map(|(name, uid)| Some((name, self.timers.get(uid)?)));
        let all = pasts
            .filter(|(_, past)| past.dead > 0)
            .flat_map(|(name, past)| {
                let dead = past
                    .runs
                    .iter()
                    .rev()
                    .filter(|(_, run)| run.fate == Fate::Dead);
                dead.map(move |(key, run)| (name, *key, run))
            });
        let rest = all.filter(|(name, key, _)| match after {
            Some((last, before)) if *name == last => key < before,
            _ => true,
        });
        let (page, more) = page::cut(limit, rest.map(|(name, _, run)| (name, run)));
        let owned = page.into_iter();
        let owned = owned.map(|(name, run)| (name.clone(), run.clone()));
        (owned.collect(), more)
    }

    /// The dead run of this id.
    pub(crate) fn find_dead(&self, uid: Uid, id: RunId) -> Option<RunRecord> {
        let mut runs = self.timers.get(&uid)?.runs.values().rev();
        runs.find(|run| run.id == id && run.fate == Fate::Dead)
            .cloned()
    }

    /// Forgets one record.
    pub(crate) fn remove(&mut self, uid: Uid, key: RunKey) {
        let Some(past) = self.timers.get_mut(&uid) else {
            return;
        };
        let Some(run) = past.runs.remove(&key) else {
            return;
        };
        past.dead -= usize::from(run.fate == Fate::Dead);
        self.ages.remove(&(key.finished, uid, key));
        self.dirty.insert((uid, key));
        if past.runs.is_empty()
            && let Some(past) = self.timers.remove(&uid)
            && self.names.get(&past.name) == Some(&uid)
        {
            self.names.remove(&past.name);
        }
    }

    /// Forgets everything of a timer.
    pub(crate) fn forget(&mut self, uid: Uid) {
        let keys = self.timers.get(&uid).map(|past| past.runs.keys().copied());
        let keys: Vec<RunKey> = keys.into_iter().flatten().collect();
        for key in keys {
            self.remove(uid, key);
        }
    }

    /// Forgets what is too old.
    pub(crate) fn prune(&mut self, now: WallTime) {
        while let Some((finished, uid, key)) = self.ages.first().copied() {
            if finished + KEPT_FOR > now {
                return;
            }
            self.remove(uid, key);
        }
    }

    fn bound(&mut self, uid: Uid) {
        if let Some(past) = self.timers.get(&uid) {
            let others = past.runs.len() - past.dead;
            let excess = |dead: bool| {
                let mut runs = past.runs.iter();
                let oldest = runs.find(|(_, run)| (run.fate == Fate::Dead) == dead);
                oldest.map(|(key, _)| *key)
            };
            let over = match (others > KEPT_PER_TIMER, past.dead > KEPT_PER_TIMER) {
                (true, _) => excess(false),
                (_, true) => excess(true),
                _ => None,
            };
            if let Some(key) = over {
                self.remove(uid, key);
            }
        }
        if self.ages.len() > KEPT_IN_ALL
            && let Some((_, uid, key)) = self.ages.first().copied()
        {
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
