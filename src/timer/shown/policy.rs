//! How a timer's policies are shown.

use crate::output::time;
use crate::words::in_units;
use dormouse_client::{Gap, Policy, Repeated, Retry};
use serde::Serialize;

/// The policies of a timer; null is a bound that it does not have.
#[derive(Debug, Serialize)]
pub(super) struct PolicyDetails {
    isolation: Option<&'static str>,
    effort: Option<&'static str>,
    start_time: Option<String>,
    end_time: Option<String>,
    expire_time: Option<String>,
    max_occurrences: Option<u64>,
    jitter: Option<String>,
    misfire: Option<&'static str>,
    misfire_grace: Option<String>,
    misfire_cap: Option<u32>,
    catchup_window: Option<String>,
    overlap: Option<&'static str>,
    retry: Option<RetryDetails>,
    gap: Option<&'static str>,
    overlap_dst: Option<&'static str>,
}

#[derive(Debug, Serialize)]
struct RetryDetails {
    max_attempts: u32,
    backoff_min: String,
    backoff_max: String,
    backoff_factor: f64,
    attempt_timeout: String,
}

/// The policies of a timer as lines for people.
pub(super) struct Words {
    pub(super) bounds: String,
    pub(super) rest: String,
    pub(super) retry: String,
}

impl PolicyDetails {
    pub(super) fn of(policy: &Policy) -> Self {
        Self {
            isolation: policy.isolation.map(dormouse_client::Isolation::as_str),
            effort: policy.effort.map(dormouse_client::Effort::as_str),
            start_time: policy.start.map(time),
            end_time: policy.end.map(time),
            expire_time: policy.expires.map(time),
            max_occurrences: policy.occurrences_max,
            jitter: policy.jitter.map(in_units),
            misfire: policy.misfire.map(dormouse_client::Misfire::as_str),
            misfire_grace: policy.misfire_grace.map(in_units),
            misfire_cap: policy.misfire_cap,
            catchup_window: policy.catchup_window.map(in_units),
            overlap: policy.overlap.map(dormouse_client::Overlap::as_str),
            retry: policy.retry.as_ref().map(RetryDetails::of),
            gap: policy.gap.map(|gap| match gap {
                Gap::Shift => "shift",
                Gap::Skip => "skip",
            }),
            overlap_dst: policy.repeated.map(|repeated| match repeated {
                Repeated::First => "first",
                Repeated::Last => "last",
                Repeated::Both => "both",
            }),
        }
    }

    pub(super) fn in_words(&self) -> Words {
        let count = self.max_occurrences.map(|count| count.to_string());
        let bounds = [
            ("from", self.start_time.clone()),
            ("to before", self.end_time.clone()),
            ("expires", self.expire_time.clone()),
            ("at most", count),
        ];
        let word = |word: Option<&'static str>| word.map(str::to_owned);
        // The cap bounds nothing as long as only one or none of the missed occurrences runs.
        let all = dormouse_client::Misfire::All.as_str();
        let misfire = match (self.misfire, self.misfire_cap) {
            (Some(misfire), Some(cap)) if misfire == all => Some(format!("{misfire} up to {cap}")),
            (misfire, _) => word(misfire),
        };
        let rest = [
            ("effort", word(self.effort)),
            ("isolation", word(self.isolation)),
            ("overlap", word(self.overlap)),
            ("misfire", misfire),
            ("grace", self.misfire_grace.clone()),
            ("window", self.catchup_window.clone()),
            ("jitter", self.jitter.clone()),
            ("gap", word(self.gap)),
            ("overlap-dst", word(self.overlap_dst)),
        ];
        Words {
            bounds: sentence(&bounds),
            rest: sentence(&rest),
            retry: self
                .retry
                .as_ref()
                .map(RetryDetails::in_words)
                .unwrap_or_default(),
        }
    }
}

fn sentence(parts: &[(&str, Option<String>)]) -> String {
    let said = parts.iter().filter_map(|(name, value)| {
        let value = value.as_ref()?;
        Some(format!("{name} {value}"))
    });
    said.collect::<Vec<_>>().join(", ")
}

impl RetryDetails {
    fn of(retry: &Retry) -> Self {
        Self {
            max_attempts: retry.attempts_max,
            backoff_min: in_units(retry.backoff_min),
            backoff_max: in_units(retry.backoff_max),
            backoff_factor: retry.factor,
            attempt_timeout: in_units(retry.attempt_timeout),
        }
    }

    fn in_words(&self) -> String {
        if self.max_attempts == 1 {
            return format!("one attempt of {}", self.attempt_timeout);
        }
        format!(
            "{} attempts of {}, waits {} to {}, each {} times the last",
            self.max_attempts,
            self.attempt_timeout,
            self.backoff_min,
            self.backoff_max,
            self.backoff_factor
        )
    }
}
