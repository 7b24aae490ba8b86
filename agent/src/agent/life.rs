//! The life of an agent: start, serve, stop.
//!
//! ```text
//! start:  data directory -> base -> socket -> link, API
//! stop:   no new runs -> those in flight end, for a moment -> the base hands over -> streams and sockets close
//! ```
//!
//! What happens in between is the affair of the tasks; this file starts them and watches that all of them live.

use super::Agent;
use crate::asking::Asking;
use crate::config::{Config, Error};
use crate::executor::Executor;
use crate::link::{self, Event};
use crate::node::Nodes;
use crate::targets::Prepared;
use crate::task::{Ask, End, Task};
use crate::workers::Workers;
use crate::{events, wire};
use dormouse_edge::clock;
use dormouse_edge::listen::{self, Listening};
use dormouse_edge::shell::Lane;
use dormouse_edge::timers::Timers;
use dormouse_engine::base::{self, Base, Effect, Stored};
use dormouse_engine::decision::Decision;
use dormouse_engine::record::Reader;
use dormouse_proto::v1::node_service_server::NodeServiceServer;
use dormouse_proto::v1::timer_service_server::TimerServiceServer;
use dormouse_proto::v1::worker_service_server::WorkerServiceServer;
use dormouse_store::{Disk, Kind, Writer};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::task::{JoinHandle, JoinSet};
use tokio_util::sync::CancellationToken;
use tonic::transport::Endpoint;
use tonic_health::ServingStatus;
use tonic_health::server::HealthReporter;
use uuid::Uuid;

/// How long runs in flight have to end if the coordinator is not there to take them over; otherwise the base
/// waits for them.
const RUNS_GRACE: Duration = Duration::from_secs(3);
/// How long the hand-over may take, with what the runs took.
const HAND_OVER_LIMIT: Duration = Duration::from_millis(4_600);
/// How long open calls and commands have to end after that: the whole is below five seconds.
const SERVE_GRACE: Duration = Duration::from_millis(300);

/// Opens the data directory and reads the base back from it.
pub(super) async fn recover(config: &Config) -> Result<(Writer, Recovered), Error> {
    let owner = format!("{}/{}", config.pool, config.node);
    let store = dormouse_store::Config::new(&config.data, Kind::Agent, owner);
    let of_base = base::Config {
        node: config.node.clone(),
        pool: config.pool.clone(),
        rack: config.rack.clone(),
        incarnation: Uuid::now_v7().as_u128(),
        replicate_after: wire::millis(config.replicate_after),
        message: Default::default(),
    };
    let opened = tokio::task::spawn_blocking(move || -> Result<_, Error> {
        let (writer, loaded) = Writer::start(Disk::open(&store)?)?;
        let pool = of_base.pool.clone();
        let mut state = loaded.records.decode(|| {
            let mut reader = Reader::new(pool.clone());
            move |key: &[u8], value: &[u8]| Stored::decode(key, value, &mut reader)
        });
        let recovered = Base::from_facts(of_base, &mut state, clock::now());
        // First: a base of records that ended early is none.
        state.finish()?;
        Ok((writer, recovered?))
    });
    opened.await.map_err(|_| Error::Fault)?
}

/// Reads what the configuration says about targets.
pub(super) async fn prepare_targets(config: &Config) -> Result<Prepared, Error> {
    let (targets, node) = (config.targets.clone(), config.node.clone());
    let prepared = tokio::task::spawn_blocking(move || Prepared::new(&targets, &node));
    Ok(prepared.await.map_err(|_| Error::Fault)??)
}

type Recovered = (Base, Decision<Effect>);

/// The tasks of a running agent.
pub(super) struct Life {
    asking: Asking,
    executor: Arc<Executor>,
    writer: Writer,
    base: JoinHandle<Result<End, Error>>,
    link: JoinHandle<()>,
    server: JoinHandle<Result<(), tonic::transport::Error>>,
    health: HealthReporter,
    targets: JoinSet<()>,
    stop: CancellationToken,
    close: CancellationToken,
}

impl Life {
    pub(super) fn begin(
        agent: &Agent,
        task: Task,
        writer: Writer,
        (endpoint, events): (Endpoint, mpsc::Sender<Event>),
        listening: Listening,
    ) -> Self {
        let close = CancellationToken::new();
        let (health, router) = services(agent);
        let server = listening.serve(router, close.clone().cancelled_owned());
        Self {
            asking: agent.asking.clone(),
            executor: Arc::clone(&agent.executor),
            writer,
            base: tokio::spawn(task.run()),
            link: tokio::spawn(link::run(endpoint, events, close.clone())),
            server: tokio::spawn(server),
            health,
            targets: JoinSet::new(),
            stop: agent.stop.clone(),
            close,
        }
    }

    /// With workers of its own, which end as the executor is closed.
    pub(super) fn with_targets(self, targets: JoinSet<()>) -> Self {
        Self { targets, ..self }
    }

    /// Until somebody stops it or the base ends; then the end of all tasks.
    pub(super) async fn live(mut self) -> Result<(), Error> {
        self.health
            .set_serving::<TimerServiceServer<Timers<Asking>>>()
            .await;
        self.health
            .set_serving::<WorkerServiceServer<Workers>>()
            .await;
        self.health.set_serving::<NodeServiceServer<Nodes>>().await;
        let ended = tokio::select! {
            ended = &mut self.base => Some(ended),
            () = self.stop.cancelled() => None,
        };
        let result = match ended {
            Some(ended) => ended.unwrap_or(Err(Error::Fault)),
            None => self.hand_over().await,
        };
        self.close().await;
        match result? {
            End::Stopped => Ok(()),
            End::Clashed => {
                events::clashed();
                Err(Error::Clashed)
            }
        }
    }

    async fn hand_over(&mut self) -> Result<End, Error> {
        events::stopping(self.executor.in_flight());
        self.unready().await;
        self.executor.withdraw();
        let base = &mut self.base;
        let handed_over = async {
            if !self.asking.view().await.is_some_and(|view| view.connected) {
                // Nobody would take them over, and what has ended is not done again after the next start.
                let _ = tokio::time::timeout(RUNS_GRACE, self.executor.idle()).await;
            }
            // If the task has ended meanwhile, its handle says so.
            self.asking.asks.post_always(Lane::Lease, Ask::Stop);
            base.await.unwrap_or(Err(Error::Fault))
        };
        let ended = tokio::time::timeout(HAND_OVER_LIMIT, handed_over).await;
        events::stopped(ended.is_ok());
        ended.unwrap_or(Ok(End::Stopped))
    }

    /// Who asks whether to send it work is told not to.
    async fn unready(&self) {
        self.health
            .set_service_status("", ServingStatus::NotServing)
            .await;
        self.health
            .set_not_serving::<TimerServiceServer<Timers<Asking>>>()
            .await;
        self.health
            .set_not_serving::<WorkerServiceServer<Workers>>()
            .await;
        self.health
            .set_not_serving::<NodeServiceServer<Nodes>>()
            .await;
    }

    /// Ends what is left, in the order in which it depends on each other.
    async fn close(mut self) {
        self.base.abort();
        self.executor.close();
        self.close.cancel();
        let server = &mut self.server;
        let targets = async { while self.targets.join_next().await.is_some() {} };
        let ended = async { tokio::join!(server, targets) };
        if tokio::time::timeout(SERVE_GRACE, ended).await.is_err() {
            self.server.abort();
            // What is dropped takes its commands with it.
            self.targets.shutdown().await;
        }
        self.link.abort();
        let writer = self.writer;
        // Everything that was submitted is still written; a panic there was logged there.
        let _ = tokio::task::spawn_blocking(move || writer.close()).await;
    }
}

fn services(agent: &Agent) -> (HealthReporter, listen::Services) {
    let (health, health_service) = tonic_health::server::health_reporter();
    let workers = Workers {
        executor: Arc::clone(&agent.executor),
        node: agent.asking.node.clone(),
        pool: agent.asking.pool.clone(),
    };
    let nodes = Nodes {
        asking: agent.asking.clone(),
        executor: Arc::clone(&agent.executor),
    };
    let router = listen::builder()
        .add_service(health_service)
        .add_service(Timers::service(agent.asking.clone()))
        .add_service(
            WorkerServiceServer::new(workers).max_decoding_message_size(listen::MESSAGE_MAX),
        )
        .add_service(NodeServiceServer::new(nodes).max_decoding_message_size(listen::MESSAGE_MAX));
    (health, router)
}
