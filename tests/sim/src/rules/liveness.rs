//! When all faults have been over for long, nothing is overdue, and what recurs has recurred, each time once.

use super::{Ending, Rule, Violation, broken};
use crate::clock::{ms, wall_at};
use crate::plan::QUIET_MS;
use crate::rules::known::Known;
use dormouse_engine::id::Uid;
use dormouse_engine::time::{Millis, WallTime};
use dormouse_engine::timer::{Effort, Overlap, Phase, Placement, Timer};

/// So late may a run be at the end: a wake ladder with a retry.
const LATE: Millis = Millis(6_000);
/// So long may a run take at the end.
const LONG: Millis = Millis(10_000);
/// So long is the last stretch in which every occurrence has to be launched.
const STRETCH: Millis = Millis(15_000);

#[derive(Debug, Default)]
pub(super) struct Liveness;

impl Rule for Liveness {
    fn end(&mut self, known: &Known, ending: &Ending) -> Result<(), Violation> {
        let dead = ending.dead.as_ref();
        let reachable = |timer: &Timer| !matches!(&timer.spec.placement, Placement::Pinned(node) if dead == Some(node));
        let all = ending.owned.iter().chain(&ending.ledger);
        for (uid, timer) in all.filter(|(_, timer)| reachable(timer)) {
            settled(*uid, timer, ending.clock)?;
        }
        let owned = ending.owned.iter().filter(|(_, timer)| {
            timer.spec.schedule.is_recurring() && !timer.paused && !timer.is_over()
        });
        for (uid, timer) in owned.filter(|(_, timer)| reachable(timer)) {
            recurred(known, *uid, timer, ending.clock)?;
        }
        Ok(())
    }
}

fn settled(uid: Uid, timer: &Timer, clock: WallTime) -> Result<(), Violation> {
    let waits_for_run = timer.is_running()
        && matches!(
            timer.spec.policy.overlap,
            Overlap::Skip | Overlap::BufferOne
        );
    for line in timer.lines() {
        match line {
            Phase::Waiting { occurrence, due } if *due + LATE < clock => {
                let paused = timer.paused && !occurrence.manual;
                if !paused && !waits_for_run {
                    let what = format!("it is due since {due}, and it is {clock}");
                    return Err(broken("nothing stays overdue", uid, what));
                }
            }
            Phase::Running { run, .. } if run.started + LONG < clock => {
                let what = format!(
                    "{} runs it since {}, and it is {clock}",
                    run.by, run.started
                );
                return Err(broken("nothing runs for ever", uid, what));
            }
            _ => {}
        }
    }
    Ok(())
}

fn recurred(known: &Known, uid: Uid, timer: &Timer, clock: WallTime) -> Result<(), Violation> {
    let Some(quiet) = known.quiet else {
        return Ok(());
    };
    let (from, until) = (clock - STRETCH, clock - LATE);
    let settled = wall_at(quiet.plus(ms(QUIET_MS) - ms(STRETCH.0)));
    let mut nominal = from.max(settled);
    // What may never be late is skipped while everybody has to be woken first; and what may begin once is lost
    // when it is claimed for a node that falls asleep at that moment.
    // While the order to run one is said again, the next may be skipped.
    let policy = &timer.spec.policy;
    let patient = policy.misfire.grace >= LATE && policy.effort == Effort::AtLeastOnce;
    let strict = patient && !known.reads_slowly;
    while let Some(next) = timer.spec.next_after(nominal).filter(|next| *next <= until) {
        let count = known
            .launches_of(uid)
            .filter(|launch| launch.nominal == next)
            .count();
        if count > 1 || strict && count == 0 {
            let what = format!("{next} was launched {count} times");
            return Err(broken("what recurs has recurred", uid, what));
        }
        nominal = next;
    }
    Ok(())
}
