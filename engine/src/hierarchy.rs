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
mod names;
mod nearest;
mod order;
mod racks;
mod roster;
mod view;
mod watch;

pub use duty::{Owner, Pass, Pull, Stuck};
pub use nearest::Nearest;
pub use roster::{Freshness, Seq};
pub use view::{GroupView, NodeView};
pub use watch::{Cover, Sentry, WhyNot};

use crate::group::{Event, GroupKey, NodeKey, Standing};
use crate::id::{NodeId, RackId};
use crate::planted::{self, Fault};
use crate::time::WallTime;
use forest::Forest;
use invariants::Examined;
use roster::{Life, Roster};

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
    pool: PoolMember,
    sentry: Option<(NodeKey, Sentry)>,
    now: WallTime,
    examined: Examined,
}

/// The pool as a member that is always idle, for timers that no node owns. It stands beside the root's
/// slots and moves with the root.
#[derive(Debug, Clone, Default)]
struct PoolMember {
    first: Option<WallTime>,
    /// Out of sight until there is another deadline.
    aside: bool,
    /// The root's slot whose turn it was last.
    turn: Option<u8>,
}

impl PoolMember {
    fn event(&self) -> Option<WallTime> {
        self.first.filter(|_| !self.aside)
    }
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
            pool: PoolMember::default(),
            sentry: None,
            now: WallTime(i64::MIN),
            examined: Examined::default(),
        }
    }

    /// Admits a node to its rack, idle and without timers. A member of that rack stays as it is.
    ///
    /// # Errors
    /// [`Refused::OtherRack`] if it is a member in another rack.
    pub fn join(&mut self, node: NodeId, rack: RackId, now: WallTime) -> Result<(), Refused> {
        let known = self.rack_of(&node).cloned();
        if let Some(rack) = known.clone().filter(|known| *known != rack) {
            return Err(Refused::OtherRack { node, rack });
        }
        self.see(now);
        if known.is_none() {
            let key = self.roster.admit(node);
            let (group, slot) = self.forest.admit(key, &rack);
            self.roster.settle(key, group, slot);
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
        let Some(key) = self.roster.find(node) else {
            return;
        };
        let (group, slot) = self.roster.place(key);
        self.roster.remove(key);
        self.forest.vacate(group, slot);
        if !planted::is(Fault::LeaveWithoutSuccessor) {
            self.decide(None);
        }
        self.examine();
    }

    /// Takes a node for dead: idle with its last known deadline, and never sentry until it reports.
    pub fn lost(&mut self, node: &NodeId, now: WallTime) {
        self.see(now);
        let Some(key) = self.roster.find(node) else {
            return;
        };
        if !planted::is(Fault::KeepDeadMigrator) {
            self.roster
                .change(key, |resident| resident.life = Life::Lost);
            let first = self.first(key);
            let first = first.filter(|_| !planted::is(Fault::ForgetTheLost));
            self.write(key, Report::Idle { first });
        }
        if !planted::is(Fault::KeepDeadSentry) {
            self.decide(None);
        }
        self.examine();
    }

    /// Says whether a node may be migrator and sentry. It may be active all the same.
    pub fn eligible(&mut self, node: &NodeId, value: bool, now: WallTime) {
        self.see(now);
        let Some(key) = self.roster.find(node) else {
            return;
        };
        self.roster
            .change(key, |resident| resident.eligible = value);
        let (group, slot) = self.roster.place(key);
        self.forest.group_mut(group).set_eligible(slot, value);
        self.forest.rise(group);
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
        let key = self.roster.find(node);
        let key = key.ok_or_else(|| Refused::Unknown(node.clone()))?;
        match self.roster.freshness(key, at) {
            Freshness::Stale => return Err(Refused::Stale),
            Freshness::Repeated => self.repeated(key, now),
            Freshness::News => self.applied(key, at, report, now),
        }
        self.examine();
        Ok(matches!(report, Report::Idle { .. }).then(|| self.cover_of(key)))
    }

    /// How a message of this number relates to the last applied one; none if the node is unknown.
    #[must_use]
    pub fn freshness(&self, node: &NodeId, at: Option<Seq>) -> Option<Freshness> {
        let key = self.roster.find(node)?;
        Some(self.roster.freshness(key, at))
    }

    /// Remembers the number of a message that is no report; older reports are stale from now on.
    pub fn note(&mut self, node: &NodeId, at: Seq) {
        if let Some(key) = self.roster.find(node) {
            self.roster.note(key, at);
        }
    }

    /// The earliest deadline of an idle node changed in the ledger: a pull, a settlement, a change.
    ///
    /// Of an active node it is only remembered, for the case that the node is lost.
    pub fn set_first(&mut self, node: &NodeId, first: Option<WallTime>, now: WallTime) {
        self.see(now);
        let Some(key) = self.roster.find(node) else {
            return;
        };
        if self.roster.get(key).is_active() {
            let (group, slot) = self.roster.place(key);
            self.forest.group_mut(group).remember(slot, first);
        } else if first.is_none() && planted::is(Fault::PullStopsThere) {
            self.write_without_rising(key, Report::Idle { first });
        } else {
            self.write(key, Report::Idle { first });
        }
        self.decide(None);
        self.examine();
    }

    /// The earliest deadline of the pool's own timers changed.
    pub fn set_pool_first(&mut self, first: Option<WallTime>, now: WallTime) {
        self.see(now);
        self.pool.aside &= self.pool.first == first;
        self.pool.first = first;
        self.decide(None);
        self.examine();
    }

    /// A node could not be woken: it is no sentry until its next report, and another is chosen.
    pub fn suspect(&mut self, node: &NodeId, now: WallTime) {
        self.see(now);
        let Some(key) = self.roster.find(node) else {
            return;
        };
        self.roster.change(key, |resident| resident.suspect = true);
        self.decide(None);
        self.examine();
    }

    fn applied(&mut self, key: NodeKey, at: Option<Seq>, report: Report, now: WallTime) {
        self.see(now);
        let turned = self.on_duty();
        self.roster.report(key, at, report);
        match report {
            Report::Idle { .. } if planted::is(Fault::PassTheMessageOn) => {
                self.pass_on(key, report);
            }
            Report::Active | Report::Idle { .. } => self.write(key, report),
        }
        let turned = turned != self.on_duty();
        let empty = report == Report::Idle { first: None };
        let skip = empty && planted::is(Fault::SkipRootOnEmptyReport)
            || !turned && planted::is(Fault::RootOnlyWhenItTurns);
        if !skip {
            self.decide(Some(key));
        }
    }

    /// The sentry is left alone: the repeat may be a late copy, from a node that sleeps by now.
    fn repeated(&mut self, key: NodeKey, now: WallTime) {
        self.see(now);
        self.roster.change(key, |resident| resident.suspect = false);
        if self.sentry.is_none() {
            self.decide(Some(key));
        }
    }

    /// Brings what a node is into its group, and the change up as far as it goes.
    fn write(&mut self, key: NodeKey, report: Report) {
        let group = self.write_without_rising(key, report);
        self.forest.rise(group);
    }

    fn write_without_rising(&mut self, key: NodeKey, report: Report) -> GroupKey {
        let (group, slot) = self.roster.place(key);
        let standing = report.standing(key);
        self.forest.group_mut(group).write(slot, standing);
        group
    }

    /// The fault of K1: every group above is told what the node said.
    fn pass_on(&mut self, key: NodeKey, report: Report) {
        let group = self.write_without_rising(key, report);
        self.forest.pass_on(group, report.standing(key));
    }

    /// The node's last known earliest deadline; of an active node it is not served.
    fn first(&self, key: NodeKey) -> Option<WallTime> {
        let (group, slot) = self.roster.place(key);
        self.forest.group(group).deadline(slot)
    }

    fn see(&mut self, now: WallTime) {
        self.now = self.now.max(now);
    }
}

impl Report {
    const fn standing(self, node: NodeKey) -> Standing {
        match self {
            Self::Active => Standing::Active,
            Self::Idle {
                first: Some(deadline),
            } => Standing::Idle {
                first: Some(Event { deadline, node }),
            },
            Self::Idle { first: None } => Standing::EMPTY,
        }
    }
}
