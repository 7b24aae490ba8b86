//! A node: the shell around a base, as the agent is one.
//!
//! Turns are decided, made durable and performed as the agent does it; the machine below is in `machine`.

use crate::clock::{Clock, Moment, ms};
use crate::executor::Executor;
use crate::fact::{Break, Fact};
use crate::network::Wire;
use crate::plan::NodePlan;
use crate::process::{Process, Who};
use crate::world::{Event, World};
use dormouse_engine::base::{Base, Config, Effect, Input, View};
use dormouse_engine::id::{NodeId, PoolId, RackId, Token, Uid};
use dormouse_engine::message::{
    Act, Capacity, CoordinatorMessage, NodeMessage, Order, Reply, Report,
};
use dormouse_engine::planted::{self, Fault};
use dormouse_engine::record::Record;
use dormouse_engine::time::{BootTime, Millis};
use dormouse_engine::timer::HandlerName;
use std::collections::{BTreeSet, VecDeque};

/// A node.
pub(crate) struct Node {
    pub(crate) name: NodeId,
    pub(crate) rack: RackId,
    pub(crate) process: Process<Base>,
    pub(crate) places: Capacity,
    pub(crate) executor: Executor,
    /// The connection that the link has.
    pub(crate) wire: Option<Wire>,
    /// The connection that the base knows of.
    spoken: Option<Wire>,
    /// Connections that the base will hear of.
    pub(crate) arriving: VecDeque<Wire>,
    /// Whether messages are lost on their way up, and down.
    pub(crate) blocked: (bool, bool),
    /// It never starts again.
    pub(crate) dead: bool,
    /// Somebody told it to serve only itself.
    pub(crate) drained: bool,
    /// Since when the machine sleeps.
    pub(crate) asleep: Option<Moment>,
    pub(crate) sleeps: u64,
    pub(crate) deferred: Vec<Event>,
    /// Tokens of runs that it was ordered to run.
    pub(crate) pulled: BTreeSet<Token>,
    /// The base has heard the coordinator's clock.
    pub(crate) measured: bool,
    /// It has not run for longer than its lease, or not at all, and has not resumed since.
    pub(crate) stopped: bool,
    /// Its last hand-over lists runs whose right ends with it.
    pub(crate) interrupts: bool,
    last_turn: Option<BootTime>,
}

pub(crate) fn pool() -> PoolId {
    PoolId::new("p").expect("a good id")
}

pub(crate) fn handler(name: &str) -> HandlerName {
    HandlerName::new(name).expect("a good name")
}

/// The run that an effect launches.
fn launched(effect: &Effect) -> Option<(Uid, Token)> {
    match effect {
        Effect::Launch { run, .. } => Some((run.uid, run.token)),
        _ => None,
    }
}

impl Node {
    pub(crate) fn new(plan: &NodePlan) -> Self {
        let places = plan
            .places
            .iter()
            .map(|(name, places)| (handler(name), *places));
        Self {
            name: NodeId::new(&plan.name).expect("a good id"),
            rack: RackId::new(&plan.rack).expect("a good id"),
            process: Process::new(Clock::new(plan.offset, plan.drift_ppm)),
            places: places.collect(),
            executor: Executor::default(),
            wire: None,
            spoken: None,
            arriving: VecDeque::new(),
            blocked: (false, false),
            dead: false,
            drained: false,
            asleep: None,
            sleeps: 0,
            deferred: Vec::new(),
            pulled: BTreeSet::new(),
            measured: false,
            stopped: true,
            interrupts: false,
            last_turn: None,
        }
    }

    /// What its operator sees, if its process is up.
    pub(crate) fn view(&self, now: Moment) -> Option<View> {
        let running = self.process.running.as_ref()?;
        Some(running.machine().view(self.process.clock.now(now)))
    }

    /// What it hears that the oracle has to know.
    fn overhear(&mut self, input: &Input) -> bool {
        match input {
            Input::Heard(CoordinatorMessage::Order {
                order: Order::Due { runs },
                ..
            }) => {
                self.pulled.extend(runs.iter().map(|run| run.token));
            }
            Input::Heard(CoordinatorMessage::Welcome(_)) => self.measured = true,
            Input::Heard(CoordinatorMessage::Answer(answer)) => {
                return matches!(answer.reply, Reply::Resumed(_));
            }
            _ => {}
        }
        false
    }
}

impl World {
    /// A node's process begins.
    pub(crate) fn start_node(&mut self, index: usize) {
        let now = self.now;
        let node = &mut self.nodes[index];
        if node.process.is_up() || node.asleep.is_some() || node.dead {
            return;
        }
        let config = Config {
            node: node.name.clone(),
            pool: pool(),
            rack: node.rack.clone(),
            incarnation: u128::from(node.process.life + 1) << 32 | index as u128,
            replicate_after: Millis(200),
            message: self.plan.message,
        };
        let clocks = node.process.clock.now(now);
        let recovered = Base::recover(config, node.process.disk.load(), clocks);
        let (base, first) = recovered.expect("what a base has written it can read");
        node.process.begin(base, self.plan.ahead);
        (node.wire, node.spoken) = (None, None);
        node.arriving.clear();
        node.executor = Executor::default();
        node.pulled.clear();
        (node.measured, node.stopped, node.last_turn) = (false, true, None);
        let (life, places) = (node.process.life, node.places.clone());
        self.note(|| format!("n{index} starts its life {life}"));
        let is_silent = first.effects.is_empty();
        let running = self.nodes[index].process.alive(life);
        let group = running.and_then(|it| it.shell.submit(first, None));
        self.write_node(index, group, is_silent);
        self.tell_node(index, Input::Workers { places });
        let after = ms(self.chance.between(5, 100));
        self.later(after, Event::Dial(index, life));
    }

    /// Something happened to a base; a turn follows.
    pub(crate) fn tell_node(&mut self, index: usize, input: Input) {
        let after = self.chance.between(5, 150);
        let process = &mut self.nodes[index].process;
        let life = process.life;
        let Some(running) = &mut process.running else {
            return;
        };
        running.inbox.push_back(input);
        if !std::mem::replace(&mut running.roused, true) {
            self.later(after, Event::Turn(Who::Node(index), life));
        }
    }

    /// Everything that waits for a base, as one turn; the connection changes between two turns.
    pub(crate) fn node_turn(&mut self, index: usize, life: u64) {
        let now = self.now;
        let node = &mut self.nodes[index];
        let Some(running) = node.process.alive(life) else {
            return;
        };
        if !running.may_begin() {
            return;
        }
        let mut inputs = Vec::new();
        while let Some(input) = running.inbox.pop_front() {
            let change = matches!(input, Input::Connected | Input::Disconnected);
            if change && !inputs.is_empty() {
                running.inbox.push_front(input);
                break;
            }
            if change {
                let connected = input == Input::Connected;
                node.spoken = if connected {
                    node.arriving.pop_front()
                } else {
                    None
                };
            }
            inputs.push(input);
        }
        if !running.inbox.is_empty() {
            running.roused = true;
            self.later(1, Event::Turn(Who::Node(index), life));
        }
        self.decide_node(index, now, inputs);
    }

    fn decide_node(&mut self, index: usize, now: Moment, inputs: Vec<Input>) {
        let node = &mut self.nodes[index];
        let clocks = node.process.clock.now(now);
        let lease = Millis(self.plan.lease_ms);
        node.stopped |= node
            .last_turn
            .is_some_and(|last| clocks.boot.since(last) > lease);
        node.last_turn = Some(clocks.boot);
        let mut resumed = false;
        for input in &inputs {
            resumed |= node.overhear(input);
        }
        if self.trace.is_on() {
            for input in &inputs {
                self.trace.note(now, || format!("n{index} <- {input:?}"));
            }
        }
        let node = &mut self.nodes[index];
        let wire = node.spoken;
        let Some(running) = &mut node.process.running else {
            return;
        };
        let (mut group, mut is_silent, mut launches) = (None, true, Vec::new());
        if !inputs.is_empty() || running.shell.is_due(clocks) {
            group = running.shell.decide(clocks, inputs, |_, effects| {
                is_silent = effects.is_empty();
                launches.extend(effects.iter().filter_map(launched));
                wire.filter(|_| !is_silent)
            });
        }
        let alarm = running.shell.next_deadline();
        if resumed {
            self.nodes[index].stopped = false;
            self.counts.resumes += 1;
        }
        self.watch_launches(index, launches);
        self.write_node(index, group, is_silent);
        self.set_alarm(Who::Node(index), alarm);
        self.go_on(Who::Node(index));
    }

    fn watch_launches(&mut self, index: usize, launches: Vec<(Uid, Token)>) {
        let stopped = self.nodes[index].stopped;
        let offset = self.nodes[index].process.clock.offset;
        for (uid, token) in launches {
            let own = !self.nodes[index].pulled.contains(&token);
            self.see(&Fact::Decided {
                node: index,
                uid,
                token,
                stopped,
                own,
                offset,
            });
        }
    }

    /// The group of a turn goes to the disk, and its effects wait for it.
    fn write_node(&mut self, index: usize, group: Option<Vec<Record>>, is_silent: bool) {
        if group.is_none() && is_silent {
            return;
        }
        let sync = self.draw_sync();
        let process = &mut self.nodes[index].process;
        let (life, now) = (process.life, self.now);
        let speaks = group.is_none() || planted::is(Fault::SpeakBeforeDurable);
        if let Some((running, group)) = process.alive(life).zip(group) {
            let at = running.write(group, now, sync);
            self.at(at, Event::Durable(Who::Node(index), life));
        }
        if speaks {
            self.perform_node(index, life);
        }
    }

    /// Does what may be done, until the turn whose group is on its way.
    pub(crate) fn perform_node(&mut self, index: usize, life: u64) {
        let mut left = self.take_doom(Who::Node(index));
        while let Some((effect, wire)) = self.nodes[index]
            .process
            .alive(life)
            .and_then(|it| it.next_effect())
        {
            if left == Some(0) {
                return self.crash_node(index, Break::Crash);
            }
            left = left.map(|left| left - 1);
            self.do_node(index, effect, wire);
        }
        if left.is_some() {
            self.crash_node(index, Break::Crash);
        }
    }

    fn do_node(&mut self, index: usize, effect: Effect, wire: Option<Wire>) {
        self.trace
            .note(self.now, || format!("n{index} -> {effect:?}"));
        match effect {
            Effect::Send(message) => {
                if let NodeMessage::Report(Report {
                    act: Act::Idle(idle),
                    ..
                }) = &message
                {
                    self.nodes[index].interrupts = !idle.interrupted.is_empty();
                }
                if let Some(wire) = wire {
                    self.say_up(wire, &message);
                }
            }
            Effect::Answer { ask, answer } => self.client_answered(Who::Node(index), ask, answer),
            Effect::Launch { run, until, from } => self.launch(index, run, (from, until)),
            Effect::Abandon { token } => self.abandon(index, token),
            Effect::Reconnect => {
                if let Some(wire) = wire {
                    self.hang_up(wire);
                }
            }
            Effect::Stopped => self.node_stopped(index),
            Effect::Clashed => self.accuse(
                "no node is taken for two",
                None,
                format!("n{index} says that another process has its name"),
            ),
        }
    }

    fn node_stopped(&mut self, index: usize) {
        self.counts.leaves += 1;
        self.crash_node(index, Break::Left);
    }

    /// A node's process ends at once.
    pub(crate) fn crash_node(&mut self, index: usize, why: Break) {
        let node = &mut self.nodes[index];
        if why == Break::Wipe {
            node.process.disk.wipe();
        }
        if !node.process.is_up() {
            return self.see(&Fact::Broke { node: index, why });
        }
        node.process.running = None;
        node.process.doom = None;
        node.wire = None;
        node.asleep = None;
        node.deferred.clear();
        let reboot = self.chance.percent(50);
        let node = &mut self.nodes[index];
        if reboot {
            node.process.clock.reboot(self.now);
        }
        self.see(&Fact::Broke { node: index, why });
        self.hang_up_all(Who::Node(index));
        if !self.plan_is_staged() {
            let after = if self.chance.percent(70) {
                self.chance.between(20, 3_000)
            } else {
                self.chance.between(3_000, 25_000)
            };
            self.later(ms(after), Event::Start(Who::Node(index)));
        }
    }
}
