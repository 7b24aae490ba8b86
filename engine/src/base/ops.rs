//! What applications ask, and what the coordinator asks on behalf of others.
//!
//! A change is acknowledged as its timer's class demands: EPHEMERAL at once, LOCAL and REPLICATED_ASYNC when
//! it is in the journal, REPLICATED when the coordinator has committed it. What the node does not own is
//! forwarded; what cannot be decided just now waits until the node knows whether it sleeps.

use super::desk::Origin;
use super::{Base, Entry, Stance};
use crate::id::{TimerName, Uid};
use crate::ledger::{cancelled, not_allowed, not_found, refuse_schedule, repeated};
use crate::op::{Answer, Cancelled, Change, Op, Refusal};
use crate::page;
use crate::planted::{self, Fault};
use crate::time::Now;
use crate::timer::{Asked, Durability, NewTimer, Placement, Target, Timer};

impl Base {
    pub(super) fn decide_op(&mut self, now: Now, origin: Origin, op: Op) {
        if self.must_defer(&op) {
            return self.desk.defer(origin, op);
        }
        if let Some(answer) = self.answered_before(&op) {
            return self.answer_once_more(now, origin, &op, answer);
        }
        match op {
            Op::Create(new) => self.create(now, origin, new),
            Op::Look { ref name } => self.look(origin, name, &op),
            Op::List { .. } => self.list(origin, op),
            Op::Kept { after, limit } => self.list_kept(origin, after.as_ref(), limit),
            Op::Change {
                ref name,
                request,
                ref change,
            } => self.change_by(now, origin, (name, request, change), &op),
            Op::Runs { .. } | Op::Dead { .. } => self.read_past(origin, op),
            Op::News { after, limit } => self.tell_news(origin, after, limit),
            Op::Activity { ref node, activity } if *node == self.config.node => {
                self.set_activity(now, origin, activity);
            }
            Op::Activity { .. } => self.forward(origin, op),
        }
    }

    /// While it is open whether the node sleeps, nothing of it can be changed.
    fn must_defer(&self, op: &Op) -> bool {
        let changes = matches!(op, Op::Create(_) | Op::Change { .. });
        changes && matches!(self.stance, Stance::Parking)
    }

    pub(super) fn run_deferred(&mut self, now: Now) {
        for (origin, op) in self.desk.take_deferred() {
            self.decide_op(now, origin, op);
        }
    }

    fn create(&mut self, now: Now, origin: Origin, new: Box<NewTimer>) {
        let elsewhere =
            matches!(&new.placement, Placement::Pinned(node) if *node != self.config.node);
        if elsewhere || self.awaited.contains(&new.uid) {
            return self.forward(origin, Op::Create(new));
        }
        if let Some(timer) = self.timers.get(new.uid).map(|entry| &entry.timer) {
            let answer = repeated(timer, &new);
            return self.answer(origin, answer);
        }
        if self.desk.proposed.contains_key(&new.uid) {
            return self.desk.join_proposal(new.uid, origin);
        }
        let fits = new.target.check_place(&new.handler);
        if let Err(refusal) = fits.and_then(|()| self.check_allowed(&new)) {
            return self.answer(origin, Answer::Refused(refusal));
        }
        let home = Some(self.config.node.clone());
        let common = self.interner.common(&new, home);
        match Timer::accept_with(&new, common, self.clock.read(now)) {
            Ok(timer) => self.accept(now, origin, timer),
            Err(bad) => self.answer(origin, Answer::Refused(refuse_schedule(&bad))),
        }
    }

    /// Of a command that only this node knows of, only this node's allowlist is asked.
    fn check_allowed(&self, new: &NewTimer) -> Result<(), Refusal> {
        let Target::Command(command) = &new.target else {
            return Ok(());
        };
        let asked_there = new.durability == Durability::Replicated;
        if asked_there || self.runs.places().contains_key(&new.handler) {
            return Ok(());
        }
        Err(not_allowed(&command.name))
    }

    fn accept(&mut self, now: Now, origin: Origin, timer: Timer) {
        if self.stance == Stance::Leaving || self.rest.is_stopping() {
            return self.answer(origin, self.unavailable("this node is leaving"));
        }
        if let Some(holder) = self.timers.named(&timer.name) {
            if !holder.timer.is_over() {
                let refusal = Refusal::Exists {
                    name: timer.name.clone(),
                };
                return self.answer(origin, Answer::Refused(refusal));
            }
            let (over, told) = (holder.timer.uid, self.is_told(holder));
            self.take_out(over, None, self.clock.read(now));
            if told {
                self.note_gone(over);
            }
        }
        let away = self.stance == Stance::Parked || self.meta.handed_over;
        let pinned = !timer.is_movable();
        let heavy = timer.spec.durability == Durability::Replicated;
        if heavy && !planted::is(Fault::AnswerBeforeCommit) || (away && !pinned) {
            self.propose(now, origin, timer);
        } else {
            self.keep(now, origin, timer);
        }
    }

    /// The coordinator has to have it first.
    fn propose(&mut self, now: Now, origin: Origin, timer: Timer) {
        self.desk.propose(timer, origin);
        self.lane.ship_by(now.boot);
    }

    /// The node has it, and the coordinator hears of it in time if it has to.
    fn keep(&mut self, now: Now, origin: Origin, timer: Timer) {
        self.insert(Entry::new(timer.clone(), 0));
        self.ship_lazily(now, timer.spec.durability);
        self.answer(origin, Answer::Timer(Box::new(timer)));
    }

    pub(super) fn ship_lazily(&mut self, now: Now, durability: Durability) {
        if durability.is_replicated() {
            self.lane.ship_by(now.boot + self.config.replicate_after);
        }
    }

    fn tell_news(&mut self, origin: Origin, after: Option<u64>, limit: u32) {
        let look = |uid| self.timers.get(uid).map(|entry| &entry.timer);
        let news = self.feed.read(after, page::limit(limit), look);
        self.answer(origin, Answer::News(news));
    }

    fn look(&mut self, origin: Origin, name: &TimerName, op: &Op) {
        let known = self.timers.named(name);
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
        let own_and_here = own_name && self.timers.named(name).is_none() && !self.meta.handed_over;
        if asked_by_owner && self.timers.named(name).is_some() {
            // It is being handed over: neither side can change it just now.
            self.answer(origin, self.unavailable("it is on its way to the group"));
        } else if asked_by_owner || own_and_here {
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

    /// Needs nobody else, so that it is answered whatever has become of the coordinator.
    fn list_kept(&mut self, origin: Origin, after: Option<&TimerName>, limit: u32) {
        let (timers, more) = page::cut(page::limit(limit), self.named_after(after));
        let timers = timers.into_iter().cloned().collect();
        self.answer(origin, Answer::List { timers, more });
    }

    /// The timers that the node has, in the order of their names.
    fn named_after(&mut self, after: Option<&TimerName>) -> impl Iterator<Item = &Timer> {
        self.timers.page(after).map(|entry| &entry.timer)
    }

    /// The ledger's list and the timers that only this node has, as one list.
    pub(super) fn with_own_timers(&mut self, op: &Op, answer: Answer) -> Answer {
        let (Op::List { after, limit }, Answer::List { timers, more }) = (op, answer) else {
            return self.silence();
        };
        // Beyond the end of a page that goes on the ledger may have others.
        let end = timers.last().map(|timer| &timer.name).filter(|_| more);
        let own = self.named_after(after.as_ref());
        let own = own.take_while(|timer| end.is_none_or(|end| timer.name <= *end));
        let all = page::merge(timers.iter(), own, |a, b| a.name.cmp(&b.name));
        let (page, left) = page::cut(page::limit(*limit), all);
        Answer::List {
            timers: page.into_iter().cloned().collect(),
            more: more || left,
        }
    }

    fn change_by(
        &mut self,
        now: Now,
        origin: Origin,
        (name, request, change): (&TimerName, u128, &Change),
        op: &Op,
    ) {
        let Some(uid) = self.own_to_change(name) else {
            return self.change_elsewhere(now, origin, name, op);
        };
        if *change == Change::Cancel {
            return self.cancel(now, origin, (uid, request));
        }
        let dead = self.with_dead_run(uid, change);
        let elsewhere = matches!(change, Change::Requeue(_) | Change::Purge(_)) && dead.is_none();
        if elsewhere && self.link.is_open() && !matches!(origin, Origin::Change(_)) {
            return self.forward(origin, op.clone());
        }
        let change = dead.as_ref().unwrap_or(change);
        if matches!(change, Change::Purge(_)) && self.forget_dead(uid, change) {
            return self.answer(origin, Answer::Done);
        }
        let Some(entry) = self.timers.get(uid) else {
            return;
        };
        let mut timer = entry.timer.clone();
        let asked = Asked {
            request,
            flying: entry.flying(),
            now: self.clock.read(now),
        };
        let answer = match timer.apply(asked, change) {
            Ok(answer) => answer,
            Err(refusal) => return self.answer(origin, Answer::Refused(refusal)),
        };
        if timer.generation != entry.timer.generation {
            let unwritten = self.with_its_flight(entry);
            timer.note_dropped(unwritten.as_ref(), asked);
        }
        self.forget_dead(uid, change);
        let Some(entry) = self.timers.get(uid) else {
            return;
        };
        let revision = timer.revision;
        if timer != entry.timer {
            let edited = timer.generation != entry.timer.generation;
            self.change(uid, |entry| {
                entry.timer = timer;
                entry.starved = None;
                if edited {
                    entry.run = None;
                }
            });
        }
        self.answer_change(now, origin, (uid, revision), answer);
    }

    fn cancel(&mut self, now: Now, origin: Origin, (uid, request): (Uid, u128)) {
        let Some(entry) = self.timers.get(uid) else {
            return;
        };
        let outcome = match entry.run {
            Some((_, token)) => Cancelled::Running(token),
            None => cancelled(&entry.timer),
        };
        let told = self.is_told(entry);
        let committed = self.is_committed(entry);
        if outcome == Cancelled::AlreadyFired {
            return self.answer(origin, Answer::Cancelled(outcome));
        }
        self.take_out(uid, Some((request, outcome)), self.clock.read(now));
        if !told {
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
        let entry = self.timers.named(name)?;
        let settled = entry.timer.is_movable() || self.stance != Stance::Parked;
        (self.owns(entry) && settled).then_some(entry.timer.uid)
    }

    /// A pinned timer of a parked node is changed once the node has resumed; anything else by its owner.
    fn change_elsewhere(&mut self, now: Now, origin: Origin, name: &TimerName, op: &Op) {
        let known = self.timers.named(name);
        if known.is_some_and(|entry| !entry.timer.is_movable()) {
            self.desk.defer(origin, op.clone());
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
        let Some(entry) = self.timers.get(uid) else {
            return;
        };
        if self.is_committed(entry) && entry.shipped < revision {
            self.answer_when_known(now, origin, (uid, revision), answer);
        } else {
            self.ship_lazily(now, entry.timer.spec.durability);
            self.answer(origin, answer);
        }
    }
}
