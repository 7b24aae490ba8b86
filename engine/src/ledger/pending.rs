//! Changes of timers that wait for their sleeping homes, since only those may have the timer.
//!
//! Most are of pinned timers. A timer that its home has told nobody of may also come to the ledger later, when the
//! home says what it has; then what was stored is done here, before anybody runs it:
//! ```text
//! user -> ledger   cancel t            n1 sleeps, t is unknown here: stored, PENDING
//! n1   -> ledger   t is mine (Active)  the ledger takes t: the stored cancel is done now
//! ledger -> n2     run t               what would happen without that
//! ```

use super::request::new_time;
use super::stands::{Queue, TOLD};
use super::{Ledger, Pending, Routed};
use crate::id::{NodeId, TimerName, Uid};
use crate::op::{Answer, Change, NewTime, Op, RearmMode, Refusal};
use crate::record::Key;
use crate::time::WallTime;
use crate::timer::REQUESTS_MAX;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;

/// The most changes that wait for one sleeping node.
const PENDING_MAX: usize = 1_000;

/// The changes by their numbers, and for each node their numbers, also by the timers that they change, and when they
/// make it wake.
#[derive(Debug, Default)]
pub(super) struct PendingChanges {
    all: BTreeMap<u64, Pending>,
    nodes: BTreeMap<NodeId, Waiting>,
}

#[derive(Debug, Default)]
struct Waiting {
    numbers: BTreeSet<u64>,
    names: BTreeMap<TimerName, BTreeSet<u64>>,
    due: BTreeSet<(WallTime, u64)>,
}

impl PendingChanges {
    pub(super) fn get(&self, number: u64) -> Option<&Pending> {
        self.all.get(&number)
    }

    pub(super) fn insert(&mut self, number: u64, pending: Pending) {
        let waiting = self.nodes.entry(pending.node.clone()).or_default();
        waiting.numbers.insert(number);
        if let Op::Change { name, .. } = &pending.op {
            let same = waiting.names.entry(name.clone()).or_default();
            same.insert(number);
        }
        let due = new_due(&pending.op).map(|due| (due, number));
        waiting.due.extend(due);
        self.all.insert(number, pending);
    }

    fn remove(&mut self, number: u64) -> Option<Pending> {
        let pending = self.all.remove(&number)?;
        if let Some(waiting) = self.nodes.get_mut(&pending.node) {
            waiting.numbers.remove(&number);
            if let Op::Change { name, .. } = &pending.op
                && let Some(same) = waiting.names.get_mut(name)
            {
                same.remove(&number);
                if same.is_empty() {
                    waiting.names.remove(name);
                }
            }
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

    /// What waits for one timer of a node, in the order in which it was asked for.
    fn of_timer(&self, node: &NodeId, name: &TimerName) -> impl Iterator<Item = (u64, &Op)> {
        let waiting = self.nodes.get(node);
        let numbers = waiting.and_then(|waiting| waiting.names.get(name));
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
    /// Stores a change for a node that sleeps.
    pub(super) fn keep_for(&mut self, node: NodeId, op: &Op, now: WallTime) -> Routed {
        if self.waits_already(&node, op) {
            return Routed::Done(Answer::Pending);
        }
        let op = match counted_from(op, now) {
            Ok(op) => op,
            Err(refusal) => return Routed::Done(Answer::Refused(refusal)),
        };
        if let Err(refusal) = self.check_room_for(&node, &op) {
            return Routed::Done(Answer::Refused(refusal));
        }
        self.store(node, op);
        Routed::Done(Answer::Pending)
    }

    /// Changes a timer that was made here while its home sleeps, and stores the change for the home as well.
    ///
    /// The home may have this timer already: who asked for it asked there too, and the answer was lost. Then what the
    /// home has is the timer, and what was made here a second image of it, which goes; the change must not go with it.
    /// A home that has nothing takes the image, which remembers the requests of all its changes, so that none of them
    /// is done twice. Which it is nobody knows here, so the change is not done before the home has heard of it.
    pub(super) fn change_unheard(
        &mut self,
        home: NodeId,
        uid: Uid,
        (op, request, change): (&Op, u128, &Change),
        now: WallTime,
    ) -> Answer {
        let stored = match counted_from(op, now) {
            Ok(stored) => stored,
            Err(refusal) => return Answer::Refused(refusal),
        };
        let again = self.waits_already(&home, op);
        let remembered = self.timers.get(uid).map(|it| it.timer.requests.len());
        let full = remembered.is_some_and(|count| count >= REQUESTS_MAX);
        if full && !again {
            let why = format!("node {home} sleeps, and {REQUESTS_MAX} changes of it wait; wake it");
            return Answer::Refused(Refusal::Exhausted { why });
        }
        if let Err(refusal) = self.check_room_for(&home, &stored) {
            return Answer::Refused(refusal);
        }
        let answer = self.apply(uid, (request, change), now);
        if matches!(answer, Answer::Refused(_)) {
            return answer;
        }
        if !again {
            self.store(home, stored);
        }
        Answer::Pending
    }

    /// Does what was stored for a timer that its home has told of, and that is the ledger's to change now.
    pub(super) fn apply_stored(&mut self, home: &NodeId, name: &TimerName, now: WallTime) {
        let stored = self.pending.of_timer(home, name);
        let stored: Vec<(u64, Op)> = stored.map(|(number, op)| (number, op.clone())).collect();
        for (number, op) in stored {
            let Op::Change {
                request, change, ..
            } = &op
            else {
                continue;
            };
            let entry = self.named(name);
            let own = entry.filter(|it| it.timer.home.as_ref() == Some(home));
            let Some(uid) = own.map(|entry| entry.timer.uid) else {
                return;
            };
            // A refusal has nobody to hear it: who asked was told PENDING.
            let _answer = if *change == Change::Cancel {
                self.cancel(uid, (name, *request), now)
            } else {
                self.apply(uid, (*request, change), now)
            };
            self.note_applied(number);
        }
    }

    /// Cancels a timer that was made here while its home sleeps. The home hears by its identity that it is no more, and
    /// what waits for it must not meet the next timer of its name.
    pub(super) fn cancel_unheard(
        &mut self,
        home: &NodeId,
        uid: Uid,
        (name, request): (&TimerName, u128),
        now: WallTime,
    ) -> Answer {
        self.forget_stored(home, name);
        self.cancel(uid, (name, request), now);
        if self.gone.contains_key(&uid) {
            self.unheard_cancels.insert(uid);
        }
        Answer::Pending
    }

    fn forget_stored(&mut self, home: &NodeId, name: &TimerName) {
        let stored = self.pending.of_timer(home, name);
        let stored: Vec<u64> = stored.map(|(number, _)| number).collect();
        for number in stored {
            self.note_applied(number);
        }
    }

    /// A later change of the same timer takes the place of an earlier one.
    pub(super) fn store(&mut self, node: NodeId, op: Op) {
        for number in self.same_as(&node, &op) {
            self.note_applied(number);
        }
        let number = self.stamp().0;
        self.turn.nodes.insert(node.clone());
        self.pending.insert(number, Pending { node, op });
        self.turn.dirty.insert(Key::Pending(number));
    }

    /// Whether the same request is stored: asked again it does not move to the end of the line.
    fn waits_already(&self, node: &NodeId, op: &Op) -> bool {
        let Op::Change { name, request, .. } = op else {
            return false;
        };
        let mut waiting = self.pending.of_timer(node, name);
        let same = |waits: &Op| matches!(waits, Op::Change { request: id, .. } if id == request);
        *request != 0 && waiting.any(|(_, waits)| same(waits))
    }

    /// Stored changes of which this one leaves nothing.
    fn same_as(&self, node: &NodeId, op: &Op) -> Vec<u64> {
        let Op::Change { name, .. } = op else {
            return Vec::new();
        };
        let waiting = self.pending.of_timer(node, name);
        let same = waiting.filter(|(_, waits)| changes_same(waits, op));
        same.map(|(number, _)| number).collect()
    }

    /// There is a bound for each node.
    fn check_room_for(&self, node: &NodeId, op: &Op) -> Result<(), Refusal> {
        let full = self.pending.count_of(node) >= PENDING_MAX;
        if full && self.same_as(node, op).is_empty() {
            let why = format!("node {node} sleeps, and {PENDING_MAX} changes wait for it; wake it");
            return Err(Refusal::Exhausted { why });
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

/// The change as it is stored: a wait is counted from now, not from when the node wakes.
fn counted_from(op: &Op, now: WallTime) -> Result<Op, Refusal> {
    let mut op = op.clone();
    if let Op::Change {
        change: Change::Rearm { to, .. },
        ..
    } = &mut op
    {
        new_time(*to, now)?;
        if let NewTime::After(wait) = *to {
            *to = NewTime::Since { from: now, wait };
        }
    }
    Ok(op)
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
