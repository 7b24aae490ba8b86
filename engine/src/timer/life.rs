//! The steps of a timer's life: accept, start, settle, rearm.
//!
//! Each step is a function of the record and the time; which tokens are handed out is the caller's affair.

use super::{
    ATTEMPTS_MAX, BACKOFF_FIRST, BACKOFF_MAX, CATCHUP_MAX, DEATHS_MAX, Ending, LastRun,
    MISFIRE_GRACE, NewTimer, Occurrence, Outcome, Phase, Run, Skip, Spec, Timer,
};
use crate::hash;
use crate::id::{NodeId, TimerName, Token};
use crate::planted::{self, Fault};
use crate::schedule::{BadSchedule, Schedule};
use crate::time::{Millis, WallTime};

/// What a settlement did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Settled {
    /// The outcome counted.
    Accepted,
    /// The same outcome had counted before.
    Again,
}

/// The token is not that of the timer's newest run: nothing was changed, and repeating does not help.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stale;

impl Timer {
    /// The timer that `new` asks for, accepted at `now` with `home` as its home.
    ///
    /// # Errors
    /// [`BadSchedule`] if it would never fire.
    pub fn accept(
        new: &NewTimer,
        home: Option<NodeId>,
        now: WallTime,
    ) -> Result<Self, BadSchedule> {
        let schedule = new.when.accept(now)?;
        let nominal = match schedule {
            Schedule::At(time) => time,
            ref recurring => recurring.next_after(now).ok_or(BadSchedule::NeverMatches)?,
        };
        let named_by = if new.durability == super::Durability::Replicated {
            None
        } else {
            home.clone()
        };
        Ok(Self {
            uid: new.uid,
            name: TimerName {
                pool: new.pool.clone(),
                node: named_by,
                timer: new.id.clone(),
            },
            spec: Spec {
                schedule,
                placement: new.placement.clone(),
                handler: new.handler.clone(),
                target: new.target.clone(),
                policy: new.policy.clone(),
                payload: new.payload.clone(),
                content_type: new.content_type.clone(),
                durability: new.durability,
                labels: new.labels.clone(),
            },
            home,
            generation: 1,
            revision: 1,
            request: new.request,
            created: now,
            updated: now,
            phase: waiting(Occurrence::fresh(nominal)),
            token: Token(0),
            last: None,
            skipped: 0,
            awaits: None,
        })
    }

    /// Whether this is what `new` asked for: the same request with the same body.
    #[must_use]
    pub fn answers(&self, new: &NewTimer) -> bool {
        let spec = &self.spec;
        let moved = self.generation > 1;
        self.request == new.request
            && self.name.timer == new.id
            && spec.handler == new.handler
            && spec.target == new.target
            && spec.policy == new.policy
            && spec.payload == new.payload
            && spec.content_type == new.content_type
            && spec.placement == new.placement
            && spec.durability == new.durability
            && spec.labels == new.labels
            && (moved || new.when.accept(self.created).as_ref() == Ok(&spec.schedule))
    }

    /// Folds what was missed: a recurring timer that is late by more than the grace runs its latest
    /// occurrence for all of them, or none if that one is past the catch-up window.
    ///
    /// To be called when the timer is due, before [`Timer::start`]; afterwards it may be due later.
    pub fn fold_missed(&mut self, now: WallTime) {
        let Phase::Waiting { occurrence, .. } = &self.phase else {
            return;
        };
        let (nominal, attempt) = (occurrence.nominal, occurrence.attempt);
        let late = now.since(nominal);
        if !self.spec.schedule.is_recurring() || attempt > 0 || late <= MISFIRE_GRACE {
            return;
        }
        let latest = self.spec.schedule.latest_at_or_before(nominal, now);
        if now.since(latest.nominal) <= self.catchup_window(latest.nominal) {
            if latest.skipped > 0 {
                let missed = occurrence.missed.saturating_add(latest.skipped);
                self.change(waiting(Occurrence {
                    missed,
                    ..Occurrence::fresh(latest.nominal)
                }));
            }
            return;
        }
        self.skipped = self
            .skipped
            .saturating_add(latest.skipped)
            .saturating_add(1);
        self.wait_for_next(latest.nominal, Ending::Skipped(Skip::PastWindow), now);
    }

    fn catchup_window(&self, nominal: WallTime) -> Millis {
        let period = self
            .spec
            .schedule
            .period_after(nominal)
            .unwrap_or(CATCHUP_MAX);
        period.min(CATCHUP_MAX).max(MISFIRE_GRACE)
    }

    /// Begins the next attempt under `token`, which must be newer than every earlier one of this timer.
    ///
    /// Returns none if the timer is not waiting.
    pub fn start(&mut self, by: &NodeId, token: Token, now: WallTime) -> Option<Run> {
        let Phase::Waiting { occurrence, due } = self.phase.clone() else {
            return None;
        };
        let occurrence = Occurrence {
            attempt: occurrence.attempt.saturating_add(1),
            ..occurrence
        };
        self.token = token;
        self.change(Phase::Running {
            occurrence,
            by: by.clone(),
            started: now,
        });
        Some(self.run_of(occurrence, token, due))
    }

    /// Takes an attempt back that nobody could begin; it does not count.
    pub fn unstart(&mut self, token: Token) {
        if let Phase::Running { occurrence, .. } = self.phase.clone()
            && self.token == token
        {
            let attempt = occurrence.attempt.saturating_sub(1);
            self.change(waiting(Occurrence {
                attempt,
                ..occurrence
            }));
        }
    }

    /// Writes down what the run under `token` came to.
    ///
    /// # Errors
    /// [`Stale`] if a newer run exists, or the timer was rearmed since.
    pub fn settle(
        &mut self,
        token: Token,
        outcome: &Outcome,
        now: WallTime,
    ) -> Result<Settled, Stale> {
        if self.last.as_ref().is_some_and(|last| last.token == token) {
            return Ok(Settled::Again);
        }
        let Phase::Running {
            occurrence,
            by,
            started,
        } = self.phase.clone()
        else {
            return Err(Stale);
        };
        if token != self.token && !planted::is(Fault::IgnoreToken) {
            return Err(Stale);
        }
        let run = InFlight {
            occurrence,
            by,
            started,
        };
        match outcome {
            Outcome::Done => self.end_occurrence(&run, Ending::Done, now),
            Outcome::Failed { retry_after, .. } => self.fail(&run, *retry_after, now),
            Outcome::Interrupted { died } => self.interrupt(&run, *died, now),
        }
        Ok(Settled::Accepted)
    }

    fn fail(&mut self, run: &InFlight, retry_after: Option<Millis>, now: WallTime) {
        if run.occurrence.attempt >= ATTEMPTS_MAX {
            return self.end_occurrence(run, Ending::Dead, now);
        }
        let due = now
            + self
                .backoff(run.occurrence)
                .max(retry_after.unwrap_or_default());
        let next = self.spec.schedule.next_after(run.occurrence.nominal);
        if self.spec.schedule.is_recurring() && next.is_some_and(|next| next <= due) {
            return self.end_occurrence(run, Ending::Failed, now);
        }
        self.change(Phase::Waiting {
            occurrence: run.occurrence,
            due,
        });
    }

    fn interrupt(&mut self, run: &InFlight, died: bool, now: WallTime) {
        let deaths = run.occurrence.deaths.saturating_add(u32::from(died));
        if deaths >= DEATHS_MAX {
            return self.end_occurrence(run, Ending::Dead, now);
        }
        self.change(waiting(Occurrence {
            deaths,
            ..run.occurrence
        }));
    }

    /// Half of the doubling wait is fixed, half is drawn by hash, so that retries spread but repeat.
    fn backoff(&self, occurrence: Occurrence) -> Millis {
        let doublings = occurrence.attempt.saturating_sub(1).min(16);
        let full = (BACKOFF_FIRST.0 << doublings).min(BACKOFF_MAX.0);
        let drawn = hash::fold(&[
            self.run_id(occurrence.nominal).0,
            u64::from(occurrence.attempt),
        ]);
        Millis(full / 2 + drawn % (full / 2 + 1))
    }

    fn end_occurrence(&mut self, run: &InFlight, ending: Ending, now: WallTime) {
        self.last = Some(LastRun {
            id: self.run_id(run.occurrence.nominal),
            nominal: run.occurrence.nominal,
            ending,
            at: now,
            by: run.by.clone(),
            token: self.token,
            attempt: run.occurrence.attempt,
        });
        let after = self.skip_overlapped(run, now);
        self.wait_for_next(after, ending, now);
    }

    /// What fell due while the run was in flight is skipped; what was late already is not.
    fn skip_overlapped(&mut self, run: &InFlight, now: WallTime) -> WallTime {
        let schedule = &self.spec.schedule;
        match schedule.next_after(run.occurrence.nominal) {
            Some(next) if run.started < next && next <= now => {
                let latest = schedule.latest_at_or_before(next, now);
                self.skipped = self
                    .skipped
                    .saturating_add(latest.skipped)
                    .saturating_add(1);
                latest.nominal
            }
            _ => run.occurrence.nominal,
        }
    }

    fn wait_for_next(&mut self, after: WallTime, ending: Ending, now: WallTime) {
        let next = match self.spec.schedule.is_recurring() {
            true => self.spec.schedule.next_after(after),
            false => None,
        };
        self.change(match next {
            Some(nominal) => waiting(Occurrence::fresh(nominal)),
            None => Phase::Over { ending, at: now },
        });
    }

    /// Moves the next firing to `time`; a run in flight goes on, but its outcome no longer counts.
    pub fn rearm(&mut self, time: WallTime, now: WallTime) {
        if !self.spec.schedule.is_recurring() {
            self.spec.schedule = Schedule::At(time);
        }
        self.generation = self.generation.saturating_add(1);
        self.updated = now;
        self.change(waiting(Occurrence::fresh(time)));
    }

    fn change(&mut self, phase: Phase) {
        self.phase = phase;
        self.revision = self.revision.saturating_add(1);
    }
}

struct InFlight {
    occurrence: Occurrence,
    by: NodeId,
    started: WallTime,
}

fn waiting(occurrence: Occurrence) -> Phase {
    Phase::Waiting {
        due: occurrence.nominal,
        occurrence,
    }
}
