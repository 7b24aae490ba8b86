//! Timers and their runs as they are read: plain types without anything of the wire.

use crate::policy::Policy;
use crate::target::Target;
use crate::timer::{Durability, Placement};
use bytes::Bytes;
use std::collections::BTreeMap;
use std::fmt;
use std::time::{Duration, SystemTime};

/// A timer as its owner has it.
#[derive(Debug, Clone, PartialEq)]
pub struct TimerInfo {
    /// The full name: `pools/POOL/timers/TIMER`, or `pools/POOL/nodes/NODE/timers/TIMER` if it is not replicated.
    pub name: String,
    /// The identity; a later timer of the same name has another one.
    pub uid: String,
    /// The state now.
    pub state: TimerState,
    /// The node where it is at home; none if that is the pool itself.
    pub home: Option<String>,
    /// When it fires.
    pub schedule: ScheduleInfo,
    /// Where it may run.
    pub placement: Placement,
    /// What it runs.
    pub target: Target,
    /// What is handed over.
    pub payload: Bytes,
    /// The media type of `payload`; may be empty.
    pub content_type: String,
    /// What it survives.
    pub durability: Durability,
    /// How it is treated when things do not go by the plan.
    pub policy: Policy,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// Whether it is paused.
    pub paused: bool,
    /// Raised by every edit and rearm, from 1.
    pub generation: u64,
    /// Changes with every change of the record.
    pub etag: String,
    /// The next nominal times, earliest first.
    pub next_times: Vec<SystemTime>,
    /// The newest run; none before the first.
    pub last_run: Option<RunRecord>,
    /// When it was created.
    pub create_time: Option<SystemTime>,
    /// When its record last changed.
    pub update_time: Option<SystemTime>,
    /// Occurrences that were skipped, of all reasons.
    pub skipped_count: u64,
    /// Occurrences that have begun.
    pub begun_count: u64,
}

/// When a timer fires.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum ScheduleInfo {
    /// Once, at this instant.
    At(SystemTime),
    /// Once, this long after it was accepted.
    After(Duration),
    /// Again and again, at a fixed distance.
    Every {
        /// The distance.
        interval: Duration,
        /// Multiples of the interval since 1970 plus this.
        phase: Option<Duration>,
    },
    /// Again and again, by the calendar.
    Cron {
        /// Five or six fields, or a macro.
        expression: String,
        /// An IANA time zone; UTC if empty.
        zone: String,
    },
    /// Something that this version of the client does not know.
    Unknown,
}

/// One attempt to deliver an occurrence, as it is remembered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunRecord {
    /// The occurrence, the same for every attempt.
    pub run: String,
    /// The number of the attempt, from 1.
    pub attempt: u32,
    /// The fencing token; 0 if it was never claimed.
    pub token: u64,
    /// What has become of it.
    pub state: RunState,
    /// Why it was skipped or failed; empty otherwise.
    pub reason: String,
    /// The node that ran it; none if none did.
    pub node: Option<String>,
    /// When the schedule says.
    pub nominal_time: Option<SystemTime>,
    /// When it was to be launched.
    pub due_time: Option<SystemTime>,
    /// When it was launched.
    pub launched_time: Option<SystemTime>,
    /// When its outcome was accepted.
    pub finished_time: Option<SystemTime>,
    /// The full name of its timer; empty where only that timer's runs are told.
    pub timer: String,
    /// The generation of the timer that it belongs to.
    pub generation: u64,
    /// How many earlier occurrences it stands for.
    pub missed_count: u64,
}

/// What a cancel found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum CancelOutcome {
    /// It will not run any more.
    Cancelled,
    /// It had no occurrence left.
    AlreadyFired,
    /// Cancelled all the same, but the run with this token is not stopped.
    Running {
        /// The token of that run.
        token: u64,
    },
    /// Stored for a sleeping node, and applied before that fires anything.
    Pending,
    /// There is no timer of that name.
    NotFound,
}

impl CancelOutcome {
    /// As it is written in output, such as `already_fired`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Cancelled => "cancelled",
            Self::AlreadyFired => "already_fired",
            Self::Running { .. } => "running",
            Self::Pending => "pending",
            Self::NotFound => "not_found",
        }
    }
}

impl fmt::Display for CancelOutcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// A closed list of states, each with the word for it in output.
macro_rules! states {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $text:literal,)* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum $name {
            $($(#[$variant_doc])* $variant,)*
            /// A state that this version of the client does not know.
            Unknown,
        }

        impl $name {
            /// As it is written in output: one lower-case word.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $text,)*
                    Self::Unknown => "unknown",
                }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.pad(self.as_str())
            }
        }
    };
}
pub(crate) use states;

states! {
    /// The state of a timer.
    TimerState {
        /// Waits for its next occurrence.
        Scheduled = "scheduled",
        /// An occurrence is being run, or is about to be.
        Running = "running",
        /// The last occurrence succeeded.
        Done = "done",
        /// The last occurrence failed and is not tried again.
        Failed = "failed",
        /// Its attempts are used up.
        Dead = "dead",
        /// Was cancelled.
        Cancelled = "cancelled",
        /// Pinned to a node that has left.
        Unreachable = "unreachable",
        /// A change to it waits for its sleeping home.
        Pending = "pending",
        /// Paused on request.
        Paused = "paused",
        /// At most once, started, and its outcome is unknown.
        Lost = "lost",
        /// The last occurrence was skipped.
        Skipped = "skipped",
    }
}

states! {
    /// The state of a run.
    RunState {
        /// Launched, without outcome yet.
        Running = "running",
        /// Acknowledged by its handler.
        Done = "done",
        /// Refused by its handler, or timed out.
        Failed = "failed",
        /// Failed, and the attempts are used up.
        Dead = "dead",
        /// Not run.
        Skipped = "skipped",
        /// At most once, started, and its outcome is unknown.
        Lost = "lost",
        /// Its timer was cancelled.
        Cancelled = "cancelled",
        /// Its runner lost the right to it, or died; another attempt follows.
        Interrupted = "interrupted",
        /// Asked for, and not launched yet.
        Waiting = "waiting",
    }
}
