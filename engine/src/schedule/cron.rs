//! A cron expression in a zone: which instants it names.
//!
//! The rule is vixie cron's. If the minute or the hour field begins with `*`, the timer follows
//! *elapsed* time: it is due at every instant at which the clock on the wall matches, so also in both
//! copies of a repeated hour, and not in an hour that never comes. Otherwise it is due at *fixed* times:
//! each matching reading once, when the clock first shows it or first has passed it. So a repeated
//! hour counts once, and what falls into a gap is due when the gap ends; readings that meet at one
//! instant are one occurrence.

use super::calendar::Calendar;
use super::expression::{self, Follows};
use super::zone::Zone;
use super::{BadSchedule, Latest};
use crate::time::WallTime;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::sync::Arc;

/// The last instant from which a next one is sought, in seconds: the year 9000.
const LAST: i64 = 221_845_392_000;

/// How far a search follows a clock that is set again and again, in seconds: 41 years.
const SEARCH: i64 = 41 * 366 * 86_400;

/// The longest window whose occurrences are counted, in seconds: 12 years, more than the horizon.
const COUNTED: i64 = 12 * 366 * 86_400;

/// A cron expression and its zone, parsed. Cheap to clone; equal if expression and zone are.
#[derive(Clone, Serialize, Deserialize)]
#[serde(try_from = "Text", into = "Text")]
pub struct Cron(Arc<Parsed>);

struct Parsed {
    expression: String,
    calendar: Calendar,
    follows: Follows,
    zone: Zone,
}

/// What of a [`Cron`] is written down.
#[derive(Serialize, Deserialize)]
struct Text {
    expression: String,
    zone: String,
}

impl Cron {
    /// Parses an expression of five fields, six with seconds first, or a macro such as `@daily`; and the
    /// IANA name of a zone, where the empty name is UTC.
    ///
    /// # Errors
    /// What is wrong and where, also if no date can ever match. Bounded in time, whatever the input.
    pub fn parse(expression: &str, zone: &str) -> Result<Self, BadSchedule> {
        let (pattern, follows) = expression::parse(expression)?;
        let zone = Zone::find(zone)?;
        let calendar = Calendar::new(pattern);
        // From 1970 the search meets every kind of year there is.
        calendar.first_from(0).ok_or(BadSchedule::NeverMatches)?;
        Ok(Self(Arc::new(Parsed {
            expression: expression.trim().to_owned(),
            calendar,
            follows,
            zone,
        })))
    }

    /// The expression as it was written.
    #[must_use]
    pub fn expression(&self) -> &str {
        &self.0.expression
    }

    /// The IANA name of the zone.
    #[must_use]
    pub fn zone(&self) -> &str {
        self.0.zone.name()
    }

    /// The first instant strictly after this one; the first of all is in 1970.
    pub(super) fn next_after(&self, after: WallTime) -> Option<WallTime> {
        let after = after.0.div_euclid(1000).max(-1);
        if after >= LAST {
            return None;
        }
        let next = match self.0.follows {
            Follows::FixedTimes => self.next_fixed(after),
            Follows::ElapsedTime => self.next_elapsed(after),
        };
        next.map(|seconds| WallTime(seconds * 1000))
    }

    /// The latest instant up to `until`, and how many there are from `from` to before it.
    pub(super) fn latest(&self, from: WallTime, until: WallTime) -> Option<Latest> {
        let until = until.0.div_euclid(1000).min(LAST);
        // The last second before `from`: what is after it is not before `from`.
        let from = from.0.saturating_sub(1).div_euclid(1000).max(-1);
        if until <= from {
            return None;
        }
        let latest = match self.0.follows {
            Follows::FixedTimes => self.latest_fixed(until),
            Follows::ElapsedTime => self.latest_elapsed(until),
        }?;
        let counted_from = from.max(latest - COUNTED);
        let skipped = match self.0.follows {
            Follows::FixedTimes => self.count_fixed(counted_from, latest - 1),
            Follows::ElapsedTime => self.count_elapsed(counted_from, latest - 1),
        };
        Some(Latest {
            nominal: WallTime(latest * 1000),
            skipped,
            exact: counted_from == from,
        })
    }

    fn next_fixed(&self, after: i64) -> Option<i64> {
        let Parsed { calendar, zone, .. } = &*self.0;
        let reading = calendar.first_from(zone.highest_reading(after) + 1)?;
        Some(zone.first_instant_of(reading))
    }

    fn latest_fixed(&self, until: i64) -> Option<i64> {
        let Parsed { calendar, zone, .. } = &*self.0;
        let reading = calendar.last_until(zone.highest_reading(until))?;
        Some(zone.first_instant_of(reading))
    }

    /// Counts the instants after `after` up to `until`: the readings, less those that meet in a gap's end.
    fn count_fixed(&self, after: i64, until: i64) -> u64 {
        let Parsed { calendar, zone, .. } = &*self.0;
        let readings = calendar.count(zone.highest_reading(after) + 1, zone.highest_reading(until));
        let mut met = 0;
        let mut set = zone.set_after(after);
        while let Some(instant) = set.filter(|instant| *instant <= until) {
            let together = calendar.count(
                zone.highest_reading(instant - 1) + 1,
                zone.highest_reading(instant),
            );
            met += together.saturating_sub(1);
            set = zone.set_after(instant);
        }
        readings - met
    }

    fn next_elapsed(&self, after: i64) -> Option<i64> {
        let Parsed { calendar, zone, .. } = &*self.0;
        let mut from = after + 1;
        while from <= after + SEARCH {
            let offset = zone.offset_at(from);
            let instant = calendar.first_from(from + offset)? - offset;
            match zone.set_after(from) {
                Some(set) if set <= instant => from = set,
                _ => return Some(instant),
            }
        }
        None
    }

    fn latest_elapsed(&self, until: i64) -> Option<i64> {
        let Parsed { calendar, zone, .. } = &*self.0;
        let mut upto = until;
        while upto >= until - SEARCH {
            let offset = zone.offset_at(upto);
            let instant = calendar.last_until(upto + offset)? - offset;
            match zone.set_at_or_before(upto) {
                Some(set) if set > instant => upto = set - 1,
                _ => return Some(instant),
            }
        }
        None
    }

    /// Counts the instants after `after` up to `until`, one stretch between two settings at a time.
    fn count_elapsed(&self, after: i64, until: i64) -> u64 {
        let Parsed { calendar, zone, .. } = &*self.0;
        let (mut from, mut total) = (after + 1, 0);
        while from <= until {
            let offset = zone.offset_at(from);
            let set = zone.set_after(from).unwrap_or(i64::MAX);
            let last = until.min(set - 1);
            total += calendar.count(from + offset, last + offset);
            from = last + 1;
        }
        total
    }
}

impl PartialEq for Cron {
    fn eq(&self, other: &Self) -> bool {
        self.expression() == other.expression() && self.zone() == other.zone()
    }
}

impl Eq for Cron {}

impl fmt::Debug for Cron {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Cron")
            .field(&self.expression())
            .field(&self.zone())
            .finish()
    }
}

impl TryFrom<Text> for Cron {
    type Error = BadSchedule;
    fn try_from(text: Text) -> Result<Self, BadSchedule> {
        Self::parse(&text.expression, &text.zone)
    }
}

impl From<Cron> for Text {
    fn from(cron: Cron) -> Self {
        Self {
            expression: cron.expression().to_owned(),
            zone: cron.zone().to_owned(),
        }
    }
}
