//! Who is believed of a timer: its owner, and a node whose ownership has moved, before it hears of that or as it leaves.

use crate::stage::{Stage, at, new, node};
use dormouse_engine::id::{Token, Uid};
use dormouse_engine::message::{Act, Goodbye, Items};
use dormouse_engine::time::{LogIndex, Millis};
use dormouse_engine::timer::{NewTimer, Outcome, Overlap, Policy, Timer, When};

/// A node whose lease ran out is back, and has not heard yet that its timers are the pool's.
fn back_too_late() -> Stage {
    let mut stage = Stage::new();
    stage.join("n", "h", 1);
    let before = stage.nodes[&node("n")].epoch;
    for _ in 0..20 {
        stage.pass(1_000);
    }
    stage.connect("n");
    let now = stage.pool.ledger().node(&node("n")).unwrap();
    assert_ne!(now.epoch, before, "its lease ran out");
    stage.nodes.get_mut(&node("n")).unwrap().epoch = before;
    stage
}

fn goodbye(stage: &mut Stage, attempt: Option<u64>) {
    let now = at(stage.now).wall;
    let timer = Timer::accept(&new("h", 7, now + Millis(60_000)), Some(node("n")), now).unwrap();
    let items = Items {
        changed: vec![timer],
        ..Items::default()
    };
    let goodbye = Goodbye {
        attempt,
        interrupted: Vec::new(),
    };
    stage.report("n", Act::Goodbye(goodbye), items);
}

#[test]
fn what_it_proposes_as_it_leaves_is_there_although_ownership_has_moved() {
    let mut stage = back_too_late();
    goodbye(&mut stage, None);
    assert!(stage.nodes[&node("n")].gone);
    assert!(stage.pool.ledger().entry(Uid(7)).is_some());
}

#[test]
fn it_does_not_leave_with_what_it_staged_for_an_ownership_that_is_over() {
    let mut stage = back_too_late();
    goodbye(&mut stage, Some(1));
    assert!(!stage.nodes[&node("n")].gone, "it has to hand over anew");
}

#[test]
fn a_run_that_it_told_of_ends_although_its_timer_went_on_elsewhere() {
    let mut stage = back_too_late();
    let start = at(stage.now).wall;
    let every = NewTimer {
        when: When::Every {
            interval: Millis(1_000),
            phase: None,
        },
        policy: Policy {
            overlap: Overlap::Allow,
            ..Policy::default()
        },
        ..new("h", 7, start)
    };
    let mut timer = Timer::accept(&every, Some(node("n")), start).unwrap();
    let nominal = timer.ready(None, start + Millis(1_000)).unwrap();
    let (token, due) = (Token(5), start + Millis(1_000));
    let _run = timer.begin(nominal, &node("n"), token, due);
    let tail = |timer: &Timer| Items {
        changed: vec![timer.clone()],
        ..Items::default()
    };
    let known = LogIndex(0);
    stage.report("n", Act::Tail { known }, tail(&timer));
    let runs = |stage: &Stage| {
        let ledger = stage.pool.ledger();
        let entry = ledger.entry(Uid(7)).unwrap();
        let runs: Vec<_> = entry.timer.runs().map(|(by, _)| by.clone()).collect();
        runs
    };
    assert_eq!(runs(&stage), [node("n")]);
    stage.join("m", "h", 9);
    for _ in 0..20 {
        stage.pass(100);
        stage.settle();
    }
    assert!(runs(&stage).contains(&node("m")), "it goes on elsewhere");
    timer
        .settle(token, &Outcome::Done, due + Millis(10))
        .unwrap();
    stage.report("n", Act::Tail { known }, tail(&timer));
    assert!(!runs(&stage).contains(&node("n")), "it has ended");
}

#[test]
fn its_owner_is_believed_although_the_ledger_came_as_far_by_other_steps() {
    let mut stage = Stage::new();
    stage.join("n", "h", 1);
    let now = at(stage.now).wall;
    let timer = |due: u64| {
        let new = new("h", 7, now + Millis(due));
        Timer::accept(&new, Some(node("n")), now).unwrap()
    };
    for timer in [timer(1_000), timer(9_000)] {
        let items = Items {
            changed: vec![timer.clone()],
            ..Items::default()
        };
        stage.report("n", Act::Stay, items);
        let entry = stage.pool.ledger().entry(Uid(7)).unwrap();
        assert_eq!(entry.timer, timer);
    }
}
