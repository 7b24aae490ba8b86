//! The quiet at the end: all faults are over, and everything has to settle.
//!
//! Everybody is up and connected again, but for a node that never comes back; in some histories everybody goes
//! to sleep instead, and only alarms wake them.

use crate::clients::Step;
use crate::clock::ms;
use crate::fact::{Break, Fact};
use crate::node::handler;
use crate::plan::{HANDLERS, Kind};
use crate::process::Who;
use crate::world::{Event, World};
use dormouse_engine::base::Input;
use dormouse_engine::op::Activity;

impl World {
    /// All faults end: everybody is up, awake and connected.
    pub(crate) fn calm_down(&mut self) {
        self.quiet = true;
        self.plan.weather.delay = (60, 900);
        let weather = &mut self.plan.weather;
        (weather.slow, weather.lose, weather.double, weather.shuffle) = (0, 0, 0, false);
        self.see(&Fact::Quiet);
        self.coordinator.doom = None;
        self.later(0, Event::Start(Who::Coordinator));
        for index in 0..self.nodes.len() {
            self.heal_node(index);
        }
        if matches!(self.plan.kind, Kind::Crashes | Kind::Everything) {
            self.bury_some_node();
        } else if self.plan.kind != Kind::Network && self.chance.percent(50) {
            self.send_all_to_sleep();
        }
    }

    /// Now and then one node never comes back: what it had and was replicated runs elsewhere.
    fn bury_some_node(&mut self) {
        let index = self.chance.index(self.nodes.len());
        if self.nodes.len() > 1 && self.chance.percent(30) {
            self.nodes[index].dead = true;
            self.crash_node(index, Break::Wipe);
        }
    }

    /// Everybody sleeps, machines and all: only alarms wake them, and their bases put them to sleep again.
    fn send_all_to_sleep(&mut self) {
        self.sleepy = true;
        self.plan.weather.alarm_fails = 0;
        for index in 0..self.nodes.len() {
            let after = ms(self.chance.between(16_000, 18_000));
            self.ask_activity(index, Activity::Idle, after);
            let until = self.plan.end.since(self.now);
            let mut after = after + ms(2_000);
            while after < until {
                self.later(after, Event::Client(Step::Sleep(index)));
                after += ms(self.chance.between(1_000, 3_000));
            }
        }
    }

    fn heal_node(&mut self, index: usize) {
        let node = &mut self.nodes[index];
        node.blocked = (false, false);
        node.process.doom = None;
        node.process.clock.offset %= 20_000;
        // From now on all that recurs has to be run in time, whatever there is of it.
        let count = 3 + u32::try_from(self.plan.timers / 50)
            .unwrap_or(u32::MAX)
            .min(30);
        node.places = HANDLERS.iter().map(|name| (handler(name), count)).collect();
        let (places, sleeps) = (node.places.clone(), node.sleeps);
        self.later(0, Event::Resume(index, sleeps));
        self.later(1, Event::Start(Who::Node(index)));
        self.tell_node(index, Input::Workers { places });
        // Who drained it may not have reached it since; by then everybody is reached.
        if self.nodes[index].drained {
            self.ask_activity(index, Activity::Active, ms(12_000));
        }
    }
}
