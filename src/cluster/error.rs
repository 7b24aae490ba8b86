//! Why a cluster cannot go on, in words for the person at the terminal.

use std::io;
use std::process::ExitStatus;
use std::time::Duration;

/// Why a cluster cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A process does not start.
    #[error("cannot start {name}: {error}")]
    Start {
        /// Which member.
        name: String,
        /// Why.
        error: io::Error,
    },
    /// There is no free port.
    #[error(transparent)]
    Port(#[from] io::Error),
    /// A member ended that should not have.
    #[error("{name} ended unexpectedly, {status}{last_words}")]
    Ended {
        /// Which member.
        name: String,
        /// How.
        status: ExitStatus,
        /// What it logged last, a line each.
        last_words: String,
    },
    /// Not everything was connected in time.
    #[error("{name} is not ready after {waited:?}: {why}")]
    NotReady {
        /// Which member.
        name: String,
        /// How long it had.
        waited: Duration,
        /// What is missing.
        why: String,
    },
    /// There is no member of that name, or it has an address of no kind.
    #[error("there is no member {0}")]
    Unknown(String),
    /// A member of that name exists or runs already.
    #[error("{0} is there already")]
    Exists(String),
}
