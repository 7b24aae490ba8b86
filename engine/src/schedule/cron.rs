//! A cron expression in a zone: which instants it names.
//!
//! The rule is vixie cron's. If the minute or the hour field begins with `*`, the timer follows
//! *elapsed* time: it is due at every instant at which the clock on the wall matches, so also in both
//! copies of a repeated hour, and not in an hour that never comes. Otherwise it is due at *fixed* times:
//! each matching reading once, unless its [`Dst`] says otherwise. So a repeated hour counts once, and
//! what falls into a gap is due when the gap ends; readings that meet at one instant are one occurrence.
//!
//! Both are one search: elapsed time is a policy of its own that leaves out gaps and repeats readings.
//! It goes from one [`Stretch`] between two settings of the clock to the next; in each of them the
//! readings are in order, and the policy says from which to which they count.

use super::calendar::Calendar;
use super::dst::{Dst, Gap, Overlap};
use super::expression::{self, Expression, Follows};
use super::field::Choice;
use super::zone::{Stretch, Zone};
use super::{BadSchedule, Latest};
use crate::time::WallTime;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;
use std::sync::Arc;

/// The last instant from which a next one is sought, in seconds: the year 9000.
const LAST: i64 = 221_845_392_000;

/// How far a search follows a clock that is set again and again, in seconds: 41 years.
const SEARCH: i64 = 41 * 366 * 86_400;

/// The longest window whose occurrences are counted, in seconds: 12 years, more than the horizon.
const COUNTED: i64 = 12 * 366 * 86_400;

/// A cron expression, its zone, and what it does when the clock is set. Cheap to clone; equal if all that
/// was written is.
#[derive(Clone)]
pub struct Cron {
    parsed: Arc<Parsed>,
    dst: Dst,
    /// What `H` is drawn by; zero for an expression without it.
    seed: u64,
}

struct Parsed {
    text: String,
    expression: Expression,
    zone: Zone,
}

/// What of a [`Cron`] is written down where fields have names: what is as usual is left out.
#[derive(Serialize, Deserialize)]
struct Text {
    expression: String,
    zone: String,
    #[serde(default, skip_serializing_if = "is_usual")]
    dst: Dst,
    #[serde(default, skip_serializing_if = "is_usual")]
    seed: u64,
}

/// The same where they have none: all of it.
type Places<'a> = (&'a str, &'a str, Dst, u64);

fn is_usual<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

impl Cron {
    /// Parses an expression of five fields, six with seconds first, or a macro such as `@daily`; and the
    /// IANA name of a zone, where the empty name is UTC. The policy for changes of the clock is the
    /// default one, and `H` is drawn by zero until there is a seed.
    ///
    /// # Errors
    /// What is wrong and where, also if no date can ever match. Bounded in time, whatever the input.
    pub fn parse(expression: &str, zone: &str) -> Result<Self, BadSchedule> {
        // Whatever a seed chooses must match some day; the rarest choice stands for all.
        let rarest = expression::parse(expression, Choice::Rarest)?;
        let zone = Zone::find(zone)?;
        // From 1970 the search meets every kind of year there is.
        if !rarest.calendar.has_within(0, i64::MAX) {
            return Err(BadSchedule::NeverMatches);
        }
        let chosen = if rarest.uses_hash {
            expression::parse(expression, Choice::Seed(0))?
        } else {
            rarest
        };
        Ok(Self {
            parsed: Arc::new(Parsed {
                text: expression.trim().to_owned(),
                expression: chosen,
                zone,
            }),
            dst: Dst::default(),
            seed: 0,
        })
    }

    /// The same with this policy for changes of the clock.
    #[must_use]
    pub fn with_dst(self, dst: Dst) -> Self {
        Self { dst, ..self }
    }

    /// The same with `H` drawn by this seed, which comes from the timer's uid. Without an `H` nothing
    /// changes.
    #[must_use]
    pub fn seeded(self, seed: u64) -> Self {
        if !self.uses_hash() || seed == self.seed {
            return self;
        }
        let text = self.parsed.text.clone();
        let expression = expression::parse(&text, Choice::Seed(seed))
            .expect("what is right with one seed is right with all");
        let zone = self.parsed.zone.clone();
        let parsed = Arc::new(Parsed {
            text,
            expression,
            zone,
        });
        Self {
            parsed,
            seed,
            ..self
        }
    }

    /// Whether the expression has an `H`, so that [`Cron::seeded`] matters.
    #[must_use]
    pub fn uses_hash(&self) -> bool {
        self.parsed.expression.uses_hash
    }

    /// What happens when the clock is set.
    #[must_use]
    pub const fn dst(&self) -> Dst {
        self.dst
    }

    /// The expression as it was written.
    #[must_use]
    pub fn expression(&self) -> &str {
        &self.parsed.text
    }

    /// The IANA name of the zone.
    #[must_use]
    pub fn zone(&self) -> &str {
        self.parsed.zone.name()
    }

    pub(super) fn clock(&self) -> &Zone {
        &self.parsed.zone
    }

    pub(super) fn calendar(&self) -> &Calendar {
        &self.parsed.expression.calendar
    }

    pub(super) fn follows_elapsed_time(&self) -> bool {
        self.parsed.expression.follows == Follows::ElapsedTime
    }

    /// The policy that is acted by, which is not the user's for what follows elapsed time.
    pub(super) fn rule(&self) -> Dst {
        match self.parsed.expression.follows {
            Follows::FixedTimes => self.dst,
            Follows::ElapsedTime => Dst::ELAPSED,
        }
    }

    /// The first instant strictly after this one; the first of all is in 1970.
    pub(super) fn next_after(&self, after: WallTime) -> Option<WallTime> {
        let after = after.0.div_euclid(1000).max(-1);
        if after >= LAST {
            return None;
        }
        self.next_due(after).map(|seconds| WallTime(seconds * 1000))
    }

    /// The latest instant up to `until`, and how many there are from `from` to before it.
    pub(super) fn latest(&self, from: WallTime, until: WallTime) -> Option<Latest> {
        let until = until.0.div_euclid(1000).min(LAST);
        // The last second before `from`: what is after it is not before `from`.
        let from = from.0.saturating_sub(1).div_euclid(1000).max(-1);
        if until <= from {
            return None;
        }
        let latest = self.latest_due(until)?;
        let counted_from = from.max(latest - COUNTED);
        Some(Latest {
            nominal: WallTime(latest * 1000),
            skipped: self.count_due(counted_from, latest - 1),
            exact: counted_from == from,
        })
    }

    fn next_due(&self, after: i64) -> Option<i64> {
        let (mut from, until) = (after + 1, after + SEARCH);
        while from <= until {
            let stretch = self.clock().stretch_at(from);
            if from <= stretch.first && self.is_due_after_gap(&stretch) {
                return Some(stretch.first);
            }
            let (low, high) = self.readings_between(&stretch, from, until);
            if let Some(reading) = self.calendar().first_within(low, high) {
                return Some(reading - stretch.offset);
            }
            from = stretch.last + 1;
        }
        None
    }

    fn latest_due(&self, until: i64) -> Option<i64> {
        let (from, mut until) = (until - SEARCH, until);
        while from <= until {
            let stretch = self.clock().stretch_at(until);
            let (low, high) = self.readings_between(&stretch, from, until);
            if let Some(reading) = self.calendar().last_within(low, high) {
                return Some(reading - stretch.offset);
            }
            if self.is_due_after_gap(&stretch) {
                return Some(stretch.first);
            }
            until = stretch.first - 1;
        }
        None
    }

    /// Counts the instants after `after` up to `until`.
    fn count_due(&self, after: i64, until: i64) -> u64 {
        let (mut from, mut total) = (after + 1, 0);
        while from <= until {
            let stretch = self.clock().stretch_at(from);
            let (low, high) = self.readings_between(&stretch, from, until);
            total += self.calendar().count(low, high);
            if from <= stretch.first && self.is_due_after_gap(&stretch) {
                // It may be due then by itself as well, which is the same occurrence.
                let begin = stretch.first + stretch.offset;
                let is_counted = low == begin && self.calendar().has_within(begin, begin.min(high));
                total += u64::from(!is_counted);
            }
            from = stretch.last + 1;
        }
        total
    }

    /// Whether something is due at the first instant of a stretch because the gap before it left it out.
    pub(super) fn is_due_after_gap(&self, stretch: &Stretch) -> bool {
        let (low, high) = stretch.gap();
        self.rule().gap == Gap::Shift && self.calendar().has_within(low, high)
    }

    /// The readings of a stretch that count, of those from one instant to another.
    fn readings_between(&self, stretch: &Stretch, from: i64, until: i64) -> (i64, i64) {
        let (low, high) = stretch.readings();
        let (low, high) = match self.rule().overlap {
            Overlap::First => (low.max(stretch.highest_before() + 1), high),
            Overlap::Last => (low, high.min(stretch.lowest_after() - 1)),
            Overlap::Both => (low, high),
        };
        (
            low.max(from + stretch.offset),
            high.min(until + stretch.offset),
        )
    }
}

impl PartialEq for Cron {
    fn eq(&self, other: &Self) -> bool {
        let written = |cron: &Self| (cron.dst, cron.seed);
        self.expression() == other.expression()
            && self.zone() == other.zone()
            && written(self) == written(other)
    }
}

impl Eq for Cron {}

impl fmt::Debug for Cron {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Cron")
            .field(&self.expression())
            .field(&self.zone())
            .field(&self.dst)
            .field(&self.seed)
            .finish()
    }
}

impl Serialize for Cron {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let (expression, zone) = (self.expression(), self.zone());
        if !serializer.is_human_readable() {
            let places: Places<'_> = (expression, zone, self.dst, self.seed);
            return places.serialize(serializer);
        }
        let text = Text {
            expression: expression.to_owned(),
            zone: zone.to_owned(),
            dst: self.dst,
            seed: self.seed,
        };
        text.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Cron {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if !deserializer.is_human_readable() {
            let (expression, zone, dst, seed) = Places::deserialize(deserializer)?;
            return read(expression, zone, dst, seed);
        }
        let text = Text::deserialize(deserializer)?;
        read(&text.expression, &text.zone, text.dst, text.seed)
    }
}

fn read<E: serde::de::Error>(text: &str, zone: &str, dst: Dst, seed: u64) -> Result<Cron, E> {
    let cron = Cron::parse(text, zone).map_err(E::custom)?;
    Ok(cron.with_dst(dst).seeded(seed))
}
