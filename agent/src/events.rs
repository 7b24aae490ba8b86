//! What the agent logs: every event by name and with its fields, in this one place.
//!
//! No payload and no secret is ever among them. Levels: `warn` for what a person should look at, `info` for
//! what happens a few times a day, `debug` for what happens with every run.

use crate::executor::WorkerId;
use crate::link::Ended;
use dormouse_engine::timer::Run;
use std::io;
use std::time::Duration;

pub(crate) fn started(node: &impl std::fmt::Display, listen: &impl std::fmt::Display) {
    tracing::info!(%node, %listen, "agent started");
}

pub(crate) fn stopping(in_flight: usize) {
    tracing::info!(in_flight, "agent stopping");
}

pub(crate) fn stopped(handed_over: bool) {
    tracing::info!(handed_over, "agent stopped");
}

pub(crate) fn journal_failed(error: &dormouse_store::Error) {
    tracing::error!(%error, "journal failed; the agent ends");
}

pub(crate) fn restless() {
    tracing::warn!("a deadline is over and nothing follows from it");
}

pub(crate) fn link_up() {
    tracing::info!("connected to the coordinator");
}

pub(crate) fn link_down(ended: &Ended, retry: Duration) {
    tracing::info!(%ended, retry_ms = retry.as_millis(), "no connection to the coordinator");
}

pub(crate) fn clashed() {
    tracing::error!(
        "another process runs under this node's name and keeps taking it; the agent ends"
    );
}

pub(crate) fn worker_came(worker: WorkerId) {
    tracing::info!(?worker, "worker attached");
}

pub(crate) fn worker_went(worker: WorkerId) {
    tracing::info!(?worker, "worker detached");
}

pub(crate) fn not_launched(run: &Run, why: &'static str) {
    tracing::debug!(timer = %run.name, run = %run.id, token = %run.token, why, "run not launched");
}

pub(crate) fn alarm_failed(error: &io::Error) {
    tracing::error!(%error, "the kernel's timer failed; nothing is launched any more");
}
