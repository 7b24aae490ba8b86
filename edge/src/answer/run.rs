//! Runs as they are remembered, for their users.

use super::timestamp;
use dormouse_engine::id::TimerName;
use dormouse_engine::timer::{Ending, Fate, LastRun, Phase, RunRecord, Skip, Timer};
use dormouse_proto::v1;

/// A run of the timer of this name.
#[must_use]
pub fn run(name: &TimerName, run: &RunRecord) -> v1::RunRecord {
    let goes_on = matches!(run.fate, Fate::Running | Fate::Waiting);
    let reason = match run.fate {
        Fate::Skipped(skip) => skip_reason(skip).to_owned(),
        _ => run.reason.clone(),
    };
    v1::RunRecord {
        run: run.id.to_string(),
        attempt: run.attempt,
        token: run.token.0,
        state: state(run.fate).into(),
        reason,
        node: run.by.as_ref().map(ToString::to_string).unwrap_or_default(),
        nominal_time: Some(timestamp(run.nominal)),
        due_time: None,
        launched_time: run.started.map(timestamp),
        finished_time: Some(timestamp(run.finished)).filter(|_| !goes_on),
        missed_count: run.missed,
        timer: name.to_string(),
        generation: run.generation,
    }
}

fn state(fate: Fate) -> v1::RunState {
    match fate {
        Fate::Waiting => v1::RunState::Waiting,
        Fate::Running => v1::RunState::Running,
        Fate::Done => v1::RunState::Done,
        Fate::Failed => v1::RunState::Failed,
        Fate::Interrupted => v1::RunState::Interrupted,
        Fate::Dead => v1::RunState::Dead,
        Fate::Skipped(_) => v1::RunState::Skipped,
        Fate::Lost => v1::RunState::Lost,
    }
}

fn skip_reason(skip: Skip) -> &'static str {
    match skip {
        Skip::PastWindow => "past_window",
        Skip::Overlap => "overlap",
        Skip::Cap => "cap",
        Skip::Paused => "paused",
        Skip::Expired => "expired",
        Skip::Superseded => "superseded",
    }
}

/// A run that is stored for a node that sleeps: nothing is known of it yet.
#[must_use]
pub fn waiting_run(name: &TimerName) -> v1::RunRecord {
    v1::RunRecord {
        state: v1::RunState::Waiting.into(),
        timer: name.to_string(),
        ..v1::RunRecord::default()
    }
}

/// The newest run of a timer, as far as its own record tells.
#[must_use]
pub fn newest_run(timer: &Timer) -> Option<v1::RunRecord> {
    let newest = timer.runs().max_by_key(|(_, run)| run.token);
    if let Some((by, run)) = newest {
        let started = timer.lines().find_map(|line| match line {
            Phase::Running { run: begun, .. } if begun.token == run.token => Some(begun.started),
            _ => None,
        });
        return Some(v1::RunRecord {
            run: run.id.to_string(),
            attempt: run.attempt,
            token: run.token.0,
            state: v1::RunState::Running.into(),
            node: by.to_string(),
            nominal_time: Some(timestamp(run.nominal)),
            due_time: Some(timestamp(run.due)),
            launched_time: started.map(timestamp),
            missed_count: run.missed,
            generation: run.generation,
            ..v1::RunRecord::default()
        });
    }
    timer.last.as_ref().map(last_run)
}

fn last_run(last: &LastRun) -> v1::RunRecord {
    let (state, reason) = match last.ending {
        Ending::Done => (v1::RunState::Done, ""),
        Ending::Failed => (v1::RunState::Failed, last.reason.as_str()),
        Ending::Dead => (v1::RunState::Dead, last.reason.as_str()),
        Ending::Skipped(skip) => (v1::RunState::Skipped, skip_reason(skip)),
        Ending::Lost => (v1::RunState::Lost, last.reason.as_str()),
    };
    v1::RunRecord {
        run: last.id.to_string(),
        attempt: last.attempt,
        token: last.token.0,
        state: state.into(),
        reason: reason.into(),
        node: last.by.to_string(),
        nominal_time: Some(timestamp(last.nominal)),
        finished_time: Some(timestamp(last.at)),
        ..v1::RunRecord::default()
    }
}
