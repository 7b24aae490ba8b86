//! In which order nodes are preferred as sentry: the later reported the better, who never did comes last.
//!
//! A list through the records, best first, of the nodes that are **fit**: eligible, neither lost nor suspect.
//! While the root is idle no fit node is active, so the first of the list is the one to be chosen. A report
//! of an idle node moves it to the front, a join appends: neither has to search.
//!
//! A node that becomes fit again without a report has its old rank, which is somewhere inside the list. It
//! goes to `returned`, a tree by rank, until its next report.

use super::roster::Resident;
use crate::chunks::Chunks;
use crate::group::NodeKey;
use crate::steps;
use std::collections::BTreeMap;

/// The end of the list.
const END: u32 = u32::MAX;
/// Ranks of nodes that have reported are above those of the others.
const HEARD: u64 = 1 << 63;

/// A record's place in the order. It is in the list if it is the best, or has a better one.
#[derive(Debug, Clone, Copy)]
pub(super) struct Turn {
    rank: u64,
    better: u32,
    worse: u32,
}

/// The fit nodes. Ranks count reports and joins.
#[derive(Debug, Clone)]
pub(super) struct Order {
    best: u32,
    worst: u32,
    returned: BTreeMap<u64, NodeKey>,
    ranks: u64,
}

impl Default for Order {
    fn default() -> Self {
        Self {
            best: END,
            worst: END,
            returned: BTreeMap::new(),
            ranks: 0,
        }
    }
}

impl Order {
    /// The place of a node that joins, after all others; [`Order::append`] follows.
    pub(super) fn joined(&mut self) -> Turn {
        self.ranks += 1;
        Turn {
            rank: HEARD - self.ranks,
            better: END,
            worse: END,
        }
    }

    /// Lists a node that has just joined.
    pub(super) fn append(&mut self, all: &mut Chunks<Resident>, key: NodeKey) {
        let better = std::mem::replace(&mut self.worst, key.0);
        match better {
            END => self.best = key.0,
            better => all[better].turn.worse = key.0,
        }
        all[key.0].turn.better = better;
    }

    /// A node has reported: it is the best of all, if it is fit.
    pub(super) fn heard(&mut self, all: &mut Chunks<Resident>, key: NodeKey) {
        self.ranks += 1;
        if self.best != key.0 && all[key.0].is_fit() {
            self.remove(all, key);
            let worse = std::mem::replace(&mut self.best, key.0);
            match worse {
                END => self.worst = key.0,
                worse => all[worse].turn.better = key.0,
            }
            all[key.0].turn.worse = worse;
        }
        all[key.0].turn.rank = HEARD + self.ranks;
    }

    /// A node became fit or unfit without a report.
    pub(super) fn refit(&mut self, all: &mut Chunks<Resident>, key: NodeKey) {
        if !all[key.0].is_fit() {
            self.remove(all, key);
        } else if !self.is_listed(all, key) {
            self.returned.insert(all[key.0].turn.rank, key);
        }
    }

    /// Whether the node has a place in the list or in the tree.
    pub(super) fn is_listed(&self, all: &Chunks<Resident>, key: NodeKey) -> bool {
        self.is_in_list(all, key) || self.returned.contains_key(&all[key.0].turn.rank)
    }

    fn is_in_list(&self, all: &Chunks<Resident>, key: NodeKey) -> bool {
        self.best == key.0 || all[key.0].turn.better != END
    }

    /// Takes a node out of the order, wherever it is.
    pub(super) fn remove(&mut self, all: &mut Chunks<Resident>, key: NodeKey) {
        steps::visit();
        if !self.is_in_list(all, key) {
            self.returned.remove(&all[key.0].turn.rank);
            return;
        }
        let turn = &mut all[key.0].turn;
        let better = std::mem::replace(&mut turn.better, END);
        let worse = std::mem::replace(&mut turn.worse, END);
        match better {
            END => self.best = worse,
            better => all[better].turn.worse = worse,
        }
        match worse {
            END => self.worst = better,
            worse => all[worse].turn.better = better,
        }
    }

    /// The best node; while the root is idle it sleeps.
    pub(super) fn best(&self, all: &Chunks<Resident>) -> Option<NodeKey> {
        let listed = (self.best != END).then_some(NodeKey(self.best));
        let returned = self.returned.last_key_value().map(|(_, key)| *key);
        let rank = |key: &NodeKey| all[key.0].turn.rank;
        listed.into_iter().chain(returned).max_by_key(rank)
    }

    /// Whether the fit nodes are listed, each once, and those that sleep in the order of their ranks.
    pub(super) fn agrees(&self, all: &Chunks<Resident>) -> bool {
        let next = |at: &u32| Some(all[*at].turn.worse).filter(|at| *at != END);
        let first = Some(self.best).filter(|at| *at != END);
        let most = all.len() as usize + 1;
        let listed: Vec<&Resident> = std::iter::successors(first, next)
            .take(most)
            .map(|at| &all[at])
            .collect();
        let asleep = || listed.iter().filter(|resident| !resident.is_active());
        let sorted = asleep()
            .zip(asleep().skip(1))
            .all(|(better, worse)| better.turn.rank > worse.turn.rank);
        let returned = |(rank, key): (&u64, &NodeKey)| {
            let resident = &all[key.0];
            resident.is_fit() && resident.turn.rank == *rank
        };
        let fit = all.iter().filter(|(_, resident)| resident.is_fit()).count();
        sorted
            && listed.iter().all(|resident| resident.is_fit())
            && self.returned.iter().all(returned)
            && fit == listed.len() + self.returned.len()
    }
}
