//! A timer that is in nobody's hands: as it enters a ledger from elsewhere.

use super::{Effort, Ending, LastRun, Occurrence, Phase, Timer};
use crate::time::WallTime;

impl Timer {
    /// The same timer with nothing in flight: what ran waits again, under a later token when it runs, and what may
    /// begin only once is lost, since whether it has ended is not known here.
    #[must_use]
    pub fn at_rest(&self, now: WallTime) -> Self {
        let mut timer = self.clone();
        timer.awaits = None;
        if let Phase::Running { occurrence, by, .. } = &self.phase {
            timer.phase = match self.spec.policy.effort {
                Effort::AtLeastOnce => Phase::Waiting {
                    occurrence: *occurrence,
                    due: occurrence.nominal,
                },
                Effort::AtMostOnce => {
                    timer.last = Some(LastRun {
                        id: self.run_id(occurrence.nominal),
                        nominal: occurrence.nominal,
                        ending: Ending::Lost,
                        at: now,
                        by: by.clone(),
                        token: self.token,
                        attempt: occurrence.attempt,
                    });
                    self.after(*occurrence, now)
                }
            };
            timer.revision = timer.revision.saturating_add(1);
        }
        timer
    }

    /// What comes after an occurrence that does not run again.
    fn after(&self, occurrence: Occurrence, now: WallTime) -> Phase {
        let schedule = &self.spec.schedule;
        let next = schedule.next_after(occurrence.nominal);
        match next.filter(|_| schedule.is_recurring()) {
            Some(nominal) => Phase::Waiting {
                occurrence: Occurrence::fresh(nominal),
                due: nominal,
            },
            None => Phase::Over {
                ending: Ending::Lost,
                at: now,
            },
        }
    }
}
