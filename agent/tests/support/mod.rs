//! A test language: a coordinator in this process, agents, workers, timers.
//!
//! The coordinator is the engine's own pool machine behind the real wire, with its facts in memory: what it
//! was told can be kept over a restart. It has no disk and no API; those are the server's affair.

#![allow(dead_code, reason = "each test program uses a part of it")]
#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

use dormouse_agent::engine::decision::Decision;
use dormouse_agent::engine::id::{NodeId, PoolId, RackId, TimerId, TimerName};
use dormouse_agent::engine::message::Uncovered;
use dormouse_agent::engine::op::{Activity, Answer, Op};
use dormouse_agent::engine::pool::{self, Effect, Input, Link, Pool};
use dormouse_agent::engine::time::{Millis, WallTime};
use dormouse_agent::engine::timer::{Durability, HandlerName, NewTimer, When};
use dormouse_agent::targets::Targets;
use dormouse_agent::{Address, Agent, Config};
use dormouse_edge::{clock, session};
use dormouse_proto::v1;
use dormouse_proto::v1::group_service_server::{GroupService, GroupServiceServer};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_stream::wrappers::{ReceiverStream, TcpListenerStream};
use tonic::codegen::BoxStream;
use tonic::{Request, Response, Status, Streaming};

type State = BTreeMap<Vec<u8>, Vec<u8>>;
type Said = Result<v1::CoordinatorMessage, Status>;

/// A coordinator that can be killed and started again with what it had committed.
pub(crate) struct Coordinator {
    pub(crate) address: SocketAddr,
    state: Arc<Mutex<State>>,
    messages: Arc<AtomicUsize>,
    tasks: Vec<JoinHandle<()>>,
}

struct Front {
    heard: mpsc::Sender<Heard>,
    messages: Arc<AtomicUsize>,
}

enum Heard {
    Opened(mpsc::Sender<Said>, tokio::sync::oneshot::Sender<Link>),
    Input(Box<Input>),
}

#[tonic::async_trait]
impl GroupService for Front {
    async fn session(
        &self,
        request: Request<Streaming<v1::NodeMessage>>,
    ) -> Result<Response<BoxStream<v1::CoordinatorMessage>>, Status> {
        let (queue, said) = mpsc::channel(1_024);
        let (give, given) = tokio::sync::oneshot::channel();
        let gone = |_| Status::unavailable("ended");
        self.heard
            .send(Heard::Opened(queue, give))
            .await
            .map_err(|_| gone(()))?;
        let link = given.await.map_err(|_| gone(()))?;
        let (heard, messages) = (self.heard.clone(), Arc::clone(&self.messages));
        let mut stream = request.into_inner();
        tokio::spawn(async move {
            while let Ok(Some(message)) = stream.message().await {
                messages.fetch_add(1, Ordering::SeqCst);
                let message = session::read_node(message).unwrap();
                let _ = heard
                    .send(Heard::Input(Box::new(Input::Said { link, message })))
                    .await;
            }
            let _ = heard
                .send(Heard::Input(Box::new(Input::Closed { link })))
                .await;
        });
        Ok(Response::new(Box::pin(ReceiverStream::new(said))))
    }
}

impl Coordinator {
    pub(crate) async fn start() -> Self {
        Self::start_at("127.0.0.1:0", Arc::default()).await
    }

    async fn start_at(address: &str, state: Arc<Mutex<State>>) -> Self {
        let listener = TcpListener::bind(address).await.unwrap();
        let address = listener.local_addr().unwrap();
        let (heard, hears) = mpsc::channel(1_024);
        let messages = Arc::new(AtomicUsize::new(0));
        let front = Front {
            heard,
            messages: Arc::clone(&messages),
        };
        let owner = tokio::spawn(own(Arc::clone(&state), hears));
        let server = tonic::transport::Server::builder()
            .add_service(GroupServiceServer::new(front))
            .serve_with_incoming(TcpListenerStream::new(listener));
        let served = tokio::spawn(async move { server.await.unwrap() });
        Self {
            address,
            state,
            messages,
            tasks: vec![owner, served],
        }
    }

    /// Kills it, with all connections and whatever was not committed.
    pub(crate) async fn kill(self) -> Killed {
        for task in self.tasks {
            task.abort();
            let _ = task.await;
        }
        Killed {
            address: self.address,
            state: self.state,
        }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// How many messages it has heard on all sessions.
    pub(crate) fn heard(&self) -> usize {
        self.messages.load(Ordering::SeqCst)
    }

    /// How many timers are committed.
    pub(crate) fn timers(&self) -> usize {
        self.state
            .lock()
            .unwrap()
            .keys()
            .filter(|key| key.first() == Some(&b't'))
            .count()
    }
}

/// A coordinator that is not there.
pub(crate) struct Killed {
    address: SocketAddr,
    state: Arc<Mutex<State>>,
}

impl Killed {
    pub(crate) async fn restart(self) -> Coordinator {
        Coordinator::start_at(&self.address.to_string(), self.state).await
    }
}

/// Owns the pool: one turn for each input, everything committed at once.
async fn own(state: Arc<Mutex<State>>, mut hears: mpsc::Receiver<Heard>) {
    let config = pool::Config {
        pool: PoolId::new("default").unwrap(),
        ledger: 7,
        lease: Millis(1_500),
        wake_grace: Millis(1_000),
        group_capacity: 8,
        message: Default::default(),
    };
    let recovered: Vec<_> = state.lock().unwrap().clone().into_iter().collect();
    let (mut pool, first) = Pool::recover(config, recovered, clock::now()).unwrap();
    let mut links: BTreeMap<Link, mpsc::Sender<Said>> = BTreeMap::new();
    let mut link_last = 0;
    perform(&state, &mut links, first);
    let mut alarm = clock::Alarm::new().unwrap();
    loop {
        let deadlines = pool.next_deadline();
        let input = tokio::select! {
            heard = hears.recv() => match heard {
                Some(Heard::Opened(queue, give)) => {
                    link_last += 1;
                    links.insert(Link(link_last), queue);
                    let _ = give.send(Link(link_last));
                    continue;
                }
                Some(Heard::Input(input)) => *input,
                None => return,
            },
            _ = alarm.until(deadlines.wall, deadlines.boot) => Input::Tick,
        };
        let decision = pool.handle(clock::now(), vec![input]);
        perform(&state, &mut links, decision);
    }
}

fn perform(
    state: &Mutex<State>,
    links: &mut BTreeMap<Link, mpsc::Sender<Said>>,
    decision: Decision<Effect>,
) {
    for record in decision.records {
        match record.value {
            Some(value) => state.lock().unwrap().insert(record.key, value),
            None => state.lock().unwrap().remove(&record.key),
        };
    }
    for effect in decision.effects {
        match effect {
            Effect::Send { link, message } => {
                if let Some(queue) = links.get(&link) {
                    let _ = queue.try_send(Ok(session::write_coordinator(message)));
                }
            }
            Effect::Close { link } => drop(links.remove(&link)),
            Effect::Answer { .. } | Effect::Note(_) => {}
        }
    }
}

/// What an agent of node `node` is started with.
pub(crate) fn config(node: &str, coordinator: &str, data: &Path) -> Config {
    Config {
        node: NodeId::new(node).unwrap(),
        pool: PoolId::new("default").unwrap(),
        rack: RackId::new("r1").unwrap(),
        coordinator: coordinator.into(),
        listen: Address::Unix(data.with_extension("sock")),
        data: data.into(),
        replicate_after: Duration::from_millis(200),
        insecure: false,
        targets: Targets::default(),
    }
}

/// An address at which nobody listens.
pub(crate) const NOBODY: &str = "http://127.0.0.1:9";

/// A timer without payload.
pub(crate) fn timer(agent: &Agent, id: &str, after_ms: u64, durability: Durability) -> NewTimer {
    let id = TimerId::new(id).unwrap();
    let new = agent.draft(id, handler("h"), When::After(Millis(after_ms)));
    NewTimer { durability, ..new }
}

pub(crate) fn handler(name: &str) -> HandlerName {
    HandlerName::new(name).unwrap()
}

/// The name of a timer of node `node`.
pub(crate) fn local_name(node: &str, id: &str) -> TimerName {
    TimerName::parse(&format!("pools/default/nodes/{node}/timers/{id}")).unwrap()
}

/// What a handler saw.
#[derive(Debug, Clone)]
pub(crate) struct Fired {
    pub(crate) node: String,
    pub(crate) timer: String,
    pub(crate) token: u64,
    pub(crate) lateness_ms: i64,
}

/// Has `agent` handle `h`, and tells each run.
pub(crate) fn listen(agent: &Agent, node: &str, told: &mpsc::UnboundedSender<Fired>) {
    let (node, told) = (node.to_owned(), told.clone());
    agent.handle(handler("h"), move |run| {
        let fired = Fired {
            node: node.clone(),
            timer: run.name.timer.to_string(),
            token: run.token.0,
            lateness_ms: wall().0 - run.due.0,
        };
        let _ = told.send(fired);
        async { Ok(()) }
    });
}

pub(crate) fn wall() -> WallTime {
    let since = SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap();
    WallTime(i64::try_from(since.as_millis()).unwrap())
}

pub(crate) async fn next(fired: &mut mpsc::UnboundedReceiver<Fired>) -> Fired {
    let next = tokio::time::timeout(Duration::from_secs(20), fired.recv()).await;
    next.expect("it fires").expect("somebody listens")
}

/// Waits until `holds`, which it must within 20 s.
pub(crate) async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    for _ in 0..2_000 {
        if holds().await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("it took too long until {what}");
}

/// Waits until the agent has a session and owns its timers.
pub(crate) async fn active(agent: &Agent) {
    use dormouse_agent::engine::base::State;
    until("the agent is active", async || {
        agent
            .view()
            .await
            .is_some_and(|view| view.connected && view.state == State::Active)
    })
    .await;
}

/// Tells a node what to be, and what the coordinator says to it.
pub(crate) async fn be(agent: &Agent, node: &str, activity: Activity) -> Result<(), Uncovered> {
    let node = NodeId::new(node).unwrap();
    match agent.decide(Op::Activity { node, activity }).await {
        Answer::Activity {
            uncovered: None, ..
        } => Ok(()),
        Answer::Activity {
            uncovered: Some(why),
            ..
        } => Err(why),
        other => panic!("{other:?}"),
    }
}
