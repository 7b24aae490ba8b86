//! What applications ask, and what the coordinator asks on behalf of others.
//!
//! A change is acknowledged as its timer's class demands: EPHEMERAL at once, LOCAL and REPLICATED_ASYNC when
//! it is in the journal, REPLICATED when the coordinator has committed it. What the node does not own is
//! forwarded; what cannot be decided just now waits until the node knows whether it sleeps.

use super::{Base, Effect, Entry, Stance};
use crate::id::{TimerName, Uid};
use crate::ledger::{cancelled, new_time, not_found, refuse_schedule, repeated};
use crate::message::NodeMessage;
use crate::op::{Answer, Cancelled, NewTime, Op, Refusal};
use crate::time::{BootTime, Millis, Now};
use crate::timer::{Durability, NewTimer, Placement, Timer};
use std::collections::BTreeMap;

/// How long an application waits for the coordinator.
const ANSWER_WITHIN: Millis = Millis(8_000);
/// What an application is told to wait before it asks again.
const RETRY_AFTER: Millis = Millis(1_000);
/// How many answered changes are remembered, so that an order that is heard twice is done once.
const REMEMBERED_MAX: usize = 1_024;

/// Who asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Origin {
    /// An application, through the agent's API.
    Ask(u64),
    /// The coordinator.
    Change(u64),
}

/// Everything that is asked and not answered yet.
#[derive(Debug, Default)]
pub(super) struct Desk {
    /// New REPLICATED timers, until the coordinator has them.
    proposed: BTreeMap<Uid, Proposal>,
    /// Changes of REPLICATED timers that are made here, until the coordinator has them.
    changes: Vec<Change>,
    forwards: BTreeMap<u64, (Origin, Op)>,
    forwards_made: u64,
    deferred: Vec<(Origin, Op)>,
    /// Changes that the coordinator asked for, and their answers once there is one.
    orders: BTreeMap<u64, Option<Answer>>,
    until: BTreeMap<u64, BootTime>,
}

#[derive(Debug)]
struct Proposal {
    timer: Timer,
    origins: Vec<Origin>,
}

#[derive(Debug)]
struct Change {
    uid: Uid,
    revision: u64,
    origin: Origin,
    answer: Answer,
}

impl Desk {
    pub(super) fn proposed(&self) -> impl Iterator<Item = &Timer> {
        self.proposed.values().map(|proposal| &proposal.timer)
    }

    /// Whether somebody waits for the coordinator to have a change.
    pub(super) fn awaits_ship(&self) -> bool {
        !self.changes.is_empty()
    }

    pub(super) fn next_deadline(&self) -> Option<BootTime> {
        self.until.values().min().copied()
    }
}

impl Base {
    /// Decides an operation, forwards it, or keeps it until it can be decided.
    pub(super) fn ask(&mut self, now: Now, origin: Origin, op: Op) {
        if let Origin::Change(id) = origin
            && self.is_known_order(id)
        {
            return;
        }
        if let Origin::Ask(ask) = origin {
            self.desk.until.insert(ask, now.boot + ANSWER_WITHIN);
        }
        self.decide_op(now, origin, op);
    }

    /// An order that was heard before is answered as before, and not done again.
    fn is_known_order(&mut self, id: u64) -> bool {
        match self.desk.orders.get(&id) {
            Some(answer) => {
                self.lane
                    .items
                    .answers
                    .extend(answer.clone().map(|answer| (id, answer)));
                true
            }
            None => {
                self.desk.orders.insert(id, None);
                if self.desk.orders.len() > REMEMBERED_MAX {
                    self.desk.orders.pop_first();
                }
                false
            }
        }
    }

    fn decide_op(&mut self, now: Now, origin: Origin, op: Op) {
        if self.must_defer(&op) {
            return self.desk.deferred.push((origin, op));
        }
        match op {
            Op::Create(new) => self.create(now, origin, new),
            Op::Look { ref name } => self.look(origin, name, &op),
            Op::List { .. } => self.list(origin, op),
            Op::Rearm { ref name, to } => self.rearm(now, origin, (name, to), &op),
            Op::Cancel { ref name } => self.cancel(now, origin, name, &op),
            Op::Activity { ref node, activity } if *node == self.config.node => {
                self.set_activity(now, origin, activity);
            }
            Op::Activity { .. } => self.forward(origin, op),
        }
    }

    /// While it is open whether the node sleeps, nothing of it can be changed.
    fn must_defer(&self, op: &Op) -> bool {
        let changes = matches!(op, Op::Create(_) | Op::Rearm { .. } | Op::Cancel { .. });
        changes && matches!(self.stance, Stance::Parking)
    }

    pub(super) fn run_deferred(&mut self, now: Now) {
        for (origin, op) in std::mem::take(&mut self.desk.deferred) {
            self.decide_op(now, origin, op);
        }
    }

    fn create(&mut self, now: Now, origin: Origin, new: Box<NewTimer>) {
        let elsewhere =
            matches!(&new.placement, Placement::Pinned(node) if *node != self.config.node);
        if elsewhere {
            return self.forward(origin, Op::Create(new));
        }
        if let Some(timer) = self.timers.get(&new.uid).map(|entry| &entry.timer) {
            let answer = repeated(timer, &new);
            return self.answer(origin, answer);
        }
        if let Some(proposal) = self.desk.proposed.get_mut(&new.uid) {
            return proposal.origins.push(origin);
        }
        let home = Some(self.config.node.clone());
        match Timer::accept(&new, home, self.clock.read(now)) {
            Ok(timer) => self.accept(now, origin, timer),
            Err(bad) => self.answer(origin, Answer::Refused(refuse_schedule(&bad))),
        }
    }

    fn accept(&mut self, now: Now, origin: Origin, timer: Timer) {
        if self.stance == Stance::Leaving || self.rest.is_stopping() {
            return self.answer(origin, self.unavailable("this node is leaving"));
        }
        if let Some(holder) = self
            .names
            .get(&timer.name)
            .and_then(|uid| self.timers.get(uid))
        {
            if !holder.timer.is_over() {
                let refusal = Refusal::Exists {
                    name: timer.name.clone(),
                };
                return self.answer(origin, Answer::Refused(refusal));
            }
            let over = holder.timer.uid;
            self.remove(over);
        }
        let away = self.stance == Stance::Parked || self.meta.handed_over;
        let pinned = !timer.is_movable();
        if timer.spec.durability == Durability::Replicated || (away && !pinned) {
            self.propose(now, origin, timer);
        } else {
            self.keep(now, origin, timer);
        }
    }

    /// The coordinator has to have it first.
    fn propose(&mut self, now: Now, origin: Origin, timer: Timer) {
        self.desk.proposed.insert(
            timer.uid,
            Proposal {
                timer,
                origins: vec![origin],
            },
        );
        self.lane.ship_by(now.boot);
    }

    /// The node has it, and the coordinator hears of it in time if it has to.
    fn keep(&mut self, now: Now, origin: Origin, timer: Timer) {
        self.insert(Entry::new(timer.clone(), 0));
        self.ship_lazily(now, timer.spec.durability);
        self.answer(origin, Answer::Timer(Box::new(timer)));
    }

    fn ship_lazily(&mut self, now: Now, durability: Durability) {
        if durability.is_replicated() {
            self.lane.ship_by(now.boot + self.config.replicate_after);
        }
    }

    /// The coordinator has judged a proposal. Returns whether it was one.
    pub(super) fn proposal_answered(&mut self, timer: &Timer, refusal: Option<&Refusal>) -> bool {
        let Some(proposal) = self.desk.proposed.remove(&timer.uid) else {
            return false;
        };
        let answer = match refusal {
            Some(refusal) => Answer::Refused(refusal.clone()),
            None => {
                self.insert(Entry::new(timer.clone(), timer.revision));
                Answer::Timer(Box::new(timer.clone()))
            }
        };
        for origin in proposal.origins {
            self.answer(origin, answer.clone());
        }
        true
    }

    /// The coordinator had a proposal already: its answer was lost.
    pub(super) fn proposal_known(&mut self, timer: &Timer) {
        let Some(proposal) = self.desk.proposed.remove(&timer.uid) else {
            return;
        };
        for origin in proposal.origins {
            self.answer(origin, Answer::Timer(Box::new(timer.clone())));
        }
    }

    fn look(&mut self, origin: Origin, name: &TimerName, op: &Op) {
        let known = self.names.get(name).and_then(|uid| self.timers.get(uid));
        match known {
            Some(entry) if self.owns(entry) || entry.stays_behind() || !self.link.is_open() => {
                let answer = Answer::Timer(Box::new(entry.timer.clone()));
                self.answer(origin, answer);
            }
            Some(_) | None => self.forward_or(origin, op, name),
        }
    }

    /// What is not here may be elsewhere, unless the question comes from there.
    fn forward_or(&mut self, origin: Origin, op: &Op, name: &TimerName) {
        let asked_by_owner = matches!(origin, Origin::Change(_));
        let own_name = name.node.as_ref() == Some(self.node());
        let own_and_here = own_name && !self.names.contains_key(name) && !self.meta.handed_over;
        if asked_by_owner || own_and_here {
            self.answer(origin, not_found(name));
        } else {
            self.forward(origin, op.clone());
        }
    }

    fn list(&mut self, origin: Origin, op: Op) {
        if self.link.is_open() {
            return self.forward(origin, op);
        }
        let nothing = Answer::List {
            timers: Vec::new(),
            more: false,
        };
        let answer = self.with_own_timers(&op, nothing);
        self.answer(origin, answer);
    }

    /// The ledger's list and the timers that only this node has, as one list.
    fn with_own_timers(&self, op: &Op, answer: Answer) -> Answer {
        let (Op::List { after, limit }, Answer::List { timers, more }) = (op, answer) else {
            return Answer::Refused(self.silence());
        };
        let limit = usize::try_from(*limit).unwrap_or(usize::MAX).max(1);
        let last = timers
            .last()
            .map(|timer| timer.name.clone())
            .filter(|_| more);
        let mut all: BTreeMap<TimerName, Timer> = self
            .timers
            .values()
            .map(|entry| &entry.timer)
            .filter(|timer| after.as_ref().is_none_or(|after| timer.name > *after))
            .filter(|timer| last.as_ref().is_none_or(|last| timer.name <= *last))
            .map(|timer| (timer.name.clone(), timer.clone()))
            .collect();
        all.extend(timers.into_iter().map(|timer| (timer.name.clone(), timer)));
        let more = more || all.len() > limit;
        Answer::List {
            timers: all.into_values().take(limit).collect(),
            more,
        }
    }

    fn rearm(&mut self, now: Now, origin: Origin, (name, to): (&TimerName, NewTime), op: &Op) {
        let Some(uid) = self.own_to_change(name) else {
            return self.change_elsewhere(now, origin, name, op);
        };
        let clock = self.clock.read(now);
        let time = match new_time(to, clock) {
            Ok(time) => time,
            Err(refusal) => return self.answer(origin, Answer::Refused(refusal)),
        };
        let timer = self.change(uid, |entry| {
            entry.timer.rearm(time, clock);
            entry.starved = None;
            entry.run = None;
            entry.timer.clone()
        });
        let Some(timer) = timer else { return };
        let answer = Answer::Timer(Box::new(timer.clone()));
        self.answer_change(now, origin, (uid, timer.revision), answer);
    }

    fn cancel(&mut self, now: Now, origin: Origin, name: &TimerName, op: &Op) {
        let Some(uid) = self.own_to_change(name) else {
            return self.change_elsewhere(now, origin, name, op);
        };
        let Some(entry) = self.timers.get(&uid) else {
            return;
        };
        let outcome = match entry.run {
            Some(token) => Cancelled::Running(token),
            None => cancelled(&entry.timer),
        };
        let (shipped, committed) = (entry.shipped > 0, entry.is_committed());
        if outcome == Cancelled::AlreadyFired {
            return self.answer(origin, Answer::Cancelled(outcome));
        }
        self.remove(uid);
        if !shipped {
            return self.answer(origin, Answer::Cancelled(outcome));
        }
        self.note_gone(uid);
        self.ship_lazily(now, Durability::ReplicatedAsync);
        let answer = Answer::Cancelled(outcome);
        if committed {
            self.answer_when_known(now, origin, (uid, u64::MAX), answer);
        } else {
            self.answer(origin, answer);
        }
    }

    /// The timer of this name, if it is this node's to change just now.
    fn own_to_change(&self, name: &TimerName) -> Option<Uid> {
        let entry = self.timers.get(self.names.get(name)?)?;
        let settled = entry.timer.is_movable() || self.stance != Stance::Parked;
        (self.owns(entry) && settled).then_some(entry.timer.uid)
    }

    /// A pinned timer of a parked node is changed once the node has resumed; anything else by its owner.
    fn change_elsewhere(&mut self, now: Now, origin: Origin, name: &TimerName, op: &Op) {
        let known = self.names.get(name).and_then(|uid| self.timers.get(uid));
        if known.is_some_and(|entry| !entry.timer.is_movable()) {
            self.desk.deferred.push((origin, op.clone()));
            return self.rouse(now);
        }
        self.forward_or(origin, op, name);
    }

    fn answer_change(
        &mut self,
        now: Now,
        origin: Origin,
        (uid, revision): (Uid, u64),
        answer: Answer,
    ) {
        let Some(entry) = self.timers.get(&uid) else {
            return;
        };
        if entry.is_committed() {
            self.answer_when_known(now, origin, (uid, revision), answer);
        } else {
            self.ship_lazily(now, entry.timer.spec.durability);
            self.answer(origin, answer);
        }
    }

    fn answer_when_known(
        &mut self,
        now: Now,
        origin: Origin,
        (uid, revision): (Uid, u64),
        answer: Answer,
    ) {
        self.desk.changes.push(Change {
            uid,
            revision,
            origin,
            answer,
        });
        self.lane.ship_by(now.boot);
    }

    /// The coordinator has this timer as of this revision.
    pub(super) fn change_answered(&mut self, uid: Uid, revision: u64) {
        let done = |change: &mut Change| change.uid == uid && change.revision <= revision;
        let done: Vec<Change> = self.desk.changes.extract_if(.., done).collect();
        for change in done {
            self.answer(change.origin, change.answer);
        }
    }

    fn forward(&mut self, origin: Origin, op: Op) {
        if !self.link.is_open() {
            return self.answer(
                origin,
                self.unavailable("the coordinator cannot be reached"),
            );
        }
        let id = self.desk.forwards_made;
        self.desk.forwards_made += 1;
        let session = self.link.session();
        self.effects.push(Effect::Send(NodeMessage::Forward {
            session,
            id,
            op: op.clone(),
        }));
        self.desk.forwards.insert(id, (origin, op));
    }

    pub(super) fn forwarded(&mut self, id: u64, answer: Answer) {
        let Some((origin, op)) = self.desk.forwards.remove(&id) else {
            return;
        };
        let answer = match (&op, &answer) {
            (Op::List { .. }, Answer::List { .. }) => self.with_own_timers(&op, answer),
            _ => answer,
        };
        self.answer(origin, answer);
    }

    /// The link broke: what was forwarded may or may not have been done.
    pub(super) fn refuse_forwards(&mut self) {
        for (_, (origin, _)) in std::mem::take(&mut self.desk.forwards) {
            self.answer(origin, Answer::Refused(self.silence()));
        }
    }

    /// Nobody waits for ever: what was asked is then not known to be done.
    pub(super) fn expire_asks(&mut self, now: Now) {
        let late: Vec<u64> = self
            .desk
            .until
            .iter()
            .filter(|(_, until)| **until <= now.boot)
            .map(|(ask, _)| *ask)
            .collect();
        for ask in late {
            let origin = Origin::Ask(ask);
            self.forget_ask(&origin);
            self.answer(origin, Answer::Refused(self.silence()));
        }
    }

    fn forget_ask(&mut self, origin: &Origin) {
        self.rest.drop_waiting(origin);
        self.desk.deferred.retain(|(waiting, _)| waiting != origin);
        self.desk.changes.retain(|change| change.origin != *origin);
        self.desk
            .forwards
            .retain(|_, (waiting, _)| waiting != origin);
        for proposal in self.desk.proposed.values_mut() {
            proposal.origins.retain(|waiting| waiting != origin);
        }
    }

    pub(super) fn answer(&mut self, origin: Origin, answer: Answer) {
        match origin {
            Origin::Ask(ask) => {
                if self.desk.until.remove(&ask).is_some() {
                    self.effects.push(Effect::Answer { ask, answer });
                }
            }
            Origin::Change(id) => {
                if let Some(kept) = self.desk.orders.get_mut(&id) {
                    *kept = Some(answer.clone());
                }
                self.lane.items.answers.push((id, answer));
            }
        }
    }

    fn unavailable(&self, why: &str) -> Answer {
        Answer::Refused(Refusal::Unavailable {
            why: why.into(),
            retry_after: RETRY_AFTER,
        })
    }

    fn silence(&self) -> Refusal {
        let why = "the coordinator did not answer; it is not known whether it was done".into();
        Refusal::Unavailable {
            why,
            retry_after: RETRY_AFTER,
        }
    }
}
