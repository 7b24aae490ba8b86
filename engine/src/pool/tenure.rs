//! The end of a tenure: leases that ran out, nodes that leave, nodes that were lost for too long.

use super::{Note, Pool};
use crate::id::NodeId;
use crate::ledger::Stance;
use crate::planted::{self, Fault};
use crate::time::{Millis, Now, WallTime};

/// How long a lost node keeps its timers and its slot.
const FORGET_AFTER: Millis = Millis::from_secs(3_600);

impl Pool {
    /// Applies what time alone has decided. Renewals that were waiting have been applied before.
    pub(super) fn expire(&mut self, now: Now) {
        for node in self.expired(now) {
            self.lose(now, &node);
        }
        for node in self.forgotten(now) {
            self.part_with(now, &node, None);
        }
        self.expire_routes(now);
        self.ledger.prune(now.wall);
    }

    /// Whose lease is over for sure; where that is seen for the first time, it is doubted.
    fn expired(&mut self, now: Now) -> Vec<NodeId> {
        let due = self
            .live
            .iter()
            .filter(|(node, live)| live.look_at() <= now.boot && self.holds_lease(node));
        let due: Vec<NodeId> = due.map(|(node, _)| node.clone()).collect();
        let (sure, doubtful): (Vec<_>, Vec<_>) = due
            .into_iter()
            .partition(|node| self.live.get(node).is_some_and(|l| l.doubted.is_some()));
        for node in doubtful {
            if let Some(live) = self.live.get_mut(&node) {
                live.doubted = Some(now.boot);
            }
        }
        sure
    }

    /// A parked node has no lease: its timers are the group's already.
    pub(super) fn holds_lease(&self, node: &NodeId) -> bool {
        let stance = self.ledger.node(node).map(|n| n.stance);
        let counts = !planted::is(Fault::LoseTheTakeover);
        counts && matches!(stance, Some(Stance::Active | Stance::Greeted))
    }

    fn forgotten(&self, now: Now) -> Vec<NodeId> {
        let lost = self.ledger.nodes().filter(|(_, node)| {
            node.stance == Stance::Lost && node.since + FORGET_AFTER <= now.wall
        });
        lost.map(|(name, _)| name.clone()).collect()
    }

    pub(super) fn forget_at(&self) -> Option<WallTime> {
        let lost = self
            .ledger
            .nodes()
            .filter(|(_, node)| node.stance == Stance::Lost);
        lost.map(|(_, node)| node.since + FORGET_AFTER).min()
    }

    fn lose(&mut self, now: Now, node: &NodeId) {
        self.note(Note::Lost(node.clone()));
        self.end_session(node, false);
        self.fail_routes(node);
        self.ledger.lose(node, now.wall);
        self.hierarchy.lost(node, now.wall);
        self.sync(now);
    }

    /// A node leaves: its timers are the pool's, its slot is free, all in one step.
    pub(super) fn part_with(&mut self, now: Now, node: &NodeId, attempt: Option<u64>) {
        self.note(Note::Left(node.clone()));
        self.fail_routes(node);
        self.ledger.leave(node, attempt, now.wall);
        self.sync(now);
        self.hierarchy.leave(node, now.wall);
    }
}
