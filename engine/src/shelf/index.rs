//! From a uid or a name to the slot of its entry, in one look.
//!
//! The tables hold slots only; the key is read from the entry. They are hashed with a fixed seed and are never
//! iterated over, so that nothing of their order can be observed: an order is asked of queues and names. A table is cut
//! into shards, so that growing rehashes one shard in a turn and not a million entries.

#![expect(
    clippy::disallowed_types,
    reason = "the one place for a hash table: its seed is fixed and nothing here iterates"
)]

use super::slab::Slot;
use foldhash::quality::FixedState;
use hashbrown::HashTable;
use hashbrown::hash_table::Entry;
use std::hash::{BuildHasher, Hash};

/// With a million entries a shard has four thousand: to rehash them takes less than a millisecond.
const SHARDS: usize = 256;

/// Any number does; the same one in every run, so that a run can be repeated.
const SEED: u64 = 0x646f_726d_6f75_7365;

#[derive(Debug)]
pub(crate) struct Index {
    shards: Box<[HashTable<Slot>]>,
}

/// The hash of a key, computed once for the steps of one operation.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Hashed(u64);

impl Hashed {
    pub(crate) fn of(key: &impl Hash) -> Self {
        Self(FixedState::with_seed(SEED).hash_one(key))
    }

    /// Bits that the table does not use: it takes the lowest ones and the highest seven.
    fn shard(self) -> usize {
        (self.0 >> 40) as usize % SHARDS
    }
}

impl Default for Index {
    fn default() -> Self {
        Self {
            shards: (0..SHARDS).map(|_| HashTable::new()).collect(),
        }
    }
}

impl Index {
    /// The slot under this hash for which `is_it` holds.
    pub(crate) fn find(&self, hashed: Hashed, is_it: impl Fn(Slot) -> bool) -> Option<Slot> {
        let shard = &self.shards[hashed.shard()];
        shard.find(hashed.0, |slot| is_it(*slot)).copied()
    }

    /// Adds a slot, unless there is one under this hash for which `is_it` holds: then that stays, and is returned.
    /// `again` hashes the key of any slot that is in the index.
    pub(crate) fn add(
        &mut self,
        hashed: Hashed,
        slot: Slot,
        is_it: impl Fn(Slot) -> bool,
        again: impl Fn(Slot) -> Hashed,
    ) -> Option<Slot> {
        let shard = &mut self.shards[hashed.shard()];
        match shard.entry(hashed.0, |it| is_it(*it), |it| again(*it).0) {
            Entry::Occupied(known) => Some(*known.get()),
            Entry::Vacant(place) => {
                place.insert(slot);
                None
            }
        }
    }

    /// Adds a slot, in place of one under this hash for which `is_it` holds: that is returned.
    pub(crate) fn replace(
        &mut self,
        hashed: Hashed,
        slot: Slot,
        is_it: impl Fn(Slot) -> bool,
        again: impl Fn(Slot) -> Hashed,
    ) -> Option<Slot> {
        let shard = &mut self.shards[hashed.shard()];
        match shard.entry(hashed.0, |it| is_it(*it), |it| again(*it).0) {
            Entry::Occupied(mut known) => Some(std::mem::replace(known.get_mut(), slot)),
            Entry::Vacant(place) => {
                place.insert(slot);
                None
            }
        }
    }

    /// Takes this very slot out.
    pub(crate) fn remove(&mut self, hashed: Hashed, slot: Slot) {
        let shard = &mut self.shards[hashed.shard()];
        if let Ok(found) = shard.find_entry(hashed.0, |other| *other == slot) {
            found.remove();
        }
    }
}
