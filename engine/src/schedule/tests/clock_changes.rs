//! Vixie's rule where real zones set their clocks: each case derived from the zone's own rule.

use super::follow;

// Berlin 2026: CET is +1, CEST +2. On 29 March 02:00 becomes 03:00, on 25 October 03:00 becomes 02:00,
// both at 01:00Z.

#[test]
fn a_fixed_time_in_a_gap_is_due_when_the_gap_ends() {
    let expected = ["2026-03-29T01:00:00Z", "2026-03-30T00:30:00Z"];
    follow(
        "30 2 * * *",
        "Europe/Berlin",
        "2026-03-28T12:00:00Z",
        &expected,
    );
}

#[test]
fn fixed_times_that_meet_at_the_end_of_a_gap_are_one() {
    let berlin = |expression, expected: &[&str]| {
        follow(
            expression,
            "Europe/Berlin",
            "2026-03-28T12:00:00Z",
            expected,
        );
    };
    berlin(
        "0,30 2 * * *",
        &["2026-03-29T01:00:00Z", "2026-03-30T00:00:00Z"],
    );
    // 02:00 and 02:30 meet 03:00; 03:30 is on its own.
    berlin(
        "0,30 2,3 * * *",
        &["2026-03-29T01:00:00Z", "2026-03-29T01:30:00Z"],
    );
    // The seconds field does not make a timer follow elapsed time.
    berlin(
        "* 30 2 * * *",
        &["2026-03-29T01:00:00Z", "2026-03-30T00:30:00Z"],
    );
}

#[test]
fn a_fixed_time_in_a_repeated_hour_is_due_in_its_first_copy() {
    let expected = ["2026-10-25T00:30:00Z", "2026-10-26T01:30:00Z"];
    follow(
        "30 2 * * *",
        "Europe/Berlin",
        "2026-10-24T12:00:00Z",
        &expected,
    );
    // Also asked in the middle of the second copy.
    let expected = ["2026-10-26T01:30:00Z"];
    follow(
        "30 2 * * *",
        "Europe/Berlin",
        "2026-10-25T01:10:00Z",
        &expected,
    );
}

#[test]
fn a_list_of_fixed_hours_runs_once_per_reading_where_a_star_runs_once_per_hour() {
    let after = "2026-10-24T23:00:00Z";
    // 01:30 CEST, 02:30 CEST, 03:30 CET; the second 02:30 is left out.
    let fixed = [
        "2026-10-24T23:30:00Z",
        "2026-10-25T00:30:00Z",
        "2026-10-25T02:30:00Z",
    ];
    follow("30 0-23 * * *", "Europe/Berlin", after, &fixed);
    let elapsed = [
        "2026-10-24T23:30:00Z",
        "2026-10-25T00:30:00Z",
        "2026-10-25T01:30:00Z",
    ];
    follow("30 * * * *", "Europe/Berlin", after, &elapsed);
}

#[test]
fn elapsed_time_skips_a_gap_and_runs_in_both_copies() {
    let expected = ["2026-03-30T00:00:00Z", "2026-03-30T00:30:00Z"];
    follow(
        "*/30 2 * * *",
        "Europe/Berlin",
        "2026-03-28T12:00:00Z",
        &expected,
    );
    let expected = ["2026-03-29T00:30:00Z", "2026-03-29T01:30:00Z"];
    follow(
        "30 * * * *",
        "Europe/Berlin",
        "2026-03-29T00:00:00Z",
        &expected,
    );
    let expected = [
        "2026-10-25T00:00:00Z",
        "2026-10-25T00:30:00Z",
        "2026-10-25T01:00:00Z",
        "2026-10-25T01:30:00Z",
        "2026-10-26T01:00:00Z",
    ];
    follow(
        "*/30 2 * * *",
        "Europe/Berlin",
        "2026-10-24T12:00:00Z",
        &expected,
    );
}

#[test]
fn rules_go_on_where_the_table_of_the_zone_ends() {
    // The last Sunday of March 2050 is the 27th.
    let expected = ["2050-03-27T01:00:00Z", "2050-03-28T00:30:00Z"];
    follow(
        "30 2 * * *",
        "Europe/Berlin",
        "2050-03-26T12:00:00Z",
        &expected,
    );
}

// Lord Howe: +10:30, in summer +11. On 5 April 2026 02:00 becomes 01:30 at 15:00Z of the 4th, on
// 4 October 02:00 becomes 02:30 at 15:30Z of the 3rd.

#[test]
fn half_an_hour_is_set_too() {
    let zone = "Australia/Lord_Howe";
    let expected = ["2026-10-03T15:30:00Z", "2026-10-04T15:15:00Z"];
    follow("15 2 * * *", zone, "2026-10-03T00:00:00Z", &expected);
    let expected = ["2026-04-04T14:45:00Z", "2026-04-05T15:15:00Z"];
    follow("45 1 * * *", zone, "2026-04-04T00:00:00Z", &expected);
    let expected = [
        "2026-04-04T14:00:00Z",
        "2026-04-04T14:15:00Z",
        "2026-04-04T14:30:00Z",
        "2026-04-04T14:45:00Z",
        "2026-04-04T15:00:00Z",
        "2026-04-04T15:15:00Z",
        "2026-04-05T14:30:00Z",
    ];
    follow("*/15 1 * * *", zone, "2026-04-04T00:00:00Z", &expected);
}

// St. John's: -3:30, in summer -2:30. In 2026 02:00 becomes 03:00 on 8 March at 05:30Z, and 02:00
// becomes 01:00 on 1 November at 04:30Z. Until 2011 the hour of change was one minute past midnight.

#[test]
fn offsets_of_half_hours_are_followed() {
    let zone = "America/St_Johns";
    let expected = ["2026-03-08T05:30:00Z", "2026-03-09T05:00:00Z"];
    follow("30 2 * * *", zone, "2026-03-07T12:00:00Z", &expected);
    let expected = ["2026-11-01T04:00:00Z", "2026-11-02T05:00:00Z"];
    follow("30 1 * * *", zone, "2026-10-31T12:00:00Z", &expected);
}

#[test]
fn a_clock_set_back_over_midnight_repeats_no_day() {
    let zone = "America/St_Johns";
    // 7 November 2010, 00:01 (-2:30) becomes 6 November, 23:01 (-3:30), at 02:31Z.
    let expected = ["2010-11-07T02:00:00Z", "2010-11-08T03:00:00Z"];
    follow("30 23 * * *", zone, "2010-11-06T12:00:00Z", &expected);
    let expected = ["2010-11-07T02:30:00Z", "2010-11-08T03:30:00Z"];
    follow("0 0 * * *", zone, "2010-11-06T12:00:00Z", &expected);
    // 14 March 2010, 00:01 becomes 01:01, at 03:31Z.
    let expected = ["2010-03-14T03:31:00Z", "2010-03-15T03:00:00Z"];
    follow("30 0 * * *", zone, "2010-03-13T12:00:00Z", &expected);
}

// Casablanca: +1, in Ramadan +0. In 2026 03:00 becomes 02:00 on 15 February and 02:00 becomes 03:00 on
// 22 March, both at 02:00Z.

#[test]
fn ramadan_sets_the_clock_of_morocco() {
    let zone = "Africa/Casablanca";
    let expected = ["2026-02-15T01:30:00Z", "2026-02-16T02:30:00Z"];
    follow("30 2 * * *", zone, "2026-02-14T12:00:00Z", &expected);
    let expected = ["2026-03-22T02:00:00Z", "2026-03-23T01:30:00Z"];
    follow("30 2 * * *", zone, "2026-03-21T12:00:00Z", &expected);
}

// Dublin: the law calls winter the exception, with a negative saving. 01:00 becomes 02:00 on 29 March
// and 02:00 becomes 01:00 on 25 October 2026, both at 01:00Z.

#[test]
fn a_negative_saving_is_like_any_other() {
    let zone = "Europe/Dublin";
    let expected = ["2026-03-29T01:00:00Z", "2026-03-30T00:30:00Z"];
    follow("30 1 * * *", zone, "2026-03-28T12:00:00Z", &expected);
    let expected = ["2026-10-25T00:30:00Z", "2026-10-26T01:30:00Z"];
    follow("30 1 * * *", zone, "2026-10-24T12:00:00Z", &expected);
    let expected = ["2026-10-25T00:30:00Z", "2026-10-25T01:30:00Z"];
    follow("30 * * * *", zone, "2026-10-25T00:00:00Z", &expected);
}

// Apia left out 30 December 2011: at 10:00Z midnight of the 30th (-10) was midnight of the 31st (+14).

#[test]
fn a_day_that_was_left_out_is_one_long_gap() {
    let zone = "Pacific/Apia";
    let noons = [
        "2011-12-29T22:00:00Z",
        "2011-12-30T10:00:00Z",
        "2011-12-30T22:00:00Z",
    ];
    follow("0 12 * * *", zone, "2011-12-29T12:00:00Z", &noons);
    let midnights = [
        "2011-12-29T10:00:00Z",
        "2011-12-30T10:00:00Z",
        "2011-12-31T10:00:00Z",
    ];
    follow("0 0 * * *", zone, "2011-12-29T09:00:00Z", &midnights);
    let the_day_itself = ["2011-12-30T10:00:00Z", "2012-12-29T22:00:00Z"];
    follow(
        "0 12 30 12 *",
        zone,
        "2011-12-01T00:00:00Z",
        &the_day_itself,
    );
    let elapsed = [
        "2011-12-30T09:30:00Z",
        "2011-12-30T10:00:00Z",
        "2011-12-30T10:30:00Z",
    ];
    follow("*/30 * * * *", zone, "2011-12-30T09:00:00Z", &elapsed);
}

// Nuuk sets its clock with the rest of Europe: on Saturday 29 March 2025 23:00 (-2) becomes Sunday
// 00:00 (-1), at 01:00Z.

#[test]
fn a_gap_that_ends_on_another_day_is_due_all_the_same() {
    let expected = ["2025-03-30T01:00:00Z", "2025-04-06T00:30:00Z"];
    follow(
        "30 23 * * SAT",
        "America/Nuuk",
        "2025-03-29T12:00:00Z",
        &expected,
    );
}
