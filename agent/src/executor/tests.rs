//! What the executor promises, without a wire and without a base.
//!
//! Workers are queues that the tests look into, and the base is what the tests drain.

use super::*;
use crate::alarm::MILLI;
use dormouse_engine::id::{TimerName, Uid};
use dormouse_engine::time::{Millis, WallTime};
use dormouse_engine::timer::{ATTEMPT_TIMEOUT, Payload};
use std::time::Duration;
use tokio::sync::mpsc::Receiver;

/// A worker that can be looked at.
struct Worker {
    id: WorkerId,
    said: Receiver<Said>,
}

impl Worker {
    fn attach(executor: &Executor, handlers: &[&str], credits: u32) -> Self {
        let (queue, said) = mpsc::channel(QUEUE_LENGTH);
        let id = executor.attach(queue);
        executor.offer(
            id,
            handlers.iter().map(|name| handler(name)).collect(),
            credits,
        );
        Self { id, said }
    }

    async fn next(&mut self) -> Delivery {
        match tokio::time::timeout(Duration::from_secs(5), self.said.recv()).await {
            Ok(Some(Said::Fire(delivery))) => *delivery,
            other => panic!("expected a run, got {other:?}"),
        }
    }

    fn has_nothing(&mut self) -> bool {
        self.said.try_recv().is_err()
    }

    fn attempt(&self, run: &Run) -> Attempt {
        Attempt {
            worker: self.id,
            run: run.id,
            token: run.token,
        }
    }
}

fn handler(name: &str) -> HandlerName {
    HandlerName::new(name).unwrap()
}

fn run(handler_name: &str, number: u64) -> Run {
    Run {
        uid: Uid(number.into()),
        name: TimerName::parse("pools/default/timers/t").unwrap(),
        generation: 1,
        id: RunId(number),
        nominal: WallTime(0),
        due: WallTime(0),
        attempt: 1,
        missed: 0,
        token: Token(number),
        target: dormouse_engine::timer::Target::Handler,
        attempt_timeout: ATTEMPT_TIMEOUT,
        handler: handler(handler_name),
        payload: Payload::default(),
        content_type: String::new(),
    }
}

const PAST: BootTime = BootTime(0);
const NEVER: BootTime = BootTime(u64::MAX);

fn launch(executor: &Executor, run: &Run) {
    executor.launch(run.clone(), PAST, NEVER);
}

fn in_ms(millis: u64) -> BootTime {
    BootTime(boot_nanos() / MILLI) + Millis(millis)
}

fn places(executor: &Executor) -> Option<Vec<(String, u32)>> {
    executor.drain().into_iter().find_map(|input| match input {
        Input::Workers { places } => Some(
            places
                .into_iter()
                .map(|(name, count)| (name.to_string(), count))
                .collect(),
        ),
        _ => None,
    })
}

fn place(name: &str, count: u32) -> Option<Vec<(String, u32)>> {
    Some(vec![(name.to_owned(), count)])
}

/// What the base is told about runs.
fn ended(executor: &Executor) -> Vec<Input> {
    let mut inputs = executor.drain();
    inputs.retain(|input| !matches!(input, Input::Workers { .. }));
    inputs
}

fn not_launched(run: &Run) -> Input {
    Input::NotLaunched {
        uid: run.uid,
        token: run.token,
    }
}

fn settled(run: &Run, outcome: Outcome) -> Input {
    Input::Settled {
        uid: run.uid,
        token: run.token,
        outcome,
    }
}

#[tokio::test]
async fn a_run_is_launched_at_its_time_and_never_before() {
    let executor = Executor::start().unwrap();
    let mut worker = Worker::attach(&executor, &["h"], 100);
    let mut lateness = Vec::new();
    for number in 1..=20 {
        let from = in_ms(5 + number % 7);
        let wall =
            WallTime(crate::alarm::wall_nanos() / MILLI.cast_signed()) + Millis(5 + number % 7);
        let run = Run {
            due: wall,
            ..run("h", number)
        };
        executor.launch(run, from, NEVER);
        let delivery = worker.next().await;
        let now = boot_nanos();
        assert!(
            now >= from.0 * MILLI,
            "early by {} ns",
            from.0 * MILLI - now
        );
        let due = SystemTime::UNIX_EPOCH + Duration::from_millis(wall.0.unsigned_abs());
        assert!(
            delivery.launched >= due,
            "{:?} before {due:?}",
            delivery.launched
        );
        lateness.push(now - from.0 * MILLI);
    }
    lateness.sort_unstable();
    let median = lateness[lateness.len() / 2];
    assert!(median < 3 * MILLI, "median lateness of {median} ns");
}

#[tokio::test]
async fn an_earlier_run_does_not_wait_for_a_later_one() {
    let executor = Executor::start().unwrap();
    let mut worker = Worker::attach(&executor, &["h"], 100);
    executor.launch(run("h", 1), in_ms(60_000), NEVER);
    executor.launch(run("h", 2), in_ms(20), NEVER);
    assert_eq!(worker.next().await.run.token, Token(2));
}

#[tokio::test]
async fn a_run_whose_right_has_ended_is_not_launched() {
    let executor = Executor::start().unwrap();
    let mut worker = Worker::attach(&executor, &["h"], 1);
    let now = in_ms(0);
    let run = run("h", 1);
    executor.launch(run.clone(), now, now);
    assert_eq!(ended(&executor), [not_launched(&run)]);
    assert!(worker.has_nothing());
}

#[tokio::test]
async fn a_run_that_nobody_can_take_comes_back() {
    let executor = Executor::start().unwrap();
    let _other = Worker::attach(&executor, &["other"], 1);
    let run = run("h", 1);
    launch(&executor, &run);
    assert_eq!(ended(&executor), [not_launched(&run)]);
}

#[tokio::test]
async fn a_worker_holds_no_more_than_its_credits() {
    let executor = Executor::start().unwrap();
    let mut worker = Worker::attach(&executor, &["h"], 2);
    assert_eq!(places(&executor), place("h", 2));
    let runs = [run("h", 1), run("h", 2), run("h", 3)];
    runs.iter().for_each(|run| launch(&executor, run));
    assert_eq!(ended(&executor), [not_launched(&runs[2])]);
    let first = worker.next().await.run;
    executor.settle(worker.attempt(&first), Outcome::Done);
    assert_eq!(ended(&executor), [settled(&first, Outcome::Done)]);
    launch(&executor, &runs[2]);
    assert_eq!(worker.next().await.run.token, Token(2));
    assert_eq!(worker.next().await.run.token, Token(3));
}

#[tokio::test]
async fn a_run_is_launched_once_however_often_it_is_asked_for() {
    let executor = Executor::start().unwrap();
    let mut worker = Worker::attach(&executor, &["h"], 5);
    let run = run("h", 1);
    launch(&executor, &run);
    launch(&executor, &run);
    worker.next().await;
    assert!(worker.has_nothing());
}

#[tokio::test]
async fn runs_are_spread_fairly_over_the_workers_of_a_handler() {
    let executor = Executor::start().unwrap();
    let mut workers: Vec<_> = (0..3)
        .map(|_| Worker::attach(&executor, &["h"], 10))
        .collect();
    let mut stranger = Worker::attach(&executor, &["other"], 10);
    for number in 1..=9 {
        launch(&executor, &run("h", number));
    }
    for worker in &mut workers {
        for _ in 0..3 {
            worker.next().await;
        }
        assert!(worker.has_nothing());
    }
    assert!(stranger.has_nothing());
}

#[tokio::test]
async fn a_credit_that_two_handlers_share_is_one_place_once_it_is_used() {
    let executor = Executor::start().unwrap();
    let _worker = Worker::attach(&executor, &["a", "b"], 2);
    assert_eq!(
        places(&executor),
        Some(vec![("a".into(), 2), ("b".into(), 2)])
    );
    launch(&executor, &run("a", 1));
    assert_eq!(
        places(&executor),
        Some(vec![("a".into(), 2), ("b".into(), 1)])
    );
    launch(&executor, &run("a", 2));
    assert_eq!(
        places(&executor),
        Some(vec![("a".into(), 2), ("b".into(), 0)])
    );
}

#[tokio::test]
async fn an_abandoned_run_is_never_told_of_but_keeps_its_worker_busy() {
    let executor = Executor::start().unwrap();
    let mut worker = Worker::attach(&executor, &["h"], 1);
    let (first, second) = (run("h", 1), run("h", 2));
    launch(&executor, &first);
    worker.next().await;
    assert_eq!(places(&executor), place("h", 1));
    executor.abandon(first.token);
    assert_eq!(places(&executor), place("h", 0));
    launch(&executor, &second);
    assert_eq!(ended(&executor), [not_launched(&second)]);
    executor.settle(worker.attempt(&first), Outcome::Done);
    assert_eq!(
        executor.drain(),
        [Input::Workers {
            places: [(handler("h"), 1)].into()
        }]
    );
}

#[tokio::test]
async fn a_worker_is_told_that_its_run_is_abandoned_and_then_settles_it() {
    let executor = Executor::start().unwrap();
    let mut worker = Worker::attach(&executor, &["h"], 1);
    let run = run("h", 1);
    launch(&executor, &run);
    worker.next().await;
    executor.abandon(run.token);
    executor.abandon(run.token);
    let said = worker.said.try_recv();
    assert!(
        matches!(said, Ok(Said::Withdraw { run: id, token }) if (id, token) == (run.id, run.token)),
        "{said:?}"
    );
    assert!(worker.has_nothing());
    assert_eq!(executor.free()[&handler("h")], 0);
    executor.release(worker.attempt(&run));
    assert_eq!(executor.free()[&handler("h")], 1);
    assert_eq!(ended(&executor), []);
}

#[tokio::test]
async fn an_in_process_handler_is_dropped_when_its_run_is_abandoned() {
    let executor = Executor::start().unwrap();
    let (begun, mut begins) = mpsc::unbounded_channel();
    crate::local::attach(&executor, handler("h"), 1, move |run| {
        let _ = begun.send(run.token);
        std::future::pending()
    });
    launch(&executor, &run("h", 1));
    assert_eq!(begins.recv().await, Some(Token(1)));
    assert_eq!(places(&executor), place("h", 1));
    executor.abandon(Token(1));
    while executor.free()[&handler("h")] == 0 {
        executor.changed().await;
    }
    assert_eq!(ended(&executor), []);
}

#[tokio::test]
async fn an_attempt_has_the_time_that_its_timer_asks_for() {
    let executor = Executor::start().unwrap();
    let mut worker = Worker::attach(&executor, &["h"], 2);
    let short = Run {
        attempt_timeout: Millis(1_500),
        ..run("h", 1)
    };
    let long = Run {
        attempt_timeout: Millis(u64::MAX),
        ..run("h", 2)
    };
    launch(&executor, &short);
    launch(&executor, &long);
    worker.next().await;
    worker.next().await;
    let launched = boot_nanos();
    executor.with(|state| state.alarm(launched + 1_000 * MILLI));
    executor.extend(worker.attempt(&short));
    let extended = boot_nanos();
    executor.with(|state| state.alarm(launched + 1_500 * MILLI));
    assert_eq!(ended(&executor), []);
    executor.with(|state| state.alarm(extended + 1_500 * MILLI));
    let reason = "no sign of life for 1500 ms".into();
    let retry_after = None;
    let failed = Outcome::Failed {
        retry_after,
        reason,
    };
    assert_eq!(ended(&executor), [settled(&short, failed)]);
    let said = worker.said.try_recv();
    assert!(
        matches!(
            said,
            Ok(Said::Withdraw {
                token: Token(1),
                ..
            })
        ),
        "{said:?}"
    );
}

#[tokio::test]
async fn a_run_that_is_abandoned_before_its_time_is_not_launched() {
    let executor = Executor::start().unwrap();
    let mut worker = Worker::attach(&executor, &["h"], 1);
    executor.launch(run("h", 1), in_ms(30), NEVER);
    executor.abandon(Token(1));
    launch(&executor, &run("h", 2));
    assert_eq!(worker.next().await.run.token, Token(2));
    tokio::time::sleep(Duration::from_millis(60)).await;
    assert!(worker.has_nothing());
    assert_eq!(ended(&executor), []);
}

#[tokio::test]
async fn a_worker_that_dies_interrupts_what_it_had_begun() {
    let executor = Executor::start().unwrap();
    let mut worker = Worker::attach(&executor, &["h"], 1);
    let run = run("h", 1);
    launch(&executor, &run);
    worker.next().await;
    executor.gone(worker.id);
    assert_eq!(
        ended(&executor),
        [settled(&run, Outcome::Interrupted { died: true })]
    );
    assert_eq!(executor.in_flight(), 0);
}

#[tokio::test]
async fn a_worker_that_detached_has_not_died_and_gets_nothing_further() {
    let executor = Executor::start().unwrap();
    let mut worker = Worker::attach(&executor, &["h"], 5);
    let first = run("h", 1);
    launch(&executor, &first);
    worker.next().await;
    executor.detach(worker.id);
    assert_eq!(places(&executor), place("h", 1));
    let second = run("h", 2);
    launch(&executor, &second);
    assert_eq!(ended(&executor), [not_launched(&second)]);
    executor.gone(worker.id);
    assert_eq!(
        ended(&executor),
        [settled(&first, Outcome::Interrupted { died: false })]
    );
}

#[tokio::test]
async fn a_run_whose_worker_leaves_before_its_time_goes_to_another() {
    let executor = Executor::start().unwrap();
    let leaver = Worker::attach(&executor, &["h"], 1);
    executor.launch(run("h", 1), in_ms(40), NEVER);
    let mut other = Worker::attach(&executor, &["h"], 1);
    executor.gone(leaver.id);
    assert_eq!(other.next().await.run.token, Token(1));
    assert_eq!(ended(&executor), []);
}

#[tokio::test]
async fn a_worker_whose_stream_broke_is_passed_over() {
    let executor = Executor::start().unwrap();
    let broken = Worker::attach(&executor, &["h"], 1);
    let mut other = Worker::attach(&executor, &["h"], 1);
    drop(broken.said);
    launch(&executor, &run("h", 1));
    assert_eq!(other.next().await.run.token, Token(1));
    executor.gone(broken.id);
    assert_eq!(ended(&executor), []);
}

#[tokio::test]
async fn a_released_run_does_not_count() {
    let executor = Executor::start().unwrap();
    let mut worker = Worker::attach(&executor, &["h"], 1);
    let run = run("h", 1);
    launch(&executor, &run);
    worker.next().await;
    executor.release(worker.attempt(&run));
    assert_eq!(ended(&executor), [not_launched(&run)]);
}

#[tokio::test]
async fn an_attempt_without_a_sign_of_life_fails_and_keeps_its_worker_busy() {
    let executor = Executor::start().unwrap();
    let mut worker = Worker::attach(&executor, &["h"], 1);
    let run = run("h", 1);
    launch(&executor, &run);
    worker.next().await;
    let limit = boot_nanos() + ATTEMPT_TIMEOUT.0 * MILLI;
    executor.with(|state| state.alarm(limit - 1_000 * MILLI));
    assert_eq!(ended(&executor), []);
    executor.with(|state| state.alarm(limit));
    let told = executor.drain();
    assert!(
        matches!(&told[0], Input::Workers { places } if places[&handler("h")] == 0),
        "{told:?}"
    );
    assert!(
        matches!(&told[1], Input::Settled { outcome: Outcome::Failed { reason, .. }, .. } if reason.contains("60 s")),
        "{told:?}"
    );
    executor.settle(worker.attempt(&run), Outcome::Done);
    assert_eq!(
        places(&executor),
        place("h", 1),
        "a late answer only frees the worker"
    );
}

#[tokio::test]
async fn an_extended_attempt_has_its_whole_time_again() {
    let executor = Executor::start().unwrap();
    let mut worker = Worker::attach(&executor, &["h"], 1);
    let run = run("h", 1);
    launch(&executor, &run);
    worker.next().await;
    let limit = boot_nanos() + ATTEMPT_TIMEOUT.0 * MILLI;
    tokio::time::sleep(Duration::from_millis(20)).await;
    executor.extend(worker.attempt(&run));
    executor.with(|state| state.alarm(limit));
    assert_eq!(ended(&executor), []);
}

#[tokio::test]
async fn nobody_settles_what_another_worker_runs() {
    let executor = Executor::start().unwrap();
    let mut worker = Worker::attach(&executor, &["h"], 1);
    let other = Worker::attach(&executor, &["other"], 1);
    let run = run("h", 1);
    launch(&executor, &run);
    worker.next().await;
    executor.settle(other.attempt(&run), Outcome::Done);
    executor.settle(
        Attempt {
            run: RunId(9),
            ..worker.attempt(&run)
        },
        Outcome::Done,
    );
    executor.settle(
        Attempt {
            token: Token(9),
            ..worker.attempt(&run)
        },
        Outcome::Done,
    );
    assert_eq!(ended(&executor), []);
    executor.settle(worker.attempt(&run), Outcome::Done);
    executor.settle(worker.attempt(&run), Outcome::Done);
    assert_eq!(ended(&executor), [settled(&run, Outcome::Done)]);
}

#[tokio::test]
async fn after_a_withdrawal_only_what_is_in_flight_has_a_place() {
    let executor = Executor::start().unwrap();
    let mut worker = Worker::attach(&executor, &["h"], 8);
    let run = run("h", 1);
    launch(&executor, &run);
    worker.next().await;
    executor.withdraw();
    assert_eq!(places(&executor), place("h", 1));
    let waiting = tokio::time::timeout(Duration::from_secs(5), executor.idle());
    let (waited, ()) = tokio::join!(waiting, async {
        executor.settle(worker.attempt(&run), Outcome::Done);
    });
    assert!(waited.is_ok());
}

#[tokio::test]
async fn an_in_process_handler_settles_also_when_it_fails_or_panics() {
    let executor = Executor::start().unwrap();
    crate::local::attach(&executor, handler("h"), 3, |run| async move {
        match run.token.0 {
            1 => Ok(()),
            2 => Err("not today".into()),
            _ => panic!("a handler of a user's"),
        }
    });
    for number in 1..=3 {
        launch(&executor, &run("h", number));
    }
    let mut outcomes = std::collections::BTreeMap::new();
    while outcomes.len() < 3 {
        executor.changed().await;
        for input in ended(&executor) {
            let Input::Settled { token, outcome, .. } = input else {
                panic!("{input:?}")
            };
            outcomes.insert(token, outcome);
        }
    }
    let failed = |reason: &str| Outcome::Failed {
        retry_after: None,
        reason: reason.into(),
    };
    assert_eq!(outcomes[&Token(1)], Outcome::Done);
    assert_eq!(outcomes[&Token(2)], failed("not today"));
    assert_eq!(outcomes[&Token(3)], failed("the handler panicked"));
}
