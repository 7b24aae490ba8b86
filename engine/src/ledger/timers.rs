//! The timers of the ledger and the indexes over them; every change of a timer goes through here.

use super::stage::Holding;
use super::sum::Sum;
use super::{Entry, Home, Ledger};
use crate::id::{NodeId, Token, Uid};
use crate::shelf::Shelf;
use crate::time::LogIndex;
use crate::timer::Phase;
use std::collections::{BTreeMap, BTreeSet};

/// Where a timer is listed: its home, and the number of the stage if it was handed over in one.
pub(super) type Place = (Home, Option<u64>);

/// What of a timer is kept with its home.
pub(super) struct Listed {
    place: Place,
    news: LogIndex,
    sum: Option<Sum>,
    due: Option<Place>,
}

impl Entry {
    /// Where it is listed: with its home, and there in a stage if it belongs to one.
    pub(super) fn place(&self) -> Place {
        (self.timer.home.clone(), self.stage())
    }

    /// When there was last something of it that its home had not told itself.
    fn news(&self) -> LogIndex {
        self.changed.max(self.created)
    }

    /// Whether home and ledger compare it.
    fn in_sum(&self) -> bool {
        self.timer.home.is_some() && self.held.is_none() && Sum::counts(&self.timer)
    }

    fn listed(&self) -> Listed {
        Listed {
            place: self.place(),
            news: self.news(),
            sum: self.in_sum().then(|| Sum::of(&self.timer)),
            due: self.due_at(),
        }
    }

    /// Where it waits to be pulled.
    fn due_at(&self) -> Option<Place> {
        let place = self.pulled_from()?;
        self.timer.due().map(|_| place)
    }

    /// The home that has to look at it when it moves: others have it, or a run of it is in flight, or it is
    /// unreplicated and not a part of a stage.
    fn watched_by(&self) -> Option<&NodeId> {
        let home = self.timer.home.as_ref()?;
        let light = !self.timer.spec.durability.is_replicated() && self.stage().is_none();
        let told = self.timer.awaits.is_some();
        let apart = self.held.is_some() || self.timer.is_running() || light || told;
        apart.then_some(home)
    }

    /// The node after which it is named, if it is the pool's.
    fn orphan_of(&self) -> Option<&NodeId> {
        let pools = self.timer.home.is_none();
        self.timer.name.node.as_ref().filter(|_| pools)
    }

    /// The nodes that run something of it, and the tokens they do it under.
    pub(super) fn run_by(&self) -> impl Iterator<Item = (Token, &NodeId)> {
        self.timer.lines().filter_map(Phase::running)
    }
}

impl Ledger {
    /// Puts a timer into its place; one of the same identity leaves its own first.
    pub(super) fn insert(&mut self, entry: Entry) {
        self.put_in(entry, |timers, entry| drop(timers.insert(entry)));
        self.timers.order_names();
    }

    /// The same of one of many that are in the journal; whoever puts in the last has their names ordered.
    pub(super) fn insert_recovered(&mut self, entry: Entry) {
        self.put_in(entry, Shelf::restore);
    }

    fn put_in(&mut self, mut entry: Entry, put: fn(&mut Shelf<Entry, 2>, Entry)) {
        let uid = entry.timer.uid;
        self.interner.share(&mut entry.timer);
        self.move_out(uid);
        put(&mut self.timers, entry);
        self.settle_in(uid);
    }

    /// Changes one timer and keeps every index over it right.
    pub(super) fn change<R>(
        &mut self,
        uid: Uid,
        change: impl FnOnce(&mut Entry) -> R,
    ) -> Option<R> {
        let place = self.delist(uid)?;
        let Self {
            timers, interner, ..
        } = self;
        let (result, noted, moved) = timers.change(uid, |entry| {
            let result = interner.share_again(entry, |entry| &mut entry.timer, change);
            let noted = entry.timer.take_noted();
            let moved = entry.place() != place;
            (result, noted, moved.then(|| entry.timer.name.clone()))
        })?;
        if let Some(name) = moved {
            self.forget_staged_name(&place, &name, uid);
            self.learn_staged_name(uid);
            self.timers.order_names();
        }
        self.enlist(uid);
        for run in noted {
            self.note_run(uid, run);
        }
        Some(result)
    }

    /// Takes a timer out without a word to anybody.
    pub(super) fn remove(&mut self, uid: Uid) -> Option<Entry> {
        self.move_out(uid);
        let entry = self.timers.remove(uid)?;
        self.look_at_leavers();
        Some(entry)
    }

    /// Lists a timer that is on the shelf wherever it belongs beside that.
    pub(super) fn settle_in(&mut self, uid: Uid) {
        self.learn_staged_name(uid);
        self.enlist(uid);
    }

    fn move_out(&mut self, uid: Uid) {
        self.delist(uid);
        if let Some(entry) = self.timers.get(uid) {
            let (place, name) = (entry.place(), entry.timer.name.clone());
            self.forget_staged_name(&place, &name, uid);
        }
    }

    /// What is kept of the timers of a place beside the shelf. Of the pool's own there is nothing: nobody has to hear
    /// of them, and nobody compares them.
    fn holding_of(&mut self, place: &Place) -> Option<&mut Holding> {
        match place {
            (None, _) => None,
            (Some(home), None) => Some(self.homes.entry(home.clone()).or_default()),
            (home, Some(attempt)) => {
                let stage = self.stages.of_mut(home.as_ref(), *attempt)?;
                Some(&mut stage.holding)
            }
        }
    }

    fn drop_if_empty(&mut self, place: &Place) {
        if let (Some(home), None) = place
            && self.homes.get(home).is_some_and(Holding::is_empty)
        {
            self.homes.remove(home);
        }
    }

    pub(super) fn enlist(&mut self, uid: Uid) {
        let Some(listed) = self.enlist_runs(uid) else {
            return;
        };
        if let Some(holding) = self.holding_of(&listed.place) {
            holding.news.insert((listed.news, uid));
            holding.sum = listed.sum.map_or(holding.sum, |sum| holding.sum.with(sum));
        }
        if let Some(place) = listed.due {
            self.touch(place);
        }
        self.look_at_leavers();
    }

    /// Takes a timer out of what is kept beside the shelf. Returns where it is.
    pub(super) fn delist(&mut self, uid: Uid) -> Option<Place> {
        let listed = self.delist_runs(uid)?;
        if let Some(place) = listed.due {
            self.touch(place);
        }
        if let Some(holding) = self.holding_of(&listed.place) {
            holding.news.remove(&(listed.news, uid));
            holding.sum = listed
                .sum
                .map_or(holding.sum, |sum| holding.sum.without(sum));
        }
        self.drop_if_empty(&listed.place);
        Some(listed.place)
    }

    /// The first deadline of a place may have changed; what a leaver has not given up yet is the pool's.
    pub(super) fn touch(&mut self, (home, stage): Place) {
        let current = |attempt| self.stages.of(home.as_ref(), attempt).is_some();
        if !stage.is_none_or(current) {
            return;
        }
        if let Some(node) = &home
            && self.leaving.contains_key(node)
        {
            self.turn.leavers.insert(node.clone());
            self.turn.touched.insert(None);
        }
        self.turn.touched.insert(home);
    }

    /// Keeps what is said of all leavers true of those that were touched.
    pub(super) fn look_at_leavers(&mut self) {
        while let Some(node) = self.turn.leavers.pop_first() {
            let first = self.leaving.contains_key(&node);
            let first = first.then(|| self.first_of(&Some(node.clone()))).flatten();
            self.leavers.set(&node, first);
        }
    }

    /// The indexes of what few timers have: a run, somebody who has to hear of it, an end.
    fn enlist_runs(&mut self, uid: Uid) -> Option<Listed> {
        let entry = self.timers.get(uid)?;
        for (token, node) in entry.run_by() {
            let claims = self.claims.entry(node.clone()).or_default();
            claims.insert(token, uid);
        }
        for node in entry.takes_places_of() {
            self.places.take(node, &entry.timer.spec.handler);
        }
        if entry.waits_for().is_some() {
            self.backlog.len += 1;
        }
        if let Some(home) = entry.watched_by() {
            self.apart.entry(home.clone()).or_default().insert(uid);
        }
        if let Some(node) = entry.orphan_of() {
            self.orphans.entry(node.clone()).or_default().insert(uid);
        }
        if let Some((node, _)) = entry.given_to() {
            self.turn.given.insert((node.clone(), uid));
        }
        if let Some((node, _)) = entry.unheard_by() {
            self.turn.nodes.insert(node.clone());
        }
        self.ended.insert(entry);
        Some(entry.listed())
    }

    pub(super) fn delist_runs(&mut self, uid: Uid) -> Option<Listed> {
        let entry = self.timers.get(uid)?;
        for (token, node) in entry.run_by() {
            if let Some(claims) = self.claims.get_mut(node) {
                claims.remove(&token);
            }
        }
        for node in entry.takes_places_of() {
            self.places.free(node, &entry.timer.spec.handler);
        }
        if let Some(want) = entry.waits_for() {
            self.backlog.len -= 1;
            self.backlog.note_left(want);
        }
        if let Some(home) = entry.watched_by() {
            take_from(&mut self.apart, home, &uid);
        }
        if let Some(node) = entry.orphan_of() {
            take_from(&mut self.orphans, node, &uid);
        }
        if let Some((node, _)) = entry.unheard_by() {
            self.turn.nodes.insert(node.clone());
        }
        self.ended.remove(entry);
        Some(entry.listed())
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
