//! The groups of one pool: who is awake, who serves whom, and who keeps watch when all sleep.
//!
//! ```text
//!   node --- Active | Idle { first } ---> level 0 ---> level 1 ---> ... ---> root   (one step)
//!   node <-- Covered | Sentry { at } | NotCovered -------------------------- cover
//!   owner --- its event falls due ---> lowest group on duty ---> migrator ---> ... ---> node
//! ```
//!
//! The rules are in `docs/design/hierarchy.md`. Which timers there are is the ledger's business:
//! here a node has one number, its earliest movable deadline.

mod duty;
mod forest;
mod invariants;
mod roster;
mod view;
mod watch;

pub use crate::group::Event;
pub use duty::{Owner, Pass, Pull, Stuck};
pub use roster::{Freshness, Seq};
pub use view::{GroupView, NodeView};
pub use watch::{Cover, Sentry, WhyNot};

use crate::group::Standing;
use crate::id::{NodeId, RackId};
use crate::planted::{self, Fault};
use crate::time::WallTime;
use forest::Forest;
use roster::Roster;

/// What a node says of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Report {
    /// It is awake and fires its own timers.
    Active,
    /// It has handed its movable timers over.
    Idle {
        /// The earliest of them.
        first: Option<WallTime>,
    },
}

/// Why an input was not applied. Nothing has changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// The node is no member; it may join.
    #[error("node {0} is no member of this hierarchy; it has to join first")]
    Unknown(NodeId),
    /// A newer report of this node was applied before; this one is of no use any more.
    #[error("a newer report of this node has been applied")]
    Stale,
    /// The node is a member in another rack; it may leave and join again.
    #[error("node {node} is a member in rack {rack}; to move it has to leave first")]
    OtherRack {
        /// The node that joins.
        node: NodeId,
        /// The rack that it is in.
        rack: RackId,
    },
}

/// The groups of one pool in one coordinator. See the module.
///
/// `now` is the coordinator's clock; it never goes back here: an earlier `now` counts as the latest
/// that was given.
#[derive(Debug, Clone)]
pub struct Hierarchy {
    forest: Forest,
    roster: Roster,
    pool_first: Option<WallTime>,
    pool_turn: Option<u8>,
    sentry: Option<Sentry>,
    now: WallTime,
}

impl Hierarchy {
    /// An empty hierarchy of groups of `capacity` members: 8 in production, 2 in tests.
    ///
    /// # Panics
    /// If `capacity` is not 2 to 8.
    #[must_use]
    pub fn new(capacity: u8) -> Self {
        assert!(
            (2..=8).contains(&capacity),
            "the capacity of a group is 2 to 8"
        );
        Self {
            forest: Forest::new(capacity),
            roster: Roster::default(),
            pool_first: None,
            pool_turn: None,
            sentry: None,
            now: WallTime(i64::MIN),
        }
    }

    /// Admits a node to its rack, idle and without timers. A member of that rack stays as it is.
    ///
    /// # Errors
    /// [`Refused::OtherRack`] if it is a member in another rack.
    pub fn join(&mut self, node: NodeId, rack: RackId, now: WallTime) -> Result<(), Refused> {
        let known = self.roster.get(&node).map(|known| known.rack.clone());
        if let Some(rack) = known.clone().filter(|known| *known != rack) {
            return Err(Refused::OtherRack { node, rack });
        }
        self.see(now);
        if known.is_none() {
            let (group, slot) = self.forest.admit(node.clone(), &rack);
            self.forest.rise(group);
            self.roster.admit(node, rack, group, slot);
        }
        if self.sentry.is_none() {
            self.decide(None);
        }
        self.examine();
        Ok(())
    }

    /// Removes a node and frees its slot. Its timers must have been given to another owner before:
    /// a deadline that it still has goes with it.
    pub fn leave(&mut self, node: &NodeId, now: WallTime) {
        self.see(now);
        let Some(gone) = self.roster.remove(node) else {
            return;
        };
        self.forest.group_mut(gone.group).vacate(gone.slot);
        self.forest.rise(gone.group);
        if !planted::is(Fault::LeaveWithoutSuccessor) {
            self.decide(None);
        }
        self.examine();
    }

    /// Takes a node for dead: idle with its last known deadline, and never sentry until it reports.
    pub fn lost(&mut self, node: &NodeId, now: WallTime) {
        self.see(now);
        let forget = planted::is(Fault::ForgetTheLost);
        let known = self.roster.change(node, |resident| {
            resident.active &= planted::is(Fault::KeepDeadMigrator);
            resident.lost = true;
            resident.first = resident.first.filter(|_| !forget);
        });
        if !known {
            return;
        }
        self.write(node);
        if !planted::is(Fault::KeepDeadSentry) {
            self.decide(None);
        }
        self.examine();
    }

    /// Says whether a node may be migrator and sentry. It may be active all the same.
    pub fn eligible(&mut self, node: &NodeId, value: bool, now: WallTime) {
        self.see(now);
        if !self
            .roster
            .change(node, |resident| resident.eligible = value)
        {
            return;
        }
        if let Some((group, slot)) = self.roster.place(node) {
            self.forest.group_mut(group).set_eligible(slot, value);
            self.forest.rise(group);
        }
        self.decide(None);
        self.examine();
    }

    /// Applies a node's report over the whole path to the root, and answers an idle one.
    ///
    /// `at` is none for a change that the coordinator makes itself. A report with the number of the
    /// last applied one is not applied again, but answered afresh.
    ///
    /// # Errors
    /// [`Refused::Unknown`], or [`Refused::Stale`] if a newer report has been applied.
    pub fn report(
        &mut self,
        node: &NodeId,
        at: Option<Seq>,
        report: Report,
        now: WallTime,
    ) -> Result<Option<Cover>, Refused> {
        let fresh = self.freshness(node, at);
        match fresh.ok_or_else(|| Refused::Unknown(node.clone()))? {
            Freshness::Stale => return Err(Refused::Stale),
            Freshness::Repeated => self.repeated(node, now),
            Freshness::News => self.applied(node, at, report, now),
        }
        self.examine();
        Ok(matches!(report, Report::Idle { .. }).then(|| self.cover(node)))
    }

    /// How a message of this number relates to the last applied one; none if the node is unknown.
    #[must_use]
    pub fn freshness(&self, node: &NodeId, at: Option<Seq>) -> Option<Freshness> {
        self.roster.get(node).map(|resident| resident.freshness(at))
    }

    /// Remembers the number of a message that is no report; older reports are stale from now on.
    pub fn note(&mut self, node: &NodeId, at: Seq) {
        self.roster
            .change(node, |resident| resident.last = resident.last.max(Some(at)));
    }

    /// The earliest deadline of an idle node changed in the ledger: a pull, a settlement, a change.
    ///
    /// Of an active node it is only remembered, for the case that the node is lost.
    pub fn set_first(&mut self, node: &NodeId, first: Option<WallTime>, now: WallTime) {
        self.see(now);
        if !self.roster.change(node, |resident| resident.first = first) {
            return;
        }
        if first.is_none() && planted::is(Fault::PullStopsThere) {
            self.write_without_rising(node);
        } else {
            self.write(node);
        }
        self.decide(None);
        self.examine();
    }

    /// The earliest deadline of the pool's own timers changed.
    ///
    /// The pool is a member that is always idle. It stands beside the root's slots and moves with
    /// the root.
    pub fn set_pool_first(&mut self, first: Option<WallTime>, now: WallTime) {
        self.see(now);
        self.pool_first = first;
        self.decide(None);
        self.examine();
    }

    /// A node could not be woken: it is no sentry until its next report, and another is chosen.
    pub fn suspect(&mut self, node: &NodeId, now: WallTime) {
        self.see(now);
        if self.roster.change(node, |resident| resident.suspect = true) {
            self.decide(None);
            self.examine();
        }
    }

    fn applied(&mut self, node: &NodeId, at: Option<Seq>, report: Report, now: WallTime) {
        self.see(now);
        let turned = self.on_duty();
        self.roster.report(node, at, report);
        match report {
            Report::Active if planted::is(Fault::PassTheMessageOn) => self.write(node),
            Report::Idle { .. } if planted::is(Fault::PassTheMessageOn) => self.pass_on(node),
            Report::Active | Report::Idle { .. } => self.write(node),
        }
        let turned = turned != self.on_duty();
        let empty = report == Report::Idle { first: None };
        let skip = empty && planted::is(Fault::SkipRootOnEmptyReport)
            || !turned && planted::is(Fault::RootOnlyWhenItTurns);
        if !skip {
            self.decide(Some(node));
        }
    }

    /// The sentry is left alone: the repeat may be a late copy, from a node that sleeps by now.
    fn repeated(&mut self, node: &NodeId, now: WallTime) {
        self.see(now);
        self.roster
            .change(node, |resident| resident.suspect = false);
        if self.sentry.is_none() {
            self.decide(Some(node));
        }
    }

    /// Brings a node's record into its group, and the change up as far as it goes.
    fn write(&mut self, node: &NodeId) {
        if let Some(group) = self.write_without_rising(node) {
            self.forest.rise(group);
        }
    }

    fn write_without_rising(&mut self, node: &NodeId) -> Option<crate::group::GroupKey> {
        let (group, slot) = self.roster.place(node)?;
        let standing = self.roster.get(node)?.standing(node);
        self.forest.group_mut(group).write(slot, standing);
        self.forest.refresh(group);
        Some(group)
    }

    /// The fault of K1: every group above is told what the node said.
    fn pass_on(&mut self, node: &NodeId) {
        let Some(group) = self.write_without_rising(node) else {
            return;
        };
        if let Some(standing) = self
            .roster
            .get(node)
            .map(|resident| resident.standing(node))
        {
            self.forest.pass_on(group, &standing);
        }
    }

    fn see(&mut self, now: WallTime) {
        self.now = self.now.max(now);
    }

    /// In debug builds every step ends with this.
    fn examine(&self) {
        if cfg!(debug_assertions) && !planted::any() {
            self.check().expect("the hierarchy keeps its invariants");
        }
    }
}

impl Report {
    fn standing(self, node: &NodeId) -> Standing {
        match self {
            Self::Active => Standing::Active,
            Self::Idle { first } => Standing::Idle {
                first: first.map(|deadline| Event {
                    deadline,
                    node: node.clone(),
                }),
            },
        }
    }
}
