//! The policies for changes of the clock, one by one, and what a preview says of them.

use super::super::{Cron, Dst, Gap, Overlap, Schedule, preview};
use super::at;
use crate::record;
use crate::time::{Millis, WallTime};

fn with(expression: &str, zone: &str, gap: Gap, overlap: Overlap) -> Schedule {
    let cron = Cron::parse(expression, zone).unwrap();
    Schedule::Cron(cron.with_dst(Dst { gap, overlap }))
}

/// Asserts the lines of a preview: the local time, and the note where there is one.
fn shows(schedule: &Schedule, after: &str, expected: &[(&str, &str)]) {
    let found = preview(schedule, at(after), expected.len());
    let found: Vec<_> = found
        .iter()
        .map(|it| {
            let note = it.note.as_ref().map(ToString::to_string);
            (it.local.as_str(), note.unwrap_or_default())
        })
        .collect();
    let found: Vec<_> = found.iter().map(|(a, b)| (*a, b.as_str())).collect();
    assert_eq!(found, expected);
}

const SPRING: &str = "2026-03-28T12:00:00Z";
const AUTUMN: &str = "2026-10-24T12:00:00Z";

#[test]
fn a_shifted_time_says_from_where() {
    let schedule = with("30 2 * * *", "Europe/Berlin", Gap::Shift, Overlap::First);
    let expected = [
        (
            "2026-03-29T03:00:00+02:00[Europe/Berlin]",
            "shifted from 2026-03-29T02:30:00, which the clock never shows",
        ),
        ("2026-03-30T02:30:00+02:00[Europe/Berlin]", ""),
    ];
    shows(&schedule, SPRING, &expected);
    let several = with(
        "*/10 0-29 2,3 * * *",
        "Europe/Berlin",
        Gap::Shift,
        Overlap::First,
    );
    let expected = [(
        "2026-03-29T03:00:00+02:00[Europe/Berlin]",
        "shifted from 2026-03-29T02:00:00 and 179 more of that gap, which the clock never shows",
    )];
    shows(&several, SPRING, &expected);
}

#[test]
fn a_skipped_time_is_told_by_the_next() {
    let schedule = with("30 2 * * *", "Europe/Berlin", Gap::Skip, Overlap::First);
    let expected = [
        (
            "2026-03-30T02:30:00+02:00[Europe/Berlin]",
            "before it 2026-03-29T02:30:00 was skipped: the clock never shows it",
        ),
        ("2026-03-31T02:30:00+02:00[Europe/Berlin]", ""),
    ];
    shows(&schedule, SPRING, &expected);
    // What follows elapsed time leaves out its hour whatever the policy.
    let elapsed = with("*/30 2 * * *", "Europe/Berlin", Gap::Shift, Overlap::First);
    let expected = [(
        "2026-03-30T02:00:00+02:00[Europe/Berlin]",
        "before it 2026-03-29T02:00:00 and 1 more of that gap was skipped: the clock never shows it",
    )];
    shows(&elapsed, SPRING, &expected);
    // And what is due in every hour misses nothing.
    let hourly = with("0 * * * *", "Europe/Berlin", Gap::Shift, Overlap::First);
    let expected = [
        ("2026-03-29T01:00:00+01:00[Europe/Berlin]", ""),
        ("2026-03-29T03:00:00+02:00[Europe/Berlin]", ""),
    ];
    shows(&hourly, "2026-03-28T23:30:00Z", &expected);
}

#[test]
fn the_copies_of_a_repeated_hour_are_told_apart() {
    let first = (
        "2026-10-25T02:30:00+02:00[Europe/Berlin]",
        "first copy of a repeated local time",
    );
    let second = (
        "2026-10-25T02:30:00+01:00[Europe/Berlin]",
        "second copy of a repeated local time",
    );
    let next = ("2026-10-26T02:30:00+01:00[Europe/Berlin]", "");
    let under = |overlap| with("30 2 * * *", "Europe/Berlin", Gap::Shift, overlap);
    shows(&under(Overlap::First), AUTUMN, &[first, next]);
    shows(&under(Overlap::Last), AUTUMN, &[second, next]);
    shows(&under(Overlap::Both), AUTUMN, &[first, second, next]);
    let elapsed = with("30 * * * *", "Europe/Berlin", Gap::Shift, Overlap::First);
    let after = ("2026-10-25T03:30:00+01:00[Europe/Berlin]", "");
    shows(&elapsed, "2026-10-25T00:00:00Z", &[first, second, after]);
}

#[test]
fn several_changes_are_told_in_order() {
    let schedule = with("30 2 * 3,10 7L", "Europe/Berlin", Gap::Skip, Overlap::Last);
    let expected = [(
        "2026-10-25T02:30:00+01:00[Europe/Berlin]",
        "before it 2026-03-29T02:30:00 was skipped: the clock never shows it; second copy of a repeated local time",
    )];
    shows(&schedule, "2026-03-01T00:00:00Z", &expected);
}

#[test]
fn a_day_that_was_left_out_can_be_skipped_too() {
    let under = |gap| with("0 12 30 12 *", "Pacific/Apia", gap, Overlap::First);
    let expected = [(
        "2011-12-31T00:00:00+14:00[Pacific/Apia]",
        "shifted from 2011-12-30T12:00:00, which the clock never shows",
    )];
    shows(&under(Gap::Shift), "2011-12-01T00:00:00Z", &expected);
    let expected = [(
        "2012-12-30T12:00:00+14:00[Pacific/Apia]",
        "before it 2011-12-30T12:00:00 was skipped: the clock never shows it",
    )];
    shows(&under(Gap::Skip), "2011-12-01T00:00:00Z", &expected);
}

#[test]
fn what_has_no_zone_is_shown_in_utc_without_notes() {
    let once = Schedule::At(at("2026-03-29T01:00:00.250Z"));
    shows(&once, SPRING, &[("2026-03-29T01:00:00.25+00:00[UTC]", "")]);
    assert_eq!(preview(&once, at(SPRING), 5).len(), 1, "there are no more");
    assert!(preview(&once, at("2027-01-01T00:00:00Z"), 5).is_empty());
    let every = super::every(90_000, 0);
    let expected = [
        ("2026-03-28T12:01:30+00:00[UTC]", ""),
        ("2026-03-28T12:03:00+00:00[UTC]", ""),
    ];
    shows(&every, SPRING, &expected);
    let edge = preview(&Schedule::At(WallTime(i64::MAX)), WallTime(0), 3);
    assert_eq!(edge[0].local, format!("{} ms", i64::MAX));
}

#[test]
fn a_time_that_a_policy_never_lets_come_is_refused_by_the_check() {
    let now = at("2026-01-01T00:00:00Z");
    let skipped = with("30 2 * 3 7L", "Europe/Berlin", Gap::Skip, Overlap::First);
    assert!(skipped.check(now).is_err());
    let shifted = with("30 2 * 3 7L", "Europe/Berlin", Gap::Shift, Overlap::First);
    assert_eq!(shifted.check(now), Ok(()));
}

#[test]
fn a_policy_is_part_of_what_is_written_unless_it_is_the_default() {
    let cron = Cron::parse("30 2 * * *", "UTC").unwrap();
    let plain = serde_json::to_string(&cron).unwrap();
    assert_eq!(plain, r#"{"expression":"30 2 * * *","zone":"UTC"}"#);
    let dst = Dst {
        gap: Gap::Skip,
        overlap: Overlap::Both,
    };
    let other = cron.clone().with_dst(dst);
    assert_ne!(other, cron);
    assert_eq!(other.dst(), dst);
    let text = serde_json::to_string(&other).unwrap();
    assert_eq!(
        serde_json::from_str::<Cron>(&text).unwrap(),
        other,
        "{text}"
    );
    let bytes = record::encode(&other);
    assert_eq!(record::decode::<Cron>(b"c", &bytes).unwrap(), other);
    assert_eq!(other.with_dst(Dst::default()), cron);
}

#[test]
fn a_rare_date_in_a_zone_with_many_changes_is_found_quickly() {
    // A search per stretch would look through the forty years a hundred times.
    let rare = with("0 0 * 2 5#5", "Africa/Casablanca", Gap::Skip, Overlap::Last);
    let mut from = at("2036-03-01T00:00:00Z");
    for _ in 0..300 {
        let next = rare.next_after(from).unwrap();
        assert_eq!(next, at("2064-02-29T00:00:00Z"));
        from = from + Millis(1);
    }
}

#[test]
fn the_database_of_zones_has_a_release() {
    let release = super::super::zone_database();
    assert!(release.len() >= 5 && release.starts_with("20"), "{release}");
}
