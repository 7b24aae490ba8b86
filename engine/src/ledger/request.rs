//! What users ask of the ledger: done here, or by the home that owns the timer.

use super::{Entry, Held, Ledger, Stance};
use crate::id::{NodeId, TimerName, Uid};
use crate::op::{Answer, Cancelled, Change, NewTime, Op, Refusal};
use crate::page;
use crate::schedule::{BadSchedule, Schedule};
use crate::time::{Millis, WallTime};
use crate::timer::{Asked, Awaits, Durability, NewTimer, Phase, Placement, Target, Timer};

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
            Op::List { after, limit } | Op::Kept { after, limit } => {
                Routed::Done(self.list(after.as_ref(), *limit))
            }
            Op::Change { .. } => self.change_by(op, now),
            Op::Runs { .. } | Op::Dead { .. } | Op::News { .. } => self.read_past(op),
            Op::Activity { node, .. } => self.route_activity(node, op),
        }
    }

    fn create(&mut self, op: &Op, new: &NewTimer, now: WallTime) -> Routed {
        if let Some(entry) = self.entry(new.uid) {
            return Routed::Done(repeated(&entry.timer, new));
        }
        if let Err(refusal) = new.target.check_place(&new.handler) {
            return Routed::Done(Answer::Refused(refusal));
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
                let why = format!(
                    "pool {} has no node {node} to pin it to; name one of its nodes",
                    self.pool
                );
                Routed::Done(precondition(why))
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
        timer.set_awaits(timer.home.as_ref().map(|_| Awaits::Home));
        let allowed = self.check_allowed(&timer);
        if let Err(refusal) = allowed.and_then(|()| self.free_name(&timer, now)) {
            return Answer::Refused(refusal);
        }
        let at = self.stamp();
        self.insert(Entry::new(timer.clone(), at, at));
        Answer::Timer(Box::new(timer))
    }

    /// A command runs where it is allowed; one that no node allows would wait for ever.
    pub(super) fn check_allowed(&self, timer: &Timer) -> Result<(), Refusal> {
        let Target::Command(command) = &timer.spec.target else {
            return Ok(());
        };
        let place = &timer.spec.handler;
        let mut nodes = self.nodes.values();
        if nodes.any(|node| node.handlers.contains(place)) {
            return Ok(());
        }
        Err(not_allowed(&command.name))
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
        let entries = self.by_name(after);
        let (timers, more) = page::cut(page::limit(limit), entries.map(|entry| &entry.timer));
        Answer::List {
            timers: timers.into_iter().cloned().collect(),
            more,
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
                let refused = matches!(routed, Routed::Done(Answer::Refused(_)));
                if !refused {
                    self.forget_revived(op);
                }
                return routed;
            }
        };
        let unheard_by = self.sleeping_home_of_unheard(uid);
        let answer = match (change, unheard_by) {
            (Change::Cancel, None) => self.cancel(uid, (name, *request), now),
            (Change::Cancel, Some(home)) => self.cancel_unheard(&home, uid, (name, *request), now),
            (_, None) => self.apply(uid, (*request, change), now),
            (_, Some(home)) => self.change_unheard(home, uid, (op, *request, change), now),
        };
        if !matches!(answer, Answer::Refused(_)) {
            self.forget_revived(op);
        }
        Routed::Done(answer)
    }

    /// The home of a timer that was made here while it sleeps.
    fn sleeping_home_of_unheard(&self, uid: Uid) -> Option<NodeId> {
        let timer = &self.entry(uid)?.timer;
        let home = timer.home.clone()?;
        let unheard = timer.awaits == Some(Awaits::Home);
        (unheard && !self.is_active(&home)).then_some(home)
    }

    pub(super) fn apply(
        &mut self,
        uid: Uid,
        (request, change): (u128, &Change),
        now: WallTime,
    ) -> Answer {
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

    pub(super) fn cancel(
        &mut self,
        uid: Uid,
        (name, request): (&TimerName, u128),
        now: WallTime,
    ) -> Answer {
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

    fn route_activity(&self, node: &NodeId, op: &Op) -> Routed {
        match self.node(node) {
            Some(_) => Routed::to(node, op),
            None => Routed::Done(Answer::Refused(Refusal::NotFound {
                what: format!("node {node}"),
            })),
        }
    }
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
    if let BadSchedule::OutOfHorizon(_) = bad {
        Refusal::BeyondHorizon { field, why }
    } else {
        Refusal::Invalid { field, why }
    }
}

/// The refusal of a command that is on no allowlist.
pub(crate) fn not_allowed(command: &str) -> Refusal {
    Refusal::Precondition {
        why: format!(
            "command {command} is on no node's allowlist; add it to the file of a node's --commands"
        ),
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
