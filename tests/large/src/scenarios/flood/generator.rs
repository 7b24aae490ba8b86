//! The generator of the flood: pipelines of creates, in a closed loop or at a given rate.
//!
//! In the open loop a create is asked for when its time has come. If the stream takes no more, because the other
//! side does not read it, the create is counted as held back: that is a refusal, too, made without a message.

use crate::load::{HANDLER, is_for_now, one};
use crate::sink::count;
use crate::stage::connect;
use dormouse_client::wire::{
    self, pipeline_request::Request, pipeline_response::Response, schedule,
};
use std::collections::HashMap;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};
use tokio_stream::wrappers::ReceiverStream;
use tonic::Streaming;
use wire::timer_service_client::TimerServiceClient;

/// Streams beside each other, each on a connection of its own.
const STREAMS: usize = 2;
/// How many creates a stream of the open loop keeps before the other side has read them.
const AHEAD: usize = 256;
/// When the open loop asks.
const PULSE: Duration = Duration::from_millis(2);
/// How long answers are waited for at the end.
const PATIENCE: Duration = Duration::from_secs(10);
const PAYLOAD: usize = 100;
/// They fire in an hour: long after the end.
const AFTER: Duration = Duration::from_secs(3600);

type Up = mpsc::Sender<wire::PipelineRequest>;

/// What became of an open loop.
#[derive(Debug, Default)]
pub(super) struct Open {
    pub(super) asked_per_s: f64,
    pub(super) made: usize,
    /// Not sent, because the stream took no more.
    pub(super) held_back: usize,
    /// Refused by an answer.
    pub(super) refused: usize,
    pub(super) unanswered: usize,
    pub(super) answer_p50_ms: f64,
    pub(super) answer_p99_ms: f64,
}

/// Keeps `window` timers in the making for `time`; gives how many were made a second.
pub(super) async fn closed(address: &str, window: usize, time: Duration) -> anyhow::Result<f64> {
    let streams = (0..STREAMS).map(|stream| {
        let name = format!("c{window}-{stream}");
        closed_stream(address.to_owned(), name, window / STREAMS, time)
    });
    let made = futures_util::future::try_join_all(streams).await?;
    Ok(count(made.iter().sum()) / time.as_secs_f64())
}

async fn closed_stream(
    address: String,
    prefix: String,
    window: usize,
    time: Duration,
) -> anyhow::Result<usize> {
    let (up, mut down) = pipeline(&address, 2 * window).await?;
    let over = Instant::now() + time;
    let (mut last, mut made, mut open) = (0, 0, 0);
    while open < window {
        last += 1;
        up.send(create(last, &prefix)).await?;
        open += 1;
    }
    while open > 0 {
        let Some(answer) = timeout(PATIENCE, down.message()).await?? else {
            anyhow::bail!("the pipeline has ended");
        };
        match answer.response {
            Some(Response::Create(created)) => {
                // What is made after the end is not counted, but it is cancelled.
                made += usize::from(Instant::now() < over);
                let name = created.timer.map(|it| it.name).unwrap_or_default();
                up.send(cancel(answer.id, name)).await?;
            }
            Some(Response::Error(error)) if !is_for_now(error.code.into()) => {
                anyhow::bail!("a create was refused: {error:?}")
            }
            _ if Instant::now() < over => {
                last += 1;
                up.send(create(last, &prefix)).await?;
            }
            _ => open -= 1,
        }
    }
    Ok(made)
}

/// Asks for `rate` timers a second for `time`, whatever is answered.
pub(super) async fn open(address: String, rate: f64, time: Duration) -> anyhow::Result<Open> {
    let streams = (0..STREAMS).map(|stream| {
        let each = rate / count(STREAMS);
        tokio::spawn(open_stream(
            address.clone(),
            format!("o{stream}"),
            each,
            time,
        ))
    });
    let mut whole = Open::default();
    for stream in futures_util::future::try_join_all(streams).await? {
        let stream = stream?;
        whole.asked_per_s += stream.asked_per_s;
        whole.made += stream.made;
        whole.held_back += stream.held_back;
        whole.refused += stream.refused;
        whole.unanswered += stream.unanswered;
        whole.answer_p50_ms = whole.answer_p50_ms.max(stream.answer_p50_ms);
        whole.answer_p99_ms = whole.answer_p99_ms.max(stream.answer_p99_ms);
    }
    Ok(whole)
}

async fn open_stream(
    address: String,
    prefix: String,
    rate: f64,
    time: Duration,
) -> anyhow::Result<Open> {
    let (up, down) = pipeline(&address, AHEAD).await?;
    let (cancels, cancelled) = pipeline(&address, AHEAD).await?;
    let drained = tokio::spawn(drain(cancelled));
    let (asked, asking) = mpsc::unbounded_channel();
    let answered = tokio::spawn(hear(down, asking, cancels));
    let begun = Instant::now();
    let mut pulse = interval(PULSE);
    pulse.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let (mut due, mut sent, mut held_back) = (0.0, 0_u64, 0);
    while begun.elapsed() < time {
        pulse.tick().await;
        let wanted = rate * begun.elapsed().as_secs_f64();
        while due < wanted {
            due += 1.0;
            match up.try_send(create(sent + 1, &prefix)) {
                Ok(()) => {
                    sent += 1;
                    asked.send((sent, Instant::now()))?;
                }
                Err(mpsc::error::TrySendError::Full(_)) => held_back += 1,
                Err(mpsc::error::TrySendError::Closed(_)) => {
                    anyhow::bail!("the pipeline has ended")
                }
            }
        }
    }
    drop((up, asked));
    let mut open = answered.await??;
    drained.await?;
    open.asked_per_s = due / time.as_secs_f64();
    open.held_back = held_back;
    open.unanswered = usize::try_from(sent)? - open.made - open.refused;
    Ok(open)
}

/// Hears the answers to creates until the stream ends, and cancels what was made.
async fn hear(
    mut down: Streaming<wire::PipelineResponse>,
    mut asking: mpsc::UnboundedReceiver<(u64, Instant)>,
    cancels: Up,
) -> anyhow::Result<Open> {
    let (mut open, mut waiting, mut waits) = (Open::default(), HashMap::new(), Vec::new());
    while let Ok(answer) = timeout(PATIENCE, down.message()).await {
        let Some(answer) = answer? else { break };
        while let Ok((id, at)) = asking.try_recv() {
            waiting.insert(id, at);
        }
        let at: Option<Instant> = waiting.remove(&answer.id);
        match answer.response {
            Some(Response::Create(created)) => {
                open.made += 1;
                waits.extend(at.map(|at| at.elapsed()));
                let name = created.timer.map(|it| it.name).unwrap_or_default();
                cancels.send(cancel(answer.id, name)).await?;
            }
            Some(Response::Error(error)) if is_for_now(error.code.into()) => open.refused += 1,
            other => anyhow::bail!("a create was answered by {other:?}"),
        }
    }
    waits.sort_unstable();
    let quantile = |hundredths: usize| {
        let wait = waits.get(waits.len().saturating_sub(1) * hundredths / 100);
        wait.map_or(f64::NAN, |wait| wait.as_secs_f64() * 1000.0)
    };
    (open.answer_p50_ms, open.answer_p99_ms) = (quantile(50), quantile(99));
    Ok(open)
}

/// Hears answers that nobody needs, until the stream ends.
async fn drain(mut down: Streaming<wire::PipelineResponse>) {
    while let Ok(Ok(Some(_))) = timeout(PATIENCE, down.message()).await {}
}

async fn pipeline(
    address: &str,
    ahead: usize,
) -> anyhow::Result<(Up, Streaming<wire::PipelineResponse>)> {
    let mut timers = TimerServiceClient::new(connect(address).await?);
    let (up, outbound) = mpsc::channel(ahead);
    let down = timers
        .pipeline(ReceiverStream::new(outbound))
        .await?
        .into_inner();
    Ok((up, down))
}

fn create(id: u64, prefix: &str) -> wire::PipelineRequest {
    let after = prost_types::Duration {
        seconds: AFTER.as_secs().cast_signed(),
        nanos: 0,
    };
    let mut create = one(
        &format!("{prefix}-{id}"),
        schedule::Kind::After(after),
        HANDLER,
    );
    if let Some(timer) = &mut create.timer {
        timer.payload = vec![b'x'; PAYLOAD].into();
    }
    wire::PipelineRequest {
        id,
        request: Some(Request::Create(create)),
    }
}

fn cancel(id: u64, name: String) -> wire::PipelineRequest {
    let cancel = wire::CancelTimerRequest {
        name,
        request_id: String::new(),
    };
    wire::PipelineRequest {
        id,
        request: Some(Request::Cancel(cancel)),
    }
}
