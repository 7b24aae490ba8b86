//! What users ask for, and what they are told.
//!
//! An operation is carried to whoever owns the timer (its home, or the ledger) and decided there; the same
//! types travel between node and coordinator.

use crate::hierarchy::Cover;
use crate::id::{NodeId, TimerName, Token};
use crate::message::Uncovered;
use crate::time::{Millis, WallTime};
use crate::timer::{NewTimer, Timer};
use serde::{Deserialize, Serialize};

/// What a user asks for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Op {
    /// Register a timer.
    Create(Box<NewTimer>),
    /// Look one up.
    Look {
        /// Its name.
        name: TimerName,
    },
    /// Look many up, in the order of their names.
    List {
        /// After this name.
        after: Option<TimerName>,
        /// At most so many.
        limit: u32,
    },
    /// Move its next firing.
    Rearm {
        /// Its name.
        name: TimerName,
        /// Where to.
        to: NewTime,
    },
    /// End it.
    Cancel {
        /// Its name.
        name: TimerName,
    },
    /// Go to sleep, wake up, or drain.
    Activity {
        /// Which node.
        node: NodeId,
        /// What it should do.
        activity: Activity,
    },
}

/// A new time for a timer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum NewTime {
    /// At this time.
    At(WallTime),
    /// This long after the change is accepted.
    After(Millis),
}

/// What a node should do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Activity {
    /// Hand its timers over and sleep.
    Idle,
    /// Be awake.
    Active,
    /// Serve its own timers only, and nobody else's.
    Drain,
}

/// What a user is told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Answer {
    /// The timer as it is now.
    Timer(Box<Timer>),
    /// Timers in the order of their names.
    List {
        /// The timers.
        timers: Vec<Timer>,
        /// Whether there are more.
        more: bool,
    },
    /// What became of a cancellation.
    Cancelled(Cancelled),
    /// Stored for a node that sleeps; applied before it fires anything.
    Pending,
    /// What became of a change of activity.
    Activity {
        /// Who watches, if the node sleeps now.
        cover: Option<Cover>,
        /// Why it may not sleep, if so.
        uncovered: Option<Uncovered>,
    },
    /// Not done, and nothing was changed.
    Refused(Refusal),
}

/// What became of a cancellation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Cancelled {
    /// No run will start any more.
    Cancelled,
    /// It had fired already.
    AlreadyFired,
    /// The run under this token goes on; no later one will start.
    Running(Token),
}

/// Why something was not done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Refusal {
    /// Nothing has this name.
    NotFound {
        /// What was looked for.
        what: String,
    },
    /// Another timer has this name.
    Exists {
        /// The name.
        name: TimerName,
    },
    /// The request is wrong whatever the state.
    Invalid {
        /// The path of the field.
        field: String,
        /// What is wrong with it, and what would be right.
        why: String,
    },
    /// The time lies beyond the horizon.
    BeyondHorizon {
        /// The path of the field.
        field: String,
        /// What is wrong with it, and what would be right.
        why: String,
    },
    /// The state does not allow it; the user has to change something first.
    Precondition {
        /// What, and what to do.
        why: String,
    },
    /// A bound is reached.
    Exhausted {
        /// Which one, and what to do.
        why: String,
    },
    /// It cannot be decided just now; nothing is known to have changed.
    Unavailable {
        /// Why.
        why: String,
        /// When to ask again.
        retry_after: Millis,
    },
}
