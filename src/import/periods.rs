//! Lengths and instants as other schedulers write them: durations of Go, durations of ISO 8601, RFC 3339.

use dormouse_client::wire;
use jiff::Timestamp;
use prost_types::{Duration as WireDuration, Timestamp as WireTimestamp};
use std::time::{Duration, SystemTime};

/// The units of a duration of Go, in nanoseconds.
const UNITS: [(&str, u64); 8] = [
    ("ns", 1),
    ("us", 1_000),
    ("µs", 1_000),
    ("μs", 1_000),
    ("ms", 1_000_000),
    ("s", 1_000_000_000),
    ("m", 60_000_000_000),
    ("h", 3_600_000_000_000),
];

/// A point in time, as it was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Moment {
    /// At this instant.
    At(SystemTime),
    /// So long after something was made.
    After(Duration),
}

/// Reads a duration of Go such as `1h30m`, `1.5s` or `500ms`; none if it is something else, or negative.
pub(super) fn go(text: &str) -> Option<Duration> {
    let mut rest = text.strip_prefix('+').unwrap_or(text);
    if rest == "0" {
        return Some(Duration::ZERO);
    }
    let mut total: u128 = 0;
    let mut parts = 0;
    while !rest.is_empty() {
        let number_end = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (number, tail) = rest.split_at(number_end);
        let unit_end = tail
            .find(|c: char| c.is_ascii_digit() || c == '.')
            .unwrap_or(tail.len());
        let (unit, tail) = tail.split_at(unit_end);
        let (_, size) = UNITS.iter().find(|(name, _)| *name == unit)?;
        total = total.checked_add(scaled(number, *size)?)?;
        rest = tail;
        parts += 1;
    }
    let nanos = u64::try_from(total).ok().filter(|_| parts > 0)?;
    Some(Duration::from_nanos(nanos))
}

/// A decimal number of units, in nanoseconds.
fn scaled(number: &str, size: u64) -> Option<u128> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let digits = |text: &str| text.chars().all(|c| c.is_ascii_digit());
    if (whole.is_empty() && fraction.is_empty()) || !digits(whole) || !digits(fraction) {
        return None;
    }
    let whole: u128 = if whole.is_empty() {
        0
    } else {
        whole.parse().ok()?
    };
    // What is finer than a nanosecond of an hour is dropped.
    let fraction = &fraction[..fraction.len().min(15)];
    let mut nanos = whole.checked_mul(size.into())?;
    if !fraction.is_empty() {
        let scale = 10_u128.pow(u32::try_from(fraction.len()).ok()?);
        nanos += fraction.parse::<u128>().ok()? * u128::from(size) / scale;
    }
    Some(nanos)
}

/// Reads a duration of ISO 8601 such as `PT15M` or `P1DT2H`; none if it is something else, or has years or months,
/// which are of no fixed length. With `R5/` in front, the number of repetitions is given too.
pub(super) fn iso(text: &str) -> Option<(Duration, Option<u64>)> {
    let (repeats, period) = match text.strip_prefix('R') {
        None => (None, text),
        Some(rest) => {
            let (count, period) = rest.split_once('/')?;
            let count = match count {
                "" => None,
                count => Some(count.parse().ok()?),
            };
            (count, period)
        }
    };
    period.strip_prefix('P')?;
    let span: jiff::Span = period.parse().ok()?;
    let fixed = span.get_years() == 0 && span.get_months() == 0 && !span.is_negative();
    let seconds = jiff::SpanRelativeTo::days_are_24_hours();
    let length = span.to_duration(seconds).ok().filter(|_| fixed)?;
    Some((Duration::try_from(length).ok()?, repeats))
}

/// Reads RFC 3339, a duration of Go, or one of ISO 8601.
pub(super) fn moment(text: &str) -> Option<Moment> {
    if let Ok(instant) = text.parse::<Timestamp>() {
        return Some(Moment::At(instant.into()));
    }
    let length = go(text).or_else(|| {
        iso(text).and_then(|(length, repeats)| {
            // A point in time does not repeat.
            repeats.is_none().then_some(length)
        })
    });
    length.map(Moment::After)
}

/// Whole milliseconds, rounded up, as the wire has them.
pub(super) fn duration(length: Duration) -> WireDuration {
    let millis = i64::try_from(length.as_nanos().div_ceil(1_000_000)).unwrap_or(i64::MAX);
    let nanos = i32::try_from(millis % 1000).unwrap_or_default() * 1_000_000;
    WireDuration {
        seconds: millis / 1000,
        nanos,
    }
}

pub(super) fn seconds(seconds: u64) -> WireDuration {
    WireDuration {
        seconds: i64::try_from(seconds).unwrap_or(i64::MAX),
        nanos: 0,
    }
}

pub(super) fn timestamp(instant: SystemTime) -> WireTimestamp {
    instant.into()
}

/// A timer that waits for its schedule to be filled in, for a handler.
pub(super) fn timer_for(handler: &str, schedule: wire::schedule::Kind) -> wire::Timer {
    let target = wire::HandlerTarget {
        name: handler.into(),
    };
    wire::Timer {
        schedule: Some(wire::Schedule {
            kind: Some(schedule),
        }),
        target: Some(wire::Target {
            kind: Some(wire::target::Kind::Handler(target)),
        }),
        ..wire::Timer::default()
    }
}

/// Every so often; aligned to `phase` after each multiple of the interval, if there is one.
pub(super) fn every(interval: Duration, phase: Option<Duration>) -> wire::schedule::Kind {
    wire::schedule::Kind::Every(wire::Every {
        interval: Some(duration(interval)),
        phase: phase.map(duration),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_of_go_are_read_as_go_reads_them() {
        for (text, nanos) in [
            ("1h30m", 5_400_000_000_000),
            ("1.5s", 1_500_000_000),
            (".5s", 500_000_000),
            ("500ms", 500_000_000),
            ("2h46m40s", 10_000_000_000_000),
            ("100m", 6_000_000_000_000),
            ("1µs", 1_000),
            ("0", 0),
            ("0s", 0),
            ("+5s", 5_000_000_000),
        ] {
            assert_eq!(go(text), Some(Duration::from_nanos(nanos)), "{text}");
        }
        for text in [
            "",
            "5",
            "-5s",
            "s",
            "1d",
            "1h 5m",
            ".s",
            "1..5s",
            "99999999999h",
            "1",
        ] {
            assert_eq!(go(text), None, "{text}");
        }
    }

    #[test]
    fn durations_of_iso_have_a_fixed_length_or_none() {
        let minutes = |count: u64| Duration::from_secs(60 * count);
        assert_eq!(iso("PT15M"), Some((minutes(15), None)));
        assert_eq!(iso("P1DT1H"), Some((minutes(25 * 60), None)));
        assert_eq!(iso("P1W"), Some((minutes(7 * 24 * 60), None)));
        assert_eq!(iso("R5/PT1M"), Some((minutes(1), Some(5))));
        assert_eq!(iso("R/PT1M"), Some((minutes(1), None)));
        for text in ["P1M", "P1Y", "-PT1M", "PT", "1h", "Rx/PT1M", "R5"] {
            assert_eq!(iso(text), None, "{text}");
        }
    }

    #[test]
    fn a_moment_is_an_instant_or_a_wait() {
        let at = SystemTime::UNIX_EPOCH + Duration::from_secs(3600);
        assert_eq!(moment("1970-01-01T02:00:00+01:00"), Some(Moment::At(at)));
        let wait = Duration::from_secs(30);
        assert_eq!(moment("30s"), Some(Moment::After(wait)));
        assert_eq!(moment("PT30S"), Some(Moment::After(wait)));
        for text in ["tomorrow", "R2/PT1S", "2030-01-01"] {
            assert_eq!(moment(text), None, "{text}");
        }
    }
}
