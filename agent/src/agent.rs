//! A running agent, as the program or the application around it holds it.
//!
//! Its life (what is started, watched and ended, in which order) is in `life`; what it decides is the base's
//! affair.

mod life;

use crate::asking::Asking;
use crate::config::{self, Config, Error};
use crate::events;
use crate::executor::Executor;
use crate::link;
use crate::local::{self, Failure, LocalRun};
use crate::task::{Inbox, Task};
use dormouse_edge::listen::{self, Address};
use dormouse_edge::shell::{Bounds, mailbox};
use dormouse_edge::timers::Feed;
use dormouse_engine::base::View;
use dormouse_engine::id::{TimerId, TimerName, Uid};
use dormouse_engine::op::{Answer, Cancelled, NewTime, Op, Refusal};
use dormouse_engine::timer::{Durability, HandlerName, NewTimer, Payload, Placement, Timer, When};
use life::Life;
use std::collections::BTreeMap;
use std::future::Future;
use std::sync::Arc;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// Requests that wait to be decided, in each lane.
const ASKS_WAITING: Bounds = Bounds {
    items: 8_192,
    cost: 32 << 20,
};
/// Messages of the coordinator that wait to be decided; more wait on the wire.
const EVENTS_LENGTH: usize = 64;
/// How many runs of one in-process handler are in work at once, unless said otherwise.
const CONCURRENCY: u32 = 64;

/// A running agent. Clones are the same one; it runs until [`Agent::stop`], also when all are dropped.
///
/// An application that embeds it registers timers by function calls and handles them with closures:
///
/// ```no_run
/// use dormouse_agent::engine::id::{NodeId, PoolId, RackId, TimerId};
/// use dormouse_agent::engine::time::Millis;
/// use dormouse_agent::engine::timer::{HandlerName, When};
/// use dormouse_agent::targets::Targets;
/// use dormouse_agent::{Agent, Config, REPLICATE_AFTER};
///
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// let agent = Agent::start(Config {
///     node: NodeId::new("n1")?,
///     pool: PoolId::new("default")?,
///     rack: RackId::new("r1")?,
///     coordinator: "http://127.0.0.1:7400".into(),
///     listen: "127.0.0.1:7401".parse()?,
///     data: "/var/lib/example/dormouse".into(),
///     replicate_after: REPLICATE_AFTER,
///     insecure: false,
///     targets: Targets::default(),
/// })
/// .await?;
///
/// let backup = HandlerName::new("backup").expect("it is a name");
/// agent.handle(backup.clone(), |run| async move {
///     println!("{} was due at {}", run.name, run.due);
///     Ok(())
/// });
///
/// let wait = When::After(Millis::from_secs(90));
/// let timer = agent.create(agent.draft(TimerId::new("tonight")?, backup, wait)).await;
/// println!("{timer:?}");
///
/// agent.stop().await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Agent {
    asking: Asking,
    executor: Arc<Executor>,
    address: Address,
    stop: CancellationToken,
    ended: watch::Receiver<Option<Result<(), Error>>>,
}

/// Runs an agent until `shutdown`, then hands everything over, within five seconds.
///
/// # Errors
/// [`Error`] says why it did not start or could not go on, and [`Error::exit_code`] how a program ends by it.
pub async fn run(config: Config, shutdown: impl Future<Output = ()>) -> Result<(), Error> {
    let agent = Agent::start(config).await?;
    tokio::select! {
        ended = agent.ended() => return ended,
        () = shutdown => {}
    }
    agent.stop().await
}

/// Life.
impl Agent {
    /// Starts an agent; it serves when this returns. Within a tokio runtime.
    ///
    /// # Errors
    /// If the configuration, the address or the data directory cannot be used.
    pub async fn start(config: Config) -> Result<Self, Error> {
        config::check_coordinator(&config.coordinator)?;
        let endpoint = link::endpoint(&config.coordinator).map_err(|_| Error::Coordinator {
            address: config.coordinator.clone(),
            why: "is no address",
        })?;
        listen::check(&config.listen, config.insecure)?;
        let targets = life::prepare_targets(&config).await?;
        let (writer, recovered) = life::recover(&config).await?;
        let listening = listen::listen(&config.listen, config.insecure).await?;
        let executor = Executor::start().map_err(Error::system("a thread or a timer"))?;
        let (asks, asked) = mailbox(ASKS_WAITING);
        let (events, happened) = mpsc::channel(EVENTS_LENGTH);
        let inbox = Inbox {
            link: happened,
            asks: asked,
        };
        let (task, newest) = Task::new(recovered, writer.clone(), Arc::clone(&executor), inbox)?;
        let feed = Feed {
            counter: Uuid::now_v7().as_u128(),
            newest,
        };
        let stop = CancellationToken::new();
        let (ended_sender, ended) = watch::channel(None);
        let agent = Self {
            asking: Asking {
                asks,
                node: config.node.clone(),
                pool: config.pool.clone(),
                feed,
                stop: stop.clone(),
            },
            executor,
            address: listening.address().clone(),
            stop,
            ended,
        };
        events::ready(&config.node, listening.address());
        let life = Life::begin(&agent, task, writer, (endpoint, events), listening)
            .with_targets(targets.offer(&agent.executor));
        tokio::spawn(async move {
            // Somebody may look at it, or nobody.
            ended_sender.send_replace(Some(life.live().await));
        });
        Ok(agent)
    }

    /// Where it listens, with the port that was given.
    #[must_use]
    pub fn address(&self) -> &Address {
        &self.address
    }

    /// Hands everything over and ends, within five seconds.
    ///
    /// # Errors
    /// As [`Agent::ended`].
    pub async fn stop(&self) -> Result<(), Error> {
        self.stop.cancel();
        self.ended().await
    }

    /// Waits until the agent has ended, of itself or by [`Agent::stop`].
    ///
    /// # Errors
    /// Why it could not go on.
    pub async fn ended(&self) -> Result<(), Error> {
        let mut ended = self.ended.clone();
        match ended.wait_for(Option::is_some).await {
            Ok(result) => result.clone().unwrap_or(Err(Error::Fault)),
            Err(_) => Err(Error::Fault),
        }
    }
}

/// For the application around it.
impl Agent {
    /// A timer of this node's pool with a fresh identity: movable, REPLICATED and without payload, until its
    /// fields are set otherwise.
    #[must_use]
    pub fn draft(&self, id: TimerId, handler: HandlerName, when: When) -> NewTimer {
        NewTimer {
            pool: self.asking.pool.clone(),
            id,
            uid: Uid(Uuid::now_v7().as_u128()),
            request: Uuid::now_v7().as_u128(),
            when,
            placement: Placement::Movable,
            handler,
            target: Default::default(),
            policy: Default::default(),
            paused: false,
            payload: Payload::default(),
            content_type: String::new(),
            durability: Durability::Replicated,
            labels: BTreeMap::new(),
        }
    }

    /// Registers a timer; answered when it is as durable as it asks for. None if it is pinned to a node that
    /// sleeps: then it is stored for that node. Asking again with the same draft changes nothing.
    ///
    /// # Errors
    /// Why it was refused, and whether asking again helps.
    pub async fn create(&self, new: NewTimer) -> Result<Option<Timer>, Refusal> {
        timer(self.asking.decide(Op::Create(Box::new(new))).await)
    }

    /// Looks a timer up, wherever it is.
    ///
    /// # Errors
    /// [`Refusal::NotFound`], or why it cannot be known just now.
    pub async fn look(&self, name: TimerName) -> Result<Option<Timer>, Refusal> {
        timer(self.asking.decide(Op::Look { name }).await)
    }

    /// Moves the next firing of a timer. None as in [`Agent::create`].
    ///
    /// # Errors
    /// As [`Agent::create`].
    pub async fn rearm(&self, name: TimerName, to: NewTime) -> Result<Option<Timer>, Refusal> {
        timer(self.asking.decide(Op::rearm(name, to)).await)
    }

    /// Ends a timer. None as in [`Agent::create`].
    ///
    /// # Errors
    /// As [`Agent::create`].
    pub async fn cancel(&self, name: TimerName) -> Result<Option<Cancelled>, Refusal> {
        match self.asking.decide(Op::cancel(name)).await {
            Answer::Cancelled(cancelled) => Ok(Some(cancelled)),
            Answer::Pending => Ok(None),
            Answer::Refused(refusal) => Err(refusal),
            other => Err(misfit(&other)),
        }
    }

    /// Has any operation decided, as the services do.
    pub async fn decide(&self, op: Op) -> Answer {
        self.asking.decide(op).await
    }

    /// How this node is; none if the agent has ended.
    pub async fn view(&self) -> Option<View> {
        self.asking.view().await
    }

    /// Runs `handler` in this process for every run of `name`, at most 64 at once. If the right to a run ends before
    /// the handler does, its future is dropped where it waits.
    ///
    /// # Panics
    /// If the name begins with `dormouse:`: under such names the agent itself serves requests and commands.
    pub fn handle<F, Fut>(&self, name: HandlerName, handler: F)
    where
        F: Fn(LocalRun) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<(), Failure>> + Send + 'static,
    {
        self.handle_at_most(name, CONCURRENCY, handler);
    }

    /// As [`Agent::handle`], with at most `concurrency` runs at once.
    ///
    /// # Panics
    /// As [`Agent::handle`].
    pub fn handle_at_most<F, Fut>(&self, name: HandlerName, concurrency: u32, handler: F)
    where
        F: Fn(LocalRun) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<(), Failure>> + Send + 'static,
    {
        assert!(
            !name.is_reserved(),
            "{name} is no handler's name: it must not begin with dormouse:"
        );
        local::attach(&self.executor, name, concurrency, handler);
    }
}

fn timer(answer: Answer) -> Result<Option<Timer>, Refusal> {
    match answer {
        Answer::Timer(timer) => Ok(Some(*timer)),
        Answer::Pending => Ok(None),
        Answer::Refused(refusal) => Err(refusal),
        other => Err(misfit(&other)),
    }
}

fn misfit(answer: &Answer) -> Refusal {
    let status = dormouse_edge::answer::unexpected(answer);
    Refusal::Precondition {
        why: status.message().into(),
    }
}
