//! A node wants to sleep: it is covered and its timers are the group's, or it stays awake. Never both.

use super::Pool;
use crate::hierarchy::{Cover, Report as Standing, WhyNot};
use crate::id::NodeId;
use crate::ledger::Want;
use crate::message::{Idle, Reply, Uncovered};
use crate::planted::{self, Fault};
use crate::time::{Millis, Now, WallTime};

/// When a node that must stay awake for something due should ask again.
const RETRY_DUE: Millis = Millis(200);
/// When a node that nobody can stand in for should ask again.
const RETRY_NOBODY: Millis = Millis(1_000);

impl Pool {
    /// Closes an attempt to sleep, or says why not. What was staged stays staged: the next close carries what differs.
    pub(super) fn park(&mut self, now: Now, node: &NodeId, idle: &Idle) -> Reply {
        let known = self.ledger.sum_of(node);
        let current = Some((idle.attempt, false));
        let believes = planted::is(Fault::BelieveTheSum) || planted::is(Fault::DropTheTail);
        let differs = known != idle.sum && !believes;
        if self.ledger.stage_of(node) != current || differs {
            return Reply::NotCovered {
                why: Uncovered::Resync,
                retry_after: Millis(0),
                ledger: Some(known),
            };
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
        self.hand_over(now, node, idle);
        self.cover_of_parked(now, node)
    }

    fn hand_over(&mut self, now: Now, node: &NodeId, idle: &Idle) {
        // First the move: what its runs leave behind is news to the node, since it comes after what it knows.
        let moved = (idle.attempt, idle.self_wake);
        self.ledger.park(node, moved, now.wall);
        self.ledger.interrupt_claims(node, false, now.wall);
        self.orders.drop_all(node);
        self.sync(now);
    }

    /// The earliest deadline that the group would take over: of what is staged, and of timers on their way back too.
    fn first_if_parked(&self, node: &NodeId) -> Option<WallTime> {
        let handed = self.ledger.first_if_attached(node);
        let given = self.ledger.first_given(node);
        given.into_iter().chain(handed).min()
    }

    /// Whether the last node on duty has runs, or could have, that nobody else would finish.
    fn is_needed(&self, node: &NodeId) -> bool {
        let Some(live) = self.live.get(node) else {
            return false;
        };
        let alone = !self.hierarchy.on_duty();
        alone
            && (self.ledger.claims_of(node).next().is_some()
                || live
                    .capacity
                    .keys()
                    .any(|handler| self.ledger.first_waiting(&Want::of(handler)).is_some()))
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
        self.returning
            .owners_until()
            .map(|until| until.since(now.boot))
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
    Reply::NotCovered {
        why,
        retry_after,
        ledger: None,
    }
}
