//! Every occurrence ends in a state that can be seen: what was launched is noted, and what was not is noted as
//! skipped.
//!
//! The notes are those that homes and ledger have committed, so that the bounds of the history do not matter. A
//! home tells the coordinator of its runs from memory: of a timer whose home died some notes may be missing, and
//! an EPHEMERAL timer has none while it is at home.

use super::{Ending, Rule, Violation, broken};
use crate::clock::{Moment, wall_at};
use crate::fact::Fact;
use crate::rules::known::{Known, Subject};
use dormouse_engine::id::Uid;
use dormouse_engine::time::{Millis, WallTime};
use dormouse_engine::timer::{Durability, Fate, RunRecord, Timer};
use std::collections::{BTreeMap, BTreeSet};

#[derive(Debug, Default)]
pub(super) struct Visible {
    notes: BTreeMap<Uid, Vec<RunRecord>>,
}

/// What was launched so short before the end may still be on its way.
const LATE: Millis = Millis(6_000);

const RULE: &str = "every occurrence ends in a visible state";

impl Rule for Visible {
    fn see(&mut self, _: &Known, _: Moment, fact: &Fact) -> Result<(), Violation> {
        if let Fact::Noted { uid, run } = fact {
            self.notes.entry(*uid).or_default().push((**run).clone());
        }
        Ok(())
    }

    fn end(&mut self, known: &Known, ending: &Ending) -> Result<(), Violation> {
        for (uid, subject) in &known.subjects {
            let judged = subject.acknowledged.is_some()
                && !subject.excused
                && !subject.cancel_asked
                && subject.new.durability != Durability::Ephemeral
                && known.is_undisturbed(*uid);
            if !judged {
                continue;
            }
            let Some(timer) = ending.owned.get(uid) else {
                continue;
            };
            let notes = self.notes.get(uid).map(Vec::as_slice).unwrap_or_default();
            let settled = ending.clock - LATE;
            launched_are_noted(known, (*uid, timer), (notes, settled))?;
            due_are_noted(subject, (*uid, timer), notes)?;
        }
        Ok(())
    }
}

fn launched_are_noted(
    known: &Known,
    (uid, timer): (Uid, &Timer),
    (notes, settled): (&[RunRecord], WallTime),
) -> Result<(), Violation> {
    let ended: BTreeSet<(u64, WallTime)> = notes
        .iter()
        .filter(|note| !matches!(note.fate, Fate::Interrupted | Fate::Waiting | Fate::Running))
        .map(|note| (note.generation, note.nominal))
        .collect();
    let launches = known.launches_of(uid);
    for launch in launches.filter(|launch| wall_at(launch.at) < settled) {
        let goes_on = launch.generation == timer.generation && timer.has(launch.nominal);
        if !goes_on && !ended.contains(&(launch.generation, launch.nominal)) {
            let what = format!(
                "{} of generation {} was launched by n{}, and nobody has noted its end",
                launch.nominal, launch.generation, launch.node
            );
            return Err(broken(RULE, uid, what));
        }
    }
    Ok(())
}

/// Of a timer that nobody has changed every time of its schedule is noted, up to the one that is next.
fn due_are_noted(
    subject: &Subject,
    (uid, timer): (Uid, &Timer),
    notes: &[RunRecord],
) -> Result<(), Violation> {
    let untouched = !subject.rearmed && !subject.edited && !subject.paused;
    if !untouched || timer.generation != 1 {
        return Ok(());
    }
    let mut noted: BTreeMap<WallTime, u64> = BTreeMap::new();
    for note in notes {
        let missed = noted.entry(note.nominal).or_default();
        *missed = note.missed.max(*missed);
    }
    let next = match timer.phase.occurrence() {
        Some(occurrence) => occurrence.nominal,
        // What comes after the end of a timer is not due any more.
        None => match noted.last_key_value() {
            Some((last, _)) => *last,
            None => return Err(broken(RULE, uid, "it is over, and nothing is noted".into())),
        },
    };
    let mut nominal = timer.spec.first_after(timer.created).ok();
    let mut unseen: Vec<WallTime> = Vec::new();
    while let Some(time) = nominal.filter(|time| *time < next || noted.contains_key(time)) {
        match noted.get(&time) {
            Some(missed) => {
                let missed = usize::try_from(*missed).unwrap_or(usize::MAX);
                unseen.truncate(unseen.len().saturating_sub(missed));
                if let Some(time) = unseen.first() {
                    let what = format!("{time} fell due, and nobody has noted what became of it");
                    return Err(broken(RULE, uid, what));
                }
            }
            None if timer.has(time) => {}
            None => unseen.push(time),
        }
        nominal = timer
            .spec
            .next_after(time)
            .filter(|_| timer.spec.schedule.is_recurring());
    }
    Ok(())
}
