//! Targets at an executor, with the base played by the test: what becomes of a run is what the base would be told.

mod commands;
mod requests;

use super::*;
use crate::alarm::{MILLI, boot_nanos};
use dormouse_engine::base::Input;
use dormouse_engine::id::{RunId, TimerName, Token, Uid};
use dormouse_engine::time::{BootTime, Millis, WallTime};
use dormouse_engine::timer::{HandlerName, Outcome, Payload, Run};
use std::time::Duration;

/// How long a test waits for what must come.
const PATIENCE: Duration = Duration::from_secs(20);

/// An executor with targets and nothing else.
struct Fixture {
    executor: Arc<Executor>,
    workers: JoinSet<()>,
}

impl Fixture {
    fn start(config: &Targets) -> Self {
        let executor = Executor::start().unwrap();
        let prepared = Prepared::new(config, &NodeId::new("n1").unwrap()).unwrap();
        let workers = prepared.offer(&executor);
        Self { executor, workers }
    }

    fn launch(&self, run: Run) {
        let (from, until) = (BootTime(0), BootTime(u64::MAX));
        self.executor.launch(run, from, until);
    }

    /// What becomes of the next run that ends.
    async fn outcome(&self) -> (Token, Outcome) {
        let ended = async {
            loop {
                for input in self.executor.drain() {
                    match input {
                        Input::Settled { token, outcome, .. } => return (token, outcome),
                        Input::Workers { .. } => {}
                        other => panic!("{other:?}"),
                    }
                }
                self.executor.changed().await;
            }
        };
        tokio::time::timeout(PATIENCE, ended)
            .await
            .expect("the run ends")
    }

    /// What becomes of this run, with nothing else in flight.
    async fn outcome_of(&self, run: Run) -> Outcome {
        let launched = run.token;
        self.launch(run);
        let (token, outcome) = self.outcome().await;
        assert_eq!(token, launched);
        outcome
    }

    /// The reason of a run that must fail.
    async fn failure_of(&self, run: Run) -> String {
        match self.outcome_of(run).await {
            Outcome::Failed { reason, .. } => reason,
            other => panic!("{other:?}"),
        }
    }

    /// Waits until every credit of a place is free again.
    async fn all_free(&self, place: &HandlerName, credits: u32) {
        let free = async {
            while self.executor.free().get(place) != Some(&credits) {
                self.executor.changed().await;
                self.executor.drain();
            }
        };
        tokio::time::timeout(PATIENCE, free)
            .await
            .expect("the credits come back");
    }
}

fn run(number: u64, place: HandlerName, target: Target) -> Run {
    Run {
        uid: Uid(number.into()),
        name: TimerName::parse("pools/default/timers/t").unwrap(),
        generation: 1,
        id: RunId(number),
        nominal: WallTime(1_500),
        due: WallTime(2_000),
        attempt: 2,
        missed: 0,
        token: Token(number),
        handler: place,
        target,
        attempt_timeout: Millis(60_000),
        payload: Payload(b"the payload"[..].into()),
        content_type: "text/plain".into(),
    }
}
