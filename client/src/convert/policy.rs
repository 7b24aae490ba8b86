//! Policies, in both directions.

use super::{duration_to_wire, instant, length};
use crate::error::Error;
use crate::policy::{Effort, Isolation, Misfire, Overlap, Policy, Retry};
use crate::preview::{Gap, Repeated};
use dormouse_proto::v1 as wire;

/// A choice whose values are those of the wire.
macro_rules! same_choices {
    ($plain:ident, $to:ident, $from:ident: $($variant:ident)*) => {
        fn $to(choice: Option<$plain>) -> i32 {
            let choice = match choice {
                $(Some($plain::$variant) => wire::$plain::$variant,)*
                None => wire::$plain::Unspecified,
            };
            choice.into()
        }

        fn $from(number: i32) -> Option<$plain> {
            match wire::$plain::try_from(number) {
                $(Ok(wire::$plain::$variant) => Some($plain::$variant),)*
                Ok(wire::$plain::Unspecified) | Err(_) => None,
            }
        }
    };
}

same_choices!(Isolation, isolation_to_wire, isolation: Fire Hold);
same_choices!(Effort, effort_to_wire, effort: AtLeastOnce AtMostOnce);
same_choices!(Misfire, misfire_to_wire, misfire: Skip Once All);
same_choices!(Overlap, overlap_to_wire, overlap: Skip Allow Replace BufferOne);

/// `timer` with these choices.
pub(super) fn policy_to_wire(timer: wire::Timer, policy: Policy) -> wire::Timer {
    wire::Timer {
        isolation: isolation_to_wire(policy.isolation),
        effort: effort_to_wire(policy.effort),
        start_time: policy.start.map(Into::into),
        end_time: policy.end.map(Into::into),
        expire_time: policy.expires.map(Into::into),
        max_occurrences: policy.occurrences_max.unwrap_or(0),
        jitter: policy.jitter.map(duration_to_wire),
        misfire: misfire_to_wire(policy.misfire),
        misfire_grace: policy.misfire_grace.map(duration_to_wire),
        misfire_cap: policy.misfire_cap.unwrap_or(0),
        catchup_window: policy.catchup_window.map(duration_to_wire),
        overlap: overlap_to_wire(policy.overlap),
        retry: policy.retry.map(retry_to_wire),
        dst: dst_to_wire(policy.gap, policy.repeated),
        ..timer
    }
}

fn retry_to_wire(retry: Retry) -> wire::RetryPolicy {
    wire::RetryPolicy {
        max_attempts: retry.attempts_max,
        backoff_min: Some(duration_to_wire(retry.backoff_min)),
        backoff_max: Some(duration_to_wire(retry.backoff_max)),
        backoff_factor: retry.factor,
        attempt_timeout: Some(duration_to_wire(retry.attempt_timeout)),
    }
}

fn dst_to_wire(gap: Option<Gap>, repeated: Option<Repeated>) -> Option<wire::DstPolicy> {
    if gap.is_none() && repeated.is_none() {
        return None;
    }
    Some(super::preview::dst(
        gap.unwrap_or_default(),
        repeated.unwrap_or_default(),
    ))
}

pub(super) fn policy(timer: &wire::Timer) -> Result<Policy, Error> {
    let time = |time: &Option<prost_types::Timestamp>| time.map(instant).transpose();
    let wait = |wait: &Option<prost_types::Duration>| wait.map(length).transpose();
    let dst = timer.dst.unwrap_or_default();
    Ok(Policy {
        isolation: isolation(timer.isolation),
        effort: effort(timer.effort),
        start: time(&timer.start_time)?,
        end: time(&timer.end_time)?,
        expires: time(&timer.expire_time)?,
        occurrences_max: Some(timer.max_occurrences).filter(|count| *count > 0),
        jitter: wait(&timer.jitter)?,
        misfire: misfire(timer.misfire),
        misfire_grace: wait(&timer.misfire_grace)?,
        misfire_cap: Some(timer.misfire_cap).filter(|cap| *cap > 0),
        catchup_window: wait(&timer.catchup_window)?,
        overlap: overlap(timer.overlap),
        retry: timer.retry.as_ref().map(retry).transpose()?,
        gap: match wire::DstGap::try_from(dst.gap) {
            Ok(wire::DstGap::Shift) => Some(Gap::Shift),
            Ok(wire::DstGap::Skip) => Some(Gap::Skip),
            Ok(wire::DstGap::Unspecified) | Err(_) => None,
        },
        repeated: match wire::DstOverlap::try_from(dst.overlap) {
            Ok(wire::DstOverlap::First) => Some(Repeated::First),
            Ok(wire::DstOverlap::Last) => Some(Repeated::Last),
            Ok(wire::DstOverlap::Both) => Some(Repeated::Both),
            Ok(wire::DstOverlap::Unspecified) | Err(_) => None,
        },
    })
}

fn retry(retry: &wire::RetryPolicy) -> Result<Retry, Error> {
    let defaults = Retry::default();
    let wait = |wait: &Option<prost_types::Duration>, default| wait.map_or(Ok(default), length);
    Ok(Retry {
        attempts_max: retry.max_attempts,
        backoff_min: wait(&retry.backoff_min, defaults.backoff_min)?,
        backoff_max: wait(&retry.backoff_max, defaults.backoff_max)?,
        factor: retry.backoff_factor,
        attempt_timeout: wait(&retry.attempt_timeout, defaults.attempt_timeout)?,
    })
}
