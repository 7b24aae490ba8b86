//! `dormouse node`: reads nodes, and makes them idle or active.
//!
//! The coordinator answers for every node, an agent for its own; the client library asks whichever is connected.

use crate::cli::Peer;
use crate::failure::Failure;
use crate::names;
use crate::output::{self, Output, Row, time};
use clap::{Args, Subcommand};
use dormouse_agent::engine::id::{NodeId, PoolId};
use dormouse_client::{Activity, ActivityChange, Cover, NodeInfo};
use serde::Serialize;

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Read every node; asks the coordinator.
    List(List),
    /// Read one node.
    Get(Which),
    /// Let a node sleep: its movable timers go to its group. Prints who watches for it.
    Idle(Which),
    /// Wake a node: it takes its timers back.
    Active(Which),
    /// Let a node's detector decide; without one it is active.
    Auto(Which),
    /// Let a node serve its own timers only, neither migrator nor sentry, until it is made active or stopped.
    Drain(Which),
}

#[derive(Debug, Args)]
pub(crate) struct List {
    /// Only of this pool.
    #[arg(long, env = "DORMOUSE_POOL", value_name = "POOL", value_parser = names::pool)]
    pool: Option<PoolId>,
}

#[derive(Debug, Args)]
pub(crate) struct Which {
    /// The node.
    #[arg(value_name = "NODE", value_parser = names::node)]
    node: NodeId,
}

pub(crate) async fn run(command: Command, peer: &Peer) -> Result<(), Failure> {
    match command {
        Command::List(list) => list.run(peer).await,
        Command::Get(which) => get(&which.node, peer).await,
        Command::Idle(which) => set(&which.node, Activity::Idle, peer).await,
        Command::Active(which) => set(&which.node, Activity::Active, peer).await,
        Command::Auto(which) => set(&which.node, Activity::Automatic, peer).await,
        Command::Drain(which) => drain(&which.node, peer).await,
    }
}

/// A node, with the stable fields of JSON.
#[derive(Debug, Serialize)]
pub(crate) struct NodeRow {
    node: String,
    pool: String,
    rack: String,
    state: &'static str,
    eligible: bool,
    epoch: u64,
}

impl NodeRow {
    pub(crate) fn of(node: &NodeInfo) -> Self {
        Self {
            node: node.node.clone(),
            pool: node.pool.clone(),
            rack: node.rack.clone(),
            state: node.state.as_str(),
            eligible: node.eligible,
            epoch: node.epoch,
        }
    }
}

impl Row for NodeRow {
    const HEADER: &'static [&'static str] = &["node", "pool", "rack", "state", "eligible", "epoch"];

    fn cells(&self) -> Vec<String> {
        let eligible = if self.eligible { "yes" } else { "no" };
        vec![
            self.node.clone(),
            self.pool.clone(),
            self.rack.clone(),
            self.state.into(),
            eligible.into(),
            self.epoch.to_string(),
        ]
    }
}

impl List {
    async fn run(self, peer: &Peer) -> Result<(), Failure> {
        let client = peer.connect().await?;
        let nodes = client.nodes(self.pool.as_ref().map(PoolId::as_str)).await?;
        if nodes.is_empty() && peer.output == Output::Table {
            return output::text("no nodes");
        }
        let rows: Vec<NodeRow> = nodes.iter().map(NodeRow::of).collect();
        peer.output.rows(&rows)
    }
}

async fn get(node: &NodeId, peer: &Peer) -> Result<(), Failure> {
    let node = peer.connect().await?.node(node.as_str()).await?;
    match peer.output {
        Output::Json => output::json(&Details::of(&node)),
        Output::Table => output::text(&in_words(&node)),
    }
}

/// One node with everything that is known of it: the fields of a row, and more.
#[derive(Debug, Serialize)]
struct Details {
    #[serde(flatten)]
    row: NodeRow,
    ineligible_reason: String,
    session: u64,
    first: Option<String>,
    self_wake: Option<String>,
    handlers: std::collections::BTreeMap<String, u32>,
    clock_skew_ms: Option<i64>,
    #[serde(flatten)]
    covered: CoverFields,
}

impl Details {
    fn of(node: &NodeInfo) -> Self {
        Self {
            row: NodeRow::of(node),
            ineligible_reason: node.ineligible_reason.clone(),
            session: node.session,
            first: node.first.map(time),
            self_wake: node.self_wake.map(time),
            handlers: node.handlers.clone(),
            clock_skew_ms: node.clock_skew_ms,
            covered: CoverFields::of(node.cover.as_ref()),
        }
    }
}

fn in_words(node: &NodeInfo) -> String {
    let details = Details::of(node);
    let eligible = match (node.eligible, node.ineligible_reason.as_str()) {
        (true, _) => "yes".to_owned(),
        (false, "") => "no".to_owned(),
        (false, why) => format!("no: {why}"),
    };
    let handlers = node.handlers.iter();
    let handlers = handlers.map(|(handler, credits)| format!("{handler} ({credits} free)"));
    let skew = node.clock_skew_ms.map(|skew| format!("{skew} ms"));
    let lines = [
        ("node", details.row.node),
        ("pool", details.row.pool),
        ("rack", details.row.rack),
        ("state", details.row.state.into()),
        ("eligible", eligible),
        ("epoch", details.row.epoch.to_string()),
        ("session", details.session.to_string()),
        ("first", details.first.unwrap_or_else(|| "none".into())),
        (
            "self-wake",
            details.self_wake.unwrap_or_else(|| "none".into()),
        ),
        ("handlers", handlers.collect::<Vec<_>>().join(", ")),
        ("clock skew", skew.unwrap_or_default()),
        (
            "cover",
            node.cover.as_ref().map(cover_words).unwrap_or_default(),
        ),
    ];
    let lines = lines
        .into_iter()
        .filter(|(_, value)| !value.is_empty())
        .map(|(name, value)| format!("{:<12}{value}", format!("{name}:")));
    lines.collect::<Vec<_>>().join("\n")
}

/// Who watches over an idle node, as fields of JSON; all null while it is active.
#[derive(Debug, Default, Serialize)]
struct CoverFields {
    cover: Option<&'static str>,
    by: Option<String>,
    at: Option<String>,
    why: Option<String>,
}

impl CoverFields {
    fn of(cover: Option<&Cover>) -> Self {
        match cover {
            None => Self::default(),
            Some(Cover::Covered { by }) => Self {
                cover: Some("covered"),
                by: by.clone(),
                ..Self::default()
            },
            Some(Cover::Sentry { at }) => Self {
                cover: Some("sentry"),
                at: Some(time(*at)),
                ..Self::default()
            },
            Some(Cover::NotCovered { why, .. }) => Self {
                cover: Some("not_covered"),
                why: Some(why.clone()),
                ..Self::default()
            },
        }
    }
}

fn cover_words(cover: &Cover) -> String {
    match cover {
        Cover::Covered { by: Some(by) } => format!("covered by {by}"),
        Cover::Covered { by: None } => "covered".into(),
        Cover::Sentry { at } => format!("it is the sentry, and wakes at {}", time(*at)),
        Cover::NotCovered {
            why,
            retry_after: None,
        } => format!("not covered, it must not sleep: {why}"),
        Cover::NotCovered {
            why,
            retry_after: Some(wait),
        } => format!("not covered, it must not sleep: {why}; ask again after {wait:?}"),
    }
}

/// What became of a change, as JSON.
#[derive(Debug, Serialize)]
struct Changed {
    node: String,
    #[serde(flatten)]
    cover: CoverFields,
    state: &'static str,
}

async fn set(node: &NodeId, activity: Activity, peer: &Peer) -> Result<(), Failure> {
    let client = peer.connect().await?;
    let ActivityChange { cover, node } = client.set_activity(node.as_str(), activity).await?;
    tell(&node, cover.as_ref(), peer)
}

async fn drain(node: &NodeId, peer: &Peer) -> Result<(), Failure> {
    let node = peer.connect().await?.drain(node.as_str()).await?;
    tell(&node, node.cover.as_ref(), peer)
}

fn tell(node: &NodeInfo, cover: Option<&Cover>, peer: &Peer) -> Result<(), Failure> {
    let changed = Changed {
        node: node.node.clone(),
        cover: CoverFields::of(cover),
        state: node.state.as_str(),
    };
    let mut words = format!("{} is {}", node.node, node.state);
    if let Some(cover) = cover {
        words = format!("{words}: {}", cover_words(cover));
    }
    peer.output.one(&changed, &words)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::{Duration, UNIX_EPOCH};

    fn json(cover: Option<Cover>) -> String {
        let changed = Changed {
            node: "n1".into(),
            cover: CoverFields::of(cover.as_ref()),
            state: "idle",
        };
        serde_json::to_string(&changed).unwrap()
    }

    #[test]
    fn every_cover_has_the_same_fields() {
        let by = Some("n2".to_owned());
        assert_eq!(
            json(Some(Cover::Covered { by })),
            r#"{"node":"n1","cover":"covered","by":"n2","at":null,"why":null,"state":"idle"}"#
        );
        let at = UNIX_EPOCH + Duration::from_millis(1);
        assert_eq!(
            json(Some(Cover::Sentry { at })),
            r#"{"node":"n1","cover":"sentry","by":null,"at":"1970-01-01T00:00:00.001Z","why":null,"state":"idle"}"#
        );
        let not = Cover::NotCovered {
            why: "w".into(),
            retry_after: None,
        };
        assert_eq!(
            json(Some(not)),
            r#"{"node":"n1","cover":"not_covered","by":null,"at":null,"why":"w","state":"idle"}"#
        );
        assert_eq!(
            json(None),
            r#"{"node":"n1","cover":null,"by":null,"at":null,"why":null,"state":"idle"}"#
        );
    }
}
