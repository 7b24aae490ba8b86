//! What schedules promise, with the clock changes of real zones and against a slow oracle.
//!
//! Expected instants are derived by hand from the rules of the zones, which the comments repeat.

mod clock_changes;
mod hash;
mod oracle;
mod policies;
mod words;

use super::{BadSchedule, Cron, HORIZON, Latest, Schedule};
use crate::record;
use crate::time::{Millis, WallTime};

fn cron(expression: &str, zone: &str) -> Schedule {
    match Cron::parse(expression, zone) {
        Ok(cron) => Schedule::Cron(cron),
        Err(refusal) => panic!("{expression:?} in {zone:?}: {refusal}"),
    }
}

fn at(text: &str) -> WallTime {
    let instant: jiff::Timestamp = text.parse().expect("the test writes an instant");
    WallTime(instant.as_millisecond())
}

/// Asserts which instants follow `after`, in order.
fn follow(expression: &str, zone: &str, after: &str, expected: &[&str]) {
    let schedule = cron(expression, zone);
    let mut from = at(after);
    let mut found = vec![];
    for _ in expected {
        from = schedule.next_after(from).expect("there is always a next");
        found.push(from.to_string());
    }
    let expected: Vec<_> = expected.iter().map(|text| at(text).to_string()).collect();
    assert_eq!(found, expected, "{expression} in {zone}");
}

fn every(interval: u64, phase: i64) -> Schedule {
    Schedule::Every {
        interval: Millis(interval),
        phase: WallTime(phase),
    }
}

#[test]
fn a_one_shot_is_due_once() {
    let schedule = Schedule::At(WallTime(500));
    assert_eq!(schedule.next_after(WallTime(499)), Some(WallTime(500)));
    assert_eq!(schedule.next_after(WallTime(500)), None);
    assert!(!schedule.is_recurring());
    assert_eq!(schedule.period_after(WallTime(500)), None);
    let latest = schedule.latest_at_or_before(WallTime(500), WallTime(i64::MAX));
    assert_eq!((latest.nominal, latest.skipped), (WallTime(500), 0));
}

#[test]
fn an_interval_keeps_its_phase_before_and_after_it() {
    let schedule = every(300, 1_000);
    assert_eq!(schedule.next_after(WallTime(1_000)), Some(WallTime(1_300)));
    assert_eq!(schedule.next_after(WallTime(1_299)), Some(WallTime(1_300)));
    assert_eq!(schedule.next_after(WallTime(0)), Some(WallTime(100)));
    assert_eq!(schedule.next_after(WallTime(-700)), Some(WallTime(-500)));
    assert_eq!(schedule.period_after(WallTime(1_000)), Some(Millis(300)));
    assert!(schedule.is_recurring());
}

#[test]
fn the_latest_of_an_interval_counts_what_it_passes_over() {
    let schedule = every(300, 1_000);
    let latest = |from, until| schedule.latest_at_or_before(WallTime(from), WallTime(until));
    let expect = |nominal, skipped| Latest {
        nominal: WallTime(nominal),
        skipped,
        exact: true,
    };
    assert_eq!(latest(1_300, 1_300), expect(1_300, 0));
    assert_eq!(latest(1_300, 1_599), expect(1_300, 0));
    assert_eq!(latest(1_300, 1_600), expect(1_600, 1));
    assert_eq!(latest(1_300, 2_300), expect(2_200, 3));
    assert_eq!(
        latest(1_300, 0),
        expect(1_300, 0),
        "a clock that was set back"
    );
}

#[test]
fn extreme_instants_neither_overflow_nor_hang() {
    let edges = [i64::MIN, i64::MIN + 1, -1, 0, 1, i64::MAX - 1, i64::MAX];
    let schedules = [
        Schedule::At(WallTime(i64::MAX)),
        every(0, 0),
        every(100, i64::MIN),
        every(u64::MAX, i64::MAX),
        cron("* * * * * *", "Europe/Berlin"),
        cron("30 2 29 2 *", "America/New_York"),
    ];
    for schedule in &schedules {
        for a in edges {
            let next = schedule.next_after(WallTime(a));
            assert!(
                next.is_none_or(|next| next > WallTime(a)),
                "{schedule:?} after {a}"
            );
            for b in edges {
                let latest = schedule.latest_at_or_before(WallTime(a), WallTime(b));
                assert!(
                    latest.nominal >= WallTime(a),
                    "{schedule:?} from {a} until {b}"
                );
            }
        }
    }
}

#[test]
fn limits_are_checked_against_the_present() {
    let now = at("2026-01-01T00:00:00Z");
    let far = now + HORIZON + Millis(1);
    assert_eq!(Schedule::At(now + HORIZON).check(now), Ok(()));
    assert_eq!(
        Schedule::At(far).check(now),
        Err(BadSchedule::OutOfHorizon(far))
    );
    assert!(BadSchedule::OutOfHorizon(far).is_out_of_horizon());
    assert_eq!(
        Schedule::At(WallTime(0)).check(now),
        Ok(()),
        "late is allowed"
    );
    let early = WallTime(-1);
    assert_eq!(
        Schedule::At(early).check(now),
        Err(BadSchedule::BeforeEpoch(early))
    );
    assert_eq!(every(100, 0).check(now), Ok(()));
    for short in [0, 99] {
        let refusal = BadSchedule::IntervalTooShort(Millis(short));
        assert_eq!(every(short, 0).check(now), Err(refusal));
    }
    assert_eq!(every(HORIZON.0, 0).check(now), Ok(()));
    let long = Millis(HORIZON.0 + 1);
    assert_eq!(
        every(long.0, 0).check(now),
        Err(BadSchedule::IntervalTooLong(long))
    );
    assert_eq!(cron("0 0 29 2 *", "UTC").check(now), Ok(()));
}

#[test]
fn a_date_that_is_rare_is_found_but_may_be_beyond_the_horizon() {
    // A leap year whose February begins on a Friday has five of them: 2008, 2036, 2064.
    let rare = cron("0 0 * 2 5#5", "UTC");
    let now = at("2025-06-01T00:00:00Z");
    let first = at("2036-02-29T00:00:00Z");
    assert_eq!(rare.next_after(now), Some(first));
    assert_eq!(rare.check(now), Err(BadSchedule::OutOfHorizon(first)));
    assert_eq!(rare.check(at("2026-06-01T00:00:00Z")), Ok(()));
    assert_eq!(rare.next_after(first), Some(at("2064-02-29T00:00:00Z")));
}

#[test]
fn a_time_that_the_clock_of_the_zone_never_shows_is_refused_by_the_check() {
    // On the last Sunday of March 02:00 to 03:00 does not exist in Berlin, and `*` asks for it alone.
    let schedule = cron("* 2 * 3 7L", "Europe/Berlin");
    let now = at("2026-01-01T00:00:00Z");
    assert_eq!(schedule.next_after(now), None);
    assert_eq!(schedule.check(now), Err(BadSchedule::NeverMatches));
    assert_eq!(cron("* 2 * 3 7L", "UTC").check(now), Ok(()));
}

#[test]
fn ten_years_of_missed_seconds_cost_no_loop_per_second() {
    // A loop over the third of a billion missed occurrences, 200 times over, would not end today.
    let (from, until) = (at("2025-01-01T00:00:00Z"), at("2035-01-01T00:00:00Z"));
    let seconds = u64::try_from((until.0 - from.0) / 1000).unwrap();
    for zone in [
        "UTC",
        "Europe/Berlin",
        "Africa/Casablanca",
        "Australia/Lord_Howe",
    ] {
        let each_second = cron("* * * * * *", zone);
        for _ in 0..50 {
            let latest = each_second.latest_at_or_before(from, until);
            assert_eq!(latest.nominal, until);
            assert_eq!((latest.skipped, latest.exact), (seconds, true), "{zone}");
        }
    }
    // As fixed times, the ten repeated hours do not count.
    let each_reading = cron("0-59 0-59 0-23 * * *", "Europe/Berlin");
    let latest = each_reading.latest_at_or_before(from, until);
    assert_eq!((latest.nominal, latest.skipped), (until, seconds - 36_000));
}

#[test]
fn a_window_too_long_to_count_says_so() {
    let schedule = cron("0 0 1 * *", "UTC");
    let (from, until) = (at("1971-01-01T00:00:00Z"), at("2026-01-15T00:00:00Z"));
    let latest = schedule.latest_at_or_before(from, until);
    assert_eq!(latest.nominal, at("2026-01-01T00:00:00Z"));
    assert!(!latest.exact && latest.skipped >= 120, "{latest:?}");
}

#[test]
fn a_schedule_is_written_as_text_and_parsed_when_read() {
    let schedule = cron("30 2 * * MON", "europe/berlin");
    let written = serde_json::to_value(&schedule).unwrap();
    let expected =
        serde_json::json!({"Cron": {"expression": "30 2 * * MON", "zone": "Europe/Berlin"}});
    assert_eq!(written, expected);
    assert_eq!(
        serde_json::from_value::<Schedule>(written).unwrap(),
        schedule
    );
    let bytes = record::encode(&schedule);
    assert_eq!(record::decode::<Schedule>(b"s", &bytes).unwrap(), schedule);
    let damaged = serde_json::json!({"Cron": {"expression": "30 2 * *", "zone": "UTC"}});
    assert!(serde_json::from_value::<Schedule>(damaged).is_err());
}

#[test]
fn equal_means_the_same_expression_in_the_same_zone() {
    assert_eq!(cron("0 0 * * *", "UTC"), cron(" 0 0 * * * ", "utc"));
    assert_ne!(cron("0 0 * * *", "UTC"), cron("0 0 * * *", "Europe/Berlin"));
    assert_ne!(cron("0 0 * * *", "UTC"), cron("0 1 * * *", "UTC"));
}
