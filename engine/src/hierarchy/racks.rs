//! Which groups there are by rack and level, and which of them have room.
//!
//! Levels are counted from the nodes up within a rack, and from the tops of the racks up above them: so
//! lifting what is above the racks renumbers nothing. Racks and groups are never removed.

use crate::group::GroupKey;
use crate::id::RackId;
use std::collections::{BTreeMap, BTreeSet};

/// Names a rack inside one hierarchy; the largest stands for what is above the racks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct RackKey(u32);

impl RackKey {
    /// No rack: above all of them.
    pub(super) const ABOVE: Self = Self(u32::MAX);
}

/// The groups of one level of one rack, or of one level above the racks.
#[derive(Debug, Clone, Default)]
struct Level {
    first: Option<GroupKey>,
    groups: u32,
    room: BTreeSet<GroupKey>,
}

/// All racks of one hierarchy, and what is above them.
#[derive(Debug, Clone, Default)]
pub(super) struct Racks {
    keys: BTreeMap<RackId, RackKey>,
    names: Vec<RackId>,
    levels: Vec<Vec<Level>>,
    above: Vec<Level>,
}

impl Racks {
    /// The key of a rack, which is made if there is none.
    pub(super) fn open(&mut self, rack: &RackId) -> RackKey {
        if let Some(key) = self.keys.get(rack) {
            return *key;
        }
        let key = RackKey(u32::try_from(self.names.len()).expect("fewer than 2^32 racks"));
        self.keys.insert(rack.clone(), key);
        self.names.push(rack.clone());
        self.levels.push(Vec::new());
        key
    }

    /// The name of a rack; none above the racks.
    pub(super) fn name(&self, key: RackKey) -> Option<&RackId> {
        self.names.get(key.0 as usize)
    }

    fn levels(&self, rack: RackKey) -> &Vec<Level> {
        self.levels.get(rack.0 as usize).unwrap_or(&self.above)
    }

    fn level_mut(&mut self, rack: RackKey, level: usize) -> &mut Level {
        let levels = match self.levels.get_mut(rack.0 as usize) {
            Some(own) => own,
            None => &mut self.above,
        };
        if levels.len() <= level {
            levels.resize(level + 1, Level::default());
        }
        &mut levels[level]
    }

    /// Enters a new group, which has room.
    pub(super) fn enter(&mut self, rack: RackKey, level: usize, group: GroupKey) {
        let level = self.level_mut(rack, level);
        level.first.get_or_insert(group);
        level.groups += 1;
        level.room.insert(group);
    }

    /// Says whether a group has room.
    pub(super) fn set_room(&mut self, rack: RackKey, level: usize, group: GroupKey, room: bool) {
        let level = self.level_mut(rack, level);
        if room {
            level.room.insert(group);
        } else {
            level.room.remove(&group);
        }
    }

    /// The first group of a level that has room.
    pub(super) fn with_room(&self, rack: RackKey, level: usize) -> Option<GroupKey> {
        let level = self.levels(rack).get(level)?;
        level.room.first().copied()
    }

    /// How many groups a rack has at a level.
    pub(super) fn count(&self, rack: RackKey, level: usize) -> u32 {
        self.levels(rack).get(level).map_or(0, |level| level.groups)
    }

    /// The first group of each rack at a level, oldest first.
    pub(super) fn firsts(&self, level: usize) -> BTreeSet<GroupKey> {
        let own = self.levels.iter();
        own.filter_map(|levels| levels.get(level)?.first).collect()
    }
}
