//! What an entry has only while something goes on with its timer, in a box that the others do without.
//!
//! It is read and changed through the entry: `entry.run`, `entry.starved`.

use super::Entry;
use crate::id::Token;
use crate::time::{BootTime, WallTime};
use std::ops::{Deref, DerefMut};

/// What few entries have.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Moment {
    /// What of it was staged, in which attempt to sleep.
    pub(super) staged: Option<Staged>,
    /// The run in flight here whose start is not written down: its nominal time and its token.
    pub(super) run: Option<(WallTime, Token)>,
    /// It is due and waits for a free worker here, since then.
    pub(super) starved: Option<BootTime>,
}

/// What the ledger's stage has of a timer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Staged {
    pub(super) attempt: u64,
    /// The revision that is known to be there; zero if none is.
    pub(super) revision: u64,
}

/// What every entry begins with.
static NOTHING: Moment = Moment {
    staged: None,
    run: None,
    starved: None,
};

/// The box, if there is one.
#[derive(Debug, Clone, Default)]
pub(super) struct Passing(Option<Box<Moment>>);

impl Passing {
    /// Lets go of a box that has become empty.
    pub(super) fn tidy(&mut self) {
        if self.0.as_deref() == Some(&NOTHING) {
            self.0 = None;
        }
    }
}

impl PartialEq for Passing {
    fn eq(&self, other: &Self) -> bool {
        self.0.as_deref().unwrap_or(&NOTHING) == other.0.as_deref().unwrap_or(&NOTHING)
    }
}

impl Eq for Passing {}

impl Deref for Entry {
    type Target = Moment;
    fn deref(&self) -> &Moment {
        self.passing.0.as_deref().unwrap_or(&NOTHING)
    }
}

impl DerefMut for Entry {
    fn deref_mut(&mut self) -> &mut Moment {
        self.passing.0.get_or_insert_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::timer::Timer;

    #[test]
    fn an_entry_is_no_larger_than_it_was() {
        assert!(size_of::<Timer>() <= 176, "{}", size_of::<Timer>());
        assert!(size_of::<Entry>() <= 208, "{}", size_of::<Entry>());
        assert_eq!(size_of::<Option<Entry>>(), size_of::<Entry>());
    }
}
