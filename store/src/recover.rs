//! Which snapshot a start may begin from, given how far the log reaches. Pure, shared by both journals.
//!
//! A snapshot is fuzzy: it was walked while groups `from + 1 ..= to` were appended, so it is whole
//! only together with a replay that begins after `from` and goes at least to `to`.

/// The positions between which a snapshot was walked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Span {
    /// The last group before the walk began: replay begins after it.
    pub from: u64,
    /// The last group before the walk ended: replay must get there.
    pub to: u64,
}

/// The positions that a log holds, both inclusive; `None` for an empty log.
pub(crate) type Reach = Option<(u64, u64)>;

/// Checks that `log` completes a start from `base`, or from nothing.
///
/// # Errors
/// Says which groups are missing: the log has lost something that was acknowledged.
pub(crate) fn check(base: Option<Span>, log: Reach) -> Result<(), String> {
    let Span { from, to } = base.unwrap_or(Span { from: 0, to: 0 });
    let (first, last) = log.unwrap_or((1, 0));
    if last < to {
        return Err(format!(
            "the log ends at group {last}, a snapshot was published at group {to}"
        ));
    }
    if first > from + 1 {
        return Err(format!(
            "the log begins at group {first}, and no valid snapshot covers the groups from {} on",
            from + 1
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const WALKED: Option<Span> = Some(Span { from: 10, to: 15 });

    #[test]
    fn a_start_from_nothing_needs_the_whole_log() {
        assert!(check(None, None).is_ok());
        assert!(check(None, Some((1, 3))).is_ok());
        assert!(check(None, Some((2, 3))).is_err());
    }

    #[test]
    fn a_snapshot_needs_the_log_from_its_beginning_to_its_end() {
        assert!(check(WALKED, Some((11, 15))).is_ok());
        assert!(check(WALKED, Some((1, 99))).is_ok());
        assert!(check(WALKED, Some((12, 99))).is_err());
        assert!(check(WALKED, Some((1, 14))).is_err());
        assert!(check(WALKED, None).is_err());
    }
}
