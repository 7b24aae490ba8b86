//! The timers of the ledger and the indexes over them; every change of a timer goes through here.

use super::claims::NEVER;
use super::stage::Holding;
use super::sum::Sum;
use super::{Entry, Held, Home, Known, Ledger};
use crate::id::{NodeId, Token, Uid};
use crate::record::Key;
use crate::time::{LogIndex, WallTime};
use crate::timer::{Awaits, Phase, Timer};
use std::collections::{BTreeMap, BTreeSet};

/// Where a timer is listed: its home, and the number of the stage if it was handed over in one.
pub(super) type Place = (Home, Option<u64>);

impl Entry {
    pub(super) fn new(timer: Timer, changed: LogIndex, created: LogIndex) -> Self {
        Self {
            timer,
            changed,
            created,
            former: None,
            held: None,
            stage: None,
            backlogged: false,
        }
    }

    pub(super) fn recovered(timer: Timer, known: Known) -> Self {
        match known {
            Known::Made(at) => Self::new(timer, at, at),
            Known::Brought(at) => Self::new(timer, LogIndex(0), at),
            Known::Staged(at, attempt) => Self {
                stage: Some(attempt),
                ..Self::new(timer, LogIndex(0), at)
            },
            Known::Other {
                changed,
                created,
                former,
                held,
                stage,
            } => Self {
                former,
                held,
                stage,
                ..Self::new(timer, changed, created)
            },
        }
    }

    /// What is to be in the journal beside the timer.
    pub(super) fn known(&self) -> Known {
        let (changed, created) = (self.changed, self.created);
        match (&self.former, self.held, self.stage) {
            (None, None, None) if changed == created => Known::Made(created),
            (None, None, None) if changed == LogIndex(0) => Known::Brought(created),
            (None, None, Some(attempt)) if changed == LogIndex(0) => {
                Known::Staged(created, attempt)
            }
            (former, held, stage) => Known::Other {
                changed,
                created,
                former: former.clone(),
                held,
                stage,
            },
        }
    }

    /// Where it is listed: with its home, and there in a stage if it belongs to one.
    pub(super) fn place(&self) -> Place {
        (self.timer.home.clone(), self.stage)
    }

    /// When there was last something of it that its home had not told itself.
    fn news(&self) -> LogIndex {
        self.changed.max(self.created)
    }

    /// Whether home and ledger compare it.
    fn in_sum(&self) -> bool {
        self.held.is_none() && Sum::counts(&self.timer)
    }

    /// Where it waits to be pulled: a handed timer of an active home is the pool's for one run.
    fn queue(&self) -> Option<(Place, WallTime)> {
        let due = self
            .timer
            .due()
            .filter(|_| self.timer.is_movable() && !self.backlogged)?;
        match self.held {
            None => Some((self.place(), due)),
            // Of a claimed one only what may run beside that run is due.
            Some(Held::Handed | Held::Claimed) => Some(((None, None), due)),
            Some(Held::Giving) => None,
        }
    }

    /// The home that has to look at it when it moves: others have it, or a run of it is in flight, or it is
    /// unreplicated and not a part of a stage.
    fn watched_by(&self) -> Option<&NodeId> {
        let home = self.timer.home.as_ref()?;
        let light = !self.timer.spec.durability.is_replicated() && self.stage.is_none();
        let told = self.timer.awaits.is_some();
        let apart = self.held.is_some() || self.timer.is_running() || light || told;
        apart.then_some(home)
    }

    /// The node after which it is named, if it is the pool's.
    fn orphan_of(&self) -> Option<&NodeId> {
        let pools = self.timer.home.is_none();
        self.timer.name.node.as_ref().filter(|_| pools)
    }

    /// The sleeping home that has not heard of it, and when it is due there.
    fn unheard_by(&self) -> Option<(&NodeId, WallTime)> {
        let home = self.timer.home.as_ref()?;
        let waits = self.timer.awaits == Some(Awaits::Home);
        self.timer.due().filter(|_| waits).map(|due| (home, due))
    }

    /// The nodes that run something of it, and the tokens they do it under.
    pub(super) fn run_by(&self) -> impl Iterator<Item = (Token, &NodeId)> {
        self.timer.lines().filter_map(Phase::running)
    }

    /// The home that is to own it again, and when it is due there.
    fn given_to(&self) -> Option<(&NodeId, WallTime)> {
        let home = self.timer.home.as_ref()?;
        let due = self.timer.due().unwrap_or(NEVER);
        (self.held == Some(Held::Giving)).then_some((home, due))
    }
}

impl Ledger {
    /// Puts a timer into its place; one of the same identity leaves its own first.
    pub(super) fn insert(&mut self, mut entry: Entry) {
        let uid = entry.timer.uid;
        self.interner.share(&mut entry.timer);
        if !self.turn.dirty.contains(&Key::Timer(uid)) && !self.timers.contains_key(&uid) {
            self.turn.fresh.insert(uid);
        }
        self.turn.dirty.insert(Key::Timer(uid));
        if self.timers.contains_key(&uid) {
            self.move_out(uid);
        }
        self.timers.insert(uid, entry);
        self.settle_in(uid);
    }

    /// Changes one timer and keeps every index over it right.
    pub(super) fn change<R>(
        &mut self,
        uid: Uid,
        change: impl FnOnce(&mut Entry) -> R,
    ) -> Option<R> {
        let place = self.timers.get(&uid)?.place();
        self.delist(uid);
        let entry = self.timers.get_mut(&uid)?;
        let result = self
            .interner
            .share_again(entry, |entry| &mut entry.timer, change);
        let noted = entry.timer.take_noted();
        let name = (entry.place() != place).then(|| entry.timer.name.clone());
        if let Some(name) = name {
            self.forget_name(&place, &name, uid);
            self.learn_name(uid);
        }
        self.turn.dirty.insert(Key::Timer(uid));
        self.enlist(uid);
        for run in noted {
            self.note_run(uid, run);
        }
        Some(result)
    }

    /// Takes a timer out without a word to anybody.
    pub(super) fn remove(&mut self, uid: Uid) -> Option<Entry> {
        self.move_out(uid);
        let entry = self.timers.remove(&uid)?;
        if self.turn.fresh.remove(&uid) {
            self.turn.dirty.remove(&Key::Timer(uid));
        } else {
            self.turn.dirty.insert(Key::Timer(uid));
        }
        Some(entry)
    }

    /// Puts a timer that is in the slab into every index.
    pub(super) fn settle_in(&mut self, uid: Uid) {
        self.learn_name(uid);
        self.enlist(uid);
    }

    fn move_out(&mut self, uid: Uid) {
        self.delist(uid);
        if let Some(entry) = self.timers.get(&uid) {
            let (place, name) = (entry.place(), entry.timer.name.clone());
            self.forget_name(&place, &name, uid);
        }
    }

    /// Where a timer of this place is looked for.
    fn holding_of(&mut self, place: &Place) -> Option<&mut Holding> {
        match place {
            (home, None) => Some(self.homes.entry(home.clone()).or_default()),
            (home, Some(attempt)) => {
                let stage = self.stages.of_mut(home.as_ref(), *attempt)?;
                Some(&mut stage.holding)
            }
        }
    }

    fn drop_if_empty(&mut self, place: &Place) {
        if let (home, None) = place
            && self.homes.get(home).is_some_and(Holding::is_empty)
        {
            self.homes.remove(home);
        }
    }

    pub(super) fn enlist(&mut self, uid: Uid) {
        let Some(entry) = self.timers.get(&uid) else {
            return;
        };
        let (place, news, due) = (entry.place(), entry.news(), entry.queue());
        let sum = entry.in_sum().then(|| Sum::of(&entry.timer));
        if let Some(holding) = self.holding_of(&place) {
            holding.news.insert((news, uid));
            holding.sum = sum.map_or(holding.sum, |sum| holding.sum.with(sum));
        }
        if let Some((queue, due)) = due
            && let Some(holding) = self.holding_of(&queue)
        {
            holding.queue.insert((due, uid));
            self.touch(queue.0);
        }
        self.enlist_runs(uid);
    }

    pub(super) fn delist(&mut self, uid: Uid) {
        let Some(entry) = self.timers.get(&uid) else {
            return;
        };
        let (place, news, due) = (entry.place(), entry.news(), entry.queue());
        let sum = entry.in_sum().then(|| Sum::of(&entry.timer));
        if let Some((queue, due)) = due
            && let Some(holding) = self.holding_of(&queue)
        {
            holding.queue.remove(&(due, uid));
            self.drop_if_empty(&queue);
            self.touch(queue.0);
        }
        if let Some(holding) = self.holding_of(&place) {
            holding.news.remove(&(news, uid));
            holding.sum = sum.map_or(holding.sum, |sum| holding.sum.without(sum));
        }
        self.drop_if_empty(&place);
        self.delist_runs(uid);
    }

    /// The first deadline of a home may have changed; what a leaver has not given up yet is the pool's.
    fn touch(&mut self, home: Home) {
        if home
            .as_ref()
            .is_some_and(|it| self.leaving.contains_key(it))
        {
            self.turn.touched.insert(None);
        }
        self.turn.touched.insert(home);
    }

    /// The indexes of what few timers have: a run, somebody who has to hear of it, an end.
    fn enlist_runs(&mut self, uid: Uid) {
        let Some(entry) = self.timers.get(&uid) else {
            return;
        };
        for (token, node) in entry.run_by() {
            let claims = self.claims.entry(node.clone()).or_default();
            claims.insert(token, uid);
        }
        for node in entry.takes_places_of() {
            self.places.take(node, &entry.timer.spec.handler);
        }
        if let Some((want, due)) = entry.waits_for() {
            self.backlog.insert(want, (due, uid));
        }
        if let Some(home) = entry.watched_by() {
            self.apart.entry(home.clone()).or_default().insert(uid);
        }
        if let Some(node) = entry.orphan_of() {
            self.orphans.entry(node.clone()).or_default().insert(uid);
        }
        if let Some((node, due)) = entry.given_to() {
            let giving = self.giving.entry(node.clone()).or_default();
            giving.insert((due, uid));
            self.turn.given.insert((node.clone(), uid));
        }
        if let Some((node, due)) = entry.unheard_by() {
            self.unheard
                .entry(node.clone())
                .or_default()
                .insert((due, uid));
            self.turn.nodes.insert(node.clone());
        }
        self.ended.insert(entry);
    }

    pub(super) fn delist_runs(&mut self, uid: Uid) {
        let Some(entry) = self.timers.get(&uid) else {
            return;
        };
        for (token, node) in entry.run_by() {
            if let Some(claims) = self.claims.get_mut(node) {
                claims.remove(&token);
            }
        }
        for node in entry.takes_places_of() {
            self.places.free(node, &entry.timer.spec.handler);
        }
        if let Some((want, due)) = entry.waits_for() {
            self.backlog.remove(want, (due, uid));
        }
        if let Some(home) = entry.watched_by() {
            take_from(&mut self.apart, home, &uid);
        }
        if let Some(node) = entry.orphan_of() {
            take_from(&mut self.orphans, node, &uid);
        }
        if let Some((node, due)) = entry.given_to() {
            take_from(&mut self.giving, node, &(due, uid));
        }
        if let Some((node, due)) = entry.unheard_by() {
            take_from(&mut self.unheard, node, &(due, uid));
            self.turn.nodes.insert(node.clone());
        }
        self.ended.remove(entry);
    }
}

/// Takes an item out of the set of a node; a set without any is not kept.
pub(super) fn take_from<T: Ord>(sets: &mut BTreeMap<NodeId, BTreeSet<T>>, node: &NodeId, item: &T) {
    if let Some(set) = sets.get_mut(node) {
        set.remove(item);
        if set.is_empty() {
            sets.remove(node);
        }
    }
}
