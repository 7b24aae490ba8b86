//! Which occurrence of a timer is next, and what the overlap policy makes of those that run.
//!
//! ```text
//! main line   --- runs N1 ------------------------+        SKIP, BUFFER_ONE: nothing is due while it runs
//!                      N2 falls due               |
//! ALLOW       N1 goes beside, N2 is the main line |        REPLACE: N1 ends here, N2 is the main line
//! ```
//!
//! Where it makes no difference a home does not write down that a run has begun before it has ended (see
//! [`Timer::writes_starts`]); it says which occurrence is in flight instead.

use super::{Effort, Ending, Follow, MisfireMode, Occurrence, Overlap, Phase, Skip, Timer};
use crate::planted::{self, Fault};
use crate::time::{Millis, WallTime};

/// With overlap ALLOW at most so many occurrences are unfinished beside the newest; further ones are skipped.
pub const BESIDE_MAX: usize = 100;

/// Of the missed occurrences that all run, the next one is due this long after the one before has ended.
pub(super) const RAMP: Millis = Millis(100);

impl Timer {
    /// When something of it is to begin; none if only time will not make it begin.
    #[must_use]
    pub fn due(&self) -> Option<WallTime> {
        self.due_while(None)
    }

    /// The same while the occurrence of this nominal time is in flight without being written down.
    #[must_use]
    pub fn due_while(&self, flying: Option<WallTime>) -> Option<WallTime> {
        if self.is_blocked(flying) {
            return None;
        }
        let waiting = self.first_waiting(flying).map(|(due, _)| due);
        let successor = self.successor(flying).map(|(due, _)| due);
        waiting.into_iter().chain(successor).min()
    }

    /// Makes sure that what is due at `now` has a waiting line of its own, with what was missed dealt with.
    /// Returns its nominal time; none if nothing is due any more.
    pub fn ready(&mut self, flying: Option<WallTime>, now: WallTime) -> Option<WallTime> {
        loop {
            if self.due_while(flying).is_none_or(|due| due > now) {
                return None;
            }
            let waiting = self.first_waiting(flying);
            match (waiting, self.successor(flying)) {
                (waiting, Some((due, nominal))) if waiting.is_none_or(|(first, _)| due < first) => {
                    self.open(nominal, flying, now);
                }
                (Some((_, nominal)), _) if self.phase.is(nominal) => {
                    if !self.fold_missed(now) {
                        self.supersede_others(nominal, flying, now);
                        return Some(nominal);
                    }
                }
                (Some((_, nominal)), _) if self.expire_beside(nominal, now) => {}
                (Some((_, nominal)), _) => {
                    self.supersede_others(nominal, flying, now);
                    return Some(nominal);
                }
                (None, _) => return None,
            }
        }
    }

    /// What [`Timer::ready`] returns, if it has nothing to change: the usual case, where one occurrence waits, is due
    /// and is not too late.
    pub(crate) fn ready_as_it_is(&self, now: WallTime) -> Option<WallTime> {
        let Phase::Waiting { occurrence, due } = &self.phase else {
            return None;
        };
        let begins = *due <= now && (!self.paused || occurrence.manual);
        let alone = self.beside.is_empty();
        let ready = begins && alone && self.is_in_time(occurrence, now);
        ready.then_some(occurrence.nominal)
    }

    /// Whether a run in flight keeps everything else from beginning.
    fn is_blocked(&self, flying: Option<WallTime>) -> bool {
        let overlap = self.spec.policy.overlap;
        let alone = matches!(overlap, Overlap::Skip | Overlap::BufferOne);
        alone && self.lines().any(|line| flies(line, flying))
    }

    /// The waiting line that is due first: when, and its nominal time.
    fn first_waiting(&self, flying: Option<WallTime>) -> Option<(WallTime, WallTime)> {
        let waiting = self.lines().filter(|line| !flies(line, flying));
        let waiting = waiting.filter_map(|line| {
            let Phase::Waiting { occurrence, due } = line else {
                return None;
            };
            let begins = !self.paused || occurrence.manual;
            begins.then_some((*due, occurrence.nominal))
        });
        waiting.min()
    }

    /// What the schedule has after the occurrence of the main line, while that runs: when it is due, and its
    /// nominal time.
    fn successor(&self, flying: Option<WallTime>) -> Option<(WallTime, WallTime)> {
        let overlap = self.spec.policy.overlap;
        let open = matches!(overlap, Overlap::Allow | Overlap::Replace) && !self.paused;
        if !open || !flies(&self.phase, flying) || !self.spec.schedule.is_recurring() {
            return None;
        }
        if self.occurrences_left() == 0 {
            return None;
        }
        let last = self.phase.occurrence()?.last_nominal();
        let nominal = self.spec.next_after(last)?;
        Some((nominal + self.delay(), nominal))
    }

    /// Whether a home writes down that a run begins, rather than only what came of it: if it may begin only once,
    /// if its begun occurrences are counted, or if several run at once.
    #[must_use]
    pub fn writes_starts(&self) -> bool {
        let policy = &self.spec.policy;
        policy.effort == Effort::AtMostOnce
            || policy.overlap == Overlap::Allow
            || policy.bounds.occurrences_max.is_some()
    }

    /// How many occurrences of the schedule may still begin.
    pub(super) fn occurrences_left(&self) -> u64 {
        let most = self.spec.policy.bounds.occurrences_max;
        most.map_or(u64::MAX, |most| most.saturating_sub(self.begun))
    }

    /// The schedule has come to its next occurrence while the one before runs.
    fn open(&mut self, nominal: WallTime, flying: Option<WallTime>, now: WallTime) {
        let next = fresh(nominal, self.delay());
        if self.spec.policy.overlap == Overlap::Replace && !planted::is(Fault::KeepTheReplaced) {
            let before = std::mem::replace(&mut self.phase, next);
            self.revision = self.revision.saturating_add(1);
            return self.note_superseded(&before, now);
        }
        if self.beside.len() >= BESIDE_MAX {
            return self.pass_over(nominal, now);
        }
        debug_assert!(flies(&self.phase, flying), "only a running one is passed");
        let before = std::mem::replace(&mut self.phase, next);
        self.beside.push(before);
        self.revision = self.revision.saturating_add(1);
    }

    /// Too many are unfinished: everything that is due by now is skipped.
    fn pass_over(&mut self, nominal: WallTime, now: WallTime) {
        let latest = self.latest_due(nominal, now);
        self.note_skipped(latest.nominal, latest.skipped, Skip::Cap, now);
        let (Phase::Waiting { occurrence, .. } | Phase::Running { occurrence, .. }) =
            &mut self.phase
        else {
            return;
        };
        occurrence.follow = Follow::after(latest.nominal);
        self.revision = self.revision.saturating_add(1);
    }

    /// With overlap REPLACE what begins takes the place of everything that runs.
    fn supersede_others(&mut self, nominal: WallTime, flying: Option<WallTime>, now: WallTime) {
        if self.spec.policy.overlap != Overlap::Replace || planted::is(Fault::KeepTheReplaced) {
            return;
        }
        let over = |line: &mut Phase| flies(line, flying) && !line.is(nominal);
        let ended: Vec<Phase> = self.beside.extract_if(.., over).collect();
        for line in &ended {
            self.note_superseded(line, now);
        }
        if flies(&self.phase, flying) && !self.phase.is(nominal) {
            let before = self.phase.clone();
            self.note_superseded(&before, now);
            let after = before
                .occurrence()
                .map_or(nominal, Occurrence::last_nominal);
            self.go_on_after(after, Ending::Skipped(Skip::Superseded), now);
        } else if !ended.is_empty() {
            self.revision = self.revision.saturating_add(1);
        }
    }

    /// The main line waits for what the schedule has after `after`, or is over.
    pub(super) fn go_on_after(&mut self, after: WallTime, ending: Ending, now: WallTime) {
        let recurs = self.spec.schedule.is_recurring() && self.occurrences_left() > 0;
        let next = recurs.then(|| self.spec.next_after(after)).flatten();
        let phase = match next {
            Some(nominal) => fresh(nominal, self.delay()),
            None => Phase::Over { ending, at: now },
        };
        self.change(phase);
    }

    /// With misfire ALL those that were missed run one after the other, with some time between.
    pub(super) fn ramp(&mut self, now: WallTime) {
        let misfire = self.spec.policy.misfire;
        let all = misfire.mode == MisfireMode::All;
        if let Phase::Waiting { due, .. } = &mut self.phase
            && all
            && *due + misfire.grace < now
        {
            *due = now + RAMP;
        }
    }
}

/// Whether an occurrence is in flight, written down or not.
pub(super) fn flies(line: &Phase, flying: Option<WallTime>) -> bool {
    line.running().is_some() || flying.is_some_and(|nominal| line.is(nominal))
}

fn fresh(nominal: WallTime, delay: Millis) -> Phase {
    Phase::Waiting {
        occurrence: Occurrence::fresh(nominal),
        due: nominal + delay,
    }
}
