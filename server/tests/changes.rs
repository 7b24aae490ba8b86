//! Changes of timers over gRPC: edits, pauses, runs, and the two streams.

#![allow(
    missing_docs,
    unreachable_pub,
    dead_code,
    clippy::unwrap_used,
    reason = "the harness is shared by several programs, all of them tests"
)]

mod harness;

use dormouse_proto::v1;
use harness::{PATIENCE, Server, create, request_id, timer_after};
use prost_types::FieldMask;
use tokio::time::timeout;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Streaming};
use tonic_types::StatusExt as _;
use v1::watch_timers_response::Change;

const HOUR: u64 = 3_600_000;
const NAME: &str = "pools/default/timers/a";

async fn with_server<F: AsyncFnOnce(Server) -> Server>(test: F) {
    let data = tempfile::tempdir().unwrap();
    let server = Server::start(data.path()).await;
    test(server).await.stop().await;
}

async fn created(server: &Server, id: &str) -> v1::Timer {
    let mut timers = server.timers();
    let created = timers.create_timer(create(id, timer_after(HOUR)));
    created.await.unwrap().into_inner().timer.unwrap()
}

fn update(timer: v1::Timer, paths: &[&str]) -> v1::UpdateTimerRequest {
    v1::UpdateTimerRequest {
        timer: Some(v1::Timer {
            name: NAME.into(),
            ..timer
        }),
        update_mask: Some(FieldMask {
            paths: paths.iter().map(|&path| path.to_owned()).collect(),
        }),
        request_id: request_id(),
        ..Default::default()
    }
}

fn named() -> (String, String) {
    (NAME.to_owned(), request_id())
}

#[tokio::test]
async fn an_edit_changes_what_it_names_and_minds_its_tag() {
    with_server(async |server| {
        let mut timers = server.timers();
        let before = created(&server, "a").await;
        let wanted = v1::Timer {
            overlap: v1::Overlap::Allow.into(),
            payload: b"other".to_vec().into(),
            etag: before.etag.clone(),
            ..v1::Timer::default()
        };
        let asked = update(wanted.clone(), &["overlap"]);
        let after = timers.update_timer(asked.clone()).await.unwrap();
        let after = after.into_inner().timer.unwrap();
        assert_eq!(after.overlap(), v1::Overlap::Allow);
        assert_eq!(after.payload, before.payload, "it was not named");
        assert!(after.generation > before.generation && after.etag != before.etag);

        let again = timers.update_timer(asked).await.unwrap();
        assert_eq!(again.into_inner().timer.unwrap(), after, "it is done once");
        let stale = timers.update_timer(update(wanted, &["overlap"])).await;
        assert_eq!(stale.unwrap_err().code(), Code::Aborted);
        server
    })
    .await;
}

#[tokio::test]
async fn an_upsert_creates_and_then_changes() {
    with_server(async |server| {
        let mut timers = server.timers();
        let labelled = |value: &str| v1::UpdateTimerRequest {
            allow_missing: true,
            ..update(
                v1::Timer {
                    labels: [("k".to_owned(), value.to_owned())].into(),
                    ..timer_after(HOUR)
                },
                &["labels"],
            )
        };
        let missing = v1::UpdateTimerRequest {
            allow_missing: false,
            ..labelled("0")
        };
        let status = timers.update_timer(missing).await.unwrap_err();
        assert_eq!(status.code(), Code::NotFound);
        let mut uids = Vec::new();
        for value in ["1", "2"] {
            let timer = timers.update_timer(labelled(value)).await.unwrap();
            let timer = timer.into_inner().timer.unwrap();
            assert_eq!(
                (timer.name.as_str(), timer.labels["k"].as_str()),
                (NAME, value)
            );
            uids.push(timer.uid);
        }
        assert_eq!(uids[0], uids[1]);
        server
    })
    .await;
}

#[tokio::test]
async fn a_paused_timer_says_so_until_it_is_resumed() {
    with_server(async |server| {
        let mut timers = server.timers();
        created(&server, "a").await;
        let (name, request_id) = named();
        let paused = timers.pause_timer(v1::PauseTimerRequest { name, request_id });
        let paused = paused.await.unwrap().into_inner().timer.unwrap();
        assert_eq!(paused.state(), v1::TimerState::Paused);
        assert!(paused.paused && paused.next_times.is_empty());
        let (name, request_id) = named();
        let resumed = timers.resume_timer(v1::ResumeTimerRequest { name, request_id });
        let resumed = resumed.await.unwrap().into_inner().timer.unwrap();
        assert_eq!(resumed.state(), v1::TimerState::Scheduled);
        assert_eq!(resumed.next_times.len(), 1);
        server
    })
    .await;
}

#[tokio::test]
async fn a_run_that_was_asked_for_waits_for_somebody_to_run_it() {
    with_server(async |server| {
        let mut timers = server.timers();
        created(&server, "a").await;
        let (name, request_id) = named();
        let asked = v1::RunTimerRequest { name, request_id };
        let run = timers
            .run_timer(asked)
            .await
            .unwrap()
            .into_inner()
            .run
            .unwrap();
        assert_eq!(
            (run.state(), run.timer.as_str()),
            (v1::RunState::Waiting, NAME)
        );
        let runs = v1::ListRunsRequest {
            name: NAME.into(),
            ..Default::default()
        };
        let runs = timers.list_runs(runs).await.unwrap().into_inner();
        assert_eq!((runs.runs, runs.next_page_token.as_str()), (Vec::new(), ""));
        let dead = v1::PurgeDeadRunRequest {
            name: NAME.into(),
            run: run.run,
            request_id: String::new(),
        };
        let status = timers.purge_dead_run(dead).await.unwrap_err();
        assert_eq!(status.code(), Code::NotFound, "it is not dead: {status}");
        server
    })
    .await;
}

async fn told(stream: &mut Streaming<v1::WatchTimersResponse>) -> v1::WatchTimersResponse {
    let told = timeout(PATIENCE, stream.message()).await;
    told.expect("there is news").unwrap().expect("it goes on")
}

/// The full name of the timer that is told, and the token after it.
async fn timer_told(stream: &mut Streaming<v1::WatchTimersResponse>) -> (String, String) {
    let told = told(stream).await;
    match told.change {
        Some(Change::Timer(timer)) => (timer.name, told.resume_token),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_watch_begins_with_everything_and_goes_on_after_its_token() {
    with_server(async |server| {
        let mut timers = server.timers();
        created(&server, "a").await;
        created(&server, "b").await;
        let watch = v1::WatchTimersRequest::default();
        let mut stream = timers
            .watch_timers(watch.clone())
            .await
            .unwrap()
            .into_inner();
        let first = told(&mut stream).await;
        assert!(first.reset && first.change.is_none());
        assert_eq!(timer_told(&mut stream).await, (NAME.into(), String::new()));
        let (name, token) = timer_told(&mut stream).await;
        assert!(name.ends_with("/b") && !token.is_empty());

        created(&server, "c").await;
        assert!(timer_told(&mut stream).await.0.ends_with("/c"));
        let cancel = v1::CancelTimerRequest {
            name: NAME.into(),
            ..Default::default()
        };
        timers.cancel_timer(cancel).await.unwrap();
        let removed = told(&mut stream).await.change;
        assert_eq!(removed, Some(Change::Removed(NAME.into())));

        let again = v1::WatchTimersRequest {
            resume_token: token,
            ..watch.clone()
        };
        let mut stream = timers.watch_timers(again).await.unwrap().into_inner();
        assert!(timer_told(&mut stream).await.0.ends_with("/c"));

        for (resume_token, code) in [("x", Code::InvalidArgument), ("", Code::NotFound)] {
            let wrong = v1::WatchTimersRequest {
                pool: if resume_token.is_empty() {
                    "none".into()
                } else {
                    String::new()
                },
                resume_token: resume_token.into(),
            };
            let status = timers.watch_timers(wrong).await.unwrap_err();
            assert_eq!(status.code(), code);
        }
        let elsewhere = v1::WatchTimersRequest {
            resume_token: "1234.5".into(),
            ..watch
        };
        let mut stream = timers.watch_timers(elsewhere).await.unwrap().into_inner();
        assert!(told(&mut stream).await.reset, "another process's token");
        server
    })
    .await;
}

#[tokio::test]
async fn streams_end_with_the_server() {
    let data = tempfile::tempdir().unwrap();
    let server = Server::start(data.path()).await;
    let mut timers = server.timers();
    let watch = v1::WatchTimersRequest::default();
    let mut watch = timers.watch_timers(watch).await.unwrap().into_inner();
    assert!(told(&mut watch).await.reset);
    let (up, requests) = tokio::sync::mpsc::channel(1);
    let pipeline = timers
        .pipeline(ReceiverStream::new(requests))
        .await
        .unwrap();
    let mut pipeline = pipeline.into_inner();
    server.stop().await;
    while let Ok(Some(_)) = timeout(PATIENCE, watch.message()).await.unwrap() {}
    assert!(!matches!(
        timeout(PATIENCE, pipeline.message()).await.unwrap(),
        Ok(Some(_))
    ));
    drop(up);
}

#[tokio::test]
async fn a_pipeline_answers_each_by_its_id_and_outlives_a_wrong_one() {
    use v1::pipeline_request::Request;
    use v1::pipeline_response::Response;
    with_server(async |server| {
        let (up, requests) = tokio::sync::mpsc::channel(64);
        let say = async |id, request| {
            up.send(v1::PipelineRequest { id, request }).await.unwrap();
        };
        for id in 1..=50 {
            let new = create(&format!("p{id}"), timer_after(HOUR));
            say(id, Some(Request::Create(new))).await;
        }
        say(51, None).await;
        say(52, Some(Request::Create(create("No", timer_after(HOUR))))).await;
        let missing = v1::CancelTimerRequest {
            name: NAME.into(),
            ..Default::default()
        };
        say(53, Some(Request::Cancel(missing))).await;
        drop(up);
        let answers = server
            .timers()
            .pipeline(ReceiverStream::new(requests))
            .await;
        let mut answers = answers.unwrap().into_inner();
        let mut seen = std::collections::BTreeMap::new();
        while let Some(answer) = timeout(PATIENCE, answers.message()).await.unwrap().unwrap() {
            seen.insert(answer.id, answer.response.unwrap());
        }
        assert_eq!(seen.len(), 53);
        for id in 1..=50 {
            let Some(Response::Create(created)) = seen.get(&id) else {
                panic!("{:?}", seen[&id])
            };
            let name = &created.timer.as_ref().unwrap().name;
            assert!(name.ends_with(&format!("/p{id}")));
        }
        for (id, field) in [(51, "request"), (52, "create.timer_id")] {
            let Response::Error(status) = &seen[&id] else {
                panic!("{:?}", seen[&id])
            };
            assert_eq!(status.code, i32::from(Code::InvalidArgument));
            assert!(status.message.contains(field), "{status:?}");
        }
        let Response::Cancel(cancelled) = &seen[&53] else {
            panic!("{:?}", seen[&53])
        };
        assert_eq!(cancelled.outcome(), v1::CancelOutcome::NotFound);
        server
    })
    .await;
}

#[tokio::test]
async fn a_batch_answers_each_item_also_if_two_are_the_same() {
    use v1::create_timer_result::Result as Item;
    with_server(async |server| {
        let item = |id: &str| create(id, timer_after(HOUR));
        let same = item("b");
        let requests = vec![item("a"), item("a"), item("No"), same.clone(), same];
        let batch = v1::BatchCreateTimersRequest { requests };
        let results = server.timers().batch_create_timers(batch).await.unwrap();
        let results = results.into_inner().results;
        let code = |at: usize| match &results[at].result {
            Some(Item::Timer(_)) => Code::Ok,
            Some(Item::Error(status)) => Code::from(status.code),
            None => panic!("it is answered"),
        };
        let codes: Vec<_> = (0..5).map(code).collect();
        let expected = [
            Code::Ok,
            Code::AlreadyExists,
            Code::InvalidArgument,
            Code::Ok,
            Code::Ok,
        ];
        assert_eq!(codes, expected);
        let Some(Item::Error(status)) = &results[2].result else {
            panic!("it is refused")
        };
        assert!(status.message.contains("requests[2].timer_id"));
        let details = tonic::Status::with_details(
            Code::InvalidArgument,
            "",
            prost::Message::encode_to_vec(status).into(),
        );
        assert!(details.get_error_details().bad_request().is_some());
        server
    })
    .await;
}
