//! The flags that say how a timer is treated when things do not go by the plan, for a new timer and for an edit.

use super::schedule::instant;
use crate::words;
use clap::{Args, ValueEnum};
use dormouse_client::{Edit, Gap, NewTime, Policy, Repeated, Retry, Timer};
use std::time::Duration;

#[derive(Debug, Args)]
pub(super) struct PolicyFlags {
    /// No occurrence before this time: RFC 3339, or +15m.
    #[arg(long, help_heading = "Bounds", value_name = "TIME", value_parser = words::time)]
    start: Option<NewTime>,

    /// No occurrence at or after this time.
    #[arg(long, help_heading = "Bounds", value_name = "TIME", value_parser = words::time)]
    end: Option<NewTime>,

    /// Skip what has not begun by this time.
    #[arg(long, help_heading = "Bounds", value_name = "TIME", value_parser = words::time)]
    expire: Option<NewTime>,

    /// Done after so many occurrences.
    #[arg(long, help_heading = "Bounds", value_name = "COUNT", value_parser = clap::value_parser!(u64).range(1..))]
    max_occurrences: Option<u64>,

    /// Delay each occurrence by up to this, always by the same; less than the shortest period.
    #[arg(long, help_heading = "Policies", value_name = "DURATION", value_parser = words::duration)]
    jitter: Option<Duration>,

    /// Which missed occurrences run: none, the latest for all of them (the default), or each.
    #[arg(long, value_enum, help_heading = "Policies", value_name = "POLICY")]
    misfire: Option<Misfire>,

    /// Late by at most this is not missed; 1m if not given.
    #[arg(long, help_heading = "Policies", value_name = "DURATION", value_parser = words::duration)]
    misfire_grace: Option<Duration>,

    /// With --misfire all at most so many run; 100 if not given.
    #[arg(long, help_heading = "Policies", value_name = "COUNT", value_parser = clap::value_parser!(u32).range(1..=1000))]
    misfire_cap: Option<u32>,

    /// Drop missed occurrences that are older than this; if not given the period, but 1m to 1h.
    #[arg(long, help_heading = "Policies", value_name = "DURATION", value_parser = words::duration)]
    catchup_window: Option<Duration>,

    /// What becomes of an occurrence while an earlier one runs: it is skipped (the default), runs beside it, replaces
    /// it, or waits for its end.
    #[arg(long, value_enum, help_heading = "Policies", value_name = "POLICY")]
    overlap: Option<Overlap>,

    /// Begin each occurrence once at most; if its outcome is not known it is lost.
    #[arg(long, help_heading = "Policies")]
    at_most_once: bool,

    /// What its home does with it while it cannot reach the coordinator.
    #[arg(long, value_enum, help_heading = "Policies", value_name = "POLICY")]
    isolation: Option<Isolation>,

    /// Attempts of an occurrence in all; 5 if not given.
    #[arg(long, help_heading = "Policies", value_name = "COUNT", value_parser = clap::value_parser!(u32).range(1..=100))]
    retry_attempts: Option<u32>,

    /// The wait before the second attempt; 1s if not given.
    #[arg(long, help_heading = "Policies", value_name = "DURATION", value_parser = words::duration)]
    backoff_min: Option<Duration>,

    /// The longest wait between two attempts; 5m if not given.
    #[arg(long, help_heading = "Policies", value_name = "DURATION", value_parser = words::duration)]
    backoff_max: Option<Duration>,

    /// Each wait is so many times the one before, 1 to 10; 2 if not given.
    #[arg(long, help_heading = "Policies", value_name = "FACTOR")]
    backoff_factor: Option<f64>,

    /// An attempt without a sign of life for this long has failed; 1m if not given.
    #[arg(long, help_heading = "Policies", value_name = "DURATION", value_parser = words::duration)]
    attempt_timeout: Option<Duration>,

    /// What becomes of a local time of --cron that does not exist because the clock is put forward.
    #[arg(long, value_enum, help_heading = "Policies", value_name = "POLICY")]
    gap: Option<GapFlag>,

    /// When a local time of --cron is due that exists twice because the clock is put back.
    #[arg(long, value_enum, help_heading = "Policies", value_name = "POLICY")]
    overlap_dst: Option<RepeatedFlag>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Misfire {
    Skip,
    Once,
    All,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
#[value(rename_all = "snake_case")]
enum Overlap {
    Skip,
    Allow,
    Replace,
    #[value(alias = "buffer-one")]
    BufferOne,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Isolation {
    /// It fires; in a partition an occurrence may run once more elsewhere.
    Fire,
    /// It waits until the coordinator answers.
    Hold,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum GapFlag {
    /// It is due once, when the gap ends.
    Shift,
    /// It is left out.
    Skip,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum RepeatedFlag {
    /// The first time.
    First,
    /// The second time.
    Last,
    /// Both times.
    Both,
}

/// Applies every flag that was given to a builder: a timer and an edit have the same words.
macro_rules! apply {
    ($flags:expr, $builder:expr, $known:expr) => {{
        let (flags, mut builder, known): (&PolicyFlags, _, &Policy) = ($flags, $builder, $known);
        if let Some(time) = flags.start {
            builder = builder.not_before(instant(time));
        }
        if let Some(time) = flags.end {
            builder = builder.until(instant(time));
        }
        if let Some(time) = flags.expire {
            builder = builder.expires_at(instant(time));
        }
        if let Some(count) = flags.max_occurrences {
            builder = builder.at_most(count);
        }
        if let Some(jitter) = flags.jitter {
            builder = builder.jitter(jitter);
        }
        if let Some(misfire) = flags.misfire {
            builder = builder.misfire(misfire.wanted());
        }
        if let Some(grace) = flags.misfire_grace {
            builder = builder.misfire_grace(grace);
        }
        if let Some(cap) = flags.misfire_cap {
            builder = builder.misfire_cap(cap);
        }
        if let Some(window) = flags.catchup_window {
            builder = builder.catchup_window(window);
        }
        if let Some(overlap) = flags.overlap {
            builder = builder.overlap(overlap.wanted());
        }
        if flags.at_most_once {
            builder = builder.at_most_once();
        }
        if let Some(isolation) = flags.isolation {
            builder = builder.isolation(isolation.wanted());
        }
        if let Some(retry) = flags.retry(known) {
            builder = builder.retry(retry);
        }
        if let Some((gap, repeated)) = flags.clock_changes(known) {
            builder = builder.when_clocks_change(gap, repeated);
        }
        builder
    }};
}

impl PolicyFlags {
    /// A new timer with what was given.
    pub(super) fn of_timer(&self, timer: Timer) -> Timer {
        apply!(self, timer, &Policy::default())
    }

    /// An edit with what was given; what belongs together and was not given stays as it is `known`.
    pub(super) fn of_edit(&self, edit: Edit, known: &Policy) -> Edit {
        apply!(self, edit, known)
    }

    /// Whether a part of something was given that is changed as a whole only.
    pub(super) fn needs_known(&self) -> bool {
        let nothing = Policy::default();
        self.retry(&nothing).is_some() || self.clock_changes(&nothing).is_some()
    }

    fn retry(&self, known: &Policy) -> Option<Retry> {
        let was = known.retry.unwrap_or_default();
        let retry = Retry {
            attempts_max: self.retry_attempts.unwrap_or(was.attempts_max),
            backoff_min: self.backoff_min.unwrap_or(was.backoff_min),
            backoff_max: self.backoff_max.unwrap_or(was.backoff_max),
            factor: self.backoff_factor.unwrap_or(was.factor),
            attempt_timeout: self.attempt_timeout.unwrap_or(was.attempt_timeout),
        };
        let given = self.retry_attempts.is_some()
            || self.backoff_min.is_some()
            || self.backoff_max.is_some()
            || self.backoff_factor.is_some()
            || self.attempt_timeout.is_some();
        given.then_some(retry)
    }

    fn clock_changes(&self, known: &Policy) -> Option<(Gap, Repeated)> {
        if self.gap.is_none() && self.overlap_dst.is_none() {
            return None;
        }
        let gap = match self.gap {
            Some(GapFlag::Shift) => Gap::Shift,
            Some(GapFlag::Skip) => Gap::Skip,
            None => known.gap.unwrap_or_default(),
        };
        let repeated = match self.overlap_dst {
            Some(RepeatedFlag::First) => Repeated::First,
            Some(RepeatedFlag::Last) => Repeated::Last,
            Some(RepeatedFlag::Both) => Repeated::Both,
            None => known.repeated.unwrap_or_default(),
        };
        Some((gap, repeated))
    }
}

impl Misfire {
    fn wanted(self) -> dormouse_client::Misfire {
        match self {
            Self::Skip => dormouse_client::Misfire::Skip,
            Self::Once => dormouse_client::Misfire::Once,
            Self::All => dormouse_client::Misfire::All,
        }
    }
}

impl Overlap {
    fn wanted(self) -> dormouse_client::Overlap {
        match self {
            Self::Skip => dormouse_client::Overlap::Skip,
            Self::Allow => dormouse_client::Overlap::Allow,
            Self::Replace => dormouse_client::Overlap::Replace,
            Self::BufferOne => dormouse_client::Overlap::BufferOne,
        }
    }
}

impl Isolation {
    fn wanted(self) -> dormouse_client::Isolation {
        match self {
            Self::Fire => dormouse_client::Isolation::Fire,
            Self::Hold => dormouse_client::Isolation::Hold,
        }
    }
}
