//! Snapshots and truncation, a step at a time between two units.
//!
//! Begun when the log since the last snapshot outgrows `max(log_bytes_min, image_times * image)`. A
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
    /// A snapshot is being written.
    Walking,
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
        matches!(self, Self::Walking | Self::Truncating)
    }

    pub(super) fn step(&mut self, journal: &mut impl Journal, policy: &Policy) {
        let next = match self {
            Self::Resting => Ok(rest(journal, policy, 0)),
            Self::Failed { retry_at } => Ok(rest(journal, policy, *retry_at)),
            Self::Walking => journal
                .snapshot(policy.snapshot_step_bytes)
                .map(|progress| match progress {
                    Progress::More => Self::Walking,
                    Progress::Done => Self::Truncating,
                }),
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
        .max(policy.image_times.saturating_mul(size.image));
    if size.log > limit.max(retry_at) {
        return Upkeep::Walking;
    }
    if retry_at > 0 {
        Upkeep::Failed { retry_at }
    } else {
        Upkeep::Resting
    }
}

fn truncate(journal: &mut impl Journal, policy: &Policy) -> Result<Upkeep, Error> {
    let progress = journal.truncate(u64::MAX, policy.truncate_step_keys)?;
    Ok(match progress {
        Progress::More => Upkeep::Truncating,
        Progress::Done => Upkeep::Resting,
    })
}
