//! From the wish that a run be launched until it is at a worker, or cannot be.
//!
//! A run is launched when CLOCK_BOOTTIME and the wall clock both say that it is due, as far as they can be
//! compared, and CLOCK_BOOTTIME does not say that the right to it has ended.

use super::{InFlight, Stage, State};
use crate::alarm::{MILLI, boot_nanos, wall_nanos};
use crate::events;
use crate::executor::{Delivery, Said, WorkerId};
use dormouse_engine::base::Input;
use dormouse_engine::id::Token;
use dormouse_engine::time::{BootTime, Millis};
use dormouse_engine::timer::{HandlerName, Outcome, Run};
use std::time::{Duration, SystemTime};

/// As far as the two clocks may disagree by rounding and by the measurement of the coordinator's clock. Within
/// it the later one decides, so that a run is never early by either.
const DISAGREEMENT: u64 = 5 * MILLI;

impl State {
    pub(in crate::executor) fn launch(&mut self, run: Run, from: BootTime, until: BootTime) {
        if self.runs.contains_key(&run.token) {
            return;
        }
        let Some(worker) = self.choose(&run.handler) else {
            return self.not_launched(&run, "no place");
        };
        let token = run.token;
        *self.live.entry(run.handler.clone()).or_default() += 1;
        self.moved = true;
        let stage = Stage::Waiting;
        self.runs.insert(
            token,
            InFlight {
                run,
                worker,
                from,
                until,
                stage,
                at: None,
            },
        );
        let due = from.0.saturating_mul(MILLI);
        if due <= boot_nanos() {
            self.fire(token)
        } else {
            self.wait(token, due)
        }
    }

    /// Takes a credit of the worker with the fewest runs, and among equals of the one that waits longest.
    fn choose(&mut self, handler: &HandlerName) -> Option<WorkerId> {
        if self.withdrawn {
            return None;
        }
        let (id, worker) = self
            .workers
            .iter_mut()
            .filter(|(_, worker)| worker.free() > 0 && worker.handlers.contains(handler))
            .min_by_key(|(_, worker)| (worker.held, worker.chosen))?;
        worker.held += 1;
        self.choice_last += 1;
        worker.chosen = self.choice_last;
        Some(*id)
    }

    /// The time of a waiting run has come on CLOCK_BOOTTIME.
    fn fire(&mut self, token: Token) {
        let now = boot_nanos();
        let Some(flight) = self.runs.get_mut(&token) else {
            return;
        };
        if now >= flight.until.0.saturating_mul(MILLI) {
            return self.give_back(token, "its right has ended");
        }
        let (early, launched) = launch_time(flight, now);
        if early > 0 {
            return self.wait(token, now + early);
        }
        let delivery = Delivery {
            run: flight.run.clone(),
            launched,
        };
        let Some(worker) = self.workers.get_mut(&flight.worker) else {
            return;
        };
        if worker
            .queue
            .try_send(Said::Fire(Box::new(delivery)))
            .is_err()
        {
            // Its stream has ended; what it had begun is dealt with when it is removed.
            worker.credits = 0;
            return self.move_on(token);
        }
        flight.stage = Stage::Launched;
        self.await_sign_of_life(token, now);
    }

    /// Finds another worker for a run that its worker will not begin.
    pub(super) fn move_on(&mut self, token: Token) {
        let Some(flight) = self.runs.get(&token) else {
            return;
        };
        let (old, handler) = (flight.worker, flight.run.handler.clone());
        self.leave_agenda(token);
        match self.choose(&handler) {
            Some(new) => {
                self.free_credit(old);
                if let Some(flight) = self.runs.get_mut(&token) {
                    flight.worker = new;
                    let due = flight.from.0.saturating_mul(MILLI);
                    self.wait(token, due);
                }
            }
            None => self.give_back(token, "its worker went away"),
        }
    }

    pub(super) fn give_back(&mut self, token: Token, why: &'static str) {
        if let Some(flight) = self.remove(token) {
            self.not_launched(&flight.run, why);
        }
    }

    fn not_launched(&mut self, run: &Run, why: &'static str) {
        events::not_launched(run, why);
        self.moved = true;
        self.ended.push(Input::NotLaunched {
            uid: run.uid,
            token: run.token,
        });
    }

    /// The agenda up to `now`.
    pub(in crate::executor) fn alarm(&mut self, now: u64) {
        self.armed = None;
        while let Some((at, token)) = self.agenda.first().copied().filter(|(at, _)| *at <= now) {
            self.agenda.remove(&(at, token));
            let Some(flight) = self.runs.get_mut(&token) else {
                continue;
            };
            flight.at = None;
            match flight.stage {
                Stage::Waiting => self.fire(token),
                Stage::Launched => self.time_out(token),
                Stage::Forgotten => {}
            }
        }
    }

    fn time_out(&mut self, token: Token) {
        let Some(limit) = self.runs.get(&token).map(|it| it.run.attempt_timeout) else {
            return;
        };
        let reason = format!("no sign of life for {}", in_words(limit));
        if let Some((uid, token)) = self.forget(token) {
            let outcome = Outcome::Failed {
                retry_after: None,
                reason,
            };
            self.ended.push(Input::Settled {
                uid,
                token,
                outcome,
            });
        }
    }
}

/// In seconds if it is whole ones.
fn in_words(time: Millis) -> String {
    match time.0 {
        millis if millis % 1_000 == 0 => format!("{} s", millis / 1_000),
        millis => format!("{millis} ms"),
    }
}

/// How much too early it is by the wall clock, and the time to write on the run.
///
/// A wall clock that is behind by more than the two may disagree is not the one that decided; then the time
/// that has passed since the run was due tells when it was launched.
fn launch_time(flight: &InFlight, now: u64) -> (u64, SystemTime) {
    let (wall, due) = (
        wall_nanos(),
        flight.run.due.0.saturating_mul(MILLI.cast_signed()),
    );
    let early = u64::try_from(due.saturating_sub(wall)).unwrap_or(0);
    if (1..=DISAGREEMENT).contains(&early) {
        return (early, SystemTime::UNIX_EPOCH);
    }
    let past = now.saturating_sub(flight.from.0.saturating_mul(MILLI));
    let launched = if early == 0 {
        wall
    } else {
        due.saturating_add_unsigned(past)
    };
    let since = Duration::from_nanos(u64::try_from(launched).unwrap_or(0));
    (0, SystemTime::UNIX_EPOCH + since)
}
