//! The network between the nodes and the coordinator: connections, and what becomes of messages on them.
//!
//! A connection breaks at one moment and each side notices at another; until then what it says is lost. Within a
//! connection messages may be late, lost, doubled and shuffled: the protocol has to stand more than a stream does. What
//! waits for a node that reads slowly waits in the outbox that ships.

use crate::clock::{Moment, ms};
use crate::process::Who;
use crate::world::{Event, World};
use dormouse_edge::shell::{Outbox, weigh};
use dormouse_engine::base;
use dormouse_engine::message::{CoordinatorMessage, NodeMessage};
use dormouse_engine::pool::{self, Link};
use std::collections::BTreeMap;

/// The number of a connection; it is the coordinator's number of the link, too.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Wire(pub(crate) u64);

/// One connection.
#[derive(Debug)]
pub(crate) struct Connection {
    node: usize,
    node_life: u64,
    coordinator_life: u64,
    /// Nothing that is said from now on arrives.
    cut: bool,
    /// The coordinator has not noticed its end.
    accepted: bool,
    /// When the last message that keeps its place arrives, in each direction.
    last: (Moment, Moment),
    /// What the coordinator has said and the node not read, if that is bounded.
    outbox: Option<Outbox<CoordinatorMessage>>,
    /// The node is about to read the next message.
    reads: bool,
}

/// Bytes that wait in an outbox. Messages are what is scarce here.
const OUTBOX_BYTES: usize = 1 << 20;

/// All connections.
#[derive(Debug, Default)]
pub(crate) struct Network {
    wires: BTreeMap<Wire, Connection>,
    made: u64,
}

/// Which way a message goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    Up,
    Down,
}

impl World {
    /// A node tries to reach the coordinator.
    pub(crate) fn dial(&mut self, index: usize, life: u64) {
        let node = &self.nodes[index];
        if node.process.life != life || !node.process.is_up() || node.wire.is_some() {
            return;
        }
        let open = node.blocked == (false, false) && self.coordinator.is_up();
        if !open {
            let again = ms(self.chance.between(50, 1_500));
            return self.later(again, Event::Dial(index, life));
        }
        self.net.made += 1;
        let wire = Wire(self.net.made);
        self.net.wires.insert(
            wire,
            Connection {
                node: index,
                node_life: life,
                coordinator_life: self.coordinator.life,
                cut: false,
                accepted: true,
                last: (self.now, self.now),
                outbox: self.plan.outbox.map(|most| Outbox::new(most, OUTBOX_BYTES)),
                reads: false,
            },
        );
        self.nodes[index].wire = Some(wire);
        self.note(|| format!("n{index} is connected by {wire:?}"));
        self.later(300, Event::Connected(wire));
    }

    /// The base hears that it is connected.
    pub(crate) fn connected(&mut self, wire: Wire) {
        let Some(connection) = self.net.wires.get(&wire) else {
            return;
        };
        let (index, life) = (connection.node, connection.node_life);
        let node = &mut self.nodes[index];
        if node.wire == Some(wire) && node.process.life == life {
            node.arriving.push_back(wire);
            self.tell_node(index, base::Input::Connected);
        }
    }

    pub(crate) fn node_of(&self, wire: Wire) -> Option<usize> {
        self.net.wires.get(&wire).map(|connection| connection.node)
    }

    /// A node says something on a connection.
    pub(crate) fn say_up(&mut self, wire: Wire, message: &NodeMessage) {
        for at in self.transmit(wire, Way::Up) {
            self.at(at, Event::Up(wire, Box::new(message.clone())));
        }
    }

    /// The coordinator says something on a connection.
    pub(crate) fn say_down(&mut self, wire: Wire, message: &CoordinatorMessage) {
        let now = self.now.boot();
        let connection = self.net.wires.get_mut(&wire);
        let Some(connection) = connection.filter(|it| it.outbox.is_some()) else {
            return self.send_down(wire, message);
        };
        let (keep, bytes) = weigh::from_coordinator(message);
        let outbox = connection.outbox.as_mut();
        let kept = outbox.is_some_and(|it| it.push(now, keep, bytes, message.clone()));
        self.counts.dropped += u64::from(!kept);
        let connection = self.net.wires.get_mut(&wire);
        if connection.is_some_and(|it| !std::mem::replace(&mut it.reads, true)) {
            self.read_on(wire);
        }
    }

    /// The node is about to read the next message that waits for it.
    pub(crate) fn read_on(&mut self, wire: Wire) {
        match self.take_waiting(wire) {
            Some(message) => {
                self.send_down(wire, &message);
                let weather = &self.plan.weather;
                let after = self.chance.between(weather.delay.0, weather.delay.1);
                self.later(after, Event::Read(wire));
            }
            None => {
                if let Some(connection) = self.net.wires.get_mut(&wire) {
                    connection.reads = false;
                }
            }
        }
    }

    fn take_waiting(&mut self, wire: Wire) -> Option<CoordinatorMessage> {
        let now = self.now.boot();
        let outbox = self.net.wires.get_mut(&wire)?.outbox.as_mut()?;
        outbox.pop(now)
    }

    fn send_down(&mut self, wire: Wire, message: &CoordinatorMessage) {
        for at in self.transmit(wire, Way::Down) {
            self.at(at, Event::Down(wire, Box::new(message.clone())));
        }
    }

    /// When copies of a message arrive: none if it is lost.
    fn transmit(&mut self, wire: Wire, way: Way) -> Vec<Moment> {
        let Some(connection) = self.net.wires.get_mut(&wire) else {
            return Vec::new();
        };
        let blocked = self.nodes[connection.node].blocked;
        let blocked = if way == Way::Up { blocked.0 } else { blocked.1 };
        let weather = &self.plan.weather;
        if connection.cut || blocked || self.chance.percent(weather.lose) {
            return Vec::new();
        }
        let copies = 1 + u64::from(self.chance.percent(weather.double));
        let mut arrivals = Vec::new();
        for _ in 0..copies {
            let slow = self.chance.percent(weather.slow);
            let delay = match slow {
                true => self.chance.between(weather.delay.1, weather.slow_max),
                false => self.chance.between(weather.delay.0, weather.delay.1),
            };
            let last = if way == Way::Up {
                &mut connection.last.0
            } else {
                &mut connection.last.1
            };
            let mut at = self.now.plus(delay);
            if !weather.shuffle {
                at = at.max(last.plus(1));
                *last = at;
            }
            arrivals.push(at);
        }
        arrivals
    }

    pub(crate) fn arrive_up(&mut self, wire: Wire, message: NodeMessage) {
        let Some(connection) = self.net.wires.get(&wire) else {
            return;
        };
        if connection.accepted && connection.coordinator_life == self.coordinator.life {
            let link = Link(wire.0);
            self.tell_coordinator(pool::Input::Said { link, message });
        }
    }

    pub(crate) fn arrive_down(&mut self, wire: Wire, message: CoordinatorMessage) {
        let Some(connection) = self.net.wires.get(&wire) else {
            return;
        };
        let (index, life) = (connection.node, connection.node_life);
        let node = &self.nodes[index];
        if node.wire == Some(wire) && node.process.life == life {
            self.tell_node(index, base::Input::Heard(message));
        }
    }

    /// A connection breaks. Each side notices after so many microseconds.
    pub(crate) fn break_wire(&mut self, wire: Wire, node_after: u64, coordinator_after: u64) {
        let Some(connection) = self.net.wires.get_mut(&wire) else {
            return;
        };
        connection.cut = true;
        self.note(|| format!("{wire:?} breaks"));
        self.later(node_after, Event::Noticed(wire, Who::Node(0)));
        self.later(coordinator_after, Event::Noticed(wire, Who::Coordinator));
    }

    /// One side notices that a connection is no more.
    pub(crate) fn noticed(&mut self, wire: Wire, side: Who) {
        match side {
            Who::Node(_) => self.node_noticed(wire),
            Who::Coordinator => self.coordinator_noticed(wire),
        }
    }

    fn node_noticed(&mut self, wire: Wire) {
        let Some(connection) = self.net.wires.get_mut(&wire) else {
            return;
        };
        connection.cut = true;
        let (index, life) = (connection.node, connection.node_life);
        let node = &mut self.nodes[index];
        if node.wire == Some(wire) && node.process.life == life {
            node.wire = None;
            self.tell_node(index, base::Input::Disconnected);
            let again = ms(self.chance.between(20, 1_200));
            self.later(again, Event::Dial(index, life));
        }
    }

    fn coordinator_noticed(&mut self, wire: Wire) {
        let Some(connection) = self.net.wires.get_mut(&wire) else {
            return;
        };
        connection.cut = true;
        let open = std::mem::replace(&mut connection.accepted, false);
        if open && connection.coordinator_life == self.coordinator.life {
            self.tell_coordinator(pool::Input::Closed { link: Link(wire.0) });
        }
    }

    /// The base gives a connection up.
    pub(crate) fn hang_up(&mut self, wire: Wire) {
        let after = self.chance.between(100, ms(3_000));
        self.later(after, Event::Noticed(wire, Who::Coordinator));
        self.node_noticed(wire);
    }

    /// The coordinator gives a connection up, after what it has said.
    pub(crate) fn close(&mut self, wire: Wire) {
        while let Some(message) = self.take_waiting(wire) {
            self.send_down(wire, &message);
        }
        let Some(connection) = self.net.wires.get_mut(&wire) else {
            return;
        };
        connection.accepted = false;
        connection.cut = true;
        let after = connection.last.1.since(self.now) + self.chance.between(100, ms(800));
        self.later(after, Event::Noticed(wire, Who::Node(0)));
    }

    /// The connections of a process that has ended.
    pub(crate) fn hang_up_all(&mut self, who: Who) {
        let of = |connection: &Connection| match who {
            Who::Coordinator => true,
            Who::Node(index) => connection.node == index,
        };
        let open = self
            .net
            .wires
            .iter()
            .filter(|(_, it)| of(it) && (!it.cut || it.accepted));
        let open: Vec<Wire> = open.map(|(wire, _)| *wire).collect();
        for wire in open {
            let late = if self.is_quiet() {
                ms(2_000)
            } else {
                ms(9_000)
            };
            let (node, coordinator) = (
                self.chance.between(100, late),
                self.chance.between(100, late),
            );
            self.break_wire(wire, node, coordinator);
        }
    }

    /// The open connection of some node.
    pub(crate) fn some_wire(&mut self) -> Option<Wire> {
        let open: Vec<Wire> = self.nodes.iter().filter_map(|node| node.wire).collect();
        (!open.is_empty()).then(|| *self.chance.pick(&open))
    }
}
