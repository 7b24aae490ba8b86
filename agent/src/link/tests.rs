//! The link against a coordinator that comes, goes, hangs and talks nonsense; the base is played by the test.
//!
//! Real connections, and real time: only the waits between attempts are checked by drawing them.

use super::*;
use dormouse_engine::id::{Epoch, Session};
use dormouse_engine::message::{Capacity, Heartbeat, Welcome};
use dormouse_engine::time::{BootTime, Millis, WallTime};
use dormouse_proto::v1;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::codegen::BoxStream;
use tonic::{Request, Response, Status};
use v1::group_service_server::{GroupService, GroupServiceServer};

/// What the coordinator does with a session.
#[derive(Clone, Copy)]
enum Manner {
    /// Answers every heartbeat after the first message, which it answers by a welcome.
    Polite,
    /// Ends the stream at once.
    Curt,
    /// Sends an empty message.
    Nonsense,
}

struct Coordinator {
    manner: Manner,
    sessions: Arc<AtomicUsize>,
}

#[tonic::async_trait]
impl GroupService for Coordinator {
    async fn session(
        &self,
        request: Request<Streaming<v1::NodeMessage>>,
    ) -> Result<Response<BoxStream<v1::CoordinatorMessage>>, Status> {
        self.sessions.fetch_add(1, Ordering::SeqCst);
        let mut said = request.into_inner();
        let (answers, answered) = mpsc::channel(16);
        match self.manner {
            Manner::Curt => {}
            Manner::Nonsense => {
                answers
                    .send(Ok(v1::CoordinatorMessage::default()))
                    .await
                    .unwrap();
                tokio::spawn(async move { answers.closed().await });
            }
            Manner::Polite => {
                // The call itself is answered only when the node has said something, as a server may do.
                said.message().await?;
                let welcome = session::write_coordinator(CoordinatorMessage::Welcome(welcome()));
                answers.send(Ok(welcome)).await.unwrap();
                tokio::spawn(async move {
                    while let Ok(Some(_)) = said.message().await {
                        let _ = answers.send(Ok(session::write_coordinator(pulse()))).await;
                    }
                });
            }
        }
        Ok(Response::new(Box::pin(ReceiverStream::new(answered))))
    }
}

fn welcome() -> Welcome {
    Welcome {
        session: Session(1),
        epoch: Epoch(1),
        owns: false,
        lease: Millis(10_000),
        clock: WallTime(0),
        ledger: 1,
        wake_grace: Millis(2_000),
        stage: None,
    }
}

fn pulse() -> CoordinatorMessage {
    CoordinatorMessage::Pulse {
        session: Session(1),
        sent: BootTime(0),
        clock: WallTime(0),
        rooms: Capacity::new(),
    }
}

fn heartbeat() -> NodeMessage {
    NodeMessage::Heartbeat(Heartbeat {
        session: Session(1),
        sent: BootTime(0),
        wall: WallTime(0),
        wanted: Vec::new(),
    })
}

struct Serving {
    address: SocketAddr,
    sessions: Arc<AtomicUsize>,
    server: JoinHandle<Result<(), tonic::transport::Error>>,
}

impl Serving {
    async fn start(manner: Manner, address: &str) -> Self {
        let listener = TcpListener::bind(address).await.unwrap();
        let address = listener.local_addr().unwrap();
        let sessions = Arc::new(AtomicUsize::new(0));
        let coordinator = Coordinator {
            manner,
            sessions: Arc::clone(&sessions),
        };
        let server = tonic::transport::Server::builder()
            .add_service(GroupServiceServer::new(coordinator))
            .serve_with_incoming(TcpListenerStream::new(listener));
        Self {
            address,
            sessions,
            server: tokio::spawn(server),
        }
    }

    /// Kills the server with all its connections.
    async fn kill(self) -> SocketAddr {
        self.server.abort();
        let _ = self.server.await;
        self.address
    }
}

struct Listener {
    events: mpsc::Receiver<Event>,
    stop: CancellationToken,
    link: JoinHandle<()>,
}

impl Listener {
    fn start(address: SocketAddr) -> Self {
        let (sender, events) = mpsc::channel(4);
        let stop = CancellationToken::new();
        let endpoint = endpoint(&format!("http://{address}")).unwrap();
        let link = tokio::spawn(run(endpoint, sender, stop.clone()));
        Self { events, stop, link }
    }

    async fn next(&mut self) -> Event {
        let next = tokio::time::timeout(Duration::from_secs(10), self.events.recv()).await;
        next.expect("something happens").expect("the link lives")
    }

    async fn connected(&mut self) -> Outgoing {
        match self.next().await {
            Event::Connected(outgoing) => outgoing,
            Event::Heard(message) => panic!("heard {message:?}"),
            Event::Disconnected => panic!("disconnected"),
        }
    }

    async fn heard(&mut self) -> CoordinatorMessage {
        match self.next().await {
            Event::Heard(message) => message,
            Event::Connected(_) => panic!("connected"),
            Event::Disconnected => panic!("disconnected"),
        }
    }

    async fn disconnected(&mut self) {
        assert!(matches!(self.next().await, Event::Disconnected));
    }
}

#[test]
fn waits_are_spread_and_never_longer_than_two_seconds() {
    let mut longest = Duration::ZERO;
    for _ in 0..200 {
        let mut backoff = Backoff::default();
        assert!(backoff.draw() <= BACKOFF_FIRST);
        for _ in 0..40 {
            longest = longest.max(backoff.draw());
        }
    }
    assert!(longest <= BACKOFF_MAX);
    assert!(
        longest > BACKOFF_MAX / 2,
        "of 8,000 draws one is in the upper half: {longest:?}"
    );
}

#[tokio::test]
async fn what_is_said_arrives_and_is_answered() {
    let serving = Serving::start(Manner::Polite, "127.0.0.1:0").await;
    let mut link = Listener::start(serving.address);
    let outgoing = link.connected().await;
    outgoing.say(heartbeat());
    assert_eq!(link.heard().await, CoordinatorMessage::Welcome(welcome()));
    outgoing.say(heartbeat());
    assert_eq!(link.heard().await, pulse());
}

#[tokio::test]
async fn a_coordinator_that_restarts_is_found_again() {
    let serving = Serving::start(Manner::Polite, "127.0.0.1:0").await;
    let mut link = Listener::start(serving.address);
    link.connected().await.say(heartbeat());
    link.heard().await;
    let address = serving.kill().await;
    link.disconnected().await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    let _again = Serving::start(Manner::Polite, &address.to_string()).await;
    link.connected().await.say(heartbeat());
    assert_eq!(link.heard().await, CoordinatorMessage::Welcome(welcome()));
}

#[tokio::test]
async fn an_agent_that_is_there_before_its_coordinator_waits_for_it() {
    let free = TcpListener::bind("127.0.0.1:0")
        .await
        .unwrap()
        .local_addr()
        .unwrap();
    let mut link = Listener::start(free);
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert!(
        link.events.try_recv().is_err(),
        "nothing happens on a link that is not open"
    );
    let _serving = Serving::start(Manner::Polite, &free.to_string()).await;
    link.connected().await;
}

#[tokio::test]
async fn hanging_up_closes_one_connection_and_another_follows() {
    let serving = Serving::start(Manner::Polite, "127.0.0.1:0").await;
    let mut link = Listener::start(serving.address);
    let old = link.connected().await;
    old.say(heartbeat());
    link.heard().await;
    old.hang_up();
    link.disconnected().await;
    let new = link.connected().await;
    // What was meant for the old connection goes nowhere, and does not close the new one.
    old.say(heartbeat());
    new.say(heartbeat());
    assert_eq!(link.heard().await, CoordinatorMessage::Welcome(welcome()));
}

#[tokio::test]
async fn a_coordinator_that_talks_nonsense_is_hung_up_on() {
    let serving = Serving::start(Manner::Nonsense, "127.0.0.1:0").await;
    let mut link = Listener::start(serving.address);
    link.connected().await;
    link.disconnected().await;
}

#[tokio::test]
async fn a_coordinator_that_gives_no_session_is_not_hammered() {
    let serving = Serving::start(Manner::Curt, "127.0.0.1:0").await;
    let mut link = Listener::start(serving.address);
    let until = tokio::time::Instant::now() + Duration::from_secs(2);
    while tokio::time::timeout_at(until, link.events.recv())
        .await
        .is_ok()
    {}
    let sessions = serving.sessions.load(Ordering::SeqCst);
    assert!(
        (2..=40).contains(&sessions),
        "{sessions} attempts in two seconds"
    );
}

#[tokio::test]
async fn a_burst_is_dropped_and_does_not_end_the_connection() {
    let serving = Serving::start(Manner::Polite, "127.0.0.1:0").await;
    let mut link = Listener::start(serving.address);
    let outgoing = link.connected().await;
    for _ in 0..=2 * QUEUE_LENGTH {
        outgoing.say(heartbeat());
    }
    assert!(!outgoing.over.is_cancelled());
    assert!(outgoing.queue.max_capacity() == QUEUE_LENGTH, "bounded");
}

#[tokio::test]
async fn stopping_ends_the_link_at_once() {
    let serving = Serving::start(Manner::Polite, "127.0.0.1:0").await;
    let mut link = Listener::start(serving.address);
    link.connected().await;
    link.stop.cancel();
    tokio::time::timeout(Duration::from_secs(1), link.link)
        .await
        .unwrap()
        .unwrap();
}
