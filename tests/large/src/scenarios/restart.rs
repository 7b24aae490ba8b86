//! The coordinator is killed while 2,000 of its runs are in flight, and started again: all of them are settled.
//!
//! Half of them are settled while it is down, the other half after it is back. What it had outstanding was once said
//! again in one burst, which cut its nodes off, again and again.

use super::{Scenario, Told, judge_runs};
use crate::Setting;
use crate::load::{HANDLER, Load};
use crate::sink::{Settle, Sink};
use crate::stage::{PATIENCE, Stage};
use dormouse_client::wire::Durability;
use dormouse_cluster::COORDINATOR;
use std::time::{Duration, SystemTime};
use tokio::time::Instant;

pub(super) const SCENARIO: Scenario = Scenario {
    name: "restart",
    limit: Duration::from_secs(100),
    play: |setting, told| Box::pin(play(setting, told)),
};

/// Everything is settled this long after the coordinator is back.
const SETTLED_S: f64 = 10.0;

async fn play(setting: Setting, told: Told) -> anyhow::Result<()> {
    let mut verdict = setting.verdict("restart", "runs in flight over kill -9");
    let total = setting.of(2_000, 400);
    let mut stage = Stage::with(&setting, &["n1"]).await?;
    let sink = Sink::attach(
        &stage.cluster.address("n1")?,
        HANDLER,
        4_000,
        Settle::WhenTold,
    )
    .await?;
    let load = Load {
        address: stage.cluster.address(COORDINATOR)?,
        prefix: "r".into(),
        count: total,
        durability: Durability::Replicated,
        payload: 100,
        due: SystemTime::now() + Duration::from_secs(1),
    };
    load.make().await?;
    sink.until(total, PATIENCE).await;
    verdict.equal("in_flight", sink.count(), total);

    stage.cluster.kill(COORDINATOR).await?;
    sink.settle(total / 2)?;
    stage.cluster.start(COORDINATOR)?;
    let started = Instant::now();
    stage.cluster.ready(PATIENCE).await?;
    verdict.fact("ready_s", started.elapsed().as_secs_f64());
    sink.settle(total)?;
    let open = stage.until_settled(PATIENCE).await?;
    verdict.at_most("settled_s", started.elapsed().as_secs_f64(), SETTLED_S);
    verdict.equal("open", open, 0);
    judge_runs(&mut verdict, &sink.seen(), total);
    told.send(verdict)?;
    Ok(())
}
