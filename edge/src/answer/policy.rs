//! A timer's policies, for its user: every value that counts, also those that were left out.

use super::{duration, timestamp};
use crate::defaults;
use dormouse_engine::schedule::Schedule;
use dormouse_engine::timer::{Bounds, Effort, Misfire, MisfireMode, Overlap, Policy, Retry};
use dormouse_proto::v1;

/// `timer` with the policies of `policy`. A catch-up window that was left out is a number only with an interval: a
/// one-shot has none, and by the calendar each occurrence has its own.
pub(super) fn filled(timer: v1::Timer, policy: &Policy, schedule: Option<&Schedule>) -> v1::Timer {
    let Policy {
        // What counts is what it comes to beside the effort.
        isolation: _,
        effort,
        bounds,
        jitter,
        misfire,
        overlap,
        retry,
    } = policy;
    let timer = bounded(late(timer, misfire, schedule), bounds);
    v1::Timer {
        isolation: self::isolation(policy.holds()).into(),
        effort: self::effort(*effort).into(),
        jitter: Some(duration(*jitter)).filter(|_| jitter.0 > 0),
        overlap: self::overlap(*overlap).into(),
        retry: Some(self::retry(retry)),
        dst: Some(dst(schedule)),
        ..timer
    }
}

fn late(timer: v1::Timer, misfire: &Misfire, schedule: Option<&Schedule>) -> v1::Timer {
    let of_itself = match schedule {
        Some(Schedule::Every { interval, .. }) => Some(defaults::window(*interval)),
        _ => None,
    };
    let mode = match misfire.mode {
        MisfireMode::Skip => v1::Misfire::Skip,
        MisfireMode::Once => v1::Misfire::Once,
        MisfireMode::All => v1::Misfire::All,
    };
    v1::Timer {
        misfire: mode.into(),
        misfire_grace: Some(duration(misfire.grace)),
        catchup_window: misfire.window.or(of_itself).map(duration),
        misfire_cap: misfire.cap,
        ..timer
    }
}

fn bounded(timer: v1::Timer, bounds: &Bounds) -> v1::Timer {
    v1::Timer {
        start_time: bounds.start.map(timestamp),
        end_time: bounds.end.map(timestamp),
        max_occurrences: bounds.occurrences_max.unwrap_or(0),
        expire_time: bounds.expire.map(timestamp),
        ..timer
    }
}

fn isolation(holds: bool) -> v1::Isolation {
    match holds {
        false => v1::Isolation::Fire,
        true => v1::Isolation::Hold,
    }
}

fn effort(effort: Effort) -> v1::Effort {
    match effort {
        Effort::AtLeastOnce => v1::Effort::AtLeastOnce,
        Effort::AtMostOnce => v1::Effort::AtMostOnce,
    }
}

fn overlap(overlap: Overlap) -> v1::Overlap {
    match overlap {
        Overlap::Skip => v1::Overlap::Skip,
        Overlap::Allow => v1::Overlap::Allow,
        Overlap::Replace => v1::Overlap::Replace,
        Overlap::BufferOne => v1::Overlap::BufferOne,
    }
}

fn retry(retry: &Retry) -> v1::RetryPolicy {
    v1::RetryPolicy {
        max_attempts: retry.attempts_max,
        backoff_min: Some(duration(retry.backoff_first)),
        backoff_max: Some(duration(retry.backoff_max)),
        backoff_factor: f64::from(retry.factor_permille) / 1000.0,
        attempt_timeout: Some(duration(retry.attempt_timeout)),
    }
}

fn dst(schedule: Option<&Schedule>) -> v1::DstPolicy {
    use dormouse_engine::schedule::{Dst, Gap, Overlap};
    let dst = match schedule {
        Some(Schedule::Cron(cron)) => cron.dst(),
        _ => Dst::default(),
    };
    let gap = match dst.gap {
        Gap::Shift => v1::DstGap::Shift,
        Gap::Skip => v1::DstGap::Skip,
    };
    let overlap = match dst.overlap {
        Overlap::First => v1::DstOverlap::First,
        Overlap::Last => v1::DstOverlap::Last,
        Overlap::Both => v1::DstOverlap::Both,
    };
    v1::DstPolicy {
        gap: gap.into(),
        overlap: overlap.into(),
    }
}
