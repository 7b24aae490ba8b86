//! `dormouse export`: everything that a coordinator keeps, as lines of JSON, for `dormouse import`.

use crate::cli::Peer;
use crate::failure::Failure;
use crate::names;
use crate::output;
use clap::Args;
use dormouse_agent::engine::id::PoolId;
use indicatif::{ProgressBar, ProgressStyle};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// How often a bar is drawn.
const DRAWN_EVERY: Duration = Duration::from_millis(100);

/// Writes everything that a coordinator keeps to standard output, a line of JSON for each fact.
///
/// Each pool is written as it is at one moment. `dormouse import` puts the lines into another coordinator, or back.
/// Timers that only their own node keeps (local ones of an awake node) are not among them. On a terminal a bar on
/// standard error shows how far it is.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Only this pool.
    #[arg(long, env = "DORMOUSE_POOL", value_name = "POOL", value_parser = names::pool)]
    pool: Option<PoolId>,
}

pub(crate) async fn run(arguments: Arguments, peer: &Peer) -> Result<(), Failure> {
    let client = peer.connect().await?;
    let pool = arguments.pool.as_ref().map(PoolId::as_str);
    let mut lines = client.export(pool).await?;
    let written = counter();
    let mut progress = None;
    while let Some(some) = lines.next().await? {
        let progress = progress
            .get_or_insert_with(|| Progress::watch("lines", lines.total(), written.clone()));
        if !some.is_empty() {
            progress.hidden(|| output::text(&some.join("\n")))?;
        }
        written.fetch_add(some.len() as u64, Ordering::Relaxed);
    }
    Ok(())
}

/// A count that a bar can watch.
pub(crate) fn counter() -> Arc<AtomicU64> {
    Arc::new(AtomicU64::new(0))
}

/// A bar on standard error, if that is a terminal; it goes away when this is dropped.
pub(crate) struct Progress {
    bar: ProgressBar,
    drawing: tokio::task::JoinHandle<()>,
}

impl Progress {
    /// Shows how much of `total` the count has reached.
    pub(crate) fn watch(what: &str, total: u64, count: Arc<AtomicU64>) -> Self {
        let style = ProgressStyle::with_template("{bar:30} {pos}/{len} {msg}, {elapsed}")
            .expect("the template has only known keys");
        let bar = ProgressBar::new(total).with_style(style);
        bar.set_message(what.to_owned());
        let drawn = bar.clone();
        let drawing = tokio::spawn(async move {
            loop {
                tokio::time::sleep(DRAWN_EVERY).await;
                drawn.set_position(count.load(Ordering::Relaxed));
            }
        });
        Self { bar, drawing }
    }

    /// Does something that may write to the same terminal.
    pub(crate) fn hidden<R>(&self, write: impl FnOnce() -> R) -> R {
        self.bar.suspend(write)
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.drawing.abort();
        self.bar.finish_and_clear();
    }
}
