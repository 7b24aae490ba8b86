//! The nodes on duty in order of their distance from a node: who else could run its timers.
//!
//! ```text
//!         3: the rest of the root          from an ancestor: its server first, then what is below it by slot,
//!        /  \                              without the part that it was reached from
//!   2: the rest of this rack   ...
//!      /  \
//!  1: its group   ...
//! ```
//!
//! Nothing is gathered: each step goes from the last node to the next one, so whoever takes the first with
//! room has visited nothing beyond it. Parts without anybody on duty are passed by with one bit.

use super::Hierarchy;
use super::forest::Forest;
use super::roster::Roster;
use crate::group::{Child, GroupKey, NodeKey};
use crate::id::NodeId;
use crate::steps;

/// An iterator over nodes on duty, each once. See the module.
#[derive(Debug, Clone)]
pub struct Nearest<'a> {
    forest: &'a Forest,
    roster: &'a Roster,
    /// The ancestor below which it searches; none at the end.
    top: Option<GroupKey>,
    /// Its slots that were searched before.
    done: u8,
    /// Its server, if that is not among those: it comes first.
    server: Option<NodeKey>,
    /// Whether the server has been named.
    named: bool,
    /// The group and the slot where it goes on.
    at: (GroupKey, u8),
}

impl Hierarchy {
    /// The nodes on duty in order of their distance from `owner`, each once: level by level
    /// upwards, at each level the migrator first. The whole tree from the root for none.
    #[must_use]
    pub fn nearest(&self, owner: Option<&NodeId>) -> Nearest<'_> {
        let key = owner.and_then(|node| self.roster.find(node));
        let group = key.map(|key| self.roster.place(key).0);
        let from = group.or(self.forest.root());
        let mut nearest = Nearest {
            forest: &self.forest,
            roster: &self.roster,
            top: None,
            done: 0,
            server: None,
            named: false,
            at: (GroupKey(0), 0),
        };
        if let Some(group) = from {
            nearest.enter(group, 0);
        }
        nearest
    }
}

impl Nearest<'_> {
    fn enter(&mut self, top: GroupKey, done: u8) {
        let leads_back = self.forest.group(top).migrator_mask() & done != 0;
        self.top = Some(top);
        self.done = done;
        self.server = self.forest.server(top).filter(|_| !leads_back);
        self.named = false;
        self.at = (top, 0);
    }

    /// The next node on duty below `top`.
    fn walk(&mut self, top: GroupKey) -> Option<NodeKey> {
        loop {
            steps::visit();
            let (group, from) = self.at;
            let behind = 0xff_u8.checked_shl(u32::from(from)).unwrap_or(0);
            let searched = if group == top { self.done } else { 0 };
            let ready = self.forest.group(group).on_duty_mask() & behind & !searched;
            if ready == 0 {
                let (parent, slot) = self.forest.place(group).parent()?;
                if group == top {
                    return None;
                }
                self.at = (parent, slot + 1);
                continue;
            }
            let slot = u8::try_from(ready.trailing_zeros()).ok()?;
            self.at = (group, slot + 1);
            match self.forest.group(group).child(slot) {
                Child::Node(node) => return Some(node),
                Child::Group(below) => self.at = (below, 0),
            }
        }
    }
}

impl<'a> Iterator for Nearest<'a> {
    type Item = &'a NodeId;

    fn next(&mut self) -> Option<&'a NodeId> {
        loop {
            let top = self.top?;
            if !self.named {
                self.named = true;
                if let Some(server) = self.server {
                    return Some(self.roster.name(server));
                }
            }
            match self.walk(top) {
                Some(node) if Some(node) == self.server => {}
                Some(node) => return Some(self.roster.name(node)),
                None => match self.forest.place(top).parent() {
                    Some((above, slot)) => self.enter(above, 1 << slot),
                    None => self.top = None,
                },
            }
        }
    }
}
