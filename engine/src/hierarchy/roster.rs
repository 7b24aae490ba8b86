//! Who is a member: each node's record, the order of its messages, and who may be sentry.
//!
//! Names are here and nowhere else; everybody else speaks of nodes by their keys. A node's earliest deadline
//! is not here but in its slot, where it is needed. Groups are not known here.

use super::Report;
use super::names::{Link, Names};
use super::order::{Order, Turn};
use crate::chunks::Chunks;
use crate::group::{GroupKey, NodeKey};
use crate::id::{NodeId, Session};
use crate::planted::{self, Fault};
use std::cmp::Ordering;
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

/// What a node does, as far as it is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Life {
    Awake,
    Asleep,
    /// Taken for dead, and not heard of since.
    Lost,
}

/// What is known of one node: 48 bytes, for there may be a million.
#[derive(Debug, Clone)]
pub(super) struct Resident {
    /// None once the node has left, until the record is used again.
    pub(super) name: Option<NodeId>,
    pub(super) turn: Turn,
    pub(super) link: Link,
    pub(super) group: GroupKey,
    pub(super) slot: u8,
    pub(super) life: Life,
    pub(super) eligible: bool,
    pub(super) suspect: bool,
}

impl Resident {
    pub(super) fn is_active(&self) -> bool {
        self.life == Life::Awake
    }

    /// It may be sentry when it sleeps: it can be believed to wake, and is fit for the duty.
    pub(super) fn is_fit(&self) -> bool {
        self.name.is_some() && self.eligible && !self.suspect && self.life != Life::Lost
    }
}

/// All nodes of one hierarchy.
#[derive(Debug, Clone, Default)]
pub(super) struct Roster {
    residents: Chunks<Resident>,
    /// Keys of records that nobody has.
    vacant: Vec<NodeKey>,
    names: Names,
    order: Order,
    /// Of the nodes that number their reports, the last number. The coordinator's pool numbers what it hears
    /// itself, so this is empty there.
    numbers: BTreeMap<NodeKey, Seq>,
}

impl Roster {
    /// Admits a node that is not a member; [`Roster::settle`] follows.
    pub(super) fn admit(&mut self, name: NodeId) -> NodeKey {
        let resident = Resident {
            link: Link::of(&name),
            name: Some(name),
            turn: self.order.joined(),
            group: GroupKey(0),
            slot: 0,
            life: Life::Asleep,
            eligible: true,
            suspect: false,
        };
        let key = match self.vacant.pop() {
            Some(key) => {
                self.residents[key.0] = resident;
                key
            }
            None => NodeKey(self.residents.push(resident)),
        };
        self.names.enter(&mut self.residents, key);
        self.order.append(&mut self.residents, key);
        key
    }

    /// Says where a node stands.
    pub(super) fn settle(&mut self, key: NodeKey, group: GroupKey, slot: u8) {
        let resident = &mut self.residents[key.0];
        (resident.group, resident.slot) = (group, slot);
    }

    /// Forgets a node; its key may be another's from now on.
    pub(super) fn remove(&mut self, key: NodeKey) {
        self.order.remove(&mut self.residents, key);
        self.names.strike(&mut self.residents, key);
        self.numbers.remove(&key);
        self.residents[key.0].name = None;
        self.vacant.push(key);
    }

    /// Applies a report to the node's record.
    pub(super) fn report(&mut self, key: NodeKey, at: Option<Seq>, report: Report) {
        if let Some(at) = at {
            self.numbers.insert(key, at);
        }
        let resident = &mut self.residents[key.0];
        resident.suspect = false;
        resident.life = match report {
            Report::Active => Life::Awake,
            Report::Idle { .. } => Life::Asleep,
        };
        // The place of an active node is asked for by nobody: its next report gives it a new one.
        let keeps = resident.is_active() && self.order.is_listed(&self.residents, key);
        if !keeps {
            self.order.heard(&mut self.residents, key);
        }
    }

    /// Remembers the number of a message that is no report.
    pub(super) fn note(&mut self, key: NodeKey, at: Seq) {
        let last = self.numbers.entry(key).or_insert(at);
        *last = at.max(*last);
    }

    /// Changes the record of a node, other than by a report.
    pub(super) fn change(&mut self, key: NodeKey, change: impl FnOnce(&mut Resident)) {
        change(&mut self.residents[key.0]);
        self.order.refit(&mut self.residents, key);
    }

    pub(super) fn find(&self, name: &NodeId) -> Option<NodeKey> {
        self.names.find(&self.residents, name)
    }

    /// The record of a node, or what is left of it.
    pub(super) fn get(&self, key: NodeKey) -> &Resident {
        &self.residents[key.0]
    }

    /// The name of a member.
    pub(super) fn name(&self, key: NodeKey) -> &NodeId {
        let name = self.residents[key.0].name.as_ref();
        name.expect("a key is used while its node is a member")
    }

    pub(super) fn place(&self, key: NodeKey) -> (GroupKey, u8) {
        let resident = self.get(key);
        (resident.group, resident.slot)
    }

    pub(super) fn last(&self, key: NodeKey) -> Option<Seq> {
        self.numbers.get(&key).copied()
    }

    pub(super) fn freshness(&self, key: NodeKey, at: Option<Seq>) -> Freshness {
        match Freshness::of(at, self.last(key)) {
            Freshness::Repeated if planted::is(Fault::DropRepeatedReport) => Freshness::Stale,
            Freshness::Stale if planted::is(Fault::AcceptStaleReport) => Freshness::News,
            fresh @ (Freshness::News | Freshness::Repeated | Freshness::Stale) => fresh,
        }
    }

    /// The node that is preferred as sentry; right while the root is idle.
    pub(super) fn watcher(&self) -> Option<NodeKey> {
        self.order.best(&self.residents)
    }

    /// Whether the node sleeps and is fit for the duty.
    pub(super) fn may_watch(&self, key: NodeKey) -> bool {
        let resident = self.get(key);
        resident.is_fit() && !resident.is_active()
    }

    /// How many members there are.
    pub(super) fn len(&self) -> usize {
        self.residents.len() as usize - self.vacant.len()
    }

    /// The members, by key.
    pub(super) fn iter(&self) -> impl Iterator<Item = (NodeKey, &Resident)> {
        let members = |(_, resident): &(u32, &Resident)| resident.name.is_some();
        let all = self.residents.iter().filter(members);
        all.map(|(key, resident)| (NodeKey(key), resident))
    }

    /// Whether names and order agree with the records.
    pub(super) fn agrees(&self) -> bool {
        let found = |(key, resident): (NodeKey, &Resident)| {
            resident.name.as_ref().and_then(|name| self.find(name)) == Some(key)
        };
        self.iter().all(found) && self.order.agrees(&self.residents)
    }
}
