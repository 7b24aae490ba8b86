//! A list that grows in pieces, so that growing never moves what is there.
//!
//! A `Vec` of a million entries copies them all when it is full, in the middle of somebody's turn, and
//! has room for twice as many afterwards. Here a new piece is added instead: the cost of a push is
//! bounded, and at most one piece is not full. Small lists are ordinary: the first piece grows like a `Vec`.

use std::ops::{Index, IndexMut};

/// The binary logarithm of the entries in a piece: 1,024.
const PIECE_BITS: u32 = 10;
const PIECE: u32 = 1 << PIECE_BITS;

/// At most `u32::MAX` entries, numbered from zero.
#[derive(Debug, Clone)]
pub(crate) struct Chunks<T> {
    pieces: Vec<Vec<T>>,
    len: u32,
}

impl<T> Default for Chunks<T> {
    fn default() -> Self {
        Self {
            pieces: Vec::new(),
            len: 0,
        }
    }
}

impl<T> Chunks<T> {
    /// How many entries there are.
    pub(crate) const fn len(&self) -> u32 {
        self.len
    }

    /// Adds an entry, and says its number.
    ///
    /// # Panics
    /// If there are `u32::MAX` entries: memory is at its end long before.
    pub(crate) fn push(&mut self, entry: T) -> u32 {
        let number = self.len;
        self.len = number.checked_add(1).expect("fewer than 2^32 entries");
        if number == 0 {
            self.pieces.push(Vec::new());
        } else if number.is_multiple_of(PIECE) {
            self.pieces.push(Vec::with_capacity(PIECE as usize));
        }
        let last = self.pieces.last_mut().expect("a piece was just made");
        last.push(entry);
        number
    }

    /// All entries, by number.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (u32, &T)> {
        (0..self.len).zip(self.pieces.iter().flatten())
    }
}

impl<T> Index<u32> for Chunks<T> {
    type Output = T;

    fn index(&self, number: u32) -> &T {
        &self.pieces[(number >> PIECE_BITS) as usize][(number & (PIECE - 1)) as usize]
    }
}

impl<T> IndexMut<u32> for Chunks<T> {
    fn index_mut(&mut self, number: u32) -> &mut T {
        &mut self.pieces[(number >> PIECE_BITS) as usize][(number & (PIECE - 1)) as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_keep_their_numbers_over_many_pieces() {
        let mut chunks = Chunks::default();
        for n in 0..3 * PIECE + 1 {
            assert_eq!(chunks.push(n), n);
        }
        chunks[PIECE] = 7;
        assert_eq!((chunks[PIECE - 1], chunks[PIECE]), (PIECE - 1, 7));
        assert_eq!(chunks.iter().count(), 3 * PIECE as usize + 1);
        assert!(
            chunks
                .pieces
                .iter()
                .all(|piece| piece.capacity() <= PIECE as usize)
        );
    }
}
