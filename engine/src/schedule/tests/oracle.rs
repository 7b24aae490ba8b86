//! Random expressions in real zones against an oracle that looks at every minute.
//!
//! The oracle shares no search with the code: it walks the minutes of a window around a clock change,
//! asks jiff what the wall shows, and croner whether that matches.

use super::super::{Cron, Dst, Gap, Latest, Overlap, Schedule};
use crate::time::WallTime;
use jiff::tz::{TimeZone, TimeZoneDatabase};
use jiff::{Timestamp, ToSpan, civil};
use proptest::prelude::*;
use std::collections::BTreeMap;

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

/// How much more than its window the oracle sees on either side, in minutes, so that what a clock shows
/// twice is seen twice.
const MARGIN: i64 = 180;

/// Looks at every minute.
struct Oracle {
    pattern: croner::Cron,
    elapsed: bool,
    rules: TimeZone,
    /// What croner has said, which takes its time.
    said: BTreeMap<civil::DateTime, bool>,
}

impl Oracle {
    fn new(text: &str, zone: &str) -> Self {
        let mut fields = text.split(' ');
        Self {
            pattern: text.parse().unwrap(),
            elapsed: fields.by_ref().take(2).any(|field| field.starts_with('*')),
            rules: TimeZoneDatabase::bundled().get(zone).unwrap(),
            said: BTreeMap::new(),
        }
    }

    fn shows(&mut self, shown: civil::DateTime) -> bool {
        let ask = || self.pattern.is_time_matching(&shown).unwrap();
        *self.said.entry(shown).or_insert_with(ask)
    }

    /// Every instant after `from`, up to `minutes` later, that vixie's rule with this policy names.
    fn look(&mut self, dst: Dst, from: WallTime, minutes: i64) -> Vec<WallTime> {
        let instant = |minute| WallTime(from.0 + minute * MINUTE);
        let readings: Vec<_> = (-MARGIN..=minutes + MARGIN)
            .map(|minute| {
                let instant = Timestamp::from_millisecond(instant(minute).0).unwrap();
                self.rules.to_datetime(instant)
            })
            .collect();
        let mut times_to_come = BTreeMap::new();
        for shown in &readings {
            *times_to_come.entry(*shown).or_insert(0) += 1;
        }
        let (mut highest, mut found) = (readings[0], vec![]);
        for (minute, now) in (-MARGIN..).zip(&readings) {
            let left = times_to_come.get_mut(now).unwrap();
            *left -= 1;
            let counts = match dst.overlap {
                Overlap::First => *now > highest,
                Overlap::Last => *left == 0,
                Overlap::Both => true,
            };
            let in_window = (1..=minutes).contains(&minute);
            let mut due = in_window && (self.elapsed || counts) && self.shows(*now);
            while highest < *now {
                highest = highest.checked_add(1.minute()).unwrap();
                // What was passed over.
                let in_gap = in_window && highest < *now;
                due |= in_gap && !self.elapsed && dst.gap == Gap::Shift && self.shows(highest);
            }
            if due {
                found.push(instant(minute));
            }
        }
        found
    }
}

fn policy() -> impl Strategy<Value = Dst> {
    proptest::sample::select(&POLICIES[..])
}

/// Every policy there is.
const POLICIES: [Dst; 6] = {
    const fn of(gap: Gap, overlap: Overlap) -> Dst {
        Dst { gap, overlap }
    }
    [
        of(Gap::Shift, Overlap::First),
        of(Gap::Shift, Overlap::Last),
        of(Gap::Shift, Overlap::Both),
        of(Gap::Skip, Overlap::First),
        of(Gap::Skip, Overlap::Last),
        of(Gap::Skip, Overlap::Both),
    ]
};

fn with(text: &str, zone: &str, dst: Dst) -> Schedule {
    Schedule::Cron(Cron::parse(text, zone).unwrap().with_dst(dst))
}

/// Every instant of these years at which the clock of a zone is set.
fn changes(zone: &str, years: std::ops::Range<i16>) -> Vec<WallTime> {
    let rules = TimeZoneDatabase::bundled().get(zone).unwrap();
    let day = |year| {
        let date = civil::date(year, 1, 1).to_zoned(TimeZone::UTC).unwrap();
        date.timestamp()
    };
    let (from, until) = (day(years.start), day(years.end));
    let changes = rules
        .following(from)
        .map(|it| it.timestamp().as_millisecond());
    let changes = changes.take_while(|change| *change < until.as_millisecond());
    changes.map(WallTime).collect()
}

/// Zones that are hard in ways of their own: half an hour, half hours, twice in a year, a negative
/// saving, a whole day.
const HARD: [&str; 5] = [
    "Australia/Lord_Howe",
    "America/St_Johns",
    "Africa/Casablanca",
    "Europe/Dublin",
    "Pacific/Apia",
];

#[test]
fn every_policy_holds_at_every_change_of_the_hard_zones() {
    let expressions = [
        "30 2 * * *",
        "0,30 0-3 * * *",
        "0-59/7 0-23 * * *",
        "*/20 1-3 * * *",
        "15 * * * *",
        "0 12 30 * *",
    ];
    for zone in HARD {
        let changes = changes(zone, 1970..2038);
        assert!(changes.len() > 20, "{zone} sets its clock");
        let mut oracles = expressions.map(|text| (text, Oracle::new(text, zone)));
        for (n, change) in changes.into_iter().enumerate() {
            let (text, oracle) = &mut oracles[n % expressions.len()];
            for dst in POLICIES {
                let from = WallTime((change.0.div_euclid(MINUTE) - 360) * MINUTE);
                let expected = oracle.look(dst, from, 720);
                let until = WallTime(from.0 + 720 * MINUTE);
                let found = times_after(&with(text, zone, dst), from, until);
                assert_eq!(
                    found, expected,
                    "{text} in {zone} at {change} under {dst:?}"
                );
            }
        }
    }
}

#[test]
fn no_local_time_is_due_twice_but_under_both() {
    for zone in ZONES {
        for dst in POLICIES
            .into_iter()
            .filter(|it| it.overlap != Overlap::Both)
        {
            let rules = TimeZoneDatabase::bundled().get(zone).unwrap();
            let schedule = with("0,30 0-23 * * *", zone, dst);
            let mut last: Option<(WallTime, civil::DateTime)> = None;
            for change in changes(zone, 2000..2030) {
                let from = WallTime(change.0 - 600 * MINUTE);
                for time in times_after(&schedule, from, WallTime(change.0 + 600 * MINUTE)) {
                    let instant = Timestamp::from_millisecond(time.0).unwrap();
                    let shown = rules.to_datetime(instant);
                    if let Some((earlier, before)) = last {
                        assert!(time > earlier && shown != before, "{zone} {dst:?} {shown}");
                        // The last copies of an hour come in order, too, after the first ones.
                        assert!(shown > before, "{zone} {dst:?} {shown} after {before}");
                    }
                    last = Some((time, shown));
                }
            }
        }
    }
}

#[test]
fn clocks_are_set_far_apart_so_that_two_changes_never_mix() {
    // What `Stretch` relies on: it looks at the changes right before and right after, at no others.
    let mut zones = 0;
    for name in TimeZoneDatabase::bundled().available() {
        let rules = TimeZoneDatabase::bundled().get(name.as_str()).unwrap();
        let offset = |instant: i64| {
            rules
                .to_offset(super::super::zone::timestamp(instant))
                .seconds()
        };
        let mut last: Option<(i64, i64)> = None;
        for change in changes(name.as_str(), 1970..2060) {
            let instant = change.0.div_euclid(1000);
            let by = i64::from(offset(instant) - offset(instant - 1)).abs();
            if by == 0 {
                continue;
            }
            if let Some((before, by_before)) = last {
                assert!(
                    instant - before > 2 * (by + by_before),
                    "{} at {change}",
                    name.as_str()
                );
            }
            last = Some((instant, by));
        }
        zones += 1;
    }
    assert!(zones > 400);
}

#[test]
fn ten_years_of_absence_are_counted_right_under_every_policy() {
    let texts = [
        "30 2 * * *",
        "0,30 1,2 * * *",
        "*/15 2 * * *",
        "30 1 * 3,4,10,11 7",
    ];
    for zone in HARD {
        for (text, dst) in texts
            .iter()
            .flat_map(|text| POLICIES.map(|dst| (text, dst)))
        {
            let schedule = with(text, zone, dst);
            let from = schedule
                .next_after(super::at("2009-03-01T00:00:00Z"))
                .unwrap();
            let until = super::at("2019-03-01T12:34:56Z");
            let steps = times_after(&schedule, from, until);
            let latest = schedule.latest_at_or_before(from, until);
            let expected = Latest {
                nominal: *steps.last().unwrap(),
                skipped: steps.len() as u64,
                exact: true,
            };
            assert_eq!(latest, expected, "{text} in {zone} under {dst:?}");
            assert!(schedule.next_after(latest.nominal).unwrap() > until);
        }
    }
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
        dst in policy(),
    ) {
        let schedule = with(&text, zone, dst);
        let minutes = 3 * 1440;
        let expected = Oracle::new(&text, zone).look(dst, from, minutes);
        let until = WallTime(from.0 + minutes * MINUTE);
        prop_assert_eq!(times_after(&schedule, from, until), expected);
    }

    #[test]
    fn the_latest_and_its_count_agree_with_stepping_there(
        text in expression(),
        (zone, change, start) in start(),
        until in prop_oneof![-180..180_i64, 0..8 * 1440_i64],
        milliseconds in 0..MINUTE,
        dst in policy(),
    ) {
        let schedule = with(&text, zone, dst);
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
        dst in policy(),
    ) {
        let schedule = with(&format!("{seconds} {text}"), zone, dst);
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
    fn no_text_panics_the_parser(text in "[-*/,?#@()0-9LWHA-Za-z \\PC]{0,40}", zone in "\\PC{0,20}") {
        // Most are refused; what is accepted has a next time or says that it never comes.
        if let Ok(cron) = Cron::parse(&text, &zone) {
            let now = WallTime(1_767_225_600_000);
            let schedule = Schedule::Cron(cron);
            prop_assert_eq!(schedule.next_after(now).is_none(), schedule.check(now) == Err(super::BadSchedule::NeverMatches));
        }
    }
}
