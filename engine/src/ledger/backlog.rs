//! Due timers that nobody could take, in a queue for each thing that a timer can ask for; and how many places the
//! runs in flight take at each node.

use super::{Entry, Ledger};
use crate::id::{NodeId, Uid};
use crate::time::WallTime;
use crate::timer::HandlerName;
use std::borrow::Borrow;
use std::collections::{BTreeMap, BTreeSet};

/// What a due timer asks of the node that is to run it: a handler.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Want(HandlerName);

impl Want {
    pub(crate) fn of(handler: impl Borrow<HandlerName>) -> Self {
        Self(handler.borrow().clone())
    }

    pub(crate) fn handler(&self) -> &HandlerName {
        &self.0
    }
}

/// The timers of the backlog, the longest due first.
#[derive(Debug, Default)]
pub(super) struct Backlog {
    queues: BTreeMap<Want, BTreeSet<(WallTime, Uid)>>,
    len: usize,
    /// Queues that have become empty.
    emptied: Vec<Want>,
}

impl Backlog {
    pub(super) fn insert(&mut self, want: Want, timer: (WallTime, Uid)) {
        let queue = self.queues.entry(want).or_default();
        self.len += usize::from(queue.insert(timer));
    }

    pub(super) fn remove(&mut self, want: Want, timer: (WallTime, Uid)) {
        let Some(queue) = self.queues.get_mut(&want) else {
            return;
        };
        self.len -= usize::from(queue.remove(&timer));
        if queue.is_empty() {
            self.queues.remove(&want);
            self.emptied.push(want);
        }
    }
}

/// Runs in flight by node and handler, without those that a home began itself.
#[derive(Debug, Default)]
pub(super) struct Places {
    taken: BTreeMap<NodeId, BTreeMap<HandlerName, u32>>,
    /// Where the number has changed.
    changed: BTreeSet<(NodeId, HandlerName)>,
}

impl Places {
    pub(super) fn take(&mut self, node: &NodeId, handler: &HandlerName) {
        let taken = self.taken.entry(node.clone()).or_default();
        *taken.entry(handler.clone()).or_default() += 1;
        self.changed.insert((node.clone(), handler.clone()));
    }

    pub(super) fn free(&mut self, node: &NodeId, handler: &HandlerName) {
        let Some(taken) = self.taken.get_mut(node) else {
            return;
        };
        if let Some(count) = taken.get_mut(handler) {
            *count -= 1;
            if *count == 0 {
                taken.remove(handler);
            }
        }
        if taken.is_empty() {
            self.taken.remove(node);
        }
        self.changed.insert((node.clone(), handler.clone()));
    }
}

impl Entry {
    /// What it waits for in the backlog, and since when.
    pub(super) fn waits_for(&self) -> Option<(Want, WallTime)> {
        let due = self.timer.due().filter(|_| self.backlogged)?;
        Some((Want::of(&self.timer.spec.handler), due))
    }

    /// The nodes at which it takes a place, once for each run: its home does not, for what it began itself.
    pub(super) fn takes_places_of(&self) -> impl Iterator<Item = &NodeId> {
        let home = self.timer.home.as_ref().filter(|_| self.held.is_none());
        let nodes = self.run_by().map(|(_, node)| node);
        nodes.filter(move |node| Some(*node) != home)
    }
}

impl Ledger {
    /// Marks a timer as waiting for somebody who can run it, or not any more; nothing durable.
    pub(crate) fn set_backlogged(&mut self, uid: Uid, value: bool) {
        self.delist(uid);
        if let Some(entry) = self.timers.get_mut(&uid) {
            entry.backlogged = value;
        }
        self.enlist(uid);
    }

    /// The timer that has waited longest for this.
    pub(crate) fn first_waiting(&self, want: &Want) -> Option<Uid> {
        let (_, uid) = self.backlog.queues.get(want)?.first()?;
        Some(*uid)
    }

    /// How many timers wait for somebody who can run them.
    #[must_use]
    pub fn backlog_len(&self) -> usize {
        self.backlog.len
    }

    /// Things that timers waited for since the last call and that none waits for now.
    pub(crate) fn take_emptied(&mut self) -> Vec<Want> {
        let mut emptied = std::mem::take(&mut self.backlog.emptied);
        emptied.retain(|want| !self.backlog.queues.contains_key(want));
        emptied
    }

    /// How many places for a handler the pulled runs of a node take.
    pub(crate) fn places_taken(&self, node: &NodeId, handler: &HandlerName) -> u32 {
        let taken = self.places.taken.get(node);
        taken
            .and_then(|taken| taken.get(handler))
            .copied()
            .unwrap_or(0)
    }

    /// How many places the pulled runs of a node take.
    pub(crate) fn places_taken_in_all(&self, node: &NodeId) -> u32 {
        let taken = self.places.taken.get(node);
        taken.map_or(0, |taken| taken.values().sum())
    }

    /// Where pulled runs have begun or ended since the last call.
    pub(crate) fn take_places(&mut self) -> BTreeSet<(NodeId, HandlerName)> {
        std::mem::take(&mut self.places.changed)
    }
}
