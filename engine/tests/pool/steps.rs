//! What a turn looks at does not grow with the pool but by a logarithm.

use crate::stage::{Answered, Stage};
use dormouse_engine::pool::Input;
use dormouse_engine::steps::counted;

/// The entries that `turn` visits beside few and beside many.
fn grows(build: impl Fn(usize) -> Stage, turn: impl Fn(&mut Stage)) -> (u64, u64) {
    let steps = |size| {
        let mut stage = build(size);
        counted(|| turn(&mut stage)).1
    };
    (steps(100), steps(LARGE))
}

/// Debug builds check their invariants after every turn, so this is large enough and no more.
const LARGE: usize = 20_000;

/// Three times as many, and a few, leave room for a logarithm and not for a walk.
fn assert_flat((few, many): (u64, u64)) {
    assert!(many <= few * 3 + 64, "{few} beside few, {many} beside many");
}

fn backlog(size: usize) -> Stage {
    let mut stage = Stage::new();
    stage.join("n", "h", 2);
    stage.create("h", size);
    stage.pass(1);
    stage.settle();
    stage
}

fn nodes(size: usize) -> Stage {
    let mut stage = Stage::new();
    for number in 0..size / 50 {
        stage.join(&format!("n{number}"), "h", 1);
    }
    stage
}

#[test]
fn a_quiet_turn_beside_a_backlog() {
    assert_flat(grows(backlog, |stage| stage.turn(vec![Input::Tick])));
}

#[test]
fn a_claim_and_a_settlement_beside_a_backlog() {
    assert_flat(grows(backlog, |stage| {
        stage.answer("n", |_| Answered::Done);
    }));
}

#[test]
fn a_quiet_turn_a_renewal_and_a_run_among_many_nodes() {
    assert_flat(grows(nodes, |stage| stage.turn(vec![Input::Tick])));
    assert_flat(grows(nodes, |stage| stage.beat("n1")));
    assert_flat(grows(nodes, |stage| {
        stage.create("h", 1);
        stage.pass(1);
    }));
}

#[test]
fn a_repeat_beside_many_orders() {
    let build = |size: usize| {
        let mut stage = Stage::new();
        stage.join("n", "h", u32::try_from(size).unwrap());
        stage.create("h", size);
        stage.pass(1);
        stage.settle();
        stage
    };
    let (few, many) = grows(build, |stage| stage.pass(1_000));
    assert!(
        many <= few * 1_024 / 100 + 64,
        "{few}, {many}: at most the credit"
    );
}
