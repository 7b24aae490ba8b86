//! A node that leaves takes nothing along that it was answered to be there.

use crate::stage::{Stage, at, new, node};
use dormouse_engine::id::Uid;
use dormouse_engine::message::{Act, Goodbye, Items};
use dormouse_engine::time::Millis;
use dormouse_engine::timer::Timer;

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
