//! What a timer's policies are if nothing is said: in this version the only values that there are.
//!
//! The numbers are those by which the engine acts. A request may name them, and an answer shows them.

use crate::answer::duration;
use dormouse_engine::time::Millis;
use dormouse_engine::timer::{
    ATTEMPT_TIMEOUT, ATTEMPTS_MAX, BACKOFF_FIRST, BACKOFF_MAX, CATCHUP_MAX, MISFIRE_GRACE,
};
use dormouse_proto::v1;

/// The engine doubles the wait with each attempt.
pub(crate) const BACKOFF_FACTOR: f64 = 2.0;

/// `timer` with every policy filled in. A catch-up window is a number only with an interval: a one-shot has none, and
/// by the calendar each occurrence has its own.
pub(crate) fn filled(timer: v1::Timer, interval: Option<Millis>) -> v1::Timer {
    v1::Timer {
        isolation: v1::Isolation::Fire.into(),
        effort: v1::Effort::AtLeastOnce.into(),
        misfire: v1::Misfire::Once.into(),
        misfire_grace: Some(duration(MISFIRE_GRACE)),
        catchup_window: interval.map(window).map(duration),
        overlap: v1::Overlap::Skip.into(),
        retry: Some(retry()),
        dst: Some(v1::DstPolicy {
            gap: v1::DstGap::Shift.into(),
            overlap: v1::DstOverlap::First.into(),
        }),
        ..timer
    }
}

fn retry() -> v1::RetryPolicy {
    v1::RetryPolicy {
        max_attempts: ATTEMPTS_MAX,
        backoff_min: Some(duration(BACKOFF_FIRST)),
        backoff_max: Some(duration(BACKOFF_MAX)),
        backoff_factor: BACKOFF_FACTOR,
        attempt_timeout: Some(duration(ATTEMPT_TIMEOUT)),
    }
}

/// How long ago an occurrence of this interval may have been due and still be run: the rule of the engine.
pub(crate) fn window(interval: Millis) -> Millis {
    interval.clamp(MISFIRE_GRACE, CATCHUP_MAX)
}
