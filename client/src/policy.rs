//! How a timer is treated when things do not go by the plan: late, overlapping, failing, cut off.
//!
//! The same choices are made for a new timer and in an edit, so that their methods are written once, here.

use crate::preview::{Gap, Repeated};
use std::fmt;
use std::time::{Duration, SystemTime};

/// What a timer's user has chosen; in an answer also what was left out.
///
/// None in an answer is a bound that the timer does not have, or a choice that this version does not know.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Policy {
    /// What its home does while it is cut off.
    pub isolation: Option<Isolation>,
    /// How often an occurrence may begin.
    pub effort: Option<Effort>,
    /// No occurrence before this.
    pub start: Option<SystemTime>,
    /// No occurrence at or after this.
    pub end: Option<SystemTime>,
    /// What has not begun by then is skipped.
    pub expires: Option<SystemTime>,
    /// Done after this many occurrences.
    pub occurrences_max: Option<u64>,
    /// Each occurrence is delayed by up to this, always by the same.
    pub jitter: Option<Duration>,
    /// What becomes of missed occurrences.
    pub misfire: Option<Misfire>,
    /// Late by at most this is on time.
    pub misfire_grace: Option<Duration>,
    /// At most so many missed occurrences run.
    pub misfire_cap: Option<u32>,
    /// Missed occurrences older than this are dropped.
    pub catchup_window: Option<Duration>,
    /// What becomes of an occurrence while an earlier one runs.
    pub overlap: Option<Overlap>,
    /// How a failed attempt is tried again.
    pub retry: Option<Retry>,
    /// What becomes of local times that do not exist.
    pub gap: Option<Gap>,
    /// When local times are due that exist twice.
    pub repeated: Option<Repeated>,
}

/// A closed list of choices, each with the word for it in commands and output.
macro_rules! choice {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $text:literal,)* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum $name {
            $($(#[$variant_doc])* $variant,)*
        }

        impl $name {
            /// As it is written in commands and output.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $text,)*
                }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(self.as_str())
            }
        }
    };
}

choice! {
    /// What a home that runs but cannot reach the coordinator does with a movable timer.
    Isolation {
        /// Fires it; in a partition an occurrence may run once more elsewhere.
        Fire = "fire",
        /// Holds it until the coordinator answers.
        Hold = "hold",
    }
}

choice! {
    /// How often an occurrence may begin.
    Effort {
        /// Until it is done or its attempts are used up.
        AtLeastOnce = "at_least_once",
        /// Once; if its outcome is not known it is lost.
        AtMostOnce = "at_most_once",
    }
}

choice! {
    /// What becomes of occurrences that were missed while nobody could run them.
    Misfire {
        /// None runs.
        Skip = "skip",
        /// The latest runs, for all of them.
        Once = "once",
        /// Each runs, one after the other.
        All = "all",
    }
}

choice! {
    /// What becomes of an occurrence that falls due while an earlier one of the same timer runs.
    Overlap {
        /// It is skipped.
        Skip = "skip",
        /// Both run.
        Allow = "allow",
        /// The earlier one loses its right, the new one runs.
        Replace = "replace",
        /// One waits for the end of the run; further ones are skipped.
        BufferOne = "buffer_one",
    }
}

/// How a failed attempt is tried again.
///
/// ```
/// use dormouse_client::Retry;
/// use std::time::Duration;
///
/// let patient = Retry::attempts(10)
///     .backoff(Duration::from_secs(1), Duration::from_secs(600))
///     .factor(3.0)
///     .attempt_timeout(Duration::from_secs(120));
/// # let _ = patient;
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Retry {
    /// Attempts in all, the first one included: 1 to 100.
    pub attempts_max: u32,
    /// The wait before the second attempt.
    pub backoff_min: Duration,
    /// The longest wait.
    pub backoff_max: Duration,
    /// Each wait is so many times the one before: 1 to 10.
    pub factor: f64,
    /// An attempt without a sign of life for this long has failed: 1 s to 24 h.
    pub attempt_timeout: Duration,
}

impl Default for Retry {
    /// Five attempts, waits of 1 s to 5 min that double, a minute for each attempt.
    fn default() -> Self {
        Self {
            attempts_max: 5,
            backoff_min: Duration::from_secs(1),
            backoff_max: Duration::from_secs(300),
            factor: 2.0,
            attempt_timeout: Duration::from_secs(60),
        }
    }
}

impl Retry {
    /// So many attempts in all.
    #[must_use]
    pub fn attempts(attempts_max: u32) -> Self {
        Self {
            attempts_max,
            ..Self::default()
        }
    }

    /// One attempt: what fails is dead.
    #[must_use]
    pub fn never() -> Self {
        Self::attempts(1)
    }

    /// From the first wait to the longest.
    #[must_use]
    pub fn backoff(mut self, min: Duration, max: Duration) -> Self {
        self.backoff_min = min;
        self.backoff_max = max;
        self
    }

    /// Each wait is so many times the one before.
    #[must_use]
    pub fn factor(mut self, factor: f64) -> Self {
        self.factor = factor;
        self
    }

    /// How long an attempt may go without a sign of life.
    #[must_use]
    pub fn attempt_timeout(mut self, timeout: Duration) -> Self {
        self.attempt_timeout = timeout;
        self
    }
}

/// The choices as methods of a builder, whose `choose` gives the policy and is told which fields of the wire change.
macro_rules! choices {
    ($builder:ident) => {
        /// How it is treated when things do not go by the plan.
        impl $builder {
            /// What becomes of occurrences that were missed; the latest runs for all of them unless told otherwise.
            pub fn misfire(mut self, misfire: $crate::policy::Misfire) -> Self {
                self.choose(&["misfire"]).misfire = Some(misfire);
                self
            }

            /// Late by at most this is on time; 60 s unless told otherwise.
            pub fn misfire_grace(mut self, grace: std::time::Duration) -> Self {
                self.choose(&["misfire_grace"]).misfire_grace = Some(grace);
                self
            }

            /// At most so many missed occurrences run, if all are to; 100 unless told otherwise, at most 1000.
            pub fn misfire_cap(mut self, cap: u32) -> Self {
                self.choose(&["misfire_cap"]).misfire_cap = Some(cap);
                self
            }

            /// Missed occurrences older than this are dropped; the period, but a minute to an hour, unless told
            /// otherwise.
            pub fn catchup_window(mut self, window: std::time::Duration) -> Self {
                self.choose(&["catchup_window"]).catchup_window = Some(window);
                self
            }

            /// What becomes of an occurrence while an earlier one runs; it is skipped unless told otherwise.
            pub fn overlap(mut self, overlap: $crate::policy::Overlap) -> Self {
                self.choose(&["overlap"]).overlap = Some(overlap);
                self
            }

            /// How a failed attempt is tried again.
            pub fn retry(mut self, retry: $crate::policy::Retry) -> Self {
                self.choose(&["retry"]).retry = Some(retry);
                self
            }

            /// Each occurrence is delayed by up to this, always by the same; it is less than the shortest period.
            pub fn jitter(mut self, jitter: std::time::Duration) -> Self {
                self.choose(&["jitter"]).jitter = Some(jitter);
                self
            }

            /// No occurrence before `start`.
            pub fn not_before(mut self, start: std::time::SystemTime) -> Self {
                self.choose(&["start_time"]).start = Some(start);
                self
            }

            /// No occurrence at or after `end`.
            pub fn until(mut self, end: std::time::SystemTime) -> Self {
                self.choose(&["end_time"]).end = Some(end);
                self
            }

            /// Occurrences from `start` to before `end` only.
            pub fn between(self, start: std::time::SystemTime, end: std::time::SystemTime) -> Self {
                self.not_before(start).until(end)
            }

            /// Done after so many occurrences.
            pub fn at_most(mut self, occurrences: u64) -> Self {
                self.choose(&["max_occurrences"]).occurrences_max = Some(occurrences);
                self
            }

            /// What has not begun by then is skipped.
            pub fn expires_at(mut self, time: std::time::SystemTime) -> Self {
                self.choose(&["expire_time"]).expires = Some(time);
                self
            }

            /// Each occurrence begins once at most; one whose outcome is not known is lost, not tried again.
            pub fn at_most_once(mut self) -> Self {
                self.choose(&["effort"]).effort = Some($crate::policy::Effort::AtMostOnce);
                self
            }

            /// What its home does with it while it cannot reach the coordinator.
            pub fn isolation(mut self, isolation: $crate::policy::Isolation) -> Self {
                self.choose(&["isolation"]).isolation = Some(isolation);
                self
            }

            /// What a cron schedule does when the clocks change.
            pub fn when_clocks_change(
                mut self,
                gap: $crate::preview::Gap,
                repeated: $crate::preview::Repeated,
            ) -> Self {
                let policy = self.choose(&["dst"]);
                policy.gap = Some(gap);
                policy.repeated = Some(repeated);
                self
            }
        }
    };
}
pub(crate) use choices;
