//! How a timer is shown: the stable fields of JSON, a row of a table, or all of it in words. Policies and runs have
//! files of their own.

mod policy;
mod run;

pub(super) use run::{RunRow, time_or_dash};

use crate::output::{Row, time};
use crate::words;
use dormouse_client::{CancelOutcome, Http, Placement, ScheduleInfo, Target, TimerInfo};
use policy::PolicyDetails;
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
    etag: String,
    paused: bool,
    schedule: String,
    pinned: Option<String>,
    handler: Option<String>,
    http: Option<HttpDetails>,
    command: Option<CommandDetails>,
    payload: Option<String>,
    content_type: String,
    labels: BTreeMap<String, String>,
    #[serde(flatten)]
    policy: PolicyDetails,
    begun_count: u64,
    skipped_count: u64,
    create_time: Option<String>,
    update_time: Option<String>,
    last_run: Option<RunRow>,
}

#[derive(Debug, Serialize)]
struct HttpDetails {
    url: String,
    method: String,
    headers: BTreeMap<String, String>,
    timeout: Option<String>,
    success: Vec<String>,
    signing_key: Option<String>,
}

#[derive(Debug, Serialize)]
struct CommandDetails {
    name: String,
    args: Vec<String>,
}

impl Details {
    pub(super) fn of(timer: &TimerInfo) -> Self {
        Self {
            row: TimerRow::of(timer),
            etag: timer.etag.clone(),
            paused: timer.paused,
            schedule: schedule(&timer.schedule),
            pinned: match &timer.placement {
                Placement::Movable => None,
                Placement::Pinned { node } => Some(node.clone()),
            },
            handler: match &timer.target {
                Target::Handler(name) => Some(name.clone()),
                _ => None,
            },
            http: match &timer.target {
                Target::Http(http) => Some(HttpDetails::of(http)),
                _ => None,
            },
            command: match &timer.target {
                Target::Command { name, args } => Some(CommandDetails {
                    name: name.clone(),
                    args: args.clone(),
                }),
                _ => None,
            },
            payload: std::str::from_utf8(&timer.payload).ok().map(str::to_owned),
            content_type: timer.content_type.clone(),
            labels: timer.labels.clone(),
            policy: PolicyDetails::of(&timer.policy),
            begun_count: timer.begun_count,
            skipped_count: timer.skipped_count,
            create_time: timer.create_time.map(time),
            update_time: timer.update_time.map(time),
            last_run: timer
                .last_run
                .as_ref()
                .map(|run| RunRow::of(run, &timer.name)),
        }
    }

    fn target(&self) -> String {
        match (&self.handler, &self.http, &self.command) {
            (Some(name), ..) => format!("handler {name}"),
            (_, Some(http), _) => format!("{} {}", http.method, http.url),
            (.., Some(command)) => {
                let words = std::iter::once(&command.name).chain(&command.args);
                let words: Vec<_> = words.map(String::as_str).collect();
                format!("command {}", words.join(" "))
            }
            _ => "unknown to this version".into(),
        }
    }
}

impl HttpDetails {
    fn of(http: &Http) -> Self {
        let range =
            |range: &std::ops::RangeInclusive<u16>| format!("{}-{}", range.start(), range.end());
        Self {
            url: http.url.clone(),
            method: http.method.clone(),
            headers: http.headers.clone(),
            timeout: http.timeout.map(words::in_units),
            success: http.success.iter().map(range).collect(),
            signing_key: Some(http.signing_key.clone()).filter(|key| !key.is_empty()),
        }
    }
}

fn schedule(schedule: &ScheduleInfo) -> String {
    match schedule {
        ScheduleInfo::At(at) => format!("at {}", time(*at)),
        ScheduleInfo::After(wait) => format!("after {}", words::in_units(*wait)),
        ScheduleInfo::Every {
            interval,
            phase: None,
        } => format!("every {}", words::in_units(*interval)),
        ScheduleInfo::Every {
            interval,
            phase: Some(phase),
        } => format!(
            "every {}, phase {}",
            words::in_units(*interval),
            words::in_units(*phase)
        ),
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
    let payload = match details.payload.as_deref() {
        Some("") => "none".into(),
        Some(text) => format!("{} bytes: {}", timer.payload.len(), excerpt(text)),
        None => format!("{} bytes", timer.payload.len()),
    };
    let policy = details.policy.in_words();
    let target = details.target();
    let lines = [
        ("name", details.row.name),
        ("uid", details.row.uid),
        ("state", details.row.state.into()),
        ("schedule", details.schedule),
        ("next", details.row.next_times.join(", ")),
        ("runs", target),
        ("payload", payload),
        ("home", details.row.home.unwrap_or_else(|| "(pool)".into())),
        ("pinned", details.pinned.unwrap_or_else(|| "no".into())),
        ("durability", details.row.durability.into()),
        ("bounds", policy.bounds),
        ("policies", policy.rest),
        ("retry", policy.retry),
        ("generation", details.row.generation.to_string()),
        ("etag", details.etag),
        (
            "counts",
            format!(
                "{} begun, {} skipped",
                details.begun_count, details.skipped_count
            ),
        ),
        ("labels", labels.join(" ")),
        ("created", details.create_time.unwrap_or_default()),
        ("updated", details.update_time.unwrap_or_default()),
        (
            "last run",
            details.last_run.map_or("none".into(), |run| run.fate()),
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
    let text = visible(text);
    let shown: String = text.chars().take(LENGTH_MAX).collect();
    if text.chars().count() > LENGTH_MAX {
        format!("{shown}...")
    } else {
        shown
    }
}

/// A text of somebody else, on one line: what cannot be seen, or would move the cursor, is escaped.
fn visible(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            // They are escaped for the sake of a literal only, and this is none.
            '\'' | '"' => shown.push(character),
            _ => shown.extend(character.escape_debug()),
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_of_others_stay_on_their_line_and_readable() {
        assert_eq!(visible("it's \"so\", très"), "it's \"so\", très");
        assert_eq!(visible("a\nb\u{1b}[2J\u{202e}"), "a\\nb\\u{1b}[2J\\u{202e}");
        assert_eq!(excerpt(&"x".repeat(61)), format!("{}...", "x".repeat(60)));
    }

    #[test]
    fn schedules_are_shown_in_the_words_of_the_flags() {
        let every = |interval, phase| ScheduleInfo::Every {
            interval: std::time::Duration::from_millis(interval),
            phase: Some(std::time::Duration::from_millis(phase)),
        };
        assert_eq!(
            schedule(&every(5_400_000, 1_231)),
            "every 1h30m, phase 1s231ms"
        );
        assert_eq!(schedule(&every(60_000, 0)), "every 1m, phase 0s");
    }
}
