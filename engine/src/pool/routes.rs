//! Operations on their way: decided by the ledger, or by the home that owns the timer.

use super::orders::{OrderKey, What};
use super::{Effect, Link, Pool};
use crate::agenda::Agenda;
use crate::id::{NodeId, Session, TimerName};
use crate::ledger::Routed;
use crate::message::CoordinatorMessage;
use crate::op::{Answer, Change, Op, Refusal};
use crate::time::{BootTime, Millis, Now};
use crate::timer::RunRecord;
use std::collections::{BTreeMap, BTreeSet};

/// How long a home has to answer. Going idle waits up to 5 s for runs that are in flight.
const ANSWER_WITHIN: Millis = Millis(10_000);
/// The most routes that end in one turn because nobody has answered.
const ENDED_IN_TURN_MAX: usize = 1_024;

/// Who waits for an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Asker {
    /// A call of the coordinator's own API.
    Ask(u64),
    /// A node that forwarded it.
    Node(NodeId, u64),
}

impl Asker {
    fn is(&self, node: &NodeId) -> bool {
        matches!(self, Self::Node(own, _) if own == node)
    }
}

/// Operations that a home has not answered yet.
#[derive(Debug)]
pub(super) struct Routes {
    next: u64,
    open: BTreeMap<u64, Route>,
    /// When each has waited for long enough.
    until: Agenda<BootTime, u64>,
    /// The same by who has to answer.
    nodes: BTreeSet<(NodeId, u64)>,
}

#[derive(Debug)]
struct Route {
    node: NodeId,
    asker: Asker,
    /// The dead run that is to begin again.
    dead: Option<(TimerName, Box<RunRecord>)>,
}

impl Routes {
    /// Numbers that no earlier life of this coordinator has used: a home remembers what it has answered.
    pub(super) fn starting(now: Now) -> Self {
        let start = (now.wall.0.cast_unsigned() << 16) | (1 << 63);
        Self {
            next: start,
            open: BTreeMap::new(),
            until: Agenda::default(),
            nodes: BTreeSet::new(),
        }
    }

    pub(super) fn next_deadline(&self) -> Option<BootTime> {
        self.until.first()
    }

    fn open(&mut self, id: u64, route: Route, until: BootTime) {
        self.until.set(&id, Some(until));
        self.nodes.insert((route.node.clone(), id));
        self.open.insert(id, route);
    }

    fn close(&mut self, id: u64) -> Option<Route> {
        let route = self.open.remove(&id)?;
        self.until.set(&id, None);
        self.nodes.remove(&(route.node.clone(), id));
        Some(route)
    }

    fn first_of(&self, node: &NodeId) -> Option<u64> {
        let (of, id) = self.nodes.range((node.clone(), 0)..).next()?;
        (of == node).then_some(*id)
    }
}

impl Pool {
    pub(super) fn hear_forward(
        &mut self,
        now: Now,
        link: Link,
        session: Session,
        (id, op): (u64, Op),
    ) {
        let Some(node) = self.speaker(link, session) else {
            return;
        };
        let live = self.live.get_mut(&node);
        if live.is_some_and(|live| live.is_new_forward(id)) {
            self.route(now, Asker::Node(node, id), op);
        }
    }

    pub(super) fn route(&mut self, now: Now, asker: Asker, op: Op) {
        match self.ledger.execute(&op, now.wall) {
            // A home that asks about its own timer knows its own part of the past.
            Routed::To(node, op) if matches!(*op, Op::Runs { .. }) && asker.is(&node) => {
                let answer = self.ledger.runs_known(&op);
                self.reply(&asker, answer);
            }
            Routed::Done(answer) => self.reply(&asker, answer),
            Routed::To(node, op) => self.pass_on(now, asker, node, *op),
        }
    }

    fn pass_on(&mut self, now: Now, asker: Asker, node: NodeId, op: Op) {
        if self.address(&node).is_none() {
            let wait = self
                .live
                .get(&node)
                .map(|live| live.lease_until.since(now.boot));
            let answer = silent(&node, wait.unwrap_or(Millis(1_000)));
            return self.reply(&asker, answer);
        }
        let id = self.routes.next;
        self.routes.next += 1;
        let dead = if let Op::Change {
            name,
            change: Change::Revive(run),
            ..
        } = &op
        {
            Some((name.clone(), run.clone()))
        } else {
            None
        };
        let what = What::Change(Box::new(op));
        self.orders.add(&node, OrderKey::Change(id), what);
        let until = now.boot + ANSWER_WITHIN;
        self.routes.open(id, Route { node, asker, dead }, until);
    }

    fn reply(&mut self, asker: &Asker, answer: Answer) {
        match asker {
            Asker::Ask(ask) => self.effects.push(Effect::Answer { ask: *ask, answer }),
            Asker::Node(node, id) => {
                if let Some((link, _)) = self.address(node) {
                    self.send(link, CoordinatorMessage::Forwarded { id: *id, answer });
                }
            }
        }
    }

    pub(super) fn hear_answer(&mut self, node: &NodeId, id: u64, answer: Answer) {
        self.orders.drop_one(node, OrderKey::Change(id));
        if self.ledger.note_applied(id) {
            return;
        }
        let own = |route: &Route| route.node == *node;
        if self.routes.open.get(&id).is_some_and(own)
            && let Some(route) = self.routes.close(id)
        {
            if let Some((name, run)) = route.dead.filter(|_| matches!(answer, Answer::Refused(_))) {
                self.ledger.keep_dead(name, *run);
            }
            self.reply(&route.asker, answer);
        }
    }

    pub(super) fn expire_routes(&mut self, now: Now) {
        for _ in 0..ENDED_IN_TURN_MAX {
            let Some(id) = self.routes.until.pop_due(now.boot) else {
                return;
            };
            self.end_route(id);
        }
    }

    pub(super) fn fail_routes(&mut self, node: &NodeId) {
        while let Some(id) = self.routes.first_of(node) {
            self.end_route(id);
        }
    }

    fn end_route(&mut self, id: u64) {
        if let Some(route) = self.routes.close(id) {
            let told = self.orders.drop_one(&route.node, OrderKey::Change(id));
            let answer = match told {
                true => silent(&route.node, Millis(1_000)),
                false => untold(&route.node),
            };
            self.reply(&route.asker, answer);
        }
    }
}

/// The home was never told, since it has not answered enough of what it was told before.
fn untold(node: &NodeId) -> Answer {
    let why = format!("node {node} owns this and is behind with its orders; nothing was changed");
    let retry_after = Millis(1_000);
    Answer::Refused(Refusal::Unavailable { why, retry_after })
}

fn silent(node: &NodeId, retry_after: Millis) -> Answer {
    let why =
        format!("node {node} owns this and does not answer; it is not known whether it was done");
    Answer::Refused(Refusal::Unavailable { why, retry_after })
}
