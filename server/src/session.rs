//! GroupService: the sessions of nodes, each a stream in and a stream out.
//!
//! ```text
//!   node --- messages ---> reader task ---> the pool's mailbox (bounded: a busy pool holds the node back)
//!   node <-- messages ---- Outgoing <------ Outbox (bounded: a node that does not read is cut off)
//! ```
//!
//! A session's meaning is the machine's; here is only the connection, which has a number of its own.

use crate::events;
use crate::pool::{Handle, Mail};
use crate::pools::Pools;
use dormouse_edge::listen::SESSION_MESSAGE_MAX;
use dormouse_edge::session::{read_node, write_coordinator};
use dormouse_edge::{answer, fault};
use dormouse_engine::id::NodeId;
use dormouse_engine::message::{CoordinatorMessage, Hello, NodeMessage};
use dormouse_engine::pool::Link;
use dormouse_engine::time::Millis;
use dormouse_proto::v1;
use futures_util::Stream;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::sync::mpsc;
use tokio_util::sync::{CancellationToken, DropGuard};
use tonic::codegen::BoxStream;
use tonic::{Request, Response, Status, Streaming};
use v1::group_service_server::{GroupService, GroupServiceServer};

/// Messages that may wait for a node to read them.
const OUTBOX: usize = 256;
/// How long a new connection may take to say who it is.
const HELLO_WITHIN: Duration = Duration::from_secs(10);
/// When a node that was cut off should come back.
const COME_BACK: Millis = Millis(500);

type Said = Result<CoordinatorMessage, Status>;

/// Where a pool puts what it says to a node.
#[derive(Debug)]
pub(crate) struct Outbox {
    queue: mpsc::Sender<Said>,
    slow: CancellationToken,
}

impl Outbox {
    /// Says something; false if too much waits already. A connection that is gone counts as heard.
    pub(crate) fn send(&self, message: CoordinatorMessage) -> bool {
        !matches!(
            self.queue.try_send(Ok(message)),
            Err(mpsc::error::TrySendError::Full(_))
        )
    }

    /// Ends the connection, without what still waits.
    pub(crate) fn cut_off(&self) {
        self.slow.cancel();
    }
}

/// The service.
#[derive(Clone)]
pub(crate) struct Sessions {
    pools: Pools,
    stopping: CancellationToken,
    last_link: Arc<AtomicU64>,
}

impl Sessions {
    pub(crate) fn service(pools: Pools, stopping: CancellationToken) -> GroupServiceServer<Self> {
        GroupServiceServer::new(Self {
            pools,
            stopping,
            last_link: Arc::default(),
        })
        .max_decoding_message_size(SESSION_MESSAGE_MAX)
    }

    async fn open(&self, mut incoming: Streaming<v1::NodeMessage>) -> Result<Outgoing, Status> {
        let hello = first(&mut incoming).await?;
        let found = self.pools.find_or_make(&hello.pool).await;
        let handle = found.map_err(|refusal| answer::refusal(&refusal))?;
        let link = Link(self.last_link.fetch_add(1, Ordering::Relaxed) + 1);
        events::session_opened(handle.pool(), &hello.node, link);
        let (queue, inbox) = mpsc::channel(OUTBOX);
        let (slow, left) = (CancellationToken::new(), CancellationToken::new());
        let reader = Reader {
            incoming,
            link,
            node: hello.node.clone(),
            replies: queue.downgrade(),
            left: left.clone(),
            stopping: self.stopping.clone(),
            handle,
        };
        let outbox = Outbox {
            queue,
            slow: slow.clone(),
        };
        let told = reader.handle.tell(Mail::Opened { link, outbox }).await
            && reader
                .handle
                .tell(Mail::Said {
                    link,
                    message: Box::new(NodeMessage::Hello(hello)),
                })
                .await;
        if !told {
            return Err(stopping());
        }
        tokio::spawn(reader.run());
        Ok(Outgoing {
            inbox,
            slow,
            is_over: false,
            _left: left.drop_guard(),
        })
    }
}

#[tonic::async_trait]
impl GroupService for Sessions {
    async fn session(
        &self,
        request: Request<Streaming<v1::NodeMessage>>,
    ) -> Result<Response<BoxStream<v1::CoordinatorMessage>>, Status> {
        let opened = self
            .open(request.into_inner())
            .await
            .map(|stream| Box::pin(stream) as _);
        opened
            .map(Response::new)
            .inspect_err(|status| events::session_refused(&status.message()))
    }
}

async fn first(incoming: &mut Streaming<v1::NodeMessage>) -> Result<Hello, Status> {
    let message = tokio::time::timeout(HELLO_WITHIN, incoming.message()).await;
    let Ok(message) = message else {
        return Err(Status::deadline_exceeded(
            "the first message, hello, did not come within 10 s",
        ));
    };
    let Some(message) = message? else {
        return Err(fault::invalid(
            "message",
            "must be hello: the stream ended without one",
        ));
    };
    match read_node(message)? {
        NodeMessage::Hello(hello) => Ok(hello),
        _ => Err(fault::invalid(
            "message",
            "must be hello: a session begins with it",
        )),
    }
}

/// What passes on what a node says.
struct Reader {
    incoming: Streaming<v1::NodeMessage>,
    link: Link,
    node: NodeId,
    /// Weak, so that the queue ends when the pool lets go of it.
    replies: mpsc::WeakSender<Said>,
    /// The other half of the connection is gone.
    left: CancellationToken,
    stopping: CancellationToken,
    handle: Handle,
}

impl Reader {
    async fn run(mut self) {
        let why = self.pass_on().await;
        events::session_closed(self.handle.pool(), &self.node, self.link, why.message());
        if let Some(replies) = self.replies.upgrade() {
            // If the queue is full the node learns it from the end of the stream.
            let _ = replies.try_send(Err(why));
        }
        self.handle.tell(Mail::Closed { link: self.link }).await;
    }

    /// Passes on until the connection is over; returns why it is.
    async fn pass_on(&mut self) -> Status {
        loop {
            let message = tokio::select! {
                message = self.incoming.message() => message,
                () = self.left.cancelled() => return Status::cancelled("the node has left"),
                () = self.stopping.cancelled() => return stopping(),
            };
            let message = match message {
                Ok(Some(message)) => read_node(message).map_err(Status::from),
                Ok(None) => return Status::cancelled("the node has ended the stream"),
                Err(status) => return status,
            };
            match message {
                Ok(NodeMessage::Hello(_)) => {
                    return fault::invalid("message", "must not be hello again; open a new stream");
                }
                Ok(message) => {
                    if !self
                        .handle
                        .tell(Mail::Said {
                            link: self.link,
                            message: Box::new(message),
                        })
                        .await
                    {
                        return stopping();
                    }
                }
                Err(status) => return status,
            }
        }
    }
}

fn stopping() -> Status {
    answer::unavailable("the coordinator is ending; connect again", COME_BACK)
}

/// What is said to a node; dropping it ends its reader.
struct Outgoing {
    inbox: mpsc::Receiver<Said>,
    slow: CancellationToken,
    is_over: bool,
    _left: DropGuard,
}

impl Stream for Outgoing {
    type Item = Result<v1::CoordinatorMessage, Status>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.is_over {
            return Poll::Ready(None);
        }
        let said = match self.slow.is_cancelled() {
            true => Some(Err(answer::unavailable(
                "too much waited to be read; connect again",
                COME_BACK,
            ))),
            false => std::task::ready!(self.inbox.poll_recv(context)),
        };
        self.is_over = !matches!(said, Some(Ok(_)));
        Poll::Ready(said.map(|said| said.map(write_coordinator)))
    }
}
