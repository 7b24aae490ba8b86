//! A coordinator on a free port, its clients, and a node that is driven by hand.

use dormouse_edge::session::{read_coordinator, write_node};
use dormouse_engine::id::{Epoch, NodeId, PoolId, RackId, Session};
use dormouse_engine::ledger::Sum;
use dormouse_engine::message::{
    Act, Active, CoordinatorMessage, Heartbeat, Hello, Idle, Items, NodeMessage, Report,
    ReportAnswer, Welcome,
};
use dormouse_engine::time::{LogIndex, WallTime};
use dormouse_proto::v1;
use dormouse_server::{Config, Error, bind};
use std::path::Path;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::Channel;
use tonic::{Status, Streaming};
use uuid::Uuid;
use v1::admin_service_client::AdminServiceClient;
use v1::group_service_client::GroupServiceClient;
use v1::timer_service_client::TimerServiceClient;

/// Longer than anything here takes.
pub const PATIENCE: Duration = Duration::from_secs(10);

pub struct Server {
    wire: Wire,
    pub url: String,
    stop: oneshot::Sender<()>,
    life: JoinHandle<Result<(), Error>>,
}

pub fn config(data: &Path) -> Config {
    Config {
        listen: "127.0.0.1:0".parse().unwrap(),
        lease: Duration::from_secs(2),
        wake_grace: Duration::from_millis(500),
        ..Config::new(data)
    }
}

impl Server {
    pub async fn start(data: &Path) -> Self {
        Self::start_with(config(data)).await
    }

    pub async fn start_with(config: Config) -> Self {
        let bound = bind(config).await.expect("the coordinator starts");
        let url = format!("http://{}", bound.address());
        let (stop, stopped) = oneshot::channel::<()>();
        let life = tokio::spawn(bound.serve(async { drop(stopped.await) }));
        let channel = Channel::from_shared(url.clone())
            .unwrap()
            .connect()
            .await
            .unwrap();
        let wire = Wire { channel };
        Self {
            wire,
            url,
            stop,
            life,
        }
    }

    /// A connection that takes little without being read.
    pub async fn narrow(&self) -> Wire {
        let endpoint = Channel::from_shared(self.url.clone()).unwrap();
        let endpoint = endpoint.initial_stream_window_size(4096);
        Wire {
            channel: endpoint.connect().await.unwrap(),
        }
    }

    pub async fn stop(self) {
        drop(self.stop);
        timeout(PATIENCE, self.life)
            .await
            .expect("it ends")
            .unwrap()
            .unwrap();
    }
}

impl std::ops::Deref for Server {
    type Target = Wire;
    fn deref(&self) -> &Wire {
        &self.wire
    }
}

/// A connection.
pub struct Wire {
    pub channel: Channel,
}

impl Wire {
    pub fn timers(&self) -> TimerServiceClient<Channel> {
        TimerServiceClient::new(self.channel.clone())
    }

    pub fn admin(&self) -> AdminServiceClient<Channel> {
        AdminServiceClient::new(self.channel.clone())
    }

    /// Opens a stream and says hello.
    pub async fn hello(&self, hello: Hello) -> Result<Node, Status> {
        self.speak(write_node(NodeMessage::Hello(hello))).await
    }

    /// Opens a stream with any first message.
    pub async fn speak(&self, first: v1::NodeMessage) -> Result<Node, Status> {
        let (say, said) = mpsc::channel(64);
        say.send(first).await.unwrap();
        let mut client = GroupServiceClient::new(self.channel.clone());
        let opened = client.session(ReceiverStream::new(said)).await?;
        let mut hear = opened.into_inner();
        let message = timeout(PATIENCE, hear.message())
            .await
            .expect("an answer")?;
        let message = read_coordinator(message.expect("a first message")).unwrap();
        let CoordinatorMessage::Welcome(welcome) = message else {
            panic!("{message:?}")
        };
        let owned = Owned {
            session: welcome.session,
            epoch: welcome.epoch,
            seq: 0,
        };
        Ok(Node {
            say,
            hear,
            welcome,
            owned,
        })
    }

    /// A node that is awake and owns its timers.
    pub async fn awake(&self, name: &str) -> Node {
        let mut node = self.hello(hello(name)).await.unwrap();
        let act = Act::Active(Active {
            known: LogIndex(0),
            cursor: None,
        });
        let answer = node.report(act, Items::default()).await;
        let dormouse_engine::message::Reply::Resumed(resumed) = answer.reply else {
            panic!("{answer:?}")
        };
        node.owned.epoch = resumed.epoch;
        node
    }
}

pub fn hello(name: &str) -> Hello {
    Hello {
        node: NodeId::new(name).unwrap(),
        pool: PoolId::new("default").unwrap(),
        rack: RackId::new("r0").unwrap(),
        incarnation: Uuid::now_v7().as_u128(),
        epoch: Epoch(0),
        known: LogIndex(0),
        ledger: 0,
        wall: now(),
    }
}

pub fn now() -> WallTime {
    dormouse_edge::clock::now().wall
}

pub struct Node {
    pub say: mpsc::Sender<v1::NodeMessage>,
    pub hear: Streaming<v1::CoordinatorMessage>,
    pub welcome: Welcome,
    pub owned: Owned,
}

pub struct Owned {
    pub session: Session,
    pub epoch: Epoch,
    pub seq: u64,
}

impl Node {
    /// The next message, or how the stream ended.
    pub async fn next(&mut self) -> Result<Option<CoordinatorMessage>, Status> {
        let message = timeout(PATIENCE, self.hear.message())
            .await
            .expect("something is said")?;
        Ok(message.map(|message| read_coordinator(message).unwrap()))
    }

    pub async fn tell(&mut self, message: NodeMessage) {
        self.say.send(write_node(message)).await.unwrap();
    }

    /// Says something, and hears its answer; what is said in between is skipped.
    pub async fn report(&mut self, act: Act, items: Items) -> ReportAnswer {
        self.owned.seq += 1;
        let Owned {
            session,
            epoch,
            seq,
        } = self.owned;
        let report = Report {
            session,
            seq,
            epoch,
            act,
            items,
        };
        self.tell(NodeMessage::Report(report)).await;
        loop {
            if let Some(CoordinatorMessage::Answer(answer)) = self.next().await.unwrap()
                && answer.seq == seq
            {
                return answer;
            }
        }
    }

    pub async fn heartbeat(&mut self) {
        let boot = dormouse_edge::clock::now().boot;
        let heartbeat = Heartbeat {
            session: self.owned.session,
            sent: boot,
            wall: now(),
            wanted: Vec::new(),
        };
        self.tell(NodeMessage::Heartbeat(heartbeat)).await;
    }
}

/// A timer that is as good as any.
pub fn timer_after(millis: u64) -> v1::Timer {
    let length = dormouse_edge::answer::duration(dormouse_engine::time::Millis(millis));
    let handler = v1::HandlerTarget {
        name: "mail".into(),
    };
    v1::Timer {
        schedule: Some(v1::Schedule {
            kind: Some(v1::schedule::Kind::After(length)),
        }),
        target: Some(v1::Target {
            kind: Some(v1::target::Kind::Handler(handler)),
        }),
        payload: b"hello".to_vec().into(),
        ..v1::Timer::default()
    }
}

pub fn create(id: &str, timer: v1::Timer) -> v1::CreateTimerRequest {
    v1::CreateTimerRequest {
        pool: String::new(),
        timer_id: id.into(),
        timer: Some(timer),
        request_id: request_id(),
    }
}

pub fn request_id() -> String {
    Uuid::now_v7().to_string()
}

/// A node without timers of its own wants to sleep.
pub fn idle() -> Act {
    Act::Idle(Idle {
        attempt: 1,
        sum: Sum::default(),
        self_wake: None,
        interrupted: Vec::new(),
    })
}
