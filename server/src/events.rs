//! What the coordinator logs: every event with its name and its fields, in one place.
//!
//! A name never changes its meaning. No payload is ever logged.

use dormouse_edge::listen::Address;
use dormouse_engine::id::{NodeId, PoolId};
use dormouse_engine::pool::{Link, Note};
use std::time::Duration;
use tracing::{debug, error, info, warn};

pub(crate) fn ready(address: &Address, pools: usize) {
    info!(event = "server.ready", %address, pools, "the coordinator listens");
}

pub(crate) fn stopping() {
    info!(event = "server.stopping", "the coordinator ends");
}

pub(crate) fn stopped() {
    info!(
        event = "server.stopped",
        "everything acknowledged is durable"
    );
}

pub(crate) fn cut_off() {
    warn!(
        event = "server.cut_off",
        "calls in flight did not end in time and are cut off"
    );
}

pub(crate) fn pool_opened(pool: &PoolId, timers: usize, position: u64) {
    info!(event = "pool.opened", %pool, timers, position, "the pool is recovered");
}

pub(crate) fn pool_failed(pool: &PoolId, why: &dyn std::fmt::Display) {
    error!(event = "pool.failed", %pool, %why, "the pool ends, and the process with it");
}

pub(crate) fn pool_restless(pool: &PoolId) {
    warn!(event = "pool.restless", %pool, "a deadline is over and nothing follows from it");
}

pub(crate) fn turn_long(pool: &PoolId, took: Duration) {
    warn!(event = "turn.long", %pool, took_ms = took.as_millis(), "the longest turn so far; meanwhile nothing was heard");
}

pub(crate) fn session_opened(pool: &PoolId, node: &NodeId, link: Link) {
    debug!(event = "session.opened", %pool, %node, link = link.0, "a node has connected");
}

pub(crate) fn session_closed(pool: &PoolId, node: &NodeId, link: Link, why: &str) {
    debug!(event = "session.closed", %pool, %node, link = link.0, why, "a connection is no more");
}

pub(crate) fn session_slow(pool: &PoolId, link: Link) {
    warn!(event = "session.slow", %pool, link = link.0, "a node has read nothing for longer than a lease; its connection ends");
}

pub(crate) fn session_refused(why: &dyn std::fmt::Display) {
    warn!(event = "session.refused", %why, "a connection did not become a session");
}

pub(crate) fn note(pool: &PoolId, note: &Note) {
    match note {
        Note::Joined(node) => info!(event = "node.joined", %pool, %node),
        Note::Lost(node) => warn!(event = "node.lost", %pool, %node, "its lease ran out"),
        Note::Left(node) => info!(event = "node.left", %pool, %node),
        Note::Replaced(node) => {
            warn!(event = "node.replaced", %pool, %node, "another process took its name");
        }
        Note::Skewed(node, skew_ms) => {
            warn!(event = "node.skewed", %pool, %node, skew_ms, "it serves nobody else until its clock is set");
        }
        Note::SentrySilent(node) => {
            warn!(event = "sentry.silent", %pool, %node, "it did not wake; another node is woken");
        }
        Note::StaleOutcome(node) => {
            warn!(event = "outcome.stale", %pool, %node, "an outcome came with an old token and was refused");
        }
        Note::NoProgress(owner) => {
            error!(event = "engine.no_progress", %pool, ?owner, "its due timers wait; please report this");
        }
    }
}
