//! The bytes of the records, kept in `tests/golden/{coordinator,agent}-N` of the repository, N being their version.
//!
//! Today's code must leave the same bytes after the same history, and recover from the kept ones. If a test fails
//! because the encoding was changed on purpose: raise `record::VERSION`, then `BLESS=1 cargo test -p
//! dormouse-engine --test golden` writes the directories of the new number. One that is there is never written
//! over: if only the history goes another way now, remove it first, and say so in the commit.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on says where")]

use dormouse_engine::base::{self, Base};
use dormouse_engine::id::{NodeId, PoolId, RackId, TimerId, TimerName, Uid};
use dormouse_engine::op::{Activity, Op};
use dormouse_engine::pool::{self, Link, Pool};
use dormouse_engine::record::{self, Record};
use dormouse_engine::time::{BootTime, Millis, Now, WallTime};
use dormouse_engine::timer::{
    Durability, HandlerName, NewTimer, Outcome, Payload, Placement, When,
};
use std::collections::{BTreeMap, VecDeque};
use std::env;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

const LINK: Link = Link(0);

/// What a journal holds.
type State = BTreeMap<Vec<u8>, Vec<u8>>;

/// A coordinator and a node whose messages never wait, and what their journals hold.
struct Pair {
    now: u64,
    pool: Pool,
    base: Base,
    coordinator: State,
    agent: State,
    to_pool: VecDeque<pool::Input>,
    to_base: VecDeque<base::Input>,
}

fn time(now: u64) -> Now {
    Now {
        wall: WallTime(1_800_000_000_000 + i64::try_from(now).unwrap()),
        boot: BootTime(1_000 + now),
    }
}

fn recover_pool(state: &State) -> Pool {
    let config = pool::Config {
        pool: PoolId::new("default").unwrap(),
        ledger: 77,
        lease: Millis(10_000),
        wake_grace: Millis(2_000),
        group_capacity: 8,
        message: Default::default(),
    };
    Pool::recover(config, state.clone(), time(0)).unwrap().0
}

fn recover_base(state: &State) -> Base {
    let config = base::Config {
        node: NodeId::new("n1").unwrap(),
        pool: PoolId::new("default").unwrap(),
        rack: RackId::new("r1").unwrap(),
        incarnation: 5,
        replicate_after: Millis(200),
        message: Default::default(),
    };
    Base::recover(config, state.clone(), time(0)).unwrap().0
}

fn keep(state: &mut State, records: Vec<Record>) {
    for Record { key, value } in records {
        match value {
            Some(value) => state.insert(key, value),
            None => state.remove(&key),
        };
    }
}

impl Pair {
    fn new() -> Self {
        let mut pair = Self {
            now: 0,
            pool: recover_pool(&State::new()),
            base: recover_base(&State::new()),
            coordinator: State::new(),
            agent: State::new(),
            to_pool: VecDeque::new(),
            to_base: VecDeque::new(),
        };
        let places = BTreeMap::from([(HandlerName::new("h").unwrap(), 10)]);
        pair.to_base.push_back(base::Input::Workers { places });
        pair.to_base.push_back(base::Input::Connected);
        pair.pass(1);
        pair
    }

    fn settle(&mut self) {
        loop {
            if let Some(input) = self.to_pool.pop_front() {
                let decision = self.pool.handle(time(self.now), vec![input]);
                keep(&mut self.coordinator, decision.records);
                for effect in decision.effects {
                    if let pool::Effect::Send { message, .. } = effect {
                        self.to_base.push_back(base::Input::Heard(message));
                    }
                }
            } else if let Some(input) = self.to_base.pop_front() {
                let decision = self.base.handle(time(self.now), vec![input]);
                keep(&mut self.agent, decision.records);
                for effect in decision.effects {
                    self.perform(effect);
                }
            } else {
                return;
            }
        }
    }

    fn perform(&mut self, effect: base::Effect) {
        match effect {
            base::Effect::Send(message) => self.to_pool.push_back(pool::Input::Said {
                link: LINK,
                message,
            }),
            base::Effect::Launch { run, .. } => self.to_base.push_back(base::Input::Settled {
                uid: run.uid,
                token: run.token,
                outcome: Outcome::Done,
            }),
            _ => {}
        }
    }

    /// So many tenths of a second.
    fn pass(&mut self, tenths: u32) {
        for _ in 0..tenths {
            self.now += 100;
            self.to_pool.push_back(pool::Input::Tick);
            self.to_base.push_back(base::Input::Tick);
            self.settle();
        }
    }

    fn at_node(&mut self, op: Op) {
        self.to_base.push_back(base::Input::Asked { ask: 1, op });
        self.pass(5);
    }

    fn at_coordinator(&mut self, op: Op) {
        self.to_pool.push_back(pool::Input::Asked { ask: 2, op });
        self.pass(5);
    }
}

fn new(id: &str, seconds: u64, durability: Durability) -> NewTimer {
    let uid = u128::from(id.as_bytes()[0]);
    NewTimer {
        pool: PoolId::new("default").unwrap(),
        id: TimerId::new(id).unwrap(),
        uid: Uid(uid),
        request: uid,
        when: When::After(Millis(seconds * 1_000)),
        placement: Placement::Movable,
        handler: HandlerName::new("h").unwrap(),
        target: Default::default(),
        policy: Default::default(),
        paused: false,
        payload: Payload(b"payload".to_vec().into()),
        content_type: String::new(),
        durability,
        labels: BTreeMap::new(),
    }
}

/// Timers of each class, of which some have run, some were cancelled, and the rest are the coordinator's while the
/// node sleeps.
fn history() -> Pair {
    let mut pair = Pair::new();
    let create = |new: NewTimer| Op::Create(Box::new(new));
    pair.at_node(create(new("a", 1, Durability::Local)));
    pair.at_node(create(new("b", 500, Durability::Local)));
    pair.at_node(create(new("c", 500, Durability::Replicated)));
    let labels = BTreeMap::from([("team".to_owned(), "night".to_owned())]);
    pair.at_node(create(NewTimer {
        labels,
        content_type: "text/plain".to_owned(),
        placement: Placement::Pinned(NodeId::new("n1").unwrap()),
        paused: true,
        ..new("d", 600, Durability::Local)
    }));
    let node_timer = TimerName::parse("pools/default/nodes/n1/timers/c").unwrap();
    pair.at_node(Op::cancel(node_timer));
    pair.at_coordinator(create(new("e", 2, Durability::Replicated)));
    pair.at_coordinator(create(new("f", 700, Durability::Replicated)));
    pair.at_coordinator(create(new("g", 800, Durability::Replicated)));
    let pool_timer = TimerName::parse("pools/default/timers/g").unwrap();
    pair.at_coordinator(Op::cancel(pool_timer));
    pair.pass(30);
    pair.at_node(Op::Activity {
        node: NodeId::new("n1").unwrap(),
        activity: Activity::Idle,
    });
    // Of the first the node has to hear when it wakes; the second is pinned to it, and the change waits for it.
    for sleeper in ["b", "d"] {
        let name = format!("pools/default/nodes/n1/timers/{sleeper}");
        pair.at_coordinator(Op::cancel(TimerName::parse(&name).unwrap()));
    }
    pair
}

fn kept(what: &str) -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    root.join(format!("tests/golden/{what}-{}", record::VERSION))
        .join("records.hex")
}

fn read_kept(what: &str) -> String {
    fs::read_to_string(kept(what))
        .expect("run it with BLESS=1 to keep the records of a new version")
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex(text: &str) -> Vec<u8> {
    let byte = |at| u8::from_str_radix(&text[at..at + 2], 16).unwrap();
    (0..text.len()).step_by(2).map(byte).collect()
}

/// A line for each record: key, and value.
fn lines(state: &State) -> String {
    let mut lines = String::new();
    for (key, value) in state {
        writeln!(lines, "{} {}", hex(key), hex(value)).unwrap();
    }
    lines
}

fn state(lines: &str) -> State {
    let record = |line: &str| {
        let (key, value) = line.split_once(' ').unwrap();
        (unhex(key), unhex(value))
    };
    lines.lines().map(record).collect()
}

#[test]
fn the_same_history_leaves_the_same_records_under_the_same_version() {
    let pair = history();
    for (what, state) in [("coordinator", &pair.coordinator), ("agent", &pair.agent)] {
        let path = kept(what);
        if env::var_os("BLESS").is_some() && !path.exists() {
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, lines(state)).unwrap();
        }
        assert!(
            lines(state) == read_kept(what),
            "records of version {} were changed: raise record::VERSION, then run this with BLESS=1\n{}",
            record::VERSION,
            lines(state)
        );
    }
}

#[test]
fn what_is_kept_recovers_to_the_timers_of_its_history() {
    let pool = recover_pool(&state(&read_kept("coordinator")));
    assert_eq!(pool.ledger().len(), history().pool.ledger().len());
    let base = recover_base(&state(&read_kept("agent")));
    assert_eq!(
        base.view(time(0)).timers,
        history().base.view(time(0)).timers
    );
}

#[test]
fn every_kind_of_record_is_kept() {
    let kinds = |what| -> String {
        let kept = state(&read_kept(what));
        let mut kinds: Vec<char> = kept.keys().map(|key| char::from(key[0])).collect();
        kinds.dedup();
        kinds.into_iter().collect()
    };
    assert_eq!(
        (kinds("coordinator").as_str(), kinds("agent").as_str()),
        ("fgmnprt", "mrt")
    );
}
