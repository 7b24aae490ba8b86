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

mod change;
mod due;
mod life;
mod missed;
mod past;
mod policy;
mod spec;
mod target;
#[cfg(test)]
mod tests;

pub(crate) use change::Asked;
pub use due::BESIDE_MAX;
pub use life::{Settled, Stale};
pub use past::{Fate, RunKey, RunRecord};
pub use policy::{Bounds, Effort, Isolation, Misfire, MisfireMode, Overlap, Policy, Retry};
pub use spec::{Durability, HandlerName, NewTimer, Payload, Placement, Spec, When};
pub use target::{CommandTarget, HttpTarget, PLACE_PREFIX, Target};

use crate::hash;
use crate::id::{NodeId, RunId, TimerName, Token, Uid};
use crate::time::{Millis, WallTime};
use serde::{Deserialize, Serialize};

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
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Timer {
    /// Its identity.
    pub uid: Uid,
    /// Its name.
    pub name: TimerName,
    /// What was asked for.
    pub spec: Spec,
    /// The node where it was registered; none if it is the pool's own.
    pub home: Option<NodeId>,
    /// Raised by every edit and rearm; occurrences of an older generation are dropped.
    pub generation: u64,
    /// Raised by every change of this record by whoever owns it.
    pub revision: u64,
    /// The request that created it, so that a repeated request finds its own work.
    pub request: u128,
    /// When it was accepted.
    pub created: WallTime,
    /// When its user last changed it.
    pub updated: WallTime,
    /// Where its main line is.
    pub phase: Phase,
    /// Occurrences beside the main line, waiting or running.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub beside: Vec<Phase>,
    /// Whether nothing of it happens until it is resumed, but for what its user asks for.
    #[serde(default)]
    pub paused: bool,
    /// Occurrences of its schedule that have begun.
    #[serde(default)]
    pub begun: u64,
    /// The newest token given to a run of it; zero before the first.
    pub token: Token,
    /// How its latest occurrence ended.
    pub last: Option<LastRun>,
    /// Occurrences that were skipped, of all reasons.
    pub skipped: u64,
    /// Why a pinned timer cannot fire just now, if it cannot.
    #[serde(default)]
    pub awaits: Option<Awaits>,
    /// The requests that changed it last, so that a repeated one is done once.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub requests: Vec<Remembered>,
    /// What the steps have written down of runs, and its owner has not taken yet.
    #[serde(skip)]
    pub noted: Vec<RunRecord>,
}

/// A request that has changed a timer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Remembered {
    /// Its id.
    pub request: u128,
    /// A hash of what it asked for.
    pub digest: u64,
    /// The nominal time of the run that it asked for, if it asked for one.
    pub nominal: Option<WallTime>,
}

/// What a pinned timer waits for beside its time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Awaits {
    /// Its home sleeps, and has not heard of it.
    Home,
    /// Its home has left.
    Return,
}

/// Where a timer is in its life.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Phase {
    /// The next attempt is due at `due`.
    Waiting {
        /// What will run.
        occurrence: Occurrence,
        /// Its nominal time, or the time of the next attempt.
        due: WallTime,
    },
    /// A run is in flight.
    Running {
        /// What runs.
        occurrence: Occurrence,
        /// The node that runs it.
        by: NodeId,
        /// Since when.
        started: WallTime,
        /// The token it runs under.
        token: Token,
    },
    /// Nothing will run any more.
    Over {
        /// How it ended.
        ending: Ending,
        /// When it ended.
        at: WallTime,
    },
}

/// One scheduled firing of a timer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Occurrence {
    /// The time of the schedule.
    pub nominal: WallTime,
    /// Attempts begun so far; while running this is the number of the running one.
    pub attempt: u32,
    /// Older occurrences that were missed and that this one stands for.
    pub missed: u64,
    /// Runners that died with it.
    pub deaths: u32,
    /// Its user asked for it; the schedule did not.
    #[serde(default)]
    pub manual: bool,
    /// The schedule goes on after this rather than after the nominal time: what lies between is dealt with.
    #[serde(default)]
    pub follow: Option<WallTime>,
}

impl Occurrence {
    pub(crate) fn fresh(nominal: WallTime) -> Self {
        Self {
            nominal,
            attempt: 0,
            missed: 0,
            deaths: 0,
            manual: false,
            follow: None,
        }
    }

    /// After what the schedule goes on.
    fn last_nominal(&self) -> WallTime {
        self.follow.map_or(self.nominal, |it| it.max(self.nominal))
    }
}

impl Phase {
    /// What waits or runs; none after the end.
    #[must_use]
    pub fn occurrence(&self) -> Option<&Occurrence> {
        match self {
            Self::Waiting { occurrence, .. } | Self::Running { occurrence, .. } => Some(occurrence),
            Self::Over { .. } => None,
        }
    }

    /// The token of the run in flight, and the node that runs it.
    #[must_use]
    pub fn running(&self) -> Option<(Token, &NodeId)> {
        match self {
            Self::Running { by, token, .. } => Some((*token, by)),
            Self::Waiting { .. } | Self::Over { .. } => None,
        }
    }

    fn is(&self, nominal: WallTime) -> bool {
        self.occurrence().is_some_and(|it| it.nominal == nominal)
    }
}

/// How a timer, or an occurrence, ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Ending {
    /// A handler acknowledged it.
    Done,
    /// An attempt failed, and the next occurrence came before the next attempt.
    Failed,
    /// Its attempts are used up, or its runners died too often.
    Dead,
    /// It was skipped.
    Skipped(Skip),
    /// It began at most once, and what it came to is not known.
    Lost,
}

/// Why an occurrence was skipped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Skip {
    /// It was found later than the catch-up window allows.
    PastWindow,
    /// It fell due while the one before it was running.
    Overlap,
    /// More were missed than may run.
    Cap,
    /// It fell due while the timer was paused.
    Paused,
    /// It had not begun when the timer expired.
    Expired,
    /// A later occurrence took its place while it ran, or an edit did.
    Superseded,
}

/// How the latest occurrence ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastRun {
    /// The name of the occurrence's runs.
    pub id: RunId,
    /// Its nominal time.
    pub nominal: WallTime,
    /// How it ended.
    pub ending: Ending,
    /// When.
    pub at: WallTime,
    /// The node that ran it.
    pub by: NodeId,
    /// The token it ran under.
    pub token: Token,
    /// The number of its last attempt.
    pub attempt: u32,
}

/// What a run came to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Outcome {
    /// The handler acknowledged it.
    Done,
    /// The handler refused it, failed, or was silent for too long.
    Failed {
        /// At the earliest then, if the handler said so.
        retry_after: Option<Millis>,
        /// In the handler's words.
        reason: String,
    },
    /// The runner lost the right to go on before there was an outcome.
    Interrupted {
        /// Whether the runner died with it, rather than gave it back.
        died: bool,
    },
}

/// One attempt to deliver an occurrence, as it is sent to who runs it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Run {
    /// The timer's identity.
    pub uid: Uid,
    /// Its name.
    pub name: TimerName,
    /// Its generation.
    pub generation: u64,
    /// The name of the occurrence, the same for every attempt.
    pub id: RunId,
    /// The scheduled time.
    pub nominal: WallTime,
    /// When this attempt was due.
    pub due: WallTime,
    /// The number of this attempt, from 1.
    pub attempt: u32,
    /// Older occurrences this one stands for.
    pub missed: u64,
    /// The fencing token.
    pub token: Token,
    /// The place that is to run it.
    pub handler: HandlerName,
    /// What it is delivered to.
    #[serde(default)]
    pub target: Target,
    /// How long it may go without a sign of life.
    pub attempt_timeout: Millis,
    /// What to deliver.
    pub payload: Payload,
    /// The media type of the payload; may be empty.
    pub content_type: String,
}

impl Timer {
    /// Whether any node of the pool may run it.
    #[must_use]
    pub fn is_movable(&self) -> bool {
        matches!(self.spec.placement, Placement::Movable)
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

    /// Whether an occurrence of this nominal time waits or runs.
    #[must_use]
    pub fn has(&self, nominal: WallTime) -> bool {
        self.lines().any(|line| line.is(nominal))
    }

    /// Whether a run under this token is in flight.
    #[must_use]
    pub fn holds(&self, token: Token) -> bool {
        let mut running = self.lines().filter_map(Phase::running);
        running.any(|(own, _)| own == token)
    }

    /// The runs of `node` that are in flight.
    pub fn runs_of<'a>(&'a self, node: &'a NodeId) -> impl Iterator<Item = Run> {
        self.runs()
            .filter(move |(by, _)| *by == node)
            .map(|(_, run)| run)
    }

    /// The runs in flight, as they were sent to who runs them.
    pub fn runs(&self) -> impl Iterator<Item = (&NodeId, Run)> {
        self.lines().filter_map(|line| match line {
            Phase::Running {
                occurrence,
                started,
                token,
                by,
            } => Some((by, self.run_of(*occurrence, *token, *started))),
            Phase::Waiting { .. } | Phase::Over { .. } => None,
        })
    }

    fn run_of(&self, occurrence: Occurrence, token: Token, due: WallTime) -> Run {
        Run {
            uid: self.uid,
            name: self.name.clone(),
            generation: self.generation,
            id: self.run_id(occurrence.nominal),
            nominal: occurrence.nominal,
            due: match occurrence.attempt {
                // What was asked for is not delayed.
                0 | 1 if occurrence.manual => occurrence.nominal,
                0 | 1 => occurrence.nominal + self.delay(),
                _ => due,
            },
            attempt: occurrence.attempt,
            missed: occurrence.missed,
            token,
            handler: self.spec.handler.clone(),
            target: self.spec.target.clone(),
            attempt_timeout: self.spec.policy.retry.attempt_timeout,
            payload: self.spec.payload.clone(),
            content_type: self.spec.content_type.clone(),
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
