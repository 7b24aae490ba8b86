//! What a journal holds: keyed bytes, changed by absolute entries, in groups.
//!
//! An entry says what a key holds from now on, never how it changed, so that applying a group
//! twice is the same as once. The meaning of the bytes is left to the callers.

use std::collections::BTreeMap;
use std::sync::Arc;

/// Immutable bytes that a group, the journal and its owner may share.
pub type Bytes = Arc<[u8]>;

/// One absolute record: what `key` holds from now on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The name of the record. Any bytes, also none.
    pub key: Bytes,
    /// The new content, or `None` if the key is deleted.
    pub value: Option<Bytes>,
}

impl Entry {
    /// `key` holds `value` from now on.
    pub fn put(key: impl Into<Bytes>, value: impl Into<Bytes>) -> Self {
        Self {
            key: key.into(),
            value: Some(value.into()),
        }
    }

    /// `key` holds nothing from now on; deleting what is not there is fine.
    pub fn delete(key: impl Into<Bytes>) -> Self {
        Self {
            key: key.into(),
            value: None,
        }
    }

    /// Its length in bytes, key and value together.
    #[must_use]
    pub fn size(&self) -> usize {
        self.key.len() + self.value.as_ref().map_or(0, |value| value.len())
    }
}

/// Everything that one turn decided, in order; of two entries with one key the later one holds.
pub type Group = Vec<Entry>;

/// The folded content of a journal: each live key with its value, in key order.
pub type State = BTreeMap<Bytes, Bytes>;
