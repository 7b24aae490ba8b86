//! What has become of attempts and of occurrences that were not attempted.

use super::life::InFlight;
use super::{Asked, Occurrence, Phase, Skip, Timer};
use crate::id::{NodeId, RunId, Token};
use crate::time::WallTime;
use serde::{Deserialize, Serialize};

/// The longest reason that is remembered, in characters.
const REASON_MAX: usize = 1024;

/// One attempt to deliver an occurrence, or occurrences that were skipped, as they are remembered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunRecord {
    /// The occurrence, the same for every attempt.
    pub id: RunId,
    /// The timer's generation that it belongs to.
    pub generation: u64,
    /// Its nominal time; of several that were skipped together, the latest.
    pub nominal: WallTime,
    /// The number of the attempt, from 1; zero if there was none.
    pub attempt: u32,
    /// The token it ran under; zero if it had none.
    pub token: Token,
    /// The node that ran it.
    pub by: Option<NodeId>,
    /// When it began.
    pub started: Option<WallTime>,
    /// When this was written down.
    pub finished: WallTime,
    /// What has become of it.
    pub fate: Fate,
    /// In the handler's words; empty if there are none.
    pub reason: String,
    /// Occurrences before this one that it stands for.
    pub missed: u64,
}

/// What has become of an attempt or an occurrence.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Fate {
    /// It was asked for, and has not begun.
    Waiting,
    /// It has begun.
    Running,
    /// Its handler acknowledged it.
    Done,
    /// It failed; another attempt may follow.
    Failed,
    /// Its runner lost the right, or died, before there was an outcome; it begins again.
    Interrupted,
    /// It failed, and no attempt is left.
    Dead,
    /// It did not run.
    Skipped(Skip),
    /// It began at most once, and what it came to is not known.
    Lost,
}

/// Where a record stands among those of its timer, the newest last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct RunKey {
    /// [`RunRecord::finished`].
    pub finished: WallTime,
    /// [`RunRecord::nominal`].
    pub nominal: WallTime,
    /// [`RunRecord::attempt`].
    pub attempt: u32,
    /// [`RunRecord::token`].
    pub token: Token,
}

/// A reason, as far as it is remembered.
pub(super) fn shortened(reason: &str) -> String {
    reason.chars().take(REASON_MAX).collect()
}

impl RunRecord {
    /// Where it stands among those of its timer.
    #[must_use]
    pub fn key(&self) -> RunKey {
        RunKey {
            finished: self.finished,
            nominal: self.nominal,
            attempt: self.attempt,
            token: self.token,
        }
    }
}

impl Timer {
    /// Notes what has become of an attempt.
    pub(super) fn note(&mut self, run: &InFlight, fate: Fate, reason: &str, now: WallTime) {
        let record = RunRecord {
            token: run.begun.token,
            by: Some(run.begun.by.clone()),
            started: Some(run.begun.started),
            fate,
            reason: shortened(reason),
            ..self.record_of(&run.occurrence, now)
        };
        self.noted.push(record);
    }

    /// Notes that an occurrence was skipped, and `before` others before it.
    pub(super) fn note_skipped(
        &mut self,
        nominal: WallTime,
        before: u64,
        why: Skip,
        now: WallTime,
    ) {
        self.skipped = self.skipped.saturating_add(before).saturating_add(1);
        let occurrence = Occurrence {
            missed: before,
            ..Occurrence::fresh(nominal)
        };
        let record = RunRecord {
            fate: Fate::Skipped(why),
            ..self.record_of(&occurrence, now)
        };
        self.noted.push(record);
    }

    /// Notes that something later has taken the place of an occurrence.
    pub(super) fn note_superseded(&mut self, line: &Phase, now: WallTime) {
        let Some(occurrence) = line.occurrence() else {
            return;
        };
        let mut record = self.record_of(occurrence, now);
        record.fate = Fate::Skipped(Skip::Superseded);
        if let Phase::Running { run, .. } = line {
            record.by = Some(run.by.clone());
            record.started = Some(run.started);
            record.token = run.token;
        }
        self.skipped = self.skipped.saturating_add(1);
        self.noted.push(record);
    }

    /// Notes that a change has dropped a run that was in flight without being written down; `before` has it.
    pub(crate) fn note_dropped(&mut self, before: Option<&Self>, asked: Asked) {
        let run = asked.flying.zip(before);
        let record = run.and_then(|(nominal, before)| before.record_of_line(nominal, asked.now));
        let Some(record) = record else { return };
        self.skipped = self.skipped.saturating_add(1);
        self.noted.push(RunRecord {
            fate: Fate::Skipped(Skip::Superseded),
            ..record
        });
    }

    /// A line as it stands, for who asked for it.
    #[must_use]
    pub fn record_of_line(&self, nominal: WallTime, now: WallTime) -> Option<RunRecord> {
        let line = self.lines().find(|line| line.is(nominal))?;
        let mut record = self.record_of(line.occurrence()?, now);
        if let Phase::Running { run, .. } = line {
            record.fate = Fate::Running;
            record.by = Some(run.by.clone());
            record.started = Some(run.started);
            record.token = run.token;
        }
        Some(record)
    }

    fn record_of(&self, occurrence: &Occurrence, now: WallTime) -> RunRecord {
        RunRecord {
            id: self.run_id(occurrence.nominal),
            generation: self.generation,
            nominal: occurrence.nominal,
            attempt: occurrence.attempt,
            token: Token(0),
            by: None,
            started: None,
            finished: now,
            fate: Fate::Waiting,
            reason: String::new(),
            missed: occurrence.missed,
        }
    }
}
