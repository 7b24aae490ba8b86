//! Single values of a request: ids, times, lengths of time.
//!
//! Each function says what is wrong with the field at a path and then gives none.

use crate::fault::{self, Faults};
use dormouse_engine::id::{BadId, NodeId, PoolId, TimerName};
use dormouse_engine::time::{Millis, WallTime};
use prost_types::{Duration, Timestamp};
use tonic::Status;

/// The last second of the year 9999.
const SECONDS_MAX: i64 = 253_402_300_799;
/// The longest duration that protobuf knows, in seconds: ten thousand years.
const DURATION_SECONDS_MAX: i64 = 315_576_000_000;
const NANOS_MAX: i32 = 999_999_999;
/// So much of a wrong text is told back.
const SHOWN_MAX: usize = 40;

/// A bare node id in `field` of a request.
///
/// # Errors
/// `INVALID_ARGUMENT` if it is not one, or empty.
pub fn bare_node(field: &str, text: &str) -> Result<NodeId, Status> {
    NodeId::new(text).map_err(|bad| fault::invalid(field, format!("{} {bad}", shown(text))))
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

/// A text of a request, for the sentence that refuses it: short, and harmless on a terminal.
pub(super) fn shown(text: &str) -> String {
    let mut start: String = text.chars().take(SHOWN_MAX).collect();
    if start.len() < text.len() {
        start.push('\u{2026}');
    }
    start.escape_debug().fold(String::from("\""), |mut all, c| {
        all.push(c);
        all
    }) + "\""
}

/// `parse` applied to `text`.
pub(super) fn parsed<T>(
    faults: &mut Faults,
    path: &str,
    text: &str,
    parse: impl FnOnce(&str) -> Result<T, BadId>,
) -> Option<T> {
    let id = parse(text);
    id.map_err(|bad| faults.invalid(path, format!("{} {bad}", shown(text))))
        .ok()
}

/// The inner none is a pool that was left out.
#[expect(clippy::option_option, reason = "wrong and left out are two things")]
pub(super) fn pool(faults: &mut Faults, path: &str, text: &str) -> Option<Option<PoolId>> {
    if text.is_empty() {
        return Some(None);
    }
    parsed(faults, path, text, PoolId::new).map(Some)
}

pub(super) fn name(faults: &mut Faults, path: &str, text: &str) -> Option<TimerName> {
    parsed(faults, path, text, TimerName::parse)
}

/// A time of the years 1970 to 9999, rounded up to a millisecond.
pub(super) fn time(faults: &mut Faults, path: &str, time: &Timestamp) -> Option<WallTime> {
    if !(0..=NANOS_MAX).contains(&time.nanos) {
        let why = format!("is {}; must be 0 to {NANOS_MAX}", time.nanos);
        faults.invalid(format!("{path}.nanos"), why);
        return None;
    }
    if !(0..=SECONDS_MAX).contains(&time.seconds) {
        let why = format!(
            "is {} s since 1970; must be within the years 1970 to 9999",
            time.seconds
        );
        faults.invalid(path, why);
        return None;
    }
    Some(WallTime(
        time.seconds * 1000 + i64::from(time.nanos).div_ceil_positive(1_000_000),
    ))
}

/// A length of time that is not negative, rounded up to a millisecond.
pub(super) fn length(faults: &mut Faults, path: &str, length: &Duration) -> Option<Millis> {
    if !(-NANOS_MAX..=NANOS_MAX).contains(&length.nanos) {
        let why = format!(
            "is {}; must be at most {NANOS_MAX} either way",
            length.nanos
        );
        faults.invalid(format!("{path}.nanos"), why);
        return None;
    }
    if length.seconds.signum() * i64::from(length.nanos.signum()) < 0 {
        faults.invalid(path, "has seconds and nanos of different signs");
        return None;
    }
    if length.seconds < 0 || length.nanos < 0 {
        let why = format!("is {}; must not be negative", exactly(length));
        faults.invalid(path, why);
        return None;
    }
    if length.seconds > DURATION_SECONDS_MAX {
        let why = format!("is {} s, longer than ten thousand years", length.seconds);
        faults.invalid(path, why);
        return None;
    }
    let millis = length.seconds * 1000 + i64::from(length.nanos).div_ceil_positive(1_000_000);
    Some(Millis(millis.unsigned_abs()))
}

/// A length of time in whole milliseconds.
pub(super) fn whole_length(faults: &mut Faults, path: &str, value: &Duration) -> Option<Millis> {
    let millis = length(faults, path, value)?;
    if value.nanos % 1_000_000 != 0 {
        let why = format!("is {}; must be whole milliseconds", exactly(value));
        faults.invalid(path, why);
        return None;
    }
    Some(millis)
}

/// A length of time as it was sent. (The type's own words end the process for the lowest number of seconds.)
fn exactly(length: &Duration) -> String {
    match length.nanos {
        0 => format!("{} s", length.seconds),
        nanos => format!("{} s and {nanos} ns", length.seconds),
    }
}

/// A length of time of `min` to `max`.
pub(super) fn length_within(
    faults: &mut Faults,
    path: &str,
    value: &Duration,
    (min, max): (Millis, Millis),
) -> Option<Millis> {
    let length = length(faults, path, value)?;
    if (min..=max).contains(&length) {
        return Some(length);
    }
    let why = format!(
        "is {}; must be {} to {}",
        in_words(length),
        in_words(min),
        in_words(max)
    );
    faults.invalid(path, why);
    None
}

/// A length of time in the largest unit that has no fraction.
pub(super) fn in_words(length: Millis) -> String {
    match length.0 {
        0 => "0 s".into(),
        ms if ms % 86_400_000 == 0 => format!("{} d", ms / 86_400_000),
        ms if ms % 3_600_000 == 0 => format!("{} h", ms / 3_600_000),
        ms if ms % 60_000 == 0 => format!("{} min", ms / 60_000),
        ms if ms % 1000 == 0 => format!("{} s", ms / 1000),
        ms => format!("{ms} ms"),
    }
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
