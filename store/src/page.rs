//! Entries as they stand in bytes, found once and then only pointed at: what travels from disk to machine.
//!
//! ```text
//!   bytes  1 len "a" len value | 0 len "b" | 1 len "c" len value          as `codec` writes them
//!   slots  ^ key_at, key_len, value_len
//! ```
//!
//! Nothing is copied out of a page before its owner is built from it. Where pages come from is left to
//! `blocks`, `fold` and `merge`; who decodes them to `records`.

use crate::codec::{self, Reader};

/// Where one entry is: the value follows its key after four bytes of length.
#[derive(Debug, Clone, Copy)]
struct Slot {
    key_at: u32,
    key_len: u32,
    /// [`DELETED`] if the key holds nothing from now on.
    value_len: u32,
}

const DELETED: u32 = u32::MAX;
const LENGTH_BYTES: usize = 4;

/// Bytes, and the entries in them. In key order if it is one of a snapshot, of a run or of a merge.
#[derive(Debug, Default)]
pub(crate) struct Page {
    bytes: Vec<u8>,
    slots: Vec<Slot>,
}

impl Page {
    /// The entries that `bytes` hold after the first `skipped` ones; `None` if they do not decode.
    pub(crate) fn read(bytes: Vec<u8>, skipped: usize) -> Option<Self> {
        let mut reader = Reader::at(&bytes, skipped)?;
        let mut slots = Vec::new();
        while !reader.is_empty() {
            slots.push(slot(&mut reader)?);
        }
        Some(Self { bytes, slots })
    }

    /// Appends the entries of a unit of the log, and answers how many groups it has; `None`, and nothing is
    /// appended, if it is not one.
    pub(crate) fn push_unit(&mut self, unit: &[u8]) -> Option<u64> {
        let (begin, entries) = (self.bytes.len(), self.slots.len());
        self.bytes.extend_from_slice(unit);
        let groups = find_unit(&self.bytes, begin, &mut self.slots);
        if groups.is_none() {
            self.bytes.truncate(begin);
            self.slots.truncate(entries);
        }
        groups
    }

    /// Appends an entry of its own.
    pub(crate) fn push(&mut self, key: &[u8], value: Option<&[u8]>) {
        let key_at = self.bytes.len() + 1 + LENGTH_BYTES;
        codec::encode(&mut self.bytes, key, value);
        let length = |bytes: &[u8]| u32::try_from(bytes.len()).expect("an entry is below 4 GiB");
        self.slots.push(Slot {
            key_at: u32::try_from(key_at).expect("a page is full long before 4 GiB"),
            key_len: length(key),
            value_len: value.map_or(DELETED, length),
        });
    }

    /// Sorts by key; of several entries of one key the last one is left.
    pub(crate) fn sort(&mut self) {
        let Self { bytes, slots } = self;
        slots.sort_by(|one, other| key_of(bytes, *one).cmp(key_of(bytes, *other)));
        let mut kept = 0;
        for at in 0..slots.len() {
            let same = kept > 0 && key_of(bytes, slots[kept - 1]) == key_of(bytes, slots[at]);
            kept += usize::from(!same);
            slots[kept - 1] = slots[at];
        }
        slots.truncate(kept);
    }

    pub(crate) fn len(&self) -> usize {
        self.slots.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    /// The entries as [`codec`] writes them, if the page was filled by [`push`](Self::push) alone.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// What the page takes in memory, in bytes.
    pub(crate) fn weight(&self) -> usize {
        self.bytes.len() + self.slots.len() * size_of::<Slot>()
    }

    pub(crate) fn key(&self, nth: usize) -> &[u8] {
        key_of(&self.bytes, self.slots[nth])
    }

    /// What the nth key holds; `None` if it is deleted.
    pub(crate) fn value(&self, nth: usize) -> Option<&[u8]> {
        let slot = self.slots[nth];
        let begin = slot.key_at as usize + slot.key_len as usize + LENGTH_BYTES;
        (slot.value_len != DELETED).then(|| &self.bytes[begin..begin + slot.value_len as usize])
    }

    /// Keys with their values; a deleted key is left out.
    pub(crate) fn live(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        (0..self.len()).filter_map(|nth| Some((self.key(nth), self.value(nth)?)))
    }
}

fn key_of(bytes: &[u8], slot: Slot) -> &[u8] {
    let begin = slot.key_at as usize;
    &bytes[begin..begin + slot.key_len as usize]
}

fn slot(reader: &mut Reader<'_>) -> Option<Slot> {
    let is_put = reader.mark()?;
    let key_len = reader.u32()?;
    let key_at = u32::try_from(reader.position()).ok()?;
    reader.take(key_len as usize)?;
    let value_len = if is_put {
        let length = reader.u32()?;
        reader.take(length as usize)?;
        length
    } else {
        DELETED
    };
    Some(Slot {
        key_at,
        key_len,
        value_len,
    })
}

fn find_unit(bytes: &[u8], begin: usize, slots: &mut Vec<Slot>) -> Option<u64> {
    let mut reader = Reader::at(bytes, begin)?;
    let mut groups = 0;
    while !reader.is_empty() {
        for _ in 0..reader.u32()? {
            slots.push(slot(&mut reader)?);
        }
        groups += 1;
    }
    Some(groups)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::encode_unit;
    use crate::entry::{Entry, Group};
    use proptest::prelude::*;

    fn entry() -> impl Strategy<Value = Entry> {
        let bytes = || prop::collection::vec(any::<u8>(), 0..20);
        (bytes(), prop::option::of(bytes())).prop_map(|(key, value)| Entry {
            key: key.into(),
            value: value.map(Into::into),
        })
    }

    fn entries(page: &Page) -> Vec<Entry> {
        let entry = |nth| Entry {
            key: page.key(nth).into(),
            value: page.value(nth).map(Into::into),
        };
        (0..page.len()).map(entry).collect()
    }

    proptest! {
        #[test]
        fn units_read_back_as_they_were_written(
            units in prop::collection::vec(
                prop::collection::vec(prop::collection::vec(entry(), 0..6), 0..4), 0..4)
        ) {
            let mut page = Page::default();
            for unit in &units {
                let bytes = encode_unit(unit);
                prop_assert_eq!(page.push_unit(&bytes), Some(unit.len() as u64));
            }
            let all: Vec<Entry> = units.into_iter().flatten().flatten().collect();
            prop_assert_eq!(entries(&page), all);
        }

        #[test]
        fn a_sorted_page_has_the_last_entry_of_each_key(
            group in prop::collection::vec((0..8_u8, prop::option::of(any::<u8>())), 0..40)
        ) {
            let of = |(key, value): &(u8, Option<u8>)| Entry {
                key: vec![*key].into(),
                value: value.map(|value| vec![value].into()),
            };
            let group: Group = group.iter().map(of).collect();
            let mut page = Page::default();
            page.push_unit(&encode_unit(std::slice::from_ref(&group))).unwrap();
            page.sort();
            let last: std::collections::BTreeMap<_, _> =
                group.into_iter().map(|entry| (entry.key.clone(), entry)).collect();
            prop_assert_eq!(entries(&page), last.into_values().collect::<Vec<_>>());
        }

        #[test]
        fn arbitrary_bytes_never_panic_and_leave_nothing(
            bytes in prop::collection::vec(any::<u8>(), 0..64)
        ) {
            let mut page = Page::default();
            page.push(b"k", Some(b"v"));
            if page.push_unit(&bytes).is_none() {
                prop_assert_eq!((page.len(), page.bytes().len()), (1, 11));
            }
            let _ = Page::read(bytes, 0);
        }
    }

    #[test]
    fn what_is_pushed_reads_back_from_its_bytes() {
        let mut page = Page::default();
        page.push(b"a", Some(b"1"));
        page.push(b"", None);
        page.push(b"c", Some(b""));
        let bytes = [b"xx", page.bytes()].concat();
        let read = Page::read(bytes, 2).unwrap();
        assert_eq!(entries(&read), entries(&page));
        assert_eq!(read.live().count(), 2);
    }

    #[test]
    fn a_stated_length_is_not_believed() {
        let mut bytes = vec![1, 0, 0, 0, 1];
        bytes.extend_from_slice(&u32::MAX.to_le_bytes());
        assert_eq!(Page::default().push_unit(&bytes), None);
        assert_eq!(Page::default().push_unit(&u32::MAX.to_le_bytes()), None);
    }
}
