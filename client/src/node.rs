//! Nodes: how they are read, made idle or active, and drained.
//!
//! The coordinator answers for every node, an agent for its own; a call here asks whichever of the two is connected.

use crate::client::Client;
use crate::convert;
use crate::error::Error;
use crate::id;
use crate::timer_info::states;
use dormouse_proto::v1 as wire;
use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

/// A machine or pod that runs an agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeInfo {
    /// Its id.
    pub node: String,
    /// Its pool.
    pub pool: String,
    /// Its rack.
    pub rack: String,
    /// What it does.
    pub state: NodeState,
    /// Whether it may be migrator or sentry, and take work of others.
    pub eligible: bool,
    /// Why it is not eligible; empty if it is.
    pub ineligible_reason: String,
    /// Raised whenever ownership of its movable timers moves.
    pub epoch: u64,
    /// The number of its session; 0 if it has none.
    pub session: u64,
    /// Its earliest movable deadline.
    pub first: Option<SystemTime>,
    /// Its earliest pinned deadline, for which it wakes by itself.
    pub self_wake: Option<SystemTime>,
    /// Runs that its workers can take right now, by handler.
    pub handlers: BTreeMap<String, u32>,
    /// Its wall clock minus the coordinator's, in milliseconds, as last measured.
    pub clock_skew_ms: Option<i64>,
    /// The newest answer to its going idle; none while it is active.
    pub cover: Option<Cover>,
}

states! {
    /// What a node does.
    NodeState {
        /// Awake: it fires its own timers, and perhaps those of others.
        Active = "active",
        /// Its movable timers are with its group; it may sleep.
        Idle = "idle",
        /// Its lease ran out without a word.
        Lost = "lost",
        /// It is leaving and takes no further work.
        Draining = "draining",
        /// It has left.
        Left = "left",
    }
}

/// Who watches over the deadlines of an idle node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cover {
    /// It may sleep.
    Covered {
        /// The migrator that pulls for it; none if a sentry watches or there is nothing to cover.
        by: Option<String>,
    },
    /// It may sleep, and is the one that wakes for the first deadline of all.
    Sentry {
        /// When it must be awake.
        at: SystemTime,
    },
    /// It must not sleep: nobody watches. It still owns its timers.
    NotCovered {
        /// Why.
        why: String,
        /// Worth asking again after this; none if unknown.
        retry_after: Option<Duration>,
    },
}

/// What a node is told to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Activity {
    /// Idle until told otherwise.
    Idle,
    /// Active until told otherwise.
    Active,
    /// As its detector says; active while it has none.
    Automatic,
}

/// What became of a change of activity.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ActivityChange {
    /// The answer to going idle; none if the node is active.
    pub cover: Option<Cover>,
    /// The node afterwards.
    pub node: NodeInfo,
}

impl Client {
    /// The node of the agent that is connected.
    ///
    /// # Errors
    /// [`Error::Unimplemented`] from a coordinator, which is no node.
    pub async fn own_node(&self) -> Result<NodeInfo, Error> {
        let response = self.call(wire::GetNodeRequest {}, |channel, request| async move {
            Client::nodes_of_agent(channel).get_node(request).await
        });
        convert::node_info(response.await?.node)
    }

    /// One node by its id.
    ///
    /// # Errors
    /// [`Error::NotFound`] if there is none, or if the connected agent is another's.
    pub async fn node(&self, node: &str) -> Result<NodeInfo, Error> {
        let request = wire::AdminServiceGetNodeRequest {
            pool: String::new(),
            node: id::id("node", node)?,
        };
        let response = self.call(request, |channel, request| async move {
            Client::admin(channel).get_node(request).await
        });
        match response.await {
            Ok(response) => convert::node_info(response.node),
            Err(Error::Unimplemented { .. }) => self.own_node_named(node).await,
            Err(error) => Err(error),
        }
    }

    async fn own_node_named(&self, node: &str) -> Result<NodeInfo, Error> {
        let own = self.own_node().await?;
        if own.node == node {
            return Ok(own);
        }
        let message = format!(
            "this is the agent of node {}; ask the coordinator about node {node}",
            own.node
        );
        Err(Error::NotFound { message })
    }

    /// Every node of one pool, or of every pool, by pool and id. Asks the coordinator.
    ///
    /// # Errors
    /// [`Error::Unimplemented`] from an agent.
    pub async fn nodes(&self, pool: Option<&str>) -> Result<Vec<NodeInfo>, Error> {
        let mut nodes = Vec::new();
        let mut page_token = String::new();
        loop {
            let pool = pool.unwrap_or_default().into();
            let request = wire::ListNodesRequest {
                pool,
                page_size: 0,
                page_token,
            };
            let response = self.call(request, |channel, request| async move {
                Client::admin(channel).list_nodes(request).await
            });
            let page = response.await?;
            for node in page.nodes {
                nodes.push(convert::node_info(Some(node))?);
            }
            page_token = page.next_page_token;
            if page_token.is_empty() {
                return Ok(nodes);
            }
        }
    }

    /// Makes a node idle or active; returns when the coordinator has answered. Works at the coordinator for every
    /// node, at an agent for its own.
    ///
    /// # Errors
    /// [`Error::NotFound`] if there is no such node; [`Error::Unavailable`] if it has no session.
    pub async fn set_activity(
        &self,
        node: &str,
        activity: Activity,
    ) -> Result<ActivityChange, Error> {
        let node = id::id("node", node)?;
        let activity = convert::activity_to_wire(activity).into();
        let request = wire::SetNodeActivityRequest {
            pool: String::new(),
            node: node.clone(),
            activity,
        };
        let at_coordinator = self.call(request, |channel, request| async move {
            Client::admin(channel).set_node_activity(request).await
        });
        match at_coordinator.await {
            Ok(response) => return convert::activity_change(response.cover, response.node),
            Err(Error::Unimplemented { .. }) => {}
            Err(error) => return Err(error),
        }
        let request = wire::SetActivityRequest { activity, node };
        let at_agent = self.call(request, |channel, request| async move {
            Client::nodes_of_agent(channel).set_activity(request).await
        });
        let response = at_agent.await?;
        convert::activity_change(response.cover, response.node)
    }

    /// Makes a node serve its own timers only: it is neither migrator nor sentry and takes no work of others, until
    /// [`Client::set_activity`] says otherwise or its agent is stopped, which hands its timers over. Works at the
    /// coordinator for every node, at an agent for its own.
    ///
    /// # Errors
    /// [`Error::NotFound`] if there is no such node; [`Error::Unavailable`] if it has no session.
    pub async fn drain(&self, node: &str) -> Result<NodeInfo, Error> {
        let node = id::id("node", node)?;
        let request = wire::DrainNodeRequest {
            pool: String::new(),
            node: node.clone(),
        };
        let at_coordinator = self.call(request, |channel, request| async move {
            Client::admin(channel).drain_node(request).await
        });
        match at_coordinator.await {
            Ok(response) => return convert::node_info(response.node),
            Err(Error::Unimplemented { .. }) => {}
            Err(error) => return Err(error),
        }
        let at_agent = self.call(wire::DrainRequest { node }, |channel, request| async move {
            Client::nodes_of_agent(channel).drain(request).await
        });
        convert::node_info(at_agent.await?.node)
    }
}
