//! A pool and its nodes over a perfect network, step by step.
//!
//! This is the shortest way to see the whole protocol work; what faults do to it is the simulator's matter.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on says where")]

use dormouse_engine::base::{self, Base};
use dormouse_engine::decision::Decision;
use dormouse_engine::hierarchy::Cover;
use dormouse_engine::id::{NodeId, PoolId, RackId, TimerId, TimerName, Uid};
use dormouse_engine::message::{CoordinatorMessage, Heartbeat, MessageLimits, NodeMessage, Reply};
use dormouse_engine::op::{Activity, Answer, Cancelled, Change, NewTime, Op, RearmMode, Refusal};
use dormouse_engine::planted::{self, Fault};
use dormouse_engine::pool::{self, Link, Pool};
use dormouse_engine::record::NO_FACTS;
use dormouse_engine::time::{BootTime, Millis, Now, WallTime};
use dormouse_engine::timer::{
    Awaits, Durability, Ending, Fate, HandlerName, NewTimer, Outcome, Payload, Phase, Placement,
    Run, Skip, Target, Timer, When,
};
use std::collections::{BTreeMap, VecDeque};

const START: i64 = 1_800_000_000_000;

struct Cell {
    now: u64,
    pool: Pool,
    bases: BTreeMap<NodeId, Base>,
    mail: VecDeque<(NodeId, Mail)>,
    answers: BTreeMap<u64, Answer>,
    runs: Vec<(NodeId, Run)>,
    /// Runs do not come to an end.
    hold_runs: bool,
    /// How much goes into one message, and the most timers that one had.
    limits: MessageLimits,
    largest: usize,
    /// How long a report is on its way.
    way: u64,
    /// A timer that is missing from the piece that has it, once.
    missing: Option<Uid>,
    asks: u64,
}

#[expect(clippy::large_enum_variant, reason = "mail lives for one delivery")]
enum Mail {
    Up(pool::Input),
    Down(base::Input),
}

fn node(name: &str) -> NodeId {
    NodeId::new(name).unwrap()
}

fn timers_told(message: &CoordinatorMessage) -> usize {
    match message {
        CoordinatorMessage::Answer(answer) => match &answer.reply {
            Reply::Page(page) => page.changed.len() + page.gone.len(),
            Reply::Resumed(resumed) => resumed.changed.len() + resumed.gone.len(),
            _ => 0,
        },
        _ => 0,
    }
}

impl Cell {
    fn new(nodes: &[(&str, &str)]) -> Self {
        Self::with_limits(nodes, MessageLimits::default())
    }

    fn with_limits(nodes: &[(&str, &str)], limits: MessageLimits) -> Self {
        let config = pool::Config {
            pool: PoolId::new("default").unwrap(),
            ledger: 77,
            lease: Millis(10_000),
            wake_grace: Millis(2_000),
            group_capacity: 8,
            message: limits,
        };
        let (pool, first) = Pool::recover(config, NO_FACTS, time(0)).unwrap();
        assert!(first.effects.is_empty());
        let mut cell = Self {
            now: 0,
            pool,
            bases: BTreeMap::new(),
            mail: VecDeque::new(),
            answers: BTreeMap::new(),
            runs: Vec::new(),
            hold_runs: false,
            limits,
            largest: 0,
            way: 0,
            missing: None,
            asks: 0,
        };
        for (name, rack) in nodes {
            cell.start(name, rack);
        }
        cell
    }

    /// A process without memory and without a link is in the place of the node.
    fn kill(&mut self, name: &str, rack: &str) {
        let config = base::Config {
            node: node(name),
            pool: PoolId::new("default").unwrap(),
            rack: RackId::new(rack).unwrap(),
            incarnation: u128::from(self.now),
            replicate_after: Millis(200),
            message: self.limits,
        };
        let (base, _) = Base::recover(config, NO_FACTS, time(self.now)).unwrap();
        self.bases.insert(node(name), base);
    }

    /// The process ends in order.
    fn stop(&mut self, name: &str) {
        self.mail
            .push_back((node(name), Mail::Down(base::Input::Stop)));
        self.pass(100);
    }

    fn start(&mut self, name: &str, rack: &str) {
        self.kill(name, rack);
        let places = BTreeMap::from([(HandlerName::new("h").unwrap(), 10)]);
        self.mail
            .push_back((node(name), Mail::Down(base::Input::Workers { places })));
        self.mail
            .push_back((node(name), Mail::Down(base::Input::Connected)));
        self.settle();
    }

    /// Delivers everything until nobody has anything to say.
    fn settle(&mut self) {
        while let Some((name, mail)) = self.mail.pop_front() {
            match mail {
                Mail::Up(input) => {
                    self.now += self.way;
                    let decision = self.pool.handle(time(self.now), vec![input]);
                    self.perform_pool(decision);
                }
                Mail::Down(input) => {
                    let base = self.bases.get_mut(&name).unwrap();
                    let decision = base.handle(time(self.now), vec![input]);
                    self.perform_base(&name, decision);
                }
            }
        }
    }

    fn perform_pool(&mut self, decision: Decision<pool::Effect>) {
        for effect in decision.effects {
            match effect {
                pool::Effect::Send { link, message } => {
                    self.largest = self.largest.max(timers_told(&message));
                    let name = self
                        .bases
                        .keys()
                        .nth(usize::try_from(link.0).unwrap())
                        .unwrap();
                    self.mail
                        .push_back((name.clone(), Mail::Down(base::Input::Heard(message))));
                }
                pool::Effect::Answer { ask, answer } => drop(self.answers.insert(ask, answer)),
                pool::Effect::Close { .. } | pool::Effect::Note(_) => {}
            }
        }
    }

    fn perform_base(&mut self, name: &NodeId, decision: Decision<base::Effect>) {
        let place = self.bases.keys().position(|n| n == name).unwrap();
        let link = Link(u64::try_from(place).unwrap());
        for effect in decision.effects {
            match effect {
                base::Effect::Send(mut message) => {
                    if let NodeMessage::Report(report) = &mut message {
                        let changed = &mut report.items.changed;
                        self.largest = self.largest.max(changed.len());
                        let lost = |timer: &mut Timer| Some(timer.uid) == self.missing;
                        if changed.extract_if(.., lost).count() > 0 {
                            self.missing = None;
                        }
                    }
                    let said = pool::Input::Said { link, message };
                    self.mail.push_back((name.clone(), Mail::Up(said)));
                }
                base::Effect::Answer { ask, answer } => drop(self.answers.insert(ask, answer)),
                base::Effect::Launch { run, from, .. } => {
                    let soon = time(self.now).boot + Millis(1);
                    assert!(
                        from <= soon,
                        "the node's clock is late by its rounding only"
                    );
                    let settled = base::Input::Settled {
                        uid: run.uid,
                        token: run.token,
                        outcome: Outcome::Done,
                    };
                    self.runs.push((name.clone(), run));
                    if !self.hold_runs {
                        self.mail.push_back((name.clone(), Mail::Down(settled)));
                    }
                }
                base::Effect::Stopped | base::Effect::Abandon { .. } => {}
                // The network is perfect, and who has stopped needs none.
                base::Effect::Reconnect => {}
                other => panic!("{name} wants {other:?}"),
            }
        }
    }

    /// Lets time pass, a tick every ten milliseconds for everybody.
    fn pass(&mut self, millis: u64) {
        for _ in 0..millis / 10 {
            self.now += 10;
            let decision = self.pool.handle(time(self.now), vec![pool::Input::Tick]);
            self.perform_pool(decision);
            let names: Vec<NodeId> = self.bases.keys().cloned().collect();
            for name in names {
                self.mail.push_back((name, Mail::Down(base::Input::Tick)));
            }
            self.settle();
        }
    }

    fn ask(&mut self, at: Option<&str>, op: Op) -> Answer {
        self.asks += 1;
        let ask = self.asks;
        match at {
            Some(name) => {
                let input = base::Input::Asked { ask, op };
                self.mail.push_back((node(name), Mail::Down(input)));
            }
            None => self
                .mail
                .push_back((node("n1"), Mail::Up(pool::Input::Asked { ask, op }))),
        }
        self.settle();
        for _ in 0..200 {
            if let Some(answer) = self.answers.remove(&ask) {
                return answer;
            }
            self.pass(10);
        }
        panic!("no answer to {ask}");
    }

    fn create(&mut self, at: Option<&str>, new: NewTimer) -> TimerName {
        match self.ask(at, Op::Create(Box::new(new))) {
            Answer::Timer(timer) => timer.name,
            other => panic!("{other:?}"),
        }
    }

    /// LOCAL timers of n1, t00, t01 and so on, all due after the same time.
    fn create_many(&mut self, count: usize, wait: u64) -> Vec<TimerName> {
        let ids = (0..count).map(|number| format!("t{number:02}"));
        let wishes = ids.map(|id| new(&id, wait, Durability::Local));
        wishes.map(|wish| self.create(Some("n1"), wish)).collect()
    }

    fn activity(&mut self, name: &str, activity: Activity) -> Answer {
        self.ask(
            Some(name),
            Op::Activity {
                node: node(name),
                activity,
            },
        )
    }

    fn look(&mut self, at: Option<&str>, name: &TimerName) -> dormouse_engine::timer::Timer {
        match self.ask(at, Op::Look { name: name.clone() }) {
            Answer::Timer(timer) => *timer,
            other => panic!("{other:?}"),
        }
    }

    fn ran(&self) -> Vec<(&str, &str)> {
        self.runs
            .iter()
            .map(|(n, run)| (n.as_str(), run.name.timer.as_str()))
            .collect()
    }
}

fn time(now: u64) -> Now {
    Now {
        wall: WallTime(START + i64::try_from(now).unwrap()),
        boot: BootTime(1_000 + now),
    }
}

fn new(id: &str, wait: u64, durability: Durability) -> NewTimer {
    let uid = id
        .bytes()
        .fold(0u128, |uid, byte| uid * 256 + u128::from(byte));
    NewTimer {
        pool: PoolId::new("default").unwrap(),
        id: TimerId::new(id).unwrap(),
        uid: Uid(uid),
        request: uid,
        when: When::After(Millis(wait)),
        placement: Placement::Movable,
        handler: HandlerName::new("h").unwrap(),
        target: Default::default(),
        policy: Default::default(),
        paused: false,
        payload: Payload::default(),
        content_type: String::new(),
        durability,
        labels: BTreeMap::new(),
    }
}

fn trio() -> Cell {
    Cell::new(&[("n1", "r1"), ("n2", "r1"), ("n3", "r2")])
}

#[test]
fn an_awake_node_fires_its_own_timers_of_every_class() {
    let mut cell = trio();
    cell.create(Some("n1"), new("a", 100, Durability::Ephemeral));
    cell.create(Some("n1"), new("b", 200, Durability::Local));
    cell.create(Some("n1"), new("c", 300, Durability::ReplicatedAsync));
    let name = cell.create(Some("n1"), new("d", 400, Durability::Replicated));
    cell.pass(1_000);
    assert_eq!(
        cell.ran(),
        [("n1", "a"), ("n1", "b"), ("n1", "c"), ("n1", "d")]
    );
    assert!(matches!(
        cell.look(None, &name).phase,
        Phase::Over {
            ending: Ending::Done,
            ..
        }
    ));
}

#[test]
fn timers_of_an_idle_node_run_on_the_migrator_once() {
    let mut cell = trio();
    for durability in [
        Durability::Ephemeral,
        Durability::Local,
        Durability::Replicated,
    ] {
        cell.create(
            Some("n1"),
            new(&format!("{durability:?}").to_lowercase(), 1_000, durability),
        );
    }
    let answer = cell.activity("n1", Activity::Idle);
    let by = Some(node("n2"));
    assert_eq!(
        answer,
        Answer::Activity {
            cover: Some(Cover::Covered { by }),
            uncovered: None
        }
    );
    cell.pass(2_000);
    let mut ran = cell.ran();
    ran.sort_unstable();
    assert_eq!(
        ran,
        [("n2", "ephemeral"), ("n2", "local"), ("n2", "replicated")]
    );
}

#[test]
fn a_resumed_node_takes_its_timers_back() {
    let mut cell = trio();
    cell.create(Some("n1"), new("a", 1_000, Durability::Local));
    cell.create(Some("n1"), new("b", 3_000, Durability::Local));
    cell.create(Some("n1"), new("c", 3_100, Durability::Replicated));
    cell.activity("n1", Activity::Idle);
    cell.pass(1_500);
    cell.activity("n1", Activity::Active);
    cell.pass(2_500);
    assert_eq!(cell.ran(), [("n2", "a"), ("n1", "b"), ("n1", "c")]);
}

#[test]
fn what_has_ended_is_seen_at_its_home_also_when_that_sleeps_again() {
    let mut cell = trio();
    let name = cell.create(Some("n1"), new("a", 1_000, Durability::Local));
    cell.activity("n1", Activity::Idle);
    cell.pass(1_500);
    cell.activity("n1", Activity::Active);
    cell.activity("n1", Activity::Idle);
    cell.pass(1_000);
    assert!(cell.look(Some("n1"), &name).is_over());
}

#[test]
fn when_all_sleep_the_sentry_wakes_runs_and_sleeps_again() {
    let mut cell = trio();
    cell.create(Some("n1"), new("a", 5_000, Durability::Local));
    cell.create(Some("n2"), new("b", 9_000, Durability::Local));
    cell.activity("n1", Activity::Idle);
    cell.activity("n2", Activity::Idle);
    let answer = cell.activity("n3", Activity::Idle);
    assert!(
        matches!(
            answer,
            Answer::Activity {
                cover: Some(Cover::Sentry { .. }),
                ..
            }
        ),
        "{answer:?}"
    );
    cell.pass(12_000);
    assert_eq!(cell.ran(), [("n3", "a"), ("n3", "b")]);
    assert!(
        !cell.pool.hierarchy().on_duty(),
        "the sentry went back to sleep"
    );
}

#[test]
fn a_timer_of_the_pool_runs_on_an_awake_node() {
    let mut cell = trio();
    let name = cell.create(None, new("p", 500, Durability::Replicated));
    cell.pass(1_000);
    assert_eq!(cell.runs.len(), 1);
    assert!(cell.look(None, &name).is_over());
}

#[test]
fn a_parked_node_adds_timers_that_others_run() {
    let mut cell = trio();
    cell.activity("n1", Activity::Idle);
    cell.create(Some("n1"), new("late", 700, Durability::Local));
    cell.pass(1_500);
    assert_eq!(cell.ran(), [("n2", "late")]);
}

#[test]
fn a_pinned_timer_wakes_its_sleeping_node_and_nobody_else_runs_it() {
    let mut cell = trio();
    let pinned = NewTimer {
        placement: Placement::Pinned(node("n1")),
        ..new("pin", 4_000, Durability::Local)
    };
    cell.create(Some("n1"), pinned);
    cell.activity("n1", Activity::Idle);
    cell.pass(6_000);
    assert_eq!(cell.ran(), [("n1", "pin")]);
    let parked = cell
        .pool
        .view()
        .nodes
        .iter()
        .any(|n| n.node == node("n1") && n.state == pool::NodeState::Idle);
    assert!(parked, "the node went back to sleep");
}

#[test]
fn what_nobody_at_home_can_run_is_handed_over_and_comes_back() {
    let mut cell = trio();
    let places = BTreeMap::new();
    cell.mail
        .push_back((node("n1"), Mail::Down(base::Input::Workers { places })));
    cell.settle();
    let mut every = new("e", 0, Durability::Local);
    every.when = When::Every {
        interval: Millis(1_000),
        phase: None,
    };
    cell.create(Some("n1"), every);
    cell.pass(3_500);
    assert_eq!(cell.ran(), [("n2", "e"), ("n2", "e"), ("n2", "e")]);
}

#[test]
fn a_lost_node_is_stood_in_for_after_its_lease() {
    let mut cell = trio();
    cell.create(Some("n1"), new("a", 2_000, Durability::Replicated));
    cell.kill("n1", "r1");
    cell.pass(13_000);
    assert_eq!(cell.ran(), [("n2", "a")]);
}

#[test]
fn a_coordinator_that_did_not_run_hears_the_waiting_renewals_before_it_takes_anybody_for_dead() {
    let mut cell = trio();
    let state = |cell: &Cell, name: &str| {
        let nodes = cell.pool.view().nodes;
        let known = nodes.into_iter().find(|known| known.node == node(name));
        known.map(|known| known.state)
    };
    let session = cell.pool.view().nodes[1].session;
    cell.now += 30_000;
    let _ = cell.pool.handle(time(cell.now), vec![pool::Input::Tick]);
    assert_eq!(state(&cell, "n1"), Some(pool::NodeState::Active));

    let Now { wall, boot } = time(cell.now + 5);
    let heartbeat = Heartbeat {
        session,
        sent: boot,
        wall,
        wanted: Vec::new(),
    };
    let renewal = pool::Input::Said {
        link: Link(1),
        message: NodeMessage::Heartbeat(heartbeat),
    };
    let _ = cell.pool.handle(time(cell.now + 5), vec![renewal]);
    let again = cell.pool.next_deadline().boot.unwrap();
    let _ = cell
        .pool
        .handle(time(again.0 - 1_000), vec![pool::Input::Tick]);
    assert_eq!(state(&cell, "n1"), Some(pool::NodeState::Lost));
    assert_eq!(state(&cell, "n2"), Some(pool::NodeState::Active));
}

#[test]
fn cancelling_is_final_wherever_it_is_asked() {
    let mut cell = trio();
    let first = cell.create(Some("n1"), new("a", 1_000, Durability::Replicated));
    let second = cell.create(Some("n1"), new("b", 1_000, Durability::Local));
    let done = Answer::Cancelled(Cancelled::Cancelled);
    assert_eq!(cell.ask(None, Op::cancel(first.clone())), done);
    assert_eq!(cell.ask(Some("n3"), Op::cancel(second)), done);
    cell.pass(2_000);
    assert!(cell.runs.is_empty());
    assert!(matches!(
        cell.ask(Some("n1"), Op::Look { name: first }),
        Answer::Refused(_)
    ));
}

#[test]
fn a_node_that_left_takes_its_own_timers_back_when_it_returns() {
    let mut cell = trio();
    let name = cell.create(Some("n1"), new("l", 9_000, Durability::Local));
    cell.stop("n1");
    assert_eq!(cell.look(None, &name).home, None);
    cell.start("n1", "r1");
    let again = NewTimer {
        uid: Uid(1),
        request: 1,
        ..new("l", 9_000, Durability::Local)
    };
    let refused = cell.ask(Some("n1"), Op::Create(Box::new(again)));
    assert!(matches!(refused, Answer::Refused(_)), "{refused:?}");
    cell.pass(10_000);
    assert_eq!(cell.ran(), [("n1", "l")]);
}

#[test]
fn a_pinned_timer_that_was_made_while_its_home_slept_wakes_it() {
    let mut cell = trio();
    cell.activity("n1", Activity::Idle);
    let pinned = NewTimer {
        placement: Placement::Pinned(node("n1")),
        ..new("pin", 2_000, Durability::Local)
    };
    let name = cell.create(None, pinned);
    assert_eq!(cell.look(None, &name).awaits, Some(Awaits::Home));
    cell.pass(4_000);
    assert_eq!(cell.ran(), [("n1", "pin")]);
}

#[test]
fn a_node_whose_clock_is_off_is_not_eligible_and_says_so() {
    let mut cell = trio();
    let ahead = 5_000;
    let heartbeat = dormouse_engine::message::Heartbeat {
        session: cell.pool.view().nodes[0].session,
        sent: time(0).boot,
        wall: WallTime(time(cell.now).wall.0 + ahead),
        wanted: Vec::new(),
    };
    let message = dormouse_engine::message::NodeMessage::Heartbeat(heartbeat);
    let said = pool::Input::Said {
        link: Link(0),
        message,
    };
    cell.mail.push_back((node("n1"), Mail::Up(said)));
    cell.settle();
    let seen = cell.pool.view().nodes[0].clone();
    assert!(!seen.eligible);
    assert!(seen.why_ineligible.expect("it says so").contains("5000 ms"));
}

fn every_second() -> When {
    When::Every {
        interval: Millis(1_000),
        phase: None,
    }
}

#[test]
fn a_timer_that_its_home_has_cancelled_is_not_made_again_where_nobody_remembers_it() {
    let mut cell = trio();
    let wish = new("a", 5_000, Durability::Replicated);
    let name = cell.create(Some("n1"), wish.clone());
    let cancelled = cell.ask(Some("n1"), Op::cancel(name.clone()));
    assert_eq!(cancelled, Answer::Cancelled(Cancelled::Cancelled));
    for at in [None, Some("n2"), Some("n1")] {
        let again = cell.ask(at, Op::Create(Box::new(wish.clone())));
        assert!(matches!(again, Answer::Refused(_)), "{at:?}: {again:?}");
    }
    cell.pass(8_000);
    assert!(cell.ran().is_empty());
}

#[test]
fn a_light_timer_that_was_cancelled_while_its_home_slept_is_not_made_again_by_it() {
    let mut cell = trio();
    let wish = new("a", 60_000, Durability::Local);
    let name = cell.create(Some("n1"), wish.clone());
    cell.activity("n1", Activity::Idle);
    cell.ask(None, Op::cancel(name));
    cell.activity("n1", Activity::Active);
    let again = cell.ask(Some("n1"), Op::Create(Box::new(wish)));
    assert!(matches!(again, Answer::Refused(_)), "{again:?}");
}

#[test]
fn a_paused_light_timer_is_resumed_while_its_home_sleeps() {
    let mut cell = trio();
    let wish = NewTimer {
        when: every_second(),
        paused: true,
        ..new("a", 0, Durability::Local)
    };
    let name = cell.create(Some("n1"), wish);
    cell.activity("n1", Activity::Idle);
    assert!(cell.look(Some("n2"), &name).paused);
    let resumed = cell.ask(Some("n2"), Op::change(name, Change::Resume));
    assert!(matches!(resumed, Answer::Timer(timer) if !timer.paused));
    cell.pass(1_500);
    assert_eq!(cell.ran().len(), 1, "{:?}", cell.ran());
}

#[test]
fn a_wait_that_is_stored_for_a_sleeping_home_is_the_same_request_when_it_is_asked_again() {
    let mut cell = trio();
    let wish = NewTimer {
        placement: Placement::Pinned(node("n1")),
        ..new("a", 60_000, Durability::Local)
    };
    let name = cell.create(Some("n1"), wish);
    cell.activity("n1", Activity::Idle);
    let rearm = |wait, request| Op::Change {
        name: name.clone(),
        request,
        change: Change::Rearm {
            to: NewTime::After(Millis(wait)),
            mode: RearmMode::Replace,
            payload: None,
        },
    };
    assert_eq!(cell.ask(None, rearm(30_000, 5)), Answer::Pending);
    cell.pass(1_000);
    assert_eq!(cell.ask(None, rearm(30_000, 5)), Answer::Pending);
    cell.activity("n1", Activity::Active);
    let moved = cell.look(Some("n1"), &name);
    let again = cell.ask(Some("n1"), rearm(30_000, 5));
    assert!(matches!(again, Answer::Timer(timer) if timer.due() == moved.due()));
    let other = cell.ask(Some("n1"), rearm(40_000, 5));
    assert!(matches!(other, Answer::Refused(_)), "{other:?}");
}

#[test]
fn a_run_that_a_rearm_drops_is_noted_although_its_start_was_not() {
    let mut cell = trio();
    let name = cell.create(Some("n1"), new("a", 1_000, Durability::Local));
    cell.hold_runs = true;
    cell.pass(1_500);
    let nominal = cell.runs[0].1.nominal;
    let later = NewTime::After(Millis(60_000));
    cell.ask(Some("n1"), Op::rearm(name.clone(), later));
    let runs = Op::Runs {
        name,
        before: None,
        limit: 10,
    };
    let Answer::Runs { runs, .. } = cell.ask(Some("n1"), runs) else {
        panic!("no runs");
    };
    let fates: Vec<_> = runs.iter().map(|run| (run.nominal, run.fate)).collect();
    assert_eq!(fates, [(nominal, Fate::Skipped(Skip::Superseded))]);
}

#[test]
fn a_node_lists_what_it_keeps_itself_and_asks_nobody() {
    let mut cell = trio();
    let kept = [
        cell.create(Some("n1"), new("a", 60_000, Durability::Local)),
        cell.create(Some("n1"), new("b", 60_000, Durability::Ephemeral)),
    ];
    let other = cell.create(Some("n2"), new("c", 60_000, Durability::ReplicatedAsync));
    cell.pass(1_000);
    let names = |answer| match answer {
        Answer::List { timers, more } => {
            let names = timers.into_iter().map(|timer| timer.name);
            (names.collect::<Vec<_>>(), more)
        }
        other => panic!("{other:?}"),
    };
    let list = Op::List {
        after: None,
        limit: 10,
    };
    let (all, _) = names(cell.ask(Some("n1"), list));
    assert!(all.contains(&other), "{all:?}");
    let own = |after: Option<&TimerName>, limit| Op::Kept {
        after: after.cloned(),
        limit,
    };
    let base = cell.bases.get_mut(&node("n1")).unwrap();
    let asked = base::Input::Asked {
        ask: 1_000,
        op: own(None, 1),
    };
    let effects = base.handle(time(cell.now), vec![asked]).effects;
    let [base::Effect::Answer { answer, .. }] = &effects[..] else {
        panic!("{effects:?}")
    };
    assert_eq!(names(answer.clone()), (vec![kept[0].clone()], true));
    let rest = cell.ask(Some("n1"), own(Some(&kept[0]), 10));
    assert_eq!(names(rest), (vec![kept[1].clone()], false));
    let told = names(cell.ask(None, own(None, 10)));
    assert_eq!(
        told,
        (vec![other], false),
        "the ledger keeps what it was told"
    );
}

#[test]
fn a_handler_is_at_no_place_of_another_target() {
    let mut cell = trio();
    for at in [None, Some("n1")] {
        let mut new = new("a", 60_000, Durability::Replicated);
        new.handler = Target::http_place();
        let answer = cell.ask(at, Op::Create(Box::new(new)));
        let Answer::Refused(Refusal::Invalid { field, .. }) = answer else {
            panic!("{answer:?}")
        };
        assert_eq!(field, "timer.target.handler.name");
    }
}

/// Messages of at most three timers.
const SMALL: MessageLimits = MessageLimits {
    bytes: 1 << 20,
    items: 3,
};

#[test]
fn any_number_of_timers_moves_in_messages_of_a_bounded_size() {
    let mut cell = Cell::with_limits(&[("n1", "r1"), ("n2", "r1")], SMALL);
    let durabilities = [
        Durability::Ephemeral,
        Durability::Local,
        Durability::Replicated,
    ];
    for number in 0..30 {
        let durability = durabilities[number % 3];
        cell.create(
            Some("n1"),
            new(&format!("t{number:02}"), 20_000, durability),
        );
    }
    let parked = cell.activity("n1", Activity::Idle);
    assert!(
        matches!(
            parked,
            Answer::Activity {
                cover: Some(_),
                uncovered: None
            }
        ),
        "{parked:?}"
    );
    assert_eq!(cell.pool.ledger().len(), 30);
    // Others change all of them while their home sleeps.
    let names: Vec<TimerName> = cell
        .pool
        .ledger()
        .entries()
        .map(|it| it.timer.name.clone())
        .collect();
    for name in names {
        cell.ask(None, Op::rearm(name, NewTime::After(Millis(15_000))));
    }
    cell.activity("n1", Activity::Active);
    cell.pass(100);
    let replicated = cell.pool.ledger().len();
    assert_eq!(
        (cell.largest, replicated),
        (3, 10),
        "the lighter ones are their home's alone"
    );
    cell.pass(20_000);
    assert_eq!(cell.runs.len(), 30);
    assert!(cell.runs.iter().all(|(name, _)| *name == node("n1")));
    assert_eq!(cell.bases[&node("n1")].view(time(cell.now)).resyncs, 0);
}

#[test]
fn a_node_that_leaves_gives_all_its_timers_to_the_pool() {
    let mut cell = Cell::with_limits(&[("n1", "r1"), ("n2", "r1")], SMALL);
    cell.create_many(30, 5_000);
    cell.stop("n1");
    assert!(
        cell.pool
            .ledger()
            .entries()
            .all(|it| it.timer.home.is_none())
    );
    cell.pass(6_000);
    assert_eq!(cell.runs.len(), 30);
    assert!(cell.runs.iter().all(|(name, _)| *name == node("n2")));
}

#[test]
fn who_waits_for_a_node_to_sleep_waits_as_long_as_pieces_are_answered() {
    let mut cell = Cell::with_limits(&[("n1", "r1"), ("n2", "r1")], SMALL);
    cell.create_many(90, 60_000);
    let begun = cell.now;
    cell.way = 300;
    let answer = cell.activity("n1", Activity::Idle);
    assert!(cell.now - begun > 8_000, "an answer is due after 8 s else");
    assert!(matches!(answer, Answer::Activity { .. }), "{answer:?}");
}

#[test]
fn a_node_that_works_goes_on_handing_over_until_the_rest_fits_into_one_message() {
    let mut cell = Cell::with_limits(&[("n1", "r1"), ("n2", "r1")], SMALL);
    cell.create_many(60, 60_000);
    // Each run is followed by 500 ms in which the node does not close.
    cell.create(
        Some("n1"),
        NewTimer {
            when: every_second(),
            ..new("tick", 0, Durability::Ephemeral)
        },
    );
    cell.pass(1_000);
    cell.way = 100;
    let begun = cell.now;
    let answer = cell.activity("n1", Activity::Idle);
    assert!(matches!(answer, Answer::Activity { .. }), "{answer:?}");
    let took = cell.now - begun;
    assert!(took < 2_600, "20 pieces of 100 ms took {took} ms");
}

#[test]
fn a_node_that_leaves_in_its_sleep_keeps_nothing_of_what_the_group_had() {
    let mut cell = Cell::with_limits(&[("n1", "r1"), ("n2", "r1")], SMALL);
    let names = cell.create_many(12, 5_000);
    cell.activity("n1", Activity::Idle);
    // What was cancelled there must not come back with the node.
    cell.ask(None, Op::cancel(names[0].clone()));
    cell.stop("n1");
    assert_eq!(cell.bases[&node("n1")].view(time(cell.now)).timers, 0);
    cell.pass(6_000);
    assert_eq!(cell.runs.len(), 11);
}

/// A node that waits for a run to end has staged all but the last of its timers.
fn staged_beside_a_run() -> (Cell, Vec<TimerName>) {
    let mut cell = Cell::with_limits(&[("n1", "r1"), ("n2", "r1")], SMALL);
    let names = cell.create_many(12, 60_000);
    cell.hold_runs = true;
    cell.create(Some("n1"), new("run", 10, Durability::Local));
    cell.pass(100);
    cell.asks += 1;
    let (ask, op) = (
        cell.asks,
        Op::Activity {
            node: node("n1"),
            activity: Activity::Idle,
        },
    );
    cell.mail
        .push_back((node("n1"), Mail::Down(base::Input::Asked { ask, op })));
    cell.pass(100);
    (cell, names)
}

#[test]
fn what_is_staged_is_in_no_list() {
    let listed = || staged_beside_a_run().0.pool.ledger().entries().count();
    assert_eq!(listed(), 0);
    assert!(planted::with(Fault::ListTheStaged, listed) > 0);
}

/// A piece arrives without one of its timers. Returns how many the ledger has when the node sleeps, and how often the
/// two did not know the same.
fn sleep_with_a_gap() -> (usize, u64) {
    let mut cell = Cell::with_limits(&[("n1", "r1"), ("n2", "r1")], SMALL);
    cell.create_many(12, 60_000);
    cell.missing = Some(new("t05", 60_000, Durability::Local).uid);
    cell.activity("n1", Activity::Idle);
    cell.pass(5_000);
    let staged = cell.pool.ledger().len();
    (staged, cell.bases[&node("n1")].view(time(cell.now)).resyncs)
}

#[test]
fn a_gap_in_what_was_handed_over_is_found_before_the_node_sleeps() {
    assert_eq!(sleep_with_a_gap(), (12, 1));
    let planted = planted::with(Fault::BelieveTheSum, sleep_with_a_gap);
    assert_eq!(planted, (11, 0), "the fault is missed");
}

/// Something of what is staged is changed. Returns whether the node slept in the end, and how often it and the ledger
/// did not know the same.
fn change_what_is_staged(change: impl FnOnce(&mut Cell, &[TimerName])) -> (bool, u64) {
    let (mut cell, names) = staged_beside_a_run();
    change(&mut cell, &names);
    cell.pass(10_000);
    let asleep = cell.pool.ledger().len() >= 11;
    (asleep, cell.bases[&node("n1")].view(time(cell.now)).resyncs)
}

fn cancel_one(cell: &mut Cell, names: &[TimerName]) {
    cell.ask(Some("n1"), Op::cancel(names[0].clone()));
}

fn move_one(cell: &mut Cell, names: &[TimerName]) {
    cell.ask(
        Some("n1"),
        Op::rearm(names[0].clone(), NewTime::After(Millis(70_000))),
    );
}

#[test]
fn what_changes_while_pieces_travel_is_told_before_the_close() {
    assert_eq!(change_what_is_staged(cancel_one), (true, 0));
    assert_eq!(change_what_is_staged(move_one), (true, 0));
}

#[test]
fn a_home_and_a_ledger_that_do_not_know_the_same_find_out() {
    let cancelled = || change_what_is_staged(cancel_one);
    assert!(planted::with(Fault::KeepTheStagedTombstone, cancelled).1 > 0);
    let moved = || change_what_is_staged(move_one);
    assert!(planted::with(Fault::ForgetTheRounds, moved).1 > 0);
}

/// How many of 30 due timers a node without a worker hands over to two others with 10 places each.
fn handed_by_a_node_without_a_worker() -> usize {
    let mut cell = trio();
    cell.hold_runs = true;
    let places = BTreeMap::new();
    let workers = Mail::Down(base::Input::Workers { places });
    cell.mail.push_back((node("n1"), workers));
    cell.settle();
    let names: Vec<TimerName> = (0..30)
        .map(|n| cell.create(Some("n1"), new(&format!("t{n}"), 100, Durability::Local)))
        .collect();
    cell.pass(5_000);
    let ledger = cell.pool.ledger();
    let handed = names.iter().filter(|name| ledger.named(name).is_some());
    handed.count()
}

#[test]
fn a_node_hands_over_only_what_others_have_room_for() {
    assert_eq!(handed_by_a_node_without_a_worker(), 20);
    let planted = planted::with(Fault::HandWithoutRoom, handed_by_a_node_without_a_worker);
    assert_eq!(planted, 30, "the fault is missed");
}

#[test]
fn what_nobody_else_has_room_for_stays_at_home_until_somebody_has() {
    let mut cell = trio();
    for name in ["n1", "n2", "n3"] {
        let places = BTreeMap::new();
        let workers = Mail::Down(base::Input::Workers { places });
        cell.mail.push_back((node(name), workers));
    }
    cell.settle();
    let name = cell.create(Some("n1"), new("t", 100, Durability::Local));
    cell.pass(5_000);
    assert!(cell.pool.ledger().named(&name).is_none());
    let places = BTreeMap::from([(HandlerName::new("h").unwrap(), 1)]);
    let workers = Mail::Down(base::Input::Workers { places });
    cell.mail.push_back((node("n3"), workers));
    cell.pass(1_500);
    assert_eq!(cell.ran(), [("n3", "t")]);
}
