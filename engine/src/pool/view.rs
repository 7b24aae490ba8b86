//! What a pool looks like from outside, and when it wants to be called again.

use super::session::{Live, SKEW_MAX_MS};
use super::{Deadlines, Pool};
use crate::hierarchy::{GroupView, Sentry};
use crate::id::{Epoch, NodeId, PoolId, RackId, Session};
use crate::ledger::{Forgotten, Node, Stance};
use crate::message::LedgerId;
use crate::time::WallTime;
use crate::timer::HandlerName;
use std::collections::BTreeMap;

/// A pool, as operators see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct View {
    /// Its name.
    pub pool: PoolId,
    /// Its groups, from the nodes up.
    pub groups: Vec<GroupView>,
    /// Its nodes by name.
    pub nodes: Vec<NodeView>,
    /// Who wakes for the first deadline, if all sleep.
    pub sentry: Option<Sentry>,
    /// Whether it has said that it will.
    pub sentry_armed: bool,
    /// Due timers that nobody can take just now.
    pub due_backlog: usize,
    /// Timers in the ledger.
    pub timers: usize,
    /// What was forgotten early, because there was too much of it.
    pub forgotten: Forgotten,
    /// Which ledger it is.
    pub ledger: LedgerId,
}

/// A node, as operators see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeView {
    /// Its name.
    pub node: NodeId,
    /// Its rack.
    pub rack: RackId,
    /// What it does.
    pub state: NodeState,
    /// Whether it may be migrator and sentry.
    pub eligible: bool,
    /// Why not, if not.
    pub why_ineligible: Option<String>,
    /// The epoch of its ownership.
    pub epoch: Epoch,
    /// Its newest session.
    pub session: Session,
    /// The earliest movable deadline that the group has of it, unless it fires for itself.
    pub first: Option<WallTime>,
    /// When it wakes by itself.
    pub self_wake: Option<WallTime>,
    /// The handlers that its workers had last, and their places if it has a session.
    pub places: BTreeMap<HandlerName, Option<u32>>,
    /// How far its clock was ahead when it was last measured, in milliseconds.
    pub skew_ms: i64,
}

/// What a node does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NodeState {
    /// It is awake and fires its own timers.
    Active,
    /// The group has its timers.
    Idle,
    /// Its lease ran out.
    Lost,
    /// It serves itself only.
    Draining,
    /// It left.
    Left,
}

impl Pool {
    /// A copy of what operators want to see.
    #[must_use]
    pub fn view(&self) -> View {
        View {
            pool: self.config.pool.clone(),
            groups: self.hierarchy.groups(),
            nodes: self
                .ledger
                .nodes()
                .filter(|(_, node)| node.stance != Stance::Left)
                .map(|(name, node)| self.view_of(name, node))
                .collect(),
            sentry: self.hierarchy.sentry().cloned(),
            sentry_armed: self.watch.is_armed(),
            due_backlog: self.ledger.backlog_len(),
            timers: self.ledger.len(),
            forgotten: self.ledger.forgotten(),
            ledger: self.ledger.id(),
        }
    }

    fn view_of(&self, name: &NodeId, node: &Node) -> NodeView {
        let live = self.live.get(name);
        let known = self.hierarchy.node(name);
        NodeView {
            node: name.clone(),
            rack: node.rack.clone(),
            state: state(node.stance, live),
            eligible: known
                .as_ref()
                .is_some_and(|known| known.eligible && !known.lost),
            why_ineligible: live.and_then(why_ineligible),
            epoch: node.epoch,
            session: node.session,
            first: known
                .filter(|known| !known.active)
                .and_then(|known| known.first),
            self_wake: node.self_wake,
            places: places(node, live),
            skew_ms: live.map_or(0, |live| live.skew_ms),
        }
    }

    /// When a tick is wanted, if nothing happens before; it may change with every turn.
    #[must_use]
    pub fn next_deadline(&self) -> Deadlines {
        let (alarm, rung) = self.watch_deadlines();
        let (pinned, woken) = self.watch.pinned_at();
        let wall = [
            pinned,
            self.hierarchy.next_due(),
            alarm,
            self.ledger.prune_at(),
            self.tenures.forgotten.first(),
        ];
        let boot = [
            woken,
            self.tenures.leases.first(),
            rung,
            self.routes.next_deadline(),
            self.orders.repeat_at(),
            self.backlog.spill_at(),
            self.stuck.first(),
        ];
        Deadlines {
            wall: wall.into_iter().flatten().min(),
            boot: boot.into_iter().flatten().min(),
        }
    }
}

fn state(stance: Stance, live: Option<&Live>) -> NodeState {
    match stance {
        Stance::Active if live.is_some_and(|live| !live.willing) => NodeState::Draining,
        Stance::Active => NodeState::Active,
        Stance::Parked | Stance::Greeted => NodeState::Idle,
        Stance::Lost => NodeState::Lost,
        Stance::Left => NodeState::Left,
    }
}

fn places(node: &Node, live: Option<&Live>) -> BTreeMap<HandlerName, Option<u32>> {
    let told = |handler| live.and_then(|live| live.capacity.get(handler).copied());
    node.handlers
        .iter()
        .map(|handler| (handler.clone(), told(handler)))
        .collect()
}

fn why_ineligible(live: &Live) -> Option<String> {
    reason(live.willing, live.skew_ms)
}

/// Why a node must not be migrator and sentry: it does not want to, or its clock is off.
pub(crate) fn reason(willing: bool, skew_ms: i64) -> Option<String> {
    if !willing {
        return Some("it is draining".into());
    }
    (skew_ms.unsigned_abs() > SKEW_MAX_MS).then(|| {
        format!(
            "its clock is off by {} ms; more than {SKEW_MAX_MS} ms is too much",
            skew_ms
        )
    })
}
