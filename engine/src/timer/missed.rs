//! What becomes of occurrences that come too late: the misfire rule, the catch-up window, expiry.
//!
//! The work does not depend on how many were missed.

use super::{CATCHUP_MAX, Ending, MISFIRE_GRACE, MisfireMode, Occurrence, Phase, Skip, Timer};
use crate::planted::{self, Fault};
use crate::schedule::Schedule;
use crate::time::{Millis, WallTime};

impl Timer {
    /// Applies the rules to the main line, which is due. Returns whether that changed what is due.
    pub(super) fn fold_missed(&mut self, now: WallTime) -> bool {
        let Phase::Waiting { occurrence, .. } = self.phase else {
            return false;
        };
        if self.is_in_time(&occurrence, now) {
            return false;
        }
        if self.has_expired(now) {
            self.expire(occurrence, now);
            return true;
        }
        match self.spec.policy.misfire.mode {
            MisfireMode::Skip => self.skip_missed(occurrence, now),
            MisfireMode::Once => self.run_latest(occurrence, now),
            MisfireMode::All => self.run_all(occurrence, now),
        }
    }

    /// Whether nothing of the main line is too late.
    pub(super) fn is_in_time(&self, occurrence: &Occurrence, now: WallTime) -> bool {
        if occurrence.attempt > 0 || occurrence.manual {
            return true;
        }
        if self.has_expired(now) {
            return false;
        }
        let late = now.since(occurrence.nominal + self.delay());
        occurrence.follow.time().is_some()
            || !self.spec.schedule.is_recurring()
            || late <= self.spec.policy.misfire.grace
    }

    fn has_expired(&self, now: WallTime) -> bool {
        let expired = self.spec.policy.bounds.expire.is_some_and(|at| at <= now);
        expired && !planted::is(Fault::IgnoreExpiry)
    }

    /// An occurrence beside the main line that has not begun, since its node gave it back, expires like any other.
    pub(super) fn expire_beside(&mut self, nominal: WallTime, now: WallTime) -> bool {
        let fresh = |line: &&Phase| line.occurrence().is_some_and(|it| it.is_fresh(nominal));
        let Some(occurrence) = self.beside.iter().find(fresh).and_then(Phase::occurrence) else {
            return false;
        };
        let expired = self.spec.policy.bounds.expire.is_some_and(|at| at <= now);
        if expired {
            let missed = occurrence.missed;
            self.beside.retain(|line| !line.is(nominal));
            self.note_skipped(nominal, missed, Skip::Expired, now);
            self.revision = self.revision.saturating_add(1);
        }
        expired
    }

    fn expire(&mut self, occurrence: Occurrence, now: WallTime) {
        // What lies between is dealt with already, if it has waited for a run.
        let from = occurrence.last_nominal();
        let latest = self.latest_due(from, now);
        if from > occurrence.nominal {
            self.note_skipped(occurrence.nominal, occurrence.missed, Skip::Expired, now);
            if latest.skipped > 0 {
                self.note_skipped(latest.nominal, latest.skipped - 1, Skip::Expired, now);
            }
        } else {
            let latest = latest.standing_for(occurrence);
            self.note_skipped(latest.nominal, latest.skipped, Skip::Expired, now);
        }
        let ending = Ending::Skipped(Skip::Expired);
        self.change(Phase::Over { ending, at: now });
    }

    /// None of the missed ones runs; one that is late by no more than the grace was not missed.
    fn skip_missed(&mut self, occurrence: Occurrence, now: WallTime) -> bool {
        let limit = now - self.spec.policy.misfire.grace - Millis(1);
        let latest = self.latest_due(occurrence.nominal, limit);
        let latest = latest.standing_for(occurrence);
        self.skip_up_to(latest, Skip::PastWindow, now)
    }

    /// The latest runs for all of them, if it is within the window.
    fn run_latest(&mut self, occurrence: Occurrence, now: WallTime) -> bool {
        let latest = self.latest_due(occurrence.nominal, now);
        if now.since(latest.nominal + self.delay()) > self.catchup_window(latest.nominal) {
            return self.skip_up_to(latest.standing_for(occurrence), Skip::PastWindow, now);
        }
        if latest.skipped == 0 {
            return false;
        }
        let missed = occurrence.missed.saturating_add(latest.skipped);
        self.wait_for(Occurrence {
            missed,
            ..Occurrence::fresh(latest.nominal)
        });
        true
    }

    /// Each runs that is within the window, but only the latest ones up to the cap.
    fn run_all(&mut self, occurrence: Occurrence, now: WallTime) -> bool {
        let first = occurrence.nominal;
        let latest = self.latest_due(first, now);
        let too_old = now - self.catchup_window(latest.nominal) - self.delay() - Millis(1);
        if first <= too_old {
            let old = self.latest_due(first, too_old + self.delay());
            return self.skip_up_to(old.standing_for(occurrence), Skip::PastWindow, now);
        }
        let excess = (latest.skipped + 1).saturating_sub(self.spec.policy.misfire.cap.into());
        if excess == 0 {
            return false;
        }
        let nominal = nth(&self.spec.schedule, (first, latest.nominal), excess);
        let skipped = excess - 1;
        let excess = Missed { nominal, skipped };
        self.skip_up_to(excess.standing_for(occurrence), Skip::Cap, now)
    }

    fn skip_up_to(&mut self, latest: Missed, why: Skip, now: WallTime) -> bool {
        self.note_skipped(latest.nominal, latest.skipped, why, now);
        self.go_on_after(latest.nominal, Ending::Skipped(why), now);
        true
    }

    pub(super) fn latest_due(&self, from: WallTime, until: WallTime) -> Missed {
        let until = until - self.delay();
        let last = self.spec.policy.bounds.end.map(|end| end - Millis(1));
        let until = last.map_or(until, |last| until.min(last));
        let latest = self.spec.schedule.latest_at_or_before(from, until);
        Missed {
            nominal: latest.nominal,
            skipped: latest.skipped,
        }
    }

    fn catchup_window(&self, nominal: WallTime) -> Millis {
        let period = || self.spec.schedule.period_after(nominal);
        self.spec.policy.misfire.window.unwrap_or_else(|| {
            let period = period().unwrap_or(CATCHUP_MAX);
            period.min(CATCHUP_MAX).max(MISFIRE_GRACE)
        })
    }
}

/// The latest of some occurrences, and how many come before it.
pub(super) struct Missed {
    pub(super) nominal: WallTime,
    pub(super) skipped: u64,
}

impl Missed {
    /// Those that the first of them stood for already are skipped with it.
    fn standing_for(self, first: Occurrence) -> Self {
        Self {
            skipped: self.skipped.saturating_add(first.missed),
            ..self
        }
    }
}

/// The `n`th nominal time from the first one on, that one being the first: found by halving the time between.
fn nth(schedule: &Schedule, (first, last): (WallTime, WallTime), n: u64) -> WallTime {
    let count = |until| schedule.latest_at_or_before(first, WallTime(until)).skipped + 1;
    let (mut low, mut high) = (first.0, last.0);
    while low < high {
        let middle = low + (high - low) / 2;
        if count(middle) < n {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    WallTime(low)
}

impl Occurrence {
    /// Whether it is this one of the schedule, and has not begun.
    fn is_fresh(&self, nominal: WallTime) -> bool {
        self.nominal == nominal && self.attempt == 0 && !self.manual
    }
}
