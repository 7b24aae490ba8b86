//! What waits for its time: the earliest in one look, and any out of the middle.
//!
//! A heap with four children a node, whose items know their slot and whose slots know their place. Within one instant
//! the order is that of the uids, so that it does not depend on what was here before.
//!
//! Why not a timing wheel: its first deadline is exact only after a look at all timers of a slot, and a slot of its upper
//! levels, which may hold a million, is sorted down in one turn. Here the worst is ten levels. A new timer that is due
//! later than most, the usual case, stays where it is appended; taken out again it leaves from there.

use super::slab::Slot;
use crate::id::Uid;
use crate::planted::{self, Fault};
use crate::steps;
use crate::time::WallTime;
use std::cmp::Ordering;
use std::collections::BinaryHeap;
use std::num::NonZero;

/// Children of a node: those of one node fill a cache line.
const ARITY: usize = 4;

/// Sixteen bytes; the uid's highest bits decide most ties without a look at the entry.
#[derive(Debug, Clone, Copy)]
struct Item {
    due: i64,
    uid_high: u32,
    slot: Slot,
}

/// Where a slot stands: in which queue, and at which place of its heap. Eight bytes, also where it may stand nowhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stand {
    pub(super) queue: Number,
    at: u32,
}

/// The number of a queue among those of a lane.
pub(super) type Number = NonZero<u32>;

/// What a queue has to know of the slots: their uids, and where they stand.
pub(super) struct Slots<'a, F> {
    pub(super) stands: &'a mut [Option<Stand>],
    pub(super) uid: F,
}

#[derive(Debug, Default)]
pub(super) struct Queue {
    heap: Vec<Item>,
}

impl Queue {
    pub(super) fn is_empty(&self) -> bool {
        self.heap.is_empty()
    }

    pub(super) fn len(&self) -> usize {
        self.heap.len()
    }

    pub(super) fn first(&self) -> Option<(WallTime, Slot)> {
        let item = self.heap.first()?;
        Some((WallTime(item.due), item.slot))
    }

    pub(super) fn first_due(&self) -> Option<WallTime> {
        self.heap.first().map(|item| WallTime(item.due))
    }

    /// Adds a slot, which stands in no queue; `queue` is this queue's number.
    pub(super) fn join<F: Fn(Slot) -> Uid>(
        &mut self,
        (slot, due): (Slot, WallTime),
        queue: Number,
        slots: &mut Slots<'_, F>,
    ) {
        let at = self.heap.len();
        let uid_high = u32::try_from((slots.uid)(slot).0 >> 96).expect("32 bits are left");
        slots.stands[slot.index()] = Some(Stand { queue, at: 0 });
        self.heap.push(Item {
            due: due.0,
            uid_high,
            slot,
        });
        self.rise(at, slots);
    }

    /// Takes the slot out that stands here.
    pub(super) fn leave<F: Fn(Slot) -> Uid>(&mut self, stand: Stand, slots: &mut Slots<'_, F>) {
        let at = stand.at as usize;
        let gone = self.heap.swap_remove(at);
        slots.stands[gone.slot.index()] = None;
        if at < self.heap.len() {
            self.settle(at, slots);
        }
        self.shrink();
    }

    /// The slot that stands here is due at another time.
    pub(super) fn move_to<F: Fn(Slot) -> Uid>(
        &mut self,
        stand: Stand,
        due: WallTime,
        slots: &mut Slots<'_, F>,
    ) {
        let at = stand.at as usize;
        if self.heap[at].due != due.0 {
            self.heap[at].due = due.0;
            self.settle(at, slots);
        }
    }

    /// The slots in their order; each further one costs a logarithm of how many were taken.
    pub(super) fn iter<F: Fn(Slot) -> Uid>(&self, uid: F) -> Ordered<'_, F> {
        let mut ordered = Ordered {
            queue: self,
            front: BinaryHeap::new(),
            uid,
        };
        ordered.offer(0);
        ordered
    }

    fn settle<F: Fn(Slot) -> Uid>(&mut self, at: usize, slots: &mut Slots<'_, F>) {
        if !self.rise(at, slots) {
            self.sink(at, slots);
        }
    }

    /// Returns whether it rose.
    fn rise<F: Fn(Slot) -> Uid>(&mut self, start: usize, slots: &mut Slots<'_, F>) -> bool {
        let item = self.heap[start];
        let mut at = start;
        while at > 0 {
            let parent = (at - 1) / ARITY;
            if !is_before(&item, &self.heap[parent], &slots.uid) {
                break;
            }
            self.place(at, self.heap[parent], slots);
            at = parent;
        }
        self.place(at, item, slots);
        at != start
    }

    fn sink<F: Fn(Slot) -> Uid>(&mut self, start: usize, slots: &mut Slots<'_, F>) {
        let item = self.heap[start];
        let mut at = start;
        while let Some(child) = self.first_child(at, &slots.uid) {
            if !is_before(&self.heap[child], &item, &slots.uid) {
                break;
            }
            self.place(at, self.heap[child], slots);
            at = child;
        }
        self.place(at, item, slots);
    }

    fn first_child(&self, at: usize, uid: &impl Fn(Slot) -> Uid) -> Option<usize> {
        let from = at * ARITY + 1;
        let upto = (from + ARITY).min(self.heap.len());
        let mut children = from..upto;
        let first = children.next()?;
        Some(children.fold(first, |best, child| {
            match is_before(&self.heap[child], &self.heap[best], uid) {
                true => child,
                false => best,
            }
        }))
    }

    fn place<F>(&mut self, at: usize, item: Item, slots: &mut Slots<'_, F>) {
        self.heap[at] = item;
        if let Some(stand) = &mut slots.stands[item.slot.index()] {
            stand.at = u32::try_from(at).expect("there are no more items than slots");
        }
    }

    /// Gives room back that a burst has left.
    fn shrink(&mut self) {
        if self.heap.len() < self.heap.capacity() / 4 && self.heap.capacity() > 64 {
            self.heap.shrink_to(self.heap.len() * 2);
        }
    }
}

fn compare(one: &Item, other: &Item, uid: impl Fn(Slot) -> Uid) -> Ordering {
    steps::visit();
    if planted::is(Fault::OrderByArrival) {
        return one.due.cmp(&other.due);
    }
    let quick = |item: &Item| (item.due, item.uid_high);
    let exact = || uid(one.slot).cmp(&uid(other.slot));
    quick(one).cmp(&quick(other)).then_with(exact)
}

fn is_before(one: &Item, other: &Item, uid: &impl Fn(Slot) -> Uid) -> bool {
    compare(one, other, uid).is_lt()
}

/// The order of a queue, made as far as it is read.
pub(super) struct Ordered<'a, F> {
    queue: &'a Queue,
    /// What may come next, the earliest on top: the children of everything that was read.
    front: BinaryHeap<std::cmp::Reverse<(i64, Uid, usize)>>,
    uid: F,
}

impl<F: Fn(Slot) -> Uid> Ordered<'_, F> {
    fn offer(&mut self, at: usize) {
        if let Some(item) = self.queue.heap.get(at) {
            let key = (item.due, (self.uid)(item.slot), at);
            self.front.push(std::cmp::Reverse(key));
        }
    }
}

impl<F: Fn(Slot) -> Uid> Iterator for Ordered<'_, F> {
    type Item = (WallTime, Slot);

    fn next(&mut self) -> Option<(WallTime, Slot)> {
        let std::cmp::Reverse((due, _, at)) = self.front.pop()?;
        for child in at * ARITY + 1..=at * ARITY + ARITY {
            self.offer(child);
        }
        Some((WallTime(due), self.queue.heap[at].slot))
    }
}
