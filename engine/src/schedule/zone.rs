//! The clock on the wall of a zone: what it reads at an instant, and when it is set.
//!
//! Instants are seconds since 1970 in UTC; readings are seconds since 1970-01-01 00:00 *as the wall
//! shows it*. Zones come from the database in the binary, never from the machine's files, so that every
//! replica and every node computes the same times.
//!
//! ```text
//! reading                    set back: readings come twice      set forward: readings never come
//!    |        /   /                    .before.                          /
//!    |       /   /                                                     | gap
//!    |      / | /                                                     /
//!    +------------------> instant       two stretches, each with an offset of its own
//! ```

use super::BadSchedule;
use crate::time::WallTime;
use jiff::Timestamp;
use jiff::tz::{Offset, TimeZone, TimeZoneDatabase};

/// The instants of a zone that is never set again are before this: far beyond any calendar.
const FOREVER: i64 = i64::MAX / 4;

/// A zone and its name as the database writes it.
#[derive(Clone)]
pub(super) struct Zone {
    name: String,
    rules: TimeZone,
}

/// A time during which the clock runs on and is not set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stretch {
    /// The first instant.
    pub(super) first: i64,
    /// The last instant.
    pub(super) last: i64,
    /// What the clock is ahead of UTC meanwhile, in seconds.
    pub(super) offset: i64,
    /// What it was ahead just before; the same as `offset` if it was never set.
    pub(super) before: i64,
    /// What it will be ahead just after; the same as `offset` if it is never set.
    pub(super) after: i64,
}

impl Stretch {
    /// The readings from the first to the last, all of which are shown.
    pub(super) fn readings(&self) -> (i64, i64) {
        (self.first + self.offset, self.last + self.offset)
    }

    /// The highest reading that was shown just before.
    pub(super) fn highest_before(&self) -> i64 {
        self.first - 1 + self.before
    }

    /// The lowest reading that will be shown just after.
    pub(super) fn lowest_after(&self) -> i64 {
        self.last + 1 + self.after
    }

    /// The readings that are left out where it begins, from the first to the last; none if the first is
    /// above the last.
    pub(super) fn gap(&self) -> (i64, i64) {
        (self.highest_before() + 1, self.first + self.offset - 1)
    }
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

    pub(super) fn utc() -> Self {
        Self {
            name: "UTC".to_owned(),
            rules: TimeZone::UTC,
        }
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// The stretch that an instant is in.
    pub(super) fn stretch_at(&self, instant: i64) -> Stretch {
        let offset = self.offset_at(instant);
        // Not every entry of the database sets the clock: some only change what the time is called.
        let mut behind = self.rules.preceding(timestamp(instant + 1));
        let begin = behind.find_map(|change| {
            let second = change.timestamp().as_second();
            let before = self.offset_at(second - 1);
            (before != self.offset_at(second)).then_some((second, before))
        });
        let mut ahead = self.rules.following(timestamp(instant));
        let end = ahead.find(|change| i64::from(change.offset().seconds()) != offset);
        Stretch {
            first: begin.map_or(-FOREVER, |(second, _)| second),
            last: end
                .as_ref()
                .map_or(FOREVER, |change| change.timestamp().as_second() - 1),
            offset,
            before: begin.map_or(offset, |(_, before)| before),
            after: end.map_or(offset, |change| i64::from(change.offset().seconds())),
        }
    }

    /// What the clock is ahead of UTC at an instant, in seconds.
    fn offset_at(&self, instant: i64) -> i64 {
        i64::from(self.rules.to_offset(timestamp(instant)).seconds())
    }

    /// An instant with the local time, its offset and the zone, as RFC 9557 writes it.
    pub(super) fn write(&self, instant: WallTime) -> String {
        match Timestamp::from_millisecond(instant.0) {
            Ok(exact) => exact.to_zoned(self.rules.clone()).to_string(),
            Err(_) => instant.to_string(),
        }
    }
}

/// A reading as RFC 3339 writes a local time.
pub(super) fn write_reading(reading: i64) -> String {
    Offset::UTC.to_datetime(timestamp(reading)).to_string()
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
