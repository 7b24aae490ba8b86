//! Groups and entries as bytes, for the log and for snapshots. Little-endian, with stated lengths.
//!
//! ```text
//!   unit  = group*              group = count:u32 entry{count}
//!   entry = 1:u8 len:u32 key len:u32 value  |  0:u8 len:u32 key
//! ```
//!
//! Whether bytes are the ones that were written is checked by the frames around them; here a
//! stated length is never trusted before the bytes are seen. Entries are found in bytes by `page`.

use crate::entry::{Entry, Group};

const DELETE: u8 = 0;
const PUT: u8 = 1;

/// What an entry takes besides key and value: its mark and two lengths.
pub(crate) const ENTRY_OVERHEAD: u64 = 9;

pub(crate) fn put_u32(out: &mut Vec<u8>, value: usize) {
    let value = u32::try_from(value).expect("a key, a value and a group are below 4 GiB");
    out.extend_from_slice(&value.to_le_bytes());
}

fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    put_u32(out, bytes.len());
    out.extend_from_slice(bytes);
}

/// One entry: `key` holds `value`, or nothing.
pub(crate) fn encode(out: &mut Vec<u8>, key: &[u8], value: Option<&[u8]>) {
    out.push(if value.is_some() { PUT } else { DELETE });
    put_bytes(out, key);
    if let Some(value) = value {
        put_bytes(out, value);
    }
}

/// The bytes of groups that are written together.
pub(crate) fn encode_unit(groups: &[Group]) -> Vec<u8> {
    let entries = groups.iter().flatten();
    let sizes = entries.map(|entry| entry.size() + ENTRY_OVERHEAD as usize);
    let mut out = Vec::with_capacity(groups.len() * 4 + sizes.sum::<usize>());
    for group in groups {
        put_u32(&mut out, group.len());
        for Entry { key, value } in group {
            encode(&mut out, key, value.as_deref());
        }
    }
    out
}

/// Reads forward over bytes that may be too short.
pub(crate) struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    /// Begins after the first `at` bytes, if there are so many.
    pub(crate) fn at(bytes: &'a [u8], at: usize) -> Option<Self> {
        (at <= bytes.len()).then_some(Self { bytes, at })
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.at == self.bytes.len()
    }

    /// How many bytes were read or skipped.
    pub(crate) fn position(&self) -> usize {
        self.at
    }

    pub(crate) fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let end = self.at.checked_add(length)?;
        let taken = self.bytes.get(self.at..end)?;
        self.at = end;
        Some(taken)
    }

    /// The mark of an entry: true for one that has a value.
    pub(crate) fn mark(&mut self) -> Option<bool> {
        match self.take(1)? {
            [PUT] => Some(true),
            [DELETE] => Some(false),
            _ => None,
        }
    }

    pub(crate) fn u32(&mut self) -> Option<u32> {
        let bytes = self.take(4)?.try_into().ok()?;
        Some(u32::from_le_bytes(bytes))
    }

    pub(crate) fn u64(&mut self) -> Option<u64> {
        let bytes = self.take(8)?.try_into().ok()?;
        Some(u64::from_le_bytes(bytes))
    }
}
