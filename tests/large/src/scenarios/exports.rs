//! Eight exports at once of 100,000 timers: each is whole, and no timer is late for it.

use super::{Scenario, Told, judge_ticks};
use crate::Setting;
use crate::load::{Load, TICK, tick};
use crate::sink::{Settle, Sink, count};
use crate::stage::Stage;
use dormouse_client::Client;
use dormouse_client::wire::Durability;
use dormouse_cluster::COORDINATOR;
use std::time::{Duration, SystemTime};
use tokio::task::JoinSet;
use tokio::time::Instant;

pub(super) const SCENARIO: Scenario = Scenario {
    name: "exports",
    limit: Duration::from_secs(90),
    play: |setting, told| Box::pin(play(setting, told)),
};

const EXPORTS: usize = 8;
/// The timers that must not be late meanwhile may be this late.
const LATE_MS: f64 = 50.0;
/// What the coordinator's memory may grow by, in MiB.
const GROWTH_MIB: f64 = 256.0;

async fn play(setting: Setting, told: Told) -> anyhow::Result<()> {
    let mut verdict = setting.verdict("exports", "eight at once of 100k timers");
    let total = setting.of(100_000, 2_000);
    let stage = Stage::with(&setting, &["n1"]).await?;
    let coordinator = stage.cluster.address(COORDINATOR)?;
    let ticks = Sink::attach(&stage.cluster.address("n1")?, TICK, 100, Settle::AtOnce).await?;
    let load = Load {
        address: coordinator.clone(),
        prefix: "e".into(),
        count: total,
        durability: Durability::Replicated,
        payload: 100,
        due: SystemTime::now() + Duration::from_secs(3600),
    };
    load.make().await?;
    tick(
        &coordinator,
        20,
        Duration::from_millis(200),
        Durability::Replicated,
    )
    .await?;
    tokio::time::sleep(Duration::from_secs(1)).await;
    verdict.fact("ticks_late_p99_ms_before", ticks.seen().lateness().p99);
    ticks.seen().forget_lateness();

    let (before, begun) = (stage.gauge(COORDINATOR)?, Instant::now());
    let (known, mut exports) = (ticks.count(), JoinSet::new());
    for _ in 0..EXPORTS {
        exports.spawn(export(stage.client(COORDINATOR).await?));
    }
    let mut whole = 0;
    while let Some(timers) = exports.join_next().await {
        whole += usize::from(timers?? == total);
    }
    let elapsed = begun.elapsed().as_secs_f64();
    verdict.fact("exported_s", elapsed);
    verdict.equal("whole", whole, EXPORTS);
    let after = stage.gauge(COORDINATOR)?;
    let grown = usize::try_from(after.peak_kib.saturating_sub(before.rss_kib))?;
    verdict.at_most("growth_mib", count(grown) / 1024.0, GROWTH_MIB);
    // The last ones are on their way.
    tokio::time::sleep(Duration::from_millis(500)).await;
    let seen = ticks.seen().clone();
    verdict.fact("ticks_during", seen.count() - known);
    judge_ticks(&mut verdict, &seen, elapsed * 100.0, LATE_MS);
    told.send(verdict)?;
    Ok(())
}

/// Takes a whole export; gives how many timers it has that are counted.
async fn export(client: Client) -> anyhow::Result<usize> {
    let mut lines = client.export(None).await?;
    let mut timers = 0;
    while let Some(lines) = lines.next().await? {
        timers += lines
            .iter()
            .filter(|line| line.contains("/timers/e-"))
            .count();
    }
    Ok(timers)
}
