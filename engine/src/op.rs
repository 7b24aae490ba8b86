//! What users ask for, and what they are told.
//!
//! An operation is carried to whoever owns the timer (its home, or the ledger) and decided there; the same
//! types travel between node and coordinator.

use crate::hash;
use crate::hierarchy::Cover;
use crate::id::{NodeId, RunId, TimerName, Token};
use crate::ledger::Restored;
use crate::message::Uncovered;
use crate::record;
use crate::schedule::Dst;
use crate::time::{Millis, WallTime};
use crate::timer::{
    Effort, HandlerName, Isolation, MisfireMode, NewTimer, Overlap, Payload, Retry, RunKey,
    RunRecord, Target, Timer, When,
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

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
    /// Look up those that the asked one itself keeps, in the order of their names; [`Op::News`] tells what changes of
    /// them.
    Kept {
        /// After this name.
        after: Option<TimerName>,
        /// At most so many.
        limit: u32,
    },
    /// Change one that exists.
    Change {
        /// Its name.
        name: TimerName,
        /// The request that asks for it, so that a repeated one is done once; zero if nobody may repeat it.
        #[serde(with = "crate::record::wide")]
        request: u128,
        /// What is to change.
        change: Change,
    },
    /// Read what became of its runs, the newest first.
    Runs {
        /// Its name.
        name: TimerName,
        /// Only what is older than this.
        before: Option<RunKey>,
        /// At most so many.
        limit: u32,
    },
    /// Read the dead runs of all timers, in the order of their names, the newest of each first.
    Dead {
        /// After this one.
        after: Option<(TimerName, RunKey)>,
        /// At most so many.
        limit: u32,
    },
    /// Read what has changed.
    News {
        /// After this; if none, the answer says only where to begin.
        after: Option<u64>,
        /// At most so many.
        limit: u32,
    },
    /// Go to sleep, wake up, or drain.
    Activity {
        /// Which node.
        node: NodeId,
        /// What it should do.
        activity: Activity,
    },
}

impl Op {
    /// Ends a timer; nobody may repeat the request.
    #[must_use]
    pub fn cancel(name: TimerName) -> Self {
        Self::change(name, Change::Cancel)
    }

    /// Moves a timer; nobody may repeat the request.
    #[must_use]
    pub fn rearm(name: TimerName, to: NewTime) -> Self {
        let change = Change::Rearm {
            to,
            mode: RearmMode::Replace,
            payload: None,
        };
        Self::change(name, change)
    }

    /// Changes a timer; nobody may repeat the request.
    #[must_use]
    pub fn change(name: TimerName, change: Change) -> Self {
        Self::Change {
            name,
            request: 0,
            change,
        }
    }
}

/// What is to change of a timer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Change {
    /// Move its next firing.
    Rearm {
        /// Where to.
        to: NewTime,
        /// What wins, the new time or the old.
        mode: RearmMode,
        /// What is delivered from now on; none leaves it.
        payload: Option<Payload>,
    },
    /// Give it other values. Occurrences of before the edit are dropped.
    Update {
        /// The values.
        settings: Vec<Setting>,
        /// Only if the timer is of this generation and revision.
        etag: Option<(u64, u64)>,
    },
    /// No occurrences until it is resumed.
    Pause,
    /// Go on with the first occurrence after now.
    Resume,
    /// Run it now, besides its schedule.
    RunNow,
    /// Run a dead occurrence again, as if it were new.
    Requeue(RunId),
    /// The same, with what is known of it: whoever remembers the dead run is not always who owns the timer.
    Revive(Box<RunRecord>),
    /// Forget a dead occurrence.
    Purge(RunId),
    /// End it.
    Cancel,
}

impl Change {
    /// A hash of what its user asked for.
    pub(crate) fn digest(&self) -> u64 {
        let mut asked = self.clone();
        if let Self::Revive(run) = &asked {
            asked = Self::Requeue(run.id);
        }
        if let Self::Rearm { to, .. } = &mut asked
            && let NewTime::Since { wait, .. } = *to
        {
            *to = NewTime::After(wait);
        }
        hash::digest(&record::encode(&asked))
    }
}

/// What a rearm does to a timer that waits for its time already.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum RearmMode {
    /// The new time replaces the old one.
    #[default]
    Replace,
    /// The old time stays; the new payload counts.
    KeepTime,
    /// Nothing changes.
    Drop,
}

/// A new value for one field of a timer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Setting {
    /// When, and what becomes of it at changes of the clock.
    When(When),
    /// When; what becomes of it at changes of the clock stays.
    Times(When),
    /// What becomes of its local times at changes of the clock; nothing to a schedule that has none.
    Dst(Dst),
    /// Who runs it.
    Target(HandlerName, Target),
    /// What is delivered.
    Payload(Payload),
    /// The media type of the payload.
    ContentType(String),
    /// The user's own keys and values.
    Labels(BTreeMap<String, String>),
    /// See [`Policy::isolation`](crate::timer::Policy::isolation).
    Isolation(Isolation),
    /// See [`Policy::effort`](crate::timer::Policy::effort).
    Effort(Effort),
    /// See [`Bounds::start`](crate::timer::Bounds::start).
    Start(Option<WallTime>),
    /// See [`Bounds::end`](crate::timer::Bounds::end).
    End(Option<WallTime>),
    /// See [`Bounds::occurrences_max`](crate::timer::Bounds::occurrences_max).
    OccurrencesMax(Option<u64>),
    /// See [`Bounds::expire`](crate::timer::Bounds::expire).
    Expire(Option<WallTime>),
    /// See [`Policy::jitter`](crate::timer::Policy::jitter).
    Jitter(Millis),
    /// See [`Misfire::mode`](crate::timer::Misfire::mode).
    MisfireMode(MisfireMode),
    /// See [`Misfire::grace`](crate::timer::Misfire::grace).
    MisfireGrace(Millis),
    /// See [`Misfire::window`](crate::timer::Misfire::window).
    MisfireWindow(Option<Millis>),
    /// See [`Misfire::cap`](crate::timer::Misfire::cap).
    MisfireCap(u32),
    /// See [`Policy::overlap`](crate::timer::Policy::overlap).
    Overlap(Overlap),
    /// See [`Policy::retry`](crate::timer::Policy::retry).
    Retry(Retry),
    /// Whether it is paused.
    Paused(bool),
}

/// A new time for a timer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum NewTime {
    /// At this time.
    At(WallTime),
    /// This long after the change is accepted.
    After(Millis),
    /// The same, of a change that was accepted at `from` and is made later.
    Since {
        /// When it was accepted.
        from: WallTime,
        /// How long after that.
        wait: Millis,
    },
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
    /// The run that was asked for, as far as it has come.
    Run(Box<RunRecord>),
    /// What became of a timer's runs, the newest first.
    Runs {
        /// The runs.
        runs: Vec<RunRecord>,
        /// Whether there are more.
        more: bool,
    },
    /// Dead runs in the order of their timers' names.
    Dead {
        /// The timer of each, and the run.
        letters: Vec<(TimerName, RunRecord)>,
        /// Whether there are more.
        more: bool,
    },
    /// What has changed.
    News(News),
    /// It is done, and there is nothing to show.
    Done,
    /// Stored for a node that sleeps; applied before it fires anything.
    Pending,
    /// What became of facts that were to enter the ledger.
    Restored(Box<Restored>),
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

/// What has changed of the timers that somebody keeps.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct News {
    /// It is not known what has changed since: list everything, then go on after [`News::upto`].
    pub reset: bool,
    /// The changes, oldest first, each with its number.
    pub events: Vec<(u64, Event)>,
    /// Where to go on after these.
    pub upto: u64,
    /// Whether there are more already.
    pub more: bool,
}

/// One change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Event {
    /// The timer is like this now.
    Timer(Box<Timer>),
    /// There is no timer of this name any more.
    Removed(TimerName),
    /// Something has become of a run of the timer of this name.
    Run(TimerName, Box<RunRecord>),
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
    /// Somebody else has changed it since the asker read it.
    Conflict {
        /// What, and what to do.
        why: String,
    },
    /// A bound is reached.
    Exhausted {
        /// Which one, and what to do.
        why: String,
    },
    /// Too much waits already; nothing was done.
    Overloaded {
        /// Of what.
        why: String,
        /// When to ask again.
        retry_after: Millis,
    },
    /// It cannot be decided just now; nothing is known to have changed.
    Unavailable {
        /// Why.
        why: String,
        /// When to ask again.
        retry_after: Millis,
    },
}
