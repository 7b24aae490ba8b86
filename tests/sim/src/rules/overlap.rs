//! No two accepted runs of one timer overlap, but with overlap ALLOW.

use super::{Rule, Violation, broken};
use crate::clock::Moment;
use crate::fact::Fact;
use crate::rules::known::{Known, Launch};
use dormouse_engine::id::{Token, Uid};
use dormouse_engine::timer::Ending;
use std::collections::BTreeMap;

#[derive(Debug, Default)]
pub(super) struct Overlap {
    /// The run that was accepted last, in the ledger and at home.
    latest: BTreeMap<(Uid, bool), Token>,
}

impl Rule for Overlap {
    fn see(&mut self, known: &Known, _: Moment, fact: &Fact) -> Result<(), Violation> {
        let (uid, timer, at_home) = match fact {
            Fact::Ledger {
                uid,
                timer: Some(timer),
            } => (uid, timer, false),
            Fact::Kept {
                uid,
                timer: Some(timer),
            } => (uid, timer, true),
            _ => return Ok(()),
        };
        let Some(last) = timer
            .last
            .as_ref()
            .filter(|last| last.ending == Ending::Done)
        else {
            return Ok(());
        };
        let Some(before) = self
            .latest
            .insert((*uid, at_home), last.token)
            .filter(|before| *before < last.token)
        else {
            return Ok(());
        };
        let launch = |token| known.launches.get(&(*uid, token));
        let (Some(first), Some(second)) = (launch(before), launch(last.token)) else {
            return Ok(());
        };
        // What a home and others have accepted of their own is not compared: one of them was isolated.
        let wiped = known.subjects.get(uid).is_some_and(|it| it.wiped > 0);
        let compared = !at_home || first.node == second.node && !wiped;
        if !compared || may_overlap(known, first) || may_overlap(known, second) {
            return Ok(());
        }
        match &first.ended {
            Some((ended, _)) if second.at < *ended => {
                let what = format!("run {} began before run {before} had ended", last.token);
                Err(broken("accepted runs do not overlap", *uid, what))
            }
            _ => Ok(()),
        }
    }
}

/// Whether the timer allows it, or it is not known whether it does.
fn may_overlap(known: &Known, launch: &Launch) -> bool {
    let subject = known.subjects.get(&launch.uid);
    let policy = subject.and_then(|subject| subject.policy(launch.generation));
    policy.is_none_or(|policy| policy.overlap == dormouse_engine::timer::Overlap::Allow)
}
