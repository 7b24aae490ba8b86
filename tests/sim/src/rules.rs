//! The rules: what must hold of every history. One file per rule; what several need to know is in `known`.
//!
//! A rule sees one fact after the other, and at the end how everything stands. The first that is broken ends
//! the history.

mod accepted;
mod at_most_once;
mod attempts;
mod bounds;
mod cancelled;
mod duplicates;
mod early;
mod invention;
mod known;
mod liveness;
mod overlap;
mod paused;
mod requests;
mod stopped;
mod survival;
mod tokens;
mod visible;

#[cfg(test)]
mod tests;

use crate::clock::Moment;
use crate::fact::Fact;
use crate::plan::Plan;
use dormouse_engine::id::{NodeId, TimerName, Uid};
use dormouse_engine::time::WallTime;
use dormouse_engine::timer::Timer;
use known::Known;
use std::collections::BTreeMap;

/// A rule that was broken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// The rule, in words.
    pub rule: &'static str,
    /// The timer concerned, if it is one.
    pub uid: Option<Uid>,
    /// What happened.
    pub what: String,
}

/// How everything stands when all faults have been over for long.
#[derive(Debug, Default)]
pub(crate) struct Ending {
    /// What the coordinator's clock shows.
    pub(crate) clock: WallTime,
    /// The node that never came back.
    pub(crate) dead: Option<NodeId>,
    /// Timers as their owners have them.
    pub(crate) owned: BTreeMap<Uid, Timer>,
    /// Timers as the ledger has them.
    pub(crate) ledger: BTreeMap<Uid, Timer>,
}

/// One rule.
trait Rule {
    /// A fact; `known` has it already.
    fn see(&mut self, _known: &Known, _at: Moment, _fact: &Fact) -> Result<(), Violation> {
        Ok(())
    }
    /// The end.
    fn end(&mut self, _known: &Known, _ending: &Ending) -> Result<(), Violation> {
        Ok(())
    }
}

/// All rules.
pub(crate) struct Rules {
    known: Known,
    rules: Vec<Box<dyn Rule>>,
}

impl Rules {
    pub(crate) fn new(plan: &Plan) -> Self {
        Self {
            known: Known::new(plan),
            rules: vec![
                Box::<early::Early>::default(),
                Box::<invention::Invention>::default(),
                Box::<tokens::Tokens>::default(),
                Box::<accepted::Accepted>::default(),
                Box::<overlap::Overlap>::default(),
                Box::<duplicates::Duplicates>::default(),
                Box::<cancelled::Final>::default(),
                Box::<stopped::Stopped>::default(),
                Box::<at_most_once::AtMostOnce>::default(),
                Box::<attempts::Attempts>::default(),
                Box::<bounds::Bounds>::default(),
                Box::<paused::Paused>::default(),
                Box::<requests::Requests>::default(),
                Box::<survival::Survival>::default(),
                Box::<visible::Visible>::default(),
                Box::<liveness::Liveness>::default(),
            ],
        }
    }

    pub(crate) fn see(&mut self, at: Moment, fact: &Fact) -> Result<(), Violation> {
        self.known.learn(at, fact);
        self.rules
            .iter_mut()
            .try_for_each(|rule| rule.see(&self.known, at, fact))
    }

    pub(crate) fn end(&mut self, ending: &Ending) -> Result<(), Violation> {
        self.rules
            .iter_mut()
            .try_for_each(|rule| rule.end(&self.known, ending))
    }

    /// Timers whose creation was acknowledged, by name.
    pub(crate) fn acknowledged(&self) -> impl Iterator<Item = (Uid, &TimerName, &Timer)> {
        self.known.acknowledged()
    }

    /// Every launch of a timer: node, moment, token, and whether it was settled as done by its worker.
    pub(crate) fn launches(&self, uid: Uid) -> Vec<&known::Launch> {
        self.known.launches_of(uid).collect()
    }
}

fn broken(rule: &'static str, uid: Uid, what: String) -> Violation {
    Violation {
        rule,
        uid: Some(uid),
        what,
    }
}
