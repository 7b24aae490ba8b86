//! Nodes and coordinators that die: what they leave undone is done by others, within the promised time.
//!
//! Leases are real leases of real processes here; the same machines run through thousands of such stories in the
//! simulator, in virtual time.

use crate::evidence::{Run, check_punctual};
use crate::stage::{Created, LEASE, MARGIN, SOON, Stage};
use dormouse_cluster::COORDINATOR;
use jiff::{Timestamp, ToSpan as _};
use serde_json::Value;
use std::time::Duration;

/// How long the coordinator is away: longer than a lease; as long as the promise says if DORMOUSE_LONG is set.
const OUTAGE: Duration = Duration::from_secs(8);
const OUTAGE_LONG: Duration = Duration::from_secs(30);
/// What nobody could run while the coordinator was away is run so soon after it is back.
const CATCH_UP_MAX: Duration = Duration::from_secs(5);

#[tokio::test]
async fn timers_of_a_killed_node_run_elsewhere_after_its_lease() {
    let mut stage = Stage::of_three_nodes().await;
    let mut timers = Vec::new();
    for (id, after) in [("during", "1500ms"), ("after", "7s")] {
        timers.push(stage.create("n1", id, &["--after", after]).await);
    }
    stage.kill_node("n1").await;
    let killed = Timestamp::now();
    for timer in &timers {
        let run = stage.evidence.first(&timer.id, SOON).await;
        assert_eq!(run.node, "n2", "its neighbour in the rack: {run:?}");
        let bound = timer.due.max(killed + LEASE) + MARGIN;
        assert!(run.printed <= bound, "{run:?} is later than {bound}");
        let late = run.printed.duration_since(timer.due.max(killed));
        eprintln!(
            "{}: run {late:#} after it was due or its node died",
            timer.id
        );
    }
    assert_eq!(stage.state("n1").await.as_deref(), Some("lost"));
    stage.evidence.check_once_and_never_early();
}

#[tokio::test]
async fn awake_nodes_go_on_while_the_coordinator_is_away_and_nothing_is_doubled() {
    let outage = if std::env::var_os("DORMOUSE_LONG").is_some() {
        OUTAGE_LONG
    } else {
        OUTAGE
    };
    let mut stage = Stage::of_three_nodes().await;
    for node in ["n1", "n2"] {
        let id = format!("tick-{node}");
        stage.create(node, &id, &["--every", "1s"]).await;
        let id = format!("once-{node}");
        stage.create(node, &id, &["--after", "6s"]).await;
    }
    let slept = stage.create("n3", "slept", &["--after", "5s"]).await;
    stage.idle("n3").await;
    stage.kill_server().await;
    let gone = Timestamp::now();
    // The outage is time, and nothing happens that could be waited for.
    tokio::time::sleep(outage).await;
    stage.restart_server().await;
    let back = Timestamp::now();
    check_own_runs(&stage, (gone, back));
    let run = stage.evidence.first("slept", CATCH_UP_MAX).await;
    assert!(run.printed > back, "{run:?}");
    stage.until_state("n1", "active", SOON).await;
    for node in ["n1", "n2"] {
        let later = back + (LEASE + MARGIN);
        let id = format!("tick-{node}");
        let went_on = |runs: &[Run]| runs.iter().any(|run| run.nominal_time > later);
        let runs = stage.evidence.until(&id, SOON, went_on).await;
        assert!(runs.iter().all(|run| run.node == node), "{runs:#?}");
        check_no_gap(&runs);
    }
    stage.until_done(&slept, SOON).await;
    stage.evidence.check_once_and_never_early();
}

#[tokio::test]
async fn a_coordinator_that_was_stopped_for_longer_than_a_lease_takes_nobody_for_dead() {
    let stage = Stage::of_three_nodes().await;
    for node in ["n1", "n2", "n3"] {
        let id = format!("tick-{node}");
        stage.create(node, &id, &["--every", "1s"]).await;
    }
    let epochs = epochs(&stage).await;
    stage.cluster.freeze(COORDINATOR).unwrap();
    // It has to be away for longer than the leases that it gave.
    tokio::time::sleep(LEASE + MARGIN).await;
    stage.cluster.thaw(COORDINATOR).unwrap();
    let later = Timestamp::now() + (LEASE + MARGIN);
    for node in ["n1", "n2", "n3"] {
        let id = format!("tick-{node}");
        let went_on = |runs: &[Run]| runs.iter().any(|run| run.nominal_time > later);
        let runs = stage.evidence.until(&id, SOON, went_on).await;
        assert!(runs.iter().all(|run| run.node == node), "{runs:#?}");
        check_no_gap(&runs);
    }
    assert_eq!(
        self::epochs(&stage).await,
        epochs,
        "ownership has not moved"
    );
    stage.evidence.check_once_and_never_early();
    check_punctual("of a stopped coordinator", &stage.evidence.all());
}

async fn epochs(stage: &Stage) -> Vec<(Value, Value)> {
    let nodes = stage.nodes().await.into_iter();
    nodes
        .map(|node| (node["state"].clone(), node["epoch"].clone()))
        .collect()
}

/// What was due while the coordinator was away ran at home and on time.
fn check_own_runs(stage: &Stage, (gone, back): (Timestamp, Timestamp)) {
    for node in ["n1", "n2"] {
        let mut runs = stage.evidence.of(&format!("tick-{node}"));
        runs.extend(stage.evidence.of(&format!("once-{node}")));
        runs.retain(|run| gone <= run.nominal_time && run.nominal_time <= back);
        assert!(runs.iter().all(|run| run.node == node), "{runs:#?}");
        assert!(runs.iter().any(|run| run.id().starts_with("once")));
        check_punctual(&format!("{node} alone"), &runs);
    }
}

/// Every second has its run.
fn check_no_gap(runs: &[Run]) {
    for pair in runs.windows(2) {
        let next = pair[0].nominal_time + 1.second();
        assert_eq!(pair[1].nominal_time, next, "{pair:#?}");
    }
}

#[tokio::test]
async fn what_the_coordinator_owns_survives_its_kill_and_is_run_once_it_is_back() {
    let mut stage = Stage::of_three_nodes().await;
    let mut timers: Vec<Created> = Vec::new();
    for (id, after) in [("missed", "1s"), ("later", "4s")] {
        timers.push(stage.create(COORDINATOR, id, &["--after", after]).await);
    }
    stage.kill_server().await;
    // Past the deadline of the first, at which nobody is there.
    tokio::time::sleep(Duration::from_secs(2)).await;
    stage.restart_server().await;
    let back = Timestamp::now();
    for timer in &timers {
        let run = stage.evidence.first(&timer.id, SOON).await;
        let bound = timer.due.max(back) + CATCH_UP_MAX;
        assert!(run.printed <= bound, "{run:?} is later than {bound}");
        stage.until_done(timer, SOON).await;
    }
    stage.evidence.check_once_and_never_early();
}
