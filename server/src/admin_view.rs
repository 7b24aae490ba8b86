//! What operators see, from the engine's views to the wire.

use crate::pool::Seen;
use dormouse_edge::answer::{difference, timestamp};
use dormouse_engine::hierarchy::GroupView;
use dormouse_engine::id::PoolId;
use dormouse_engine::pool::{NodeState, NodeView};
use dormouse_proto::v1;

pub(crate) fn topology(seen: &Seen) -> v1::PoolTopology {
    let view = &seen.view;
    v1::PoolTopology {
        pool: view.pool.to_string(),
        groups: view.groups.iter().map(group).collect(),
        nodes: nodes(seen),
        sentry: view.sentry.as_ref().map(|sentry| v1::TopologySentry {
            node: sentry.node.to_string(),
            at: Some(timestamp(sentry.at)),
            armed: view.sentry_armed,
        }),
        due_backlog: view.due_backlog as u64,
    }
}

fn group(group: &GroupView) -> v1::Group {
    v1::Group {
        id: group.id.clone(),
        level: group.level,
        rack: group
            .rack
            .as_ref()
            .map(ToString::to_string)
            .unwrap_or_default(),
        members: group
            .members
            .iter()
            .map(|member| member.clone().unwrap_or_default())
            .collect(),
        active: group.active.into(),
        migrator: group.migrator.into(),
        head: group.head.map(timestamp),
        head_node: group
            .head_node
            .as_ref()
            .map(ToString::to_string)
            .unwrap_or_default(),
    }
}

pub(crate) fn nodes(seen: &Seen) -> Vec<v1::Node> {
    seen.view
        .nodes
        .iter()
        .map(|it| node(&seen.view.pool, it))
        .collect()
}

pub(crate) fn node(pool: &PoolId, node: &NodeView) -> v1::Node {
    let handlers = node.places.iter();
    v1::Node {
        node: node.node.to_string(),
        pool: pool.to_string(),
        rack: node.rack.to_string(),
        state: state(node.state).into(),
        eligible: node.eligible,
        ineligible_reason: node.why_ineligible.clone().unwrap_or_default(),
        epoch: node.epoch.0,
        session: node.session.0,
        first: node.first.map(timestamp),
        self_wake: node.self_wake.map(timestamp),
        handlers: handlers
            .map(|(handler, places)| v1::HandlerCredits {
                handler: handler.to_string(),
                credits: places.unwrap_or(0),
            })
            .collect(),
        clock_skew: Some(difference(node.skew_ms)),
        cover: None,
    }
}

fn state(state: NodeState) -> v1::NodeState {
    match state {
        NodeState::Active => v1::NodeState::Active,
        NodeState::Idle => v1::NodeState::Idle,
        NodeState::Lost => v1::NodeState::Lost,
        NodeState::Draining => v1::NodeState::Draining,
        NodeState::Left => v1::NodeState::Left,
    }
}
