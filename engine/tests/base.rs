//! A base alone, without a coordinator: how much it does in one turn, and that a turn looks at nothing else.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on says where")]

use dormouse_engine::base::{Base, Config, Effect, Input};
use dormouse_engine::decision::Decision;
use dormouse_engine::id::{Epoch, NodeId, PoolId, RackId, Session, TimerId, Token, Uid};
use dormouse_engine::message::{
    Act, CoordinatorMessage, MessageLimits, NodeMessage, Order, Page, Reply, Report, ReportAnswer,
    Resumed, Welcome,
};
use dormouse_engine::op::{Activity, Answer, Change, Op, Refusal};
use dormouse_engine::planted::{self, Fault};
use dormouse_engine::record::Record;
use dormouse_engine::steps;
use dormouse_engine::time::{BootTime, LogIndex, Millis, Now, WallTime};
use dormouse_engine::timer::{
    Durability, Fate, HandlerName, NewTimer, Outcome, Payload, Placement, Policy, Retry, Run,
    Timer, When,
};
use std::collections::{BTreeMap, BTreeSet};

const START: i64 = 1_800_000_000_000;

fn time(ms: u64) -> Now {
    Now {
        wall: WallTime(START + i64::try_from(ms).unwrap()),
        boot: BootTime(1_000 + ms),
    }
}

fn handler(name: &str) -> HandlerName {
    HandlerName::new(name).unwrap()
}

/// A node with these worker places.
fn node(places: &[(&str, u32)]) -> Base {
    node_with(places, MessageLimits::default())
}

fn node_with(places: &[(&str, u32)], message: MessageLimits) -> Base {
    let config = Config {
        node: NodeId::new("n1").unwrap(),
        pool: PoolId::new("default").unwrap(),
        rack: RackId::new("r1").unwrap(),
        incarnation: 1,
        replicate_after: Millis(200),
        message,
    };
    let (mut base, _) = Base::recover(config, Vec::<(Vec<u8>, Vec<u8>)>::new(), time(0)).unwrap();
    let places = places.iter().map(|(name, places)| (handler(name), *places));
    let places = places.collect();
    let _ = base.handle(time(0), vec![Input::Workers { places }]);
    base
}

fn new(number: u64, at: u64, place: &str) -> NewTimer {
    NewTimer {
        pool: PoolId::new("default").unwrap(),
        id: TimerId::new(&format!("t{number:06}")).unwrap(),
        uid: Uid(number.into()),
        request: number.into(),
        when: When::At(time(at).wall),
        placement: Placement::Movable,
        handler: handler(place),
        target: Default::default(),
        policy: Default::default(),
        paused: false,
        payload: Payload::default(),
        content_type: String::new(),
        durability: Durability::Ephemeral,
        labels: BTreeMap::new(),
    }
}

fn ask(number: u64, op: Op) -> Input {
    Input::Asked { ask: number, op }
}

/// Registers `count` timers that are due at the same time.
fn register(base: &mut Base, count: u64, at: u64, place: &str) {
    for number in 1..=count {
        let op = Op::Create(Box::new(new(number, at, place)));
        let decision = base.handle(time(0), vec![ask(number, op)]);
        let [Effect::Answer { answer, .. }] = &decision.effects[..] else {
            panic!("{decision:?}");
        };
        assert!(matches!(answer, Answer::Timer(_)), "{answer:?}");
    }
}

fn tick(base: &mut Base, at: u64) -> Decision<Effect> {
    base.handle(time(at), vec![Input::Tick])
}

fn launched(decision: &Decision<Effect>) -> Vec<Run> {
    let launched = decision.effects.iter().filter_map(|effect| match effect {
        Effect::Launch { run, .. } => Some(run.clone()),
        _ => None,
    });
    launched.collect()
}

#[test]
fn the_first_of_very_many_leave_at_once_and_the_rest_follows() {
    let mut base = node(&[("h", 10_000)]);
    register(&mut base, 1_000, 50, "h");
    let mut ran = Vec::new();
    loop {
        let decision = tick(&mut base, 50);
        let runs = launched(&decision);
        assert!(!runs.is_empty() && runs.len() <= 256, "{}", runs.len());
        ran.extend(runs.iter().map(|run| run.uid));
        if !decision.more {
            break;
        }
        let deadline = base.next_deadline();
        let asks = deadline.boot.is_some_and(|at| at <= time(50).boot);
        assert!(asks, "what is left is asked for: {deadline:?}");
    }
    assert_eq!(ran, (1..=1_000).map(Uid).collect::<Vec<_>>());
    planted::with(Fault::FireAllAtOnce, || {
        let mut base = node(&[("h", 10_000)]);
        register(&mut base, 1_000, 50, "h");
        assert_eq!(launched(&tick(&mut base, 50)).len(), 1_000);
    });
}

#[test]
fn many_without_a_worker_do_not_delay_one_that_has_one() {
    let mut base = node(&[("slow", 1), ("h", 1)]);
    register(&mut base, 5_000, 50, "slow");
    let other = Op::Create(Box::new(new(9_999, 51, "h")));
    let _ = base.handle(time(0), vec![ask(9_999, other)]);
    assert_eq!(launched(&tick(&mut base, 50)).len(), 1);
    let runs = launched(&tick(&mut base, 51));
    assert_eq!(
        runs.iter().map(|run| run.uid).collect::<Vec<_>>(),
        [Uid(9_999)]
    );
}

#[test]
fn what_waits_for_a_worker_begins_in_its_order_as_places_become_free() {
    let mut base = node(&[("h", 1)]);
    register(&mut base, 600, 50, "h");
    let mut runs = launched(&tick(&mut base, 50));
    while tick(&mut base, 50).more {}
    let mut ran = Vec::new();
    while let Some(run) = runs.pop() {
        ran.push(run.uid);
        let settled = Input::Settled {
            uid: run.uid,
            token: run.token,
            outcome: Outcome::Done,
        };
        runs = launched(&base.handle(time(60), vec![settled]));
        assert!(runs.len() <= 1);
    }
    assert_eq!(ran, (1..=600).map(Uid).collect::<Vec<_>>());
}

#[test]
fn what_is_not_answered_in_time_is_answered_and_not_proposed_any_more() {
    let mut base = node(&[]);
    for number in 1..=100 {
        let new = NewTimer {
            durability: Durability::Replicated,
            ..new(number, 60_000, "h")
        };
        let op = Op::Create(Box::new(new));
        let asked = base.handle(time(number), vec![ask(number, op)]);
        assert_eq!(asked.effects, []);
    }
    let answered = |decision: Decision<Effect>| decision.effects.len();
    assert_eq!(answered(tick(&mut base, 8_010)), 10);
    assert_eq!(answered(tick(&mut base, 8_100)), 90);
    let later = base.next_deadline().boot;
    assert!(later.is_none_or(|at| at > time(8_100).boot), "{later:?}");
}

/// What operations cost with so many timers registered: entries visited in a page of a list, in a create and a
/// cancel, in firing one, and in a turn without anything to do.
fn costs(timers: u64) -> [u64; 4] {
    let mut base = node(&[("h", 10)]);
    register(&mut base, timers, 3_600_000, "h");
    let page = Op::Kept {
        after: None,
        limit: 50,
    };
    let (_, list) = steps::counted(|| base.handle(time(1), vec![ask(900_001, page)]));
    let one = new(900_000, 10, "h");
    let name = "pools/default/timers/t900000".to_owned();
    let name = dormouse_engine::id::TimerName::parse(&name).unwrap();
    let inputs = || {
        vec![
            ask(900_002, Op::Create(Box::new(one.clone()))),
            ask(900_003, Op::cancel(name.clone())),
        ]
    };
    let (_, pair) = steps::counted(|| base.handle(time(2), inputs()));
    let again = NewTimer {
        uid: Uid(900_001),
        ..one.clone()
    };
    let _ = base.handle(time(3), vec![ask(900_004, Op::Create(Box::new(again)))]);
    let (fired, fire) = steps::counted(|| tick(&mut base, 10));
    assert_eq!(launched(&fired).len(), 1);
    let (_, quiet) = steps::counted(|| tick(&mut base, 11));
    [list, pair, fire, quiet]
}

#[test]
fn nothing_costs_more_with_more_timers() {
    // Both have more than the names that a page puts in order at once. What is in order by time or by name costs a
    // logarithm: fifty times as many are not twice the steps.
    let (few, many) = (costs(2_000), costs(100_000));
    assert!(few[0] >= 50, "the count counts: {few:?}");
    for (few, many) in few.into_iter().zip(many) {
        assert!(many <= 2 * few + 16, "{many} of 100,000, {few} of 2,000");
    }
}

/// What a coordinator says to a node of which it has no stage.
fn welcome(base: &mut Base, at: u64, (session, epoch, owns): (u64, u64, bool)) -> Decision<Effect> {
    let _ = base.handle(time(at), vec![Input::Connected]);
    let welcome = Welcome {
        session: Session(session),
        epoch: Epoch(epoch),
        owns,
        lease: Millis(10_000),
        clock: time(at).wall,
        ledger: 7,
        wake_grace: Millis(500),
        stage: None,
    };
    let heard = Input::Heard(CoordinatorMessage::Welcome(welcome));
    base.handle(time(at), vec![heard])
}

fn reports(decision: &Decision<Effect>) -> impl Iterator<Item = Report> {
    decision.effects.iter().filter_map(|effect| match effect {
        Effect::Send(NodeMessage::Report(report)) => Some(report.clone()),
        _ => None,
    })
}

fn report(decision: &Decision<Effect>) -> Report {
    reports(decision).next().unwrap()
}

fn answer(base: &mut Base, at: u64, report: &Report, reply: Reply) -> Decision<Effect> {
    refuse(base, at, report, (reply, Vec::new()))
}

fn refuse(
    base: &mut Base,
    at: u64,
    report: &Report,
    (reply, refused): (Reply, Vec<(Uid, Refusal)>),
) -> Decision<Effect> {
    let answer = ReportAnswer {
        session: report.session,
        seq: report.seq,
        known: LogIndex(report.session.0),
        clock: time(at).wall,
        reply,
        refused,
    };
    let heard = Input::Heard(CoordinatorMessage::Answer(answer));
    base.handle(time(at), vec![heard])
}

/// The node owns its timers, and nothing has changed of them.
fn resumed(epoch: u64) -> Reply {
    Reply::Resumed(Resumed {
        epoch: Epoch(epoch),
        floor: Token(epoch << 24),
        changed: Vec::new(),
        gone: Vec::new(),
        held: Vec::new(),
        pending: Vec::new(),
    })
}

/// A ledger that has nothing of this node gives it the ownership.
fn resume(base: &mut Base, at: u64, epoch: u64) {
    let active = report(&welcome(base, at, (epoch, epoch, false)));
    let said = report(&answer(base, at, &active, resumed(epoch + 1)));
    let _ = answer(base, at, &said, Reply::Noted);
}

#[test]
fn a_run_that_ended_beside_a_close_that_nobody_heard_does_not_take_its_timer_along() {
    let mut base = node(&[("h", 1)]);
    resume(&mut base, 0, 1);
    let wish = NewTimer {
        when: When::Every {
            interval: Millis(1_000),
            phase: None,
        },
        ..new(1, 0, "h")
    };
    let _ = base.handle(time(0), vec![ask(1, Op::Create(Box::new(wish)))]);
    let run = launched(&tick(&mut base, 1_000)).remove(0);
    let name = run.name.clone();
    let idle = Op::Activity {
        node: NodeId::new("n1").unwrap(),
        activity: Activity::Idle,
    };
    let _ = base.handle(time(1_000), vec![ask(2, idle)]);
    // It waits for the run, and closes without it.
    let close = report(&tick(&mut base, 6_000));
    assert_eq!(close.items.changed.len(), 1, "{close:?}");
    let ended = Input::Settled {
        uid: run.uid,
        token: run.token,
        outcome: Outcome::Done,
    };
    let _ = base.handle(time(6_010), vec![ended]);
    // Nobody has heard it, and the lease has run out: ownership was the ledger's for a while.
    let _ = base.handle(time(12_000), vec![Input::Disconnected]);
    resume(&mut base, 20_000, 9);
    let look = base.handle(time(20_000), vec![ask(3, Op::Look { name })]);
    let found = |effect: &Effect| matches!(effect, Effect::Answer { answer: Answer::Timer(timer), .. } if timer.uid == run.uid);
    assert!(look.effects.iter().any(found), "{look:?}");
}

/// A node has staged two pieces when its session ends; the coordinator has nothing of them any more. Returns whether it
/// begins anew.
fn begins_anew() -> bool {
    let small = MessageLimits {
        items: 3,
        ..Default::default()
    };
    let mut base = node_with(&[], small);
    resume(&mut base, 0, 1);
    register(&mut base, 12, 60_000, "h");
    let idle = Op::Activity {
        node: NodeId::new("n1").unwrap(),
        activity: Activity::Idle,
    };
    let first = report(&base.handle(time(10), vec![ask(99, idle)]));
    let second = report(&answer(&mut base, 20, &first, Reply::Noted));
    let _ = answer(&mut base, 30, &second, Reply::Noted);
    let _ = base.handle(time(40), vec![Input::Disconnected]);
    let again = report(&welcome(&mut base, 50, (3, 2, true)));
    assert!(matches!(again.act, Act::Stage { .. }), "{again:?}");
    again.act != first.act && again.items.changed == first.items.changed
}

#[test]
fn an_attempt_of_which_the_ledger_has_nothing_begins_anew() {
    assert!(begins_anew());
    let planted = planted::with(Fault::TrustTheOldStage, begins_anew);
    assert!(!planted, "the fault is missed");
}

#[test]
fn the_end_of_a_pinned_timer_that_was_not_believed_is_told_again() {
    let wish = NewTimer {
        placement: Placement::Pinned(NodeId::new("n1").unwrap()),
        durability: Durability::Replicated,
        ..new(1, 100, "h")
    };
    let mut maker = node(&[]);
    resume(&mut maker, 0, 1);
    let proposed = report(&maker.handle(time(0), vec![ask(1, Op::Create(Box::new(wish)))]));

    let mut base = node(&[("h", 1)]);
    let active = report(&welcome(&mut base, 0, (1, 1, false)));
    let page = |changed, upto| {
        Reply::Page(Page {
            changed,
            gone: Vec::new(),
            upto: LogIndex(upto),
            more: true,
        })
    };
    let heard = page(proposed.items.changed, 5);
    let next = report(&answer(&mut base, 10, &active, heard));
    // The answer does not come, and a pinned timer is nobody else's to run.
    let _ = tick(&mut base, 200);
    let run = launched(&tick(&mut base, 2_200)).remove(0);
    let ended = Input::Settled {
        uid: run.uid,
        token: run.token,
        outcome: Outcome::Done,
    };
    let _ = base.handle(time(2_210), vec![ended]);
    let tail = report(&answer(&mut base, 2_300, &next, page(Vec::new(), 6)));
    let told = |report: &Report| report.items.changed.iter().any(|it| it.uid == run.uid);
    assert!(told(&tail), "{tail:?}");
    let unheard = Refusal::Unavailable {
        why: "it was changed meanwhile".into(),
        retry_after: Millis(0),
    };
    let refused = vec![(run.uid, unheard)];
    let owner = report(&refuse(&mut base, 2_400, &tail, (resumed(3), refused)));
    assert!(told(&owner), "{owner:?}");
}

#[test]
fn a_dead_run_is_seen_here_before_the_coordinator_has_heard_of_it() {
    let mut base = node(&[("h", 1)]);
    resume(&mut base, 0, 1);
    let wish = NewTimer {
        durability: Durability::Replicated,
        policy: Policy {
            retry: Retry {
                attempts_max: 1,
                ..Default::default()
            },
            ..Default::default()
        },
        ..new(1, 1_000, "h")
    };
    let proposed = report(&base.handle(time(0), vec![ask(1, Op::Create(Box::new(wish)))]));
    let _ = answer(&mut base, 0, &proposed, Reply::Noted);
    let run = launched(&tick(&mut base, 1_100)).remove(0);
    let ended = Input::Settled {
        uid: run.uid,
        token: run.token,
        outcome: Outcome::Failed {
            retry_after: None,
            reason: "no".into(),
        },
    };
    let told = report(&base.handle(time(1_110), vec![ended]));
    assert_eq!(told.items.past.len(), 1, "{told:?}");
    let runs = Op::Runs {
        name: run.name.clone(),
        before: None,
        limit: 10,
    };
    let dead = Op::Dead {
        after: None,
        limit: 10,
    };
    let asked = base.handle(time(1_110), vec![ask(2, runs), ask(3, dead)]);
    let asked: Vec<u64> = asked.effects.iter().filter_map(forwarded).collect();
    // The coordinator hears of the run after the questions, and the answer to that overtakes those to them.
    let _ = answer(&mut base, 2_000, &told, Reply::Noted);
    let nothing = [
        Answer::Runs {
            runs: Vec::new(),
            more: false,
        },
        Answer::Dead {
            letters: Vec::new(),
            more: false,
        },
    ];
    let answers = asked.into_iter().zip(nothing);
    let answers = answers.map(|(id, answer)| CoordinatorMessage::Forwarded { id, answer });
    let heard = base.handle(time(2_000), answers.map(Input::Heard).collect());
    let [
        Effect::Answer {
            answer: Answer::Runs { runs, .. },
            ..
        },
        Effect::Answer {
            answer: Answer::Dead { letters, .. },
            ..
        },
    ] = &heard.effects[..]
    else {
        panic!("{heard:?}");
    };
    let fates: Vec<_> = runs.iter().map(|run| (run.fate, &*run.reason)).collect();
    assert_eq!(fates, [(Fate::Dead, "no")]);
    assert_eq!(letters[..], [(run.name.clone(), runs[0].clone())]);
}

#[test]
fn what_was_given_back_is_told_only_after_it_was_taken() {
    let small = MessageLimits {
        items: 2,
        ..Default::default()
    };
    let mut base = node_with(&[("h", 6)], small);
    resume(&mut base, 0, 1);
    let given = |number: u64| {
        let wish = NewTimer {
            durability: Durability::ReplicatedAsync,
            ..new(number, 100, "h")
        };
        let home = Some(NodeId::new("n1").unwrap());
        Timer::accept(&wish, home, time(0).wall).unwrap()
    };
    let order = Order::Give {
        epoch: Epoch(2),
        timers: (1..=6).map(given).collect(),
        gone: Vec::new(),
        floor: Token(3 << 24),
    };
    let session = Session(1);
    let order = CoordinatorMessage::Order { session, order };
    let mut decisions = vec![base.handle(time(0), vec![Input::Heard(order)])];
    let runs = launched(&tick(&mut base, 200));
    assert_eq!(runs.len(), 6, "it owns them, and they are due");
    let settled = runs[4..].iter().map(|run| Input::Settled {
        uid: run.uid,
        token: run.token,
        outcome: Outcome::Done,
    });
    decisions.push(base.handle(time(210), settled.collect()));
    let (mut taken, mut told) = (BTreeSet::new(), 0);
    for at in 1..20 {
        decisions.push(tick(&mut base, 210 + at * 100));
        while let Some(decision) = decisions.pop() {
            let Some(report) = reports(&decision).next() else {
                continue;
            };
            taken.extend(report.items.taken.iter().map(|(uid, _)| *uid));
            for timer in &report.items.changed {
                assert!(taken.contains(&timer.uid), "{report:?}");
                told += 1;
            }
            decisions.push(answer(&mut base, 210 + at * 100, &report, Reply::Noted));
        }
    }
    assert!(taken.len() == 6 && told >= 2, "{taken:?} {told}");
}

fn forwarded(effect: &Effect) -> Option<u64> {
    match effect {
        Effect::Send(NodeMessage::Forward { id, .. }) => Some(*id),
        _ => None,
    }
}

/// A node that has never owned its timers begins one, and tells what it has.
#[test]
fn what_runs_here_is_not_told_as_if_it_waited_before_the_node_owns_it() {
    let mut base = node(&[("h", 1)]);
    let wish = NewTimer {
        durability: Durability::ReplicatedAsync,
        ..new(1, 100, "h")
    };
    let _ = base.handle(time(0), vec![ask(1, Op::Create(Box::new(wish)))]);
    let run = launched(&tick(&mut base, 100)).remove(0);
    let active = report(&welcome(&mut base, 110, (1, 1, false)));
    assert!(active.items.changed.is_empty(), "{active:?}");
    let owner = report(&answer(&mut base, 120, &active, resumed(2)));
    let told: Vec<Uid> = owner.items.changed.iter().map(|it| it.uid).collect();
    assert_eq!(told, [run.uid], "nobody else runs it from here on");
}

/// A node that never owned its timers is told to end while it runs some.
#[test]
fn what_it_could_not_tell_as_it_left_stays_its_own() {
    let small = MessageLimits {
        items: 1,
        ..Default::default()
    };
    let mut base = node_with(&[("h", 3)], small);
    for number in 1..=3 {
        let wish = NewTimer {
            durability: Durability::ReplicatedAsync,
            ..new(number, 100, "h")
        };
        let _ = base.handle(time(0), vec![ask(number, Op::Create(Box::new(wish)))]);
    }
    assert_eq!(launched(&tick(&mut base, 100)).len(), 3);
    let mut decision = welcome(&mut base, 110, (1, 1, false));
    let (mut told, mut dropped) = (BTreeSet::new(), 0);
    let _ = base.handle(time(110), vec![Input::Stop]);
    for at in 0..100 {
        let now = 120 + at * 100;
        let said: Vec<Report> = reports(&decision).collect();
        let gone = |record: &&Record| record.value.is_none() && record.key[0] == b't';
        dropped += decision.records.iter().filter(gone).count();
        decision = match said.last() {
            None => tick(&mut base, now),
            Some(report) => {
                told.extend(report.items.changed.iter().map(|timer| timer.uid));
                let reply = match report.act {
                    Act::Goodbye(_) => Reply::Gone,
                    Act::Active(_) => Reply::Page(Page {
                        changed: Vec::new(),
                        gone: Vec::new(),
                        upto: LogIndex(1),
                        more: true,
                    }),
                    Act::Stay | Act::Stage { .. } | Act::Idle(_) | Act::Tail { .. } => Reply::Noted,
                };
                answer(&mut base, now, report, reply)
            }
        };
        if decision.effects.contains(&Effect::Stopped) {
            let gone = decision.records.iter().filter(gone).count();
            assert!(dropped + gone <= told.len(), "{dropped} + {gone}: {told:?}");
            return;
        }
    }
    panic!("it does not end");
}

#[test]
fn a_node_without_memory_gives_its_runs_tokens_that_none_had() {
    let mut base = node(&[("h", 1)]);
    let n1 = NodeId::new("n1").unwrap();
    let wish = NewTimer {
        placement: Placement::Pinned(n1.clone()),
        durability: Durability::Replicated,
        ..new(1, 10, "h")
    };
    let mut timer = Timer::accept(&wish, Some(n1), time(0).wall).unwrap();
    timer.token = Token((7 << 24) + 3);
    let active = report(&welcome(&mut base, 0, (50, 50, false)));
    let page = Page {
        upto: LogIndex(9),
        more: true,
        changed: vec![timer],
        gone: Vec::new(),
    };
    let _ = answer(&mut base, 5, &active, Reply::Page(page));
    // The rest does not come, and a pinned timer waits for it only so long.
    let waits = tick(&mut base, 20);
    assert_eq!(launched(&waits), []);
    let run = launched(&tick(&mut base, 3_000)).remove(0);
    assert!(run.token > Token(50 << 24), "{run:?}");
}

#[test]
fn a_change_that_goes_with_what_it_changed_is_not_acknowledged() {
    let mut base = node(&[("h", 1)]);
    let n1 = NodeId::new("n1").unwrap();
    let wish = NewTimer {
        when: When::Every {
            interval: Millis(1_000),
            phase: None,
        },
        durability: Durability::Replicated,
        ..new(1, 0, "h")
    };
    let timer = Timer::accept(&wish, Some(n1), time(0).wall).unwrap();
    let owner = |epoch: u64, timer: &Timer| {
        Reply::Resumed(Resumed {
            epoch: Epoch(epoch),
            floor: Token(epoch << 24),
            changed: vec![timer.clone()],
            gone: Vec::new(),
            held: Vec::new(),
            pending: Vec::new(),
        })
    };
    let active = report(&welcome(&mut base, 0, (1, 1, false)));
    let said = report(&answer(&mut base, 0, &active, owner(2, &timer)));
    let _ = answer(&mut base, 0, &said, Reply::Noted);
    let due = launched(&tick(&mut base, 2_000));
    assert_eq!(due.len(), 1);
    let pause = Op::Change {
        name: timer.name.clone(),
        request: 5,
        change: Change::Pause,
    };
    // Nobody hears of it, and the coordinator gives the node what it has.
    let _ = base.handle(time(2_100), vec![ask(2, pause)]);
    let _ = base.handle(time(2_200), vec![Input::Disconnected]);
    let active = report(&welcome(&mut base, 3_000, (9, 9, false)));
    let mut decisions = vec![answer(&mut base, 3_000, &active, owner(10, &timer))];
    for at in 1..20 {
        let said = decisions.last().and_then(|last| reports(last).next());
        decisions.push(match said {
            Some(report) => answer(&mut base, 3_000 + at * 100, &report, Reply::Noted),
            None => tick(&mut base, 3_000 + at * 100),
        });
    }
    let effects = decisions.iter().flat_map(|decision| &decision.effects);
    let mut answers = effects.filter_map(|effect| match effect {
        Effect::Answer { ask: 2, answer } => Some(answer),
        _ => None,
    });
    let answer = answers.next();
    assert!(
        matches!(answer, Some(Answer::Refused(Refusal::Unavailable { .. }))),
        "{answer:?}"
    );
}

#[test]
fn what_went_while_the_node_had_left_it_to_others_is_not_made_again() {
    let mut base = node(&[]);
    let active = report(&welcome(&mut base, 0, (1, 1, false)));
    let reply = Reply::Resumed(Resumed {
        epoch: Epoch(2),
        floor: Token(2 << 24),
        changed: Vec::new(),
        gone: vec![Uid(1)],
        held: Vec::new(),
        pending: Vec::new(),
    });
    let _ = answer(&mut base, 0, &active, reply);
    let again = Op::Create(Box::new(new(1, 10_000, "h")));
    let asked = base.handle(time(1_000), vec![ask(1, again)]);
    let refused = |effect: &Effect| {
        matches!(
            effect,
            Effect::Answer {
                ask: 1,
                answer: Answer::Refused(_)
            }
        )
    };
    assert!(asked.effects.iter().any(refused), "{asked:?}");
}
