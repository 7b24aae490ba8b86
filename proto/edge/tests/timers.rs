//! The service before an owner that is only a list: pages that are cut by count, by bytes and by filters, and
//! answers that are no timers.

#![allow(clippy::unwrap_used, reason = "a test")]

use dormouse_edge::request::{self, Here};
use dormouse_edge::timers::{Ask, Timers};
use dormouse_engine::id::{NodeId, PoolId};
use dormouse_engine::op::{Answer, Op, Refusal};
use dormouse_engine::time::{Millis, WallTime};
use dormouse_engine::timer::Timer;
use dormouse_proto::v1;
use std::collections::BTreeMap;
use std::sync::Arc;
use tonic::{Code, Request};
use tonic_types::StatusExt as _;
use v1::timer_service_server::{TimerService, TimerServiceServer};

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
            _ => Answer::Pending,
        }
    }

    fn own_pool(&self) -> PoolId {
        PoolId::new("a").unwrap()
    }

    fn own_node(&self) -> Option<NodeId> {
        None
    }

    fn pools(&self) -> Vec<PoolId> {
        ["a", "b"].map(|pool| PoolId::new(pool).unwrap()).into()
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
