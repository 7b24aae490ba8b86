//! One line of a timer: an occurrence that waits, runs, or is over.

use super::Ending;
use crate::id::{NodeId, Token};
use crate::time::WallTime;
use serde::{Deserialize, Serialize};

/// Where a timer is in its life.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Phase {
    /// The next attempt is due at `due`.
    Waiting {
        /// What will run.
        occurrence: Occurrence,
        /// Its nominal time, or the time of the next attempt.
        due: WallTime,
    },
    /// A run is in flight.
    Running {
        /// What runs.
        occurrence: Occurrence,
        /// The node that runs it.
        by: NodeId,
        /// Since when.
        started: WallTime,
        /// The token it runs under.
        token: Token,
    },
    /// Nothing will run any more.
    Over {
        /// How it ended.
        ending: Ending,
        /// When it ended.
        at: WallTime,
    },
}

/// One scheduled firing of a timer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Occurrence {
    /// The time of the schedule.
    pub nominal: WallTime,
    /// Attempts begun so far; while running this is the number of the running one.
    pub attempt: u32,
    /// Older occurrences that were missed and that this one stands for.
    pub missed: u64,
    /// Runners that died with it.
    pub deaths: u32,
    /// Its user asked for it; the schedule did not.
    #[serde(default)]
    pub manual: bool,
    /// The schedule goes on after this rather than after the nominal time: what lies between is dealt with.
    #[serde(default)]
    pub follow: Option<WallTime>,
}

impl Occurrence {
    pub(crate) fn fresh(nominal: WallTime) -> Self {
        Self {
            nominal,
            attempt: 0,
            missed: 0,
            deaths: 0,
            manual: false,
            follow: None,
        }
    }

    /// After what the schedule goes on.
    pub(super) fn last_nominal(&self) -> WallTime {
        self.follow.map_or(self.nominal, |it| it.max(self.nominal))
    }
}

impl Phase {
    /// What waits or runs; none after the end.
    #[must_use]
    pub fn occurrence(&self) -> Option<&Occurrence> {
        match self {
            Self::Waiting { occurrence, .. } | Self::Running { occurrence, .. } => Some(occurrence),
            Self::Over { .. } => None,
        }
    }

    /// The token of the run in flight, and the node that runs it.
    #[must_use]
    pub fn running(&self) -> Option<(Token, &NodeId)> {
        match self {
            Self::Running { by, token, .. } => Some((*token, by)),
            Self::Waiting { .. } | Self::Over { .. } => None,
        }
    }

    pub(super) fn is(&self, nominal: WallTime) -> bool {
        self.occurrence().is_some_and(|it| it.nominal == nominal)
    }
}
