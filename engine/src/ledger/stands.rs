//! Where a timer of the ledger waits, and for what; the shelf has it stand there.

use super::backlog::Want;
use super::claims::NEVER;
use super::timers::Place;
use super::{Entry, Held};
use crate::id::{NodeId, TimerName, Uid};
use crate::shelf::Shelved;
use crate::time::WallTime;
use crate::timer::Awaits;

/// A queue of timers by time.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Queue {
    /// To be pulled from this place.
    Due(Place),
    /// To be run by somebody who can.
    Backlog(Want),
    /// To be forgotten.
    Ended,
    /// To be this home's again.
    Giving(NodeId),
    /// To be heard of by this sleeping home.
    Unheard(NodeId),
}

/// The lane of what a timer waits for: its run, or its end.
pub(super) const WAITS: usize = 0;
/// The lane of what its home waits for: to have it, or to hear of it. It may be due elsewhere at the same time.
pub(super) const TOLD: usize = 1;

impl Shelved for Entry {
    type Queue = Queue;

    fn uid(&self) -> Uid {
        self.timer.uid
    }

    fn name(&self) -> &TimerName {
        &self.timer.name
    }

    fn waits(&self, lane: usize) -> Option<(Queue, WallTime)> {
        if lane == TOLD {
            let given = self
                .given_to()
                .map(|(home, due)| (Queue::Giving(home.clone()), due));
            let unheard = || {
                self.unheard_by()
                    .map(|(home, due)| (Queue::Unheard(home.clone()), due))
            };
            return given.or_else(unheard);
        }
        if let Some(until) = self.timer.kept_until() {
            return Some((Queue::Ended, until));
        }
        let due = self.timer.due()?;
        if self.backlogged {
            return Some((Queue::Backlog(Want::of(&self.timer.spec.handler)), due));
        }
        Some((Queue::Due(self.pulled_from()?), due))
    }

    fn is_stored(&self) -> bool {
        true
    }

    /// Each stage has its own names: nothing of an open one is found.
    fn is_named(&self) -> bool {
        self.stage().is_none()
    }
}

impl Entry {
    /// Where it is pulled from when it is due: a handed timer of an active home is the pool's for one run.
    pub(super) fn pulled_from(&self) -> Option<Place> {
        if !self.timer.is_movable() || self.backlogged {
            return None;
        }
        match self.held {
            None => Some(self.place()),
            // Of a claimed one only what may run beside that run is due.
            Some(Held::Handed | Held::Claimed) => Some((None, None)),
            Some(Held::Giving) => None,
        }
    }

    /// The sleeping home that has not heard of it, and when it is due there.
    pub(super) fn unheard_by(&self) -> Option<(&NodeId, WallTime)> {
        let home = self.timer.home.as_ref()?;
        let waits = self.timer.awaits == Some(Awaits::Home);
        let due = || self.timer.due();
        waits.then(due).flatten().map(|due| (home, due))
    }

    /// The home that is to own it again, and when it is due there.
    pub(super) fn given_to(&self) -> Option<(&NodeId, WallTime)> {
        let home = self.timer.home.as_ref()?;
        let due = || self.timer.due().unwrap_or(NEVER);
        (self.held == Some(Held::Giving)).then(|| (home, due()))
    }
}
