//! Agents that were stopped for longer than their lease and go on: what they do then counts for nothing.
//!
//! SIGSTOP is as near to a suspended machine as a test gets: the process finds that time has passed and everybody
//! else went on. That gap is the subject, so time is real.

use crate::evidence::Run;
use crate::stage::{LEASE, MARGIN, SOON, Stage, WAKE_GRACE};
use jiff::Timestamp;
use std::path::Path;
use std::time::Duration;

/// A command that tells of its run as a worker would, and goes on until the gate is open.
fn gated(gate: &Path) -> [String; 3] {
    let gate = gate.display();
    let script = format!(
        r#"printf '{{"timer":"%s","node":"%s","nominal_time":"%s","token":%s}}\n' \
             "$DORMOUSE_TIMER" "$DORMOUSE_NODE" "$DORMOUSE_NOMINAL_TIME" "$DORMOUSE_FENCING_TOKEN"
           case "$DORMOUSE_TIMER" in */slow) while [ -e '{gate}' ]; do sleep 0.02; done;; esac"#
    );
    ["sh".into(), "-c".into(), script]
}

/// A stage whose first node runs timers named `slow` until the file is gone.
async fn stage_with_a_gate(gate: &str) -> (Stage, std::path::PathBuf) {
    let stage = Stage::new().server().agent("n1", "r1").node("n2", "r1");
    let gate = stage.data.path().join(gate);
    std::fs::write(&gate, "closed").unwrap();
    let command = gated(&gate);
    let command: Vec<&str> = command.iter().map(String::as_str).collect();
    let stage = stage.worker("n1", &command).ready().await;
    (stage, gate)
}

#[tokio::test]
async fn the_outcome_of_a_stopped_node_is_refused_and_it_runs_nothing_before_it_has_resumed() {
    let (stage, gate) = stage_with_a_gate("gate").await;
    let slow = stage.create("n1", "slow", &["--after", "500ms"]).await;
    let tick = stage.create("n1", "tick", &["--every", "1s"]).await;
    let first = stage.evidence.first("slow", SOON).await;
    assert_eq!(first.node, "n1");
    // What it did before it was stopped is known, so that whatever runs twice later is a fault.
    stage.evidence.first("tick", SOON).await;
    stage.until_shipped(&tick).await;

    stage.cluster.freeze("n1").unwrap();
    let stopped = Timestamp::now();
    let runs = stage.evidence.until("slow", SOON, |runs| runs.len() == 2);
    let second = runs.await.swap_remove(1);
    assert_eq!(second.node, "n2", "{second:?}");
    assert!(second.printed <= stopped + LEASE + MARGIN, "{second:?}");
    assert!(
        second.token > first.token,
        "tokens grow: {first:?} {second:?}"
    );
    let ticks = |runs: &[Run]| runs.iter().any(|run| run.node == "n2");
    stage.evidence.until("tick", SOON, ticks).await;

    // Its worker ends the run now, so that the outcome is the first thing that it finds.
    std::fs::remove_file(&gate).unwrap();
    let before = stage.evidence.all();
    stage.cluster.thaw("n1").unwrap();
    stage.until_state("n1", "active", SOON).await;
    let returned = |runs: &[Run]| {
        runs.iter()
            .any(|run| run.node == "n1" && run.token > second.token)
    };
    stage.evidence.until("tick", SOON, returned).await;

    let done = stage.until_done(&slow, SOON).await;
    assert_eq!(done["last_run"]["node"], "n2", "{done}");
    assert_eq!(done["last_run"]["token"], second.token, "{done}");
    let newest = before.iter().map(|run| run.token).max().unwrap();
    for run in &stage.evidence.all()[before.len()..] {
        assert!(
            run.token > newest,
            "{run:?} has a token from before it resumed"
        );
    }
    assert_eq!(stage.evidence.of("slow").len(), 2);
    check_ticks(&stage.evidence.of("tick"));
}

#[tokio::test]
async fn the_outcome_of_a_stopped_migrator_is_refused() {
    let (stage, gate) = stage_with_a_gate("gate").await;
    let stage = stage.node("n3", "r1").ready().await;
    let slow = stage.create("n2", "slow", &["--after", "1s"]).await;
    assert_eq!(stage.idle("n2").await["by"], "n1");
    let first = stage.evidence.first("slow", SOON).await;
    assert_eq!(first.node, "n1", "it was pulled: {first:?}");

    stage.cluster.freeze("n1").unwrap();
    let runs = stage.evidence.until("slow", SOON, |runs| runs.len() == 2);
    let second = runs.await.swap_remove(1);
    assert!(
        second.node == "n3" && second.token > first.token,
        "{second:?}"
    );
    std::fs::remove_file(&gate).unwrap();
    stage.cluster.thaw("n1").unwrap();
    stage.until_state("n1", "active", SOON).await;

    // It is known as soon as its worker can be given something else.
    let next = stage.create("n1", "next", &["--after", "100ms"]).await;
    stage.until_done(&next, SOON).await;
    let done = stage.timer(&slow).await;
    assert_eq!(done["last_run"]["token"], second.token, "{done}");
    assert_eq!(stage.evidence.of("slow").len(), 2);
}

/// Each occurrence once, and each later one with a larger token.
fn check_ticks(runs: &[Run]) {
    for pair in runs.windows(2) {
        assert!(pair[0].nominal_time < pair[1].nominal_time, "{pair:#?}");
        assert!(pair[0].token < pair[1].token, "{pair:#?}");
    }
}

#[tokio::test]
async fn a_stopped_node_that_cannot_resume_runs_only_what_is_its_own() {
    let mut stage = Stage::new().server().node("n1", "r1").ready().await;
    let movable = stage.create("n1", "movable", &["--after", "2s"]).await;
    let local = ["--after", "2s", "--durability", "local"];
    stage.create("n1", "local", &local).await;
    let pinned = ["--after", "2s", "--pinned", "n1"];
    stage.create("n1", "pinned", &pinned).await;
    stage.cluster.freeze("n1").unwrap();
    // It has to be away for longer than its lease, and nobody else is there to show that.
    tokio::time::sleep(LEASE + WAKE_GRACE).await;
    stage.kill_server().await;
    stage.cluster.thaw("n1").unwrap();

    // What the coordinator has never heard of nobody else can have run.
    stage.evidence.first("local", SOON).await;
    stage.evidence.first("pinned", SOON).await;
    // Nothing must happen, and that takes time to be seen.
    tokio::time::sleep(Duration::from_secs(2)).await;
    let runs = stage.evidence.of("movable");
    assert!(runs.is_empty(), "it was run without right: {runs:#?}");

    stage.restart_server().await;
    stage.until_done(&movable, SOON).await;
    stage.evidence.check_once_and_never_early();
}
