//! What an agent is started with, and why it may not start or go on.
//!
//! Reading flags and files is left to the program.

use crate::targets::{self, Targets};
use dormouse_edge::listen::{self, Address};
use dormouse_engine::id::{NodeId, PoolId, RackId};
use dormouse_engine::record::Unreadable;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tonic::transport::Uri;

/// The window within which a REPLICATED_ASYNC change is shipped, unless said otherwise.
pub const REPLICATE_AFTER: Duration = Duration::from_millis(200);

/// What an agent is started with.
#[derive(Debug, Clone)]
pub struct Config {
    /// The node's name; of two agents with one name the newer one wins.
    pub node: NodeId,
    /// Its pool: nodes that can run each other's timers.
    pub pool: PoolId,
    /// Its rack: what fails together and is near.
    pub rack: RackId,
    /// Where the coordinator is: `http://HOST:PORT`. It need not be there yet.
    pub coordinator: String,
    /// Where applications, workers and the command line reach this agent.
    pub listen: Address,
    /// The data directory, for this node alone.
    pub data: PathBuf,
    /// How long a REPLICATED_ASYNC change may wait before it is shipped.
    pub replicate_after: Duration,
    /// Whether `listen` may be an address that other machines can reach, without TLS.
    pub insecure: bool,
    /// What the agent delivers to by itself.
    pub targets: Targets,
}

/// Why an agent does not start, or ended.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Error {
    /// The coordinator's address is none.
    #[error("the coordinator's address {address:?} {why}; write http://HOST:PORT")]
    Coordinator {
        /// What was given.
        address: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// Nothing listens.
    #[error(transparent)]
    Listen(Arc<listen::Error>),
    /// The data directory cannot be used, or a write to it failed; nothing acknowledged is lost.
    #[error(transparent)]
    Store(#[from] dormouse_store::Error),
    /// The data directory holds what this version cannot read.
    #[error(transparent)]
    Unreadable(#[from] Unreadable),
    /// A file that says what the agent delivers to is wrong, or cannot be trusted.
    #[error(transparent)]
    Targets(#[from] targets::Error),
    /// Another process with this node's name keeps taking it.
    #[error(
        "another agent runs under the name of this node and keeps taking it; give each machine a --node of its own"
    )]
    Clashed,
    /// The system refuses something that every process has.
    #[error("the system refuses {what}: {error}")]
    System {
        /// What was asked for.
        what: &'static str,
        /// What it said.
        error: Arc<io::Error>,
    },
    /// Part of the agent panicked, which only a bug can cause.
    #[error("the agent ended by a fault of its own; please report what it logged before")]
    Fault,
}

impl From<listen::Error> for Error {
    fn from(error: listen::Error) -> Self {
        Self::Listen(Arc::new(error))
    }
}

impl Error {
    /// For `map_err` of what the system refuses.
    pub(crate) fn system(what: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |error| Self::System {
            what,
            error: Arc::new(error),
        }
    }

    /// The exit code of a program that ends by it: 78 if a restart alone does not help, else 1.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        let is_config = match self {
            Self::Coordinator { .. } | Self::Unreadable(_) | Self::Targets(_) | Self::Clashed => {
                true
            }
            Self::Listen(error) => error.needs_a_person(),
            Self::Store(error) => error.is_config(),
            Self::System { .. } | Self::Fault => false,
        };
        if is_config { 78 } else { 1 }
    }
}

/// Accepts `http://HOST:PORT`.
pub(crate) fn check_coordinator(address: &str) -> Result<(), Error> {
    let refused = |why| Error::Coordinator {
        address: address.to_owned(),
        why,
    };
    let uri: Uri = address.parse().map_err(|_| refused("is no address"))?;
    match uri.scheme_str() {
        Some("http") => {}
        Some("https") => return Err(refused("asks for TLS, which is not there yet")),
        _ => return Err(refused("does not begin with http://")),
    }
    let host = uri.host().unwrap_or_default();
    if host.is_empty()
        || uri
            .authority()
            .is_some_and(|authority| authority.as_str().contains('@'))
    {
        return Err(refused("has no host, or credentials before it"));
    }
    if uri.port_u16().is_none() {
        return Err(refused("has no port"));
    }
    if !matches!(uri.path(), "" | "/") || uri.query().is_some() {
        return Err(refused("has a path, and it must be only a host and a port"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_coordinator_is_a_host_and_a_port() {
        for right in [
            "http://127.0.0.1:7400",
            "http://coordinator.svc:7400/",
            "http://[::1]:1",
        ] {
            assert!(check_coordinator(right).is_ok(), "{right}");
        }
        let wrong = [
            "",
            "127.0.0.1:7400",
            "coordinator",
            "https://h:1",
            "http://",
            "http://h",
            "http://u:p@h:1",
            "http://h:1/x",
            "http://h:70000",
            "ftp://h:1",
        ];
        for wrong in wrong {
            let error = check_coordinator(wrong).map_err(|error| error.exit_code());
            assert_eq!(error, Err(78), "{wrong}");
        }
    }

    #[test]
    fn what_a_restart_cures_has_another_exit_code() {
        assert_eq!(Error::Clashed.exit_code(), 78);
        assert_eq!(Error::Store(dormouse_store::Error::Closed).exit_code(), 1);
        assert_eq!(Error::Fault.exit_code(), 1);
    }
}
