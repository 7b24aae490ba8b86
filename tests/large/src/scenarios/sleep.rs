//! A node with very many timers goes idle, is active again, and runs them all.
//!
//! ```text
//! n1: make all, due at T | idle ... covered | active ... owns them again | T: all run at n1, each once
//! n1 or n2:  tick  tick  tick  tick  tick  tick  tick  tick  tick  tick  tick  tick
//! ```
//!
//! What moves is 300,000 timers of three classes, or few that are heavy: both once were one message.

use super::{Scenario, Told, judge_runs, judge_ticks};
use crate::load::{HANDLER, Load, TICK, tick};
use crate::sink::{Settle, Sink};
use crate::stage::Stage;
use crate::{Setting, verdict::Verdict};
use dormouse_client::wire::Durability;
use std::time::{Duration, SystemTime};

pub(super) const SCENARIO: Scenario = Scenario {
    name: "sleep",
    limit: Duration::from_secs(240),
    play: |setting, told| Box::pin(play(setting, told)),
};

/// Either way may take this long.
const MOVE_S: f64 = 5.0;
/// Without a further run for this long, the rest is lost.
const PATIENCE: Duration = Duration::from_secs(20);
/// Beside the making of the timers: both moves, with some room.
const LEAD: Duration = Duration::from_secs(12);
/// One that is given twice comes soon after the first.
const AFTERMATH: Duration = Duration::from_millis(1500);
/// One tick each.
const TICK_EVERY: Duration = Duration::from_secs(1);

/// One kind of luggage.
struct Case {
    name: &'static str,
    timers: &'static [(Durability, usize)],
    payload: usize,
    /// How many are made a second at least, with some room.
    made_per_s: u64,
}

const CASES: [Case; 5] = [
    Case {
        name: "300k of three classes",
        timers: &[
            (Durability::Ephemeral, 100_000),
            (Durability::Local, 100_000),
            (Durability::Replicated, 100_000),
        ],
        payload: 100,
        made_per_s: 10_000,
    },
    Case {
        name: "90k replicated",
        timers: &[(Durability::Replicated, 90_000)],
        payload: 100,
        made_per_s: 6_000,
    },
    Case {
        name: "100k ephemeral",
        timers: &[(Durability::Ephemeral, 100_000)],
        payload: 100,
        made_per_s: 15_000,
    },
    Case {
        name: "72 MB replicated",
        timers: &[(Durability::Replicated, 1_100)],
        payload: 65_000,
        made_per_s: 150,
    },
    Case {
        name: "72 MB ephemeral",
        timers: &[(Durability::Ephemeral, 1_100)],
        payload: 65_000,
        made_per_s: 300,
    },
];

async fn play(setting: Setting, told: Told) -> anyhow::Result<()> {
    for case in &CASES {
        let mut verdict = setting.verdict("sleep", case.name);
        if let Err(error) = one(&setting, case, &mut verdict).await {
            verdict.count(false, format!("{error:#}"));
        }
        told.send(verdict)?;
    }
    Ok(())
}

async fn one(setting: &Setting, case: &Case, verdict: &mut Verdict) -> anyhow::Result<()> {
    let stage = Stage::with(setting, &["n1", "n2"]).await?;
    let (n1, n2) = (stage.cluster.address("n1")?, stage.cluster.address("n2")?);
    let ticks = [
        Sink::attach(&n1, TICK, 10, Settle::AtOnce).await?,
        Sink::attach(&n2, TICK, 10, Settle::AtOnce).await?,
    ];
    tick(&n1, 1, TICK_EVERY, Durability::Ephemeral).await?;
    let sink = Sink::attach(&n1, HANDLER, 1000, Settle::AtOnce).await?;
    let begun = SystemTime::now();

    let total: usize = case
        .timers
        .iter()
        .map(|(_, count)| setting.of(*count, 20))
        .sum();
    let making = Duration::from_secs(u64::try_from(total)? / case.made_per_s);
    let due = begun + making + LEAD.mul_f64(setting.scale.sqrt().max(0.25));
    let mut made = Duration::ZERO;
    for (durability, count) in case.timers {
        let load = Load {
            address: n1.clone(),
            prefix: format!("{durability:?}").to_lowercase(),
            count: setting.of(*count, 20),
            durability: *durability,
            payload: case.payload,
            due,
        };
        made += load.make().await?;
    }
    verdict.fact("made_s", made.as_secs_f64());
    verdict.at_most("idle_s", stage.idle("n1").await?.as_secs_f64(), MOVE_S);
    verdict.at_most("active_s", stage.active("n1").await?.as_secs_f64(), MOVE_S);
    let slack = due.duration_since(SystemTime::now()).unwrap_or_default();
    verdict.at_least("slack_s", slack.as_secs_f64(), 0.0);

    sink.until(total, slack + PATIENCE).await;
    tokio::time::sleep(AFTERMATH).await;
    verdict.fact(
        "all_run_s",
        SystemTime::now()
            .duration_since(due)
            .unwrap_or_default()
            .as_secs_f64(),
    );
    judge_runs(verdict, &sink.seen(), total);
    verdict.fact("late_max_ms", sink.seen().lateness().max);
    verdict.fact(
        "coordinator_mib",
        stage.gauge(dormouse_cluster::COORDINATOR)?.peak_kib / 1024,
    );
    verdict.fact("agent_mib", stage.gauge("n1")?.peak_kib / 1024);
    let mut seen = ticks[0].seen().clone();
    seen.add(&ticks[1].seen());
    let elapsed = SystemTime::now().duration_since(begun).unwrap_or_default();
    // A move of the tick itself may make it late: by as long as the move may take.
    judge_ticks(verdict, &seen, elapsed.as_secs_f64(), MOVE_S * 1000.0);
    Ok(())
}
