//! Everybody sleeps: the sentry wakes for the first deadline, and if it is dead another node does.
//!
//! The alarms are the kernel's, so that time is real.

use crate::evidence::LATE_MAX;
use crate::stage::{MARGIN, SOON, Stage, WAKE_GRACE, text};
use dormouse_cluster::COORDINATOR;
use jiff::Timestamp;

/// Puts everybody to sleep; gives the name of the sentry, and for when it is armed.
async fn put_all_to_sleep(stage: &Stage) -> (String, Timestamp) {
    for node in ["n1", "n2"] {
        assert_eq!(stage.idle(node).await["cover"], "covered");
    }
    let last = stage.idle("n3").await;
    assert_eq!(last["cover"], "sentry", "{last}");
    ("n3".into(), text(&last["at"]).parse().unwrap())
}

#[tokio::test]
async fn the_sentry_wakes_for_the_first_deadline_and_everybody_else_sleeps_on() {
    let stage = Stage::of_three_nodes().await;
    let first = stage.create("n1", "first", &["--after", "3s"]).await;
    let second = stage.create("n2", "second", &["--after", "5s"]).await;
    let (sentry, at) = put_all_to_sleep(&stage).await;
    assert_eq!(at, first.due);
    let topology = stage.ask(COORDINATOR, &["topology"]).await;
    assert_eq!(
        topology[0]["pools"][0]["sentry"]["node"],
        sentry.as_str(),
        "{topology:?}"
    );

    let run = stage.punctual(&first).await;
    assert_eq!(run.node, sentry, "{run:?}");
    stage.until_state(&sentry, "idle", SOON).await;
    assert_eq!(stage.state("n1").await.as_deref(), Some("idle"));
    let run = stage.punctual(&second).await;
    assert_eq!(
        run.node, sentry,
        "the last to sleep is the sentry again: {run:?}"
    );
    stage.until_state(&sentry, "idle", SOON).await;
    for timer in [&first, &second] {
        stage.until_done(timer, SOON).await;
    }
    stage.evidence.check_once_and_never_early();
}

#[tokio::test]
async fn another_node_wakes_if_the_sentry_is_dead() {
    let mut stage = Stage::of_three_nodes().await;
    let timer = stage.create("n1", "first", &["--after", "4s"]).await;
    let (sentry, _) = put_all_to_sleep(&stage).await;
    stage.kill_node(&sentry).await;
    check_run_in_spite_of(&stage, &timer.id, &sentry).await;
}

#[tokio::test]
async fn another_node_wakes_if_the_sentry_hangs() {
    let stage = Stage::of_three_nodes().await;
    let timer = stage.create("n1", "first", &["--after", "4s"]).await;
    let (sentry, _) = put_all_to_sleep(&stage).await;
    stage.cluster.freeze(&sentry).unwrap();
    check_run_in_spite_of(&stage, &timer.id, &sentry).await;
    stage.cluster.thaw(&sentry).unwrap();
    stage.until_state(&sentry, "idle", SOON).await;
    stage.evidence.check_once_and_never_early();
}

async fn check_run_in_spite_of(stage: &Stage, timer: &str, sentry: &str) {
    let run = stage.evidence.first(timer, SOON).await;
    assert_ne!(run.node, sentry);
    eprintln!("run {:?} after it was due", run.lateness());
    assert!(run.lateness() <= WAKE_GRACE + MARGIN, "{run:?}");
    stage.evidence.check_once_and_never_early();
}

#[tokio::test]
async fn a_deadline_that_is_made_while_all_sleep_is_met() {
    let stage = Stage::of_three_nodes().await;
    put_all_to_sleep_without_timers(&stage).await;
    let of_sleeper = stage.create("n1", "of-sleeper", &["--after", "2s"]).await;
    let of_pool = stage
        .create(COORDINATOR, "of-pool", &["--after", "4s"])
        .await;
    for timer in [&of_sleeper, &of_pool] {
        let run = stage.evidence.first(&timer.id, SOON).await;
        assert!(run.lateness() <= LATE_MAX + WAKE_GRACE, "{run:?}");
    }
    stage.evidence.check_once_and_never_early();
}

async fn put_all_to_sleep_without_timers(stage: &Stage) {
    for node in ["n1", "n2", "n3"] {
        let cover = stage.idle(node).await;
        assert_eq!(cover["cover"], "covered", "{cover}");
    }
}
