//! Who serves what: due events and the nodes that pull them, and the order in which others are asked.
//!
//! A pass over what is due has one `now`. Claiming is the ledger's part: after each [`Pull`] it says
//! what the owner's next deadline is.

use super::Hierarchy;
use crate::group::{Child, GroupKey, NodeKey};
use crate::id::NodeId;
use crate::planted::{self, Fault};
use crate::steps;
use crate::time::WallTime;
use std::collections::BTreeMap;

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
    /// The owner again; none for the pool.
    key: Option<NodeKey>,
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
    /// None for the pool. Nobody leaves during a pass, so a key is one node's.
    pulled: BTreeMap<Option<NodeKey>, WallTime>,
}

impl Pass {
    /// Notes a pull.
    ///
    /// # Errors
    /// [`Stuck`] if the owner's deadline is not later than the one pulled before:
    /// [`Hierarchy::set_aside`] lets the pass go on with the others.
    pub fn step(&mut self, pull: &Pull) -> Result<(), Stuck> {
        let before = self.pulled.insert(pull.key, pull.deadline);
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
        let root = self.forest.root().map(|root| self.forest.group(root));
        let head = root.and_then(|root| root.head());
        let head = head.map(|(_, event)| event.deadline);
        head.into_iter().chain(self.pool.event()).min()
    }

    /// The earliest deadline that somebody on duty has to serve, wherever in the tree it is: an event below a
    /// group on duty is not seen in the root's head.
    ///
    /// It may change with every call that changes something.
    #[must_use]
    pub fn next_due(&self) -> Option<WallTime> {
        if planted::is(Fault::ForecastFromRootOnly) {
            return self.head().filter(|_| self.on_duty());
        }
        let pool = self.pool.event().filter(|_| self.on_duty());
        self.forest.next_served().into_iter().chain(pool).min()
    }

    /// The next due event that somebody on duty has to serve: the earliest, nodes before the pool; at equal
    /// deadlines the lower slot, from the root down.
    ///
    /// The caller claims what is due, says what is next by `set_first` or `set_pool_first`, and asks
    /// again with the same `now` until there is none.
    pub fn due(&mut self, now: WallTime) -> Option<Pull> {
        self.see(now);
        let next = self.next_due().filter(|deadline| *deadline <= now)?;
        if self.forest.next_served() == Some(next) {
            return self.pull_from(self.forest.due()?);
        }
        let server = self.next_for_pool()?;
        Some(Pull {
            owner: Owner::Pool,
            server,
            deadline: next,
            key: None,
        })
    }

    fn pull_from(&self, group: GroupKey) -> Option<Pull> {
        let (_, event) = self.forest.group(group).head()?;
        let server = self.forest.server(group)?;
        Some(Pull {
            owner: Owner::Node(self.roster.name(event.node).clone()),
            server: self.roster.name(server).clone(),
            deadline: event.deadline,
            key: Some(event.node),
        })
    }

    /// The node that the pool's next timer is offered to: the root's members on duty in turn.
    pub fn next_for_pool(&mut self) -> Option<NodeId> {
        steps::visit();
        let root = self.forest.group(self.forest.root()?);
        let ready = root.on_duty_mask();
        let last = self.pool.turn.map_or(0, |turn| turn + 1);
        let after = ready & 0xff_u8.checked_shl(u32::from(last)).unwrap_or(0);
        let turn = if after == 0 { ready } else { after };
        let slot = u8::try_from(turn.trailing_zeros()).ok();
        let slot = slot.filter(|_| turn != 0)?;
        let server = match root.child(slot) {
            Child::Node(node) => node,
            Child::Group(key) => self.forest.server(key)?,
        };
        self.pool.turn = Some(slot);
        Some(self.roster.name(server).clone())
    }

    /// Takes an owner's event out of sight: it makes no progress, and those behind it shall go on. Nobody
    /// serves it and nobody keeps watch for it until its deadline changes, its node wakes, or
    /// [`Hierarchy::take_back`].
    pub fn set_aside(&mut self, owner: &Owner, now: WallTime) {
        self.put_aside(owner, !planted::is(Fault::KeepTheStuckInSight), now);
    }

    /// Brings an event that was set aside back into sight: it is tried again.
    pub fn take_back(&mut self, owner: &Owner, now: WallTime) {
        self.put_aside(owner, false, now);
    }

    fn put_aside(&mut self, owner: &Owner, aside: bool, now: WallTime) {
        self.see(now);
        match owner {
            Owner::Pool => self.pool.aside = aside,
            Owner::Node(node) => {
                let Some(key) = self.roster.find(node) else {
                    return;
                };
                let (group, slot) = self.roster.place(key);
                self.forest.group_mut(group).set_aside(slot, aside);
                self.forest.rise(group);
            }
        }
        self.decide(None);
        self.examine();
    }

    /// The node that serves this one: the lowest ancestor on duty, its migrators followed down.
    pub(super) fn server_of(&self, key: NodeKey) -> Option<&NodeId> {
        let (group, _) = self.roster.place(key);
        let mut path = self.forest.path(group);
        let server = path.find_map(|group| self.forest.server(group))?;
        Some(self.roster.name(server))
    }
}
