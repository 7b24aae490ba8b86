//! One group: up to eight members, the migrator among them, and what the parent is told.
//!
//! ```text
//!   member --- Active | Idle { first } ---> group --- Active | Idle { first } ---> parent
//! ```
//!
//! A node and a child group look the same from here. Who the members are, where the group stands
//! and who walks upwards is the business of [`hierarchy`](crate::hierarchy).

use crate::id::NodeId;
use crate::planted::{self, Fault};
use crate::time::WallTime;

/// The most members that a group can have.
pub const SLOTS_MAX: u8 = 8;

/// The earliest movable deadline below a member, and the node that owns it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// When it falls due.
    pub deadline: WallTime,
    /// Whose timer it is.
    pub node: NodeId,
}

/// What a member says of itself: its whole state, never a difference.
#[derive(Debug, Clone, PartialEq, Eq)]
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

    fn event(&self) -> Option<&Event> {
        match self {
            Self::Active => None,
            Self::Idle { first } => first.as_ref(),
        }
    }
}

/// Names a group inside one hierarchy, for ever; its place in the tree may change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct GroupKey(pub(crate) usize);

/// What stands in a slot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Child {
    /// A node; only in groups of level 0.
    Node(NodeId),
    /// A group of the level below.
    Group(GroupKey),
}

/// A slot that is taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// Who it is.
    pub child: Child,
    /// What it last said.
    pub standing: Standing,
    /// Whether it may be migrator; always so for a group.
    pub eligible: bool,
}

impl Member {
    /// Active and eligible: it may serve others.
    #[must_use]
    pub const fn on_duty(&self) -> bool {
        self.standing.is_active() && self.eligible
    }
}

/// One group as a machine. See the module.
#[derive(Debug, Clone)]
pub struct Group {
    capacity: u8,
    members: [Option<Member>; SLOTS_MAX as usize],
    migrator: Option<u8>,
    told: Standing,
    version: u64,
}

impl Group {
    /// An empty group of at most `capacity` members.
    ///
    /// # Panics
    /// If `capacity` is not 1 to [`SLOTS_MAX`].
    #[must_use]
    pub fn new(capacity: u8) -> Self {
        assert!(
            (1..=SLOTS_MAX).contains(&capacity),
            "a group has 1 to {SLOTS_MAX} slots"
        );
        Self {
            capacity,
            members: Default::default(),
            migrator: None,
            told: Standing::EMPTY,
            version: 0,
        }
    }

    /// Puts a member into the lowest free slot; none if the group is full.
    pub fn admit(&mut self, member: Member) -> Option<u8> {
        let slot = (0..self.capacity).find(|&slot| self.member(slot).is_none())?;
        self.members[usize::from(slot)] = Some(member);
        self.changed();
        Some(slot)
    }

    /// Frees a slot.
    pub fn vacate(&mut self, slot: u8) -> Option<Member> {
        let gone = self.members[usize::from(slot)].take();
        self.changed();
        gone
    }

    /// Puts another child into a slot that stays as it is otherwise.
    pub fn replace(&mut self, slot: u8, child: Child) {
        if let Some(member) = &mut self.members[usize::from(slot)] {
            member.child = child;
            self.version += 1;
        }
    }

    /// Writes what a member says of itself; state and event come together.
    pub fn write(&mut self, slot: u8, standing: Standing) {
        let Some(member) = &mut self.members[usize::from(slot)] else {
            return;
        };
        let clears = member.standing.is_active() && !standing.is_active();
        member.standing = if clears && planted::is(Fault::DropDeadlineWithBit) {
            Standing::EMPTY
        } else {
            standing
        };
        self.changed();
    }

    /// Says whether a member may be migrator.
    pub fn set_eligible(&mut self, slot: u8, eligible: bool) {
        if let Some(member) = &mut self.members[usize::from(slot)] {
            member.eligible = eligible;
            self.changed();
        }
    }

    /// What the parent has to be told: none if it knows already.
    ///
    /// A head of the same deadline but of another owner is news too: the parent would otherwise
    /// look for it at the wrong node.
    pub fn tell(&mut self) -> Option<Standing> {
        let standing = if self.on_duty() {
            Standing::Active
        } else {
            Standing::Idle {
                first: self.head().map(|(_, event)| event.clone()),
            }
        };
        if self.is_known(&standing) {
            return None;
        }
        self.told = standing.clone();
        Some(standing)
    }

    fn is_known(&self, standing: &Standing) -> bool {
        let deadline = |of: &Standing| of.event().map(|event| event.deadline);
        if planted::is(Fault::IgnoreTheOwner) {
            return self.told.is_active() == standing.is_active()
                && deadline(&self.told) == deadline(standing);
        }
        self.told == *standing
    }

    fn changed(&mut self) {
        self.version += 1;
        self.elect();
    }

    /// Keeps the migrator while it is on duty, else takes the lowest member that is.
    fn elect(&mut self) {
        let may = |member: &Member| {
            member.on_duty()
                || member.standing.is_active() && planted::is(Fault::ElectTheIneligible)
        };
        let stays = self
            .migrator
            .filter(|&slot| self.member(slot).is_some_and(may));
        self.migrator = stays.or_else(|| {
            self.members()
                .find(|(_, member)| may(member))
                .map(|(slot, _)| slot)
        });
    }

    /// The slot's member, if it is taken.
    #[must_use]
    pub fn member(&self, slot: u8) -> Option<&Member> {
        self.members.get(usize::from(slot))?.as_ref()
    }

    /// The members with their slots, lowest first.
    pub fn members(&self) -> impl Iterator<Item = (u8, &Member)> {
        (0..self.capacity).filter_map(|slot| Some((slot, self.member(slot)?)))
    }

    /// All slots, lowest first, free ones too.
    #[must_use]
    pub fn slots(&self) -> &[Option<Member>] {
        &self.members[..usize::from(self.capacity)]
    }

    /// Whether a slot is free.
    #[must_use]
    pub fn has_room(&self) -> bool {
        self.slots().iter().any(Option::is_none)
    }

    /// The earliest event of the idle members, and its slot; the lower slot at equal deadlines.
    #[must_use]
    pub fn head(&self) -> Option<(u8, &Event)> {
        self.members()
            .filter_map(|(slot, member)| Some((slot, member.standing.event()?)))
            .min_by_key(|(slot, event)| (event.deadline, *slot))
    }

    /// The slot of the member that serves the idle ones.
    #[must_use]
    pub const fn migrator(&self) -> Option<u8> {
        self.migrator
    }

    /// Whether there is a migrator.
    #[must_use]
    pub const fn on_duty(&self) -> bool {
        self.migrator.is_some()
    }

    /// One bit per active member, bit 0 for slot 0.
    #[must_use]
    pub fn active_mask(&self) -> u8 {
        self.members()
            .filter(|(_, member)| member.standing.is_active())
            .fold(0, |mask, (slot, _)| mask | 1 << slot)
    }

    /// The migrator's bit, or 0.
    #[must_use]
    pub fn migrator_mask(&self) -> u8 {
        self.migrator.map_or(0, |slot| 1 << slot)
    }

    /// What the parent was last told, or would have been if there were one.
    #[must_use]
    pub const fn told(&self) -> &Standing {
        &self.told
    }

    /// Grows with every change that was written here.
    #[must_use]
    pub const fn version(&self) -> u64 {
        self.version
    }
}
