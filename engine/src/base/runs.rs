//! Runs: the node's own and those it pulled, from launch to outcome.

use super::{Base, Effect, Entry, SHIP_OUTCOMES_AFTER, Stance};
use crate::id::{Token, Uid};
use crate::message::Capacity;
use crate::time::Now;
use crate::timer::{HandlerName, Outcome, Run, Timer};
use std::collections::{BTreeMap, BTreeSet};

/// How many tokens of pulled runs are remembered, so that an order that is heard twice is done once.
const REMEMBERED_MAX: usize = 16_384;

#[derive(Debug, Default)]
pub(super) struct Runs {
    places: Capacity,
    used: BTreeMap<HandlerName, u32>,
    pub(super) flight: BTreeMap<Token, Flight>,
    pub(super) heard: BTreeSet<Token>,
    /// Outcomes that came while it was open whether the node sleeps.
    late: Vec<(Uid, Token, Outcome)>,
    /// Claims from before the node resumed last have ended with its sleep, if it slept.
    pub(super) floor: Token,
    /// Handlers of pulled runs that were declined, until there is room again.
    pub(super) declined: BTreeSet<HandlerName>,
}

/// A run that was launched here.
#[derive(Debug, Clone)]
pub(super) struct Flight {
    pub(super) run: Run,
    pub(super) started: crate::time::WallTime,
    /// The timer is the node's own, and was when the run started.
    pub(super) own: bool,
}

impl Runs {
    pub(super) fn places(&self) -> &Capacity {
        &self.places
    }

    pub(super) fn in_flight(&self) -> usize {
        self.flight.len()
    }

    pub(super) fn tokens(&self) -> Vec<Token> {
        self.flight.keys().copied().collect()
    }

    pub(super) fn is_free(&self, handler: &HandlerName) -> bool {
        let used = self.used.get(handler).copied().unwrap_or(0);
        self.places
            .get(handler)
            .is_some_and(|places| used < *places)
    }

    pub(super) fn begin(&mut self, flight: Flight) {
        *self.used.entry(flight.run.handler.clone()).or_default() += 1;
        self.flight.insert(flight.run.token, flight);
    }

    fn end(&mut self, token: Token) -> Option<Flight> {
        let flight = self.flight.remove(&token)?;
        if let Some(used) = self.used.get_mut(&flight.run.handler) {
            *used = used.saturating_sub(1);
        }
        Some(flight)
    }

    pub(super) fn claims_begin_above(&mut self, floor: Token) {
        self.floor = floor;
    }

    pub(super) fn remember(&mut self, token: Token) -> bool {
        let news = self.heard.insert(token);
        if self.heard.len() > REMEMBERED_MAX {
            self.heard.pop_first();
        }
        news
    }
}

impl Base {
    pub(super) fn set_places(&mut self, now: Now, places: Capacity) {
        if self.runs.places == places {
            return;
        }
        self.lane.items.capacity = Some(places.clone());
        let mut changed: BTreeSet<HandlerName> = places.keys().cloned().collect();
        changed.extend(std::mem::replace(&mut self.runs.places, places).into_keys());
        self.note_places(now, changed.into_iter());
    }

    /// A run is over: its place is free.
    fn end_run(&mut self, token: Token) -> Option<Flight> {
        let flight = self.runs.end(token)?;
        self.note_room(&flight.run.handler);
        Some(flight)
    }

    /// The timer as it would be if the start of its run in flight were written down; none if no run is, or it is.
    pub(super) fn with_its_flight(&self, entry: &Entry) -> Option<Timer> {
        let (nominal, token) = entry.run?;
        let started = self.runs.flight.get(&token)?.started;
        let mut timer = entry.timer.clone();
        timer.begin(nominal, &self.config.node, token, started)?;
        Some(timer)
    }

    /// What has become of a timer is told soon, if the coordinator has to know it.
    pub(super) fn ship_outcome(&mut self, now: Now, uid: Uid) {
        if self.queues.unshipped.contains(&uid) {
            self.lane.ship_by(now.boot + SHIP_OUTCOMES_AFTER);
        }
    }

    pub(super) fn settled(&mut self, now: Now, uid: Uid, token: Token, outcome: Outcome) {
        // Nobody else runs a pinned timer: what became of it counts in any case.
        let pinned = self
            .timers
            .get(uid)
            .is_some_and(|entry| !entry.timer.is_movable());
        if self.stance == Stance::Parking && !pinned {
            return self.runs.late.push((uid, token, outcome));
        }
        let Some(flight) = self.end_run(token) else {
            return;
        };
        self.rest.note_work(now);
        // Between owning and owning again it is noted here, and the coordinator judges it with the tail: but if it has
        // been told of the run it has that state of the timer, and would give it back over what is noted here.
        let apart = self.stance == Stance::Apart;
        let own = flight.own
            && self.timers.get(uid).is_some_and(|entry| {
                let told = self.is_there(entry) && entry.timer.holds(token);
                let settles = self.owns(entry) || apart && !entry.held && !told;
                entry.runs_here(token) && settles
            });
        if own {
            self.settle_own(now, uid, &flight, &outcome);
        } else {
            self.adjust(uid, |entry| entry.forget_run(token));
            self.lane.items.outcomes.push((uid, token, outcome));
            self.lane.ship_by(now.boot);
        }
    }

    /// Settles what ended while it was open whether the node sleeps; if it does, the right has ended too.
    pub(super) fn settle_late(&mut self, now: Now) {
        if self.stance == Stance::Parking {
            return;
        }
        for (uid, token, outcome) in std::mem::take(&mut self.runs.late) {
            self.settled(now, uid, token, outcome);
        }
    }

    /// Ends that the coordinator may drop, since it does not have their timers.
    pub(super) fn remember_ends(&mut self, outcomes: &[(Uid, Token, Outcome)]) {
        let holds = |(uid, token, _): &&(Uid, Token, Outcome)| {
            self.timers
                .get(*uid)
                .is_some_and(|entry| entry.timer.holds(*token))
        };
        let own = outcomes.iter().filter(holds).cloned();
        self.lane.ended_apart.extend(own);
    }

    /// The node owns its timers: runs of theirs have ended that nobody has settled.
    pub(super) fn settle_what_ended_apart(&mut self, now: Now) {
        for (uid, token, outcome) in std::mem::take(&mut self.lane.ended_apart) {
            self.settle_if_own(now, (uid, token), &outcome);
        }
        let mut untold = std::mem::take(&mut self.lane.items.outcomes);
        untold.retain(|(uid, token, outcome)| !self.settle_if_own(now, (*uid, *token), outcome));
        self.lane.items.outcomes = untold;
    }

    /// Settles what ended here, if its timer is the node's own again before anybody has heard of it. Returns whether it
    /// is.
    fn settle_if_own(&mut self, now: Now, (uid, token): (Uid, Token), outcome: &Outcome) -> bool {
        let own = |entry: &Entry| self.owns(entry) && entry.timer.holds(token);
        if !self.timers.get(uid).is_some_and(own) {
            return false;
        }
        let clock = self.clock.read(now);
        self.change(uid, |entry| {
            let settled = entry.timer.settle(token, outcome, clock);
            debug_assert!(settled.is_ok(), "a run under this token was just seen");
        });
        self.ship_outcome(now, uid);
        true
    }

    fn settle_own(&mut self, now: Now, uid: Uid, flight: &Flight, outcome: &Outcome) {
        let clock = self.clock.read(now);
        let node = self.config.node.clone();
        self.change(uid, |entry| {
            entry.forget_run(flight.run.token);
            let timer = &mut entry.timer;
            if timer.generation == flight.run.generation {
                if !timer.holds(flight.run.token) {
                    timer.begin(flight.run.nominal, &node, flight.run.token, flight.started);
                }
                let settled = timer.settle(flight.run.token, outcome, clock);
                debug_assert!(
                    settled.is_ok(),
                    "the run was started with this token just now"
                );
            }
        });
        self.ship_outcome(now, uid);
    }

    pub(super) fn not_launched(&mut self, now: Now, uid: Uid, token: Token) {
        let Some(flight) = self.end_run(token) else {
            return;
        };
        let written = |entry: &Entry| entry.timer.holds(token);
        if flight.own && self.timers.get(uid).is_some_and(written) {
            self.change(uid, |entry| entry.timer.unbegin(token));
        } else if flight.own {
            self.adjust(uid, |entry| entry.forget_run(token));
        } else {
            self.lane.items.declined.push(token);
            self.lane.ship_by(now.boot);
            self.offer_places();
        }
    }

    /// The right to every run in flight is over.
    pub(super) fn abandon_all(&mut self, now: Now) -> Vec<Token> {
        let tokens = self.runs.tokens();
        self.abandon(now, &tokens);
        tokens
    }

    /// The right to these runs is over.
    pub(super) fn abandon(&mut self, now: Now, tokens: &[Token]) {
        for token in tokens {
            if let Some(flight) = self.end_run(*token) {
                self.give_up(now, &flight);
                self.effects.push(Effect::Abandon { token: *token });
            }
        }
    }

    /// The start of a run that is given up may be written down; who owns the timer writes down that it was in vain.
    fn give_up(&mut self, now: Now, flight: &Flight) {
        let (uid, token) = (flight.run.uid, flight.run.token);
        let written = |entry: &Entry| entry.timer.holds(token) && self.owns(entry);
        if flight.own && self.timers.get(uid).is_some_and(written) {
            let ended = self.clock.read(now);
            self.change(uid, |entry| {
                let outcome = Outcome::Interrupted { died: false };
                entry
                    .timer
                    .settle(token, &outcome, ended)
                    .map(drop)
                    .unwrap_or(());
            });
        } else {
            self.adjust(uid, |entry| entry.forget_run(token));
        }
    }
}

impl Entry {
    /// Whether this run of it is in flight here, written down or not.
    fn runs_here(&self, token: Token) -> bool {
        self.run.is_some_and(|(_, own)| own == token) || self.timer.holds(token)
    }

    fn forget_run(&mut self, token: Token) {
        self.run = self.run.filter(|(_, own)| *own != token);
    }
}
