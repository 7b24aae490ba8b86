//! `dormouse timer watch`: every change of the timers of a pool, a line for each, until it is stopped.

use super::shown::{Details, RunRow};
use crate::cli::Peer;
use crate::failure::Failure;
use crate::output::{self, Output};
use crate::{names, shutdown};
use clap::Args;
use dormouse_agent::engine::id::PoolId;
use dormouse_client::TimerChange;
use serde::Serialize;
use std::pin::pin;

#[derive(Debug, Args)]
pub(crate) struct Watch {
    /// Of this pool; if not given, of the agent's own, at a coordinator `default`.
    #[arg(long, env = "DORMOUSE_POOL", value_name = "POOL", value_parser = names::pool)]
    pool: Option<PoolId>,

    /// Go on after the change with this `resume_token` of an earlier watch, rather than begin with every timer.
    #[arg(
        long,
        value_name = "TOKEN",
        default_value = "",
        hide_default_value = true
    )]
    resume: String,
}

/// One change, as a line of JSON: `kind` says which of the fields is there.
#[derive(Debug, Serialize)]
struct Line {
    kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    timer: Option<Details>,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    run: Option<RunRow>,
    /// Null as long as a later watch would have to begin anew.
    resume_token: Option<String>,
}

impl Watch {
    pub(super) async fn run(self, peer: &Peer) -> Result<(), Failure> {
        let client = peer.connect().await?;
        let pool = self.pool.map(String::from).unwrap_or_default();
        let mut watch = client.watch_from(&pool, &self.resume)?;
        let mut stopped = pin!(shutdown::asked()?);
        loop {
            let change = tokio::select! {
                change = watch.next() => change?,
                () = &mut stopped => return Ok(()),
            };
            match peer.output {
                Output::Json => output::json(&Line::of(&change, watch.token()))?,
                Output::Table => output::text(&in_words(&change))?,
            }
        }
    }
}

impl Line {
    fn of(change: &TimerChange, token: &str) -> Self {
        let mut line = Self {
            kind: "unknown",
            timer: None,
            name: None,
            run: None,
            resume_token: Some(token.to_owned()).filter(|token| !token.is_empty()),
        };
        match change {
            TimerChange::Reset => line.kind = "reset",
            TimerChange::Timer(timer) => {
                line.kind = "timer";
                line.timer = Some(Details::of(timer));
            }
            TimerChange::Removed(name) => {
                line.kind = "removed";
                line.name = Some(name.clone());
            }
            TimerChange::Run(run) => {
                line.kind = "run";
                line.run = Some(RunRow::of(run, &run.timer));
            }
            _ => {}
        }
        line
    }
}

fn in_words(change: &TimerChange) -> String {
    match change {
        TimerChange::Reset => "-- every timer that there is, then what changes:".into(),
        TimerChange::Timer(timer) => match timer.next_times.first() {
            Some(next) => format!(
                "{} is {}, next {}",
                timer.name,
                timer.state,
                output::time(*next)
            ),
            None => format!("{} is {}", timer.name, timer.state),
        },
        TimerChange::Removed(name) => format!("{name} is no more"),
        TimerChange::Run(run) => {
            let run = RunRow::of(run, &run.timer);
            run.in_words()
        }
        _ => "something that this version does not know".into(),
    }
}
