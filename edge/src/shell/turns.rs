//! Durable before spoken: decided turns, and which of their effects may be performed.
//!
//! Later turns are decided while the groups of earlier ones are on their way to the disk. The effects of a turn are
//! performed after its own group and those of all earlier turns are durable, in the order of the turns, also if it
//! has no group. There is no I/O here: a driver appends the groups in order, and says when each is durable.

use dormouse_engine::decision::Decision;
use dormouse_engine::machine::Machine;
use dormouse_engine::planted::{self, Fault};
use dormouse_engine::record::Record;
use dormouse_engine::time::{Deadlines, Now};
use std::collections::VecDeque;
use std::vec;

/// How far decisions may be ahead of the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ahead {
    /// Turns that are decided and not performed.
    pub turns: usize,
    /// Bytes of records that are decided and not durable. A single group may be larger.
    pub bytes: usize,
}

/// A machine, and what it has decided that is not done. `C` goes along with a turn until its effects are performed.
#[derive(Debug)]
pub struct Turns<M: Machine, C> {
    machine: M,
    ahead: Ahead,
    /// The oldest first.
    waiting: VecDeque<Turn<M::Effect, C>>,
    /// Of the groups on their way.
    bytes: usize,
    more: bool,
    restless: bool,
}

#[derive(Debug)]
struct Turn<E, C> {
    /// Bytes of its group; none if it has none, or none any more.
    on_the_way: Option<usize>,
    effects: vec::IntoIter<E>,
    about: Option<C>,
}

/// What may be done now.
#[derive(Debug, PartialEq, Eq)]
pub enum Step<E, C> {
    /// Perform this.
    Perform(E),
    /// All effects of the turn that this belongs to are performed.
    Performed(C),
}

impl<M: Machine, C> Turns<M, C> {
    /// Nothing is decided yet.
    pub const fn new(machine: M, ahead: Ahead) -> Self {
        Self {
            machine,
            ahead,
            waiting: VecDeque::new(),
            bytes: 0,
            more: false,
            restless: false,
        }
    }

    /// The machine, to be looked at.
    pub const fn machine(&self) -> &M {
        &self.machine
    }

    /// Whether another turn may be decided: not too many wait for the disk.
    pub fn may_decide(&self) -> bool {
        self.waiting.len() < self.ahead.turns && self.bytes < self.ahead.bytes
    }

    /// The machine wants another turn at once, whatever its deadline is.
    pub const fn has_more(&self) -> bool {
        self.more
    }

    /// The last turn was for a deadline, which is still over although nothing followed from it: a driver that did not
    /// rest would do nothing else any more.
    pub const fn is_restless(&self) -> bool {
        self.restless
    }

    /// Whether nothing waits to become durable or to be performed.
    pub fn is_idle(&self) -> bool {
        self.waiting.is_empty()
    }

    /// When a turn is due without an input.
    pub fn next_deadline(&self) -> Deadlines {
        self.machine.next_deadline()
    }

    /// Whether a turn without an input has something to do.
    pub fn is_due(&self, now: Now) -> bool {
        let Deadlines { wall, boot } = self.next_deadline();
        self.more || wall.is_some_and(|it| it <= now.wall) || boot.is_some_and(|it| it <= now.boot)
    }

    /// Decides one turn. Returns its group, which the driver appends to the journal behind the earlier ones; none if
    /// there is nothing to append.
    ///
    /// `about` is called with the machine as it is after the turn, and with what the turn wants done.
    #[must_use = "a group that is not appended is never durable"]
    pub fn decide(
        &mut self,
        now: Now,
        inputs: Vec<M::Input>,
        about: impl FnOnce(&M, &[M::Effect]) -> Option<C>,
    ) -> Option<Vec<Record>> {
        let was_told_nothing = inputs.is_empty();
        let decision = self.machine.handle(now, inputs);
        let nothing_follows = decision.is_empty() && !decision.more;
        self.restless = was_told_nothing && nothing_follows && self.is_due(now);
        let about = about(&self.machine, &decision.effects);
        self.submit(decision, about)
    }

    /// Takes over what the machine has decided by itself, as it does when it is recovered. Else as [`Turns::decide`].
    #[must_use = "a group that is not appended is never durable"]
    pub fn submit(
        &mut self,
        decision: Decision<M::Effect>,
        about: Option<C>,
    ) -> Option<Vec<Record>> {
        self.more = decision.more;
        if decision.is_empty() && about.is_none() {
            return None;
        }
        let Decision {
            records, effects, ..
        } = decision;
        let group = (!records.is_empty()).then_some(records);
        let on_the_way = group.as_deref().map(size);
        self.bytes += on_the_way.unwrap_or_default();
        self.waiting.push_back(Turn {
            on_the_way,
            effects: effects.into_iter(),
            about,
        });
        group
    }

    /// The oldest group on its way is durable.
    pub fn durable(&mut self) {
        let group = self.waiting.iter_mut().find_map(|it| it.on_the_way.take());
        self.bytes -= group.unwrap_or_default();
    }

    /// What is to be done next, if something may be. A crash may come between any two steps.
    pub fn next_step(&mut self) -> Option<Step<M::Effect, C>> {
        while let Some(turn) = self.waiting.front_mut() {
            let is_durable = turn.on_the_way.is_none();
            if (is_durable || planted::is(Fault::SpeakBeforeDurable))
                && let Some(effect) = turn.effects.next()
            {
                return Some(Step::Perform(effect));
            }
            if !is_durable {
                return None;
            }
            let about = self.waiting.pop_front().and_then(|turn| turn.about);
            if let Some(about) = about {
                return Some(Step::Performed(about));
            }
        }
        None
    }

    /// What goes along with the turn whose effects are being performed.
    pub fn about(&self) -> Option<&C> {
        self.waiting.front()?.about.as_ref()
    }
}

fn size(group: &[Record]) -> usize {
    let sizes = group
        .iter()
        .map(|record| record.key.len() + record.value.as_ref().map_or(0, Vec::len));
    sizes.sum()
}

#[cfg(test)]
mod tests;
