//! What users are told: timers, covers, and refusals as statuses with `google.rpc` details.
//!
//! A status says what the caller may do next: `RetryInfo` is there exactly when asking again helps.

use crate::{defaults, fault};
use bytes::Bytes;
use dormouse_engine::hierarchy::{Cover, WhyNot};
use dormouse_engine::id::TimerName;
use dormouse_engine::message::Uncovered;
use dormouse_engine::op::{Answer, Cancelled, Refusal};
use dormouse_engine::schedule::Schedule;
use dormouse_engine::time::{Millis, WallTime};
use dormouse_engine::timer::{Awaits, Durability, Ending, LastRun, Phase, Placement, Timer};
use dormouse_proto::v1;
use std::time::Duration;
use tonic::{Code, Status};
use tonic_types::StatusExt as _;

/// How many of its next times are shown with a timer.
const NEXT_TIMES: usize = 3;

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

/// A timer, for its user.
#[must_use]
pub fn timer(timer: &Timer) -> v1::Timer {
    let spec = &timer.spec;
    let shown = v1::Timer {
        name: timer.name.to_string(),
        schedule: Some(schedule(&spec.schedule)),
        placement: Some(placement(&spec.placement)),
        target: Some(v1::Target {
            kind: Some(v1::target::Kind::Handler(v1::HandlerTarget {
                name: spec.handler.to_string(),
            })),
        }),
        payload: Bytes::from_owner(spec.payload.0.clone()),
        content_type: spec.content_type.clone(),
        durability: durability(spec.durability).into(),
        labels: spec.labels.clone(),
        state: state(timer).into(),
        generation: timer.generation,
        etag: format!("{}-{}", timer.generation, timer.revision),
        uid: timer.uid.to_string(),
        home: timer
            .home
            .as_ref()
            .map(ToString::to_string)
            .unwrap_or_default(),
        next_times: timer
            .next_times(NEXT_TIMES)
            .into_iter()
            .map(timestamp)
            .collect(),
        last_run: newest_run(timer),
        create_time: Some(timestamp(timer.created)),
        update_time: Some(timestamp(timer.updated)),
        ..v1::Timer::default()
    };
    let interval = match spec.schedule {
        Schedule::Every { interval, .. } => Some(interval),
        Schedule::At(_) | Schedule::Cron(_) => None,
    };
    defaults::filled(shown, interval)
}

fn schedule(schedule: &Schedule) -> v1::Schedule {
    use v1::schedule::Kind;
    let kind = match schedule {
        Schedule::At(time) => Kind::At(timestamp(*time)),
        Schedule::Every { interval, phase } => Kind::Every(every(*interval, *phase)),
        Schedule::Cron(cron) => Kind::Cron(v1::Cron {
            expression: cron.expression().into(),
            zone: cron.zone().into(),
        }),
    };
    v1::Schedule { kind: Some(kind) }
}

fn every(interval: Millis, phase: WallTime) -> v1::Every {
    let length = i64::try_from(interval.0).unwrap_or(i64::MAX).max(1);
    let phase = Millis(phase.0.rem_euclid(length).unsigned_abs());
    v1::Every {
        interval: Some(duration(interval)),
        phase: Some(duration(phase)),
    }
}

fn placement(placement: &Placement) -> v1::Placement {
    use v1::placement::Kind;
    let kind = match placement {
        Placement::Movable => Kind::Movable(v1::Movable {}),
        Placement::Pinned(node) => Kind::Pinned(v1::Pinned {
            node: node.to_string(),
        }),
    };
    v1::Placement { kind: Some(kind) }
}

fn durability(durability: Durability) -> v1::Durability {
    match durability {
        Durability::Ephemeral => v1::Durability::Ephemeral,
        Durability::Local => v1::Durability::Local,
        Durability::ReplicatedAsync => v1::Durability::ReplicatedAsync,
        Durability::Replicated => v1::Durability::Replicated,
    }
}

fn state(timer: &Timer) -> v1::TimerState {
    match &timer.phase {
        Phase::Waiting { .. } => match timer.awaits {
            None => v1::TimerState::Scheduled,
            Some(Awaits::Home) => v1::TimerState::Pending,
            Some(Awaits::Return) => v1::TimerState::Unreachable,
        },
        Phase::Running { .. } => v1::TimerState::Running,
        Phase::Over {
            ending: Ending::Done,
            ..
        } => v1::TimerState::Done,
        Phase::Over {
            ending: Ending::Failed,
            ..
        } => v1::TimerState::Failed,
        Phase::Over {
            ending: Ending::Dead,
            ..
        } => v1::TimerState::Dead,
        Phase::Over {
            ending: Ending::Skipped(_),
            ..
        } => v1::TimerState::Skipped,
        Phase::Over {
            ending: Ending::Lost,
            ..
        } => v1::TimerState::Lost,
    }
}

fn newest_run(timer: &Timer) -> Option<v1::RunRecord> {
    if let (Some(run), Phase::Running { by, started, .. }) = (timer.run(), &timer.phase) {
        return Some(v1::RunRecord {
            run: run.id.to_string(),
            attempt: run.attempt,
            token: run.token.0,
            state: v1::RunState::Running.into(),
            node: by.to_string(),
            nominal_time: Some(timestamp(run.nominal)),
            due_time: Some(timestamp(run.due)),
            launched_time: Some(timestamp(*started)),
            ..v1::RunRecord::default()
        });
    }
    timer.last.as_ref().map(last_run)
}

fn last_run(last: &LastRun) -> v1::RunRecord {
    let state = match last.ending {
        Ending::Done => v1::RunState::Done,
        Ending::Failed => v1::RunState::Failed,
        Ending::Dead => v1::RunState::Dead,
        Ending::Skipped(_) => v1::RunState::Skipped,
        Ending::Lost => v1::RunState::Lost,
    };
    v1::RunRecord {
        run: last.id.to_string(),
        attempt: last.attempt,
        token: last.token.0,
        state: state.into(),
        node: last.by.to_string(),
        nominal_time: Some(timestamp(last.nominal)),
        finished_time: Some(timestamp(last.at)),
        ..v1::RunRecord::default()
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
        Answer::Refused(Refusal::NotFound { .. }) => (CancelOutcome::NotFound, 0),
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
        Uncovered::Resync => {
            "node and coordinator disagree on the first deadline and compare again"
        }
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
