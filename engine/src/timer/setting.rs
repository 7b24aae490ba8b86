//! One field of a timer gets another value.
//!
//! A value comes from its user's request alone; what it does to the values that stay is seen here, where they are.

use super::{Timer, When};
use crate::ledger::refuse_schedule;
use crate::op::{Refusal, Setting};
use crate::schedule::Schedule;
use crate::time::WallTime;

impl Timer {
    /// Gives one field another value.
    ///
    /// # Errors
    /// Why it cannot have it, whatever else the timer has.
    pub(super) fn set(&mut self, setting: &Setting, now: WallTime) -> Result<(), Refusal> {
        let spec = &mut self.spec;
        match setting {
            Setting::When(when) => {
                let schedule = when.accept(self.uid, now);
                spec.schedule = schedule.map_err(|bad| refuse_schedule(&bad))?;
            }
            Setting::Times(when) => {
                let when = match (when, &spec.schedule) {
                    (When::Cron(new), Schedule::Cron(old)) => {
                        When::Cron(new.clone().with_dst(old.dst()))
                    }
                    (when, _) => when.clone(),
                };
                let schedule = when.accept(self.uid, now);
                spec.schedule = schedule.map_err(|bad| refuse_schedule(&bad))?;
            }
            Setting::Dst(dst) => {
                if let Schedule::Cron(cron) = &spec.schedule {
                    spec.schedule = Schedule::Cron(cron.clone().with_dst(*dst));
                }
            }
            Setting::Target(handler, target) => {
                target.check_place(handler)?;
                spec.handler = handler.clone();
                spec.target = target.clone();
            }
            Setting::Payload(payload) => spec.payload = payload.clone(),
            Setting::ContentType(text) => spec.content_type.clone_from(text),
            Setting::Labels(labels) => spec.labels.clone_from(labels),
            Setting::Isolation(isolation) => spec.policy.isolation = *isolation,
            Setting::Effort(effort) => spec.policy.effort = *effort,
            Setting::Start(time) => spec.policy.bounds.start = *time,
            Setting::End(time) => spec.policy.bounds.end = *time,
            Setting::OccurrencesMax(most) => spec.policy.bounds.occurrences_max = *most,
            Setting::Expire(time) => spec.policy.bounds.expire = *time,
            Setting::Jitter(jitter) => spec.policy.jitter = *jitter,
            Setting::MisfireMode(mode) => spec.policy.misfire.mode = *mode,
            Setting::MisfireGrace(grace) => spec.policy.misfire.grace = *grace,
            Setting::MisfireWindow(window) => spec.policy.misfire.window = *window,
            Setting::MisfireCap(cap) => spec.policy.misfire.cap = *cap,
            Setting::Overlap(overlap) => spec.policy.overlap = *overlap,
            Setting::Retry(retry) => spec.policy.retry = *retry,
            Setting::Paused(_) => {}
        }
        Ok(())
    }

    /// What can be seen only when old and new values are together.
    ///
    /// # Errors
    /// Which value does not go together with another one.
    pub(super) fn check_policy(&self) -> Result<(), Refusal> {
        let policy = &self.spec.policy;
        let (start, end) = (policy.bounds.start, policy.bounds.end);
        if start.zip(end).is_some_and(|(start, end)| end <= start) {
            return Err(invalid("timer.end_time", "must be after start_time"));
        }
        let interval = match self.spec.schedule {
            Schedule::Every { interval, .. } => Some(interval),
            Schedule::At(_) | Schedule::Cron(_) => None,
        };
        if interval.is_some_and(|interval| policy.jitter >= interval) {
            return Err(invalid("timer.jitter", "must be shorter than the interval"));
        }
        Ok(())
    }
}

fn invalid(field: &str, why: &str) -> Refusal {
    Refusal::Invalid {
        field: field.into(),
        why: why.into(),
    }
}
