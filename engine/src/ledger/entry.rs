//! A timer and what the ledger alone knows of it: in memory, where there are millions of them, and in the journal.

use super::Held;
use crate::id::NodeId;
use crate::time::LogIndex;
use crate::timer::Timer;
use serde::{Deserialize, Serialize};

/// A timer and what the ledger alone knows of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The timer.
    pub timer: Timer,
    /// When somebody else than its home last changed it.
    pub changed: LogIndex,
    /// When the ledger first had it: its home may have died before it knew that.
    pub created: LogIndex,
    rare: Option<Box<Rare>>,
    /// Why its home does not have it although the home is active.
    pub held: Option<Held>,
    /// Whether it is due and waits for somebody who can run it; never stored.
    pub backlogged: bool,
}

/// What the pool's own timers and those of active homes do without, in a box that is there only for the others.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Rare {
    former: Option<NodeId>,
    stage: Option<u64>,
}

/// What of an entry is in the journal beside its timer.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Known {
    /// Others than its home made it, and have not changed it since.
    Made(LogIndex),
    /// Its home brought it, and nobody else has changed it.
    Brought(LogIndex),
    /// Its home handed it over in this attempt to sleep, and nobody else has changed it.
    Staged(LogIndex, u64),
    /// Anything else.
    Other {
        changed: LogIndex,
        created: LogIndex,
        former: Option<NodeId>,
        held: Option<Held>,
        stage: Option<u64>,
    },
}

impl Entry {
    pub(super) fn new(timer: Timer, changed: LogIndex, created: LogIndex) -> Self {
        Self {
            timer,
            changed,
            created,
            rare: None,
            held: None,
            backlogged: false,
        }
    }

    pub(super) fn recovered(timer: Timer, known: Known) -> Self {
        match known {
            Known::Made(at) => Self::new(timer, at, at),
            Known::Brought(at) => Self::new(timer, LogIndex(0), at),
            Known::Staged(at, attempt) => {
                let entry = Self::new(timer, LogIndex(0), at);
                entry.with(None, Some(attempt))
            }
            Known::Other {
                changed,
                created,
                former,
                held,
                stage,
            } => Self {
                held,
                ..Self::new(timer, changed, created).with(former, stage)
            },
        }
    }

    /// What is to be in the journal beside the timer.
    pub(super) fn known(&self) -> Known {
        let (changed, created) = (self.changed, self.created);
        match (self.former(), self.held, self.stage()) {
            (None, None, None) if changed == created => Known::Made(created),
            (None, None, None) if changed == LogIndex(0) => Known::Brought(created),
            (None, None, Some(attempt)) if changed == LogIndex(0) => {
                Known::Staged(created, attempt)
            }
            (former, held, stage) => Known::Other {
                changed,
                created,
                former: former.cloned(),
                held,
                stage,
            },
        }
    }

    fn with(mut self, former: Option<NodeId>, stage: Option<u64>) -> Self {
        let rare = Rare { former, stage };
        self.rare = (rare != Rare::default()).then(|| Box::new(rare));
        self
    }

    /// The home that left it to the pool, and that may come back without having heard so.
    #[must_use]
    pub fn former(&self) -> Option<&NodeId> {
        self.rare.as_ref()?.former.as_ref()
    }

    /// The attempt to sleep in which its home handed it over, if that is how it came here.
    #[must_use]
    pub fn stage(&self) -> Option<u64> {
        self.rare.as_ref()?.stage
    }

    pub(super) fn set_former(&mut self, former: Option<NodeId>) {
        self.set(|rare| rare.former = former);
    }

    pub(super) fn set_stage(&mut self, stage: Option<u64>) {
        self.set(|rare| rare.stage = stage);
    }

    fn set(&mut self, change: impl FnOnce(&mut Rare)) {
        let mut rare = self.rare.take().unwrap_or_default();
        change(&mut rare);
        self.rare = Some(rare).filter(|rare| **rare != Rare::default());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_million_entries_are_not_made_larger_by_what_few_have() {
        let beside = size_of::<Entry>() - size_of::<Timer>();
        assert!(beside <= 32, "{beside} bytes beside the timer");
        assert_eq!(size_of::<Option<Entry>>(), size_of::<Entry>());
        assert!(size_of::<Entry>() <= 240, "{} bytes", size_of::<Entry>());
    }
}
