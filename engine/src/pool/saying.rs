//! Orders become messages: as far as there is credit, with what the ledger says of each at that moment.

use super::orders::{ORDER_BYTES, OrderKey, What};
use super::{Link, Pool};
use crate::id::{NodeId, Session, Token, Uid};
use crate::message::{CoordinatorMessage, Order};
use crate::op::{Change, Op, Setting};
use crate::page::Weigh as _;
use crate::steps;
use crate::time::Now;
use crate::timer::{Run, Timer};

/// Orders that are said in one turn; the next turn goes on.
const SAID_IN_TURN_MAX: usize = 4_096;

/// What one node is told in one turn.
#[derive(Default)]
struct Batch {
    orders: Vec<Order>,
    runs: Vec<Run>,
    timers: Vec<Timer>,
    gone: Vec<Uid>,
}

impl Pool {
    /// Says something to a node once.
    pub(super) fn tell(&mut self, node: &NodeId, order: Order) {
        if let Some((link, session)) = self.address(node) {
            self.send(link, CoordinatorMessage::Order { session, order });
        }
    }

    pub(super) fn address(&self, node: &NodeId) -> Option<(Link, Session)> {
        let live = self.live.get(node)?;
        Some((live.link?, live.session))
    }

    /// Active homes are to own the timers again that were run for them, and to hear of those that have ended.
    pub(super) fn give_back(&mut self) {
        for (node, uid) in self.ledger.take_given() {
            let key = OrderKey::Give(uid);
            if self.live.contains_key(&node) && !self.orders.has(&node, key) {
                self.orders.add(&node, key, What::Give);
            }
        }
    }

    /// A node that is back on a new link hears everything that it has not answered.
    pub(super) fn repeat_all_orders(&mut self, node: &NodeId) {
        let claims: Vec<(Token, Uid)> = self.ledger.claims_of(node).collect();
        for (token, uid) in claims {
            let key = OrderKey::Due(token);
            if !self.orders.has(node, key) {
                self.orders.add(node, key, What::Run(uid));
            }
        }
        self.orders.begin_anew(node);
    }

    /// Says what waits, as far as there is credit for it.
    pub(super) fn send_orders(&mut self, now: Now) {
        self.orders.land(now);
        let mut left = SAID_IN_TURN_MAX;
        while left > 0
            && let Some(node) = self.orders.first_ready()
        {
            left -= self.send_to(now, &node, left);
        }
    }

    fn send_to(&mut self, now: Now, node: &NodeId, most: usize) -> usize {
        let Some((link, session)) = self.address(node) else {
            self.orders.wait_for(node);
            return 0;
        };
        let mut batch = Batch::default();
        let limits = self.config.message;
        let (mut said, mut bytes) = (0, 0);
        while said < most.min(limits.items)
            && bytes < limits.bytes
            && let Some((key, what)) = self.orders.next(node)
        {
            said += 1;
            steps::visit();
            match self.put_into(&mut batch, node, (key, what)) {
                Some(more) => {
                    bytes += more;
                    self.orders.note_said(now, node, key, more);
                }
                None => drop(self.orders.drop_one(node, key)),
            }
        }
        for order in self.messages(node, batch) {
            self.send(link, CoordinatorMessage::Order { session, order });
        }
        said
    }

    /// Adds to a batch what an order says now, and says how long it is; none if it has lost its meaning.
    fn put_into(
        &self,
        batch: &mut Batch,
        node: &NodeId,
        (key, what): (OrderKey, What),
    ) -> Option<usize> {
        match (key, what) {
            (OrderKey::Due(token), What::Run(uid)) => {
                let run = self.ledger.run_of(node, uid, token)?;
                let bytes = ORDER_BYTES + run.payload.0.len();
                batch.runs.push(run);
                Some(bytes)
            }
            (OrderKey::Give(uid), _) => match self.ledger.given(node, uid) {
                Some(timer) => {
                    batch.timers.push(timer.clone());
                    Some(timer.weight())
                }
                None => {
                    let ended = self.ledger.has_to_hear_of(node, uid);
                    ended.then(|| batch.gone.push(uid))?;
                    Some(ORDER_BYTES)
                }
            },
            (OrderKey::Change(id), What::Change(op)) => {
                let bytes = ORDER_BYTES + brought_by(&op);
                batch.orders.push(Order::Change { id, op: *op });
                Some(bytes)
            }
            (OrderKey::Arm, What::Arm(at)) => {
                batch.orders.push(Order::Arm { at });
                Some(ORDER_BYTES)
            }
            (OrderKey::Arm | OrderKey::Change(_) | OrderKey::Due(_), _) => None,
        }
    }

    fn messages(&mut self, node: &NodeId, batch: Batch) -> Vec<Order> {
        let mut orders = batch.orders;
        if !batch.runs.is_empty() {
            orders.push(Order::Due { runs: batch.runs });
        }
        let gives = !batch.timers.is_empty() || !batch.gone.is_empty();
        if gives && let Some(epoch) = self.ledger.node(node).map(|known| known.epoch) {
            orders.push(Order::Give {
                epoch,
                timers: batch.timers,
                gone: batch.gone,
                floor: self.ledger.floor(),
            });
        }
        orders
    }
}

/// The bytes that a user brings with a change.
fn brought_by(op: &Op) -> usize {
    match op {
        Op::Create(new) => new.payload.0.len(),
        Op::Change {
            change: Change::Rearm { payload, .. },
            ..
        } => payload.as_ref().map_or(0, |payload| payload.0.len()),
        Op::Change {
            change: Change::Update { settings, .. },
            ..
        } => {
            let bytes = |setting: &Setting| {
                if let Setting::Payload(payload) = setting {
                    payload.0.len()
                } else {
                    0
                }
            };
            settings.iter().map(bytes).sum()
        }
        Op::Change { .. }
        | Op::Look { .. }
        | Op::List { .. }
        | Op::Kept { .. }
        | Op::Runs { .. }
        | Op::Dead { .. }
        | Op::News { .. }
        | Op::Activity { .. } => 0,
    }
}
