//! What a hierarchy looks like from outside: its groups and its nodes, as operators see them.
//!
//! Views are copies; nothing is decided here.

use super::roster::Life;
use super::{Hierarchy, Seq};
use crate::group::{Child, GroupKey, NodeKey};
use crate::id::{NodeId, RackId};
use crate::time::WallTime;

/// One group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupView {
    /// `level:index`; the index counts within a level.
    pub id: String,
    /// Nodes are below level 0.
    pub level: u32,
    /// None above the racks.
    pub rack: Option<RackId>,
    /// By slot: a node, or the id of a group; none for a free slot.
    pub members: Vec<Option<String>>,
    /// One bit per active member.
    pub active: u8,
    /// The migrator's bit, or 0.
    pub migrator: u8,
    /// The earliest event of the idle members; at the root the pool's own timers count too.
    pub head: Option<WallTime>,
    /// The node that owns the head; none if it is the pool's.
    pub head_node: Option<NodeId>,
    /// Grows with every change that was written to this group.
    pub version: u64,
}

/// One node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeView {
    /// Its name.
    pub node: NodeId,
    /// Its rack.
    pub rack: RackId,
    /// The id of its group.
    pub group: String,
    /// Its slot there.
    pub slot: u8,
    /// Whether it is awake.
    pub active: bool,
    /// Whether it may serve others.
    pub eligible: bool,
    /// Whether it was taken for dead and has not reported since.
    pub lost: bool,
    /// Whether its event is out of sight, because it makes no progress.
    pub aside: bool,
    /// Its earliest movable deadline, as last known.
    pub first: Option<WallTime>,
    /// The number of its last applied message.
    pub last: Option<Seq>,
}

impl Hierarchy {
    /// Whether the node is a member.
    #[must_use]
    pub fn contains(&self, node: &NodeId) -> bool {
        self.roster.find(node).is_some()
    }

    /// How many nodes are members.
    #[must_use]
    pub fn len(&self) -> usize {
        self.roster.len()
    }

    /// Whether no node is a member.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The rack that a node is a member in.
    #[must_use]
    pub fn rack_of(&self, node: &NodeId) -> Option<&RackId> {
        let (group, _) = self.roster.place(self.roster.find(node)?);
        self.forest.rack(group)
    }

    /// Whether a member may be migrator and sentry.
    #[must_use]
    pub fn is_eligible(&self, node: &NodeId) -> Option<bool> {
        let key = self.roster.find(node)?;
        Some(self.roster.get(key).eligible)
    }

    /// Whether the node is awake and may serve others.
    #[must_use]
    pub fn serves(&self, node: &NodeId) -> bool {
        self.roster.find(node).is_some_and(|key| {
            let resident = self.roster.get(key);
            resident.is_active() && resident.eligible
        })
    }

    /// Grows whenever a group is added or lifted.
    #[must_use]
    pub const fn topology_version(&self) -> u64 {
        self.forest.version()
    }

    /// One node.
    #[must_use]
    pub fn node(&self, node: &NodeId) -> Option<NodeView> {
        self.roster.find(node).map(|key| self.node_view(key))
    }

    /// All nodes, by name.
    pub fn nodes(&self) -> impl Iterator<Item = NodeView> {
        let mut keys: Vec<NodeKey> = self.roster.iter().map(|(key, _)| key).collect();
        keys.sort_by_key(|key| self.roster.name(*key));
        keys.into_iter().map(|key| self.node_view(key))
    }

    fn node_view(&self, key: NodeKey) -> NodeView {
        let resident = self.roster.get(key);
        let group = self.forest.group(resident.group);
        NodeView {
            node: self.roster.name(key).clone(),
            rack: self
                .forest
                .rack(resident.group)
                .cloned()
                .expect("a group of nodes is in a rack"),
            group: self.group_id(resident.group),
            slot: resident.slot,
            active: resident.is_active(),
            eligible: resident.eligible,
            lost: resident.life == Life::Lost,
            aside: group.aside_mask() & 1 << resident.slot != 0,
            first: group.deadline(resident.slot),
            last: self.roster.last(key),
        }
    }

    /// All groups, level by level from the nodes up.
    #[must_use]
    pub fn groups(&self) -> Vec<GroupView> {
        self.forest
            .iter()
            .map(|(key, _)| self.group_view(key))
            .collect()
    }

    fn group_view(&self, key: GroupKey) -> GroupView {
        let group = self.forest.group(key);
        let (head, head_node) = self.head_of(key);
        let member = |slot| {
            let member = group.member(slot)?;
            Some(self.child_name(member.child))
        };
        GroupView {
            id: self.group_id(key),
            level: u32::try_from(self.forest.level(key)).expect("a tree has few levels"),
            rack: self.forest.rack(key).cloned(),
            members: (0..group.capacity()).map(member).collect(),
            active: group.active_mask(),
            migrator: group.migrator_mask(),
            head,
            head_node,
            version: group.version(),
        }
    }

    fn head_of(&self, key: GroupKey) -> (Option<WallTime>, Option<NodeId>) {
        let head = self.forest.group(key).head().map(|(_, event)| event);
        let pool = self.pool.event();
        let pool = pool.filter(|_| self.forest.root() == Some(key));
        match (head, pool) {
            (Some(head), Some(pool)) if pool < head.deadline => (Some(pool), None),
            (Some(head), _) => {
                let node = self.roster.get(head.node).name.clone();
                (Some(head.deadline), node)
            }
            (None, pool) => (pool, None),
        }
    }

    fn child_name(&self, child: Child) -> String {
        match child {
            Child::Node(node) => self.roster.name(node).to_string(),
            Child::Group(key) => self.group_id(key),
        }
    }

    pub(super) fn group_id(&self, key: GroupKey) -> String {
        let index = self.forest.place(key).index;
        format!("{}:{index}", self.forest.level(key))
    }
}
