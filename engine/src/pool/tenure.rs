//! The end of a tenure: leases that ran out, nodes that leave, nodes that were lost for too long.

use super::session::Live;
use super::{Note, Pool};
use crate::agenda::Agenda;
use crate::id::NodeId;
use crate::ledger::Stance;
use crate::planted::{self, Fault};
use crate::time::{BootTime, Millis, Now, WallTime};

/// How long a lost node keeps its timers and its slot.
const FORGET_AFTER: Millis = Millis::from_secs(3_600);
/// The most nodes that are lost, and that are forgotten, in one turn.
const ENDED_IN_TURN_MAX: usize = 64;

/// When it has to be looked at nodes again.
#[derive(Debug, Default)]
pub(super) struct Tenures {
    /// When the lease of a node may be over.
    pub(super) leases: Agenda<BootTime, NodeId>,
    /// When a lost node is forgotten.
    pub(super) forgotten: Agenda<WallTime, NodeId>,
}

impl Pool {
    /// Applies what time alone has decided. Renewals that were waiting have been applied before.
    pub(super) fn expire(&mut self, now: Now) {
        for _ in 0..ENDED_IN_TURN_MAX {
            let Some(node) = self.tenures.leases.pop_due(now.boot) else {
                break;
            };
            if self.is_over_for_sure(now, &node) {
                self.lose(now, &node);
            }
        }
        for _ in 0..ENDED_IN_TURN_MAX {
            let Some(node) = self.tenures.forgotten.pop_due(now.wall) else {
                break;
            };
            self.part_with(now, &node, None);
        }
        self.expire_routes(now);
        self.ledger.prune(now.wall);
    }

    /// Whether a lease that is over was seen to be over before; where not, it is doubted.
    fn is_over_for_sure(&mut self, now: Now, node: &NodeId) -> bool {
        let live = self.live.get_mut(node);
        let before = live.and_then(|live| live.doubted.replace(now.boot));
        if before.is_none() {
            self.note_tenure(node);
        }
        before.is_some()
    }

    /// When it has to be looked at this node again: its lease may be over then, or it is lost for too long.
    pub(super) fn note_tenure(&mut self, node: &NodeId) {
        let live = self.live.get(node).filter(|_| self.holds_lease(node));
        self.tenures.leases.set(node, live.map(Live::look_at));
        let known = self.ledger.node(node);
        let lost = known.filter(|known| known.stance == Stance::Lost);
        let forget_at = lost.map(|lost| lost.since + FORGET_AFTER);
        self.tenures.forgotten.set(node, forget_at);
    }

    /// A parked node has no lease: its timers are the group's already.
    pub(super) fn holds_lease(&self, node: &NodeId) -> bool {
        let stance = self.ledger.node(node).map(|n| n.stance);
        let counts = !planted::is(Fault::LoseTheTakeover);
        counts && matches!(stance, Some(Stance::Active | Stance::Greeted))
    }

    fn lose(&mut self, now: Now, node: &NodeId) {
        self.note(Note::Lost(node.clone()));
        self.end_session(node, false);
        self.fail_routes(node);
        self.ledger.lose(node, now.wall);
        self.hierarchy.lost(node, now.wall);
        self.changed.insert(node.clone());
        self.sync(now);
    }

    /// A node leaves: its timers are the pool's, its slot is free, all in one step.
    pub(super) fn part_with(&mut self, now: Now, node: &NodeId, attempt: Option<u64>) {
        self.note(Note::Left(node.clone()));
        self.fail_routes(node);
        self.ledger.leave(node, attempt, now.wall);
        self.sync(now);
        self.hierarchy.leave(node, now.wall);
        self.changed.insert(node.clone());
    }
}
