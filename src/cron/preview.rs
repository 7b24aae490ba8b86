//! `dormouse cron preview`: the next times of an expression, computed here, without any server.

use crate::failure::Failure;
use crate::output::{Output, Row};
use clap::{Args, ValueEnum};
use dormouse_agent::engine::schedule::{self, BadSchedule, Cron, Dst, Previewed, Schedule};
use dormouse_agent::engine::time::WallTime;
use jiff::Timestamp;
use serde::Serialize;
use std::time::SystemTime;

#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Five fields, six with seconds first, or a macro such as @daily.
    #[arg(value_name = "EXPR", allow_hyphen_values = true)]
    expression: String,

    /// The IANA time zone in which it is read.
    #[arg(long, default_value = "UTC", value_name = "ZONE")]
    zone: String,

    /// How many times are shown.
    #[arg(short = 'n', long, default_value_t = 10, value_name = "COUNT", value_parser = clap::value_parser!(u16).range(1..=1000))]
    count: u16,

    /// Show times after this one, such as 2026-03-28T00:00:00Z; if not given, after now.
    #[arg(long, value_name = "TIME", value_parser = instant)]
    from: Option<WallTime>,

    /// What becomes of a local time that does not exist because the clock is put forward.
    #[arg(long, value_enum, default_value_t, value_name = "POLICY")]
    gap: Gap,

    /// When a local time is due that exists twice because the clock is put back.
    #[arg(long, value_enum, default_value_t, value_name = "POLICY")]
    overlap: Overlap,
}

#[derive(Debug, Clone, Copy, Default, ValueEnum)]
enum Gap {
    /// Once, when the gap ends.
    #[default]
    Shift,
    /// Not at all.
    Skip,
}

#[derive(Debug, Clone, Copy, Default, ValueEnum)]
enum Overlap {
    /// The first time.
    #[default]
    First,
    /// The second time.
    Last,
    /// Both times.
    Both,
}

/// One time, as it is shown.
#[derive(Debug, Serialize)]
struct Shown {
    nominal_time: String,
    local_time: String,
    note: Option<String>,
}

impl Row for Shown {
    const HEADER: &'static [&'static str] = &["nominal_time", "local_time", "note"];

    fn cells(&self) -> Vec<String> {
        vec![
            self.nominal_time.clone(),
            self.local_time.clone(),
            self.note.clone().unwrap_or_default(),
        ]
    }
}

pub(super) fn run(arguments: &Arguments, output: Output) -> Result<(), Failure> {
    let cron = Cron::parse(&arguments.expression, &arguments.zone)
        .map_err(|why| refused(&why))?
        .with_dst(arguments.policy());
    if cron.uses_hash() {
        eprintln!("note: each timer has its own value for H, by its uid; this is one of them");
    }
    let now = WallTime(crate::output::millis(SystemTime::now()));
    let from = arguments.from.unwrap_or(now);
    let times = schedule::preview(&Schedule::Cron(cron), from, arguments.count.into());
    if times.is_empty() {
        return Err(refused(&BadSchedule::NeverMatches));
    }
    output.rows(&times.into_iter().map(shown).collect::<Vec<_>>())
}

fn refused(why: &BadSchedule) -> Failure {
    Failure::failed(why.to_string())
}

fn shown(time: Previewed) -> Shown {
    Shown {
        nominal_time: time.nominal.to_string(),
        local_time: time.local,
        note: time.note.map(|note| note.to_string()),
    }
}

fn instant(text: &str) -> Result<WallTime, String> {
    match text.parse::<Timestamp>() {
        Ok(instant) if instant >= Timestamp::UNIX_EPOCH => Ok(WallTime(instant.as_millisecond())),
        Ok(_) => Err("it is before 1970".into()),
        Err(_) => Err(format!(
            "{text:?} is no time; write it like 2030-01-01T08:00:00Z or 2030-01-01T09:00:00+01:00"
        )),
    }
}

impl Arguments {
    fn policy(&self) -> Dst {
        Dst {
            gap: match self.gap {
                Gap::Shift => schedule::Gap::Shift,
                Gap::Skip => schedule::Gap::Skip,
            },
            overlap: match self.overlap {
                Overlap::First => schedule::Overlap::First,
                Overlap::Last => schedule::Overlap::Last,
                Overlap::Both => schedule::Overlap::Both,
            },
        }
    }
}
