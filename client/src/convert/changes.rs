//! Changes of timers and their runs, and what is told of them.

use super::{
    duration_to_wire, policy, required, run_record, run_state_to_wire, schedule_to_wire, target,
    timer_info,
};
use crate::edit::{Edit, Rearm, RearmMode};
use crate::error::Error;
use crate::timer::NewTime;
use crate::timer_info::{RunRecord, RunState};
use crate::watch::TimerChange;
use dormouse_proto::v1 as wire;
use tonic::{Code, Status};

pub(crate) fn rearm_request(
    name: String,
    rearm: Rearm,
    request_id: String,
) -> wire::RearmTimerRequest {
    let time = match rearm.time {
        NewTime::At(time) => wire::rearm_timer_request::Time::At(time.into()),
        NewTime::After(wait) => wire::rearm_timer_request::Time::After(duration_to_wire(wait)),
    };
    let mode = match rearm.mode {
        RearmMode::Replace => wire::RearmMode::Replace,
        RearmMode::KeepTime => wire::RearmMode::KeepTime,
        RearmMode::Drop => wire::RearmMode::Drop,
    };
    wire::RearmTimerRequest {
        name,
        mode: mode.into(),
        request_id,
        time: Some(time),
        payload: rearm.payload,
    }
}

pub(crate) fn update_request(edit: Edit, request_id: String) -> wire::UpdateTimerRequest {
    let timer = wire::Timer {
        name: edit.name,
        schedule: edit.when.map(|when| wire::Schedule {
            kind: Some(schedule_to_wire(when)),
        }),
        target: edit.target.and_then(target::target_to_wire),
        payload: edit.payload,
        content_type: edit.content_type,
        labels: edit.labels,
        paused: edit.paused,
        etag: edit.etag,
        ..wire::Timer::default()
    };
    wire::UpdateTimerRequest {
        timer: Some(policy::policy_to_wire(timer, edit.policy)),
        update_mask: Some(prost_types::FieldMask {
            paths: edit.fields.into_iter().map(str::to_owned).collect(),
        }),
        allow_missing: edit.or_create,
        request_id,
    }
}

pub(crate) fn pause_request(name: String, request_id: String) -> wire::PauseTimerRequest {
    wire::PauseTimerRequest { name, request_id }
}

pub(crate) fn resume_request(name: String, request_id: String) -> wire::ResumeTimerRequest {
    wire::ResumeTimerRequest { name, request_id }
}

pub(crate) fn run_request(name: String, request_id: String) -> wire::RunTimerRequest {
    wire::RunTimerRequest { name, request_id }
}

pub(crate) fn requeue_request(
    name: String,
    run: &str,
    request_id: String,
) -> wire::RequeueDeadRunRequest {
    wire::RequeueDeadRunRequest {
        name,
        run: run.into(),
        request_id,
    }
}

pub(crate) fn purge_request(
    name: String,
    run: &str,
    request_id: String,
) -> wire::PurgeDeadRunRequest {
    wire::PurgeDeadRunRequest {
        name,
        run: run.into(),
        request_id,
    }
}

pub(crate) fn runs_request(name: String, states: &[RunState]) -> wire::ListRunsRequest {
    wire::ListRunsRequest {
        name,
        states: states
            .iter()
            .map(|state| run_state_to_wire(*state).into())
            .collect(),
        ..wire::ListRunsRequest::default()
    }
}

pub(crate) fn dead_request(pool: String) -> wire::ListDeadRunsRequest {
    wire::ListDeadRunsRequest {
        pool,
        ..wire::ListDeadRunsRequest::default()
    }
}

pub(crate) fn watch_request(pool: &str, token: &str) -> wire::WatchTimersRequest {
    wire::WatchTimersRequest {
        pool: pool.into(),
        resume_token: token.into(),
    }
}

pub(crate) fn run_records(runs: Vec<wire::RunRecord>) -> Result<Vec<RunRecord>, Error> {
    runs.into_iter().map(run_record).collect()
}

pub(crate) fn asked_run(run: Option<wire::RunRecord>) -> Result<RunRecord, Error> {
    run_record(required("run", run)?)
}

pub(crate) fn timer_change(
    change: wire::watch_timers_response::Change,
) -> Result<TimerChange, Error> {
    use wire::watch_timers_response::Change;
    Ok(match change {
        Change::Timer(timer) => TimerChange::Timer(Box::new(timer_info(Some(timer))?)),
        Change::Removed(name) => TimerChange::Removed(name),
        Change::Run(run) => TimerChange::Run(Box::new(run_record(run)?)),
    })
}

/// A status that came as a part of an answer.
pub(crate) fn status(status: tonic_types::Status) -> Status {
    use prost::Message as _;
    let details = status.encode_to_vec();
    Status::with_details(Code::from(status.code), status.message, details.into())
}
