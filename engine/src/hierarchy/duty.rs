//! Who serves what: due events and the nodes that pull them, and the order in which others are asked.
//!
//! A pass over what is due has one `now`. Claiming is the ledger's part: after each [`Pull`] it says
//! what the owner's next deadline is.

use super::Hierarchy;
use crate::group::{Child, GroupKey};
use crate::id::NodeId;
use crate::planted::{self, Fault};
use crate::time::WallTime;
use std::collections::{BTreeMap, BTreeSet};

/// Whose timer it is.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Owner {
    /// An idle, lost or leaving node.
    Node(NodeId),
    /// The pool itself.
    Pool,
}

/// A due event, and who has to serve it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pull {
    /// Whose timers are due.
    pub owner: Owner,
    /// Who is to run them.
    pub server: NodeId,
    /// When the first of them fell due.
    pub deadline: WallTime,
}

/// A pass met a deadline for the second time: only a fault in the program can do that.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a pass makes no progress: {owner:?} has a deadline at {deadline} again, after {after}")]
pub struct Stuck {
    /// Whose deadline it is.
    pub owner: Owner,
    /// The deadline that came again.
    pub deadline: WallTime,
    /// The last one of this owner that was pulled.
    pub after: WallTime,
}

/// Watches over one pass: the deadlines of each owner must grow.
#[derive(Debug, Clone, Default)]
pub struct Pass {
    pulled: BTreeMap<Owner, WallTime>,
}

impl Pass {
    /// Notes a pull.
    ///
    /// # Errors
    /// [`Stuck`] if the owner's deadline is not later than the one pulled before: stop the pass.
    pub fn step(&mut self, pull: &Pull) -> Result<(), Stuck> {
        let before = self.pulled.insert(pull.owner.clone(), pull.deadline);
        match before.filter(|before| *before >= pull.deadline) {
            Some(after) if !planted::is(Fault::PassWithoutProgress) => Err(Stuck {
                owner: pull.owner.clone(),
                deadline: pull.deadline,
                after,
            }),
            _ => Ok(()),
        }
    }
}

impl Hierarchy {
    /// Whether anybody is awake and eligible.
    #[must_use]
    pub fn on_duty(&self) -> bool {
        self.forest
            .root()
            .is_some_and(|root| self.forest.group(root).on_duty())
    }

    /// The root's head: the earliest event that nobody below serves, the pool's own included.
    #[must_use]
    pub fn head(&self) -> Option<WallTime> {
        let root = self
            .forest
            .root()
            .and_then(|root| self.forest.group(root).head());
        let head = root.map(|(_, event)| event.deadline);
        match (head, self.pool_first) {
            (Some(head), Some(pool)) => Some(head.min(pool)),
            (head, pool) => head.or(pool),
        }
    }

    /// The earliest deadline that somebody on duty has to serve: the minimum over all groups, since
    /// an event below a group on duty is not seen at the root.
    ///
    /// It may change with every call that changes something.
    #[must_use]
    pub fn next_due(&self) -> Option<WallTime> {
        if planted::is(Fault::ForecastFromRootOnly) {
            return self.head().filter(|_| self.on_duty());
        }
        let nodes = self.forest.next_served().map(|(deadline, _)| deadline);
        let pool = self.pool_first.filter(|_| self.on_duty());
        nodes.into_iter().chain(pool).min()
    }

    /// The next due event that somebody on duty has to serve: the earliest, nodes before the pool.
    ///
    /// The caller claims what is due, says what is next by `set_first` or `set_pool_first`, and asks
    /// again with the same `now` until there is none.
    pub fn due(&mut self, now: WallTime) -> Option<Pull> {
        self.see(now);
        let next = self.next_due().filter(|deadline| *deadline <= now)?;
        match self.forest.next_served() {
            Some((deadline, group)) if deadline == next => self.pull_from(group),
            _ => {
                let server = self.next_for_pool()?;
                Some(Pull {
                    owner: Owner::Pool,
                    server,
                    deadline: next,
                })
            }
        }
    }

    fn pull_from(&self, group: GroupKey) -> Option<Pull> {
        let (_, event) = self.forest.group(group).head()?;
        Some(Pull {
            owner: Owner::Node(event.node.clone()),
            server: self.forest.server(group)?.clone(),
            deadline: event.deadline,
        })
    }

    /// The node that the pool's next timer is offered to: the root's members on duty in turn.
    pub fn next_for_pool(&mut self) -> Option<NodeId> {
        let root = self.forest.group(self.forest.root()?);
        let mut ready = root.members().filter(|(_, member)| member.on_duty());
        let first = ready.next()?;
        let after = |slot: u8| self.pool_turn.is_none_or(|turn| slot > turn);
        let (slot, member) = if after(first.0) {
            first
        } else {
            ready.find(|(slot, _)| after(*slot)).unwrap_or(first)
        };
        let server = match &member.child {
            Child::Node(node) => node.clone(),
            Child::Group(key) => self.forest.server(*key)?.clone(),
        };
        self.pool_turn = Some(slot);
        Some(server)
    }

    /// Pulls until nothing that somebody on duty serves is due. `claim` takes what a pull names and
    /// answers the owner's next deadline.
    ///
    /// # Errors
    /// [`Stuck`] if an owner's deadline does not grow.
    pub fn pass(
        &mut self,
        now: WallTime,
        mut claim: impl FnMut(&Pull) -> Option<WallTime>,
    ) -> Result<(), Stuck> {
        let mut pass = Pass::default();
        while let Some(pull) = self.due(now) {
            pass.step(&pull)?;
            let next = claim(&pull);
            match &pull.owner {
                Owner::Node(node) => self.set_first(node, next, now),
                Owner::Pool => self.set_pool_first(next, now),
            }
        }
        Ok(())
    }

    /// The node that serves this one: the lowest ancestor on duty, its migrators followed down.
    pub(super) fn server_of(&self, node: &NodeId) -> Option<&NodeId> {
        let (group, _) = self.roster.place(node)?;
        self.forest
            .path(group)
            .find_map(|key| self.forest.server(key))
    }

    /// The nodes on duty in order of their distance from `owner`, each once: level by level
    /// upwards, at each level the migrator first. The whole tree from the root for none.
    #[must_use]
    pub fn nearest(&self, owner: Option<&NodeId>) -> Vec<NodeId> {
        let place = owner
            .and_then(|node| self.roster.place(node))
            .map(|(group, _)| group);
        let from = place.or(self.forest.root());
        let mut found = Found::default();
        for key in from.into_iter().flat_map(|from| self.forest.path(from)) {
            self.forest
                .server(key)
                .into_iter()
                .for_each(|node| found.add(node));
            self.gather(key, &mut found);
        }
        found.order
    }

    fn gather(&self, key: GroupKey, found: &mut Found) {
        let ready = self
            .forest
            .group(key)
            .members()
            .filter(|(_, member)| member.on_duty());
        for (_, member) in ready {
            match &member.child {
                Child::Node(node) => found.add(node),
                Child::Group(below) => self.gather(*below, found),
            }
        }
    }
}

/// Nodes in the order in which they were found.
#[derive(Default)]
struct Found {
    order: Vec<NodeId>,
    seen: BTreeSet<NodeId>,
}

impl Found {
    fn add(&mut self, node: &NodeId) {
        if self.seen.insert(node.clone()) {
            self.order.push(node.clone());
        }
    }
}
