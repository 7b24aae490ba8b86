//! Snapshots and truncation, a step at a time between two units.
//!
//! Begun when the log since the last snapshot outgrows `max(log_bytes_min, log_percent of the snapshot)`. A
//! failure of it fails nobody: the log still holds everything, so it is tried again after more growth.

use super::Policy;
use crate::error::Error;
use crate::journal::{Journal, Progress};

/// What is being done besides writing groups.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) enum Upkeep {
    /// Nothing, until the log is big enough.
    #[default]
    Resting,
    /// The log is being read for a snapshot.
    Feeding,
    /// Another thread has to get on with the snapshot first.
    Waiting,
    /// The log below the older snapshot is being dropped.
    Truncating,
    /// A snapshot failed; nothing until the log has this many bytes.
    Failed {
        /// Bytes of the log at which it is tried again.
        retry_at: u64,
    },
}

impl Upkeep {
    /// True if a step is due even if no group comes.
    pub(super) fn is_busy(&self) -> bool {
        matches!(self, Self::Feeding | Self::Truncating)
    }

    pub(super) fn step(&mut self, journal: &mut impl Journal, policy: &Policy) {
        let next = match self {
            Self::Resting => Ok(rest(journal, policy, 0)),
            Self::Failed { retry_at } => Ok(rest(journal, policy, *retry_at)),
            Self::Feeding | Self::Waiting => snapshot(journal, policy),
            Self::Truncating => truncate(journal, policy),
        };
        *self = next.unwrap_or_else(|error| {
            tracing::warn!(%error, "a snapshot failed; the log stays as it is");
            Self::Failed {
                retry_at: journal.size().log.saturating_add(policy.log_bytes_min),
            }
        });
    }
}

fn rest(journal: &impl Journal, policy: &Policy, retry_at: u64) -> Upkeep {
    let size = journal.size();
    let limit = policy
        .log_bytes_min
        .max(size.snapshot.saturating_mul(policy.log_percent) / 100);
    if size.log > limit.max(retry_at) {
        return Upkeep::Feeding;
    }
    if retry_at > 0 {
        Upkeep::Failed { retry_at }
    } else {
        Upkeep::Resting
    }
}

fn snapshot(journal: &mut impl Journal, policy: &Policy) -> Result<Upkeep, Error> {
    let progress = journal.snapshot(policy.snapshot_step_bytes)?;
    Ok(match progress {
        Progress::More => Upkeep::Feeding,
        Progress::Waiting => Upkeep::Waiting,
        Progress::Done => Upkeep::Truncating,
    })
}

fn truncate(journal: &mut impl Journal, policy: &Policy) -> Result<Upkeep, Error> {
    let progress = journal.truncate(u64::MAX, policy.truncate_step_keys)?;
    Ok(match progress {
        Progress::More | Progress::Waiting => Upkeep::Truncating,
        Progress::Done => Upkeep::Resting,
    })
}
