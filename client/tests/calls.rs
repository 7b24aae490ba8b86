//! The calls about timers and nodes: what is retried, what is not, and what an answer becomes.

#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

mod fake;

use dormouse_client::{
    Activity, CancelOutcome, Client, Cover, Error, Gap, NewTime, PreviewWindow, Repeated, Timer,
    TimerFilter, TimerState,
};
use dormouse_proto::v1 as wire;
use fake::{Agent, timer};
use std::collections::BTreeSet;
use std::time::Duration;
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt as _};

const NAME: &str = "pools/default/timers/t";

fn later(code: Code) -> Status {
    let details = ErrorDetails::with_retry_info(Some(Duration::from_millis(20)));
    Status::with_error_details(code, "later", details)
}

fn new_timer() -> Timer {
    Timer::after(Duration::from_secs(1)).handler("h").unwrap()
}

fn created() -> wire::CreateTimerResponse {
    wire::CreateTimerResponse {
        timer: Some(timer(NAME)),
    }
}

#[tokio::test]
async fn a_refusal_that_says_later_is_retried_with_the_same_request_id() {
    let agent = Agent::start().await;
    let create = &agent.scripts.create;
    create
        .answer(Err(later(Code::Unavailable)))
        .answer(Err(later(Code::ResourceExhausted)))
        .answer(Ok(created()));
    let info = agent.client().await.create(new_timer()).await.unwrap();
    assert_eq!(
        (info.name.as_str(), info.state),
        (NAME, TimerState::Scheduled)
    );
    let seen = create.seen();
    assert_eq!(seen.len(), 3);
    assert!(!seen[0].request_id.is_empty());
    assert!(seen.iter().all(|request| *request == seen[0]), "{seen:?}");
}

#[tokio::test]
async fn a_refusal_that_does_not_say_later_is_the_callers() {
    let agent = Agent::start().await;
    for code in [
        Code::Unavailable,
        Code::ResourceExhausted,
        Code::Aborted,
        Code::Internal,
    ] {
        agent.scripts.create.answer(Err(Status::new(code, "no")));
        let error = agent.client().await.create(new_timer()).await.unwrap_err();
        assert_eq!((error.code(), error.retry_after()), (code, None));
    }
    assert_eq!(agent.scripts.create.seen().len(), 4);
}

#[tokio::test]
async fn attempts_end() {
    let agent = Agent::start().await;
    for _ in 0..9 {
        agent.scripts.cancel.answer(Err(later(Code::Unavailable)));
    }
    let client = agent.client().await.attempts(3);
    let error = client.cancel(NAME).await.unwrap_err();
    assert_eq!(error.retry_after(), Some(Duration::from_millis(20)));
    assert_eq!(agent.scripts.cancel.seen().len(), 3);
}

#[tokio::test]
async fn every_change_has_a_version_7_request_id_of_its_own() {
    let agent = Agent::start().await;
    let client = agent.client().await;
    agent
        .scripts
        .create
        .answer(Ok(created()))
        .answer(Ok(created()));
    let rearmed = wire::RearmTimerResponse {
        timer: Some(timer(NAME)),
    };
    agent.scripts.rearm.answer(Ok(rearmed));
    let outcome = wire::CancelOutcome::Running.into();
    agent
        .scripts
        .cancel
        .answer(Ok(wire::CancelTimerResponse { outcome, token: 7 }));
    client.create(new_timer()).await.unwrap();
    client.create(new_timer()).await.unwrap();
    client
        .rearm(NAME, NewTime::After(Duration::from_secs(5)))
        .await
        .unwrap();
    assert_eq!(
        client.cancel(NAME).await.unwrap(),
        CancelOutcome::Running { token: 7 }
    );
    let mut ids: Vec<String> = agent
        .scripts
        .create
        .seen()
        .into_iter()
        .map(|r| r.request_id)
        .collect();
    ids.extend(agent.scripts.rearm.seen().into_iter().map(|r| r.request_id));
    ids.extend(
        agent
            .scripts
            .cancel
            .seen()
            .into_iter()
            .map(|r| r.request_id),
    );
    let versions: Vec<_> = ids
        .iter()
        .map(|id| uuid::Uuid::parse_str(id).unwrap().get_version_num())
        .collect();
    assert_eq!(versions, [7; 4]);
    assert_eq!(ids.iter().collect::<BTreeSet<_>>().len(), 4);
}

#[tokio::test]
async fn a_bad_name_is_refused_before_anything_is_sent() {
    let agent = Agent::start().await;
    let client = agent.client().await;
    assert!(matches!(
        client.cancel("t").await,
        Err(Error::InvalidArgument { .. })
    ));
    assert!(matches!(
        client.get("pools/p/timers/../t").await,
        Err(Error::InvalidArgument { .. })
    ));
    assert!(agent.scripts.cancel.seen().is_empty());
}

#[tokio::test]
async fn nobody_listening_is_unavailable_and_names_the_address() {
    let folder = tempfile::tempdir().unwrap();
    let error = fake::client_of(folder.path())
        .await
        .get(NAME)
        .await
        .unwrap_err();
    assert_eq!(error.code(), Code::Unavailable);
    assert!(error.to_string().contains("agent.sock"), "{error}");
    let error = Client::connect("http://127.0.0.1:1")
        .await
        .unwrap()
        .get(NAME)
        .await
        .unwrap_err();
    assert_eq!(error.code(), Code::Unavailable);
    assert!(error.to_string().contains("http://127.0.0.1:1"), "{error}");
}

#[tokio::test]
async fn no_answer_in_time_leaves_the_outcome_open() {
    let agent = Agent::start().await;
    let client = agent.client().await.timeout(Duration::from_millis(100));
    let error = client.create(new_timer()).await.unwrap_err();
    assert!(matches!(error, Error::TimedOut { .. }), "{error}");
    assert!(error.may_have_changed());
    assert_eq!(agent.scripts.create.seen().len(), 1);
}

#[tokio::test]
async fn pages_are_followed_to_the_last_one() {
    let agent = Agent::start().await;
    let page = |name: &str, next: &str| wire::ListTimersResponse {
        timers: vec![timer(name)],
        next_page_token: next.into(),
    };
    agent
        .scripts
        .list
        .answer(Ok(page("a", "2")))
        .answer(Err(later(Code::Unavailable)))
        .answer(Ok(page("b", "")));
    let filter = TimerFilter {
        home: "n1".into(),
        states: vec![TimerState::Running],
        ..TimerFilter::default()
    };
    let mut pages = agent.client().await.attempts(1).list(filter);
    assert_eq!(pages.next().await.unwrap().unwrap()[0].name, "a");
    assert!(pages.next().await.is_err());
    assert_eq!(pages.next().await.unwrap().unwrap()[0].name, "b");
    assert_eq!(pages.next().await.unwrap(), None);
    let seen = agent.scripts.list.seen();
    let tokens: Vec<_> = seen
        .iter()
        .map(|request| request.page_token.as_str())
        .collect();
    assert_eq!(tokens, ["", "2", "2"]);
    assert!(
        seen.iter()
            .all(|r| r.home == "n1" && r.states == [i32::from(wire::TimerState::Running)])
    );
}

#[tokio::test]
async fn an_agent_is_asked_about_its_own_activity() {
    let agent = Agent::start().await;
    let at = prost_types::Timestamp {
        seconds: 100,
        nanos: 0,
    };
    let sentry = wire::cover::Kind::Sentry(wire::Sentry { at: Some(at) });
    let node = wire::Node {
        node: "n1".into(),
        ..wire::Node::default()
    };
    agent.scripts.activity.answer(Ok(wire::SetActivityResponse {
        cover: Some(wire::Cover { kind: Some(sentry) }),
        node: Some(node),
    }));
    let change = agent
        .client()
        .await
        .set_activity("n1", Activity::Idle)
        .await
        .unwrap();
    let expected = Cover::Sentry {
        at: std::time::UNIX_EPOCH + Duration::from_secs(100),
    };
    assert_eq!(
        (change.cover, change.node.node.as_str()),
        (Some(expected), "n1")
    );
    let seen = agent.scripts.activity.seen();
    assert_eq!(
        (seen[0].activity(), seen[0].node.as_str()),
        (wire::Activity::Idle, "n1")
    );
}

#[tokio::test]
async fn an_agent_does_not_know_the_whole() {
    let agent = Agent::start().await;
    let client = agent.client().await;
    assert!(matches!(
        client.topology(None).await,
        Err(Error::Unimplemented { .. })
    ));
    assert!(matches!(
        client.nodes(None).await,
        Err(Error::Unimplemented { .. })
    ));
}

#[tokio::test]
async fn a_preview_asks_for_what_was_said_and_tells_what_was_answered() {
    let agent = Agent::start().await;
    let preview = &agent.scripts.preview;
    let time = |seconds, note: &str| wire::PreviewedTime {
        time: Some(prost_types::Timestamp { seconds, nanos: 0 }),
        local_time: format!("at {seconds}"),
        note: note.into(),
    };
    let times = vec![time(60, ""), time(120, "second copy")];
    preview
        .answer(Ok(wire::PreviewScheduleResponse { times }))
        .answer(Ok(wire::PreviewScheduleResponse {
            times: vec![wire::PreviewedTime::default()],
        }));
    let client = agent.client().await;
    let schedule = || Timer::cron_in("30 2 * * *", "Europe/Berlin");
    let window = PreviewWindow {
        after: Some(std::time::SystemTime::UNIX_EPOCH),
        count: 2,
        gap: Gap::Skip,
        repeated: Repeated::Both,
    };
    let found = client.preview(schedule(), window).await.unwrap();
    let found: Vec<_> = found
        .iter()
        .map(|it| (it.local_time.as_str(), it.note.as_deref()))
        .collect();
    assert_eq!(found, [("at 60", None), ("at 120", Some("second copy"))]);
    let asked = &preview.seen()[0];
    let dst = asked.dst.unwrap();
    assert_eq!(
        (dst.gap(), dst.overlap()),
        (wire::DstGap::Skip, wire::DstOverlap::Both)
    );
    assert_eq!(asked.count, 2);
    assert_eq!(asked.after_time.map(|time| time.seconds), Some(0));
    let without_time = client.preview(schedule(), PreviewWindow::default()).await;
    assert!(matches!(without_time, Err(Error::BadAnswer { .. })));
    assert_eq!(preview.seen()[1].after_time, None);
}
