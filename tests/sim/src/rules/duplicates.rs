//! A further launch of an occurrence has a reason: the one before failed, was given up, or its node's right ended.

use super::{Rule, Violation, broken};
use crate::clock::Moment;
use crate::fact::Fact;
use crate::rules::known::{Known, Launch};
use dormouse_engine::timer::Outcome;

#[derive(Debug, Default)]
pub(super) struct Duplicates;

impl Rule for Duplicates {
    fn see(&mut self, known: &Known, _: Moment, fact: &Fact) -> Result<(), Violation> {
        let Fact::Launched { run, .. } = fact else {
            return Ok(());
        };
        let launches = known.launches_of_occurrence(run.uid, (run.generation, run.nominal));
        let settled = launches
            .iter()
            .filter(|launch| reason_to_repeat(known, launch))
            .count();
        let ended = known.rights_ended(run.uid, &launches);
        let requeued = known
            .subjects
            .get(&run.uid)
            .map_or(0, |it| it.requeues.len());
        if launches.len() > 1 + settled + ended + requeued {
            let what = format!(
                "{} was launched {} times; {settled} of them failed or were given up, and {ended} rights ended",
                run.nominal,
                launches.len()
            );
            return Err(broken("a repeated launch has a reason", run.uid, what));
        }
        Ok(())
    }
}

pub(super) fn reason_to_repeat(known: &Known, launch: &Launch) -> bool {
    let failed = matches!(
        launch.ended,
        Some((_, Outcome::Failed { .. } | Outcome::Interrupted { .. }))
    );
    failed || known.abandoned.contains(&(launch.uid, launch.token))
}
