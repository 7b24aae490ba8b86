//! Nodes that leave: their movable timers become the pool's, a piece in each turn, and are served as its own at once.

use super::ownership::PER_PAGE_MAX;
use super::{Home, Ledger, Stance};
use crate::id::{NodeId, Uid};
use crate::record::Key;
use crate::time::WallTime;
use crate::timer::{Awaits, Placement};

impl Ledger {
    /// The pool takes over the movable timers of a node that leaves; pinned ones stay and wait for it. What the node
    /// has handed over under `attempt` is among them.
    pub(crate) fn leave(&mut self, node: &NodeId, attempt: Option<u64>, now: WallTime) {
        self.interrupt_claims(node, false, now);
        if let Some(attempt) = attempt {
            self.attach_stage(node, attempt);
            self.change_node(node, |n| n.stage = Some(attempt));
        }
        self.take_over(node, Stance::Left, now);
        self.leaving.insert(node.clone());
        self.turn.touched.insert(None);
        self.part(node, PER_PAGE_MAX);
    }

    /// After a start: who has left, and still has timers that are to be the pool's.
    pub(super) fn find_leaving(&mut self) {
        let left = self
            .nodes
            .iter()
            .filter(|(_, node)| node.stance == Stance::Left);
        let left: Vec<NodeId> = left.map(|(name, _)| name.clone()).collect();
        self.leaving.extend(left);
    }

    /// Makes some timers of those who have left the pool's. Returns whether there are more.
    pub(crate) fn part_some(&mut self) -> bool {
        if let Some(node) = self.leaving.first().cloned() {
            self.part(&node, PER_PAGE_MAX);
        }
        !self.leaving.is_empty()
    }

    fn part(&mut self, node: &NodeId, most: usize) {
        let all = self.news_of_leaver(node).into_iter().flatten();
        let uids: Vec<Uid> = all.take(most).collect();
        let done = uids.len() < most;
        for uid in uids {
            let at = self.stamp();
            self.change(uid, |entry| match entry.timer.spec.placement {
                Placement::Movable => {
                    entry.former = entry.timer.home.take();
                    entry.stage = None;
                }
                Placement::Pinned(_) => {
                    entry.timer.awaits = Some(Awaits::Return);
                    entry.changed = at;
                }
            });
        }
        if done {
            self.leaving.remove(node);
            self.void_stage(node);
            self.change_node(node, |n| n.stage = None);
            self.forget_if_empty(node);
        }
    }

    /// Timers of a node that has left, and that have not been looked at since.
    fn news_of_leaver(&self, node: &NodeId) -> [Vec<Uid>; 2] {
        let own = self.homes.get(&Some(node.clone())).map(|it| &it.news);
        let staged = self.stages.attached(node).map(|it| &it.holding.news);
        let fresh = |uid: &Uid| {
            let entry = self.timers.get(uid);
            entry.is_some_and(|entry| entry.timer.awaits != Some(Awaits::Return))
        };
        [own, staged].map(|news| {
            let uids = news.into_iter().flatten().map(|(_, uid)| *uid);
            uids.take_while(fresh).take(PER_PAGE_MAX).collect()
        })
    }

    /// A node that has left is remembered only while a timer, or somebody's change of one, waits for it.
    fn forget_if_empty(&mut self, node: &NodeId) {
        let home: Home = Some(node.clone());
        let waits = self.pending.values().any(|pending| pending.node == *node);
        if !self.homes.contains_key(&home) && !waits {
            self.nodes.remove(node);
            self.turn.dirty.insert(Key::Node(node.clone()));
            let unheard = self.gone_of.remove(node).into_iter().flatten();
            for (_, uid) in unheard {
                self.gone.remove(&uid);
                self.turn.dirty.insert(Key::Gone(uid));
            }
        }
    }
}
