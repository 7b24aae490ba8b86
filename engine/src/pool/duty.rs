//! Due timers are claimed for the nodes that can run them.

use super::orders::{OrderKey, What};
use super::{Note, Pool};
use crate::hierarchy::{Owner, Pass, Pull};
use crate::id::{NodeId, Uid};
use crate::ledger::{Held, Home, Want};
use crate::message::Order;
use crate::planted::{self, Fault};
use crate::steps;
use crate::time::{Millis, Now, WallTime};
use crate::timer::Effort;

/// The most due timers that one turn looks at; the next turn goes on. So the first of 100,000 goes out at once, and
/// what else comes in does not wait for the last.
const LOOKED_AT_IN_TURN_MAX: usize = 512;
/// An owner whose due timers make no progress is tried again after this long.
const STUCK: Millis = Millis(1_000);
/// Nobody farther away is looked for than the nearest nodes up to this many; then any with room does.
const NEAR_MAX: usize = 64;

/// How many due timers a turn may still look at.
#[derive(Debug)]
pub(super) struct Budget(usize);

impl Budget {
    pub(super) fn is_left(&self) -> bool {
        self.0 > 0 || planted::is(Fault::ServeWithoutBound)
    }

    pub(super) fn spend(&mut self) {
        self.0 = self.0.saturating_sub(1);
    }
}

impl Pool {
    /// Claims what is due and what somebody on duty can run, as much as a turn may.
    pub(super) fn serve(&mut self, now: Now) {
        while let Some(owner) = self.stuck.pop_due(now.boot) {
            self.hierarchy.take_back(&owner, now.wall);
        }
        let mut budget = Budget(LOOKED_AT_IN_TURN_MAX);
        self.offer_backlog(now, &mut budget);
        // What runs beside other runs may leave its home another deadline.
        self.sync(now);
        let mut pass = Pass::default();
        while budget.is_left()
            && let Some(pull) = self.hierarchy.due(now.wall)
        {
            budget.spend();
            if pass.step(&pull).is_err() {
                self.set_aside(now, &pull.owner);
                continue;
            }
            self.pull(now, &pull, &mut budget);
            self.sync(now);
        }
        for (node, token) in self.ledger.take_withdrawn() {
            self.orders.drop_one(&node, OrderKey::Due(token));
            self.tell(&node, Order::Withdraw { token });
        }
        self.hear_of_room(now);
        self.wake_for_backlog(now);
    }

    /// What makes no progress does not keep those behind it waiting; it is tried again later.
    fn set_aside(&mut self, now: Now, owner: &Owner) {
        self.note(Note::NoProgress(owner.clone()));
        self.hierarchy.set_aside(owner, now.wall);
        self.stuck.set(owner, Some(now.boot + STUCK));
    }

    /// Takes what is due of one owner. Each timer is claimed, put into the backlog, or no longer due: so every pull
    /// makes progress.
    fn pull(&mut self, now: Now, pull: &Pull, budget: &mut Budget) {
        if planted::is(Fault::PullNothing) {
            return;
        }
        let home: Home = match &pull.owner {
            Owner::Node(node) => Some(node.clone()),
            Owner::Pool => None,
        };
        let mut server = Some(pull.server.clone());
        while budget.is_left()
            && let Some(uid) = self.ledger.first_due(&home, now.wall)
        {
            budget.spend();
            steps::visit();
            let Some(nominal) = self.ledger.ready(uid, now.wall) else {
                if self.ledger.first_due(&home, now.wall) == Some(uid) {
                    self.note(Note::NoProgress(pull.owner.clone()));
                    self.put_back(uid, now);
                }
                continue;
            };
            let claimed = self
                .server_for(uid, (server.as_ref(), home.as_ref()))
                .is_some_and(|node| self.claim(now, (uid, nominal), &node));
            if !claimed {
                self.put_back(uid, now);
            }
            if pull.owner == Owner::Pool {
                server = self.hierarchy.next_for_pool();
            }
        }
    }

    /// Who runs a timer: the home that only wants its start to be committed, then the one that serves it, then the
    /// nearest.
    fn server_for(
        &self,
        uid: Uid,
        (server, home): (Option<&NodeId>, Option<&NodeId>),
    ) -> Option<NodeId> {
        let handler = &self.ledger.entry(uid)?.timer.spec.handler;
        let own = self.claimant(uid);
        if let Some(own) = own.filter(|own| self.has_place(own, handler)) {
            return Some(own);
        }
        let want = Want::of(handler);
        let server = server.filter(|node| self.rooms.is_free(node, &want));
        server.cloned().or_else(|| self.nearest_free(home, &want))
    }

    /// The home that has handed a timer over only so that its start is committed.
    fn claimant(&self, uid: Uid) -> Option<NodeId> {
        let entry = self.ledger.entry(uid)?;
        let once = entry.timer.spec.policy.effort == Effort::AtMostOnce;
        let handed = entry.held == Some(Held::Handed) && once;
        entry.timer.home.clone().filter(|_| handed)
    }

    /// The nearest node on duty with a free place.
    pub(super) fn nearest_free(&self, home: Option<&NodeId>, want: &Want) -> Option<NodeId> {
        let free = self.rooms.free_for(want)?;
        let near = self.hierarchy.nearest(home).take(NEAR_MAX);
        let mut near = near.inspect(|_| steps::visit());
        let near = near.find(|node| free.contains(*node));
        near.or_else(|| free.first()).cloned()
    }

    /// Claims a timer for a node and orders it to run it. Returns whether there was something to claim.
    pub(super) fn claim(
        &mut self,
        now: Now,
        (uid, nominal): (Uid, WallTime),
        node: &NodeId,
    ) -> bool {
        let run = self.ledger.claim(uid, nominal, node, now.wall);
        if let Some(run) = &run {
            let key = OrderKey::Due(run.token);
            self.orders.add(node, key, What::Run(run.uid));
        }
        self.count_places();
        run.is_some()
    }
}
