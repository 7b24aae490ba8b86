//! Due timers are claimed for the nodes that can run them.

use super::orders::OrderKey;
use super::{Note, Pool};
use crate::hierarchy::{Owner, Pass, Pull};
use crate::id::{NodeId, Uid};
use crate::ledger::{Held, Home};
use crate::message::Order;
use crate::time::Now;
use crate::timer::{Effort, HandlerName, Run};
use std::collections::BTreeMap;

/// Free places at the nodes, counted once per turn, and the runs claimed in it.
#[derive(Debug, Default)]
pub(super) struct Rooms {
    free: BTreeMap<NodeId, BTreeMap<HandlerName, u32>>,
    claimed: BTreeMap<NodeId, Vec<Run>>,
}

impl Pool {
    /// Claims everything that is due and that somebody on duty can run.
    pub(super) fn serve(&mut self, now: Now) {
        let mut rooms = Rooms::default();
        self.offer_backlog(now, &mut rooms);
        // What runs beside other runs may leave its home another deadline.
        self.sync(now);
        let mut pass = Pass::default();
        while let Some(pull) = self.hierarchy.due(now.wall) {
            if pass.step(&pull).is_err() {
                self.note(Note::NoProgress);
                self.hierarchy.set_aside(&pull.owner, now.wall);
                continue;
            }
            self.pull(now, &pull, &mut rooms);
            self.sync(now);
        }
        for (node, token) in self.ledger.take_withdrawn() {
            self.drop_order(&node, OrderKey::Due(token));
            self.tell(&node, Order::Withdraw { token });
        }
        for (node, runs) in std::mem::take(&mut rooms.claimed) {
            self.order_runs(now, &node, runs);
        }
        self.wake_for_backlog(now);
    }

    /// Takes everything that is due of one owner. Each timer is claimed, put into the backlog, or no longer
    /// due: so every pull makes progress.
    fn pull(&mut self, now: Now, pull: &Pull, rooms: &mut Rooms) {
        let home: Home = match &pull.owner {
            Owner::Node(node) => Some(node.clone()),
            Owner::Pool => None,
        };
        let mut server = Some(pull.server.clone());
        let near: Vec<NodeId> = self.hierarchy.nearest(home.as_ref()).cloned().collect();
        while let Some(uid) = self.ledger.first_due(&home, now.wall) {
            if self.ledger.ready(uid, now.wall).is_none() {
                continue;
            }
            let own = self.claimant(uid);
            let candidates = own.iter().chain(&server).chain(&near);
            if !self.claim_for_first(now, uid, candidates, rooms) {
                self.put_back(uid, now);
            }
            if pull.owner == Owner::Pool {
                server = self.hierarchy.next_for_pool();
            }
        }
    }

    /// The home that has handed a timer over only so that its start is committed.
    fn claimant(&self, uid: Uid) -> Option<NodeId> {
        let entry = self.ledger.entry(uid)?;
        let once = entry.timer.spec.policy.effort == Effort::AtMostOnce;
        let handed = entry.held == Some(Held::Handed) && once;
        entry.timer.home.clone().filter(|_| handed)
    }

    /// Claims a timer for the first of the candidates that has room for it.
    pub(super) fn claim_for_first<'a>(
        &mut self,
        now: Now,
        uid: Uid,
        mut candidates: impl Iterator<Item = &'a NodeId>,
        rooms: &mut Rooms,
    ) -> bool {
        let Some(entry) = self.ledger.entry(uid) else {
            return false;
        };
        let handler = entry.timer.spec.handler.clone();
        let Some(node) = candidates.find(|node| self.take_room(rooms, node, &handler)) else {
            return false;
        };
        let run = self.ledger.claim(uid, node, now.wall);
        rooms.claimed.entry(node.clone()).or_default().extend(run);
        true
    }

    fn take_room(&self, rooms: &mut Rooms, node: &NodeId, handler: &HandlerName) -> bool {
        match self.rooms_of(rooms, node).get_mut(handler) {
            Some(places) if *places > 0 => {
                *places -= 1;
                true
            }
            _ => false,
        }
    }

    /// Whether one of these nodes has a free place for this handler.
    pub(super) fn has_room(
        &self,
        rooms: &mut Rooms,
        nodes: &[NodeId],
        handler: &HandlerName,
    ) -> bool {
        nodes.iter().any(|node| {
            self.rooms_of(rooms, node)
                .get(handler)
                .is_some_and(|n| *n > 0)
        })
    }

    fn rooms_of<'a>(
        &self,
        rooms: &'a mut Rooms,
        node: &NodeId,
    ) -> &'a mut BTreeMap<HandlerName, u32> {
        rooms
            .free
            .entry(node.clone())
            .or_insert_with(|| self.count_rooms(node))
    }

    pub(super) fn count_rooms(&self, node: &NodeId) -> BTreeMap<HandlerName, u32> {
        let Some(live) = self.live.get(node).filter(|live| live.link.is_some()) else {
            return BTreeMap::new();
        };
        let mut free = live.capacity.clone();
        free.retain(|handler, _| !live.busy.contains(handler));
        for run in self.ledger.claimed(node) {
            if let Some(places) = free.get_mut(&run.handler) {
                *places = places.saturating_sub(1);
            }
        }
        free
    }
}
