//! How runs end: settled, released, abandoned, or given up.
//!
//! What a worker says counts only for a run that it has, under the token and the name that it was given.
//! Whatever happens to the right to a run, its worker has the credit back only when it says something.

use super::{InFlight, Stage, State};
use crate::alarm::{MILLI, boot_nanos};
use crate::executor::{Attempt, Said, WorkerId};
use dormouse_engine::base::Input;
use dormouse_engine::id::{Token, Uid};
use dormouse_engine::timer::{HandlerName, Outcome};

impl State {
    pub(in crate::executor) fn settle(&mut self, attempt: Attempt, outcome: Outcome) {
        if self.is_forgotten(attempt) {
            self.remove(attempt.token);
        } else if self.is_launched(attempt)
            && let Some(flight) = self.remove(attempt.token)
        {
            let (uid, token) = (flight.run.uid, attempt.token);
            self.ended.push(Input::Settled {
                uid,
                token,
                outcome,
            });
        }
    }

    pub(in crate::executor) fn release(&mut self, attempt: Attempt) {
        if self.is_forgotten(attempt) {
            self.remove(attempt.token);
        } else if self.is_launched(attempt) {
            self.give_back(attempt.token, "its worker released it");
        }
    }

    pub(in crate::executor) fn extend(&mut self, attempt: Attempt) {
        if self.is_launched(attempt) {
            self.await_sign_of_life(attempt.token, boot_nanos());
        }
    }

    pub(in crate::executor) fn abandon(&mut self, token: Token) {
        match self.runs.get(&token).map(|flight| flight.stage) {
            Some(Stage::Waiting) => drop(self.remove(token)),
            Some(Stage::Launched) => drop(self.forget(token)),
            Some(Stage::Forgotten) | None => {}
        }
    }

    /// Gives an attempt its whole time from `now` on.
    pub(super) fn await_sign_of_life(&mut self, token: Token, now: u64) {
        if let Some(flight) = self.runs.get(&token) {
            let whole = flight.run.attempt_timeout.0.saturating_mul(MILLI);
            self.wait(token, now.saturating_add(whole));
        }
    }

    /// The worker stays busy with it until it says something, but nobody asks for the outcome.
    pub(super) fn forget(&mut self, token: Token) -> Option<(Uid, Token)> {
        self.leave_agenda(token);
        let flight = self.runs.get_mut(&token)?;
        flight.stage = Stage::Forgotten;
        let run = flight.run.id;
        let (uid, handler) = (flight.run.uid, flight.run.handler.clone());
        if let Some(worker) = self.workers.get(&flight.worker) {
            // A worker whose stream is over, or that does not read, goes on for nothing; its credit stays taken.
            let _ = worker.queue.try_send(Said::Withdraw { run, token });
        }
        self.discount(&handler);
        Some((uid, token))
    }

    pub(super) fn remove(&mut self, token: Token) -> Option<InFlight> {
        self.leave_agenda(token);
        let flight = self.runs.remove(&token)?;
        if flight.stage != Stage::Forgotten {
            self.discount(&flight.run.handler);
        }
        self.free_credit(flight.worker);
        Some(flight)
    }

    fn discount(&mut self, handler: &HandlerName) {
        self.moved = true;
        if let Some(count) = self.live.get_mut(handler) {
            *count -= 1;
            if *count == 0 {
                self.live.remove(handler);
            }
        }
    }

    pub(super) fn free_credit(&mut self, worker: WorkerId) {
        self.moved = true;
        if let Some(worker) = self.workers.get_mut(&worker) {
            worker.held -= 1;
        }
    }

    fn is_launched(&self, attempt: Attempt) -> bool {
        self.is_in(attempt, Stage::Launched)
    }

    fn is_forgotten(&self, attempt: Attempt) -> bool {
        self.is_in(attempt, Stage::Forgotten)
    }

    fn is_in(&self, attempt: Attempt, stage: Stage) -> bool {
        self.runs.get(&attempt.token).is_some_and(|flight| {
            flight.stage == stage && flight.worker == attempt.worker && flight.run.id == attempt.run
        })
    }
}
