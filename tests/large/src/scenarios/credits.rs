//! 40,000 timers of the pool are due, and there are two credits: the backlog costs nothing beside the runs.
//!
//! First a few runs go one after the other through one credit: that is how long claim, run and settlement take
//! here. Two credits then make twice as many, whatever waits behind them.

use super::{Scenario, Told, judge_runs};
use crate::Setting;
use crate::load::{HANDLER, Load};
use crate::sink::{Seen, Settle, Sink, count};
use crate::stage::{PATIENCE, Stage};
use dormouse_client::wire::Durability;
use dormouse_cluster::COORDINATOR;
use std::time::{Duration, SystemTime};

pub(super) const SCENARIO: Scenario = Scenario {
    name: "credits",
    limit: Duration::from_secs(120),
    play: |setting, told| Box::pin(play(setting, told)),
};

/// Of twice the pace of one credit.
const SHARE: f64 = 0.8;
/// What the coordinator may spend on a run, in microseconds of CPU.
const CPU_US: f64 = 50.0;
/// Runs by which the pace of one credit is measured.
const PACED: usize = 500;

async fn play(setting: Setting, told: Told) -> anyhow::Result<()> {
    let mut verdict = setting.verdict("credits", "40k due with 2 credits");
    let stage = Stage::with(&setting, &["n1"]).await?;
    let few = setting.of(PACED, 100);
    make(&stage, "paced", few).await?;
    let paced = run(&stage, few, 1).await?;
    let pace = paced.rate();
    verdict.fact("cycle_us", 1e6 / pace);

    let total = setting.of(40_000, 500);
    make(&stage, "due", total).await?;
    // What it costs to make them is no part of a run.
    let before = stage.gauge(COORDINATOR)?.cpu;
    let seen = run(&stage, total, 2).await?;
    let cpu = stage.gauge(COORDINATOR)?.cpu - before;
    judge_runs(&mut verdict, &seen, total);
    verdict.equal("open", stage.until_settled(PATIENCE).await?, 0);
    verdict.at_least("runs_s", seen.rate(), SHARE * 2.0 * pace);
    let cpu_us = cpu.as_secs_f64() * 1e6 / count(total);
    if setting.scale < 1.0 {
        verdict.fact("coordinator_us_per_run", cpu_us);
    } else {
        verdict.at_most("coordinator_us_per_run", cpu_us, CPU_US);
    }
    told.send(verdict)?;
    Ok(())
}

/// Makes timers of the pool that are due before a worker comes.
async fn make(stage: &Stage, prefix: &str, total: usize) -> anyhow::Result<()> {
    let load = Load {
        address: stage.cluster.address(COORDINATOR)?,
        prefix: prefix.into(),
        count: total,
        durability: Durability::Replicated,
        payload: 100,
        due: SystemTime::now(),
    };
    load.make().await?;
    Ok(())
}

/// Lets a worker come, and run them all.
async fn run(stage: &Stage, total: usize, credits: u32) -> anyhow::Result<Seen> {
    let node = stage.cluster.address("n1")?;
    let sink = Sink::attach(&node, HANDLER, credits, Settle::AtOnce).await?;
    sink.until(total, PATIENCE).await;
    let mut seen = sink.seen().clone();
    // Its end is asked for.
    let left = sink.leave().await?;
    seen.withdrawn = left.withdrawn;
    Ok(seen)
}
