//! What is asked and not answered yet, and the answers on their way.
//!
//! Nobody waits for ever: what the coordinator does not answer in time is answered as not known to be done.
//! How an operation is decided is told in `ops`.

use super::asks::Asks;
use super::forwards::Forwards;
use super::{Base, Effect};
use crate::agenda::Agenda;
use crate::id::Uid;
use crate::op::{Answer, Op, Refusal};
use crate::steps;
use crate::time::{BootTime, Millis, Now};
use crate::timer::Timer;
use std::collections::{BTreeMap, BTreeSet};

/// How long an application waits for the coordinator.
const ANSWER_WITHIN: Millis = Millis(8_000);
/// What an application is told to wait before it asks again.
const RETRY_AFTER: Millis = Millis(1_000);
/// How many answered changes are remembered, so that an order that is heard twice is done once.
const REMEMBERED_MAX: usize = 1_024;

/// Who asked.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
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
    pub(super) proposed: BTreeMap<Uid, Proposal>,
    /// Changes of REPLICATED timers that are made here, until the coordinator has them.
    changes: BTreeMap<ChangeKey, (Origin, Answer)>,
    /// Timers whose end is done only when the coordinator has it.
    pub(super) ends: BTreeSet<Uid>,
    pub(super) forwards: Forwards,
    deferred: BTreeMap<u64, (Origin, Op)>,
    /// The last number given to a change or to something deferred.
    numbered: u64,
    /// Changes that the coordinator asked for, and their answers once there is one.
    pub(super) orders: BTreeMap<u64, Option<Answer>>,
    /// Where each application waits.
    asks: Asks,
    /// When what is asked and not answered is given up.
    late: Agenda<BootTime, u64>,
}

/// Where an application waits: at one place at a time.
#[derive(Debug, Clone, Copy)]
pub(super) enum Place {
    /// It is just being decided.
    Nowhere,
    /// For the node to sleep or to be awake.
    Rest,
    /// Until the node knows whether it sleeps.
    Deferred(u64),
    /// For the coordinator to have a change.
    Change(ChangeKey),
    /// For the coordinator to answer.
    Forward(u64),
    /// For the coordinator to have a new timer.
    Proposal(Uid),
}

/// A change that the coordinator has to have: of which timer, from which revision on, and its own number.
type ChangeKey = (Uid, u64, u64);

#[derive(Debug)]
pub(super) struct Proposal {
    timer: Timer,
    origins: BTreeSet<Origin>,
    /// The coordinator may have it: it is proposed until that is known.
    offered: bool,
}

impl Desk {
    pub(super) fn proposed(&self) -> impl Iterator<Item = &Timer> {
        self.proposed.values().map(|proposal| &proposal.timer)
    }

    /// The coordinator has to have this timer first.
    pub(super) fn propose(&mut self, timer: Timer, origin: Origin) {
        let uid = timer.uid;
        let proposal = Proposal {
            timer,
            origins: BTreeSet::new(),
            offered: false,
        };
        self.proposed.insert(uid, proposal);
        self.join_proposal(uid, origin);
    }

    /// Waits for what is proposed already.
    pub(super) fn join_proposal(&mut self, uid: Uid, origin: Origin) {
        self.note_place(&origin, Place::Proposal(uid));
        if let Some(proposal) = self.proposed.get_mut(&uid) {
            proposal.origins.insert(origin);
        }
    }

    /// What nobody waits for and nobody was told of is not proposed any more.
    fn leave_proposal(&mut self, uid: Uid, origin: &Origin) {
        let Some(proposal) = self.proposed.get_mut(&uid) else {
            return;
        };
        proposal.origins.remove(origin);
        if proposal.origins.is_empty() && !proposal.offered {
            self.proposed.remove(&uid);
        }
    }

    /// Keeps an operation until it can be decided.
    pub(super) fn defer(&mut self, origin: Origin, op: Op) {
        self.numbered += 1;
        self.note_place(&origin, Place::Deferred(self.numbered));
        self.deferred.insert(self.numbered, (origin, op));
    }

    /// What was kept, in the order in which it was asked.
    pub(super) fn take_deferred(&mut self) -> impl Iterator<Item = (Origin, Op)> + use<> {
        std::mem::take(&mut self.deferred).into_values()
    }

    pub(super) fn note_place(&mut self, origin: &Origin, place: Place) {
        if let Origin::Ask(ask) = origin
            && let Some(before) = self.asks.place_mut(*ask)
        {
            *before = place;
        }
    }

    /// What is asked and not answered yet is waited for from now on.
    pub(super) fn wait_from(&mut self, now: Now, origin: &Origin) {
        if let Origin::Ask(ask) = origin
            && self.asks.place_mut(*ask).is_some()
        {
            self.late.set(ask, Some(now.boot + ANSWER_WITHIN));
        }
    }

    /// Takes out the changes of a timer up to this revision.
    fn take_changes(&mut self, uid: Uid, upto: u64) -> Vec<(Origin, Answer)> {
        let done = self.changes.range((uid, 0, 0)..=(uid, upto, u64::MAX));
        let done: Vec<ChangeKey> = done.map(|(key, _)| *key).collect();
        let done = done.iter().inspect(|_| steps::visit());
        done.filter_map(|key| self.changes.remove(key)).collect()
    }

    /// The coordinator is about to be told of this.
    pub(super) fn note_offered(&mut self, uid: Uid) {
        if let Some(proposal) = self.proposed.get_mut(&uid) {
            proposal.offered = true;
        }
    }

    /// Whether somebody waits, or has waited, for the coordinator to have the end of this timer.
    pub(super) fn waits_for(&self, uid: Uid) -> bool {
        self.ends.contains(&uid)
    }

    /// Timers of which a change waits for the coordinator.
    pub(super) fn changing(&self) -> impl Iterator<Item = Uid> {
        self.changes.keys().map(|(uid, _, _)| *uid)
    }

    /// Whether somebody waits for the coordinator to have a change.
    pub(super) fn awaits_ship(&self) -> bool {
        !self.changes.is_empty()
    }

    pub(super) fn next_deadline(&self) -> Option<BootTime> {
        self.late.first()
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
        let Origin::Ask(ask) = origin else {
            return self.decide_op(now, origin, op);
        };
        self.desk.asks.begin(ask);
        self.decide_op(now, Origin::Ask(ask), op);
        // Most are answered by now, and were never late.
        if self.desk.asks.keep_begun() {
            self.desk.wait_from(now, &Origin::Ask(ask));
        }
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

    /// The coordinator has judged a proposal. Returns whether it was one.
    pub(super) fn proposal_answered(&mut self, timer: &Timer, refusal: Option<&Refusal>) -> bool {
        let Some(proposal) = self.desk.proposed.remove(&timer.uid) else {
            return false;
        };
        let answer = match refusal {
            Some(refusal) => Answer::Refused(refusal.clone()),
            None => {
                self.adopt(timer.clone());
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

    pub(super) fn answer_when_known(
        &mut self,
        now: Now,
        origin: Origin,
        (uid, revision): (Uid, u64),
        answer: Answer,
    ) {
        if revision == u64::MAX {
            self.desk.ends.insert(uid);
        }
        self.desk.numbered += 1;
        let key = (uid, revision, self.desk.numbered);
        self.desk.note_place(&origin, Place::Change(key));
        self.desk.changes.insert(key, (origin, answer));
        self.lane.ship_by(now.boot);
    }

    /// The coordinator has not applied what the node told of a timer of its own: somebody else has run or
    /// changed it, or it is somebody else's.
    pub(super) fn change_refused(&mut self, uid: Uid, refusal: &Refusal) {
        for (origin, _) in self.desk.take_changes(uid, u64::MAX) {
            self.answer(origin, Answer::Refused(refusal.clone()));
        }
        if matches!(refusal, Refusal::Exists { .. }) {
            self.remove(uid);
        }
    }

    /// The coordinator has this timer as of this revision.
    pub(super) fn change_answered(&mut self, uid: Uid, revision: u64) {
        if revision == u64::MAX {
            self.desk.ends.remove(&uid);
        }
        for (origin, answer) in self.desk.take_changes(uid, revision) {
            self.answer(origin, answer);
        }
    }

    /// The node has lost its timers: whoever asked the coordinator meanwhile was answered by itself, and what was
    /// wanted before must not be done after that.
    pub(super) fn refuse_deferred_orders(&mut self) {
        let ordered = |_: &u64, (origin, _): &mut (Origin, Op)| matches!(origin, Origin::Change(_));
        let ordered: Vec<_> = self.desk.deferred.extract_if(.., ordered).collect();
        for (_, (origin, _)) in ordered {
            let answer = self.unavailable("this node has lost its timers meanwhile");
            self.answer(origin, answer);
        }
    }

    /// Nobody waits for ever: what was asked is then not known to be done.
    pub(super) fn expire_asks(&mut self, now: Now) {
        while let Some(ask) = self.desk.late.pop_due(now.boot) {
            steps::visit();
            self.forget_ask(ask);
            self.answer(Origin::Ask(ask), self.silence());
        }
    }

    /// Nobody waits there for an answer any more.
    fn forget_ask(&mut self, ask: u64) {
        let Some(place) = self.desk.asks.place_mut(ask).copied() else {
            return;
        };
        let origin = Origin::Ask(ask);
        match place {
            Place::Nowhere => {}
            Place::Rest => self.rest.drop_waiting(&origin),
            Place::Deferred(number) => drop(self.desk.deferred.remove(&number)),
            Place::Change(key) => drop(self.desk.changes.remove(&key)),
            Place::Forward(id) => self.desk.forwards.forget(id),
            Place::Proposal(uid) => self.desk.leave_proposal(uid, &origin),
        }
    }

    pub(super) fn answer(&mut self, origin: Origin, answer: Answer) {
        match origin {
            Origin::Ask(ask) => {
                if self.desk.asks.end(ask) {
                    self.desk.late.set(&ask, None);
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

    pub(super) fn unavailable(&self, why: &str) -> Answer {
        Answer::Refused(Refusal::Unavailable {
            why: why.into(),
            retry_after: RETRY_AFTER,
        })
    }

    pub(super) fn silence(&self) -> Answer {
        self.unavailable("the coordinator did not answer; it is not known whether it was done")
    }
}
