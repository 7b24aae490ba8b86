//! 100,000 timers of one node fall due at once, and their worker is slow; another timer of the node is on time.
//!
//! What has waited for a second was once handed over to a pool in which nobody else has the handler, and came back
//! one by one.

use super::{Scenario, Told, judge_runs, judge_ticks};
use crate::Setting;
use crate::load::{HANDLER, Load, TICK, tick};
use crate::sink::{Settle, Sink, count};
use crate::stage::Stage;
use dormouse_client::wire::Durability;
use dormouse_cluster::COORDINATOR;
use std::time::{Duration, SystemTime};
use tokio::time::Instant;

pub(super) const SCENARIO: Scenario = Scenario {
    name: "slow",
    limit: Duration::from_secs(120),
    play: |setting, told| Box::pin(play(setting, told)),
};

/// The worker settles a run after this; with its credits that makes 5,000 a second.
const SLOW: Duration = Duration::from_millis(200);
const CREDITS: u32 = 1_000;
/// Without a further run for this long, the rest is lost.
const PATIENCE: Duration = Duration::from_secs(20);
/// The other timer may be this late.
const LATE_MS: f64 = 20.0;
/// Of what the worker can do at most, this share must be done.
const SHARE: f64 = 0.8;

async fn play(setting: Setting, told: Told) -> anyhow::Result<()> {
    let mut verdict = setting.verdict("slow", "100k due at a slow worker");
    let total = setting.of(100_000, 3_000);
    let stage = Stage::with(&setting, &["n1", "n2"]).await?;
    let n1 = stage.cluster.address("n1")?;
    let slow = Sink::attach(&n1, HANDLER, CREDITS, Settle::After(SLOW)).await?;
    let ticks = Sink::attach(&n1, TICK, 10, Settle::AtOnce).await?;
    let lead = Duration::from_secs(2 + u64::try_from(total)? / 15_000);
    let due = SystemTime::now() + lead;
    let load = Load {
        address: n1.clone(),
        prefix: "s".into(),
        count: total,
        durability: Durability::Ephemeral,
        payload: 100,
        due,
    };
    load.make().await?;
    let slack = due.duration_since(SystemTime::now()).unwrap_or_default();
    verdict.at_least("slack_s", slack.as_secs_f64(), 0.0);
    tick(&n1, 1, Duration::from_secs(1), Durability::Ephemeral).await?;
    let begun = Instant::now();

    slow.until(total, slack + PATIENCE).await;
    tokio::time::sleep(2 * SLOW).await;
    judge_ticks(
        &mut verdict,
        &ticks.seen(),
        begun.elapsed().as_secs_f64(),
        LATE_MS,
    );
    judge_runs(&mut verdict, &slow.seen(), total);
    let able = f64::from(CREDITS) / SLOW.as_secs_f64();
    verdict.at_least("runs_s", slow.seen().rate(), SHARE * able.min(count(total)));
    verdict.fact("agent_cpu_s", stage.gauge("n1")?.cpu.as_secs_f64());
    verdict.fact(
        "coordinator_cpu_s",
        stage.gauge(COORDINATOR)?.cpu.as_secs_f64(),
    );
    told.send(verdict)?;
    Ok(())
}
