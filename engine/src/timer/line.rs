//! One line of a timer: an occurrence that waits, runs, or is over.

use super::Ending;
use super::told::ToldPhase;
use crate::id::{NodeId, Token};
use crate::time::WallTime;
use serde::{Deserialize, Serialize};
use std::fmt;

/// Where a timer is in its life.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "ToldPhase", into = "ToldPhase")]
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
        /// Who runs it; in a box, since most timers wait.
        run: Box<Begun>,
    },
    /// Nothing will run any more.
    Over {
        /// How it ended.
        ending: Ending,
        /// When it ended.
        at: WallTime,
    },
}

/// A run that has begun.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Begun {
    /// The node that runs it.
    pub by: NodeId,
    /// Since when.
    pub started: WallTime,
    /// The token it runs under.
    pub token: Token,
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
    pub deaths: u8,
    /// Its user asked for it; the schedule did not.
    #[serde(default)]
    pub manual: bool,
    /// The schedule goes on after this rather than after the nominal time: what lies between is dealt with.
    #[serde(default)]
    pub follow: Follow,
}

/// A time, or none, in the eight bytes of a time: the earliest of all stands for none.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Option<WallTime>", into = "Option<WallTime>")]
pub struct Follow(WallTime);

impl Default for Follow {
    fn default() -> Self {
        Self::NOTHING
    }
}

impl From<Option<WallTime>> for Follow {
    fn from(time: Option<WallTime>) -> Self {
        time.map_or(Self::NOTHING, Self)
    }
}

impl From<Follow> for Option<WallTime> {
    fn from(follow: Follow) -> Self {
        follow.time()
    }
}

impl Follow {
    /// The schedule goes on after the nominal time.
    pub const NOTHING: Self = Self(WallTime(i64::MIN));

    /// The schedule goes on after `time`.
    #[must_use]
    pub fn after(time: WallTime) -> Self {
        Self(time)
    }

    /// After what the schedule goes on, if not after the nominal time.
    #[must_use]
    pub fn time(self) -> Option<WallTime> {
        (self != Self::NOTHING).then_some(self.0)
    }
}

impl fmt::Debug for Follow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.time().fmt(f)
    }
}

impl Occurrence {
    pub(crate) fn fresh(nominal: WallTime) -> Self {
        Self {
            nominal,
            attempt: 0,
            missed: 0,
            deaths: 0,
            manual: false,
            follow: Follow::NOTHING,
        }
    }

    /// After what the schedule goes on.
    pub(super) fn last_nominal(&self) -> WallTime {
        self.follow.0.max(self.nominal)
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
            Self::Running { run, .. } => Some((run.token, &run.by)),
            Self::Waiting { .. } | Self::Over { .. } => None,
        }
    }

    pub(super) fn is(&self, nominal: WallTime) -> bool {
        self.occurrence().is_some_and(|it| it.nominal == nominal)
    }
}
