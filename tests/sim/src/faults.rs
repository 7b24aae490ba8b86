//! What goes wrong, again and again, until the quiet comes.

use crate::clock::ms;
use crate::fact::Break;
use crate::node::handler;
use crate::plan::{Blow, HANDLERS};
use crate::process::Doom;
use crate::world::{Event, World};
use dormouse_engine::base::Input;
use dormouse_engine::op::Activity;

impl World {
    /// A blow strikes, and the next one of its kind is drawn.
    pub(crate) fn strike(&mut self, blow: Blow) {
        if self.is_quiet() {
            return;
        }
        let mean = self
            .plan
            .weather
            .blows
            .iter()
            .find(|(kind, _)| *kind == blow);
        let mean = mean.map_or(ms(10_000), |(_, mean)| *mean);
        let after = self.chance.around(mean);
        self.later(after, Event::Blow(blow));
        let index = self.chance.index(self.nodes.len());
        match blow {
            Blow::Nap => self.nap(index),
            Blow::Workers => self.change_workers(index),
            Blow::BreakLink => self.break_some_link(),
            Blow::Partition => self.cut_off(index),
            Blow::CrashNode => self.doom_node(index),
            Blow::CrashCoordinator => self.doom_coordinator(),
            Blow::Leave => self.leave(index),
            Blow::Wipe => self.crash_node(index, Break::Wipe),
            Blow::Suspend => self.stop_machine(index),
            Blow::StepClock => self.step_clock(index),
        }
    }

    /// Most naps are of one node; now and then everybody goes to sleep.
    fn nap(&mut self, index: usize) {
        let all = self.chance.percent(20);
        for other in 0..self.nodes.len() {
            if other != index && !all {
                continue;
            }
            let activity = if self.chance.percent(90) {
                Activity::Idle
            } else {
                Activity::Drain
            };
            let after = ms(self.chance.below(400));
            self.ask_activity(other, activity, after);
            let awake = after + ms(self.chance.between(500, 15_000));
            self.ask_activity(other, Activity::Active, awake);
        }
    }

    fn change_workers(&mut self, index: usize) {
        let mut places = dormouse_engine::message::Capacity::new();
        for name in HANDLERS {
            let count = self.chance.below(4);
            if count > 0 {
                places.insert(handler(name), u32::try_from(count).expect("small"));
            }
        }
        let node = &mut self.nodes[index];
        node.places = places.clone();
        self.tell_node(index, Input::Workers { places });
    }

    fn break_some_link(&mut self) {
        if let Some(wire) = self.some_wire() {
            let longest = ms(*self.chance.pick(&[50, 1_000, 8_000]));
            let (node, coordinator) = (
                self.chance.between(10, longest),
                self.chance.between(10, longest),
            );
            self.break_wire(wire, node, coordinator);
        }
    }

    fn cut_off(&mut self, index: usize) {
        self.nodes[index].blocked =
            *self
                .chance
                .pick(&[(true, true), (true, true), (true, false), (false, true)]);
        let after = ms(self.chance.between(200, 20_000));
        self.later(after, Event::Heal(index));
        if self.chance.percent(60)
            && let Some(wire) = self.nodes[index].wire
        {
            let (node, coordinator) = (
                ms(self.chance.between(100, 15_000)),
                ms(self.chance.between(100, 15_000)),
            );
            self.break_wire(wire, node, coordinator);
        }
    }

    fn draw_doom(&mut self) -> Option<Doom> {
        if !self.chance.percent(self.plan.weather.crash_at_step) {
            return None;
        }
        Some(match self.chance.below(4) {
            0 => Doom::BeforeDurable,
            1 => Doom::AfterEffects(0),
            _ => Doom::AfterEffects(self.chance.index(4)),
        })
    }

    fn doom_node(&mut self, index: usize) {
        match self.draw_doom() {
            Some(doom) => self.nodes[index].process.doom = Some(doom),
            None => self.crash_node(index, Break::Crash),
        }
    }

    fn doom_coordinator(&mut self) {
        match self.draw_doom() {
            Some(doom) => self.coordinator.doom = Some(doom),
            None => self.crash_coordinator(),
        }
    }

    fn leave(&mut self, index: usize) {
        self.tell_node(index, Input::Stop);
    }

    fn stop_machine(&mut self, index: usize) {
        let longest = *self.chance.pick(&[500, 6_000, 30_000]);
        let until = self.now.plus(ms(self.chance.between(100, longest)));
        self.suspend(index, Some(until), false);
    }

    fn step_clock(&mut self, index: usize) {
        let step = i64::try_from(self.chance.below(3_000_000)).expect("small") - 1_500_000;
        let clock = &mut self.nodes[index].process.clock;
        clock.offset = step / if self.chance.percent(50) { 100 } else { 1 };
    }
}
