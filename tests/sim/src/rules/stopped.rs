//! A node that did not run for longer than its lease, or has just started, fires nothing shipped before it has
//! resumed.

use super::{Rule, Violation, broken};
use crate::clock::Moment;
use crate::fact::Fact;
use crate::rules::known::Known;

#[derive(Debug, Default)]
pub(super) struct Stopped;

impl Rule for Stopped {
    fn see(&mut self, known: &Known, _: Moment, fact: &Fact) -> Result<(), Violation> {
        let Fact::Decided {
            node,
            uid,
            token,
            stopped: true,
            own,
            ..
        } = fact
        else {
            return Ok(());
        };
        // A home that has lost its disk takes what is asked for again for new.
        if known.subjects.get(uid).is_some_and(|it| it.wiped > 0) {
            return Ok(());
        }
        let shipped = known.ledger.get(uid).filter(|timer| timer.is_movable());
        if shipped.is_some_and(|timer| timer.spec.durability.is_replicated() || !own) {
            let what = format!(
                "n{node} had been stopped and launches token {token} before it has resumed"
            );
            return Err(broken("who was stopped resumes first", *uid, what));
        }
        Ok(())
    }
}
