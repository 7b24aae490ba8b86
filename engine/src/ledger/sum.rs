//! A count and a sum over timers, by which a home and the ledger see whether they know the same.
//!
//! Both keep it as they go: a timer goes in when it is put into its place and out when it is taken from there. So it
//! costs nothing to compare a million timers.

use crate::hash;
use crate::timer::Timer;
use serde::{Deserialize, Serialize};

/// What somebody knows of the movable timers of a home, in two numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Sum {
    /// How many there are.
    pub count: u64,
    /// The exclusive or of a hash of each: of its identity, generation and revision.
    pub hash: u64,
}

impl Sum {
    /// Whether a timer counts: it may run on other nodes, and something of it may still run.
    #[must_use]
    pub fn counts(timer: &Timer) -> bool {
        timer.is_movable() && !timer.is_over()
    }

    /// The sum of this timer alone.
    #[must_use]
    pub fn of(timer: &Timer) -> Self {
        let [high, low] = hash::halves(timer.uid.0);
        Self {
            count: 1,
            hash: hash::fold(&[high, low, timer.generation, timer.revision]),
        }
    }

    /// This and `other`.
    #[must_use]
    pub fn with(self, other: Self) -> Self {
        Self {
            count: self.count.wrapping_add(other.count),
            hash: self.hash ^ other.hash,
        }
    }

    /// This without `other`, which is a part of it.
    #[must_use]
    pub fn without(self, other: Self) -> Self {
        Self {
            count: self.count.wrapping_sub(other.count),
            hash: self.hash ^ other.hash,
        }
    }
}
