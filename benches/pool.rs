//! What a turn of the coordinator's pool takes in the large: beside a backlog, among many nodes, and the longest.
//!
//! A plain harness, since most of what is measured is the time of single turns and their maximum. It prints one line
//! of JSON for each figure. `POOL_TIMERS` and `POOL_NODES` make it smaller than a million and ten thousand, and so
//! does `--quick`.

#![expect(
    clippy::disallowed_types,
    reason = "a measurement takes microseconds, and no machine suspends in it"
)]
#![expect(clippy::print_stdout, reason = "the figures are what it is for")]

mod quick;

use dormouse_engine::id::{Epoch, NodeId, PoolId, RackId, Session, TimerId, Uid};
use dormouse_engine::message::{
    Act, Active, CoordinatorMessage, Heartbeat, Hello, Items, MessageLimits, NodeMessage, Order,
    Reply, Report,
};
use dormouse_engine::op::Op;
use dormouse_engine::pool::{Config, Effect, Input, Link, Pool};
use dormouse_engine::record::NO_FACTS;
use dormouse_engine::time::{BootTime, LogIndex, Millis, Now, WallTime};
use dormouse_engine::timer::{
    Durability, HandlerName, NewTimer, Outcome, Payload, Placement, Run, When,
};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// Creates of one turn.
const TURN: u128 = 512;

#[derive(Default)]
struct Node {
    session: Session,
    epoch: Epoch,
    seq: u64,
    due: Vec<Run>,
}

struct Bench {
    pool: Pool,
    now: u64,
    nodes: Vec<Node>,
    /// Whether the last turn had more to do.
    more: bool,
    longest: Duration,
}

fn at(now: u64) -> Now {
    Now {
        wall: WallTime(1_800_000_000_000 + now.cast_signed()),
        boot: BootTime(1_000_000 + now),
    }
}

fn handler() -> HandlerName {
    HandlerName::new("h").expect("a name")
}

impl Bench {
    fn new() -> Self {
        let config = Config {
            pool: PoolId::new("default").expect("an id"),
            ledger: 1,
            lease: Millis(10_000_000),
            wake_grace: Millis(2_000),
            group_capacity: 8,
            message: MessageLimits::default(),
        };
        let (pool, first) = Pool::recover(config, NO_FACTS, at(0)).expect("an empty pool");
        Self {
            pool,
            now: 0,
            nodes: Vec::new(),
            more: first.more,
            longest: Duration::ZERO,
        }
    }

    /// One turn, and how long it took.
    fn turn(&mut self, inputs: Vec<Input>) -> Duration {
        let begin = Instant::now();
        let decision = self.pool.handle(at(self.now), inputs);
        let took = begin.elapsed();
        self.longest = self.longest.max(took);
        self.more = decision.more;
        for effect in decision.effects {
            if let Effect::Send { link, message } = effect {
                self.hear(link, message);
            }
        }
        took
    }

    fn hear(&mut self, link: Link, message: CoordinatorMessage) {
        let number = usize::try_from(link.0).expect("a small number");
        let node = &mut self.nodes[number];
        match message {
            CoordinatorMessage::Welcome(welcome) => {
                (node.session, node.epoch) = (welcome.session, welcome.epoch);
            }
            CoordinatorMessage::Answer(answer) => {
                if let Reply::Resumed(resumed) = answer.reply {
                    node.epoch = resumed.epoch;
                }
            }
            CoordinatorMessage::Order {
                order: Order::Due { runs },
                ..
            } => node.due.extend(runs),
            _ => {}
        }
    }

    fn settle(&mut self) {
        loop {
            let next = self.pool.next_deadline();
            let now = at(self.now);
            let wall = next.wall.is_some_and(|wall| wall <= now.wall);
            if !self.more && !wall && next.boot.is_none_or(|boot| boot > now.boot) {
                return;
            }
            self.turn(vec![Input::Tick]);
        }
    }

    fn say(&mut self, number: usize, message: NodeMessage) -> Duration {
        let link = Link(number as u64);
        self.turn(vec![Input::Said { link, message }])
    }

    fn report(&mut self, number: usize, act: Act, items: Items) -> Duration {
        let node = &mut self.nodes[number];
        node.seq += 1;
        let report = Report {
            session: node.session,
            seq: node.seq,
            epoch: node.epoch,
            act,
            items,
        };
        self.say(number, NodeMessage::Report(report))
    }

    fn join(&mut self, places: u32) {
        let number = self.nodes.len();
        self.nodes.push(Node::default());
        let hello = Hello {
            node: NodeId::new(&format!("n{number:06}")).expect("an id"),
            pool: PoolId::new("default").expect("an id"),
            rack: RackId::new(&format!("r{}", number / 64)).expect("an id"),
            incarnation: 1,
            epoch: Epoch::default(),
            known: LogIndex(0),
            ledger: 1,
            wall: at(self.now).wall,
        };
        self.say(number, NodeMessage::Hello(hello));
        let items = Items {
            capacity: Some(BTreeMap::from([(handler(), places)])),
            ..Items::default()
        };
        let active = Active {
            known: LogIndex(0),
            cursor: None,
        };
        self.report(number, Act::Active(active), items);
    }

    /// Timers of the pool that are due at once.
    fn create(&mut self, count: u128) {
        let due = at(self.now).wall + Millis(60_000);
        for first in (0..count).step_by(512) {
            let inputs = (first..(first + TURN).min(count)).map(|number| {
                let op = Op::Create(Box::new(new_timer(number + 1, due)));
                Input::Asked { ask: 0, op }
            });
            self.turn(inputs.collect());
        }
        self.now += 60_000;
    }

    /// Settles every run that node 0 has, so that others are claimed; how long that turn took for each.
    fn claim_and_settle(&mut self) -> Duration {
        let due = std::mem::take(&mut self.nodes[0].due);
        let count = u32::try_from(due.len()).expect("few").max(1);
        let outcomes = due.iter().map(|run| (run.uid, run.token, Outcome::Done));
        let items = Items {
            outcomes: outcomes.collect(),
            ..Items::default()
        };
        self.report(0, Act::Stay, items) / count
    }
}

fn new_timer(number: u128, due: WallTime) -> NewTimer {
    NewTimer {
        pool: PoolId::new("default").expect("an id"),
        id: TimerId::new(&format!("t{number}")).expect("an id"),
        uid: Uid(number),
        request: number,
        when: When::At(due),
        placement: Placement::Movable,
        handler: handler(),
        target: Default::default(),
        policy: Default::default(),
        paused: false,
        payload: Payload(vec![0; 64].into()),
        content_type: String::new(),
        durability: Durability::Replicated,
        labels: BTreeMap::new(),
    }
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}

fn print(what: &str, size: usize, took: Duration) {
    let micros = took.as_secs_f64() * 1e6;
    println!(r#"{{"bench":"pool","what":"{what}","size":{size},"us":{micros:.2}}}"#);
}

fn size(variable: &str, default: usize) -> usize {
    let given = std::env::var(variable).ok();
    given.and_then(|text| text.parse().ok()).unwrap_or(default)
}

fn beside_a_backlog(timers: usize) {
    let mut bench = Bench::new();
    bench.join(2);
    bench.create(timers as u128);
    bench.longest = Duration::ZERO;
    bench.settle();
    print("longest turn while they fall due", timers, bench.longest);
    let quiet = (0..1_001).map(|_| bench.turn(vec![Input::Tick])).collect();
    print("quiet turn beside a backlog", timers, median(quiet));
    let pairs = (0..10_001).map(|_| bench.claim_and_settle()).collect();
    print("claim and settle, two places", timers, median(pairs));
    bench.longest = Duration::ZERO;
    let items = Items {
        capacity: Some(BTreeMap::from([(handler(), 1_000)])),
        ..Items::default()
    };
    bench.report(0, Act::Stay, items);
    bench.settle();
    let pairs = (0..101).map(|_| {
        let took = bench.claim_and_settle();
        bench.settle();
        took
    });
    let pairs = pairs.collect();
    print("claim and settle, 1,000 places", timers, median(pairs));
    print("longest turn with 1,000 places", timers, bench.longest);
}

fn among_nodes(nodes: usize) {
    let mut bench = Bench::new();
    let begin = Instant::now();
    for _ in 0..nodes {
        bench.join(1);
    }
    let each = begin.elapsed() / u32::try_from(nodes).expect("few");
    print("join", nodes, each);
    bench.settle();
    bench.longest = Duration::ZERO;
    let quiet = (0..1_001).map(|_| bench.turn(vec![Input::Tick])).collect();
    print("quiet turn with nodes", nodes, median(quiet));
    let beats = (0..nodes.min(5_001)).map(|number| {
        let heartbeat = Heartbeat {
            session: bench.nodes[number].session,
            sent: at(bench.now).boot,
            wall: at(bench.now).wall,
            wanted: Vec::new(),
        };
        bench.say(number, NodeMessage::Heartbeat(heartbeat))
    });
    let beats = beats.collect();
    print("renewal among nodes", nodes, median(beats));
    print("longest turn with nodes", nodes, bench.longest);
}

fn main() {
    let (timers, nodes) = match quick::is_asked() {
        true => (50_000, 1_000),
        false => (1_000_000, 10_000),
    };
    beside_a_backlog(size("POOL_TIMERS", timers));
    among_nodes(size("POOL_NODES", nodes));
}
