//! Random expressions in real zones against an oracle that looks at every minute.
//!
//! The oracle shares no search with the code: it walks the minutes of a window around a clock change,
//! asks jiff what the wall shows, and croner whether that matches.

use super::super::{Cron, Latest, Schedule};
use crate::time::WallTime;
use jiff::tz::{TimeZone, TimeZoneDatabase};
use jiff::{Timestamp, ToSpan, civil};
use proptest::prelude::*;

const ZONES: &[&str] = &[
    "UTC",
    "Europe/Berlin",
    "Europe/Dublin",
    "America/New_York",
    "America/St_Johns",
    "America/Sao_Paulo",
    "America/Havana",
    "America/Nuuk",
    "Africa/Casablanca",
    "Africa/Cairo",
    "Asia/Kathmandu",
    "Asia/Beirut",
    "Australia/Lord_Howe",
    "Pacific/Apia",
    "Pacific/Chatham",
    "Antarctica/Troll",
];

const MINUTE: i64 = 60_000;

fn field(low: u32, high: u32) -> impl Strategy<Value = String> {
    let value = low..=high;
    prop_oneof![
        3 => Just("*".to_owned()),
        2 => (2..=high).prop_map(|step| format!("*/{step}")),
        3 => value.clone().prop_map(|value| value.to_string()),
        2 => (value.clone(), value.clone())
            .prop_map(|(a, b)| format!("{}-{}", a.min(b), a.max(b))),
        2 => proptest::collection::vec(value, 2..5)
            .prop_map(|list| list.iter().map(u32::to_string).collect::<Vec<_>>().join(",")),
    ]
}

/// Days that croner and vixie read alike: no step after a star.
fn day() -> impl Strategy<Value = String> {
    prop_oneof![4 => Just("*".to_owned()), 1 => Just("L".to_owned()), 2 => (1..=28_u32).prop_map(|d| format!("{d}-31"))]
}

fn weekday() -> impl Strategy<Value = String> {
    prop_oneof![4 => Just("*".to_owned()), 2 => (0..=6_u32).prop_map(|d| d.to_string()), 1 => Just("SUN".to_owned())]
}

fn expression() -> impl Strategy<Value = String> {
    let any = (field(0, 59), field(0, 23), day(), weekday())
        .prop_map(|(minute, hour, day, weekday)| format!("{minute} {hour} {day} * {weekday}"));
    // Fixed times in every hour, so that the hour of a change is always among them.
    let hourly = (1..20_u32).prop_map(|step| format!("0-59/{step} 0-23 * * *"));
    prop_oneof![3 => any, 1 => hourly]
}

/// A zone, a change of its clock if it has any, and an instant from two days before to three hours after.
fn start() -> impl Strategy<Value = (&'static str, WallTime, WallTime)> {
    let years = 2005_i16..2060;
    let minutes = prop_oneof![-2880..180_i64, -180..180_i64];
    (proptest::sample::select(ZONES), years, 1..=12_i8, minutes).prop_map(
        |(zone, year, month, minutes)| {
            let rules = TimeZoneDatabase::bundled().get(zone).unwrap();
            let date = civil::date(year, month, 1).to_zoned(TimeZone::UTC).unwrap();
            let change = rules.following(date.timestamp()).next();
            let near = change.map_or(date.timestamp(), |change| change.timestamp());
            let minute = near.as_millisecond().div_euclid(MINUTE);
            let change = WallTime(minute * MINUTE);
            (zone, change, WallTime((minute + minutes) * MINUTE))
        },
    )
}

/// Every instant after `from`, up to `minutes` later, that vixie's rule names.
fn look_at_every_minute(text: &str, zone: &str, from: WallTime, minutes: i64) -> Vec<WallTime> {
    let pattern: croner::Cron = text.parse().unwrap();
    let rules = TimeZoneDatabase::bundled().get(zone).unwrap();
    let reading = |ms| rules.to_datetime(Timestamp::from_millisecond(ms).unwrap());
    let shows = |shown: civil::DateTime| pattern.is_time_matching(&shown).unwrap();
    let mut fields = text.split(' ');
    let elapsed = fields.by_ref().take(2).any(|field| field.starts_with('*'));
    // Two days back, so that the highest reading is known where the window begins in a repeated hour.
    let mut highest = reading(from.0 - 2880 * MINUTE);
    let mut found = vec![];
    for minute in -2879..=minutes {
        let instant = from.0 + minute * MINUTE;
        let now = reading(instant);
        let mut due = elapsed && shows(now);
        while highest < now {
            highest = highest.checked_add(1.minute()).unwrap();
            due |= !elapsed && shows(highest);
        }
        if due && minute > 0 {
            found.push(WallTime(instant));
        }
    }
    found
}

fn times_after(schedule: &Schedule, from: WallTime, until: WallTime) -> Vec<WallTime> {
    std::iter::successors(schedule.next_after(from), |time| schedule.next_after(*time))
        .take_while(|time| *time <= until)
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn the_search_finds_what_looking_at_every_minute_finds(
        text in expression(),
        (zone, _, from) in start(),
    ) {
        let schedule = Schedule::Cron(Cron::parse(&text, zone).unwrap());
        let minutes = 4 * 1440;
        let expected = look_at_every_minute(&text, zone, from, minutes);
        let until = WallTime(from.0 + minutes * MINUTE);
        prop_assert_eq!(times_after(&schedule, from, until), expected);
    }

    #[test]
    fn the_latest_and_its_count_agree_with_stepping_there(
        text in expression(),
        (zone, change, start) in start(),
        until in prop_oneof![-180..180_i64, 0..8 * 1440_i64],
        milliseconds in 0..MINUTE,
    ) {
        let schedule = Schedule::Cron(Cron::parse(&text, zone).unwrap());
        let from = schedule.next_after(start).unwrap();
        let until = WallTime(change.0 + until * MINUTE + milliseconds).max(from);
        let steps = times_after(&schedule, from, until);
        let expected = Latest {
            nominal: steps.last().copied().unwrap_or(from),
            skipped: steps.len() as u64,
            exact: true,
        };
        prop_assert_eq!(schedule.latest_at_or_before(from, until), expected);
    }

    #[test]
    fn the_next_time_is_later_and_grows_from_any_millisecond(
        seconds in field(0, 59),
        text in expression(),
        zone in proptest::sample::select(ZONES),
        start in 0..4_102_444_800_000_i64,
    ) {
        let schedule = Schedule::Cron(Cron::parse(&format!("{seconds} {text}"), zone).unwrap());
        let mut last = WallTime(start);
        let first = schedule.next_after(last).unwrap();
        for _ in 0..50 {
            let next = schedule.next_after(last).unwrap();
            prop_assert!(next > last);
            prop_assert!(next.0 % 1000 == 0);
            // Nothing lies between: asked from just before, the answer is the same.
            prop_assert_eq!(schedule.next_after(WallTime(next.0 - 1)), Some(next));
            last = next;
        }
        prop_assert_eq!(schedule.next_after(WallTime(first.0 - 1)), Some(first));
    }

    #[test]
    fn an_interval_agrees_with_stepping_there(
        interval in 100..100_000_u64,
        phase in -1_000_000..1_000_000_i64,
        start in -1_000_000..1_000_000_i64,
        window in 0..5_000_000_i64,
    ) {
        let schedule = super::every(interval, phase);
        let from = schedule.next_after(WallTime(start)).unwrap();
        prop_assert!(from > WallTime(start) && (from.0 - phase) % interval.cast_signed() == 0);
        let until = WallTime(from.0 + window);
        let steps = times_after(&schedule, from, until);
        let latest = schedule.latest_at_or_before(from, until);
        prop_assert_eq!(latest.skipped, steps.len() as u64);
        prop_assert_eq!(latest.nominal, steps.last().copied().unwrap_or(from));
    }

    #[test]
    fn no_text_panics_the_parser(text in "[-*/,?#@0-9LWHA-Za-z \\PC]{0,40}", zone in "\\PC{0,20}") {
        // Most are refused; what is accepted has a next time or says that it never comes.
        if let Ok(cron) = Cron::parse(&text, &zone) {
            let now = WallTime(1_767_225_600_000);
            let schedule = Schedule::Cron(cron);
            prop_assert_eq!(schedule.next_after(now).is_none(), schedule.check(now) == Err(super::BadSchedule::NeverMatches));
        }
    }
}
