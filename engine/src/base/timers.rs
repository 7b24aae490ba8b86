//! The timers of a base and the queues over them; every change of a timer goes through here.

use super::{Base, Entry, Stance, Starving};
use crate::id::Uid;
use crate::record::{Key, Record};
use crate::time::{Now, WallTime};
use crate::timer::{Durability, Effort, Timer};
use serde::Serialize;

impl Entry {
    pub(super) fn new(timer: Timer, shipped: u64) -> Self {
        Self {
            timer,
            shipped,
            offered: false,
            held: false,
            run: None,
            starved: None,
        }
    }

    fn is_unshipped(&self) -> bool {
        self.timer.spec.durability.is_replicated() && self.shipped < self.timer.revision
    }

    /// Whether a change of it is done only when the coordinator has it: a lighter timer that is still in the
    /// ledger could be run from there.
    pub(super) fn is_committed(&self) -> bool {
        let durability = self.timer.spec.durability;
        durability == Durability::Replicated || !durability.is_replicated() && self.shipped > 0
    }

    /// Whether it is over and only this node has it: a lighter timer without a deadline is not handed over.
    pub(super) fn stays_behind(&self) -> bool {
        let lighter = !self.timer.spec.durability.is_replicated();
        lighter && self.shipped == 0 && !self.held && self.timer.is_over()
    }

    fn starving(&self) -> Starving {
        Starving {
            handler: self.timer.spec.handler.clone(),
            movable: self.timer.is_movable(),
            claimed: self.must_be_claimed(),
        }
    }

    /// Whether the coordinator may have heard of it.
    pub(super) fn is_told(&self) -> bool {
        self.shipped > 0 || self.offered
    }

    /// Whether it may begin only once, and the coordinator, which knows it, has to write that down first.
    pub(super) fn must_be_claimed(&self) -> bool {
        let once = self.timer.spec.policy.effort == Effort::AtMostOnce;
        once && self.timer.is_movable() && self.is_told()
    }

    /// The occurrence in flight here whose start is not written down.
    pub(super) fn flying(&self) -> Option<WallTime> {
        self.run.map(|(nominal, _)| nominal)
    }

    /// When something of it is due here; none if nothing is, or it is somebody else's to run.
    fn due(&self) -> Option<WallTime> {
        let due = self.timer.due_while(self.flying());
        due.filter(|_| !self.held)
    }
}

impl Base {
    pub(super) fn insert(&mut self, entry: Entry) {
        let uid = entry.timer.uid;
        self.delist(uid);
        self.names.insert(entry.timer.name.clone(), uid);
        self.timers.insert(uid, entry);
        self.enlist(uid);
        self.touch(uid);
    }

    /// Changes one timer and keeps every queue right.
    pub(super) fn change<R>(
        &mut self,
        uid: Uid,
        change: impl FnOnce(&mut Entry) -> R,
    ) -> Option<R> {
        let result = self.adjust(uid, change);
        self.touch(uid);
        self.note_runs(uid);
        result
    }

    /// Changes what is not stored of a timer, and keeps every queue right.
    pub(super) fn adjust<R>(
        &mut self,
        uid: Uid,
        change: impl FnOnce(&mut Entry) -> R,
    ) -> Option<R> {
        self.delist(uid);
        let result = self.timers.get_mut(&uid).map(change);
        self.enlist(uid);
        result
    }

    pub(super) fn remove(&mut self, uid: Uid) -> Option<Entry> {
        self.delist(uid);
        let entry = self.timers.remove(&uid)?;
        if self.names.get(&entry.timer.name) == Some(&uid) {
            self.names.remove(&entry.timer.name);
        }
        if entry.timer.spec.durability.is_journalled() {
            self.dirty.insert(Key::Timer(uid));
        }
        Some(entry)
    }

    fn touch(&mut self, uid: Uid) {
        self.feed.changed(uid);
        let journalled = |entry: &Entry| entry.timer.spec.durability.is_journalled();
        if self.timers.get(&uid).is_some_and(journalled) {
            self.dirty.insert(Key::Timer(uid));
        }
    }

    pub(super) fn enlist(&mut self, uid: Uid) {
        let Some(entry) = self.timers.get(&uid) else {
            return;
        };
        if entry.is_unshipped() {
            self.queues.unshipped.insert(uid);
        }
        if let Some(until) = entry.timer.kept_until().filter(|_| !entry.is_unshipped()) {
            self.queues.ended.insert((until, uid));
        }
        let Some(due) = entry.due() else {
            return;
        };
        let queue = match (entry.starved.is_some(), entry.timer.is_movable()) {
            (true, _) => self.queues.starved.entry(entry.starving()).or_default(),
            (false, true) => &mut self.queues.movable,
            (false, false) => &mut self.queues.pinned,
        };
        queue.insert((due, uid));
    }

    fn delist(&mut self, uid: Uid) {
        let Some(entry) = self.timers.get(&uid) else {
            return;
        };
        self.queues.unshipped.remove(&uid);
        if let Some(until) = entry.timer.kept_until() {
            self.queues.ended.remove(&(until, uid));
        }
        if let Some(due) = entry.due() {
            let starving = entry.starving();
            if let Some(queue) = self.queues.starved.get_mut(&starving) {
                queue.remove(&(due, uid));
                if queue.is_empty() {
                    self.queues.starved.remove(&starving);
                }
            }
            self.queues.movable.remove(&(due, uid));
            self.queues.pinned.remove(&(due, uid));
        }
    }

    /// Forgets timers that ended long enough ago and that the coordinator knows to have ended.
    pub(super) fn prune(&mut self, now: Now) {
        let clock = self.clock.read(now);
        self.history.prune(clock);
        self.departed.prune(clock);
        while let Some((until, uid)) = self.queues.ended.first().copied() {
            if until > clock {
                return;
            }
            self.bid_farewell(uid, None, clock);
            self.remove(uid);
        }
    }

    /// The node owns this timer: it may change it, and fire it when its stance allows.
    pub(super) fn owns(&self, entry: &Entry) -> bool {
        if !entry.timer.is_movable() {
            return true;
        }
        let alone = entry.shipped == 0 && !entry.offered && !self.meta.handed_over;
        !entry.held && (alone || self.stance == Stance::Active)
    }

    /// The earliest movable deadline that the ledger would compute for this node, knowing what it knows.
    pub(super) fn first_movable(&self) -> Option<WallTime> {
        let flying = self.runs.own_uids().filter_map(|uid| self.timers.get(&uid));
        let starved = self.queues.starved.values().flatten();
        let starved = starved.filter_map(|(_, uid)| self.timers.get(uid));
        let apart = flying
            .chain(starved)
            .filter(|entry| entry.timer.is_movable() && !entry.held);
        let queued = self.queues.movable.first().map(|(due, _)| *due);
        apart
            .filter_map(|entry| entry.timer.due())
            .chain(queued)
            .min()
    }

    /// When the node wakes by itself.
    pub(super) fn first_pinned(&self) -> Option<WallTime> {
        self.queues.pinned.first().map(|(due, _)| *due)
    }

    pub(super) fn take_records(&mut self) -> Vec<Record> {
        if let Some(ceiling) = self.tokens.reserve(self.meta.token_ceiling) {
            self.meta.token_ceiling = ceiling;
            self.dirty.insert(Key::Meta);
        }
        let mut dirty = std::mem::take(&mut self.dirty);
        dirty.extend(self.past_to_store());
        dirty.iter().map(|key| self.record(key)).collect()
    }

    fn record(&self, key: &Key) -> Record {
        fn stored<T: Serialize>(key: &Key, value: Option<&T>) -> Record {
            value.map_or_else(|| Record::delete(key), |value| Record::put(key, value))
        }
        match key {
            Key::Timer(uid) => stored(key, self.timers.get(uid)),
            Key::Gone(uid) => stored(key, self.gone.get(uid).map(|_| &())),
            Key::Run(uid, run) => stored(key, self.history.kept(*uid, *run).as_ref()),
            Key::Farewell(uid) => stored(key, self.departed.get(*uid)),
            Key::Meta | Key::Node(_) | Key::Pending(_) => Record::put(&Key::Meta, &self.meta),
        }
    }

    pub(super) fn change_meta(&mut self, change: impl FnOnce(&mut super::Meta)) {
        let before = self.meta.clone();
        change(&mut self.meta);
        if self.meta != before {
            self.dirty.insert(Key::Meta);
        }
    }
}
