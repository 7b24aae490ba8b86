//! The id of a request, by which a repetition of it is known.

use super::fields::shown;
use crate::fault::{self, Faults};
use dormouse_engine::id::{PoolId, Uid};
use dormouse_engine::time::WallTime;
use tonic::{Code, Status};
use tonic_types::StatusExt as _;
use uuid::{Uuid, Version};

/// How long the id of a request may be used again, in milliseconds: 24 hours.
const REQUEST_ID_KEPT_MS: i64 = 24 * 3_600_000;

/// The id of a request and where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Asked {
    path: String,
    id: Option<Uuid>,
}

impl Asked {
    /// Reads it; one that was left out is none, as is a wrong one, which is a fault.
    pub(super) fn read(faults: &mut Faults, path: &str, text: &str) -> Self {
        let id = match Uuid::try_parse(text) {
            _ if text.is_empty() => None,
            Ok(id) if id.get_version() == Some(Version::SortRand) => Some(id),
            _ => {
                let why = "is no UUID of version 7, the same on every repetition";
                faults.invalid(path, format!("{} {why}", shown(text)));
                None
            }
        };
        Self {
            path: path.into(),
            id,
        }
    }

    /// As the engine knows it: zero if nobody may repeat the request.
    pub(super) fn number(&self) -> u128 {
        self.id.map_or(0, |id| id.as_u128())
    }

    /// The id; a fresh one for a request that nobody may repeat.
    pub(super) fn or_fresh(&self) -> Uuid {
        self.id.unwrap_or_else(Uuid::now_v7)
    }

    /// A request that is too old is not known any more, so that it might be done twice.
    ///
    /// # Errors
    /// `FAILED_PRECONDITION`.
    pub(super) fn check_age(&self, now: WallTime) -> Result<(), Status> {
        let made = self.id.and_then(|id| id.get_timestamp());
        let Some((secs, _)) = made.map(|time| time.to_unix()) else {
            return Ok(());
        };
        let made = i64::try_from(secs).unwrap_or(i64::MAX).saturating_mul(1000);
        if now.0.saturating_sub(made) <= REQUEST_ID_KEPT_MS {
            return Ok(());
        }
        let why = format!(
            "{} is older than 24 hours; look whether it was done, and ask with a new one",
            self.path
        );
        let mut details = fault::details("REQUEST_ID_EXPIRED");
        details.add_precondition_failure_violation("REQUEST_ID", &self.path, &why);
        Err(Status::with_error_details(
            Code::FailedPrecondition,
            why,
            details,
        ))
    }
}

/// The identity of the timer that a request asks for: the same for a repetition of the request, by which its
/// owner knows it, and another one for every other request and pool.
pub(super) fn uid(pool: &PoolId, asked: Uuid) -> Uid {
    // FNV-1a; it never changes, since a request may be repeated to a newer version.
    let mix = |hash: u128, byte: &u8| (hash ^ u128::from(*byte)).wrapping_mul((1 << 88) + 0x13b);
    let start = 0x6c62_272e_07bb_0142_62b8_2175_6295_c58d;
    Uid(asked.as_u128() ^ pool.as_str().as_bytes().iter().fold(start, mix))
}
