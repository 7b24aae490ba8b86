//! The world: what is to happen, in the order of true time, and who it happens to.
//!
//! ```text
//!  clients, faults --+                      +--> network --> the other side
//!                    +--> inbox -> machine -> disk -> effects --> workers
//!  network, alarms --+                      +--> answers --> clients
//! ```
//! Everything that happened is told to the rules; the first that is broken ends the history.

use crate::chance::Chance;
use crate::clients::{Clients, Step};
use crate::clock::{Clock, Moment, ms};
use crate::counts::Counts;
use crate::fact::{Break, Fact};
use crate::network::{Network, Wire};
use crate::node::Node;
use crate::plan::{Blow, Plan};
use crate::process::{Doom, Process, Who};
use crate::rules::{Rules, Violation};
use crate::trace::Trace;
use dormouse_engine::id::{Token, Uid};
use dormouse_engine::message::{CoordinatorMessage, NodeMessage};
use dormouse_engine::op::Op;
use dormouse_engine::pool::Pool;
use dormouse_engine::record::Record;
use dormouse_engine::time::Deadlines;
use dormouse_engine::timer::Outcome;
use std::collections::BTreeMap;

/// Something that is to happen.
#[derive(Debug)]
pub(crate) enum Event {
    Start(Who),
    Turn(Who, u64),
    Alarm(Who, u64, u64),
    Durable(Who, u64),
    Dial(usize, u64),
    Connected(Wire),
    Up(Wire, Box<NodeMessage>),
    Down(Wire, Box<CoordinatorMessage>),
    Read(Wire),
    Noticed(Wire, Who),
    Begin(usize, u64, Token),
    End(usize, u64, Uid, Token, Box<Outcome>),
    Resume(usize, u64),
    Unheard(usize, u64),
    Ask(Who, u64, u64, Box<Op>),
    Client(Step),
    Blow(Blow),
    Heal(usize),
    Quiet,
}

/// One simulated world.
pub(crate) struct World {
    pub(crate) plan: Plan,
    pub(crate) chance: Chance,
    pub(crate) now: Moment,
    queue: BTreeMap<(Moment, u64), Event>,
    queued: u64,
    pub(crate) coordinator: Process<Pool>,
    pub(crate) nodes: Vec<Node>,
    pub(crate) net: Network,
    pub(crate) clients: Clients,
    pub(crate) rules: Rules,
    /// Turns of the coordinator.
    pub(crate) turns: u64,
    pub(crate) trace: Trace,
    pub(crate) counts: Counts,
    pub(crate) broken: Option<Violation>,
    /// How long every run takes, if a stage says so.
    pub(crate) run_length: Option<u64>,
    /// Whether every run fails, if a stage says how long it takes.
    pub(crate) runs_fail: bool,
    pub(crate) quiet: bool,
    /// In the quiet, machines sleep whenever they may.
    pub(crate) sleepy: bool,
}

impl World {
    /// A world in which every process is about to start.
    pub(crate) fn new(plan: Plan, keep_trace: bool) -> Self {
        let mut world = Self {
            chance: Chance::new(plan.seed ^ 0x51),
            now: Moment(0),
            queue: BTreeMap::new(),
            queued: 0,
            coordinator: Process::new(Clock::new(0, 0)),
            nodes: plan.nodes.iter().map(Node::new).collect(),
            net: Network::default(),
            clients: Clients::default(),
            rules: Rules::new(&plan),
            turns: 0,
            trace: Trace::new(keep_trace),
            counts: Counts::default(),
            broken: None,
            run_length: None,
            runs_fail: false,
            quiet: false,
            sleepy: false,
            plan,
        };
        world.later(0, Event::Start(Who::Coordinator));
        for index in 0..world.nodes.len() {
            let after = if world.plan_is_staged() {
                1_000
            } else {
                ms(world.chance.below(1_000))
            };
            world.later(after, Event::Start(Who::Node(index)));
        }
        world
    }

    /// Clients and faults begin, and the day on which both end is set.
    pub(crate) fn let_loose(&mut self) {
        self.schedule_clients();
        for (blow, mean) in self.plan.weather.blows.clone() {
            let after = ms(800) + self.chance.around(mean);
            self.later(after, Event::Blow(blow));
        }
        self.at(self.plan.busy, Event::Quiet);
    }

    pub(crate) const fn plan_is_staged(&self) -> bool {
        self.plan.busy.0 == u64::MAX
    }

    /// Whether all faults have ended.
    pub(crate) const fn is_quiet(&self) -> bool {
        self.quiet
    }

    /// Whether machines sleep whenever they may, although all is quiet.
    pub(crate) const fn is_sleepy(&self) -> bool {
        self.sleepy
    }

    pub(crate) fn at(&mut self, at: Moment, event: Event) {
        self.queued += 1;
        self.queue.insert((at.max(self.now), self.queued), event);
    }

    pub(crate) fn later(&mut self, micros: u64, event: Event) {
        self.at(self.now.plus(micros), event);
    }

    pub(crate) fn note(&mut self, line: impl FnOnce() -> String) {
        self.trace.note(self.now, line);
    }

    /// Tells the rules what happened.
    pub(crate) fn see(&mut self, fact: &Fact) {
        match fact {
            Fact::Launched { own, .. } => {
                self.counts.launches += 1;
                self.counts.pulled += u64::from(!own);
            }
            Fact::Woke => self.counts.wakes += 1,
            Fact::Noted { run, .. } => self.counts.note(run.fate),
            _ => {}
        }
        self.trace.note(self.now, || format!("     {fact:?}"));
        if let Err(violation) = self.rules.see(self.now, fact) {
            self.broken.get_or_insert(violation);
        }
    }

    pub(crate) fn accuse(&mut self, rule: &'static str, uid: Option<Uid>, what: String) {
        self.broken.get_or_insert(Violation { rule, uid, what });
    }

    /// Lets things happen until `end`, or until a rule is broken.
    pub(crate) fn run_until(&mut self, end: Moment) {
        while self.broken.is_none()
            && let Some(entry) = self.queue.first_entry()
            && entry.key().0 <= end
        {
            let ((at, _), event) = entry.remove_entry();
            self.now = at;
            self.happen(event);
        }
        self.now = self.now.max(end.min(self.plan.end));
    }

    fn happen(&mut self, event: Event) {
        self.counts.events += 1;
        let Some(event) = self.defer(event) else {
            return;
        };
        match event {
            Event::Start(Who::Coordinator) => self.start_coordinator(),
            Event::Start(Who::Node(index)) => self.start_node(index),
            Event::Turn(Who::Coordinator, life) => self.coordinator_turn(life),
            Event::Turn(Who::Node(index), life) => self.node_turn(index, life),
            Event::Alarm(who, life, number) => self.alarm(who, life, number),
            Event::Durable(who, life) => self.durable(who, life),
            Event::Dial(index, life) => self.dial(index, life),
            Event::Connected(wire) => self.connected(wire),
            Event::Up(wire, message) => self.arrive_up(wire, *message),
            Event::Down(wire, message) => self.arrive_down(wire, *message),
            Event::Read(wire) => self.read_on(wire),
            Event::Noticed(wire, side) => self.noticed(wire, side),
            Event::Begin(index, life, token) => self.begin(index, life, token),
            Event::End(index, life, uid, token, outcome) => {
                self.end((index, life), uid, token, *outcome)
            }
            Event::Resume(index, number) => self.resume_machine(index, number),
            Event::Unheard(index, number) => self.unheard(index, number),
            Event::Ask(who, life, ask, op) => self.ask_arrives(who, life, ask, *op),
            Event::Client(step) => self.client(step),
            Event::Blow(blow) => self.strike(blow),
            Event::Heal(index) => self.nodes[index].blocked = (false, false),
            Event::Quiet => self.calm_down(),
        }
    }

    /// Sets a process's alarm for its next deadline; only the newest counts.
    pub(crate) fn set_alarm(&mut self, who: Who, deadlines: Deadlines) {
        let (clock, life, alarm) = match who {
            Who::Coordinator => {
                let Some(running) = &mut self.coordinator.running else {
                    return;
                };
                running.alarm += 1;
                (
                    &self.coordinator.clock,
                    self.coordinator.life,
                    running.alarm,
                )
            }
            Who::Node(index) => {
                let process = &mut self.nodes[index].process;
                let Some(running) = &mut process.running else {
                    return;
                };
                running.alarm += 1;
                (&process.clock, process.life, running.alarm)
            }
        };
        if let Some(at) = clock.at_deadline(deadlines) {
            let at = at.max(self.now.plus(1)).plus(self.chance.below(80));
            self.at(at, Event::Alarm(who, life, alarm));
        }
    }

    fn alarm(&mut self, who: Who, life: u64, number: u64) {
        match who {
            Who::Coordinator => {
                if self
                    .coordinator
                    .alive(life)
                    .is_some_and(|it| it.alarm == number)
                {
                    self.coordinator_turn(life);
                }
            }
            Who::Node(index) => {
                if self.nodes[index]
                    .process
                    .alive(life)
                    .is_some_and(|it| it.alarm == number)
                {
                    self.node_turn(index, life);
                }
            }
        }
    }

    /// The oldest group on its way has reached the disk.
    fn durable(&mut self, who: Who, life: u64) {
        let doom = match who {
            Who::Coordinator => self.coordinator.doom,
            Who::Node(index) => self.nodes[index].process.doom,
        };
        match (who, doom) {
            (Who::Coordinator, Some(Doom::BeforeDurable)) => return self.crash_coordinator(),
            (Who::Node(index), Some(Doom::BeforeDurable)) => {
                return self.crash_node(index, Break::Crash);
            }
            _ => {}
        }
        match who {
            Who::Coordinator => {
                let Some(running) = self.coordinator.alive(life) else {
                    return;
                };
                let records = running.made_durable();
                self.coordinator.disk.commit(&records);
                self.committed(who, &records);
                self.perform_coordinator(life);
            }
            Who::Node(index) => {
                let process = &mut self.nodes[index].process;
                let Some(running) = process.alive(life) else {
                    return;
                };
                let records = running.made_durable();
                process.disk.commit(&records);
                self.committed(who, &records);
                self.perform_node(index, life);
            }
        }
        self.go_on(who);
    }

    /// A turn follows at once if the last one has left something over, or was held up.
    pub(crate) fn go_on(&mut self, who: Who) {
        let (life, goes_on) = match who {
            Who::Coordinator => (self.coordinator.life, self.coordinator.goes_on()),
            Who::Node(index) => {
                let process = &mut self.nodes[index].process;
                (process.life, process.goes_on())
            }
        };
        if goes_on {
            self.later(1, Event::Turn(who, life));
        }
    }

    fn committed(&mut self, who: Who, records: &[Record]) {
        for record in records {
            if let Some(fact) = crate::evidence::read(who, record) {
                self.see(&fact);
            }
        }
    }

    /// How many effects a doomed process does still do.
    pub(crate) fn take_doom(&mut self, who: Who) -> Option<usize> {
        let doom = match who {
            Who::Coordinator => &mut self.coordinator.doom,
            Who::Node(index) => &mut self.nodes[index].process.doom,
        };
        match *doom {
            Some(Doom::AfterEffects(left)) => {
                *doom = None;
                Some(left)
            }
            _ => None,
        }
    }

    /// How long a group takes to reach the disk.
    pub(crate) fn draw_sync(&mut self) -> u64 {
        if !self.is_quiet() && self.chance.percent(2) {
            self.chance.between(ms(5), ms(60))
        } else {
            self.chance.between(100, 1_200)
        }
    }
}
