//! The program `dormouse`: every role and every command in one binary.
//!
//! Here is the life of the process: read the command line, begin to log, run one command, exit with its code. What a
//! command does is in the file of its name; what a role decides is in the crates of the roles.

mod cli;

mod agent;
mod demo;
mod dev;
mod server;

mod completions;
mod cron;
mod crontab;
mod export;
mod import;
mod node;
mod timer;
mod topology;
mod version;
mod worker;

mod failure;
mod logs;
mod names;
mod output;
mod shutdown;
mod source;
mod words;

use clap::Parser as _;
use cli::{Cli, Command};
use failure::Failure;
use std::process::ExitCode;
use std::time::Duration;

/// What still blocks a thread after the command has ended is left behind.
const RUNTIME_END: Duration = Duration::from_millis(100);

fn main() -> ExitCode {
    let cli = Cli::parse();
    if cli
        .parent
        .is_some_and(|parent| !dormouse_cluster::end_with(parent))
    {
        return ExitCode::SUCCESS;
    }
    logs::begin(cli.log, cli.command.is_role());
    match live(cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.tell(),
    }
}

fn live(cli: Cli) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::failed(format!("the system gives no threads: {error}")))?;
    let result = runtime.block_on(Box::pin(run(cli)));
    runtime.shutdown_timeout(RUNTIME_END);
    result
}

async fn run(cli: Cli) -> Result<(), Failure> {
    let Cli { peer, command, .. } = cli;
    match command {
        Command::Server(arguments) => server::run(arguments).await,
        Command::Agent(arguments) => agent::run(arguments).await,
        Command::Dev(arguments) => dev::run(arguments, &peer).await,
        Command::Demo(arguments) => demo::run(arguments, &peer).await,
        Command::Timer(command) => timer::run(command, &peer).await,
        Command::Cron(command) => cron::run(command, &peer).await,
        Command::Import(arguments) => import::run(arguments, &peer).await,
        Command::Export(arguments) => export::run(arguments, &peer).await,
        Command::Node(command) => node::run(command, &peer).await,
        Command::Topology(arguments) => topology::run(arguments, &peer).await,
        Command::Worker(arguments) => worker::run(arguments, &peer).await,
        Command::Completions(arguments) => completions::run(&arguments),
        Command::Version => version::run(&peer),
    }
}
