//! Changes of pinned timers that wait for their sleeping homes.

use super::request::new_time;
use super::{Ledger, Pending, Routed};
use crate::id::NodeId;
use crate::op::{Answer, Change, NewTime, Op, RearmMode, Refusal};
use crate::record::Key;
use crate::time::WallTime;

/// The most changes that wait for one sleeping node.
const PENDING_MAX: usize = 1_000;

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
        let number = self.stamp().0;
        self.pending.insert(number, Pending { node, op });
        self.turn.dirty.insert(Key::Pending(number));
        Routed::Done(Answer::Pending)
    }

    /// Whether the same request is stored: asked again it does not move to the end of the line.
    fn waits_already(&self, node: &NodeId, op: &Op) -> bool {
        let id = |op: &Op| match op {
            Op::Change { request, .. } => *request,
            _ => 0,
        };
        let mut waiting = self.pending.values().filter(|it| it.node == *node);
        id(op) != 0 && waiting.any(|it| id(&it.op) == id(op))
    }

    /// A later change of the same timer takes the place of an earlier one; there is a bound for each node.
    fn make_room_for(&mut self, node: &NodeId, op: &Op) -> Result<(), Refusal> {
        let waiting = self
            .pending
            .iter()
            .filter(|(_, pending)| pending.node == *node);
        let same = waiting
            .clone()
            .filter(|(_, pending)| changes_same(&pending.op, op));
        let same: Vec<u64> = same.map(|(number, _)| *number).collect();
        if same.is_empty() && waiting.count() >= PENDING_MAX {
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
        let made = self.unheard.get(node).and_then(|timers| timers.first());
        let moved = self
            .pending
            .values()
            .filter(|pending| pending.node == *node);
        let moved = moved.filter_map(|pending| match pending.op {
            Op::Change {
                change: Change::Rearm { to, .. },
                ..
            } => match to {
                NewTime::At(time) => Some(time),
                NewTime::Since { from, wait } => Some(from + wait),
                NewTime::After(_) => None,
            },
            _ => None,
        });
        moved.chain(made.map(|(due, _)| *due)).min()
    }

    /// The home has applied a change that waited for it.
    pub(crate) fn note_applied(&mut self, number: u64) -> bool {
        let waited = self.pending.remove(&number).is_some();
        if waited {
            self.turn.dirty.insert(Key::Pending(number));
        }
        waited
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
        _ => false,
    };
    first == second && same && plain(earlier) && plain(later)
}
