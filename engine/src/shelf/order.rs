//! Entries by name, for pages, or by uid, for walks: a crit-bit tree over the keys, of twelve bytes an entry.
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
use super::spelled::Spelled;
use crate::planted::{self, Fault};
use crate::steps;
use std::collections::VecDeque;
use std::num::NonZero;

/// New entries that wait outside of the tree: a reader puts at most this many in order, in less than a millisecond.
const TAIL_MAX: usize = 1_024;

/// The entries in the order of their keys.
#[derive(Debug, Default)]
pub(super) struct Order {
    tree: Tree,
    /// New slots, and gaps where some went again; neither the first nor the last is a gap.
    tail: VecDeque<Option<Slot>>,
    /// The number of the first of the tail.
    first: u32,
}

/// A place at the tail; later ones have higher numbers, until these begin anew. It is never zero, so that to have none
/// takes no room of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Ticket(NonZero<u32>);

/// The numbers of places go up to here.
const NUMBER_MAX: u32 = u32::MAX >> 1;

impl Ticket {
    fn of(number: u32) -> Self {
        Self(NonZero::<u32>::MIN.saturating_add(number & NUMBER_MAX))
    }

    /// How many places there are before this one, the first of which has the number `first`.
    fn since(self, first: u32) -> usize {
        let number = self.0.get() - 1;
        (number.wrapping_sub(first) & NUMBER_MAX) as usize
    }
}

/// What the order asks of a slot: its key, and its ticket while it waits at the tail.
pub(super) trait Keys {
    fn key(&self, slot: Slot) -> Option<Spelled>;
    fn set_ticket(&mut self, slot: Slot, ticket: Option<Ticket>);
}

impl Order {
    /// Adds a slot, which waits at the tail from now on.
    pub(super) fn add(&mut self, slot: Slot, keys: &mut impl Keys) {
        self.add_of_many(slot, keys);
        if self.tail.len() > TAIL_MAX {
            self.enter_first(keys);
        }
    }

    /// Takes a slot out; `ticket` is that of one that waits at the tail.
    pub(super) fn remove(&mut self, slot: Slot, ticket: Option<Ticket>, keys: &impl Keys) {
        if let Some(ticket) = ticket {
            if let Some(place) = self.tail.get_mut(ticket.since(self.first)) {
                *place = None;
            }
            self.close_gaps();
        } else if let Some(key) = keys.key(slot) {
            self.tree.remove(&key, slot);
        }
    }

    /// Adds a slot of many: whoever adds the last one has all of them put in order.
    pub(super) fn add_of_many(&mut self, slot: Slot, keys: &mut impl Keys) {
        let last = u32::try_from(self.tail.len()).expect("there are no more than slots");
        keys.set_ticket(slot, Some(Ticket::of(self.first.wrapping_add(last))));
        self.tail.push_back(Some(slot));
    }

    /// Puts everything in order that waits, so that [`Order::from`] tells all.
    pub(super) fn enter_all(&mut self, keys: &mut impl Keys) {
        if planted::is(Fault::ForgetTheTail) {
            return;
        }
        if self.tail.len() > TAIL_MAX {
            self.sort_tail(keys);
        }
        while !self.tail.is_empty() {
            self.enter_first(keys);
        }
    }

    /// A way down the tree that resembles the last one is at hand, so that many enter sooner in their order. Most are
    /// told apart by the few bytes after what all of them begin with.
    fn sort_tail(&mut self, keys: &impl Keys) {
        let waiting = || self.tail.iter().flatten();
        let spelled = |slot: &Slot| keys.key(*slot);
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
            let whole = |slot| keys.key(slot).map(|key| key.whole().to_vec());
            let exact = || whole(*a).cmp(&whole(*b));
            one.cmp(other).then_with(exact)
        });
        self.tail = sorted.into_iter().map(|(_, slot)| Some(slot)).collect();
    }

    /// The slots whose keys come after `key`; also the one of this very key, if `itself` is to be told.
    pub(super) fn from<'a>(
        &'a self,
        key: Option<&Spelled>,
        itself: bool,
        keys: &impl Keys,
    ) -> InOrder<'a> {
        debug_assert!(
            self.tail.is_empty() || planted::any(),
            "asked before it is made"
        );
        let stack = match key {
            None => self.tree.root.into_iter().collect(),
            Some(key) => self.tree.seek(key, itself, keys),
        };
        InOrder {
            tree: &self.tree,
            stack,
        }
    }

    fn enter_first(&mut self, keys: &mut impl Keys) {
        let Some(first) = self.tail.front_mut() else {
            return;
        };
        if let Some(slot) = first.take() {
            keys.set_ticket(slot, None);
            if let Some(key) = keys.key(slot) {
                self.tree.insert(&key, slot, keys);
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
            self.first = self.first.wrapping_add(1);
        }
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
    fn insert(&mut self, key: &Spelled, slot: Slot, keys: &impl Keys) {
        let Some(nearest) = self.nearest(key) else {
            self.root = Some(Link::leaf(slot));
            return;
        };
        let other = keys.key(nearest);
        let Some(bit) = other.and_then(|other| key.differs(&other)) else {
            debug_assert!(false, "of two entries of a key only one is in the order");
            return;
        };
        // The new branch comes where the names below still agree up to its bit.
        let (above, below) = self.descend(key, bit);
        let mut arms = [below; 2];
        arms[key.bit(bit)] = Link::leaf(slot);
        let branch = self.add(Branch { bit, arms });
        self.relink(above, branch);
    }

    fn remove(&mut self, key: &Spelled, slot: Slot) {
        let mut above = None;
        let mut last: Option<(usize, usize)> = None;
        let Some(mut link) = self.root else { return };
        while let End::Branch(at) = link.end() {
            steps::visit();
            above = last;
            let arm = key.bit(self.branches[at].bit);
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

    /// The leaf at the end of a key's way: no other shares a longer beginning with it.
    fn nearest(&self, key: &Spelled) -> Option<Slot> {
        let mut link = self.root?;
        loop {
            match link.end() {
                End::Leaf(slot) => return Some(slot),
                End::Branch(at) => {
                    steps::visit();
                    let branch = &self.branches[at];
                    link = branch.arms[key.bit(branch.bit)];
                }
            }
        }
    }

    /// The first link on a key's way that leads to nothing decided before `bit`, and the arm that it is.
    fn descend(&self, key: &Spelled, bit: u16) -> (Option<(usize, usize)>, Link) {
        let mut above = None;
        let mut link = self.root.expect("only asked of a tree with a leaf");
        while let End::Branch(at) = link.end() {
            steps::visit();
            let branch = &self.branches[at];
            if branch.bit > bit {
                break;
            }
            let arm = key.bit(branch.bit);
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

    /// What is still to be told, the next on top, when everything before `key` is left out.
    fn seek(&self, key: &Spelled, itself: bool, keys: &impl Keys) -> Vec<Link> {
        let mut stack = Vec::new();
        let Some(nearest) = self.nearest(key) else {
            return stack;
        };
        let other = keys.key(nearest);
        let bit = other.and_then(|other| key.differs(&other));
        let mut link = self.root.expect("it has a leaf");
        while let End::Branch(at) = link.end() {
            steps::visit();
            let branch = &self.branches[at];
            if bit.is_some_and(|bit| branch.bit > bit) {
                break;
            }
            let arm = key.bit(branch.bit);
            if arm == 0 {
                stack.push(branch.arms[1]);
            }
            link = branch.arms[arm];
        }
        // Everything below differs from the key in this same bit: all of it comes after the key, or all before.
        let comes_after = bit.map_or(itself, |bit| key.bit(bit) == 0);
        stack.extend(comes_after.then_some(link));
        stack
    }
}

/// The slots of a tree from some key on; each costs what lies between it and the one before.
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
