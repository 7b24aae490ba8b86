//! Where the groups stand: placement by rack, growth on demand, and the walk to the root.
//!
//! ```text
//!   tops+1 ..   cross-rack groups, stacked by capacity
//!   tops        one group per rack: its top
//!   0 .. tops   groups of one rack each; level 0 has the nodes
//! ```
//!
//! Groups are never removed. A [`GroupKey`] is for ever; the level changes when a rack outgrows the others
//! and the cross-rack groups are lifted. What a group decides is in [`crate::group`].

use super::racks::{RackKey, Racks};
use crate::chunks::Chunks;
use crate::group::{Child, Group, GroupKey, Member, NodeKey, Standing};
use crate::id::RackId;
use crate::planted::{self, Fault};
use crate::steps;
use crate::time::WallTime;

/// The parent of the root.
const NOWHERE: GroupKey = GroupKey(u32::MAX);

/// A group and where it stands.
#[derive(Debug, Clone)]
pub(super) struct Place {
    pub(super) group: Group,
    /// Its number within its level, for those who look.
    pub(super) index: u32,
    rack: RackKey,
    parent: GroupKey,
    /// Its slot there.
    slot: u8,
    /// Its level in its rack; above the racks, its level above the first that is there.
    height: u8,
}

impl Place {
    /// The group above it, and its slot there; none for the root.
    pub(super) fn parent(&self) -> Option<(GroupKey, u8)> {
        (self.parent != NOWHERE).then_some((self.parent, self.slot))
    }
}

/// All groups of one hierarchy.
#[derive(Debug, Clone)]
pub(super) struct Forest {
    capacity: u8,
    places: Chunks<Place>,
    levels: Vec<Vec<GroupKey>>,
    racks: Racks,
    tops: usize,
    root: Option<GroupKey>,
    version: u64,
}

impl Forest {
    pub(super) fn new(capacity: u8) -> Self {
        Self {
            capacity,
            places: Chunks::default(),
            levels: Vec::new(),
            racks: Racks::default(),
            tops: 0,
            root: None,
            version: 0,
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

    /// The group's level; nodes are below level 0.
    pub(super) fn level(&self, key: GroupKey) -> usize {
        let place = self.place(key);
        let height = usize::from(place.height);
        if place.rack == RackKey::ABOVE {
            self.tops + 1 + height
        } else {
            height
        }
    }

    /// The group's rack; none above the racks.
    pub(super) fn rack(&self, key: GroupKey) -> Option<&RackId> {
        self.racks.name(self.place(key).rack)
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
            steps::visit();
            self.place(key).parent().map(|(parent, _)| parent)
        })
    }

    /// Admits a node to the first group of its rack that has room, or to a new one.
    pub(super) fn admit(&mut self, node: NodeKey, rack: &RackId) -> (GroupKey, u8) {
        let rack = self.racks.open(rack);
        let group = self
            .racks
            .with_room(rack, 0)
            .unwrap_or_else(|| self.open(rack, 0));
        let slot = self.seat(group, Child::Node(node), Standing::EMPTY);
        self.rise(group);
        (group, slot)
    }

    /// Frees a node's slot.
    pub(super) fn vacate(&mut self, group: GroupKey, slot: u8) {
        self.group_mut(group).vacate(slot);
        self.count_room(group);
        self.rise(group);
    }

    fn seat(&mut self, group: GroupKey, child: Child, standing: Standing) -> u8 {
        let member = Member {
            child,
            standing,
            eligible: true,
        };
        let slot = self.group_mut(group).admit(member);
        self.count_room(group);
        slot.expect("a group with room was chosen")
    }

    fn count_room(&mut self, key: GroupKey) {
        let place = &self.places[key.0];
        let level = usize::from(place.height);
        let room = place.group.has_room();
        self.racks.set_room(place.rack, level, key, room);
    }

    /// A new group, in the tree; its ancestors are there before it is.
    fn open(&mut self, rack: RackKey, level: usize) -> GroupKey {
        let key = self.push(rack, level);
        if self.root.is_none() {
            self.root = Some(key);
            return key;
        }
        if self.outgrows(rack, level) {
            self.lift();
        }
        let parent = self.parent_for(key);
        self.attach(key, parent);
        key
    }

    fn push(&mut self, rack: RackKey, level: usize) -> GroupKey {
        steps::visit();
        if self.levels.len() <= level {
            self.levels.resize(level + 1, Vec::new());
        }
        let index = self.levels[level].len();
        let height = if rack == RackKey::ABOVE {
            level.saturating_sub(self.tops + 1)
        } else {
            level
        };
        let key = GroupKey(self.places.push(Place {
            group: if level == 0 {
                Group::of_nodes(self.capacity)
            } else {
                Group::of_groups(self.capacity)
            },
            index: u32::try_from(index).expect("fewer than 2^32 groups"),
            rack,
            parent: NOWHERE,
            slot: 0,
            height: u8::try_from(height).expect("a tree has few levels"),
        }));
        self.levels[level].push(key);
        self.racks.enter(rack, height, key);
        self.version += 1;
        key
    }

    /// Whether a rack has a second group at the level of the tops.
    fn outgrows(&self, rack: RackKey, level: usize) -> bool {
        rack != RackKey::ABOVE && level == self.tops && self.racks.count(rack, level) > 1
    }

    /// Raises the tops by one level: every rack gets a group above its old top, in its old place,
    /// and the cross-rack groups go up by one with slots, bits, migrators and heads as they are.
    fn lift(&mut self) {
        let below = self.tops;
        self.tops += 1;
        self.levels.insert(self.tops, Vec::new());
        for top in self.racks.firsts(below) {
            let above = self.push(self.place(top).rack, self.tops);
            self.splice(top, above, Fault::BlankContinuation);
        }
    }

    /// Puts the new group `above` between `old` and its parent; `blank` is the fault of doing so
    /// without the old one's state.
    fn splice(&mut self, old: GroupKey, above: GroupKey, blank: Fault) {
        let told = *self.group(old).told();
        let standing = if planted::is(blank) {
            Standing::EMPTY
        } else {
            told
        };
        let served = self.group(old).served().map(|(_, deadline)| deadline);
        let parent = self.place(old).parent();
        let slot = self.seat(above, Child::Group(old), standing);
        self.group_mut(above).note_served(slot, served);
        self.group_mut(above).tell();
        self.hang(old, Some((above, slot)));
        self.hang(above, parent);
        match parent {
            Some((parent, slot)) => self.group_mut(parent).replace(slot, Child::Group(above)),
            None if planted::is(Fault::KeepTheOldRoot) => {}
            None => self.root = Some(above),
        }
    }

    fn hang(&mut self, key: GroupKey, parent: Option<(GroupKey, u8)>) {
        let place = &mut self.places[key.0];
        (place.parent, place.slot) = parent.unwrap_or((NOWHERE, 0));
    }

    /// Where a new group belongs; makes the place if there is none.
    fn parent_for(&mut self, key: GroupKey) -> GroupKey {
        let level = self.level(key);
        let rack = if level < self.tops {
            self.place(key).rack
        } else {
            RackKey::ABOVE
        };
        let height = if level < self.tops {
            level + 1
        } else {
            level - self.tops
        };
        if let Some(parent) = self.racks.with_room(rack, height) {
            return parent;
        }
        match self.root {
            Some(root) if self.level(root) == level => self.crown(root),
            _ => self.open(rack, level + 1),
        }
    }

    /// A new root, with the state of the old one before anything else is admitted to it.
    fn crown(&mut self, root: GroupKey) -> GroupKey {
        let above = self.push(RackKey::ABOVE, self.level(root) + 1);
        self.splice(root, above, Fault::BlankNewRoot);
        above
    }

    fn attach(&mut self, key: GroupKey, parent: GroupKey) {
        let standing = *self.group(key).told();
        let slot = self.seat(parent, Child::Group(key), standing);
        self.hang(key, Some((parent, slot)));
        self.rise(parent);
    }

    /// Tells each parent what changed for it, until there is nothing to tell.
    ///
    /// What a parent is told follows from the group's own record, never from the message that
    /// started the walk. Beside it goes the earliest deadline that is served inside, for [`Forest::due`]:
    /// of that the parent decides nothing, so where only it has changed no version does.
    pub(super) fn rise(&mut self, from: GroupKey) {
        let mut key = from;
        loop {
            steps::visit();
            let place = &mut self.places[key.0];
            let news = place.group.tell();
            let served = place.group.served().map(|(_, deadline)| deadline);
            let Some((parent, slot)) = place.parent() else {
                return;
            };
            let above = self.group_mut(parent);
            if let Some(standing) = news {
                above.write(slot, standing);
            }
            let moved = above.note_served(slot, served);
            if news.is_none() && !moved {
                return;
            }
            key = parent;
        }
    }

    /// The fault of K1: what started the walk is what every parent is told.
    pub(super) fn pass_on(&mut self, from: GroupKey, message: Standing) {
        let mut key = from;
        while let Some((parent, slot)) = self.place(key).parent() {
            let served = self.group(key).served().map(|(_, deadline)| deadline);
            self.group_mut(parent).write(slot, message);
            self.group_mut(parent).note_served(slot, served);
            key = parent;
        }
    }

    /// The earliest deadline that somebody on duty serves.
    pub(super) fn next_served(&self) -> Option<WallTime> {
        let (_, deadline) = self.group(self.root?).served()?;
        Some(deadline)
    }

    /// The group whose head is the earliest that somebody on duty serves: from the root down to where it is.
    pub(super) fn due(&self) -> Option<GroupKey> {
        let mut key = self.root?;
        loop {
            steps::visit();
            let group = self.group(key);
            let (slot, _) = group.served()?;
            match group.child(slot) {
                Child::Group(below) if group.active_mask() & 1 << slot != 0 => key = below,
                Child::Group(_) | Child::Node(_) => return Some(key),
            }
        }
    }

    /// Follows the migrators down to a node; none if the group is not on duty.
    pub(super) fn server(&self, from: GroupKey) -> Option<NodeKey> {
        let mut key = from;
        loop {
            steps::visit();
            let group = self.group(key);
            match group.child(group.migrator()?) {
                Child::Node(node) => return Some(node),
                Child::Group(below) => key = below,
            }
        }
    }
}
