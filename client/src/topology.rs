//! The whole as the coordinator sees it: pools, groups, the sentry, and the coordinator itself; and how to ask.

use crate::client::Client;
use crate::convert;
use crate::error::Error;
use crate::node::NodeInfo;
use dormouse_proto::v1 as wire;
use std::time::{Duration, SystemTime};

/// The hierarchy of one pool.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PoolInfo {
    /// Its id.
    pub pool: String,
    /// By level, then by number; the last one is the root.
    pub groups: Vec<GroupInfo>,
    /// By id.
    pub nodes: Vec<NodeInfo>,
    /// Who wakes for the first deadline; none unless everything is idle and there is a deadline.
    pub sentry: Option<SentryInfo>,
    /// Occurrences that are due and that nobody can take just now.
    pub due_backlog: u64,
}

/// Up to eight members, one of which watches for those that are idle.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupInfo {
    /// `LEVEL:NUMBER`.
    pub id: String,
    /// 0 for groups of nodes.
    pub level: u32,
    /// Its rack; none above the racks.
    pub rack: Option<String>,
    /// By slot: a node's or a group's id; none for a free slot.
    pub members: Vec<Option<String>>,
    /// Which slots are active: bit 0 for slot 0.
    pub active: u32,
    /// The bit of the migrator's slot; 0 if there is none.
    pub migrator: u32,
    /// The earliest deadline of the members that are not on duty.
    pub head: Option<SystemTime>,
    /// The node that owns `head`.
    pub head_node: Option<String>,
}

/// The node that wakes for the first deadline of all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SentryInfo {
    /// Its id.
    pub node: String,
    /// When it must be awake.
    pub at: SystemTime,
    /// Whether it has taken the order; until then the coordinator itself is the watch.
    pub armed: bool,
}

/// Facts about the coordinator.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerInfo {
    /// The version of the program.
    pub version: String,
    /// The identity of its ledger.
    pub ledger_id: String,
    /// The release of the embedded time zone database.
    pub tz_database_version: String,
    /// How long the process has been running.
    pub uptime: Duration,
    /// The ids of its pools.
    pub pools: Vec<String>,
    /// Occurrences that are due and that nobody can take just now.
    pub due_backlog: u64,
    /// Timers in the ledger.
    pub timers: u64,
    /// Nodes with a session.
    pub nodes_connected: u64,
    /// The newest position of its log.
    pub log_index: u64,
    /// Its wall clock.
    pub time: Option<SystemTime>,
    /// How long a session lives without renewal.
    pub lease_ttl: Duration,
}

impl Client {
    /// The hierarchy of one pool, or of every pool. Asks the coordinator.
    ///
    /// # Errors
    /// [`Error::Unimplemented`] from an agent; [`Error::NotFound`] if there is no such pool.
    pub async fn topology(&self, pool: Option<&str>) -> Result<Vec<PoolInfo>, Error> {
        let request = wire::GetTopologyRequest {
            pool: pool.unwrap_or_default().into(),
        };
        let response = self.call(request, |channel, request| async move {
            Client::admin(channel).get_topology(request).await
        });
        response
            .await?
            .pools
            .into_iter()
            .map(convert::pool_info)
            .collect()
    }

    /// Facts about the coordinator.
    ///
    /// # Errors
    /// [`Error::Unimplemented`] from an agent.
    pub async fn server_info(&self) -> Result<ServerInfo, Error> {
        let response = self.call(wire::ServerInfoRequest {}, |channel, request| async move {
            Client::admin(channel).server_info(request).await
        });
        convert::server_info(response.await?)
    }
}
