//! What users change of a timer, decided in the same way by its home and by the ledger.

use super::due::flies;
use super::{
    Effort, Ending, Follow, Isolation, Occurrence, Overlap, Payload, Phase, Policy, Remembered,
    RunRecord, Skip, Timer,
};
use crate::departed::used_before;
use crate::ledger::{new_time, no_dead_run, refuse_schedule};
use crate::op::{Answer, Change, NewTime, RearmMode, Refusal, Setting};
use crate::planted::{self, Fault};
use crate::time::{Millis, WallTime};

/// So many of the requests that changed a timer are remembered with it.
pub const REQUESTS_MAX: usize = 8;

/// Who asks for a change, and what is in flight meanwhile.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Asked {
    /// The id of the request; zero if nobody may repeat it.
    pub(crate) request: u128,
    /// The occurrence that is in flight without being written down.
    pub(crate) flying: Option<WallTime>,
    /// When.
    pub(crate) now: WallTime,
}

impl Policy {
    /// Whether its home holds it while it has no lease.
    #[must_use]
    pub fn holds(&self) -> bool {
        self.isolation == Isolation::Hold || self.effort == Effort::AtMostOnce
    }
}

impl Timer {
    /// Makes a change. A request that is known to have been made already is answered, not made again.
    ///
    /// # Errors
    /// Why it was not made; the timer is as before then.
    pub(crate) fn apply(&mut self, asked: Asked, change: &Change) -> Result<Answer, Refusal> {
        let digest = change.digest();
        if let Some(known) = self.remembered(asked.request) {
            return self.answer_again(known, digest, asked.now);
        }
        let made_it = asked.request != 0 && asked.request == self.request;
        if made_it && matches!(change, Change::Update { .. }) {
            // It was made by this request, because there was none.
            return Ok(self.shown());
        }
        let mut new = self.clone();
        let nominal = new.make(asked, change)?;
        new.remember(asked.request, digest, nominal);
        if new.revision == self.revision && new != *self {
            // What is remembered has to be known wherever the timer goes.
            new.revision = new.revision.saturating_add(1);
        }
        *self = new;
        let run = nominal.and_then(|nominal| self.record_of_line(nominal, asked.now));
        Ok(run.map_or_else(|| self.shown(), |run| Answer::Run(Box::new(run))))
    }

    /// Returns the nominal time of the run that was asked for, if one was.
    fn make(&mut self, asked: Asked, change: &Change) -> Result<Option<WallTime>, Refusal> {
        let Asked { flying, now, .. } = asked;
        match change {
            Change::Rearm { to, mode, payload } => {
                self.rearm_by(asked, (*to, *mode), payload.as_ref())?;
            }
            Change::Update { settings, etag } => self.update(asked, settings, *etag)?,
            Change::Pause => self.pause(now)?,
            Change::Resume => self.resume(flying, now),
            Change::RunNow => return self.run_now(flying, now).map(Some),
            Change::Revive(dead) => return Ok(Some(self.revive(dead, now))),
            Change::Requeue(run) | Change::Purge(run) => return Err(no_dead_run(*run)),
            Change::Cancel => return Err(precondition("is for the timer's owner to do")),
        }
        Ok(None)
    }

    fn shown(&self) -> Answer {
        Answer::Timer(Box::new(self.clone()))
    }

    fn remembered(&self, request: u128) -> Option<Remembered> {
        let counts = request != 0 && !planted::is(Fault::ForgetTheRequest);
        let mut known = self.requests.iter().filter(|_| counts);
        known.find(|known| known.request == request).copied()
    }

    fn remember(&mut self, request: u128, digest: u64, nominal: Option<WallTime>) {
        if request == 0 {
            return;
        }
        if self.requests.len() >= REQUESTS_MAX {
            self.requests.remove(0);
        }
        self.requests.push(Remembered {
            request,
            digest,
            nominal,
        });
    }

    fn answer_again(
        &self,
        known: Remembered,
        digest: u64,
        now: WallTime,
    ) -> Result<Answer, Refusal> {
        if known.digest != digest {
            return Err(used_before());
        }
        let Some(nominal) = known.nominal else {
            return Ok(self.shown());
        };
        match self.record_of_line(nominal, now) {
            Some(run) => Ok(Answer::Run(Box::new(run))),
            None => Err(precondition(
                "this request was done, and its run has ended; read the timer's runs",
            )),
        }
    }

    fn rearm_by(
        &mut self,
        asked: Asked,
        (to, mode): (NewTime, RearmMode),
        payload: Option<&Payload>,
    ) -> Result<(), Refusal> {
        let time = new_time(to, asked.now)?;
        let fresh =
            matches!(&self.phase, Phase::Waiting { occurrence, .. } if occurrence.attempt == 0);
        let armed = fresh && !flies(&self.phase, asked.flying);
        if armed && mode == RearmMode::Drop {
            return Ok(());
        }
        if let Some(payload) = payload {
            self.spec.payload = payload.clone();
            self.note_update(asked.now);
        }
        if !armed || mode == RearmMode::Replace {
            self.rearm(time, asked.now);
        }
        Ok(())
    }

    fn pause(&mut self, now: WallTime) -> Result<(), Refusal> {
        if self.is_over() {
            return Err(precondition(
                "it has ended; rearm it, or create another one",
            ));
        }
        if !self.paused {
            self.paused = true;
            self.note_update(now);
        }
        Ok(())
    }

    /// Goes on with the first occurrence after `now`: what fell due in between was not missed.
    fn resume(&mut self, flying: Option<WallTime>, now: WallTime) {
        if !self.paused {
            return;
        }
        self.paused = false;
        self.note_update(now);
        let Phase::Waiting { occurrence, due } = self.phase.clone() else {
            return self.follow_from(now);
        };
        if flies(&self.phase, flying) || occurrence.attempt > 0 {
            return self.follow_from(now);
        }
        if due > now {
            return;
        }
        let (latest, skipped) = self.latest_nominal(occurrence.nominal, now);
        let before = skipped.saturating_add(occurrence.missed);
        self.note_skipped(latest, before, Skip::Paused, now);
        self.go_on_after(latest, Ending::Skipped(Skip::Paused), now);
    }

    /// The schedule goes on after `now`, whatever runs.
    fn follow_from(&mut self, now: WallTime) {
        let Some(last) = self.phase.occurrence().map(Occurrence::last_nominal) else {
            return;
        };
        let (latest, before) = self.latest_nominal(last, now);
        if latest > last {
            self.note_skipped(latest, before.saturating_sub(1), Skip::Paused, now);
        }
        if let Phase::Waiting { occurrence, .. } | Phase::Running { occurrence, .. } =
            &mut self.phase
        {
            occurrence.follow = Follow::after(latest);
        }
    }

    fn latest_nominal(&self, from: WallTime, now: WallTime) -> (WallTime, u64) {
        let latest = self.latest_due(from, now);
        (latest.nominal, latest.skipped)
    }

    /// Whether an occurrence of this time is unfinished, or will be.
    fn names(&self, nominal: WallTime) -> bool {
        let mut lines = self.lines().filter_map(Phase::occurrence);
        let next = self.spec.next_after(nominal - Millis(1));
        lines.any(|it| it.nominal == nominal) || next == Some(nominal)
    }

    /// An occurrence of its own beside the schedule, due at once.
    fn run_now(&mut self, flying: Option<WallTime>, now: WallTime) -> Result<WallTime, Refusal> {
        let asked_for = |line: &Phase| line.occurrence().is_some_and(|it| it.manual);
        let waits = self
            .lines()
            .any(|line| asked_for(line) && !flies(line, flying));
        if waits {
            return Err(precondition("a run that was asked for waits already"));
        }
        let busy = self.lines().any(|line| flies(line, flying));
        if busy && self.spec.policy.overlap == Overlap::Skip {
            let why =
                "a run is in flight, and the timer's overlap policy is SKIP; wait for its end";
            return Err(precondition(why));
        }
        if self.beside.len() >= super::BESIDE_MAX {
            return Err(precondition("too many of its runs are unfinished"));
        }
        // A run that has ended within this millisecond keeps its nominal time, and with it its id.
        let after = self.last.as_ref().map(|last| last.nominal + Millis(1));
        let mut nominal = after.map_or(now, |after| after.max(now));
        // So does one that the schedule names: what was asked for is beside it.
        let mut tries = super::BESIDE_MAX + 2;
        while self.names(nominal) && tries > 0 {
            nominal = nominal + Millis(1);
            tries -= 1;
        }
        let nominal = self.add_asked_for(nominal, now);
        self.note_update(now);
        Ok(nominal)
    }

    /// A dead occurrence begins again, as if it were new.
    fn revive(&mut self, dead: &RunRecord, now: WallTime) -> WallTime {
        let nominal = self.add_asked_for(dead.nominal, now);
        self.note_update(now);
        nominal
    }

    /// Two occurrences of one timer have two nominal times.
    fn add_asked_for(&mut self, nominal: WallTime, now: WallTime) -> WallTime {
        let mut nominal = nominal;
        while self.has(nominal) || self.comes_next(nominal) {
            nominal = nominal + Millis(1);
        }
        self.beside.push(Phase::Waiting {
            occurrence: Occurrence {
                manual: true,
                ..Occurrence::fresh(nominal)
            },
            due: now,
        });
        nominal
    }

    /// Whether the schedule has this time next.
    fn comes_next(&self, nominal: WallTime) -> bool {
        let last = self.phase.occurrence().map(Occurrence::last_nominal);
        last.and_then(|last| self.spec.next_after(last)) == Some(nominal)
    }

    fn update(
        &mut self,
        asked: Asked,
        settings: &[Setting],
        etag: Option<(u64, u64)>,
    ) -> Result<(), Refusal> {
        let Asked { flying, now, .. } = asked;
        if etag.is_some_and(|etag| etag != (self.generation, self.revision)) {
            let why = "it was changed since it was read: the etag is another one; read it again";
            return Err(Refusal::Conflict { why: why.into() });
        }
        let pauses = settings.iter().find_map(|setting| {
            if let Setting::Paused(paused) = setting {
                Some(*paused)
            } else {
                None
            }
        });
        let only_pauses = settings.iter().all(|it| matches!(it, Setting::Paused(_)));
        if !only_pauses {
            self.edit(settings, flying, now)?;
        }
        match pauses {
            Some(true) => self.pause(now),
            Some(false) => {
                self.resume(flying, now);
                Ok(())
            }
            None => Ok(()),
        }
    }

    /// Other values: a new generation, which begins with the first occurrence after `now`.
    fn edit(
        &mut self,
        settings: &[Setting],
        flying: Option<WallTime>,
        now: WallTime,
    ) -> Result<(), Refusal> {
        let before = self.spec.schedule.clone();
        for setting in settings {
            self.set(setting, now)?;
        }
        self.check_policy()?;
        // Read, changed in another field and written back, it keeps its time.
        let recurs = self.spec.schedule.is_recurring();
        let widens =
            |it: &Setting| matches!(it, Setting::End(_) | Setting::OccurrencesMax(_)) && recurs;
        let moves = self.spec.schedule != before || settings.iter().any(widens);
        let flew = flies(&self.phase, flying);
        self.begin_generation(now);
        #[expect(
            clippy::wildcard_enum_match_arm,
            reason = "what is not kept begins anew, whatever it was"
        )]
        let phase = match self.phase.clone() {
            over @ Phase::Over { .. } if !moves => over,
            Phase::Waiting { occurrence, .. } if !moves && !recurs && !flew => {
                self.wait_for(Occurrence::fresh(occurrence.nominal));
                return Ok(());
            }
            _ if !moves && !recurs || self.occurrences_left() == 0 => Phase::Over {
                ending: Ending::Skipped(Skip::Superseded),
                at: now,
            },
            _ => {
                let begin = match planted::is(Fault::RunBeforeTheEdit) {
                    true => self.created,
                    false => now,
                };
                let first = self
                    .spec
                    .first_after(begin)
                    .map_err(|bad| refuse_schedule(&bad))?;
                self.wait_for(Occurrence::fresh(first));
                return Ok(());
            }
        };
        self.change(phase);
        Ok(())
    }

    fn note_update(&mut self, now: WallTime) {
        self.note_edited(now);
        self.revision = self.revision.saturating_add(1);
    }
}

fn precondition(why: &str) -> Refusal {
    Refusal::Precondition { why: why.into() }
}
