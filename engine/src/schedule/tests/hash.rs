//! `H`: what a timer's own seed chooses, and that it can choose nothing that never comes.

use super::super::{Cron, Schedule};
use super::at;
use crate::record;
use crate::time::WallTime;
use jiff::Timestamp;
use jiff::tz::Offset;
use proptest::prelude::*;
use std::collections::BTreeSet;

fn seeded(expression: &str, seed: u64) -> Cron {
    let cron = Cron::parse(expression, "UTC").unwrap();
    assert!(cron.uses_hash());
    cron.seeded(seed)
}

/// The first `count` times of 2026 in UTC.
fn times(cron: &Cron, count: usize) -> Vec<jiff::civil::DateTime> {
    let schedule = Schedule::Cron(cron.clone());
    let from = at("2025-12-31T23:59:59Z");
    let times = std::iter::successors(schedule.next_after(from), |it| schedule.next_after(*it));
    times.take(count).map(civil).collect()
}

fn civil(time: WallTime) -> jiff::civil::DateTime {
    Offset::UTC.to_datetime(Timestamp::from_millisecond(time.0).unwrap())
}

#[test]
fn a_seed_chooses_the_same_at_all_times_and_in_all_versions() {
    let cron = seeded("H H(0-7) * * *", 7);
    let expected = times(&cron, 1)[0].time();
    for time in times(&cron, 40) {
        assert_eq!(time.time(), expected);
    }
    // What seed 7 has chosen since there is an `H`; timers would move if it chose otherwise.
    assert_eq!(expected, jiff::civil::time(3, 23, 0, 0));
}

#[test]
fn seeds_are_spread_over_every_value_and_no_other() {
    let chosen = |expression: &str, of: fn(jiff::civil::DateTime) -> i8| -> BTreeSet<i8> {
        let seeds = 0..2000;
        seeds
            .map(|seed| of(times(&seeded(expression, seed), 1)[0]))
            .collect()
    };
    assert_eq!(chosen("H * * * *", |it| it.minute()), (0..60).collect());
    assert_eq!(chosen("H H * * *", |it| it.hour()), (0..24).collect());
    assert_eq!(
        chosen("H(10-19) * * * *", |it| it.minute()),
        (10..20).collect()
    );
    assert_eq!(chosen("0 0 H * *", |it| it.day()), (1..=28).collect());
    assert_eq!(chosen("0 0 1 H *", |it| it.month()), (1..=12).collect());
    assert_eq!(
        chosen("0 0 1 H(OCT-DEC) *", |it| it.month()),
        (10..=12).collect()
    );
    assert_eq!(
        chosen("0 0 * * H", |it| it.weekday().to_sunday_zero_offset()),
        (0..7).collect()
    );
    assert_eq!(
        chosen("0 0 * * H(SAT-SUN)", |it| it
            .weekday()
            .to_sunday_zero_offset()),
        [0, 6].into()
    );
    assert_eq!(chosen("H 0 0 * * *", |it| it.second()), (0..60).collect());
}

#[test]
fn a_step_begins_where_the_seed_says() {
    for seed in 0..50 {
        let minutes: Vec<_> = times(&seeded("H/15 * * * *", seed), 4)
            .into_iter()
            .map(jiff::civil::DateTime::minute)
            .collect();
        let first = minutes[0];
        assert!(first < 15);
        assert_eq!(minutes, [first, first + 15, first + 30, first + 45]);
        let minutes: Vec<_> = times(&seeded("H(0-29)/10 * * * *", seed), 3)
            .into_iter()
            .map(jiff::civil::DateTime::minute)
            .collect();
        let first = minutes[0];
        assert!(first < 10);
        assert_eq!(minutes, [first, first + 10, first + 20]);
    }
}

#[test]
fn fields_and_items_choose_apart() {
    let differ = (0..100).filter(|seed| {
        let time = times(&seeded("H H * * * *", *seed), 1)[0];
        time.second() != time.minute()
    });
    assert!(differ.count() > 90);
    let two = (0..100).filter(|seed| {
        let times = times(&seeded("H,H 0 * * *", *seed), 2);
        times[0].date() == times[1].date()
    });
    assert!(two.count() > 90);
}

#[test]
fn a_seed_is_part_of_what_is_written_only_where_it_matters() {
    let plain = Cron::parse("0 0 * * *", "UTC").unwrap();
    assert!(!plain.uses_hash());
    assert_eq!(plain.clone().seeded(9), plain);
    let hashed = Cron::parse("H 0 * * THU", "UTC").unwrap();
    assert_ne!(hashed.clone().seeded(9), hashed);
    assert_eq!(hashed.clone().seeded(9).seeded(0), hashed);
    let seeded = hashed.seeded(9);
    let written = serde_json::to_string(&seeded).unwrap();
    assert!(
        written.contains("\"H 0 * * THU\"") && written.contains("\"seed\":9"),
        "{written}"
    );
    let read: Cron = serde_json::from_str(&written).unwrap();
    assert_eq!((&read, times(&read, 5)), (&seeded, times(&seeded, 5)));
    let bytes = record::encode(&seeded);
    assert_eq!(record::decode::<Cron>(b"c", &bytes).unwrap(), seeded);
}

#[test]
fn names_of_days_are_no_hash() {
    for expression in ["0 0 * * THU", "0 0 * MAR *", "0 0 * * TUE-THU"] {
        assert!(
            !Cron::parse(expression, "UTC").unwrap().uses_hash(),
            "{expression}"
        );
    }
}

proptest! {
    #[test]
    fn what_is_accepted_matches_with_every_seed(
        low in 1..=31_u32,
        length in 0..31_u32,
        step in 1..6_u32,
        months in prop_oneof![
            Just("2".to_owned()), Just("H".to_owned()), Just("H/2".to_owned()), Just("H(2-4)".to_owned()),
            Just("H(4-6)/2".to_owned()), Just("*".to_owned()), Just("2,H(4-6)".to_owned()),
        ],
        seeds in proptest::collection::vec(any::<u64>(), 20),
    ) {
        let high = (low + length).min(31);
        let text = format!("0 0 H({low}-{high})/{step} {months} *");
        if let Ok(cron) = Cron::parse(&text, "UTC") {
            for seed in seeds {
                let schedule = Schedule::Cron(cron.clone().seeded(seed));
                prop_assert!(schedule.next_after(WallTime(0)).is_some(), "{} with {}", text, seed);
            }
        }
    }
}
