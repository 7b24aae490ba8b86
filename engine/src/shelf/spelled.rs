//! Keys as bytes that compare as the keys do, for the trees of an order.

use crate::id::{ID_LENGTH_MAX, TimerName, Uid};

/// The longest spelled name: three ids, a byte that says whether there is a node, and an end after each id.
const SPELLED_MAX: usize = 3 * (ID_LENGTH_MAX + 1) + 1;

/// A key as bytes.
pub(super) struct Spelled {
    bytes: [u8; SPELLED_MAX],
    len: usize,
}

impl Spelled {
    /// Each id ends with a byte below all of its own, and a name without a node comes before those with one.
    pub(super) fn of(name: &TimerName) -> Self {
        let mut spelled = Self::empty();
        spelled.add(name.pool.as_bytes());
        match &name.node {
            None => spelled.put(&[1]),
            Some(node) => {
                spelled.put(&[2]);
                spelled.add(node.as_bytes());
            }
        }
        spelled.add(name.timer.as_bytes());
        spelled
    }

    pub(super) fn of_uid(uid: Uid) -> Self {
        let mut spelled = Self::empty();
        spelled.put(&uid.0.to_be_bytes());
        spelled
    }

    fn empty() -> Self {
        Self {
            bytes: [0; SPELLED_MAX],
            len: 0,
        }
    }

    fn add(&mut self, id: &[u8]) {
        self.put(id);
        self.len += 1;
    }

    fn put(&mut self, bytes: &[u8]) {
        self.bytes[self.len..self.len + bytes.len()].copy_from_slice(bytes);
        self.len += bytes.len();
    }

    /// All of it, for keys that the first bytes do not tell apart.
    pub(super) fn whole(&self) -> &[u8] {
        &self.bytes[..self.len]
    }

    /// The sixteen bytes from here on.
    pub(super) fn word(&self, at: usize) -> u128 {
        let bytes = self.bytes.iter().skip(at).chain(std::iter::repeat(&0));
        bytes
            .take(16)
            .fold(0, |word, byte| word << 8 | u128::from(*byte))
    }

    pub(super) fn bit(&self, bit: u16) -> usize {
        let byte = self.bytes[usize::from(bit / 8)];
        usize::from(byte >> (7 - bit % 8) & 1)
    }

    /// The first bit in which they differ.
    pub(super) fn differs(&self, other: &Self) -> Option<u16> {
        let len = self.len.max(other.len);
        let at = (0..len).find(|at| self.bytes[*at] != other.bytes[*at])?;
        let bit = (self.bytes[at] ^ other.bytes[at]).leading_zeros();
        Some(u16::try_from(at * 8).expect("names are short") + bit as u16)
    }
}
