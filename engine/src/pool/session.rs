//! The session of one node, as the coordinator knows it: soft state.

use super::{Effect, Link, Note, Pool};
use crate::id::{Epoch, NodeId, Session};
use crate::ledger::Stance;
use crate::message::{Capacity, CoordinatorMessage, Heartbeat, ReportAnswer};
use crate::planted::{self, Fault};
use crate::time::{BootTime, Millis, Now, WallTime};
use crate::timer::HandlerName;
use std::collections::BTreeSet;

/// A node whose clock is off by more than this must not be migrator or sentry.
pub(super) const SKEW_MAX_MS: u64 = 1_000;

/// How many forwarded operations of a session are remembered.
const FORWARDS_MAX: usize = 4_096;

/// What is known of a node that has a session.
#[derive(Debug)]
pub(super) struct Live {
    pub(super) link: Option<Link>,
    pub(super) session: Session,
    pub(super) lease_until: BootTime,
    /// When the lease was first seen to be over, if it was not renewed since.
    pub(super) doubted: Option<BootTime>,
    /// The newest epoch under which it has reported.
    pub(super) spoken: Epoch,
    pub(super) seq: u64,
    pub(super) answer: Option<ReportAnswer>,
    pub(super) capacity: Capacity,
    /// Handlers of which it declined a run since it last told its capacity.
    pub(super) busy: BTreeSet<HandlerName>,
    pub(super) skew_ms: i64,
    pub(super) willing: bool,
    /// Numbers of what it has forwarded, so that what is heard twice is done once.
    forwards: BTreeSet<u64>,
}

/// Nodes that had a session before the start, and have not come back: they may hold a lease until a time.
#[derive(Debug, Default)]
pub(super) struct Returning {
    until: BootTime,
    owners: BTreeSet<NodeId>,
    others: BTreeSet<NodeId>,
}

impl Returning {
    pub(super) fn expect(&mut self, node: &NodeId, owns: bool, until: BootTime) {
        self.until = self.until.max(until);
        let nodes = if owns {
            &mut self.owners
        } else {
            &mut self.others
        };
        nodes.insert(node.clone());
    }

    pub(super) fn forget(&mut self, node: &NodeId) {
        self.owners.remove(node);
        self.others.remove(node);
    }

    /// Until when somebody may fire timers of whom nothing was heard.
    pub(super) fn owners_until(&self) -> Option<BootTime> {
        (!self.owners.is_empty()).then_some(self.until)
    }

    pub(super) fn is_over(&self) -> bool {
        self.owners.is_empty() && self.others.is_empty()
    }
}

impl Live {
    pub(super) fn new(link: Link, session: Session, lease_until: BootTime) -> Self {
        Self {
            link: Some(link),
            ..Self::unheard(session, lease_until)
        }
    }

    pub(super) fn unheard(session: Session, lease_until: BootTime) -> Self {
        Self {
            link: None,
            session,
            lease_until,
            doubted: None,
            spoken: Epoch::default(),
            seq: 0,
            answer: None,
            capacity: Capacity::new(),
            busy: BTreeSet::new(),
            skew_ms: 0,
            willing: true,
            forwards: BTreeSet::new(),
        }
    }

    /// Whether something forwarded was not heard before on this session.
    pub(super) fn is_new_forward(&mut self, id: u64) -> bool {
        if self.forwards.len() > FORWARDS_MAX {
            self.forwards.pop_first();
        }
        self.forwards.insert(id)
    }

    /// When it has to be looked at whether the lease is over.
    pub(super) fn look_at(&self) -> BootTime {
        self.doubted
            .map_or(self.lease_until, |since| since + LOOK_TWICE)
    }

    pub(super) fn is_eligible(&self) -> bool {
        self.willing && self.skew_ms.unsigned_abs() <= SKEW_MAX_MS
    }
}

/// A lease that is over is seen to be over twice, this long apart, before its node is lost. A coordinator that did
/// not run when the lease ended (it was stopped, or its machine was) finds the renewals that waited for it in between,
/// instead of taking everybody for dead.
const LOOK_TWICE: Millis = Millis(200);

/// How long the grantor waits for a lease of this length: longer by the margin, as the holder stops that
/// much earlier.
pub(super) fn granted(lease: Millis) -> Millis {
    Millis(lease.0 + margin(lease).0)
}

/// What holder and grantor each keep between them: 1 % and 50 ms. Clocks drift apart by less.
#[must_use]
pub fn margin(lease: Millis) -> Millis {
    Millis(lease.0 / 100 + 50)
}

impl Pool {
    /// The node that has this session on this link; anybody else is told that the session is over.
    pub(super) fn speaker(&mut self, link: Link, session: Session) -> Option<NodeId> {
        let live = self.links.get(&link).and_then(|node| self.live.get(node));
        match live.map(|live| live.session) {
            Some(current) if current == session => self.links.get(&link).cloned(),
            Some(current) if current > session => None,
            _ => {
                self.send(
                    link,
                    CoordinatorMessage::Fenced {
                        session,
                        replaced: false,
                    },
                );
                None
            }
        }
    }

    /// A heartbeat renews the lease, and measures the clock.
    pub(super) fn renew(&mut self, now: Now, link: Link, heartbeat: Heartbeat) {
        let Some(node) = self.speaker(link, heartbeat.session) else {
            return;
        };
        if self.has_spoken(&node) {
            self.extend_lease(&node, now);
        }
        self.measure(&node, heartbeat.wall, now);
        let pulse = CoordinatorMessage::Pulse {
            session: heartbeat.session,
            sent: heartbeat.sent,
            clock: now.wall,
            rooms: self.rooms_elsewhere(&node, &heartbeat.wanted),
        };
        self.send(link, pulse);
    }

    /// Whether a node that was given its timers has said something under that ownership. It may never have heard of
    /// it:
    ///
    /// 1. The answer that gives it its timers is lost, with the connection or because it cannot be read.
    /// 2. The node comes back, and its heartbeats renew the lease: nobody takes its timers, and it fires none.
    /// 3. The answer is lost again, for the same reason.
    ///
    /// So heartbeats alone do not renew what was only given; after one lease it is lost, and the group's.
    fn has_spoken(&self, node: &NodeId) -> bool {
        let spoken = self.live.get(node).map(|live| live.spoken);
        let known = self.ledger.node(node);
        let given = known
            .filter(|known| known.stance == Stance::Active)
            .map(|known| known.epoch);
        given.is_none() || given == spoken || planted::is(Fault::RenewTheUnspoken)
    }

    pub(super) fn note_spoken(&mut self, node: &NodeId, epoch: Epoch) {
        if let Some(live) = self.live.get_mut(node) {
            live.spoken = live.spoken.max(epoch);
        }
    }

    pub(super) fn extend_lease(&mut self, node: &NodeId, now: Now) {
        let until = now.boot + granted(self.config.lease);
        if let Some(live) = self.live.get_mut(node) {
            live.lease_until = live.lease_until.max(until);
            live.doubted = None;
        }
        if self.tenures.leases.time_of(node).is_some() {
            self.note_tenure(node);
        }
    }

    pub(super) fn measure(&mut self, node: &NodeId, wall: WallTime, now: Now) {
        let Some(live) = self.live.get_mut(node) else {
            return;
        };
        let before = live.is_eligible();
        live.skew_ms = wall.0.saturating_sub(now.wall.0);
        let (after, skew) = (live.is_eligible(), live.skew_ms);
        if before && !after {
            self.note(Note::Skewed(node.clone(), skew));
        }
        self.judge_fitness(node, now);
    }

    pub(super) fn judge_fitness(&mut self, node: &NodeId, now: Now) {
        let fit = self.live.get(node).is_some_and(Live::is_eligible);
        if self.hierarchy.is_eligible(node) == Some(!fit) {
            self.hierarchy.eligible(node, fit, now.wall);
            self.changed.insert(node.clone());
        }
    }

    pub(super) fn close(&mut self, link: Link) {
        let Some(node) = self.links.remove(&link) else {
            return;
        };
        if let Some(live) = self.live.get_mut(&node)
            && live.link == Some(link)
        {
            live.link = None;
        }
        self.changed.insert(node);
    }

    /// Ends a node's session: what was said on it is of no use any more.
    pub(super) fn end_session(&mut self, node: &NodeId, replaced: bool) {
        let Some(live) = self.live.remove(node) else {
            return;
        };
        self.orders.drop_all(node);
        self.returning.forget(node);
        self.changed.insert(node.clone());
        if let Some(link) = live.link {
            self.send(
                link,
                CoordinatorMessage::Fenced {
                    session: live.session,
                    replaced,
                },
            );
            self.effects.push(Effect::Close { link });
            self.links.remove(&link);
        }
    }
}
