//! Entries by name, for pages: a crit-bit tree over the names, of twelve bytes an entry.
//!
//! ```text
//!          [bit 12]              a branch knows the first bit in which the names below it differ;
//!          /      \              names with a 0 there stand to its left
//!     [bit 31]    "n1/b"
//!     /      \                   the names themselves stay in the entries: they are read once, at the end of
//! "n1/a1"  "n1/a7"               a way down
//! ```
//!
//! What is made and cancelled at once should not pay for an order that nobody reads: new entries wait at the tail, and
//! enter the tree when someone reads, or one by one when the tail is full.

use super::slab::Slot;
use crate::id::{ID_LENGTH_MAX, TimerName};
use crate::planted::{self, Fault};
use crate::steps;
use std::collections::VecDeque;

/// New entries that wait outside of the tree: a reader puts at most this many in order, in less than a millisecond.
const TAIL_MAX: usize = 1_024;

/// The entries in the order of their names.
#[derive(Debug, Default)]
pub(super) struct Order {
    tree: Tree,
    /// New slots, and gaps where some went again; neither the first nor the last is a gap.
    tail: VecDeque<Option<Slot>>,
    /// The ticket of the first of the tail.
    first: Ticket,
}

/// A place at the tail; later ones have higher numbers, until these begin anew.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Ticket(u32);

/// What the order asks of a slot: its name, and its ticket while it waits at the tail.
pub(super) trait Named {
    fn name(&self, slot: Slot) -> Option<&TimerName>;
    fn set_ticket(&mut self, slot: Slot, ticket: Option<Ticket>);
}

impl Order {
    /// Adds a slot, which waits at the tail from now on.
    pub(super) fn add(&mut self, slot: Slot, names: &mut impl Named) {
        self.add_of_many(slot, names);
        if self.tail.len() > TAIL_MAX {
            self.enter_first(names);
        }
    }

    /// Takes a slot out; `ticket` is that of one that waits at the tail.
    pub(super) fn remove(&mut self, slot: Slot, ticket: Option<Ticket>, names: &impl Named) {
        if let Some(ticket) = ticket {
            let at = ticket.0.wrapping_sub(self.first.0) as usize;
            if let Some(place) = self.tail.get_mut(at) {
                *place = None;
            }
            self.close_gaps();
        } else if let Some(name) = names.name(slot) {
            self.tree.remove(&Spelled::of(name), slot);
        }
    }

    /// Adds a slot of many: whoever adds the last one has all of them put in order.
    pub(super) fn add_of_many(&mut self, slot: Slot, names: &mut impl Named) {
        let last = u32::try_from(self.tail.len()).expect("there are no more than slots");
        names.set_ticket(slot, Some(Ticket(self.first.0.wrapping_add(last))));
        self.tail.push_back(Some(slot));
    }

    /// Puts everything in order that waits, so that [`Order::from`] tells all.
    pub(super) fn enter_all(&mut self, names: &mut impl Named) {
        if planted::is(Fault::ForgetTheTail) {
            return;
        }
        if self.tail.len() > TAIL_MAX {
            self.sort_tail(names);
        }
        while !self.tail.is_empty() {
            self.enter_first(names);
        }
    }

    /// A way down the tree that resembles the last one is at hand, so that many enter sooner in their order. Most are
    /// told apart by the few bytes after what all of them begin with.
    fn sort_tail(&mut self, names: &impl Named) {
        let waiting = || self.tail.iter().flatten();
        let spelled = |slot: &Slot| names.name(*slot).map(Spelled::of);
        let Some(first) = waiting().next().and_then(spelled) else {
            return;
        };
        let others = waiting().filter_map(spelled);
        let differences = others.filter_map(|other| first.differs(&other));
        let common = usize::from(differences.min().unwrap_or(0) / 8);
        let key = |slot: &Slot| spelled(slot).map(|it| it.word(common));
        let mut sorted: Vec<(Option<u128>, Slot)> = waiting().map(|it| (key(it), *it)).collect();
        steps::visits(sorted.len());
        sorted.sort_unstable_by(|(one, a), (other, b)| {
            let exact = || names.name(*a).cmp(&names.name(*b));
            one.cmp(other).then_with(exact)
        });
        self.tail = sorted.into_iter().map(|(_, slot)| Some(slot)).collect();
    }

    /// The slots whose names come after `name`; also the one of this very name, if `itself` is to be told.
    pub(super) fn from<'a>(
        &'a self,
        name: Option<&TimerName>,
        itself: bool,
        names: &impl Named,
    ) -> InOrder<'a> {
        debug_assert!(
            self.tail.is_empty() || planted::any(),
            "asked before it is made"
        );
        let stack = match name {
            None => self.tree.root.into_iter().collect(),
            Some(name) => self.tree.seek(&Spelled::of(name), itself, names),
        };
        InOrder {
            tree: &self.tree,
            stack,
        }
    }

    fn enter_first(&mut self, names: &mut impl Named) {
        let Some(first) = self.tail.front_mut() else {
            return;
        };
        if let Some(slot) = first.take() {
            names.set_ticket(slot, None);
            if let Some(name) = names.name(slot) {
                self.tree.insert(&Spelled::of(name), slot, names);
            }
        }
        self.close_gaps();
    }

    fn close_gaps(&mut self) {
        while self.tail.back().is_some_and(Option::is_none) {
            self.tail.pop_back();
        }
        while self.tail.front().is_some_and(Option::is_none) {
            self.tail.pop_front();
            self.first.0 = self.first.0.wrapping_add(1);
        }
    }
}

/// The longest spelled name: three ids, a byte that says whether there is a node, and an end after each id.
const SPELLED_MAX: usize = 3 * (ID_LENGTH_MAX + 1) + 1;

/// A name as bytes that compare as the names do: each id ends with a byte below all of its own, and a name without a
/// node comes before those with one.
struct Spelled {
    bytes: [u8; SPELLED_MAX],
    len: usize,
}

impl Spelled {
    fn of(name: &TimerName) -> Self {
        let mut spelled = Self {
            bytes: [0; SPELLED_MAX],
            len: 0,
        };
        spelled.add(name.pool.as_str());
        match &name.node {
            None => spelled.put(&[1]),
            Some(node) => {
                spelled.put(&[2]);
                spelled.add(node.as_str());
            }
        }
        spelled.add(name.timer.as_str());
        spelled
    }

    fn add(&mut self, id: &str) {
        self.put(id.as_bytes());
        self.len += 1;
    }

    fn put(&mut self, bytes: &[u8]) {
        self.bytes[self.len..self.len + bytes.len()].copy_from_slice(bytes);
        self.len += bytes.len();
    }

    /// The sixteen bytes from here on.
    fn word(&self, at: usize) -> u128 {
        let bytes = self.bytes.iter().skip(at).chain(std::iter::repeat(&0));
        bytes
            .take(16)
            .fold(0, |word, byte| word << 8 | u128::from(*byte))
    }

    fn bit(&self, bit: u16) -> usize {
        let byte = self.bytes[usize::from(bit / 8)];
        usize::from(byte >> (7 - bit % 8) & 1)
    }

    /// The first bit in which they differ.
    fn differs(&self, other: &Self) -> Option<u16> {
        let len = self.len.max(other.len);
        let at = (0..len).find(|at| self.bytes[*at] != other.bytes[*at])?;
        let bit = (self.bytes[at] ^ other.bytes[at]).leading_zeros();
        Some(u16::try_from(at * 8).expect("names are short") + bit as u16)
    }
}

/// A slot, or a branch: the highest bit tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Link(u32);

enum End {
    Leaf(Slot),
    Branch(usize),
}

const BRANCH: u32 = 1 << 31;

impl Link {
    fn leaf(slot: Slot) -> Self {
        debug_assert!(slot.number() < BRANCH, "two thousand million entries");
        Self(slot.number())
    }

    fn branch(at: usize) -> Self {
        Self(BRANCH | u32::try_from(at).expect("there are fewer branches than slots"))
    }

    fn end(self) -> End {
        match self.0 & BRANCH {
            0 => End::Leaf(Slot::at(self.0 as usize)),
            _ => End::Branch((self.0 & !BRANCH) as usize),
        }
    }
}

#[derive(Debug, Clone, Copy)]
struct Branch {
    bit: u16,
    arms: [Link; 2],
}

#[derive(Debug, Default)]
struct Tree {
    root: Option<Link>,
    branches: Vec<Branch>,
    spare: Vec<u32>,
}

impl Tree {
    fn insert(&mut self, name: &Spelled, slot: Slot, names: &impl Named) {
        let Some(nearest) = self.nearest(name) else {
            self.root = Some(Link::leaf(slot));
            return;
        };
        let other = names.name(nearest).map(Spelled::of);
        let Some(bit) = other.and_then(|other| name.differs(&other)) else {
            debug_assert!(false, "of two entries of a name only one is in the order");
            return;
        };
        // The new branch comes where the names below still agree up to its bit.
        let (above, below) = self.descend(name, bit);
        let mut arms = [below; 2];
        arms[name.bit(bit)] = Link::leaf(slot);
        let branch = self.add(Branch { bit, arms });
        self.relink(above, branch);
    }

    fn remove(&mut self, name: &Spelled, slot: Slot) {
        let mut above = None;
        let mut last: Option<(usize, usize)> = None;
        let Some(mut link) = self.root else { return };
        while let End::Branch(at) = link.end() {
            steps::visit();
            above = last;
            let arm = name.bit(self.branches[at].bit);
            last = Some((at, arm));
            link = self.branches[at].arms[arm];
        }
        if link != Link::leaf(slot) {
            return;
        }
        match last {
            None => self.root = None,
            Some((at, arm)) => {
                let sibling = self.branches[at].arms[1 - arm];
                self.relink(above, sibling);
                self.spare.push(Link::branch(at).0 & !BRANCH);
            }
        }
    }

    /// The leaf at the end of a name's way: no other shares a longer beginning with it.
    fn nearest(&self, name: &Spelled) -> Option<Slot> {
        let mut link = self.root?;
        loop {
            match link.end() {
                End::Leaf(slot) => return Some(slot),
                End::Branch(at) => {
                    steps::visit();
                    let branch = &self.branches[at];
                    link = branch.arms[name.bit(branch.bit)];
                }
            }
        }
    }

    /// The first link on a name's way that leads to nothing decided before `bit`, and the arm that it is.
    fn descend(&self, name: &Spelled, bit: u16) -> (Option<(usize, usize)>, Link) {
        let mut above = None;
        let mut link = self.root.expect("only asked of a tree with a leaf");
        while let End::Branch(at) = link.end() {
            steps::visit();
            let branch = &self.branches[at];
            if branch.bit > bit {
                break;
            }
            let arm = name.bit(branch.bit);
            above = Some((at, arm));
            link = branch.arms[arm];
        }
        (above, link)
    }

    fn relink(&mut self, above: Option<(usize, usize)>, link: Link) {
        match above {
            None => self.root = Some(link),
            Some((at, arm)) => self.branches[at].arms[arm] = link,
        }
    }

    fn add(&mut self, branch: Branch) -> Link {
        if let Some(at) = self.spare.pop() {
            self.branches[at as usize] = branch;
            return Link(BRANCH | at);
        }
        self.branches.push(branch);
        Link::branch(self.branches.len() - 1)
    }

    /// What is still to be told, the next on top, when everything before `name` is left out.
    fn seek(&self, name: &Spelled, itself: bool, names: &impl Named) -> Vec<Link> {
        let mut stack = Vec::new();
        let Some(nearest) = self.nearest(name) else {
            return stack;
        };
        let other = names.name(nearest).map(Spelled::of);
        let bit = other.and_then(|other| name.differs(&other));
        let mut link = self.root.expect("it has a leaf");
        while let End::Branch(at) = link.end() {
            steps::visit();
            let branch = &self.branches[at];
            if bit.is_some_and(|bit| branch.bit > bit) {
                break;
            }
            let arm = name.bit(branch.bit);
            if arm == 0 {
                stack.push(branch.arms[1]);
            }
            link = branch.arms[arm];
        }
        // Everything below differs from the name in this same bit: all of it comes after the name, or all before.
        let comes_after = bit.map_or(itself, |bit| name.bit(bit) == 0);
        stack.extend(comes_after.then_some(link));
        stack
    }
}

/// The slots of a tree from some name on; each costs what lies between it and the one before.
pub(super) struct InOrder<'a> {
    tree: &'a Tree,
    stack: Vec<Link>,
}

impl Iterator for InOrder<'_> {
    type Item = Slot;

    fn next(&mut self) -> Option<Slot> {
        let mut link = self.stack.pop()?;
        loop {
            match link.end() {
                End::Leaf(slot) => return Some(slot),
                End::Branch(at) => {
                    steps::visit();
                    let [left, right] = self.tree.branches[at].arms;
                    self.stack.push(right);
                    link = left;
                }
            }
        }
    }
}
