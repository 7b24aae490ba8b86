//! Each hazard of `docs/design/hierarchy.md` that applies inside one coordinator, as a scenario.
//!
//! A scenario holds with its rule, and fails when the rule is taken out: [`needs`] runs it both ways.
//! Hazards of claims, tokens and leases (K3, N4, N5, N6, N8, N9) belong to the machines that have them.

use super::tale::{COVERED, DUE, Said, Tale, covered_by, node, number, pass, same, sentry};
use dormouse_engine::hierarchy::{Owner, Pass};
use dormouse_engine::planted::{self, Fault};
use dormouse_engine::time::WallTime;

type Told = Result<(), String>;

/// The scenario holds, and does not without the rule.
fn needs(rule: Fault, scenario: impl Fn() -> Told) {
    assert_eq!(scenario(), Ok(()));
    let without = planted::with(rule, scenario);
    assert!(
        without.is_err(),
        "{rule:?} is planted, and the scenario does not see it"
    );
}

#[test]
fn k1_a_parent_is_told_the_groups_record_not_the_message() {
    needs(Fault::PassTheMessageOn, || {
        let mut t = Tale::t2().awake(&[0, 1]);
        t.idle(1, &[100]);
        t.shows(&[("0:0", "0x1/0x1/100"), ("1:0", "0x1/0x1/N")])
    });
}

#[test]
fn k2_the_root_is_looked_at_on_every_report() {
    needs(Fault::RootOnlyWhenItTurns, || {
        let mut t = Tale::t2().awake(&[2]);
        same("cover", t.idle(2, &[]), COVERED)?;
        same("cover", t.idle(0, &[100]), sentry(100))?;
        t.h.check()
    });
}

#[test]
fn k5_a_late_report_does_not_undo_a_newer_one() {
    needs(Fault::AcceptStaleReport, || {
        let mut t = Tale::t2().awake(&[2]);
        t.said(0, 4, Said::Active).unwrap();
        t.said(0, 7, Said::Idle(Some(100))).unwrap();
        t.said(0, 6, Said::Active).ok();
        same("pulls", t.pulls(100), vec![(0, 2, 100)])
    });
}

#[test]
fn k6_the_root_is_looked_at_also_without_a_deadline() {
    needs(Fault::SkipRootOnEmptyReport, || {
        let mut t = Tale::t2().awake(&[0, 2]);
        t.idle(0, &[100]);
        same("cover", t.idle(2, &[]), sentry(100))
    });
}

#[test]
fn k8_the_forecast_is_the_minimum_over_the_path() {
    needs(Fault::ForecastFromRootOnly, || {
        let mut t = Tale::t2().awake(&[0, 2]);
        t.idle(1, &[100]);
        same("head of all", t.h.head(), None)?;
        same("forecast", t.h.next_due(), Some(WallTime(100)))?;
        same("pulls", t.pulls(100), vec![(1, 0, 100)])
    });
}

#[test]
fn k9_a_sentry_is_released_when_somebody_wakes() {
    needs(Fault::KeepTheSentry, || {
        let mut t = Tale::t2().awake(&[0, 2]);
        t.idle(0, &[100]);
        t.idle(2, &[]);
        t.active(3);
        same("sentry", t.sentry(), None)
    });
}

#[test]
fn k9_a_past_deadline_is_never_an_answer() {
    needs(Fault::AnswerPastDeadline, || {
        let mut t = Tale::t2().awake(&[0]);
        same("cover", t.idle(0, &[100]), sentry(100))?;
        t.at(150);
        same("cover", t.idle(0, &[100]), DUE)
    });
}

#[test]
fn k10_an_owner_change_at_equal_deadline_is_reported() {
    needs(Fault::IgnoreTheOwner, || {
        let mut t = Tale::t2().awake(&[0, 1, 2]);
        t.idle(1, &[100]);
        t.idle(0, &[100]);
        same("owner above", t.head_node("1:0"), Some(0))?;
        t.idle(0, &[]);
        same("owner above", t.head_node("1:0"), Some(1))?;
        t.h.check()?;
        same("pulls", t.pulls(100), vec![(1, 2, 100)])
    });
}

#[test]
fn k11_a_new_root_takes_over_the_old_ones_state() {
    needs(Fault::BlankNewRoot, || {
        let mut t = Tale::racks(8, &[2]).awake(&[0]);
        t.idle(1, &[100]);
        t.join(1);
        t.shows(&[("1:0", "0x1/0x1/N")])?;
        let mut t = Tale::racks(8, &[2]);
        t.idle(1, &[100]);
        t.join(1);
        t.shows(&[("1:0", "0/N/100")])
    });
}

#[test]
fn k12_there_is_one_root_after_growth() {
    needs(Fault::KeepTheOldRoot, || {
        let mut t = Tale::racks(8, &[2]).awake(&[0]);
        t.idle(1, &[100]);
        let newcomer = t.join(1);
        t.active(newcomer);
        same("cover", t.idle(0, &[]), covered_by(newcomer))?;
        t.h.check()
    });
}

#[test]
fn k13_a_lift_keeps_bits_and_heads() {
    needs(Fault::BlankContinuation, || {
        let mut t = Tale::racks(2, &[2, 2]).awake(&[0, 2]);
        t.idle(0, &[100]);
        t.join(0);
        t.shows(&[
            ("1:0", "0/N/100"),
            ("1:1", "0x1/0x1/N"),
            ("2:0", "0x2/0x2/100"),
        ])
    });
}

#[test]
fn k15_an_activation_that_follows_growth_goes_all_the_way() {
    needs(Fault::KeepTheOldRoot, || {
        let mut t = Tale::racks(2, &[2]);
        t.idle(0, &[100]);
        t.join(0);
        t.active(2);
        t.shows(&[("0:1", "0x1/0x1/N"), ("1:0", "0x2/0x2/100")])?;
        same("pulls", t.pulls(100), vec![(0, 2, 100)])
    });
}

#[test]
fn k16_a_pass_without_progress_stops() {
    needs(Fault::PassWithoutProgress, || {
        let mut t = Tale::t2().awake(&[0]);
        t.idle(1, &[100]);
        let mut asked = 0;
        let stuck = pass(&mut t.h, WallTime(100), |pull| {
            asked += 1;
            // A ledger whose clock is behind: it finds nothing due, and names the same again. It
            // gives in at last, or the test would never end.
            (asked < 50).then_some(pull.deadline)
        });
        same("asked", asked, 1)?;
        same("stopped", stuck.is_err(), true)
    });
}

#[test]
fn k16_what_makes_no_progress_is_set_aside_and_those_behind_it_go_on() {
    needs(Fault::KeepTheStuckInSight, || {
        let mut t = Tale::t2().awake(&[2]);
        t.idle(1, &[100]);
        t.idle(0, &[150]);
        t.idle(3, &[150]);
        let mut served = Vec::new();
        let mut seen = Pass::default();
        for _ in 0..10 {
            let Some(pull) = t.h.due(WallTime(200)) else {
                break;
            };
            if seen.step(&pull).is_err() {
                t.h.set_aside(&pull.owner, WallTime(200));
            } else if let Owner::Node(owner) = &pull.owner {
                served.push(number(owner));
                // Of node 1 the ledger finds nothing due, and names the same again.
                let next = (number(owner) == 1).then_some(pull.deadline);
                t.h.set_first(owner, next, WallTime(200));
            }
        }
        same("served", served, vec![1, 0, 3])?;
        t.h.check()
    });
}

#[test]
fn k17_state_and_event_come_in_one_step() {
    needs(Fault::DropDeadlineWithBit, || {
        let mut t = Tale::t2().awake(&[0, 1, 2]);
        t.idle(0, &[]);
        t.idle(1, &[100]);
        t.shows(&[("0:0", "0/N/100"), ("1:0", "0x2/0x2/100")])
    });
}

#[test]
fn k18_when_the_last_one_leaves_the_duty_passes_in_the_same_step() {
    needs(Fault::LeaveWithoutSuccessor, || {
        let mut t = Tale::t2().awake(&[0, 2]);
        t.idle(0, &[100]);
        t.leave(2);
        same("sentry", t.sentry(), Some((0, 100)))
    });
}

#[test]
fn k19_a_pull_without_a_next_deadline_is_reported_up() {
    needs(Fault::PullStopsThere, || {
        let mut t = Tale::t2().awake(&[2]);
        t.idle(0, &[100]);
        t.idle(1, &[200]);
        same("pulls", t.try_pulls(100)?, vec![(0, 2, 100)])?;
        t.shows(&[("0:0", "0/N/200"), ("1:0", "0x2/0x2/200")])
    });
}

#[test]
fn k22_an_unsuitable_node_is_no_migrator() {
    needs(Fault::ElectTheIneligible, || {
        let mut t = Tale::t1();
        t.eligible(0, false);
        t.active(0);
        t.active(5);
        t.idle(3, &[100]);
        t.shows(&[("0:0", "0x21/0x20/100")])?;
        same("pulls", t.pulls(100), vec![(3, 5, 100)])
    });
}

#[test]
fn n1_a_dead_migrator_loses_its_bit_up_to_the_root() {
    needs(Fault::KeepDeadMigrator, || {
        let mut t = Tale::t3().awake(&[0, 4]);
        t.idle(2, &[100]);
        t.lost(0);
        same("root", t.masks("2:0"), "0x2/0x2/100".into())?;
        same("pulls", t.pulls(100), vec![(2, 4, 100)])
    });
}

#[test]
fn n2_a_dead_sleepers_deadline_stays() {
    needs(Fault::ForgetTheLost, || {
        let mut t = Tale::t2().awake(&[0, 2]);
        t.idle(0, &[100]);
        t.lost(0);
        same("pulls", t.pulls(100), vec![(0, 2, 100)])
    });
}

#[test]
fn n3_a_dead_sentry_is_replaced_in_the_same_step() {
    needs(Fault::KeepDeadSentry, || {
        let mut t = Tale::t2().awake(&[0, 2]);
        t.idle(0, &[100]);
        t.idle(2, &[]);
        t.lost(2);
        same("sentry", t.sentry(), Some((0, 100)))
    });
}

#[test]
fn n7_a_repeated_report_is_answered_as_things_are_now() {
    needs(Fault::DropRepeatedReport, || {
        let mut t = Tale::t2().awake(&[2]);
        t.said(0, 1, Said::Active).unwrap();
        same(
            "cover",
            t.said(0, 2, Said::Idle(Some(100))),
            Ok(Some(covered_by(2))),
        )?;
        t.leave(2);
        same(
            "cover",
            t.said(0, 2, Said::Idle(Some(100))),
            Ok(Some(sentry(100))),
        )
    });
}

#[test]
fn a_planted_fault_is_gone_when_its_test_is() {
    planted::with(Fault::KeepTheSentry, || {
        assert!(planted::is(Fault::KeepTheSentry))
    });
    assert!(!planted::any());
    let panicked = std::panic::catch_unwind(|| {
        planted::with(Fault::KeepTheSentry, || panic!("as tests do"));
    });
    assert!(panicked.is_err() && !planted::any());
    assert!(Tale::t1().h.contains(&node(7)));
}
