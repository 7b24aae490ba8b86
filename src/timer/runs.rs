//! `dormouse timer run`, `runs` and `dead`: what became of runs, and runs that are asked for.

use super::shown::{RunRow, time_or_dash};
use super::{resolve, with_name_hint};
use crate::cli::Peer;
use crate::failure::Failure;
use crate::names::{self, Named};
use crate::output::{self, Output};
use clap::{Args, Subcommand, ValueEnum};
use dormouse_agent::engine::id::PoolId;
use dormouse_client::{RunRecord, RunState};
use std::io::{self, IsTerminal as _};

#[derive(Debug, Args)]
pub(crate) struct Runs {
    #[command(flatten)]
    named: Named,

    /// Only in this state; may be given more than once.
    #[arg(long, value_enum, value_name = "STATE")]
    state: Vec<State>,

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
    Waiting,
    Running,
    Done,
    Failed,
    Dead,
    Skipped,
    Lost,
    Cancelled,
    Interrupted,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Dead {
    /// List the dead runs of a pool, by the names of their timers.
    List(List),
    /// Run a dead occurrence again, as if it were new.
    Requeue(Letter),
    /// Forget a dead occurrence.
    Purge(Letter),
}

#[derive(Debug, Args)]
pub(crate) struct List {
    /// Of this pool; if not given, of the agent's own, at a coordinator `default`.
    #[arg(long, env = "DORMOUSE_POOL", value_name = "POOL", value_parser = names::pool)]
    pool: Option<PoolId>,

    /// How many at most, unless --all is given.
    #[arg(long, default_value_t = 100, value_name = "COUNT", value_parser = clap::value_parser!(u16).range(1..=1000))]
    limit: u16,

    /// All of them.
    #[arg(long)]
    all: bool,
}

/// Which dead run.
#[derive(Debug, Args)]
pub(crate) struct Letter {
    #[command(flatten)]
    named: Named,

    /// The id of the run, as `timer dead list` shows it.
    #[arg(value_name = "RUN")]
    run: String,
}

/// Runs a timer at once.
pub(super) async fn run_now(named: &Named, peer: &Peer) -> Result<(), Failure> {
    let client = peer.connect().await?;
    let name = resolve(named, &client).await?;
    let run = client.run_now(&name).await.map_err(with_name_hint)?;
    tell(&run, &name, peer)
}

fn tell(run: &RunRecord, name: &str, peer: &Peer) -> Result<(), Failure> {
    let row = RunRow::of(run, name);
    let words = match run.run.as_str() {
        "" => format!("{name}: its node sleeps, and will run it when it wakes"),
        id => format!(
            "{name}: run {id} is {}, for {}",
            run.state,
            time_or_dash(run.nominal_time)
        ),
    };
    peer.output.one(&row, &words)
}

impl Runs {
    pub(super) async fn run(self, peer: &Peer) -> Result<(), Failure> {
        let client = peer.connect().await?;
        let name = resolve(&self.named, &client).await?;
        let states: Vec<_> = self.state.iter().map(|state| state.wanted()).collect();
        let mut pages = client.runs(&name, &states)?;
        let mut shown = Shown::new(self.limit, self.all, peer);
        while let Some(page) = pages.next().await.map_err(with_name_hint)? {
            let rows = page.iter().map(|run| RunRow::of(run, &name));
            if shown.add(rows, pages.has_more())? {
                break;
            }
        }
        shown.end("no runs")
    }
}

impl Dead {
    pub(super) async fn run(self, peer: &Peer) -> Result<(), Failure> {
        match self {
            Self::List(list) => list.run(peer).await,
            Self::Requeue(letter) => {
                let client = peer.connect().await?;
                let name = resolve(&letter.named, &client).await?;
                let run = client.requeue(&name, &letter.run).await?;
                tell(&run, &name, peer)
            }
            Self::Purge(letter) => {
                let client = peer.connect().await?;
                let name = resolve(&letter.named, &client).await?;
                client.purge(&name, &letter.run).await?;
                let purged =
                    serde_json::json!({ "timer": name, "run": letter.run, "purged": true });
                let words = format!("{name}: run {} is forgotten", letter.run);
                peer.output.one(&purged, &words)
            }
        }
    }
}

impl List {
    async fn run(self, peer: &Peer) -> Result<(), Failure> {
        let client = peer.connect().await?;
        let pool = self.pool.map(String::from).unwrap_or_default();
        let mut pages = client.dead_runs(&pool)?;
        let mut shown = Shown::new(self.limit, self.all, peer);
        while let Some(page) = pages.next().await? {
            let rows = page.iter().map(|run| RunRow::of(run, &run.timer));
            if shown.add(rows, pages.has_more())? {
                break;
            }
        }
        shown.end("no dead runs")
    }
}

/// Rows up to a limit, or all of them as they come.
struct Shown<'a> {
    peer: &'a Peer,
    rows: Vec<RunRow>,
    limit: usize,
    all: bool,
    more: bool,
}

impl<'a> Shown<'a> {
    fn new(limit: u16, all: bool, peer: &'a Peer) -> Self {
        Self {
            peer,
            rows: Vec::new(),
            limit: usize::from(limit),
            all,
            more: false,
        }
    }

    /// Adds a page; true if there are enough.
    fn add(&mut self, rows: impl Iterator<Item = RunRow>, has_more: bool) -> Result<bool, Failure> {
        self.rows.extend(rows);
        if self.all {
            if self.peer.output == Output::Json {
                self.peer.output.rows(&self.rows)?;
                self.rows.clear();
            }
            return Ok(false);
        }
        self.more = self.rows.len() > self.limit || has_more;
        let full = self.rows.len() >= self.limit;
        self.rows.truncate(self.limit);
        Ok(full)
    }

    fn end(self, nothing: &str) -> Result<(), Failure> {
        if self.rows.is_empty() && self.peer.output == Output::Table {
            return output::text(nothing);
        }
        self.peer.output.rows(&self.rows)?;
        if self.more && io::stderr().is_terminal() {
            eprintln!("hint: there are more; --all lists them");
        }
        Ok(())
    }
}

impl State {
    fn wanted(self) -> RunState {
        match self {
            Self::Waiting => RunState::Waiting,
            Self::Running => RunState::Running,
            Self::Done => RunState::Done,
            Self::Failed => RunState::Failed,
            Self::Dead => RunState::Dead,
            Self::Skipped => RunState::Skipped,
            Self::Lost => RunState::Lost,
            Self::Cancelled => RunState::Cancelled,
            Self::Interrupted => RunState::Interrupted,
        }
    }
}
