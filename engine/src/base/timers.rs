//! The timers of a base and the queues over them; every change of a timer goes through here.

use super::handover::Handover;
use super::passing::Passing;
use super::queues::{Sort, Standing};
use super::starved::STARVE_MAX;
use super::{Base, Entry, Known, Stance};
use crate::id::Uid;
use crate::intern::Interner;
use crate::ledger::Sum;
use crate::record::{Key, Record};
use crate::time::{BootTime, Millis, Now, WallTime};
use crate::timer::{Durability, Effort, HandlerName, Timer};
use serde::Serialize;

/// What an entry is beside its times: in which sets it stands, and its part of the sum.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Roles {
    unshipped: bool,
    stale: bool,
    there: bool,
    held: bool,
    sum: Option<Sum>,
}

/// What has to be known of an entry before and after a change.
#[derive(Debug, Default)]
struct Facts {
    roles: Roles,
    starves: Option<(Sort, HandlerName, BootTime)>,
}

struct Changed<R> {
    result: R,
    before: Facts,
    after: Facts,
}

impl Entry {
    pub(super) fn new(timer: Timer, shipped: u64) -> Self {
        Self {
            timer,
            shipped,
            offered: false,
            held: false,
            passing: Passing::default(),
        }
    }

    /// Makes a change, shares what the changed timer has of its own since, and tells an attempt to sleep of it.
    fn change<R>(
        &mut self,
        (interner, handover): (&mut Interner, &mut Handover),
        change: impl FnOnce(&mut Self) -> R,
    ) -> Changed<R> {
        let before = self.facts();
        handover.delist(self.timer.uid);
        let result = interner.share_again(self, |entry| &mut entry.timer, change);
        self.passing.tidy();
        handover.enlist(self);
        Changed {
            result,
            before,
            after: self.facts(),
        }
    }

    fn facts(&self) -> Facts {
        Facts {
            roles: self.roles(),
            starves: self.starves(),
        }
    }

    /// For whom it waits, if it is due and waits for a worker, and since when.
    fn starves(&self) -> Option<(Sort, HandlerName, BootTime)> {
        let since = self.starved?;
        let handler = &self.timer.spec.handler;
        self.due().map(|_| (self.sort(), handler.clone(), since))
    }

    /// What it is beside its times.
    fn roles(&self) -> Roles {
        let replicated = self.timer.spec.durability.is_replicated();
        let counts = !self.held && Sum::counts(&self.timer);
        Roles {
            unshipped: self.is_unshipped(),
            stale: self.is_stale_there(),
            there: !replicated && (self.shipped > 0 || self.offered),
            held: self.held,
            sum: counts.then(|| Sum::of(&self.timer)),
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

    pub(super) fn is_unshipped(&self) -> bool {
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
    pub(super) fn due(&self) -> Option<WallTime> {
        (!self.held).then(|| self.timer.due_while(self.flying()))?
    }

    /// When it would be due at the ledger, if it is movable and due or running here: then it is in no queue by that.
    pub(super) fn apart(&self) -> Option<WallTime> {
        let apart = self.starved.is_some() || self.run.is_some();
        let apart = apart && self.timer.is_movable() && !self.held;
        apart.then(|| self.timer.due())?
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
        self.handover.delist(uid);
        self.handover.enlist(&entry);
        let after = entry.facts();
        let replaced = self.timers.insert(entry);
        let before = replaced.as_ref().map(Entry::facts).unwrap_or_default();
        self.note_facts(uid, before, after);
        self.feed.changed(uid);
    }

    /// Takes in what is in the journal already.
    pub(super) fn restore_timer(&mut self, mut entry: Entry) {
        let uid = entry.timer.uid;
        self.interner.share(&mut entry.timer);
        let after = entry.facts();
        self.timers.restore(entry);
        self.note_facts(uid, Facts::default(), after);
    }

    /// Changes one timer and keeps every queue right.
    pub(super) fn change<R>(
        &mut self,
        uid: Uid,
        change: impl FnOnce(&mut Entry) -> R,
    ) -> Option<R> {
        let in_stage = self.meta.stage != 0;
        let change = |entry: &mut Entry| {
            let before = entry.timer.revision;
            let in_stage = in_stage && entry.is_light() && !entry.timer.is_over();
            let result = change(entry);
            // The ledger has it as it was handed over. If the node loses its timers before the ledger has let go of
            // them, it has to tell what it changed since.
            if in_stage && entry.shipped == 0 && entry.timer.revision > before {
                entry.shipped = before;
            }
            (result, entry.timer.take_noted())
        };
        let (interner, handover) = (&mut self.interner, &mut self.handover);
        let changed = self
            .timers
            .change(uid, |entry| entry.change((interner, handover), change));
        let result = changed.map(|changed| self.note_changed(uid, changed));
        self.feed.changed(uid);
        let (result, noted) = result?;
        self.note_runs(uid, noted);
        Some(result)
    }

    /// Changes what is not stored of a timer, and keeps every queue right.
    pub(super) fn adjust<R>(
        &mut self,
        uid: Uid,
        change: impl FnOnce(&mut Entry) -> R,
    ) -> Option<R> {
        let (interner, handover) = (&mut self.interner, &mut self.handover);
        let changed = self
            .timers
            .adjust(uid, |entry| entry.change((interner, handover), change))?;
        Some(self.note_changed(uid, changed))
    }

    pub(super) fn remove(&mut self, uid: Uid) -> Option<Entry> {
        let entry = self.timers.remove(uid)?;
        self.handover.delist(uid);
        self.note_facts(uid, entry.facts(), Facts::default());
        Some(entry)
    }

    fn note_changed<R>(&mut self, uid: Uid, changed: Changed<R>) -> R {
        self.note_facts(uid, changed.before, changed.after);
        changed.result
    }

    /// An entry is in its place, or gone.
    fn note_facts(&mut self, uid: Uid, before: Facts, after: Facts) {
        self.note_roles(uid, before.roles, after.roles);
        if let Some((_, handler, _)) = &before.starves {
            let others = self.timers.starved(handler);
            let still = after
                .starves
                .as_ref()
                .is_some_and(|(_, it, _)| it == handler);
            if others == usize::from(still) {
                self.queues.starved.forget(handler);
            }
        }
        let Some((sort, handler, since)) = after.starves else {
            return;
        };
        // Nobody has to be waited for if nobody is here, or if it is the coordinator who lets it begin.
        let claimed = self.stands(sort) == Standing::Claimed;
        let patient = self.runs.places().contains_key(&handler) && !claimed;
        let starved = &mut self.queues.starved;
        if self.runs.is_free(&handler) {
            starved.note_room(&handler);
        }
        let wait = if patient { STARVE_MAX } else { Millis(0) };
        if sort != Sort::Pinned {
            starved.look_by(&handler, since + wait);
        }
    }

    /// Most timers are nothing of this, neither before nor after a change: that costs nothing.
    fn note_roles(&mut self, uid: Uid, before: Roles, after: Roles) {
        if before == after {
            return;
        }
        let queues = &mut self.queues;
        let sets = [
            (&mut queues.unshipped, before.unshipped, after.unshipped),
            (&mut queues.stale, before.stale, after.stale),
            (&mut queues.there, before.there, after.there),
            (&mut queues.held, before.held, after.held),
        ];
        for (set, before, after) in sets {
            match (before, after) {
                (false, true) => drop(set.insert(uid)),
                (true, false) => drop(set.remove(&uid)),
                (false, false) | (true, true) => {}
            }
        }
        if let Some(sum) = before.sum {
            self.sum = self.sum.without(sum);
        }
        if let Some(sum) = after.sum {
            self.sum = self.sum.with(sum);
        }
    }

    /// Forgets timers that ended long enough ago and that the coordinator knows to have ended.
    pub(super) fn prune(&mut self, now: Now) {
        let clock = self.clock.read(now);
        self.history.prune(clock);
        self.departed.prune(clock);
        while let Some((until, uid)) = self.timers.first_ended() {
            if until > clock {
                return;
            }
            self.take_out(uid, None, clock);
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
        let queued = Sort::movable().filter_map(|sort| self.timers.first_due(sort));
        queued.chain(self.timers.first_apart()).min()
    }

    /// When the node wakes by itself.
    pub(super) fn first_pinned(&self) -> Option<WallTime> {
        self.timers.first_due(Sort::Pinned)
    }

    pub(super) fn take_records(&mut self) -> Vec<Record> {
        if let Some(ceiling) = self.tokens.reserve(self.meta.token_ceiling) {
            self.meta.token_ceiling = ceiling;
            self.dirty.insert(Key::Meta);
        }
        // Most turns of a busy node are about what is not stored: these make no lists.
        let past = self.history.is_dirty() || self.departed.is_dirty();
        if !self.timers.has_changed() && self.dirty.is_empty() && !past {
            return Vec::new();
        }
        let timers = self.timers.take_changed().into_iter().map(Key::Timer);
        let mut keys: Vec<Key> = timers.collect();
        keys.extend(std::mem::take(&mut self.dirty));
        keys.extend(self.past_to_store());
        keys.sort_unstable();
        keys.iter().map(|key| self.record(key)).collect()
    }

    fn record(&self, key: &Key) -> Record {
        fn stored<T: Serialize>(key: &Key, value: Option<&T>) -> Record {
            value.map_or_else(|| Record::delete(key), |value| Record::put(key, value))
        }
        match key {
            Key::Timer(uid) => match self.timers.get(*uid) {
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
