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
        let same =
            |launch: &&Launch| launch.generation == run.generation && launch.nominal == run.nominal;
        let launches: Vec<&Launch> = known.launches_of(run.uid).filter(same).collect();
        let settled = launches
            .iter()
            .filter(|launch| reason_to_repeat(known, launch))
            .count();
        let Some(first) = launches.iter().map(|launch| launch.at).min() else {
            return Ok(());
        };
        let home = known
            .subjects
            .get(&run.uid)
            .and_then(|subject| known.home_of(subject));
        let since = Moment(first.0.saturating_sub(2 * known.lease));
        let involved =
            |node: usize| home == Some(node) || launches.iter().any(|launch| launch.node == node);
        let breaks = known
            .breaks
            .iter()
            .filter(|(at, node)| *at >= since && involved(*node))
            .count();
        // A home that runs on without the coordinator launches what somebody else launches, too.
        let isolated = known.isolated.iter().filter(|(node, (from, until))| {
            let over = until.is_some_and(|until| until < since);
            involved(**node) && !over && *from < since
        });
        let isolated = isolated.count();
        if launches.len() > 1 + settled + breaks + isolated {
            let what = format!(
                "{} was launched {} times; {settled} of them failed or were given up, {breaks} rights ended and {isolated} had",
                run.nominal,
                launches.len()
            );
            return Err(broken("a repeated launch has a reason", run.uid, what));
        }
        Ok(())
    }
}

fn reason_to_repeat(known: &Known, launch: &Launch) -> bool {
    let failed = matches!(
        launch.ended,
        Some((_, Outcome::Failed { .. } | Outcome::Interrupted { .. }))
    );
    failed || known.abandoned.contains(&(launch.uid, launch.token))
}
