//! Ledgers that take over what others had.

use super::*;
use crate::id::{Epoch, RackId, TimerId, Token};
use crate::ledger::Routed;
use crate::message::{Hello, MessageLimits, Resumed};
use crate::op::Change;
use crate::record::{Key, Record};
use crate::time::Millis;
use crate::timer::{
    Begun, Durability, Effort, Ending, HandlerName, NewTimer, Occurrence, Overlap, Payload, Phase,
    Policy, When,
};
use std::collections::BTreeMap;

const NOW: WallTime = WallTime(1_800_000_000_000);

fn pool() -> PoolId {
    PoolId::new("default").unwrap()
}

fn ledger(id: LedgerId) -> Ledger {
    Ledger::new(pool(), id)
}

fn node(name: &str) -> NodeId {
    NodeId::new(name).unwrap()
}

fn new(id: &str, uid: u128) -> NewTimer {
    NewTimer {
        pool: pool(),
        id: TimerId::new(id).unwrap(),
        uid: Uid(uid),
        request: uid,
        when: When::Every {
            interval: Millis(60_000),
            phase: None,
        },
        placement: Placement::Movable,
        handler: HandlerName::new("h").unwrap(),
        target: Default::default(),
        payload: Payload(vec![0, 255].into()),
        content_type: String::new(),
        policy: Policy::default(),
        paused: false,
        durability: Durability::Replicated,
        labels: BTreeMap::new(),
    }
}

fn create(ledger: &mut Ledger, new: NewTimer) -> Uid {
    let uid = new.uid;
    let routed = ledger.execute(&Op::Create(Box::new(new)), NOW);
    assert!(
        matches!(&routed, Routed::Done(crate::op::Answer::Timer(_))),
        "{routed:?}"
    );
    uid
}

fn resume(ledger: &mut Ledger, name: &str) -> Resumed {
    let page = ledger.page(&node(name), LogIndex(0), MessageLimits::default());
    assert!(!page.more);
    ledger.resume(&node(name), page, NOW)
}

fn greet(ledger: &mut Ledger, name: &str) {
    let hello = Hello {
        node: node(name),
        pool: pool(),
        rack: RackId::new("r1").unwrap(),
        incarnation: 7,
        epoch: Epoch(0),
        known: LogIndex(0),
        ledger: 0,
        wall: NOW,
    };
    ledger.greet(&hello, NOW);
}

fn restore(facts: Vec<Fact>, index: u64) -> Restore {
    Restore {
        index: LogIndex(index),
        facts,
        partial: false,
        rehearse: false,
    }
}

fn run(ledger: &mut Ledger, uid: Uid) -> Token {
    let token = ledger.stamp_token();
    let begun = ledger.change(uid, |entry| {
        let nominal = entry.timer.phase.occurrence()?.nominal;
        entry.timer.begin(nominal, &node("n1"), token, NOW)
    });
    assert!(begun.flatten().is_some());
    token
}

fn timers(facts: &[Fact]) -> Vec<&Timer> {
    let timers = facts.iter().filter_map(|fact| match fact {
        Fact::Timer(timer) => Some(timer.as_ref()),
        _ => None,
    });
    timers.collect()
}

#[test]
fn an_export_goes_in_pieces_that_visit_little_beside_their_facts() {
    let mut full = ledger(1);
    for uid in 1..=2_500 {
        create(&mut full, new(&format!("t{uid}"), uid));
    }
    let node = node("n");
    full.gone.insert(
        Uid(9_000),
        Gone {
            home: node,
            at: LogIndex(1),
        },
    );
    let (mut facts, mut after, mut pieces) = (Vec::new(), None, 0);
    loop {
        let (piece, steps) = steps::counted(|| full.export(after, NOW));
        assert!(piece.facts.len() <= PIECE_FACTS_MAX);
        // A way down the order of names, then a branch or two for each.
        assert!(steps <= 3 * piece.facts.len() as u64 + 64);
        assert_eq!((piece.index, piece.facts_total), (full.index(), 2_501));
        facts.extend(piece.facts);
        pieces += 1;
        after = piece.next;
        if after.is_none() {
            break;
        }
    }
    assert_eq!(
        (pieces, facts.len(), timers(&facts).len()),
        (3, 2_501, 2_500)
    );
    let mut empty = ledger(2);
    let mut created = 0;
    for piece in facts.chunks(1_000) {
        created += empty
            .restore_facts(&restore(piece.to_vec(), 9), NOW)
            .created;
    }
    assert_eq!(created, 2_500);
    let again = empty.restore_facts(&restore(facts[..1_000].to_vec(), 9), NOW);
    assert_eq!((again.created, again.known), (0, 1_000));
}

#[test]
fn what_is_large_leaves_alone() {
    let mut full = ledger(1);
    for uid in 1..=40 {
        let payload = Payload(vec![0; 60_000].into());
        let name = format!("t{uid}");
        create(
            &mut full,
            NewTimer {
                payload,
                ..new(&name, uid)
            },
        );
    }
    let piece = full.export(None, NOW);
    assert!((10..=18).contains(&piece.facts.len()));
    assert!(piece.next.is_some());
}

#[test]
fn a_ledger_that_took_everything_over_exports_the_same() {
    let mut full = ledger(1);
    for (id, uid) in [("a", 5), ("b", 3)] {
        create(&mut full, new(id, uid));
    }
    let exported = full.export(None, NOW);
    let mut empty = ledger(2);
    let restored = empty.restore_facts(&restore(exported.facts.clone(), exported.index.0), NOW);
    assert_eq!((restored.created, restored.known), (2, 0));
    assert_eq!(empty.export(None, NOW).facts, exported.facts);
    assert!(empty.index() > exported.index);
    let again = empty.restore_facts(&restore(exported.facts, exported.index.0), NOW);
    assert_eq!(
        (again.created, again.known, again.taken),
        (0, 2, Vec::new())
    );
}

#[test]
fn what_was_restored_is_in_the_records_of_its_turn() {
    let mut full = ledger(1);
    let uid = create(&mut full, new("a", 5));
    let mut empty = ledger(2);
    empty.take_records();
    empty.restore_facts(&restore(full.export(None, NOW).facts, 9), NOW);
    let records: Vec<Record> = empty.take_records();
    let state = records.into_iter().map(|it| (it.key, it.value.unwrap()));
    let recovered = Ledger::recover(pool(), 2, state).unwrap();
    assert_eq!(recovered.entry(uid), empty.entry(uid));
    assert_eq!(recovered.index(), empty.index());
    assert_eq!(recovered.first(&None), empty.first(&None));
}

#[test]
fn a_run_in_flight_waits_again_and_gets_a_later_token() {
    let mut full = ledger(1);
    let uid = create(&mut full, new("a", 5));
    let token = run(&mut full, uid);
    let facts = full.export(None, NOW).facts;
    let rested = timers(&facts)[0].clone();
    assert!(
        matches!(&rested.phase, Phase::Waiting { occurrence, due }
            if occurrence.attempt == 1 && *due == occurrence.nominal),
        "{rested:?}"
    );
    let mut empty = ledger(2);
    // Even if the lines do not tell how far the ledger had come.
    empty.restore_facts(&restore(facts, 0), NOW);
    assert!(run(&mut empty, uid) > token);
}

#[test]
fn nothing_of_any_line_is_in_flight_afterwards() {
    let mut full = ledger(1);
    let policy = Policy {
        overlap: Overlap::Allow,
        ..Policy::default()
    };
    let uid = create(
        &mut full,
        NewTimer {
            policy,
            ..new("a", 5)
        },
    );
    run(&mut full, uid);
    let token = full.stamp_token();
    full.change(uid, |entry| {
        entry.timer.beside.push(Phase::Running {
            occurrence: Occurrence::fresh(NOW),
            run: Box::new(Begun {
                by: node("n2"),
                started: NOW,
                token,
            }),
        });
    });
    let facts = full.export(None, NOW).facts;
    let rested = timers(&facts)[0].clone();
    assert_eq!(rested.lines().count(), 2);
    assert!(
        rested.lines().all(|line| line.running().is_none()),
        "{rested:?}"
    );
    assert!(rested.noted.is_empty());
    let mut empty = ledger(2);
    empty.restore_facts(&restore(facts, 0), NOW);
    assert_eq!(empty.entry(uid).unwrap().timer, rested);
}

#[test]
fn a_run_that_may_begin_only_once_is_lost_and_the_next_is_waited_for() {
    let mut full = ledger(1);
    let policy = Policy {
        effort: Effort::AtMostOnce,
        ..Policy::default()
    };
    let once = NewTimer {
        policy: policy.clone(),
        when: When::At(NOW),
        ..new("once", 6)
    };
    let again = NewTimer {
        policy,
        ..new("again", 5)
    };
    let (again, once) = (create(&mut full, again), create(&mut full, once));
    let token = run(&mut full, again);
    run(&mut full, once);
    let facts = full.export(None, NOW).facts;
    let [again, once] = timers(&facts)[..] else {
        panic!("{facts:?}");
    };
    let last = again.last.clone().unwrap();
    assert_eq!((last.ending, last.token), (Ending::Lost, token));
    assert!(again.due().is_some_and(|due| due > last.nominal));
    let over = Phase::Over {
        ending: Ending::Lost,
        at: NOW,
    };
    assert_eq!(once.phase, over);
}

#[test]
fn a_name_that_another_timer_has_stops_everything_or_is_left_out() {
    let mut full = ledger(1);
    for (id, uid) in [("a", 5), ("b", 6)] {
        create(&mut full, new(id, uid));
    }
    let facts = full.export(None, NOW).facts;
    let mut other = ledger(2);
    let there = create(&mut other, new("a", 99));
    other.take_records();
    let whole = other.restore_facts(&restore(facts.clone(), 50), NOW);
    assert_eq!(whole.taken.len(), 1);
    assert_eq!(other.len(), 1);
    assert!(other.take_records().is_empty(), "nothing was changed");
    let part = Restore {
        partial: true,
        ..restore(facts, 50)
    };
    let part = other.restore_facts(&part, NOW);
    assert_eq!((part.created, part.taken[0].0), (1, 0));
    assert!(other.entry(there).is_some() && other.len() == 2);
}

#[test]
fn a_rehearsal_changes_nothing() {
    let mut full = ledger(1);
    create(&mut full, new("a", 5));
    let mut empty = ledger(2);
    let rehearsal = Restore {
        rehearse: true,
        ..restore(full.export(None, NOW).facts, 50)
    };
    assert_eq!(empty.restore_facts(&rehearsal, NOW).created, 1);
    assert!(empty.is_empty() && empty.take_records().is_empty());
}

#[test]
fn movable_timers_become_the_pools_and_pinned_ones_wait_for_their_home() {
    let mut full = ledger(1);
    greet(&mut full, "n1");
    let movable = create(&mut full, new("m", 5));
    full.change(movable, |entry| entry.timer.home = Some(node("n1")));
    let pinned = NewTimer {
        placement: Placement::Pinned(node("n1")),
        ..new("p", 6)
    };
    let pinned = create(&mut full, pinned);
    let facts = full.export(None, NOW).facts;

    let mut empty = ledger(2);
    empty.restore_facts(&restore(facts.clone(), 50), NOW);
    let timer = |ledger: &Ledger, uid| ledger.entry(uid).unwrap().timer.clone();
    assert_eq!(timer(&empty, movable).home, None);
    assert!(empty.first(&None).is_some(), "the pool watches over it");
    let waiting = timer(&empty, pinned);
    assert_eq!(
        (waiting.home.clone(), waiting.awaits),
        (Some(node("n1")), Some(Awaits::Return))
    );
    greet(&mut empty, "n1");
    let resumed = resume(&mut empty, "n1");
    let told: Vec<Uid> = resumed.changed.iter().map(|timer| timer.uid).collect();
    assert_eq!(told, [pinned]);

    let mut active = ledger(3);
    greet(&mut active, "n1");
    resume(&mut active, "n1");
    active.restore_facts(&restore(facts, 50), NOW);
    let given = active.entry(pinned).unwrap();
    assert_eq!((given.held, given.timer.awaits), (Some(Held::Giving), None));
}

#[test]
fn changes_that_wait_and_timers_that_are_gone_are_taken_over_once() {
    let name = TimerName::parse("pools/default/nodes/n1/timers/x").unwrap();
    let facts = vec![
        Fact::Pending {
            node: node("n1"),
            op: Op::change(name, Change::Cancel),
        },
        Fact::Gone {
            uid: Uid(9),
            home: node("n1"),
        },
    ];
    let mut ledger = ledger(2);
    for _ in 0..2 {
        ledger.restore_facts(&restore(facts.clone(), 0), NOW);
    }
    assert_eq!(ledger.export(None, NOW).facts, facts);
    greet(&mut ledger, "n1");
    let resumed = resume(&mut ledger, "n1");
    assert_eq!((resumed.gone, resumed.pending.len()), (vec![Uid(9)], 1));
    assert!(
        ledger
            .take_records()
            .iter()
            .any(|it| it.key == Key::Gone(Uid(9)).encode())
    );
}
