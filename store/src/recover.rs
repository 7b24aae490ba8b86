//! Whether a start may begin from a snapshot, given how far the log reaches. Pure, shared by both journals.
//!
//! A snapshot at group `at` holds what all groups up to `at` fold to, and was begun when they were durable.
//! So a log that ends before it has lost something, and one that begins after it leaves a gap.

/// The positions that a log holds, both inclusive; `None` for an empty log.
pub(crate) type Reach = Option<(u64, u64)>;

/// Checks that `log` completes a start from the snapshot at group `base`, or from nothing (0).
///
/// # Errors
/// Says which groups are missing: the log has lost something that was acknowledged.
pub(crate) fn check(base: u64, log: Reach) -> Result<(), String> {
    let (first, last) = log.unwrap_or((1, 0));
    if last < base {
        return Err(format!(
            "the log ends at group {last}, a snapshot was published at group {base}"
        ));
    }
    if first > base + 1 {
        return Err(format!(
            "the log begins at group {first}, and no valid snapshot covers the groups from {} on",
            base + 1
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_start_from_nothing_needs_the_whole_log() {
        assert!(check(0, None).is_ok());
        assert!(check(0, Some((1, 3))).is_ok());
        assert!(check(0, Some((2, 3))).is_err());
    }

    #[test]
    fn a_snapshot_needs_a_log_that_reaches_it_without_a_gap_behind() {
        assert!(check(10, Some((11, 15))).is_ok());
        assert!(check(10, Some((1, 99))).is_ok());
        assert!(check(10, Some((1, 10))).is_ok());
        assert!(check(10, Some((12, 99))).is_err());
        assert!(check(10, Some((1, 9))).is_err());
        assert!(check(10, None).is_err());
    }
}
