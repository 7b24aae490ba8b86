//! When the demo's timers are due, by arithmetic of its own.
//!
//! The table at the end judges the system, so what was due is never asked of the system nor computed with its library:
//! a one-shot is its instant, an interval a grid, a line of a crontab five or six fields that every second of the
//! run is held against. The demo's two or three nights a year in which a clock changes are not thought of here.

use jiff::tz::TimeZone;
use jiff::{Timestamp, Zoned};

/// Milliseconds since 1970.
pub(super) type Millis = i64;

/// What a timer was registered with.
#[derive(Debug, Clone)]
pub(super) enum When {
    /// Once.
    At(Millis),
    /// At every multiple of `interval` since 1970 plus `phase`.
    Every { interval: Millis, phase: Millis },
    /// As a crontab says.
    Calendar(Box<Calendar>),
}

impl When {
    /// The nominal times after `from` and up to `until`.
    pub(super) fn times(&self, from: Millis, until: Millis) -> Vec<Millis> {
        let within = |time: &Millis| from < *time && *time <= until;
        match self {
            Self::At(at) => Some(*at).into_iter().filter(within).collect(),
            Self::Every { interval, phase } => {
                let first = (from - phase).div_euclid(*interval);
                let grid = (first..).map(|n| n * interval + phase);
                grid.take_while(|time| *time <= until)
                    .filter(within)
                    .collect()
            }
            Self::Calendar(calendar) => {
                let seconds = from.div_euclid(1000)..=until.div_euclid(1000);
                seconds
                    .filter(|second| calendar.matches(*second))
                    .map(|second| second * 1000)
                    .filter(within)
                    .collect()
            }
        }
    }
}

/// The fields of a crontab's line, and the zone of their clock.
#[derive(Debug, Clone)]
pub(super) struct Calendar {
    second: Field,
    minute: Field,
    hour: Field,
    day: Field,
    month: Field,
    weekday: Field,
    last_day: bool,
    zone: TimeZone,
}

impl Calendar {
    /// Reads an expression of five fields, six with seconds, or a macro. None if it or the zone has anything that is
    /// not known here; then the demo cannot judge the timer.
    pub(super) fn parse(expression: &str, zone: &str) -> Option<Self> {
        let spelled = match expression {
            "@hourly" => "0 * * * *",
            "@daily" | "@midnight" => "0 0 * * *",
            "@weekly" => "0 0 * * 0",
            "@monthly" => "0 0 1 * *",
            "@yearly" | "@annually" => "0 0 1 1 *",
            fields => fields,
        };
        let mut fields: Vec<&str> = spelled.split_whitespace().collect();
        if fields.len() == 5 {
            fields.insert(0, "0");
        }
        let [second, minute, hour, day, month, weekday] = fields[..] else {
            return None;
        };
        let last_day = day == "L";
        Some(Self {
            second: Field::parse(second, 0..=59, &[])?,
            minute: Field::parse(minute, 0..=59, &[])?,
            hour: Field::parse(hour, 0..=23, &[])?,
            day: Field::parse(if last_day { "1-31" } else { day }, 1..=31, &[])?,
            month: Field::parse(month, 1..=12, &MONTHS)?,
            weekday: Field::parse(weekday, 0..=7, &WEEKDAYS)?,
            last_day,
            zone: TimeZone::get(zone).ok()?,
        })
    }

    fn matches(&self, second: i64) -> bool {
        let Ok(instant) = Timestamp::from_second(second) else {
            return false;
        };
        let clock = instant.to_zoned(self.zone.clone());
        self.second.has(clock.second())
            && self.minute.has(clock.minute())
            && self.hour.has(clock.hour())
            && self.month.has(clock.month())
            && self.matches_day(&clock)
    }

    /// Day of the month and day of the week: either suffices if both are restricted.
    fn matches_day(&self, clock: &Zoned) -> bool {
        let sunday_first = clock.weekday().to_sunday_zero_offset();
        let weekday = self.weekday.has(sunday_first) || (sunday_first == 0 && self.weekday.has(7));
        let last = clock.day() == clock.days_in_month();
        let day = if self.last_day {
            last
        } else {
            self.day.has(clock.day())
        };
        let day_restricted = self.last_day || !self.day.is_star;
        match (day_restricted, !self.weekday.is_star) {
            (true, true) => day || weekday,
            (true, false) => day,
            (false, _) => weekday,
        }
    }
}

const MONTHS: [&str; 13] = [
    "", "JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC",
];
const WEEKDAYS: [&str; 7] = ["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"];

/// The values that one field allows, as a mask.
#[derive(Debug, Clone, Copy)]
struct Field {
    mask: u64,
    is_star: bool,
}

impl Field {
    fn parse(text: &str, range: std::ops::RangeInclusive<u32>, names: &[&str]) -> Option<Self> {
        let value = |text: &str| {
            let named = names
                .iter()
                .position(|name| !name.is_empty() && name.eq_ignore_ascii_case(text));
            let value = match named {
                Some(place) => u32::try_from(place).ok()?,
                None => text.parse().ok()?,
            };
            range.contains(&value).then_some(value)
        };
        let mut mask = 0;
        for part in text.split(',') {
            let (span, step) = match part.split_once('/') {
                Some((span, step)) => (span, step.parse().ok().filter(|step| *step > 0)?),
                None => (part, 1),
            };
            let (low, high) = match span.split_once('-') {
                Some((low, high)) => (value(low)?, value(high)?),
                None if span == "*" => (*range.start(), *range.end()),
                None if step == 1 => (value(span)?, value(span)?),
                None => (value(span)?, *range.end()),
            };
            for allowed in (low..=high).step_by(step) {
                mask |= 1 << allowed;
            }
        }
        let is_star = text.starts_with('*');
        Some(Self { mask, is_star })
    }

    fn has(self, value: i8) -> bool {
        self.mask & 1 << value != 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn calendar(expression: &str, zone: &str) -> When {
        let calendar = Calendar::parse(expression, zone).expect(expression);
        When::Calendar(Box::new(calendar))
    }

    fn millis(text: &str) -> Millis {
        text.parse::<Timestamp>().expect(text).as_millisecond()
    }

    fn times(when: &When, from: &str, until: &str) -> Vec<String> {
        let times = when.times(millis(from), millis(until)).into_iter();
        times
            .map(|time| {
                Timestamp::from_millisecond(time)
                    .expect("it is near")
                    .to_string()
            })
            .collect()
    }

    #[test]
    fn the_beginning_is_excluded_and_the_end_is_not() {
        assert_eq!(When::At(5).times(4, 5), [5]);
        assert!(When::At(5).times(5, 9).is_empty());
        let every = When::Every {
            interval: 10,
            phase: 3,
        };
        assert_eq!(every.times(3, 33), [13, 23, 33]);
        assert_eq!(every.times(2, 3), [3]);
        assert!(every.times(3, 12).is_empty());
    }

    #[test]
    fn five_fields_are_minutes_and_six_have_seconds() {
        let minute = calendar("*/5 * * * *", "UTC");
        assert_eq!(
            times(&minute, "2026-01-01T00:00:00Z", "2026-01-01T00:11:00Z"),
            ["2026-01-01T00:05:00Z", "2026-01-01T00:10:00Z"]
        );
        let second = calendar("*/3 * * * * *", "UTC");
        assert_eq!(
            times(&second, "2026-01-01T00:00:57Z", "2026-01-01T00:01:03Z"),
            ["2026-01-01T00:01:00Z", "2026-01-01T00:01:03Z"]
        );
    }

    #[test]
    fn fields_go_by_the_clock_of_their_zone() {
        let report = calendar("0 8-18/2 * * MON-FRI", "Europe/Berlin");
        // A Monday in winter: eight in Berlin is seven in UTC.
        assert_eq!(
            times(&report, "2026-01-05T06:59:50Z", "2026-01-05T07:00:10Z"),
            ["2026-01-05T07:00:00Z"]
        );
        let sunday = times(&report, "2026-01-04T06:59:50Z", "2026-01-04T07:00:10Z");
        assert!(sunday.is_empty());
    }

    #[test]
    fn the_last_day_and_sunday_are_known() {
        let last = calendar("15 7 L * *", "UTC");
        assert_eq!(
            times(&last, "2026-02-28T07:14:59Z", "2026-02-28T07:15:00Z").len(),
            1
        );
        assert!(times(&last, "2026-01-30T07:14:59Z", "2026-01-30T07:15:00Z").is_empty());
        for sunday in ["@weekly", "0 0 * * 7"] {
            let weekly = calendar(sunday, "UTC");
            assert_eq!(
                times(&weekly, "2026-01-03T23:59:59Z", "2026-01-04T00:00:01Z").len(),
                1
            );
        }
    }

    #[test]
    fn two_restricted_days_are_either() {
        let either = calendar("0 0 13 * FRI", "UTC");
        for day in ["2026-01-13", "2026-01-16"] {
            let from = format!("{day}T00:00:00Z");
            assert!(either.times(millis(&from) - 1, millis(&from)).len() == 1);
        }
    }

    #[test]
    fn what_is_not_known_here_is_not_guessed() {
        for unknown in ["@reboot", "0 0 * *", "H * * * *", "99 * * * *", "a b c d e"] {
            assert!(Calendar::parse(unknown, "UTC").is_none(), "{unknown}");
        }
        assert!(Calendar::parse("* * * * *", "Mars/Base").is_none());
    }
}
