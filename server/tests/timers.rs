//! What users of TimerService see, over gRPC.

#![allow(
    missing_docs,
    unreachable_pub,
    dead_code,
    clippy::unwrap_used,
    reason = "the harness is shared by several programs, all of them tests"
)]

mod harness;

use dormouse_proto::v1;
use harness::{Server, create, request_id, timer_after};
use tonic::{Code, Status};
use tonic_types::StatusExt as _;
use v1::{CancelOutcome, TimerState};

const HOUR: u64 = 3_600_000;

async fn with_server<F: AsyncFnOnce(Server) -> Server>(test: F) {
    let data = tempfile::tempdir().unwrap();
    let server = test(Server::start(data.path()).await).await;
    server.stop().await;
}

fn get(name: &str) -> v1::GetTimerRequest {
    v1::GetTimerRequest { name: name.into() }
}

fn cancel(name: &str) -> v1::CancelTimerRequest {
    v1::CancelTimerRequest {
        name: name.into(),
        request_id: request_id(),
    }
}

fn fields(status: &Status) -> Vec<String> {
    let details = status.get_error_details();
    let request = details.bad_request().expect("BadRequest details");
    request
        .field_violations
        .iter()
        .map(|it| it.field.clone())
        .collect()
}

#[tokio::test]
async fn a_timer_is_created_found_listed_and_cancelled() {
    with_server(async |server| {
        let mut timers = server.timers();
        let created = timers
            .create_timer(create("tea", timer_after(HOUR)))
            .await
            .unwrap();
        let timer = created.into_inner().timer.unwrap();
        assert_eq!(timer.name, "pools/default/timers/tea");
        assert_eq!(timer.durability(), v1::Durability::Replicated);
        assert_eq!(timer.state(), TimerState::Scheduled);
        assert_eq!(timer.next_times.len(), 1);
        let found = timers
            .get_timer(get(&timer.name))
            .await
            .unwrap()
            .into_inner()
            .timer;
        assert_eq!(found.as_ref(), Some(&timer));
        let listed = timers
            .list_timers(v1::ListTimersRequest::default())
            .await
            .unwrap();
        assert_eq!(listed.into_inner().timers, std::slice::from_ref(&timer));
        let cancelled = timers
            .cancel_timer(cancel(&timer.name))
            .await
            .unwrap()
            .into_inner();
        assert_eq!(cancelled.outcome(), CancelOutcome::Cancelled);
        let status = timers.get_timer(get(&timer.name)).await.unwrap_err();
        assert_eq!(status.code(), Code::NotFound);
        server
    })
    .await;
}

#[tokio::test]
async fn what_is_not_there_is_said_so() {
    with_server(async |server| {
        let mut timers = server.timers();
        let name = "pools/default/timers/nothing";
        let status = timers.get_timer(get(name)).await.unwrap_err();
        assert_eq!(status.code(), Code::NotFound);
        assert!(status.get_error_details().resource_info().is_some());
        let status = timers
            .get_timer(get("pools/elsewhere/timers/nothing"))
            .await
            .unwrap_err();
        assert_eq!(status.code(), Code::NotFound);
        let cancelled = timers
            .cancel_timer(cancel(name))
            .await
            .unwrap()
            .into_inner();
        assert_eq!(cancelled.outcome(), CancelOutcome::NotFound);
        let rearm = v1::RearmTimerRequest {
            payload: None,
            name: name.into(),
            time: Some(v1::rearm_timer_request::Time::After(
                prost_types::Duration {
                    seconds: 1,
                    nanos: 0,
                },
            )),
            mode: 0,
            request_id: request_id(),
        };
        assert_eq!(
            timers.rearm_timer(rearm).await.unwrap_err().code(),
            Code::NotFound
        );
        let status = timers
            .pause_timer(v1::PauseTimerRequest::default())
            .await
            .unwrap_err();
        assert_eq!(status.code(), Code::InvalidArgument);
        server
    })
    .await;
}

#[tokio::test]
async fn a_rearmed_timer_has_its_new_time() {
    with_server(async |server| {
        let mut timers = server.timers();
        let timer = timers
            .create_timer(create("tea", timer_after(HOUR)))
            .await
            .unwrap();
        let timer = timer.into_inner().timer.unwrap();
        let at = prost_types::Timestamp {
            seconds: 4_000_000_000,
            nanos: 0,
        };
        let rearm = |at| v1::RearmTimerRequest {
            payload: None,
            name: timer.name.clone(),
            time: Some(v1::rearm_timer_request::Time::At(at)),
            mode: 0,
            request_id: request_id(),
        };
        let beyond = timers.rearm_timer(rearm(at)).await.unwrap_err();
        assert_eq!(
            (beyond.code(), fields(&beyond)),
            (Code::OutOfRange, vec!["at".to_owned()])
        );
        let at = prost_types::Timestamp {
            seconds: harness::now().0 / 1000 + 60,
            nanos: 0,
        };
        let moved = timers
            .rearm_timer(rearm(at))
            .await
            .unwrap()
            .into_inner()
            .timer
            .unwrap();
        assert_eq!(
            (moved.next_times.as_slice(), moved.generation),
            ([at].as_slice(), 2)
        );
        server
    })
    .await;
}

#[tokio::test]
async fn a_repeated_request_finds_its_own_work() {
    with_server(async |server| {
        let mut timers = server.timers();
        let request = create("", timer_after(HOUR));
        let first = timers
            .create_timer(request.clone())
            .await
            .unwrap()
            .into_inner();
        let second = timers
            .create_timer(request.clone())
            .await
            .unwrap()
            .into_inner();
        assert_eq!(first, second);
        let mut other = request;
        other.timer.as_mut().unwrap().payload = b"other".to_vec().into();
        let status = timers.create_timer(other).await.unwrap_err();
        assert_eq!(status.code(), Code::InvalidArgument);
        assert_eq!(fields(&status), ["request_id"]);
        server
    })
    .await;
}

#[tokio::test]
async fn bad_input_is_refused_with_its_field_and_nothing_is_stored() {
    with_server(async |server| {
        let mut timers = server.timers();
        let far = timer_after(11 * 366 * 24 * HOUR);
        let later = v1::Timer {
            effort: v1::Effort::AtMostOnce.into(),
            isolation: v1::Isolation::Fire.into(),
            ..timer_after(1)
        };
        let cases = [
            (
                create("No", timer_after(1)),
                Code::InvalidArgument,
                "timer_id",
            ),
            (
                create(
                    "a",
                    v1::Timer {
                        schedule: None,
                        ..timer_after(1)
                    },
                ),
                Code::InvalidArgument,
                "timer.schedule",
            ),
            (
                create(
                    "a",
                    v1::Timer {
                        misfire: 99,
                        ..timer_after(1)
                    },
                ),
                Code::InvalidArgument,
                "timer.misfire",
            ),
            (create("a", far), Code::OutOfRange, "timer.schedule.after"),
            (create("a", later), Code::InvalidArgument, "timer.isolation"),
        ];
        for (request, code, field) in cases {
            let status = timers.create_timer(request).await.unwrap_err();
            assert_eq!(
                (status.code(), fields(&status)),
                (code, vec![field.to_owned()])
            );
        }
        let negative = v1::ListTimersRequest {
            page_size: -1,
            ..Default::default()
        };
        let status = timers.list_timers(negative).await.unwrap_err();
        assert_eq!(status.code(), Code::InvalidArgument);
        let listed = timers
            .list_timers(v1::ListTimersRequest::default())
            .await
            .unwrap();
        assert!(listed.into_inner().timers.is_empty());
        server
    })
    .await;
}

#[tokio::test]
async fn a_batch_answers_item_by_item_and_pages_cover_every_pool_once() {
    with_server(async |server| {
        let mut timers = server.timers();
        let mut requests: Vec<_> = (0..25)
            .map(|n| create(&format!("t{n:02}"), timer_after(HOUR)))
            .collect();
        requests[7].timer_id = "Bad".into();
        requests[9].pool = "other".into();
        let batch = v1::BatchCreateTimersRequest { requests };
        let results = timers
            .batch_create_timers(batch)
            .await
            .unwrap()
            .into_inner()
            .results;
        let refused: Vec<_> = results
            .iter()
            .enumerate()
            .filter_map(|(at, item)| match item.result.as_ref().unwrap() {
                v1::create_timer_result::Result::Error(status) => Some((at, status.clone())),
                v1::create_timer_result::Result::Timer(_) => None,
            })
            .collect();
        assert_eq!((refused.len(), refused[0].0), (1, 7));
        assert!(refused[0].1.message.contains("requests[7].timer_id"));
        assert_eq!(refused[0].1.code, Code::InvalidArgument as i32);
        let mut names = Vec::new();
        let mut request = v1::ListTimersRequest {
            page_size: 10,
            ..Default::default()
        };
        loop {
            let page = timers
                .list_timers(request.clone())
                .await
                .unwrap()
                .into_inner();
            names.extend(page.timers.into_iter().map(|timer| timer.name));
            request.page_token = page.next_page_token;
            if request.page_token.is_empty() {
                break;
            }
        }
        assert_eq!(names.len(), 24);
        assert!(names.is_sorted() && names.last().unwrap() == "pools/other/timers/t09");
        let labelled = v1::ListTimersRequest {
            labels: [("a".to_owned(), "b".to_owned())].into(),
            ..Default::default()
        };
        let page = timers.list_timers(labelled).await.unwrap().into_inner();
        assert!(page.timers.is_empty() && page.next_page_token.is_empty());
        for size in [0, 1001] {
            let requests = vec![cancel("pools/default/timers/t00"); size];
            let batch = v1::BatchCancelTimersRequest { requests };
            let status = timers.batch_cancel_timers(batch).await.unwrap_err();
            assert_eq!(status.code(), Code::InvalidArgument);
        }
        server
    })
    .await;
}
