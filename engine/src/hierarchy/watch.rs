//! Who keeps watch: the sentry of an idle root, and the answer to an idle report.
//!
//! Naming a sentry is not yet a watch. Until it is armed, and wherever there is none, the
//! coordinator's own alarm is; that is the caller's part.

use super::Hierarchy;
use crate::group::NodeKey;
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
    pub fn sentry(&self) -> Option<&Sentry> {
        self.sentry.as_ref().map(|(_, sentry)| sentry)
    }

    /// The answer to a node's idle report, as things stand now.
    #[must_use]
    pub fn cover(&self, node: &NodeId) -> Cover {
        match self.roster.find(node) {
            Some(key) => self.cover_of(key),
            None => self.cover_without_server(None),
        }
    }

    pub(super) fn cover_of(&self, key: NodeKey) -> Cover {
        if self.roster.get(key).is_active() {
            return Cover::NotCovered {
                why: WhyNot::CountsAsActive,
            };
        }
        match self.server_of(key) {
            Some(by) => Cover::Covered {
                by: Some(by.clone()),
            },
            None => self.cover_without_server(Some(key)),
        }
    }

    fn cover_without_server(&self, key: Option<NodeKey>) -> Cover {
        let Some(head) = self.head() else {
            return Cover::Covered { by: None };
        };
        if head <= self.now && !planted::is(Fault::AnswerPastDeadline) {
            return Cover::NotCovered { why: WhyNot::Due };
        }
        match &self.sentry {
            Some((watcher, sentry)) if Some(*watcher) == key => Cover::Sentry { at: sentry.at },
            Some(_) => Cover::Covered { by: None },
            None => Cover::NotCovered {
                why: WhyNot::NobodyEligible,
            },
        }
    }

    /// Decides the sentry again. The reporter is preferred: it is awake this instant, and waits for
    /// its answer.
    pub(super) fn decide(&mut self, reporter: Option<NodeKey>) {
        let before = self.sentry.as_ref();
        let before = before.map(|(key, sentry)| (*key, sentry.at));
        let chosen = self.choose(reporter, before);
        if chosen == before {
            return;
        }
        self.sentry = chosen.map(|(key, at)| {
            let node = self.roster.name(key).clone();
            (key, Sentry { node, at })
        });
    }

    fn choose(
        &self,
        reporter: Option<NodeKey>,
        before: Option<(NodeKey, WallTime)>,
    ) -> Option<(NodeKey, WallTime)> {
        if self.on_duty() {
            return before.filter(|_| planted::is(Fault::KeepTheSentry));
        }
        let at = self.head()?;
        if at <= self.now && !planted::is(Fault::AnswerPastDeadline) {
            // A sentry whose deadline has come is about to wake, unless it is awake to report. Nobody new
            // is told to sleep.
            let expected = |(key, until): &(NodeKey, WallTime)| {
                *until == at && self.roster.may_watch(*key) && reporter != Some(*key)
            };
            return before.filter(expected);
        }
        let reporter = reporter.filter(|key| self.roster.may_watch(*key));
        Some((reporter.or_else(|| self.roster.watcher())?, at))
    }
}
