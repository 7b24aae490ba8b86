//! What the coordinator does besides the hierarchy: sessions, claims, and the owner's next deadline.
//!
//! The simplest ledger that can be right: a list of timers.

use super::{Node, Told, Truth, World};
use crate::tale::{node, number, rack};
use dormouse_engine::hierarchy::{Owner, Pass, Pull, Seq};
use dormouse_engine::id::Session;
use dormouse_engine::time::WallTime;

impl World {
    pub(super) fn join(&mut self, r: usize) {
        let n = self.nodes.len();
        let at = Seq {
            session: Session(1),
            number: 0,
        };
        self.nodes.push(Node {
            truth: Truth::Parked,
            at,
            pending: None,
        });
        self.h
            .join(node(n), rack(r), self.time())
            .expect("a new node joins");
    }

    pub(super) fn notice(&mut self, n: u8) {
        if let Some(n) = self.pick_member(n) {
            self.lose(n);
        }
    }

    /// The session of a node ends; if the node lives, it begins a new one where it was.
    pub(super) fn lose(&mut self, n: usize) {
        let was_active = self.h.node(&node(n)).is_some_and(|view| view.active);
        self.h.lost(&node(n), self.time());
        self.end_claims_of(n);
        if was_active {
            // What was last known of an active node may be out of date.
            self.ledger_changed(Some(n));
        }
        let at = Seq {
            session: Session(self.nodes[n].at.session.0 + 1),
            number: 0,
        };
        self.h.note(&node(n), at);
        self.nodes[n].at = at;
        match self.nodes[n].truth {
            Truth::Owns | Truth::Waking => self.send(n, true),
            Truth::Parking => self.send(n, false),
            Truth::Parked | Truth::Dead | Truth::Gone => {}
        }
    }

    pub(super) fn leave(&mut self, n: u8) {
        let Some(n) = self.pick_member(n) else { return };
        for timer in self.timers.iter_mut().filter(|timer| timer.home == Some(n)) {
            timer.home = None;
            timer.known = true;
        }
        self.ledger_changed(None);
        self.h.leave(&node(n), self.time());
        self.nodes[n].truth = Truth::Gone;
        self.nodes[n].pending = None;
        self.end_claims_of(n);
    }

    pub(super) fn end_claims_of(&mut self, server: usize) {
        for t in 0..self.timers.len() {
            let timer = &mut self.timers[t];
            if timer.claim == Some(server) && timer.ran == 0 {
                timer.claim = None;
                let home = timer.home;
                self.ledger_changed(home);
            }
        }
    }

    pub(super) fn eligible(&mut self, n: u8, value: bool) {
        if let Some(n) = self.pick_member(n) {
            self.h.eligible(&node(n), value, self.time());
        }
    }

    pub(super) fn suspect(&mut self) {
        if let Some(sentry) = self.h.sentry().cloned() {
            self.h.suspect(&sentry.node, self.time());
        }
    }

    pub(super) fn advance(&mut self, delta: i64) -> Told {
        self.now += delta;
        let mut pass = Pass::default();
        while let Some(pull) = self.h.due(self.time()) {
            pass.step(&pull).map_err(|stuck| stuck.to_string())?;
            self.claim(&pull)?;
        }
        for n in 0..self.nodes.len() {
            if self.nodes[n].truth == Truth::Owns {
                self.run(Some(n), self.now, None);
            }
        }
        let due = self.h.sentry().filter(|sentry| sentry.at <= self.time());
        let woken = due.map(|sentry| number(&sentry.node));
        if let Some(n) = woken.filter(|n| self.nodes[*n].truth == Truth::Parked) {
            self.send(n, true);
        }
        Ok(())
    }

    pub(super) fn claim(&mut self, pull: &Pull) -> Told {
        let server = number(&pull.server);
        let home = match &pull.owner {
            Owner::Node(owner) => Some(number(owner)),
            Owner::Pool => None,
        };
        if pull.deadline > self.time() {
            return Err(format!("D3: {pull:?} is early"));
        }
        if home.is_some_and(|n| self.nodes[n].truth == Truth::Owns) {
            return Err(format!("D3: {pull:?} of a node that fires its own"));
        }
        if matches!(self.nodes[server].truth, Truth::Parked | Truth::Gone) {
            return Err(format!("A4: {pull:?} by a node that sleeps"));
        }
        let view = self.h.node(&pull.server);
        if !view.is_some_and(|view| view.active && view.eligible) {
            return Err(format!("A4: {pull:?} by a node that is not on duty"));
        }
        if self.run(home, pull.deadline.0, Some(server)) == 0 {
            return Err(format!("E1: {pull:?} finds nothing"));
        }
        self.ledger_changed(home);
        Ok(())
    }

    /// Runs what is due at a home: by the home itself, or claimed for a server, which may be dead.
    pub(super) fn run(&mut self, home: Option<usize>, until: i64, server: Option<usize>) -> usize {
        let alive = server.is_none_or(|n| self.nodes[n].truth != Truth::Dead);
        let due = self.timers.iter_mut().filter(|timer| {
            let mine = timer.home == home && timer.waits() && timer.deadline <= until;
            mine && (timer.known || server.is_none())
        });
        due.map(|timer| {
            timer.claim = server;
            timer.ran += u32::from(alive);
        })
        .count()
    }

    pub(super) fn ledger_changed(&mut self, home: Option<usize>) {
        let first = self.first(home);
        match home {
            Some(n) => self.h.set_first(&node(n), first, self.time()),
            None => self.h.set_pool_first(first, self.time()),
        }
    }

    /// The ledger's earliest deadline of a home.
    pub(super) fn first(&self, home: Option<usize>) -> Option<WallTime> {
        let waiting = self
            .timers
            .iter()
            .filter(|t| t.home == home && t.known && t.waits());
        waiting.map(|timer| WallTime(timer.deadline)).min()
    }
}
