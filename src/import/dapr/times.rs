//! When a job of Dapr is due: its schedule, and the times around it.
//!
//! `dueTime` is when a job is due once, or from when its schedule counts. Lengths of time count from when the job was
//! made; the list of the scheduler tells the instants themselves, and these are taken then.

use super::super::document::Node;
use super::super::foreign::Settings;
use super::super::periods::{self, Moment};
use crate::output::time;
use crate::source::{Remark, validate};
use crate::words::in_units;
use dormouse_client::wire;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// When a job is due.
pub(super) struct Scheduled {
    pub(super) kind: wire::schedule::Kind,
    /// In words.
    pub(super) shown: String,
    pub(super) start: Option<SystemTime>,
    pub(super) end: Option<SystemTime>,
    pub(super) expire: Option<SystemTime>,
    /// 0 for without limit.
    pub(super) occurrences: u64,
    /// The times as they are written, by which the job is known again.
    pub(super) identity: String,
    pub(super) notes: Vec<Remark>,
}

/// What is written about times, read but not put together.
struct Times {
    /// When it begins, or is due once.
    due: Option<Moment>,
    /// The same instant, as the list tells it.
    begin: Option<SystemTime>,
    end: Option<SystemTime>,
    occurrences: Option<u64>,
    notes: Vec<Remark>,
}

/// When a job is due; none if it has been triggered as often as it should.
///
/// # Errors
/// What is wrong with it, and where.
pub(super) fn read(node: &Node<'_>, settings: &Settings<'_>) -> Result<Option<Scheduled>, Remark> {
    let schedule = node.get("schedule");
    let mut times = Times::read(node, settings)?;
    let scheduled = match &schedule {
        Some(schedule) => times.recurring(schedule, settings)?,
        None => times.once(node)?,
    };
    let triggered = node.get("count").map(|it| it.number()).transpose()?;
    let repeats = times.occurrences;
    let left = repeats.map(|all| all.saturating_sub(triggered.unwrap_or(0)));
    if left == Some(0) || (schedule.is_none() && triggered.unwrap_or(0) > 0) {
        return Ok(None);
    }
    Ok(Some(Scheduled {
        occurrences: left.filter(|_| schedule.is_some()).unwrap_or(0),
        notes: times.notes,
        identity: written(node),
        ..scheduled
    }))
}

/// The times as they are written.
fn written(node: &Node<'_>) -> String {
    let keys = ["schedule", "dueTime", "due_time", "ttl", "repeats", "begin"];
    let values = keys.map(|key| node.get(key).map(|it| it.json().to_string()));
    values.map(Option::unwrap_or_default).join("\0")
}

impl Times {
    fn read(node: &Node<'_>, settings: &Settings<'_>) -> Result<Self, Remark> {
        let instant = |key: &str| node.get(key).map(|it| instant(&it)).transpose();
        let due = node.get("dueTime").or_else(|| node.get("due_time"));
        let mut times = Self {
            due: due.as_ref().map(moment).transpose()?,
            begin: instant("begin")?,
            end: instant("expiration")?,
            occurrences: node.get("repeats").map(|it| it.number()).transpose()?,
            notes: Vec::new(),
        };
        let ttl = node.get("ttl").map(|it| Ok((moment(&it)?, it)));
        if let (None, Some((ttl, place))) = (times.end, ttl.transpose()?) {
            times.end = Some(match ttl {
                Moment::At(instant) => instant,
                Moment::After(length) => {
                    let why = "counts from this import, not from when the job was made";
                    times.notes.push(place.remark(why));
                    settings.now + length
                }
            });
        }
        if let (Some(place), Some(Moment::After(_)), None) = (due, times.due, times.begin) {
            let why = "counts from this import, not from when the job was made";
            times.notes.push(place.remark(why));
        }
        Ok(times)
    }

    /// The instant at which it begins, if one is told or counted.
    fn start(&self, now: SystemTime) -> Option<SystemTime> {
        match (self.due, self.begin) {
            (Some(Moment::At(instant)), _) => Some(instant),
            (Some(Moment::After(_)), Some(begin)) => Some(begin),
            (Some(Moment::After(wait)), None) => Some(now + wait),
            (None, _) => None,
        }
    }

    fn once(&mut self, node: &Node<'_>) -> Result<Scheduled, Remark> {
        let kind = match (self.due, self.begin) {
            (None, _) => return Err(node.remark("has neither schedule nor dueTime")),
            (Some(Moment::At(instant)), _) | (Some(Moment::After(_)), Some(instant)) => {
                wire::schedule::Kind::At(periods::timestamp(instant))
            }
            (Some(Moment::After(wait)), None) => {
                wire::schedule::Kind::After(periods::duration(wait))
            }
        };
        let shown = match (&kind, self.start(UNIX_EPOCH)) {
            (wire::schedule::Kind::At(_), Some(instant)) => format!("at {}", time(instant)),
            (_, Some(instant)) => {
                let wait = instant.duration_since(UNIX_EPOCH).unwrap_or_default();
                format!("after {}", in_units(wait))
            }
            (_, None) => String::new(),
        };
        if self.occurrences.is_some_and(|count| count > 1) {
            let why = "repeats: without a schedule there is nothing to repeat";
            self.notes.push(node.remark(why));
        }
        Ok(Scheduled {
            expire: self.end,
            ..plain(kind, shown)
        })
    }

    fn recurring(
        &mut self,
        schedule: &Node<'_>,
        settings: &Settings<'_>,
    ) -> Result<Scheduled, Remark> {
        let text = schedule.text()?.trim();
        let start = self.start(settings.now);
        let scheduled = match interval(text) {
            Some((interval, repeats)) => {
                self.occurrences = self.occurrences.or(repeats);
                // Its occurrences are counted from when it began.
                let anchor = start.or(self.begin);
                let phase = anchor.map(|anchor| remainder(anchor, interval));
                let shown = format!("every {}", in_units(interval));
                plain(periods::every(interval, phase), shown)
            }
            None => self.cron(schedule, text, settings)?,
        };
        if let (Some(start), Some(end)) = (start, self.end)
            && end <= start
        {
            return Err(schedule.remark("its ttl is over before it is due"));
        }
        Ok(Scheduled {
            start,
            end: self.end,
            ..scheduled
        })
    }

    fn cron(
        &mut self,
        node: &Node<'_>,
        text: &str,
        settings: &Settings<'_>,
    ) -> Result<Scheduled, Remark> {
        let prefix = text.strip_prefix("CRON_TZ=").or(text.strip_prefix("TZ="));
        let (zone, expression) = match prefix.and_then(|rest| rest.split_once(' ')) {
            Some((zone, expression)) => (zone, expression.trim()),
            None => (settings.zone, text),
        };
        let fields = expression.split_whitespace().count();
        if !expression.starts_with('@') && fields != 6 {
            let why =
                format!("six fields, a macro or a duration are expected; here are {fields} fields");
            return Err(node.remark(why));
        }
        validate("0 0 * * *", zone).map_err(|no| node.remark(no.why))?;
        let offset = text.chars().count() - expression.chars().count();
        validate(expression, zone).map_err(|no| match no.offset {
            Some(at) => node.remark_at(offset + at, no.why),
            None => node.remark(no.why),
        })?;
        if prefix.is_none() {
            let why =
                format!("counts in {zone}; Dapr counts in the zone of its scheduler's machine");
            self.notes.push(node.remark(why));
        }
        let cron = wire::Cron {
            expression: expression.into(),
            zone: zone.into(),
        };
        let shown = format!("{expression} ({zone})");
        Ok(plain(wire::schedule::Kind::Cron(cron), shown))
    }
}

fn plain(kind: wire::schedule::Kind, shown: String) -> Scheduled {
    Scheduled {
        kind,
        shown,
        start: None,
        end: None,
        expire: None,
        occurrences: 0,
        identity: String::new(),
        notes: Vec::new(),
    }
}

/// `@every 1m`, a duration of Go, or one of ISO 8601 with its repetitions.
fn interval(text: &str) -> Option<(Duration, Option<u64>)> {
    let length = text.strip_prefix("@every ").unwrap_or(text).trim();
    let interval = periods::go(length).map(|length| (length, None));
    interval
        .or_else(|| periods::iso(length))
        .filter(|(length, _)| *length > Duration::ZERO)
}

/// How far after a multiple of the interval since 1970 an instant is.
fn remainder(instant: SystemTime, interval: Duration) -> Duration {
    let since = instant.duration_since(UNIX_EPOCH).unwrap_or_default();
    let millis = since.as_millis() % interval.as_millis().max(1);
    Duration::from_millis(u64::try_from(millis).unwrap_or_default())
}

fn moment(node: &Node<'_>) -> Result<Moment, Remark> {
    let why = "is no time; write it like 2030-01-01T08:00:00Z, 1h30m or PT15M";
    periods::moment(node.text()?).ok_or_else(|| node.remark(why))
}

fn instant(node: &Node<'_>) -> Result<SystemTime, Remark> {
    match moment(node)? {
        Moment::At(instant) => Ok(instant),
        Moment::After(_) => Err(node.remark("must be an instant, as RFC 3339")),
    }
}
