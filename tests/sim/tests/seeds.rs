//! A few hundred small histories in which no rule is broken, and that are about something.

use dormouse_sim::{Counts, Kind, Plan, run, tell};

/// Histories of each kind.
const SEEDS: usize = 32;

fn histories_of(kind: Kind) -> Counts {
    let seeds = (0..).filter(|seed| Plan::of(*seed).is_small() && Plan::of(*seed).kind == kind);
    let mut total = Counts::default();
    for seed in seeds.take(SEEDS) {
        match run(seed) {
            Ok(report) => total.add(&report.counts),
            Err(failure) => panic!("{failure}"),
        }
    }
    total
}

#[test]
fn histories_in_which_nothing_fails_break_no_rule() {
    let counts = histories_of(Kind::Calm);
    assert!(
        counts.pulled > 100 && counts.parks > 100 && counts.wakes > 100,
        "{counts:?}"
    );
    assert!(
        counts.lost == 0 && counts.coordinator_crashes == 0,
        "{counts:?}"
    );
}

#[test]
fn histories_over_a_bad_network_break_no_rule() {
    let counts = histories_of(Kind::Network);
    assert!(
        counts.lost > 10 && counts.refusals > 10 && counts.silent_sentries > 0,
        "{counts:?}"
    );
}

#[test]
fn histories_full_of_crashes_break_no_rule() {
    let counts = histories_of(Kind::Crashes);
    assert!(
        counts.coordinator_crashes > 10 && counts.leaves > 10,
        "{counts:?}"
    );
}

#[test]
fn histories_of_machines_that_stop_break_no_rule() {
    let counts = histories_of(Kind::Sleepers);
    assert!(
        counts.silent_sentries > 0 && counts.wakes > 100,
        "{counts:?}"
    );
}

#[test]
fn histories_in_which_everything_fails_break_no_rule() {
    let counts = histories_of(Kind::Everything);
    assert!(
        counts.stale_outcomes > 3 && counts.cancels > 10 && counts.pendings > 3,
        "{counts:?}"
    );
}

#[test]
fn histories_in_which_two_messages_wait_for_a_node_break_no_rule() {
    let seeds = (0..).filter(|seed| {
        let plan = Plan::of(*seed);
        plan.is_small() && plan.outbox == Some(2)
    });
    let mut total = Counts::default();
    for seed in seeds.take(SEEDS) {
        match run(seed) {
            Ok(report) => total.add(&report.counts),
            Err(failure) => panic!("{failure}"),
        }
    }
    assert!(total.dropped > 5, "{total:?}");
}

#[test]
fn the_same_seed_tells_the_same_history() {
    for seed in 0..5 {
        let (first, second) = (tell(seed).unwrap(), tell(seed).unwrap());
        assert_eq!(first, second, "seed {seed}");
        assert_ne!(first.hash, tell(seed + 5).unwrap().hash, "seed {seed}");
    }
}
