//! What waits for its time, and what is due and waits for a worker: by how it may begin, and by its handler.
//!
//! Timers of one sort may all begin just now, or none of them, so that the first of a line is the answer. Lines of
//! different handlers do not delay each other: what is due for a handler without a worker stands in no other's way.

use super::{Base, Entry};
use crate::agenda::Agenda;
use crate::id::Uid;
use crate::steps;
use crate::time::{BootTime, WallTime};
use crate::timer::{Effort, HandlerName};
use std::collections::{BTreeMap, BTreeSet};

/// What of a timer itself says how it may begin, beside its time. All light timers may get into the ledger, or out of
/// it, in one step: that changes how a sort stands, and no timer's line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Sort {
    /// Here only.
    Pinned,
    /// Replicated, and the coordinator has not heard of it.
    New,
    /// Light: the coordinator has it only while it has all that was handed over.
    Light,
    /// The same, and it holds when it is there.
    LightHolding,
    /// The same, and it has to be claimed when it is there.
    LightOnce,
    /// Movable, and the coordinator may know it.
    Shared,
    /// The same, but never without a lease.
    Holding,
    /// The same, but never without a claim of the coordinator.
    Claimed,
}

/// How the timers of a sort may begin just now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    /// Here only.
    Pinned,
    /// The coordinator has not heard of it.
    Alone,
    /// The coordinator may know it.
    Shared,
    /// The same, but never without a lease.
    Holding,
    /// The same, but never without a claim of the coordinator.
    Claimed,
}

impl Sort {
    /// Every sort.
    pub(super) const ALL: [Self; 8] = [
        Self::Pinned,
        Self::New,
        Self::Light,
        Self::LightHolding,
        Self::LightOnce,
        Self::Shared,
        Self::Holding,
        Self::Claimed,
    ];
    /// Those that can have to be claimed.
    pub(super) const ONCE: [Self; 2] = [Self::LightOnce, Self::Claimed];

    /// Those that another node may run.
    pub(super) fn movable() -> impl Iterator<Item = Self> {
        Self::ALL.into_iter().filter(|sort| *sort != Self::Pinned)
    }
}

impl Entry {
    pub(super) fn sort(&self) -> Sort {
        if !self.timer.is_movable() {
            return Sort::Pinned;
        }
        let policy = &self.timer.spec.policy;
        let once = policy.effort == Effort::AtMostOnce;
        let known = self.shipped > 0 || self.offered;
        match (known, self.is_light()) {
            (false, false) => Sort::New,
            (false, true) if once => Sort::LightOnce,
            (false, true) if policy.holds() => Sort::LightHolding,
            (false, true) => Sort::Light,
            (true, _) if once => Sort::Claimed,
            (true, _) if policy.holds() => Sort::Holding,
            (true, _) => Sort::Shared,
        }
    }
}

impl Base {
    /// How the timers of this sort may begin just now.
    pub(super) fn stands(&self, sort: Sort) -> Standing {
        let there = self.meta.stage != 0;
        match sort {
            Sort::Pinned => Standing::Pinned,
            Sort::New => Standing::Alone,
            Sort::Light | Sort::LightHolding | Sort::LightOnce if !there => Standing::Alone,
            Sort::Light | Sort::Shared => Standing::Shared,
            Sort::LightHolding | Sort::Holding => Standing::Holding,
            Sort::LightOnce | Sort::Claimed => Standing::Claimed,
        }
    }
}

/// A timer's place in its line.
pub(super) type Place = (WallTime, Uid);

/// What waits for its time, and what has ended.
#[derive(Debug, Default)]
pub(super) struct Queues {
    /// What waits for its time, and is begun when that has come.
    pub(super) due: Lines,
    /// What is due and waits for a free worker.
    pub(super) starved: Starved,
    /// Movable timers that are due or running here and that the ledger would count: by when it would be due there.
    pub(super) apart: BTreeSet<Place>,
    /// What has ended, by when it is forgotten.
    pub(super) ended: BTreeSet<Place>,
    /// Replicated timers whose newest revision the coordinator does not have.
    pub(super) unshipped: BTreeSet<Uid>,
    /// Timers of the lighter classes of which the coordinator has an older state: they were handed over once.
    pub(super) stale: BTreeSet<Uid>,
    /// Timers of the lighter classes that the coordinator may have beside what was handed over.
    pub(super) there: BTreeSet<Uid>,
    /// Timers that others have.
    pub(super) held: BTreeSet<Uid>,
}

/// Timers by sort and handler, each line in the order of due times.
#[derive(Debug, Default)]
pub(super) struct Lines([OfSort; Sort::ALL.len()]);

#[derive(Debug, Default)]
struct OfSort {
    lines: BTreeMap<HandlerName, BTreeSet<Place>>,
    /// When the first of each line is due.
    heads: BTreeSet<(WallTime, HandlerName)>,
}

impl Lines {
    pub(super) fn insert(&mut self, sort: Sort, handler: &HandlerName, place: Place) {
        self.change(sort, handler, |line| line.insert(place));
    }

    pub(super) fn remove(&mut self, sort: Sort, handler: &HandlerName, place: Place) {
        self.change(sort, handler, |line| line.remove(&place));
    }

    fn change(
        &mut self,
        sort: Sort,
        handler: &HandlerName,
        change: impl FnOnce(&mut BTreeSet<Place>) -> bool,
    ) {
        steps::visit();
        let OfSort { lines, heads } = &mut self.0[sort as usize];
        let line = match lines.get_mut(handler) {
            Some(line) => line,
            None => lines.entry(handler.clone()).or_default(),
        };
        let head = |line: &BTreeSet<Place>| line.first().map(|(due, _)| *due);
        let before = head(line);
        change(line);
        let after = head(line);
        if before == after {
            return;
        }
        if let Some(due) = before {
            heads.remove(&(due, handler.clone()));
        }
        match after {
            Some(due) => drop(heads.insert((due, handler.clone()))),
            None => drop(lines.remove(handler)),
        }
    }

    /// When the first of a sort is due.
    pub(super) fn first(&self, sort: Sort) -> Option<WallTime> {
        self.0[sort as usize].heads.first().map(|(due, _)| *due)
    }

    /// The first of a line.
    pub(super) fn head(&self, sort: Sort, handler: &HandlerName) -> Option<Place> {
        self.0[sort as usize].lines.get(handler)?.first().copied()
    }

    /// The lines of a sort whose first is due, those that are due first before the others.
    pub(super) fn due(
        &self,
        sort: Sort,
        clock: WallTime,
    ) -> impl Iterator<Item = (WallTime, Sort, HandlerName)> {
        let heads = self.0[sort as usize].heads.iter();
        let due = heads.take_while(move |(due, _)| *due <= clock);
        due.map(move |(due, handler)| (*due, sort, handler.clone()))
    }

    fn has(&self, handler: &HandlerName) -> bool {
        let mut sorts = self.0.iter();
        sorts.any(|sort| sort.lines.contains_key(handler))
    }
}

/// Due timers that wait for a worker.
#[derive(Debug, Default)]
pub(super) struct Starved {
    pub(super) lines: Lines,
    /// Handlers that are waited for and may have a free worker: all that have one are among them.
    roomy: BTreeSet<HandlerName>,
    /// When to look whether others may run movable ones of a handler that is waited for.
    looks: Agenda<BootTime, HandlerName>,
}

impl Starved {
    pub(super) fn remove(&mut self, sort: Sort, handler: &HandlerName, place: Place) {
        self.lines.remove(sort, handler, place);
        if !self.lines.has(handler) {
            self.roomy.remove(handler);
            self.looks.set(handler, None);
        }
    }

    /// There may be a free worker of this handler now.
    pub(super) fn note_room(&mut self, handler: &HandlerName) {
        if self.lines.has(handler) && !self.roomy.contains(handler) {
            self.roomy.insert(handler.clone());
        }
    }

    /// There is none.
    pub(super) fn note_full(&mut self, handler: &HandlerName) {
        self.roomy.remove(handler);
    }

    /// Handlers that are waited for and may have a free worker.
    pub(super) fn roomy(&self) -> impl Iterator<Item = &HandlerName> {
        self.roomy.iter().inspect(|_| steps::visit())
    }

    /// Others are to be looked for by then, if not before.
    pub(super) fn look_by(&mut self, handler: &HandlerName, at: BootTime) {
        let before = self.looks.time_of(handler);
        if before.is_none_or(|before| at < before) && self.lines.has(handler) {
            self.looks.set(handler, Some(at));
        }
    }

    /// Takes out the first handler whose time to look has come.
    pub(super) fn take_look(&mut self, now: BootTime) -> Option<HandlerName> {
        self.looks.pop_due(now).inspect(|_| steps::visit())
    }

    pub(super) fn next_look(&self) -> Option<BootTime> {
        self.looks.first()
    }
}
