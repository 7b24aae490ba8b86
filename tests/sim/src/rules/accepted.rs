//! The ledger accepts one run of an occurrence, and only one that its worker has finished.

use super::{Rule, Violation, broken};
use crate::clock::Moment;
use crate::fact::Fact;
use crate::rules::known::{Known, Subject};
use dormouse_engine::id::{Token, Uid};
use dormouse_engine::time::WallTime;
use dormouse_engine::timer::{Ending, Outcome, Timer};
use std::collections::BTreeMap;

#[derive(Debug, Default)]
pub(super) struct Accepted {
    runs: BTreeMap<(Uid, u64, WallTime), Token>,
}

impl Rule for Accepted {
    fn see(&mut self, known: &Known, _: Moment, fact: &Fact) -> Result<(), Violation> {
        match fact {
            Fact::Ledger {
                uid,
                timer: Some(timer),
            } => {
                finished(known, *uid, timer)?;
                self.once(known, *uid, timer)
            }
            Fact::Kept {
                uid,
                timer: Some(timer),
                ..
            } => finished(known, *uid, timer),
            _ => Ok(()),
        }
    }
}

impl Accepted {
    fn once(&mut self, known: &Known, uid: Uid, timer: &Timer) -> Result<(), Violation> {
        // A dead one may be run again.
        let last = timer.last.as_ref();
        let Some(last) = last.filter(|last| last.ending != Ending::Dead) else {
            return Ok(());
        };
        let Some(launch) = known.launches.get(&(uid, last.token)) else {
            return Ok(());
        };
        // Of an occurrence that a node was dead for and another has done, its user may have asked for one more run.
        let again = |it: &Subject| it.excused || !it.requeues.is_empty();
        if known.subjects.get(&uid).is_some_and(again) {
            return Ok(());
        }
        let key = (uid, launch.generation, launch.nominal);
        let first = *self.runs.entry(key).or_insert(last.token);
        if first != last.token {
            let what = format!(
                "of {} the runs {first} and {} were accepted",
                launch.nominal, last.token
            );
            return Err(broken("one run of an occurrence is accepted", uid, what));
        }
        Ok(())
    }
}

fn finished(known: &Known, uid: Uid, timer: &Timer) -> Result<(), Violation> {
    let Some(last) = timer
        .last
        .as_ref()
        .filter(|last| last.ending == Ending::Done)
    else {
        return Ok(());
    };
    let launch = known.launches.get(&(uid, last.token));
    let done = launch.is_some_and(|launch| matches!(launch.ended, Some((_, Outcome::Done))));
    if !done {
        let what = format!(
            "run {} of {} is noted as done, but no worker has done it",
            last.token, last.nominal
        );
        return Err(broken("what is accepted was done", uid, what));
    }
    Ok(())
}
