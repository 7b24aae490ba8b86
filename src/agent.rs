//! `dormouse agent`: runs the agent of a node until it is asked to end; it then hands its timers over.

mod targets;

pub(crate) use targets::Targets;

use crate::failure::Failure;
use crate::{names, shutdown, words};
use clap::Args;
use dormouse_agent::engine::id::{NodeId, PoolId, RackId};
use dormouse_agent::{Address, Config, Error};
use std::path::PathBuf;
use std::time::Duration;

#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// The name of this node; of two agents with one name the newer one wins.
    #[arg(long, env = "DORMOUSE_NODE", value_name = "NODE", value_parser = names::node)]
    node: NodeId,

    /// Its rack: what fails together and is near.
    #[arg(long, env = "DORMOUSE_RACK", value_name = "RACK", value_parser = names::rack)]
    rack: RackId,

    /// Its pool: nodes that can run each other's timers.
    #[arg(long, env = "DORMOUSE_POOL", default_value = names::POOL, value_name = "POOL", value_parser = names::pool)]
    pool: PoolId,

    /// Where the coordinator is; it need not be there yet.
    #[arg(
        long,
        env = "DORMOUSE_COORDINATOR",
        default_value = "http://127.0.0.1:7400",
        value_name = "ADDRESS"
    )]
    coordinator: String,

    /// Where applications, workers and this program reach the agent: HOST:PORT or unix:PATH.
    #[arg(
        long,
        env = "DORMOUSE_LISTEN",
        default_value = "127.0.0.1:7401",
        value_name = "ADDRESS"
    )]
    listen: Address,

    /// The data directory, for this node alone; made if it does not exist.
    #[arg(long, env = "DORMOUSE_DATA", value_name = "DIR")]
    data: PathBuf,

    /// How long a change of a REPLICATED_ASYNC timer may wait before it is shipped.
    #[arg(long, env = "DORMOUSE_REPLICATE_AFTER", default_value = "200ms", value_name = "DURATION", value_parser = words::duration)]
    replicate_after: Duration,

    /// Listen where other machines can reach it, although there is no TLS yet.
    #[arg(long, env = "DORMOUSE_INSECURE")]
    insecure: bool,

    #[command(flatten)]
    targets: Targets,
}

pub(crate) async fn run(arguments: Arguments) -> Result<(), Failure> {
    let config = Config {
        node: arguments.node,
        pool: arguments.pool,
        rack: arguments.rack,
        coordinator: arguments.coordinator,
        listen: arguments.listen,
        data: arguments.data,
        replicate_after: arguments.replicate_after,
        insecure: arguments.insecure,
        targets: arguments.targets.read().map_err(told)?,
    };
    let shutdown = shutdown::asked()?;
    let ended = Box::pin(dormouse_agent::run(config, shutdown)).await;
    ended.map_err(told)
}

fn told(error: impl Into<Error>) -> Failure {
    let error = error.into();
    Failure::with_code(error.exit_code(), error)
}
