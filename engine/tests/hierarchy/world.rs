//! A model of a cluster with a bad network, around a real hierarchy.
//!
//! Nodes send numbered reports that may be late, doubled, reordered or lost, and repeat the newest one
//! until it is answered. The model knows the truth: who owns which deadline, and how often each ran.
//! What the coordinator's ledger would do is done here in its simplest form.

mod agents;
mod ledger;

use super::tale::{node, number};
use dormouse_engine::hierarchy::{Hierarchy, Seq};
use dormouse_engine::time::WallTime;

/// Something that happens. Numbers are taken modulo what there is to choose from.
#[derive(Debug, Clone)]
pub(crate) enum Op {
    Wake(u8),
    Sleep(u8),
    /// A node creates a timer, so many ms ahead; it may be shipped at once.
    Add(u8, u16, bool),
    /// A client creates a timer at the coordinator: for a sleeping node, or for the pool.
    AddThere(Option<u8>, u16),
    Cancel(u8),
    Deliver {
        which: u8,
        keep: bool,
        lose_answer: bool,
    },
    Drop(u8),
    Repeat(u8),
    Die(u8),
    /// The lease of a node runs out, whether it is dead or not.
    Notice(u8),
    Leave(u8),
    Join(u8),
    Eligible(u8, bool),
    SuspectTheSentry,
    Advance(u16),
}

/// What a node is, whatever the coordinator believes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Truth {
    /// Awake, and told so: it fires its own timers.
    Owns,
    /// Awake, waiting for the answer to `Active`: it fires nothing.
    Waking,
    /// Awake, waiting for the answer to `Idle`: it fires nothing.
    Parking,
    Parked,
    Dead,
    Gone,
}

#[derive(Debug)]
struct Node {
    truth: Truth,
    at: Seq,
    /// The newest report while it is not answered.
    pending: Option<Message>,
}

#[derive(Debug, Clone)]
struct Message {
    from: usize,
    at: Seq,
    active: bool,
    /// Timers that the ledger may not know yet.
    tail: Vec<usize>,
}

#[derive(Debug)]
struct Timer {
    /// None for the pool's own.
    home: Option<usize>,
    deadline: i64,
    /// Whether the ledger knows it.
    known: bool,
    claim: Option<usize>,
    ran: u32,
    /// Cancelled, or lost with the only node that knew it.
    void: bool,
}

impl Timer {
    const fn waits(&self) -> bool {
        !self.void && self.ran == 0 && self.claim.is_none()
    }
}

pub(crate) type Told = Result<(), String>;

pub(crate) struct World {
    h: Hierarchy,
    now: i64,
    nodes: Vec<Node>,
    timers: Vec<Timer>,
    wire: Vec<Message>,
    racks: usize,
    /// Among how many nodes the operations choose.
    spread: usize,
}

impl World {
    pub(crate) fn new(capacity: u8, racks: &[usize], spread: usize, awake: bool) -> Self {
        let mut world = Self {
            h: Hierarchy::new(capacity),
            now: 0,
            nodes: Vec::new(),
            timers: Vec::new(),
            wire: Vec::new(),
            racks: racks.len(),
            spread,
        };
        for (r, size) in racks.iter().enumerate() {
            (0..*size).for_each(|_| world.join(r));
        }
        if awake {
            (0..world.nodes.len()).for_each(|n| {
                world.send(n, true);
                world.answer_newest(n).expect("the first report is applied");
            });
            world.wire.clear();
        }
        world
    }

    /// One step, and everything that has to hold after it.
    pub(crate) fn step(&mut self, op: &Op) -> Told {
        match *op {
            Op::Wake(n) => self.turn(n, &[Truth::Parked, Truth::Parking], true),
            Op::Sleep(n) => self.turn(n, &[Truth::Owns, Truth::Waking], false),
            Op::Add(n, delta, shipped) => self.add(n, delta, shipped),
            Op::AddThere(home, delta) => self.add_there(home, delta),
            Op::Cancel(which) => self.cancel(which),
            Op::Deliver {
                which,
                keep,
                lose_answer,
            } => self.deliver(which, keep, lose_answer)?,
            Op::Drop(which) => drop(self.take(which, false)),
            Op::Repeat(n) => self.repeat(n),
            Op::Die(n) => self.die(n),
            Op::Notice(n) => self.notice(n),
            Op::Leave(n) => self.leave(n),
            Op::Join(r) if self.nodes.len() < 220 => {
                self.join(usize::from(r) % (self.racks + 2));
            }
            Op::Join(_) => {}
            Op::Eligible(n, value) => self.eligible(n, value),
            Op::SuspectTheSentry => self.suspect(),
            Op::Advance(delta) => self.advance(i64::from(delta))?,
        }
        self.check()
    }

    /// All faults end, every message arrives, and time passes: nothing may stay behind.
    pub(crate) fn calm(mut self) -> Told {
        while let Some(message) = self.wire.pop() {
            self.receive(&message, false)?;
        }
        for n in self.members().collect::<Vec<_>>() {
            if self.nodes[n].truth == Truth::Dead {
                self.lose(n);
            }
            self.h.eligible(&node(n), true, self.time());
        }
        self.settle_messages()?;
        self.check()?;
        self.check_beliefs()?;
        self.wake_somebody()?;
        let last = self
            .timers
            .iter()
            .map(|timer| timer.deadline)
            .max()
            .unwrap_or(0);
        self.advance((last - self.now).max(0) + 1)?;
        self.check()?;
        self.check_all_ran()
    }

    fn time(&self) -> WallTime {
        WallTime(self.now)
    }

    fn members(&self) -> impl Iterator<Item = usize> {
        (0..self.nodes.len()).filter(|n| self.nodes[*n].truth != Truth::Gone)
    }

    fn pick_member(&self, n: u8) -> Option<usize> {
        let among: Vec<usize> = self.members().take(self.spread).collect();
        among.get(usize::from(n).checked_rem(among.len())?).copied()
    }

    fn pick(&self, n: u8) -> Option<usize> {
        self.pick_member(n)
            .filter(|n| self.nodes[*n].truth != Truth::Dead)
    }

    fn answer_newest(&mut self, n: usize) -> Told {
        match self.nodes[n].pending.clone() {
            Some(message) => self.receive(&message, false),
            None => Ok(()),
        }
    }

    fn settle_messages(&mut self) -> Told {
        for _round in 0..4 {
            (0..self.nodes.len()).try_for_each(|n| self.answer_newest(n))?;
        }
        match self.nodes.iter().position(|node| node.pending.is_some()) {
            Some(n) => Err(format!("n{n} never gets an answer to act on")),
            None => Ok(()),
        }
    }

    fn wake_somebody(&mut self) -> Told {
        let sentry = self.h.sentry().map(|sentry| number(&sentry.node));
        if let Some(n) = sentry.filter(|n| self.nodes[*n].truth != Truth::Parked) {
            return Err(format!("D1: sentry n{n} is {:?}", self.nodes[n].truth));
        }
        let asleep = |n: &usize| self.nodes[*n].truth == Truth::Parked;
        let somebody = sentry.or_else(|| self.members().find(asleep));
        if let Some(n) = somebody.filter(|_| !self.h.on_duty()) {
            self.send(n, true);
            self.answer_newest(n)?;
        }
        Ok(())
    }

    fn check(&self) -> Told {
        self.h.check()?;
        for view in self.h.nodes().filter(|view| !view.active) {
            let first = self.first(Some(number(&view.node)));
            if view.first != first {
                return Err(format!(
                    "E1: {} has {:?}, want {first:?}",
                    view.node, view.first
                ));
            }
        }
        match self.timers.iter().find(|timer| timer.ran > 1) {
            Some(twice) => Err(format!("C1: {twice:?} ran twice")),
            None => Ok(()),
        }
    }

    fn check_beliefs(&self) -> Told {
        for n in self.members() {
            let believed = self.h.node(&node(n)).is_some_and(|view| view.active);
            if believed != (self.nodes[n].truth == Truth::Owns) {
                return Err(format!(
                    "A1: n{n} is {:?}, believed {believed}",
                    self.nodes[n].truth
                ));
            }
        }
        Ok(())
    }

    fn check_all_ran(&self) -> Told {
        if !self.h.on_duty() {
            let alive = self.members().any(|n| self.nodes[n].truth != Truth::Dead);
            return if alive {
                Err("C3: nobody woke".into())
            } else {
                Ok(())
            };
        }
        match self
            .timers
            .iter()
            .find(|timer| !timer.void && timer.ran != 1)
        {
            Some(overdue) => Err(format!("C3: {overdue:?} did not run")),
            None => Ok(()),
        }
    }
}
