//! A good timer, and how to make it a bad one.

use dormouse_edge::request::{self, Here};
use dormouse_engine::id::PoolId;
use dormouse_engine::time::WallTime;
use dormouse_engine::timer::NewTimer;
use dormouse_proto::v1;
use prost_types::{Duration, Timestamp};
use tonic::{Code, Status};
use tonic_types::StatusExt as _;
use v1::{placement, schedule, target};

pub(crate) const NOW: WallTime = WallTime(1_800_000_000_000);

pub(crate) fn here() -> Here {
    Here {
        pool: PoolId::new("default").unwrap(),
        node: None,
        now: NOW,
    }
}

/// A good timer but for these fields.
macro_rules! but {
    ($($field:ident: $value:expr),+) => {
        v1::Timer { $($field: $value,)+ ..$crate::wanted::good() }
    };
}

pub(crate) use but;

/// A good timer but for this field of its retry policy.
macro_rules! retrying {
    ($field:ident: $value:expr) => {
        $crate::wanted::but!(retry: Some(v1::RetryPolicy { $field: $value, ..v1::RetryPolicy::default() }))
    };
}

pub(crate) use retrying;

pub(crate) fn good() -> v1::Timer {
    v1::Timer {
        schedule: Some(after(5, 0)),
        target: handler("mail"),
        ..v1::Timer::default()
    }
}

pub(crate) fn after(seconds: i64, nanos: i32) -> v1::Schedule {
    v1::Schedule {
        kind: Some(schedule::Kind::After(Duration { seconds, nanos })),
    }
}

pub(crate) fn at(seconds: i64, nanos: i32) -> v1::Schedule {
    v1::Schedule {
        kind: Some(schedule::Kind::At(Timestamp { seconds, nanos })),
    }
}

pub(crate) fn every(interval: Option<Duration>, phase: Option<Duration>) -> v1::Schedule {
    v1::Schedule {
        kind: Some(schedule::Kind::Every(v1::Every { interval, phase })),
    }
}

pub(crate) fn cron(expression: &str, zone: &str) -> v1::Schedule {
    let cron = v1::Cron {
        expression: expression.into(),
        zone: zone.into(),
    };
    v1::Schedule {
        kind: Some(schedule::Kind::Cron(cron)),
    }
}

pub(crate) fn handler(name: &str) -> Option<v1::Target> {
    let handler = v1::HandlerTarget { name: name.into() };
    Some(v1::Target {
        kind: Some(target::Kind::Handler(handler)),
    })
}

pub(crate) fn pinned(node: &str) -> Option<v1::Placement> {
    let pinned = v1::Pinned { node: node.into() };
    Some(v1::Placement {
        kind: Some(placement::Kind::Pinned(pinned)),
    })
}

pub(crate) fn seconds(seconds: i64) -> Option<Duration> {
    Some(Duration { seconds, nanos: 0 })
}

pub(crate) fn with(schedule: v1::Schedule) -> v1::Timer {
    but!(schedule: Some(schedule))
}

pub(crate) fn asked(timer: v1::Timer) -> v1::CreateTimerRequest {
    v1::CreateTimerRequest {
        timer_id: "tea".into(),
        timer: Some(timer),
        ..Default::default()
    }
}

pub(crate) fn create(request: v1::CreateTimerRequest) -> Result<NewTimer, Status> {
    request::create(request, &here(), "")
}

pub(crate) fn blamed(status: &Status) -> Vec<String> {
    let details = status.get_error_details();
    assert_eq!(details.error_info().unwrap().domain, "dormouse");
    let violations = details
        .bad_request()
        .map(|request| request.field_violations.clone());
    violations
        .unwrap_or_default()
        .into_iter()
        .map(|it| it.field)
        .collect()
}

pub(crate) fn refused(request: v1::CreateTimerRequest, code: Code, field: &str) {
    let status = create(request.clone()).expect_err(&format!("{field}: {request:?}"));
    assert_eq!(
        (status.code(), blamed(&status)),
        (code, vec![field.to_owned()]),
        "{status:?}"
    );
    assert!(status.message().contains(field), "{status:?}");
}

/// That this timer is refused with this code and only this field to blame.
pub(crate) fn wrong(timer: v1::Timer, code: Code, field: &str) {
    refused(asked(timer), code, field);
}

/// What is made of a timer that is right.
pub(crate) fn made(timer: v1::Timer) -> NewTimer {
    create(asked(timer)).unwrap()
}

pub(crate) fn instant(seconds: i64) -> Option<Timestamp> {
    Some(Timestamp { seconds, nanos: 0 })
}
