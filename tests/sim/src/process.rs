//! One process: a machine, what waits for it, and the groups on their way to its disk.
//!
//! The next turn is decided while the group of the last one is on its way. Effects wait for their own group and
//! all before it. A crash forgets everything but the disk; it may strike before a group is durable, right after
//! it, or between two effects.

use crate::clock::{Clock, Moment};
use crate::disk::Disk;
use crate::network::Wire;
use dormouse_engine::base::{self, Base};
use dormouse_engine::decision::Decision;
use dormouse_engine::pool::{self, Pool};
use dormouse_engine::record::Record;
use dormouse_engine::time::{Deadlines, Now};
use std::collections::VecDeque;

/// Which process is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Who {
    /// The coordinator.
    Coordinator,
    /// A node, by its number.
    Node(usize),
}

/// A machine of the engine, as a process drives it.
pub(crate) trait Machine {
    type Input;
    type Effect;
    fn decide(&mut self, now: Now, inputs: Vec<Self::Input>) -> Decision<Self::Effect>;
    fn deadlines(&self) -> Deadlines;
    fn tick() -> Self::Input;
}

impl Machine for Pool {
    type Input = pool::Input;
    type Effect = pool::Effect;
    fn decide(&mut self, now: Now, inputs: Vec<pool::Input>) -> Decision<pool::Effect> {
        self.handle(now, inputs)
    }
    fn deadlines(&self) -> Deadlines {
        self.next_deadline()
    }
    fn tick() -> pool::Input {
        pool::Input::Tick
    }
}

impl Machine for Base {
    type Input = base::Input;
    type Effect = base::Effect;
    fn decide(&mut self, now: Now, inputs: Vec<base::Input>) -> Decision<base::Effect> {
        self.handle(now, inputs)
    }
    fn deadlines(&self) -> Deadlines {
        self.next_deadline()
    }
    fn tick() -> base::Input {
        base::Input::Tick
    }
}

/// Where the next crash strikes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Doom {
    /// The group is lost, and everything after it.
    BeforeDurable,
    /// The group is durable, and so many of the effects behind it are done.
    AfterEffects(usize),
}

/// A process, running or not.
pub(crate) struct Process<M: Machine> {
    /// The number of the current life, or of the last one.
    pub(crate) life: u64,
    pub(crate) running: Option<Running<M>>,
    pub(crate) disk: Disk,
    pub(crate) clock: Clock,
    pub(crate) doom: Option<Doom>,
}

/// What a crash forgets.
pub(crate) struct Running<M: Machine> {
    pub(crate) machine: M,
    pub(crate) inbox: VecDeque<M::Input>,
    pub(crate) turns: VecDeque<Turn<M::Effect>>,
    /// Whether a turn is on its way.
    pub(crate) roused: bool,
    /// The number of the alarm that counts.
    pub(crate) alarm: u64,
    /// When the disk has finished what it was given.
    pub(crate) disk_free: Moment,
}

/// A decided turn whose effects are not done.
pub(crate) struct Turn<E> {
    pub(crate) records: Vec<Record>,
    pub(crate) durable: bool,
    pub(crate) effects: Vec<E>,
    /// The connection that its messages were meant for.
    pub(crate) wire: Option<Wire>,
}

impl<M: Machine> Process<M> {
    pub(crate) fn new(clock: Clock) -> Self {
        Self {
            life: 0,
            running: None,
            disk: Disk::default(),
            clock,
            doom: None,
        }
    }

    /// Begins a life.
    pub(crate) fn begin(&mut self, machine: M) {
        self.life += 1;
        self.doom = None;
        self.running = Some(Running {
            machine,
            inbox: VecDeque::new(),
            turns: VecDeque::new(),
            roused: false,
            alarm: 0,
            disk_free: Moment(0),
        });
    }

    pub(crate) fn is_up(&self) -> bool {
        self.running.is_some()
    }

    /// The running process, if it still has this life.
    pub(crate) fn alive(&mut self, life: u64) -> Option<&mut Running<M>> {
        self.running.as_mut().filter(|_| self.life == life)
    }
}

impl<M: Machine> Running<M> {
    /// Decides one turn of these inputs, and of a tick if a deadline has come.
    pub(crate) fn decide(
        &mut self,
        now: Now,
        inputs: Vec<M::Input>,
    ) -> Option<Decision<M::Effect>> {
        let deadlines = self.machine.deadlines();
        let due = deadlines.wall.is_some_and(|wall| wall <= now.wall)
            || deadlines.boot.is_some_and(|boot| boot <= now.boot);
        let tick = due.then(M::tick);
        let inputs: Vec<M::Input> = tick.into_iter().chain(inputs).collect();
        (!inputs.is_empty()).then(|| self.machine.decide(now, inputs))
    }

    /// Keeps a turn until it may be performed. Returns whether its group goes to the disk first.
    ///
    /// A shell that speaks first does what it must not: its effects do not wait.
    pub(crate) fn submit(
        &mut self,
        decision: Decision<M::Effect>,
        wire: Option<Wire>,
        speaks_first: bool,
    ) -> bool {
        let written = !decision.records.is_empty();
        let mut turn = Turn {
            durable: !written,
            records: decision.records,
            effects: decision.effects,
            wire,
        };
        if written && speaks_first {
            self.turns.push_front(Turn {
                durable: true,
                records: Vec::new(),
                effects: std::mem::take(&mut turn.effects),
                wire,
            });
        }
        self.turns.push_back(turn);
        written
    }

    /// The group of the oldest turn that has one has reached the disk. Returns its records.
    pub(crate) fn made_durable(&mut self) -> Vec<Record> {
        let turn = self.turns.iter_mut().find(|turn| !turn.durable);
        let Some(turn) = turn else { return Vec::new() };
        turn.durable = true;
        std::mem::take(&mut turn.records)
    }

    /// The next effect that may be done.
    pub(crate) fn next_effect(&mut self) -> Option<(M::Effect, Option<Wire>)> {
        while self.turns.front().is_some_and(|turn| turn.durable) {
            let turn = self.turns.front_mut()?;
            if turn.effects.is_empty() {
                self.turns.pop_front();
            } else {
                let effect = turn.effects.remove(0);
                return Some((effect, turn.wire));
            }
        }
        None
    }
}
