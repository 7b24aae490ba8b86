//! The flags that say when, for a new timer and for an edit.

use crate::failure::Failure;
use crate::words;
use clap::Args;
use dormouse_client::{NewTime, Scheduled, Timer};
use std::time::{Duration, SystemTime};

/// When: one of four.
#[derive(Debug, Args)]
#[command(next_help_heading = "When")]
pub(super) struct ScheduleFlags {
    /// Once, so long from now: 90s, 15m, 2h30m, 500ms.
    #[arg(long, group = "when", value_name = "DURATION", value_parser = words::duration)]
    after: Option<Duration>,

    /// Once, at this time: RFC 3339, or +15m.
    #[arg(long, group = "when", value_name = "TIME", value_parser = words::time)]
    at: Option<NewTime>,

    /// Again and again, at this interval.
    #[arg(long, group = "when", value_name = "DURATION", value_parser = words::duration)]
    every: Option<Duration>,

    /// Again and again, by a cron expression of five fields, or six with seconds first.
    #[arg(long, group = "when", value_name = "EXPRESSION")]
    cron: Option<String>,

    /// The IANA time zone of --cron, such as Europe/Berlin; UTC if not given.
    #[arg(long, requires = "cron", conflicts_with_all = ["after", "at", "every"], value_name = "ZONE")]
    zone: Option<String>,

    /// Align --every to multiples of the interval since 1970 plus this.
    #[arg(long, requires = "every", conflicts_with_all = ["after", "at", "cron"], value_name = "DURATION", value_parser = words::duration)]
    phase: Option<Duration>,
}

impl ScheduleFlags {
    /// The schedule, if one was given.
    pub(super) fn schedule(&self) -> Result<Option<Scheduled>, Failure> {
        if let Some(wait) = self.after {
            return Ok(Some(Timer::after(wait)));
        }
        if let Some(time) = self.at {
            return Ok(Some(match time {
                NewTime::After(wait) => Timer::after(wait),
                NewTime::At(instant) => Timer::at(instant),
            }));
        }
        if let Some(interval) = self.every {
            let scheduled = match self.phase {
                Some(phase) => Timer::every_in_phase(interval, phase),
                None => Timer::every(interval),
            };
            return scheduled.map(Some).map_err(Failure::usage);
        }
        let zone = self.zone.as_deref().unwrap_or_default();
        let cron = self.cron.as_deref();
        Ok(cron.map(|expression| Timer::cron_in(expression, zone)))
    }

    /// The schedule, which has to be given.
    pub(super) fn required(&self) -> Result<Scheduled, Failure> {
        self.schedule()?.ok_or_else(|| {
            Failure::usage("it is not said when: give one of --after, --at, --every and --cron")
        })
    }
}

/// The instant that was meant.
pub(super) fn instant(time: NewTime) -> SystemTime {
    match time {
        NewTime::At(instant) => instant,
        NewTime::After(wait) => {
            let now = SystemTime::now();
            now.checked_add(wait).unwrap_or(now)
        }
    }
}
