//! A timer to be created: a builder with a constructor for each schedule, so that it always has exactly one.
//!
//! What can be known to be wrong on this side is refused here; what depends on the server (the horizon, the grammar
//! of cron, the longest payload, whether a node exists) is refused by the answer.

use crate::error::Error;
use crate::id;
use crate::policy::{self, Policy};
use crate::target::{self, Http, Target};
use bytes::Bytes;
use std::collections::BTreeMap;
use std::fmt;
use std::time::{Duration, SystemTime};

/// The most labels of a timer.
const LABELS_MAX: usize = 64;
/// The longest key or value of a label, in characters.
const LABEL_LENGTH_MAX: usize = 63;
/// The longest media type, in characters.
const CONTENT_TYPE_LENGTH_MAX: usize = 255;

/// A timer to be created by [`Client::create`](crate::Client::create).
///
/// It begins with its schedule, then says who runs it, then what else is wanted:
///
/// ```
/// use dormouse_client::{Durability, Misfire, Overlap, Retry, Timer};
/// use std::time::Duration;
///
/// # fn main() -> Result<(), dormouse_client::Error> {
/// let flush = Timer::every(Duration::from_secs(10))?
///     .handler("flush-cache")?
///     .pinned("n1")?
///     .durability(Durability::Ephemeral);
/// let report = Timer::cron_in("0 8 * * MON-FRI", "Europe/Berlin")
///     .handler("report")?
///     .name("morning-report")?
///     .label("team", "sales")?
///     .payload(r#"{"format":"pdf"}"#)
///     .content_type("application/json")?
///     .misfire(Misfire::Skip)
///     .overlap(Overlap::BufferOne)
///     .retry(Retry::attempts(3).backoff(Duration::from_secs(2), Duration::from_secs(60)))
///     .jitter(Duration::from_secs(30));
/// let ping = Timer::every(Duration::from_secs(60))?
///     .http("https://example.com/ping")?
///     .at_most(100)
///     .at_most_once();
/// let backup = Timer::cron("@daily").command("backup", ["/var/data"])?.paused();
/// # let _ = (flush, report, ping, backup);
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
#[must_use = "a timer is created by Client::create"]
pub struct Timer {
    pub(crate) when: When,
    pub(crate) target: Target,
    pub(crate) pool: String,
    pub(crate) id: String,
    pub(crate) placement: Placement,
    pub(crate) payload: Bytes,
    pub(crate) content_type: String,
    pub(crate) durability: Option<Durability>,
    pub(crate) labels: BTreeMap<String, String>,
    pub(crate) paused: bool,
    pub(crate) policy: Policy,
}

policy::choices!(Timer);

/// A schedule that waits for its handler: the first half of a [`Timer`].
#[derive(Debug, Clone)]
#[must_use = "say who runs it with .handler(...)"]
pub struct Scheduled(When);

impl Scheduled {
    pub(crate) fn into_when(self) -> When {
        self.0
    }
}

#[derive(Debug, Clone)]
pub(crate) enum When {
    At(SystemTime),
    After(Duration),
    Every {
        interval: Duration,
        phase: Option<Duration>,
    },
    Cron {
        expression: String,
        zone: String,
    },
}

/// Where a timer may run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Placement {
    /// On any node of its pool that has the handler.
    Movable,
    /// On one node only.
    Pinned {
        /// Its id; empty for the node of the agent that is asked.
        node: String,
    },
}

/// What an acknowledged change of a timer survives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Durability {
    /// Nothing but the idleness of its home.
    Ephemeral,
    /// A crash or reboot of its home.
    Local,
    /// Also the loss of its home, but for the last moment.
    ReplicatedAsync,
    /// The loss of its home.
    Replicated,
}

impl Durability {
    /// As it is written in commands and output, such as `replicated_async`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ephemeral => "ephemeral",
            Self::Local => "local",
            Self::ReplicatedAsync => "replicated_async",
            Self::Replicated => "replicated",
        }
    }
}

impl fmt::Display for Durability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// A new time for a timer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NewTime {
    /// At this instant.
    At(SystemTime),
    /// This long after the request is accepted.
    After(Duration),
}

impl Timer {
    /// Once, at `time`; in the past means now.
    pub fn at(time: SystemTime) -> Scheduled {
        Scheduled(When::At(time))
    }

    /// Once, `wait` after the request is accepted. Time in suspend counts.
    pub fn after(wait: Duration) -> Scheduled {
        Scheduled(When::After(wait))
    }

    /// Every `interval`, the first time one interval after the request is accepted.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] if `interval` is shorter than a millisecond. Below 100 ms the answer refuses it.
    pub fn every(interval: Duration) -> Result<Scheduled, Error> {
        Self::every_at(interval, None)
    }

    /// Every `interval`, at multiples of it since 1970 plus `phase`.
    ///
    /// # Errors
    /// As [`Timer::every`], and if `phase` is not below `interval`.
    pub fn every_in_phase(interval: Duration, phase: Duration) -> Result<Scheduled, Error> {
        Self::every_at(interval, Some(phase))
    }

    fn every_at(interval: Duration, phase: Option<Duration>) -> Result<Scheduled, Error> {
        if interval < Duration::from_millis(1) {
            return Err(Error::invalid(
                "timer.schedule.every.interval",
                "must be at least 1 ms",
            ));
        }
        if phase.is_some_and(|phase| phase >= interval) {
            return Err(Error::invalid(
                "timer.schedule.every.phase",
                "must be below the interval",
            ));
        }
        Ok(Scheduled(When::Every { interval, phase }))
    }

    /// By a cron expression of five fields, or six with seconds first, in UTC.
    pub fn cron(expression: &str) -> Scheduled {
        Self::cron_in(expression, "")
    }

    /// By a cron expression of five fields, or six with seconds first, in an IANA time zone such as `Europe/Berlin`.
    pub fn cron_in(expression: &str, zone: &str) -> Scheduled {
        Scheduled(When::Cron {
            expression: expression.into(),
            zone: zone.into(),
        })
    }

    /// The last part of its name; without it the server chooses one.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] if it is not `[a-z0-9]([-a-z0-9._]{0,61}[a-z0-9])?`.
    pub fn name(mut self, id: &str) -> Result<Self, Error> {
        self.id = id::id("timer_id", id)?;
        Ok(self)
    }

    /// Its pool; without it the agent's own, at a coordinator `default`.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] if it is not an id.
    pub fn pool(mut self, pool: &str) -> Result<Self, Error> {
        self.pool = id::id("pool", pool)?;
        Ok(self)
    }

    /// Runs on this node only, and waits for it.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] if it is not an id.
    pub fn pinned(mut self, node: &str) -> Result<Self, Error> {
        self.placement = Placement::Pinned {
            node: id::id("timer.placement.pinned.node", node)?,
        };
        Ok(self)
    }

    /// Runs only on the node of the agent that is asked.
    pub fn pinned_here(mut self) -> Self {
        self.placement = Placement::Pinned {
            node: String::new(),
        };
        self
    }

    /// What is handed to the handler: up to 64 KiB.
    pub fn payload(mut self, payload: impl Into<Bytes>) -> Self {
        self.payload = payload.into();
        self
    }

    /// The media type of the payload.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] if it is longer than 255 characters or has others than visible ASCII and space.
    pub fn content_type(mut self, media_type: &str) -> Result<Self, Error> {
        let visible = media_type.chars().all(|c| c.is_ascii_graphic() || c == ' ');
        if !visible || media_type.len() > CONTENT_TYPE_LENGTH_MAX {
            let rule = "must be at most 255 visible ASCII characters";
            return Err(Error::invalid("timer.content_type", rule));
        }
        self.content_type = media_type.into();
        Ok(self)
    }

    /// What it survives; without it [`Durability::Replicated`] if movable, [`Durability::Local`] if pinned.
    pub fn durability(mut self, durability: Durability) -> Self {
        self.durability = Some(durability);
        self
    }

    /// Paused from the beginning: nothing happens until it is resumed.
    pub fn paused(mut self) -> Self {
        self.paused = true;
        self
    }

    fn choose(&mut self, _: &[&'static str]) -> &mut Policy {
        &mut self.policy
    }

    /// A label to find it by.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] for an empty key, a key or value of more than 63 characters, or a 65th label.
    pub fn label(mut self, key: &str, value: &str) -> Result<Self, Error> {
        let long = |text: &str| text.chars().count() > LABEL_LENGTH_MAX;
        if key.is_empty() || long(key) || long(value) {
            let rule = "keys have 1 to 63 characters, values up to 63";
            return Err(Error::invalid("timer.labels", rule));
        }
        self.labels.insert(key.into(), value.into());
        if self.labels.len() > LABELS_MAX {
            return Err(Error::invalid(
                "timer.labels",
                "at most 64 labels are allowed",
            ));
        }
        Ok(self)
    }
}

impl Scheduled {
    /// Runs at the workers that have this handler.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] unless it has 1 to 255 visible ASCII characters.
    pub fn handler(self, name: &str) -> Result<Timer, Error> {
        Ok(self.runs(target::handler(name)?))
    }

    /// Runs as a request over HTTP, sent by the agent of the node that runs it: an address, or an [`Http`].
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] if the address is too long or neither `http` nor `https`.
    pub fn http(self, http: impl Into<Http>) -> Result<Timer, Error> {
        Ok(self.runs(target::http(http.into())?))
    }

    /// Runs as a command that a node allows: the entry of its list, and the values for the entry's placeholders.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] if `name` is not an id.
    pub fn command<S: Into<String>>(
        self,
        name: &str,
        args: impl IntoIterator<Item = S>,
    ) -> Result<Timer, Error> {
        Ok(self.runs(target::command(name, args)?))
    }

    fn runs(self, target: Target) -> Timer {
        Timer {
            when: self.0,
            target,
            pool: String::new(),
            id: String::new(),
            placement: Placement::Movable,
            payload: Bytes::new(),
            content_type: String::new(),
            durability: None,
            labels: BTreeMap::new(),
            paused: false,
            policy: Policy::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn field(error: &Error) -> &str {
        match error {
            Error::InvalidArgument { field, .. } => field,
            _ => "",
        }
    }

    fn timer() -> Timer {
        Timer::after(Duration::ZERO)
            .handler("h")
            .expect("a good name")
    }

    #[test]
    fn what_is_wrong_by_itself_is_refused_before_anything_is_sent() {
        let cases = [
            (
                Timer::every(Duration::ZERO).err(),
                "timer.schedule.every.interval",
            ),
            (
                Timer::every_in_phase(Duration::from_secs(1), Duration::from_secs(1)).err(),
                "timer.schedule.every.phase",
            ),
            (
                Timer::after(Duration::ZERO).handler("").err(),
                "timer.target.handler.name",
            ),
            (timer().name("Upper").err(), "timer_id"),
            (timer().pool("a/b").err(), "pool"),
            (timer().pinned("..").err(), "timer.placement.pinned.node"),
            (timer().content_type("a\nb").err(), "timer.content_type"),
            (timer().label("", "v").err(), "timer.labels"),
        ];
        for (error, expected) in cases {
            assert_eq!(field(&error.expect(expected)), expected);
        }
    }

    #[test]
    fn the_65th_label_is_refused() {
        let full = (0..64).try_fold(timer(), |timer, n| timer.label(&format!("k{n}"), "v"));
        let full = full.expect("64 labels are allowed");
        assert!(full.clone().label("k0", "again").is_ok());
        assert_eq!(
            field(&full.label("k64", "v").expect_err("too many")),
            "timer.labels"
        );
    }
}
