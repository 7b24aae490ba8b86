//! The scenarios of `docs/design/hierarchy.md`, by number, with their exact masks.
//!
//! `a/m/h` is active mask / migrator bit / head, N for none. What needs claims, tokens or leases is
//! tested with the pool's machine; here the hierarchy does its share.

use super::tale::{COVERED, Said, Tale, covered_by, node, rack, sentry};
use dormouse_engine::hierarchy::{Hierarchy, Refused, Report};
use dormouse_engine::time::WallTime;

type Told = Result<(), String>;

#[test]
fn s01_a_migrator_that_idles_hands_over_in_its_group() -> Told {
    let mut t = Tale::t1().awake(&[3, 5]);
    t.shows(&[("0:0", "0x28/0x8/N")])?;
    assert_eq!(t.idle(3, &[]), covered_by(5));
    t.shows(&[("0:0", "0x20/0x20/N")])
}

#[test]
fn s02_an_activation_stops_where_somebody_is_active_already() -> Told {
    let mut t = Tale::t2();
    t.active(0);
    t.shows(&[("0:0", "0x1/0x1/N"), ("1:0", "0x1/0x1/N")])?;
    let untouched = t.view("1:0");
    t.active(1);
    t.shows(&[("0:0", "0x3/0x1/N")])?;
    assert_eq!(t.view("1:0"), untouched, "its version too");
    t.active(2);
    t.shows(&[("1:0", "0x3/0x1/N")])
}

#[test]
fn s03_a_deactivation_stops_where_somebody_stays_active() -> Told {
    let mut t = Tale::t2().awake(&[0, 1, 2]);
    let untouched = t.view("1:0");
    assert_eq!(t.idle(1, &[100]), covered_by(0));
    assert_eq!(t.view("1:0"), untouched, "nothing is sent above level 0");
    t.shows(&[("0:0", "0x1/0x1/100"), ("1:0", "0x3/0x1/N")])
}

#[test]
fn s04_the_last_of_a_group_hands_the_earliest_deadline_up_not_its_own() -> Told {
    let mut t = Tale::t2().awake(&[0, 1, 2]);
    t.idle(1, &[100]);
    assert_eq!(t.idle(0, &[150]), covered_by(2));
    assert_eq!(t.head_node("0:0"), Some(1));
    assert_eq!(t.head_node("1:0"), Some(1));
    t.shows(&[("0:0", "0/N/100"), ("1:0", "0x2/0x2/100")])
}

#[test]
fn s05_the_last_of_all_is_sentry_for_the_first_deadline_of_all() -> Told {
    let mut t = Tale::t2().awake(&[0, 1, 2]);
    t.idle(1, &[100]);
    t.idle(0, &[150]);
    assert_eq!(t.idle(2, &[300]), sentry(100));
    assert_eq!(t.sentry(), Some((2, 100)));
    t.shows(&[("1:0", "0/N/100")])
}

#[test]
fn s06_an_activation_releases_the_sentry() -> Told {
    let mut t = all_idle_after_s05();
    t.at(90).active(0);
    assert_eq!(t.sentry(), None);
    t.shows(&[("0:0", "0x1/0x1/100"), ("1:0", "0x1/0x1/300")])
}

#[test]
fn s07_the_awake_one_pulls_once_and_then_watches_for_the_next() {
    let mut t = all_idle_after_s05();
    t.at(90).active(0);
    assert_eq!(t.pulls(100), [(1, 0, 100)]);
    assert_eq!(t.pulls(100), []);
    assert_eq!(t.idle(0, &[]), sentry(300));
    assert_eq!(t.sentry(), Some((0, 300)));
}

fn all_idle_after_s05() -> Tale {
    let mut t = Tale::t2().awake(&[0, 1, 2]);
    t.idle(1, &[100]);
    t.idle(0, &[150]);
    t.idle(2, &[300]);
    t
}

#[test]
fn s08_the_last_to_idle_watches_for_another_ones_deadline() {
    let mut t = Tale::racks(8, &[2]).awake(&[0, 1]);
    assert_eq!(t.idle(1, &[100]), covered_by(0));
    assert_eq!(t.idle(0, &[]), sentry(100));
}

#[test]
fn s09_the_last_to_idle_watches_also_for_another_group() {
    let mut t = Tale::t2().awake(&[0, 2]);
    t.idle(0, &[100]);
    assert_eq!(t.idle(2, &[]), sentry(100));
}

#[test]
fn s10_a_sentry_that_woke_pulls_and_watches_again() {
    let mut t = Tale::t2().awake(&[0, 1, 2]);
    t.idle(1, &[100]);
    t.idle(2, &[200]);
    assert_eq!(t.idle(0, &[5000]), sentry(100));
    t.at(100).active(0);
    assert_eq!(t.pulls(100), [(1, 0, 100)]);
    assert_eq!(t.idle(0, &[5000]), sentry(200));
}

#[test]
fn s11_a_repeated_idle_report_gets_the_same_answer() {
    let mut t = Tale::t2();
    t.said(0, 1, Said::Active).unwrap();
    for _ in 0..3 {
        assert_eq!(t.said(0, 2, Said::Idle(Some(100))), Ok(Some(sentry(100))));
    }
    assert_eq!(t.sentry(), Some((0, 100)));
}

#[test]
fn s12_without_any_deadline_there_is_nothing_to_cover() -> Told {
    let mut t = Tale::racks(8, &[2]).awake(&[0, 1]);
    t.idle(1, &[100]);
    assert_eq!(t.idle(0, &[]), sentry(100));
    t.at(90).active(1);
    assert_eq!(t.sentry(), None, "the sentry is released");
    assert_eq!(t.pulls(100), [], "node 1 runs its own timer");
    assert_eq!(t.idle(1, &[]), COVERED);
    t.shows(&[("0:0", "0/N/N")])
}

#[test]
fn s13_when_the_last_one_leaves_a_sentry_is_named_in_the_same_step() -> Told {
    let mut t = Tale::t2().awake(&[0, 2]);
    t.idle(0, &[100]);
    t.leave(2);
    assert_eq!(t.sentry(), Some((0, 100)));
    assert_eq!(t.view("0:1").members[0], None, "its slot is free");
    t.shows(&[("1:0", "0/N/100")])
}

#[test]
fn s14_who_brings_an_earlier_deadline_is_the_sentry_for_it() -> Told {
    let mut t = Tale::t2().awake(&[0, 2]);
    t.idle(0, &[100]);
    assert_eq!(t.idle(2, &[200]), sentry(100));
    assert_eq!(t.idle(0, &[50, 100]), sentry(50));
    assert_eq!(t.sentry(), Some((0, 50)));
    t.shows(&[("1:0", "0/N/50")])
}

#[test]
fn s15_a_change_of_a_sleepers_deadline_moves_every_head_above() -> Told {
    let mut t = Tale::t2().awake(&[0, 2]);
    t.idle(0, &[100]);
    assert_eq!(t.idle(0, &[50, 100]), covered_by(2));
    t.shows(&[("0:0", "0/N/50"), ("1:0", "0x2/0x2/50")])?;
    assert_eq!(t.idle(0, &[]), covered_by(2));
    t.shows(&[("0:0", "0/N/N"), ("1:0", "0x2/0x2/N")])
}

#[test]
fn s16_a_pull_leaves_the_owners_next_deadline() -> Told {
    let mut t = Tale::t2().awake(&[0, 2]);
    t.idle(0, &[100, 400]);
    assert_eq!(t.pulls(100), [(0, 2, 100)]);
    t.shows(&[("0:0", "0/N/400"), ("1:0", "0x2/0x2/400")])
}

#[test]
fn s17_seven_sleepers_are_served_by_the_eighth_until_it_sleeps_too() -> Told {
    let mut t = Tale::t1().awake(&[0, 1, 2, 3, 4, 5, 6, 7]);
    for c in 0..7 {
        t.idle(c, &[1000 + i64::try_from(c).unwrap()]);
    }
    t.shows(&[("0:0", "0x80/0x80/1000")])?;
    assert_eq!(t.idle(7, &[]), sentry(1000));
    assert_eq!(t.sentry(), Some((7, 1000)));
    Ok(())
}

#[test]
fn s18_who_wakes_runs_its_own_and_the_migrator_stays() -> Told {
    let mut t = Tale::t2().awake(&[0, 2]);
    t.idle(0, &[100]);
    t.active(0);
    t.shows(&[("0:0", "0x1/0x1/N"), ("1:0", "0x3/0x2/N")])?;
    assert_eq!(t.pulls(100), []);
    Ok(())
}

#[test]
fn s19_a_node_that_wakes_by_itself_still_queues_its_movable_deadline() -> Told {
    let mut t = Tale::t2().awake(&[0, 2]);
    t.idle(0, &[100]);
    t.shows(&[("1:0", "0x2/0x2/100")])?;
    t.at(50).active(0);
    assert_eq!(t.pulls(100), [], "it became active: its event is ignored");

    let mut t = Tale::t2().awake(&[0, 2]);
    t.idle(0, &[100]);
    t.at(50).lost(0);
    assert_eq!(
        t.pulls(100),
        [(0, 2, 100)],
        "dead at 50: served like any other"
    );
    Ok(())
}

#[test]
fn s20_growth_keeps_an_active_root_active() -> Told {
    let mut t = Tale::t1().awake(&[3]);
    assert_eq!(t.join(0), 8);
    assert_eq!(
        t.view("1:0").members[..2],
        [Some("0:0".into()), Some("0:1".into())]
    );
    t.shows(&[("0:0", "0x8/0x8/N"), ("0:1", "0/N/N"), ("1:0", "0x1/0x1/N")])
}

#[test]
fn s20_growth_keeps_an_idle_root_and_its_sentry() -> Told {
    let mut t = Tale::t1().awake(&[0]);
    assert_eq!(t.idle(0, &[100]), sentry(100));
    t.join(0);
    assert_eq!(t.sentry(), Some((0, 100)), "a join leaves it as it is");
    t.shows(&[("0:0", "0/N/100"), ("1:0", "0/N/100")])?;
    assert_eq!(t.idle(8, &[]), sentry(100));
    Ok(())
}

#[test]
fn s21_two_changes_of_a_group_come_to_the_same_in_either_order() -> Told {
    for order in [[0, 1], [1, 0]] {
        let mut t = Tale::t2();
        t.said(0, 1, Said::Active).unwrap();
        for n in order {
            for _twice in 0..2 {
                match n {
                    0 => t.said(0, 2, Said::Idle(None)).map(drop).unwrap(),
                    _ => t.said(1, 1, Said::Active).map(drop).unwrap(),
                }
            }
        }
        assert_eq!(t.said(0, 1, Said::Active), Err(Refused::Stale));
        t.shows(&[("0:0", "0x2/0x2/N"), ("1:0", "0x1/0x1/N")])?;
    }
    Ok(())
}

#[test]
fn s22_a_new_deadline_that_crosses_the_last_ones_idling_has_a_sentry() -> Told {
    for first_then_idle in [true, false] {
        let mut t = Tale::t2().awake(&[2]);
        if first_then_idle {
            assert_eq!(t.idle(0, &[100]), covered_by(2));
            assert_eq!(t.idle(2, &[]), sentry(100));
        } else {
            assert_eq!(t.idle(2, &[]), COVERED);
            assert_eq!(t.idle(0, &[100]), sentry(100));
        }
        assert_eq!(t.sentry().map(|(_, at)| at), Some(100));
        t.shows(&[("1:0", "0/N/100")])?;
    }
    Ok(())
}

#[test]
fn s23_siblings_that_idle_together_leave_the_head_in_sight() -> Told {
    for order in [[0, 1], [1, 0]] {
        let mut t = Tale::t2().awake(&[0, 1, 2]);
        for n in order {
            let deadlines: &[i64] = if n == 1 { &[100] } else { &[] };
            t.idle(n, deadlines);
        }
        t.shows(&[("0:0", "0/N/100"), ("1:0", "0x2/0x2/100")])?;
        assert_eq!(t.pulls(100), [(1, 2, 100)]);
    }
    Ok(())
}

#[test]
fn s24_a_timer_that_is_being_run_is_not_seen_again() -> Told {
    let mut t = Tale::t2().awake(&[2]);
    t.idle(0, &[10]);
    assert_eq!(t.pulls(10), [(0, 2, 10)]);
    t.idle(0, &[50]);
    t.shows(&[("0:0", "0/N/50"), ("1:0", "0x2/0x2/50")])?;
    assert_eq!(t.pulls(10), []);

    let mut t = Tale::t2().awake(&[2]);
    t.idle(0, &[10]);
    assert_eq!(t.pulls(10), [(0, 2, 10)]);
    t.active(0);
    t.idle(0, &[50]);
    t.shows(&[("0:0", "0/N/50"), ("1:0", "0x2/0x2/50")])?;
    assert_eq!(t.pulls(49), []);
    assert_eq!(t.pulls(50), [(0, 2, 50)]);
    Ok(())
}

#[test]
fn s25_doubled_late_and_repeated_messages_change_nothing() -> Told {
    let mut t = Tale::t2();
    for _ in 0..2 {
        t.said(2, 1, Said::Active).unwrap();
    }
    for seq in [4, 4, 6, 6] {
        t.said(0, seq, Said::Active).unwrap();
    }
    assert_eq!(t.said(0, 5, Said::Idle(Some(100))), Err(Refused::Stale));
    t.shows(&[("0:0", "0x1/0x1/N"), ("1:0", "0x3/0x2/N")])?;
    assert_eq!(
        t.said(0, 7, Said::Idle(Some(100))),
        Ok(Some(covered_by(2))),
        "answer is lost"
    );
    t.said(2, 2, Said::Idle(None)).unwrap();
    let again = t.said(0, 7, Said::Idle(Some(100)));
    assert_eq!(
        again,
        Ok(Some(COVERED)),
        "the answer is of now: node 2 is the sentry"
    );
    assert_eq!(t.sentry(), Some((2, 100)));
    Ok(())
}

#[test]
fn s26_the_duty_of_a_dead_migrator_passes_on() -> Told {
    let mut t = Tale::t3().awake(&[0, 4]);
    t.idle(2, &[100]);
    t.shows(&[("1:0", "0x1/0x1/100"), ("2:0", "0x3/0x1/N")])?;
    t.at(20).lost(0);
    t.shows(&[("0:0", "0/N/N"), ("1:0", "0/N/100"), ("2:0", "0x2/0x2/100")])?;
    assert_eq!(t.pulls(100), [(2, 4, 100)]);
    t.ledger(2, &[100]);
    t.lost(4);
    assert_eq!(
        t.pulls(101),
        [],
        "the claim ended with its runner; nobody is awake"
    );
    t.active(6);
    assert_eq!(t.pulls(101), [(2, 6, 100)], "run again by another");
    Ok(())
}

#[test]
fn s26_a_dead_sentry_is_followed_by_another() {
    let mut t = Tale::t3().awake(&[0, 5]);
    t.idle(5, &[]);
    assert_eq!(t.idle(0, &[100]), sentry(100));
    t.h.suspect(&node(0), t.time());
    assert_eq!(
        t.sentry(),
        Some((5, 100)),
        "the one that reported last before"
    );
    t.at(50).lost(5);
    let (next, at) = t.sentry().unwrap();
    assert!(next != 0 && next != 5 && at == 100);
}

#[test]
fn s27_a_hierarchy_that_is_built_again_has_every_deadline() -> Told {
    let mut t = Tale::t3().awake(&[1, 6]);
    t.idle(0, &[300]);
    t.idle(3, &[100]);
    t.idle(5, &[200]);
    let mut again = Hierarchy::new(2);
    for n in 0..8 {
        again.join(node(n), rack(0), WallTime(0)).unwrap();
        again.set_first(&node(n), t.first(n), WallTime(0));
    }
    assert_eq!(
        again.head(),
        Some(WallTime(100)),
        "the parked ones are known from the ledger"
    );
    assert_eq!(again.sentry().unwrap().at, WallTime(100));
    for n in [1, 6] {
        again
            .report(&node(n), None, Report::Active, WallTime(0))
            .unwrap();
    }
    assert_eq!(again.sentry(), None);
    let masks = |t: &Tale| ["0:0", "0:1", "0:2", "0:3", "1:0", "1:1", "2:0"].map(|id| t.masks(id));
    let before = masks(&t);
    t.h = again;
    assert_eq!(masks(&t), before);
    t.h.check()
}
