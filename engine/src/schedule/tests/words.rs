//! What expressions mean, and how precisely the wrong ones are refused.

use super::super::{BadSchedule, Cron};
use super::{cron, follow};

const NEW_YEAR: &str = "2025-12-31T23:59:59.999Z";

#[test]
fn seconds_come_first_where_there_are_six_fields() {
    follow(
        "*/20 * * * * *",
        "UTC",
        NEW_YEAR,
        &["2026-01-01T00:00:00Z", "2026-01-01T00:00:20Z"],
    );
    follow(
        "15 30 6 * * *",
        "UTC",
        NEW_YEAR,
        &["2026-01-01T06:30:15Z", "2026-01-02T06:30:15Z"],
    );
}

#[test]
fn names_lists_ranges_and_steps_are_read() {
    // 1 January 2026 is a Thursday.
    follow(
        "0 9-17/4 * jan,Mar FRI-sun",
        "UTC",
        NEW_YEAR,
        &[
            "2026-01-02T09:00:00Z",
            "2026-01-02T13:00:00Z",
            "2026-01-02T17:00:00Z",
            "2026-01-03T09:00:00Z",
        ],
    );
    follow(
        "0 0 * * SUN",
        "UTC",
        NEW_YEAR,
        &["2026-01-04T00:00:00Z", "2026-01-11T00:00:00Z"],
    );
    follow(
        "0 0 * * 7",
        "UTC",
        NEW_YEAR,
        &["2026-01-04T00:00:00Z", "2026-01-11T00:00:00Z"],
    );
}

#[test]
fn macros_stand_for_their_fields() {
    for (name, fields) in [
        ("@yearly", "0 0 1 1 *"),
        ("@annually", "0 0 1 1 *"),
        ("@monthly", "0 0 1 * *"),
        ("@weekly", "0 0 * * SUN"),
        ("@daily", "0 0 * * *"),
        ("@midnight", "0 0 * * *"),
        ("@Hourly", "0 * * * *"),
    ] {
        let now = super::at("2026-03-20T10:11:12Z");
        let expected = cron(fields, "Europe/Berlin").next_after(now);
        assert_eq!(
            cron(name, "Europe/Berlin").next_after(now),
            expected,
            "{name}"
        );
    }
}

#[test]
fn days_combine_by_or_unless_one_of_them_begins_with_a_star() {
    // The 13th of January 2026 is a Tuesday; the Fridays are the 2nd, 9th, 16th.
    follow(
        "0 0 13 * 5",
        "UTC",
        NEW_YEAR,
        &[
            "2026-01-02T00:00:00Z",
            "2026-01-09T00:00:00Z",
            "2026-01-13T00:00:00Z",
            "2026-01-16T00:00:00Z",
        ],
    );
    // `*/2` begins with a star: odd days that are Mondays as well. January has the 5th, 12th, 19th, 26th.
    follow(
        "0 0 */2 * 1",
        "UTC",
        NEW_YEAR,
        &[
            "2026-01-05T00:00:00Z",
            "2026-01-19T00:00:00Z",
            "2026-02-09T00:00:00Z",
        ],
    );
    follow(
        "0 0 ? * 1",
        "UTC",
        NEW_YEAR,
        &["2026-01-05T00:00:00Z", "2026-01-12T00:00:00Z"],
    );
    follow(
        "0 0 31 * ?",
        "UTC",
        NEW_YEAR,
        &["2026-01-31T00:00:00Z", "2026-03-31T00:00:00Z"],
    );
}

#[test]
fn marks_for_the_last_the_nearest_and_the_nth_day_are_read() {
    follow(
        "0 0 L * *",
        "UTC",
        NEW_YEAR,
        &["2026-01-31T00:00:00Z", "2026-02-28T00:00:00Z"],
    );
    // The 31st of January 2026 is a Saturday, the 15th of February a Sunday.
    follow("0 0 LW 1 *", "UTC", NEW_YEAR, &["2026-01-30T00:00:00Z"]);
    follow("0 0 15w 2 *", "UTC", NEW_YEAR, &["2026-02-16T00:00:00Z"]);
    // Within the month: the 1st of February is a Sunday, the 1st of August a Saturday, the 31st of May a Sunday.
    let within = ["2026-02-02T00:00:00Z", "2026-08-03T00:00:00Z"];
    follow("0 0 1W 2,8 *", "UTC", NEW_YEAR, &within);
    follow("0 0 31W 5 *", "UTC", NEW_YEAR, &["2026-05-29T00:00:00Z"]);
    follow(
        "0 0 L-3 * *",
        "UTC",
        NEW_YEAR,
        &["2026-01-28T00:00:00Z", "2026-02-25T00:00:00Z"],
    );
    follow(
        "0 0 L-1,L,LW 5 *",
        "UTC",
        NEW_YEAR,
        &[
            "2026-05-29T00:00:00Z",
            "2026-05-30T00:00:00Z",
            "2026-05-31T00:00:00Z",
        ],
    );
    follow(
        "0 0 * * 5#2",
        "UTC",
        NEW_YEAR,
        &["2026-01-09T00:00:00Z", "2026-02-13T00:00:00Z"],
    );
    follow(
        "0 0 * * friL",
        "UTC",
        NEW_YEAR,
        &["2026-01-30T00:00:00Z", "2026-02-27T00:00:00Z"],
    );
    follow(
        "0 0 * * SUN#1",
        "UTC",
        NEW_YEAR,
        &["2026-01-04T00:00:00Z", "2026-02-01T00:00:00Z"],
    );
}

/// Asserts that an expression is refused at the character under the caret.
fn refused_at(expression: &str, caret: &str) {
    match Cron::parse(expression, "UTC") {
        Ok(_) => panic!("{expression:?} was accepted"),
        Err(refusal) => assert_eq!(
            refusal.offset(),
            caret.find('^'),
            "{expression:?}: {refusal}"
        ),
    }
}

#[test]
fn a_refusal_names_the_character() {
    for (expression, caret) in [
        ("60 * * * *", "^"),
        ("0 24 * * *", "  ^"),
        ("0 0 0 * *", "    ^"),
        ("0 0 32 * *", "    ^"),
        ("0 0 1 13 *", "      ^"),
        ("0 0 1 1 8", "        ^"),
        ("  0  25 * * *", "     ^"),
        ("0\t24 * * *", "  ^"),
        ("1,2,x * * * *", "    ^"),
        ("1,,2 * * * *", "  ^"),
        ("1,* * * * *", "  ^"),
        (", * * * *", "^"),
        ("5-1 * * * *", "^"),
        ("1- * * * *", "  ^"),
        ("1-2-3 * * * *", "   ^"),
        ("1-70 * * * *", "  ^"),
        ("-1 * * * *", "^"),
        ("+1 * * * *", "^"),
        ("5/10 * * * *", "^"),
        ("/10 * * * *", "^"),
        ("*/0 * * * *", "  ^"),
        ("*/61 * * * *", "  ^"),
        ("*/99999999999999999999 * * * *", "  ^"),
        ("*/+5 * * * *", "  ^"),
        ("*/ * * * *", "  ^"),
        ("*/5/5 * * * *", "  ^"),
        ("0 */25 * * *", "    ^"),
        ("0 0 * * */8", "          ^"),
        ("0 0 * * 1-5/9", "            ^"),
        ("MON * * * *", "^"),
        ("0 0 1 JANFEB *", "      ^"),
        ("0 0 1 FOO *", "      ^"),
        ("0 0 1 * MOND", "        ^"),
        ("0 0 15W3 * *", "    ^"),
        ("0 0 W * *", "    ^"),
        ("0 0 L-0 * *", "      ^"),
        ("0 0 L-31 * *", "      ^"),
        ("0 0 L- * *", "      ^"),
        ("0 0 L-3W * *", "      ^"),
        ("0 0 L3 * *", "    ^"),
        ("0 0 1-LW * *", "     ^"),
        ("0 L * * *", "  ^"),
    ] {
        refused_at(expression, caret);
    }
}

#[test]
fn a_refusal_of_a_hash_or_a_day_names_the_character_too() {
    for (expression, caret) in [
        ("H5 * * * *", " ^"),
        ("0 h( * * *", "   ^"),
        ("0 H(0-30) * * *", "      ^"),
        ("0 H(5) * * *", "    ^"),
        ("0 H(9-5) * * *", "    ^"),
        ("0 H(0-5)x * * *", "        ^"),
        ("0 H(0-5)/7 * * *", "         ^"),
        ("0 H/25 * * *", "    ^"),
        ("0 H/0 * * *", "    ^"),
        ("1,H/x * * * *", "    ^"),
        ("0 0 H(0-5) * *", "      ^"),
        ("0 0 * * L", "        ^"),
        ("0 0 * * 1#6", "          ^"),
        ("0 0 * * 1#", "          ^"),
        ("0 0 * * #1", "        ^"),
        ("0 0 * * 1-5L", "           ^"),
        ("? * * * *", "^"),
        ("0 0 * * é", "        ^"),
        ("1é, * * * *", " ^"),
        ("0 0 * * 1\u{202e}", "         ^"),
        ("0 0 * * *\n", "        ^"),
        ("@reboot", "^"),
        ("@every", "^"),
        ("@fortnightly", "^"),
    ] {
        refused_at(expression, caret);
    }
}

#[test]
fn a_wrong_number_of_fields_is_counted() {
    for (expression, count) in [
        ("", 0),
        ("   ", 0),
        ("* * * *", 4),
        ("* * * * * * *", 7),
        ("@every 5m", 2),
    ] {
        let refusal = Cron::parse(expression, "UTC").unwrap_err();
        assert_eq!(refusal, BadSchedule::FieldCount(count), "{expression:?}");
    }
}

#[test]
fn long_input_is_refused_unread() {
    let long = "1,".repeat(512) + "1 * * * *";
    assert_eq!(
        Cron::parse(&long, "UTC").unwrap_err(),
        BadSchedule::TooLong(long.len())
    );
    let longest = format!("{}1 * * * *", "1,".repeat(507));
    assert!(Cron::parse(&longest, "UTC").is_ok());
}

#[test]
fn a_step_of_the_whole_field_is_allowed() {
    for expression in [
        "*/60 * * * *",
        "0 */24 * * *",
        "0 0 */31 * *",
        "0 0 1 */12 *",
        "0 0 * * */7",
    ] {
        assert!(Cron::parse(expression, "UTC").is_ok(), "{expression}");
    }
}

#[test]
fn dates_that_do_not_exist_are_refused_at_once() {
    for expression in [
        "0 0 30 2 *",
        "0 0 31 2,4,6,9,11 *",
        "0 0 30W 2 *",
        "* * * 30 2 */7",
        "0 0 H(1-30) 2 *",
        "0 0 L-30 4 *",
        "0 0 31 H *",
    ] {
        let refusal = Cron::parse(expression, "UTC").unwrap_err();
        assert_eq!(refusal, BadSchedule::NeverMatches, "{expression}");
    }
    // Every choice of these exists.
    for expression in [
        "0 0 H(1-29) 2 *",
        "0 0 H H *",
        "0 0 H(1-30) H(4-12) *",
        "0 0 31 H/6 *",
    ] {
        assert!(Cron::parse(expression, "UTC").is_ok(), "{expression}");
    }
    // Restricted days of the week come to the rescue.
    assert!(Cron::parse("0 0 30 2 1", "UTC").is_ok());
}

#[test]
fn only_names_of_the_bundled_database_are_zones() {
    let zones = [
        "Mars/Phobos",
        "localtime",
        "CET-1CEST",
        "+02:00",
        "../etc/passwd",
        "Etc/Unknown",
        " ",
        "UTC\0",
    ];
    for zone in zones {
        let refusal = Cron::parse("0 0 * * *", zone).unwrap_err();
        assert_eq!(refusal, BadSchedule::UnknownZone(zone.to_owned()));
        assert!(!refusal.to_string().contains('\0'));
    }
    let zone = |name| Cron::parse("0 0 * * *", name).unwrap().zone().to_owned();
    assert_eq!(zone(""), "UTC");
    assert_eq!(zone("asia/KOLKATA"), "Asia/Kolkata");
}

#[test]
fn the_expression_is_kept_as_written() {
    let cron = Cron::parse(" 0  9-17/4 * Jan  fri ", "UTC").unwrap();
    assert_eq!(cron.expression(), "0  9-17/4 * Jan  fri");
}
