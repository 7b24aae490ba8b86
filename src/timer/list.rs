//! `dormouse timer list`: many timers, by name.

use super::shown::TimerRow;
use crate::cli::Peer;
use crate::failure::Failure;
use crate::output::{self, Output};
use crate::{names, words};
use clap::{Args, ValueEnum};
use dormouse_agent::engine::id::{NodeId, PoolId};
use dormouse_client::{TimerFilter, TimerState};
use std::io::{self, IsTerminal as _};

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

impl List {
    pub(super) async fn run(self, peer: &Peer) -> Result<(), Failure> {
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
