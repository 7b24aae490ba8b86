//! What users wish for: timers of every class, with every policy, most of them plain.

use crate::chance::Chance;
use crate::clock::wall_at;
use crate::node::{handler, pool};
use crate::plan::HANDLERS;
use crate::process::Who;
use crate::world::World;
use dormouse_engine::id::{TimerId, Uid};
use dormouse_engine::schedule::Cron;
use dormouse_engine::time::{Millis, WallTime};
use dormouse_engine::timer::{
    Bounds, Durability, Effort, Isolation, Misfire, MisfireMode, NewTimer, Overlap, Payload,
    Placement, Policy, Retry, When,
};
use std::collections::BTreeMap;

/// No delay is longer, and none as long as the shortest period.
const JITTER_MAX: u64 = 600;
/// Longer than any history.
const DAY_MS: u64 = 24 * 3_600_000;

impl World {
    /// A timer that somebody asks for at this place.
    pub(super) fn some_timer(&mut self, uid: Uid, asked_at: Who) -> NewTimer {
        let placement = self.some_placement(asked_at);
        let durability = match (asked_at, &placement) {
            (Who::Coordinator, Placement::Movable) => Durability::Replicated,
            _ => *self.chance.pick(&[
                Durability::Ephemeral,
                Durability::Local,
                Durability::ReplicatedAsync,
                Durability::Replicated,
                Durability::Replicated,
            ]),
        };
        let now = wall_at(self.now);
        NewTimer {
            pool: pool(),
            id: TimerId::new(&format!("t{:x}", uid.0)).expect("a good id"),
            uid,
            request: uid.0,
            when: self.some_time(now),
            placement,
            handler: handler(HANDLERS[self.chance.index(HANDLERS.len())]),
            target: Default::default(),
            policy: some_policy(&mut self.chance, now),
            paused: self.chance.percent(4),
            payload: Payload::default(),
            content_type: String::new(),
            durability,
            labels: BTreeMap::new(),
        }
    }

    fn some_time(&mut self, now: WallTime) -> When {
        if self.chance.percent(self.plan.far) {
            return When::After(Millis(self.chance.between(DAY_MS, 30 * DAY_MS)));
        }
        match self.plan.burst.map(wall_at).filter(|at| *at > now) {
            Some(at) if self.chance.percent(30) => When::At(at),
            _ => some_time(&mut self.chance, now),
        }
    }

    fn some_placement(&mut self, asked_at: Who) -> Placement {
        let pinned_to =
            self.chance
                .percent(25)
                .then(|| match (asked_at, self.chance.percent(80)) {
                    (Who::Node(index), true) => index,
                    _ => self.chance.index(self.nodes.len()),
                });
        match pinned_to {
            Some(index) => Placement::Pinned(self.nodes[index].name.clone()),
            None => Placement::Movable,
        }
    }
}

pub(super) fn some_time(chance: &mut Chance, now: WallTime) -> When {
    match chance.below(10) {
        0..=2 => When::After(Millis(chance.between(1, 25_000))),
        3 | 4 => When::At(now + Millis(chance.between(1, 25_000))),
        5 => When::At(WallTime(now.0 - 5_000)),
        6..=8 => When::Every {
            interval: Millis(*chance.pick(&[700, 1_500, 5_000, 12_000])),
            phase: None,
        },
        _ => {
            let expression = *chance.pick(&["*/2 * * * * *", "*/7 * * * * *", "30 * * * * *"]);
            When::Cron(Cron::parse(expression, "UTC").expect("a good expression"))
        }
    }
}

/// Half of the timers are plain.
fn some_policy(chance: &mut Chance, now: WallTime) -> Policy {
    let mut policy = Policy::default();
    if chance.percent(45) {
        return policy;
    }
    if chance.percent(25) {
        policy.effort = Effort::AtMostOnce;
    }
    if chance.percent(20) {
        policy.isolation = Isolation::Hold;
    }
    if chance.percent(60) {
        policy.overlap = some_overlap(chance);
    }
    if chance.percent(40) {
        policy.misfire = some_misfire(chance);
    }
    if chance.percent(50) {
        policy.retry = some_retry(chance);
    }
    if chance.percent(25) {
        policy.bounds = some_bounds(chance, now);
    }
    if chance.percent(20) {
        policy.jitter = Millis(chance.below(JITTER_MAX));
    }
    policy
}

pub(super) fn some_overlap(chance: &mut Chance) -> Overlap {
    *chance.pick(&[
        Overlap::Skip,
        Overlap::Allow,
        Overlap::Replace,
        Overlap::BufferOne,
    ])
}

fn some_misfire(chance: &mut Chance) -> Misfire {
    Misfire {
        mode: *chance.pick(&[MisfireMode::Skip, MisfireMode::Once, MisfireMode::All]),
        grace: Millis(*chance.pick(&[200, 2_000, 60_000])),
        window: *chance.pick(&[None, Some(Millis(1_000)), Some(Millis(20_000))]),
        cap: *chance.pick(&[1, 3, 100]),
    }
}

pub(super) fn some_retry(chance: &mut Chance) -> Retry {
    Retry {
        attempts_max: u32::try_from(chance.between(1, 4)).expect("small"),
        backoff_first: Millis(*chance.pick(&[50, 300, 1_000])),
        backoff_max: Millis(*chance.pick(&[1_000, 4_000])),
        factor_permille: *chance.pick(&[1_000, 1_500, 2_000]),
        attempt_timeout: Millis(*chance.pick(&[500, 2_000, 60_000])),
    }
}

fn some_bounds(chance: &mut Chance, now: WallTime) -> Bounds {
    let mut bounds = Bounds::default();
    if chance.percent(30) {
        bounds.start = Some(now + Millis(chance.between(1, 9_000)));
    }
    if chance.percent(30) {
        bounds.end = Some(now + Millis(chance.between(9_500, 40_000)));
    }
    if chance.percent(50) {
        bounds.occurrences_max = Some(chance.between(1, 6));
    }
    if chance.percent(30) {
        bounds.expire = Some(now + Millis(chance.between(2_000, 40_000)));
    }
    bounds
}
