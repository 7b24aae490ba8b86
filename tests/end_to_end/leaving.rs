//! Processes that are asked to end: they hand everything over, and in time.
//!
//! SIGTERM to real processes, and the five seconds that one may take are real ones.

use crate::evidence::check_punctual;
use crate::stage::{SOON, Stage};
use dormouse_cluster::COORDINATOR;
use std::time::Duration;
use tokio::time::Instant;

/// How long a run may go on in an agent that is asked to end, and what the rest may take.
const RUNS_END_MAX: Duration = Duration::from_secs(4);
/// How long a process that is asked to end may take.
const END_MAX: Duration = Duration::from_secs(5);

#[tokio::test]
async fn an_agent_that_is_asked_to_end_hands_everything_over_within_five_seconds() {
    let mut stage = Stage::of_three_nodes().await;
    let mut timers = Vec::new();
    for number in 0..10 {
        let id = format!("t{number}");
        timers.push(stage.create("n1", &id, &["--after", "4s"]).await);
    }
    let asked = Instant::now();
    let status = stage.cluster.end("n1").await.unwrap().unwrap();
    let took = asked.elapsed();
    eprintln!("an agent with nothing in flight ended after {took:?}");
    assert!(
        status.success() && took < END_MAX,
        "{status} after {took:?}"
    );
    assert_eq!(
        stage.state("n1").await,
        None,
        "it has left, and is not lost"
    );
    for timer in &timers {
        let run = stage.evidence.first(&timer.id, SOON).await;
        assert_ne!(run.node, "n1");
        stage.until_done(timer, SOON).await;
    }
    stage.evidence.check_once_and_never_early();
    check_punctual("of one that left", &stage.evidence.all());
}

#[tokio::test]
async fn a_run_that_does_not_end_is_begun_again_elsewhere_when_its_agent_ends() {
    let stage = Stage::new().server().agent("n1", "r1").node("n2", "r1");
    let line = r#"printf '{"timer":"%s","node":"%s","nominal_time":"%s","token":%s}\n' \
        "$DORMOUSE_TIMER" "$DORMOUSE_NODE" "$DORMOUSE_NOMINAL_TIME" "$DORMOUSE_FENCING_TOKEN"; sleep 60"#;
    let stage = stage.worker("n1", &["sh", "-c", line]);
    let mut stage = stage.ready().await;
    let timer = stage.create("n1", "endless", &["--after", "500ms"]).await;
    let first = stage.evidence.first("endless", SOON).await;
    assert_eq!(first.node, "n1");
    let asked = Instant::now();
    let status = stage.cluster.end("n1").await.unwrap().unwrap();
    let took = asked.elapsed();
    eprintln!("an agent with an endless run ended after {took:?}");
    assert!(
        status.success() && took < RUNS_END_MAX,
        "{status} after {took:?}"
    );
    let runs = stage
        .evidence
        .until("endless", SOON, |runs| runs.len() == 2);
    let second = runs.await.swap_remove(1);
    assert!(
        second.node == "n2" && second.token > first.token,
        "{second:?}"
    );
    let done = stage.until_done(&timer, SOON).await;
    assert_eq!(done["last_run"]["token"], second.token, "{done}");
}

#[tokio::test]
async fn a_coordinator_that_is_asked_to_end_is_missed_by_nobody_when_it_returns() {
    let mut stage = Stage::of_three_nodes().await;
    let mut timers = Vec::new();
    for whom in ["n1", "n2", COORDINATOR] {
        let id = format!("of-{whom}");
        timers.push(stage.create(whom, &id, &["--after", "3s"]).await);
    }
    stage.idle("n2").await;
    let asked = Instant::now();
    let status = stage.cluster.end(COORDINATOR).await.unwrap().unwrap();
    let took = asked.elapsed();
    eprintln!("a coordinator with three sessions ended after {took:?}");
    assert!(
        status.success() && took < END_MAX,
        "{status} after {took:?}"
    );
    stage.restart_server().await;
    for timer in &timers {
        stage.punctual(timer).await;
        stage.until_done(timer, SOON).await;
    }
    stage.evidence.check_once_and_never_early();
}
