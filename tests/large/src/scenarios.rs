//! The scenarios: one file each, in the order in which they run, and what several of them judge in the same way.

mod credits;
mod exports;
mod flood;
mod million;
mod readers;
mod restart;
mod sleep;
mod slow;

use crate::Setting;
use crate::sink::Seen;
use crate::verdict::Verdict;
use futures_util::future::LocalBoxFuture;
use std::time::Duration;
use tokio::sync::mpsc;

/// Where the lines of a scenario go.
pub(crate) type Told = mpsc::UnboundedSender<Verdict>;

/// One story in the large.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Scenario {
    pub(crate) name: &'static str,
    /// It has failed if it takes longer.
    pub(crate) limit: Duration,
    pub(crate) play: fn(Setting, Told) -> LocalBoxFuture<'static, anyhow::Result<()>>,
}

pub(crate) const SCENARIOS: [Scenario; 8] = [
    sleep::SCENARIO,
    restart::SCENARIO,
    slow::SCENARIO,
    credits::SCENARIO,
    flood::SCENARIO,
    readers::SCENARIO,
    exports::SCENARIO,
    million::SCENARIO,
];

/// Every one of `wanted` occurrences came once, and none before it was due.
fn judge_runs(verdict: &mut Verdict, seen: &Seen, wanted: usize) {
    verdict.equal("runs", seen.count(), wanted);
    verdict.equal("twice", seen.twice(), 0);
    verdict.equal("early", seen.early(), 0);
    verdict.fact("withdrawn", seen.withdrawn);
    if let Some(why) = &seen.ended {
        verdict.count(false, format!("the worker's stream has ended: {why}"));
    }
}

/// How late the timers were that must not be late meanwhile: `p99_ms` at most, and none before it was due. At least
/// half of the `wanted` came: a bound that a busy machine keeps too, and that a node which is stuck does not.
fn judge_ticks(verdict: &mut Verdict, ticks: &Seen, wanted: f64, p99_ms: f64) {
    let (late, count) = (ticks.lateness(), ticks.count());
    verdict.fact("ticks", count);
    verdict.fact("ticks_late_p50_ms", late.p50);
    verdict.fact("ticks_late_max_ms", late.max);
    verdict.at_most("ticks_late_p99_ms", late.p99, p99_ms);
    verdict.equal("ticks_twice", ticks.twice(), 0);
    verdict.equal("ticks_early", ticks.early(), 0);
    let least = wanted / 2.0;
    verdict.count(
        crate::sink::count(count) >= least,
        format!("of about {wanted:.0} ticks only {count} came"),
    );
}
