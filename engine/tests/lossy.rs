//! A pool and its nodes over links that break, step by step: each story was found by the simulator.
//!
//! What a test does not tell to be lost arrives at once and in order; what a base has written outlives its process.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on says where")]

use dormouse_engine::base::{self, Base};
use dormouse_engine::decision::Decision;
use dormouse_engine::id::{NodeId, PoolId, RackId, TimerId, TimerName, Uid};
use dormouse_engine::message::{Act, CoordinatorMessage, NodeMessage, Reply, Report};
use dormouse_engine::op::{Activity, Answer, Change, Op, Refusal, Setting};
use dormouse_engine::pool::{self, Link, Pool};
use dormouse_engine::record::NO_FACTS;
use dormouse_engine::time::{BootTime, Millis, Now, WallTime};
use dormouse_engine::timer::{
    Durability, HandlerName, NewTimer, Outcome, Overlap, Payload, Placement, Policy, Run, When,
};
use std::collections::{BTreeMap, VecDeque};

const LEASE: Millis = Millis(3_000);

struct Cell {
    now: u64,
    pool: Pool,
    nodes: BTreeMap<&'static str, Node>,
    links: u64,
    mail: VecDeque<Mail>,
    answers: BTreeMap<u64, Answer>,
    asks: u64,
    /// What a node says, or is told, and is lost.
    lost: Lost,
    /// Whether runs go on until [`Cell::finish`].
    runs_last: bool,
}

struct Node {
    base: Base,
    link: Link,
    disk: BTreeMap<Vec<u8>, Vec<u8>>,
    runs: Vec<Run>,
}

#[expect(clippy::large_enum_variant, reason = "mail lives for one delivery")]
enum Mail {
    Up(&'static str, NodeMessage),
    Down(Link, CoordinatorMessage),
}

struct Lost {
    up: fn(&str, &NodeMessage) -> bool,
    down: fn(&str, &CoordinatorMessage) -> bool,
}

const NOTHING: Lost = Lost {
    up: |_, _| false,
    down: |_, _| false,
};

fn node(name: &str) -> NodeId {
    NodeId::new(name).unwrap()
}

fn time(now: u64) -> Now {
    Now {
        wall: WallTime(1_800_000_000_000 + i64::try_from(now).unwrap()),
        boot: BootTime(1_000 + now),
    }
}

fn new(id: &str, wait: u64, durability: Durability) -> NewTimer {
    let bytes = id.bytes();
    let uid = bytes.fold(0u128, |uid, byte| uid * 256 + u128::from(byte));
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

impl Cell {
    /// Nodes with a worker, all of them active.
    fn new(names: &[&'static str]) -> Self {
        let config = pool::Config {
            pool: PoolId::new("default").unwrap(),
            ledger: 77,
            lease: LEASE,
            wake_grace: Millis(2_000),
            group_capacity: 8,
            message: Default::default(),
        };
        let (pool, _) = Pool::recover(config, NO_FACTS, time(0)).unwrap();
        let mut cell = Self {
            now: 0,
            pool,
            nodes: BTreeMap::new(),
            links: 0,
            mail: VecDeque::new(),
            answers: BTreeMap::new(),
            asks: 0,
            lost: NOTHING,
            runs_last: false,
        };
        for name in names {
            cell.start(name);
        }
        cell
    }

    /// A process of this node begins with what an earlier one has written; the earlier one is no more.
    fn start(&mut self, name: &'static str) {
        let disk = self.nodes.remove(name).map(|node| node.disk);
        let disk = disk.unwrap_or_default();
        let config = base::Config {
            node: node(name),
            pool: PoolId::new("default").unwrap(),
            rack: RackId::new("r").unwrap(),
            incarnation: u128::from(self.links),
            replicate_after: Millis(200),
            message: Default::default(),
        };
        let (base, first) = Base::recover(config, disk.clone(), time(self.now)).unwrap();
        let (link, runs) = (Link(0), Vec::new());
        let node = Node {
            base,
            link,
            disk,
            runs,
        };
        self.nodes.insert(name, node);
        self.perform(name, first);
        self.workers(name, 10);
        self.connect(name);
    }

    fn workers(&mut self, name: &'static str, places: u32) {
        let places = [(HandlerName::new("h").unwrap(), places)];
        let places = places.into_iter().filter(|(_, places)| *places > 0);
        let places = places.collect();
        self.tell(name, base::Input::Workers { places });
    }

    /// Another connection takes the place of the one that a node had.
    fn connect(&mut self, name: &'static str) {
        self.links += 1;
        let new = Link(self.links);
        let old = std::mem::replace(&mut self.nodes.get_mut(name).unwrap().link, new);
        self.tell_pool(pool::Input::Closed { link: old });
        self.tell(name, base::Input::Disconnected);
        self.tell(name, base::Input::Connected);
        self.settle();
    }

    fn tell(&mut self, name: &'static str, input: base::Input) {
        let now = time(self.now);
        let base = &mut self.nodes.get_mut(name).unwrap().base;
        let decision = base.handle(now, vec![input]);
        self.perform(name, decision);
    }

    fn perform(&mut self, name: &'static str, decision: Decision<base::Effect>) {
        let disk = &mut self.nodes.get_mut(name).unwrap().disk;
        for record in decision.records {
            match record.value {
                Some(value) => drop(disk.insert(record.key, value)),
                None => drop(disk.remove(&record.key)),
            }
        }
        for effect in decision.effects {
            match effect {
                base::Effect::Send(message) => self.mail.push_back(Mail::Up(name, message)),
                base::Effect::Answer { ask, answer } => drop(self.answers.insert(ask, answer)),
                base::Effect::Launch { run, .. } => {
                    self.nodes.get_mut(name).unwrap().runs.push(run.clone());
                    if !self.runs_last {
                        self.finish(name, &run);
                    }
                }
                base::Effect::Reconnect => self.connect(name),
                other => panic!("{name} wants {other:?}"),
            }
        }
    }

    fn finish(&mut self, name: &'static str, run: &Run) {
        let settled = base::Input::Settled {
            uid: run.uid,
            token: run.token,
            outcome: Outcome::Done,
        };
        self.tell(name, settled);
    }

    fn tell_pool(&mut self, input: pool::Input) {
        let decision = self.pool.handle(time(self.now), vec![input]);
        for effect in decision.effects {
            match effect {
                pool::Effect::Send { link, message } => {
                    self.mail.push_back(Mail::Down(link, message));
                }
                pool::Effect::Answer { ask, answer } => drop(self.answers.insert(ask, answer)),
                pool::Effect::Close { .. } | pool::Effect::Note(_) => {}
            }
        }
    }

    /// Delivers what is not lost, until nobody has anything to say.
    fn settle(&mut self) {
        while let Some(mail) = self.mail.pop_front() {
            match mail {
                Mail::Up(name, message) if !(self.lost.up)(name, &message) => {
                    let link = self.nodes[name].link;
                    self.tell_pool(pool::Input::Said { link, message });
                }
                Mail::Down(link, message) => {
                    let mut nodes = self.nodes.iter();
                    let name = nodes.find(|(_, node)| node.link == link);
                    if let Some(name) = name.map(|(name, _)| *name)
                        && !(self.lost.down)(name, &message)
                    {
                        self.tell(name, base::Input::Heard(message));
                    }
                }
                Mail::Up(..) => {}
            }
        }
    }

    /// Lets time pass, a tick every ten milliseconds for everybody.
    fn pass(&mut self, millis: u64) {
        let names: Vec<&'static str> = self.nodes.keys().copied().collect();
        for _ in 0..millis / 10 {
            self.now += 10;
            self.tell_pool(pool::Input::Tick);
            for name in &names {
                self.tell(name, base::Input::Tick);
            }
            self.settle();
        }
    }

    /// Asks, and does not wait for the answer. Returns its number.
    fn say(&mut self, at: Option<&'static str>, op: Op) -> u64 {
        self.asks += 1;
        let ask = self.asks;
        match at {
            Some(name) => self.tell(name, base::Input::Asked { ask, op }),
            None => self.tell_pool(pool::Input::Asked { ask, op }),
        }
        self.settle();
        ask
    }

    fn ask(&mut self, at: Option<&'static str>, op: Op) -> Answer {
        let ask = self.say(at, op);
        self.pass(10);
        self.answers.remove(&ask).unwrap()
    }

    fn create(&mut self, at: Option<&'static str>, new: NewTimer) -> TimerName {
        match self.ask(at, Op::Create(Box::new(new))) {
            Answer::Timer(timer) => timer.name,
            other => panic!("{other:?}"),
        }
    }

    fn set(&mut self, name: &'static str, activity: Activity) {
        let node = node(name);
        self.say(Some(name), Op::Activity { node, activity });
    }

    fn state(&self, name: &str) -> base::State {
        self.nodes[name].base.view(time(self.now)).state
    }

    /// What ran, in the order of nodes.
    fn ran(&self) -> Vec<(&str, &str)> {
        let runs = self.nodes.iter();
        let runs = runs.flat_map(|(name, node)| node.runs.iter().map(move |run| (*name, run)));
        runs.map(|(name, run)| (name, run.name.timer.as_str()))
            .collect()
    }
}

fn is_report(message: &NodeMessage, which: impl Fn(&Report) -> bool) -> bool {
    matches!(message, NodeMessage::Report(report) if which(report))
}

fn is_answer(message: &CoordinatorMessage, which: impl Fn(&Reply) -> bool) -> bool {
    matches!(message, CoordinatorMessage::Answer(answer) if which(&answer.reply))
}

#[test]
fn what_a_broken_link_has_lost_is_told_on_the_next_one() {
    let mut cell = Cell::new(&["n1", "n2"]);
    let light = cell.create(Some("n1"), new("l", 60_000, Durability::Local));
    cell.set("n1", Activity::Idle);
    assert!(cell.pool.ledger().named(&light).is_some());
    cell.lost.up = |_, message| is_report(message, |report| report.items.resumed.is_some());
    cell.set("n1", Activity::Active);
    cell.lost = NOTHING;
    cell.connect("n1");
    cell.pass(100);
    assert_eq!(cell.state("n1"), base::State::Active);
    assert!(
        cell.pool.ledger().named(&light).is_none(),
        "its home has it, and has said so"
    );
}

#[test]
fn a_light_timer_that_leaves_the_ledger_while_it_is_handed_over_outlives_a_crash() {
    let mut cell = Cell::new(&["n1", "n2"]);
    let light = cell.create(Some("n1"), new("l", 2_000, Durability::Local));
    cell.set("n1", Activity::Idle);
    cell.workers("n1", 0);
    cell.settle();
    // The ledger has let it go; before its home knows that, it is due and has no worker.
    cell.lost.down = |_, message| is_answer(message, |reply| *reply == Reply::Noted);
    cell.set("n1", Activity::Active);
    assert!(cell.pool.ledger().named(&light).is_none());
    cell.pass(2_500);
    cell.set("n1", Activity::Idle);
    cell.lost = NOTHING;
    cell.lost.up = |_, message| is_report(message, |report| !report.items.handed.is_empty());
    cell.pass(1_000);
    cell.lost = NOTHING;
    cell.start("n1");
    cell.pass(1_000);
    assert_eq!(cell.ran(), [("n1", "l")]);
}

#[test]
fn what_has_come_back_is_not_handed_over_again_on_the_next_link() {
    let mut cell = Cell::new(&["n1", "n2"]);
    cell.workers("n1", 0);
    let every = NewTimer {
        when: When::Every {
            interval: Millis(2_000),
            phase: None,
        },
        ..new("e", 0, Durability::Replicated)
    };
    let name = cell.create(Some("n1"), every);
    // The answer to the report that hands it over is lost, and the timer is back before that is said again.
    cell.lost.down = |name, message| name == "n1" && is_answer(message, |_| true);
    cell.pass(2_500);
    cell.workers("n1", 10);
    cell.lost = NOTHING;
    cell.connect("n1");
    cell.pass(1_000);
    assert_eq!(cell.pool.ledger().named(&name).unwrap().held, None);
    cell.pass(1_000);
    assert_eq!(cell.ran(), [("n1", "e"), ("n2", "e")]);
}

#[test]
fn a_pinned_run_that_begins_while_its_node_falls_asleep_keeps_it_awake() {
    let mut cell = Cell::new(&["n1", "n2"]);
    cell.runs_last = true;
    let pinned = NewTimer {
        placement: Placement::Pinned(node("n1")),
        ..new("p", 1_000, Durability::Local)
    };
    cell.create(Some("n1"), pinned);
    cell.pass(900);
    cell.lost.down = |_, message| is_answer(message, |_| true);
    cell.set("n1", Activity::Idle);
    cell.pass(100);
    assert_eq!(cell.ran(), [("n1", "p")]);
    cell.lost = NOTHING;
    cell.pass(1_500);
    assert_eq!(cell.state("n1"), base::State::Active);
    let run = cell.nodes["n1"].runs[0].clone();
    cell.finish("n1", &run);
    cell.pass(1_000);
    assert_eq!(cell.state("n1"), base::State::Idle);
}

#[test]
fn a_pinned_timer_that_both_sides_have_made_is_gone_at_both_when_it_is_cancelled() {
    let mut cell = Cell::new(&["n1", "n2"]);
    let pinned = NewTimer {
        placement: Placement::Pinned(node("n1")),
        ..new("p", 20_000, Durability::Local)
    };
    // Its home has made it, but the word of it is lost; when the home is lost, the ledger makes it.
    cell.lost.up = |_, message| is_report(message, |report| !report.items.answers.is_empty());
    cell.say(None, Op::Create(Box::new(pinned.clone())));
    cell.lost.up = |name, _| name == "n1";
    cell.pass(4_000);
    cell.lost = NOTHING;
    let name = cell.create(None, pinned);
    cell.lost.up = |_, message| is_report(message, |report| report.items.resumed.is_some());
    cell.connect("n1");
    cell.say(Some("n1"), Op::cancel(name));
    cell.lost = NOTHING;
    cell.start("n1");
    cell.pass(30_000);
    assert_eq!(cell.ran(), []);
}

#[test]
fn what_was_asked_of_a_home_before_it_was_lost_is_not_done_after_it_is_back() {
    let mut cell = Cell::new(&["n1", "n2"]);
    let pinned = NewTimer {
        placement: Placement::Pinned(node("n1")),
        ..new("p", 20_000, Durability::Local)
    };
    cell.lost.up = |_, message| is_report(message, |report| matches!(report.act, Act::Idle(_)));
    cell.set("n1", Activity::Idle);
    cell.say(None, Op::Create(Box::new(pinned.clone())));
    cell.lost.up = |name, _| name == "n1";
    cell.pass(4_000);
    let name = cell.create(None, pinned);
    // Its home may have it as well, and runs it alone before it hears of this.
    let cancel = changed(&name, 71, Change::Cancel);
    assert_eq!(cell.ask(None, cancel.clone()), Answer::Pending);
    assert_eq!(cell.ask(None, cancel), Answer::Pending);
    cell.lost = NOTHING;
    cell.set("n1", Activity::Active);
    cell.connect("n1");
    cell.pass(30_000);
    assert_eq!(cell.ran(), []);
}

#[test]
fn what_is_cancelled_while_others_have_it_is_gone_at_home_too() {
    let mut cell = Cell::new(&["n1", "n2"]);
    cell.workers("n1", 0);
    cell.runs_last = true;
    let name = cell.create(Some("n1"), new("l", 500, Durability::Local));
    cell.pass(1_000);
    assert!(cell.pool.ledger().named(&name).unwrap().held.is_some());
    cell.lost.down = |_, message| matches!(message, CoordinatorMessage::Order { .. });
    let cancelled = cell.ask(None, Op::cancel(name.clone()));
    assert!(matches!(cancelled, Answer::Cancelled(_)), "{cancelled:?}");
    cell.lost = NOTHING;
    cell.pass(1_500);
    assert_eq!(cell.nodes["n1"].base.view(time(cell.now)).timers, 0);
    let again = NewTimer {
        uid: Uid(1),
        request: 1,
        ..new("l", 60_000, Durability::Local)
    };
    assert_eq!(cell.create(Some("n1"), again), name);
}

/// A pinned timer that its home has made and that is made again while the home is lost.
fn made_twice(cell: &mut Cell, wait: u64) -> TimerName {
    let pinned = NewTimer {
        placement: Placement::Pinned(node("n1")),
        ..new("p", wait, Durability::Local)
    };
    cell.create(None, pinned.clone());
    cell.lost.up = |name, _| name == "n1";
    cell.pass(4_000);
    cell.create(None, pinned)
}

/// What this node has to tell takes more than one report.
fn has_more_than_one_message(cell: &mut Cell) {
    for number in 0..4_200 {
        let far = new(&format!("f{number}"), 600_000, Durability::ReplicatedAsync);
        cell.create(Some("n1"), far);
    }
}

fn changed(name: &TimerName, request: u128, change: Change) -> Op {
    Op::Change {
        name: name.clone(),
        request,
        change,
    }
}

#[test]
fn a_change_of_what_its_home_may_have_reaches_the_home() {
    let mut cell = Cell::new(&["n1", "n2"]);
    let name = made_twice(&mut cell, 20_000);
    let paused = cell.ask(None, changed(&name, 71, Change::Pause));
    assert_eq!(paused, Answer::Pending);
    cell.lost = NOTHING;
    cell.connect("n1");
    cell.pass(30_000);
    assert_eq!(cell.ran(), []);
}

#[test]
fn a_change_of_what_its_home_has_not_is_done_once() {
    let mut cell = Cell::new(&["n1", "n2"]);
    cell.lost.up = |name, _| name == "n1";
    cell.pass(4_000);
    let pinned = NewTimer {
        placement: Placement::Pinned(node("n1")),
        ..new("p", 20_000, Durability::Local)
    };
    let name = cell.create(None, pinned);
    let asked = cell.ask(None, changed(&name, 71, Change::RunNow));
    assert_eq!(asked, Answer::Pending);
    cell.lost = NOTHING;
    cell.connect("n1");
    cell.pass(1_000);
    assert_eq!(cell.ran(), [("n1", "p")]);
}

#[test]
fn what_waits_for_one_timer_of_a_lost_home_is_bounded_and_does_not_meet_the_next_of_its_name() {
    let mut cell = Cell::new(&["n1", "n2"]);
    let name = made_twice(&mut cell, 20_000);
    let edit = |request: u128| Change::Update {
        settings: vec![
            Setting::ContentType(format!("text/{request}")),
            Setting::Paused(false),
        ],
        etag: None,
    };
    for request in 1..=8 {
        let asked = cell.ask(None, changed(&name, request, edit(request)));
        assert_eq!(asked, Answer::Pending);
    }
    let again = cell.ask(None, changed(&name, 8, edit(8)));
    assert_eq!(again, Answer::Pending);
    let more = cell.ask(None, changed(&name, 9, edit(9)));
    assert!(
        matches!(more, Answer::Refused(Refusal::Exhausted { .. })),
        "{more:?}"
    );
    cell.ask(None, Op::cancel(name));
    let next = NewTimer {
        uid: Uid(1),
        request: 1,
        placement: Placement::Pinned(node("n1")),
        ..new("p", 20_000, Durability::Local)
    };
    cell.create(None, next);
    cell.lost = NOTHING;
    cell.connect("n1");
    cell.pass(10_000);
    assert_eq!(cell.ran(), []);
}

#[test]
fn what_was_stored_for_a_home_is_done_before_others_run_its_timer() {
    let mut cell = Cell::new(&["n1", "n2"]);
    cell.workers("n1", 0);
    cell.lost.up = |name, _| name == "n1";
    let name = cell.create(Some("n1"), new("l", 2_000, Durability::ReplicatedAsync));
    has_more_than_one_message(&mut cell);
    cell.pass(4_000);
    assert_eq!(cell.ask(None, Op::cancel(name)), Answer::Pending);
    cell.lost = NOTHING;
    cell.connect("n1");
    cell.pass(5_000);
    assert_eq!(cell.ran(), []);
}

#[test]
fn a_run_that_ended_while_its_timer_was_being_handed_over_does_not_go_on_for_ever() {
    let mut cell = Cell::new(&["n1", "n2"]);
    cell.workers("n1", 1);
    cell.runs_last = true;
    let every = NewTimer {
        when: When::Every {
            interval: Millis(1_000),
            phase: None,
        },
        policy: Policy {
            overlap: Overlap::Allow,
            ..Default::default()
        },
        ..new("e", 0, Durability::Local)
    };
    has_more_than_one_message(&mut cell);
    let name = cell.create(Some("n1"), every);
    cell.pass(1_000);
    let run = cell.nodes["n1"].runs[0].clone();
    // The next ones find no place and are to be handed over, but that is not heard.
    cell.lost.up = |_, message| is_report(message, |_| true);
    cell.pass(2_500);
    cell.finish("n1", &run);
    cell.lost.up = |name, _| name == "n1";
    cell.pass(4_000);
    cell.lost = NOTHING;
    cell.connect("n1");
    cell.pass(100);
    let looked = cell.ask(Some("n1"), Op::Look { name });
    let Answer::Timer(timer) = looked else {
        panic!("{looked:?}");
    };
    assert!(!timer.holds(run.token), "{timer:?}");
}
