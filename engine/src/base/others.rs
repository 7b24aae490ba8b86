//! Which handlers other nodes have free places for, as far as the coordinator has said.
//!
//! ```text
//! node                                      coordinator
//!   | -- Heartbeat{wanted: [h]} -------------> |
//!   | <-------------- Pulse{rooms: {h: 3}} --- |   three may be handed over, no more
//!   | -- Report{handed: [a, b, c]} ----------> |
//!   | <---------------------- Give{a} -------- |   it ran elsewhere: another one may follow
//! ```
//! What nobody else has room for stays at home: handing it over would cost a claim for each run, and win nothing.

use crate::message::Capacity;
use crate::planted::{self, Fault};
use crate::time::Millis;
use crate::timer::HandlerName;
use std::collections::BTreeSet;

/// At most this many handlers are asked for in one heartbeat.
pub const WANTED_MAX: usize = 64;
/// A handler that nobody else had room for is asked for again after this.
pub(super) const ASK_AGAIN: Millis = Millis(1_000);
/// What did not fit into one heartbeat is asked for after this.
pub(super) const ASK_NEXT: Millis = Millis(100);

/// What is known of the free places of others.
#[derive(Debug, Default)]
pub(super) struct Others {
    rooms: Capacity,
    wanted: BTreeSet<HandlerName>,
}

impl Others {
    /// Asks for this handler in the next heartbeat. Returns whether there was room for the question.
    pub(super) fn want(&mut self, handler: &HandlerName) -> bool {
        self.wanted.len() < WANTED_MAX && {
            self.wanted.insert(handler.clone());
            true
        }
    }

    pub(super) fn take_wanted(&mut self) -> Vec<HandlerName> {
        std::mem::take(&mut self.wanted).into_iter().collect()
    }

    /// The coordinator has answered a heartbeat. What it does not name it was not asked for: nothing is known of it.
    pub(super) fn told(&mut self, rooms: Capacity) {
        self.rooms = rooms;
    }

    /// The handlers that others have room for.
    pub(super) fn roomy(&self) -> Vec<HandlerName> {
        let roomy = self.rooms.iter().filter(|(_, places)| **places > 0);
        roomy.map(|(handler, _)| handler.clone()).collect()
    }

    /// Takes one place of another node.
    pub(super) fn take_room(&mut self, handler: &HandlerName) -> bool {
        if planted::is(Fault::HandWithoutRoom) {
            return true;
        }
        match self.rooms.get_mut(handler) {
            Some(places) if *places > 0 => {
                *places -= 1;
                true
            }
            _ => false,
        }
    }

    /// What was handed over has come to an end there: another one may take its place.
    pub(super) fn give_room(&mut self, handler: &HandlerName) -> bool {
        let places = self.rooms.get_mut(handler);
        places
            .map(|places| *places = places.saturating_add(1))
            .is_some()
    }

    /// What was said counts no more.
    pub(super) fn forget(&mut self) {
        *self = Self::default();
    }
}
