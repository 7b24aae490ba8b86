//! Jobs of Dapr, and the timers that they become.

use super::*;
use std::time::{Duration, SystemTime};

fn now() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000)
}

fn found(text: &str) -> Found {
    let settings = Settings {
        handler: None,
        zone: "UTC",
        now: now(),
    };
    read(text.as_bytes(), &settings)
}

fn fixture(name: &str) -> Found {
    let path = format!("{}/tests/fixtures/dapr/{name}", env!("CARGO_MANIFEST_DIR"));
    found(&std::fs::read_to_string(path).expect("the fixture is there"))
}

fn timer(text: &str) -> wire::Timer {
    let mut found = found(text);
    assert!(found.problems.is_empty(), "{text}: {:?}", found.problems);
    assert_eq!(found.entries.len(), 1, "{text}: {:?}", found.notes);
    found.entries.remove(0).timer
}

fn kind(timer: &wire::Timer) -> wire::schedule::Kind {
    timer.schedule.clone().unwrap().kind.unwrap()
}

fn seconds(length: Option<prost_types::Duration>) -> Option<i64> {
    length.map(|it| it.seconds)
}

fn instant(time: Option<prost_types::Timestamp>) -> Option<i64> {
    time.map(|it| it.seconds)
}

#[test]
fn schedules_are_intervals_or_crons_of_six_fields() {
    for (schedule, length) in [
        ("@every 1m", 60),
        ("@every 1h30m", 5_400),
        ("2h45m", 9_900),
        ("PT15M", 900),
    ] {
        let timer = timer(&format!("{{name: a, schedule: '{schedule}'}}"));
        let wire::schedule::Kind::Every(every) = kind(&timer) else {
            panic!("{schedule}: {timer:?}");
        };
        assert_eq!((seconds(every.interval), every.phase), (Some(length), None));
    }
    for (schedule, expression, zone) in [
        ("0 30 * * * *", "0 30 * * * *", "UTC"),
        ("@daily", "@daily", "UTC"),
        (
            "CRON_TZ=Asia/Tokyo 0 15 3 * * *",
            "0 15 3 * * *",
            "Asia/Tokyo",
        ),
    ] {
        let timer = timer(&format!("{{name: a, schedule: '{schedule}'}}"));
        let cron = wire::Cron {
            expression: expression.into(),
            zone: zone.into(),
        };
        assert_eq!(kind(&timer), wire::schedule::Kind::Cron(cron));
    }
}

#[test]
fn a_due_time_is_the_time_or_where_the_schedule_begins() {
    let once = timer("{name: a, dueTime: '2035-01-01T00:00:00Z', ttl: '2036-01-01T00:00:00Z'}");
    assert!(matches!(kind(&once), wire::schedule::Kind::At(at) if at.seconds == 2_051_222_400));
    assert_eq!(instant(once.expire_time), Some(2_082_758_400));
    assert_eq!(once.end_time, None);

    let wait = timer("{name: a, dueTime: 30s}");
    assert!(matches!(kind(&wait), wire::schedule::Kind::After(wait) if wait.seconds == 30));

    let later = timer("{name: a, dueTime: 90s, schedule: '@every 1h', ttl: 10h, repeats: 4}");
    assert_eq!(instant(later.start_time), Some(1_800_000_090));
    assert_eq!(instant(later.end_time), Some(1_800_036_000));
    assert_eq!(later.max_occurrences, 4);
    let wire::schedule::Kind::Every(every) = kind(&later) else {
        panic!("{later:?}");
    };
    assert_eq!(
        seconds(every.phase),
        Some(1_800_000_090 % 3_600),
        "the first is when it is due"
    );
}

#[test]
fn failure_policies_are_retries() {
    let of = |policy: &str| {
        let retry = timer(&format!("{{name: a, schedule: '@daily'{policy}}}"))
            .retry
            .unwrap();
        (
            retry.max_attempts,
            seconds(retry.backoff_min),
            seconds(retry.backoff_max),
        )
    };
    for (policy, expected) in [
        ("", (4, Some(1), Some(1))),
        (", failurePolicy: {drop: {}}", (1, Some(1), Some(1))),
        (
            ", failurePolicy: {constant: {interval: 10s, maxRetries: 3}}",
            (4, Some(10), Some(10)),
        ),
        (
            ", failure_policy: {constant: {interval: 2m, max_retries: 0}}",
            (1, Some(120), Some(120)),
        ),
        (
            ", failurePolicy: {type: constant, interval: 5s, maxRetries: 1}",
            (2, Some(5), Some(5)),
        ),
        (", failurePolicy: {constant: {}}", (100, Some(0), Some(0))),
    ] {
        assert_eq!(of(policy), expected, "{policy}");
    }
}

#[test]
fn the_list_of_the_scheduler_is_read_with_what_was_triggered_already() {
    let found = fixture("list.json");
    assert!(found.problems.is_empty(), "{:?}", found.problems);
    let [close, poll] = found.entries.as_slice() else {
        panic!("{:?}", found.entries);
    };
    assert_eq!(close.what, "job billing/close-month");
    assert_eq!(close.timer_id, "billing.close-month");
    let target = close.timer.target.clone().unwrap().kind.unwrap();
    assert!(
        matches!(&target, wire::target::Kind::Handler(it) if it.name == "close-month"),
        "a job's handler has its name: {target:?}"
    );
    assert_eq!(close.timer.labels["dapr.app"], "billing");
    assert!(close.notes.iter().any(|note| note.text.contains("data")));
    assert!(
        close
            .notes
            .iter()
            .any(|note| note.text.contains("failure policy"))
    );

    assert_eq!(poll.timer.max_occurrences, 100_000_000 - 34_000);
    assert_eq!(instant(poll.timer.end_time), Some(2_082_758_400));
    let wire::schedule::Kind::Every(every) = kind(&poll.timer) else {
        panic!("{poll:?}");
    };
    assert_eq!(
        seconds(every.phase),
        Some(20),
        "it goes on in its own rhythm"
    );

    let left: Vec<&str> = found.notes.iter().map(|note| note.text.as_str()).collect();
    assert_eq!(left.len(), 2, "{left:?}");
    assert!(
        left[0].contains("once-over") && left[1].contains("an actor"),
        "{left:?}"
    );
}

#[test]
fn jobs_of_the_api_are_read_with_their_data() {
    let found = fixture("jobs.yaml");
    assert!(found.problems.is_empty(), "{:?}", found.problems);
    let [digest, carts, warm] = found.entries.as_slice() else {
        panic!("{:?}", found.entries);
    };
    assert_eq!(
        digest.timer.payload,
        r#"{"audience":"everyone","format":"html"}"#
    );
    assert_eq!(digest.timer.content_type, "application/json");
    assert!(
        digest
            .notes
            .iter()
            .any(|note| note.text.starts_with("[0].overwrite"))
    );
    assert!(
        carts.timer_id.starts_with("expire-carts-"),
        "{}",
        carts.timer_id
    );
    assert_eq!(carts.timer.payload, r#""carts""#);
    assert_eq!(warm.timer.payload, r#""caches""#);
    assert!(
        warm.notes
            .iter()
            .any(|note| note.text.contains("counts from this import"))
    );
}

#[test]
fn a_second_import_knows_a_job_again_although_time_has_gone_on() {
    let text = b"{name: a, dueTime: 90s, schedule: '@every 1h'}";
    let at = |now| {
        let settings = Settings {
            handler: None,
            zone: "UTC",
            now,
        };
        read(text, &settings).entries.remove(0).identity
    };
    assert_eq!(at(now()), at(now() + Duration::from_secs(60)));
    let other = found("{name: a, dueTime: 91s, schedule: '@every 1h'}");
    assert_ne!(at(now()), other.entries[0].identity);
}

#[test]
fn what_cannot_be_a_timer_is_refused_in_words() {
    for (text, words) in [
        ("{schedule: '@daily'}", "name: is missing"),
        ("{name: a}", "neither schedule nor dueTime"),
        ("{name: a, schedule: '* * * * *'}", "six fields"),
        ("{name: a, schedule: '0 61 * * * *'}", "61"),
        ("{name: a, schedule: 'TZ=Mars/Base @daily'}", "schedule"),
        ("{name: a, dueTime: tomorrow}", "no time"),
        ("{name: a, schedule: '@daily', ttl: R2/PT1M}", "no time"),
        ("{name: a, schedule: '@daily', repeats: -1}", "0 or more"),
        (
            "{name: a, schedule: '@daily', failurePolicy: {linear: {}}}",
            "drop or constant",
        ),
        ("{name: 'a b', schedule: '@daily'}", "--handler"),
        (
            "{name: a, schedule: '@daily', dueTime: 2h, ttl: 1h}",
            "over before it is due",
        ),
        ("5", "must be a job"),
        ("[]", "no job"),
        ("\u{1}Jobs ExportFile", "dapr scheduler list"),
    ] {
        let told = found(text).problems;
        assert!(
            told.iter().any(|it| it.text.contains(words)),
            "{text}: {words}: {told:?}"
        );
    }
}
