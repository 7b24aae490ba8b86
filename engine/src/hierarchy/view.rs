//! What a hierarchy looks like from outside: its groups and its nodes, as operators see them.
//!
//! Views are copies; nothing is decided here.

use super::{Hierarchy, Seq};
use crate::group::{Child, GroupKey};
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
    /// Its earliest movable deadline, as last known.
    pub first: Option<WallTime>,
    /// The number of its last applied message.
    pub last: Option<Seq>,
}

impl Hierarchy {
    /// Whether the node is a member.
    #[must_use]
    pub fn contains(&self, node: &NodeId) -> bool {
        self.roster.get(node).is_some()
    }

    /// Grows whenever a group is added or lifted.
    #[must_use]
    pub const fn topology_version(&self) -> u64 {
        self.forest.version()
    }

    /// One node.
    #[must_use]
    pub fn node(&self, node: &NodeId) -> Option<NodeView> {
        let resident = self.roster.get(node)?;
        Some(NodeView {
            node: node.clone(),
            rack: resident.rack.clone(),
            group: self.group_id(resident.group),
            slot: resident.slot,
            active: resident.active,
            eligible: resident.eligible,
            lost: resident.lost,
            first: resident.first,
            last: resident.last,
        })
    }

    /// All nodes, by name.
    pub fn nodes(&self) -> impl Iterator<Item = NodeView> {
        self.roster.iter().filter_map(|(node, _)| self.node(node))
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
        let place = self.forest.place(key);
        let (head, head_node) = self.head_of(key);
        GroupView {
            id: self.group_id(key),
            level: u32::try_from(place.level).expect("a tree has few levels"),
            rack: place.rack.clone(),
            members: place
                .group
                .slots()
                .iter()
                .map(|slot| slot.as_ref().map(|member| self.child_name(&member.child)))
                .collect(),
            active: place.group.active_mask(),
            migrator: place.group.migrator_mask(),
            head,
            head_node,
            version: place.group.version(),
        }
    }

    fn head_of(&self, key: GroupKey) -> (Option<WallTime>, Option<NodeId>) {
        let head = self
            .forest
            .group(key)
            .head()
            .map(|(_, event)| event.clone());
        let pool = self.pool_first.filter(|_| self.forest.root() == Some(key));
        match (head, pool) {
            (Some(head), Some(pool)) if pool < head.deadline => (Some(pool), None),
            (Some(head), _) => (Some(head.deadline), Some(head.node)),
            (None, pool) => (pool, None),
        }
    }

    fn child_name(&self, child: &Child) -> String {
        match child {
            Child::Node(node) => node.to_string(),
            Child::Group(key) => self.group_id(*key),
        }
    }

    fn group_id(&self, key: GroupKey) -> String {
        let place = self.forest.place(key);
        format!("{}:{}", place.level, place.index)
    }
}
