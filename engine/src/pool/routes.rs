//! Operations on their way: decided by the ledger, or by the home that owns the timer.

use super::orders::OrderKey;
use super::{Effect, Link, Pool};
use crate::id::{NodeId, Session, TimerName};
use crate::ledger::Routed;
use crate::message::{CoordinatorMessage, Order};
use crate::op::{Answer, Change, Op, Refusal};
use crate::time::{BootTime, Millis, Now};
use crate::timer::RunRecord;
use std::collections::BTreeMap;

/// How long a home has to answer. Going idle waits up to 5 s for runs that are in flight.
const ANSWER_WITHIN: Millis = Millis(10_000);

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
}

#[derive(Debug)]
struct Route {
    node: NodeId,
    asker: Asker,
    until: BootTime,
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
        }
    }

    pub(super) fn next_deadline(&self) -> Option<BootTime> {
        self.open.values().map(|route| route.until).min()
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
        let dead = match &op {
            Op::Change {
                name,
                change: Change::Revive(run),
                ..
            } => Some((name.clone(), run.clone())),
            _ => None,
        };
        self.order(now, &node, OrderKey::Change(id), Order::Change { id, op });
        let until = now.boot + ANSWER_WITHIN;
        let route = Route {
            node,
            asker,
            until,
            dead,
        };
        self.routes.open.insert(id, route);
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
        self.drop_order(node, OrderKey::Change(id));
        if self.ledger.note_applied(id) {
            return;
        }
        let own = |route: &Route| route.node == *node;
        if self.routes.open.get(&id).is_some_and(own)
            && let Some(route) = self.routes.open.remove(&id)
        {
            if let Some((name, run)) = route.dead.filter(|_| matches!(answer, Answer::Refused(_))) {
                self.ledger.keep_dead(name, *run);
            }
            self.reply(&route.asker, answer);
        }
    }

    pub(super) fn expire_routes(&mut self, now: Now) {
        self.end_routes(|route| route.until <= now.boot);
    }

    pub(super) fn fail_routes(&mut self, node: &NodeId) {
        self.end_routes(|route| route.node == *node);
    }

    fn end_routes(&mut self, over: impl Fn(&Route) -> bool) {
        let ended: Vec<_> = self
            .routes
            .open
            .extract_if(.., |_, route| over(route))
            .collect();
        for (id, route) in ended {
            self.drop_order(&route.node, OrderKey::Change(id));
            self.reply(&route.asker, silent(&route.node, Millis(1_000)));
        }
    }
}

fn silent(node: &NodeId, retry_after: Millis) -> Answer {
    let why =
        format!("node {node} owns this and does not answer; it is not known whether it was done");
    Answer::Refused(Refusal::Unavailable { why, retry_after })
}
