//! Policies whose timers move in the middle: misfire, overlap, retry, pause and edits, told step by step.
//!
//! The nodes `n0`, `n1`, ... are of one rack, two to a group, with four places each. All rules are watched all the
//! while; what is told here is what becomes of each occurrence, and where.

use dormouse_engine::id::Uid;
use dormouse_engine::op::{Answer, Change, Setting};
use dormouse_engine::time::{Millis, WallTime};
use dormouse_engine::timer::{
    Effort, Ending, Fate, MisfireMode, NewTimer, Overlap, Payload, Phase, Retry, Skip, When,
};
use dormouse_sim::{Seen, Stage, Who};

const LEASE: u64 = 3_000;
const HOME: Who = Who::Node(0);

fn every(millis: u64) -> When {
    When::Every {
        interval: Millis(millis),
        phase: None,
    }
}

fn overlap(overlap: Overlap) -> impl FnOnce(&mut NewTimer) {
    move |new| new.policy.overlap = overlap
}

/// The nominal times of these runs, by how much later than the first they are.
fn steps(runs: &[Seen]) -> Vec<i64> {
    let first = runs[0].nominal.0;
    runs.iter().map(|run| run.nominal.0 - first).collect()
}

fn runs_of(stage: &Stage, uid: Uid, nominal: WallTime) -> Vec<Seen> {
    let runs = stage.runs(uid).into_iter();
    runs.filter(|run| run.nominal == nominal).collect()
}

/// What became of an occurrence, the last attempt last.
fn fates(stage: &mut Stage, uid: Uid, nominal: WallTime) -> Vec<Fate> {
    let notes = stage.history(Who::Coordinator, uid).into_iter();
    let notes = notes.filter(|note| note.nominal == nominal);
    notes.map(|note| note.fate).collect()
}

#[test]
fn what_was_missed_while_a_home_died_runs_each_once_at_another_node() {
    let mut stage = Stage::with_nodes(2, LEASE);
    // What falls due while a run is in flight was not missed: it is skipped.
    stage.runs_take(20);
    let timer = stage.create_like(HOME, every(1_000), |new| {
        new.policy.misfire.mode = MisfireMode::All;
        new.policy.misfire.grace = Millis(200);
    });
    stage.pass(2_500);
    stage.kill(HOME);
    stage.pass(12_000);
    let runs = stage.runs(timer);
    let elsewhere = runs.iter().filter(|run| run.node == 1).count();
    assert!(elsewhere >= 8, "{runs:?}");
    let expected: Vec<i64> = (0..runs.len() as i64).map(|n| n * 1_000).collect();
    assert_eq!(steps(&runs), expected, "each once, in their order");
}

#[test]
fn what_was_missed_while_everybody_slept_is_skipped_or_runs_once_as_its_timer_says() {
    let mut stage = Stage::with_nodes(1, LEASE);
    let skip = stage.create_like(HOME, every(1_000), |new| {
        new.policy.misfire.mode = MisfireMode::Skip;
        new.policy.misfire.grace = Millis(500);
    });
    let once = stage.create_like(HOME, every(1_000), |new| {
        new.policy.misfire.grace = Millis(500);
    });
    stage.pass(1_500);
    let stopped = stage.clock();
    stage.sleep(0, false);
    stage.pass(9_800);
    stage.wake(0);
    stage.pass(3_000);
    let late = |run: &Seen| run.at.0 - run.nominal.0;
    let of = |stage: &Stage, uid| {
        let runs = stage.runs(uid).into_iter();
        runs.filter(|run| run.nominal > stopped).collect::<Vec<_>>()
    };
    let skipped = of(&stage, skip);
    assert!(skipped.iter().all(|run| late(run) <= 500), "{skipped:?}");
    let runs = of(&stage, once);
    let first = runs[0].nominal;
    assert!(first.0 - stopped.0 > 8_000, "the latest for all: {runs:?}");
    assert_eq!(runs_of(&stage, once, first).len(), 1);
}

#[test]
fn a_run_in_flight_when_its_home_dies_is_begun_again_and_none_beside_it() {
    let mut stage = Stage::with_nodes(2, LEASE);
    stage.runs_take(1_500);
    let timer = stage.create(HOME, every(5_000));
    stage.pass(5_500);
    let first = stage.runs(timer)[0];
    stage.kill(HOME);
    stage.pass(8_000);
    let again = runs_of(&stage, timer, first.nominal);
    assert_eq!(again.len(), 2, "{again:?}");
    assert!(again[1].node == 1 && again[1].done && again[1].token > first.token);
    assert_eq!(
        fates(&mut stage, timer, first.nominal).last(),
        Some(&Fate::Done)
    );
}

#[test]
fn a_pause_of_a_timer_whose_home_sleeps_holds_until_it_is_resumed() {
    let mut stage = Stage::with_nodes(2, LEASE);
    let timer = stage.create(HOME, every(1_000));
    stage.pass(1_500);
    stage.idle(0);
    stage.pass(1_500);
    let paused = stage.change(Who::Node(1), timer, Change::Pause);
    assert!(matches!(paused, Some(Answer::Timer(timer)) if timer.paused));
    let before = stage.runs(timer).len();
    stage.pass(2_000);
    stage.activate(0);
    stage.pass(2_000);
    assert_eq!(stage.runs(timer).len(), before, "the home has heard of it");
    let resumed_at = stage.clock();
    stage.change(Who::Coordinator, timer, Change::Resume);
    stage.pass(2_500);
    let since = stage.runs(timer).split_off(before);
    assert!(since.len() >= 2 && since.iter().all(|run| run.nominal >= resumed_at));
}

#[test]
fn a_light_timer_that_is_paused_can_be_resumed_while_its_home_sleeps() {
    let mut stage = Stage::with_nodes(2, LEASE);
    let timer = stage.create_like(HOME, every(1_000), |new| {
        new.durability = dormouse_engine::timer::Durability::Local;
        new.paused = true;
    });
    stage.idle(0);
    stage.pass(500);
    let resumed = stage.change(Who::Node(1), timer, Change::Resume);
    assert!(matches!(resumed, Some(Answer::Timer(timer)) if !timer.paused));
    stage.pass(2_500);
    let runs = stage.runs(timer);
    assert!(runs.len() >= 2 && runs.iter().all(|run| run.node == 1));
}

#[test]
fn an_edit_while_a_migrator_runs_it_drops_that_run() {
    let mut stage = Stage::with_nodes(2, LEASE);
    stage.runs_take(1_500);
    let timer = stage.create(HOME, every(4_000));
    stage.idle(0);
    stage.pass(4_500);
    let old = stage.runs(timer)[0];
    assert_eq!(old.node, 1);
    let settings = vec![
        Setting::Payload(Payload::default()),
        Setting::When(When::After(Millis(1_000))),
    ];
    let change = Change::Update {
        settings,
        etag: None,
    };
    let edited = stage.change(Who::Coordinator, timer, change);
    assert!(matches!(edited, Some(Answer::Timer(timer)) if timer.generation == 2));
    stage.pass(6_000);
    assert_eq!(
        fates(&mut stage, timer, old.nominal),
        vec![Fate::Skipped(Skip::Superseded)]
    );
    let last = stage
        .look(Who::Coordinator, timer)
        .last
        .clone()
        .expect("it ran");
    assert_eq!(last.ending, Ending::Done);
    assert_ne!(last.nominal, old.nominal);
}

#[test]
fn the_one_that_waits_for_a_run_still_waits_when_the_coordinator_starts_again() {
    // The runner keeps its lease over the restart.
    let mut stage = Stage::with_nodes(2, 10_000);
    stage.runs_take(6_500);
    let timer = stage.create_like(HOME, every(2_000), overlap(Overlap::BufferOne));
    stage.idle(0);
    stage.pass(2_500);
    stage.kill(Who::Coordinator);
    stage.pass(200);
    stage.start(Who::Coordinator);
    stage.pass(8_000);
    let runs = stage.runs(timer);
    assert_eq!(steps(&runs), [0, 2_000], "{runs:?}");
    let apart = runs[1].at.0 - runs[0].at.0;
    assert!(apart >= 6_500, "one after the other: {runs:?}");
    let skipped = stage.history(Who::Coordinator, timer);
    let skipped = skipped
        .iter()
        .find(|it| it.fate == Fate::Skipped(Skip::Overlap));
    let skipped = skipped.expect("only one waits");
    let latest = skipped.nominal.0 - runs[0].nominal.0;
    assert_eq!((latest, skipped.missed), (6_000, 1), "two more fell due");
}

#[test]
fn of_two_runs_at_two_nodes_the_one_whose_node_dies_is_begun_again() {
    let mut stage = Stage::with_nodes(4, LEASE);
    stage.runs_take(6_000);
    let timer = stage.create_like(HOME, every(2_000), overlap(Overlap::Allow));
    stage.idle(0);
    stage.pass(2_500);
    let first = stage.runs(timer)[0];
    stage.drain(first.node);
    stage.pass(2_000);
    let second = stage.runs(timer)[1];
    assert_ne!(second.node, first.node, "they are in flight at two nodes");
    stage.kill(Who::Node(first.node));
    stage.pass(16_000);
    let again = runs_of(&stage, timer, first.nominal);
    assert!(again.len() == 2 && again[1].done, "{again:?}");
    assert_ne!(again[1].node, first.node);
    let other = runs_of(&stage, timer, second.nominal);
    assert!(other.len() == 1 && other[0].done, "{other:?}");
}

#[test]
fn the_run_that_another_replaces_at_another_node_loses_its_right() {
    let mut stage = Stage::with_nodes(4, LEASE);
    stage.runs_take(3_000);
    let timer = stage.create_like(HOME, every(2_000), overlap(Overlap::Replace));
    stage.idle(0);
    stage.pass(2_500);
    let old = stage.runs(timer)[0];
    stage.drain(old.node);
    stage.pass(2_000);
    let new = stage.runs(timer)[1];
    assert_ne!(new.node, old.node, "they are in flight at two nodes");
    stage.runs_take(100);
    stage.pass(4_000);
    assert_eq!(
        fates(&mut stage, timer, old.nominal),
        vec![Fate::Skipped(Skip::Superseded)]
    );
    assert_eq!(runs_of(&stage, timer, old.nominal).len(), 1);
}

#[test]
fn what_may_begin_once_is_lost_once_when_its_home_dies_with_it() {
    let mut stage = Stage::with_nodes(2, LEASE);
    stage.runs_take(3_000);
    let timer = stage.create_like(HOME, When::After(Millis(1_000)), |new| {
        new.policy.effort = Effort::AtMostOnce;
    });
    stage.pass(2_000);
    let run = stage.runs(timer)[0];
    assert_eq!(run.node, 0, "it was claimed for its own home");
    stage.kill(HOME);
    stage.pass(10_000);
    assert_eq!(stage.runs(timer).len(), 1);
    assert_eq!(fates(&mut stage, timer, run.nominal), vec![Fate::Lost]);
    let phase = stage.look(Who::Coordinator, timer).phase;
    let lost = Ending::Lost;
    assert!(matches!(phase, Phase::Over { ending, .. } if ending == lost));
}

#[test]
fn a_retry_that_is_due_while_the_home_sleeps_is_made_by_the_migrator() {
    let mut stage = Stage::with_nodes(2, LEASE);
    stage.runs_take(100);
    stage.runs_fail(true);
    let timer = stage.create_like(HOME, When::After(Millis(1_000)), |new| {
        new.policy.retry = Retry {
            attempts_max: 3,
            backoff_first: Millis(3_000),
            backoff_max: Millis(3_000),
            ..Retry::default()
        };
    });
    stage.pass(1_300);
    stage.idle(0);
    stage.runs_fail(false);
    stage.pass(5_000);
    let runs = stage.runs(timer);
    assert_eq!(runs.iter().map(|run| run.node).collect::<Vec<_>>(), [0, 1]);
    let wait = runs[1].at.0 - runs[0].at.0;
    assert!((1_500..=3_300).contains(&wait), "after {wait} ms");
    let nominal = runs[0].nominal;
    assert_eq!(
        fates(&mut stage, timer, nominal),
        vec![Fate::Failed, Fate::Done]
    );
}

#[test]
fn a_run_that_is_asked_for_again_where_the_timer_has_gone_runs_once() {
    let mut stage = Stage::with_nodes(2, LEASE);
    let timer = stage.create(HOME, When::After(Millis(60_000)));
    let asked = (77, Change::RunNow);
    let first = stage.change_again(HOME, timer, asked.clone());
    assert!(matches!(first, Some(Answer::Run(_))), "{first:?}");
    stage.pass(1_000);
    stage.idle(0);
    for who in [Who::Coordinator, Who::Node(1), HOME] {
        stage.change_again(who, timer, asked.clone());
    }
    stage.pass(3_000);
    assert_eq!(stage.runs(timer).len(), 1);
}

#[test]
fn a_timer_that_its_home_has_cancelled_is_not_made_again_elsewhere() {
    let mut stage = Stage::with_nodes(2, LEASE);
    let mut wish = None;
    let timer = stage.create_like(HOME, every(1_000), |new| wish = Some(new.clone()));
    let answer = stage.change(HOME, timer, Change::Cancel);
    assert!(matches!(answer, Some(Answer::Cancelled(_))));
    let again = dormouse_engine::op::Op::Create(Box::new(wish.expect("it was made")));
    for who in [Who::Coordinator, Who::Node(1), HOME] {
        let answer = stage.ask(who, again.clone());
        assert!(matches!(answer, Some(Answer::Refused(_))), "{answer:?}");
    }
    stage.pass(3_000);
    assert!(stage.runs(timer).is_empty());
}
