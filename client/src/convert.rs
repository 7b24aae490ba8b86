//! The border between the wire and the plain types: nothing else in this crate builds or reads messages' fields.
//!
//! What an answer leaves out or gets wrong becomes [`Error::BadAnswer`]; a state or kind that a newer server has
//! becomes `Unknown`.

mod changes;
mod nodes;
mod policy;
mod preview;
mod target;

pub(crate) use changes::{
    asked_run, dead_request, pause_request, purge_request, rearm_request, requeue_request,
    resume_request, run_records, run_request, runs_request, status, timer_change, update_request,
    watch_request,
};
pub(crate) use nodes::{activity_change, activity_to_wire, node_info, pool_info, server_info};
pub(crate) use preview::{preview_request, previewed};

use crate::client::TimerFilter;
use crate::error::Error;
use crate::timer::{Durability, Placement, Timer, When};
use crate::timer_info::{CancelOutcome, RunRecord, RunState, ScheduleInfo, TimerInfo, TimerState};
use crate::worker::{Failure, Run};
use dormouse_proto::v1 as wire;
use std::time::{Duration, SystemTime};

/// The longest duration of the wire: 10,000 years. Longer ones are sent as this, and refused by the answer.
const DURATION_SECONDS_MAX: u64 = 315_576_000_000;

/// The seconds of the wire's times: from the beginning of year 1 to the end of 9999.
const SECONDS: std::ops::RangeInclusive<i64> = -62_135_596_800..=253_402_300_799;
/// The longest reason of a failure, in bytes.
const REASON_BYTES_MAX: usize = 1024;

// ---- requests

pub(crate) fn create_request(timer: Timer, request_id: String) -> wire::CreateTimerRequest {
    let built = wire::Timer {
        schedule: Some(wire::Schedule {
            kind: Some(schedule_to_wire(timer.when)),
        }),
        placement: Some(wire::Placement {
            kind: Some(placement_to_wire(timer.placement)),
        }),
        target: target::target_to_wire(timer.target),
        payload: timer.payload,
        content_type: timer.content_type,
        durability: timer
            .durability
            .map_or(wire::Durability::Unspecified, durability_to_wire)
            .into(),
        labels: timer.labels,
        paused: timer.paused,
        ..wire::Timer::default()
    };
    wire::CreateTimerRequest {
        pool: timer.pool,
        timer_id: timer.id,
        timer: Some(policy::policy_to_wire(built, timer.policy)),
        request_id,
    }
}

pub(crate) fn list_request(filter: TimerFilter) -> wire::ListTimersRequest {
    wire::ListTimersRequest {
        pool: filter.pool,
        page_size: filter.page_size.into(),
        page_token: String::new(),
        states: filter
            .states
            .into_iter()
            .map(|state| timer_state_to_wire(state).into())
            .collect(),
        labels: filter.labels,
        home: filter.home,
    }
}

fn schedule_to_wire(when: When) -> wire::schedule::Kind {
    match when {
        When::At(time) => wire::schedule::Kind::At(time.into()),
        When::After(wait) => wire::schedule::Kind::After(duration_to_wire(wait)),
        When::Every { interval, phase } => wire::schedule::Kind::Every(wire::Every {
            interval: Some(duration_to_wire(interval)),
            phase: phase.map(duration_to_wire),
        }),
        When::Cron { expression, zone } => {
            wire::schedule::Kind::Cron(wire::Cron { expression, zone })
        }
    }
}

fn placement_to_wire(placement: Placement) -> wire::placement::Kind {
    match placement {
        Placement::Movable => wire::placement::Kind::Movable(wire::Movable {}),
        Placement::Pinned { node } => wire::placement::Kind::Pinned(wire::Pinned { node }),
    }
}

pub(crate) fn nack(run: String, token: u64, failure: Failure) -> wire::Nack {
    let Failure {
        mut reason,
        retry_after,
    } = failure;
    let mut end = reason.len().min(REASON_BYTES_MAX);
    while !reason.is_char_boundary(end) {
        end -= 1;
    }
    reason.truncate(end);
    wire::Nack {
        run,
        token,
        retry_after: retry_after.map(duration_to_wire),
        reason,
    }
}

fn durability_to_wire(durability: Durability) -> wire::Durability {
    match durability {
        Durability::Ephemeral => wire::Durability::Ephemeral,
        Durability::Local => wire::Durability::Local,
        Durability::ReplicatedAsync => wire::Durability::ReplicatedAsync,
        Durability::Replicated => wire::Durability::Replicated,
    }
}

/// A plain enum whose variants are those of the wire, in both directions.
macro_rules! same_states {
    ($plain:ident, $to:ident, $from:ident: $($variant:ident)*) => {
        #[allow(dead_code, reason = "not every list of states travels in both directions")]
        fn $to(state: $plain) -> wire::$plain {
            match state {
                $($plain::$variant => wire::$plain::$variant,)*
                $plain::Unknown => wire::$plain::Unspecified,
            }
        }

        fn $from(number: i32) -> $plain {
            match wire::$plain::try_from(number) {
                $(Ok(wire::$plain::$variant) => $plain::$variant,)*
                Ok(wire::$plain::Unspecified) | Err(_) => $plain::Unknown,
            }
        }
    };
}

use same_states;

same_states!(TimerState, timer_state_to_wire, timer_state:
    Scheduled Running Done Failed Dead Cancelled Unreachable Pending Paused Lost Skipped);
same_states!(RunState, run_state_to_wire, run_state:
    Running Done Failed Dead Skipped Lost Cancelled Interrupted Waiting);

// ---- answers

pub(crate) fn timer_info(timer: Option<wire::Timer>) -> Result<TimerInfo, Error> {
    let timer = required("timer", timer)?;
    Ok(TimerInfo {
        policy: policy::policy(&timer)?,
        schedule: schedule_info(timer.schedule)?,
        placement: placement(timer.placement),
        target: target::target(timer.target)?,
        durability: durability(timer.durability)?,
        state: timer_state(timer.state),
        home: filled(timer.home),
        next_times: timer
            .next_times
            .into_iter()
            .map(instant)
            .collect::<Result<_, _>>()?,
        last_run: timer.last_run.map(run_record).transpose()?,
        create_time: timer.create_time.map(instant).transpose()?,
        update_time: timer.update_time.map(instant).transpose()?,
        name: timer.name,
        uid: timer.uid,
        payload: timer.payload,
        content_type: timer.content_type,
        labels: timer.labels,
        paused: timer.paused,
        generation: timer.generation,
        etag: timer.etag,
        skipped_count: timer.skipped_count,
        begun_count: timer.begun_count,
    })
}

fn schedule_info(schedule: Option<wire::Schedule>) -> Result<ScheduleInfo, Error> {
    use wire::schedule::Kind;
    Ok(match schedule.and_then(|schedule| schedule.kind) {
        Some(Kind::At(time)) => ScheduleInfo::At(instant(time)?),
        Some(Kind::After(wait)) => ScheduleInfo::After(length(wait)?),
        Some(Kind::Every(every)) => ScheduleInfo::Every {
            interval: length(required("interval", every.interval)?)?,
            phase: every.phase.map(length).transpose()?,
        },
        Some(Kind::Cron(cron)) => ScheduleInfo::Cron {
            expression: cron.expression,
            zone: cron.zone,
        },
        None => ScheduleInfo::Unknown,
    })
}

fn placement(placement: Option<wire::Placement>) -> Placement {
    match placement.and_then(|placement| placement.kind) {
        Some(wire::placement::Kind::Pinned(pinned)) => Placement::Pinned { node: pinned.node },
        Some(wire::placement::Kind::Movable(_)) | None => Placement::Movable,
    }
}

fn durability(number: i32) -> Result<Durability, Error> {
    match wire::Durability::try_from(number) {
        Ok(wire::Durability::Ephemeral) => Ok(Durability::Ephemeral),
        Ok(wire::Durability::Local) => Ok(Durability::Local),
        Ok(wire::Durability::ReplicatedAsync) => Ok(Durability::ReplicatedAsync),
        Ok(wire::Durability::Replicated) => Ok(Durability::Replicated),
        _ => Err(Error::bad_answer(format!(
            "it has the unknown durability {number}"
        ))),
    }
}

fn run_record(run: wire::RunRecord) -> Result<RunRecord, Error> {
    Ok(RunRecord {
        state: run_state(run.state),
        node: filled(run.node),
        nominal_time: run.nominal_time.map(instant).transpose()?,
        due_time: run.due_time.map(instant).transpose()?,
        launched_time: run.launched_time.map(instant).transpose()?,
        finished_time: run.finished_time.map(instant).transpose()?,
        run: run.run,
        attempt: run.attempt,
        token: run.token,
        reason: run.reason,
        timer: run.timer,
        generation: run.generation,
        missed_count: run.missed_count,
    })
}

pub(crate) fn cancel_outcome(response: wire::CancelTimerResponse) -> Result<CancelOutcome, Error> {
    match wire::CancelOutcome::try_from(response.outcome) {
        Ok(wire::CancelOutcome::Cancelled) => Ok(CancelOutcome::Cancelled),
        Ok(wire::CancelOutcome::AlreadyFired) => Ok(CancelOutcome::AlreadyFired),
        Ok(wire::CancelOutcome::Running) => Ok(CancelOutcome::Running {
            token: response.token,
        }),
        Ok(wire::CancelOutcome::Pending) => Ok(CancelOutcome::Pending),
        Ok(wire::CancelOutcome::NotFound) => Ok(CancelOutcome::NotFound),
        _ => Err(Error::bad_answer(format!(
            "it has the unknown outcome {}",
            response.outcome
        ))),
    }
}

pub(crate) fn run(run: wire::Run) -> Result<Run, Error> {
    Ok(Run {
        nominal_time: instant(required("nominal_time", run.nominal_time)?)?,
        due_time: instant(required("due_time", run.due_time)?)?,
        launched_time: instant(required("launched_time", run.launched_time)?)?,
        attempt_timeout: run
            .attempt_timeout
            .map(length)
            .transpose()?
            .filter(|timeout| !timeout.is_zero()),
        timer: run.timer,
        uid: run.uid,
        run: run.run,
        attempt: run.attempt,
        token: run.token,
        payload: run.payload,
        content_type: run.content_type,
        handler: run.handler,
        node: run.node,
        missed_count: run.missed_count,
        generation: run.generation,
    })
}

// ---- small parts

fn required<T>(field: &str, value: Option<T>) -> Result<T, Error> {
    value.ok_or_else(|| Error::bad_answer(format!("it lacks `{field}`")))
}

fn filled(text: String) -> Option<String> {
    (!text.is_empty()).then_some(text)
}

fn instant(time: prost_types::Timestamp) -> Result<SystemTime, Error> {
    let absurd = || Error::bad_answer("it has a time outside the years 1 to 9999");
    if !SECONDS.contains(&time.seconds) {
        return Err(absurd());
    }
    time.try_into().map_err(|_| absurd())
}

fn length(wait: prost_types::Duration) -> Result<Duration, Error> {
    wait.try_into()
        .map_err(|_| Error::bad_answer("it has a negative duration"))
}

pub(crate) fn duration_to_wire(wait: Duration) -> prost_types::Duration {
    let wait = wait.min(Duration::from_secs(DURATION_SECONDS_MAX));
    let seconds = i64::try_from(wait.as_secs()).expect("it is at most 10,000 years");
    let nanos = i32::try_from(wait.subsec_nanos()).expect("it is below a thousand million");
    prost_types::Duration { seconds, nanos }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_durations_are_sent_as_what_the_wire_can_hold() {
        assert_eq!(duration_to_wire(Duration::MAX).seconds, 315_576_000_000);
        let short = duration_to_wire(Duration::from_millis(1500));
        assert_eq!((short.seconds, short.nanos), (1, 500_000_000));
    }

    #[test]
    fn a_new_timer_has_exactly_what_was_asked_for() {
        let timer = Timer::cron_in("0 8 * * *", "Europe/Berlin")
            .handler("h")
            .expect("good");
        let timer = timer
            .name("x")
            .expect("good")
            .pinned("n1")
            .expect("good")
            .payload("p");
        let request = create_request(timer.durability(Durability::Local), "id".into());
        let built = request.timer.expect("it is there");
        assert_eq!(
            (
                request.pool.as_str(),
                request.timer_id.as_str(),
                request.request_id.as_str()
            ),
            ("", "x", "id")
        );
        assert_eq!(built.durability(), wire::Durability::Local);
        assert_eq!(built.payload.as_ref(), b"p");
        let cron = wire::Cron {
            expression: "0 8 * * *".into(),
            zone: "Europe/Berlin".into(),
        };
        assert_eq!(
            built.schedule.and_then(|s| s.kind),
            Some(wire::schedule::Kind::Cron(cron))
        );
        let pinned = wire::Pinned { node: "n1".into() };
        assert_eq!(
            built.placement.and_then(|p| p.kind),
            Some(wire::placement::Kind::Pinned(pinned))
        );
    }

    #[test]
    fn a_long_reason_is_cut_between_characters() {
        let sent = nack(String::new(), 1, Failure::new("€".repeat(400)));
        assert_eq!(sent.reason, "€".repeat(341));
    }

    #[test]
    fn an_answer_without_its_timer_is_a_bad_answer() {
        assert!(matches!(timer_info(None), Err(Error::BadAnswer { .. })));
        let absurd = prost_types::Timestamp {
            seconds: i64::MAX,
            nanos: i32::MAX,
        };
        let timer = wire::Timer {
            durability: 1,
            create_time: Some(absurd),
            ..wire::Timer::default()
        };
        assert!(matches!(
            timer_info(Some(timer)),
            Err(Error::BadAnswer { .. })
        ));
    }

    #[test]
    fn a_state_of_a_newer_server_is_unknown_and_no_error() {
        let timer = wire::Timer {
            durability: 4,
            state: 999,
            ..wire::Timer::default()
        };
        assert_eq!(
            timer_info(Some(timer)).expect("it is readable").state,
            TimerState::Unknown
        );
    }
}
