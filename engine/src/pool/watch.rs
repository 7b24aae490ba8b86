//! When all sleep: the sentry is armed, and until it is the coordinator's own alarm is the watch.
//!
//! ```text
//! named --- told in the answer to its own report, or by Arm ---> armed
//!   |  alarm at T: wake ladder                                     |  alarm at T + wake_grace: wake ladder
//! ```
//! The ladder wakes one node after the other on their open sessions until one reports that it is active.

use super::orders::OrderKey;
use super::{Note, Pool};
use crate::hierarchy::{Cover, Sentry};
use crate::id::NodeId;
use crate::ledger::Stance;
use crate::message::Order;
use crate::time::{BootTime, Millis, Now, WallTime};
use std::collections::{BTreeMap, BTreeSet};

/// How long a woken node has to become active before the next one is woken.
const RUNG: Millis = Millis(500);
/// How long to wait before the ladder is climbed again from its foot.
const LADDER_AGAIN: Millis = Millis(1_000);
/// After a start nobody is woken for this long while nodes that were awake may still come back by themselves:
/// the longest wait between two attempts of an agent to connect.
const AWAKE_RETURN: Millis = Millis(2_000);

/// What the coordinator knows of the watch.
#[derive(Debug, Default)]
pub(super) struct Watch {
    named: Option<Sentry>,
    armed: bool,
    /// Told in this turn, in the answer to its own report.
    told: Option<Sentry>,
    /// Until when nodes that were awake before the start are waited for.
    returning_until: BootTime,
    /// When the next rung of the ladder is due.
    rung: Option<BootTime>,
    tried: BTreeSet<NodeId>,
    /// Nodes that were woken for pinned timers, and when they are woken again.
    pinned: BTreeMap<NodeId, BootTime>,
}

impl Watch {
    pub(super) fn starting(now: Now) -> Self {
        Self {
            returning_until: now.boot + AWAKE_RETURN,
            ..Self::default()
        }
    }

    pub(super) fn is_armed(&self) -> bool {
        self.armed
    }
}

impl Pool {
    /// A node has read in the answer to its own report that it is the sentry.
    pub(super) fn note_told(&mut self, node: &NodeId, cover: &Cover) {
        if let Cover::Sentry { at } = cover {
            self.watch.told = Some(Sentry {
                node: node.clone(),
                at: *at,
            });
        }
    }

    pub(super) fn hear_armed(&mut self, node: &NodeId, at: WallTime) {
        let named = Sentry {
            node: node.clone(),
            at,
        };
        if self.watch.named.as_ref() == Some(&named) {
            self.watch.armed = true;
            self.drop_order(node, OrderKey::Arm);
        }
    }

    /// Names, arms and releases the sentry, and sounds the coordinator's own alarm.
    pub(super) fn keep_watch(&mut self, now: Now) {
        let sentry = self.hierarchy.sentry().cloned();
        if sentry != self.watch.named {
            self.change_sentry(now, sentry);
        }
        self.watch.told = None;
        self.wake_for_pinned(now);
        match self.alarm_at() {
            Some(at) if at <= now.wall => self.climb(now),
            _ => {
                self.watch.rung = None;
                self.watch.tried.clear();
            }
        }
    }

    /// Wakes parked nodes for pinned timers of which they have not heard; their own alarm does not know them.
    fn wake_for_pinned(&mut self, now: Now) {
        let ledger = &self.ledger;
        self.watch
            .pinned
            .retain(|node, again| *again > now.boot && !ledger.is_active(node));
        for (node, at) in self.pinned_alarms() {
            if at <= now.wall {
                self.watch
                    .pinned
                    .insert(node.clone(), now.boot + LADDER_AGAIN);
                self.tell(&node, Order::Wake);
            }
        }
    }

    /// Parked nodes that can be reached, and when they have to be awake; not those that were just woken.
    pub(super) fn pinned_alarms(&self) -> Vec<(NodeId, WallTime)> {
        let parked = self
            .ledger
            .nodes()
            .filter(|(_, node)| node.stance == Stance::Parked);
        let quiet = parked.filter(|(name, _)| !self.watch.pinned.contains_key(*name));
        let reached = quiet.filter(|(name, _)| self.address(name).is_some());
        let due =
            reached.filter_map(|(name, _)| Some((name.clone(), self.ledger.unheard_due(name)?)));
        due.collect()
    }

    /// When a node that was woken for its pinned timers is woken again.
    pub(super) fn pinned_again_at(&self) -> Option<BootTime> {
        self.watch.pinned.values().min().copied()
    }

    fn change_sentry(&mut self, now: Now, sentry: Option<Sentry>) {
        self.watch.armed = false;
        if let Some(before) = self.watch.named.take()
            && sentry
                .as_ref()
                .is_none_or(|sentry| sentry.node != before.node)
        {
            self.release(&before.node);
        }
        if let Some(sentry) = &sentry {
            self.arm(now, sentry);
        }
        self.watch.named = sentry;
    }

    fn release(&mut self, node: &NodeId) {
        self.drop_order(node, OrderKey::Arm);
        if self
            .ledger
            .node(node)
            .is_some_and(|known| known.stance == Stance::Parked)
        {
            self.tell(node, Order::Release);
        }
    }

    fn arm(&mut self, now: Now, sentry: &Sentry) {
        let order = Order::Arm { at: sentry.at };
        if self.watch.told.as_ref() == Some(sentry) {
            self.expect_answer(now, &sentry.node, OrderKey::Arm, order);
        } else {
            self.order(now, &sentry.node, OrderKey::Arm, order);
        }
    }

    /// When the coordinator's own alarm sounds; none while somebody is on duty or there is no deadline.
    pub(super) fn alarm_at(&self) -> Option<WallTime> {
        if self.hierarchy.on_duty() {
            return None;
        }
        let head = self.hierarchy.head()?;
        Some(if self.watch.armed {
            head + self.config.wake_grace
        } else {
            head
        })
    }

    /// When there is something to do, on either clock: a ladder that is being climbed goes by its rungs.
    pub(super) fn watch_deadlines(&self) -> (Option<WallTime>, Option<BootTime>) {
        match (self.alarm_at(), self.watch.rung) {
            (Some(_), Some(rung)) => (None, Some(rung)),
            (alarm, _) => (alarm, None),
        }
    }

    fn climb(&mut self, now: Now) {
        if self.watch.rung.is_some_and(|rung| rung > now.boot) {
            return;
        }
        let returning = self.watch.returning_until;
        if returning > now.boot && self.live.values().any(|live| live.unheard) {
            self.watch.rung = Some(returning);
            return;
        }
        self.suspect_silent_sentry(now);
        match self.next_rung() {
            Some(node) => {
                self.tell(&node, Order::Wake);
                self.watch.tried.insert(node);
                self.watch.rung = Some(now.boot + RUNG);
            }
            None => {
                self.watch.tried.clear();
                self.watch.rung = Some(now.boot + LADDER_AGAIN);
            }
        }
    }

    /// The sentry if it was never tried (it may just not have heard), then any node with a link.
    fn next_rung(&self) -> Option<NodeId> {
        let sentry = self.watch.named.as_ref().map(|sentry| &sentry.node);
        let of_fitness = |fit: bool| {
            let some = self.live.iter();
            some.filter(move |(_, live)| live.is_eligible() == fit)
                .map(|(node, _)| node)
        };
        // One that is not eligible fires its own timers, at least.
        let others = of_fitness(true).chain(of_fitness(false));
        let mut candidates = sentry.into_iter().chain(others);
        let fresh =
            |node: &&NodeId| self.address(node).is_some() && !self.watch.tried.contains(*node);
        candidates.find(fresh).cloned()
    }

    /// A sentry that was armed, or has been woken in vain, is not relied upon any more.
    fn suspect_silent_sentry(&mut self, now: Now) {
        let Some(sentry) = self.watch.named.clone() else {
            return;
        };
        if self.watch.armed || self.watch.tried.contains(&sentry.node) {
            self.note(Note::SentrySilent(sentry.node.clone()));
            self.watch.tried.insert(sentry.node.clone());
            self.hierarchy.suspect(&sentry.node, now.wall);
            let next = self.hierarchy.sentry().cloned();
            self.change_sentry(now, next);
        }
    }
}
