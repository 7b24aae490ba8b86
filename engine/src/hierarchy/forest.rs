//! Where the groups stand: placement by rack, growth on demand, and the walk to the root.
//!
//! ```text
//!   tops+1 ..   cross-rack groups, stacked by capacity
//!   tops        one group per rack: its top
//!   0 .. tops   groups of one rack each; level 0 has the nodes
//! ```
//!
//! Groups are never removed. A [`GroupKey`] is for ever; level and index change when a rack outgrows
//! the others and the cross-rack groups are lifted. What a group decides is in [`crate::group`].

use crate::group::{Child, Group, GroupKey, Member, Standing};
use crate::id::{NodeId, RackId};
use crate::planted::{self, Fault};
use crate::steps;
use crate::time::WallTime;
use std::collections::{BTreeMap, BTreeSet};

/// A group and where it stands.
#[derive(Debug, Clone)]
pub(super) struct Place {
    pub(super) group: Group,
    pub(super) level: usize,
    pub(super) index: usize,
    /// None above the racks.
    pub(super) rack: Option<RackId>,
    pub(super) parent: Option<(GroupKey, u8)>,
}

/// All groups of one hierarchy.
#[derive(Debug, Clone)]
pub(super) struct Forest {
    capacity: u8,
    places: Vec<Place>,
    levels: Vec<Vec<GroupKey>>,
    racks: BTreeMap<RackId, Vec<Vec<GroupKey>>>,
    tops: usize,
    root: Option<GroupKey>,
    version: u64,
    /// The heads of the groups on duty: what somebody has to serve.
    served: BTreeSet<(WallTime, GroupKey)>,
    heads: BTreeMap<GroupKey, WallTime>,
}

impl Forest {
    pub(super) fn new(capacity: u8) -> Self {
        Self {
            capacity,
            places: Vec::new(),
            levels: Vec::new(),
            racks: BTreeMap::new(),
            tops: 0,
            root: None,
            version: 0,
            served: BTreeSet::new(),
            heads: BTreeMap::new(),
        }
    }

    pub(super) fn place(&self, key: GroupKey) -> &Place {
        &self.places[key.0]
    }

    pub(super) fn group(&self, key: GroupKey) -> &Group {
        &self.places[key.0].group
    }

    pub(super) fn group_mut(&mut self, key: GroupKey) -> &mut Group {
        &mut self.places[key.0].group
    }

    pub(super) const fn root(&self) -> Option<GroupKey> {
        self.root
    }

    pub(super) const fn tops(&self) -> usize {
        self.tops
    }

    /// Grows whenever a group is added or lifted.
    pub(super) const fn version(&self) -> u64 {
        self.version
    }

    /// The groups, level by level and by index within a level.
    pub(super) fn iter(&self) -> impl Iterator<Item = (GroupKey, &Place)> {
        self.levels
            .iter()
            .flatten()
            .map(|&key| (key, self.place(key)))
    }

    /// The group and its ancestors, lowest first.
    pub(super) fn path(&self, from: GroupKey) -> impl Iterator<Item = GroupKey> {
        std::iter::successors(Some(from), |&key| {
            self.place(key).parent.map(|(parent, _)| parent)
        })
    }

    /// Admits a node to the first group of its rack that has room, or to a new one.
    pub(super) fn admit(&mut self, node: NodeId, rack: &RackId) -> (GroupKey, u8) {
        let domain = Some(rack.clone());
        let key = self
            .with_room(domain.as_ref(), 0)
            .unwrap_or_else(|| self.open(domain, 0));
        let member = Member {
            child: Child::Node(node),
            standing: Standing::EMPTY,
            eligible: true,
        };
        let slot = self
            .group_mut(key)
            .admit(member)
            .expect("a group with room was chosen");
        (key, slot)
    }

    fn with_room(&self, rack: Option<&RackId>, level: usize) -> Option<GroupKey> {
        let all = match rack {
            Some(rack) => self.racks.get(rack).and_then(|levels| levels.get(level)),
            None => self.levels.get(level),
        };
        all?.iter().copied().find(|&key| self.group(key).has_room())
    }

    /// A new group, in the tree; its ancestors are there before it is.
    fn open(&mut self, rack: Option<RackId>, level: usize) -> GroupKey {
        let key = self.push(rack, level);
        if self.root.is_none() {
            self.root = Some(key);
            return key;
        }
        if self.outgrows(key) {
            self.lift();
        }
        let parent = self.parent_for(key);
        self.attach(key, parent);
        key
    }

    fn push(&mut self, rack: Option<RackId>, level: usize) -> GroupKey {
        let key = GroupKey(self.places.len());
        if self.levels.len() <= level {
            self.levels.resize(level + 1, Vec::new());
        }
        let index = self.levels[level].len();
        self.levels[level].push(key);
        if let Some(rack) = &rack {
            let own = self.racks.entry(rack.clone()).or_default();
            if own.len() <= level {
                own.resize(level + 1, Vec::new());
            }
            own[level].push(key);
        }
        let group = Group::new(self.capacity);
        self.places.push(Place {
            group,
            level,
            index,
            rack,
            parent: None,
        });
        self.version += 1;
        key
    }

    /// Whether this is a second group of its rack at the level of the tops.
    fn outgrows(&self, key: GroupKey) -> bool {
        let place = self.place(key);
        let Some(own) = place.rack.as_ref().and_then(|rack| self.racks.get(rack)) else {
            return false;
        };
        place.level == self.tops && own[self.tops].len() > 1
    }

    /// Raises the tops by one level: every rack gets a group above its old top, in its old place,
    /// and the cross-rack groups go up by one with slots, bits, migrators and heads as they are.
    fn lift(&mut self) {
        let below = self.tops;
        self.tops += 1;
        self.levels.insert(self.tops, Vec::new());
        for place in self.places.iter_mut().filter(|place| place.level > below) {
            place.level += 1;
        }
        for top in self.tops_at(below) {
            let rack = self.place(top).rack.clone();
            let above = self.push(rack, self.tops);
            self.splice(top, above, Fault::BlankContinuation);
        }
    }

    /// The first group of each rack at that level, by index.
    fn tops_at(&self, level: usize) -> Vec<GroupKey> {
        let first = |key: &GroupKey| {
            let own = self
                .place(*key)
                .rack
                .as_ref()
                .and_then(|rack| self.racks.get(rack));
            own.is_some_and(|own| own[level].first() == Some(key))
        };
        self.levels[level].iter().copied().filter(first).collect()
    }

    /// Puts the new group `above` between `old` and its parent; `blank` is the fault of doing so
    /// without the old one's state.
    fn splice(&mut self, old: GroupKey, above: GroupKey, blank: Fault) {
        let told = self.group(old).told().clone();
        let standing = if planted::is(blank) {
            Standing::EMPTY
        } else {
            told
        };
        let member = Member {
            child: Child::Group(old),
            standing,
            eligible: true,
        };
        let slot = self
            .group_mut(above)
            .admit(member)
            .expect("a new group has room");
        self.group_mut(above).tell();
        let parent = self.places[old.0].parent.replace((above, slot));
        self.places[above.0].parent = parent;
        match parent {
            Some((parent, slot)) => self.group_mut(parent).replace(slot, Child::Group(above)),
            None if planted::is(Fault::KeepTheOldRoot) => {}
            None => self.root = Some(above),
        }
        self.refresh(above);
    }

    /// Where a new group of this rack and level belongs; makes the place if there is none.
    fn parent_for(&mut self, key: GroupKey) -> GroupKey {
        let Place {
            level, ref rack, ..
        } = *self.place(key);
        let domain = rack.clone().filter(|_| level < self.tops);
        if let Some(parent) = self.with_room(domain.as_ref(), level + 1) {
            return parent;
        }
        match self.root {
            Some(root) if self.place(root).level == level => self.crown(root),
            _ => self.open(domain, level + 1),
        }
    }

    /// A new root, with the state of the old one before anything else is admitted to it.
    fn crown(&mut self, root: GroupKey) -> GroupKey {
        let above = self.push(None, self.place(root).level + 1);
        self.splice(root, above, Fault::BlankNewRoot);
        above
    }

    fn attach(&mut self, key: GroupKey, parent: GroupKey) {
        let standing = self.group(key).told().clone();
        let member = Member {
            child: Child::Group(key),
            standing,
            eligible: true,
        };
        let slot = self
            .group_mut(parent)
            .admit(member)
            .expect("a parent with room was chosen");
        self.places[key.0].parent = Some((parent, slot));
        self.rise(parent);
    }

    /// Tells each parent what changed for it, until there is nothing to tell.
    ///
    /// What a parent is told follows from the group's own record, never from the message that
    /// started the walk.
    pub(super) fn rise(&mut self, from: GroupKey) {
        let mut key = from;
        loop {
            steps::visit();
            self.refresh(key);
            let Some(standing) = self.group_mut(key).tell() else {
                return;
            };
            let Some((parent, slot)) = self.place(key).parent else {
                return;
            };
            self.group_mut(parent).write(slot, standing);
            key = parent;
        }
    }

    /// The fault of K1: what started the walk is what every parent is told.
    pub(super) fn pass_on(&mut self, from: GroupKey, message: &Standing) {
        let mut key = from;
        while let Some((parent, slot)) = self.place(key).parent {
            self.group_mut(parent).write(slot, message.clone());
            self.refresh(parent);
            key = parent;
        }
    }

    /// Brings the list of what has to be served up to date with a group that was written.
    pub(super) fn refresh(&mut self, key: GroupKey) {
        let group = self.group(key);
        let head = group
            .head()
            .filter(|_| group.on_duty())
            .map(|(_, event)| event.deadline);
        let before = match head {
            Some(head) => self.heads.insert(key, head),
            None => self.heads.remove(&key),
        };
        if let Some(before) = before {
            self.served.remove(&(before, key));
        }
        if let Some(head) = head {
            self.served.insert((head, key));
        }
    }

    /// The earliest deadline that somebody on duty serves, and the group whose head it is.
    pub(super) fn next_served(&self) -> Option<(WallTime, GroupKey)> {
        self.served.first().copied()
    }

    /// The heads of the groups on duty, as listed.
    pub(super) const fn listed_heads(&self) -> &BTreeMap<GroupKey, WallTime> {
        &self.heads
    }

    /// Follows the migrators down to a node; none if the group is not on duty.
    pub(super) fn server(&self, from: GroupKey) -> Option<&NodeId> {
        let mut key = from;
        loop {
            let group = self.group(key);
            match &group.member(group.migrator()?)?.child {
                Child::Node(node) => return Some(node),
                Child::Group(below) => key = *below,
            }
        }
    }
}
