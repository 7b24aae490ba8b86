//! What a turn has changed, for those who look at it once the inputs are decided; and the records of it.

use super::{Home, Ledger, Node};
use crate::id::{NodeId, Token, Uid};
use crate::record::{Key, Record};
use serde::Serialize;
use std::collections::BTreeSet;

/// What the current turn has changed.
#[derive(Debug, Default)]
pub(super) struct Turn {
    pub(super) dirty: BTreeSet<Key>,
    pub(super) fresh: BTreeSet<Uid>,
    pub(super) touched: BTreeSet<Home>,
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
        self.turn.fresh.clear();
        let mut dirty = std::mem::take(&mut self.turn.dirty);
        for key in &dirty {
            if let Key::Timer(uid) = key
                && self.timers.contains_key(uid)
            {
                self.feed.changed(*uid);
            }
        }
        let runs = self.history.take_dirty().into_iter();
        dirty.extend(runs.map(|(uid, run)| Key::Run(uid, run)));
        let farewells = self.departed.take_dirty().into_iter();
        dirty.extend(farewells.map(Key::Farewell));
        dirty.iter().map(|key| self.record(key)).collect()
    }

    fn record(&self, key: &Key) -> Record {
        fn stored<T: Serialize>(key: &Key, value: Option<&T>) -> Record {
            value.map_or_else(|| Record::delete(key), |value| Record::put(key, value))
        }
        match key {
            Key::Meta => Record::put(key, &self.meta),
            Key::Node(node) => stored(key, self.nodes.get(node)),
            Key::Timer(uid) => match self.timers.get(uid) {
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
