//! When all sleep: the sentry is armed, and until it is the coordinator's own alarm is the watch.
//!
//! ```text
//! named --- told in the answer to its own report, or by Arm ---> armed
//!   |  alarm at T: wake ladder                                     |  alarm at T + wake_grace: wake ladder
//! ```
//! The ladder wakes one node after the other on their open sessions until one reports that it is active.

use super::orders::{OrderKey, What};
use super::{Note, Pool};
use crate::agenda::Agenda;
use crate::hierarchy::{Cover, Sentry};
use crate::id::NodeId;
use crate::ledger::Stance;
use crate::message::Order;
use crate::time::{BootTime, Millis, Now, WallTime};
use std::collections::BTreeSet;

/// How long a woken node has to become active before the next one is woken.
const RUNG: Millis = Millis(500);
/// How long to wait before the ladder is climbed again from its foot.
const LADDER_AGAIN: Millis = Millis(1_000);
/// The most nodes that are woken for pinned timers in one turn.
const WOKEN_IN_TURN_MAX: usize = 256;
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
    /// When sleeping nodes have to be awake for pinned timers of which they have not heard.
    pinned: Agenda<WallTime, NodeId>,
    /// Those that were just woken for one, and when they are woken again.
    woken: Agenda<BootTime, NodeId>,
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

    /// When a sleeping node has to be woken for a pinned timer; and when one is woken again.
    pub(super) fn pinned_at(&self) -> (Option<WallTime>, Option<BootTime>) {
        (self.pinned.first(), self.woken.first())
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
            self.orders.drop_one(node, OrderKey::Arm);
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
        while let Some(node) = self.watch.woken.pop_due(now.boot) {
            self.note_pinned(&node);
        }
        for _ in 0..WOKEN_IN_TURN_MAX {
            let Some(node) = self.watch.pinned.pop_due(now.wall) else {
                return;
            };
            let again = now.boot + LADDER_AGAIN;
            self.watch.woken.set(&node, Some(again));
            self.tell(&node, Order::Wake);
        }
    }

    /// When a parked node that can be reached has to be awake; not if it was just woken.
    pub(super) fn note_pinned(&mut self, node: &NodeId) {
        if self.ledger.is_active(node) {
            self.watch.woken.set(node, None);
        }
        let known = self.ledger.node(node);
        let parked = known.is_some_and(|known| known.stance == Stance::Parked);
        let quiet = self.watch.woken.time_of(node).is_none();
        let reached = parked && quiet && self.address(node).is_some();
        let due = reached.then(|| self.ledger.unheard_due(node));
        self.watch.pinned.set(node, due.flatten());
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
        self.orders.drop_one(node, OrderKey::Arm);
        if self
            .ledger
            .node(node)
            .is_some_and(|known| known.stance == Stance::Parked)
        {
            self.tell(node, Order::Release);
        }
    }

    fn arm(&mut self, now: Now, sentry: &Sentry) {
        if !self.live.contains_key(&sentry.node) {
            return;
        }
        let (key, what) = (OrderKey::Arm, What::Arm(sentry.at));
        if self.watch.told.as_ref() == Some(sentry) {
            self.orders.expect_answer(now, &sentry.node, key, what);
        } else {
            self.orders.add(&sentry.node, key, what);
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
        if returning > now.boot && !self.returning.is_over() {
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
        // One that is not eligible fires its own timers, at least.
        let others = self.rooms.fit.iter().chain(&self.rooms.unfit);
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
