//! What users are told: timers, runs, covers, and refusals as statuses with `google.rpc` details.
//!
//! A status says what the caller may do next: `RetryInfo` is there exactly when asking again helps.

mod policy;
mod run;
mod target;
mod timer;

pub use run::{newest_run, run, waiting_run};
pub use timer::{named, pending, timer};

use crate::fault;
use dormouse_engine::hierarchy::{Cover, WhyNot};
use dormouse_engine::id::TimerName;
use dormouse_engine::message::Uncovered;
use dormouse_engine::op::{Answer, Cancelled, Refusal};
use dormouse_engine::schedule::Previewed;
use dormouse_engine::time::{Millis, WallTime};
use dormouse_proto::v1;
use std::time::Duration;
use tonic::{Code, Status};
use tonic_types::StatusExt as _;

/// A time, for the wire.
#[must_use]
pub fn timestamp(time: WallTime) -> prost_types::Timestamp {
    prost_types::Timestamp {
        seconds: time.0.div_euclid(1000),
        nanos: i32::try_from(time.0.rem_euclid(1000) * 1_000_000).expect("below a second"),
    }
}

/// A length of time, for the wire.
#[must_use]
pub fn duration(length: Millis) -> prost_types::Duration {
    prost_types::Duration {
        seconds: i64::try_from(length.0 / 1000).expect("a thousandth of what fits"),
        nanos: i32::try_from(length.0 % 1000 * 1_000_000).expect("below a second"),
    }
}

/// A difference in milliseconds of either sign, for the wire.
#[must_use]
pub fn difference(millis: i64) -> prost_types::Duration {
    prost_types::Duration {
        seconds: millis / 1000,
        nanos: i32::try_from(millis % 1000 * 1_000_000).expect("below a second"),
    }
}

/// The times of a preview.
#[must_use]
pub fn previewed(times: Vec<Previewed>) -> v1::PreviewScheduleResponse {
    let times = times.into_iter().map(|time| v1::PreviewedTime {
        time: Some(timestamp(time.nominal)),
        local_time: time.local,
        note: time.note.map(|note| note.to_string()).unwrap_or_default(),
    });
    v1::PreviewScheduleResponse {
        times: times.collect(),
    }
}

/// What a cancellation found; a refusal that is not about a missing timer is a status.
///
/// # Errors
/// The refusal.
pub fn cancelled(answer: &Answer) -> Result<v1::CancelTimerResponse, Status> {
    use v1::CancelOutcome;
    let (outcome, token) = match answer {
        Answer::Cancelled(Cancelled::Cancelled) => (CancelOutcome::Cancelled, 0),
        Answer::Cancelled(Cancelled::AlreadyFired) => (CancelOutcome::AlreadyFired, 0),
        Answer::Cancelled(Cancelled::Running(token)) => (CancelOutcome::Running, token.0),
        Answer::Pending => (CancelOutcome::Pending, 0),
        Answer::Refused(Refusal::NotFound { what }) if TimerName::parse(what).is_ok() => {
            (CancelOutcome::NotFound, 0)
        }
        Answer::Refused(why) => return Err(refusal(why)),
        other => return Err(unexpected(other)),
    };
    Ok(v1::CancelTimerResponse {
        outcome: outcome.into(),
        token,
    })
}

/// Who watches over an idle node, for its user; none if it is active.
#[must_use]
pub fn cover(cover: Option<&Cover>, uncovered: Option<Uncovered>) -> Option<v1::Cover> {
    use v1::cover::Kind;
    let not_covered = |why: &str| {
        Kind::NotCovered(v1::NotCovered {
            why: why.into(),
            retry_after: None,
        })
    };
    let kind = match (cover, uncovered) {
        (_, Some(why)) => not_covered(why_awake(why)),
        (Some(Cover::Covered { by }), None) => Kind::Covered(v1::Covered {
            by: by.as_ref().map(ToString::to_string).unwrap_or_default(),
        }),
        (Some(Cover::Sentry { at }), None) => Kind::Sentry(v1::Sentry {
            at: Some(timestamp(*at)),
        }),
        (Some(Cover::NotCovered { why }), None) => not_covered(why_not(*why)),
        (None, None) => return None,
    };
    Some(v1::Cover { kind: Some(kind) })
}

/// Why a node must stay awake, for people.
#[must_use]
pub fn why_awake(why: Uncovered) -> &'static str {
    match why {
        Uncovered::Due => "a deadline is due and nobody else is on duty",
        Uncovered::NobodyEligible => "nobody else is on duty, and this node may not be sentry",
        Uncovered::Rebuilding => {
            "the coordinator has just started and does not know yet who is awake"
        }
        Uncovered::Resync => "node and coordinator do not know the same timers and compare again",
        Uncovered::Busy => "its timers change faster than they can be handed over",
    }
}

pub(crate) fn why_not(why: WhyNot) -> &'static str {
    match why {
        WhyNot::Due => "a deadline is due",
        WhyNot::NobodyEligible => "nobody may be sentry",
        WhyNot::CountsAsActive => "the node counts as active",
    }
}

/// A refusal, as a status with details.
#[must_use]
pub fn refusal(refusal: &Refusal) -> Status {
    match refusal {
        Refusal::NotFound { what } if TimerName::parse(what).is_ok() => missing_timer(what),
        Refusal::NotFound { what } => missing(what),
        Refusal::Exists { name } => {
            let why = format!("{name} exists already; choose another name, or cancel it first");
            resource(
                Code::AlreadyExists,
                "ALREADY_EXISTS",
                &name.to_string(),
                why,
            )
        }
        Refusal::Invalid { field, why } => fault::invalid(field, why),
        Refusal::BeyondHorizon { field, why } => fault::beyond(field, why),
        Refusal::Precondition { why } => {
            let mut details = fault::details("PRECONDITION");
            details.add_precondition_failure_violation("STATE", "", why);
            Status::with_error_details(Code::FailedPrecondition, why, details)
        }
        Refusal::Conflict { why } => {
            let details = fault::details("CONFLICT");
            Status::with_error_details(Code::Aborted, why, details)
        }
        Refusal::Exhausted { why } => {
            let mut details = fault::details("QUOTA");
            details.add_quota_failure_violation("", why);
            Status::with_error_details(Code::ResourceExhausted, why, details)
        }
        Refusal::Overloaded { why, retry_after } => {
            let mut details = fault::details("OVERLOADED");
            details.add_quota_failure_violation("", why);
            details.set_retry_info(Some(Duration::from_millis(retry_after.0)));
            Status::with_error_details(Code::ResourceExhausted, why, details)
        }
        Refusal::Unavailable { why, retry_after } => unavailable(why, *retry_after),
    }
}

/// `NOT_FOUND` for `what`.
#[must_use]
pub fn missing(what: &str) -> Status {
    resource(
        Code::NotFound,
        "NOT_FOUND",
        what,
        format!("there is no {what}"),
    )
}

fn missing_timer(name: &str) -> Status {
    let why = format!("there is no timer {name}");
    resource(Code::NotFound, "NOT_FOUND", name, why)
}

/// `UNAVAILABLE`: asking again after a while helps.
#[must_use]
pub fn unavailable(why: &str, retry_after: Millis) -> Status {
    let mut details = fault::details("UNAVAILABLE");
    details.set_retry_info(Some(Duration::from_millis(retry_after.0)));
    Status::with_error_details(Code::Unavailable, why, details)
}

/// `INTERNAL`: the engine gave an answer of the wrong kind, which only a bug can cause.
#[must_use]
pub fn unexpected(answer: &Answer) -> Status {
    let kind = match answer {
        Answer::Timer(_) => "a timer",
        Answer::List { .. } => "a list",
        Answer::Cancelled(_) => "a cancellation",
        Answer::Pending => "a pending change",
        Answer::Done => "nothing",
        Answer::Run(_) => "a run",
        Answer::Runs { .. } => "runs",
        Answer::Dead { .. } => "dead runs",
        Answer::News(_) => "news",
        Answer::Restored(_) => "restored facts",
        Answer::Activity { .. } => "an activity",
        Answer::Refused(_) => "a refusal",
    };
    let why = format!("the answer is {kind}, which does not fit the request; please report this");
    Status::with_error_details(Code::Internal, why, fault::details("BUG"))
}

fn resource(code: Code, reason: &str, name: &str, why: String) -> Status {
    let mut details = fault::details(reason);
    details.set_resource_info("dormouse.v1", name, "", &why);
    Status::with_error_details(code, why, details)
}
