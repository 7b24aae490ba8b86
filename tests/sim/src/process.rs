//! One process: a machine, what waits for it, and the groups on their way to its disk.
//!
//! The shell is the one that ships: what may be decided and performed when is its affair. A crash forgets everything
//! but the disk; it may strike before a group is durable, right after it, or between two effects.

use crate::clock::{Clock, Moment};
use crate::disk::Disk;
use crate::network::Wire;
use dormouse_edge::shell::{Ahead, Step, Turns};
use dormouse_engine::machine::Machine;
use dormouse_engine::record::Record;
use std::collections::VecDeque;

/// Which process is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Who {
    /// The coordinator.
    Coordinator,
    /// A node, by its number.
    Node(usize),
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
    /// The shell that coordinator and agent have; a turn's messages are meant for the connection that goes along.
    pub(crate) shell: Turns<M, Wire>,
    pub(crate) inbox: VecDeque<M::Input>,
    /// Groups on their way to the disk, the oldest first.
    groups: VecDeque<Vec<Record>>,
    /// Whether a turn is on its way.
    pub(crate) roused: bool,
    /// A turn was not decided because too many wait for the disk.
    pub(crate) held_up: bool,
    /// The number of the alarm that counts.
    pub(crate) alarm: u64,
    /// When the disk has finished what it was given.
    pub(crate) disk_free: Moment,
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
    pub(crate) fn begin(&mut self, machine: M, ahead: Ahead) {
        self.life += 1;
        self.doom = None;
        self.running = Some(Running {
            shell: Turns::new(machine, ahead),
            inbox: VecDeque::new(),
            groups: VecDeque::new(),
            roused: false,
            held_up: false,
            alarm: 0,
            disk_free: Moment(0),
        });
    }

    /// Whether a turn has to follow at once. It is on its way then.
    pub(crate) fn goes_on(&mut self) -> bool {
        let Some(running) = &mut self.running else {
            return false;
        };
        let may = running.shell.may_decide();
        let goes_on = may && (running.held_up || running.shell.has_more());
        goes_on && !std::mem::replace(&mut running.roused, true)
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
    /// A turn begins. Whether it may be decided now; else it comes when the disk has caught up.
    pub(crate) fn may_begin(&mut self) -> bool {
        self.roused = false;
        self.held_up = !self.shell.may_decide();
        !self.held_up
    }

    /// The machine, to be looked at.
    pub(crate) const fn machine(&self) -> &M {
        self.shell.machine()
    }

    /// Puts a group on its way to the disk, which takes so long. Returns when it is there.
    pub(crate) fn write(&mut self, group: Vec<Record>, now: Moment, sync: u64) -> Moment {
        self.groups.push_back(group);
        self.disk_free = self.disk_free.max(now).plus(sync);
        self.disk_free
    }

    /// The oldest group on its way has reached the disk. Returns its records.
    pub(crate) fn made_durable(&mut self) -> Vec<Record> {
        self.shell.durable();
        self.groups.pop_front().unwrap_or_default()
    }

    /// The next effect that may be done, and the connection that it was meant for.
    pub(crate) fn next_effect(&mut self) -> Option<(M::Effect, Option<Wire>)> {
        loop {
            match self.shell.next_step()? {
                Step::Perform(effect) => return Some((effect, self.shell.about().copied())),
                Step::Performed(_) => {}
            }
        }
    }
}
