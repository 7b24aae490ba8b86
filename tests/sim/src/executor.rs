//! The workers of a node: places by handler, and runs that are acknowledged, fail, hang, or are lost.

use crate::clock::ms;
use crate::fact::Fact;
use crate::world::{Event, World};
use dormouse_engine::base::Input;
use dormouse_engine::id::{Token, Uid};
use dormouse_engine::message::Capacity;
use dormouse_engine::time::BootTime;
use dormouse_engine::timer::{HandlerName, Outcome, Run};
use std::collections::BTreeMap;

/// The runs of one life of a node.
#[derive(Debug, Default)]
pub(crate) struct Executor {
    runs: BTreeMap<Token, Flight>,
}

#[derive(Debug)]
struct Flight {
    run: Run,
    until: BootTime,
    launched: bool,
    own: bool,
    measured: bool,
}

impl Executor {
    fn has_room(&self, places: &Capacity, handler: &HandlerName) -> bool {
        let used = self
            .runs
            .values()
            .filter(|flight| flight.run.handler == *handler)
            .count();
        let places = places.get(handler).copied().unwrap_or(0);
        u32::try_from(used).is_ok_and(|used| used < places)
    }
}

impl World {
    /// The base wants a run launched.
    pub(crate) fn launch(&mut self, index: usize, run: Run, (from, until): (BootTime, BootTime)) {
        let node = &mut self.nodes[index];
        if node.executor.runs.contains_key(&run.token) {
            return;
        }
        let (uid, token) = (run.uid, run.token);
        if !node.executor.has_room(&node.places, &run.handler) {
            return self.tell_node(index, Input::NotLaunched { uid, token });
        }
        let flight = Flight {
            own: !node.pulled.contains(&token),
            measured: node.measured,
            run,
            until,
            launched: false,
        };
        node.executor.runs.insert(token, flight);
        let (life, at) = (node.process.life, node.process.clock.at_boot(from));
        self.at(at.max(self.now), Event::Begin(index, life, token));
    }

    /// A run's time has come.
    pub(crate) fn begin(&mut self, index: usize, life: u64, token: Token) {
        let now = self.now;
        let node = &mut self.nodes[index];
        if node.process.life != life || !node.process.is_up() {
            return;
        }
        let boot = node.process.clock.now(now).boot;
        let Some(flight) = node.executor.runs.get_mut(&token) else {
            return;
        };
        let uid = flight.run.uid;
        if boot >= flight.until {
            node.executor.runs.remove(&token);
            return self.tell_node(index, Input::NotLaunched { uid, token });
        }
        flight.launched = true;
        let timeout = ms(flight.run.attempt_timeout.0);
        let fact = Fact::Launched {
            node: index,
            run: flight.run.clone(),
            own: flight.own,
            measured: flight.measured,
            offset: node.process.clock.offset,
            drifts: node.process.clock.drift_ppm != 0,
        };
        self.see(&fact);
        let (after, outcome) = match self.run_length {
            Some(length) => (length, self.staged_outcome()),
            None => self.draw_outcome(timeout),
        };
        self.later(
            after,
            Event::End(index, life, uid, token, Box::new(outcome)),
        );
    }

    fn staged_outcome(&self) -> Outcome {
        match self.runs_fail {
            true => failed("it failed"),
            false => Outcome::Done,
        }
    }

    /// Who gives no sign of life has failed when its time is over; half of those that take long give signs.
    fn draw_outcome(&mut self, timeout: u64) -> (u64, Outcome) {
        let (fails, hangs) = (self.plan.weather.run_fails, self.plan.weather.run_hangs);
        if !self.is_quiet() && self.chance.percent(hangs) {
            return (timeout, failed("no sign of life"));
        }
        let slow = !self.is_quiet() && self.chance.percent(10);
        let after = if slow {
            self.chance.between(ms(300), ms(7_000))
        } else {
            self.chance.between(200, ms(120))
        };
        if after > timeout && self.chance.percent(50) {
            return (timeout, failed("no sign of life"));
        }
        if !self.is_quiet() && self.chance.percent(fails) {
            return (after, failed("it failed"));
        }
        (after, Outcome::Done)
    }

    /// A run has come to an end at its worker, whether its node lives or not.
    pub(crate) fn end(
        &mut self,
        (index, life): (usize, u64),
        uid: Uid,
        token: Token,
        outcome: Outcome,
    ) {
        let node = &mut self.nodes[index];
        let alive = node.process.life == life && node.process.is_up();
        let told = alive && node.executor.runs.remove(&token).is_some();
        self.see(&Fact::Ended {
            uid,
            token,
            outcome: outcome.clone(),
        });
        if told {
            self.tell_node(
                index,
                Input::Settled {
                    uid,
                    token,
                    outcome,
                },
            );
        }
    }

    /// The right to a run is over: it is not begun, and its outcome is not told.
    pub(crate) fn abandon(&mut self, index: usize, token: Token) {
        if let Some(flight) = self.nodes[index].executor.runs.remove(&token) {
            self.see(&Fact::Abandoned {
                uid: flight.run.uid,
                token,
            });
        }
    }
}

fn failed(reason: &str) -> Outcome {
    Outcome::Failed {
        retry_after: None,
        reason: reason.into(),
    }
}
