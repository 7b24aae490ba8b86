//! Edits, runs, watches and pipelines: what is sent for the words that were said, and what a break costs.

#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

mod fake;

use dormouse_client::{Error, Http, Misfire, Overlap, Rearm, Retry, RunState, Timer, TimerChange};
use dormouse_client::{NewTime, Target};
use dormouse_proto::v1 as wire;
use fake::{Agent, timer};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use wire::watch_timers_response::Change;

const NAME: &str = "pools/default/timers/t";

fn updated() -> wire::UpdateTimerResponse {
    wire::UpdateTimerResponse {
        timer: Some(timer(NAME)),
    }
}

fn instant(seconds: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(seconds)
}

#[tokio::test]
async fn an_edit_names_what_was_said_and_nothing_else() {
    let agent = Agent::start().await;
    agent
        .scripts
        .update
        .answer(Ok(updated()))
        .answer(Ok(updated()));
    let client = agent.client().await;
    let edit = client.update(NAME).unwrap();
    let edit = edit
        .between(instant(5), instant(9))
        .at_most(3)
        .retry(Retry::attempts(2))
        .labels([("k", "v")])
        .only_if("1-7");
    edit.send().await.unwrap();
    let edit = client.update(NAME).unwrap().unbounded().or_create();
    edit.schedule(Timer::cron("@daily")).send().await.unwrap();

    let seen = agent.scripts.update.seen();
    let paths = |at: usize| seen[at].update_mask.clone().unwrap().paths;
    let bounds = ["end_time", "max_occurrences", "start_time"];
    assert_eq!(
        paths(0),
        [
            "end_time",
            "labels",
            "max_occurrences",
            "retry",
            "start_time"
        ]
    );
    let first = seen[0].timer.as_ref().unwrap();
    assert_eq!((first.name.as_str(), first.etag.as_str()), (NAME, "1-7"));
    assert_eq!(first.max_occurrences, 3);
    assert_eq!(first.retry.unwrap().max_attempts, 2);
    assert!(!seen[0].allow_missing && seen[1].allow_missing);
    assert!(
        bounds
            .iter()
            .all(|path| paths(1).contains(&(*path).to_owned()))
    );
    assert_eq!(seen[1].timer.as_ref().unwrap().end_time, None);

    let nothing = client.update(NAME).unwrap().send().await;
    assert!(matches!(nothing, Err(Error::InvalidArgument { .. })));
    assert_eq!(agent.scripts.update.seen().len(), 2);
}

#[tokio::test]
async fn every_choice_is_sent_and_read_alike() {
    let agent = Agent::start().await;
    let client = agent.client().await;
    let http = Http::put("https://example.com/x")
        .header("X-A", "b")
        .success(200..=204)
        .signed_with("k");
    let wanted = Timer::every(Duration::from_secs(60))
        .unwrap()
        .http(http.clone())
        .unwrap()
        .misfire(Misfire::All)
        .misfire_cap(7)
        .overlap(Overlap::Replace)
        .jitter(Duration::from_secs(3))
        .expires_at(instant(9))
        .at_most_once()
        .paused();
    // Whoever answers has the request's own timer.
    let scripts = agent.scripts.clone();
    let answer = tokio::spawn(async move {
        let sent = loop {
            if let Some(sent) = scripts.create.seen().pop() {
                break sent;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        };
        sent.timer.unwrap()
    });
    let asked = client
        .clone()
        .attempts(1)
        .timeout(Duration::from_millis(500));
    let _ = asked.create(wanted).await;
    let sent = answer.await.unwrap();
    let echoed = wire::Timer {
        name: NAME.into(),
        durability: wire::Durability::Replicated.into(),
        ..sent
    };
    agent.scripts.update.answer(Ok(wire::UpdateTimerResponse {
        timer: Some(echoed),
    }));
    let read = client
        .update(NAME)
        .unwrap()
        .paused(true)
        .send()
        .await
        .unwrap();
    assert_eq!(read.target, Target::Http(http));
    assert!(read.paused);
    let policy = read.policy;
    assert_eq!(
        (policy.misfire, policy.misfire_cap, policy.overlap),
        (Some(Misfire::All), Some(7), Some(Overlap::Replace))
    );
    assert_eq!(
        (policy.jitter, policy.expires),
        (Some(Duration::from_secs(3)), Some(instant(9)))
    );
    assert_eq!(policy.effort, Some(dormouse_client::Effort::AtMostOnce));
}

#[tokio::test]
async fn a_rearm_says_what_wins() {
    let agent = Agent::start().await;
    let rearmed = || wire::RearmTimerResponse {
        timer: Some(timer(NAME)),
    };
    agent
        .scripts
        .rearm
        .answer(Ok(rearmed()))
        .answer(Ok(rearmed()));
    let client = agent.client().await;
    let soon = NewTime::After(Duration::from_secs(1));
    client.rearm(NAME, soon).await.unwrap();
    let kept = Rearm::to(soon).keep_time().payload("new");
    client.rearm(NAME, kept).await.unwrap();
    let seen = agent.scripts.rearm.seen();
    assert_eq!(
        (seen[0].mode(), seen[0].payload.as_deref()),
        (wire::RearmMode::Replace, None)
    );
    assert_eq!(
        (seen[1].mode(), seen[1].payload.as_deref()),
        (wire::RearmMode::KeepTime, Some(b"new".as_slice()))
    );
}

#[tokio::test]
async fn pages_of_runs_follow_their_tokens() {
    let agent = Agent::start().await;
    let page = |token: &str| wire::ListRunsResponse {
        runs: vec![wire::RunRecord {
            state: wire::RunState::Skipped.into(),
            reason: "overlap".into(),
            ..Default::default()
        }],
        next_page_token: token.into(),
    };
    agent
        .scripts
        .runs
        .answer(Ok(page("2")))
        .answer(Ok(page("")));
    let client = agent.client().await;
    let mut pages = client.runs(NAME, &[RunState::Skipped]).unwrap();
    let mut count = 0;
    while let Some(runs) = pages.next().await.unwrap() {
        assert_eq!(
            (runs[0].state, runs[0].reason.as_str()),
            (RunState::Skipped, "overlap")
        );
        count += runs.len();
    }
    assert_eq!((count, pages.has_more()), (2, false));
    let seen = agent.scripts.runs.seen();
    assert_eq!(
        (seen[0].page_token.as_str(), seen[1].page_token.as_str()),
        ("", "2")
    );
    assert_eq!(seen[0].states, [i32::from(wire::RunState::Skipped)]);
}

fn told(name: &str, token: &str) -> wire::WatchTimersResponse {
    wire::WatchTimersResponse {
        change: Some(Change::Timer(timer(name))),
        resume_token: token.into(),
        reset: false,
    }
}

#[tokio::test]
async fn a_watch_goes_on_after_the_last_token_when_the_stream_has_ended() {
    let agent = Agent::start().await;
    let reset = wire::WatchTimersResponse {
        reset: true,
        ..Default::default()
    };
    let scripts = &agent.scripts.watch;
    scripts
        .answer(Ok(vec![
            reset,
            told("pools/default/timers/a", ""),
            told("pools/default/timers/b", "1.5"),
        ]))
        .answer(Err(tonic::Status::unavailable("gone")))
        .answer(Ok(vec![told("pools/default/timers/c", "1.6")]))
        .answer(Err(tonic::Status::not_found("there is no pool")));
    let client = agent.client().await;
    let mut watch = client.watch("default").unwrap();
    assert_eq!(watch.next().await.unwrap(), TimerChange::Reset);
    let mut tokens = Vec::new();
    for id in ["a", "b", "c"] {
        let TimerChange::Timer(timer) = watch.next().await.unwrap() else {
            panic!("a timer is told")
        };
        assert!(timer.name.ends_with(id));
        tokens.push(watch.token().to_owned());
    }
    assert_eq!(tokens, ["", "1.5", "1.6"]);
    let error = watch.next().await.unwrap_err();
    assert!(matches!(error, Error::NotFound { .. }), "{error}");
    let asked: Vec<_> = scripts
        .seen()
        .into_iter()
        .map(|it| it.resume_token)
        .collect();
    assert_eq!(asked, ["", "1.5", "1.5", "1.6"]);
}

#[tokio::test]
async fn a_pipeline_answers_each_caller_and_survives_a_break() {
    let agent = Agent::start().await;
    let client = agent.client().await;
    let pipeline = client.pipeline();
    let new = |id: &str| {
        let timer = Timer::after(Duration::from_secs(9)).handler("h").unwrap();
        timer.name(id).unwrap()
    };
    let broken = pipeline.create(new("breaks")).await.unwrap();
    assert!(broken.name.ends_with("/breaks"));
    let sent = agent.scripts.pipeline.lock().unwrap().clone();
    assert!(sent.len() >= 3, "it was tried again");
    let id = |at: usize| match &sent[at].request {
        Some(wire::pipeline_request::Request::Create(create)) => create.request_id.clone(),
        other => panic!("{other:?}"),
    };
    assert!(
        (1..sent.len()).all(|at| id(at) == id(0)),
        "with the same id"
    );

    let refused = pipeline.create(new("refused")).await.unwrap_err();
    assert!(matches!(refused, Error::AlreadyExists { .. }), "{refused}");
    let mut tasks = tokio::task::JoinSet::new();
    for n in 0..100 {
        let (pipeline, timer) = (pipeline.clone(), new(&format!("t{n}")));
        tasks.spawn(async move { (n, pipeline.create(timer).await.unwrap().name) });
    }
    while let Some(created) = tasks.join_next().await {
        let (n, name) = created.unwrap();
        assert_eq!(name, format!("pools/default/timers/t{n}"));
    }
}
