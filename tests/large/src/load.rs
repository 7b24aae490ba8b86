//! Makes timers, many at a time.
//!
//! Each has a name of its own. What the other side refuses for now is asked for again, as any client does.

use crate::stage::connect;
use anyhow::Context as _;
use dormouse_client::wire::{self, create_timer_result, schedule, target};
use std::time::{Duration, SystemTime};
use tokio::task::JoinSet;
use tokio::time::Instant;
use tonic::Code;
use tonic::transport::Channel;
use wire::timer_service_client::TimerServiceClient;

/// The handler of every timer that is counted.
pub(crate) const HANDLER: &str = "large";
/// The handler of the timers that must not be late meanwhile.
pub(crate) const TICK: &str = "tick";
/// What one message may carry: far below the limit.
const BATCH_BYTES: usize = 256 << 10;
const BATCH_ITEMS: usize = 500;
/// Messages in flight at once.
const CALLERS: usize = 4;
/// How often what was refused for now is asked for again.
const ATTEMPTS: usize = 400;
/// Before it is.
const BACKOFF: Duration = Duration::from_millis(50);

/// What to make.
#[derive(Debug, Clone)]
pub(crate) struct Load {
    /// Whom to ask.
    pub(crate) address: String,
    /// The names are this and a number.
    pub(crate) prefix: String,
    pub(crate) count: usize,
    pub(crate) durability: wire::Durability,
    /// Bytes of payload.
    pub(crate) payload: usize,
    /// When all are due.
    pub(crate) due: SystemTime,
}

impl Load {
    /// Makes all; gives how long it took.
    pub(crate) async fn make(&self) -> anyhow::Result<Duration> {
        let begun = Instant::now();
        let size = (BATCH_BYTES / (self.payload + 64)).clamp(1, BATCH_ITEMS);
        let mut callers = JoinSet::new();
        for caller in 0..CALLERS {
            let (load, channel) = (self.clone(), connect(&self.address).await?);
            callers.spawn(async move { load.make_share(channel, caller, size).await });
        }
        while let Some(made) = callers.join_next().await {
            made??;
        }
        Ok(begun.elapsed())
    }

    /// Every [`CALLERS`]th batch.
    async fn make_share(self, channel: Channel, caller: usize, size: usize) -> anyhow::Result<()> {
        let mut timers = TimerServiceClient::new(channel).max_decoding_message_size(16 << 20);
        for first in (caller * size..self.count).step_by(CALLERS * size) {
            let mut requests: Vec<_> = (first..self.count.min(first + size))
                .map(|number| self.request(number))
                .collect();
            for _ in 0..ATTEMPTS {
                requests = create(&mut timers, requests).await?;
                if requests.is_empty() {
                    break;
                }
                tokio::time::sleep(BACKOFF).await;
            }
            anyhow::ensure!(requests.is_empty(), "timers were refused {ATTEMPTS} times");
        }
        Ok(())
    }

    fn request(&self, number: usize) -> wire::CreateTimerRequest {
        let due = prost_types::Timestamp::from(self.due);
        let mut request = one(
            &format!("{}-{number}", self.prefix),
            schedule::Kind::At(due),
            HANDLER,
        );
        if let Some(timer) = &mut request.timer {
            timer.durability = self.durability.into();
            timer.payload = vec![b'x'; self.payload].into();
        }
        request
    }
}

/// Asks for a batch; gives what was refused for now.
async fn create(
    timers: &mut TimerServiceClient<Channel>,
    requests: Vec<wire::CreateTimerRequest>,
) -> anyhow::Result<Vec<wire::CreateTimerRequest>> {
    let batch = wire::BatchCreateTimersRequest {
        requests: requests.clone(),
    };
    let results = match timers.batch_create_timers(batch).await {
        Ok(response) => response.into_inner().results,
        Err(status) if is_for_now(status.code()) => return Ok(requests),
        Err(status) => return Err(status).context("a batch was refused"),
    };
    anyhow::ensure!(
        results.len() == requests.len(),
        "a batch was answered in part"
    );
    let mut again = Vec::new();
    for (request, result) in requests.into_iter().zip(results) {
        match result.result {
            Some(create_timer_result::Result::Timer(_)) => {}
            Some(create_timer_result::Result::Error(error)) if is_for_now(error.code.into()) => {
                again.push(request)
            }
            // What was asked for again may have been made the first time.
            Some(create_timer_result::Result::Error(error))
                if Code::from(error.code) == Code::AlreadyExists => {}
            other => anyhow::bail!("{} was refused: {other:?}", request.timer_id),
        }
    }
    Ok(again)
}

pub(crate) fn is_for_now(code: Code) -> bool {
    matches!(code, Code::ResourceExhausted | Code::Unavailable)
}

/// A request for one timer: movable, without payload, as durable as the default.
pub(crate) fn one(id: &str, when: schedule::Kind, handler: &str) -> wire::CreateTimerRequest {
    wire::CreateTimerRequest {
        timer_id: id.to_owned(),
        timer: Some(wire::Timer {
            schedule: Some(wire::Schedule { kind: Some(when) }),
            target: Some(wire::Target {
                kind: Some(target::Kind::Handler(wire::HandlerTarget {
                    name: handler.to_owned(),
                })),
            }),
            ..wire::Timer::default()
        }),
        ..wire::CreateTimerRequest::default()
    }
}

/// Makes timers that fire again and again for [`TICK`], the first occurrences spread over one interval.
pub(crate) async fn tick(
    address: &str,
    count: u32,
    interval: Duration,
    durability: wire::Durability,
) -> anyhow::Result<()> {
    let mut timers = TimerServiceClient::new(connect(address).await?);
    for number in 0..count {
        let phase = interval * number / count;
        let every = wire::Every {
            interval: Some(duration(interval)?),
            phase: Some(duration(Duration::from_millis(u64::try_from(
                phase.as_millis(),
            )?))?),
        };
        let mut request = one(
            &format!("tick-{number}"),
            schedule::Kind::Every(every),
            TICK,
        );
        if let Some(timer) = &mut request.timer {
            timer.durability = durability.into();
        }
        timers.create_timer(request).await?;
    }
    Ok(())
}

fn duration(length: Duration) -> anyhow::Result<prost_types::Duration> {
    Ok(prost_types::Duration::try_from(length)?)
}
