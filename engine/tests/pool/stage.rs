//! A pool alone, and nodes that say what the test wants: the language of the tests beside it.

use dormouse_engine::id::{Epoch, NodeId, PoolId, RackId, Session, TimerId, Token, Uid};
use dormouse_engine::message::{
    Act, Active, CoordinatorMessage, Heartbeat, Hello, Items, MessageLimits, NodeMessage, Order,
    Reply, Report,
};
use dormouse_engine::op::Op;
use dormouse_engine::pool::{Config, Effect, Input, Link, Note, Pool};
use dormouse_engine::record::{NO_FACTS, Record};
use dormouse_engine::time::{BootTime, LogIndex, Millis, Now, WallTime};
use dormouse_engine::timer::{
    Durability, HandlerName, NewTimer, Outcome, Payload, Placement, Policy, Run, Target, When,
};
use std::collections::BTreeMap;

const START: i64 = 1_800_000_000_000;

pub(crate) fn node(name: &str) -> NodeId {
    NodeId::new(name).unwrap()
}

/// What a node knows of its session, and what it was told.
#[derive(Debug, Default)]
pub(crate) struct Node {
    link: u64,
    session: Session,
    pub(crate) epoch: Epoch,
    seq: u64,
    /// Runs that it was ordered to run, in the order in which it heard of them.
    pub(crate) due: Vec<Run>,
    /// The number of runs in each message that ordered some.
    pub(crate) messages: Vec<usize>,
    pub(crate) woken: usize,
    /// It was told that it has left.
    pub(crate) gone: bool,
}

pub(crate) struct Stage {
    pub(crate) pool: Pool,
    pub(crate) now: u64,
    pub(crate) nodes: BTreeMap<NodeId, Node>,
    state: BTreeMap<Vec<u8>, Vec<u8>>,
    /// What the operator was told.
    pub(crate) notes: Vec<Note>,
    links: u64,
    uids: u128,
    /// Whether the last turn had more to do.
    more: bool,
}

impl Stage {
    pub(crate) fn new() -> Self {
        let (pool, first) = Pool::recover(config(), NO_FACTS, at(0)).unwrap();
        let mut stage = Self {
            pool,
            now: 0,
            nodes: BTreeMap::new(),
            state: BTreeMap::new(),
            notes: Vec::new(),
            links: 0,
            uids: 0,
            more: first.more,
        };
        stage.keep(first.records);
        stage
    }

    /// The coordinator ends without a word and starts again; nobody has a link.
    pub(crate) fn restart(&mut self) {
        let state: Vec<_> = self.state.clone().into_iter().collect();
        let (pool, first) = Pool::recover(config(), state, at(self.now)).unwrap();
        self.pool = pool;
        self.more = first.more;
        self.keep(first.records);
    }

    fn keep(&mut self, records: Vec<Record>) {
        for record in records {
            match record.value {
                Some(value) => drop(self.state.insert(record.key, value)),
                None => drop(self.state.remove(&record.key)),
            }
        }
    }

    /// One turn, and what follows from it at the nodes.
    pub(crate) fn turn(&mut self, inputs: Vec<Input>) {
        let decision = self.pool.handle(at(self.now), inputs);
        self.more = decision.more;
        self.keep(decision.records);
        for effect in decision.effects {
            match effect {
                Effect::Send { link, message } => self.hear(link, message),
                Effect::Note(note) => self.notes.push(note),
                Effect::Answer { .. } | Effect::Close { .. } => {}
            }
        }
    }

    /// Turns until the pool does not ask for another one at once.
    pub(crate) fn settle(&mut self) {
        let mut turns = 0;
        while self.wants_a_turn() {
            self.turn(vec![Input::Tick]);
            turns += 1;
            assert!(turns < 10_000, "the pool comes to rest");
        }
    }

    pub(crate) fn wants_a_turn(&self) -> bool {
        let next = self.pool.next_deadline();
        let now = at(self.now);
        self.more
            || next.wall.is_some_and(|wall| wall <= now.wall)
            || next.boot.is_some_and(|boot| boot <= now.boot)
    }

    pub(crate) fn pass(&mut self, millis: u64) {
        self.now += millis;
        self.turn(vec![Input::Tick]);
    }

    fn hear(&mut self, link: Link, message: CoordinatorMessage) {
        let node = self.nodes.values_mut().find(|node| node.link == link.0);
        let Some(node) = node else { return };
        match message {
            CoordinatorMessage::Welcome(welcome) => {
                node.session = welcome.session;
                node.epoch = welcome.epoch;
            }
            CoordinatorMessage::Answer(answer) => {
                node.gone = answer.reply == Reply::Gone;
                if let Reply::Resumed(resumed) = answer.reply {
                    node.epoch = resumed.epoch;
                }
            }
            CoordinatorMessage::Order { order, .. } => match order {
                Order::Due { runs } => {
                    node.messages.push(runs.len());
                    node.due.extend(runs);
                }
                Order::Wake => node.woken += 1,
                Order::Give { .. }
                | Order::Change { .. }
                | Order::Arm { .. }
                | Order::Release
                | Order::Withdraw { .. } => {}
            },
            CoordinatorMessage::Rejected { .. }
            | CoordinatorMessage::Pulse { .. }
            | CoordinatorMessage::Forwarded { .. }
            | CoordinatorMessage::Fenced { .. } => {}
        }
    }

    /// A node connects, anew or again.
    pub(crate) fn connect(&mut self, name: &str) {
        self.links += 1;
        let link = self.links;
        let known = self.nodes.entry(node(name)).or_default();
        known.link = link;
        known.seq = 0;
        let hello = Hello {
            node: node(name),
            pool: PoolId::new("default").unwrap(),
            rack: RackId::new("r").unwrap(),
            incarnation: 1,
            epoch: known.epoch,
            known: LogIndex(0),
            ledger: 77,
            wall: at(self.now).wall,
        };
        self.say(name, NodeMessage::Hello(hello));
    }

    pub(crate) fn say(&mut self, name: &str, message: NodeMessage) {
        let link = Link(self.nodes[&node(name)].link);
        self.turn(vec![Input::Said { link, message }]);
    }

    pub(crate) fn report(&mut self, name: &str, act: Act, items: Items) {
        let known = self.nodes.get_mut(&node(name)).unwrap();
        known.seq += 1;
        let report = Report {
            session: known.session,
            seq: known.seq,
            epoch: known.epoch,
            act,
            items,
        };
        self.say(name, NodeMessage::Report(report));
    }

    pub(crate) fn beat(&mut self, name: &str) {
        let session = self.nodes[&node(name)].session;
        let now = at(self.now);
        let heartbeat = Heartbeat {
            session,
            sent: now.boot,
            wall: now.wall,
            wanted: Vec::new(),
        };
        self.say(name, NodeMessage::Heartbeat(heartbeat));
    }

    /// A node comes and owns its timers, with this many places for each handler.
    pub(crate) fn join(&mut self, name: &str, handler: &str, places: u32) {
        self.connect(name);
        let active = Active {
            known: LogIndex(0),
            cursor: None,
        };
        self.report(name, Act::Active(active), capacity(handler, places));
        // With this it has heard that it owns them: from now on heartbeats renew its lease.
        self.report(name, Act::Stay, Items::default());
    }

    /// Timers of the pool that are due now.
    pub(crate) fn create(&mut self, handler: &str, count: usize) {
        let inputs = (0..count).map(|_| {
            self.uids += 1;
            let new = new(handler, self.uids, at(self.now).wall + Millis(1));
            let op = Op::Create(Box::new(new));
            Input::Asked { ask: 0, op }
        });
        let inputs: Vec<_> = inputs.collect();
        self.turn(inputs);
        self.now += 1;
    }

    /// What was ordered and not answered yet, answered in one report.
    pub(crate) fn answer(&mut self, name: &str, answer: impl Fn(&Run) -> Answered) -> usize {
        let due = std::mem::take(&mut self.nodes.get_mut(&node(name)).unwrap().due);
        let mut items = Items::default();
        for run in &due {
            match answer(run) {
                Answered::Accepted => items.accepted.push(run.token),
                Answered::Done => items.outcomes.push((run.uid, run.token, Outcome::Done)),
            }
        }
        self.report(name, Act::Stay, items);
        due.len()
    }
}

/// What a node answers to an order.
pub(crate) enum Answered {
    Accepted,
    Done,
}

pub(crate) fn capacity(handler: &str, places: u32) -> Items {
    let places = BTreeMap::from([(HandlerName::new(handler).unwrap(), places)]);
    Items {
        capacity: Some(places),
        ..Items::default()
    }
}

/// How many different runs these are.
pub(crate) fn different(runs: &[Run]) -> usize {
    let tokens: std::collections::BTreeSet<Token> = runs.iter().map(|run| run.token).collect();
    tokens.len()
}

pub(crate) fn at(now: u64) -> Now {
    Now {
        wall: WallTime(START + i64::try_from(now).unwrap()),
        boot: BootTime(now + 1_000_000),
    }
}

fn config() -> Config {
    Config {
        pool: PoolId::new("default").unwrap(),
        ledger: 77,
        lease: Millis(10_000),
        wake_grace: Millis(2_000),
        group_capacity: 8,
        message: MessageLimits::default(),
    }
}

pub(crate) fn new(handler: &str, uid: u128, due: WallTime) -> NewTimer {
    NewTimer {
        pool: PoolId::new("default").unwrap(),
        id: TimerId::new(&format!("t{uid}")).unwrap(),
        uid: Uid(uid),
        request: uid,
        when: When::At(due),
        placement: Placement::Movable,
        handler: HandlerName::new(handler).unwrap(),
        target: Target::default(),
        payload: Payload::default(),
        content_type: String::new(),
        policy: Policy::default(),
        paused: false,
        durability: Durability::Replicated,
        labels: BTreeMap::new(),
    }
}
