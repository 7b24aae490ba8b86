//! What it costs that a node goes idle and is active again: both machines of it, without disk and network.
//!
//! `cargo bench -p dormouse-benches --bench moving`: the time on a core of all turns of the node and of its pool
//! together, from the wish until it is answered and nobody has anything more to say; beside it the longest of these turns.
//! There are 100,000 timers, 10,000 with `--quick`, of a class that the ledger does not have before the
//! node sleeps.

#![expect(clippy::print_stdout, reason = "a bench tells its figures")]

mod busy;
mod quick;

use dormouse_engine::base::{self, Base};
use dormouse_engine::decision::Decision;
use dormouse_engine::id::{NodeId, PoolId, RackId, TimerId, Uid};
use dormouse_engine::op::{Activity, Answer, Op};
use dormouse_engine::pool::{self, Link, Pool};
use dormouse_engine::record::NO_FACTS;
use dormouse_engine::time::{BootTime, Deadlines, Millis, Now, WallTime};
use dormouse_engine::timer::{Durability, HandlerName, NewTimer, Payload, Placement, When};
use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

/// The node that sleeps and the one that keeps watch.
const NODES: [&str; 2] = ["n1", "n2"];
/// Creates of one turn.
const TURN: u128 = 512;
/// Creates have this number.
const NOBODY: u64 = 1;
/// Both wishes have this number.
const WISH: u64 = 2;
/// Time passes in such steps when nobody has anything to say.
const STEP: u64 = 10;
/// And at most so often before a wish is answered.
const STEPS_MAX: usize = 1_000;

#[expect(clippy::large_enum_variant, reason = "mail lives for one delivery")]
enum Mail {
    Up(pool::Input),
    Down(usize, base::Input),
}

struct World {
    now: u64,
    pool: Pool,
    bases: Vec<Base>,
    mail: VecDeque<Mail>,
    answer: Option<Answer>,
    longest: Duration,
    turns: usize,
}

fn id(name: &str) -> NodeId {
    NodeId::new(name).expect("an id")
}

fn at(now: u64) -> Now {
    Now {
        wall: WallTime(1_800_000_000_000 + now.cast_signed()),
        boot: BootTime(1_000_000 + now),
    }
}

fn base(name: &str) -> Base {
    let config = base::Config {
        node: id(name),
        pool: PoolId::new("default").expect("an id"),
        rack: RackId::new("r1").expect("an id"),
        incarnation: 1,
        replicate_after: Millis(200),
        message: Default::default(),
    };
    let recovered = Base::recover(config, NO_FACTS, at(0));
    recovered.expect("an empty base").0
}

fn new_timer(number: u128, durability: Durability) -> NewTimer {
    NewTimer {
        pool: PoolId::new("default").expect("an id"),
        id: TimerId::new(&format!("t{number}")).expect("an id"),
        uid: Uid(number),
        request: number,
        when: When::After(Millis(3_600_000)),
        placement: Placement::Movable,
        handler: HandlerName::new("h").expect("a name"),
        target: Default::default(),
        policy: Default::default(),
        paused: false,
        payload: Payload(vec![0; 100].into()),
        content_type: String::new(),
        durability,
        labels: BTreeMap::new(),
    }
}

fn is_due(deadlines: Deadlines, now: Now) -> bool {
    let Deadlines { wall, boot } = deadlines;
    wall.is_some_and(|it| it <= now.wall) || boot.is_some_and(|it| it <= now.boot)
}

impl World {
    fn new() -> Self {
        let config = pool::Config {
            pool: PoolId::new("default").expect("an id"),
            ledger: 1,
            lease: Millis(10_000),
            wake_grace: Millis(2_000),
            group_capacity: 8,
            message: Default::default(),
        };
        let recovered = Pool::recover(config, NO_FACTS, at(0));
        let mut world = Self {
            now: 0,
            pool: recovered.expect("an empty pool").0,
            bases: NODES.map(base).into(),
            mail: VecDeque::new(),
            answer: None,
            longest: Duration::ZERO,
            turns: 0,
        };
        let places = BTreeMap::from([(HandlerName::new("h").expect("a name"), 10)]);
        for node in 0..NODES.len() {
            let places = places.clone();
            world.tell(node, base::Input::Workers { places });
            world.tell(node, base::Input::Connected);
        }
        world.settle();
        world
    }

    fn tell(&mut self, node: usize, input: base::Input) {
        self.mail.push_back(Mail::Down(node, input));
    }

    fn count(&mut self, begun: Duration) {
        self.longest = self.longest.max(busy::busy() - begun);
        self.turns += 1;
    }

    fn turn_of_pool(&mut self, inputs: Vec<pool::Input>) {
        let begun = busy::busy();
        let Decision { effects, more, .. } = self.pool.handle(at(self.now), inputs);
        self.count(begun);
        for effect in effects {
            if let pool::Effect::Send { link, message } = effect {
                let node = usize::try_from(link.0).expect("a small number");
                self.tell(node, base::Input::Heard(message));
            }
        }
        if more {
            self.mail.push_back(Mail::Up(pool::Input::Tick));
        }
    }

    fn turn_of_base(&mut self, node: usize, inputs: Vec<base::Input>) {
        let begun = busy::busy();
        let Decision { effects, more, .. } = self.bases[node].handle(at(self.now), inputs);
        self.count(begun);
        let link = Link(node as u64);
        for effect in effects {
            match effect {
                base::Effect::Send(message) => {
                    let said = pool::Input::Said { link, message };
                    self.mail.push_back(Mail::Up(said));
                }
                base::Effect::Answer { ask: WISH, answer } => self.answer = Some(answer),
                _ => {}
            }
        }
        if more {
            self.tell(node, base::Input::Tick);
        }
    }

    /// Delivers until nobody has anything to say at this time.
    fn settle(&mut self) {
        loop {
            while let Some(mail) = self.mail.pop_front() {
                match mail {
                    Mail::Up(input) => self.turn_of_pool(vec![input]),
                    Mail::Down(node, input) => self.turn_of_base(node, vec![input]),
                }
            }
            let now = at(self.now);
            if is_due(self.pool.next_deadline(), now) {
                self.turn_of_pool(vec![pool::Input::Tick]);
            }
            for node in 0..NODES.len() {
                if is_due(self.bases[node].next_deadline(), now) {
                    self.turn_of_base(node, vec![base::Input::Tick]);
                }
            }
            if self.mail.is_empty() {
                return;
            }
        }
    }

    fn create(&mut self, count: u128, durability: Durability) {
        for first in (1..=count).step_by(512) {
            let numbers = (first..first + TURN).take_while(|number| *number <= count);
            let creates = numbers.map(|number| base::Input::Asked {
                ask: NOBODY,
                op: Op::Create(Box::new(new_timer(number, durability))),
            });
            let creates = creates.collect();
            self.turn_of_base(0, creates);
            self.settle();
        }
    }

    fn wish(&mut self, activity: Activity) -> Answer {
        let node = id(NODES[0]);
        let op = Op::Activity { node, activity };
        self.tell(0, base::Input::Asked { ask: WISH, op });
        self.settle();
        for _ in 0..STEPS_MAX {
            if let Some(answer) = self.answer.take() {
                return answer;
            }
            self.now += STEP;
            self.settle();
        }
        panic!("nobody answers that {activity:?} is wished for");
    }

    fn measure(&mut self, what: &str, activity: Activity) {
        (self.longest, self.turns) = (Duration::ZERO, 0);
        let before = busy::busy();
        let answer = self.wish(activity);
        let spent = busy::busy() - before;
        assert!(
            matches!(answer, Answer::Activity { .. }),
            "it is refused: {answer:?}"
        );
        println!(
            "{what:<24} {:>7.3} s in {:>5} turns, the longest {:>6.2} ms",
            spent.as_secs_f64(),
            self.turns,
            self.longest.as_secs_f64() * 1e3
        );
    }
}

fn main() {
    let count = if quick::is_asked() { 10_000 } else { 100_000 };
    for durability in [Durability::Ephemeral, Durability::Local] {
        let mut world = World::new();
        world.create(count, durability);
        for round in 1..=3 {
            let what = |what: &str| format!("{what} {durability:?}, {round}");
            world.measure(&what("park"), Activity::Idle);
            world.measure(&what("resume"), Activity::Active);
        }
    }
}
