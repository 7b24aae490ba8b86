//! The session's connection to the coordinator: opened again for ever, as long as the agent runs.
//!
//! ```text
//! coordinator ==stream==> link --Event--> base task
//!             <==stream== link <--Outgoing-- base task, once what it says is durable
//! ```
//!
//! Every attempt resolves the name afresh and has a connection of its own: a coordinator that restarts with
//! another address is found. What is said is the base's affair.

#[cfg(test)]
mod tests;

use crate::events;
use crate::task::ASKS_MAX;
use dormouse_edge::listen::SESSION_MESSAGE_MAX;
use dormouse_edge::session;
use dormouse_engine::message::{CoordinatorMessage, NodeMessage};
use dormouse_proto::v1::group_service_client::GroupServiceClient;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio_stream::StreamExt as _;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::Streaming;
use tonic::transport::{Channel, Endpoint};

/// The wait before the second attempt is drawn up to this; it doubles with every further one.
const BACKOFF_FIRST: Duration = Duration::from_millis(50);
/// The wait is drawn up to this at most: a coordinator that is back is found within it.
const BACKOFF_MAX: Duration = Duration::from_secs(2);
/// How long an attempt may take, until the coordinator has accepted the stream.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(5);
/// A connection that is silent for this long is asked whether it is alive,
const KEEP_ALIVE_INTERVAL: Duration = Duration::from_secs(10);
/// and has this long to answer.
const KEEP_ALIVE_TIMEOUT: Duration = Duration::from_secs(10);
/// Messages that wait to be sent: each request in work may be one that goes to the coordinator, and reports and
/// heartbeats come besides.
const QUEUE_LENGTH: usize = ASKS_MAX + 1_024;

/// What happened on the link.
pub(crate) enum Event {
    /// A connection is open, and this speaks on it.
    Connected(Outgoing),
    /// The coordinator said something on it.
    Heard(CoordinatorMessage),
    /// It is no more.
    Disconnected,
}

/// Speaks on one connection, and on no later one.
#[derive(Clone)]
pub(crate) struct Outgoing {
    queue: mpsc::Sender<NodeMessage>,
    over: CancellationToken,
}

impl Outgoing {
    /// Says something without waiting. What finds no room is dropped: reports and heartbeats are repeated, and there is
    /// room for every operation. A connection that is dead is noticed by its silence, not by a burst.
    pub(crate) fn say(&self, message: NodeMessage) {
        // It may be over by now.
        let _ = self.queue.try_send(message);
    }

    /// Closes the connection; another one follows.
    pub(crate) fn hang_up(&self) {
        self.over.cancel();
    }
}

/// Why a connection ended.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Ended {
    #[error("cannot connect: {0}")]
    Unreachable(#[from] tonic::transport::Error),
    #[error("no answer within {} s", ATTEMPT_TIMEOUT.as_secs())]
    Silent,
    #[error("{}: {}", .0.code(), .0.message())]
    Broken(#[from] tonic::Status),
    #[error("the coordinator sent what this version cannot read: {0}")]
    Unreadable(String),
    #[error("the coordinator closed it")]
    Closed,
    #[error("the agent closed it")]
    HungUp,
}

/// Keeps a link to `coordinator` (an `http://` address) until `stop` or until nobody takes its events.
pub(crate) async fn run(
    coordinator: Endpoint,
    events: mpsc::Sender<Event>,
    stop: CancellationToken,
) {
    let mut backoff = Backoff::default();
    while !events.is_closed() {
        let mut link = Link {
            events: &events,
            greeted: false,
        };
        let ended = tokio::select! {
            ended = link.attempt(coordinator.clone()) => ended,
            () = stop.cancelled() => return,
        };
        if std::mem::take(&mut link.greeted) {
            backoff = Backoff::default();
        }
        let wait = backoff.draw();
        events::link_down(&ended, wait);
        tokio::select! {
            () = tokio::time::sleep(wait) => {}
            () = stop.cancelled() => return,
        }
    }
}

/// The parameters of every connection.
pub(crate) fn endpoint(coordinator: &str) -> Result<Endpoint, tonic::transport::Error> {
    let endpoint = Endpoint::from_shared(coordinator.to_owned())?
        .connect_timeout(ATTEMPT_TIMEOUT)
        .tcp_nodelay(true)
        .http2_keep_alive_interval(KEEP_ALIVE_INTERVAL)
        .keep_alive_timeout(KEEP_ALIVE_TIMEOUT)
        .keep_alive_while_idle(true);
    Ok(endpoint)
}

struct Link<'a> {
    events: &'a mpsc::Sender<Event>,
    /// Whether the coordinator gave a session.
    greeted: bool,
}

impl Link<'_> {
    /// One connection, from opening to end.
    async fn attempt(&mut self, coordinator: Endpoint) -> Ended {
        // A channel that has connected once resolves no name again: each attempt has a new one.
        let channel = match coordinator.connect().await {
            Ok(channel) => channel,
            Err(error) => return error.into(),
        };
        let (queue, said) = mpsc::channel(QUEUE_LENGTH);
        let outgoing = Outgoing {
            queue,
            over: CancellationToken::new(),
        };
        let over = outgoing.over.clone();
        // The base speaks first, and the coordinator may answer the call only when it has heard something.
        if self.events.send(Event::Connected(outgoing)).await.is_err() {
            return Ended::HungUp;
        }
        let ended = tokio::select! {
            ended = self.converse(channel, said) => ended,
            () = over.cancelled() => Ended::HungUp,
        };
        // Nobody is there to hear it only if the agent ends.
        let _ = self.events.send(Event::Disconnected).await;
        ended
    }

    async fn converse(&mut self, channel: Channel, said: mpsc::Receiver<NodeMessage>) -> Ended {
        let mut client = GroupServiceClient::new(channel)
            .max_decoding_message_size(SESSION_MESSAGE_MAX)
            .max_encoding_message_size(SESSION_MESSAGE_MAX);
        let call = client.session(ReceiverStream::new(said).map(session::write_node));
        let incoming = match tokio::time::timeout(ATTEMPT_TIMEOUT, call).await {
            Ok(Ok(response)) => response.into_inner(),
            Ok(Err(status)) => return status.into(),
            Err(_) => return Ended::Silent,
        };
        self.hear(incoming).await.unwrap_or_else(|ended| ended)
    }

    async fn hear(
        &mut self,
        mut incoming: Streaming<dormouse_proto::v1::CoordinatorMessage>,
    ) -> Result<Ended, Ended> {
        while let Some(message) = incoming.message().await? {
            let message = session::read_coordinator(message)
                .map_err(|error| Ended::Unreadable(error.to_string()))?;
            self.greeted |= matches!(message, CoordinatorMessage::Welcome(_));
            // While the base is busy nothing more is read: the flow control of HTTP/2 holds the sender back.
            self.events
                .send(Event::Heard(message))
                .await
                .map_err(|_| Ended::HungUp)?;
        }
        Ok(Ended::Closed)
    }
}

/// Waits with full jitter: a thousand agents whose coordinator restarts do not come back at once.
#[derive(Default)]
struct Backoff {
    failures: u32,
}

impl Backoff {
    fn draw(&mut self) -> Duration {
        let longest = BACKOFF_FIRST
            .saturating_mul(1 << self.failures.min(16))
            .min(BACKOFF_MAX);
        self.failures += 1;
        longest.mul_f64(rand::random::<f64>())
    }
}
