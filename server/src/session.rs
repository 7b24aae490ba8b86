//! GroupService: the sessions of nodes, each a stream in and a stream out.
//!
//! ```text
//!   node --- messages ---> reader task ---> the pool's mailbox (lanes: what has no room is refused or dropped)
//!   node <-- messages ---- Outgoing <------ Outbox (bounded: what is said again is dropped)
//! ```
//!
//! A session's meaning is the machine's; here is only the connection, which has a number of its own.

mod line;
mod outbox;

pub(crate) use line::Line;
pub(crate) use outbox::Outbox;

use crate::events;
use crate::pool::{Handle, Mail, overloaded};
use crate::pools::Pools;
use dormouse_edge::listen::SESSION_MESSAGE_MAX;
use dormouse_edge::session::read_node;
use dormouse_edge::shell::{Lane, Refused, weigh};
use dormouse_edge::{answer, fault};
use dormouse_engine::id::NodeId;
use dormouse_engine::message::{CoordinatorMessage, Hello, NodeMessage};
use dormouse_engine::pool::Link;
use dormouse_proto::v1;
use outbox::{COME_BACK, Outgoing, Replies};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio_util::sync::CancellationToken;
use tonic::codegen::BoxStream;
use tonic::{Request, Response, Status, Streaming};
use v1::group_service_server::{GroupService, GroupServiceServer};

/// How long a new connection may take to say who it is.
const HELLO_WITHIN: Duration = Duration::from_secs(10);
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
        let left = CancellationToken::new();
        let guard = left.clone().drop_guard();
        let (outbox, replies, outgoing) = outbox::outbox(self.pools.lease(), guard);
        let reader = Reader {
            incoming,
            line: Arc::new(Line::new(link)),
            node: hello.node.clone(),
            replies,
            left,
            stopping: self.stopping.clone(),
            handle,
        };
        let hello = Box::new(hello);
        let opened = Mail::Opened {
            link,
            outbox,
            hello,
        };
        if !reader.handle.tell(opened) {
            return Err(stopping());
        }
        tokio::spawn(reader.run());
        Ok(outgoing)
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
    line: Arc<Line>,
    node: NodeId,
    replies: Replies,
    /// The other half of the connection is gone.
    left: CancellationToken,
    stopping: CancellationToken,
    handle: Handle,
}

impl Reader {
    async fn run(mut self) {
        let why = self.pass_on().await;
        let (pool, link) = (self.handle.pool(), self.line.link);
        events::session_closed(pool, &self.node, link, why.message());
        self.replies.end(why);
        self.handle.tell(Mail::Closed { line: self.line });
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
            let posted = match message {
                Ok(NodeMessage::Hello(_)) => {
                    return fault::invalid("message", "must not be hello again; open a new stream");
                }
                Ok(message) => self.post(message),
                Err(status) => return status,
            };
            if posted == Err(Refused::Ended) {
                return stopping();
            }
        }
    }

    /// Leaves a message in the pool's mailbox, without waiting. What is said again is dropped if there is no room;
    /// what is not is refused.
    fn post(&self, message: NodeMessage) -> Result<(), Refused> {
        let line = &self.line;
        let (lane, forward) = match &message {
            NodeMessage::Hello(_) => return Ok(()),
            NodeMessage::Heartbeat(heartbeat) => {
                let line = Arc::clone(line);
                let is_first = line.beat(heartbeat.clone());
                let is_open = !is_first || self.handle.tell(Mail::Beat { line });
                return is_open.then_some(()).ok_or(Refused::Ended);
            }
            NodeMessage::Report(_) if !line.has_room_for_a_report() => return Ok(()),
            NodeMessage::Report(_) => (Lane::Report, None),
            NodeMessage::Forward { id, op, .. } => (Lane::of(op), Some(*id)),
        };
        let bytes = weigh::from_node(&message);
        line.note_posted(forward.is_none());
        let said = Mail::Said {
            line: Arc::clone(line),
            message: Box::new(message),
        };
        let posted = self.handle.post(lane, bytes, said);
        if posted.is_err() {
            line.note_taken(forward.is_none());
        }
        if posted == Err(Refused::Full)
            && let Some(id) = forward
        {
            let answer = overloaded(self.handle.pool());
            self.replies
                .send(CoordinatorMessage::Forwarded { id, answer });
        }
        posted
    }
}

fn stopping() -> Status {
    answer::unavailable("the coordinator is ending; connect again", COME_BACK)
}
