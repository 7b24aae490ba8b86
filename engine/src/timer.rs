//! One timer: what its user asked for, and where it is in its life.
//!
//! Home and coordinator drive the same record through the same steps, so that a hand-over is a copy. A timer has a
//! *main line*, which goes along its schedule, and seldom *lines beside* it: occurrences that still run while the
//! main line has gone on (overlap ALLOW), or that its user asked for.
//!
//! ```text
//!            begin                 settle(done), last one
//! Waiting ----------> Running ------------------------------> Over
//!    ^                   |
//!    +-------------------+  settle(done): the next occurrence
//!      settle(failed): the same one, later; interrupt: the same one, at once
//! ```
//!
//! `life` has the steps of one line, `due` which line is next, `missed` what becomes of late ones, `change` what
//! users change, `spec`, `policy` and `target` what can be asked for. Who may take a step is decided by the base
//! and the ledger, not here.

mod accept;
mod aside;
mod change;
mod compact;
mod due;
mod life;
mod line;
mod missed;
mod past;
mod policy;
mod rest;
mod run;
mod setting;
mod shown;
mod spec;
mod target;
#[cfg(test)]
mod tests;
mod told;

pub(crate) use accept::Common;
pub use aside::{Aside, Awaits, Remembered};
pub(crate) use change::Asked;
pub use change::REQUESTS_MAX;
pub(crate) use compact::{Keyed, TimerSeed};
pub use due::BESIDE_MAX;
pub use life::{Settled, Stale};
pub use line::{Begun, Follow, Occurrence, Phase};
pub use past::{Fate, RunKey, RunRecord};
pub use policy::{Bounds, Effort, Isolation, Misfire, MisfireMode, Overlap, Policy, Retry};
pub use run::{Ending, LastRun, Outcome, Run, Skip};
pub use spec::{Durability, HandlerName, Kind, NewTimer, Payload, Placement, Spec, When};
pub use target::{CommandTarget, HttpTarget, PLACE_PREFIX, Target};

use crate::hash;
use crate::id::{NodeId, RunId, TimerName, Uid};
use crate::time::{Millis, WallTime};
use aside::Kept;
use std::sync::Arc;

/// Attempts of one occurrence, the first included.
pub const ATTEMPTS_MAX: u32 = 5;
/// After this many runners died with the same occurrence it is parked as [`Ending::Dead`].
pub const DEATHS_MAX: u32 = 3;
/// The wait before the second attempt; it doubles with each further one.
pub const BACKOFF_FIRST: Millis = Millis(1_000);
/// The longest wait between two attempts.
pub const BACKOFF_MAX: Millis = Millis(300_000);
/// How long an attempt may go without a sign of life.
pub const ATTEMPT_TIMEOUT: Millis = Millis(60_000);
/// An occurrence that is late by less than this is on time.
pub const MISFIRE_GRACE: Millis = Millis(60_000);
/// Of the missed occurrences that all run, at most so many do unless the user says otherwise.
pub const MISFIRE_CAP: u32 = 100;
/// The longest catch-up window of a recurring timer; shorter periods have shorter ones.
pub const CATCHUP_MAX: Millis = Millis(3_600_000);
/// How long an ended timer can still be looked up.
pub const ENDED_KEPT: Millis = Millis(600_000);
/// How long a dead one can.
pub const DEAD_KEPT: Millis = Millis(7 * 24 * 3_600_000);

/// A timer with its whole state; absolute, so that writing it twice is writing it once.
///
/// There are millions of them, so what few have stands [`Aside`], in a box of its own, and is read and changed
/// through this: `timer.paused`, `timer.last`.
#[derive(Clone, PartialEq, Eq)]
pub struct Timer {
    /// Its identity.
    pub uid: Uid,
    /// Its name.
    pub name: TimerName,
    /// What was asked for.
    pub spec: Spec,
    /// The node where it was registered; none if it is the pool's own.
    pub home: Option<NodeId>,
    /// The request that created it, so that a repeated request finds its own work.
    pub request: u128,
    /// When it was accepted.
    pub created: WallTime,
    /// Where its main line is.
    pub phase: Phase,
    pub(crate) aside: Kept,
}

impl Timer {
    /// Where what it shares with others is kept: other places mean that a change has brought parts of its own.
    pub(crate) fn shared(&self) -> (usize, usize) {
        let (kind, scope) = (self.spec.kind(), self.name.scope());
        (Arc::as_ptr(kind).addr(), Arc::as_ptr(scope).addr())
    }

    /// When its user last changed it.
    #[must_use]
    pub fn updated(&self) -> WallTime {
        self.edited.unwrap_or(self.created)
    }

    /// Whether any node of the pool may run it.
    #[must_use]
    pub fn is_movable(&self) -> bool {
        matches!(self.spec.placement, Placement::Movable)
    }

    /// Whether it is its home's alone while that is active, and is handed over when that sleeps.
    pub(crate) fn is_light(&self) -> bool {
        self.is_movable() && !self.spec.durability.is_replicated()
    }

    /// The main line and those beside it.
    pub fn lines(&self) -> impl Iterator<Item = &Phase> {
        std::iter::once(&self.phase).chain(&self.beside)
    }

    /// Whether nothing of it will run any more.
    #[must_use]
    pub fn is_over(&self) -> bool {
        matches!(self.phase, Phase::Over { .. }) && self.beside.is_empty()
    }

    /// Whether a run of it is in flight.
    #[must_use]
    pub fn is_running(&self) -> bool {
        self.lines().any(|line| line.running().is_some())
    }

    /// Until when an ended timer is kept for look-ups.
    #[must_use]
    pub fn kept_until(&self) -> Option<WallTime> {
        match &self.phase {
            Phase::Over { .. } if !self.is_over() => None,
            Phase::Over {
                ending: Ending::Dead,
                at,
            } => Some(*at + DEAD_KEPT),
            Phase::Over { at, .. } => Some(*at + ENDED_KEPT),
            Phase::Waiting { .. } | Phase::Running { .. } => None,
        }
    }

    /// How much later than its nominal time an occurrence is due: the same for all of them.
    fn delay(&self) -> Millis {
        match self.spec.policy.jitter {
            Millis(0) => Millis(0),
            Millis(most) => {
                let [high, low] = hash::halves(self.uid.0);
                Millis(hash::fold(&[high, low]) % most.saturating_add(1))
            }
        }
    }

    /// The name of an occurrence's runs.
    #[must_use]
    pub fn run_id(&self, nominal: WallTime) -> RunId {
        let [high, low] = hash::halves(self.uid.0);
        RunId(hash::fold(&[
            high,
            low,
            self.generation,
            nominal.0.cast_unsigned(),
        ]))
    }

    /// The next times that the schedule names, at most `count`; none while it is paused.
    #[must_use]
    pub fn next_times(&self, count: usize) -> Vec<WallTime> {
        let first = match &self.phase {
            _ if self.paused => None,
            Phase::Waiting { occurrence, .. } if occurrence.attempt == 0 => {
                Some(occurrence.nominal)
            }
            Phase::Waiting { occurrence, .. } | Phase::Running { occurrence, .. } => {
                self.spec.next_after(occurrence.last_nominal())
            }
            Phase::Over { .. } => None,
        };
        let left = self.occurrences_left();
        let count = usize::try_from(left).unwrap_or(count).min(count);
        std::iter::successors(first, |last| self.spec.next_after(*last))
            .take(count)
            .collect()
    }
}
