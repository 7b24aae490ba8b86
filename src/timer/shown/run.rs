//! How a run is shown.

use super::visible;
use crate::output::{Row, time};
use dormouse_client::RunRecord;
use serde::Serialize;
use std::time::SystemTime;

/// The fields that every command about runs prints.
#[derive(Debug, Serialize)]
pub(crate) struct RunRow {
    timer: String,
    run: String,
    attempt: u32,
    token: u64,
    state: &'static str,
    reason: String,
    node: Option<String>,
    generation: u64,
    missed_count: u64,
    nominal_time: Option<String>,
    due_time: Option<String>,
    launched_time: Option<String>,
    finished_time: Option<String>,
}

impl RunRow {
    /// A run of the timer of this name.
    pub(crate) fn of(run: &RunRecord, timer: &str) -> Self {
        Self {
            timer: timer.to_owned(),
            run: run.run.clone(),
            attempt: run.attempt,
            token: run.token,
            state: run.state.as_str(),
            reason: run.reason.clone(),
            node: run.node.clone(),
            generation: run.generation,
            missed_count: run.missed_count,
            nominal_time: run.nominal_time.map(time),
            due_time: run.due_time.map(time),
            launched_time: run.launched_time.map(time),
            finished_time: run.finished_time.map(time),
        }
    }

    /// The run in a sentence.
    pub(crate) fn in_words(&self) -> String {
        format!("{} run {}: {}", self.timer, self.run, self.fate())
    }

    /// What became of it, in words.
    pub(super) fn fate(&self) -> String {
        let or_dash = |text: &Option<String>| text.clone().unwrap_or_else(|| "-".into());
        let mut words = format!(
            "{} on {}, attempt {}, for {}",
            self.state,
            or_dash(&self.node),
            self.attempt,
            or_dash(&self.nominal_time),
        );
        if !self.reason.is_empty() {
            words = format!("{words}: {}", visible(&self.reason));
        }
        words
    }
}

impl Row for RunRow {
    const HEADER: &'static [&'static str] = &[
        "nominal_time",
        "state",
        "attempt",
        "node",
        "finished_time",
        "run",
        "timer",
        "reason",
    ];

    fn cells(&self) -> Vec<String> {
        let or_dash = |text: &Option<String>| text.clone().unwrap_or_else(|| "-".into());
        vec![
            or_dash(&self.nominal_time),
            self.state.into(),
            self.attempt.to_string(),
            or_dash(&self.node),
            or_dash(&self.finished_time),
            self.run.clone(),
            self.timer.clone(),
            // In the handler's words, which may be anything.
            visible(&self.reason),
        ]
    }
}

/// A time for people.
pub(crate) fn time_or_dash(instant: Option<SystemTime>) -> String {
    instant.map_or_else(|| "-".into(), time)
}
