//! The days and the times of day that a cron expression names, on a calendar without any zone.
//!
//! Readings are seconds since 1970-01-01 00:00 of a clock that is never set. A search is bounded, runs
//! both ways, and counts without visiting every occurrence.

use super::days::Days;
use super::zone::timestamp;
use jiff::civil::Date;
use jiff::tz::Offset;

/// Seconds of a day.
const DAY: i64 = 86_400;

/// How far a search goes: every kind of year has come within 41 years, also around 2100.
const SEARCH_DAYS: i64 = 41 * 366;

/// What an expression names.
pub(super) struct Calendar {
    /// Bit n stands for the value n, in all three.
    seconds: u64,
    minutes: u64,
    hours: u64,
    days: Days,
}

impl Calendar {
    /// Seconds, minutes and hours as sets of values, and the days.
    pub(super) fn new([seconds, minutes, hours]: [u64; 3], days: Days) -> Self {
        Self {
            seconds,
            minutes,
            hours,
            days,
        }
    }

    /// Whether no hour of a matching day is left out.
    pub(super) fn has_every_hour(&self) -> bool {
        self.hours.count_ones() == 24
    }

    /// Whether any reading from `low` to `high`, both included, matches.
    pub(super) fn has_within(&self, low: i64, high: i64) -> bool {
        self.first_within(low, high).is_some()
    }

    /// The first matching reading from `low` to `high`, both included, and within 41 years.
    pub(super) fn first_within(&self, low: i64, high: i64) -> Option<i64> {
        if low > high {
            return None;
        }
        let mut day = Day::of(low);
        let mut time = low.rem_euclid(DAY);
        let last = high.div_euclid(DAY).min(day.number + SEARCH_DAYS);
        while day.number <= last {
            if self.days.has(day.date)
                && let Some(found) = self.first_time_from(time)
            {
                return Some(day.number * DAY + found).filter(|found| *found <= high);
            }
            day = if self.days.has_month(day.date) {
                day.next()?
            } else {
                day.first_of_next_month()?
            };
            time = 0;
        }
        None
    }

    /// The last matching reading from `low` to `high`, both included, and within 41 years.
    pub(super) fn last_within(&self, low: i64, high: i64) -> Option<i64> {
        if low > high {
            return None;
        }
        let mut day = Day::of(high);
        let mut time = high.rem_euclid(DAY);
        let first = low.div_euclid(DAY).max(day.number - SEARCH_DAYS);
        while day.number >= first {
            if self.days.has(day.date)
                && let Some(found) = self.last_time_until(time)
            {
                return Some(day.number * DAY + found).filter(|found| *found >= low);
            }
            day = if self.days.has_month(day.date) {
                day.previous()?
            } else {
                day.last_of_previous_month()?
            };
            time = DAY - 1;
        }
        None
    }

    /// How many readings from `first` to `last`, both included, match. Costs a step per day.
    pub(super) fn count(&self, first: i64, last: i64) -> u64 {
        if first > last {
            return 0;
        }
        let (end, mut day) = (last.div_euclid(DAY), Day::of(first));
        let (mut total, mut before) = (0, self.times_before(first.rem_euclid(DAY)));
        loop {
            let upto = if day.number == end {
                last.rem_euclid(DAY) + 1
            } else {
                DAY
            };
            if self.days.has(day.date) {
                total += self.times_before(upto) - before;
            }
            before = 0;
            match day.next() {
                Some(next) if next.number <= end => day = next,
                _ => return total,
            }
        }
    }

    /// The first time of day that matches, from this one on.
    fn first_time_from(&self, time: i64) -> Option<i64> {
        let (hour, minute, second) = clock(time);
        if has(self.hours, hour) {
            if has(self.minutes, minute)
                && let Some(second) = lowest(self.seconds, second)
            {
                return Some(time_of(hour, minute, second));
            }
            if let Some(minute) = lowest(self.minutes, minute + 1) {
                return Some(time_of(hour, minute, lowest(self.seconds, 0)?));
            }
        }
        let hour = lowest(self.hours, hour + 1)?;
        Some(time_of(
            hour,
            lowest(self.minutes, 0)?,
            lowest(self.seconds, 0)?,
        ))
    }

    /// The last time of day that matches, up to this one.
    fn last_time_until(&self, time: i64) -> Option<i64> {
        let (hour, minute, second) = clock(time);
        if has(self.hours, hour) {
            if has(self.minutes, minute)
                && let Some(second) = highest_below(self.seconds, second + 1)
            {
                return Some(time_of(hour, minute, second));
            }
            if let Some(minute) = highest_below(self.minutes, minute) {
                return Some(time_of(hour, minute, highest_below(self.seconds, 60)?));
            }
        }
        let hour = highest_below(self.hours, hour)?;
        let minute = highest_below(self.minutes, 60)?;
        Some(time_of(hour, minute, highest_below(self.seconds, 60)?))
    }

    /// How many matching times of day come before this one, which may be the end of the day.
    fn times_before(&self, time: i64) -> u64 {
        let (hour, minute, second) = clock(time);
        let per_minute = u64::from(self.seconds.count_ones());
        let per_hour = u64::from(self.minutes.count_ones()) * per_minute;
        let mut total = count_below(self.hours, hour) * per_hour;
        if has(self.hours, hour) {
            total += count_below(self.minutes, minute) * per_minute;
            if has(self.minutes, minute) {
                total += count_below(self.seconds, second);
            }
        }
        total
    }
}

/// A day by its number since 1970-01-01 and by its date, which are kept in step.
#[derive(Clone, Copy)]
struct Day {
    number: i64,
    date: Date,
}

impl Day {
    fn of(reading: i64) -> Self {
        Self {
            number: reading.div_euclid(DAY),
            date: Offset::UTC.to_datetime(timestamp(reading)).date(),
        }
    }

    fn next(self) -> Option<Self> {
        let date = self.date.tomorrow().ok()?;
        Some(Self {
            number: self.number + 1,
            date,
        })
    }

    fn previous(self) -> Option<Self> {
        let date = self.date.yesterday().ok()?;
        Some(Self {
            number: self.number - 1,
            date,
        })
    }

    fn first_of_next_month(self) -> Option<Self> {
        let ahead = i64::from(self.date.days_in_month() - self.date.day());
        let last = Self {
            number: self.number + ahead,
            date: self.date.last_of_month(),
        };
        last.next()
    }

    fn last_of_previous_month(self) -> Option<Self> {
        let first = Self {
            number: self.number - i64::from(self.date.day() - 1),
            date: self.date.first_of_month(),
        };
        first.previous()
    }
}

fn clock(time: i64) -> (u32, u32, u32) {
    let time = u32::try_from(time).expect("a time of day is from 0 to 86,400 s");
    (time / 3600, time / 60 % 60, time % 60)
}

fn time_of(hour: u32, minute: u32, second: u32) -> i64 {
    i64::from(hour * 3600 + minute * 60 + second)
}

fn has(set: u64, value: u32) -> bool {
    set >> value & 1 == 1
}

/// The lowest member of the set that is not below `from`, which is at most 60.
fn lowest(set: u64, from: u32) -> Option<u32> {
    let rest = set >> from;
    (rest != 0).then(|| from + rest.trailing_zeros())
}

/// The highest member of the set below `end`, which is at most 60.
fn highest_below(set: u64, end: u32) -> Option<u32> {
    let rest = set & ((1 << end) - 1);
    (rest != 0).then(|| rest.ilog2())
}

fn count_below(set: u64, end: u32) -> u64 {
    u64::from((set & ((1 << end) - 1)).count_ones())
}
