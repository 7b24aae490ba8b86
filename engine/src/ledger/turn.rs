//! What a turn has changed, for those who look at it once the inputs are decided; and the records of it.

use super::{Home, Ledger, Node};
use crate::id::{NodeId, Token, Uid};
use crate::record::{Key, Record};
use serde::Serialize;
use std::collections::BTreeSet;

/// What the current turn has changed.
#[derive(Debug, Default)]
pub(super) struct Turn {
    /// What has changed beside timers, runs and farewells: these are marked where they are kept.
    pub(super) dirty: BTreeSet<Key>,
    pub(super) touched: BTreeSet<Home>,
    /// Leavers of which the first that is due may have changed: empty but within a step.
    pub(super) leavers: BTreeSet<NodeId>,
    /// Nodes of which something has changed beside the deadlines of their movable timers.
    pub(super) nodes: BTreeSet<NodeId>,
    pub(super) withdrawn: Vec<(NodeId, Token)>,
    /// Timers that homes may have to be given back, or of whose end they may have to hear.
    pub(super) given: BTreeSet<(NodeId, Uid)>,
}

impl Ledger {
    /// Homes whose earliest movable deadline may have changed since the last call.
    pub fn take_touched(&mut self) -> BTreeSet<Home> {
        std::mem::take(&mut self.turn.touched)
    }

    /// Nodes of which the ledger may say something else than at the last call.
    pub(crate) fn take_changed_nodes(&mut self) -> BTreeSet<NodeId> {
        std::mem::take(&mut self.turn.nodes)
    }

    /// The records of everything that changed since the last call.
    pub fn take_records(&mut self) -> Vec<Record> {
        let mut few = std::mem::take(&mut self.turn.dirty);
        let later = few.split_off(&Key::Timer(Uid(0)));
        let timers = self.timers.take_changed();
        for uid in &timers {
            if self.timers.contains(*uid) {
                self.feed.changed(*uid);
            }
        }
        let runs = self.history.take_dirty().into_iter();
        let runs = runs.map(|(uid, run)| Key::Run(uid, run));
        let farewells = self.departed.take_dirty().into_iter().map(Key::Farewell);
        // All of it in the order of the keys.
        let timers = timers.into_iter().map(Key::Timer);
        let keys = few.into_iter().chain(timers).chain(later);
        let keys = keys.chain(runs).chain(farewells);
        keys.map(|key| self.record(&key)).collect()
    }

    fn record(&self, key: &Key) -> Record {
        fn stored<T: Serialize>(key: &Key, value: Option<&T>) -> Record {
            value.map_or_else(|| Record::delete(key), |value| Record::put(key, value))
        }
        match key {
            Key::Meta => Record::put(key, &self.meta),
            Key::Node(node) => stored(key, self.nodes.get(node)),
            Key::Timer(uid) => match self.timers.get(*uid) {
                Some(entry) => Record::put_timer(&entry.timer, &self.pool, &entry.known()),
                None => Record::delete(key),
            },
            Key::Gone(uid) => stored(key, self.gone.get(uid)),
            Key::Pending(number) => stored(key, self.pending.get(*number)),
            Key::Run(uid, run) => stored(key, self.history.kept(*uid, *run).as_ref()),
            Key::Farewell(uid) => stored(key, self.departed.get(*uid)),
        }
    }

    pub(super) fn change_node(&mut self, node: &NodeId, change: impl FnOnce(&mut Node)) {
        if let Some(found) = self.nodes.get_mut(node) {
            change(found);
            self.note_node(node);
        }
    }

    pub(super) fn note_node(&mut self, node: &NodeId) {
        self.turn.dirty.insert(Key::Node(node.clone()));
        self.turn.nodes.insert(node.clone());
    }
}
