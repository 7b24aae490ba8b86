//! Agents as processes of their own, so that they can be killed and measured.
//!
//! The process is this test program itself, which runs the one ignored test in it.

#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

mod support;

use dormouse_agent::{Config, run};
use dormouse_proto::v1;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use support::{Coordinator, NOBODY, config, until};
use tonic::transport::Channel;
use v1::node_service_client::NodeServiceClient;
use v1::timer_service_client::TimerServiceClient;

const DATA: &str = "DORMOUSE_TEST_DATA";
const COORDINATOR: &str = "DORMOUSE_TEST_COORDINATOR";
const PORT: &str = "DORMOUSE_TEST_PORT";

#[tokio::test]
#[ignore = "it is the agent that the other tests of this file start"]
async fn is_an_agent_until_it_is_killed() {
    let Some(data) = std::env::var_os(DATA) else {
        return;
    };
    let coordinator = std::env::var(COORDINATOR).unwrap();
    let port = std::env::var(PORT).unwrap();
    let listen = format!("127.0.0.1:{port}").parse().unwrap();
    let config = Config {
        listen,
        ..config("n1", &coordinator, &PathBuf::from(data))
    };
    run(config, std::future::pending()).await.unwrap();
}

/// An agent's process; killed with -9 when it is dropped.
struct Process {
    child: Child,
    url: String,
}

impl Process {
    fn start(data: &Path, coordinator: &str, port: u16) -> Self {
        let child = Command::new(std::env::current_exe().unwrap())
            .args(["--ignored", "--exact", "is_an_agent_until_it_is_killed"])
            .env(DATA, data)
            .env(COORDINATOR, coordinator)
            .env(PORT, port.to_string())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        Self {
            child,
            url: format!("http://127.0.0.1:{port}"),
        }
    }

    async fn channel(&self) -> Channel {
        let mut channel = None;
        until("the agent answers", async || {
            let endpoint = Channel::from_shared(self.url.clone()).unwrap();
            channel = endpoint.connect().await.ok();
            channel.is_some()
        })
        .await;
        channel.unwrap()
    }

    /// CPU time used so far, in ticks of ten milliseconds.
    fn cpu_ticks(&self) -> u64 {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id())).unwrap();
        let after_name = stat.rsplit_once(')').unwrap().1;
        let fields: Vec<&str> = after_name.split_whitespace().collect();
        fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn free_port() -> u16 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}

fn create(id: String) -> v1::CreateTimerRequest {
    let after = prost_types::Duration {
        seconds: 3_600,
        nanos: 0,
    };
    v1::CreateTimerRequest {
        timer_id: id,
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
            ..v1::Timer::default()
        }),
        ..v1::CreateTimerRequest::default()
    }
}

#[tokio::test]
async fn every_acknowledged_local_timer_is_there_after_kill_9() {
    let dir = tempfile::tempdir().unwrap();
    let mut acknowledged = Vec::new();
    for round in 0..8 {
        let agent = Process::start(&dir.path().join("n1"), NOBODY, free_port());
        let mut timers = TimerServiceClient::new(agent.channel().await);
        for name in &acknowledged {
            let request = v1::GetTimerRequest {
                name: String::clone(name),
            };
            assert!(
                timers.get_timer(request).await.is_ok(),
                "{name} is lost in round {round}"
            );
        }
        // Killed in the middle of creating, while answers are under way.
        let killed = tokio::time::sleep(Duration::from_millis(30 + 13 * round));
        tokio::pin!(killed);
        for number in 0.. {
            tokio::select! {
                created = timers.create_timer(create(format!("t{round}-{number}"))) => {
                    acknowledged.push(created.unwrap().into_inner().timer.unwrap().name);
                }
                () = &mut killed => break,
            }
        }
        drop(agent);
    }
    assert!(
        acknowledged.len() > 20,
        "only {} timers were created",
        acknowledged.len()
    );
}

#[tokio::test]
async fn a_parked_agent_says_nothing_and_uses_no_cpu() {
    let coordinator = Coordinator::start().await;
    let dir = tempfile::tempdir().unwrap();
    let agent = Process::start(&dir.path().join("n1"), &coordinator.url(), free_port());
    let mut nodes = NodeServiceClient::new(agent.channel().await);
    let idle = v1::SetActivityRequest {
        activity: v1::Activity::Idle.into(),
        node: String::new(),
    };
    until("it is parked", async || {
        let answer = nodes.set_activity(idle.clone()).await;
        answer.is_ok_and(|answer| {
            answer
                .into_inner()
                .node
                .is_some_and(|node| node.state == v1::NodeState::Idle as i32)
        })
    })
    .await;
    drop(nodes);
    tokio::time::sleep(Duration::from_millis(500)).await;
    let (said, used) = (coordinator.heard(), agent.cpu_ticks());
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert_eq!(coordinator.heard() - said, 0, "messages");
    let used = agent.cpu_ticks() - used;
    assert!(used <= 1, "{used} ticks in five seconds");
}

/// What keeps an agent waiting, each in a process of its own.
#[tokio::test]
async fn waiting_uses_no_cpu_whatever_is_waited_for() {
    let dir = tempfile::tempdir().unwrap();
    let start = |node: &str, url: &str| Process::start(&dir.path().join(node), url, free_port());
    let idle = v1::SetActivityRequest {
        activity: v1::Activity::Idle.into(),
        node: String::new(),
    };

    // A worker, with no coordinator to hand the due timer to.
    let starved = start("starved", NOBODY);
    let mut timers = TimerServiceClient::new(starved.channel().await);
    let now = prost_types::Duration {
        seconds: 0,
        nanos: 0,
    };
    let mut due = create("due".into());
    due.timer.as_mut().unwrap().schedule = Some(v1::Schedule {
        kind: Some(v1::schedule::Kind::After(now)),
    });
    timers.create_timer(due.clone()).await.unwrap();

    // A worker anywhere in the pool.
    let coordinator = Coordinator::start().await;
    let alone = start("alone", &coordinator.url());
    let mut timers = TimerServiceClient::new(alone.channel().await);
    until("it is active", async || {
        let mut nodes = NodeServiceClient::new(alone.channel().await);
        let node = nodes
            .get_node(v1::GetNodeRequest {})
            .await
            .unwrap()
            .into_inner()
            .node
            .unwrap();
        node.session > 0
    })
    .await;
    due.timer.as_mut().unwrap().durability = v1::Durability::Replicated.into();
    timers.create_timer(due).await.unwrap();

    // The coordinator, to be allowed to sleep.
    let restless = start("restless", NOBODY);
    let mut nodes = NodeServiceClient::new(restless.channel().await);
    let asking = tokio::spawn(async move { nodes.set_activity(idle).await });

    tokio::time::sleep(Duration::from_secs(3)).await;
    let agents = [
        ("starved", &starved),
        ("alone", &alone),
        ("restless", &restless),
    ];
    let before = agents.map(|(_, agent)| agent.cpu_ticks());
    tokio::time::sleep(Duration::from_secs(5)).await;
    for ((name, agent), before) in agents.into_iter().zip(before) {
        let used = agent.cpu_ticks() - before;
        assert!(used <= 6, "{name}: {used} ticks in five seconds");
    }
    asking.abort();
}
