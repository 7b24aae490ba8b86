//! One group: up to eight members, the migrator among them, and what the parent is told.
//!
//! ```text
//!   member --- Active | Idle { first } ---> group --- Active | Idle { first } ---> parent
//! ```
//!
//! A node and a child group look the same from here: a bit in each of five masks, and a deadline. Who the
//! members are, where the group stands and who walks upwards is the business of
//! [`hierarchy`](crate::hierarchy).

mod mask;
mod member;

pub use member::{Child, Event, GroupKey, Member, NodeKey, Standing};

use crate::planted::{self, Fault};
use crate::time::WallTime;
use mask::{lowest, set, slots};

/// The most members that a group can have: as many as a mask has bits.
pub const SLOTS_MAX: u8 = 8;

const SLOTS: usize = SLOTS_MAX as usize;
/// The migrator of a group that has none.
const NOBODY: u8 = SLOTS_MAX;

/// By slot: who it is. A group's events are of a node below it; a node's are its own.
#[derive(Debug, Clone)]
enum Children {
    Nodes([NodeKey; SLOTS]),
    Groups(Box<[(GroupKey, NodeKey); SLOTS]>),
}

/// One group as a machine. See the module.
#[derive(Debug, Clone)]
pub struct Group {
    /// By slot, where `events` has a bit: of an idle member its event; of an active node what it had last,
    /// which nobody serves; of a group on duty the earliest deadline that is served inside of it.
    deadlines: [WallTime; SLOTS],
    children: Children,
    told: Standing,
    version: u64,
    capacity: u8,
    taken: u8,
    active: u8,
    eligible: u8,
    events: u8,
    /// Whose events are out of sight: see [`Group::set_aside`].
    aside: u8,
    migrator: u8,
}

impl Group {
    /// An empty group of at most `capacity` nodes.
    ///
    /// # Panics
    /// If `capacity` is not 1 to [`SLOTS_MAX`].
    #[must_use]
    pub fn of_nodes(capacity: u8) -> Self {
        Self::new(capacity, Children::Nodes([NodeKey(0); SLOTS]))
    }

    /// An empty group of at most `capacity` groups.
    ///
    /// # Panics
    /// If `capacity` is not 1 to [`SLOTS_MAX`].
    #[must_use]
    pub fn of_groups(capacity: u8) -> Self {
        let nobody = [(GroupKey(0), NodeKey(0)); SLOTS];
        Self::new(capacity, Children::Groups(Box::new(nobody)))
    }

    fn new(capacity: u8, children: Children) -> Self {
        assert!(
            (1..=SLOTS_MAX).contains(&capacity),
            "a group has 1 to {SLOTS_MAX} slots"
        );
        Self {
            deadlines: [WallTime(0); SLOTS],
            children,
            told: Standing::EMPTY,
            version: 0,
            capacity,
            taken: 0,
            active: 0,
            eligible: 0,
            events: 0,
            aside: 0,
            migrator: NOBODY,
        }
    }

    /// Puts a member into the lowest free slot; none if the group is full.
    ///
    /// # Panics
    /// If it is a node in a group of groups, or a group in a group of nodes.
    pub fn admit(&mut self, member: Member) -> Option<u8> {
        let slot = lowest(!self.taken).filter(|slot| *slot < self.capacity)?;
        self.place(slot, member.child);
        set(&mut self.taken, slot, true);
        set(&mut self.eligible, slot, member.eligible);
        self.put(slot, member.standing);
        self.changed();
        Some(slot)
    }

    /// Frees a slot.
    pub fn vacate(&mut self, slot: u8) {
        for mask in [
            &mut self.taken,
            &mut self.active,
            &mut self.eligible,
            &mut self.events,
            &mut self.aside,
        ] {
            set(mask, slot, false);
        }
        self.changed();
    }

    /// Puts another child into a slot that stays as it is otherwise.
    pub fn replace(&mut self, slot: u8, child: Child) {
        self.place(slot, child);
        self.version += 1;
    }

    fn place(&mut self, slot: u8, child: Child) {
        let at = usize::from(slot);
        match (&mut self.children, child) {
            (Children::Nodes(nodes), Child::Node(node)) => nodes[at] = node,
            (Children::Groups(groups), Child::Group(group)) => groups[at].0 = group,
            (Children::Nodes(_), Child::Group(_)) | (Children::Groups(_), Child::Node(_)) => {
                panic!("nodes are below level 0 only")
            }
        }
    }

    /// Writes what a member says of itself; state and event come together.
    pub fn write(&mut self, slot: u8, standing: Standing) {
        let clears = self.is_active(slot) && !standing.is_active();
        self.put(slot, standing);
        if clears && planted::is(Fault::DropDeadlineWithBit) {
            set(&mut self.events, slot, false);
        }
        self.changed();
    }

    fn put(&mut self, slot: u8, standing: Standing) {
        set(&mut self.active, slot, standing.is_active());
        match (standing, &mut self.children) {
            (Standing::Idle { first }, children) => {
                if let (Some(event), Children::Groups(groups)) = (first, children) {
                    groups[usize::from(slot)].1 = event.node;
                }
                self.set_deadline(slot, first.map(|event| event.deadline));
            }
            // What it serves inside is said separately.
            (Standing::Active, Children::Groups(_)) => set(&mut self.events, slot, false),
            (Standing::Active, Children::Nodes(_)) => set(&mut self.aside, slot, false),
        }
    }

    /// Another deadline is another event: what was set aside is so no more.
    fn set_deadline(&mut self, slot: u8, deadline: Option<WallTime>) -> bool {
        if self.deadline(slot) == deadline {
            return false;
        }
        set(&mut self.events, slot, deadline.is_some());
        set(&mut self.aside, slot, false);
        if let Some(deadline) = deadline {
            self.deadlines[usize::from(slot)] = deadline;
        }
        true
    }

    /// Keeps the deadline of an active node, for the case that it is lost. No event comes of it.
    pub fn remember(&mut self, slot: u8, first: Option<WallTime>) {
        self.set_deadline(slot, first);
    }

    /// Keeps the earliest deadline that is served inside of a member group on duty, and says whether it is
    /// another than before. It is no part of what the member reports: nothing is decided by it here.
    pub fn note_served(&mut self, slot: u8, served: Option<WallTime>) -> bool {
        self.is_active(slot) && self.set_deadline(slot, served)
    }

    /// Says whether a member may be migrator.
    pub fn set_eligible(&mut self, slot: u8, eligible: bool) {
        set(&mut self.eligible, slot, eligible);
        self.changed();
    }

    /// Takes the event of an idle member out of sight, or back into it. It is out until the member wakes
    /// or has another deadline.
    pub fn set_aside(&mut self, slot: u8, aside: bool) {
        let aside = aside && !self.is_active(slot);
        set(&mut self.aside, slot, aside);
        self.changed();
    }

    /// What the parent has to be told: none if it knows already.
    ///
    /// A head of the same deadline but of another owner is news too: the parent would otherwise
    /// look for it at the wrong node.
    pub fn tell(&mut self) -> Option<Standing> {
        let standing = self.standing();
        if self.is_known(&standing) {
            return None;
        }
        self.told = standing;
        Some(standing)
    }

    /// What this group is to its parent.
    #[must_use]
    pub fn standing(&self) -> Standing {
        if self.on_duty() {
            Standing::Active
        } else {
            let first = self.head().map(|(_, event)| event);
            Standing::Idle { first }
        }
    }

    fn is_known(&self, standing: &Standing) -> bool {
        if planted::is(Fault::IgnoreTheOwner) {
            return self.told.is_active() == standing.is_active()
                && self.told.deadline() == standing.deadline();
        }
        self.told == *standing
    }

    fn changed(&mut self) {
        self.version += 1;
        self.elect();
    }

    /// Keeps the migrator while it is on duty, else takes the lowest member that is.
    fn elect(&mut self) {
        let may = if planted::is(Fault::ElectTheIneligible) {
            self.active
        } else {
            self.on_duty_mask()
        };
        if self.migrator_mask() & may == 0 {
            self.migrator = lowest(may).unwrap_or(NOBODY);
        }
    }

    fn is_active(&self, slot: u8) -> bool {
        self.active & 1 << slot != 0
    }

    /// Who is in the slot; of a free one, who was.
    #[must_use]
    pub fn child(&self, slot: u8) -> Child {
        let at = usize::from(slot);
        match &self.children {
            Children::Nodes(nodes) => Child::Node(nodes[at]),
            Children::Groups(groups) => Child::Group(groups[at].0),
        }
    }

    /// The deadline that is kept for a slot; of an active node its last one.
    #[must_use]
    pub fn deadline(&self, slot: u8) -> Option<WallTime> {
        (self.events & 1 << slot != 0).then(|| self.deadlines[usize::from(slot)])
    }

    /// The event in a slot, whether anybody serves it or not.
    fn event(&self, slot: u8) -> Option<Event> {
        let node = match &self.children {
            Children::Nodes(nodes) => nodes[usize::from(slot)],
            Children::Groups(groups) => groups[usize::from(slot)].1,
        };
        let deadline = self.deadline(slot)?;
        Some(Event { deadline, node })
    }

    /// The slot's member, if it is taken.
    #[must_use]
    pub fn member(&self, slot: u8) -> Option<Member> {
        (self.taken & 1 << slot != 0).then(|| Member {
            child: self.child(slot),
            standing: if self.is_active(slot) {
                Standing::Active
            } else {
                Standing::Idle {
                    first: self.event(slot),
                }
            },
            eligible: self.eligible & 1 << slot != 0,
        })
    }

    /// The members with their slots, lowest first.
    pub fn members(&self) -> impl Iterator<Item = (u8, Member)> {
        slots(self.taken).filter_map(|slot| Some((slot, self.member(slot)?)))
    }

    /// How many slots there are, free ones too.
    #[must_use]
    pub const fn capacity(&self) -> u8 {
        self.capacity
    }

    /// Whether a slot is free.
    #[must_use]
    pub fn has_room(&self) -> bool {
        self.taken.count_ones() < u32::from(self.capacity)
    }

    /// The earliest event of the idle members, and its slot; the lower slot at equal deadlines.
    #[must_use]
    pub fn head(&self) -> Option<(u8, Event)> {
        let slot = self.earliest(self.idle_events())?;
        Some((slot, self.event(slot)?))
    }

    /// The earliest deadline that somebody at or below this group serves, and the slot that it comes from:
    /// an idle member's event, or what is served inside of a member on duty. None if nobody is on duty.
    #[must_use]
    pub fn served(&self) -> Option<(u8, WallTime)> {
        let inside = match &self.children {
            Children::Nodes(_) => 0,
            Children::Groups(_) => self.events & self.active,
        };
        let slot = self.earliest(self.idle_events() | inside)?;
        let deadline = self.deadline(slot)?;
        self.on_duty().then_some((slot, deadline))
    }

    const fn idle_events(&self) -> u8 {
        self.events & !self.active & !self.aside
    }

    fn earliest(&self, among: u8) -> Option<u8> {
        slots(among).min_by_key(|slot| (self.deadlines[usize::from(*slot)], *slot))
    }

    /// The slot of the member that serves the idle ones.
    #[must_use]
    pub fn migrator(&self) -> Option<u8> {
        self.on_duty().then_some(self.migrator)
    }

    /// Whether there is a migrator.
    #[must_use]
    pub const fn on_duty(&self) -> bool {
        self.migrator != NOBODY
    }

    /// One bit per active member, bit 0 for slot 0.
    #[must_use]
    pub const fn active_mask(&self) -> u8 {
        self.active
    }

    /// One bit per member that may serve others: active and eligible.
    #[must_use]
    pub const fn on_duty_mask(&self) -> u8 {
        self.active & self.eligible
    }

    /// One bit per member whose event is set aside.
    #[must_use]
    pub const fn aside_mask(&self) -> u8 {
        self.aside
    }

    /// The migrator's bit, or 0.
    #[must_use]
    pub fn migrator_mask(&self) -> u8 {
        self.migrator().map_or(0, |slot| 1 << slot)
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
