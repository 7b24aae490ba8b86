//! Where timers stand: what waits for its time, and what is due and waits for a worker, by how it may begin and by its
//! handler.
//!
//! Timers of one sort may all begin just now, or none of them, so that the first of a line is the answer. Lines of
//! different handlers do not delay each other: what is due for a handler without a worker stands in no other's way.

use super::{Base, Entry};
use crate::agenda::Agenda;
use crate::id::{TimerName, Uid};
use crate::shelf::{Shelf, Shelved};
use crate::steps;
use crate::time::{BootTime, WallTime};
use crate::timer::{Effort, HandlerName};
use std::collections::BTreeSet;

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

/// The timers of a base, each in a line while something of it is due here, and in another queue beside that.
pub(super) type Timers = Shelf<Entry, 2>;

/// The lane of what is due here.
const LINES: usize = 0;
/// The lane of what else there is to know of times.
const BESIDE: usize = 1;

/// Where an entry stands.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Queue {
    /// It waits for its time, and is begun when that has come.
    Due(Sort, HandlerName),
    /// It is due and waits for a free worker.
    Starved(Sort, HandlerName),
    /// It is movable, due or running here, and the ledger would count it: by when it would be due there.
    Apart,
    /// It has ended: by when it is forgotten.
    Ended,
}

/// A timer's place in its line.
pub(super) type Place = (WallTime, Uid);

impl Shelved for Entry {
    type Queue = Queue;
    const WALKED: bool = true;

    fn uid(&self) -> Uid {
        self.timer.uid
    }

    fn name(&self) -> &TimerName {
        &self.timer.name
    }

    fn waits(&self, lane: usize) -> Option<(Queue, WallTime)> {
        if lane == LINES {
            return self.line();
        }
        let ended = self.timer.kept_until().filter(|_| !self.is_unshipped());
        let ended = ended.map(|until| (Queue::Ended, until));
        ended.or_else(|| Some((Queue::Apart, self.apart()?)))
    }

    fn is_stored(&self) -> bool {
        self.timer.spec.durability.is_journalled()
    }

    fn group(queue: &Queue) -> Option<usize> {
        match queue {
            Queue::Due(sort, _) => Some(*sort as usize),
            Queue::Starved(..) | Queue::Apart | Queue::Ended => None,
        }
    }
}

impl Entry {
    /// The line that it stands in, and its time there.
    pub(super) fn line(&self) -> Option<(Queue, WallTime)> {
        let due = self.due()?;
        let (sort, handler) = (self.sort(), self.timer.spec.handler.clone());
        let line = match self.starved {
            Some(_) => Queue::Starved(sort, handler),
            None => Queue::Due(sort, handler),
        };
        Some((line, due))
    }
}

impl Timers {
    /// When the first of a sort is due that waits for its time.
    pub(super) fn first_due(&self, sort: Sort) -> Option<WallTime> {
        self.head(LINES, sort as usize)
    }

    /// The lines of a sort whose first is due, those that are due first before the others.
    pub(super) fn due_lines(
        &self,
        sort: Sort,
        clock: WallTime,
    ) -> impl Iterator<Item = (WallTime, Sort, HandlerName)> {
        let heads = self.heads(LINES, sort as usize);
        let due = heads.take_while(move |(due, _)| *due <= clock);
        due.filter_map(|(due, queue)| match queue {
            Queue::Due(sort, handler) => Some((*due, *sort, handler.clone())),
            Queue::Starved(..) | Queue::Apart | Queue::Ended => None,
        })
    }

    /// The first of a line.
    pub(super) fn head_of(&self, line: &Queue) -> Option<Place> {
        let (due, entry) = self.first(LINES, line)?;
        Some((due, entry.timer.uid))
    }

    /// The first of what waits for a free worker of this handler.
    pub(super) fn first_starved(&self, sort: Sort, handler: &HandlerName) -> Option<Place> {
        self.head_of(&Queue::Starved(sort, handler.clone()))
    }

    /// How many wait for a free worker of this handler.
    pub(super) fn starved(&self, handler: &HandlerName) -> usize {
        let line = |sort| Queue::Starved(sort, handler.clone());
        let lines = Sort::ALL.into_iter().map(line);
        lines.map(|line| self.queue_len(LINES, &line)).sum()
    }

    /// The first of what is apart: by when it would be due at the ledger.
    pub(super) fn first_apart(&self) -> Option<WallTime> {
        self.first(BESIDE, &Queue::Apart).map(|(due, _)| due)
    }

    /// The first of what has ended, and by when it is forgotten.
    pub(super) fn first_ended(&self) -> Option<Place> {
        let (until, entry) = self.first(BESIDE, &Queue::Ended)?;
        Some((until, entry.timer.uid))
    }
}

/// Which timers have to be thought of for another reason than their time.
#[derive(Debug, Default)]
pub(super) struct Queues {
    /// What is due and waits for a free worker.
    pub(super) starved: Starved,
    /// Replicated timers whose newest revision the coordinator does not have.
    pub(super) unshipped: BTreeSet<Uid>,
    /// Timers of the lighter classes of which the coordinator has an older state: they were handed over once.
    pub(super) stale: BTreeSet<Uid>,
    /// Timers of the lighter classes that the coordinator may have beside what was handed over.
    pub(super) there: BTreeSet<Uid>,
    /// Timers that others have.
    pub(super) held: BTreeSet<Uid>,
}

/// For which handlers due timers wait: those of which somebody does, and no others.
#[derive(Debug, Default)]
pub(super) struct Starved {
    /// Handlers that may have a free worker: all that have one are among them.
    roomy: BTreeSet<HandlerName>,
    /// When to look whether others may run movable ones of a handler.
    looks: Agenda<BootTime, HandlerName>,
}

impl Starved {
    /// Nothing waits for this handler any more.
    pub(super) fn forget(&mut self, handler: &HandlerName) {
        self.roomy.remove(handler);
        self.looks.set(handler, None);
    }

    /// There may be a free worker of this handler now, and something waits for it.
    pub(super) fn note_room(&mut self, handler: &HandlerName) {
        if !self.roomy.contains(handler) {
            self.roomy.insert(handler.clone());
        }
    }

    /// There is none.
    pub(super) fn note_full(&mut self, handler: &HandlerName) {
        self.roomy.remove(handler);
    }

    /// Whether no handler that is waited for may have a free worker.
    pub(super) fn has_no_room(&self) -> bool {
        self.roomy.is_empty()
    }

    /// Handlers that are waited for and may have a free worker.
    pub(super) fn roomy(&self) -> impl Iterator<Item = &HandlerName> {
        self.roomy.iter().inspect(|_| steps::visit())
    }

    /// Something waits for this handler: others are to be looked for by then, if not before.
    pub(super) fn look_by(&mut self, handler: &HandlerName, at: BootTime) {
        let before = self.looks.time_of(handler);
        if before.is_none_or(|before| at < before) {
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

impl Base {
    /// There may be a free worker of this handler now.
    pub(super) fn note_room(&mut self, handler: &HandlerName) {
        if self.timers.starved(handler) > 0 {
            self.queues.starved.note_room(handler);
        }
    }

    /// Others are to be looked for by then, if not before, if something waits for this handler.
    pub(super) fn look_by(&mut self, handler: &HandlerName, at: BootTime) {
        if self.timers.starved(handler) > 0 {
            self.queues.starved.look_by(handler, at);
        }
    }
}
