//! Policies: what each may be, by itself and beside the others.

use super::wanted::*;
use dormouse_engine::schedule::{Dst, Gap, Overlap as TwiceOverlap};
use dormouse_engine::time::{Millis, WallTime};
use dormouse_engine::timer::{
    Bounds, Effort, Isolation, Misfire, MisfireMode, Overlap, Policy, Retry, When,
};
use dormouse_proto::v1;
use prost_types::Duration;
use tonic::Code::{InvalidArgument, OutOfRange};

fn ms(millis: i64) -> Option<Duration> {
    let nanos = i32::try_from(millis % 1000 * 1_000_000).unwrap();
    Some(Duration {
        seconds: millis / 1000,
        nanos,
    })
}

#[test]
fn a_policy_that_is_out_of_its_range_is_refused() {
    let year_11 = seconds(11 * 366 * 86_400);
    let cases = [
        (retrying!(max_attempts: 101), "timer.retry.max_attempts"),
        (
            retrying!(max_attempts: 1_000_000_000),
            "timer.retry.max_attempts",
        ),
        (
            retrying!(backoff_factor: f64::NAN),
            "timer.retry.backoff_factor",
        ),
        (
            retrying!(backoff_factor: f64::INFINITY),
            "timer.retry.backoff_factor",
        ),
        (retrying!(backoff_factor: 0.5), "timer.retry.backoff_factor"),
        (
            retrying!(backoff_factor: -2.0),
            "timer.retry.backoff_factor",
        ),
        (
            retrying!(backoff_factor: 10.01),
            "timer.retry.backoff_factor",
        ),
        (
            retrying!(backoff_min: seconds(-1)),
            "timer.retry.backoff_min",
        ),
        (
            retrying!(backoff_min: seconds(0)),
            "timer.retry.backoff_min",
        ),
        (
            retrying!(backoff_min: seconds(301)),
            "timer.retry.backoff_max",
        ),
        (
            retrying!(backoff_max: seconds(8 * 86_400)),
            "timer.retry.backoff_max",
        ),
        (
            retrying!(attempt_timeout: ms(999)),
            "timer.retry.attempt_timeout",
        ),
        (
            retrying!(attempt_timeout: ms(86_400_001)),
            "timer.retry.attempt_timeout",
        ),
        (
            retrying!(attempt_timeout: seconds(i64::MAX)),
            "timer.retry.attempt_timeout",
        ),
        (but!(misfire_grace: seconds(0)), "timer.misfire_grace"),
        (but!(misfire_grace: ms(999)), "timer.misfire_grace"),
        (but!(misfire_grace: year_11), "timer.misfire_grace"),
        (but!(catchup_window: seconds(59)), "timer.catchup_window"),
        (but!(catchup_window: year_11), "timer.catchup_window"),
        (but!(misfire_cap: 1001), "timer.misfire_cap"),
        (but!(misfire_cap: u32::MAX), "timer.misfire_cap"),
        (but!(jitter: seconds(-1)), "timer.jitter"),
        (but!(jitter: seconds(i64::MIN)), "timer.jitter"),
    ];
    for (timer, field) in cases {
        wrong(timer, InvalidArgument, field);
    }
}

#[test]
fn a_refusal_says_what_was_found_and_what_would_be_right() {
    let status = create(asked(retrying!(max_attempts: 101))).unwrap_err();
    assert_eq!(
        status.message(),
        "timer.retry.max_attempts is 101; must be 1 to 100"
    );
    let long = format!("\u{202e}{}", "x".repeat(300));
    let status = create(asked(but!(target: handler(&long)))).unwrap_err();
    assert!(status.message().contains("\"\\u{202e}xxx"), "{status}");
    assert!(status.message().len() < 200, "{status}");
}

#[test]
fn bounds_that_leave_nothing_are_refused() {
    let now = NOW.0 / 1000;
    let recurring = |timer: v1::Timer| v1::Timer {
        schedule: Some(every(seconds(60), None)),
        ..timer
    };
    let cases = [
        (
            recurring(but!(start_time: instant(now + 9), end_time: instant(now + 9))),
            "timer.end_time",
        ),
        (
            recurring(but!(start_time: instant(now + 9), expire_time: instant(now + 8))),
            "timer.expire_time",
        ),
        (but!(start_time: instant(-9)), "timer.start_time"),
        (but!(end_time: instant(i64::MAX)), "timer.end_time"),
        // `good` runs in five seconds.
        (but!(start_time: instant(now + 6)), "timer.start_time"),
        (but!(end_time: instant(now + 5)), "timer.end_time"),
        (but!(expire_time: instant(now + 4)), "timer.expire_time"),
    ];
    for (timer, field) in cases {
        wrong(timer, InvalidArgument, field);
    }
    let far = recurring(but!(start_time: instant(now + 11 * 366 * 86_400)));
    wrong(far, OutOfRange, "timer.start_time");
    let fits = made(
        but!(start_time: instant(now + 5), end_time: instant(now + 6), expire_time: instant(now + 5), max_occurrences: 7),
    );
    assert_eq!(
        fits.policy.bounds,
        Bounds {
            start: Some(WallTime((now + 5) * 1000)),
            end: Some(WallTime((now + 6) * 1000)),
            occurrences_max: Some(7),
            expire: Some(WallTime((now + 5) * 1000)),
        }
    );
}

#[test]
fn a_jitter_is_shorter_than_the_shortest_period() {
    let with_jitter = |schedule, jitter| v1::Timer {
        jitter,
        ..with(schedule)
    };
    let half_past = || cron("0,30 9,17 * * *", "");
    for (schedule, jitter) in [
        (every(seconds(5), None), seconds(5)),
        (every(seconds(5), None), seconds(6)),
        (cron("* * * * *", ""), seconds(60)),
        (half_past(), seconds(1800)),
    ] {
        wrong(
            with_jitter(schedule, jitter),
            InvalidArgument,
            "timer.jitter",
        );
    }
    for (schedule, jitter) in [
        (every(seconds(5), None), ms(4999)),
        (half_past(), seconds(1799)),
        (after(5, 0), seconds(86_400)),
    ] {
        let new = made(with_jitter(schedule, jitter));
        assert!(new.policy.jitter > Millis(4000));
    }
}

#[test]
fn at_most_once_holds_and_fire_beside_it_is_refused() {
    let at_most_once = i32::from(v1::Effort::AtMostOnce);
    let held = made(but!(effort: at_most_once)).policy;
    assert_eq!(
        (held.effort, held.isolation),
        (Effort::AtMostOnce, Isolation::Hold)
    );
    let fire = but!(effort: at_most_once, isolation: v1::Isolation::Fire.into());
    wrong(fire, InvalidArgument, "timer.isolation");
    let held = made(but!(isolation: v1::Isolation::Hold.into())).policy;
    assert_eq!(
        (held.effort, held.isolation),
        (Effort::AtLeastOnce, Isolation::Hold)
    );
}

#[test]
fn every_policy_reaches_the_engine_as_it_was_said() {
    let retry = v1::RetryPolicy {
        max_attempts: 100,
        backoff_min: ms(1),
        backoff_max: seconds(7 * 86_400),
        backoff_factor: 1.5,
        attempt_timeout: seconds(86_400),
    };
    let timer = but!(
        misfire: v1::Misfire::All.into(),
        misfire_grace: seconds(1),
        catchup_window: seconds(90),
        misfire_cap: 1000,
        overlap: v1::Overlap::BufferOne.into(),
        retry: Some(retry),
        jitter: seconds(9),
        paused: true
    );
    let new = made(timer);
    assert!(new.paused);
    let expected = Policy {
        jitter: Millis(9000),
        misfire: Misfire {
            mode: MisfireMode::All,
            grace: Millis(1000),
            window: Some(Millis(90_000)),
            cap: 1000,
        },
        overlap: Overlap::BufferOne,
        retry: Retry {
            attempts_max: 100,
            backoff_first: Millis(1),
            backoff_max: Millis(7 * 86_400_000),
            factor_permille: 1500,
            attempt_timeout: Millis(86_400_000),
        },
        ..Policy::default()
    };
    assert_eq!(new.policy, expected);
    let overlaps = [
        (v1::Overlap::Skip, Overlap::Skip),
        (v1::Overlap::Allow, Overlap::Allow),
        (v1::Overlap::Replace, Overlap::Replace),
    ];
    for (said, meant) in overlaps {
        assert_eq!(made(but!(overlap: said.into())).policy.overlap, meant);
    }
    let skip = made(but!(misfire: v1::Misfire::Skip.into()));
    assert_eq!(skip.policy.misfire.mode, MisfireMode::Skip);
    assert_eq!(made(good()).policy, Policy::default());
}

#[test]
fn what_happens_when_clocks_change_is_a_part_of_the_calendar() {
    let dst = Some(v1::DstPolicy {
        gap: v1::DstGap::Skip.into(),
        overlap: v1::DstOverlap::Both.into(),
    });
    let timer = v1::Timer {
        dst,
        ..with(cron("30 2 * * *", "Europe/Berlin"))
    };
    let When::Cron(cron) = made(timer).when else {
        panic!("it is a calendar")
    };
    let expected = Dst {
        gap: Gap::Skip,
        overlap: TwiceOverlap::Both,
    };
    assert_eq!(cron.dst(), expected);
}
