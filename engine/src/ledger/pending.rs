//! Changes of pinned timers that wait for their sleeping homes.

use super::request::new_time;
use super::stands::{Queue, TOLD};
use super::{Ledger, Pending, Routed};
use crate::id::NodeId;
use crate::op::{Answer, Change, NewTime, Op, RearmMode, Refusal};
use crate::record::Key;
use crate::time::WallTime;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;

/// The most changes that wait for one sleeping node.
const PENDING_MAX: usize = 1_000;

/// The changes by their numbers, and for each node their numbers and when they make it wake.
#[derive(Debug, Default)]
pub(super) struct PendingChanges {
    all: BTreeMap<u64, Pending>,
    nodes: BTreeMap<NodeId, Waiting>,
}

#[derive(Debug, Default)]
struct Waiting {
    numbers: BTreeSet<u64>,
    due: BTreeSet<(WallTime, u64)>,
}

impl PendingChanges {
    pub(super) fn get(&self, number: u64) -> Option<&Pending> {
        self.all.get(&number)
    }

    pub(super) fn insert(&mut self, number: u64, pending: Pending) {
        let waiting = self.nodes.entry(pending.node.clone()).or_default();
        waiting.numbers.insert(number);
        let due = new_due(&pending.op).map(|due| (due, number));
        waiting.due.extend(due);
        self.all.insert(number, pending);
    }

    fn remove(&mut self, number: u64) -> Option<Pending> {
        let pending = self.all.remove(&number)?;
        if let Some(waiting) = self.nodes.get_mut(&pending.node) {
            waiting.numbers.remove(&number);
            if let Some(due) = new_due(&pending.op) {
                waiting.due.remove(&(due, number));
            }
            if waiting.numbers.is_empty() {
                self.nodes.remove(&pending.node);
            }
        }
        Some(pending)
    }

    pub(super) fn len(&self) -> usize {
        self.all.len()
    }

    /// In the order of their numbers.
    pub(super) fn range_from(&self, from: Bound<u64>) -> impl Iterator<Item = (u64, &Pending)> {
        let range = self.all.range((from, Bound::Unbounded));
        range.map(|(number, pending)| (*number, pending))
    }

    /// What waits for a node, in the order in which it was asked for.
    pub(super) fn of(&self, node: &NodeId) -> impl Iterator<Item = (u64, &Op)> {
        let numbers = self.nodes.get(node).map(|waiting| &waiting.numbers);
        let numbers = numbers.into_iter().flatten();
        numbers.filter_map(|number| Some((*number, &self.all.get(number)?.op)))
    }

    fn count_of(&self, node: &NodeId) -> usize {
        let waiting = self.nodes.get(node);
        waiting.map_or(0, |waiting| waiting.numbers.len())
    }

    fn first_due(&self, node: &NodeId) -> Option<WallTime> {
        let (due, _) = self.nodes.get(node)?.due.first()?;
        Some(*due)
    }
}

impl Ledger {
    /// Stores a change for a node that sleeps. A wait is counted from now, not from when the node wakes.
    pub(super) fn keep_for(&mut self, node: NodeId, op: &Op, now: WallTime) -> Routed {
        if self.waits_already(&node, op) {
            return Routed::Done(Answer::Pending);
        }
        let mut op = op.clone();
        if let Op::Change {
            change: Change::Rearm { to, .. },
            ..
        } = &mut op
        {
            if let Err(refusal) = new_time(*to, now) {
                return Routed::Done(Answer::Refused(refusal));
            }
            if let NewTime::After(wait) = *to {
                *to = NewTime::Since { from: now, wait };
            }
        }
        if let Err(refusal) = self.make_room_for(&node, &op) {
            return Routed::Done(Answer::Refused(refusal));
        }
        self.store(node, op);
        Routed::Done(Answer::Pending)
    }

    pub(super) fn store(&mut self, node: NodeId, op: Op) {
        let number = self.stamp().0;
        self.turn.nodes.insert(node.clone());
        self.pending.insert(number, Pending { node, op });
        self.turn.dirty.insert(Key::Pending(number));
    }

    /// Whether the same request is stored: asked again it does not move to the end of the line.
    fn waits_already(&self, node: &NodeId, op: &Op) -> bool {
        let id = |op: &Op| {
            if let Op::Change { request, .. } = op {
                *request
            } else {
                0
            }
        };
        let mut waiting = self.pending.of(node);
        id(op) != 0 && waiting.any(|(_, waits)| id(waits) == id(op))
    }

    /// A later change of the same timer takes the place of an earlier one; there is a bound for each node.
    fn make_room_for(&mut self, node: &NodeId, op: &Op) -> Result<(), Refusal> {
        let waiting = self.pending.of(node);
        let same = waiting.filter(|(_, waits)| changes_same(waits, op));
        let same: Vec<u64> = same.map(|(number, _)| number).collect();
        if same.is_empty() && self.pending.count_of(node) >= PENDING_MAX {
            let why = format!("node {node} sleeps, and {PENDING_MAX} changes wait for it; wake it");
            return Err(Refusal::Exhausted { why });
        }
        for number in same {
            self.note_applied(number);
        }
        Ok(())
    }

    /// When `node` has to be awake for pinned timers as others made or moved them while it slept.
    #[must_use]
    pub fn unheard_due(&self, node: &NodeId) -> Option<WallTime> {
        let made = self.timers.first(TOLD, &Queue::Unheard(node.clone()));
        let moved = self.pending.first_due(node);
        moved.into_iter().chain(made.map(|(due, _)| due)).min()
    }

    /// The home has applied a change that waited for it.
    pub(crate) fn note_applied(&mut self, number: u64) -> bool {
        let waited = self.pending.remove(number);
        let applied = waited.is_some();
        if let Some(pending) = waited {
            self.turn.nodes.insert(pending.node);
            self.turn.dirty.insert(Key::Pending(number));
        }
        applied
    }
}

/// When a change moves its timer to.
fn new_due(op: &Op) -> Option<WallTime> {
    let Op::Change {
        change: Change::Rearm { to, .. },
        ..
    } = op
    else {
        return None;
    };
    match *to {
        NewTime::At(time) => Some(time),
        NewTime::Since { from, wait } => Some(from + wait),
        NewTime::After(_) => None,
    }
}

/// Whether a later change leaves nothing of an earlier one.
fn changes_same(earlier: &Op, later: &Op) -> bool {
    let (
        Op::Change {
            name: first,
            change: earlier,
            ..
        },
        Op::Change {
            name: second,
            change: later,
            ..
        },
    ) = (earlier, later)
    else {
        return false;
    };
    let same = std::mem::discriminant(earlier) == std::mem::discriminant(later);
    let plain = |change: &Change| match change {
        Change::Rearm { mode, payload, .. } => *mode == RearmMode::Replace && payload.is_none(),
        Change::Cancel | Change::Pause | Change::Resume => true,
        Change::Update { .. }
        | Change::RunNow
        | Change::Requeue(_)
        | Change::Revive(_)
        | Change::Purge(_) => false,
    };
    first == second && same && plain(earlier) && plain(later)
}
