//! How a timer wants to be treated: its policies, each valid by itself and beside the others.

use super::fields::{self, in_words};
use crate::defaults;
use crate::fault::Faults;
use dormouse_engine::schedule::{HORIZON, Schedule};
use dormouse_engine::time::{Millis, WallTime};
use dormouse_engine::timer::{
    Bounds, Effort, Isolation, MISFIRE_CAP, MISFIRE_GRACE, Misfire, MisfireMode, Overlap, Policy,
    Retry, When,
};
use dormouse_proto::v1;
use prost_types::Duration;

/// The most attempts of one occurrence.
pub(super) const ATTEMPTS_MAX: u32 = 100;
/// The longest wait between two attempts.
pub(super) const BACKOFF_MAX: Millis = Millis::from_secs(7 * 86_400);
/// The shortest time that an attempt may be silent.
pub(super) const ATTEMPT_TIMEOUT_MIN: Millis = Millis::from_secs(1);
/// The longest.
pub(super) const ATTEMPT_TIMEOUT_MAX: Millis = Millis::from_secs(86_400);
/// The shortest lateness that can count as missed: below it nothing would ever be on time.
pub(super) const GRACE_MIN: Millis = Millis::from_secs(1);
/// The most missed occurrences that can run.
pub(super) const MISFIRE_CAP_MAX: u32 = 1000;

/// Occurrences of a calendar whose distances are looked at for the shortest period.
const PERIODS_LOOKED_AT: usize = 100;

/// Every policy of `timer`, whose schedule is `when`.
pub(super) fn policy(
    faults: &mut Faults,
    path: &str,
    timer: &v1::Timer,
    when: Option<&When>,
    now: WallTime,
) -> Option<Policy> {
    let effort = effort(faults, &format!("{path}.effort"), timer.effort);
    let isolation = isolation(faults, &format!("{path}.isolation"), timer, effort);
    let bounds = bounds(faults, path, timer);
    if let (Some(bounds), Some(when)) = (&bounds, when) {
        some_time_left(faults, path, bounds, when, now);
    }
    let jitter = jitter(faults, &format!("{path}.jitter"), timer, when, now);
    let misfire = misfire(faults, path, timer, when);
    let overlap = overlap(faults, &format!("{path}.overlap"), timer.overlap);
    let retry = retry(faults, &format!("{path}.retry"), timer.retry.as_ref());
    Some(Policy {
        isolation: isolation?,
        effort: effort?,
        bounds: bounds?,
        jitter: jitter?,
        misfire: misfire?,
        overlap: overlap?,
        retry: retry?,
    })
}

fn unknown<T>(faults: &mut Faults, path: &str, number: i32, known: &str) -> Option<T> {
    faults.invalid(path, format!("{number} is no value of it; must be {known}"));
    None
}

fn effort(faults: &mut Faults, path: &str, number: i32) -> Option<Effort> {
    match v1::Effort::try_from(number) {
        Ok(v1::Effort::Unspecified | v1::Effort::AtLeastOnce) => Some(Effort::AtLeastOnce),
        Ok(v1::Effort::AtMostOnce) => Some(Effort::AtMostOnce),
        Err(_) => unknown(faults, path, number, "AT_LEAST_ONCE or AT_MOST_ONCE"),
    }
}

/// What may begin at most once is never begun by a node that cannot ask.
fn isolation(
    faults: &mut Faults,
    path: &str,
    timer: &v1::Timer,
    effort: Option<Effort>,
) -> Option<Isolation> {
    let at_most_once = effort == Some(Effort::AtMostOnce);
    match v1::Isolation::try_from(timer.isolation) {
        Ok(v1::Isolation::Unspecified) if at_most_once => Some(Isolation::Hold),
        Ok(v1::Isolation::Fire) if at_most_once => {
            let why = "is FIRE; must be HOLD with AT_MOST_ONCE, or be left out";
            faults.invalid(path, why);
            None
        }
        Ok(v1::Isolation::Unspecified | v1::Isolation::Fire) => Some(Isolation::Fire),
        Ok(v1::Isolation::Hold) => Some(Isolation::Hold),
        Err(_) => unknown(faults, path, timer.isolation, "FIRE or HOLD"),
    }
}

fn overlap(faults: &mut Faults, path: &str, number: i32) -> Option<Overlap> {
    match v1::Overlap::try_from(number) {
        Ok(v1::Overlap::Unspecified | v1::Overlap::Skip) => Some(Overlap::Skip),
        Ok(v1::Overlap::Allow) => Some(Overlap::Allow),
        Ok(v1::Overlap::Replace) => Some(Overlap::Replace),
        Ok(v1::Overlap::BufferOne) => Some(Overlap::BufferOne),
        Err(_) => unknown(faults, path, number, "SKIP, ALLOW, REPLACE or BUFFER_ONE"),
    }
}

fn bounds(faults: &mut Faults, path: &str, timer: &v1::Timer) -> Option<Bounds> {
    let mut right = true;
    let mut time = |field: &str, value: &Option<prost_types::Timestamp>| {
        let read = fields::time(faults, &format!("{path}.{field}"), value.as_ref()?);
        right &= read.is_some();
        read
    };
    let start = time("start_time", &timer.start_time);
    let end = time("end_time", &timer.end_time);
    let expire = time("expire_time", &timer.expire_time);
    let bounds = Bounds {
        start,
        end,
        occurrences_max: Some(timer.max_occurrences).filter(|count| *count > 0),
        expire,
    };
    right.then_some(bounds)
}

/// Bounds that contradict each other or leave out a one-shot's only time; a recurring timer's is for whoever accepts
/// it to say.
fn some_time_left(faults: &mut Faults, path: &str, bounds: &Bounds, when: &When, now: WallTime) {
    let start = bounds.start.unwrap_or(WallTime(0));
    if start > now + HORIZON {
        let why = format!("is {start}, more than 10 years ahead");
        return faults.beyond(format!("{path}.start_time"), why);
    }
    let once = match when {
        When::At(time) => Some(*time),
        When::After(wait) => Some(now + *wait),
        When::Every { .. } | When::Cron(_) => None,
    };
    if let Some(end) = bounds.end {
        let path = format!("{path}.end_time");
        if end <= start {
            faults.invalid(path, format!("is {end}; must be after start_time"));
        } else if once.is_some_and(|once| end <= once) {
            let why = format!("is {end}; must be after the only occurrence");
            faults.invalid(path, why);
        }
    }
    if once.is_some_and(|once| once < start) {
        let why = format!("is {start}; must not be after the only occurrence");
        faults.invalid(format!("{path}.start_time"), why);
    }
    if let Some(expire) = bounds.expire {
        let path = format!("{path}.expire_time");
        if expire < start {
            let why = format!("is {expire}; must not be before start_time");
            faults.invalid(path, why);
        } else if once.is_some_and(|once| expire < once) {
            let why = format!("is {expire}; must not be before the only occurrence");
            faults.invalid(path, why);
        }
    }
}

fn jitter(
    faults: &mut Faults,
    path: &str,
    timer: &v1::Timer,
    when: Option<&When>,
    now: WallTime,
) -> Option<Millis> {
    let Some(value) = &timer.jitter else {
        return Some(Millis(0));
    };
    let jitter = fields::length_within(faults, path, value, (Millis(0), HORIZON))?;
    match when.and_then(|when| shortest_period(when, now)) {
        Some(period) if jitter >= period => {
            let why = format!(
                "is {}; must be shorter than the shortest period, {}",
                in_words(jitter),
                in_words(period)
            );
            faults.invalid(path, why);
            None
        }
        _ => Some(jitter),
    }
}

/// The shortest distance of two occurrences, as far as a look ahead can tell; none of a one-shot.
fn shortest_period(when: &When, now: WallTime) -> Option<Millis> {
    match when {
        When::At(_) | When::After(_) => None,
        When::Every { interval, .. } => Some(*interval),
        When::Cron(cron) => {
            let schedule = Schedule::Cron(cron.clone());
            let times =
                std::iter::successors(schedule.next_after(now), |last| schedule.next_after(*last));
            let times: Vec<_> = times.take(PERIODS_LOOKED_AT).collect();
            times.windows(2).map(|pair| pair[1].since(pair[0])).min()
        }
    }
}

fn misfire(
    faults: &mut Faults,
    path: &str,
    timer: &v1::Timer,
    when: Option<&When>,
) -> Option<Misfire> {
    let mode = match v1::Misfire::try_from(timer.misfire) {
        Ok(v1::Misfire::Unspecified | v1::Misfire::Once) => Some(MisfireMode::Once),
        Ok(v1::Misfire::Skip) => Some(MisfireMode::Skip),
        Ok(v1::Misfire::All) => Some(MisfireMode::All),
        Err(_) => {
            let path = format!("{path}.misfire");
            unknown(faults, &path, timer.misfire, "SKIP, ONCE or ALL")
        }
    };
    let grace = length_or(
        faults,
        &format!("{path}.misfire_grace"),
        timer.misfire_grace.as_ref(),
        (MISFIRE_GRACE, GRACE_MIN, HORIZON),
    );
    let window = match &timer.catchup_window {
        None => Some(None),
        Some(value) => {
            let path = format!("{path}.catchup_window");
            fields::length_within(faults, &path, value, (MISFIRE_GRACE, HORIZON)).map(Some)
        }
    };
    let cap = match timer.misfire_cap {
        0 => Some(MISFIRE_CAP),
        cap @ 1..=MISFIRE_CAP_MAX => Some(cap),
        cap => {
            let why = format!("is {cap}; must be 1 to {MISFIRE_CAP_MAX}");
            faults.invalid(format!("{path}.misfire_cap"), why);
            None
        }
    };
    Some(Misfire {
        mode: mode?,
        grace: grace?,
        window: window?.filter(|window| !follows_from(when, *window)),
        cap: cap?,
    })
}

/// Whether a window is the one that an interval has of itself. An answer shows it, and who hands that back has not
/// chosen it.
fn follows_from(when: Option<&When>, window: Millis) -> bool {
    matches!(when, Some(When::Every { interval, .. }) if defaults::window(*interval) == window)
}

fn retry(faults: &mut Faults, path: &str, retry: Option<&v1::RetryPolicy>) -> Option<Retry> {
    let defaults = Retry::default();
    let Some(retry) = retry else {
        return Some(defaults);
    };
    let attempts = match retry.max_attempts {
        0 => Some(defaults.attempts_max),
        count @ 1..=ATTEMPTS_MAX => Some(count),
        count => {
            let why = format!("is {count}; must be 1 to {ATTEMPTS_MAX}");
            faults.invalid(format!("{path}.max_attempts"), why);
            None
        }
    };
    let limits = |default| (default, Millis(1), BACKOFF_MAX);
    let first = length_or(
        faults,
        &format!("{path}.backoff_min"),
        retry.backoff_min.as_ref(),
        limits(defaults.backoff_first),
    );
    let longest = length_or(
        faults,
        &format!("{path}.backoff_max"),
        retry.backoff_max.as_ref(),
        limits(defaults.backoff_max),
    );
    if let (Some(first), Some(longest)) = (first, longest)
        && longest < first
    {
        let why = format!(
            "is {}; must not be shorter than backoff_min, {}",
            in_words(longest),
            in_words(first)
        );
        faults.invalid(format!("{path}.backoff_max"), why);
    }
    let factor = factor(faults, &format!("{path}.backoff_factor"), retry);
    let timeout = length_or(
        faults,
        &format!("{path}.attempt_timeout"),
        retry.attempt_timeout.as_ref(),
        (
            defaults.attempt_timeout,
            ATTEMPT_TIMEOUT_MIN,
            ATTEMPT_TIMEOUT_MAX,
        ),
    );
    Some(Retry {
        attempts_max: attempts?,
        backoff_first: first?,
        backoff_max: longest?,
        factor_permille: factor?,
        attempt_timeout: timeout?,
    })
}

fn factor(faults: &mut Faults, path: &str, retry: &v1::RetryPolicy) -> Option<u32> {
    let factor = retry.backoff_factor;
    // Zero is what a field that was left out has.
    if factor == 0.0 {
        return Some(Retry::default().factor_permille);
    }
    // What is not a number is in no range.
    if !(1.0..=10.0).contains(&factor) {
        faults.invalid(path, format!("is {factor}; must be 1 to 10"));
        return None;
    }
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "it is 1000 to 10000"
    )]
    let permille = (factor * 1000.0).round() as u32;
    Some(permille)
}

/// A length of time with a default and its two limits.
fn length_or(
    faults: &mut Faults,
    path: &str,
    value: Option<&Duration>,
    (default, min, max): (Millis, Millis, Millis),
) -> Option<Millis> {
    match value {
        None => Some(default),
        Some(value) => fields::length_within(faults, path, value, (min, max)),
    }
}
