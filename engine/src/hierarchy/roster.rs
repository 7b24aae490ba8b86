//! The nodes of a hierarchy: what each last said, and who may be sentry.
//!
//! Every change of a node's record goes through [`Roster::change`], so that the list of those who
//! may keep watch is always right. Groups are not known here.

use super::Report;
use crate::group::{GroupKey, Standing};
use crate::id::{NodeId, RackId, Session};
use crate::planted::{self, Fault};
use crate::time::WallTime;
use std::cmp::{Ordering, Reverse};
use std::collections::BTreeMap;

/// The number of a node's message: sessions grow, and numbers within a session do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Seq {
    /// The session that the coordinator gave.
    pub session: Session,
    /// The number within it.
    pub number: u64,
}

/// How a message relates to the last one that was applied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Freshness {
    /// It is newer: apply it.
    News,
    /// It has the same number: answer it afresh.
    Repeated,
    /// It is older: drop it.
    Stale,
}

impl Freshness {
    /// Compares a message's number with that of the last applied one. What has no number is made by
    /// the coordinator itself, and is always news.
    #[must_use]
    pub fn of(at: Option<Seq>, last: Option<Seq>) -> Self {
        match at.zip(last).map(|(at, last)| at.cmp(&last)) {
            Some(Ordering::Less) => Self::Stale,
            Some(Ordering::Equal) => Self::Repeated,
            Some(Ordering::Greater) | None => Self::News,
        }
    }
}

/// Who is preferred as sentry: the later reported the better, who never did comes last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Rank {
    Joined(Reverse<u64>),
    Heard(u64),
}

/// What is known of one node.
#[derive(Debug, Clone)]
pub(super) struct Resident {
    pub(super) rack: RackId,
    pub(super) group: GroupKey,
    pub(super) slot: u8,
    pub(super) active: bool,
    pub(super) eligible: bool,
    pub(super) lost: bool,
    pub(super) suspect: bool,
    /// The last known earliest movable deadline, kept also while the node is active.
    pub(super) first: Option<WallTime>,
    pub(super) last: Option<Seq>,
    rank: Rank,
}

impl Resident {
    pub(super) fn freshness(&self, at: Option<Seq>) -> Freshness {
        match Freshness::of(at, self.last) {
            Freshness::Repeated if planted::is(Fault::DropRepeatedReport) => Freshness::Stale,
            Freshness::Stale if planted::is(Fault::AcceptStaleReport) => Freshness::News,
            fresh => fresh,
        }
    }

    pub(super) fn standing(&self, node: &NodeId) -> Standing {
        let report = if self.active {
            Report::Active
        } else {
            Report::Idle { first: self.first }
        };
        report.standing(node)
    }

    /// It sleeps, can be believed to wake, and is fit for the duty.
    pub(super) const fn may_watch(&self) -> bool {
        !self.active && self.eligible && !self.lost && !self.suspect
    }
}

/// All nodes of one hierarchy.
#[derive(Debug, Clone, Default)]
pub(super) struct Roster {
    residents: BTreeMap<NodeId, Resident>,
    watchers: BTreeMap<Rank, NodeId>,
    turns: u64,
}

impl Roster {
    pub(super) fn admit(&mut self, node: NodeId, rack: RackId, group: GroupKey, slot: u8) {
        self.turns += 1;
        let rank = Rank::Joined(Reverse(self.turns));
        let resident = Resident {
            rack,
            group,
            slot,
            active: false,
            eligible: true,
            lost: false,
            suspect: false,
            first: None,
            last: None,
            rank,
        };
        self.watchers.insert(rank, node.clone());
        self.residents.insert(node, resident);
    }

    pub(super) fn remove(&mut self, node: &NodeId) -> Option<Resident> {
        let gone = self.residents.remove(node)?;
        self.watchers.remove(&gone.rank);
        Some(gone)
    }

    /// Applies a report to the node's record.
    pub(super) fn report(&mut self, node: &NodeId, at: Option<Seq>, report: Report) {
        self.turns += 1;
        let rank = Rank::Heard(self.turns);
        self.change(node, |resident| {
            resident.rank = rank;
            resident.last = at.or(resident.last);
            resident.lost = false;
            resident.suspect = false;
            match report {
                Report::Active => resident.active = true,
                Report::Idle { first } => {
                    resident.active = false;
                    resident.first = first;
                }
            }
        });
    }

    /// Changes the record of a node; false if there is no such node.
    pub(super) fn change(&mut self, node: &NodeId, change: impl FnOnce(&mut Resident)) -> bool {
        let Some(resident) = self.residents.get_mut(node) else {
            return false;
        };
        self.watchers.remove(&resident.rank);
        change(resident);
        if resident.may_watch() {
            self.watchers.insert(resident.rank, node.clone());
        }
        true
    }

    pub(super) fn get(&self, node: &NodeId) -> Option<&Resident> {
        self.residents.get(node)
    }

    pub(super) fn place(&self, node: &NodeId) -> Option<(GroupKey, u8)> {
        self.get(node)
            .map(|resident| (resident.group, resident.slot))
    }

    /// The node that is preferred as sentry.
    pub(super) fn watcher(&self) -> Option<&NodeId> {
        self.watchers.last_key_value().map(|(_, node)| node)
    }

    pub(super) fn may_watch(&self, node: &NodeId) -> bool {
        self.get(node).is_some_and(Resident::may_watch)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&NodeId, &Resident)> {
        self.residents.iter()
    }

    /// Whether the list of those who may keep watch agrees with the records.
    pub(super) fn watchers_agree(&self) -> bool {
        let fit = self
            .residents
            .values()
            .filter(|resident| resident.may_watch())
            .count();
        let listed = |(rank, node): (&Rank, &NodeId)| {
            self.get(node)
                .is_some_and(|resident| resident.may_watch() && resident.rank == *rank)
        };
        fit == self.watchers.len() && self.watchers.iter().all(listed)
    }
}
