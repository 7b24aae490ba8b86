//! Single rules of `docs/design/hierarchy.md` that no numbered scenario shows.
//!
//! Building and growth, eligibility, the pool's own timers, and the order in which nodes are asked.

use super::tale::{DUE, Tale, node, number, rack, sentry};
use dormouse_engine::hierarchy::{Cover, Refused, WhyNot};
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
    t.h.pass(WallTime(40), |pull| {
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
    let order = |owner: Option<&_>| t.h.nearest(owner).iter().map(number).collect::<Vec<_>>();
    assert_eq!(order(Some(&node(0))), [1, 2, 3, 6, 7]);
    assert_eq!(order(Some(&node(4))), [6, 7, 1, 2, 3]);
    assert_eq!(order(None), [1, 2, 3, 6, 7]);
}
