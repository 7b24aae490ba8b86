//! Why a schedule is refused, in words for the one who wrote it.
//!
//! Whatever is wrong with a cron expression names the character; what code a refusal has on the wire
//! is for the shells to say.

use super::{HORIZON, INTERVAL_MIN};
use crate::time::{Millis, WallTime};

/// The longest cron expression, in bytes.
pub(super) const EXPRESSION_LENGTH_MAX: usize = 1024;

/// Why a schedule is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadSchedule {
    /// The expression has more than 1,024 bytes.
    #[error("the cron expression has {0} bytes; at most {max} are allowed", max = EXPRESSION_LENGTH_MAX)]
    TooLong(usize),
    /// The expression does not have five or six fields.
    #[error(
        "a cron expression has five fields (minute, hour, day of month, month, day of week), \
         or six with seconds first; this one has {0}"
    )]
    FieldCount(usize),
    /// `@something` that is not known, or cannot be.
    #[error("{name:?} at offset 0: {why}")]
    Macro {
        /// The macro, as written.
        name: String,
        /// What to write instead.
        why: &'static str,
    },
    /// One item of a field is wrong.
    #[error("{field} at offset {offset}: {why}")]
    Field {
        /// Which field, in words.
        field: &'static str,
        /// Where in the expression, counted in characters from 0.
        offset: usize,
        /// What is wrong and what to write instead.
        why: String,
    },
    /// No date, or no time that the zone's clock ever shows, matches.
    #[error(
        "the expression matches no date that exists; look at its day of month, month and day of week"
    )]
    NeverMatches,
    /// The bundled time zone database has no such name.
    #[error(
        "{0:?} is not a time zone; write an IANA name such as Europe/Berlin, or UTC (local and POSIX zones are not known)"
    )]
    UnknownZone(String),
    /// The interval is shorter than [`INTERVAL_MIN`], or zero.
    #[error("an interval of {} ms is too short; the shortest is {} ms", .0.0, INTERVAL_MIN.0)]
    IntervalTooShort(Millis),
    /// The interval is longer than [`HORIZON`].
    #[error("an interval of {} ms is too long; the longest is ten years, {} ms", .0.0, HORIZON.0)]
    IntervalTooLong(Millis),
    /// The time is before 1970.
    #[error("{0} is before 1970")]
    BeforeEpoch(WallTime),
    /// The first nominal time lies more than [`HORIZON`] ahead: right in itself, but not yet.
    #[error("{0} is more than ten years ahead")]
    OutOfHorizon(WallTime),
}

impl BadSchedule {
    /// The character of a cron expression that is wrong, counted from 0.
    #[must_use]
    pub const fn offset(&self) -> Option<usize> {
        match self {
            Self::Field { offset, .. } => Some(*offset),
            Self::Macro { .. } => Some(0),
            Self::TooLong(_)
            | Self::FieldCount(_)
            | Self::NeverMatches
            | Self::UnknownZone(_)
            | Self::IntervalTooShort(_)
            | Self::IntervalTooLong(_)
            | Self::BeforeEpoch(_)
            | Self::OutOfHorizon(_) => None,
        }
    }

    /// Whether the schedule is only too far ahead, so that the same one may be accepted later.
    #[must_use]
    pub const fn is_out_of_horizon(&self) -> bool {
        matches!(self, Self::OutOfHorizon(_))
    }
}
