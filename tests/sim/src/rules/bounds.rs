//! Nothing runs outside of the bounds of its timer: before its start, at or after its end, when it has expired, or
//! more often than it may; and no change is retroactive.

use super::{Rule, Violation, broken};
use crate::clock::Moment;
use crate::fact::Fact;
use crate::rules::known::{Known, Subject};
use dormouse_engine::id::Uid;
use dormouse_engine::time::WallTime;
use dormouse_engine::timer::{Phase, Run, Timer};
use std::collections::BTreeSet;

#[derive(Debug, Default)]
pub(super) struct Bounds;

impl Rule for Bounds {
    fn see(&mut self, known: &Known, _: Moment, fact: &Fact) -> Result<(), Violation> {
        match fact {
            Fact::Launched { run, .. } => match known.subjects.get(&run.uid) {
                Some(subject) => launched(known, subject, run),
                None => Ok(()),
            },
            Fact::Ledger {
                uid,
                timer: Some(timer),
            }
            | Fact::Kept {
                uid,
                timer: Some(timer),
            } => running(known, *uid, timer),
            Fact::Noted { uid, run } => {
                let first = run.started.filter(|_| run.attempt == 1);
                let first = first.map(|started| (run.nominal, started));
                begun(known, *uid, run.generation, first.into_iter())
            }
            _ => Ok(()),
        }
    }
}

fn launched(known: &Known, subject: &Subject, run: &Run) -> Result<(), Violation> {
    if subject.may_be_asked_for(run.nominal) {
        return Ok(());
    }
    within(subject, run)?;
    not_retroactive(subject, run)?;
    not_too_often(known, subject, run)
}

fn within(subject: &Subject, run: &Run) -> Result<(), Violation> {
    let Some(policy) = subject.policy(run.generation).filter(|_| !subject.rearmed) else {
        return Ok(());
    };
    let (bounds, nominal) = (&policy.bounds, run.nominal);
    let before = bounds.start.is_some_and(|start| nominal < start);
    let after = bounds.end.is_some_and(|end| nominal >= end);
    if before || after {
        let what = format!("{nominal} is launched, and its bounds are {bounds:?}");
        return Err(broken("nothing runs outside of its bounds", run.uid, what));
    }
    Ok(())
}

/// What recurs begins with the first occurrence after it was created or edited.
fn not_retroactive(subject: &Subject, run: &Run) -> Result<(), Violation> {
    let spec = subject.spec(run.generation);
    let recurs = spec.is_some_and(|spec| spec.schedule.is_recurring()) && !subject.rearmed;
    match subject.begins_after(run.generation).filter(|_| recurs) {
        Some(begin) if run.nominal < begin => {
            let what = format!(
                "{} is launched, and generation {} began after {begin}",
                run.nominal, run.generation
            );
            Err(broken("no change is retroactive", run.uid, what))
        }
        _ => Ok(()),
    }
}

/// An occurrence counts once, however often it is begun. A home whose right has ended may have begun what nobody
/// else knows of; and who moves a timer wants one more.
fn not_too_often(known: &Known, subject: &Subject, run: &Run) -> Result<(), Violation> {
    let most = subject
        .policy(run.generation)
        .and_then(|policy| policy.bounds.occurrences_max);
    let Some(most) = most.filter(|_| !subject.rearmed && known.is_undisturbed(run.uid)) else {
        return Ok(());
    };
    let own = known
        .launches_of(run.uid)
        .filter(|launch| launch.generation == run.generation);
    let launched: BTreeSet<WallTime> = own
        .map(|launch| launch.nominal)
        .filter(|nominal| !subject.may_be_asked_for(*nominal))
        .collect();
    if launched.len() as u64 > most {
        let what = format!("{} occurrences were launched of {most}", launched.len());
        return Err(broken("no more run than may", run.uid, what));
    }
    Ok(())
}

fn running(known: &Known, uid: Uid, timer: &Timer) -> Result<(), Violation> {
    let first = timer.lines().filter_map(|line| match line {
        Phase::Running { occurrence, run } if occurrence.attempt == 1 && !occurrence.manual => {
            Some((occurrence.nominal, run.started))
        }
        _ => None,
    });
    begun(known, uid, timer.generation, first)
}

/// What has expired does not begin: by the clock that decided when it began.
fn begun(
    known: &Known,
    uid: Uid,
    generation: u64,
    mut begun: impl Iterator<Item = (WallTime, WallTime)>,
) -> Result<(), Violation> {
    let Some(subject) = known.subjects.get(&uid) else {
        return Ok(());
    };
    let policy = subject.policy(generation);
    let Some(expire) = policy.and_then(|policy| policy.bounds.expire) else {
        return Ok(());
    };
    let late = begun.find(|(nominal, at)| *at >= expire && !subject.may_be_asked_for(*nominal));
    match late {
        Some((nominal, at)) => {
            let what = format!("{nominal} began at {at}, and it expired at {expire}");
            Err(broken("what has expired does not begin", uid, what))
        }
        None => Ok(()),
    }
}
