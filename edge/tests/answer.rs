//! What users are told: a timer with everything that was not said filled in, and refusals in words.

#![allow(clippy::unwrap_used, reason = "a test")]

use dormouse_edge::answer;
use dormouse_edge::request::{self, Here};
use dormouse_engine::id::PoolId;
use dormouse_engine::op::Refusal;
use dormouse_engine::time::WallTime;
use dormouse_engine::timer::{NewTimer, Timer};
use dormouse_proto::v1;
use prost_types::Duration;
use tonic_types::StatusExt as _;
use v1::schedule::Kind;

const NOW: WallTime = WallTime(1_800_000_000_000);

fn seconds(seconds: i64) -> Option<Duration> {
    Some(Duration { seconds, nanos: 0 })
}

fn every(interval: Option<Duration>) -> Kind {
    Kind::Every(v1::Every {
        interval,
        phase: None,
    })
}

fn cron(expression: &str) -> Kind {
    Kind::Cron(v1::Cron {
        expression: expression.into(),
        zone: "Europe/Berlin".into(),
    })
}

/// The least that a timer can say.
fn bare(kind: Kind) -> v1::Timer {
    let handler = v1::HandlerTarget { name: "h".into() };
    v1::Timer {
        schedule: Some(v1::Schedule { kind: Some(kind) }),
        target: Some(v1::Target {
            kind: Some(v1::target::Kind::Handler(handler)),
        }),
        ..v1::Timer::default()
    }
}

fn asked(timer: v1::Timer) -> NewTimer {
    let here = Here {
        pool: PoolId::new("default").unwrap(),
        node: None,
        now: NOW,
    };
    let request = v1::CreateTimerRequest {
        timer_id: "tea".into(),
        timer: Some(timer),
        ..v1::CreateTimerRequest::default()
    };
    request::create(request, &here, "").unwrap()
}

fn answered(timer: v1::Timer) -> v1::Timer {
    answer::timer(&Timer::accept(&asked(timer), None, NOW).unwrap())
}

#[test]
fn an_answer_has_every_policy_that_was_left_out() {
    let shown = answered(bare(every(seconds(900))));
    assert_eq!(shown.isolation(), v1::Isolation::Fire);
    assert_eq!(shown.effort(), v1::Effort::AtLeastOnce);
    assert_eq!(shown.misfire(), v1::Misfire::Once);
    assert_eq!(shown.overlap(), v1::Overlap::Skip);
    assert_eq!(shown.durability(), v1::Durability::Replicated);
    assert_eq!(shown.misfire_grace, seconds(60));
    let retry = shown.retry.unwrap();
    assert_eq!(retry.max_attempts, 5);
    assert_eq!(
        (retry.backoff_min, retry.backoff_max),
        (seconds(1), seconds(300))
    );
    assert_eq!(
        (retry.backoff_factor, retry.attempt_timeout),
        (2.0, seconds(60))
    );
    let dst = shown.dst.unwrap();
    assert_eq!(
        (dst.gap(), dst.overlap()),
        (v1::DstGap::Shift, v1::DstOverlap::First)
    );
}

#[test]
fn a_catch_up_window_is_the_interval_but_a_minute_at_least_and_an_hour_at_most() {
    for (interval, window) in [(1, 60), (60, 60), (900, 900), (3600, 3600), (86_400, 3600)] {
        let shown = answered(bare(every(seconds(interval))));
        assert_eq!(shown.catchup_window, seconds(window), "every {interval} s");
    }
    let once = Kind::After(Duration::default());
    for kind in [once, cron("*/7 * * * *")] {
        assert_eq!(answered(bare(kind)).catchup_window, None);
    }
}

#[test]
fn what_was_answered_can_be_asked_for_again() {
    let once = Kind::After(Duration::default());
    for kind in [
        once,
        every(seconds(1)),
        every(seconds(7200)),
        cron("0 3 * * *"),
    ] {
        let shown = answered(bare(kind));
        let again = answered(shown.clone());
        let alike = v1::Timer {
            uid: shown.uid.clone(),
            ..again
        };
        assert_eq!(alike, shown);
    }
}

#[test]
fn a_timer_that_is_not_there_is_called_a_timer() {
    let missing = |what: &str| answer::refusal(&Refusal::NotFound { what: what.into() });
    let status = missing("pools/default/timers/x");
    assert_eq!(status.message(), "there is no timer pools/default/timers/x");
    let details = status.get_error_details();
    let named = &details.resource_info().unwrap().resource_name;
    assert_eq!(named, "pools/default/timers/x");
    assert_eq!(missing("node n9").message(), "there is no node n9");
}
