//! The clock on the wall of a zone: what it reads at an instant, and when it first reads something.
//!
//! Instants are seconds since 1970 in UTC; readings are seconds since 1970-01-01 00:00 *as the wall
//! shows it*. Zones come from the database in the binary, never from the machine's files, so that every
//! replica and every node computes the same times.
//!
//! ```text
//! reading                    set back: readings come twice      set forward: readings never come
//!    |        /   /                    .highest.                         /
//!    |       /   /                                                     | gap
//!    |      / | /                                                     /
//!    +------------------> instant
//! ```

use super::BadSchedule;
use jiff::Timestamp;
use jiff::tz::{AmbiguousOffset, Offset, TimeZone, TimeZoneDatabase};

/// A zone and its name as the database writes it.
#[derive(Clone)]
pub(super) struct Zone {
    name: String,
    rules: TimeZone,
}

impl Zone {
    /// Finds a zone by its IANA name, in any case; the empty name is UTC.
    pub(super) fn find(name: &str) -> Result<Self, BadSchedule> {
        let unknown = || BadSchedule::UnknownZone(name.chars().take(64).collect());
        let wanted = if name.is_empty() { "UTC" } else { name };
        let rules = TimeZoneDatabase::bundled()
            .get(wanted)
            .map_err(|_| unknown())?;
        if rules.is_unknown() {
            return Err(unknown());
        }
        let name = rules.iana_name().ok_or_else(unknown)?.to_owned();
        Ok(Self { name, rules })
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// What the clock is ahead of UTC at an instant, in seconds.
    pub(super) fn offset_at(&self, instant: i64) -> i64 {
        i64::from(self.rules.to_offset(timestamp(instant)).seconds())
    }

    /// The first instant after this one at which the clock may be set; `None` if never.
    pub(super) fn set_after(&self, instant: i64) -> Option<i64> {
        let mut changes = self.rules.following(timestamp(instant));
        changes.next().map(|change| change.timestamp().as_second())
    }

    /// The last instant, this one or before, at which the clock may have been set; `None` if never.
    pub(super) fn set_at_or_before(&self, instant: i64) -> Option<i64> {
        let mut changes = self.rules.preceding(timestamp(instant + 1));
        changes.next().map(|change| change.timestamp().as_second())
    }

    /// The highest reading that the clock has shown up to an instant: what it reads then, except in the
    /// second copy of a repeated hour, where it was higher just before it was set back.
    pub(super) fn highest_reading(&self, instant: i64) -> i64 {
        let offset = self.offset_at(instant);
        let reading = instant + offset;
        match self.offsets_of(reading) {
            AmbiguousOffset::Fold { after, .. } if i64::from(after.seconds()) == offset => {
                let set_back = self.set_at_or_before(instant).unwrap_or(instant);
                reading.max(set_back - 1 + self.offset_at(set_back - 1))
            }
            _ => reading,
        }
    }

    /// The first instant at which the clock reads this or more: the first copy of a repeated reading,
    /// the end of the gap for one that never comes. It never decreases as the reading grows.
    pub(super) fn first_instant_of(&self, reading: i64) -> i64 {
        match self.offsets_of(reading) {
            AmbiguousOffset::Unambiguous { offset } => reading - i64::from(offset.seconds()),
            AmbiguousOffset::Fold { before, .. } => reading - i64::from(before.seconds()),
            AmbiguousOffset::Gap { before, .. } => {
                let inside = reading - i64::from(before.seconds());
                self.set_at_or_before(inside).unwrap_or(inside)
            }
        }
    }

    fn offsets_of(&self, reading: i64) -> AmbiguousOffset {
        let shown = Offset::UTC.to_datetime(timestamp(reading));
        self.rules.to_ambiguous_timestamp(shown).offset()
    }
}

/// The calendar of jiff ends in the years -9999 and 9999; [`super::Cron`] stays far within.
pub(super) fn timestamp(seconds: i64) -> Timestamp {
    let edge = if seconds < 0 {
        Timestamp::MIN
    } else {
        Timestamp::MAX
    };
    Timestamp::from_second(seconds).unwrap_or(edge)
}
