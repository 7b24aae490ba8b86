//! The command line: what is common to all commands, and the list of them.
//!
//! The arguments of a command are declared in its own file. Whatever is wrong in itself (a name, a duration, a
//! missing flag) is refused here with exit code 2, before anything is done.

#[cfg(test)]
mod reference;

use crate::failure::Failure;
use crate::logs::Form;
use crate::output::Output;
use clap::{Args, Parser, Subcommand};
use dormouse_client::Client;

/// Timers that follow the awake.
///
/// A timer stays on the node where it was made; when that node sleeps, another one runs it.
#[derive(Debug, Parser)]
#[command(
    name = "dormouse",
    version,
    max_term_width = 100,
    after_long_help = EXIT_CODES
)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) peer: Peer,

    /// How log lines are written to standard error; which ones, DORMOUSE_LOG or RUST_LOG say (error, warn, info,
    /// debug, or TARGET=LEVEL).
    #[arg(
        long,
        global = true,
        env = "DORMOUSE_LOG_FORMAT",
        value_enum,
        default_value_t,
        value_name = "FORM"
    )]
    pub(crate) log: Form,

    /// The process that started this one; when it dies, so does this one.
    #[arg(long, global = true, hide = true, value_name = "PID")]
    pub(crate) parent: Option<u32>,

    #[command(subcommand)]
    pub(crate) command: Command,
}

const EXIT_CODES: &str = "\
Exit codes: 0 done; 1 refused or failed; 2 wrong usage; 3 not found; 4 unavailable; 78 wrong configuration.";

/// Whom to ask, and how to print the answer.
#[derive(Debug, Args)]
pub(crate) struct Peer {
    /// The agent or coordinator to talk to: http://HOST:PORT or unix:PATH.
    #[arg(
        long,
        global = true,
        env = "DORMOUSE_ADDR",
        default_value = "http://127.0.0.1:7400",
        value_name = "ADDRESS"
    )]
    pub(crate) addr: String,

    /// How to print: a table for people, or one JSON object per line, with times as RFC 3339 in UTC.
    #[arg(
        short,
        long,
        global = true,
        env = "DORMOUSE_OUTPUT",
        value_enum,
        default_value_t,
        value_name = "FORMAT"
    )]
    pub(crate) output: Output,
}

impl Peer {
    /// A client of whom to ask; nothing is sent yet.
    pub(crate) async fn connect(&self) -> Result<Client, Failure> {
        Ok(Client::connect(&self.addr).await?)
    }
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run a coordinator.
    Server(crate::server::Arguments),
    /// Run the agent of a node.
    Agent(crate::agent::Arguments),
    /// Run a coordinator and agents on this machine, to try things out; Ctrl-C ends them.
    Dev(crate::dev::Arguments),
    /// Show in half a minute what Dormouse does, with real processes on this machine.
    Demo(crate::demo::Arguments),
    /// Create, read, change, run and cancel timers.
    #[command(subcommand)]
    Timer(crate::timer::Command),
    /// Import crontabs, and show what cron expressions mean.
    #[command(subcommand)]
    Cron(crate::cron::Command),
    /// Import timers: an export of Dormouse, or what another scheduler has.
    Import(crate::import::Arguments),
    /// Write everything that a coordinator keeps to standard output.
    Export(crate::export::Arguments),
    /// Read nodes, and make them idle or active.
    #[command(subcommand)]
    Node(crate::node::Command),
    /// Show the groups of nodes, and who watches for whom.
    Topology(crate::topology::Arguments),
    /// Run what falls due at an agent: a command for each run, or a line of JSON.
    Worker(crate::worker::Arguments),
    /// Print what a shell needs to complete command lines: `source <(dormouse completions bash)`.
    Completions(crate::completions::Arguments),
    /// Print the version.
    Version,
}

impl Command {
    /// Whether it goes on until it is stopped, so that its log tells its life.
    pub(crate) fn is_role(&self) -> bool {
        matches!(self, Self::Server(_) | Self::Agent(_))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    #[test]
    fn the_declaration_holds_together() {
        Cli::command().debug_assert();
    }

    #[test]
    fn whom_to_ask_and_how_to_print_stand_before_or_after_the_command() {
        for line in [
            "dormouse --addr unix:/a -o json timer list",
            "dormouse timer --addr unix:/a list -o json",
            "dormouse timer list -o json --addr unix:/a",
        ] {
            let cli = Cli::try_parse_from(line.split(' ')).expect(line);
            assert_eq!(
                (cli.peer.addr.as_str(), cli.peer.output),
                ("unix:/a", Output::Json),
                "{line}"
            );
        }
    }

    #[test]
    fn every_setting_of_a_role_is_also_a_variable() {
        let whole = Cli::command();
        for role in ["server", "agent", "worker"] {
            let role = whole.find_subcommand(role).expect("it is declared");
            for setting in role.get_arguments().filter(|it| it.get_long().is_some()) {
                let variable = setting.get_env().unwrap_or_default();
                assert!(
                    variable.to_string_lossy().starts_with("DORMOUSE_"),
                    "{}: {setting}",
                    role.get_name()
                );
            }
        }
    }
}
