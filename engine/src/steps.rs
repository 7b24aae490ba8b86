//! Counts what the engine looks at: the nodes, slots and entries that a loop visits.
//!
//! Wherever a loop or a walk visits an entry, it says `visit`. Tests ask with `counted` how many an
//! operation took, and compare a small machine with a large one: a walk over everything shows as a number
//! that grows with the machine. No time is measured, so no test depends on the speed of its computer.
//!
//! The count exists only with the feature `planted-faults`; no product code reads it.

#[cfg(feature = "planted-faults")]
mod count {
    use std::cell::Cell;

    thread_local! {
        static VISITED: Cell<u64> = const { Cell::new(0) };
    }

    pub(super) fn add(visits: u64) {
        VISITED.set(VISITED.get().wrapping_add(visits));
    }

    /// Runs `run` and says how many entries the engine visited in it, in this thread.
    pub fn counted<T>(run: impl FnOnce() -> T) -> (T, u64) {
        let before = VISITED.get();
        let result = run();
        (result, VISITED.get().wrapping_sub(before))
    }

    /// Runs `run` without counting.
    pub(super) fn uncounted<T>(run: impl FnOnce() -> T) -> T {
        let before = VISITED.get();
        let result = run();
        VISITED.set(before);
        result
    }
}

#[cfg(feature = "planted-faults")]
pub use count::counted;

/// Runs a check of invariants, whose walks are no part of an operation: nothing in it is counted.
#[inline]
pub(crate) fn uncounted<T>(run: impl FnOnce() -> T) -> T {
    #[cfg(feature = "planted-faults")]
    return count::uncounted(run);
    #[cfg(not(feature = "planted-faults"))]
    run()
}

/// One entry was visited.
#[inline]
pub(crate) fn visit() {
    visits(1);
}

/// `entries` entries were visited at once: the length of what was copied, cleared or sorted.
#[inline]
pub(crate) fn visits(entries: usize) {
    #[cfg(feature = "planted-faults")]
    count::add(entries as u64);
    #[cfg(not(feature = "planted-faults"))]
    let _ = entries;
}

#[cfg(all(test, feature = "planted-faults"))]
mod tests {
    use super::*;

    #[test]
    fn what_is_visited_inside_is_counted_and_what_is_outside_is_not() {
        visit();
        let ((), inside) = counted(|| {
            visit();
            visits(3);
            uncounted(visit);
        });
        visit();
        assert_eq!(inside, 4);
    }
}
