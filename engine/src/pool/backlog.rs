//! Due timers that nobody can take just now: offered again when somebody can, never by polling.

use super::Pool;
use super::duty::Rooms;
use super::session::Live;
use crate::id::{NodeId, Uid};
use crate::message::Order;
use crate::time::{BootTime, Millis, Now, WallTime};
use crate::timer::HandlerName;
use std::collections::{BTreeMap, BTreeSet};

/// After this long in the backlog a sleeping node that had the handler is woken.
const SPILL: Millis = Millis(1_000);

/// What waits, by the handler that it waits for, the longest due first.
#[derive(Debug, Default)]
pub(super) struct Backlog {
    waiting: BTreeMap<HandlerName, Waiting>,
}

#[derive(Debug, Default)]
struct Waiting {
    timers: BTreeSet<(WallTime, Uid)>,
    /// When a sleeping node is woken for it.
    spill: BootTime,
    woken: BTreeSet<NodeId>,
}

impl Backlog {
    pub(super) fn handlers(&self) -> impl Iterator<Item = &HandlerName> {
        self.waiting.keys()
    }

    pub(super) fn len(&self) -> usize {
        self.waiting
            .values()
            .map(|waiting| waiting.timers.len())
            .sum()
    }

    pub(super) fn spill_at(&self) -> Option<BootTime> {
        self.waiting.values().map(|waiting| waiting.spill).min()
    }
}

impl Pool {
    /// Puts a due timer into the backlog.
    pub(super) fn put_back(&mut self, uid: Uid, now: Now) {
        let Some(timer) = self.ledger.entry(uid).map(|entry| &entry.timer) else {
            return;
        };
        let Some(due) = timer.due() else { return };
        let handler = timer.spec.handler.clone();
        let waiting = self
            .backlog
            .waiting
            .entry(handler)
            .or_insert_with(|| Waiting {
                spill: now.boot + SPILL,
                ..Waiting::default()
            });
        waiting.timers.insert((due, uid));
        self.ledger.set_backlogged(uid, true);
    }

    /// Offers what waits to the nodes on duty, the nearest to its home first.
    pub(super) fn offer_backlog(&mut self, now: Now, rooms: &mut Rooms) {
        if self.backlog.waiting.is_empty() {
            return;
        }
        let awake: Vec<NodeId> = self.hierarchy.nearest(None).cloned().collect();
        let handlers: Vec<HandlerName> = self.backlog.handlers().cloned().collect();
        for handler in handlers {
            self.drop_settled(&handler);
            while self.has_room(rooms, &awake, &handler) && self.offer_first(now, &handler, rooms) {
            }
        }
        self.backlog
            .waiting
            .retain(|_, waiting| !waiting.timers.is_empty());
    }

    /// Offers the first timer that waits for a handler. Returns whether there was one and it was claimed.
    fn offer_first(&mut self, now: Now, handler: &HandlerName, rooms: &mut Rooms) -> bool {
        let waiting = self.backlog.waiting.get_mut(handler);
        let Some((due, uid)) = waiting.and_then(|w| w.timers.pop_first()) else {
            return false;
        };
        // Its home may have taken it back since, with all that it has: then it is the home's to run.
        if !self.ledger.is_groups(uid) || self.ledger.ready(uid, now.wall).is_none() {
            self.ledger.set_backlogged(uid, false);
            return true;
        }
        let Some(entry) = self.ledger.entry(uid) else {
            return true;
        };
        let near = self.hierarchy.nearest(entry.timer.home.as_ref());
        let near: Vec<NodeId> = near.cloned().collect();
        let claimed = self.claim_for_first(now, uid, near.iter(), rooms);
        if !claimed && let Some(waiting) = self.backlog.waiting.get_mut(handler) {
            waiting.timers.insert((due, uid));
        }
        claimed
    }

    /// Timers that were cancelled, moved or taken back by their home do not wait any more.
    fn drop_settled(&mut self, handler: &HandlerName) {
        if let Some(waiting) = self.backlog.waiting.get_mut(handler) {
            let ledger = &self.ledger;
            waiting
                .timers
                .retain(|(_, uid)| ledger.entry(*uid).is_some_and(|e| e.backlogged));
        }
    }

    /// Wakes one sleeping node for each handler that has been waited for too long.
    pub(super) fn wake_for_backlog(&mut self, now: Now) {
        let late: Vec<HandlerName> = self
            .backlog
            .waiting
            .iter()
            .filter(|(_, waiting)| waiting.spill <= now.boot)
            .map(|(handler, _)| handler.clone())
            .collect();
        for handler in late {
            let sleeper = self.sleeper_with(&handler);
            self.note_spilled(now, &handler, sleeper.as_ref());
            if let Some(node) = sleeper {
                self.tell(&node, Order::Wake);
            }
        }
    }

    fn note_spilled(&mut self, now: Now, handler: &HandlerName, sleeper: Option<&NodeId>) {
        let Some(waiting) = self.backlog.waiting.get_mut(handler) else {
            return;
        };
        waiting.spill = now.boot + SPILL;
        match sleeper {
            Some(node) => drop(waiting.woken.insert(node.clone())),
            None => waiting.woken.clear(),
        }
    }

    fn sleeper_with(&self, handler: &HandlerName) -> Option<NodeId> {
        let woken = self
            .backlog
            .waiting
            .get(handler)
            .map(|waiting| &waiting.woken);
        let asleep = self.ledger.nodes().filter(|(name, node)| {
            node.handlers.contains(handler)
                && !self.ledger.is_active(name)
                && self.address(name).is_some()
                && self.live.get(*name).is_some_and(Live::is_eligible)
                && !woken.is_some_and(|woken| woken.contains(*name))
        });
        asleep.map(|(name, _)| name.clone()).next()
    }
}
