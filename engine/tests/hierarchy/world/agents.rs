//! What nodes and clients do, and what the network does to their messages.
//!
//! A node acts only on the answer to its newest report; what the coordinator makes of reports, it does
//! through the real hierarchy.

use super::{Message, Timer, Told, Truth, World};
use crate::tale::node;
use dormouse_engine::hierarchy::{Cover, Freshness, Report};

impl World {
    pub(super) fn turn(&mut self, n: u8, from: &[Truth], active: bool) {
        if let Some(n) = self
            .pick(n)
            .filter(|n| from.contains(&self.nodes[*n].truth))
        {
            self.send(n, active);
        }
    }

    pub(super) fn send(&mut self, n: usize, active: bool) {
        let tail = (0..self.timers.len())
            .filter(|t| self.timers[*t].home == Some(n) && !self.timers[*t].known)
            .collect();
        let sender = &mut self.nodes[n];
        sender.at.number += 1;
        sender.truth = if active {
            Truth::Waking
        } else {
            Truth::Parking
        };
        let message = Message {
            from: n,
            at: sender.at,
            active,
            tail,
        };
        sender.pending = Some(message.clone());
        self.wire.push(message);
    }

    pub(super) fn add(&mut self, n: u8, delta: u16, shipped: bool) {
        let Some(n) = self.pick(n) else { return };
        match self.nodes[n].truth {
            Truth::Owns => {
                self.create(Some(n), delta, shipped);
                self.ledger_changed(Some(n));
            }
            Truth::Parked => {
                self.create(Some(n), delta, false);
                self.send(n, false);
            }
            _ => {}
        }
    }

    pub(super) fn add_there(&mut self, home: Option<u8>, delta: u16) {
        let home = home.and_then(|n| self.pick(n));
        let asleep = home.is_none_or(|n| self.h.node(&node(n)).is_some_and(|view| !view.active));
        if asleep {
            self.create(home, delta, true);
            self.ledger_changed(home);
        }
    }

    pub(super) fn create(&mut self, home: Option<usize>, delta: u16, known: bool) {
        let deadline = self.now + i64::from(delta);
        self.timers.push(Timer {
            home,
            deadline,
            known,
            claim: None,
            ran: 0,
            void: false,
        });
    }

    pub(super) fn cancel(&mut self, which: u8) {
        let waiting = self
            .timers
            .iter_mut()
            .filter(|timer| timer.waits() && timer.known);
        let mut waiting: Vec<&mut Timer> = waiting.collect();
        if waiting.is_empty() {
            return;
        }
        let which = usize::from(which) % waiting.len();
        waiting[which].void = true;
        let home = waiting[which].home;
        self.ledger_changed(home);
    }

    pub(super) fn repeat(&mut self, n: u8) {
        if let Some(n) = self.pick(n) {
            self.wire.extend(self.nodes[n].pending.clone());
        }
    }

    pub(super) fn die(&mut self, n: u8) {
        let Some(n) = self.pick(n) else { return };
        self.nodes[n].truth = Truth::Dead;
        self.nodes[n].pending = None;
        let with_it = |timer: &&mut Timer| timer.home == Some(n) && !timer.known;
        self.timers
            .iter_mut()
            .filter(with_it)
            .for_each(|timer| timer.void = true);
    }

    pub(super) fn take(&mut self, which: u8, keep: bool) -> Option<Message> {
        let which = usize::from(which).checked_rem(self.wire.len())?;
        Some(if keep {
            self.wire[which].clone()
        } else {
            self.wire.swap_remove(which)
        })
    }

    pub(super) fn deliver(&mut self, which: u8, keep: bool, lose_answer: bool) -> Told {
        match self.take(which, keep) {
            Some(message) => self.receive(&message, lose_answer),
            None => Ok(()),
        }
    }

    pub(super) fn receive(&mut self, message: &Message, lose_answer: bool) -> Told {
        let id = node(message.from);
        let Some(fresh) = self.h.freshness(&id, Some(message.at)) else {
            return Ok(());
        };
        if fresh == Freshness::Stale {
            return Ok(());
        }
        if fresh == Freshness::News {
            message
                .tail
                .iter()
                .for_each(|t| self.timers[*t].known = true);
        }
        let first = self.first(Some(message.from));
        let report = if message.active {
            Report::Active
        } else {
            Report::Idle { first }
        };
        let cover = self
            .h
            .report(&id, Some(message.at), report, self.time())
            .map_err(|bad| bad.to_string())?;
        self.h.check()?;
        let refused = matches!(cover, Some(Cover::NotCovered { .. }));
        if fresh == Freshness::News && refused {
            self.h
                .report(&id, None, Report::Active, self.time())
                .map_err(|bad| bad.to_string())?;
        }
        if !lose_answer {
            self.answer(message, refused);
        }
        Ok(())
    }

    /// A node acts only on the answer to its newest report.
    pub(super) fn answer(&mut self, message: &Message, refused: bool) {
        let believed = self
            .h
            .node(&node(message.from))
            .is_some_and(|view| view.active);
        let receiver = &mut self.nodes[message.from];
        if receiver
            .pending
            .as_ref()
            .is_none_or(|pending| pending.at != message.at)
        {
            return;
        }
        receiver.pending = None;
        match (receiver.truth, refused, believed) {
            (Truth::Waking, _, _) | (Truth::Parking, true, true) => receiver.truth = Truth::Owns,
            (Truth::Parking, true, false) => self.send(message.from, true),
            (Truth::Parking, false, _) => receiver.truth = Truth::Parked,
            _ => {}
        }
    }
}
