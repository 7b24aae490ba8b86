//! What a base looks like from outside, and when it wants to be called again.

use super::queues::Sort;
use super::{Base, Stance};
use crate::hierarchy::Cover;
use crate::id::{Epoch, NodeId, PoolId, RackId, Session};
use crate::ledger::Sum;
use crate::message::{Capacity, Uncovered};
use crate::time::{Deadlines, Now, WallTime};

/// A node, as its own operator sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct View {
    /// Its name.
    pub node: NodeId,
    /// Its pool.
    pub pool: PoolId,
    /// Its rack.
    pub rack: RackId,
    /// What it does.
    pub state: State,
    /// Whether it may be migrator and sentry.
    pub eligible: bool,
    /// Why not, if not.
    pub why_ineligible: Option<String>,
    /// The epoch of its ownership.
    pub epoch: Epoch,
    /// Its session; zero if it has none.
    pub session: Session,
    /// Whether the coordinator is reached.
    pub connected: bool,
    /// Its earliest movable deadline, as it knows it.
    pub first: Option<WallTime>,
    /// When it wakes by itself for a pinned timer.
    pub self_wake: Option<WallTime>,
    /// Timers that it knows.
    pub timers: usize,
    /// Runs in flight.
    pub in_flight: usize,
    /// Who watches while it sleeps.
    pub cover: Option<Cover>,
    /// Why it may not sleep, if it wants to and may not.
    pub uncovered: Option<Uncovered>,
    /// Why the coordinator refused it, if it did.
    pub rejected: Option<String>,
    /// How far the coordinator's clock is ahead of its own, in milliseconds.
    pub clock_offset_ms: i64,
    /// Worker places by handler.
    pub places: Capacity,
    /// How often it had to tell and hear everything again, since it and the ledger did not know the same.
    pub resyncs: u64,
    /// What it and the ledger knew when they last differed.
    pub differed: Option<(Sum, Sum)>,
}

/// What a node does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// It has not been given its timers.
    Starting,
    /// It fires its own timers.
    Active,
    /// It has asked to sleep.
    Parking,
    /// The group has its timers.
    Idle,
    /// It serves itself only.
    Draining,
    /// It is about to end.
    Leaving,
}

impl Base {
    /// A copy of what operators want to see.
    #[must_use]
    pub fn view(&self, now: Now) -> View {
        let willing = self.rest.says_unwilling() == Some(true);
        let clock_offset_ms = self.clock.offset_ms(now);
        let why_ineligible = crate::pool::why_ineligible(willing, clock_offset_ms);
        View {
            node: self.config.node.clone(),
            pool: self.config.pool.clone(),
            rack: self.config.rack.clone(),
            state: match self.stance {
                _ if self.rest.is_stopping() => State::Leaving,
                Stance::Apart => State::Starting,
                Stance::Active if !willing => State::Draining,
                Stance::Active => State::Active,
                Stance::Parking => State::Parking,
                Stance::Parked => State::Idle,
                Stance::Leaving => State::Leaving,
            },
            eligible: why_ineligible.is_none(),
            why_ineligible,
            epoch: self.meta.epoch,
            session: self.link.session(),
            connected: self.link.is_open(),
            first: self.first_movable(),
            self_wake: self.first_pinned(),
            timers: self.timers.len(),
            in_flight: self.runs.in_flight(),
            cover: self.rest.cover().cloned(),
            uncovered: self.rest.uncovered(),
            rejected: self.rest.rejected().map(Into::into),
            clock_offset_ms,
            places: self.runs.places().clone(),
            resyncs: self.rest.resyncs().0,
            differed: self.rest.resyncs().1,
        }
    }

    /// When a tick is wanted, if nothing happens before; it may change with every turn.
    #[must_use]
    pub fn next_deadline(&self) -> Deadlines {
        let lane = self.lane.next_deadline().filter(|_| self.lane_can_act());
        let boot = [
            self.link_deadline(self.last_turn),
            lane,
            self.desk.next_deadline(),
            self.starved_until(),
            self.pinned_deadline(),
            self.last_turn.filter(|_| self.more),
        ];
        let boot = boot
            .into_iter()
            .flatten()
            .chain(self.rest_deadlines())
            .min();
        let due = self
            .next_wall()
            .map(|wall| self.clock.until(wall))
            .unwrap_or_default();
        Deadlines {
            wall: due.wall,
            boot: due.boot.into_iter().chain(boot).min(),
        }
    }

    fn lane_can_act(&self) -> bool {
        let speaks = matches!(self.stance, Stance::Active | Stance::Parked);
        self.link.is_open() && (speaks || !self.lane.is_free())
    }

    /// The first time on the clock that decides at which the base has something to do.
    fn next_wall(&self) -> Option<WallTime> {
        let sorts = Sort::movable().filter(|sort| self.may_fire(*sort));
        let movable = sorts.filter_map(|sort| self.timers.first_due(sort)).min();
        let pinned = self
            .first_pinned()
            .filter(|_| self.rest.pinned_since.is_none() && self.stance != Stance::Leaving);
        let ended = self.timers.first_ended().map(|(until, _)| until);
        [movable, pinned, self.alarm(), ended]
            .into_iter()
            .flatten()
            .min()
    }
}
