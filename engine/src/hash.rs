//! One stable hash for what only looks random: run ids, retry jitter.
//!
//! It never changes between versions, because run ids are visible to users; it is not for adversaries.

/// Folds `words` into one well-mixed word (the finalizer of SplitMix64 after each).
#[must_use]
pub(crate) fn fold(words: &[u64]) -> u64 {
    words
        .iter()
        .fold(0x9e37_79b9_7f4a_7c15, |state, word| mix(state ^ word))
}

/// Folds bytes into one word.
#[must_use]
pub(crate) fn digest(bytes: &[u8]) -> u64 {
    let words = bytes.chunks(8).map(|chunk| {
        let start = u64::try_from(chunk.len()).unwrap_or(0);
        chunk
            .iter()
            .fold(start, |word, byte| (word << 8) | u64::from(*byte))
    });
    words.fold(0x9e37_79b9_7f4a_7c15, |state, word| mix(state ^ word))
}

fn mix(word: u64) -> u64 {
    let word = word.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    word ^ (word >> 31)
}

/// The first half and the second half of a 128-bit number, for [`fold`].
#[must_use]
pub(crate) fn halves(number: u128) -> [u64; 2] {
    let bytes = number.to_be_bytes();
    let half = |at: usize| {
        bytes[at..at + 8]
            .iter()
            .fold(0u64, |word, byte| (word << 8) | u64::from(*byte))
    };
    [half(0), half(8)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_is_the_same_in_every_version() {
        assert_eq!(fold(&[1, 2, 3]), fold(&[1, 2, 3]));
        assert_ne!(fold(&[1, 2, 3]), fold(&[1, 3, 2]));
        assert_eq!(halves(1 << 64 | 7), [1, 7]);
    }
}
