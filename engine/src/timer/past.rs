//! What has become of attempts and of occurrences that were not attempted.

use super::Skip;
use crate::id::{NodeId, RunId, Token};
use crate::time::WallTime;
use serde::{Deserialize, Serialize};

/// One attempt to deliver an occurrence, or occurrences that were skipped, as they are remembered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunRecord {
    /// The occurrence, the same for every attempt.
    pub id: RunId,
    /// The timer's generation that it belongs to.
    pub generation: u64,
    /// Its nominal time; of several that were skipped together, the latest.
    pub nominal: WallTime,
    /// The number of the attempt, from 1; zero if there was none.
    pub attempt: u32,
    /// The token it ran under; zero if it had none.
    pub token: Token,
    /// The node that ran it.
    pub by: Option<NodeId>,
    /// When it began.
    pub started: Option<WallTime>,
    /// When this was written down.
    pub finished: WallTime,
    /// What has become of it.
    pub fate: Fate,
    /// In the handler's words; empty if there are none.
    pub reason: String,
    /// Occurrences before this one that it stands for.
    pub missed: u64,
}

/// What has become of an attempt or an occurrence.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Fate {
    /// It has begun.
    Running,
    /// Its handler acknowledged it.
    Done,
    /// It failed; another attempt may follow.
    Failed,
    /// Its runner lost the right, or died, before there was an outcome; it begins again.
    Interrupted,
    /// It failed, and no attempt is left.
    Dead,
    /// It did not run.
    Skipped(Skip),
    /// It began at most once, and what it came to is not known.
    Lost,
}

/// Where a record stands among those of its timer, the newest last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct RunKey {
    /// [`RunRecord::finished`].
    pub finished: WallTime,
    /// [`RunRecord::nominal`].
    pub nominal: WallTime,
    /// [`RunRecord::attempt`].
    pub attempt: u32,
    /// [`RunRecord::token`].
    pub token: Token,
}

impl RunRecord {
    /// Where it stands among those of its timer.
    #[must_use]
    pub fn key(&self) -> RunKey {
        RunKey {
            finished: self.finished,
            nominal: self.nominal,
            attempt: self.attempt,
            token: self.token,
        }
    }
}
