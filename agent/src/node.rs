//! NodeService: how this node is, and the wish that it sleep, wake or leave.
//!
//! A wish is answered when the coordinator has answered; the cover says whether the node may sleep.

use crate::asking::Asking;
use crate::executor::Executor;
use dormouse_edge::{answer, fault, request};
use dormouse_engine::base::{self, View};
use dormouse_engine::message::Capacity;
use dormouse_engine::op::{self, Answer, Op};
use dormouse_engine::time::Millis;
use dormouse_proto::v1;
use std::sync::Arc;
use tonic::{Request, Response, Status};
use v1::node_service_server::NodeService;

/// The service over one base.
pub(crate) struct Nodes {
    pub(crate) asking: Asking,
    pub(crate) executor: Arc<Executor>,
}

impl Nodes {
    async fn node(&self) -> Result<v1::Node, Status> {
        let ended = || answer::unavailable("this agent is ending", Millis(500));
        let view = self.asking.view().await.ok_or_else(ended)?;
        Ok(node(view, self.executor.free()))
    }

    /// An empty id means this node; another one is not here.
    fn check_own(&self, id: &str) -> Result<(), Status> {
        if id.is_empty() || request::bare_node("node", id)? == self.asking.node {
            return Ok(());
        }
        let own = &self.asking.node;
        Err(answer::missing(&format!(
            "node {id} at this agent, which is {own}; ask the coordinator"
        )))
    }

    async fn act(&self, activity: op::Activity) -> Result<Option<v1::Cover>, Status> {
        let op = Op::Activity {
            node: self.asking.node.clone(),
            activity,
        };
        match self.asking.decide(op).await {
            Answer::Activity { cover, uncovered } => Ok(answer::cover(cover.as_ref(), uncovered)),
            Answer::Refused(why) => Err(answer::refusal(&why)),
            other => Err(answer::unexpected(&other)),
        }
    }
}

#[tonic::async_trait]
impl NodeService for Nodes {
    async fn get_node(
        &self,
        _: Request<v1::GetNodeRequest>,
    ) -> Result<Response<v1::GetNodeResponse>, Status> {
        Ok(Response::new(v1::GetNodeResponse {
            node: Some(self.node().await?),
        }))
    }

    async fn set_activity(
        &self,
        request: Request<v1::SetActivityRequest>,
    ) -> Result<Response<v1::SetActivityResponse>, Status> {
        let activity = activity(request.get_ref().activity)?;
        self.check_own(&request.get_ref().node)?;
        let cover = self.act(activity).await?;
        let node = Some(self.node().await?);
        Ok(Response::new(v1::SetActivityResponse { cover, node }))
    }

    async fn drain(
        &self,
        request: Request<v1::DrainRequest>,
    ) -> Result<Response<v1::DrainResponse>, Status> {
        self.check_own(&request.get_ref().node)?;
        self.act(op::Activity::Drain).await?;
        Ok(Response::new(v1::DrainResponse {
            node: Some(self.node().await?),
        }))
    }
}

fn activity(number: i32) -> Result<op::Activity, Status> {
    match v1::Activity::try_from(number) {
        Ok(v1::Activity::Idle) => Ok(op::Activity::Idle),
        // Without a detector of idleness a node is awake unless it is told otherwise.
        Ok(v1::Activity::Active | v1::Activity::Automatic) => Ok(op::Activity::Active),
        Ok(v1::Activity::Unspecified) => Err(fault::invalid("activity", "must be set")),
        Err(_) => Err(fault::invalid(
            "activity",
            format!("{number} is no activity"),
        )),
    }
}

fn node(view: View, free: Capacity) -> v1::Node {
    v1::Node {
        node: view.node.to_string(),
        pool: view.pool.to_string(),
        rack: view.rack.to_string(),
        state: state(view.state).into(),
        eligible: view.eligible,
        ineligible_reason: view.why_ineligible.or(view.rejected).unwrap_or_default(),
        epoch: view.epoch.0,
        session: view.session.0,
        first: view.first.map(answer::timestamp),
        self_wake: view.self_wake.map(answer::timestamp),
        handlers: free.into_iter().map(handler).collect(),
        // The base tells how far the coordinator's clock is ahead.
        clock_skew: Some(signed(-view.clock_offset_ms)),
        cover: answer::cover(view.cover.as_ref(), view.uncovered),
    }
}

fn handler((handler, credits): (dormouse_engine::timer::HandlerName, u32)) -> v1::HandlerCredits {
    v1::HandlerCredits {
        handler: handler.to_string(),
        credits,
    }
}

fn state(state: base::State) -> v1::NodeState {
    match state {
        // A node that asks to sleep is awake until it is told that it may.
        base::State::Starting | base::State::Active | base::State::Parking => v1::NodeState::Active,
        base::State::Idle => v1::NodeState::Idle,
        base::State::Draining | base::State::Leaving => v1::NodeState::Draining,
    }
}

fn signed(millis: i64) -> prost_types::Duration {
    let nanos = i32::try_from(millis % 1_000 * 1_000_000).expect("below a second either way");
    prost_types::Duration {
        seconds: millis / 1_000,
        nanos,
    }
}
