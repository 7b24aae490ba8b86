//! What nodes are told to do: said under credit, a few messages at a time, and again until it is answered.
//!
//! ```text
//!          order                 credit left               a report answers it
//!  ------------------> waiting ---------------> in flight ---------------------> done
//!                         ^                         |
//!                         +--- no answer in time ---+
//! ```
//! Whatever has to be done at a node stands in its [`Line`]; only the first of it is in flight, at most
//! [`IN_FLIGHT_MAX`] orders and [`BYTES_IN_FLIGHT_MAX`]. So a node that comes back after a crash of the coordinator,
//! or has 100,000 timers to be given back, is told as fast as it answers. An order is a name of a fact: what it says
//! is taken from the ledger when it is said, and one that has lost its meaning by then is not said.

use crate::agenda::Agenda;
use crate::id::{NodeId, Token, Uid};
use crate::op::Op;
use crate::planted::{self, Fault};
use crate::time::{BootTime, Millis, Now, WallTime};
use std::collections::{BTreeMap, BTreeSet};

/// An order that is not answered for this long is said again, a repeated one after twice as long each time.
const REPEAT_AFTER: Millis = Millis(1_000);
/// The longest wait before an order is repeated.
const REPEAT_AFTER_MAX: Millis = Millis(8_000);
/// The most orders of a node that are in flight. A node answers them with its next report, so this many every
/// round trip.
const IN_FLIGHT_MAX: usize = 1_024;
/// No more orders are sent to a node while this much of them is in flight.
const BYTES_IN_FLIGHT_MAX: usize = 256 << 10;
/// What an order takes on the wire beside what users bring, roughly.
pub(super) const ORDER_BYTES: usize = 256;

/// What answers an order; the order of these is that in which they are said.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum OrderKey {
    /// Armed.
    Arm,
    /// An answer of this number.
    Change(u64),
    /// Accepted, declined or settled under this token. Tokens grow: what was claimed first goes first.
    Due(Token),
    /// This timer was taken, or its end was heard.
    Give(Uid),
}

/// What is to be done, as far as the ledger does not know it.
#[derive(Debug, Clone)]
pub(super) enum What {
    /// Run what is claimed of this timer.
    Run(Uid),
    /// Own a timer again, or hear of its end.
    Give,
    /// Carry out a change.
    Change(Box<Op>),
    /// Wake at this time.
    Arm(WallTime),
}

/// An order that was not answered yet.
#[derive(Debug)]
struct Outstanding {
    what: What,
    /// How often it was said on this session.
    tries: u32,
    flight: Option<Flight>,
}

/// An order in flight.
#[derive(Debug, Clone, Copy)]
struct Flight {
    again: BootTime,
    bytes: usize,
}

/// What is said first of what is not in flight.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Rank {
    /// Said in vain so often that it may have met a full outbox each time: behind what is new it would do so for ever.
    Overdue,
    New,
    Again,
}

impl Rank {
    const fn of(tries: u32) -> Self {
        match tries {
            0 => Self::New,
            1 | 2 => Self::Again,
            _ => Self::Overdue,
        }
    }
}

/// The orders of one node.
#[derive(Debug, Default)]
struct Line {
    open: BTreeMap<OrderKey, Outstanding>,
    waiting: BTreeSet<(Rank, OrderKey)>,
    flying: BTreeSet<(BootTime, OrderKey)>,
    bytes: usize,
}

impl Line {
    fn remove(&mut self, key: OrderKey) -> Option<Outstanding> {
        let order = self.open.remove(&key)?;
        match order.flight {
            Some(flight) => {
                self.flying.remove(&(flight.again, key));
                self.bytes -= flight.bytes;
            }
            None => drop(self.waiting.remove(&(Rank::of(order.tries), key))),
        }
        Some(order)
    }

    fn fly(&mut self, now: BootTime, key: OrderKey, bytes: usize) {
        let Some(mut order) = self.remove(key) else {
            return;
        };
        let wait = REPEAT_AFTER.0 << order.tries.min(3);
        let again = now + Millis(wait).min(REPEAT_AFTER_MAX);
        order.tries += 1;
        order.flight = Some(Flight { again, bytes });
        self.flying.insert((again, key));
        self.bytes += bytes;
        self.open.insert(key, order);
    }

    /// What is in flight since longer than it takes to answer waits again.
    fn land(&mut self, now: BootTime) {
        while let Some((again, key)) = self.flying.first().copied() {
            if again > now {
                return;
            }
            self.flying.remove(&(again, key));
            if let Some(order) = self.open.get_mut(&key) {
                self.bytes -= order.flight.take().map_or(0, |flight| flight.bytes);
                self.waiting.insert((Rank::of(order.tries), key));
            }
        }
    }

    fn begin_anew(&mut self) {
        self.flying.clear();
        self.bytes = 0;
        self.waiting = self.open.keys().map(|key| (Rank::New, *key)).collect();
        for order in self.open.values_mut() {
            order.tries = 0;
            order.flight = None;
        }
    }

    fn has_credit(&self) -> bool {
        let unbounded = planted::is(Fault::OrderWithoutCredit);
        unbounded || self.flying.len() < IN_FLIGHT_MAX && self.bytes < BYTES_IN_FLIGHT_MAX
    }

    fn next(&self) -> Option<OrderKey> {
        let (_, key) = self.waiting.first().filter(|_| self.has_credit())?;
        Some(*key)
    }
}

/// The orders of all nodes.
#[derive(Debug, Default)]
pub(super) struct Orders {
    lines: BTreeMap<NodeId, Line>,
    /// When the first order in flight of a node has to be said again.
    again: Agenda<BootTime, NodeId>,
    /// Nodes with something to be said.
    ready: BTreeSet<NodeId>,
}

impl Orders {
    /// Says something to a node until it is answered; if the node has no link, when it has one.
    pub(super) fn add(&mut self, node: &NodeId, key: OrderKey, what: What) {
        let line = self.lines.entry(node.clone()).or_default();
        line.remove(key);
        line.waiting.insert((Rank::New, key));
        let order = Outstanding {
            what,
            tries: 0,
            flight: None,
        };
        line.open.insert(key, order);
        self.look_at(node);
    }

    /// Repeats an order that was said in another way, if it is not answered.
    pub(super) fn expect_answer(&mut self, now: Now, node: &NodeId, key: OrderKey, what: What) {
        self.add(node, key, what);
        self.note_said(now, node, key, ORDER_BYTES);
    }

    pub(super) fn note_said(&mut self, now: Now, node: &NodeId, key: OrderKey, bytes: usize) {
        if let Some(line) = self.lines.get_mut(node) {
            line.fly(now.boot, key, bytes);
        }
        self.look_at(node);
    }

    /// An order was answered, or has lost its meaning. Returns whether the node may have heard of it.
    pub(super) fn drop_one(&mut self, node: &NodeId, key: OrderKey) -> bool {
        let line = self.lines.get_mut(node);
        let order = line.and_then(|line| line.remove(key));
        self.look_at(node);
        order.is_some_and(|order| order.tries > 0)
    }

    /// Takes back all orders of a node that are `done`.
    pub(super) fn drop_many(&mut self, node: &NodeId, done: impl Fn(OrderKey) -> bool) {
        let line = self.lines.get_mut(node);
        for line in line.into_iter() {
            let keys: Vec<OrderKey> = line.open.keys().copied().filter(|key| done(*key)).collect();
            for key in keys {
                line.remove(key);
            }
        }
        self.look_at(node);
    }

    /// Takes back everything that a node was to do.
    pub(super) fn drop_all(&mut self, node: &NodeId) {
        self.lines.remove(node);
        self.look_at(node);
    }

    pub(super) fn has(&self, node: &NodeId, key: OrderKey) -> bool {
        let line = self.lines.get(node);
        line.is_some_and(|line| line.open.contains_key(&key))
    }

    /// A node is back on a new link: it may have heard nothing of what was in flight.
    pub(super) fn begin_anew(&mut self, node: &NodeId) {
        if let Some(line) = self.lines.get_mut(node) {
            line.begin_anew();
        }
        self.look_at(node);
    }

    /// What was not answered in time is said again.
    pub(super) fn land(&mut self, now: Now) {
        while let Some(node) = self.again.pop_due(now.boot) {
            if let Some(line) = self.lines.get_mut(&node) {
                line.land(now.boot);
            }
            self.look_at(&node);
        }
    }

    /// When [`Orders::land`] has something to do.
    pub(super) fn repeat_at(&self) -> Option<BootTime> {
        self.again.first()
    }

    /// Whether something could be said at once.
    pub(super) fn are_left(&self) -> bool {
        !self.ready.is_empty()
    }

    pub(super) fn next(&self, node: &NodeId) -> Option<(OrderKey, What)> {
        let line = self.lines.get(node)?;
        let key = line.next()?;
        Some((key, line.open.get(&key)?.what.clone()))
    }

    /// The first node with something to be said.
    pub(super) fn first_ready(&self) -> Option<NodeId> {
        self.ready.first().cloned()
    }

    /// A node without a link is ready again when it is back.
    pub(super) fn wait_for(&mut self, node: &NodeId) {
        self.ready.remove(node);
    }

    /// Keeps what is said of all nodes true of this one.
    fn look_at(&mut self, node: &NodeId) {
        let line = self.lines.get(node);
        let first = line.and_then(|line| line.flying.first());
        self.again.set(node, first.map(|(again, _)| *again));
        if line.is_some_and(|line| line.next().is_some()) {
            self.ready.insert(node.clone());
        } else {
            self.ready.remove(node);
        }
        if line.is_some_and(|line| line.open.is_empty()) {
            self.lines.remove(node);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(boot: u64) -> Now {
        Now {
            wall: WallTime(0),
            boot: BootTime(boot),
        }
    }

    #[test]
    fn what_is_not_heard_again_and_again_goes_before_what_is_new() {
        let node = NodeId::new("n1").expect("an id");
        let due = |token| OrderKey::Due(Token(token));
        let mut orders = Orders::default();
        let mut firsts = Vec::new();
        orders.add(&node, due(1), What::Run(Uid(1)));
        for second in 0..16 {
            let now = at(second * 1_000);
            orders.land(now);
            orders.add(&node, due(100 + second), What::Run(Uid(2)));
            let (first, _) = orders.next(&node).expect("something new");
            firsts.extend((first == due(1)).then_some(second));
            while let Some((key, _)) = orders.next(&node) {
                orders.note_said(now, &node, key, 10);
                if key != due(1) {
                    orders.drop_one(&node, key);
                }
            }
        }
        // It is said after 0, 1, 3, 7 and 15 seconds.
        assert_eq!(firsts, [0, 7, 15]);
    }
}
