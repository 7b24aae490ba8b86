//! Who keeps watch: the sentry of an idle root, and the answer to an idle report.
//!
//! Naming a sentry is not yet a watch. Until it is armed, and wherever there is none, the
//! coordinator's own alarm is; that is the caller's part.

use super::Hierarchy;
use crate::id::NodeId;
use crate::planted::{self, Fault};
use crate::time::WallTime;
use serde::{Deserialize, Serialize};

/// The node that wakes for the first deadline when everything is idle.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sentry {
    /// Who it is.
    pub node: NodeId,
    /// The deadline that it wakes for.
    pub at: WallTime,
}

/// The answer to an idle report. Only with it may a node sleep.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Cover {
    /// Others see to every deadline.
    Covered {
        /// The migrator that serves this node; none if another node is the sentry, or if there is
        /// no deadline at all.
        by: Option<NodeId>,
    },
    /// This node is the sentry.
    Sentry {
        /// When it has to be awake; always in the future.
        at: WallTime,
    },
    /// Nobody sees to the first deadline: the node must not sleep.
    NotCovered {
        /// What is in the way.
        why: WhyNot,
    },
}

/// Why a node is not covered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum WhyNot {
    /// The first deadline has come: become active and pull.
    Due,
    /// No live node may be sentry.
    NobodyEligible,
    /// The node counts as active: its last idle report has been overruled, and it has to send a
    /// new one.
    CountsAsActive,
}

impl Hierarchy {
    /// The sentry, if the root is idle and has a deadline.
    #[must_use]
    pub const fn sentry(&self) -> Option<&Sentry> {
        self.sentry.as_ref()
    }

    /// The answer to a node's idle report, as things stand now.
    #[must_use]
    pub fn cover(&self, node: &NodeId) -> Cover {
        if self
            .roster
            .get(node)
            .is_some_and(|resident| resident.active)
        {
            return Cover::NotCovered {
                why: WhyNot::CountsAsActive,
            };
        }
        if let Some(by) = self.server_of(node) {
            return Cover::Covered {
                by: Some(by.clone()),
            };
        }
        let Some(head) = self.head() else {
            return Cover::Covered { by: None };
        };
        if head <= self.now && !planted::is(Fault::AnswerPastDeadline) {
            return Cover::NotCovered { why: WhyNot::Due };
        }
        match &self.sentry {
            Some(sentry) if sentry.node == *node => Cover::Sentry { at: sentry.at },
            Some(_) => Cover::Covered { by: None },
            None => Cover::NotCovered {
                why: WhyNot::NobodyEligible,
            },
        }
    }

    /// Decides the sentry again. The reporter is preferred: it is awake this instant, and waits for
    /// its answer.
    pub(super) fn decide(&mut self, reporter: Option<&NodeId>) {
        self.sentry = self.choose(reporter);
    }

    fn choose(&self, reporter: Option<&NodeId>) -> Option<Sentry> {
        if self.on_duty() {
            return self
                .sentry
                .clone()
                .filter(|_| planted::is(Fault::KeepTheSentry));
        }
        let at = self.head()?;
        if at <= self.now && !planted::is(Fault::AnswerPastDeadline) {
            return self.still_expected(at, reporter);
        }
        let reporter = reporter.filter(|node| self.roster.may_watch(node));
        let node = reporter.or_else(|| self.roster.watcher())?.clone();
        Some(Sentry { node, at })
    }

    /// A sentry whose deadline has come is about to wake, unless it is awake to report. Nobody new is
    /// told to sleep.
    fn still_expected(&self, at: WallTime, reporter: Option<&NodeId>) -> Option<Sentry> {
        let sentry = self.sentry.clone()?;
        let asleep = self.roster.may_watch(&sentry.node) && reporter != Some(&sentry.node);
        (sentry.at == at && asleep).then_some(sentry)
    }
}
