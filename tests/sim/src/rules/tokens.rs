//! Tokens of one timer grow, and each is launched once.

use super::{Rule, Violation, broken};
use crate::clock::Moment;
use crate::fact::Fact;
use crate::rules::known::{Known, Subject};
use dormouse_engine::id::{Token, Uid};
use dormouse_engine::timer::Durability;
use std::collections::{BTreeMap, BTreeSet};

#[derive(Debug, Default)]
pub(super) struct Tokens {
    newest: BTreeMap<Uid, Token>,
    launched: BTreeSet<(Uid, Token)>,
}

impl Rule for Tokens {
    fn see(&mut self, known: &Known, _: Moment, fact: &Fact) -> Result<(), Violation> {
        match fact {
            Fact::Ledger {
                uid,
                timer: Some(timer),
            } => {
                let before = self.newest.insert(*uid, timer.token).unwrap_or_default();
                // What its class did not save may be made again by the request that made it.
                // So is a light timer whose home is away: the coordinator does not have it.
                let light = |it: &Subject| it.new.durability != Durability::Replicated;
                let twice = |it: &Subject| it.excused || light(it) && it.creates_asked > 1;
                let subject = known.subjects.get(uid);
                let again = timer.token == Token(0) && subject.is_some_and(twice);
                if timer.token < before && !again {
                    let what = format!(
                        "the ledger went from token {before} back to {}",
                        timer.token
                    );
                    return Err(broken("tokens grow", *uid, what));
                }
                Ok(())
            }
            Fact::Launched { run, node, .. } if !self.launched.insert((run.uid, run.token)) => {
                // With its disk a node loses the tokens that it gave while it was alone, and what it gave them to.
                let anew = |it: &Subject| it.wiped > 0 && !it.new.durability.is_replicated();
                if known.subjects.get(&run.uid).is_some_and(anew) {
                    return Ok(());
                }
                let what = format!(
                    "n{node} launched token {}, which was launched before",
                    run.token
                );
                Err(broken("every launch has its own token", run.uid, what))
            }
            _ => Ok(()),
        }
    }
}
