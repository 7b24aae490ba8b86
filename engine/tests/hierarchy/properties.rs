//! Any tree, any order of messages: what must hold always, and what must hold when all is calm.
//!
//! The same search has to find every planted fault; a search that finds nothing proves nothing.
//! `PROPTEST_CASES` makes it longer.

use super::world::{Op, World};
use dormouse_engine::planted::{self, Fault};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestError, TestRng, TestRunner};

/// A cluster and what happens to it.
#[derive(Debug, Clone)]
struct Story {
    capacity: u8,
    racks: Vec<usize>,
    spread: usize,
    awake: bool,
    ops: Vec<Op>,
}

fn lived(story: &Story) -> Result<(), String> {
    let mut world = World::new(story.capacity, &story.racks, story.spread, story.awake);
    story.ops.iter().try_for_each(|op| world.step(op))?;
    world.calm()
}

/// 1 to 200 nodes in racks of uneven size.
fn racks() -> impl Strategy<Value = Vec<usize>> {
    prop_oneof![
        12 => vec(1usize..=5, 1..=4),
        1 => Just(vec![1]),
        1 => Just(vec![8]),
        1 => Just(vec![9]),
        1 => Just(vec![57, 1, 1, 1, 1, 1, 1, 1]),
        1 => Just(vec![65]),
        1 => Just(vec![1, 8, 65]),
        1 => vec(1usize..=40, 1..=5),
    ]
}

fn op() -> impl Strategy<Value = Op> {
    let n = any::<u8>;
    let soon = || 0u16..300;
    let deliver = (n(), prop::bool::weighted(0.2), prop::bool::weighted(0.2)).prop_map(
        |(which, keep, lose_answer)| Op::Deliver {
            which,
            keep,
            lose_answer,
        },
    );
    prop_oneof![
        6 => n().prop_map(Op::Wake),
        8 => n().prop_map(Op::Sleep),
        6 => (n(), soon(), any::<bool>()).prop_map(|(n, at, shipped)| Op::Add(n, at, shipped)),
        4 => (prop::option::of(n()), soon()).prop_map(|(home, at)| Op::AddThere(home, at)),
        2 => n().prop_map(Op::Cancel),
        24 => deliver,
        2 => n().prop_map(Op::Drop),
        3 => n().prop_map(Op::Repeat),
        1 => n().prop_map(Op::Die),
        1 => n().prop_map(Op::Notice),
        1 => n().prop_map(Op::Leave),
        2 => n().prop_map(Op::Join),
        2 => (n(), any::<bool>()).prop_map(|(n, value)| Op::Eligible(n, value)),
        1 => Just(Op::SuspectTheSentry),
        6 => (0u16..120).prop_map(Op::Advance),
    ]
}

fn story() -> impl Strategy<Value = Story> {
    let spread = prop_oneof![4 => 1usize..=6, 1 => Just(usize::MAX)];
    let capacity = prop_oneof![Just(2u8), Just(3), Just(8)];
    (capacity, racks(), spread, any::<bool>(), vec(op(), 0..120)).prop_map(
        |(capacity, racks, spread, awake, ops)| Story {
            capacity,
            racks,
            spread,
            awake,
            ops,
        },
    )
}

proptest! {
    #![proptest_config(Config { failure_persistence: None, ..Config::default() })]

    #[test]
    fn nothing_is_lost_early_or_doubled_whatever_happens(story in story()) {
        prop_assert_eq!(lived(&story), Ok(()));
    }
}

/// What the search says with the fault planted; always the same stories in the same order.
fn found(fault: Fault) -> Option<String> {
    let config = Config {
        cases: 3000,
        failure_persistence: None,
        max_shrink_iters: 0,
        ..Config::default()
    };
    let mut runner =
        TestRunner::new_with_rng(config, TestRng::deterministic_rng(RngAlgorithm::ChaCha));
    let search = || runner.run(&story(), |story| lived(&story).map_err(TestCaseError::fail));
    match planted::with(fault, search) {
        Ok(()) => None,
        Err(TestError::Fail(reason, _)) => Some(reason.message().to_owned()),
        Err(TestError::Abort(reason)) => panic!("the search was broken off: {reason}"),
    }
}

/// The faults that show in what happens to timers, or in the invariants, under random stories.
const FAULTS: [Fault; 17] = [
    Fault::PassTheMessageOn,
    Fault::RootOnlyWhenItTurns,
    Fault::AcceptStaleReport,
    Fault::SkipRootOnEmptyReport,
    Fault::ForecastFromRootOnly,
    Fault::KeepTheSentry,
    Fault::IgnoreTheOwner,
    Fault::BlankNewRoot,
    Fault::KeepTheOldRoot,
    Fault::BlankContinuation,
    Fault::DropDeadlineWithBit,
    Fault::LeaveWithoutSuccessor,
    Fault::PullStopsThere,
    Fault::ElectTheIneligible,
    Fault::KeepDeadMigrator,
    Fault::ForgetTheLost,
    Fault::KeepDeadSentry,
];

#[test]
fn every_planted_fault_is_found() {
    let unseen: Vec<Fault> = FAULTS
        .into_iter()
        .filter(|fault| found(*fault).is_none())
        .collect();
    assert_eq!(unseen, [], "planted, and nothing is found");
}
