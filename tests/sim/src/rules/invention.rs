//! A run belongs to a timer that somebody asked for, and to a time that its schedule names.

use super::{Rule, Violation, broken};
use crate::clock::Moment;
use crate::fact::Fact;
use crate::rules::known::Known;
use dormouse_engine::timer::When;

#[derive(Debug, Default)]
pub(super) struct Invention;

const RULE: &str = "no run is invented";

impl Rule for Invention {
    fn see(&mut self, known: &Known, _: Moment, fact: &Fact) -> Result<(), Violation> {
        let Fact::Launched { run, .. } = fact else {
            return Ok(());
        };
        let Some(subject) = known.subjects.get(&run.uid) else {
            return Err(broken(RULE, run.uid, "nobody asked for this timer".into()));
        };
        if subject.creates_refused == subject.creates_asked {
            return Err(broken(RULE, run.uid, "its creation was refused".into()));
        }
        let generation_max = subject.generation_max();
        if run.generation > generation_max {
            let what = format!(
                "generation {} runs, but by the requests it is at most {generation_max}",
                run.generation
            );
            return Err(broken(RULE, run.uid, what));
        }
        let wrong = match (&subject.new.when, &subject.acknowledged) {
            // A creation that was repeated elsewhere may have been accepted at another time, too.
            _ if run.generation > 1 || subject.creates_asked > 1 => false,
            _ if subject.may_be_asked_for(run.nominal) => false,
            (When::At(time), _) => run.nominal != *time,
            (When::After(_), Some(timer)) => !subject.names(1, run.nominal) && !timer.is_over(),
            (When::Every { .. } | When::Cron(_), Some(timer)) => {
                let before = dormouse_engine::time::WallTime(run.nominal.0 - 1);
                timer.spec.schedule.next_after(before) != Some(run.nominal)
            }
            (_, None) => false,
        };
        if wrong {
            return Err(broken(
                RULE,
                run.uid,
                format!("its schedule does not name {}", run.nominal),
            ));
        }
        Ok(())
    }
}
