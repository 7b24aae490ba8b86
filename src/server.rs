//! `dormouse server`: runs a coordinator until it is asked to end.

use crate::failure::Failure;
use crate::{shutdown, words};
use clap::Args;
use dormouse_server::{Address, Config};
use std::path::PathBuf;
use std::time::Duration;

#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// The data directory, for this coordinator alone; made if it does not exist.
    #[arg(long, env = "DORMOUSE_DATA", value_name = "DIR")]
    data: PathBuf,

    /// Where to listen: HOST:PORT or unix:PATH.
    #[arg(
        long,
        env = "DORMOUSE_LISTEN",
        default_value = "127.0.0.1:7400",
        value_name = "ADDRESS"
    )]
    listen: Address,

    /// How long a node's session lives without renewal.
    #[arg(long, env = "DORMOUSE_LEASE", default_value = "10s", value_name = "DURATION", value_parser = words::duration)]
    lease: Duration,

    /// How long after its promised wake-up a node is still believed alive.
    #[arg(long, env = "DORMOUSE_WAKE_GRACE", default_value = "2s", value_name = "DURATION", value_parser = words::duration)]
    wake_grace: Duration,

    /// Listen where other machines can reach it, although there is no TLS yet.
    #[arg(long, env = "DORMOUSE_INSECURE")]
    insecure: bool,
}

pub(crate) async fn run(arguments: Arguments) -> Result<(), Failure> {
    let config = Config {
        data: arguments.data,
        listen: arguments.listen,
        lease: arguments.lease,
        wake_grace: arguments.wake_grace,
        insecure: arguments.insecure,
    };
    let shutdown = shutdown::asked()?;
    let ended = Box::pin(dormouse_server::run(config, shutdown)).await;
    ended.map_err(|error| Failure::with_code(error.exit_code(), error))
}
