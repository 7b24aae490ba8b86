//! Chance that is no chance: a stream of numbers that follows from the seed alone.
//!
//! SplitMix64, written out, so that a seed tells the same history with every version of every library.

/// A stream of numbers.
#[derive(Debug, Clone)]
pub(crate) struct Chance(u64);

impl Chance {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 0x5851_f42d_4c95_7f2d)
    }

    pub(crate) fn word(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let word = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        word ^ (word >> 31)
    }

    /// A number below `bound`, which is not zero.
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.word() % bound
    }

    /// A number from `low` to `high`, both included.
    pub(crate) fn between(&mut self, low: u64, high: u64) -> u64 {
        low + self.below(high - low + 1)
    }

    /// A number from `low` to `high`, both included, of which each doubling is as likely as any other.
    pub(crate) fn doubling(&mut self, low: u64, high: u64) -> u64 {
        let doublings = u64::from((high / low).ilog2());
        let from = low << self.below(doublings + 1);
        self.between(from, high.min(from * 2 - 1))
    }

    /// An index below `bound`, which is not zero.
    pub(crate) fn index(&mut self, bound: usize) -> usize {
        let bound = u64::try_from(bound).expect("an index fits 64 bits");
        usize::try_from(self.below(bound)).expect("it is below an index")
    }

    /// True in `percent` of a hundred cases.
    pub(crate) fn percent(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }

    pub(crate) fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        let index = self.index(from.len());
        &from[index]
    }

    /// A wait around `mean`: from a tenth of it to nearly twice as much.
    pub(crate) fn around(&mut self, mean: u64) -> u64 {
        self.between(mean / 10, mean * 19 / 10)
    }
}
