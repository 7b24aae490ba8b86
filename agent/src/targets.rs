//! The targets that the agent itself delivers to: commands of its node, and requests over HTTP.
//!
//! ```text
//! executor --Fire, Withdraw--> a worker for each place --> a process group
//!          <--settle, extend--                         '-> a request
//! ```
//!
//! To the executor they are workers like others, each with a bound on its runs. A place that the node's owner has not
//! allowed is not offered: its runs wait in the backlog, or go to a node that offers it.

mod address;
mod allowlist;
mod answer;
mod command;
mod dial;
mod file;
mod group;
mod http;
mod placeholder;
mod reason;
mod request;
mod signature;
mod trusted;
mod user;

#[cfg(test)]
mod tests;

pub use address::Network;
pub use http::Http;

use self::http::Requests;
use crate::executor::{CREDITS_MAX, Executor};
use crate::{events, local};
use command::Commands;
use dormouse_engine::id::NodeId;
use dormouse_engine::timer::Target;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::task::JoinSet;

/// What the agent delivers to by itself; by default only what harms nobody.
#[derive(Debug, Clone, Default)]
pub struct Targets {
    /// Which requests it sends.
    pub http: Http,
    /// The allowlist of commands, a file of TOML; without it none is run.
    pub commands: Option<PathBuf>,
}

/// A file that the agent does not act upon, because of what is in it or who may write it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what} {} {why}", path.display())]
pub struct Error {
    what: &'static str,
    path: PathBuf,
    why: String,
}

impl Error {
    fn new(what: &'static str, path: &Path, why: String) -> Self {
        Self {
            what,
            path: path.to_owned(),
            why,
        }
    }
}

/// The targets of a node, checked, before anything runs.
pub(crate) struct Prepared {
    node: NodeId,
    /// With the most of them at once; none if the node sends no requests.
    requests: Option<(Requests, u32)>,
    commands: Vec<allowlist::Entry>,
}

impl Prepared {
    /// Reads what the configuration names. Looks at the disk.
    ///
    /// # Errors
    /// If any part of it is wrong or cannot be trusted.
    pub(crate) fn new(config: &Targets, node: &NodeId) -> Result<Self, Error> {
        let concurrency = config.http.concurrency.min(CREDITS_MAX);
        let requests = (concurrency > 0).then(|| Requests::new(&config.http));
        let commands = config.commands.as_deref().map(allowlist::read);
        Ok(Self {
            node: node.clone(),
            requests: requests.transpose()?.map(|it| (it, concurrency)),
            commands: commands.transpose()?.unwrap_or_default(),
        })
    }

    /// Offers every place. The tasks end when the executor is closed and everything that they began has ended.
    pub(crate) fn offer(self, executor: &Arc<Executor>) -> JoinSet<()> {
        let requests = self.requests.as_ref().map_or(0, |(_, most)| *most);
        events::targets_offered(requests, self.commands.len());
        let mut workers = JoinSet::new();
        if let Some((requests, concurrency)) = self.requests {
            let requests = Arc::new(requests);
            let place = Target::http_place();
            let served = local::serve(executor, place, concurrency, move |run, withdrawn| {
                Arc::clone(&requests).run(run, withdrawn)
            });
            workers.spawn(served);
        }
        for entry in self.commands {
            let (place, concurrency) = (entry.place.clone(), entry.concurrency);
            let command = Arc::new(Commands {
                entry,
                node: self.node.clone(),
            });
            let served = local::serve(executor, place, concurrency, move |run, withdrawn| {
                Arc::clone(&command).run(run, withdrawn)
            });
            workers.spawn(served);
        }
        workers
    }
}
