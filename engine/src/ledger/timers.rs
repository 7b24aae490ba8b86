//! The timers of the ledger and the indexes over them; every change of a timer goes through here.

use super::{Entry, GONE_MAX, Gone, Held, Home, Ledger};
use crate::id::{NodeId, TimerId, TimerName, Uid};
use crate::planted::{self, Fault};
use crate::record::Key;
use crate::time::{LogIndex, WallTime};
use crate::timer::{Awaits, Phase, Timer};

impl Entry {
    pub(super) fn new(timer: Timer, changed: LogIndex, created: LogIndex) -> Self {
        Self {
            timer,
            changed,
            created,
            former: None,
            held: None,
            backlogged: false,
        }
    }

    /// In whose queue it waits to be pulled: a handed timer of an active home is the pool's for one run.
    fn queue(&self) -> Option<(Home, WallTime)> {
        let due = self
            .timer
            .due()
            .filter(|_| self.timer.is_movable() && !self.backlogged)?;
        match self.held {
            None => Some((self.timer.home.clone(), due)),
            // Of a claimed one only what may run beside that run is due.
            Some(Held::Handed | Held::Claimed) => Some((None, due)),
            Some(Held::Giving) => None,
        }
    }

    /// The sleeping home that has not heard of it, and when it is due there.
    fn unheard_by(&self) -> Option<(&NodeId, WallTime)> {
        let home = self.timer.home.as_ref()?;
        let waits = self.timer.awaits == Some(Awaits::Home);
        self.timer.due().filter(|_| waits).map(|due| (home, due))
    }

    /// The nodes that run something of it.
    fn run_by(&self) -> impl Iterator<Item = &NodeId> {
        self.timer
            .lines()
            .filter_map(Phase::running)
            .map(|(_, by)| by)
    }
}

impl Ledger {
    /// The timer of this name.
    #[must_use]
    pub fn named(&self, name: &TimerName) -> Option<&Entry> {
        self.entry(*self.names.get(name)?)
    }

    /// The timers that carry the name of a node.
    pub(super) fn named_after(&self, node: &NodeId) -> Vec<Uid> {
        let first = TimerName {
            pool: self.pool.clone(),
            node: Some(node.clone()),
            timer: TimerId::first(),
        };
        let names = self.names.range(first..);
        let own = names.take_while(|(name, _)| name.node.as_ref() == Some(node));
        own.map(|(_, uid)| *uid).collect()
    }

    pub(super) fn insert(&mut self, entry: Entry) {
        let uid = entry.timer.uid;
        if !self.turn.dirty.contains(&Key::Timer(uid)) && !self.timers.contains_key(&uid) {
            self.turn.fresh.insert(uid);
        }
        self.turn.dirty.insert(Key::Timer(uid));
        self.names.insert(entry.timer.name.clone(), uid);
        self.homes
            .entry(entry.timer.home.clone())
            .or_default()
            .insert(uid);
        self.timers.insert(uid, entry);
        self.enlist(uid);
    }

    /// Changes one timer and keeps every index over it right.
    pub(super) fn change<R>(
        &mut self,
        uid: Uid,
        change: impl FnOnce(&mut Entry) -> R,
    ) -> Option<R> {
        self.delist(uid);
        let entry = self.timers.get_mut(&uid)?;
        let home = entry.timer.home.clone();
        let result = change(entry);
        let noted = std::mem::take(&mut entry.timer.noted);
        let moved = (entry.timer.home != home).then(|| entry.timer.home.clone());
        if let Some(new) = moved {
            self.leave_home(&home, uid);
            self.homes.entry(new).or_default().insert(uid);
        }
        self.turn.dirty.insert(Key::Timer(uid));
        self.enlist(uid);
        for run in noted {
            self.note_run(uid, run);
        }
        Some(result)
    }

    /// Marks a timer as waiting for somebody who can run it, or not any more; nothing durable.
    pub(crate) fn set_backlogged(&mut self, uid: Uid, value: bool) {
        self.delist(uid);
        if let Some(entry) = self.timers.get_mut(&uid) {
            entry.backlogged = value;
        }
        self.enlist(uid);
    }

    /// Takes a timer out without a word to anybody.
    pub(super) fn remove(&mut self, uid: Uid) -> Option<Entry> {
        self.delist(uid);
        let entry = self.timers.remove(&uid)?;
        if self.names.get(&entry.timer.name) == Some(&uid) {
            self.names.remove(&entry.timer.name);
        }
        self.leave_home(&entry.timer.home, uid);
        if self.turn.fresh.remove(&uid) {
            self.turn.dirty.remove(&Key::Timer(uid));
        } else {
            self.turn.dirty.insert(Key::Timer(uid));
        }
        Some(entry)
    }

    /// Takes a timer out, and remembers that its home has to hear of it.
    pub(super) fn bury(&mut self, uid: Uid, at: LogIndex) {
        let Some(entry) = self.remove(uid) else {
            return;
        };
        self.note_removed(uid, entry.timer.name.clone());
        let home = entry.timer.home.or(entry.former);
        if let Some(home) = home.filter(|_| !planted::is(Fault::ForgetGone)) {
            if self.is_active(&home) {
                let ended = self.ended_elsewhere.entry(home.clone());
                ended.or_default().insert(uid);
            }
            self.gone.insert(uid, Gone { home, at });
            self.turn.dirty.insert(Key::Gone(uid));
            self.bound_gone();
        }
    }

    /// Nodes that left for ever are not waited for without bound.
    fn bound_gone(&mut self) {
        if self.gone.len() <= GONE_MAX {
            return;
        }
        let strange = |gone: &Gone| !self.nodes.contains_key(&gone.home);
        let first = self.gone.iter().find(|(_, gone)| strange(gone));
        if let Some(uid) = first.map(|(uid, _)| *uid) {
            self.gone.remove(&uid);
            self.turn.dirty.insert(Key::Gone(uid));
        }
    }

    /// Forgets timers that ended long enough ago; a home that has not heard of the end hears of that.
    pub(crate) fn prune(&mut self, now: WallTime) {
        self.prune_past(now);
        while let Some((until, uid)) = self.ended.first().copied() {
            if until > now {
                return;
            }
            self.note_farewell(uid, None, now);
            let entry = self.entry(uid);
            let home = entry.and_then(|it| it.timer.home.clone());
            // A home hears by itself of the end of what it has.
            let has = entry.is_some_and(|it| it.held.is_none());
            if has && home.is_some_and(|home| self.is_active(&home)) {
                if let Some(entry) = self.remove(uid) {
                    self.note_removed(uid, entry.timer.name);
                }
            } else {
                let at = self.stamp();
                self.bury(uid, at);
            }
        }
    }

    /// When [`Ledger::prune`] has something to do.
    #[must_use]
    pub fn prune_at(&self) -> Option<WallTime> {
        self.ended.first().map(|(until, _)| *until)
    }

    /// The timers of a home, in the order of their uids.
    pub(super) fn of_home(&self, home: &Home) -> Vec<Uid> {
        self.homes
            .get(home)
            .map(|uids| uids.iter().copied().collect())
            .unwrap_or_default()
    }

    fn leave_home(&mut self, home: &Home, uid: Uid) {
        if let Some(uids) = self.homes.get_mut(home) {
            uids.remove(&uid);
            if uids.is_empty() {
                self.homes.remove(home);
            }
        }
    }

    fn given_to(entry: &Entry) -> Option<&NodeId> {
        entry
            .timer
            .home
            .as_ref()
            .filter(|_| entry.held == Some(Held::Giving))
    }

    pub(super) fn enlist(&mut self, uid: Uid) {
        let Some(entry) = self.timers.get(&uid) else {
            return;
        };
        if let Some((home, due)) = entry.queue() {
            self.turn.touched.insert(home.clone());
            self.queues.entry(home).or_default().insert((due, uid));
        }
        for node in entry.run_by() {
            self.claims.entry(node.clone()).or_default().insert(uid);
        }
        if let Some(node) = Self::given_to(entry) {
            self.giving.entry(node.clone()).or_default().insert(uid);
        }
        if let Some((node, due)) = entry.unheard_by() {
            self.unheard
                .entry(node.clone())
                .or_default()
                .insert((due, uid));
        }
        if let Some(until) = entry.timer.kept_until() {
            self.ended.insert((until, uid));
        }
    }

    fn delist(&mut self, uid: Uid) {
        let Some(entry) = self.timers.get(&uid) else {
            return;
        };
        if let Some((home, due)) = entry.queue() {
            if let Some(queue) = self.queues.get_mut(&home) {
                queue.remove(&(due, uid));
                if queue.is_empty() {
                    self.queues.remove(&home);
                }
            }
            self.turn.touched.insert(home);
        }
        for node in entry.run_by() {
            if let Some(uids) = self.claims.get_mut(node) {
                uids.remove(&uid);
            }
        }
        if let Some(node) = Self::given_to(entry)
            && let Some(uids) = self.giving.get_mut(node)
        {
            uids.remove(&uid);
        }
        if let Some((node, due)) = entry.unheard_by()
            && let Some(timers) = self.unheard.get_mut(node)
        {
            timers.remove(&(due, uid));
        }
        if let Some(until) = entry.timer.kept_until() {
            self.ended.remove(&(until, uid));
        }
    }
}
