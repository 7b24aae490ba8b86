//! The service before an owner that is only a list: pages that are cut by count, by bytes and by filters, and
//! answers that are no timers.

#![allow(clippy::unwrap_used, reason = "a test")]

use dormouse_edge::request::{self, Here};
use dormouse_edge::timers::{Ask, Feed, Timers};
use dormouse_engine::id::{NodeId, PoolId};
use dormouse_engine::op::{Answer, News, Op, Refusal};
use dormouse_engine::time::{Millis, WallTime};
use dormouse_engine::timer::Timer;
use dormouse_proto::v1;
use futures_util::{StreamExt as _, TryStreamExt as _};
use std::collections::BTreeMap;
use std::sync::Arc;
use tonic::{Code, Request};
use tonic_types::StatusExt as _;
use v1::timer_service_server::{TimerService, TimerServiceServer};
use v1::watch_timers_response::Change;

#[derive(Clone)]
struct Shelf(Arc<Vec<Timer>>);

impl Ask for Shelf {
    async fn ask(&self, pool: &PoolId, op: Op) -> Answer {
        match op {
            Op::List { after, limit } => {
                let mut timers: Vec<_> = self
                    .0
                    .iter()
                    .filter(|it| it.name.pool == *pool)
                    .cloned()
                    .collect();
                timers.retain(|timer| after.as_ref().is_none_or(|after| timer.name > *after));
                let more = timers.len() > limit as usize;
                timers.truncate(limit as usize);
                Answer::List { timers, more }
            }
            Op::Change { .. } => Answer::Refused(Refusal::Unavailable {
                why: "its home does not answer".into(),
                retry_after: Millis(1500),
            }),
            Op::News { .. } => Answer::News(News {
                reset: true,
                events: Vec::new(),
                upto: 1,
                more: false,
            }),
            Op::Kept { .. } => Answer::List {
                timers: self.0[..2].to_vec(),
                more: false,
            },
            _ => Answer::Pending,
        }
    }

    fn feed(&self, pool: &PoolId) -> Option<Feed> {
        let newest = tokio::sync::watch::channel(1).1;
        (pool.as_str() == "a").then_some(Feed { counter: 1, newest })
    }

    fn ending(&self) -> impl Future<Output = ()> + Send + use<> + 'static {
        std::future::pending()
    }

    fn own_pool(&self) -> PoolId {
        PoolId::new("a").unwrap()
    }

    fn own_node(&self) -> Option<NodeId> {
        None
    }

    fn pools(&self) -> Vec<PoolId> {
        // More empty ones than a page may have rounds, before, between and after the others.
        let empty = |prefix| (0..12).map(move |n| format!("{prefix}{n:02}"));
        let full = |name: &str| std::iter::once(name.to_owned());
        let names = empty("0e").chain(full("a")).chain(empty("ab"));
        let names = names.chain(full("b")).chain(empty("c"));
        names.map(|pool| PoolId::new(&pool).unwrap()).collect()
    }
}

fn asked(pool: &str, id: &str, payload: usize) -> v1::CreateTimerRequest {
    let handler = v1::HandlerTarget {
        name: "mail".into(),
    };
    let wait = prost_types::Duration {
        seconds: 60,
        nanos: 0,
    };
    let label = if id.ends_with('0') { "round" } else { "odd" };
    v1::CreateTimerRequest {
        pool: pool.into(),
        timer_id: id.into(),
        timer: Some(v1::Timer {
            schedule: Some(v1::Schedule {
                kind: Some(v1::schedule::Kind::After(wait)),
            }),
            target: Some(v1::Target {
                kind: Some(v1::target::Kind::Handler(handler)),
            }),
            payload: vec![7; payload].into(),
            labels: [("kind".to_owned(), label.to_owned())].into(),
            ..v1::Timer::default()
        }),
        request_id: String::new(),
    }
}

fn shelf(payload: usize) -> Timers<Shelf> {
    let here = Here {
        pool: PoolId::new("a").unwrap(),
        node: None,
        now: WallTime(0),
    };
    let names = (0..300).map(|n| (if n < 150 { "a" } else { "b" }, format!("t{n:03}")));
    let timers = names.map(|(pool, id)| {
        let new = request::create(asked(pool, &id, payload), &here, "").unwrap();
        Timer::accept(&new, None, WallTime(0)).unwrap()
    });
    let owner = Shelf(Arc::new(timers.collect()));
    let _: TimerServiceServer<Timers<Shelf>> = Timers::service(owner.clone());
    Timers::new(owner)
}

/// The names of every page.
async fn pages(service: &Timers<Shelf>, mut request: v1::ListTimersRequest) -> Vec<Vec<String>> {
    let mut pages = Vec::new();
    loop {
        assert!(pages.len() < 100, "it gets nowhere: {}", request.page_token);
        let page = service
            .list_timers(Request::new(request.clone()))
            .await
            .unwrap()
            .into_inner();
        pages.push(page.timers.into_iter().map(|timer| timer.name).collect());
        request.page_token = page.next_page_token;
        if request.page_token.is_empty() {
            return pages;
        }
    }
}

#[tokio::test]
async fn pages_show_every_timer_of_every_pool_once_whatever_cuts_them() {
    let labels: BTreeMap<_, _> = [("kind".to_owned(), "round".to_owned())].into();
    let cases = [
        (
            0,
            v1::ListTimersRequest {
                page_size: 7,
                ..Default::default()
            },
            300,
            7,
        ),
        (
            0,
            v1::ListTimersRequest {
                page_size: 150,
                ..Default::default()
            },
            300,
            150,
        ),
        (
            65_536,
            v1::ListTimersRequest {
                page_size: 1000,
                ..Default::default()
            },
            300,
            32,
        ),
        (
            0,
            v1::ListTimersRequest {
                labels,
                page_size: 4,
                ..Default::default()
            },
            30,
            4,
        ),
        (
            0,
            v1::ListTimersRequest {
                pool: "b".into(),
                ..Default::default()
            },
            150,
            100,
        ),
    ];
    for (payload, request, expected, largest) in cases {
        let pages = pages(&shelf(payload), request).await;
        assert!(pages.iter().all(|page| page.len() <= largest));
        let names: Vec<_> = pages.concat();
        assert_eq!(names.len(), expected);
        assert!(names.is_sorted_by(|a, b| a < b));
    }
}

#[tokio::test]
async fn who_watches_is_told_first_what_the_asked_one_keeps_itself() {
    let request = Request::new(v1::WatchTimersRequest::default());
    let changes = shelf(0).watch_timers(request).await.unwrap().into_inner();
    let changes: Vec<_> = changes.take(3).try_collect().await.unwrap();
    assert!(changes[0].reset);
    let names = changes[1..].iter().map(|told| match &told.change {
        Some(Change::Timer(timer)) => timer.name.as_str(),
        other => panic!("{other:?}"),
    });
    let expected = ["pools/a/timers/t000", "pools/a/timers/t001"];
    assert_eq!(names.collect::<Vec<_>>(), expected);
    assert!(changes[1].resume_token.is_empty() && !changes[2].resume_token.is_empty());
}

#[tokio::test]
async fn a_home_that_does_not_answer_is_unavailable_with_the_time_to_ask_again() {
    let name = "pools/a/timers/t000".to_owned();
    let request = v1::CancelTimerRequest {
        name,
        request_id: String::new(),
    };
    let status = shelf(0)
        .cancel_timer(Request::new(request))
        .await
        .unwrap_err();
    assert_eq!(status.code(), Code::Unavailable);
    let delay = status
        .get_error_details()
        .retry_info()
        .unwrap()
        .retry_delay
        .unwrap();
    assert_eq!(delay.as_millis(), 1500);
}

#[tokio::test]
async fn a_timer_for_a_sleeping_node_is_pending() {
    let mut request = asked("a", "tea", 0);
    let pinned = v1::Pinned { node: "n1".into() };
    let timer = request.timer.as_mut().unwrap();
    timer.placement = Some(v1::Placement {
        kind: Some(v1::placement::Kind::Pinned(pinned)),
    });
    let created = shelf(0)
        .create_timer(Request::new(request))
        .await
        .unwrap()
        .into_inner();
    let timer = created.timer.unwrap();
    assert_eq!(
        (timer.state(), timer.name.as_str()),
        (v1::TimerState::Pending, "pools/a/nodes/n1/timers/tea")
    );
}

fn previewing(expression: &str, zone: &str) -> v1::PreviewScheduleRequest {
    let cron = v1::Cron {
        expression: expression.into(),
        zone: zone.into(),
    };
    v1::PreviewScheduleRequest {
        schedule: Some(v1::Schedule {
            kind: Some(v1::schedule::Kind::Cron(cron)),
        }),
        // 28 March 2026, 12:00 UTC.
        after_time: Some(prost_types::Timestamp {
            seconds: 1_774_699_200,
            nanos: 0,
        }),
        ..v1::PreviewScheduleRequest::default()
    }
}

async fn preview(
    request: v1::PreviewScheduleRequest,
) -> Result<Vec<v1::PreviewedTime>, tonic::Status> {
    let answer = shelf(0).preview_schedule(Request::new(request)).await;
    answer.map(|answer| answer.into_inner().times)
}

#[tokio::test]
async fn a_preview_shows_the_times_and_what_the_clocks_did() {
    let mut request = previewing("30 2 * * *", "Europe/Berlin");
    let times = preview(request.clone()).await.unwrap();
    assert_eq!(times.len(), 10, "unless said otherwise");
    let first = times[0].time.unwrap();
    assert_eq!((first.seconds, first.nanos), (1_774_746_000, 0));
    assert_eq!(
        times[0].local_time,
        "2026-03-29T03:00:00+02:00[Europe/Berlin]"
    );
    assert!(times[0].note.contains("02:30"), "{}", times[0].note);
    assert_eq!(times[1].note, "");
    request.count = 1000;
    request.dst = Some(v1::DstPolicy {
        gap: v1::DstGap::Skip.into(),
        overlap: v1::DstOverlap::Both.into(),
    });
    let times = preview(request).await.unwrap();
    assert_eq!(times.len(), 1000);
    assert_eq!(
        times[0].local_time,
        "2026-03-30T02:30:00+02:00[Europe/Berlin]"
    );
    let copies = times.iter().filter(|it| it.note.contains("copy"));
    assert_eq!(copies.count(), 2 * 3, "in three autumns");
}

#[tokio::test]
async fn a_preview_of_a_schedule_that_no_timer_can_have_is_refused() {
    let but = |change: fn(&mut v1::PreviewScheduleRequest)| {
        let mut request = previewing("30 2 * * *", "Europe/Berlin");
        change(&mut request);
        request
    };
    let never = v1::DstPolicy {
        gap: v1::DstGap::Skip.into(),
        overlap: 0,
    };
    let mut skipped = previewing("30 2 * 3 7L", "Europe/Berlin");
    assert!(preview(skipped.clone()).await.is_ok(), "as it is shifted");
    skipped.dst = Some(never);
    let cases = [
        (but(|it| it.schedule = None), "schedule"),
        (but(|it| it.count = -1), "count"),
        (but(|it| it.count = 1001), "count"),
        (but(|it| it.count = i32::MIN), "count"),
        (
            but(|it| it.dst = Some(v1::DstPolicy { gap: 3, overlap: 0 })),
            "dst.gap",
        ),
        (
            but(|it| {
                it.dst = Some(v1::DstPolicy {
                    gap: 0,
                    overlap: -1,
                })
            }),
            "dst.overlap",
        ),
        (
            but(|it| {
                it.after_time = Some(prost_types::Timestamp {
                    seconds: -1,
                    nanos: 0,
                })
            }),
            "after_time",
        ),
        (
            but(|it| {
                it.after_time = Some(prost_types::Timestamp {
                    seconds: 0,
                    nanos: -1,
                })
            }),
            "after_time.nanos",
        ),
        (previewing("60 * * * *", ""), "schedule.cron.expression"),
        (previewing("0 0 30 2 *", ""), "schedule.cron.expression"),
        (previewing("0 0 * * *", "Mars/Base"), "schedule.cron.zone"),
        (skipped, "schedule.cron.expression"),
    ];
    for (request, field) in cases {
        let status = preview(request.clone()).await.unwrap_err();
        assert_eq!(status.code(), Code::InvalidArgument, "{request:?}");
        let details = status.get_error_details();
        let blamed = &details.bad_request().unwrap().field_violations;
        assert_eq!(blamed.len(), 1, "{status:?}");
        assert_eq!(blamed[0].field, field);
    }
}

#[tokio::test]
async fn a_preview_of_a_one_shot_has_one_time() {
    let mut request = previewing("* * * * *", "");
    request.schedule = Some(v1::Schedule {
        kind: Some(v1::schedule::Kind::At(prost_types::Timestamp {
            seconds: 1_774_699_201,
            nanos: 0,
        })),
    });
    let times = preview(request).await.unwrap();
    assert_eq!(times.len(), 1);
    assert_eq!(times[0].local_time, "2026-03-28T12:00:01+00:00[UTC]");
}
