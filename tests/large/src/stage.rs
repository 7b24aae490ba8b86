//! A coordinator and some agents as processes of their own, and how to ask them.
//!
//! They are `dormouse_cluster`'s, with the defaults that users have. Dropping the stage kills them and removes their
//! data. What is asked of them is asked by the client library, except for streams, which scenarios open themselves.

use crate::Setting;
use crate::gauge::Gauge;
use anyhow::Context as _;
use dormouse_client::{Activity, Client, Cover, NodeState, TimerFilter, TimerState};
use dormouse_cluster::{COORDINATOR, Cluster, Logs, Settings};
use std::time::Duration;
use tempfile::TempDir;
use tokio::time::Instant;
use tonic::transport::{Channel, Endpoint};

/// How long anything may take that is not what is measured.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);
/// Between two looks at something that nobody announces.
const PAUSE: Duration = Duration::from_millis(50);

/// A running cluster.
#[derive(Debug)]
pub(crate) struct Stage {
    pub(crate) cluster: Cluster,
    _data: TempDir,
}

impl Stage {
    /// A coordinator and agents of these names, in one rack, each ready for the others.
    pub(crate) async fn with(setting: &Setting, nodes: &[&str]) -> anyhow::Result<Self> {
        let data = tempfile::Builder::new()
            .prefix("dormouse-large-")
            .tempdir()?;
        let mut cluster = Cluster::new(Settings {
            program: setting.program.clone(),
            data: data.path().to_owned(),
            lease: None,
            wake_grace: None,
            agent_flags: Vec::new(),
            logs: match std::env::var_os("DORMOUSE_LOG") {
                Some(_) => Logs::Forward,
                None => Logs::Quiet,
            },
        });
        cluster.start_coordinator(None)?;
        for node in nodes {
            cluster.start_agent(node, "r1", None)?;
        }
        cluster.ready(PATIENCE).await?;
        Ok(Self {
            cluster,
            _data: data,
        })
    }

    /// A client that asks once and waits long.
    pub(crate) async fn client(&self, member: &str) -> anyhow::Result<Client> {
        let client = self.cluster.client(member).await?;
        Ok(client.attempts(1).timeout(PATIENCE))
    }

    /// A connection of its own.
    pub(crate) async fn channel(&self, member: &str) -> anyhow::Result<Channel> {
        connect(&self.cluster.address(member)?).await
    }

    /// What a member costs.
    pub(crate) fn gauge(&self, member: &str) -> anyhow::Result<Gauge> {
        let pid = self.cluster.pid(member)?;
        Gauge::read(pid.with_context(|| format!("{member} does not run"))?)
    }

    /// Lets a node go idle; gives how long that took. It asks again if nobody covers it yet.
    pub(crate) async fn idle(&self, node: &str) -> anyhow::Result<Duration> {
        let client = self.client(node).await?;
        let begun = Instant::now();
        loop {
            let answer = client.set_activity(node, Activity::Idle).await?;
            match answer.cover {
                Some(Cover::NotCovered { why, .. }) if begun.elapsed() > PATIENCE => {
                    anyhow::bail!("{node} is not covered: {why}")
                }
                Some(Cover::NotCovered { .. }) => tokio::time::sleep(PAUSE).await,
                _ => return Ok(begun.elapsed()),
            }
        }
    }

    /// Lets a node be active; gives how long that took.
    pub(crate) async fn active(&self, node: &str) -> anyhow::Result<Duration> {
        let client = self.client(node).await?;
        let begun = Instant::now();
        let answer = client.set_activity(node, Activity::Active).await?;
        anyhow::ensure!(
            answer.node.state == NodeState::Active,
            "{node} is {:?}",
            answer.node.state
        );
        Ok(begun.elapsed())
    }

    /// The number of a node's session, as the coordinator knows it: another one means that the old one broke.
    pub(crate) async fn session(&self, node: &str) -> anyhow::Result<u64> {
        Ok(self.client(COORDINATOR).await?.node(node).await?.session)
    }

    /// Timers at the coordinator that have not come to an end, without those that repeat.
    pub(crate) async fn open(&self) -> anyhow::Result<usize> {
        let filter = TimerFilter {
            states: vec![TimerState::Scheduled, TimerState::Running],
            page_size: 1000,
            ..TimerFilter::default()
        };
        let mut pages = self.client(COORDINATOR).await?.list(filter);
        let mut open = 0;
        while let Some(timers) = pages.next().await? {
            open += timers.iter().filter(|it| !is_tick(&it.name)).count();
        }
        Ok(open)
    }

    /// Waits until every timer that does not repeat has come to an end; gives how many have not.
    pub(crate) async fn until_settled(&self, limit: Duration) -> anyhow::Result<usize> {
        let over = Instant::now() + limit;
        loop {
            let open = self.open().await?;
            if open == 0 || Instant::now() > over {
                return Ok(open);
            }
            tokio::time::sleep(PAUSE).await;
        }
    }
}

/// Timers that repeat have such names; see [`crate::load::tick`].
fn is_tick(name: &str) -> bool {
    name.rsplit('/')
        .next()
        .is_some_and(|id| id.starts_with("tick"))
}

/// A connection of its own.
pub(crate) async fn connect(address: &str) -> anyhow::Result<Channel> {
    let endpoint = Endpoint::from_shared(address.to_owned())?.tcp_nodelay(true);
    Ok(endpoint.connect().await?)
}
