//! Planted histories: a good one, and each way in which one can be bad.

use super::*;
use crate::demo::almanac::When;
use crate::demo::facts::Sighting;

const S: Micros = 1_000_000;

/// Timer `a` is at home on n1, due every second from 1 s to 9 s, cancelled at 9.5 s.
fn good() -> Facts {
    let promise = Promise {
        uid: "a".into(),
        name: "pools/default/timers/a".into(),
        home: Some("n1".into()),
        when: When::Every {
            interval: 1000,
            phase: 0,
        },
        created: (S / 4, S / 2),
        cancelled: Some((9 * S + S / 2, 9 * S + S / 2 + 10)),
        done_until: Some(9 * S),
    };
    Facts {
        promises: vec![promise],
        launches: (1..=9).map(|second| launch("n1", second * S)).collect(),
        span: (0, 10 * S),
        ..Facts::default()
    }
}

fn launch(node: &str, nominal: Micros) -> Launch {
    Launch {
        uid: "a".into(),
        node: node.into(),
        nominal,
        launched: nominal,
        seen: nominal + 1000,
        attempt: 1,
        token: 1,
    }
}

fn sighting(node: &str, asleep: bool, at: Micros) -> Sighting {
    Sighting {
        node: node.into(),
        asleep,
        at,
        before: at - 50_000,
    }
}

#[test]
fn a_good_history_has_no_faults() {
    let score = score(&good());
    assert!(score.faults.is_empty(), "{:?}", score.faults);
    assert_eq!((score.table.due, score.table.fired), (9, 9));
    let own = score.table.lateness_ms.own;
    assert_eq!((own.p50, own.p99), (Some(1.0), Some(1.0)));
    assert_eq!(score.table.lateness_ms.migrated.p50, None);
    assert!((score.table.seconds - 10.0).abs() < 1e-9);
}

#[test]
fn what_never_ran_is_lost() {
    let mut facts = good();
    facts.launches.remove(4);
    let score = score(&facts);
    assert_eq!((score.table.due, score.table.fired), (9, 8));
    assert_eq!(score.table.lost, 1);
    assert!(score.faults[0].contains("never ran"), "{:?}", score.faults);
}

#[test]
fn what_ran_and_was_not_accepted_is_lost() {
    let mut facts = good();
    facts.promises[0].done_until = Some(8 * S);
    let score = score(&facts);
    assert_eq!((score.table.lost, score.faults.len()), (1, 1));
}

#[test]
fn what_ran_before_its_time_is_early() {
    for plant in [
        |it: &mut Launch| it.seen = it.nominal - 1,
        |it: &mut Launch| it.launched = it.nominal - 1000,
    ] {
        let mut facts = good();
        plant(&mut facts.launches[0]);
        let score = score(&facts);
        assert_eq!(score.table.early, 1);
        assert!(score.faults[0].contains("early"), "{:?}", score.faults);
    }
}

#[test]
fn what_ran_twice_is_a_duplicate() {
    let mut facts = good();
    facts.launches.push(launch("n2", 3 * S));
    let score = score(&facts);
    assert_eq!((score.table.duplicates, score.excused), (1, 0));
    assert_eq!(score.table.fired, 9);
    assert!(score.faults[0].contains("again"), "{:?}", score.faults);
}

#[test]
fn a_kill_excuses_one_further_launch_of_what_it_may_have_cut_off() {
    let mut facts = good();
    facts.launches.push(Launch {
        seen: 6 * S,
        ..launch("n2", 3 * S)
    });
    facts.deaths = vec![("n1".into(), 3 * S + S / 2)];
    assert_eq!(score(&facts).excused, 1);
    assert!(score(&facts).faults.is_empty());

    facts.deaths = vec![("n1".into(), 5 * S)];
    assert_eq!(score(&facts).faults.len(), 1, "it was committed long ago");

    facts.deaths = vec![("n1".into(), 3 * S + S / 2)];
    facts.launches.push(Launch {
        seen: 7 * S,
        ..launch("n3", 3 * S)
    });
    let score = score(&facts);
    assert_eq!((score.table.duplicates, score.excused), (2, 1));
    assert_eq!(score.faults.len(), 1, "once more, not twice");
}

#[test]
fn a_launch_of_what_was_not_due_is_a_duplicate() {
    for nominal in [S / 10, 3 * S + 1000, 12 * S] {
        let mut facts = good();
        facts.launches.push(launch("n1", nominal));
        let score = score(&facts);
        assert_eq!((score.table.duplicates, score.faults.len()), (1, 1));
    }
}

#[test]
fn what_is_due_while_it_is_being_cancelled_may_run_or_not() {
    let mut facts = good();
    facts.promises[0].cancelled = Some((9 * S - 10, 9 * S + 10));
    assert_eq!(score(&facts).table.due, 9);
    facts.launches.pop();
    let score = score(&facts);
    assert_eq!((score.table.due, score.table.lost), (8, 0));
}

#[test]
fn what_was_due_just_before_a_registration_may_run_or_not() {
    let mut facts = good();
    facts.promises[0].created = (S + 3_000, S + 9_000);
    let judged = score(&facts);
    assert_eq!((judged.table.due, judged.faults.len()), (9, 0));
    facts.launches.remove(0);
    let judged = score(&facts);
    assert_eq!((judged.table.due, judged.faults.len()), (8, 0));
}

#[test]
fn paths_are_told_apart_by_where_and_why() {
    let mut facts = good();
    for second in 3..=9 {
        facts.launches[second - 1].node = "n2".into();
    }
    facts.outages = vec![(5 * S - 10, 5 * S + 10)];
    facts.deaths = vec![("n1".into(), 8 * S - 10)];
    let promise = facts.promises[0].clone();
    let paths: Vec<Path> = facts
        .launches
        .iter()
        .map(|launch| path((&facts, &[]), &promise, launch))
        .collect();
    use Path::{Failover, Migrated, Own};
    assert_eq!(
        paths,
        [
            Own, Own, Migrated, Migrated, Failover, Migrated, Migrated, Failover, Failover
        ]
    );
}

#[test]
fn a_sleeper_that_had_to_wait_for_the_coordinator_is_no_home_that_was_awake() {
    let mut facts = good();
    facts.outages = vec![(5 * S - 10, 5 * S + 10)];
    let path_of_five = |facts: &Facts| {
        let naps = naps(facts);
        path((facts, &naps), &facts.promises[0], &facts.launches[4])
    };
    assert_eq!(path_of_five(&facts), Path::Own);
    facts.sightings = vec![sighting("n1", true, 3 * S), sighting("n1", false, 6 * S)];
    assert_eq!(path_of_five(&facts), Path::Failover);
}

#[test]
fn a_sleeper_is_spared_only_while_it_sleeps_on() {
    let mut facts = good();
    for second in 3..=6 {
        facts.launches[second - 1].node = "n2".into();
    }
    // Asleep when 3, 4 and 5 are due; seen awake just after 5 ran, and for 6.
    facts.sightings = vec![
        sighting("n1", false, 10),
        sighting("n1", true, 2 * S + S / 2),
        sighting("n1", false, 5 * S + 60_000),
    ];
    let score = score(&facts);
    assert_eq!((score.table.wakeups_avoided, score.table.wakeups), (3, 1));
}

#[test]
fn a_node_that_was_told_to_wake_was_not_woken_by_the_system() {
    let mut facts = good();
    facts.sightings = vec![sighting("n1", true, S), sighting("n1", false, 4 * S)];
    assert_eq!(score(&facts).table.wakeups, 1);
    facts.roused = vec![("n1".into(), 3 * S + S / 2)];
    assert_eq!(score(&facts).table.wakeups, 0);
}

#[test]
fn percentiles_are_of_the_nearest_rank() {
    let hundred = (1..=100).map(|n| n * 1000).collect();
    let all = percentiles(hundred);
    assert_eq!((all.p50, all.p99), (Some(50.0), Some(99.0)));
    let one = percentiles(vec![1234]);
    assert_eq!((one.p50, one.p99), (Some(1.2), Some(1.2)));
    assert_eq!(percentiles(vec![]).p50, None);
}
