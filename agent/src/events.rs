//! What the agent logs: every event with its name and its fields, in one place.
//!
//! A name never changes its meaning. No payload is ever logged. Levels: `warn` for what a person should look at,
//! `info` for what happens a few times a day, `debug` for what happens with every run.

use crate::executor::WorkerId;
use crate::link::Ended;
use dormouse_edge::listen::Address;
use dormouse_engine::id::NodeId;
use dormouse_engine::timer::Run;
use std::io;
use std::time::Duration;
use tracing::{debug, error, info, warn};

pub(crate) fn ready(node: &NodeId, address: &Address) {
    info!(event = "agent.ready", %node, %address, "the agent listens");
}

pub(crate) fn stopping(in_flight: usize) {
    info!(event = "agent.stopping", in_flight, "the agent ends");
}

pub(crate) fn stopped(in_time: bool) {
    info!(event = "agent.stopped", in_time, "nothing more is run");
}

pub(crate) fn restless() {
    warn!(
        event = "agent.restless",
        "a deadline is over and nothing follows from it"
    );
}

pub(crate) fn turn_long(took: Duration) {
    warn!(
        event = "turn.long",
        took_ms = took.as_millis(),
        "the longest turn so far; meanwhile nothing was heard"
    );
}

pub(crate) fn journal_failed(why: &dormouse_store::Error) {
    error!(event = "journal.failed", %why, "the agent ends");
}

pub(crate) fn alarm_failed(why: &io::Error) {
    error!(event = "alarm.failed", %why, "nothing is launched any more");
}

pub(crate) fn link_up() {
    info!(event = "link.up", "connected to the coordinator");
}

pub(crate) fn link_down(why: &Ended, retry: Duration) {
    info!(event = "link.down", %why, retry_ms = retry.as_millis(), "no connection to the coordinator");
}

pub(crate) fn clashed() {
    error!(
        event = "node.clashed",
        "another process runs under this node's name and keeps taking it; the agent ends"
    );
}

pub(crate) fn worker_attached(worker: WorkerId) {
    info!(
        event = "worker.attached",
        worker = worker.0,
        "a worker has connected"
    );
}

pub(crate) fn worker_detached(worker: WorkerId) {
    info!(
        event = "worker.detached",
        worker = worker.0,
        "a worker is no more"
    );
}

pub(crate) fn targets_offered(requests: u32, commands: usize) {
    info!(
        event = "targets.offered",
        requests, commands, "the agent delivers by itself"
    );
}

pub(crate) fn not_launched(run: &Run, why: &'static str) {
    debug!(event = "run.not_launched", timer = %run.name, run = %run.id, token = %run.token, why, "it is given back");
}
