//! What an application asks here and the coordinator answers.

use super::desk::{Origin, Place};
use super::past::Untold;
use super::{Base, Effect};
use crate::message::NodeMessage;
use crate::op::{Answer, Op};
use std::collections::BTreeMap;

/// Everything that the coordinator was asked and has not answered, by its number.
#[derive(Debug, Default)]
pub(super) struct Forwards {
    waiting: BTreeMap<u64, Forward>,
    made: u64,
}

#[derive(Debug)]
struct Forward {
    origin: Origin,
    op: Op,
    /// What the coordinator may answer without, although it was so here when it was asked.
    untold: Untold,
}

impl Forwards {
    /// Nobody waits for the answer any more.
    pub(super) fn forget(&mut self, id: u64) {
        self.waiting.remove(&id);
    }
}

impl Base {
    pub(super) fn forward(&mut self, origin: Origin, op: Op) {
        if !self.link.is_open() {
            return self.answer(
                origin,
                self.unavailable("the coordinator cannot be reached"),
            );
        }
        let id = self.desk.forwards.made;
        self.desk.forwards.made += 1;
        let session = self.link.session();
        self.effects.push(Effect::Send(NodeMessage::Forward {
            session,
            id,
            op: op.clone(),
        }));
        self.desk.note_place(&origin, Place::Forward(id));
        let untold = self.untold(&op);
        let forward = Forward { origin, op, untold };
        self.desk.forwards.waiting.insert(id, forward);
    }

    pub(super) fn forwarded(&mut self, id: u64, answer: Answer) {
        let Some(forward) = self.desk.forwards.waiting.remove(&id) else {
            return;
        };
        let Forward { origin, op, untold } = forward;
        let answer = match (&op, &answer) {
            (Op::List { .. }, Answer::List { .. }) => self.with_own_timers(&op, answer),
            (Op::Runs { .. } | Op::Dead { .. }, _) => self.with_own_past(&op, untold, answer),
            _ => answer,
        };
        self.answer(origin, answer);
    }

    /// The link broke: what was forwarded may or may not have been done.
    pub(super) fn refuse_forwards(&mut self) {
        for forward in std::mem::take(&mut self.desk.forwards.waiting).into_values() {
            self.answer(forward.origin, self.silence());
        }
    }
}
