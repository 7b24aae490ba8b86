//! What a node is told to do, repeated until a report answers it.

use super::{Link, Pool};
use crate::id::{Epoch, NodeId, Session, Token, Uid};
use crate::message::{CoordinatorMessage, Order};
use crate::time::{BootTime, Millis, Now};
use crate::timer::{Run, Timer};

/// An order that is not answered for this long is said again.
pub(super) const REPEAT_AFTER: Millis = Millis(1_000);

/// What answers an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum OrderKey {
    /// Accepted, declined or settled under this token.
    Due(Token),
    /// This timer was taken.
    Give(Uid),
    /// An answer of this number.
    Change(u64),
    /// Armed.
    Arm,
}

/// An order that was not answered yet.
#[derive(Debug)]
pub(super) struct Outstanding {
    order: Order,
    sent: BootTime,
}

impl Pool {
    /// Says something to a node until it is answered; if the node has no link, when it has one.
    pub(super) fn order(&mut self, now: Now, node: &NodeId, key: OrderKey, order: Order) {
        self.expect_answer(now, node, key, order.clone());
        self.tell(node, order);
    }

    /// Says something to a node once.
    pub(super) fn tell(&mut self, node: &NodeId, order: Order) {
        if let Some((link, session)) = self.address(node) {
            self.send(link, CoordinatorMessage::Order { session, order });
        }
    }

    /// Repeats an order that was said in another way, if it is not answered.
    pub(super) fn expect_answer(&mut self, now: Now, node: &NodeId, key: OrderKey, order: Order) {
        if let Some(live) = self.live.get_mut(node) {
            live.orders.insert(
                key,
                Outstanding {
                    order,
                    sent: now.boot,
                },
            );
        }
    }

    /// Sends claimed runs to their node in one message.
    pub(super) fn order_runs(&mut self, now: Now, node: &NodeId, runs: Vec<Run>) {
        for run in &runs {
            let order = Order::Due {
                runs: vec![run.clone()],
            };
            self.expect_answer(now, node, OrderKey::Due(run.token), order);
        }
        self.tell(node, Order::Due { runs });
    }

    /// An order was answered.
    pub(super) fn drop_order(&mut self, node: &NodeId, key: OrderKey) {
        if let Some(live) = self.live.get_mut(node) {
            live.orders.remove(&key);
        }
    }

    pub(super) fn drop_orders(&mut self, node: &NodeId, done: impl Fn(&OrderKey) -> bool) {
        if let Some(live) = self.live.get_mut(node) {
            live.orders.retain(|key, _| !done(key));
        }
    }

    fn has_order(&self, node: &NodeId, key: OrderKey) -> bool {
        self.live
            .get(node)
            .is_some_and(|live| live.orders.contains_key(&key))
    }

    pub(super) fn address(&self, node: &NodeId) -> Option<(Link, Session)> {
        let live = self.live.get(node)?;
        Some((live.link?, live.session))
    }

    /// Gives active homes the timers back that were run for them, and tells them of those that have ended.
    pub(super) fn give_back(&mut self, now: Now) {
        for (node, timers, epoch) in self.ledger.to_give() {
            for timer in timers {
                self.give(now, &node, timer.uid, (epoch, vec![timer], Vec::new()));
            }
        }
        for (node, gone, epoch) in self.ledger.to_end() {
            for uid in gone {
                self.give(now, &node, uid, (epoch, Vec::new(), vec![uid]));
            }
        }
    }

    fn give(
        &mut self,
        now: Now,
        node: &NodeId,
        uid: Uid,
        (epoch, timers, gone): (Epoch, Vec<Timer>, Vec<Uid>),
    ) {
        let key = OrderKey::Give(uid);
        if self.has_order(node, key) {
            return;
        }
        let order = Order::Give {
            epoch,
            timers,
            gone,
            floor: self.ledger.floor(),
        };
        self.order(now, node, key, order);
    }

    /// A node that is back on a new link hears everything that it has not answered.
    pub(super) fn repeat_all_orders(&mut self, node: &NodeId, now: Now) {
        let runs: Vec<Run> = self.ledger.claimed(node).collect();
        for run in runs {
            let order = Order::Due {
                runs: vec![run.clone()],
            };
            self.expect_answer(now, node, OrderKey::Due(run.token), order);
        }
        self.repeat(node, now, |_| true);
    }

    pub(super) fn repeat_orders(&mut self, now: Now) {
        let nodes: Vec<NodeId> = self.live.keys().cloned().collect();
        for node in nodes {
            self.repeat(&node, now, |sent| sent + REPEAT_AFTER <= now.boot);
        }
    }

    fn repeat(&mut self, node: &NodeId, now: Now, again: impl Fn(BootTime) -> bool) {
        let Some((link, session)) = self.address(node) else {
            return;
        };
        let Some(live) = self.live.get_mut(node) else {
            return;
        };
        let mut orders = Vec::new();
        for outstanding in live.orders.values_mut().filter(|o| again(o.sent)) {
            outstanding.sent = now.boot;
            orders.push(outstanding.order.clone());
        }
        for order in orders {
            self.send(link, CoordinatorMessage::Order { session, order });
        }
    }

    pub(super) fn repeat_at(&self) -> Option<BootTime> {
        let open = self.live.values().filter(|live| live.link.is_some());
        let sent = open.flat_map(|live| live.orders.values().map(|order| order.sent));
        sent.min().map(|sent| sent + REPEAT_AFTER)
    }
}
