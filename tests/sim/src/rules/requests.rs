//! A request that is asked again is done once, wherever it is asked.
//!
//! That a creation makes one timer, and that a move raises the generation once, follows from other rules: of what
//! was cancelled nothing starts, and no run is invented.

use super::{Rule, Violation, broken};
use crate::clock::Moment;
use crate::fact::Fact;
use crate::rules::known::Known;
use dormouse_engine::op::{Answer, Refusal};
use dormouse_engine::time::WallTime;
use dormouse_engine::timer::{Durability, Run};
use std::collections::BTreeSet;

#[derive(Debug, Default)]
pub(super) struct Requests;

impl Rule for Requests {
    fn see(&mut self, known: &Known, _: Moment, fact: &Fact) -> Result<(), Violation> {
        match fact {
            Fact::Answered {
                request,
                answer: Answer::Refused(Refusal::Invalid { field, .. }),
                ..
            } if field == "request_id" => {
                let asked = known.requests.get(request);
                Err(Violation {
                    rule: "a repeated request is known to be the same",
                    uid: asked.and_then(|it| it.uid),
                    what: format!("it was refused: {:?}", asked.map(|it| &it.op)),
                })
            }
            Fact::Launched { run, .. } => one_run_each(known, run),
            _ => Ok(()),
        }
    }
}

/// Runs that only a user can have asked for are no more than there were requests for them.
fn one_run_each(known: &Known, run: &Run) -> Result<(), Violation> {
    let Some(subject) = known.subjects.get(&run.uid) else {
        return Ok(());
    };
    // A light timer that was asked for twice, at two places, may be there twice until its home has resumed.
    let alone = subject.creates_asked == 1 || subject.new.durability == Durability::Replicated;
    let judged = subject.requeues.is_empty()
        && alone
        && !subject.rearmed
        && !subject.excused
        && known.is_undisturbed(run.uid);
    if !judged || subject.names(run.generation, run.nominal) {
        return Ok(());
    }
    let off: BTreeSet<(u64, WallTime)> = known
        .launches_of(run.uid)
        .filter(|launch| !subject.names(launch.generation, launch.nominal))
        .map(|launch| (launch.generation, launch.nominal))
        .collect();
    let asked = subject.runs_asked.len();
    if off.len() > asked {
        let what = format!(
            "{} runs were launched that the schedule does not name, and {asked} were asked for",
            off.len()
        );
        return Err(broken("a repeated request is done once", run.uid, what));
    }
    Ok(())
}
