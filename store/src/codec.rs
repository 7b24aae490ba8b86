//! Groups and entries as bytes, for the log and for snapshots. Little-endian, with stated lengths.
//!
//! ```text
//!   unit  = group*              group = count:u32 entry{count}
//!   entry = 1:u8 len:u32 key len:u32 value  |  0:u8 len:u32 key
//! ```
//!
//! Whether bytes are the ones that were written is checked by the frames around them; here a
//! stated length is never trusted before the bytes are seen.

use crate::entry::{Bytes, Entry, Group};

const DELETE: u8 = 0;
const PUT: u8 = 1;

pub(crate) fn put_u32(out: &mut Vec<u8>, value: usize) {
    let value = u32::try_from(value).expect("a key, a value and a group are below 4 GiB");
    out.extend_from_slice(&value.to_le_bytes());
}

fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    put_u32(out, bytes.len());
    out.extend_from_slice(bytes);
}

pub(crate) fn encode_put(out: &mut Vec<u8>, key: &[u8], value: &[u8]) {
    out.push(PUT);
    put_bytes(out, key);
    put_bytes(out, value);
}

fn encode_entry(out: &mut Vec<u8>, entry: &Entry) {
    match &entry.value {
        Some(value) => encode_put(out, &entry.key, value),
        None => {
            out.push(DELETE);
            put_bytes(out, &entry.key);
        }
    }
}

/// The bytes of groups that are written together.
pub(crate) fn encode_unit(groups: &[Group]) -> Vec<u8> {
    let entries = groups.iter().flatten();
    let mut out =
        Vec::with_capacity(groups.len() * 4 + entries.map(|e| e.size() + 9).sum::<usize>());
    for group in groups {
        put_u32(&mut out, group.len());
        for entry in group {
            encode_entry(&mut out, entry);
        }
    }
    out
}

/// Reads forward over bytes that may be too short.
pub(crate) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    pub(crate) fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (head, rest) = self.rest.split_at_checked(length)?;
        self.rest = rest;
        Some(head)
    }

    pub(crate) fn byte(&mut self) -> Option<u8> {
        self.take(1).map(|bytes| bytes[0])
    }

    pub(crate) fn u32(&mut self) -> Option<u32> {
        let bytes = self.take(4)?.try_into().ok()?;
        Some(u32::from_le_bytes(bytes))
    }

    pub(crate) fn u64(&mut self) -> Option<u64> {
        let bytes = self.take(8)?.try_into().ok()?;
        Some(u64::from_le_bytes(bytes))
    }

    fn bytes(&mut self) -> Option<Bytes> {
        let length = self.u32()?;
        self.take(length as usize).map(Bytes::from)
    }

    /// One entry, or `None` if the bytes are not one.
    pub(crate) fn entry(&mut self) -> Option<Entry> {
        let mark = self.byte()?;
        let key = self.bytes()?;
        match mark {
            PUT => Some(Entry {
                key,
                value: Some(self.bytes()?),
            }),
            DELETE => Some(Entry { key, value: None }),
            _ => None,
        }
    }

    fn group(&mut self) -> Option<Group> {
        let count = self.u32()?;
        (0..count).map(|_| self.entry()).collect()
    }
}

/// The groups of a unit, or `None` if the bytes are not one.
pub(crate) fn decode_unit(bytes: &[u8]) -> Option<Vec<Group>> {
    let mut reader = Reader::new(bytes);
    let mut groups = Vec::new();
    while !reader.is_empty() {
        groups.push(reader.group()?);
    }
    Some(groups)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn entry() -> impl Strategy<Value = Entry> {
        let bytes = || prop::collection::vec(any::<u8>(), 0..20);
        (bytes(), prop::option::of(bytes())).prop_map(|(key, value)| Entry {
            key: key.into(),
            value: value.map(Into::into),
        })
    }

    proptest! {
        #[test]
        fn a_unit_reads_back_as_it_was_written(
            groups in prop::collection::vec(prop::collection::vec(entry(), 0..6), 0..6)
        ) {
            prop_assert_eq!(decode_unit(&encode_unit(&groups)), Some(groups));
        }

        #[test]
        fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
            let _ = decode_unit(&bytes);
        }
    }

    #[test]
    fn a_stated_length_is_not_believed() {
        let mut bytes = vec![1, 0, 0, 0, PUT];
        bytes.extend_from_slice(&u32::MAX.to_le_bytes());
        assert_eq!(decode_unit(&bytes), None);
        assert_eq!(decode_unit(&u32::MAX.to_le_bytes()), None);
    }
}
