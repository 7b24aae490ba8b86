//! A node wants to sleep: it is covered and its timers are the group's, or it stays awake. Never both.

use super::Pool;
use crate::hierarchy::{Cover, Report as Standing, WhyNot};
use crate::id::NodeId;
use crate::message::{Act, Reply, Uncovered};
use crate::time::{Millis, Now, WallTime};
use crate::timer::Timer;

/// When a node that must stay awake for something due should ask again.
const RETRY_DUE: Millis = Millis(200);
/// When a node that nobody can stand in for should ask again.
const RETRY_NOBODY: Millis = Millis(1_000);

impl Pool {
    pub(super) fn park(&mut self, now: Now, node: &NodeId, act: &Act) -> Reply {
        let Act::Idle {
            first, self_wake, ..
        } = act
        else {
            return Reply::NotOwner;
        };
        let reply = self.try_park(now, node, (*first, *self_wake));
        if !matches!(reply, Reply::Parked { .. }) {
            // Its light timers came along in vain: they are its own affair again.
            self.ledger.drop_light(node);
        }
        reply
    }

    fn try_park(
        &mut self,
        now: Now,
        node: &NodeId,
        (first, self_wake): (Option<WallTime>, Option<WallTime>),
    ) -> Reply {
        if first != self.ledger.first(&Some(node.clone())) {
            return uncovered(Uncovered::Resync, Millis(0));
        }
        if let Some(retry_after) = self.rebuilding(now) {
            return uncovered(Uncovered::Rebuilding, retry_after);
        }
        let first = self.first_if_parked(node);
        let cover = self.report_standing(node, Standing::Idle { first }, now);
        let why = match cover {
            Some(Cover::NotCovered { why }) => Some(why),
            _ if self.is_needed(node) => Some(WhyNot::Due),
            _ => None,
        };
        if let Some(why) = why {
            self.report_standing(node, Standing::Active, now);
            return not_covered(why);
        }
        self.hand_over(now, node, self_wake);
        self.cover_of_parked(now, node)
    }

    fn hand_over(&mut self, now: Now, node: &NodeId, self_wake: Option<WallTime>) {
        self.ledger.interrupt_claims(node, false, now.wall);
        self.ledger.park(node, self_wake, now.wall);
        self.drop_orders(node, |_| true);
        self.sync(now);
    }

    /// The earliest deadline that the group would take over: also of timers on their way back to the node.
    fn first_if_parked(&self, node: &NodeId) -> Option<WallTime> {
        let queued = self.ledger.first(&Some(node.clone()));
        let giving = self.ledger.giving(node);
        giving.iter().filter_map(Timer::due).chain(queued).min()
    }

    /// Whether the last node on duty has runs, or could have, that nobody else would finish.
    fn is_needed(&self, node: &NodeId) -> bool {
        let Some(live) = self.live.get(node) else {
            return false;
        };
        let alone = !self.hierarchy.on_duty();
        alone
            && (self.ledger.claimed(node).next().is_some()
                || self
                    .backlog
                    .handlers()
                    .any(|handler| live.capacity.contains_key(handler)))
    }

    /// What a node that sleeps, or wants to go on sleeping, is told. One that is not covered has to wake.
    pub(super) fn cover_of_parked(&mut self, now: Now, node: &NodeId) -> Reply {
        let first = self.ledger.first(&Some(node.clone()));
        self.report_standing(node, Standing::Idle { first }, now);
        self.cover_again(node)
    }

    /// The same for a report that was heard before: it says nothing new, so nothing is decided again.
    pub(super) fn cover_again(&mut self, node: &NodeId) -> Reply {
        let Some(epoch) = self.ledger.node(node).map(|known| known.epoch) else {
            return Reply::NotOwner;
        };
        let cover = self.hierarchy.cover(node);
        self.note_told(node, &cover);
        Reply::Parked { epoch, cover }
    }

    /// How long it may take until everybody who may hold a lease is known, if not all are.
    fn rebuilding(&self, now: Now) -> Option<Millis> {
        let unheard = self
            .live
            .iter()
            .filter(|(node, live)| live.unheard && self.ledger.is_active(node))
            .map(|(_, live)| live.lease_until);
        unheard.max().map(|until| until.since(now.boot))
    }
}

fn not_covered(why: WhyNot) -> Reply {
    match why {
        WhyNot::Due => uncovered(Uncovered::Due, RETRY_DUE),
        WhyNot::NobodyEligible => uncovered(Uncovered::NobodyEligible, RETRY_NOBODY),
        WhyNot::CountsAsActive => uncovered(Uncovered::Resync, Millis(0)),
    }
}

fn uncovered(why: Uncovered, retry_after: Millis) -> Reply {
    Reply::NotCovered { why, retry_after }
}
