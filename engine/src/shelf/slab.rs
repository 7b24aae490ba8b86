//! Entries in one place each, under small numbers that are used again.
//!
//! Entries lie in chunks, so that growing never moves them: no turn pays for copying a million timers. A [`Slot`]
//! never leaves the shelf; whoever holds one there lets go of it before the entry is removed. Others number places of
//! their own with it, for an index over these.

/// Entries in a chunk.
const CHUNK: usize = 1_024;

/// The place of an entry, used again after the entry is gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Slot(u32);

impl Slot {
    pub(crate) fn at(index: usize) -> Self {
        Self(u32::try_from(index).expect("four thousand million timers do not fit into a machine"))
    }

    pub(super) fn index(self) -> usize {
        self.0 as usize
    }

    /// The number itself, for links that share a word with something else, and for places that begin anew.
    pub(crate) fn number(self) -> u32 {
        self.0
    }
}

#[derive(Debug)]
pub(super) struct Slab<E> {
    chunks: Vec<Vec<Option<E>>>,
    free: Vec<Slot>,
    len: usize,
}

impl<E> Default for Slab<E> {
    fn default() -> Self {
        Self {
            chunks: Vec::new(),
            free: Vec::new(),
            len: 0,
        }
    }
}

impl<E> Slab<E> {
    /// Where the next entry will be put.
    pub(super) fn next(&self) -> Slot {
        let new = || match self.chunks.split_last() {
            Some((last, others)) => others.len() * CHUNK + last.len(),
            None => 0,
        };
        self.free.last().copied().unwrap_or_else(|| Slot::at(new()))
    }

    pub(super) fn insert(&mut self, entry: E) -> Slot {
        self.len += 1;
        if let Some(slot) = self.free.pop() {
            let place = self.place(slot).expect("a free slot lies in a chunk");
            *place = Some(entry);
            return slot;
        }
        if self.chunks.last().is_none_or(|chunk| chunk.len() == CHUNK) {
            self.chunks.push(Vec::new());
        }
        let before = (self.chunks.len() - 1) * CHUNK;
        let chunk = self.chunks.last_mut().expect("one was just made sure of");
        chunk.push(Some(entry));
        Slot::at(before + chunk.len() - 1)
    }

    pub(super) fn get(&self, slot: Slot) -> Option<&E> {
        let chunk = self.chunks.get(slot.index() / CHUNK)?;
        chunk.get(slot.index() % CHUNK)?.as_ref()
    }

    pub(super) fn get_mut(&mut self, slot: Slot) -> Option<&mut E> {
        self.place(slot)?.as_mut()
    }

    pub(super) fn remove(&mut self, slot: Slot) -> Option<E> {
        let entry = self.place(slot)?.take()?;
        self.free.push(slot);
        self.len -= 1;
        Some(entry)
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// All entries, in the order of their slots, which depends on what was here before: never to be told.
    pub(super) fn iter(&self) -> impl Iterator<Item = &E> {
        self.chunks.iter().flatten().flatten()
    }

    fn place(&mut self, slot: Slot) -> Option<&mut Option<E>> {
        let chunk = self.chunks.get_mut(slot.index() / CHUNK)?;
        chunk.get_mut(slot.index() % CHUNK)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slot_is_used_again_and_what_was_there_is_gone() {
        let mut slab = Slab::default();
        let slots: Vec<Slot> = (0..3 * CHUNK).map(|number| slab.insert(number)).collect();
        assert_eq!(slab.remove(slots[5]), Some(5));
        assert_eq!((slab.remove(slots[5]), slab.get(slots[5])), (None, None));
        assert_eq!(slab.insert(7_777), slots[5]);
        assert_eq!(slab.get(slots[5]), Some(&7_777));
        assert_eq!((slab.len(), slab.iter().count()), (3 * CHUNK, 3 * CHUNK));
    }
}
