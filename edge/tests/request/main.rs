//! Bad input, item by item: each with its exact code and the path of its field.

#![allow(clippy::unwrap_used, reason = "a test")]

mod policies;
mod runs;
mod targets;
mod updates;
mod wanted;

use dormouse_edge::request::{self, Here};
use dormouse_engine::id::NodeId;
use dormouse_engine::op::{Change, RearmMode};
use dormouse_engine::time::{Millis, WallTime};
use dormouse_engine::timer::{Durability, Placement, When};
use dormouse_proto::v1;
use prost_types::Duration;
use tonic::Code::{self, InvalidArgument, OutOfRange};
use wanted::*;

#[test]
fn bad_names_are_refused() {
    let long = "a".repeat(64);
    for id in [
        "No",
        "a b",
        "a/b",
        "..",
        "a..",
        "-a",
        "a\0b",
        "\u{202e}a",
        "ä",
        &long,
    ] {
        refused(
            v1::CreateTimerRequest {
                timer_id: id.into(),
                ..asked(good())
            },
            InvalidArgument,
            "timer_id",
        );
        refused(
            v1::CreateTimerRequest {
                pool: id.into(),
                ..asked(good())
            },
            InvalidArgument,
            "pool",
        );
        let pinned = but!(placement: pinned(id));
        refused(
            asked(pinned),
            InvalidArgument,
            "timer.placement.pinned.node",
        );
        assert_eq!(
            request::name(&format!("pools/default/timers/{id}"))
                .unwrap_err()
                .code(),
            InvalidArgument
        );
    }
    for name in [
        "",
        "tea",
        "pools/default/timers/",
        "pools//timers/tea",
        "pools/default/timers/tea/x",
    ] {
        let status = request::name(name).unwrap_err();
        assert_eq!(
            (status.code(), blamed(&status)),
            (InvalidArgument, vec!["name".to_owned()])
        );
    }
}

#[test]
fn bad_schedules_are_refused_with_the_part_that_is_wrong() {
    let nothing = v1::Schedule { kind: None };
    refused(
        asked(but!(schedule: None)),
        InvalidArgument,
        "timer.schedule",
    );
    let ten_kilobytes = "*".repeat(10_000);
    let ms = |nanos| Some(Duration { seconds: 0, nanos });
    let cases = [
        (nothing, "timer.schedule"),
        (at(-1, 0), "timer.schedule.at"),
        (at(253_402_300_800, 0), "timer.schedule.at"),
        (at(i64::MAX, 0), "timer.schedule.at"),
        (at(i64::MIN, 0), "timer.schedule.at"),
        (at(0, -1), "timer.schedule.at.nanos"),
        (at(0, 1_000_000_000), "timer.schedule.at.nanos"),
        (after(-1, 0), "timer.schedule.after"),
        (after(0, -1), "timer.schedule.after"),
        (after(1, -1), "timer.schedule.after"),
        (after(-1, 1), "timer.schedule.after"),
        (after(i64::MAX, 0), "timer.schedule.after"),
        (after(i64::MIN, 0), "timer.schedule.after"),
        (after(0, i32::MIN), "timer.schedule.after.nanos"),
        (every(None, None), "timer.schedule.every.interval"),
        (every(seconds(0), None), "timer.schedule.every.interval"),
        (every(ms(99_000_000), None), "timer.schedule.every.interval"),
        (
            every(ms(100_000_001), None),
            "timer.schedule.every.interval",
        ),
        (
            every(seconds(400_000_000), None),
            "timer.schedule.every.interval",
        ),
        (every(seconds(-5), None), "timer.schedule.every.interval"),
        (every(seconds(5), seconds(5)), "timer.schedule.every.phase"),
        (every(seconds(5), seconds(-1)), "timer.schedule.every.phase"),
        (cron("* * * *", ""), "timer.schedule.cron.expression"),
        (
            cron("* * * * * * * *", ""),
            "timer.schedule.cron.expression",
        ),
        (cron("60 * * * *", ""), "timer.schedule.cron.expression"),
        (cron("*/0 * * * *", ""), "timer.schedule.cron.expression"),
        (cron("5-1 * * * *", ""), "timer.schedule.cron.expression"),
        (cron(&ten_kilobytes, ""), "timer.schedule.cron.expression"),
        (cron("0 0 30 2 *", ""), "timer.schedule.cron.expression"),
        (cron("* * * * *", "Mars/Base"), "timer.schedule.cron.zone"),
        (
            cron("* * * * *", "../../etc/passwd"),
            "timer.schedule.cron.zone",
        ),
    ];
    for (schedule, field) in cases {
        refused(asked(with(schedule)), InvalidArgument, field);
    }
}

#[test]
fn what_lies_beyond_the_horizon_is_out_of_range() {
    let eleven_years = 11 * 366 * 86_400;
    refused(
        asked(with(after(eleven_years, 0))),
        OutOfRange,
        "timer.schedule.after",
    );
    refused(
        asked(with(after(315_576_000_000, 0))),
        OutOfRange,
        "timer.schedule.after",
    );
    let far = at(NOW.0 / 1000 + eleven_years, 0);
    refused(asked(with(far)), OutOfRange, "timer.schedule.at");
    refused(
        asked(with(at(253_402_300_799, 999_999_999))),
        OutOfRange,
        "timer.schedule.at",
    );
}

#[test]
fn bad_targets_payloads_and_labels_are_refused() {
    refused(asked(but!(target: None)), InvalidArgument, "timer.target");
    let long = "x".repeat(256);
    for name in ["", "a b", "a\nb", "ä", &long] {
        let timer = but!(target: handler(name));
        refused(asked(timer), InvalidArgument, "timer.target.handler.name");
    }
    let large = but!(payload: vec![0; 64 * 1024 + 1].into());
    refused(asked(large), InvalidArgument, "timer.payload");
    let header = but!(content_type: "text/plain\r\nX: y".into());
    refused(asked(header), InvalidArgument, "timer.content_type");
    let many = (0..65).map(|n| (format!("k{n}"), String::new())).collect();
    refused(asked(but!(labels: many)), InvalidArgument, "timer.labels");
    let empty_key = [(String::new(), "v".to_owned())].into();
    refused(
        asked(but!(labels: empty_key)),
        InvalidArgument,
        "timer.labels[\"\"]",
    );
    let long_value = [("k".to_owned(), "v".repeat(64))].into();
    refused(
        asked(but!(labels: long_value)),
        InvalidArgument,
        "timer.labels[\"k\"]",
    );
}

#[test]
fn unknown_numbers_of_enums_are_refused() {
    let cases = [
        (but!(durability: 9), "timer.durability"),
        (but!(isolation: -1), "timer.isolation"),
        (but!(effort: 7), "timer.effort"),
        (but!(misfire: 7), "timer.misfire"),
        (but!(overlap: i32::MAX), "timer.overlap"),
        (
            but!(dst: Some(v1::DstPolicy { gap: 9, overlap: 0 })),
            "timer.dst.gap",
        ),
    ];
    for (timer, field) in cases {
        refused(asked(timer), InvalidArgument, field);
    }
}

#[test]
fn everything_that_is_wrong_is_said_at_once() {
    let timer = v1::Timer {
        schedule: None,
        target: None,
        misfire: 99,
        ..v1::Timer::default()
    };
    let request = v1::CreateTimerRequest {
        timer_id: "No".into(),
        ..asked(timer)
    };
    let status = request::create(request, &here(), "requests[3].").unwrap_err();
    let mut fields = blamed(&status);
    fields.sort();
    let expected = [
        "timer.misfire",
        "timer.schedule",
        "timer.target",
        "timer_id",
    ];
    assert_eq!(fields, expected.map(|field| format!("requests[3].{field}")));
}

#[test]
fn defaults_are_filled_in_and_explicit_defaults_are_taken() {
    let new = create(asked(good())).unwrap();
    assert_eq!(new.durability, Durability::Replicated);
    assert_eq!(
        (new.placement, new.pool.as_str()),
        (Placement::Movable, "default")
    );
    let explicit = but!(isolation: v1::Isolation::Fire.into(), effort: v1::Effort::AtLeastOnce.into(), misfire: v1::Misfire::Once.into(), overlap: v1::Overlap::Skip.into(), misfire_grace: seconds(60), jitter: seconds(0), retry: Some(v1::RetryPolicy { max_attempts: 5, backoff_min: seconds(1), backoff_max: seconds(300), backoff_factor: 2.0, attempt_timeout: seconds(60), }), dst: Some(v1::DstPolicy { gap: v1::DstGap::Shift.into(), overlap: v1::DstOverlap::First.into(), }), placement: pinned("n1"));
    assert_eq!(
        create(asked(explicit)).unwrap().durability,
        Durability::Local
    );
    let own = but!(placement: pinned(""));
    refused(
        asked(own.clone()),
        InvalidArgument,
        "timer.placement.pinned.node",
    );
    let node = NodeId::new("n7").unwrap();
    let at_agent = Here {
        node: Some(node.clone()),
        ..here()
    };
    let new = request::create(asked(own), &at_agent, "").unwrap();
    assert_eq!(new.placement, Placement::Pinned(node));
}

#[test]
fn times_are_rounded_up_to_a_millisecond() {
    let when = |schedule| create(asked(with(schedule))).unwrap().when;
    assert_eq!(when(after(0, 1)), When::After(Millis(1)));
    assert_eq!(when(after(0, 0)), When::After(Millis(0)));
    assert_eq!(when(at(1, 1)), When::At(WallTime(1001)));
    assert_eq!(when(at(0, 0)), When::At(WallTime(0)));
}

#[test]
fn a_request_is_known_by_its_id() {
    let id = |id: &str| v1::CreateTimerRequest {
        request_id: id.into(),
        timer_id: String::new(),
        ..asked(good())
    };
    let mut bytes = [0x11; 16];
    bytes[..6].copy_from_slice(&(NOW.0 - 1).to_be_bytes()[2..]);
    bytes[6] = 0x70;
    bytes[8] = 0x80;
    let fresh = uuid::Uuid::from_bytes(bytes).to_string();
    let new = create(id(&fresh)).unwrap();
    assert_eq!(
        create(id(&fresh)).unwrap(),
        new,
        "a repetition asks for the same"
    );
    let elsewhere = v1::CreateTimerRequest {
        pool: "other".into(),
        ..id(&fresh)
    };
    assert_ne!(create(elsewhere).unwrap().uid, new.uid);
    assert_ne!(create(id("")).unwrap().uid, create(id("")).unwrap().uid);
    for text in ["x", "6ba7b810-9dad-11d1-80b4-00c04fd430c8"] {
        refused(id(text), InvalidArgument, "request_id");
    }
    bytes[..6].copy_from_slice(&(NOW.0 - 25 * 3_600_000).to_be_bytes()[2..]);
    let old = uuid::Uuid::from_bytes(bytes).to_string();
    assert_eq!(
        create(id(&old)).unwrap_err().code(),
        Code::FailedPrecondition
    );
}

#[test]
fn pages_have_limits_and_tokens_are_looked_at() {
    let list = |page_size, page_token: &str| {
        let pool = "default".into();
        let page_token = page_token.into();
        request::listing(v1::ListTimersRequest {
            pool,
            page_size,
            page_token,
            ..Default::default()
        })
    };
    assert_eq!(list(0, "").unwrap().size, 100);
    assert_eq!(list(1000, "").unwrap().size, 1000);
    for size in [-1, i32::MIN, 1001, i32::MAX] {
        assert_eq!(blamed(&list(size, "").unwrap_err()), ["page_size"]);
    }
    assert!(list(1, "pools/default/timers/tea").unwrap().after.is_some());
    for token in ["x", "pools/other/timers/tea"] {
        assert_eq!(blamed(&list(1, token).unwrap_err()), ["page_token"]);
    }
    let states = v1::ListTimersRequest {
        states: vec![99],
        ..Default::default()
    };
    assert_eq!(blamed(&request::listing(states).unwrap_err()), ["states"]);
}

#[test]
fn a_rearm_needs_a_time_within_the_horizon() {
    use v1::rearm_timer_request::Time;
    let rearm = |time, mode: i32| {
        let request = v1::RearmTimerRequest {
            name: "pools/default/timers/tea".into(),
            time,
            mode,
            ..Default::default()
        };
        request::rearm(request, &here(), "").map_err(|status| (status.code(), blamed(&status)))
    };
    let after = |seconds| Some(Time::After(Duration { seconds, nanos: 0 }));
    assert!(rearm(after(5), 0).is_ok() && rearm(after(5), v1::RearmMode::Replace.into()).is_ok());
    let bad = |code, field: &str| Err((code, vec![field.to_owned()]));
    assert_eq!(rearm(None, 0), bad(InvalidArgument, "time"));
    assert_eq!(rearm(after(-1), 0), bad(InvalidArgument, "after"));
    assert_eq!(rearm(after(400_000_000), 0), bad(OutOfRange, "after"));
    let mode = |mode| match rearm(after(5), i32::from(mode)).unwrap().change {
        Change::Rearm { mode, .. } => mode,
        other => panic!("{other:?}"),
    };
    assert_eq!(mode(v1::RearmMode::Unspecified), RearmMode::Replace);
    assert_eq!(mode(v1::RearmMode::KeepTime), RearmMode::KeepTime);
    assert_eq!(mode(v1::RearmMode::Drop), RearmMode::Drop);
    assert_eq!(rearm(after(5), 9), bad(InvalidArgument, "mode"));
}
