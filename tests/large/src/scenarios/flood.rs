//! Creates at three times the capacity: what the coordinator can do it goes on doing, and no timer is late for it.
//!
//! ```text
//! closed loop: create --ok--> cancel --ok--> create ...   a window of them; the best goodput is the capacity
//! open loop:   create create create create create ...     3 x capacity, whatever is answered, for 30 s
//!                 \--ok--> cancel, on a stream of its own
//! ```
//!
//! Every timer that was made is cancelled, so that what grows is what the coordinator cannot let go of.

mod generator;

use super::{Scenario, Told, judge_ticks};
use crate::Setting;
use crate::load::{TICK, tick};
use crate::sink::{Settle, Sink, count};
use crate::stage::Stage;
use dormouse_client::wire::Durability;
use dormouse_cluster::COORDINATOR;
use std::time::Duration;

pub(super) const SCENARIO: Scenario = Scenario {
    name: "flood",
    limit: Duration::from_secs(100),
    play: |setting, told| Box::pin(play(setting, told)),
};

/// The windows of which the best one tells the capacity.
const WINDOWS: [usize; 3] = [64, 256, 1024];
/// How long each is tried.
const TRIAL: Duration = Duration::from_secs(4);
/// Times the capacity.
const OVERLOAD: f64 = 3.0;
/// How long the flood lasts; a third of it is for warming up.
const FLOOD: Duration = Duration::from_secs(30);
/// Of the capacity.
const GOODPUT_SHARE: f64 = 0.9;
/// The timers of the pool may be this late.
const LATE_MS: f64 = 50.0;
/// Memory at the end, as a multiple of that after a third.
const RSS_RATIO: f64 = 1.1;
/// What the coordinator may have in all, in MiB.
const RSS_MIB: f64 = 512.0;
/// Timers of the pool that go on firing, every [`TICK_EVERY`].
const TICKS: u32 = 20;
const TICK_EVERY: Duration = Duration::from_millis(200);

async fn play(setting: Setting, told: Told) -> anyhow::Result<()> {
    let mut verdict = setting.verdict("flood", "creates at 3 times capacity");
    let stage = Stage::with(&setting, &["n1"]).await?;
    let coordinator = stage.cluster.address(COORDINATOR)?;
    let ticks = Sink::attach(&stage.cluster.address("n1")?, TICK, 100, Settle::AtOnce).await?;
    tick(&coordinator, TICKS, TICK_EVERY, Durability::Replicated).await?;

    tokio::time::sleep(shorter(&setting, TRIAL)).await;
    verdict.fact("ticks_late_p99_ms_before", ticks.seen().lateness().p99);
    let mut capacity = 0.0_f64;
    for window in WINDOWS {
        let made = generator::closed(&coordinator, window, shorter(&setting, TRIAL)).await?;
        verdict.fact(&format!("closed_{window}_per_s"), made);
        capacity = capacity.max(made);
    }
    verdict.count(capacity > 0.0, "nothing was made in the closed loop");
    let known = ticks.count();
    ticks.seen().forget_lateness();

    let flood = shorter(&setting, FLOOD);
    let open = tokio::spawn(generator::open(coordinator, capacity * OVERLOAD, flood));
    tokio::time::sleep(flood / 3).await;
    let third = stage.gauge(COORDINATOR)?;
    tokio::time::sleep(flood - flood / 3).await;
    let end = stage.gauge(COORDINATOR)?;
    let open = open.await??;

    verdict.fact("asked_per_s", open.asked_per_s);
    verdict.fact("held_back", open.held_back);
    verdict.fact("refused", open.refused);
    verdict.fact("answer_p50_ms", open.answer_p50_ms);
    verdict.fact("answer_p99_ms", open.answer_p99_ms);
    verdict.equal("unanswered", open.unanswered, 0);
    verdict.count(open.made > 0, "nothing was made in the open loop");
    verdict.at_least(
        "goodput_per_s",
        count(open.made) / flood.as_secs_f64(),
        GOODPUT_SHARE * capacity,
    );
    let mib = |kib: u64| usize::try_from(kib).map_or(f64::NAN, count) / 1024.0;
    verdict.fact("rss_third_mib", mib(third.rss_kib));
    verdict.at_most("rss_end_mib", mib(end.rss_kib), RSS_MIB);
    verdict.at_most(
        "rss_ratio",
        mib(end.rss_kib) / mib(third.rss_kib),
        RSS_RATIO,
    );
    let seen = ticks.seen().clone();
    verdict.fact("ticks_during", seen.count() - known);
    let a_second = f64::from(TICKS) / TICK_EVERY.as_secs_f64();
    judge_ticks(&mut verdict, &seen, a_second * flood.as_secs_f64(), LATE_MS);
    told.send(verdict)?;
    Ok(())
}

/// At a small scale a shorter time, at least a second.
fn shorter(setting: &Setting, time: Duration) -> Duration {
    time.mul_f64(setting.scale.sqrt())
        .clamp(Duration::from_secs(1), time)
}
