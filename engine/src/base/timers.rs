//! The timers of a base and the queues over them; every change of a timer goes through here.

use super::queues::{Sort, Standing};
use super::starved::STARVE_MAX;
use super::{Base, Entry, Known, Stance};
use crate::id::Uid;
use crate::ledger::Sum;
use crate::record::{Key, Record};
use crate::time::{Millis, Now, WallTime};
use crate::timer::{Durability, Effort, Timer};
use serde::Serialize;

impl Entry {
    pub(super) fn new(timer: Timer, shipped: u64) -> Self {
        Self {
            timer,
            shipped,
            offered: false,
            held: false,
            staged: None,
            run: None,
            starved: None,
        }
    }

    /// What is to be in the journal beside the timer.
    fn known(&self) -> Known {
        Known {
            shipped: self.shipped,
            offered: self.offered,
            held: self.held,
        }
    }

    fn is_unshipped(&self) -> bool {
        self.timer.spec.durability.is_replicated() && self.shipped < self.timer.revision
    }

    /// Whether it is this node's alone while the node is active, and may be handed over.
    pub(super) fn is_light(&self) -> bool {
        self.timer.is_light()
    }

    /// Whether the coordinator has an older state of it: of a lighter timer, that was handed over once.
    fn is_stale_there(&self) -> bool {
        let light = !self.timer.spec.durability.is_replicated();
        light && self.shipped > 0 && self.shipped < self.timer.revision
    }

    /// Whether it is over and only this node has it: a lighter timer without a deadline is not handed over.
    pub(super) fn stays_behind(&self) -> bool {
        let lighter = !self.timer.spec.durability.is_replicated();
        lighter && self.shipped == 0 && !self.held && self.timer.is_over()
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

    /// When it would be due at the ledger, if it is movable and due or running here: then it is in no queue by that.
    fn apart(&self) -> Option<WallTime> {
        let apart = self.starved.is_some() || self.run.is_some();
        let apart = apart && self.timer.is_movable() && !self.held;
        self.timer.due().filter(|_| apart)
    }
}

impl Base {
    /// Whether a change of it is done only when the coordinator has it: a lighter timer that is still in the
    /// ledger could be run from there.
    pub(super) fn is_committed(&self, entry: &Entry) -> bool {
        let durability = entry.timer.spec.durability;
        let light = !durability.is_replicated();
        durability == Durability::Replicated || light && self.is_there(entry)
    }

    /// Whether the coordinator may have heard of it, were it only in a stage.
    pub(super) fn is_told(&self, entry: &Entry) -> bool {
        self.is_there(entry) || self.handover.has(entry)
    }

    /// Whether it may begin only once, and the coordinator, which knows it, has to write that down first.
    pub(super) fn must_be_claimed(&self, entry: &Entry) -> bool {
        let once = entry.timer.spec.policy.effort == Effort::AtMostOnce;
        once && entry.timer.is_movable() && self.is_there(entry)
    }

    pub(super) fn insert(&mut self, mut entry: Entry) {
        let uid = entry.timer.uid;
        self.interner.share(&mut entry.timer);
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
        let in_stage = self.meta.stage != 0;
        let result = self.adjust(uid, |entry| {
            let before = entry.timer.revision;
            let in_stage = in_stage && entry.is_light() && !entry.timer.is_over();
            let result = change(entry);
            // The ledger has it as it was handed over. If the node loses its timers before the ledger has let go of
            // them, it has to tell what it changed since.
            if in_stage && entry.shipped == 0 && entry.timer.revision > before {
                entry.shipped = before;
            }
            result
        });
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
        let result = self.timers.get_mut(&uid).map(|entry| {
            self.interner
                .share_again(entry, |entry| &mut entry.timer, change)
        });
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
        if entry.is_stale_there() {
            self.queues.stale.insert(uid);
        }
        let replicated = entry.timer.spec.durability.is_replicated();
        if !replicated && (entry.shipped > 0 || entry.offered) {
            self.queues.there.insert(uid);
        }
        if entry.held {
            self.queues.held.insert(uid);
        } else if Sum::counts(&entry.timer) {
            self.sum = self.sum.with(Sum::of(&entry.timer));
        }
        self.handover.enlist(entry);
        if let Some(until) = entry.timer.kept_until().filter(|_| !entry.is_unshipped()) {
            self.queues.ended.insert((until, uid));
        }
        if let Some(due) = entry.apart() {
            self.queues.apart.insert((due, uid));
        }
        let Some(due) = entry.due() else {
            return;
        };
        let (sort, handler) = (entry.sort(), &entry.timer.spec.handler);
        let Some(since) = entry.starved else {
            return self.queues.due.insert(sort, handler, (due, uid));
        };
        // Nobody has to be waited for if nobody is here, or if it is the coordinator who lets it begin.
        let claimed = self.stands(sort) == Standing::Claimed;
        let patient = self.runs.places().contains_key(handler) && !claimed;
        let starved = &mut self.queues.starved;
        starved.lines.insert(sort, handler, (due, uid));
        if self.runs.is_free(handler) {
            starved.note_room(handler);
        }
        let wait = if patient { STARVE_MAX } else { Millis(0) };
        if sort != Sort::Pinned {
            starved.look_by(handler, since + wait);
        }
    }

    fn delist(&mut self, uid: Uid) {
        let Some(entry) = self.timers.get(&uid) else {
            return;
        };
        self.queues.unshipped.remove(&uid);
        self.queues.stale.remove(&uid);
        self.queues.there.remove(&uid);
        self.queues.held.remove(&uid);
        if !entry.held && Sum::counts(&entry.timer) {
            self.sum = self.sum.without(Sum::of(&entry.timer));
        }
        self.handover.delist(uid);
        if let Some(until) = entry.timer.kept_until() {
            self.queues.ended.remove(&(until, uid));
        }
        if let Some(due) = entry.apart() {
            self.queues.apart.remove(&(due, uid));
        }
        if let Some(due) = entry.due() {
            let (sort, handler) = (entry.sort(), &entry.timer.spec.handler);
            match entry.starved {
                Some(_) => self.queues.starved.remove(sort, handler, (due, uid)),
                None => self.queues.due.remove(sort, handler, (due, uid)),
            }
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
        let alone = !self.is_there(entry) && !self.meta.handed_over;
        !entry.held && (alone || self.stance == Stance::Active)
    }

    /// The earliest movable deadline that the ledger would compute for this node, knowing what it knows.
    pub(super) fn first_movable(&self) -> Option<WallTime> {
        let apart = self.queues.apart.first().map(|(due, _)| *due);
        let queued = Sort::movable().filter_map(|sort| self.queues.due.first(sort));
        queued.chain(apart).min()
    }

    /// When the node wakes by itself.
    pub(super) fn first_pinned(&self) -> Option<WallTime> {
        self.queues.due.first(Sort::Pinned)
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
            Key::Timer(uid) => match self.timers.get(uid) {
                Some(entry) => Record::put_timer(&entry.timer, &self.config.pool, &entry.known()),
                None => Record::delete(key),
            },
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
