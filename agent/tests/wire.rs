//! The agent's API over the wire, as the command line and workers in any language use it.
//!
//! What the wire means in detail is tested where it is converted; here it is tied to a whole agent.

#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

mod support;

use dormouse_agent::{Agent, Config};
use dormouse_proto::v1;
use std::time::Duration;
use support::{Coordinator, NOBODY, active, config};
use tempfile::TempDir;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Code;
use tonic::transport::Channel;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;
use v1::node_service_client::NodeServiceClient;
use v1::timer_service_client::TimerServiceClient;
use v1::work_request::Message as Up;
use v1::work_response::Message as Down;
use v1::worker_service_client::WorkerServiceClient;

struct Served {
    agent: Agent,
    channel: Channel,
    _dir: TempDir,
}

async fn serve(coordinator: &str) -> Served {
    let dir = tempfile::tempdir().unwrap();
    let config = config("n1", coordinator, &dir.path().join("n1"));
    let listen = "127.0.0.1:0".parse().unwrap();
    let agent = Agent::start(Config { listen, ..config }).await.unwrap();
    let address = format!("http://{}", agent.address());
    let channel = Channel::from_shared(address)
        .unwrap()
        .connect()
        .await
        .unwrap();
    Served {
        agent,
        channel,
        _dir: dir,
    }
}

fn create(id: &str, after_ms: u32) -> v1::CreateTimerRequest {
    let after = prost_types::Duration {
        seconds: (after_ms / 1_000).into(),
        nanos: i32::try_from(after_ms % 1_000 * 1_000_000).unwrap(),
    };
    v1::CreateTimerRequest {
        timer_id: id.into(),
        timer: Some(v1::Timer {
            schedule: Some(v1::Schedule {
                kind: Some(v1::schedule::Kind::After(after)),
            }),
            target: Some(v1::Target {
                kind: Some(v1::target::Kind::Handler(v1::HandlerTarget {
                    name: "h".into(),
                })),
            }),
            durability: v1::Durability::Local.into(),
            payload: "hello".into(),
            ..v1::Timer::default()
        }),
        ..v1::CreateTimerRequest::default()
    }
}

#[tokio::test]
async fn a_timer_created_over_the_wire_is_run_by_a_worker_over_the_wire() {
    let served = serve(NOBODY).await;
    let mut timers = TimerServiceClient::new(served.channel.clone());
    let created = timers
        .create_timer(create("t", 200))
        .await
        .unwrap()
        .into_inner()
        .timer
        .unwrap();
    assert_eq!(created.name, "pools/default/nodes/n1/timers/t");
    let (say, said) = mpsc::channel(8);
    let attach = Up::Attach(v1::Attach {
        handlers: vec!["h".into()],
        credits: 1,
    });
    say.send(v1::WorkRequest {
        message: Some(attach),
    })
    .await
    .unwrap();
    let mut work = WorkerServiceClient::new(served.channel.clone());
    let mut heard = work
        .work(ReceiverStream::new(said))
        .await
        .unwrap()
        .into_inner();
    let attached = heard.message().await.unwrap().unwrap().message.unwrap();
    assert!(matches!(attached, Down::Attached(attached) if attached.node == "n1"));
    let fired = heard.message().await.unwrap().unwrap().message.unwrap();
    let Down::Fire(v1::Fire { run: Some(run) }) = fired else {
        panic!("{fired:?}")
    };
    assert_eq!(
        (run.timer.as_str(), &run.payload[..]),
        (created.name.as_str(), &b"hello"[..])
    );
    let (due, launched) = (run.due_time.unwrap(), run.launched_time.unwrap());
    assert!(
        (launched.seconds, launched.nanos) >= (due.seconds, due.nanos),
        "early"
    );
    let ack = Up::Ack(v1::Ack {
        run: run.run,
        token: run.token,
    });
    say.send(v1::WorkRequest { message: Some(ack) })
        .await
        .unwrap();
    support::until("it is done", async || {
        let request = v1::GetTimerRequest {
            name: created.name.clone(),
        };
        let timer = timers
            .get_timer(request)
            .await
            .unwrap()
            .into_inner()
            .timer
            .unwrap();
        timer.state == v1::TimerState::Done as i32
    })
    .await;
    served.agent.stop().await.unwrap();
    assert!(
        matches!(heard.message().await, Ok(None)),
        "the worker is told by the end of its stream"
    );
}

#[tokio::test]
async fn bad_requests_have_their_codes() {
    let served = serve(NOBODY).await;
    let mut timers = TimerServiceClient::new(served.channel.clone());
    let mut code = async |request| {
        timers
            .create_timer(request)
            .await
            .err()
            .map(|status| status.code())
    };
    assert_eq!(code(create("UPPER", 1)).await, Some(Code::InvalidArgument));
    assert_eq!(
        code(v1::CreateTimerRequest::default()).await,
        Some(Code::InvalidArgument)
    );
    let elsewhere = v1::CreateTimerRequest {
        pool: "other".into(),
        ..create("t", 1)
    };
    assert_eq!(code(elsewhere).await, Some(Code::NotFound));
    assert_eq!(code(create("t", 3_600_000)).await, None);
    assert_eq!(
        code(create("t", 3_600_000)).await,
        Some(Code::AlreadyExists)
    );
    let mut nodes = NodeServiceClient::new(served.channel.clone());
    let mut activity = async |activity: i32, node: &str| {
        let request = v1::SetActivityRequest {
            activity,
            node: node.into(),
        };
        nodes
            .set_activity(request)
            .await
            .err()
            .map(|status| status.code())
    };
    assert_eq!(activity(0, "").await, Some(Code::InvalidArgument));
    assert_eq!(activity(99, "").await, Some(Code::InvalidArgument));
    assert_eq!(activity(2, "n2").await, Some(Code::NotFound));
    assert_eq!(activity(2, "N1").await, Some(Code::InvalidArgument));
    served.agent.stop().await.unwrap();
}

#[tokio::test]
async fn a_node_tells_how_it_is_and_obeys() {
    let coordinator = Coordinator::start().await;
    let served = serve(&coordinator.url()).await;
    active(&served.agent).await;
    let mut nodes = NodeServiceClient::new(served.channel.clone());
    let node = nodes
        .get_node(v1::GetNodeRequest {})
        .await
        .unwrap()
        .into_inner()
        .node
        .unwrap();
    assert_eq!(
        (node.node.as_str(), node.pool.as_str(), node.rack.as_str()),
        ("n1", "default", "r1")
    );
    assert_eq!(node.state, v1::NodeState::Active as i32);
    assert!(
        node.epoch > 0 && node.session > 0 && node.cover.is_none(),
        "{node:?}"
    );
    let mut activity = async |activity: v1::Activity| {
        let request = v1::SetActivityRequest {
            activity: activity.into(),
            node: "n1".into(),
        };
        nodes.set_activity(request).await.unwrap().into_inner()
    };
    let slept = activity(v1::Activity::Idle).await;
    assert!(
        matches!(slept.cover.unwrap().kind, Some(v1::cover::Kind::Covered(_))),
        "nothing to cover"
    );
    assert_eq!(slept.node.unwrap().state, v1::NodeState::Idle as i32);
    let woken = activity(v1::Activity::Automatic).await;
    assert_eq!(woken.cover, None);
    assert_eq!(woken.node.unwrap().state, v1::NodeState::Active as i32);
    served.agent.stop().await.unwrap();
}

#[tokio::test]
async fn it_is_healthy_while_it_serves() {
    let served = serve(NOBODY).await;
    let mut health = HealthClient::new(served.channel.clone());
    for service in [
        "",
        "dormouse.v1.TimerService",
        "dormouse.v1.WorkerService",
        "dormouse.v1.NodeService",
    ] {
        support::until("it is healthy", async || {
            let request = HealthCheckRequest {
                service: service.into(),
            };
            health
                .check(request)
                .await
                .is_ok_and(|answer| answer.into_inner().status == 1)
        })
        .await;
    }
    let stopped = tokio::time::timeout(Duration::from_secs(5), served.agent.stop()).await;
    assert!(stopped.unwrap().is_ok());
}
