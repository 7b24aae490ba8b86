//! What was seen in the run: the facts that the table is made of.
//!
//! Taken where they happened: by who registered a timer, by the worker that ran it, by who killed a process, and by a
//! look at the coordinator twenty times a second. What they mean is for `score` to say.

use super::almanac::When;
use std::time::{SystemTime, UNIX_EPOCH};

/// Microseconds since 1970, by the wall clock of this machine; all processes of the demo share it.
pub(super) type Micros = i64;

/// The present.
pub(super) fn now() -> Micros {
    micros(SystemTime::now())
}

/// An instant of the client library, rounded down.
pub(super) fn micros(instant: SystemTime) -> Micros {
    let since = instant.duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_micros()).unwrap_or(i64::MAX)
}

/// Everything that was seen.
#[derive(Debug, Clone, Default)]
pub(super) struct Facts {
    pub(super) promises: Vec<Promise>,
    pub(super) launches: Vec<Launch>,
    pub(super) sightings: Vec<Sighting>,
    /// Nodes that were told to be active, and when.
    pub(super) roused: Vec<(String, Micros)>,
    /// Nodes whose agents were killed, and when.
    pub(super) deaths: Vec<(String, Micros)>,
    /// When there was no coordinator, until all agents that live were connected again.
    pub(super) outages: Vec<(Micros, Micros)>,
    /// The first and the last moment.
    pub(super) span: (Micros, Micros),
}

/// A timer that was acknowledged.
#[derive(Debug, Clone)]
pub(super) struct Promise {
    pub(super) uid: String,
    /// The full name.
    pub(super) name: String,
    /// The node that it was registered at; none for the pool.
    pub(super) home: Option<String>,
    pub(super) when: When,
    /// When its registration was sent, and when it was acknowledged.
    pub(super) created: (Micros, Micros),
    /// When its cancellation was sent, and when it was acknowledged.
    pub(super) cancelled: Option<(Micros, Micros)>,
    /// Its last nominal time that its owner has on record as done.
    pub(super) done_until: Option<Micros>,
}

/// A handler that was called.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Launch {
    pub(super) uid: String,
    /// Where the worker is.
    pub(super) node: String,
    pub(super) nominal: Micros,
    /// As the run itself says.
    pub(super) launched: Micros,
    /// By the worker's own clock.
    pub(super) seen: Micros,
    pub(super) attempt: u32,
    pub(super) token: u64,
}

/// A node's state, when it differed from that of the look before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Sighting {
    pub(super) node: String,
    pub(super) asleep: bool,
    pub(super) at: Micros,
    /// When the look before was; it changed in between.
    pub(super) before: Micros,
}
