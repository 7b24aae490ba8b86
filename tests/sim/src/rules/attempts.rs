//! No occurrence is tried more often than its timer allows, but for attempts whose node lost its right meanwhile.

use super::duplicates::reason_to_repeat;
use super::{Rule, Violation, broken};
use crate::clock::Moment;
use crate::fact::Fact;
use crate::rules::known::Known;
use dormouse_engine::timer::Outcome;

#[derive(Debug, Default)]
pub(super) struct Attempts;

impl Rule for Attempts {
    fn see(&mut self, known: &Known, _: Moment, fact: &Fact) -> Result<(), Violation> {
        let Fact::Launched { run, .. } = fact else {
            return Ok(());
        };
        let Some(subject) = known.subjects.get(&run.uid) else {
            return Ok(());
        };
        let Some(policy) = subject.policy(run.generation) else {
            return Ok(());
        };
        let most = usize::try_from(policy.retry.attempts_max).unwrap_or(usize::MAX);
        let launches = known.launches_of_occurrence(run.uid, (run.generation, run.nominal));
        // What was given up and what has failed are two reasons, and a run that failed may have been given up.
        let given_up = launches.iter().filter(|it| {
            let failed = matches!(it.ended, Some((_, Outcome::Failed { .. })));
            let given_up = known.abandoned.contains(&(it.uid, it.token));
            given_up || reason_to_repeat(known, it) && !failed
        });
        let ended = known.rights_ended(run.uid, &launches);
        // A node that runs on without the coordinator tries as often as it may.
        let allowed = most.saturating_mul(1 + subject.requeues.len() + ended) + given_up.count();
        if launches.len() > allowed {
            let what = format!(
                "{} was launched {} times, and may be {allowed} times",
                run.nominal,
                launches.len()
            );
            return Err(broken("attempts are bounded", run.uid, what));
        }
        Ok(())
    }
}
