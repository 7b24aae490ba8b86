//! What may begin once begins once: it is not launched again, and what is not known of it is LOST, not tried again.

use super::{Rule, Violation, broken};
use crate::clock::Moment;
use crate::fact::Fact;
use crate::rules::known::{Known, Subject};
use dormouse_engine::id::Uid;
use dormouse_engine::timer::{Effort, Phase, Timer};

#[derive(Debug, Default)]
pub(super) struct AtMostOnce;

const RULE: &str = "what may begin once begins once";

impl Rule for AtMostOnce {
    fn see(&mut self, known: &Known, _: Moment, fact: &Fact) -> Result<(), Violation> {
        match fact {
            Fact::Launched { run, .. } => {
                let once = known
                    .subjects
                    .get(&run.uid)
                    .is_some_and(|it| is_once(it, run.generation));
                let launches = known.launches_of_occurrence(run.uid, (run.generation, run.nominal));
                if once && launches.len() > 1 {
                    let what = format!("{} was launched {} times", run.nominal, launches.len());
                    return Err(broken(RULE, run.uid, what));
                }
                Ok(())
            }
            Fact::Ledger {
                uid,
                timer: Some(timer),
            }
            | Fact::Kept {
                uid,
                timer: Some(timer),
            } => not_again(known, *uid, timer),
            _ => Ok(()),
        }
    }
}

/// A timer whose home has lost its disk, or that was lost with its process, is excused: nobody knows that it had
/// begun, or even that it was there when it is asked for again.
fn is_once(subject: &Subject, generation: u64) -> bool {
    let policy = subject.policy(generation);
    let known = subject.wiped == 0 && !subject.excused;
    known && policy.is_some_and(|policy| policy.effort == Effort::AtMostOnce)
}

fn not_again(known: &Known, uid: Uid, timer: &Timer) -> Result<(), Violation> {
    let once = known
        .subjects
        .get(&uid)
        .is_some_and(|it| is_once(it, timer.generation));
    let again = timer.lines().find_map(|line| match line {
        Phase::Waiting { occurrence, .. } if occurrence.attempt > 0 => Some(occurrence.nominal),
        _ => None,
    });
    match again.filter(|_| once) {
        Some(nominal) => {
            let what = format!("{nominal} has begun, and waits to begin again");
            Err(broken(RULE, uid, what))
        }
        None => Ok(()),
    }
}
