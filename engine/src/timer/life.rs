//! The steps of an occurrence: accept, begin, settle, end.
//!
//! Each step is a function of the record and the time; which tokens are handed out is the caller's affair. What a
//! step has to tell of a run it notes in the timer itself.

use super::past::shortened;
use super::{
    Begun, DEATHS_MAX, Effort, Ending, Fate, Follow, LastRun, Occurrence, Outcome, Overlap, Phase,
    Run, Skip, Timer,
};
use crate::hash;
use crate::id::{NodeId, Token};
use crate::planted::{self, Fault};
use crate::schedule::Schedule;
use crate::time::{Millis, WallTime};

/// What a settlement did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Settled {
    /// The outcome counted.
    Accepted,
    /// The same outcome had counted before.
    Again,
}

/// The token is not that of a run of the timer that may settle: nothing was changed, and repeating does not help.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stale;

impl Timer {
    /// Begins the attempt of the line of this nominal time under `token`, which must be newer than every earlier
    /// one of this timer.
    ///
    /// Returns none if there is no such line, or it does not wait.
    pub fn begin(
        &mut self,
        nominal: WallTime,
        by: &NodeId,
        token: Token,
        now: WallTime,
    ) -> Option<Run> {
        let line = self.line_mut(|line| line.is(nominal))?;
        let Phase::Waiting { occurrence, due } = line.clone() else {
            return None;
        };
        let first = occurrence.attempt == 0;
        let occurrence = Occurrence {
            attempt: occurrence.attempt.saturating_add(1),
            ..occurrence
        };
        let run = Box::new(Begun {
            by: by.clone(),
            started: now,
            token,
        });
        *line = Phase::Running { occurrence, run };
        self.token = self.token.max(token);
        let counts = first && !occurrence.manual && !planted::is(Fault::MiscountOccurrences);
        self.begun += u64::from(counts);
        self.revision = self.revision.saturating_add(1);
        Some(self.run_of(occurrence, token, due))
    }

    /// Takes an attempt back that nobody could begin; it does not count.
    pub fn unbegin(&mut self, token: Token) {
        let delay = self.delay();
        let Some(line) = self.line_mut(|line| runs_under(line, token)) else {
            return;
        };
        let Some(mut occurrence) = line.occurrence().copied() else {
            return;
        };
        occurrence.attempt = occurrence.attempt.saturating_sub(1);
        *line = waiting(occurrence, delay);
        let first = occurrence.attempt == 0 && !occurrence.manual;
        self.begun = self.begun.saturating_sub(u64::from(first));
        self.revision = self.revision.saturating_add(1);
    }

    /// Writes down what the run under `token` came to.
    ///
    /// # Errors
    /// [`Stale`] if no run under this token is in flight: there is a newer one, or the timer was changed since.
    pub fn settle(
        &mut self,
        token: Token,
        outcome: &Outcome,
        now: WallTime,
    ) -> Result<Settled, Stale> {
        if self.was_last(token) {
            return Ok(Settled::Again);
        }
        let any = planted::is(Fault::IgnoreToken);
        let found = self.lines().find(|line| any || runs_under(line, token));
        let Some(Phase::Running { occurrence, run }) = found.cloned() else {
            return Err(Stale);
        };
        let run = InFlight {
            occurrence,
            begun: *run,
        };
        match outcome {
            Outcome::Done => self.end_line(&run, (Ending::Done, Fate::Done, ""), now),
            Outcome::Failed {
                retry_after,
                reason,
            } => self.fail(&run, (*retry_after, reason), now),
            Outcome::Interrupted { died } => self.interrupt(&run, *died, now),
        }
        Ok(Settled::Accepted)
    }

    /// Whether the latest occurrence ended under this token.
    pub(crate) fn was_last(&self, token: Token) -> bool {
        self.last.as_ref().is_some_and(|last| last.token == token)
    }

    /// The right of `node` to everything that it runs of this timer is over.
    pub fn interrupt_all(&mut self, node: &NodeId, died: bool, now: WallTime) {
        let running = self.lines().filter_map(Phase::running);
        let tokens: Vec<Token> = running
            .filter(|(_, by)| *by == node)
            .map(|it| it.0)
            .collect();
        for token in tokens {
            let settled = self.settle(token, &Outcome::Interrupted { died }, now);
            debug_assert!(settled.is_ok(), "a run under this token was just seen");
        }
    }

    fn fail(&mut self, run: &InFlight, (after, reason): (Option<Millis>, &str), now: WallTime) {
        if self.begins_once() {
            return self.end_line(run, (Ending::Failed, Fate::Failed, reason), now);
        }
        if run.occurrence.attempt >= self.spec.policy.retry.attempts_max {
            return self.end_line(run, (Ending::Dead, Fate::Dead, reason), now);
        }
        let due = now + self.backoff(run.occurrence).max(after.unwrap_or_default());
        let next = self.spec.next_after(run.occurrence.last_nominal());
        let recurs = self.spec.schedule.is_recurring() && !run.occurrence.manual;
        if recurs && next.is_some_and(|next| next + self.delay() <= due) {
            return self.end_line(run, (Ending::Failed, Fate::Failed, reason), now);
        }
        self.note(run, Fate::Failed, reason, now);
        let again = Phase::Waiting {
            occurrence: run.occurrence,
            due,
        };
        self.replace_line(run, again);
    }

    fn begins_once(&self) -> bool {
        self.spec.policy.effort == Effort::AtMostOnce && !planted::is(Fault::RetryAtMostOnce)
    }

    fn interrupt(&mut self, run: &InFlight, died: bool, now: WallTime) {
        if self.begins_once() {
            let why = "its runner ended before there was an outcome";
            return self.end_line(run, (Ending::Lost, Fate::Lost, why), now);
        }
        let deaths = run.occurrence.deaths.saturating_add(u8::from(died));
        if u32::from(deaths) >= DEATHS_MAX {
            let why = format!("its runners died {DEATHS_MAX} times");
            return self.end_line(run, (Ending::Dead, Fate::Dead, &why), now);
        }
        self.note(run, Fate::Interrupted, "", now);
        let occurrence = Occurrence {
            deaths,
            ..run.occurrence
        };
        let again = waiting(occurrence, self.delay());
        self.replace_line(run, again);
    }

    /// Half of the growing wait is fixed, half is drawn by hash, so that retries spread but repeat.
    fn backoff(&self, occurrence: Occurrence) -> Millis {
        let retry = self.spec.policy.retry;
        let grown = (1..occurrence.attempt).try_fold(retry.backoff_first.0, |wait, _| {
            let next = wait.saturating_mul(retry.factor_permille.into()) / 1000;
            // Further steps change nothing, and there may be many.
            (next < retry.backoff_max.0 && next > wait).then_some(next)
        });
        let flat = retry.factor_permille <= 1000;
        let full = match grown {
            Some(wait) => wait.min(retry.backoff_max.0),
            None if flat => retry.backoff_first.0,
            None => retry.backoff_max.0,
        };
        let drawn = hash::fold(&[
            self.run_id(occurrence.nominal).0,
            u64::from(occurrence.attempt),
        ]);
        Millis(full / 2 + drawn % (full / 2 + 1))
    }

    /// An occurrence has come to its end.
    fn end_line(
        &mut self,
        run: &InFlight,
        (ending, fate, reason): (Ending, Fate, &str),
        now: WallTime,
    ) {
        self.note(run, fate, reason, now);
        self.last = Some(LastRun {
            id: self.run_id(run.occurrence.nominal),
            nominal: run.occurrence.nominal,
            ending,
            at: now,
            by: run.begun.by.clone(),
            token: run.begun.token,
            attempt: run.occurrence.attempt,
            reason: shortened(reason),
        });
        if runs_under(&self.phase, run.begun.token) {
            self.go_on_after(run.occurrence.last_nominal(), ending, now);
        } else {
            self.beside
                .retain(|line| !runs_under(line, run.begun.token));
            if let Phase::Over { at, .. } = &mut self.phase {
                *at = now;
            }
            self.revision = self.revision.saturating_add(1);
        }
        self.treat_overlapped(run.begun.started, now);
        self.ramp(now);
    }

    /// What of the schedule fell due while a run kept it from beginning; what was late already is not meant.
    fn treat_overlapped(&mut self, started: WallTime, now: WallTime) {
        let overlap = self.spec.policy.overlap;
        let Phase::Waiting { occurrence, due } = self.phase.clone() else {
            return;
        };
        let meant = started < due && due <= now && occurrence.attempt == 0 && !occurrence.manual;
        if !meant || self.paused || !self.spec.schedule.is_recurring() {
            return;
        }
        let latest = self.latest_due(occurrence.nominal, now);
        match overlap {
            Overlap::Skip => {
                self.note_skipped(latest.nominal, latest.skipped, Skip::Overlap, now);
                self.go_on_after(latest.nominal, Ending::Skipped(Skip::Overlap), now);
            }
            Overlap::BufferOne => {
                if latest.nominal > occurrence.nominal {
                    let before = latest.skipped.saturating_sub(1);
                    self.note_skipped(latest.nominal, before, Skip::Overlap, now);
                }
                // It has waited for the run, so it was not missed.
                self.wait_for(Occurrence {
                    follow: Follow::after(latest.nominal),
                    ..occurrence
                });
            }
            Overlap::Allow | Overlap::Replace => {}
        }
    }

    /// Moves the next firing to `time`; a run in flight goes on, but its outcome no longer counts.
    pub fn rearm(&mut self, time: WallTime, now: WallTime) {
        if !self.spec.schedule.is_recurring() {
            self.spec.schedule = Schedule::At(time);
        }
        self.begin_generation(now);
        self.wait_for(Occurrence::fresh(time));
    }

    /// What is in flight or waits belongs to the past.
    pub(super) fn begin_generation(&mut self, now: WallTime) {
        for line in self.take_beside() {
            self.note_superseded(&line, now);
        }
        let main = self.phase.clone();
        if main.running().is_some() {
            self.note_superseded(&main, now);
        }
        self.generation = self.generation.saturating_add(1);
        self.note_edited(now);
    }

    pub(super) fn wait_for(&mut self, occurrence: Occurrence) {
        let phase = self.waiting(occurrence);
        self.change(phase);
    }

    /// The main line, waiting for this.
    pub(super) fn waiting(&self, occurrence: Occurrence) -> Phase {
        waiting(occurrence, self.delay())
    }

    pub(super) fn change(&mut self, phase: Phase) {
        self.phase = phase;
        self.revision = self.revision.saturating_add(1);
    }

    fn replace_line(&mut self, run: &InFlight, new: Phase) {
        if let Some(line) = self.line_mut(|line| runs_under(line, run.begun.token)) {
            *line = new;
        }
        self.revision = self.revision.saturating_add(1);
    }

    fn line_mut(&mut self, which: impl Fn(&Phase) -> bool) -> Option<&mut Phase> {
        let mut lines = std::iter::once(&mut self.phase).chain(self.aside.beside_mut());
        lines.find(|line| which(line))
    }
}

/// A run that has just come to something.
pub(super) struct InFlight {
    pub(super) occurrence: Occurrence,
    pub(super) begun: Begun,
}

fn runs_under(line: &Phase, token: Token) -> bool {
    line.running().is_some_and(|(own, _)| own == token)
}

/// An occurrence that waits for its own time. One that was asked for, or was tried before, has no delay any more.
fn waiting(occurrence: Occurrence, delay: Millis) -> Phase {
    let delay = if occurrence.manual { Millis(0) } else { delay };
    Phase::Waiting {
        due: occurrence.nominal + delay,
        occurrence,
    }
}
