//! Why a coordinator does not start, or ends by itself.

use dormouse_edge::listen;
use dormouse_engine::id::PoolId;
use dormouse_engine::record::Unreadable;
use dormouse_store as store;
use std::io;

/// Bad configuration, as `sysexits.h` numbers it: a restart does not cure it.
const EX_CONFIG: u8 = 78;

/// Why a coordinator does not start, or ends by itself. Nothing that was acknowledged is lost by any of them.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A setting is outside its limits.
    #[error("{0}")]
    Config(String),
    /// The data directory cannot be used.
    #[error(transparent)]
    Data(store::Error),
    /// A record of a pool does not decode; nothing was changed.
    #[error("the data of pool {pool} cannot be used: {why}")]
    Record {
        /// Which pool.
        pool: PoolId,
        /// Why.
        why: Unreadable,
    },
    /// It cannot listen.
    #[error(transparent)]
    Listen(#[from] listen::Error),
    /// Something could not be made durable, so that nothing more may be answered.
    #[error("pool {pool} cannot write its journal: {why}")]
    Append {
        /// Which pool.
        pool: PoolId,
        /// Why.
        why: store::Error,
    },
    /// A pool's task ended by a bug.
    #[error("the task of pool {pool} has failed: {why}; please report this")]
    Task {
        /// Which pool.
        pool: PoolId,
        /// What it said.
        why: String,
    },
    /// The transport failed as a whole.
    #[error("cannot serve: {0}")]
    Serve(#[from] tonic::transport::Error),
    /// The system refused something that is needed to run.
    #[error("the system refuses: {0}")]
    System(#[from] io::Error),
}

impl Error {
    /// With which code the process should exit: 78 for what a restart does not cure, otherwise 1.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        let needs_a_person = match self {
            Self::Config(_) | Self::Record { .. } => true,
            Self::Data(why) => why.is_config(),
            Self::Listen(why) => why.needs_a_person(),
            Self::Append { .. } | Self::Task { .. } => false,
            Self::Serve(_) | Self::System(_) => false,
        };
        if needs_a_person { EX_CONFIG } else { 1 }
    }
}

impl From<store::Error> for Error {
    fn from(why: store::Error) -> Self {
        Self::Data(why)
    }
}
