//! The worker stream as a worker in another language sees it, with the base played by the test.
//!
//! What becomes of a run is seen in what the base would be told.

use super::*;
use dormouse_engine::base::Input;
use dormouse_engine::id::{RunId, TimerName, Token, Uid};
use dormouse_engine::time::{BootTime, WallTime};
use dormouse_engine::timer::{HandlerName, Payload, Run};
use dormouse_proto::v1::worker_service_client::WorkerServiceClient;
use dormouse_proto::v1::worker_service_server::WorkerServiceServer;
use dormouse_proto::v1::{Ack, Detach, Extend, Release};
use std::time::Duration;
use tokio::net::TcpListener;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::Code;
use tonic::transport::Channel;

/// An agent of which only the executor and its service are there.
struct Fixture {
    executor: Arc<Executor>,
    channel: Channel,
}

/// A worker's end of its stream.
struct Stream {
    say: mpsc::Sender<WorkRequest>,
    hear: Streaming<WorkResponse>,
}

impl Fixture {
    async fn start() -> Self {
        let executor = Executor::start().unwrap();
        let workers = Workers {
            executor: Arc::clone(&executor),
            node: NodeId::new("n1").unwrap(),
            pool: PoolId::new("default").unwrap(),
        };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let server =
            tonic::transport::Server::builder().add_service(WorkerServiceServer::new(workers));
        tokio::spawn(server.serve_with_incoming(TcpListenerStream::new(listener)));
        let channel = Channel::from_shared(address)
            .unwrap()
            .connect()
            .await
            .unwrap();
        Self { executor, channel }
    }

    async fn open(&self) -> Stream {
        let (say, said) = mpsc::channel(64);
        let mut client = WorkerServiceClient::new(self.channel.clone());
        let hear = client
            .work(ReceiverStream::new(said))
            .await
            .unwrap()
            .into_inner();
        Stream { say, hear }
    }

    async fn attached(&self, credits: u32) -> Stream {
        let mut stream = self.open().await;
        stream.attach(&["h"], credits).await;
        assert!(
            matches!(stream.next().await, Response_::Attached(a) if a.node == "n1" && a.pool == "default")
        );
        self.told(|input| matches!(input, Input::Workers { .. }))
            .await;
        stream
    }

    fn launch(&self, number: u64) {
        self.executor
            .launch(run(number), BootTime(0), BootTime(u64::MAX));
    }

    /// Waits until the base would be told something of this kind.
    async fn told(&self, wanted: impl Fn(&Input) -> bool) -> Input {
        let waiting = async {
            loop {
                self.executor.changed().await;
                if let Some(found) = self.executor.drain().into_iter().find(&wanted) {
                    return found;
                }
            }
        };
        tokio::time::timeout(Duration::from_secs(5), waiting)
            .await
            .expect("the base is told")
    }

    async fn outcome(&self) -> Outcome {
        match self
            .told(|input| matches!(input, Input::Settled { .. }))
            .await
        {
            Input::Settled { outcome, .. } => outcome,
            other => panic!("{other:?}"),
        }
    }
}

impl Stream {
    async fn say(&self, message: Request_) {
        self.say
            .send(WorkRequest {
                message: Some(message),
            })
            .await
            .unwrap();
    }

    async fn attach(&self, handlers: &[&str], credits: u32) {
        let handlers = handlers.iter().map(ToString::to_string).collect();
        self.say(Request_::Attach(Attach { handlers, credits }))
            .await;
    }

    async fn next(&mut self) -> Response_ {
        let next = tokio::time::timeout(Duration::from_secs(5), self.hear.message()).await;
        next.expect("an answer")
            .expect("no status")
            .expect("no end")
            .message
            .expect("a message")
    }

    async fn fired(&mut self) -> dormouse_proto::v1::Run {
        match self.next().await {
            Response_::Fire(fire) => fire.run.expect("a run"),
            other => panic!("{other:?}"),
        }
    }

    async fn refusal(&mut self) -> Status {
        let next = tokio::time::timeout(Duration::from_secs(5), self.hear.message()).await;
        next.expect("an answer").expect_err("a status")
    }
}

fn run(number: u64) -> Run {
    Run {
        uid: Uid(number.into()),
        name: TimerName::parse("pools/default/timers/t").unwrap(),
        generation: 3,
        id: RunId(number),
        nominal: WallTime(1_500),
        due: WallTime(2_000),
        attempt: 2,
        missed: 4,
        token: Token(number),
        handler: HandlerName::new("h").unwrap(),
        payload: Payload(b"data"[..].into()),
        target: dormouse_engine::timer::Target::Handler,
        attempt_timeout: dormouse_engine::timer::ATTEMPT_TIMEOUT,
        content_type: "text/plain".into(),
    }
}

fn names(number: u64) -> (String, u64) {
    (format!("{number:016x}"), number)
}

#[tokio::test]
async fn a_worker_gets_the_whole_run_and_settles_it() {
    let fixture = Fixture::start().await;
    let mut stream = fixture.attached(2).await;
    fixture.launch(7);
    let fired = stream.fired().await;
    assert_eq!(fired.timer, "pools/default/timers/t");
    assert_eq!(fired.uid, format!("{:032x}", 7));
    assert_eq!((fired.run.clone(), fired.token), names(7));
    assert_eq!(
        (fired.attempt, fired.generation, fired.missed_count),
        (2, 3, 4)
    );
    assert_eq!((fired.node.as_str(), fired.handler.as_str()), ("n1", "h"));
    assert_eq!(
        (&fired.payload[..], fired.content_type.as_str()),
        (&b"data"[..], "text/plain")
    );
    assert_eq!(
        fired.nominal_time.map(|time| (time.seconds, time.nanos)),
        Some((1, 500_000_000))
    );
    assert_eq!(fired.due_time.map(|time| time.seconds), Some(2));
    assert!(
        fired
            .launched_time
            .is_some_and(|time| time.seconds > 1_700_000_000)
    );
    assert_eq!(fired.attempt_timeout.map(|time| time.seconds), Some(60));
    let (run, token) = names(7);
    stream.say(Request_::Ack(Ack { run, token })).await;
    assert_eq!(fixture.outcome().await, Outcome::Done);
}

#[tokio::test]
async fn a_nack_carries_its_reason_and_its_wait() {
    let fixture = Fixture::start().await;
    let mut stream = fixture.attached(1).await;
    fixture.launch(1);
    stream.fired().await;
    let (run, token) = names(1);
    let retry_after = Some(prost_types::Duration {
        seconds: 3,
        nanos: 0,
    });
    stream
        .say(Request_::Nack(Nack {
            run,
            token,
            retry_after,
            reason: "busy".into(),
        }))
        .await;
    let retry_after = Some(dormouse_engine::time::Millis(3_000));
    assert_eq!(
        fixture.outcome().await,
        Outcome::Failed {
            retry_after,
            reason: "busy".into()
        }
    );
}

#[tokio::test]
async fn a_worker_hears_that_the_right_to_its_run_is_over() {
    let fixture = Fixture::start().await;
    let mut stream = fixture.attached(1).await;
    let short = Run {
        attempt_timeout: dormouse_engine::time::Millis(90_500),
        ..run(1)
    };
    fixture
        .executor
        .launch(short, BootTime(0), BootTime(u64::MAX));
    let timeout = stream.fired().await.attempt_timeout.unwrap();
    assert_eq!((timeout.seconds, timeout.nanos), (90, 500_000_000));
    fixture.executor.abandon(Token(1));
    let withdrawn = match stream.next().await {
        Response_::Withdraw(withdrawn) => withdrawn,
        other => panic!("{other:?}"),
    };
    assert_eq!((withdrawn.run, withdrawn.token), names(1));
}

#[tokio::test]
async fn a_released_run_was_not_launched() {
    let fixture = Fixture::start().await;
    let mut stream = fixture.attached(1).await;
    fixture.launch(1);
    stream.fired().await;
    let (run, token) = names(1);
    stream
        .say(Request_::Extend(Extend {
            run: run.clone(),
            token,
        }))
        .await;
    stream.say(Request_::Release(Release { run, token })).await;
    fixture
        .told(|input| matches!(input, Input::NotLaunched { .. }))
        .await;
}

#[tokio::test]
async fn a_stream_that_breaks_interrupts_its_runs_as_died() {
    let fixture = Fixture::start().await;
    let mut stream = fixture.attached(1).await;
    fixture.launch(1);
    stream.fired().await;
    drop(stream);
    assert_eq!(fixture.outcome().await, Outcome::Interrupted { died: true });
}

#[tokio::test]
async fn a_worker_that_says_detach_and_leaves_has_not_died() {
    let fixture = Fixture::start().await;
    let mut stream = fixture.attached(2).await;
    fixture.launch(1);
    stream.fired().await;
    stream.say(Request_::Detach(Detach {})).await;
    fixture
        .told(|input| matches!(input, Input::Workers { .. }))
        .await;
    drop(stream);
    assert_eq!(
        fixture.outcome().await,
        Outcome::Interrupted { died: false }
    );
}

#[tokio::test]
async fn a_detached_worker_still_settles_what_it_has() {
    let fixture = Fixture::start().await;
    let mut stream = fixture.attached(1).await;
    fixture.launch(1);
    stream.fired().await;
    stream.say(Request_::Detach(Detach {})).await;
    let (run, token) = names(1);
    stream.say(Request_::Ack(Ack { run, token })).await;
    assert_eq!(fixture.outcome().await, Outcome::Done);
}

#[tokio::test]
async fn what_breaks_the_protocol_is_told_which_field_is_wrong() {
    let fixture = Fixture::start().await;
    let (run, token) = names(1);
    let long = "h".repeat(256);
    let early = Request_::Ack(Ack { run, token });
    let attach = |handlers: &[&str], credits| {
        let handlers = handlers.iter().map(ToString::to_string).collect();
        Request_::Attach(Attach { handlers, credits })
    };
    let cases = [
        (early, "message"),
        (attach(&[], 1), "attach.handlers"),
        (attach(&["h", "no space"], 1), "attach.handlers[1]"),
        (attach(&[&long], 1), "attach.handlers[0]"),
        (attach(&["dormouse:http"], 1), "attach.handlers[0]"),
        (attach(&["h"], 10_001), "attach.credits"),
    ];
    for (message, field) in cases {
        let mut stream = fixture.open().await;
        stream.say(message).await;
        let status = stream.refusal().await;
        assert_eq!(status.code(), Code::InvalidArgument);
        assert!(
            status.message().starts_with(field),
            "{field}: {}",
            status.message()
        );
    }
}

#[tokio::test]
async fn a_worker_that_never_reads_harms_nobody() {
    let fixture = Fixture::start().await;
    let deaf = fixture.attached(500).await;
    for _ in 0..20_000 {
        // It asks again and again, and reads none of the answers.
        if deaf
            .say
            .try_send(WorkRequest {
                message: Some(Request_::Attach(Attach {
                    handlers: vec!["h".into()],
                    credits: 500,
                })),
            })
            .is_err()
        {
            tokio::task::yield_now().await;
        }
    }
    for number in 1..=500 {
        fixture.launch(number);
    }
    let mut other = fixture.attached(1).await;
    fixture.launch(1_000);
    assert_eq!(other.fired().await.token, 1_000);
}

#[tokio::test]
async fn closing_ends_every_stream() {
    let fixture = Fixture::start().await;
    let mut stream = fixture.attached(1).await;
    fixture.executor.close();
    let end = tokio::time::timeout(Duration::from_secs(5), stream.hear.message()).await;
    assert!(matches!(end, Ok(Ok(None))), "{end:?}");
}
