//! One seed: its history is played, judged, and told again with its story if a rule was broken.

use crate::clock::{ms, wall_at};
use crate::counts::Counts;
use crate::plan::Plan;
use crate::rules::{Ending, Violation};
use crate::story;
use crate::world::World;
use dormouse_engine::base::{Effect, Input, State};
use dormouse_engine::id::{TimerName, Uid};
use dormouse_engine::ledger::Entry;
use dormouse_engine::op::{Answer, Op};
use dormouse_engine::timer::Timer;
use std::collections::BTreeMap;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// So long may a hand-over take at the end.
const HAND_OVER_MS: u64 = 1_000;

/// A history in which every rule held.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// What happened how often.
    pub counts: Counts,
    /// Of the whole trace; zero if it was not kept.
    pub hash: u64,
}

/// A history in which a rule was broken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// The seed that tells it again.
    pub seed: u64,
    /// The rule.
    pub violation: Violation,
    /// What happened to the timer concerned, and what happened last.
    pub story: String,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "seed {} breaks the rule: {}",
            self.seed, self.violation.rule
        )?;
        writeln!(f, "  {}", self.violation.what)?;
        writeln!(f, "  again: make sim SEED={}", self.seed)?;
        f.write_str(&self.story)
    }
}

/// Plays the history of a seed.
///
/// # Errors
/// [`Failure`] with its story if a rule is broken.
pub fn run(seed: u64) -> Result<Report, Box<Failure>> {
    run_plan(&Plan::of(seed))
}

/// Plays the history of a plan.
///
/// # Errors
/// [`Failure`] with its story if a rule is broken.
pub fn run_plan(plan: &Plan) -> Result<Report, Box<Failure>> {
    match play(plan, false) {
        (_, Some(_)) => {
            let (world, violation) = play(plan, true);
            let violation = violation.unwrap_or(Violation {
                rule: "the same seed tells the same history",
                uid: None,
                what: "the second time nothing was broken".into(),
            });
            let story = world.map_or_else(String::new, |world| {
                story::of(world.trace.lines(), violation.uid)
            });
            Err(Box::new(Failure {
                seed: plan.seed,
                violation,
                story,
            }))
        }
        (world, None) => Ok(report(world)),
    }
}

/// Plays the history of a seed twice as carefully: with its trace, whose hash is in the report.
///
/// # Errors
/// The rule that is broken.
pub fn tell(seed: u64) -> Result<Report, Violation> {
    match play(&Plan::of(seed), true) {
        (_, Some(violation)) => Err(violation),
        (world, None) => Ok(report(world)),
    }
}

/// Everything that happens in the history of a seed, until its end or until a rule is broken.
#[must_use]
pub fn trace(seed: u64) -> Vec<String> {
    let (world, _) = play(&Plan::of(seed), true);
    let lines = world
        .as_ref()
        .map(|world| world.trace.lines())
        .unwrap_or_default();
    lines.iter().map(|line| story::shorten(line)).collect()
}

fn report(world: Option<World>) -> Report {
    let world = world.expect("a world that broke no rule is there");
    Report {
        hash: world.trace.hash,
        counts: world.counts,
    }
}

fn play(plan: &Plan, keep_trace: bool) -> (Option<World>, Option<Violation>) {
    let mut world = World::new(plan.clone(), keep_trace);
    world.let_loose();
    let end = plan.end;
    let played = catch_unwind(AssertUnwindSafe(|| {
        world.run_until(end);
        world.finish_hand_overs();
        if world.broken.is_none() {
            world.judge();
        }
    }));
    if let Err(panic) = played {
        let what = panic.downcast_ref::<String>().cloned();
        let what = what.or_else(|| panic.downcast_ref::<&str>().map(|what| (*what).to_owned()));
        world.accuse("no machine panics", None, what.unwrap_or_default());
    }
    let broken = world.broken.clone();
    (Some(world), broken)
}

impl World {
    /// Nobody is judged in the middle of a hand-over: for some milliseconds both sides have it, or none.
    fn finish_hand_overs(&mut self) {
        let end = self.plan.end;
        let mut steps = 0..HAND_OVER_MS;
        while self.is_handing_over()
            && let Some(step) = steps.next()
        {
            self.run_until(end.plus(ms(step)));
        }
    }

    fn is_handing_over(&self) -> bool {
        let views = self.nodes.iter().filter_map(|node| node.view(self.now));
        let mut states = views.map(|view| view.state);
        states.any(|state| matches!(state, State::Parking | State::Starting))
    }

    /// Judges how everything stands at the end.
    fn judge(&mut self) {
        let names: Vec<(Uid, TimerName)> = self
            .rules
            .acknowledged()
            .map(|(uid, name, _)| (uid, name.clone()))
            .collect();
        let ledger: Vec<Entry> = match &self.coordinator.running {
            Some(running) => running.machine().ledger().entries().cloned().collect(),
            None => Vec::new(),
        };
        let mut ending = Ending {
            clock: wall_at(self.now),
            dead: self
                .nodes
                .iter()
                .find(|node| node.dead)
                .map(|node| node.name.clone()),
            ledger: ledger
                .into_iter()
                .map(|entry| (entry.timer.uid, entry.timer))
                .collect(),
            ..Ending::default()
        };
        let (mut of_owners, mut of_sleepers) = (BTreeMap::new(), BTreeMap::new());
        for index in 0..self.nodes.len() {
            // A sleeper that is cut off, awake again or not, tells what it knew when it fell asleep.
            let view = self.nodes[index].view(self.now);
            let asleep = |state| matches!(state, State::Idle | State::Starting);
            match view.is_some_and(|view| asleep(view.state)) {
                true => of_sleepers.extend(self.look_at_node(index, &names)),
                false => of_owners.extend(self.look_at_node(index, &names)),
            }
        }
        for (uid, _) in names {
            let owner = of_owners.remove(&uid);
            let ledger = owner.or_else(|| ending.ledger.get(&uid).cloned());
            let timer = ledger.or_else(|| of_sleepers.remove(&uid));
            ending.owned.extend(timer.map(|timer| (uid, timer)));
        }
        if let Err(violation) = self.rules.end(&ending) {
            self.broken.get_or_insert(violation);
        }
    }

    /// Those of these timers that a node answers for, in one turn: it may be the one in which it falls asleep.
    fn look_at_node(&mut self, index: usize, names: &[(Uid, TimerName)]) -> Vec<(Uid, Timer)> {
        let process = &mut self.nodes[index].process;
        let clocks = process.clock.now(self.now);
        let Some(running) = &mut process.running else {
            return Vec::new();
        };
        let asks = (0..=u64::MAX).rev();
        let looks: BTreeMap<u64, &(Uid, TimerName)> = asks.zip(names).collect();
        let inputs = looks.iter().map(|(ask, (_, name))| Input::Asked {
            ask: *ask,
            op: Op::Look { name: name.clone() },
        });
        let mut timers = Vec::new();
        let answered = |effect: &Effect| match effect {
            Effect::Answer {
                ask,
                answer: Answer::Timer(timer),
            } => Some((looks.get(ask)?.0, Timer::clone(timer))),
            _ => None,
        };
        let group = running
            .shell
            .decide(clocks, inputs.collect(), |_, effects| {
                timers.extend(effects.iter().filter_map(answered));
                None
            });
        // The history is over: nothing is written any more.
        drop(group);
        timers
    }
}
