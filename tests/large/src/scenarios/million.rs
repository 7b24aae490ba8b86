//! A million timers pend: what they take in memory, how long a page of them takes, and how long a restart does.
//!
//! Once at a coordinator, whose timers are REPLICATED, once at a node, whose are LOCAL. The process is killed and
//! started again; it has restarted when it has answered a request, of whatever kind.

use super::{Scenario, Told};
use crate::Setting;
use crate::load::Load;
use crate::sink::count;
use crate::stage::{PATIENCE, Stage, connect};
use crate::verdict::Verdict;
use dormouse_client::wire::{self, Durability};
use dormouse_cluster::COORDINATOR;
use std::time::{Duration, SystemTime};
use tokio::time::Instant;
use wire::timer_service_client::TimerServiceClient;

pub(super) const SCENARIO: Scenario = Scenario {
    name: "million",
    limit: Duration::from_secs(300),
    play: |setting, told| Box::pin(play(setting, told)),
};

/// From the start of the process to its first answer.
const RESTART_S: f64 = 3.0;
/// Timers of a page.
const PAGE: usize = 1_000;
/// Between two attempts to ask a process that starts.
const PAUSE: Duration = Duration::from_millis(5);

/// Whose timers, and what one of them may take of the whole process, in bytes.
const CASES: [(&str, Durability, f64); 2] = [
    (COORDINATOR, Durability::Replicated, 400.0),
    ("n1", Durability::Local, 350.0),
];

async fn play(setting: Setting, told: Told) -> anyhow::Result<()> {
    for (member, durability, bytes) in CASES {
        let mut verdict = setting.verdict("million", &format!("1M {durability:?} at {member}"));
        if let Err(error) = one(&setting, (member, durability, bytes), &mut verdict).await {
            verdict.count(false, format!("{error:#}"));
        }
        told.send(verdict)?;
    }
    Ok(())
}

async fn one(
    setting: &Setting,
    (member, durability, bytes): (&str, Durability, f64),
    verdict: &mut Verdict,
) -> anyhow::Result<()> {
    let mut stage = Stage::with(setting, &["n1"]).await?;
    let address = stage.cluster.address(member)?;
    let total = setting.of(1_000_000, PAGE);
    let before = stage.gauge(member)?.rss_kib;
    let load = Load {
        address: address.clone(),
        prefix: "m".into(),
        count: total,
        durability,
        payload: 100,
        due: SystemTime::now() + Duration::from_secs(3600),
    };
    verdict.fact("made_s", load.make().await?.as_secs_f64());
    let each = |kib: u64| -> anyhow::Result<f64> {
        let grown = usize::try_from(kib.saturating_sub(before))?;
        Ok(count(grown) * 1024.0 / count(total))
    };
    // What every process has grown by counts for little only beside a million.
    let made = each(stage.gauge(member)?.rss_kib)?;
    match setting.scale < 1.0 {
        true => verdict.fact("bytes_each", made),
        false => verdict.at_most("bytes_each", made, bytes),
    }
    walk(&address, total, verdict).await?;

    stage.cluster.kill(member).await?;
    stage.cluster.start(member)?;
    let started = Instant::now();
    while let Err(why) = page(&address, String::new()).await {
        anyhow::ensure!(started.elapsed() < PATIENCE, "it does not answer: {why:#}");
        tokio::time::sleep(PAUSE).await;
    }
    verdict.at_most("restart_s", started.elapsed().as_secs_f64(), RESTART_S);
    let restarted = stage.gauge(member)?;
    // Of both cores: on a machine that is shared, what can be compared.
    verdict.fact("restart_cpu_s", restarted.cpu.as_secs_f64());
    verdict.fact("bytes_each_restarted", each(restarted.rss_kib)?);
    Ok(())
}

/// Reads every page; all timers are there, each once.
async fn walk(address: &str, total: usize, verdict: &mut Verdict) -> anyhow::Result<()> {
    let mut timers = TimerServiceClient::new(connect(address).await?);
    let (mut listed, mut took, mut token) = (0, Vec::new(), String::new());
    loop {
        let begun = Instant::now();
        let read = timers.list_timers(request(token)).await?.into_inner();
        took.push(begun.elapsed().as_secs_f64() * 1e3);
        listed += read.timers.len();
        token = read.next_page_token;
        if token.is_empty() {
            break;
        }
    }
    verdict.equal("listed", listed, total);
    took.sort_unstable_by(f64::total_cmp);
    verdict.fact("page_p50_ms", took[took.len() / 2]);
    verdict.fact("page_max_ms", took[took.len() - 1]);
    Ok(())
}

async fn page(address: &str, token: String) -> anyhow::Result<wire::ListTimersResponse> {
    let mut timers = TimerServiceClient::new(connect(address).await?);
    Ok(timers.list_timers(request(token)).await?.into_inner())
}

fn request(page_token: String) -> wire::ListTimersRequest {
    wire::ListTimersRequest {
        pool: "default".into(),
        page_size: i32::try_from(PAGE).unwrap_or(i32::MAX),
        page_token,
        ..Default::default()
    }
}
