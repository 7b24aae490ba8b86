//! 2,000 reads at once, and a client that asks and never reads: no session breaks, and memory is flat.
//!
//! The answers are pages of 1,000 timers. The client that does not read asks for a thousand of them on one
//! connection, whose window is as small as it may be; nothing of an answer is taken beyond its head.

use super::{Scenario, Told, judge_ticks};
use crate::Setting;
use crate::gauge::Gauge;
use crate::load::{Load, TICK, is_for_now, tick};
use crate::sink::{Settle, Sink, count};
use crate::stage::{PATIENCE, Stage};
use dormouse_client::wire::{self, Durability};
use dormouse_cluster::COORDINATOR;
use std::time::{Duration, SystemTime};
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};

use tonic::transport::{Channel, Endpoint};
use tonic_prost::ProstCodec;
use wire::timer_service_client::TimerServiceClient;

pub(super) const SCENARIO: Scenario = Scenario {
    name: "readers",
    limit: Duration::from_secs(100),
    play: |setting, told| Box::pin(play(setting, told)),
};

/// Connections of those that read.
const CONNECTIONS: usize = 8;
/// What memory may grow by, in MiB: answers in the making and the windows of the connections.
const GROWTH_MIB: f64 = 128.0;
/// The node's own timers may be this late while two cores are busy with answers; one that is stuck is later.
const LATE_MS: f64 = 500.0;
/// The smallest window that HTTP/2 has by default, for a stream and for the connection.
const WINDOW: u32 = 65_535;

async fn play(setting: Setting, told: Told) -> anyhow::Result<()> {
    for member in ["n1", COORDINATOR] {
        let mut verdict = setting.verdict("readers", &format!("2,000 reads at {member}"));
        if let Err(error) = one(&setting, member, &mut verdict).await {
            verdict.count(false, format!("{error:#}"));
        }
        told.send(verdict)?;
    }
    Ok(())
}

async fn one(
    setting: &Setting,
    member: &str,
    verdict: &mut crate::verdict::Verdict,
) -> anyhow::Result<()> {
    let stage = Stage::with(setting, &["n1"]).await?;
    let n1 = stage.cluster.address("n1")?;
    let ticks = Sink::attach(&n1, TICK, 10, Settle::AtOnce).await?;
    let load = Load {
        address: stage.cluster.address(member)?,
        prefix: "l".into(),
        count: setting.of(20_000, 1_000),
        durability: Durability::Replicated,
        payload: 2_000,
        due: SystemTime::now() + Duration::from_secs(3600),
    };
    load.make().await?;
    tick(&n1, 10, Duration::from_millis(500), Durability::Ephemeral).await?;
    let session = stage.session("n1").await?;
    let before = stage.gauge(member)?;
    let begun = Instant::now();
    ticks.seen().forget_lateness();

    let answers = read(&stage, member, setting.of(2_000, 100)).await?;
    verdict.fact("read_s", begun.elapsed().as_secs_f64());
    verdict.fact("read", answers.read);
    verdict.fact("refused", answers.refused);
    verdict.equal("unanswered", answers.unanswered, 0);
    verdict.count(answers.read > 0, "nobody could read");
    growth(verdict, "readers_growth_mib", before, stage.gauge(member)?);

    let between = stage.gauge(member)?;
    let asked = do_not_read(&stage, member, setting.of(1_000, 50)).await?;
    verdict.fact("asked_and_not_read", asked.len());
    growth(verdict, "unread_growth_mib", between, stage.gauge(member)?);
    let elapsed = begun.elapsed().as_secs_f64();
    judge_ticks(verdict, &ticks.seen(), elapsed * 20.0, LATE_MS);
    drop(asked);
    verdict.count(
        stage.session("n1").await? == session,
        "the session of n1 broke",
    );
    Ok(())
}

/// The peak counts: what was freed since had to be there.
fn growth(verdict: &mut crate::verdict::Verdict, name: &str, before: Gauge, after: Gauge) {
    let kib = after
        .peak_kib
        .saturating_sub(before.peak_kib.min(before.rss_kib));
    verdict.at_most(
        name,
        count(usize::try_from(kib).unwrap_or(usize::MAX)) / 1024.0,
        GROWTH_MIB,
    );
}

/// What became of the reads.
#[derive(Debug, Default)]
struct Answers {
    read: usize,
    /// For now: asking again later helps.
    refused: usize,
    unanswered: usize,
}

fn page() -> wire::ListTimersRequest {
    wire::ListTimersRequest {
        pool: "default".into(),
        page_size: 1000,
        ..Default::default()
    }
}

/// Asks for so many pages at once, and reads every answer.
async fn read(stage: &Stage, member: &str, reads: usize) -> anyhow::Result<Answers> {
    let mut asked = JoinSet::new();
    for _ in 0..CONNECTIONS {
        let channel = stage.channel(member).await?;
        for _ in 0..reads / CONNECTIONS {
            let mut timers =
                TimerServiceClient::new(channel.clone()).max_decoding_message_size(128 << 20);
            asked.spawn(async move { timeout(PATIENCE, timers.list_timers(page())).await });
        }
    }
    let mut answers = Answers::default();
    while let Some(answer) = asked.join_next().await {
        match answer? {
            Ok(Ok(_page)) => answers.read += 1,
            Ok(Err(status)) if is_for_now(status.code()) => answers.refused += 1,
            Ok(Err(status)) => return Err(status.into()),
            Err(_elapsed) => answers.unanswered += 1,
        }
    }
    Ok(answers)
}

type Unread = tonic::Streaming<wire::ListTimersResponse>;

/// Asks for so many pages on one connection, and reads none; gives those whose answers have begun.
async fn do_not_read(stage: &Stage, member: &str, reads: usize) -> anyhow::Result<Vec<Unread>> {
    let endpoint = Endpoint::from_shared(stage.cluster.address(member)?)?
        .initial_stream_window_size(WINDOW)
        .initial_connection_window_size(WINDOW);
    let channel = endpoint.connect().await?;
    let mut asked = JoinSet::new();
    for _ in 0..reads {
        asked.spawn(ask(channel.clone()));
    }
    let over = Instant::now() + Duration::from_secs(5);
    let mut begun = Vec::new();
    // What waits for room on the connection goes on waiting.
    while let Ok(Some(answer)) = tokio::time::timeout_at(over, asked.join_next()).await {
        begun.extend(answer?.ok());
    }
    Ok(begun)
}

/// A call for one answer, which is taken as a stream so that it need not be read.
async fn ask(channel: Channel) -> anyhow::Result<Unread> {
    let mut grpc = tonic::client::Grpc::new(channel);
    grpc.ready().await?;
    let path = "/dormouse.v1.TimerService/ListTimers".parse()?;
    let codec: ProstCodec<wire::ListTimersRequest, wire::ListTimersResponse> =
        ProstCodec::default();
    Ok(grpc
        .server_streaming(tonic::Request::new(page()), path, codec)
        .await?
        .into_inner())
}
