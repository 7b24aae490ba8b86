//! Finds a node by its name: a table that grows by one bucket with each name.
//!
//! It is hashed linearly (Litwin): buckets are split one after the other, so that no join pays for moving
//! everybody, and a chain has about one entry at any size. The order of the table is never seen.
//!
//! The hash has no secret. Who may make up names of nodes may make a chain long, for the nodes of that
//! chain; how many nodes there are is bounded elsewhere.

use super::roster::Resident;
use crate::chunks::Chunks;
use crate::group::NodeKey;
use crate::hash::digest;
use crate::id::NodeId;
use crate::steps;

/// The end of a chain.
const END: u32 = u32::MAX;

/// A record's place in the table.
#[derive(Debug, Clone, Copy)]
pub(super) struct Link {
    hash: u32,
    next: u32,
}

impl Link {
    pub(super) fn of(name: &NodeId) -> Self {
        let digest = digest(name.as_str().as_bytes());
        let hash = u32::try_from(digest >> 32).unwrap_or(0);
        Self { hash, next: END }
    }
}

/// The first record of each bucket; the records are linked among themselves.
#[derive(Debug, Clone, Default)]
pub(super) struct Names {
    buckets: Chunks<u32>,
    count: u32,
}

impl Names {
    pub(super) fn find(&self, all: &Chunks<Resident>, name: &NodeId) -> Option<NodeKey> {
        if self.count == 0 {
            return None;
        }
        let hash = Link::of(name).hash;
        let mut at = self.buckets[self.bucket(hash)];
        while at != END {
            steps::visit();
            let resident = &all[at];
            if resident.link.hash == hash && resident.name.as_ref() == Some(name) {
                return Some(NodeKey(at));
            }
            at = resident.link.next;
        }
        None
    }

    /// Enters a record; its name must not be in the table.
    pub(super) fn enter(&mut self, all: &mut Chunks<Resident>, key: NodeKey) {
        self.count += 1;
        if self.count > self.buckets.len() {
            self.split(all);
        }
        self.hang(all, key.0);
    }

    /// Takes a record out; it must be in the table.
    pub(super) fn strike(&mut self, all: &mut Chunks<Resident>, key: NodeKey) {
        let Link { hash, next } = all[key.0].link;
        let bucket = self.bucket(hash);
        self.count -= 1;
        let mut at = self.buckets[bucket];
        if at == key.0 {
            self.buckets[bucket] = next;
            return;
        }
        while at != END {
            steps::visit();
            let link = &mut all[at].link;
            if link.next == key.0 {
                link.next = next;
                return;
            }
            at = link.next;
        }
    }

    fn hang(&mut self, all: &mut Chunks<Resident>, at: u32) {
        let link = &mut all[at].link;
        let bucket = self.bucket(link.hash);
        link.next = std::mem::replace(&mut self.buckets[bucket], at);
    }

    /// Of twice as many buckets only the first half and some of the second are there: a name of a bucket
    /// that is not there yet is in the one that will be split for it.
    fn bucket(&self, hash: u32) -> u32 {
        let all = self.buckets.len().next_power_of_two();
        let bucket = hash & (all - 1);
        if bucket < self.buckets.len() {
            bucket
        } else {
            bucket & (all / 2 - 1)
        }
    }

    fn split(&mut self, all: &mut Chunks<Resident>) {
        let new = self.buckets.push(END);
        let half = self.buckets.len().next_power_of_two() / 2;
        if half == 0 {
            return;
        }
        let mut at = std::mem::replace(&mut self.buckets[new - half], END);
        while at != END {
            steps::visit();
            let next = all[at].link.next;
            self.hang(all, at);
            at = next;
        }
    }
}
