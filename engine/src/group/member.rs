//! The words of a group: who is a member, what it says of itself, and the event that it may have.
//!
//! Nodes and groups are named by dense numbers here; their names are known to the
//! [`hierarchy`](crate::hierarchy) alone.

use crate::time::WallTime;

/// Names a node inside one hierarchy while it is a member. Keys are dense, and used again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct NodeKey(pub(crate) u32);

/// Names a group inside one hierarchy, for ever; its place in the tree may change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct GroupKey(pub(crate) u32);

/// The earliest movable deadline below a member, and the node that owns it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Event {
    /// When it falls due.
    pub deadline: WallTime,
    /// Whose timer it is.
    pub node: NodeKey,
}

/// What a member says of itself: its whole state, never a difference.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// A node is awake; a group has a migrator. Its own events are its own business.
    Active,
    /// A node is parked, lost or new; a group has no migrator.
    Idle {
        /// The earliest event below it, for others to serve.
        first: Option<Event>,
    },
}

impl Standing {
    /// Idle and without an event: how every member starts.
    pub const EMPTY: Self = Self::Idle { first: None };

    /// Whether this is [`Standing::Active`].
    #[must_use]
    pub const fn is_active(&self) -> bool {
        matches!(self, Self::Active)
    }

    pub(super) fn deadline(&self) -> Option<WallTime> {
        match self {
            Self::Active => None,
            Self::Idle { first } => first.map(|event| event.deadline),
        }
    }
}

/// What stands in a slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Child {
    /// A node; only in groups of level 0.
    Node(NodeKey),
    /// A group of the level below.
    Group(GroupKey),
}

/// A slot that is taken, as a copy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Member {
    /// Who it is.
    pub child: Child,
    /// What it last said.
    pub standing: Standing,
    /// Whether it may be migrator; always so for a group.
    pub eligible: bool,
}
