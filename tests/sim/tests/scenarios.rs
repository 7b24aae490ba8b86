//! Scenarios of `docs/design/hierarchy.md` that need more than the hierarchy: bases, leases, claims, restarts.
//!
//! Each is told step by step on a stage of nodes `n0`, `n1`, ... of one rack, two to a group. The rules of the
//! simulator are watched all the while: nothing early, nothing accepted twice, tokens grow.

use dormouse_engine::base::State;
use dormouse_engine::hierarchy::Cover;
use dormouse_engine::op::Answer;
use dormouse_engine::time::{Millis, WallTime};
use dormouse_engine::timer::When;
use dormouse_sim::{Seen, Stage, Who};

const LEASE: u64 = 3_000;
/// What a lease is longer for its grantor, and what doubt and a repeated order may add.
const TAKEOVER: i64 = 3_000 + 80 + 2_000;
const WAKE_GRACE: i64 = 2_000;

fn after(millis: u64) -> When {
    When::After(Millis(millis))
}

fn cover(answer: Option<Answer>) -> Cover {
    match answer {
        Some(Answer::Activity {
            cover: Some(cover), ..
        }) => cover,
        other => panic!("not asleep: {other:?}"),
    }
}

#[track_caller]
fn once(runs: &[Seen]) -> Seen {
    assert!(runs.len() == 1 && runs[0].done, "{runs:?}");
    runs[0]
}

#[track_caller]
fn late_by(run: Seen, due: WallTime) -> i64 {
    let late = run.at.0 - due.0;
    assert!(late >= 0, "early by {late}");
    late
}

/// The head of the group that the root is.
fn head(stage: &Stage) -> Option<WallTime> {
    stage.pool().hierarchy().head()
}

#[test]
fn scenario_16_each_timer_of_a_sleeper_runs_at_its_own_time() {
    let mut stage = Stage::with_nodes(4, LEASE);
    let begin = stage.clock();
    let first = stage.create(Who::Node(0), When::At(begin + Millis(1_000)));
    let second = stage.create(Who::Node(0), When::At(begin + Millis(1_300)));
    for node in [3, 1, 0] {
        cover(stage.idle(node));
    }
    stage.pass_until_clock(begin + Millis(1_100));
    assert_eq!(once(&stage.runs(first)).node, 2);
    assert!(stage.runs(second).is_empty());
    let next = stage.pool().hierarchy().next_due();
    assert_eq!(next, Some(begin + Millis(1_300)));
    stage.pass(1_000);
    let run = once(&stage.runs(second));
    assert_eq!(run.node, 2);
    assert!(late_by(run, begin + Millis(1_300)) < 50);
    assert_eq!(stage.state(0), State::Idle);
}

#[test]
fn scenario_24_a_sleeper_that_adds_a_timer_while_another_runs_gets_both_run_once() {
    let mut stage = Stage::with_nodes(4, LEASE);
    stage.runs_take(1_000);
    let begin = stage.clock();
    let first = stage.create(Who::Node(0), When::At(begin + Millis(1_000)));
    for node in [3, 1, 0] {
        cover(stage.idle(node));
    }
    stage.pass_until_clock(begin + Millis(1_200));
    assert_eq!(stage.runs(first).len(), 1);
    // The node sleeps, but its process is up; and n2 is in the middle of the first run.
    let second = stage.create(Who::Node(0), When::At(begin + Millis(1_500)));
    assert_eq!(
        stage.pool().hierarchy().next_due(),
        Some(begin + Millis(1_500))
    );
    stage.pass(3_000);
    assert_eq!(once(&stage.runs(first)).node, 2);
    assert_eq!(once(&stage.runs(second)).node, 2);
}

#[test]
fn scenario_24_a_home_that_wakes_in_mid_run_does_not_run_it_again() {
    let mut stage = Stage::with_nodes(4, LEASE);
    stage.runs_take(1_000);
    let begin = stage.clock();
    let first = stage.create(Who::Node(0), When::At(begin + Millis(1_000)));
    for node in [3, 1, 0] {
        cover(stage.idle(node));
    }
    stage.pass_until_clock(begin + Millis(1_200));
    stage.activate(0);
    assert_eq!(stage.state(0), State::Active);
    let second = stage.create(Who::Node(0), When::At(begin + Millis(1_800)));
    stage.pass(200);
    cover(stage.idle(0));
    stage.pass(3_000);
    assert_eq!(once(&stage.runs(first)).node, 2);
    assert_eq!(once(&stage.runs(second)).node, 2);
}

#[test]
fn scenario_25_every_message_twice_and_out_of_order_changes_nothing() {
    let mut stage = Stage::with_nodes(4, LEASE);
    stage.double_everything();
    let begin = stage.clock();
    let mut timers = Vec::new();
    for step in 1..=8 {
        let due = begin + Millis(2_000 + 400 * step);
        timers.push((stage.create(Who::Node(0), When::At(due)), due));
    }
    cover(stage.idle(0));
    stage.pass_until_clock(begin + Millis(3_500));
    stage.activate(0);
    stage.pass(200);
    cover(stage.idle(0));
    stage.pass(5_000);
    for (timer, due) in timers {
        let run = once(&stage.runs(timer));
        assert!(late_by(run, due) < 500, "{run:?} {due}");
    }
}

#[test]
fn scenario_25_a_node_whose_answer_is_lost_stays_awake() {
    let mut stage = Stage::with_nodes(2, LEASE);
    let due = stage.clock() + Millis(60_000);
    stage.create(Who::Node(0), When::At(due));
    stage.cut_off(0, false, true);
    assert_eq!(stage.idle(0), None);
    assert_ne!(stage.state(0), State::Idle);
    stage.cut_off(0, false, false);
    stage.pass(8_000);
    assert_eq!(stage.state(0), State::Idle);
}

#[test]
fn scenario_26_when_the_migrator_of_every_level_dies_another_runs_what_it_served() {
    let mut stage = Stage::with_nodes(4, LEASE);
    let begin = stage.clock();
    let due = begin + Millis(2_000);
    let timer = stage.create(Who::Node(2), When::At(due));
    // n0 is the migrator of its group and of the root; n3 stays awake beside it.
    cover(stage.idle(2));
    cover(stage.idle(1));
    stage.kill(Who::Node(3));
    stage.start(Who::Node(3));
    stage.pass(500);
    cover(stage.idle(3));
    stage.kill(Who::Node(0));
    let killed = stage.clock();
    stage.pass(12_000);
    let run = once(&stage.runs(timer));
    assert_ne!(run.node, 0);
    let bound = TAKEOVER + WAKE_GRACE;
    assert!(
        run.at.0 - killed.0.max(due.0) <= bound,
        "{} ms late",
        run.at.0 - due.0
    );
}

#[test]
fn scenario_26_when_the_sentry_is_dead_another_is_woken() {
    let mut stage = Stage::with_nodes(2, LEASE);
    let due = stage.clock() + Millis(5_000);
    let timer = stage.create(Who::Node(0), When::At(due));
    cover(stage.idle(0));
    assert_eq!(cover(stage.idle(1)), Cover::Sentry { at: due });
    stage.pass(500);
    stage.sleep(1, false);
    stage.pass(10_000);
    let run = once(&stage.runs(timer));
    assert_eq!(run.node, 0);
    assert!(
        late_by(run, due) <= WAKE_GRACE + 1_000,
        "{} ms late",
        run.at.0 - due.0
    );
}

#[test]
fn a_sentry_wakes_by_its_own_alarm_and_nobody_else_does() {
    let mut stage = Stage::with_nodes(2, LEASE);
    stage.runs_take(10);
    let due = stage.clock() + Millis(5_000);
    let timer = stage.create(Who::Node(0), When::At(due));
    cover(stage.idle(0));
    assert_eq!(cover(stage.idle(1)), Cover::Sentry { at: due });
    stage.pass(500);
    stage.sleep(0, false);
    stage.sleep(1, true);
    stage.pass(6_000);
    let run = once(&stage.runs(timer));
    assert_eq!(run.node, 1);
    assert!(late_by(run, due) < 100, "{} ms late", run.at.0 - due.0);
}

#[test]
fn scenario_26_when_the_runner_dies_the_next_run_has_a_higher_token() {
    let mut stage = Stage::with_nodes(4, LEASE);
    stage.runs_take(1_500);
    let begin = stage.clock();
    let due = begin + Millis(1_000);
    let timer = stage.create(Who::Node(0), When::At(due));
    for node in [3, 0] {
        cover(stage.idle(node));
    }
    stage.pass_until_clock(due + Millis(200));
    let runner = stage.runs(timer)[0].node;
    stage.kill(Who::Node(runner));
    stage.pass(12_000);
    let runs = stage.runs(timer);
    assert_eq!(runs.len(), 2, "{runs:?}");
    assert!(runs[1].token > runs[0].token && runs[1].node != runner);
    assert!(
        runs[1].at.0 - due.0 <= TAKEOVER + 200,
        "{} ms late",
        runs[1].at.0 - due.0
    );
}

#[test]
fn scenario_26_the_outcome_of_a_runner_that_was_cut_off_is_refused() {
    let mut stage = Stage::with_nodes(4, LEASE);
    stage.runs_take(7_000);
    let begin = stage.clock();
    let due = begin + Millis(1_000);
    let timer = stage.create(Who::Node(0), When::At(due));
    for node in [3, 0] {
        cover(stage.idle(node));
    }
    stage.pass_until_clock(due + Millis(200));
    let zombie = stage.runs(timer)[0];
    stage.cut_off(zombie.node, true, true);
    stage.pass(6_000);
    stage.cut_off(zombie.node, false, false);
    stage.pass(14_000);
    let runs = stage.runs(timer);
    assert_eq!(runs.len(), 2, "{runs:?}");
    let entry = stage
        .pool()
        .ledger()
        .entry(timer)
        .expect("it ended a moment ago");
    let last = entry.timer.last.as_ref().expect("it has run");
    assert_eq!(last.token, runs[1].token);
}

#[test]
fn scenario_27_after_a_restart_nothing_is_lost_and_nobody_is_covered_too_early() {
    let mut stage = Stage::with_nodes(5, LEASE);
    let begin = stage.clock();
    let mut timers = Vec::new();
    for (node, wait) in [(0, 4_000), (1, 9_000), (2, 15_000), (3, 6_000), (4, 12_000)] {
        let due = begin + Millis(wait);
        timers.push((stage.create(Who::Node(node), When::At(due)), due));
    }
    for node in 0..3 {
        cover(stage.idle(node));
    }
    stage.kill(Who::Coordinator);
    stage.pass(1_000);
    stage.start(Who::Coordinator);
    // n3 is back; n4 has not been heard of yet, and may be awake.
    stage.cut_off(4, true, true);
    stage.pass(1_600);
    let answer = stage.ask_idle(3);
    assert!(
        !matches!(answer, Some(Answer::Activity { cover: Some(_), .. })),
        "{answer:?}"
    );
    stage.cut_off(4, false, false);
    stage.activate(3);
    stage.pass(25_000);
    for (timer, due) in timers {
        let run = once(&stage.runs(timer));
        assert!(late_by(run, due) <= 5_000, "{} ms late", run.at.0 - due.0);
    }
    assert_eq!(head(&stage), None);
}

#[test]
fn while_the_coordinator_is_away_an_awake_node_fires_its_own_timers_on_time_and_once() {
    let mut stage = Stage::with_nodes(2, LEASE);
    let begin = stage.clock();
    let due = begin + Millis(20_000);
    let timer = stage.create(Who::Node(0), When::At(due));
    stage.kill(Who::Coordinator);
    stage.pass(30_000);
    stage.start(Who::Coordinator);
    stage.pass(10_000);
    let run = once(&stage.runs(timer));
    assert_eq!(run.node, 0);
    assert!(late_by(run, due) < 20);
}

#[test]
fn a_node_stopped_past_its_lease_runs_nothing_movable_before_it_has_resumed() {
    let mut stage = Stage::with_nodes(2, LEASE);
    let begin = stage.clock();
    let due = begin + Millis(4_000);
    let timer = stage.create(Who::Node(0), When::At(due));
    stage.sleep(0, false);
    stage.pass(15_000);
    let run = once(&stage.runs(timer));
    assert_eq!(run.node, 1);
    assert!(
        late_by(run, due) <= TAKEOVER,
        "{} ms late",
        run.at.0 - due.0
    );
    stage.wake(0);
    stage.pass(5_000);
    assert_eq!(once(&stage.runs(timer)), run);
    let next = stage.create(Who::Node(0), after(1_000));
    stage.pass(2_000);
    assert_eq!(once(&stage.runs(next)).node, 0);
}

#[test]
fn a_node_that_leaves_leaves_its_timers_to_the_pool() {
    let mut stage = Stage::with_nodes(3, LEASE);
    let due = stage.clock() + Millis(3_000);
    let timer = stage.create(Who::Node(0), When::At(due));
    stage.stop(0);
    stage.pass(1_000);
    let entry = stage
        .pool()
        .ledger()
        .entry(timer)
        .expect("it is the pool's");
    assert_eq!(entry.timer.home, None);
    stage.pass(4_000);
    let run = once(&stage.runs(timer));
    assert!(run.node != 0 && late_by(run, due) < 50);
}
