//! What was acknowledged is there at the end, by its class; what was cancelled is not.

use super::{Ending, Rule, Violation, broken};
use crate::rules::known::Known;
use dormouse_engine::timer::Timer;

#[derive(Debug, Default)]
pub(super) struct Survival;

impl Rule for Survival {
    fn end(&mut self, known: &Known, ending: &Ending) -> Result<(), Violation> {
        for (uid, subject) in &known.subjects {
            if subject.excused || subject.acknowledged.is_none() {
                continue;
            }
            let owned = ending.owned.get(uid);
            if subject.cancel_acknowledged {
                // A change that was stored for its home is done when that is back.
                let is_dead = |timer: &Timer| timer.home.is_some() && timer.home == ending.dead;
                let waits = |timer: &Timer| subject.cancel_stored && is_dead(timer);
                let left = owned.filter(|timer| !timer.is_over() && !waits(timer));
                if let Some(timer) = left {
                    let what = format!("it was cancelled, and is {:?}", timer.phase);
                    return Err(broken("what was cancelled is gone", *uid, what));
                }
            } else if !subject.cancel_asked {
                let Some(timer) = owned else {
                    if subject.may_be_forgotten(ending.clock) {
                        continue;
                    }
                    let what = "nobody knows it any more".into();
                    return Err(broken("what was acknowledged survives", *uid, what));
                };
                if timer.generation < subject.generation {
                    let what = format!(
                        "generation {} was acknowledged, and it is {}",
                        subject.generation, timer.generation
                    );
                    return Err(broken("what was acknowledged survives", *uid, what));
                }
            }
        }
        Ok(())
    }
}
