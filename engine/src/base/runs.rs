//! Runs: the node's own and those it pulled, from launch to outcome.

use super::{Base, Effect, Entry, SHIP_OUTCOMES_AFTER, Stance};
use crate::id::{Token, Uid};
use crate::message::Capacity;
use crate::planted::{self, Fault};
use crate::time::{Now, WallTime};
use crate::timer::{HandlerName, Outcome, Phase, Run, Timer};
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

    /// The node's own timers with a run in flight.
    pub(super) fn own_uids(&self) -> impl Iterator<Item = Uid> {
        self.flight
            .values()
            .filter(|flight| flight.own)
            .map(|flight| flight.run.uid)
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
    pub(super) fn set_places(&mut self, places: Capacity) {
        if self.runs.places != places {
            self.lane.items.capacity = Some(places.clone());
            self.runs.places = places;
        }
    }

    /// Launches everything that is due, that the node may fire, and that a worker is free for.
    pub(super) fn fire(&mut self, now: Now) {
        self.fire_starved(now);
        // What a node that leaves would begin ends with its process.
        if self.stance != Stance::Leaving && self.may_fire_pinned(now) {
            self.fire_queue(now, |base| base.queues.pinned.first().copied());
        }
        if self.stance != Stance::Parking && self.stance != Stance::Leaving {
            self.fire_movable(now);
        }
    }

    fn fire_movable(&mut self, now: Now) {
        if self.stance == Stance::Active || planted::is(Fault::FireWithoutOwning) {
            return self.fire_queue(now, |base| base.queues.movable.first().copied());
        }
        let clock = self.clock.read(now);
        let due = self
            .queues
            .movable
            .iter()
            .take_while(|(due, _)| *due <= clock);
        let alone: Vec<Uid> = due
            .map(|(_, uid)| *uid)
            .filter(|uid| self.timers.get(uid).is_some_and(|entry| self.owns(entry)))
            .collect();
        for uid in alone {
            self.try_launch(now, uid);
        }
    }

    fn fire_queue(
        &mut self,
        now: Now,
        first: impl Fn(&Self) -> Option<(crate::time::WallTime, Uid)>,
    ) {
        let clock = self.clock.read(now);
        while let Some((due, uid)) = first(self) {
            if due > clock {
                return;
            }
            self.try_launch(now, uid);
        }
    }

    /// Launches what is due of a timer, or lets it wait for a worker; either way it leaves its queue.
    pub(super) fn try_launch(&mut self, now: Now, uid: Uid) {
        let isolated = |entry: &Entry| self.is_isolated(now, entry);
        if self.timers.get(&uid).is_some_and(isolated) {
            return self.wait_for_room(now, uid);
        }
        let Some(nominal) = self.make_ready(now, uid) else {
            return;
        };
        let Some(entry) = self.timers.get(&uid) else {
            return;
        };
        if self.must_be_claimed(entry) && self.may_hand() {
            return self.hand(now, uid);
        }
        if !self.must_be_claimed(entry) && self.runs.is_free(&entry.timer.spec.handler) {
            self.launch_own(now, uid, nominal);
        } else {
            self.wait_for_room(now, uid);
        }
    }

    /// Out of the queue of what is due, so that it delays no other.
    fn wait_for_room(&mut self, now: Now, uid: Uid) {
        let waiting = self.timers.get(&uid);
        let claimed = waiting.is_some_and(|entry| self.must_be_claimed(entry));
        self.adjust(uid, |entry| {
            entry.starved = Some(now.boot);
            entry.claimed = claimed;
        });
    }

    /// Applies misfire, overlap and expiry to what is due. What a later occurrence takes the place of is given up.
    /// Returns the nominal time of what can begin.
    fn make_ready(&mut self, now: Now, uid: Uid) -> Option<WallTime> {
        let clock = self.clock.read(now);
        let entry = self.timers.get(&uid)?;
        let mut timer = entry.timer.clone();
        let nominal = timer.ready(entry.flying(), clock);
        if timer.revision == entry.timer.revision {
            return nominal;
        }
        let unwritten = entry.run.filter(|(flying, _)| !timer.has(*flying));
        let written = entry.timer.lines().filter_map(Phase::running);
        let written = written
            .map(|(token, _)| token)
            .filter(|it| !timer.holds(*it));
        let over: Vec<Token> = written.chain(unwritten.map(|(_, token)| token)).collect();
        self.change(uid, |entry| entry.timer = timer);
        self.abandon(now, &over);
        self.ship_outcome(now, uid);
        nominal
    }

    /// Whether the node has to wait for its lease before it fires this one.
    pub(super) fn is_isolated(&self, now: Now, entry: &Entry) -> bool {
        let shared = entry.timer.is_movable() && self.is_there(entry);
        shared && entry.timer.spec.policy.holds() && !self.link.has_lease(now)
    }

    fn launch_own(&mut self, now: Now, uid: Uid, nominal: WallTime) {
        let Some(entry) = self.timers.get(&uid) else {
            return;
        };
        let token = self.tokens.next(entry.timer.token);
        let clock = self.clock.read(now);
        let mut begun = entry.timer.clone();
        let Some(run) = begun.begin(nominal, &self.config.node, token, clock) else {
            return;
        };
        if begun.writes_starts() {
            // The coordinator may take it for a claim, and say so, when the timer is handed over.
            self.runs.remember(token);
            self.change(uid, |entry| {
                entry.timer = begun;
                entry.starved = None;
            });
            self.ship_outcome(now, uid);
        } else {
            self.adjust(uid, |entry| {
                entry.run = Some((nominal, token));
                entry.starved = None;
            });
        }
        self.runs.begin(Flight {
            run: run.clone(),
            started: clock,
            own: true,
        });
        let until = now.boot + self.link.lease();
        self.effects.push(Effect::Launch {
            run,
            until,
            from: now.boot,
        });
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
    fn ship_outcome(&mut self, now: Now, uid: Uid) {
        if self.queues.unshipped.contains(&uid) {
            self.lane.ship_by(now.boot + SHIP_OUTCOMES_AFTER);
        }
    }

    pub(super) fn settled(&mut self, now: Now, uid: Uid, token: Token, outcome: Outcome) {
        // Nobody else runs a pinned timer: what became of it counts in any case.
        let pinned = self
            .timers
            .get(&uid)
            .is_some_and(|entry| !entry.timer.is_movable());
        if self.stance == Stance::Parking && !pinned {
            return self.runs.late.push((uid, token, outcome));
        }
        let Some(flight) = self.runs.end(token) else {
            return;
        };
        self.rest.note_work(now);
        // Between owning and owning again it is noted here, and the coordinator judges it with the tail.
        let apart = self.stance == Stance::Apart;
        let own = flight.own
            && self.timers.get(&uid).is_some_and(|entry| {
                let settles = self.owns(entry) || apart && !entry.held;
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

    /// What ended here while its timer was handed over, and is the node's own again before anybody has heard of it.
    pub(super) fn settle_what_came_back(&mut self, now: Now, outcomes: &[(Uid, Token, Outcome)]) {
        let clock = self.clock.read(now);
        for (uid, token, outcome) in outcomes {
            let own = |entry: &Entry| self.owns(entry) && entry.timer.holds(*token);
            if self.timers.get(uid).is_some_and(own) {
                self.change(*uid, |entry| {
                    let settled = entry.timer.settle(*token, outcome, clock);
                    debug_assert!(settled.is_ok(), "a run under this token was just seen");
                });
                self.ship_outcome(now, *uid);
            }
        }
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
        let Some(flight) = self.runs.end(token) else {
            return;
        };
        let written = |entry: &Entry| entry.timer.holds(token);
        if flight.own && self.timers.get(&uid).is_some_and(written) {
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
            if let Some(flight) = self.runs.end(*token) {
                self.give_up(now, &flight);
                self.effects.push(Effect::Abandon { token: *token });
            }
        }
    }

    /// The start of a run that is given up may be written down; who owns the timer writes down that it was in vain.
    fn give_up(&mut self, now: Now, flight: &Flight) {
        let (uid, token) = (flight.run.uid, flight.run.token);
        let written = |entry: &Entry| entry.timer.holds(token) && self.owns(entry);
        if flight.own && self.timers.get(&uid).is_some_and(written) {
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
