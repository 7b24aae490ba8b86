//! The worker against an agent that the test plays: outcomes, credits, signs of life, stopping, returning.

#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

mod fake;

use dormouse_client::{Error, Failure, Run, Worker};
use dormouse_proto::v1 as wire;
use fake::{Agent, WorkStream, run};
use std::time::Duration;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;
use wire::work_request::Message as Up;

/// A worker that runs, and how to stop it.
struct Started {
    stop: oneshot::Sender<()>,
    ended: JoinHandle<Result<(), Error>>,
}

impl Started {
    fn new(worker: Worker) -> Self {
        let (stop, stopped) = oneshot::channel::<()>();
        let ended = tokio::spawn(worker.run_until(async { drop(stopped.await) }));
        Self { stop, ended }
    }

    async fn end(self) -> Result<(), Error> {
        let ended = tokio::time::timeout(Duration::from_secs(5), self.ended).await;
        ended.expect("the worker ends").expect("it does not panic")
    }
}

fn ack(token: u64) -> Up {
    Up::Ack(wire::Ack {
        run: format!("{token:016x}"),
        token,
    })
}

fn release(token: u64) -> Up {
    Up::Release(wire::Release {
        run: format!("{token:016x}"),
        token,
    })
}

fn extend(token: u64) -> Up {
    Up::Extend(wire::Extend {
        run: format!("{token:016x}"),
        token,
    })
}

async fn nack(stream: &mut WorkStream) -> wire::Nack {
    match stream.hear().await {
        Some(Up::Nack(nack)) => nack,
        other => panic!("{other:?} is no nack"),
    }
}

/// A gate that handlers wait at.
fn gate() -> (
    watch::Sender<bool>,
    impl Fn(Run) -> GateWait + Send + Sync + Clone,
) {
    let (open, gate) = watch::channel(false);
    let wait = move |_run: Run| -> GateWait {
        let mut gate = gate.clone();
        Box::pin(async move {
            gate.wait_for(|open| *open).await.map_err(Failure::from)?;
            Ok(())
        })
    };
    (open, wait)
}

type GateWait = std::pin::Pin<Box<dyn Future<Output = Result<(), Failure>> + Send>>;

#[tokio::test]
async fn success_is_acked_failure_and_panic_are_nacked_and_the_worker_lives_on() {
    let mut agent = Agent::start().await;
    let worker = agent.client().await.worker().handle("h", |run| async move {
        match run.token {
            1 => Ok(()),
            2 => Err(Failure::new("not now").retry_after(Duration::from_secs(9))),
            3 => Err("x".parse::<u8>().unwrap_err().into()),
            _ => panic!("planted in run {}", run.token),
        }
    });
    let _started = Started::new(worker);
    let mut stream = agent.stream().await;
    stream.accept().await;
    stream.fire(run(1)).await;
    assert_eq!(stream.hear().await, Some(ack(1)));
    stream.fire(run(2)).await;
    let refused = nack(&mut stream).await;
    assert_eq!((refused.token, refused.reason.as_str()), (2, "not now"));
    assert_eq!(
        refused.retry_after,
        Some(prost_types::Duration {
            seconds: 9,
            nanos: 0
        })
    );
    stream.fire(run(3)).await;
    assert_eq!(
        nack(&mut stream).await.reason,
        "invalid digit found in string"
    );
    stream.fire(run(4)).await;
    assert_eq!(
        nack(&mut stream).await.reason,
        "the handler panicked: planted in run 4"
    );
    stream.fire(run(1)).await;
    assert_eq!(stream.hear().await, Some(ack(1)));
}

/// Tells when it is dropped.
struct Dropped(mpsc::UnboundedSender<u64>, u64);

impl Drop for Dropped {
    fn drop(&mut self) {
        let _ = self.0.send(self.1);
    }
}

#[tokio::test]
async fn a_withdrawn_run_is_ended_and_settled_and_others_go_on() {
    let mut agent = Agent::start().await;
    let (told, mut dropped) = mpsc::unbounded_channel();
    let (begin, mut begun) = mpsc::unbounded_channel();
    let (open, wait) = gate();
    let worker = agent.client().await.worker().handle("h", move |run| {
        let _ = begin.send(run.token);
        let (guard, wait) = (Dropped(told.clone(), run.token), wait(run));
        async move {
            let _guard = guard;
            wait.await
        }
    });
    let _started = Started::new(worker);
    let mut stream = agent.stream().await;
    stream.accept().await;
    stream.fire(run(1)).await;
    assert_eq!(begun.recv().await, Some(1));
    stream.fire(run(2)).await;
    stream.withdraw(1).await;
    // Nobody knows this one.
    stream.withdraw(9).await;
    let withdrawn = nack(&mut stream).await;
    assert_eq!(withdrawn.token, 1);
    assert!(withdrawn.reason.contains("over"), "{}", withdrawn.reason);
    assert_eq!(dropped.recv().await, Some(1));
    open.send(true).unwrap();
    assert_eq!(stream.hear().await, Some(ack(2)));
}

#[tokio::test]
async fn a_run_for_an_unknown_handler_is_nacked() {
    let mut agent = Agent::start().await;
    let _started = Started::new(
        agent
            .client()
            .await
            .worker()
            .handle("h", |_| async { Ok(()) }),
    );
    let mut stream = agent.stream().await;
    assert_eq!(stream.accept().await.handlers, ["h"]);
    stream
        .fire(wire::Run {
            handler: "other".into(),
            ..run(1)
        })
        .await;
    assert_eq!(
        nack(&mut stream).await.reason,
        "this worker has no handler other"
    );
}

#[tokio::test]
async fn a_handler_that_takes_long_is_reported_alive() {
    let mut agent = Agent::start().await;
    let (open, wait) = gate();
    let _started = Started::new(agent.client().await.worker().handle("h", wait));
    let mut stream = agent.stream().await;
    stream.accept().await;
    let attempt_timeout = Some(prost_types::Duration {
        seconds: 1,
        nanos: 0,
    });
    stream
        .fire(wire::Run {
            attempt_timeout,
            ..run(1)
        })
        .await;
    stream.hear_nothing(Duration::from_millis(200)).await;
    assert_eq!(stream.hear().await, Some(extend(1)));
    assert_eq!(stream.hear().await, Some(extend(1)));
    open.send_replace(true);
    assert_eq!(stream.hear().await, Some(ack(1)));
    stream.hear_nothing(Duration::from_millis(700)).await;
}

#[tokio::test]
async fn what_is_above_its_credits_is_given_back() {
    let mut agent = Agent::start().await;
    let (open, wait) = gate();
    let _started = Started::new(
        agent
            .client()
            .await
            .worker()
            .handle("h", wait)
            .concurrency(2),
    );
    let mut stream = agent.stream().await;
    assert_eq!(stream.accept().await.credits, 2);
    for token in 1..=3 {
        stream.fire(run(token)).await;
    }
    assert_eq!(stream.hear().await, Some(release(3)));
    // The same attempt again is the one that runs already.
    stream.fire(run(2)).await;
    stream.hear_nothing(Duration::from_millis(50)).await;
    open.send_replace(true);
    let mut settled = [stream.hear().await, stream.hear().await].map(|message| match message {
        Some(Up::Ack(ack)) => ack.token,
        other => panic!("{other:?}"),
    });
    settled.sort_unstable();
    assert_eq!(settled, [1, 2]);
    stream.fire(run(4)).await;
    assert_eq!(stream.hear().await, Some(ack(4)));
}

#[tokio::test]
async fn a_stopped_worker_finishes_what_it_began_and_gives_back_the_rest() {
    let mut agent = Agent::start().await;
    let (open, wait) = gate();
    let started = Started::new(agent.client().await.worker().handle("h", wait));
    let mut stream = agent.stream().await;
    stream.accept().await;
    stream.fire(run(1)).await;
    stream.hear_nothing(Duration::from_millis(50)).await;
    started.stop.send(()).unwrap();
    assert_eq!(stream.hear().await, Some(Up::Detach(wire::Detach {})));
    // This one crosses the Detach.
    stream.fire(run(2)).await;
    assert_eq!(stream.hear().await, Some(release(2)));
    assert!(!started.ended.is_finished());
    open.send_replace(true);
    assert_eq!(stream.hear().await, Some(ack(1)));
    drop(stream);
    let stopped = Started {
        stop: oneshot::channel().0,
        ended: started.ended,
    };
    assert_eq!(stopped.end().await, Ok(()));
}

#[tokio::test]
async fn a_handler_that_outlasts_the_grace_has_failed() {
    let mut agent = Agent::start().await;
    let (_open, wait) = gate();
    let worker = agent
        .client()
        .await
        .worker()
        .handle("h", wait)
        .grace(Duration::from_millis(100));
    let started = Started::new(worker);
    let mut stream = agent.stream().await;
    stream.accept().await;
    stream.fire(run(1)).await;
    stream.hear_nothing(Duration::from_millis(50)).await;
    started.stop.send(()).unwrap();
    assert_eq!(stream.hear().await, Some(Up::Detach(wire::Detach {})));
    assert_eq!(
        nack(&mut stream).await.reason,
        "the worker was stopped before the handler ended"
    );
    drop(stream);
    let stopped = Started {
        stop: oneshot::channel().0,
        ended: started.ended,
    };
    assert_eq!(stopped.end().await, Ok(()));
}

#[tokio::test]
async fn a_stopped_worker_does_not_wait_for_ever_for_the_agents_farewell() {
    let mut agent = Agent::start().await;
    let started = Started::new(
        agent
            .client()
            .await
            .worker()
            .handle("h", |_| async { Ok(()) }),
    );
    let mut stream = agent.stream().await;
    stream.accept().await;
    stream.fire(run(1)).await;
    assert_eq!(stream.hear().await, Some(ack(1)));
    started.stop.send(()).unwrap();
    assert_eq!(stream.hear().await, Some(Up::Detach(wire::Detach {})));
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert!(!started.ended.is_finished());
    let stopped = Started {
        stop: oneshot::channel().0,
        ended: started.ended,
    };
    assert_eq!(stopped.end().await, Ok(()));
}

#[tokio::test]
async fn a_worker_that_is_stopped_while_it_attaches_gives_back_what_it_is_handed() {
    let mut agent = Agent::start().await;
    let started = Started::new(
        agent
            .client()
            .await
            .worker()
            .handle("h", |_| async { Ok(()) }),
    );
    let mut stream = agent.stream().await;
    // Whether the worker has seen that its stream is open, is left to chance.
    started.stop.send(()).unwrap();
    stream.accept().await;
    assert_eq!(stream.hear().await, Some(Up::Detach(wire::Detach {})));
    stream.fire(run(1)).await;
    assert_eq!(stream.hear().await, Some(release(1)));
    drop(stream);
    let stopped = Started {
        stop: oneshot::channel().0,
        ended: started.ended,
    };
    assert_eq!(stopped.end().await, Ok(()));
}

#[tokio::test]
async fn a_broken_stream_is_opened_again_with_the_credits_that_are_left() {
    let mut agent = Agent::start().await;
    let (open, wait) = gate();
    let _started = Started::new(
        agent
            .client()
            .await
            .worker()
            .handle("h", wait)
            .concurrency(3),
    );
    let mut first = agent.stream().await;
    assert_eq!(first.accept().await.credits, 3);
    first.fire(run(1)).await;
    first.hear_nothing(Duration::from_millis(50)).await;
    drop(first);
    let mut second = agent.stream().await;
    assert_eq!(second.accept().await.credits, 2);
    open.send_replace(true);
    // The old outcome is nobody's any more; its place is free again.
    match second.hear().await {
        Some(Up::Attach(attach)) => assert_eq!(attach.credits, 3),
        other => panic!("{other:?}"),
    }
    second.fire(run(2)).await;
    assert_eq!(second.hear().await, Some(ack(2)));
}

#[tokio::test]
async fn a_worker_may_start_before_its_agent() {
    let folder = tempfile::tempdir().unwrap();
    let client = fake::client_of(folder.path()).await;
    let _started = Started::new(client.worker().handle("h", |_| async { Ok(()) }));
    tokio::time::sleep(Duration::from_millis(200)).await;
    let mut agent = Agent::start_in(folder).await;
    let mut stream = agent.stream().await;
    stream.accept().await;
    stream.fire(run(1)).await;
    assert_eq!(stream.hear().await, Some(ack(1)));
}

#[tokio::test]
async fn a_worker_without_an_agent_stops_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let client = fake::client_of(folder.path()).await;
    let started = Started::new(client.worker().handle("h", |_| async { Ok(()) }));
    tokio::time::sleep(Duration::from_millis(50)).await;
    started.stop.send(()).unwrap();
    let stopped = Started {
        stop: oneshot::channel().0,
        ended: started.ended,
    };
    assert_eq!(stopped.end().await, Ok(()));
}

#[tokio::test]
async fn a_worker_of_what_is_no_agent_ends_with_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let listener = tokio::net::UnixListener::bind(folder.path().join("agent.sock")).unwrap();
    let incoming = tokio_stream::wrappers::UnixListenerStream::new(listener);
    let timers = wire::timer_service_server::TimerServiceServer::new(fake::Scripts::default());
    tokio::spawn(
        tonic::transport::Server::builder()
            .add_service(timers)
            .serve_with_incoming(incoming),
    );
    let client = fake::client_of(folder.path()).await;
    let started = Started::new(client.worker().handle("h", |_| async { Ok(()) }));
    assert!(matches!(
        started.end().await,
        Err(Error::Unimplemented { .. })
    ));
}

#[tokio::test]
async fn a_worker_without_good_handlers_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let client = fake::client_of(folder.path()).await;
    assert!(matches!(
        client.worker().run().await,
        Err(Error::InvalidArgument { .. })
    ));
    let worker = client.worker().handle("two words", |_| async { Ok(()) });
    assert!(matches!(
        worker.run().await,
        Err(Error::InvalidArgument { .. })
    ));
}
