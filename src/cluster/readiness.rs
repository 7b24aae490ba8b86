//! When a cluster is ready: everybody that was started is there for the others.
//!
//! Asked again and again, since nobody announces it; the limit and what is missing make the error.

use crate::{COORDINATOR, Cluster, Error, Role};
use dormouse_client::{Client, NodeInfo, NodeState};
use std::time::Duration;
use tokio::time::Instant;

/// Between two looks.
const PAUSE: Duration = Duration::from_millis(20);
/// How long one question may take.
const PATIENCE: Duration = Duration::from_secs(2);

/// Waits for every running member in turn.
pub(crate) async fn all(cluster: &Cluster, limit: Duration) -> Result<(), Error> {
    let until = Instant::now() + limit;
    for (name, _) in cluster.running() {
        let role = &cluster.member(name)?.role;
        while let Err(why) = look(cluster, name, role).await {
            if Instant::now() >= until {
                return Err(Error::NotReady {
                    name: name.to_owned(),
                    waited: limit,
                    why,
                });
            }
            tokio::time::sleep(PAUSE).await;
        }
    }
    Ok(())
}

async fn look(cluster: &Cluster, name: &str, role: &Role) -> Result<(), String> {
    match role {
        Role::Coordinator { .. } => answers(cluster).await,
        Role::Agent { .. } => is_connected(cluster, name).await,
        Role::Worker { node, handlers } => is_attached(cluster, node, handlers).await,
    }
}

async fn answers(cluster: &Cluster) -> Result<(), String> {
    let coordinator = client(cluster, COORDINATOR).await?;
    coordinator.server_info().await.map(drop).map_err(text)
}

/// The agent has a session, and the coordinator agrees that it is this one.
async fn is_connected(cluster: &Cluster, node: &str) -> Result<(), String> {
    let own = own_node(cluster, node).await?;
    if cluster.running().all(|(name, _)| name != COORDINATOR) {
        return Ok(());
    }
    let coordinator = client(cluster, COORDINATOR).await?;
    let known = coordinator.node(node).await.map_err(text)?;
    let is_there = matches!(known.state, NodeState::Active | NodeState::Idle);
    if own.session != 0 && own.session == known.session && is_there {
        Ok(())
    } else {
        Err("it has no session with the coordinator".into())
    }
}

async fn is_attached(cluster: &Cluster, node: &str, handlers: &[String]) -> Result<(), String> {
    let own = own_node(cluster, node).await?;
    let missing = handlers
        .iter()
        .find(|handler| !own.handlers.contains_key(*handler));
    missing.map_or(Ok(()), |handler| {
        Err(format!("its agent does not know of its handler {handler}"))
    })
}

async fn own_node(cluster: &Cluster, node: &str) -> Result<NodeInfo, String> {
    let agent = client(cluster, node).await?;
    agent.own_node().await.map_err(text)
}

async fn client(cluster: &Cluster, name: &str) -> Result<Client, String> {
    let client = cluster.client(name).await.map_err(text)?;
    Ok(client.attempts(1).timeout(PATIENCE))
}

fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}
