//! The policies of a timer that this version knows only the default of.
//!
//! A value that is wrong in itself is invalid, as it will always be; a right one that is not the default is
//! not there yet, and the refusal names it. Silence would be worse: a policy that is taken and not kept.

use super::fields;
use crate::defaults::{self, BACKOFF_FACTOR};
use crate::fault::Faults;
use dormouse_engine::time::Millis;
use dormouse_engine::timer::{
    ATTEMPT_TIMEOUT, ATTEMPTS_MAX, BACKOFF_FIRST, BACKOFF_MAX, MISFIRE_GRACE,
};
use dormouse_proto::v1;
use prost_types::Duration;

/// The most attempts that a retry policy can ask for.
const ATTEMPTS_LIMIT: u32 = 100;

/// Checks every field of `timer` that has to be left out or to have its default.
pub(super) fn only_defaults(faults: &mut Faults, path: &str, timer: &v1::Timer) {
    enums(faults, path, timer);
    bounds(faults, path, timer);
    lateness(faults, path, timer);
    if let Some(retry) = &timer.retry {
        self::retry(faults, &format!("{path}.retry"), retry);
    }
    if let Some(dst) = &timer.dst {
        self::dst(faults, &format!("{path}.dst"), *dst);
    }
    if timer.paused {
        faults.unsupported(
            format!("{path}.paused"),
            "is not there yet; create the timer unpaused",
        );
    }
}

fn enums(faults: &mut Faults, path: &str, timer: &v1::Timer) {
    let number = timer.isolation;
    let value = v1::Isolation::try_from(number)
        .ok()
        .map(|it| (it.as_str_name(), it == v1::Isolation::Fire));
    choice(faults, format!("{path}.isolation"), number, value);
    let number = timer.effort;
    let value = v1::Effort::try_from(number)
        .ok()
        .map(|it| (it.as_str_name(), it == v1::Effort::AtLeastOnce));
    choice(faults, format!("{path}.effort"), number, value);
    let number = timer.misfire;
    let value = v1::Misfire::try_from(number)
        .ok()
        .map(|it| (it.as_str_name(), it == v1::Misfire::Once));
    choice(faults, format!("{path}.misfire"), number, value);
    let number = timer.overlap;
    let value = v1::Overlap::try_from(number)
        .ok()
        .map(|it| (it.as_str_name(), it == v1::Overlap::Skip));
    choice(faults, format!("{path}.overlap"), number, value);
}

fn dst(faults: &mut Faults, path: &str, dst: v1::DstPolicy) {
    let value = v1::DstGap::try_from(dst.gap)
        .ok()
        .map(|it| (it.as_str_name(), it == v1::DstGap::Shift));
    choice(faults, format!("{path}.gap"), dst.gap, value);
    let value = v1::DstOverlap::try_from(dst.overlap)
        .ok()
        .map(|it| (it.as_str_name(), it == v1::DstOverlap::First));
    choice(faults, format!("{path}.overlap"), dst.overlap, value);
}

/// `value` is the name of an enum's value and whether it is the default; none if there is no such value.
fn choice(faults: &mut Faults, path: String, number: i32, value: Option<(&str, bool)>) {
    match value {
        None => faults.invalid(path, format!("{number} is no value of it")),
        Some((name, is_default)) if number != 0 && !is_default => {
            faults.unsupported(
                path,
                format!("{name} is not there yet; leave it out for the default"),
            );
        }
        Some(_) => {}
    }
}

fn bounds(faults: &mut Faults, path: &str, timer: &v1::Timer) {
    let mut time = |field: &str, value: &Option<prost_types::Timestamp>| {
        let path = format!("{path}.{field}");
        let time = value
            .as_ref()
            .and_then(|value| fields::time(faults, &path, value))?;
        faults.unsupported(path, "is not there yet; leave it out");
        Some(time)
    };
    let start = time("start_time", &timer.start_time);
    let end = time("end_time", &timer.end_time);
    time("expire_time", &timer.expire_time);
    if let (Some(start), Some(end)) = (start, end)
        && end <= start
    {
        faults.invalid(format!("{path}.end_time"), "must be after start_time");
    }
    if timer.max_occurrences > 0 {
        faults.unsupported(
            format!("{path}.max_occurrences"),
            "is not there yet; leave it out",
        );
    }
}

fn lateness(faults: &mut Faults, path: &str, timer: &v1::Timer) {
    fixed(
        faults,
        &format!("{path}.misfire_grace"),
        timer.misfire_grace.as_ref(),
        MISFIRE_GRACE,
    );
    if let Some(value) = &timer.catchup_window {
        let path = format!("{path}.catchup_window");
        window(faults, &path, value, timer.schedule.as_ref());
    }
    if let Some(value) = &timer.jitter {
        jitter(
            faults,
            &format!("{path}.jitter"),
            value,
            timer.schedule.as_ref(),
        );
    }
}

fn window(faults: &mut Faults, path: &str, value: &Duration, schedule: Option<&v1::Schedule>) {
    let Some(length) = fields::length(faults, path, value) else {
        return;
    };
    if length < MISFIRE_GRACE {
        let why = format!("must be at least {} s", MISFIRE_GRACE.0 / 1000);
        return faults.invalid(path, why);
    }
    if interval(schedule).map(defaults::window) != Some(length) {
        faults.unsupported(path, "is not there yet; leave it out");
    }
}

/// What is wrong with it is said where the schedule is read.
fn interval(schedule: Option<&v1::Schedule>) -> Option<Millis> {
    match schedule?.kind.as_ref()? {
        v1::schedule::Kind::Every(every) => {
            fields::length(&mut Faults::default(), "", every.interval.as_ref()?)
        }
        _ => None,
    }
}

fn jitter(faults: &mut Faults, path: &str, value: &Duration, schedule: Option<&v1::Schedule>) {
    let Some(jitter) = fields::length(faults, path, value) else {
        return;
    };
    if interval(schedule).is_some_and(|interval| jitter >= interval) {
        faults.invalid(path, "must be shorter than the interval");
    } else if jitter > Millis(0) {
        faults.unsupported(path, "is not there yet; leave it out");
    }
}

fn retry(faults: &mut Faults, path: &str, retry: &v1::RetryPolicy) {
    let attempts = format!("{path}.max_attempts");
    match retry.max_attempts {
        0 | ATTEMPTS_MAX => {}
        1..=ATTEMPTS_LIMIT => {
            faults.unsupported(
                attempts,
                format!("is not there yet; leave it out for {ATTEMPTS_MAX}"),
            );
        }
        _ => faults.invalid(attempts, format!("must be 1 to {ATTEMPTS_LIMIT}")),
    }
    let min = fixed(
        faults,
        &format!("{path}.backoff_min"),
        retry.backoff_min.as_ref(),
        BACKOFF_FIRST,
    );
    let max = fixed(
        faults,
        &format!("{path}.backoff_max"),
        retry.backoff_max.as_ref(),
        BACKOFF_MAX,
    );
    if min.unwrap_or(BACKOFF_FIRST) > max.unwrap_or(BACKOFF_MAX) {
        faults.invalid(
            format!("{path}.backoff_max"),
            "must not be shorter than backoff_min",
        );
    }
    let factor = format!("{path}.backoff_factor");
    // Zero is what a field that was left out has.
    if !(retry.backoff_factor == 0.0 || (1.0..=10.0).contains(&retry.backoff_factor)) {
        faults.invalid(factor, "must be 1 to 10");
    } else if retry.backoff_factor != 0.0 && retry.backoff_factor != BACKOFF_FACTOR {
        let why = format!("is not there yet; leave it out for {BACKOFF_FACTOR}");
        faults.unsupported(factor, why);
    }
    fixed(
        faults,
        &format!("{path}.attempt_timeout"),
        retry.attempt_timeout.as_ref(),
        ATTEMPT_TIMEOUT,
    );
}

/// A length of time that must be left out or be `default`; gives what was asked.
fn fixed(
    faults: &mut Faults,
    path: &str,
    value: Option<&Duration>,
    default: Millis,
) -> Option<Millis> {
    let length = fields::length(faults, path, value?)?;
    if length == Millis(0) {
        faults.invalid(path, "must be at least 1 ms");
    } else if length != default {
        faults.unsupported(
            path,
            format!("is not there yet; leave it out for {} ms", default.0),
        );
    }
    Some(length)
}
