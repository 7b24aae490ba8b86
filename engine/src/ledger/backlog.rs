//! Due timers that nobody could take, by what they ask for; and how many places the runs in flight take at each node.

use super::stands::{Queue, WAITS};
use super::{Entry, Ledger};
use crate::id::{NodeId, Uid};
use crate::timer::HandlerName;
use std::borrow::Borrow;
use std::collections::{BTreeMap, BTreeSet};

/// What a due timer asks of the node that is to run it: a handler.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Want(HandlerName);

impl Want {
    pub(crate) fn of(handler: impl Borrow<HandlerName>) -> Self {
        Self(handler.borrow().clone())
    }

    pub(crate) fn handler(&self) -> &HandlerName {
        &self.0
    }
}

/// The backlog; its timers stand on the shelf, the longest due first.
#[derive(Debug, Default)]
pub(super) struct Backlog {
    pub(super) len: usize,
    /// What timers waited for that have left; perhaps none waits for it any more.
    left: Vec<Want>,
}

impl Backlog {
    pub(super) fn note_left(&mut self, want: Want) {
        if self.left.last() != Some(&want) {
            self.left.push(want);
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
    /// What it waits for in the backlog.
    pub(super) fn waits_for(&self) -> Option<Want> {
        let waits = self.backlogged && self.timer.due().is_some();
        waits.then(|| Want::of(&self.timer.spec.handler))
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
        self.timers.adjust(uid, |entry| entry.backlogged = value);
        self.enlist(uid);
    }

    /// The timer that has waited longest for this.
    pub(crate) fn first_waiting(&self, want: &Want) -> Option<Uid> {
        let queue = Queue::Backlog(want.clone());
        let (_, entry) = self.timers.first(WAITS, &queue)?;
        Some(entry.timer.uid)
    }

    /// How many timers wait for somebody who can run them.
    #[must_use]
    pub fn backlog_len(&self) -> usize {
        self.backlog.len
    }

    /// Things that timers waited for since the last call and that none waits for now.
    pub(crate) fn take_emptied(&mut self) -> Vec<Want> {
        let mut left = std::mem::take(&mut self.backlog.left);
        left.retain(|want| self.first_waiting(want).is_none());
        left
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
