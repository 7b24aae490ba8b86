//! Who has room for what: free places of the nodes on duty, and sleeping nodes that could be woken for a handler.
//!
//! What is free at a node follows from what it said it has and from what the ledger says it runs. Both indexes here
//! are kept as that changes, so that finding somebody for a due timer, or that nobody can take it, never needs a
//! walk over the nodes.

use super::Pool;
use super::session::Live;
use crate::id::NodeId;
use crate::ledger::Want;
use crate::timer::HandlerName;
use std::collections::{BTreeMap, BTreeSet};

/// The nodes that could take something, by what they could take.
#[derive(Debug, Default)]
pub(super) struct Rooms {
    /// On duty, with a free place.
    free: Index,
    /// Asleep, with a link over which they can be woken.
    asleep: Index,
    /// Nodes with a link that may be woken as sentry, and those that only serve themselves.
    pub(super) fit: BTreeSet<NodeId>,
    pub(super) unfit: BTreeSet<NodeId>,
    /// For what there is room, or a sleeper, since that was last looked at.
    news: BTreeSet<Want>,
}

/// Nodes by what they could take, and the other way round.
#[derive(Debug, Default)]
struct Index {
    nodes: BTreeMap<Want, BTreeSet<NodeId>>,
    wants: BTreeMap<NodeId, BTreeSet<Want>>,
}

impl Index {
    /// Returns whether that was not so before.
    fn set(&mut self, node: &NodeId, want: &Want, able: bool) -> bool {
        let was = self.has(node, want);
        if able && !was {
            self.nodes
                .entry(want.clone())
                .or_default()
                .insert(node.clone());
            self.wants
                .entry(node.clone())
                .or_default()
                .insert(want.clone());
        } else if !able && was {
            remove(&mut self.nodes, want, node);
            remove(&mut self.wants, node, want);
        }
        able && !was
    }

    fn has(&self, node: &NodeId, want: &Want) -> bool {
        let nodes = self.nodes.get(want);
        nodes.is_some_and(|nodes| nodes.contains(node))
    }

    fn wants_of(&self, node: &NodeId) -> BTreeSet<Want> {
        self.wants.get(node).cloned().unwrap_or_default()
    }
}

fn remove<K: Ord, V: Ord>(sets: &mut BTreeMap<K, BTreeSet<V>>, key: &K, value: &V) {
    if let Some(set) = sets.get_mut(key) {
        set.remove(value);
        if set.is_empty() {
            sets.remove(key);
        }
    }
}

impl Rooms {
    /// The nodes on duty with a free place for this, by name; none if there are none.
    pub(super) fn free_for(&self, want: &Want) -> Option<&BTreeSet<NodeId>> {
        self.free.nodes.get(want)
    }

    /// Whether this node is on duty and has a free place for this.
    pub(super) fn is_free(&self, node: &NodeId, want: &Want) -> bool {
        self.free.has(node, want)
    }

    /// What this node has a free place for.
    pub(super) fn free_at(&self, node: &NodeId) -> BTreeSet<Want> {
        self.free.wants_of(node)
    }

    /// The first sleeping node after this one that had the handler last.
    pub(super) fn next_sleeper(&self, want: &Want, after: Option<&NodeId>) -> Option<&NodeId> {
        use std::ops::Bound::{Excluded, Unbounded};
        let nodes = self.asleep.nodes.get(want)?;
        let from = after.map_or(Unbounded, Excluded);
        nodes.range::<NodeId, _>((from, Unbounded)).next()
    }

    /// For what there has become room, or a sleeper.
    pub(super) fn take_news(&mut self) -> BTreeSet<Want> {
        std::mem::take(&mut self.news)
    }

    fn set_free(&mut self, node: &NodeId, want: &Want, able: bool) {
        if self.free.set(node, want, able) {
            self.news.insert(want.clone());
        }
    }

    fn set_asleep(&mut self, node: &NodeId, want: &Want, able: bool) {
        if self.asleep.set(node, want, able) {
            self.news.insert(want.clone());
        }
    }
}

impl Pool {
    /// How many places the node has said to have that no claim of the ledger takes.
    pub(super) fn places_at(&self, node: &NodeId, handler: &HandlerName) -> u32 {
        let live = self.live.get(node).filter(|live| live.link.is_some());
        let live = live.filter(|live| !live.busy.contains(handler));
        let places = live.and_then(|live| live.capacity.get(handler).copied());
        let taken = self.ledger.places_taken(node, handler);
        places.unwrap_or(0).saturating_sub(taken)
    }

    pub(super) fn has_place(&self, node: &NodeId, handler: &HandlerName) -> bool {
        self.places_at(node, handler) > 0
    }

    /// Brings the indexes up to date where claims have begun or ended.
    pub(super) fn count_places(&mut self) {
        for (node, handler) in self.ledger.take_places() {
            let able = self.is_on_duty(&node) && self.has_place(&node, &handler);
            self.rooms.set_free(&node, &Want::of(handler), able);
        }
    }

    /// Brings the indexes up to date for one node: it said something of itself, came, went, slept or woke.
    pub(super) fn count_rooms(&mut self, node: &NodeId) {
        let duty = self.is_on_duty(node);
        let live = self.live.get(node).filter(|live| live.link.is_some());
        let linked = live.is_some();
        let fit = live.is_some_and(Live::is_eligible);
        let capacity = live.filter(|_| duty).map(|live| live.capacity.keys());
        let offered: BTreeSet<Want> = capacity.into_iter().flatten().map(Want::of).collect();
        for want in self.rooms.free.wants_of(node).union(&offered) {
            let able = duty && self.has_place(node, want.handler());
            self.rooms.set_free(node, want, able);
        }
        let known = self.ledger.node(node);
        let asleep = known.filter(|_| fit && !self.ledger.is_active(node));
        let handlers = asleep.map(|known| known.handlers.iter());
        let had: BTreeSet<Want> = handlers.into_iter().flatten().map(Want::of).collect();
        for want in self.rooms.asleep.wants_of(node).union(&had) {
            self.rooms.set_asleep(node, want, had.contains(want));
        }
        keep(&mut self.rooms.fit, node, linked && fit);
        keep(&mut self.rooms.unfit, node, linked && !fit);
    }

    fn is_on_duty(&self, node: &NodeId) -> bool {
        self.hierarchy.serves(node)
    }
}

fn keep(set: &mut BTreeSet<NodeId>, node: &NodeId, value: bool) {
    if value {
        set.insert(node.clone());
    } else {
        set.remove(node);
    }
}
