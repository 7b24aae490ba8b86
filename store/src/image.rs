//! The folded content of a log, kept in memory, and the walk over it in chunks.
//!
//! Only what is durable is folded in, so that whatever a walk sees may be published. When a walk
//! happens and where it is written is left to the journals.

use crate::entry::{Bytes, Entry, Group, State};
use std::ops::Bound;

/// Counted for each live key besides its bytes: the lengths and marks around it on disk.
const ENTRY_OVERHEAD: u64 = 9;

/// Every live key with its value, and their size.
#[derive(Debug, Clone, Default)]
pub(crate) struct Image {
    state: State,
    bytes: u64,
}

fn cost(key: &Bytes, value: &Bytes) -> u64 {
    (key.len() + value.len()) as u64 + ENTRY_OVERHEAD
}

/// What a group adds to the log.
pub(crate) fn group_cost(group: &Group) -> u64 {
    group
        .iter()
        .map(|entry| entry.size() as u64 + ENTRY_OVERHEAD)
        .sum()
}

impl Image {
    pub(crate) fn apply(&mut self, group: &[Entry]) {
        for entry in group {
            let old = match &entry.value {
                Some(value) => {
                    self.bytes += cost(&entry.key, value);
                    self.state.insert(entry.key.clone(), value.clone())
                }
                None => self.state.remove(&entry.key),
            };
            if let Some(old) = old {
                self.bytes -= cost(&entry.key, &old);
            }
        }
    }

    pub(crate) fn state(&self) -> &State {
        &self.state
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The next entries after `cursor`, about `budget` bytes of them and at least one if any is left.
    pub(crate) fn chunk(&self, cursor: Option<&Bytes>, budget: usize) -> Vec<(Bytes, Bytes)> {
        let after = cursor.map_or(Bound::Unbounded, |key| Bound::Excluded(key.clone()));
        let mut left = budget as u64;
        let mut chunk = Vec::new();
        for (key, value) in self.state.range((after, Bound::Unbounded)) {
            chunk.push((key.clone(), value.clone()));
            match left.checked_sub(cost(key, value)) {
                Some(rest) if rest > 0 => left = rest,
                _ => break,
            }
        }
        chunk
    }
}
