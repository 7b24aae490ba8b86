//! What a report tells beside what becomes of the ownership, as much as one message holds.

use super::Capacity;
use crate::id::{Token, Uid};
use crate::op::Answer;
use crate::page::{Room, Weigh};
use crate::time::{LogIndex, WallTime};
use crate::timer::{Outcome, RunRecord, Timer};

/// What a report tells, all of it idempotent.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Items {
    /// Timers of this home as they are now.
    pub changed: Vec<Timer>,
    /// Timers of this home that are no more.
    pub gone: Vec<Uid>,
    /// Timers of this home that it cannot run itself just now.
    pub handed: Vec<Uid>,
    /// What the pulled runs of this node came to.
    pub outcomes: Vec<(Uid, Token, Outcome)>,
    /// Pulled runs that this node took.
    pub accepted: Vec<Token>,
    /// Pulled runs that this node could not begin.
    pub declined: Vec<Token>,
    /// Timers given back to this home that it now owns, with their tokens as they were given; or of whose end it has
    /// heard.
    pub taken: Vec<(Uid, Token)>,
    /// Answers to [`Order::Change`](super::Order::Change).
    pub answers: Vec<(u64, Answer)>,
    /// The deadline that this node is armed for.
    pub armed: Option<WallTime>,
    /// Free places for pulled runs, if they changed.
    pub capacity: Option<Capacity>,
    /// Why this node must not be migrator or sentry, or that it may again; if that changed.
    pub eligible: Option<bool>,
    /// The changes of [`Reply::Resumed`](super::Reply::Resumed) up to here are durable at the node.
    pub resumed: Option<LogIndex>,
    /// What became of runs of this home's timers.
    pub past: Vec<(Uid, RunRecord)>,
    /// Attempts to sleep up to this one are given up: what was staged is the node's own.
    pub abandoned: Option<u64>,
}

impl Items {
    /// Puts what is told now behind what was told before and may not have been heard.
    pub(crate) fn append(&mut self, newer: Self) {
        self.handed.extend(newer.handed);
        self.outcomes.extend(newer.outcomes);
        self.accepted.extend(newer.accepted);
        self.declined.extend(newer.declined);
        self.taken.extend(newer.taken);
        self.answers.extend(newer.answers);
        self.armed = newer.armed.or(self.armed);
        self.capacity = newer.capacity.or_else(|| self.capacity.take());
        self.eligible = newer.eligible.or(self.eligible);
        self.resumed = newer.resumed.or(self.resumed);
        self.past.extend(newer.past);
        self.abandoned = newer.abandoned.or(self.abandoned);
    }

    /// Takes out what one message does not hold; what stays takes its room.
    pub(crate) fn split_off_excess(&mut self, room: &mut Room, most: usize) -> Self {
        let answers = self.answers.iter();
        let answers = answers.take_while(|(_, answer)| room.take(answer.weight()));
        let answers = answers.count();
        let mut later = Self {
            handed: split_off(&mut self.handed, most),
            outcomes: split_off(&mut self.outcomes, most),
            accepted: split_off(&mut self.accepted, most),
            declined: split_off(&mut self.declined, most),
            taken: split_off(&mut self.taken, most),
            answers: self.answers.split_off(answers),
            past: split_off(&mut self.past, most),
            ..Self::default()
        };
        // A run that is declined says that there is no room, and what is said of places after it that there is.
        if !later.declined.is_empty() {
            later.capacity = self.capacity.take();
        }
        later
    }

    /// Whether it is more than one message holds; otherwise it takes its room.
    pub(crate) fn exceeds(&self, room: &mut Room, most: usize) -> bool {
        let numbers = [
            self.handed.len(),
            self.outcomes.len(),
            self.accepted.len(),
            self.declined.len(),
            self.taken.len(),
            self.past.len(),
        ];
        let mut answers = self.answers.iter();
        let fit = answers.all(|(_, answer)| room.take(answer.weight()));
        !fit || numbers.into_iter().any(|number| number > most)
    }

    /// Whether there is nothing to tell.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

fn split_off<T>(items: &mut Vec<T>, most: usize) -> Vec<T> {
    items.split_off(items.len().min(most))
}
