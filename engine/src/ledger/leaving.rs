//! Nodes that leave: their movable timers become the pool's, a piece in each turn, and are served as its own at once.

use super::ownership::PER_PAGE_MAX;
use super::{Entry, Ledger, Stance};
use crate::id::{NodeId, Uid};
use crate::time::{LogIndex, WallTime};
use crate::timer::{Awaits, Placement};
use std::ops::Bound;

/// How far the timers of a node that has left were gone through, in the order of their news. What is changed since is
/// met again behind that, and is the pool's by then or waits for its home.
pub(super) type Parting = (LogIndex, Uid);

/// Before the first of all.
const FIRST: Parting = (LogIndex(0), Uid(0));

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
        self.leaving.insert(node.clone(), FIRST);
        self.touch((Some(node.clone()), None));
        self.look_at_leavers();
        self.part(node, PER_PAGE_MAX);
    }

    /// After a start: who has left, and still has timers that are to be the pool's.
    pub(super) fn find_leaving(&mut self) {
        let nodes = self.nodes.iter();
        let left = nodes.filter(|(_, node)| node.stance == Stance::Left);
        self.leaving = left.map(|(name, _)| (name.clone(), FIRST)).collect();
        self.turn.leavers = self.leaving.keys().cloned().collect();
        self.look_at_leavers();
    }

    /// Makes some timers of those who have left the pool's. Returns whether there are more.
    pub(crate) fn part_some(&mut self) -> bool {
        if let Some(node) = self.leaving.keys().next().cloned() {
            self.part(&node, PER_PAGE_MAX);
        }
        !self.leaving.is_empty()
    }

    fn part(&mut self, node: &NodeId, most: usize) {
        let Some(after) = self.leaving.get(node).copied() else {
            return;
        };
        let own = self.homes.get(node).map(|it| &it.news);
        let range = (Bound::Excluded(after), Bound::Unbounded);
        let own = own.into_iter().flat_map(|news| news.range(range));
        let mut next: Vec<_> = own.take(most).copied().collect();
        let own_left = next.last().copied().filter(|_| next.len() == most);
        let staged = self.stages.attached(node).map(|it| &it.holding.news);
        let staged = staged.into_iter().flatten().take(most - next.len());
        next.extend(staged.copied());
        let done = next.len() < most;
        for (_, uid) in next {
            self.part_with(uid);
        }
        if done {
            self.stay(node);
            self.void_stage(node);
            self.change_node(node, |n| n.stage = None);
            self.forget_if_empty(node);
        } else if let (Some(parting), Some(last)) = (self.leaving.get_mut(node), own_left) {
            *parting = last;
        }
    }

    /// What a node has is not the pool's any more, or all of it is.
    pub(super) fn stay(&mut self, node: &NodeId) {
        self.leaving.remove(node);
        self.leavers.set(node, None);
    }

    fn part_with(&mut self, uid: Uid) {
        let waits = |entry: &Entry| entry.timer.awaits == Some(Awaits::Return);
        if self.timers.get(uid).is_some_and(waits) {
            return;
        }
        let at = self.stamp();
        self.change(uid, |entry| match entry.timer.spec.placement {
            Placement::Movable => {
                let former = entry.timer.home.take();
                entry.set_former(former);
                entry.set_stage(None);
            }
            Placement::Pinned(_) => {
                entry.timer.set_awaits(Some(Awaits::Return));
                entry.changed = at;
            }
        });
    }

    /// A node that has left is remembered only while a timer, or somebody's change of one, waits for it. What is gone
    /// without its knowing it has to hear also if it comes back after that: its disk may still have it.
    fn forget_if_empty(&mut self, node: &NodeId) {
        let waits = self.pending.of(node).next().is_some();
        if !self.homes.contains_key(node) && !waits {
            self.nodes.remove(node);
            self.note_node(node);
        }
    }
}
