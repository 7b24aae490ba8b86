//! No two accepted runs of one timer overlap.

use super::{Rule, Violation, broken};
use crate::clock::Moment;
use crate::fact::Fact;
use crate::rules::known::Known;
use dormouse_engine::id::{Token, Uid};
use dormouse_engine::timer::Ending;
use std::collections::BTreeMap;

#[derive(Debug, Default)]
pub(super) struct Overlap {
    latest: BTreeMap<Uid, Token>,
}

impl Rule for Overlap {
    fn see(&mut self, known: &Known, _: Moment, fact: &Fact) -> Result<(), Violation> {
        let Fact::Ledger {
            uid,
            timer: Some(timer),
        } = fact
        else {
            return Ok(());
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
            .insert(*uid, last.token)
            .filter(|before| *before != last.token)
        else {
            return Ok(());
        };
        let ended = known
            .launches
            .get(&(*uid, before))
            .and_then(|launch| launch.ended.as_ref());
        let begun = known
            .launches
            .get(&(*uid, last.token))
            .map(|launch| launch.at);
        match (ended, begun) {
            (Some((ended, _)), Some(begun)) if begun < *ended => {
                let what = format!("run {} began before run {before} had ended", last.token);
                Err(broken("accepted runs do not overlap", *uid, what))
            }
            _ => Ok(()),
        }
    }
}
