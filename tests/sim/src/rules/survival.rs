//! What was acknowledged is there at the end, by its class; what was cancelled is not.

use super::{Ending, Rule, Violation, broken};
use crate::rules::known::Known;

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
                if let Some(timer) = owned.filter(|timer| !timer.is_over()) {
                    let what = format!("it was cancelled, and is {:?}", timer.phase);
                    return Err(broken("what was cancelled is gone", *uid, what));
                }
            } else if !subject.cancel_asked {
                let Some(timer) = owned else {
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
