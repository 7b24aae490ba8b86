//! What a seed decides before anything happens: the nodes, the weather, and how long it lasts.

use crate::chance::Chance;
use crate::clock::{Moment, ms};
use dormouse_edge::shell::Ahead;
use dormouse_engine::message::MessageLimits;

/// What sort of history it will be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Nodes idle, sleep and wake; nothing fails.
    Calm,
    /// Messages are late, lost, doubled and shuffled; links break; nodes are cut off.
    Network,
    /// Processes crash at every durable step and come back; nodes leave; disks are lost.
    Crashes,
    /// Machines stop for a while, at any moment; sentries do not wake; clocks step.
    Sleepers,
    /// All of it.
    Everything,
}

/// Something that strikes again and again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Blow {
    /// A node is told to idle, and later to be active.
    Nap,
    /// The workers of a node are others now.
    Workers,
    /// A connection breaks; each side notices in its own time.
    BreakLink,
    /// A node is cut off, in one direction or both.
    Partition,
    /// A node's process dies.
    CrashNode,
    /// The coordinator dies.
    CrashCoordinator,
    /// A node leaves in order, and comes back.
    Leave,
    /// A node dies and its disk is lost.
    Wipe,
    /// A machine stops, at any moment.
    Suspend,
    /// The UTC clock of a node steps.
    StepClock,
}

/// What the network does to messages, and workers to runs; numbers are percent.
#[derive(Debug, Clone)]
pub(crate) struct Weather {
    /// How long a message takes, in microseconds.
    pub(crate) delay: (u64, u64),
    /// How many take up to [`Weather::slow_max`].
    pub(crate) slow: u64,
    pub(crate) slow_max: u64,
    pub(crate) lose: u64,
    pub(crate) double: u64,
    /// Messages may overtake each other.
    pub(crate) shuffle: bool,
    pub(crate) run_fails: u64,
    pub(crate) run_hangs: u64,
    /// How many sleepers are not woken by their alarm.
    pub(crate) alarm_fails: u64,
    /// How many crashes wait for a durable step.
    pub(crate) crash_at_step: u64,
    /// The mean distance of blows, in microseconds.
    pub(crate) blows: Vec<(Blow, u64)>,
}

/// One node.
#[derive(Debug, Clone)]
pub(crate) struct NodePlan {
    pub(crate) name: String,
    pub(crate) rack: String,
    pub(crate) offset: i64,
    pub(crate) drift_ppm: i64,
    /// Worker places by handler.
    pub(crate) places: Vec<(String, u32)>,
}

/// What a seed decides before anything happens.
#[derive(Debug, Clone)]
pub struct Plan {
    pub(crate) seed: u64,
    /// What sort of history it will be.
    pub kind: Kind,
    pub(crate) nodes: Vec<NodePlan>,
    pub(crate) lease_ms: u64,
    pub(crate) wake_grace_ms: u64,
    pub(crate) capacity: u8,
    pub(crate) weather: Weather,
    /// How many timers users create.
    pub(crate) timers: u64,
    /// How many percent of them are due long after the end.
    pub(crate) far: u64,
    /// When a part of the others is due, all of them at one instant.
    pub(crate) burst: Option<Moment>,
    /// Clients and faults go on until then.
    pub(crate) busy: Moment,
    /// Everything has to be settled by then.
    pub(crate) end: Moment,
    /// How far decisions may be ahead of the disks.
    pub(crate) ahead: Ahead,
    /// How much goes into one message between node and coordinator.
    pub message: MessageLimits,
    /// How many messages wait for a node to read them, if it reads no faster than one at a time.
    pub outbox: Option<usize>,
}

/// How large a history is.
struct Size {
    nodes: u64,
    timers: u64,
    far: u64,
    /// For how long users and faults go on, in milliseconds.
    busy_ms: u64,
}

impl Size {
    /// Most have some nodes with some dozens of timers. Of a thousand, one has 100,000 timers, four have 200 nodes, and
    /// one lasts longer than ended timers are kept.
    fn of(chance: &mut Chance) -> Self {
        let usual = Self {
            nodes: chance.doubling(1, 49),
            timers: chance.doubling(4, 600),
            far: 0,
            busy_ms: chance.between(25_000, 60_000),
        };
        match chance.below(1_000) {
            0 => Self {
                nodes: chance.between(1, 7),
                timers: 100_000,
                // Their workers can run the rest in time.
                far: 99,
                ..usual
            },
            1..=4 => Self {
                nodes: 200,
                ..usual
            },
            5 => Self {
                nodes: chance.between(1, 4),
                timers: chance.doubling(4, 64),
                far: 10,
                busy_ms: 3_600_000,
            },
            _ => usual,
        }
    }
}

/// In every third history over a bad network nodes read slowly, and little waits for them.
fn outbox(chance: &mut Chance, kind: Kind) -> Option<usize> {
    let most = *chance.pick(&[Some(2), Some(8), None, None, None, None]);
    most.filter(|_| matches!(kind, Kind::Network | Kind::Everything))
}

/// In half of the histories what does not fit into one small message travels in pieces.
fn message(chance: &mut Chance) -> MessageLimits {
    let items = *chance.pick(&[1, 2, 4, 4_096, 4_096, 4_096]);
    let bytes = *chance.pick(&[1 << 9, 4 << 10, 1 << 20, 1 << 20]);
    MessageLimits { bytes, items }
}

/// Enough for every history.
const AHEAD: Ahead = Ahead {
    turns: 64,
    bytes: 16 << 20,
};

pub(crate) const HANDLERS: [&str; 3] = ["mail", "bill", "scan"];

impl Plan {
    /// The plan of this seed.
    #[must_use]
    pub fn of(seed: u64) -> Self {
        let mut chance = Chance::new(seed);
        let kind = match seed % 5 {
            0 => Kind::Calm,
            1 => Kind::Network,
            2 => Kind::Crashes,
            3 => Kind::Sleepers,
            _ => Kind::Everything,
        };
        let size = Size::of(&mut chance);
        let racks = chance.between(1, 3);
        let nodes = (0..size.nodes)
            .map(|n| NodePlan::of(&mut chance, n, racks))
            .collect();
        let busy = ms(size.busy_ms);
        let burst = chance.between(ms(1_000), busy);
        let burst = chance.percent(25).then_some(Moment(burst));
        Self {
            seed,
            kind,
            nodes,
            lease_ms: *chance.pick(&[2_000, 3_000, 5_000, 10_000]),
            wake_grace_ms: *chance.pick(&[500, 2_000]),
            capacity: *chance.pick(&[2, 2, 3, 8]),
            weather: Weather::of(&mut chance, kind),
            timers: size.timers,
            far: size.far,
            burst,
            busy: Moment(busy),
            end: Moment(busy + ms(QUIET_MS)),
            ahead: AHEAD,
            message: message(&mut chance),
            outbox: outbox(&mut chance, kind),
        }
    }

    /// Whether it is told within milliseconds.
    #[must_use]
    pub fn is_small(&self) -> bool {
        self.nodes.len() <= 7 && self.timers <= 28 && self.busy <= Moment(ms(60_000))
    }

    /// A plan in which nothing happens by itself: nodes `n0`, `n1`, ... of rack `r0`, two by two in groups.
    #[must_use]
    pub fn staged(nodes: u64, lease_ms: u64) -> Self {
        let weather = Weather {
            blows: Vec::new(),
            run_fails: 0,
            run_hangs: 0,
            ..Weather::calm()
        };
        let node = |n| NodePlan {
            name: format!("n{n}"),
            rack: "r0".into(),
            offset: 0,
            drift_ppm: 0,
            places: HANDLERS
                .iter()
                .map(|handler| ((*handler).into(), 4))
                .collect(),
        };
        Self {
            seed: 0,
            kind: Kind::Calm,
            nodes: (0..nodes).map(node).collect(),
            lease_ms,
            wake_grace_ms: 2_000,
            capacity: 2,
            weather,
            timers: 0,
            far: 0,
            burst: None,
            busy: Moment(u64::MAX),
            end: Moment(u64::MAX),
            ahead: AHEAD,
            message: MessageLimits::default(),
            outbox: None,
        }
    }
}

/// How long it takes at most until everything is settled after the last fault: a run that hangs is given up
/// after a minute, and tried again up to eight seconds later; leases and ladders come on top.
pub(crate) const QUIET_MS: u64 = 110_000;

impl NodePlan {
    fn of(chance: &mut Chance, number: u64, racks: u64) -> Self {
        let offset = match chance.below(8) {
            0 => 1_700_000,
            1 | 2 => -350_000,
            _ => i64::try_from(chance.below(40_000)).expect("small") - 20_000,
        };
        let places = HANDLERS.iter().filter_map(|handler| {
            let places = u32::try_from(chance.below(4)).expect("small");
            (places > 0).then(|| ((*handler).to_owned(), places))
        });
        let places = places.collect();
        Self {
            name: format!("n{number}"),
            rack: format!("r{}", number % racks),
            offset,
            drift_ppm: *chance.pick(&[0, 0, 60, -60]),
            places,
        }
    }
}

impl Weather {
    fn calm() -> Self {
        Self {
            delay: (60, 400),
            slow: 0,
            slow_max: 0,
            lose: 0,
            double: 0,
            shuffle: false,
            run_fails: 0,
            run_hangs: 0,
            alarm_fails: 0,
            crash_at_step: 0,
            blows: Vec::new(),
        }
    }

    fn of(chance: &mut Chance, kind: Kind) -> Self {
        let mut weather = Self::calm();
        weather
            .blows
            .push((Blow::Nap, ms(chance.between(1_500, 9_000))));
        weather.run_fails = chance.below(8);
        if kind == Kind::Calm {
            return weather;
        }
        weather.run_hangs = chance.below(3);
        weather.blows.push((Blow::Workers, ms(15_000)));
        if matches!(kind, Kind::Network | Kind::Everything) {
            weather.worsen_network(chance);
        }
        if matches!(kind, Kind::Crashes | Kind::Everything) {
            weather.crash_at_step = chance.below(100);
            weather.strike(
                chance,
                &[Blow::CrashNode, Blow::CrashCoordinator, Blow::Leave],
            );
            if chance.percent(30) {
                weather.strike(chance, &[Blow::Wipe]);
            }
        }
        if matches!(kind, Kind::Sleepers | Kind::Everything) {
            weather.alarm_fails = chance.below(30);
            weather.strike(chance, &[Blow::Suspend, Blow::StepClock, Blow::Nap]);
        }
        weather
    }

    fn worsen_network(&mut self, chance: &mut Chance) {
        self.delay = (100, *chance.pick(&[500, 3_000, 30_000]));
        self.slow = chance.below(6);
        self.slow_max = ms(*chance.pick(&[200, 1_500, 5_000]));
        self.lose = *chance.pick(&[0, 1, 5, 20]);
        self.double = *chance.pick(&[0, 3, 20]);
        self.shuffle = chance.percent(70);
        self.strike(chance, &[Blow::BreakLink, Blow::Partition]);
    }

    fn strike(&mut self, chance: &mut Chance, blows: &[Blow]) {
        for blow in blows {
            if chance.percent(80) {
                self.blows.push((*blow, ms(chance.between(3_000, 25_000))));
            }
        }
    }
}
