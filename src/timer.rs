//! `dormouse timer`: creates, reads, moves and cancels timers.
//!
//! Most commands have a file of their own, and so has each kind of flag; how things are shown is in `shown`. What a change means is decided by whoever is
//! asked, an agent or the coordinator.

mod create;
mod list;
mod policy;
mod runs;
mod schedule;
mod shown;
mod target;
mod update;
mod watch;

pub(crate) use shown::TimerRow;

use crate::cli::Peer;
use crate::failure::Failure;
use crate::names::Named;
use crate::output::{self, Output};
use crate::words;
use clap::{Args, Subcommand, ValueEnum};
use dormouse_client::{CancelOutcome, Client, NewTime, Rearm, RearmMode};
use serde::Serialize;
use std::time::Duration;

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Create a timer.
    Create(Box<create::Arguments>),
    /// Read one timer.
    Get(Named),
    /// Read many timers, by name.
    List(list::List),
    /// Move the next firing of a timer; a recurring one goes on by its schedule after that.
    Rearm(Move),
    /// Change fields of a timer. Occurrences of before the edit are dropped.
    Update(Box<update::Update>),
    /// End a timer, and say what it was doing.
    Cancel(Named),
    /// Stop the occurrences of a timer until it is resumed; those in between are not missed.
    Pause(Named),
    /// Go on with the first occurrence after now.
    Resume(Named),
    /// Run a timer now, besides its schedule.
    Run(Named),
    /// Show what became of a timer's runs, the newest first.
    Runs(runs::Runs),
    /// List, repeat and forget runs whose attempts are used up.
    #[command(subcommand)]
    Dead(runs::Dead),
    /// Tell every change of the timers of a pool, until it is stopped.
    Watch(watch::Watch),
}

#[derive(Debug, Args)]
pub(crate) struct Move {
    #[command(flatten)]
    named: Named,

    #[command(flatten)]
    time: NewTimeArguments,

    /// What wins if the timer waits already.
    #[arg(long, value_enum, default_value_t, value_name = "MODE")]
    mode: Mode,

    /// What is delivered from now on: a text, @FILE for the content of a file, @- for standard input.
    #[arg(long, value_name = "TEXT|@FILE")]
    payload: Option<String>,
}

/// What wins if the timer waits already.
#[derive(Debug, Clone, Copy, Default, ValueEnum)]
enum Mode {
    /// The new time.
    #[default]
    Replace,
    /// The old time; the new payload counts.
    KeepTime,
    /// The old time; nothing changes.
    Drop,
}

#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
struct NewTimeArguments {
    /// So long from now.
    #[arg(long, value_name = "DURATION", value_parser = words::duration)]
    after: Option<Duration>,

    /// At this time: RFC 3339, or +15m.
    #[arg(long, value_name = "TIME", value_parser = words::time)]
    at: Option<NewTime>,
}

pub(crate) async fn run(command: Command, peer: &Peer) -> Result<(), Failure> {
    match command {
        Command::Create(arguments) => create::run(*arguments, peer).await,
        Command::Get(named) => get(&named, peer).await,
        Command::List(list) => list.run(peer).await,
        Command::Rearm(rearm) => rearm.run(peer).await,
        Command::Update(update) => update.run(peer).await,
        Command::Cancel(named) => cancel(&named, peer).await,
        Command::Pause(named) => pause(&named, peer).await,
        Command::Resume(named) => resume(&named, peer).await,
        Command::Run(named) => runs::run_now(&named, peer).await,
        Command::Runs(runs) => runs.run(peer).await,
        Command::Dead(dead) => dead.run(peer).await,
        Command::Watch(watch) => watch.run(peer).await,
    }
}

async fn get(named: &Named, peer: &Peer) -> Result<(), Failure> {
    let client = peer.connect().await?;
    let name = resolve(named, &client).await?;
    let timer = client.get(&name).await.map_err(with_name_hint)?;
    match peer.output {
        Output::Json => output::json(&shown::Details::of(&timer)),
        Output::Table => output::text(&shown::in_words(&timer)),
    }
}

async fn pause(named: &Named, peer: &Peer) -> Result<(), Failure> {
    let client = peer.connect().await?;
    let name = resolve(named, &client).await?;
    let timer = client.pause(&name).await.map_err(with_name_hint)?;
    peer.output.rows(&[TimerRow::of(&timer)])
}

async fn resume(named: &Named, peer: &Peer) -> Result<(), Failure> {
    let client = peer.connect().await?;
    let name = resolve(named, &client).await?;
    let timer = client.resume(&name).await.map_err(with_name_hint)?;
    peer.output.rows(&[TimerRow::of(&timer)])
}

/// The full name that is meant: a bare id is the pool's, or else one of the agent's own node.
async fn resolve(named: &Named, client: &Client) -> Result<String, Failure> {
    let name = named.full();
    if named.at("n").is_none() {
        return Ok(name);
    }
    match client.get(&name).await {
        Err(dormouse_client::Error::NotFound { .. }) => {}
        Ok(_) | Err(_) => return Ok(name),
    }
    let Some(own) = client
        .own_node()
        .await
        .ok()
        .and_then(|own| named.at(&own.node))
    else {
        return Ok(name);
    };
    Ok(if client.get(&own).await.is_ok() {
        own
    } else {
        name
    })
}

impl Move {
    async fn run(self, peer: &Peer) -> Result<(), Failure> {
        let time = match (self.time.after, self.time.at) {
            (Some(wait), _) => NewTime::After(wait),
            (None, Some(time)) => time,
            (None, None) => return Err(Failure::usage("give --after or --at")),
        };
        let mut rearm = Rearm::to(time).mode(match self.mode {
            Mode::Replace => RearmMode::Replace,
            Mode::KeepTime => RearmMode::KeepTime,
            Mode::Drop => RearmMode::Drop,
        });
        if let Some(payload) = &self.payload {
            rearm = rearm.payload(words::payload(payload).map_err(Failure::failed)?);
        }
        let client = peer.connect().await?;
        let name = resolve(&self.named, &client).await?;
        let timer = client.rearm(&name, rearm).await.map_err(with_name_hint)?;
        peer.output.rows(&[TimerRow::of(&timer)])
    }
}

/// What became of a cancel, and what the timer was.
#[derive(Serialize)]
struct Cancelled {
    #[serde(flatten)]
    timer: TimerRow,
    outcome: &'static str,
    /// Of the run that is not stopped; null unless the outcome is `running`.
    token: Option<u64>,
}

async fn cancel(named: &Named, peer: &Peer) -> Result<(), Failure> {
    let client = peer.connect().await?;
    let name = resolve(named, &client).await?;
    let known = client.get(&name).await.ok();
    let outcome = client.cancel(&name).await?;
    if outcome == CancelOutcome::NotFound {
        let failure = Failure::not_found(format!("there is no timer {name}"));
        return Err(failure.hint(NAME_HINT));
    }
    let token = match outcome {
        CancelOutcome::Running { token } => Some(token),
        _ => None,
    };
    let words = format!("{name}: {}", cancel_words(outcome));
    let cancelled = Cancelled {
        timer: TimerRow::cancelled(name, known.as_ref(), outcome),
        outcome: outcome.as_str(),
        token,
    };
    peer.output.one(&cancelled, &words)
}

fn cancel_words(outcome: CancelOutcome) -> String {
    let words = match outcome {
        CancelOutcome::Cancelled => "cancelled",
        CancelOutcome::AlreadyFired => "already fired, nothing was left to cancel",
        CancelOutcome::Running { token } => {
            return format!("cancelled; the run with token {token} is not stopped");
        }
        CancelOutcome::Pending => {
            "pending: its node sleeps, and will drop it before it fires anything"
        }
        other => other.as_str(),
    };
    words.to_owned()
}

const NAME_HINT: &str = "`dormouse timer list` shows full names; a bare id stands for pools/default/timers/ID, \
                         --pool and --node say otherwise";

fn with_name_hint(error: dormouse_client::Error) -> Failure {
    let is_missing = matches!(error, dormouse_client::Error::NotFound { .. });
    let failure = Failure::from(error);
    if is_missing {
        failure.hint(NAME_HINT)
    } else {
        failure
    }
}
