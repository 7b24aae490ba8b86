//! The stage: the processes, what can be done to them, and the clock that the acts go by.
//!
//! Timers are registered in `timers`, what happens is seen by `watch`. The periodic timers of all nodes are due within
//! the first quarter of a second of every third second, a *beat*, so that everything can sleep in between.

mod timers;
mod watch;

use super::almanac::Millis;
use super::facts::{Facts, Micros, Promise, now};
use crate::failure::Failure;
use dormouse_client::{Activity, Client, Cover, PoolInfo, SentryInfo};
use dormouse_cluster::{COORDINATOR, Cluster, Logs, Settings};
use futures_util::future::try_join_all;
use std::collections::BTreeMap;
use std::time::Duration;
use tempfile::TempDir;
use tokio::time::{Instant, sleep};
use tokio_util::task::AbortOnDropHandle;
use watch::{HANDLERS, Notebook};

/// The nodes and their racks: nine do not fit into one group of eight, so there are two levels.
pub(super) const NODES: [(&str, &str); 9] = [
    ("n1", "east"),
    ("n2", "east"),
    ("n3", "east"),
    ("n4", "east"),
    ("n5", "east"),
    ("n6", "west"),
    ("n7", "west"),
    ("n8", "west"),
    ("n9", "west"),
];
/// A session that is not renewed ends after this.
pub(super) const LEASE: Duration = Duration::from_secs(3);
/// From one beat to the next.
pub(super) const BEAT: Millis = 3_000;

/// How long all processes have to be there for each other.
const READY_LIMIT: Duration = Duration::from_secs(30);
/// How long anything else may take that the demo waits for.
const PATIENCE: Duration = Duration::from_secs(10);
/// Between two looks at what is waited for.
const LOOK: Duration = Duration::from_millis(20);

/// The processes of the demo, and what was seen of them. All of them end with it.
#[derive(Debug)]
pub(super) struct Stage {
    workers: BTreeMap<String, AbortOnDropHandle<()>>,
    observer: Option<AbortOnDropHandle<()>>,
    cluster: Cluster,
    notes: Notebook,
    facts: Facts,
    coordinator: Option<Client>,
    agents: BTreeMap<String, Client>,
    // The last one: the processes that write into it are gone before it is.
    _data: TempDir,
}

/// A launch, as an act tells of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Ran {
    /// The id of its timer.
    pub(super) timer: String,
    /// None for a timer of the pool.
    pub(super) home: Option<String>,
    pub(super) node: String,
    pub(super) nominal: Micros,
    pub(super) late: Micros,
}

/// Life.
impl Stage {
    pub(super) fn new(logs: Logs) -> Result<Self, Failure> {
        let data = tempfile::Builder::new()
            .prefix("dormouse-demo-")
            .tempdir()?;
        let cluster = Cluster::new(Settings {
            program: std::env::current_exe()?,
            data: data.path().to_owned(),
            lease: Some(LEASE),
            wake_grace: None,
            agent_flags: Vec::new(),
            logs,
        });
        let facts = Facts {
            span: (now(), now()),
            ..Facts::default()
        };
        Ok(Self {
            workers: BTreeMap::new(),
            observer: None,
            cluster,
            notes: Notebook::default(),
            facts,
            coordinator: None,
            agents: BTreeMap::new(),
            _data: data,
        })
    }

    /// Starts everything; all are connected when this returns.
    pub(super) async fn open(&mut self) -> Result<(), Failure> {
        let cluster = &mut self.cluster;
        cluster.start_coordinator(None).map_err(Failure::failed)?;
        for (node, rack) in NODES {
            cluster
                .start_agent(node, rack, None)
                .map_err(Failure::failed)?;
        }
        cluster.ready(READY_LIMIT).await.map_err(Failure::failed)?;
        let coordinator = cluster.client(COORDINATOR).await.map_err(Failure::failed)?;
        self.observer = Some(self.notes.observer(&coordinator));
        self.coordinator = Some(coordinator);
        for (node, _) in NODES {
            let agent = self.cluster.client(node).await.map_err(Failure::failed)?;
            let worker = self.notes.worker(node, &agent);
            self.workers.insert(node.to_owned(), worker);
            self.agents.insert(node.to_owned(), agent);
        }
        try_join_all(NODES.map(|(node, _)| self.attached(node))).await?;
        Ok(())
    }

    async fn attached(&self, node: &str) -> Result<(), Failure> {
        self.wait_for(&format!("the worker of {node}"), async || {
            let places = self.agent(node).own_node().await?.handlers;
            let all = HANDLERS.iter().all(|it| places.contains_key(*it));
            Ok(all.then_some(()))
        })
        .await
    }

    /// Ends every process, and waits until they are gone.
    pub(super) async fn close(&mut self) {
        self.observer = None;
        self.workers.clear();
        for (name, _) in NODES.into_iter().chain([(COORDINATOR, "")]) {
            // One that was never started is none to end.
            let _ = self.cluster.kill(name).await;
        }
    }

    /// Everything that was seen, until now.
    pub(super) fn facts(&self) -> Facts {
        let notes = self.notes.open();
        Facts {
            launches: notes.launches.clone(),
            sightings: notes.sightings.clone(),
            span: (self.facts.span.0, now()),
            ..self.facts.clone()
        }
    }
}

/// Time.
impl Stage {
    /// The first beat that is at least `lead` away.
    pub(super) fn next_beat(lead: Millis) -> Millis {
        let earliest = now() / 1000 + lead;
        (earliest + BEAT - 1).div_euclid(BEAT) * BEAT
    }

    /// Waits for an instant.
    pub(super) async fn until(instant: Millis) {
        let wait = u64::try_from(instant * 1000 - now()).unwrap_or(0);
        sleep(Duration::from_micros(wait)).await;
    }

    /// Asks again and again until there is an answer.
    async fn wait_for<T>(
        &self,
        what: &str,
        look: impl AsyncFn() -> Result<Option<T>, Failure>,
    ) -> Result<T, Failure> {
        let since = Instant::now();
        loop {
            if let Some(found) = look().await? {
                return Ok(found);
            }
            if since.elapsed() > PATIENCE {
                return Err(Failure::failed(format!(
                    "waited {PATIENCE:?} in vain for {what}"
                )));
            }
            sleep(LOOK).await;
        }
    }
}

/// What can be done to nodes.
impl Stage {
    /// Makes nodes idle, all at once; they may sleep when this returns.
    pub(super) async fn lull(&self, nodes: &[&str]) -> Result<(), Failure> {
        try_join_all(nodes.iter().map(|node| self.lull_one(node))).await?;
        Ok(())
    }

    async fn lull_one(&self, node: &str) -> Result<(), Failure> {
        self.wait_for(&format!("somebody to watch for {node}"), async || {
            let change = self
                .coordinator()
                .set_activity(node, Activity::Idle)
                .await?;
            let may_sleep = matches!(
                change.cover,
                Some(Cover::Covered { .. } | Cover::Sentry { .. })
            );
            Ok(may_sleep.then_some(()))
        })
        .await
    }

    /// Makes nodes active, all at once; they own their timers again when this returns.
    pub(super) async fn rouse(&mut self, nodes: &[&str]) -> Result<(), Failure> {
        for node in nodes {
            self.facts.roused.push(((*node).to_owned(), now()));
        }
        let coordinator = self.coordinator();
        let all = nodes
            .iter()
            .map(|node| coordinator.set_activity(node, Activity::Active));
        try_join_all(all).await?;
        Ok(())
    }

    /// Kills an agent as `kill -9` does; its worker ends with its node.
    pub(super) async fn kill(&mut self, node: &str) -> Result<(), Failure> {
        // The signal follows at once: the agent has no time to hear that its worker has gone.
        self.workers.remove(node);
        self.cluster.kill(node).await.map_err(Failure::failed)?;
        self.facts.deaths.push((node.to_owned(), now()));
        Ok(())
    }

    /// Kills the coordinator; there is an outage until [`Stage::revive_coordinator`].
    pub(super) async fn kill_coordinator(&mut self) -> Result<(), Failure> {
        self.facts.outages.push((now(), Micros::MAX));
        self.cluster
            .kill(COORDINATOR)
            .await
            .map_err(Failure::failed)
    }

    /// Starts the coordinator again, and waits until all agents are connected.
    pub(super) async fn revive_coordinator(&mut self) -> Result<(), Failure> {
        self.cluster.start(COORDINATOR).map_err(Failure::failed)?;
        let ready = self.cluster.ready(READY_LIMIT).await;
        if let Some(outage) = self.facts.outages.last_mut() {
            outage.1 = now();
        }
        ready.map_err(Failure::failed)
    }
}

/// What can be asked.
impl Stage {
    /// The hierarchy as the coordinator sees it.
    pub(super) async fn pool(&self) -> Result<PoolInfo, Failure> {
        let pools = self.coordinator().topology(None).await?;
        let pool = pools.into_iter().next();
        pool.ok_or_else(|| Failure::failed("the coordinator knows of no pool"))
    }

    /// Waits until everything sleeps and there is a sentry.
    pub(super) async fn sentry(&self) -> Result<(PoolInfo, SentryInfo), Failure> {
        self.wait_for("a sentry", async || {
            let pool = self.pool().await?;
            let sentry = pool.sentry.clone();
            Ok(sentry.map(|sentry| (pool, sentry)))
        })
        .await
    }

    /// A place in the story, for [`Stage::ran_since`].
    pub(super) fn mark(&self) -> usize {
        self.notes.open().launches.len()
    }

    /// What was launched since a mark.
    pub(super) fn ran_since(&self, mark: usize) -> Vec<Ran> {
        let notes = self.notes.open();
        let promise = |uid: &str| self.facts.promises.iter().find(|it| it.uid == uid);
        let told = notes.launches[mark..].iter().map(|launch| {
            let promise = promise(&launch.uid);
            Ran {
                timer: promise.map_or_else(String::new, Promise::id),
                home: promise.and_then(|it| it.home.clone()),
                node: launch.node.clone(),
                nominal: launch.nominal,
                late: launch.seen - launch.nominal,
            }
        });
        told.collect()
    }

    /// Waits until each of these timers was launched since a mark. What never is, is for the table to tell.
    pub(super) async fn ran_all(&self, mark: usize, timers: &[&str]) {
        let waited = self.wait_for("some timers", async || {
            let ran = self.ran_since(mark);
            let all = timers
                .iter()
                .all(|timer| ran.iter().any(|it| it.timer == *timer));
            Ok(all.then_some(()))
        });
        let _ = waited.await;
    }

    pub(super) fn coordinator(&self) -> &Client {
        self.coordinator
            .as_ref()
            .expect("acts begin when the stage is open")
    }

    fn agent(&self, node: &str) -> &Client {
        self.agents
            .get(node)
            .expect("every node of the demo has a client")
    }

    /// Whom to ask about a timer: its home if that lives, else the coordinator.
    fn owner(&self, promise: &Promise) -> &Client {
        let is_dead = |node: &String| self.facts.deaths.iter().any(|(dead, _)| dead == node);
        match &promise.home {
            Some(home) if !is_dead(home) => self.agent(home),
            _ => self.coordinator(),
        }
    }
}

impl Promise {
    /// The last part of its name.
    fn id(&self) -> String {
        self.name.rsplit('/').next().unwrap_or_default().to_owned()
    }
}
