//! Timers follow the awake: a sleeping node's timers run on another, and return with it.
//!
//! The story of the README, with three agents in two racks; real time, since being on time is what it claims.

use crate::evidence::{Run, check_punctual};
use crate::stage::{SOON, Stage};

#[tokio::test]
async fn timers_of_an_idle_node_run_elsewhere_once_and_on_time_and_return_with_it() {
    let stage = Stage::of_three_nodes().await;
    for (id, after) in [("a", "2s"), ("b", "2500ms"), ("late", "8s")] {
        stage.create("n1", id, &["--after", after]).await;
    }
    stage.create("n1", "tick", &["--every", "1s"]).await;
    let pinned = ["--after", "3s", "--pinned", "n1"];
    stage.create("n1", "pinned", &pinned).await;

    let cover = stage.idle("n1").await;
    assert_eq!(
        (&cover["cover"], &cover["by"]),
        (&"covered".into(), &"n2".into()),
        "its neighbour in the rack covers it"
    );
    for id in ["a", "b"] {
        let run = stage.evidence.first(id, SOON).await;
        assert_eq!(run.node, "n2", "{run:?}");
    }
    let run = stage.evidence.first("pinned", SOON).await;
    assert_eq!(run.node, "n1", "what is pinned never moves: {run:?}");
    let migrated = stage
        .evidence
        .until("tick", SOON, |runs| on(runs, "n2") >= 3);
    migrated.await;

    stage.active("n1").await;
    let back = stage.evidence.all().len();
    let ticks = stage
        .evidence
        .until("tick", SOON, |runs| on(runs, "n1") >= 3);
    ticks.await;
    assert_eq!(stage.evidence.first("late", SOON).await.node, "n1");
    let runs = stage.evidence.all();
    assert!(
        runs[back..].iter().all(|run| run.node == "n1"),
        "everything is run at home again: {:#?}",
        &runs[back..]
    );
    stage.evidence.check_once_and_never_early();
    let (home, away): (Vec<Run>, Vec<Run>) = runs.into_iter().partition(|run| run.node == "n1");
    check_punctual("at home", &home);
    check_punctual("migrated", &away);
}

#[tokio::test]
async fn a_whole_rack_sleeps_and_the_other_runs_its_timers() {
    let stage = Stage::of_three_nodes().await;
    for node in ["n1", "n2"] {
        let id = format!("of-{node}");
        stage.create(node, &id, &["--after", "2s"]).await;
    }
    assert_eq!(stage.idle("n1").await["by"], "n2");
    assert_eq!(stage.idle("n2").await["by"], "n3");
    for id in ["of-n1", "of-n2"] {
        let run = stage.evidence.first(id, SOON).await;
        assert_eq!(run.node, "n3", "{run:?}");
    }
    stage.evidence.check_once_and_never_early();
    check_punctual("across racks", &stage.evidence.all());
}

fn on(runs: &[Run], node: &str) -> usize {
    runs.iter().filter(|run| run.node == node).count()
}
