//! What is asked and not answered yet, and the answers on their way.
//!
//! Nobody waits for ever: what the coordinator does not answer in time is answered as not known to be done.
//! How an operation is decided is told in `ops`.

use super::{Base, Effect};
use crate::id::Uid;
use crate::message::NodeMessage;
use crate::op::{Answer, Op, Refusal};
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
    pub(super) proposed: BTreeMap<Uid, Proposal>,
    /// Changes of REPLICATED timers that are made here, until the coordinator has them.
    pub(super) changes: Vec<Change>,
    /// Timers whose end is done only when the coordinator has it.
    pub(super) ends: BTreeSet<Uid>,
    pub(super) forwards: BTreeMap<u64, (Origin, Op)>,
    pub(super) forwards_made: u64,
    pub(super) deferred: Vec<(Origin, Op)>,
    /// Changes that the coordinator asked for, and their answers once there is one.
    pub(super) orders: BTreeMap<u64, Option<Answer>>,
    pub(super) until: BTreeMap<u64, BootTime>,
}

#[derive(Debug)]
pub(super) struct Proposal {
    pub(super) timer: Timer,
    pub(super) origins: Vec<Origin>,
    /// The coordinator may have it: it is proposed until that is known.
    pub(super) offered: bool,
}

#[derive(Debug)]
pub(super) struct Change {
    pub(super) uid: Uid,
    pub(super) revision: u64,
    pub(super) origin: Origin,
    pub(super) answer: Answer,
}

impl Desk {
    pub(super) fn proposed(&self) -> impl Iterator<Item = &Timer> {
        self.proposed.values().map(|proposal| &proposal.timer)
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
        self.changes.iter().map(|change| change.uid)
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
        self.desk.changes.push(Change {
            uid,
            revision,
            origin,
            answer,
        });
        self.lane.ship_by(now.boot);
    }

    /// The coordinator has not applied what the node told of a timer of its own: somebody else has run or
    /// changed it, or it is somebody else's.
    pub(super) fn change_refused(&mut self, uid: Uid, refusal: &Refusal) {
        let of_it = |change: &mut Change| change.uid == uid;
        let changes: Vec<Change> = self.desk.changes.extract_if(.., of_it).collect();
        for change in changes {
            self.answer(change.origin, Answer::Refused(refusal.clone()));
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
        let done = |change: &mut Change| change.uid == uid && change.revision <= revision;
        let done: Vec<Change> = self.desk.changes.extract_if(.., done).collect();
        for change in done {
            self.answer(change.origin, change.answer);
        }
    }

    pub(super) fn forward(&mut self, origin: Origin, op: Op) {
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
            (Op::Runs { .. } | Op::Dead { .. }, _) => self.with_own_past(&op, answer),
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

    /// The node has lost its timers: whoever asked the coordinator meanwhile was answered by itself, and what was
    /// wanted before must not be done after that.
    pub(super) fn refuse_deferred_orders(&mut self) {
        let ordered = |(origin, _): &mut (Origin, Op)| matches!(origin, Origin::Change(_));
        let ordered: Vec<(Origin, Op)> = self.desk.deferred.extract_if(.., ordered).collect();
        for (origin, _) in ordered {
            let answer = self.unavailable("this node has lost its timers meanwhile");
            self.answer(origin, answer);
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
        // What nobody waits for and nobody was told of is not proposed any more.
        self.desk
            .proposed
            .retain(|_, proposal| !proposal.origins.is_empty() || proposal.offered);
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

    pub(super) fn unavailable(&self, why: &str) -> Answer {
        Answer::Refused(Refusal::Unavailable {
            why: why.into(),
            retry_after: RETRY_AFTER,
        })
    }

    pub(super) fn silence(&self) -> Refusal {
        let why = "the coordinator did not answer; it is not known whether it was done".into();
        Refusal::Unavailable {
            why,
            retry_after: RETRY_AFTER,
        }
    }
}
