//! How a timer is treated when things do not go by the plan: late, overlapping, failing, cut off.
//!
//! These are its user's choices, valid by themselves; `life` keeps them. What they mean is told in
//! `docs/design/semantics.md`.

use crate::time::{Millis, WallTime};
use serde::{Deserialize, Serialize};

/// Every policy of a timer.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Policy {
    /// What its home does with it while it is cut off.
    pub isolation: Isolation,
    /// How often an occurrence may begin.
    pub effort: Effort,
    /// Where its occurrences end.
    pub bounds: Bounds,
    /// Every occurrence is delayed by a fixed time of up to this, drawn by hash of the uid.
    pub jitter: Millis,
    /// What becomes of occurrences that were missed.
    pub misfire: Misfire,
    /// What becomes of an occurrence that falls due while an earlier one runs.
    pub overlap: Overlap,
    /// How a failed attempt is tried again.
    pub retry: Retry,
}

/// What a home that runs without a lease does with a movable timer that the coordinator knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
pub enum Isolation {
    /// Fires it: in a partition an occurrence may run once more elsewhere.
    #[default]
    Fire,
    /// Holds it until the lease is renewed.
    Hold,
}

/// How often an occurrence may begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
pub enum Effort {
    /// Until it is done or its attempts are used up.
    #[default]
    AtLeastOnce,
    /// Its start is durable before it begins; if the outcome is not known it is LOST.
    AtMostOnce,
}

/// Where the occurrences of a timer begin and end.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Bounds {
    /// No nominal time before this.
    pub start: Option<WallTime>,
    /// No nominal time at or after this.
    pub end: Option<WallTime>,
    /// The timer is over when this many occurrences have begun.
    pub occurrences_max: Option<u64>,
    /// An occurrence that has not begun by then is skipped, and none follows.
    pub expire: Option<WallTime>,
}

/// What becomes of occurrences that were missed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(default)]
pub struct Misfire {
    /// Which of them run.
    pub mode: MisfireMode,
    /// An occurrence that is late by at most this was not missed.
    pub grace: Millis,
    /// Missed occurrences older than this do not run; if none, the period, at most [`super::CATCHUP_MAX`] and
    /// at least [`super::MISFIRE_GRACE`].
    pub window: Option<Millis>,
    /// With [`MisfireMode::All`] at most so many of the missed ones run: the latest.
    pub cap: u32,
}

/// Which of the missed occurrences run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
pub enum MisfireMode {
    /// None.
    Skip,
    /// The latest, for all of them.
    #[default]
    Once,
    /// Each, one after the other.
    All,
}

/// What becomes of an occurrence that falls due while an earlier one of the same timer runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
pub enum Overlap {
    /// It is skipped.
    #[default]
    Skip,
    /// Both run.
    Allow,
    /// The earlier one loses its right, the new one runs.
    Replace,
    /// The first one waits for the end of the run, further ones are skipped.
    BufferOne,
}

/// How a failed attempt is tried again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(default)]
pub struct Retry {
    /// Attempts of one occurrence, the first included.
    pub attempts_max: u32,
    /// The wait before the second attempt.
    pub backoff_first: Millis,
    /// The longest wait between two attempts.
    pub backoff_max: Millis,
    /// Each wait is so many thousandths of the one before.
    pub factor_permille: u32,
    /// How long an attempt may go without a sign of life.
    pub attempt_timeout: Millis,
}

impl Default for Misfire {
    fn default() -> Self {
        Self {
            mode: MisfireMode::Once,
            grace: super::MISFIRE_GRACE,
            window: None,
            cap: super::MISFIRE_CAP,
        }
    }
}

impl Default for Retry {
    fn default() -> Self {
        Self {
            attempts_max: super::ATTEMPTS_MAX,
            backoff_first: super::BACKOFF_FIRST,
            backoff_max: super::BACKOFF_MAX,
            factor_permille: 2_000,
            attempt_timeout: super::ATTEMPT_TIMEOUT,
        }
    }
}
