//! Single values of a request: ids, times, lengths of time.
//!
//! Each function says what is wrong with the field at a path and then gives none.

use crate::fault::{self, Faults};
use dormouse_engine::id::{BadId, NodeId, PoolId, TimerName};
use dormouse_engine::time::{Millis, WallTime};
use prost_types::{Duration, Timestamp};
use tonic::Status;
use uuid::{Uuid, Version};

/// The last second of the year 9999.
const SECONDS_MAX: i64 = 253_402_300_799;
/// The longest duration that protobuf knows, in seconds: ten thousand years.
const DURATION_SECONDS_MAX: i64 = 315_576_000_000;
const NANOS_MAX: i32 = 999_999_999;

/// A bare node id in `field` of a request.
///
/// # Errors
/// `INVALID_ARGUMENT` if it is not one, or empty.
pub fn bare_node(field: &str, text: &str) -> Result<NodeId, Status> {
    NodeId::new(text).map_err(|bad| fault::invalid(field, bad.to_string()))
}

/// A bare pool id in `field` of a request; none if it is empty.
///
/// # Errors
/// `INVALID_ARGUMENT` if it is not one.
pub fn bare_pool(field: &str, text: &str) -> Result<Option<PoolId>, Status> {
    let mut faults = Faults::default();
    let pool = pool(&mut faults, field, text);
    faults.finish(pool)
}

pub(super) fn parsed<T>(faults: &mut Faults, path: &str, id: Result<T, BadId>) -> Option<T> {
    id.map_err(|bad| faults.invalid(path, bad.to_string())).ok()
}

/// The inner none is a pool that was left out.
#[expect(clippy::option_option, reason = "wrong and left out are two things")]
pub(super) fn pool(faults: &mut Faults, path: &str, text: &str) -> Option<Option<PoolId>> {
    if text.is_empty() {
        return Some(None);
    }
    parsed(faults, path, PoolId::new(text)).map(Some)
}

pub(super) fn name(faults: &mut Faults, path: &str, text: &str) -> Option<TimerName> {
    parsed(faults, path, TimerName::parse(text))
}

/// None also if it was left out: then the asked one names the request.
pub(super) fn request_id(faults: &mut Faults, path: &str, text: &str) -> Option<Uuid> {
    if text.is_empty() {
        return None;
    }
    match Uuid::try_parse(text) {
        Ok(id) if id.get_version() == Some(Version::SortRand) => Some(id),
        _ => {
            faults.invalid(
                path,
                "must be a UUID of version 7, the same on every repetition",
            );
            None
        }
    }
}

/// A time of the years 1970 to 9999, rounded up to a millisecond.
pub(super) fn time(faults: &mut Faults, path: &str, time: &Timestamp) -> Option<WallTime> {
    if !(0..=NANOS_MAX).contains(&time.nanos) {
        faults.invalid(format!("{path}.nanos"), format!("must be 0 to {NANOS_MAX}"));
        return None;
    }
    if !(0..=SECONDS_MAX).contains(&time.seconds) {
        faults.invalid(path, "must be a time of the years 1970 to 9999");
        return None;
    }
    Some(WallTime(
        time.seconds * 1000 + i64::from(time.nanos).div_ceil_positive(1_000_000),
    ))
}

/// A length of time that is not negative, rounded up to a millisecond.
pub(super) fn length(faults: &mut Faults, path: &str, length: &Duration) -> Option<Millis> {
    if !(-NANOS_MAX..=NANOS_MAX).contains(&length.nanos) {
        faults.invalid(
            format!("{path}.nanos"),
            format!("must be at most {NANOS_MAX} either way"),
        );
        return None;
    }
    if length.seconds.signum() * i64::from(length.nanos.signum()) < 0 {
        faults.invalid(path, "has seconds and nanos of different signs");
        return None;
    }
    if length.seconds < 0 || length.nanos < 0 {
        faults.invalid(path, "must not be negative");
        return None;
    }
    if length.seconds > DURATION_SECONDS_MAX {
        faults.invalid(path, "is longer than ten thousand years");
        return None;
    }
    let millis = length.seconds * 1000 + i64::from(length.nanos).div_ceil_positive(1_000_000);
    Some(Millis(millis.unsigned_abs()))
}

/// A length of time in whole milliseconds.
pub(super) fn whole_length(faults: &mut Faults, path: &str, value: &Duration) -> Option<Millis> {
    let millis = length(faults, path, value)?;
    if value.nanos % 1_000_000 != 0 {
        faults.invalid(path, "must be a whole number of milliseconds");
        return None;
    }
    Some(millis)
}

trait DivCeilPositive {
    fn div_ceil_positive(self, by: Self) -> Self;
}

impl DivCeilPositive for i64 {
    /// Rounds up; for what is not negative.
    fn div_ceil_positive(self, by: Self) -> Self {
        (self + by - 1) / by
    }
}
