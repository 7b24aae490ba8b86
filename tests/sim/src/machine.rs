//! The machine that a node runs on: it sleeps and wakes, and nothing reaches it meanwhile.
//!
//! A machine that sleeps does nothing at all; what comes for it waits until it wakes, and both its clocks have
//! gone on. It wakes by its own alarm, set for the base's next deadline, or when somebody comes.

use crate::clock::{Moment, ms};
use crate::fact::Fact;
use crate::process::Who;
use crate::world::{Event, World};

impl World {
    /// A machine stops. It goes on at `until`, or earlier by its alarm if that works.
    pub(crate) fn suspend(&mut self, index: usize, until: Option<Moment>, alarm_works: bool) {
        let node = &mut self.nodes[index];
        let Some(running) = &node.process.running else {
            return;
        };
        if node.asleep.is_some() {
            return;
        }
        let alarm = node
            .process
            .clock
            .at_deadline(running.shell.next_deadline());
        let alarm = alarm.filter(|_| alarm_works);
        node.asleep = Some(self.now);
        node.sleeps += 1;
        let number = node.sleeps;
        self.note(|| format!("n{index} sleeps until {until:?}, alarm {alarm:?}"));
        if let Some(at) = alarm.into_iter().chain(until).min() {
            self.at(at.max(self.now), Event::Resume(index, number));
        }
        if self.chance.percent(40) {
            let after = ms(self.chance.between(2_000, 20_000));
            self.later(after, Event::Unheard(index, number));
        }
    }

    /// The coordinator's end gives up the connection of a machine that sleeps; the machine notices when it wakes.
    pub(crate) fn unheard(&mut self, index: usize, number: u64) {
        let node = &self.nodes[index];
        let still = node.asleep.is_some() && node.sleeps == number;
        if let Some(wire) = node.wire.filter(|_| still) {
            self.break_wire(wire, 100, 0);
        }
    }

    /// A machine goes on: what came meanwhile comes now.
    pub(crate) fn resume_machine(&mut self, index: usize, number: u64) {
        let node = &mut self.nodes[index];
        if node.sleeps != number {
            return;
        }
        if node.asleep.take().is_none() {
            return;
        }
        let waiting = std::mem::take(&mut node.deferred);
        self.see(&Fact::Woke);
        for event in waiting {
            self.later(1, event);
        }
    }

    /// Keeps an event for a sleeping machine. Gives it back if the machine is awake.
    pub(crate) fn defer(&mut self, event: Event) -> Option<Event> {
        let index = match &event {
            Event::Turn(Who::Node(index), _)
            | Event::Alarm(Who::Node(index), ..)
            | Event::Durable(Who::Node(index), _)
            | Event::Ask(Who::Node(index), ..)
            | Event::Dial(index, _)
            | Event::Begin(index, ..) => Some(*index),
            Event::Connected(wire) | Event::Down(wire, _) | Event::Noticed(wire, Who::Node(_)) => {
                self.node_of(*wire)
            }
            _ => None,
        };
        match index
            .map(|index| &mut self.nodes[index])
            .filter(|node| node.asleep.is_some())
        {
            Some(node) => {
                node.deferred.push(event);
                None
            }
            None => Some(event),
        }
    }
}
