//! What nodes and operators see: sessions that are driven by hand, the topology, steering.

#![allow(
    missing_docs,
    unreachable_pub,
    dead_code,
    clippy::unwrap_used,
    reason = "the harness is shared by several programs, all of them tests"
)]

mod harness;

use dormouse_edge::session::write_node;
use dormouse_engine::message::{Act, CoordinatorMessage, Items, NodeMessage, Order, Reply};
use dormouse_engine::op::{Activity, Answer, Op};
use dormouse_engine::timer::{HandlerName, Outcome, Run};
use dormouse_proto::v1;
use dormouse_server::Config;
use harness::{Node, Server, config, create, hello, timer_after};
use std::time::Duration;
use tonic::Code;
use tonic_types::StatusExt as _;

const HOUR: u64 = 3_600_000;

async fn with_server<F: AsyncFnOnce(Server) -> Server>(test: F) {
    let data = tempfile::tempdir().unwrap();
    let server = test(Server::start(data.path()).await).await;
    server.stop().await;
}

/// With a lease that does not end while a busy machine runs the test.
async fn with_long_leases<F: AsyncFnOnce(Server) -> Server>(test: F) {
    let data = tempfile::tempdir().unwrap();
    let config = Config {
        lease: Duration::from_secs(30),
        ..config(data.path())
    };
    let server = test(Server::start_with(config).await).await;
    server.stop().await;
}

fn places(count: u32) -> Items {
    let handlers = [(HandlerName::new("mail").unwrap(), count)].into();
    Items {
        capacity: Some(handlers),
        ..Items::default()
    }
}

async fn due(node: &mut Node) -> Run {
    loop {
        let message = node.next().await.unwrap().expect("the session goes on");
        if let CoordinatorMessage::Order {
            order: Order::Due { mut runs },
            ..
        } = message
        {
            return runs.pop().expect("a run");
        }
    }
}

#[tokio::test]
async fn a_due_timer_of_the_pool_is_run_once_by_the_node_that_is_awake() {
    with_server(async |server| {
        let mut node = server.awake("n1").await;
        node.report(Act::Stay, places(1)).await;
        let created = server
            .timers()
            .create_timer(create("soon", timer_after(50)))
            .await
            .unwrap();
        let name = created.into_inner().timer.unwrap().name;
        let run = due(&mut node).await;
        assert!(harness::now() >= run.due, "never early");
        assert_eq!((run.name.to_string(), run.attempt), (name.clone(), 1));
        let accepted = Items {
            accepted: vec![run.token],
            ..Items::default()
        };
        assert_eq!(node.report(Act::Stay, accepted).await.reply, Reply::Noted);
        let outcomes = vec![(run.uid, run.token, Outcome::Done)];
        node.report(
            Act::Stay,
            Items {
                outcomes,
                ..Items::default()
            },
        )
        .await;
        let found = server
            .timers()
            .get_timer(v1::GetTimerRequest { name })
            .await
            .unwrap();
        let timer = found.into_inner().timer.unwrap();
        assert_eq!(timer.state(), v1::TimerState::Done);
        assert_eq!(timer.last_run.unwrap().token, run.token.0);
        server
    })
    .await;
}

#[tokio::test]
async fn the_last_node_to_sleep_becomes_the_sentry_and_the_topology_shows_it() {
    with_server(async |server| {
        let mut node = server.awake("n1").await;
        let created = server
            .timers()
            .create_timer(create("later", timer_after(HOUR)))
            .await
            .unwrap();
        let at = created.into_inner().timer.unwrap().next_times[0];
        let idle = harness::idle();
        let answer = node.report(idle, Items::default()).await;
        let Reply::Parked { cover, .. } = answer.reply else {
            panic!("{answer:?}")
        };
        assert!(
            matches!(cover, dormouse_engine::hierarchy::Cover::Sentry { .. }),
            "{cover:?}"
        );
        let topology = server
            .admin()
            .get_topology(v1::GetTopologyRequest::default())
            .await
            .unwrap();
        let pool = topology.into_inner().pools.pop().unwrap();
        let sentry = pool.sentry.unwrap();
        assert_eq!((sentry.node.as_str(), sentry.at), ("n1", Some(at)));
        assert_eq!(pool.groups[0].members[0], "n1");
        assert_eq!(pool.nodes[0].state(), v1::NodeState::Idle);
        server
    })
    .await;
}

#[tokio::test]
async fn an_operator_sends_a_node_to_sleep_and_is_told_the_cover() {
    with_server(async |server| {
        let mut node = server.awake("n1").await;
        let mut admin = server.admin();
        let request = v1::SetNodeActivityRequest {
            node: "n1".into(),
            activity: v1::Activity::Idle.into(),
            ..Default::default()
        };
        let asked = tokio::spawn(async move { admin.set_node_activity(request).await });
        let (id, op) = loop {
            let message = node.next().await.unwrap().expect("the session goes on");
            if let CoordinatorMessage::Order {
                order: Order::Change { id, op },
                ..
            } = message
            {
                break (id, op);
            }
        };
        assert!(
            matches!(
                op,
                Op::Activity {
                    activity: Activity::Idle,
                    ..
                }
            ),
            "{op:?}"
        );
        let idle = harness::idle();
        let answer = node.report(idle, Items::default()).await;
        let Reply::Parked { cover, epoch } = answer.reply else {
            panic!("{answer:?}")
        };
        node.owned.epoch = epoch;
        let answers = vec![(
            id,
            Answer::Activity {
                cover: Some(cover),
                uncovered: None,
            },
        )];
        node.report(
            Act::Stay,
            Items {
                answers,
                ..Items::default()
            },
        )
        .await;
        let response = asked.await.unwrap().unwrap().into_inner();
        let kind = response.cover.unwrap().kind.unwrap();
        assert!(matches!(kind, v1::cover::Kind::Covered(_)), "{kind:?}");
        assert_eq!(response.node.unwrap().state(), v1::NodeState::Idle);
        server
    })
    .await;
}

#[tokio::test]
async fn nodes_are_listed_in_pages_and_unknown_ones_are_not_found() {
    with_server(async |server| {
        let mut nodes = Vec::new();
        for name in ["n1", "n2", "n3"] {
            nodes.push(server.awake(name).await);
        }
        let mut admin = server.admin();
        let mut request = v1::ListNodesRequest {
            page_size: 2,
            ..Default::default()
        };
        let first = admin
            .list_nodes(request.clone())
            .await
            .unwrap()
            .into_inner();
        request.page_token = first.next_page_token;
        let second = admin
            .list_nodes(request.clone())
            .await
            .unwrap()
            .into_inner();
        let shown = first.nodes.iter().chain(&second.nodes);
        let names: Vec<_> = shown.map(|node| node.node.as_str()).collect();
        assert_eq!(names, ["n1", "n2", "n3"]);
        assert_eq!(second.next_page_token, "");
        request.page_token = "forged".into();
        assert_eq!(
            admin.list_nodes(request).await.unwrap_err().code(),
            Code::InvalidArgument
        );
        let mut get = v1::AdminServiceGetNodeRequest {
            node: "n2".into(),
            ..Default::default()
        };
        let node = admin
            .get_node(get.clone())
            .await
            .unwrap()
            .into_inner()
            .node
            .unwrap();
        assert_eq!((node.state(), node.eligible), (v1::NodeState::Active, true));
        get.node = "n9".into();
        assert_eq!(
            admin.get_node(get).await.unwrap_err().code(),
            Code::NotFound
        );
        let info = admin
            .server_info(v1::ServerInfoRequest {})
            .await
            .unwrap()
            .into_inner();
        assert_eq!(
            (info.nodes_connected, info.pools),
            (3, vec!["default".to_owned()])
        );
        assert!(!info.tz_database_version.is_empty() && info.log_index > 0);
        server
    })
    .await;
}

#[tokio::test]
async fn a_second_process_of_the_same_name_fences_the_first() {
    with_server(async |server| {
        let mut first = server.awake("n1").await;
        let second = server.hello(hello("n1")).await.unwrap();
        assert!(second.welcome.session > first.owned.session);
        loop {
            match first.next().await {
                Ok(Some(CoordinatorMessage::Fenced { session, replaced })) => {
                    assert_eq!((session, replaced), (first.owned.session, true));
                    break;
                }
                Ok(Some(_)) => {}
                other => panic!("{other:?}"),
            }
        }
        server
    })
    .await;
}

#[tokio::test]
async fn a_stream_that_does_not_begin_with_a_good_hello_is_refused() {
    with_server(async |server| {
        let active = NodeMessage::Report(dormouse_engine::message::Report {
            session: dormouse_engine::id::Session(1),
            seq: 1,
            epoch: dormouse_engine::id::Epoch(1),
            act: Act::Stay,
            items: Items::default(),
        });
        let mut no_rack = write_node(NodeMessage::Hello(hello("n1")));
        if let Some(v1::node_message::Message::Hello(hello)) = &mut no_rack.message {
            hello.rack = "Rack".into();
        }
        let empty = v1::NodeMessage { message: None };
        for (first, field) in [
            (write_node(active), "message"),
            (no_rack, "hello.rack"),
            (empty, "message"),
        ] {
            let status = server.speak(first).await.err().expect("refused");
            assert_eq!(status.code(), Code::InvalidArgument);
            assert!(status.message().starts_with(field), "{status:?}");
        }
        server
    })
    .await;
}

/// Counts what is said until nothing is said for a moment.
async fn hear_out(node: &mut Node) -> usize {
    let mut heard = 0;
    while let Ok(said) = tokio::time::timeout(Duration::from_millis(500), node.next()).await {
        said.expect("the session is open").expect("and goes on");
        heard += 1;
    }
    heard
}

#[tokio::test]
async fn a_node_that_reads_nothing_for_a_while_is_told_less_and_not_cut_off() {
    with_long_leases(async |server| {
        let mut node = server.narrow().await.awake("n1").await;
        for _ in 0..5_000 {
            node.heartbeat().await;
        }
        let heard = hear_out(&mut node).await;
        assert!((1..1_000).contains(&heard), "{heard} pulses");
        node.heartbeat().await;
        assert_eq!(hear_out(&mut node).await, 1, "it is told again");
        server
    })
    .await;
}

#[tokio::test]
async fn two_thousand_reads_at_once_do_not_break_a_session() {
    with_long_leases(async |server| {
        let mut node = server.awake("n1").await;
        let lists = (0..2_000).map(|_| {
            let mut timers = server.timers();
            tokio::spawn(async move {
                let request = v1::ListTimersRequest::default();
                timers.list_timers(request).await
            })
        });
        let lists: Vec<_> = lists.collect();
        for _ in 0..10 {
            node.heartbeat().await;
            let said = node.next().await.expect("the session is open");
            let is_pulse = matches!(said, Some(CoordinatorMessage::Pulse { .. }));
            assert!(is_pulse, "{said:?}");
        }
        for list in lists {
            if let Err(refused) = list.await.unwrap() {
                assert_eq!(refused.code(), Code::ResourceExhausted, "{refused:?}");
                let details = refused.get_error_details();
                assert!(details.retry_info().is_some(), "{refused:?}");
            }
        }
        server
    })
    .await;
}
