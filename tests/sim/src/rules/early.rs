//! Nothing is launched before it is due on the clock that decides, and nothing is pulled before.
//!
//! A node that has heard the coordinator's clock may be early by its drift since; one that never has goes by its
//! own UTC clock.

use super::{Rule, Violation, broken};
use crate::clock::{Moment, micros_before};
use crate::fact::Fact;
use crate::rules::known::Known;
use dormouse_engine::id::{Token, Uid};
use dormouse_engine::timer::{Phase, Timer};
use std::collections::BTreeMap;

const DRIFT: i64 = 12_000;

#[derive(Debug, Default)]
pub(super) struct Early {
    /// How far the clock was ahead by which a node decided to launch: it may step before the launch.
    decided: BTreeMap<(Uid, Token), i64>,
}

impl Rule for Early {
    fn see(&mut self, _: &Known, at: Moment, fact: &Fact) -> Result<(), Violation> {
        match fact {
            Fact::Decided {
                uid, token, offset, ..
            } => {
                self.decided.insert((*uid, *token), *offset);
                Ok(())
            }
            Fact::Launched {
                run,
                measured,
                offset,
                drifts,
                node,
                ..
            } => {
                let decided = self.decided.remove(&(run.uid, run.token));
                let offset = decided.unwrap_or(*offset);
                let own = if *measured { 0 } else { offset };
                let early = micros_before(run.due, at) - own;
                let allowed = if *drifts { DRIFT } else { 0 };
                if early > allowed {
                    let what = format!(
                        "n{node} launched the run of {} by {early} microseconds too early",
                        run.due
                    );
                    return Err(broken("nothing is launched early", run.uid, what));
                }
                Ok(())
            }
            Fact::Ledger {
                uid,
                timer: Some(timer),
            } => pulled_early(*uid, timer),
            _ => Ok(()),
        }
    }
}

fn pulled_early(uid: Uid, timer: &Timer) -> Result<(), Violation> {
    match &timer.phase {
        Phase::Running { occurrence, run } if run.started < occurrence.nominal => {
            let what = format!(
                "the run of {} was claimed for {} at {}",
                occurrence.nominal, run.by, run.started
            );
            Err(broken("nothing is pulled early", uid, what))
        }
        _ => Ok(()),
    }
}
