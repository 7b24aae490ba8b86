//! The next times of a schedule as people read them, and what the clock's changes did to them.

use super::Schedule;
use super::cron::Cron;
use super::dst::Gap;
use super::zone::{Zone, write_reading};
use crate::time::WallTime;
use std::fmt;

/// One nominal time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Previewed {
    /// The instant.
    pub nominal: WallTime,
    /// The same in the zone of the schedule, which is UTC unless it is a cron expression, as RFC 9557
    /// writes it: `2026-03-29T03:00:00+02:00[Europe/Berlin]`.
    pub local: String,
    /// What a change of the clock did to it, or to a time right before it; mostly nothing.
    pub note: Option<Note>,
}

/// What changes of the clock did, in the order in which it happened. `Display` says it in words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note(Vec<Remark>);

/// One thing that a change of the clock did. Local times are written without offset, as they have none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Remark {
    /// Times between the occurrence before and this one never came, and were left out.
    Skipped {
        /// The first of them.
        local: String,
        /// How many they are.
        count: u64,
    },
    /// This occurrence stands for times that never came: it is where the gap ends.
    Shifted {
        /// The first of them.
        from: String,
        /// How many they are.
        count: u64,
    },
    /// The local time comes twice, and this is the first time.
    FirstCopy,
    /// The local time comes twice, and this is the second time.
    SecondCopy,
}

impl Note {
    /// What happened; never empty.
    #[must_use]
    pub fn remarks(&self) -> &[Remark] {
        &self.0
    }
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, remark) in self.0.iter().enumerate() {
            if place > 0 {
                f.write_str("; ")?;
            }
            remark.fmt(f)?;
        }
        Ok(())
    }
}

impl fmt::Display for Remark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let more = |count: &u64| match count - 1 {
            0 => String::new(),
            more => format!(" and {more} more of that gap"),
        };
        match self {
            Self::Skipped { local, count } => {
                let more = more(count);
                write!(
                    f,
                    "before it {local}{more} was skipped: the clock never shows it"
                )
            }
            Self::Shifted { from, count } => {
                let more = more(count);
                write!(f, "shifted from {from}{more}, which the clock never shows")
            }
            Self::FirstCopy => f.write_str("first copy of a repeated local time"),
            Self::SecondCopy => f.write_str("second copy of a repeated local time"),
        }
    }
}

/// The first `count` nominal times strictly after `after`, earliest first; fewer if there are no more.
#[must_use]
pub fn preview(schedule: &Schedule, after: WallTime, count: usize) -> Vec<Previewed> {
    let utc = Zone::utc();
    let mut last = after;
    let mut previewed = vec![];
    while previewed.len() < count
        && let Some(nominal) = schedule.next_after(last)
    {
        let (zone, note) = match schedule {
            Schedule::Cron(cron) => (cron.clock(), note(cron, last, nominal)),
            Schedule::At(_) | Schedule::Every { .. } => (&utc, None),
        };
        previewed.push(Previewed {
            nominal,
            local: zone.write(nominal),
            note,
        });
        last = nominal;
    }
    previewed
}

fn note(cron: &Cron, after: WallTime, nominal: WallTime) -> Option<Note> {
    let instant = nominal.0.div_euclid(1000);
    let mut remarks = skipped(cron, after.0.div_euclid(1000).max(-1), instant);
    let stretch = cron.clock().stretch_at(instant);
    if instant == stretch.first && cron.is_due_after_gap(&stretch) {
        let (low, high) = stretch.gap();
        remarks
            .extend(first_of(cron, low, high).map(|(from, count)| Remark::Shifted { from, count }));
    }
    let reading = instant + stretch.offset;
    if reading <= stretch.highest_before() {
        remarks.push(Remark::SecondCopy);
    } else if reading >= stretch.lowest_after() {
        remarks.push(Remark::FirstCopy);
    }
    (!remarks.is_empty()).then_some(Note(remarks))
}

/// What gaps left out after one instant and up to another. A timer that is due in every hour by elapsed
/// time misses nothing by a gap, so of that there is nothing to say.
fn skipped(cron: &Cron, after: i64, upto: i64) -> Vec<Remark> {
    let goes_on = cron.follows_elapsed_time() && cron.calendar().has_every_hour();
    let mut remarks = vec![];
    let mut stretch = cron.clock().stretch_at(upto);
    while cron.rule().gap == Gap::Skip && !goes_on && stretch.first > after {
        let (low, high) = stretch.gap();
        remarks.extend(
            first_of(cron, low, high).map(|(local, count)| Remark::Skipped { local, count }),
        );
        stretch = cron.clock().stretch_at(stretch.first - 1);
    }
    remarks.reverse();
    remarks
}

/// The first matching reading of a gap, and how many there are.
fn first_of(cron: &Cron, low: i64, high: i64) -> Option<(String, u64)> {
    let first = cron.calendar().first_within(low, high)?;
    Some((write_reading(first), cron.calendar().count(first, high)))
}
