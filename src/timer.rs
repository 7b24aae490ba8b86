//! `dormouse timer`: creates, reads, moves and cancels timers.
//!
//! `create` has a file of its own; how a timer is shown is in `shown`. What a change means is decided by whoever is
//! asked, an agent or the coordinator.

mod create;
mod shown;

pub(crate) use shown::TimerRow;

use crate::cli::Peer;
use crate::failure::Failure;
use crate::names::Named;
use crate::output::{self, Output};
use crate::{names, words};
use clap::{Args, Subcommand, ValueEnum};
use dormouse_agent::engine::id::{NodeId, PoolId};
use dormouse_client::{CancelOutcome, Client, NewTime, TimerFilter, TimerState};
use serde::Serialize;
use std::io::{self, IsTerminal as _};
use std::time::Duration;

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Create a timer.
    Create(Box<create::Arguments>),
    /// Read one timer.
    Get(Named),
    /// Read many timers, by name.
    List(List),
    /// Move the next firing of a timer; a recurring one goes on by its schedule after that.
    Rearm(Rearm),
    /// End a timer, and say what it was doing.
    Cancel(Named),
}

#[derive(Debug, Args)]
pub(crate) struct List {
    /// Only of this pool; if not given, of the agent's own, at a coordinator of every pool.
    #[arg(long, env = "DORMOUSE_POOL", value_name = "POOL", value_parser = names::pool)]
    pool: Option<PoolId>,

    /// Only at home on this node.
    #[arg(long, value_name = "NODE", value_parser = names::node)]
    home: Option<NodeId>,

    /// Only in this state; may be given more than once.
    #[arg(long, value_enum, value_name = "STATE")]
    state: Vec<State>,

    /// Only with this label; may be given more than once, and then all must be there.
    #[arg(long, value_name = "KEY=VALUE", value_parser = words::label)]
    label: Vec<(String, String)>,

    /// How many at most, unless --all is given.
    #[arg(long, default_value_t = 100, value_name = "COUNT", value_parser = clap::value_parser!(u16).range(1..=1000))]
    limit: u16,

    /// All of them.
    #[arg(long)]
    all: bool,
}

/// A state to list by.
#[derive(Debug, Clone, Copy, ValueEnum)]
#[value(rename_all = "snake_case")]
enum State {
    Scheduled,
    Running,
    Done,
    Failed,
    Dead,
    Cancelled,
    Unreachable,
    Pending,
    Paused,
    Lost,
    Skipped,
}

#[derive(Debug, Args)]
pub(crate) struct Rearm {
    #[command(flatten)]
    named: Named,

    #[command(flatten)]
    time: NewTimeArguments,
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
        Command::Cancel(named) => cancel(&named, peer).await,
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

impl Rearm {
    async fn run(self, peer: &Peer) -> Result<(), Failure> {
        let time = match (self.time.after, self.time.at) {
            (Some(wait), _) => NewTime::After(wait),
            (None, Some(time)) => time,
            (None, None) => return Err(Failure::usage("give --after or --at")),
        };
        let client = peer.connect().await?;
        let name = resolve(&self.named, &client).await?;
        let timer = client.rearm(&name, time).await.map_err(with_name_hint)?;
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

impl List {
    async fn run(self, peer: &Peer) -> Result<(), Failure> {
        let client = peer.connect().await?;
        let all = self.all;
        let limit = usize::from(self.limit);
        let mut pages = client.list(self.filter());
        let mut rows: Vec<TimerRow> = Vec::new();
        let mut more = false;
        while let Some(page) = pages.next().await? {
            rows.extend(page.iter().map(TimerRow::of));
            if !all && rows.len() >= limit {
                more = rows.len() > limit || pages.has_more();
                rows.truncate(limit);
                break;
            }
            if all && peer.output == Output::Json {
                peer.output.rows(&rows)?;
                rows.clear();
            }
        }
        if rows.is_empty() && peer.output == Output::Table {
            return output::text("no timers");
        }
        peer.output.rows(&rows)?;
        if more && io::stderr().is_terminal() {
            eprintln!("hint: there are more; --all lists them");
        }
        Ok(())
    }

    fn filter(self) -> TimerFilter {
        TimerFilter {
            pool: self.pool.map(String::from).unwrap_or_default(),
            home: self.home.map(String::from).unwrap_or_default(),
            states: self.state.into_iter().map(State::wanted).collect(),
            labels: self.label.into_iter().collect(),
            page_size: if self.all { 0 } else { self.limit },
        }
    }
}

impl State {
    fn wanted(self) -> TimerState {
        match self {
            Self::Scheduled => TimerState::Scheduled,
            Self::Running => TimerState::Running,
            Self::Done => TimerState::Done,
            Self::Failed => TimerState::Failed,
            Self::Dead => TimerState::Dead,
            Self::Cancelled => TimerState::Cancelled,
            Self::Unreachable => TimerState::Unreachable,
            Self::Pending => TimerState::Pending,
            Self::Paused => TimerState::Paused,
            Self::Lost => TimerState::Lost,
            Self::Skipped => TimerState::Skipped,
        }
    }
}
