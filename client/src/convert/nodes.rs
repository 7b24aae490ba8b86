//! Nodes, pools and the coordinator, from the wire; timers are in the file above.

use super::{filled, instant, length, required, same_states};
use crate::error::Error;
use crate::node::{Activity, ActivityChange, Cover, NodeInfo, NodeState};
use crate::topology::{GroupInfo, PoolInfo, SentryInfo, ServerInfo};
use dormouse_proto::v1 as wire;

same_states!(NodeState, node_state_to_wire, node_state: Active Idle Lost Draining Left);

pub(crate) fn activity_to_wire(activity: Activity) -> wire::Activity {
    match activity {
        Activity::Idle => wire::Activity::Idle,
        Activity::Active => wire::Activity::Active,
        Activity::Automatic => wire::Activity::Automatic,
    }
}

pub(crate) fn node_info(node: Option<wire::Node>) -> Result<NodeInfo, Error> {
    let node = required("node", node)?;
    Ok(NodeInfo {
        state: node_state(node.state),
        first: node.first.map(instant).transpose()?,
        self_wake: node.self_wake.map(instant).transpose()?,
        handlers: node
            .handlers
            .into_iter()
            .map(|entry| (entry.handler, entry.credits))
            .collect(),
        clock_skew_ms: node.clock_skew.map(|skew| signed_ms(&skew)),
        cover: cover(node.cover)?,
        node: node.node,
        pool: node.pool,
        rack: node.rack,
        eligible: node.eligible,
        ineligible_reason: node.ineligible_reason,
        epoch: node.epoch,
        session: node.session,
    })
}

fn cover(cover: Option<wire::Cover>) -> Result<Option<Cover>, Error> {
    Ok(match cover.and_then(|cover| cover.kind) {
        Some(wire::cover::Kind::Covered(covered)) => Some(Cover::Covered {
            by: filled(covered.by),
        }),
        Some(wire::cover::Kind::Sentry(sentry)) => Some(Cover::Sentry {
            at: instant(required("at", sentry.at)?)?,
        }),
        Some(wire::cover::Kind::NotCovered(not)) => {
            let retry_after = not.retry_after.map(length).transpose()?;
            Some(Cover::NotCovered {
                why: not.why,
                retry_after,
            })
        }
        None => None,
    })
}

pub(crate) fn activity_change(
    answered: Option<wire::Cover>,
    node: Option<wire::Node>,
) -> Result<ActivityChange, Error> {
    Ok(ActivityChange {
        cover: cover(answered)?,
        node: node_info(node)?,
    })
}

pub(crate) fn pool_info(pool: wire::PoolTopology) -> Result<PoolInfo, Error> {
    let nodes = pool.nodes.into_iter().map(|node| node_info(Some(node)));
    Ok(PoolInfo {
        pool: pool.pool,
        groups: pool
            .groups
            .into_iter()
            .map(group_info)
            .collect::<Result<_, _>>()?,
        nodes: nodes.collect::<Result<_, _>>()?,
        sentry: pool.sentry.map(sentry_info).transpose()?,
        due_backlog: pool.due_backlog,
    })
}

fn group_info(group: wire::Group) -> Result<GroupInfo, Error> {
    Ok(GroupInfo {
        id: group.id,
        level: group.level,
        rack: filled(group.rack),
        members: group.members.into_iter().map(filled).collect(),
        active: group.active,
        migrator: group.migrator,
        head: group.head.map(instant).transpose()?,
        head_node: filled(group.head_node),
    })
}

fn sentry_info(sentry: wire::TopologySentry) -> Result<SentryInfo, Error> {
    Ok(SentryInfo {
        node: sentry.node,
        at: instant(required("at", sentry.at)?)?,
        armed: sentry.armed,
    })
}

pub(crate) fn server_info(info: wire::ServerInfoResponse) -> Result<ServerInfo, Error> {
    Ok(ServerInfo {
        version: info.version,
        ledger_id: info.ledger_id,
        tz_database_version: info.tz_database_version,
        uptime: info.uptime.map(length).transpose()?.unwrap_or_default(),
        pools: info.pools,
        due_backlog: info.due_backlog,
        timers: info.timers,
        nodes_connected: info.nodes_connected,
        log_index: info.log_index,
        time: info.time.map(instant).transpose()?,
        lease_ttl: info.lease_ttl.map(length).transpose()?.unwrap_or_default(),
    })
}

fn signed_ms(skew: &prost_types::Duration) -> i64 {
    skew.seconds
        .saturating_mul(1000)
        .saturating_add(i64::from(skew.nanos / 1_000_000))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_behind_the_coordinators_has_a_negative_skew() {
        assert_eq!(
            signed_ms(&prost_types::Duration {
                seconds: -1,
                nanos: -500_000_000
            }),
            -1500
        );
    }
}
