//! What nobody can take just now waits, costs nothing, and goes on as soon as somebody has room.

use crate::stage::{Answered, Stage, capacity, node};
use dormouse_engine::hierarchy::Owner;
use dormouse_engine::message::Act;
use dormouse_engine::planted::{self, Fault};
use dormouse_engine::pool::{Input, Note};

/// Due timers that one turn looks at.
const IN_TURN: usize = 512;

#[test]
fn the_first_of_many_goes_out_in_the_first_turn_and_the_rest_in_the_next_ones() {
    let mut stage = Stage::new();
    stage.join("n", "h", 10_000);
    stage.create("h", 2_000);
    stage.pass(1);
    let first = stage.nodes[&node("n")].due.len();
    assert!((1..=IN_TURN).contains(&first), "{first} in the first turn");
    assert!(stage.wants_a_turn());
    stage.settle();
    let all = stage.pool.ledger().entries();
    assert_eq!(all.filter(|it| it.timer.is_running()).count(), 2_000);
}

#[test]
fn a_turn_without_a_bound_looks_at_everything() {
    planted::with(Fault::ServeWithoutBound, || {
        let mut stage = Stage::new();
        stage.join("n", "h", 10_000);
        stage.create("h", 2_000);
        stage.pass(1);
        let running = stage.pool.ledger().entries();
        assert_eq!(running.filter(|it| it.timer.is_running()).count(), 2_000);
    });
}

#[test]
fn what_makes_no_progress_is_set_aside_and_tried_again_later() {
    let mut stage = Stage::new();
    stage.join("n", "h", 10);
    stage.create("h", 1);
    planted::with(Fault::PullNothing, || {
        stage.pass(1);
        stage.settle();
    });
    let stuck = stage.notes.iter();
    let stuck = stuck.filter(|note| matches!(note, Note::NoProgress(Owner::Pool)));
    assert_eq!(stuck.count(), 1);
    assert!(stage.nodes[&node("n")].due.is_empty());
    stage.pass(1_000);
    stage.settle();
    assert_eq!(stage.nodes[&node("n")].due.len(), 1);
}

#[test]
fn what_waits_is_run_with_two_places_one_after_the_other() {
    let mut stage = Stage::new();
    stage.join("n", "h", 2);
    stage.create("h", 300);
    stage.pass(1);
    stage.settle();
    let mut done = 0;
    while done < 300 {
        let heard = stage.answer("n", |_| Answered::Done);
        assert!((1..=2).contains(&heard), "{heard} with two places");
        done += heard;
        stage.settle();
    }
    assert_eq!(stage.pool.view().due_backlog, 0);
}

#[test]
fn what_nobody_has_a_handler_for_does_not_keep_others_waiting() {
    let mut stage = Stage::new();
    stage.join("n", "h", 10);
    stage.create("nobody", 3_000);
    stage.create("h", 5);
    stage.pass(1);
    stage.settle();
    assert_eq!(stage.nodes[&node("n")].due.len(), 5);
    assert_eq!(stage.pool.view().due_backlog, 3_000);
    assert!(!stage.wants_a_turn());
    stage.report("n", Act::Stay, capacity("nobody", 3_000));
    stage.settle();
    assert_eq!(stage.pool.view().due_backlog, 0);
}

#[test]
fn what_was_cancelled_does_not_wait_any_more() {
    use dormouse_engine::op::{Change, Op};
    let mut stage = Stage::new();
    stage.join("n", "h", 10);
    stage.create("nobody", 10);
    stage.pass(1);
    stage.settle();
    assert_eq!(stage.pool.view().due_backlog, 10);
    let names: Vec<_> = stage
        .pool
        .ledger()
        .entries()
        .map(|it| it.timer.name.clone())
        .collect();
    for name in names {
        let (request, change) = (0, Change::Cancel);
        let op = Op::Change {
            name,
            request,
            change,
        };
        stage.turn(vec![Input::Asked { ask: 0, op }]);
    }
    assert_eq!(stage.pool.view().due_backlog, 0);
}

#[test]
fn a_sleeper_that_had_the_handler_is_woken_for_what_waits() {
    let mut stage = Stage::new();
    stage.join("n", "h", 1);
    stage.connect("sleeper");
    stage.report("sleeper", Act::Stay, capacity("rare", 1));
    stage.create("rare", 1);
    stage.pass(1);
    assert_eq!(stage.nodes[&node("sleeper")].woken, 0);
    stage.pass(1_100);
    assert_eq!(stage.nodes[&node("sleeper")].woken, 1);
}

#[test]
fn what_waits_is_shared_between_the_things_that_are_waited_for() {
    let mut stage = Stage::new();
    stage.join("n", "other", 1);
    stage.create("a", 1_000);
    stage.create("b", 1_000);
    stage.pass(1);
    stage.settle();
    stage.join("m", "a", 1_000);
    stage.join("k", "b", 1_000);
    stage.settle();
    let of = |name: &str| stage.nodes[&node(name)].due.len();
    assert!(of("m") > 0 && of("k") > 0);
}
