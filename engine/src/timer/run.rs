//! Runs of a timer: what is sent to who runs it, what it came to, how an occurrence ends.

use super::{HandlerName, Occurrence, Payload, Phase, Target, Timer};
use crate::id::{NodeId, RunId, TimerName, Token, Uid};
use crate::time::{Millis, WallTime};
use serde::{Deserialize, Serialize};

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
    /// Why it failed, in the handler's words; empty if it did not.
    #[serde(default)]
    pub reason: String,
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
    pub target: Target,
    /// How long it may go without a sign of life.
    pub attempt_timeout: Millis,
    /// What to deliver.
    pub payload: Payload,
    /// The media type of the payload; may be empty.
    pub content_type: String,
}

impl Timer {
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
            Phase::Running { occurrence, run } => {
                Some((&run.by, self.run_of(*occurrence, run.token, run.started)))
            }
            Phase::Waiting { .. } | Phase::Over { .. } => None,
        })
    }

    pub(super) fn run_of(&self, occurrence: Occurrence, token: Token, due: WallTime) -> Run {
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
}
