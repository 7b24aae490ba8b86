//! Due timers that nobody can take just now: offered again when somebody can, never by polling.
//!
//! The ledger has the queues, by what their timers ask for. Here stands what has to be looked at: things that
//! timers wait for and that somebody may have room for now, and when a sleeping node is woken for one.

use super::Pool;
use super::duty::Budget;
use crate::agenda::Agenda;
use crate::id::{NodeId, Uid};
use crate::ledger::Want;
use crate::message::Order;
use crate::steps;
use crate::time::{BootTime, Millis, Now};
use std::collections::{BTreeMap, BTreeSet};

/// After this long in the backlog a sleeping node that had the handler is woken.
const SPILL: Millis = Millis(1_000);
/// The most nodes that are woken for the backlog in one turn.
const WOKEN_IN_TURN_MAX: usize = 256;

/// What has to be looked at of what waits.
#[derive(Debug, Default)]
pub(super) struct Backlog {
    /// Waited for, and somebody may have room.
    offered: BTreeSet<Want>,
    /// What was offered last: others have their turn first.
    last: Option<Want>,
    /// When a sleeping node is woken.
    spill: Agenda<BootTime, Want>,
    /// The node that was woken last.
    woken: BTreeMap<Want, NodeId>,
}

impl Backlog {
    /// Whether there is something left to be offered.
    pub(super) fn is_left(&self) -> bool {
        !self.offered.is_empty()
    }

    pub(super) fn spill_at(&self) -> Option<BootTime> {
        self.spill.first()
    }

    fn spill_later(&mut self, now: Now, want: &Want) {
        if self.spill.time_of(want).is_none() {
            self.spill.set(want, Some(now.boot + SPILL));
        }
    }

    /// What is offered next: one timer of each in turn.
    fn next_offer(&mut self) -> Option<Want> {
        use std::ops::Bound::{Excluded, Unbounded};
        let from = self.last.as_ref().map_or(Unbounded, Excluded);
        let later = self.offered.range((from, Unbounded)).next();
        self.last = later.or(self.offered.first()).cloned();
        self.last.clone()
    }

    fn forget(&mut self, want: &Want) {
        self.offered.remove(want);
        self.spill.set(want, None);
        self.woken.remove(want);
    }
}

impl Pool {
    /// Puts a due timer into the backlog.
    pub(super) fn put_back(&mut self, uid: Uid, now: Now) {
        let timer = self.ledger.entry(uid).map(|entry| &entry.timer);
        let Some(timer) = timer.filter(|timer| timer.due().is_some()) else {
            return;
        };
        let want = Want::of(&timer.spec.handler);
        self.ledger.set_backlogged(uid, true);
        self.backlog.spill_later(now, &want);
        if self.rooms.free_for(&want).is_some() {
            self.backlog.offered.insert(want);
        }
    }

    /// Offers what waits to the nodes on duty, the nearest to its home first.
    pub(super) fn offer_backlog(&mut self, now: Now, budget: &mut Budget) {
        self.hear_of_room(now);
        while budget.is_left()
            && let Some(want) = self.backlog.next_offer()
        {
            budget.spend();
            if !self.offer_first(now, &want) {
                self.backlog.offered.remove(&want);
            }
        }
    }

    /// Where there is room now, or somebody to wake, what waits for that is looked at.
    pub(super) fn hear_of_room(&mut self, now: Now) {
        self.count_places();
        for want in self.rooms.take_news() {
            if self.ledger.first_waiting(&want).is_some() {
                self.backlog.spill_later(now, &want);
                self.backlog.offered.insert(want);
            }
        }
    }

    /// Offers the first timer that waits for something. Returns whether there may be more to offer.
    fn offer_first(&mut self, now: Now, want: &Want) -> bool {
        steps::visit();
        if self.rooms.free_for(want).is_none() {
            return false;
        }
        let Some(uid) = self.ledger.first_waiting(want) else {
            return false;
        };
        // Its home may have taken it back since, with all that it has: then it is the home's to run.
        let groups = self.ledger.is_groups(uid);
        let ready = self.ledger.ready(uid, now.wall).filter(|_| groups);
        let Some(nominal) = ready else {
            self.ledger.set_backlogged(uid, false);
            return true;
        };
        let home = self.ledger.entry(uid).map(|it| it.timer.home.clone());
        let near = self.nearest_free(home.flatten().as_ref(), want);
        near.is_some_and(|node| self.claim(now, (uid, nominal), &node))
    }

    /// Wakes one sleeping node for each thing that has been waited for too long.
    pub(super) fn wake_for_backlog(&mut self, now: Now) {
        for want in self.ledger.take_emptied() {
            self.backlog.forget(&want);
        }
        for _ in 0..WOKEN_IN_TURN_MAX {
            let Some(want) = self.backlog.spill.pop_due(now.boot) else {
                return;
            };
            steps::visit();
            let before = self.backlog.woken.remove(&want);
            let sleeper = self.rooms.next_sleeper(&want, before.as_ref()).cloned();
            // Without any sleeper it is looked at again when there is one.
            if sleeper.is_some() || before.is_some() {
                self.backlog.spill_later(now, &want);
            }
            if let Some(node) = sleeper {
                self.tell(&node, Order::Wake);
                self.backlog.woken.insert(want, node);
            }
        }
    }
}
