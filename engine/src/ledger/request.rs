//! What users ask of the ledger: done here, or by the home that owns the timer.

use super::{Entry, Held, Ledger, Pending, Stance};
use crate::id::{NodeId, TimerName, Uid};
use crate::op::{Answer, Cancelled, Change, NewTime, Op, Refusal};
use crate::record::Key;
use crate::schedule::{BadSchedule, Schedule};
use crate::time::{Millis, WallTime};
use crate::timer::{Asked, Awaits, Durability, NewTimer, Phase, Placement, Timer};

/// The most timers that one list answer carries.
pub(crate) const LIST_MAX: u32 = 1_000;

/// The most changes that wait for one sleeping node.
const PENDING_MAX: usize = 1_000;

/// Where an operation was decided.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Routed {
    /// Here.
    Done(Answer),
    /// It is this node's to decide.
    To(NodeId, Box<Op>),
}

impl Routed {
    pub(super) fn to(node: &NodeId, op: &Op) -> Self {
        Self::To(node.clone(), Box::new(op.clone()))
    }
}

impl Ledger {
    /// Decides an operation, or says which home has to.
    pub(crate) fn execute(&mut self, op: &Op, now: WallTime) -> Routed {
        if let Some(answer) = self.answered_before(op) {
            return Routed::Done(answer);
        }
        match op {
            Op::Create(new) => self.create(op, new, now),
            Op::Look { name } => self.look(op, name),
            Op::List { after, limit } => Routed::Done(self.list(after.as_ref(), *limit)),
            Op::Change { .. } => self.change_by(op, now),
            Op::Runs { .. } | Op::Dead { .. } | Op::News { .. } => self.read_past(op),
            Op::Activity { node, .. } => self.route_activity(node, op),
        }
    }

    fn create(&mut self, op: &Op, new: &NewTimer, now: WallTime) -> Routed {
        if let Some(entry) = self.entry(new.uid) {
            return Routed::Done(repeated(&entry.timer, new));
        }
        match &new.placement {
            Placement::Movable => Routed::Done(self.create_of_pool(new, now)),
            Placement::Pinned(node) => self.create_pinned(node, op, (new, now)),
        }
    }

    fn create_of_pool(&mut self, new: &NewTimer, now: WallTime) -> Answer {
        if new.durability != Durability::Replicated {
            let why = "the coordinator keeps movable timers as REPLICATED only; ask an agent for another durability";
            return precondition(why.into());
        }
        self.accept(new, None, now)
    }

    fn create_pinned(
        &mut self,
        node: &NodeId,
        op: &Op,
        (new, now): (&NewTimer, WallTime),
    ) -> Routed {
        match self.node(node).map(|node| node.stance) {
            None | Some(Stance::Left) => {
                let what = format!("node {node} in pool {}", self.pool);
                Routed::Done(Answer::Refused(Refusal::NotFound { what }))
            }
            Some(Stance::Active) => Routed::to(node, op),
            Some(Stance::Greeted | Stance::Parked | Stance::Lost) => {
                Routed::Done(self.accept(new, Some(node.clone()), now))
            }
        }
    }

    fn accept(&mut self, new: &NewTimer, home: Option<NodeId>, now: WallTime) -> Answer {
        let mut timer = match Timer::accept(new, home, now) {
            Ok(timer) => timer,
            Err(bad) => return Answer::Refused(refuse_schedule(&bad)),
        };
        timer.awaits = timer.home.as_ref().map(|_| Awaits::Home);
        if let Err(refusal) = self.free_name(&timer, now) {
            return Answer::Refused(refusal);
        }
        let at = self.stamp();
        self.insert(Entry::new(timer.clone(), at, at));
        Answer::Timer(Box::new(timer))
    }

    fn look(&self, op: &Op, name: &TimerName) -> Routed {
        if let Some(entry) = self.named(name) {
            return Routed::Done(Answer::Timer(Box::new(entry.timer.clone())));
        }
        let known = |node: &NodeId| self.node(node).is_some_and(|n| n.stance != Stance::Left);
        match name.node.clone().filter(known) {
            Some(home) => Routed::to(&home, op),
            None => Routed::Done(not_found(name)),
        }
    }

    fn list(&self, after: Option<&TimerName>, limit: u32) -> Answer {
        use std::ops::Bound::{Excluded, Unbounded};
        let limit = usize::try_from(limit.clamp(1, LIST_MAX)).unwrap_or(1);
        let from = after.map_or(Unbounded, Excluded);
        let mut uids = self.names.range((from, Unbounded)).map(|(_, uid)| *uid);
        let timers: Vec<Timer> = uids
            .by_ref()
            .take(limit)
            .filter_map(|uid| self.entry(uid))
            .map(|entry| entry.timer.clone())
            .collect();
        Answer::List {
            timers,
            more: uids.next().is_some(),
        }
    }

    fn change_by(&mut self, op: &Op, now: WallTime) -> Routed {
        let revived = self.with_dead_run(op);
        let op = revived.as_ref().unwrap_or(op);
        let Op::Change {
            name,
            request,
            change,
        } = op
        else {
            return Routed::Done(precondition("is no change of a timer".into()));
        };
        if self.purge(name, change) {
            return Routed::Done(Answer::Done);
        }
        let uid = match self.find_to_change(op, name, now) {
            Ok(uid) => uid,
            Err(routed) => {
                self.forget_revived(op);
                return routed;
            }
        };
        if *change == Change::Cancel {
            return Routed::Done(self.cancel(uid, (name, *request), now));
        }
        let answer = self.apply(uid, (*request, change), now);
        if !matches!(answer, Answer::Refused(_)) {
            self.forget_revived(op);
        }
        Routed::Done(answer)
    }

    fn apply(&mut self, uid: Uid, (request, change): (u128, &Change), now: WallTime) -> Answer {
        let Some(entry) = self.entry(uid) else {
            return precondition("it is gone".into());
        };
        let mut timer = entry.timer.clone();
        let asked = Asked {
            request,
            flying: None,
            now,
        };
        let answer = match timer.apply(asked, change) {
            Ok(answer) => answer,
            Err(refusal) => return Answer::Refused(refusal),
        };
        if timer != entry.timer {
            let at = self.stamp();
            self.change(uid, |entry| {
                entry.changed = at;
                entry.backlogged = false;
                entry.timer = timer;
                if entry.held == Some(Held::Claimed) && !entry.timer.is_running() {
                    entry.held = Some(Held::Giving);
                }
            });
        }
        answer
    }

    fn cancel(&mut self, uid: Uid, (name, request): (&TimerName, u128), now: WallTime) -> Answer {
        let Some(entry) = self.entry(uid) else {
            return not_found(name);
        };
        let outcome = cancelled(&entry.timer);
        if outcome != Cancelled::AlreadyFired {
            self.note_farewell(uid, Some((request, outcome)), now);
            let at = self.stamp();
            self.bury(uid, at);
        }
        Answer::Cancelled(outcome)
    }

    /// The timer to change, if it is the ledger's to change; otherwise where the change goes, or why not.
    fn find_to_change(&mut self, op: &Op, name: &TimerName, now: WallTime) -> Result<Uid, Routed> {
        let Some(entry) = self.named(name) else {
            return Err(self.route_unknown(op, name, now));
        };
        let Some(home) = entry.timer.home.clone() else {
            return Ok(entry.timer.uid);
        };
        if self.is_active(&home) {
            return match entry.held {
                None => Err(Routed::to(&home, op)),
                Some(Held::Giving) => Err(Routed::Done(on_its_way(&home))),
                Some(Held::Claimed | Held::Handed) => Ok(entry.timer.uid),
            };
        }
        if entry.timer.is_movable() || entry.timer.awaits == Some(Awaits::Home) {
            return Ok(entry.timer.uid);
        }
        Err(self.keep_for(home, op, now))
    }

    /// A LOCAL timer is not in the ledger while its home is active, and a pinned one never.
    fn route_unknown(&mut self, op: &Op, name: &TimerName, now: WallTime) -> Routed {
        if let Some(node) = self.awake_home_of(name) {
            return Routed::to(&node, op);
        }
        match name.node.clone().filter(|node| self.node(node).is_some()) {
            Some(node) => self.keep_for(node, op, now),
            None => Routed::Done(not_found(name)),
        }
    }

    pub(super) fn awake_home_of(&self, name: &TimerName) -> Option<NodeId> {
        name.node.clone().filter(|node| self.is_active(node))
    }

    /// Stores a change for a node that sleeps. A wait is counted from now, not from when the node wakes.
    fn keep_for(&mut self, node: NodeId, op: &Op, now: WallTime) -> Routed {
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

    fn route_activity(&self, node: &NodeId, op: &Op) -> Routed {
        match self.node(node) {
            Some(_) => Routed::to(node, op),
            None => Routed::Done(Answer::Refused(Refusal::NotFound {
                what: format!("node {node}"),
            })),
        }
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
    let absolute = matches!(
        later,
        Change::Rearm { payload: None, .. } | Change::Cancel | Change::Pause | Change::Resume
    );
    first == second && same && absolute
}

/// Neither the ledger nor the home can change a timer that is being given back.
fn on_its_way(home: &NodeId) -> Answer {
    Answer::Refused(Refusal::Unavailable {
        why: format!("it is on its way back to {home}, and nothing was changed"),
        retry_after: Millis(1_000),
    })
}

/// The answer to a create whose identity exists already.
pub(crate) fn repeated(timer: &Timer, new: &NewTimer) -> Answer {
    if timer.answers(new) {
        return Answer::Timer(Box::new(timer.clone()));
    }
    Answer::Refused(Refusal::Invalid {
        field: "request_id".into(),
        why: "was used before with another request; use a fresh one for each request".into(),
    })
}

/// What cancelling a timer comes to.
pub(crate) fn cancelled(timer: &Timer) -> Cancelled {
    let running = timer.lines().filter_map(Phase::running).max();
    match running {
        Some((token, _)) => Cancelled::Running(token),
        None if timer.is_over() => Cancelled::AlreadyFired,
        None => Cancelled::Cancelled,
    }
}

/// The time that a rearm asks for, if it is within the horizon.
pub(crate) fn new_time(to: NewTime, now: WallTime) -> Result<WallTime, Refusal> {
    let time = match to {
        NewTime::At(time) => time,
        NewTime::After(wait) => now + wait,
        NewTime::Since { from, wait } => from + wait,
    };
    Schedule::At(time)
        .check(now)
        .map_err(|bad| refuse_schedule(&bad))?;
    Ok(time)
}

/// A schedule that cannot be, as a refusal.
pub(crate) fn refuse_schedule(bad: &BadSchedule) -> Refusal {
    let (field, why) = ("timer.schedule".to_owned(), bad.to_string());
    match bad {
        BadSchedule::OutOfHorizon(_) => Refusal::BeyondHorizon { field, why },
        _ => Refusal::Invalid { field, why },
    }
}

/// The answer that there is no such timer.
pub(crate) fn not_found(name: &TimerName) -> Answer {
    Answer::Refused(Refusal::NotFound {
        what: name.to_string(),
    })
}

fn precondition(why: String) -> Answer {
    Answer::Refused(Refusal::Precondition { why })
}
