//! No operation walks over everything: what it visits grows at most as the logarithm of the number of nodes.
//!
//! Nodes, slots and entries are counted, no time: see `dormouse_engine::steps`.

use super::tale::{node, rack};
use dormouse_engine::hierarchy::{Hierarchy, Owner, Report};
use dormouse_engine::steps::counted;
use dormouse_engine::time::WallTime;
use std::sync::LazyLock;

const SMALL: usize = 100;
const LARGE: usize = 100_000;
/// How often each operation is tried, at nodes all over the tree; the largest count is taken.
const TRIES: usize = 50;

static CLUSTERS: LazyLock<[Hierarchy; 2]> = LazyLock::new(|| [built(SMALL), built(LARGE)]);

/// All nodes in one rack; every tenth is awake, the others sleep with deadlines.
fn cluster(size: usize) -> Hierarchy {
    let [small, large] = &*CLUSTERS;
    if size == SMALL { small } else { large }.clone()
}

fn built(size: usize) -> Hierarchy {
    let mut h = Hierarchy::new(8);
    for n in 0..size {
        h.join(node(n), rack(0), WallTime(0)).unwrap();
        h.report(&node(n), None, standing(n), WallTime(0)).unwrap();
    }
    h
}

fn standing(n: usize) -> Report {
    if n.is_multiple_of(10) {
        Report::Active
    } else {
        idle(n)
    }
}

fn idle(n: usize) -> Report {
    let deadline = 1_000 + i64::try_from(n * 7_919 % 10_007).unwrap();
    Report::Idle {
        first: Some(WallTime(deadline)),
    }
}

/// The most that `operation` visits, at one of the nodes.
fn most(size: usize, operation: impl Fn(&mut Hierarchy, usize)) -> u64 {
    let mut h = cluster(size);
    let step = size / TRIES;
    let tries = (0..TRIES).map(|at| at * step + at % step);
    let counts = tries.map(|n| counted(|| operation(&mut h, n)).1);
    counts.max().unwrap()
}

/// Twice what a logarithm allows, so that a few more entries on a path do no harm; a walk visits a thousand
/// times as much.
fn grows_like_a_logarithm(small: u64, large: u64) -> bool {
    large <= 2 * small.max(1) * u64::from(LARGE.ilog2()) / u64::from(SMALL.ilog2())
}

#[track_caller]
fn is_bounded(operation: impl Fn(&mut Hierarchy, usize)) {
    let (small, large) = (most(SMALL, &operation), most(LARGE, &operation));
    assert!(
        grows_like_a_logarithm(small, large),
        "{small} steps among {SMALL} nodes, {large} among {LARGE}"
    );
}

#[test]
fn a_join_visits_no_more_than_a_path() {
    is_bounded(|h, n| h.join(node(LARGE + n), rack(0), WallTime(1)).unwrap());
}

#[test]
fn a_leave_and_a_loss_visit_no_more_than_a_path() {
    is_bounded(|h, n| h.lost(&node(n), WallTime(1)));
    is_bounded(|h, n| h.leave(&node(n), WallTime(1)));
}

#[test]
fn a_transition_visits_no_more_than_a_path() {
    is_bounded(|h, n| drop(h.report(&node(n), None, idle(n + 3), WallTime(1)).unwrap()));
    is_bounded(|h, n| {
        drop(
            h.report(&node(n), None, Report::Active, WallTime(1))
                .unwrap(),
        );
    });
}

#[test]
fn a_new_deadline_visits_no_more_than_a_path() {
    is_bounded(|h, n| h.set_first(&node(n), Some(WallTime(5)), WallTime(1)));
}

#[test]
fn a_change_of_eligibility_visits_no_more_than_a_path() {
    is_bounded(|h, n| {
        h.eligible(&node(n), false, WallTime(1));
        h.eligible(&node(n), true, WallTime(1));
    });
}

#[test]
fn a_pull_visits_no_more_than_a_path() {
    is_bounded(|h, _| {
        let pull = h.due(WallTime(20_000)).unwrap();
        let Owner::Node(owner) = &pull.owner else {
            panic!("the pool has no timers here")
        };
        h.set_first(owner, None, WallTime(20_000));
    });
    is_bounded(|h, _| {
        let pull = h.due(WallTime(20_000)).unwrap();
        h.set_aside(&pull.owner, WallTime(20_000));
    });
}

#[test]
fn the_last_to_idle_finds_a_sentry_without_a_search() {
    let asleep = |size| {
        let mut h = cluster(size);
        for n in (0..size).step_by(10) {
            h.report(&node(n), None, idle(n), WallTime(0)).unwrap();
        }
        // Nine of ten are no use as a sentry.
        for n in (0..size).filter(|n| !n.is_multiple_of(10)) {
            h.eligible(&node(n), false, WallTime(0));
        }
        let sentry = h.sentry().unwrap().node.clone();
        counted(|| h.lost(&sentry, WallTime(1))).1
    };
    assert!(grows_like_a_logarithm(asleep(SMALL), asleep(LARGE)));
}

#[test]
fn the_nearest_on_duty_is_found_without_looking_at_the_others() {
    is_bounded(|h, n| assert!(h.nearest(Some(&node(n))).next().is_some()));
    // One of all is awake, at the other end of the tree.
    let far = |size| {
        let mut h = cluster(size);
        for n in (10..size).step_by(10) {
            h.report(&node(n), None, idle(n), WallTime(0)).unwrap();
        }
        let last = node(size - 1);
        counted(|| assert_eq!(h.nearest(Some(&last)).next(), Some(&node(0)))).1
    };
    assert!(grows_like_a_logarithm(far(SMALL), far(LARGE)));
}

#[test]
fn a_walk_over_all_nodes_is_noticed() {
    let all = |h: &mut Hierarchy, _| assert!(h.nearest(None).count() > 1);
    assert!(!grows_like_a_logarithm(most(SMALL, all), most(LARGE, all)));
}
