//! What renews the lease of a node.

use crate::stage::{Stage, capacity, node};
use dormouse_engine::ledger::Stance;
use dormouse_engine::message::{Act, Active, Items};
use dormouse_engine::planted::{self, Fault};
use dormouse_engine::time::LogIndex;

/// A node is given its timers, and beats for two leases. Returns whether it owns them then.
fn owns_after_beats(speaks: bool) -> bool {
    let mut stage = Stage::new();
    stage.connect("n");
    let active = Active {
        known: LogIndex(0),
        cursor: None,
    };
    stage.report("n", Act::Active(active), capacity("h", 1));
    if speaks {
        stage.report("n", Act::Stay, Items::default());
    }
    for _ in 0..20 {
        stage.pass(1_000);
        stage.beat("n");
    }
    let known = stage.pool.ledger().node(&node("n")).unwrap();
    known.stance == Stance::Active
}

#[test]
fn a_node_that_may_not_have_heard_that_it_owns_its_timers_loses_them_although_it_beats() {
    assert!(owns_after_beats(true));
    assert!(!owns_after_beats(false));
    let planted = planted::with(Fault::RenewTheUnspoken, || owns_after_beats(false));
    assert!(planted, "the fault is missed");
}
