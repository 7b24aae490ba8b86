//! How a timer is shown: the stable fields of JSON, a row of a table, or all of it in words.

use crate::output::{Row, time};
use dormouse_client::{CancelOutcome, Placement, RunRecord, ScheduleInfo, Target, TimerInfo};
use serde::Serialize;
use std::collections::BTreeMap;

/// The fields that every command about timers prints.
#[derive(Debug, Serialize)]
pub(crate) struct TimerRow {
    name: String,
    uid: String,
    state: &'static str,
    home: Option<String>,
    durability: &'static str,
    generation: u64,
    next_times: Vec<String>,
}

impl TimerRow {
    pub(crate) fn of(timer: &TimerInfo) -> Self {
        Self {
            name: timer.name.clone(),
            uid: timer.uid.clone(),
            state: timer.state.as_str(),
            home: timer.home.clone(),
            durability: timer.durability.as_str(),
            generation: timer.generation,
            next_times: timer.next_times.iter().copied().map(time).collect(),
        }
    }
}

impl TimerRow {
    /// A timer after its cancel: as it was known before, if it was.
    pub(super) fn cancelled(
        name: String,
        known: Option<&TimerInfo>,
        outcome: CancelOutcome,
    ) -> Self {
        let state = match (outcome, known) {
            (CancelOutcome::AlreadyFired, Some(timer)) => timer.state.as_str(),
            (CancelOutcome::Pending, _) => "pending",
            _ => "cancelled",
        };
        let before = known.map(Self::of);
        Self {
            name,
            uid: before
                .as_ref()
                .map(|row| row.uid.clone())
                .unwrap_or_default(),
            state,
            home: before.as_ref().and_then(|row| row.home.clone()),
            durability: before.as_ref().map_or("unknown", |row| row.durability),
            generation: before.as_ref().map_or(0, |row| row.generation),
            next_times: Vec::new(),
        }
    }
}

impl Row for TimerRow {
    const HEADER: &'static [&'static str] = &["name", "state", "home", "durability", "next"];

    fn cells(&self) -> Vec<String> {
        vec![
            self.name.clone(),
            self.state.into(),
            self.home.clone().unwrap_or_else(|| "(pool)".into()),
            self.durability.into(),
            self.next_times.first().cloned().unwrap_or_default(),
        ]
    }
}

/// One timer with everything that is known of it: the fields of a row, and more.
#[derive(Debug, Serialize)]
pub(super) struct Details {
    #[serde(flatten)]
    row: TimerRow,
    schedule: String,
    pinned: Option<String>,
    handler: Option<String>,
    payload: Option<String>,
    content_type: String,
    labels: BTreeMap<String, String>,
    create_time: Option<String>,
    update_time: Option<String>,
    last_run: Option<LastRun>,
}

#[derive(Debug, Serialize)]
struct LastRun {
    run: String,
    attempt: u32,
    token: u64,
    state: &'static str,
    reason: String,
    node: Option<String>,
    nominal_time: Option<String>,
    launched_time: Option<String>,
    finished_time: Option<String>,
}

impl Details {
    pub(super) fn of(timer: &TimerInfo) -> Self {
        Self {
            row: TimerRow::of(timer),
            schedule: schedule(&timer.schedule),
            pinned: match &timer.placement {
                Placement::Movable => None,
                Placement::Pinned { node } => Some(node.clone()),
            },
            handler: match &timer.target {
                Target::Handler(name) => Some(name.clone()),
                _ => None,
            },
            payload: std::str::from_utf8(&timer.payload).ok().map(str::to_owned),
            content_type: timer.content_type.clone(),
            labels: timer.labels.clone(),
            create_time: timer.create_time.map(time),
            update_time: timer.update_time.map(time),
            last_run: timer.last_run.as_ref().map(LastRun::of),
        }
    }
}

impl LastRun {
    fn of(run: &RunRecord) -> Self {
        Self {
            run: run.run.clone(),
            attempt: run.attempt,
            token: run.token,
            state: run.state.as_str(),
            reason: run.reason.clone(),
            node: run.node.clone(),
            nominal_time: run.nominal_time.map(time),
            launched_time: run.launched_time.map(time),
            finished_time: run.finished_time.map(time),
        }
    }

    fn in_words(&self) -> String {
        let or_dash = |text: &Option<String>| text.clone().unwrap_or_else(|| "-".into());
        let mut words = format!(
            "{} on {}, attempt {}, for {}",
            self.state,
            or_dash(&self.node),
            self.attempt,
            or_dash(&self.nominal_time),
        );
        if !self.reason.is_empty() {
            words = format!("{words}: {}", self.reason);
        }
        words
    }
}

fn schedule(schedule: &ScheduleInfo) -> String {
    match schedule {
        ScheduleInfo::At(at) => format!("at {}", time(*at)),
        ScheduleInfo::After(wait) => format!("after {wait:?}"),
        ScheduleInfo::Every {
            interval,
            phase: None,
        } => format!("every {interval:?}"),
        ScheduleInfo::Every {
            interval,
            phase: Some(phase),
        } => format!("every {interval:?}, phase {phase:?}"),
        ScheduleInfo::Cron { expression, zone } => {
            let zone = if zone.is_empty() { "UTC" } else { zone };
            format!("cron {expression} ({zone})")
        }
        _ => "unknown to this version".into(),
    }
}

/// Everything of a timer, a line for each part.
pub(super) fn in_words(timer: &TimerInfo) -> String {
    let details = Details::of(timer);
    let labels: Vec<String> = details
        .labels
        .iter()
        .map(|(key, value)| format!("{key}={value}"))
        .collect();
    let payload = match &details.payload {
        Some(text) => format!("{} bytes: {}", timer.payload.len(), excerpt(text)),
        None => format!("{} bytes", timer.payload.len()),
    };
    let lines = [
        ("name", details.row.name),
        ("uid", details.row.uid),
        ("state", details.row.state.into()),
        ("schedule", details.schedule),
        ("next", details.row.next_times.join(", ")),
        ("handler", details.handler.unwrap_or_default()),
        ("payload", payload),
        ("home", details.row.home.unwrap_or_else(|| "(pool)".into())),
        ("pinned", details.pinned.unwrap_or_else(|| "no".into())),
        ("durability", details.row.durability.into()),
        ("generation", details.row.generation.to_string()),
        ("labels", labels.join(" ")),
        ("created", details.create_time.unwrap_or_default()),
        ("updated", details.update_time.unwrap_or_default()),
        (
            "last run",
            details.last_run.map_or("none".into(), |run| run.in_words()),
        ),
    ];
    let lines = lines
        .into_iter()
        .filter(|(_, value)| !value.is_empty())
        .map(|(name, value)| format!("{:<12}{value}", format!("{name}:")));
    lines.collect::<Vec<_>>().join("\n")
}

/// The beginning of a text, on one line.
fn excerpt(text: &str) -> String {
    const LENGTH_MAX: usize = 60;
    let shown: String = text.escape_debug().take(LENGTH_MAX).collect();
    if text.escape_debug().count() > LENGTH_MAX {
        format!("{shown}...")
    } else {
        shown
    }
}
