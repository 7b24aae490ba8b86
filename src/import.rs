//! `dormouse import`: timers from an export of Dormouse, or from what another scheduler has.
//!
//! The readers of foreign files (`kubernetes`, `dapr`) make `Found` of a text: timers as the wire has them, with a
//! report of what has no equivalent, and problems. The whole file is read and judged before anything is created.
//! `foreign` creates; `native` puts an export back.

mod dapr;
mod document;
mod foreign;
mod kubernetes;
mod native;
mod periods;

use crate::cli::Peer;
use crate::cron;
use crate::failure::Failure;
use crate::names;
use clap::{Args, ValueEnum};
use dormouse_agent::engine::id::PoolId;
use std::path::PathBuf;

/// Imports timers.
///
/// Without --from, FILE is what `dormouse export` wrote: everything is put back, at the coordinator, with its
/// identity. With --from, FILE is what another scheduler has: each entry becomes a timer, and what has no equivalent
/// is told. Nothing is applied if any part of the file is wrong, unless --partial is given. Importing a file again
/// changes nothing.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// The file; - for standard input.
    #[arg(value_name = "FILE")]
    file: PathBuf,

    /// What wrote the file, if it was not `dormouse export`.
    #[arg(long, value_enum, value_name = "SCHEDULER")]
    from: Option<From>,

    /// The handler that runs the timers; if not given `cron` for a crontab, `cronjob` for Kubernetes, the name of the
    /// job for Dapr.
    #[arg(long, requires = "from", value_name = "HANDLER", value_parser = names::handler)]
    handler: Option<String>,

    /// The pool of the timers; if not given the agent's own, at a coordinator `default`.
    #[arg(long, requires = "from", value_name = "POOL", value_parser = names::pool)]
    pool: Option<PoolId>,

    /// The IANA time zone of schedules that name none.
    #[arg(long, requires = "from", default_value = "UTC", value_name = "ZONE")]
    zone: String,

    /// The crontab has a column with users, as /etc/crontab has.
    #[arg(long, requires = "from")]
    system: bool,

    /// Import what is right, although other parts of the file are wrong.
    #[arg(long)]
    partial: bool,

    /// Only say what would be done.
    #[arg(long)]
    dry_run: bool,
}

/// Another scheduler.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum From {
    /// Lines of cron, as `dormouse cron import` reads them.
    Crontab,
    /// CronJob manifests, in YAML or JSON.
    Kubernetes,
    /// Jobs of Dapr, as `dapr scheduler list -o json` or `-o yaml` prints them, or as its Jobs API takes them.
    Dapr,
}

pub(crate) async fn run(arguments: Arguments, peer: &Peer) -> Result<(), Failure> {
    if arguments.system && arguments.from != Some(From::Crontab) {
        return Err(Failure::usage("--system is for --from crontab only"));
    }
    match arguments.from {
        None => native::run(&arguments, peer).await,
        Some(From::Crontab) => arguments.crontab().run(peer).await,
        Some(From::Kubernetes) => foreign::run(&arguments, kubernetes::read, peer).await,
        Some(From::Dapr) => foreign::run(&arguments, dapr::read, peer).await,
    }
}

impl Arguments {
    fn crontab(self) -> cron::Import {
        cron::Import {
            file: self.file,
            system: self.system,
            handler: self.handler.unwrap_or_else(|| cron::HANDLER.into()),
            pool: self.pool,
            zone: self.zone,
            partial: self.partial,
            dry_run: self.dry_run,
        }
    }
}
