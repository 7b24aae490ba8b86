//! Runs that were pulled for this node: taken, or declined and offered again when there is room.

use super::runs::Flight;
use super::{Base, Effect, Stance};
use crate::time::Now;
use crate::timer::Run;

impl Base {
    /// Runs that were claimed for this node: taken, or declined at once.
    pub(super) fn pull(&mut self, now: Now, runs: Vec<Run>) {
        for run in runs {
            if !self.runs.remember(run.token) {
                if self.runs.flight.contains_key(&run.token) {
                    self.lane.items.accepted.push(run.token);
                }
                continue;
            }
            let able = self.stance == Stance::Active && self.link.has_lease(now);
            let able = able && run.token > self.runs.floor;
            if able && self.runs.is_free(&run.handler) {
                self.launch_pulled(now, run);
            } else {
                self.lane.items.declined.push(run.token);
                self.runs.declined.insert(run.handler);
            }
        }
        self.lane.ship_by(now.boot);
    }

    fn launch_pulled(&mut self, now: Now, run: Run) {
        let clock = self.clock.read(now);
        let from = now.boot + run.due.since(clock);
        let until = self.link.lease_until();
        self.lane.items.accepted.push(run.token);
        self.runs.begin(Flight {
            run: run.clone(),
            started: clock,
            own: false,
        });
        self.rest.note_work(now);
        self.effects.push(Effect::Launch { run, until, from });
    }

    /// What was declined is offered again when the node says that there is room.
    pub(super) fn offer_what_was_declined(&mut self, now: Now) {
        let able = self.stance == Stance::Active && self.link.has_lease(now);
        let runs = &self.runs;
        if able && runs.declined.iter().any(|handler| runs.is_free(handler)) {
            self.runs.declined.clear();
            self.offer_places();
        }
    }

    /// Says again what is free, so that what was declined is offered again.
    pub(super) fn offer_places(&mut self) {
        self.lane.items.capacity = Some(self.runs.places().clone());
    }
}
