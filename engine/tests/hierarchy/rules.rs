//! Single rules of `docs/design/hierarchy.md` that no numbered scenario shows.
//!
//! Building and growth, eligibility, the pool's own timers, and the order in which nodes are asked.

use super::tale::{DUE, Tale, node, number, pass, rack, sentry};
use dormouse_engine::hierarchy::{Cover, Owner, Refused, WhyNot};
use dormouse_engine::id::NodeId;
use dormouse_engine::time::WallTime;

type Told = Result<(), String>;

#[test]
fn the_worked_examples_have_the_shapes_that_the_paper_says() {
    assert_eq!(Tale::racks(8, &[24, 24]).shape(), [6, 2, 1]);
    assert_eq!(Tale::racks(8, &[9]).shape(), [2, 1]);
    let uneven = Tale::racks(8, &[1, 8, 65]).shape();
    assert_eq!((uneven[0], uneven.last()), (11, Some(&1)));
    let lopsided = Tale::racks(8, &[57, 1, 1, 1, 1, 1, 1, 1]);
    assert_eq!(lopsided.shape(), [15, 8, 1]);
    assert_eq!(lopsided.h.nodes().count(), 64);
}

#[test]
fn a_rack_that_outgrows_the_others_lifts_what_is_above_with_its_state() -> Told {
    let mut t = Tale::racks(2, &[2, 2]).awake(&[0, 2]);
    t.idle(0, &[100]);
    t.shows(&[("0:0", "0/N/100"), ("1:0", "0x2/0x2/100")])?;
    t.join(0);
    assert_eq!(
        t.view("2:0").members,
        [Some("1:0".into()), Some("1:1".into())]
    );
    assert_eq!(t.view("1:0").rack, Some(rack(0)));
    assert_eq!(t.view("2:0").rack, None);
    t.shows(&[
        ("1:0", "0/N/100"),
        ("1:1", "0x1/0x1/N"),
        ("2:0", "0x2/0x2/100"),
    ])?;
    assert_eq!(t.pulls(100), [(0, 2, 100)]);
    Ok(())
}

#[test]
fn a_freed_slot_is_the_next_to_be_taken() {
    let mut t = Tale::t1();
    t.leave(2);
    t.leave(5);
    t.join(0);
    assert_eq!(t.view("0:0").members[2], Some("n8".into()));
    assert_eq!(t.view("0:0").members[5], None);
}

#[test]
fn a_member_that_joins_again_stays_as_it_is_but_not_in_another_rack() -> Told {
    let mut t = Tale::t2().awake(&[0]);
    assert_eq!(t.h.join(node(0), rack(0), t.time()), Ok(()));
    t.shows(&[("0:0", "0x1/0x1/N")])?;
    let moved = t.h.join(node(0), rack(1), t.time());
    assert_eq!(
        moved,
        Err(Refused::OtherRack {
            node: node(0),
            rack: rack(0)
        })
    );
    Ok(())
}

#[test]
fn the_ineligible_fire_for_themselves_and_serve_nobody() -> Told {
    let mut t = Tale::t2().awake(&[0, 2]);
    t.idle(3, &[100]);
    t.eligible(2, false);
    t.shows(&[("0:1", "0x1/N/100"), ("1:0", "0x1/0x1/100")])?;
    assert_eq!(
        t.idle(0, &[]),
        sentry(100),
        "an ineligible node awake is no cover"
    );
    t.eligible(2, true);
    assert_eq!(t.sentry(), None);
    t.shows(&[("0:1", "0x1/0x1/100"), ("1:0", "0x2/0x2/N")])
}

#[test]
fn where_nobody_may_be_sentry_nobody_is_told_to_sleep() {
    let mut t = Tale::racks(8, &[2]).awake(&[0, 1]);
    t.eligible(0, false);
    t.eligible(1, false);
    let why = WhyNot::NobodyEligible;
    assert_eq!(t.idle(0, &[100]), Cover::NotCovered { why });
    assert_eq!(t.sentry(), None);
    t.join(0);
    assert_eq!(t.sentry(), Some((2, 100)), "until somebody joins who may");
}

#[test]
fn a_deadline_that_has_come_is_no_time_to_sleep_until() {
    let mut t = Tale::t2().awake(&[0, 2]);
    t.idle(0, &[100]);
    t.at(100);
    assert_eq!(t.idle(2, &[500]), DUE);
    t.active(2);
    assert_eq!(t.pulls(100), [(0, 2, 100)]);
    assert_eq!(t.idle(2, &[500]), sentry(500));
}

#[test]
fn the_pools_own_timers_go_round_the_roots_members() {
    let mut t = Tale::t3().awake(&[0, 1, 4]);
    let mut left = vec![10, 20, 30, 40];
    t.h.set_pool_first(Some(WallTime(left[0])), WallTime(0));
    assert_eq!(t.h.next_due(), Some(WallTime(10)));
    let mut servers = Vec::new();
    pass(&mut t.h, WallTime(40), |pull| {
        servers.push(number(&pull.server));
        left.remove(0);
        left.first().copied().map(WallTime)
    })
    .unwrap();
    assert_eq!(servers, [0, 4, 0, 4]);
}

#[test]
fn the_pools_own_timers_have_a_sentry_too() -> Told {
    let mut t = Tale::t2().awake(&[0]);
    t.h.set_pool_first(Some(WallTime(100)), WallTime(0));
    assert_eq!(t.idle(0, &[200]), sentry(100));
    t.h.set_pool_first(None, WallTime(0));
    assert_eq!(t.sentry(), Some((0, 200)));
    t.h.check()
}

#[test]
fn the_nearest_are_asked_first_and_each_once() {
    let t = Tale::t3().awake(&[1, 2, 3, 6, 7]);
    let order = |owner: Option<&_>| t.h.nearest(owner).map(number).collect::<Vec<_>>();
    assert_eq!(order(Some(&node(0))), [1, 2, 3, 6, 7]);
    assert_eq!(order(Some(&node(4))), [6, 7, 1, 2, 3]);
    assert_eq!(order(None), [1, 2, 3, 6, 7]);
}

#[test]
fn each_node_on_duty_is_named_once_and_none_before_a_nearer_one() {
    let mut t = Tale::racks(3, &[40, 1, 7]);
    for n in [1, 4, 5, 9, 13, 27, 28, 36, 40, 41, 47] {
        t.active(n);
    }
    t.eligible(5, false);
    for from in (0..48).map(node) {
        let order: Vec<_> = t.h.nearest(Some(&from)).cloned().collect();
        let mut each: Vec<_> = order.iter().map(number).collect();
        let steps: Vec<_> = order.iter().map(|to| distance(&t, &from, to)).collect();
        assert!(steps.is_sorted(), "from {from}: {order:?} at {steps:?}");
        each.sort_unstable();
        assert_eq!(each, [1, 4, 9, 13, 27, 28, 36, 40, 41, 47]);
    }
}

/// The level of the lowest group that both nodes are below.
fn distance(t: &Tale, one: &NodeId, other: &NodeId) -> usize {
    let groups = t.h.groups();
    let above = |child: String| {
        let group = groups
            .iter()
            .find(|group| group.members.contains(&Some(child.clone())));
        group.map(|group| group.id.clone())
    };
    let path = |node: &NodeId| -> Vec<String> {
        std::iter::successors(above(node.to_string()), |id| above(id.clone())).collect()
    };
    let met = path(one).into_iter().zip(path(other));
    met.take_while(|(one, other)| one != other).count()
}

#[test]
fn what_was_set_aside_is_out_of_sight_until_it_changes_wakes_or_is_taken_back() -> Told {
    let aside = |t: &mut Tale| t.h.set_aside(&Owner::Node(node(0)), WallTime(0));
    let mut t = Tale::t2().awake(&[2]);
    t.idle(0, &[100]);
    aside(&mut t);
    t.shows(&[("0:0", "0/N/N"), ("1:0", "0x2/0x2/N")])?;
    assert_eq!((t.h.next_due(), t.pulls(100)), (None, vec![]));
    t.h.set_first(&node(0), Some(WallTime(100)), WallTime(100));
    assert_eq!(t.h.next_due(), None, "the same deadline is no news");
    t.h.take_back(&Owner::Node(node(0)), WallTime(100));
    assert_eq!(t.h.next_due(), Some(WallTime(100)));
    aside(&mut t);
    t.ledger(0, &[200]);
    assert_eq!(t.h.next_due(), Some(WallTime(200)));
    aside(&mut t);
    t.active(0);
    t.idle(0, &[200]);
    assert_eq!(t.h.next_due(), Some(WallTime(200)));
    aside(&mut t);
    assert_eq!(
        t.idle(2, &[]),
        Cover::Covered { by: None },
        "nothing to watch for"
    );
    t.shows(&[("1:0", "0/N/N")])
}

#[test]
fn what_the_pool_set_aside_of_its_own_is_out_of_sight_too() {
    let mut t = Tale::t2().awake(&[0]);
    t.h.set_pool_first(Some(WallTime(10)), WallTime(0));
    t.h.set_aside(&Owner::Pool, WallTime(20));
    assert_eq!(t.h.next_due(), None);
    t.h.set_pool_first(Some(WallTime(30)), WallTime(20));
    assert_eq!(t.h.next_due(), Some(WallTime(30)));
}

#[test]
fn who_became_eligible_again_watches_by_its_last_report() {
    let mut t = Tale::racks(8, &[4]).awake(&[0, 1, 2, 3]);
    for n in [0, 1, 2, 3] {
        t.idle(n, &[100]);
    }
    assert_eq!(t.sentry(), Some((3, 100)));
    t.eligible(1, false);
    t.eligible(2, false);
    t.eligible(3, false);
    assert_eq!(t.sentry(), Some((0, 100)));
    t.eligible(1, true);
    assert_eq!(t.sentry(), Some((1, 100)), "it reported after 0");
    t.eligible(2, true);
    assert_eq!(t.sentry(), Some((2, 100)), "and 2 after 1");
    t.leave(2);
    assert_eq!(t.sentry(), Some((1, 100)));
}

#[test]
fn names_are_found_while_nodes_come_and_go() -> Told {
    let mut t = Tale::racks(8, &[300]);
    for n in (0..300).filter(|n| n % 3 == 1) {
        t.leave(n);
    }
    for _ in 0..60 {
        t.join(0);
    }
    let is_member = |n: &usize| *n >= 300 || n % 3 != 1;
    let found: Vec<usize> = (0..360).filter(|n| t.h.contains(&node(*n))).collect();
    assert_eq!(found, (0..360).filter(is_member).collect::<Vec<_>>());
    assert_eq!(t.h.len(), 260);
    assert_eq!(t.shape()[0], 38, "the slots of those that left were taken");
    t.h.check()
}
