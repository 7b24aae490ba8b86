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
    let (words, rest) = bytes.as_chunks();
    // Of a whole word the length is shifted out again.
    let words = words.iter().map(|word| u64::from_be_bytes(*word));
    let state = words.fold(0x9e37_79b9_7f4a_7c15, |state, word| mix(state ^ word));
    if rest.is_empty() {
        return state;
    }
    let length = u64::try_from(rest.len()).unwrap_or(0);
    let word = |word, byte: &u8| (word << 8) | u64::from(*byte);
    mix(state ^ rest.iter().fold(length, word))
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
    [(number >> 64) as u64, number as u64]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_is_the_same_in_every_version() {
        assert_eq!(fold(&[1, 2, 3]), fold(&[1, 2, 3]));
        assert_ne!(fold(&[1, 2, 3]), fold(&[1, 3, 2]));
        assert_eq!(halves(1 << 64 | 7), [1, 7]);
        let digests = [b"".as_slice(), b"a", b"12345678", b"123456789abc"].map(digest);
        let known = [
            0x9e37_79b9_7f4a_7c15,
            0x55dc_2b9c_185b_de3d,
            0xaf96_d13c_1472_8d79,
            0x1c02_7180_dfbc_98f4,
        ];
        assert_eq!(digests, known);
    }
}
