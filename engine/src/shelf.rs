//! The timers of a machine: found by uid and by name, told in the order of their names, waiting in queues by time.
//!
//! ```text
//!  uid  --> Index --+                +--> Lane --> Queue, Queue, ..   who is due next, by home or by handler
//!  name --> Index --+--> Slot <------+
//!  page --> Order --+     |
//!                         +--> Slab: the entries        marks: what a turn has changed
//! ```
//!
//! Everything but a page costs the same whether ten timers are here or a million, or grows with their logarithm. What
//! an entry means, when it waits and where, is told by the entry itself ([`Shelved`]).

mod index;
mod lane;
mod order;
mod queue;
mod slab;

use crate::id::{TimerName, Uid};
use crate::time::WallTime;
use index::{Hashed, Index};
use lane::Lane;
use order::{Named, Order, Ticket};
use slab::{Slab, Slot};
use std::collections::BTreeSet;
use std::fmt;

/// What a shelf asks of its entries.
pub trait Shelved {
    /// Which queue of a lane is meant.
    type Queue: Clone + Ord + fmt::Debug;

    /// Its identity, which never changes.
    fn uid(&self) -> Uid;

    /// Its name, which never changes.
    fn name(&self) -> &TimerName;

    /// In which queue of this lane it stands, and when it is due there; none if it waits for nothing.
    fn waits(&self, lane: usize) -> Option<(Self::Queue, WallTime)>;

    /// Whether a change of it has to be in the journal.
    fn is_stored(&self) -> bool;
}

/// The timers of a machine. What stands in several queues at a time has a lane for each.
#[derive(Debug)]
pub struct Shelf<E: Shelved, const LANES: usize = 1> {
    slab: Slab<E>,
    marks: Vec<Mark>,
    uids: Index,
    names: Index,
    order: Order,
    lanes: [Lane<E::Queue>; LANES],
    /// Slots of changed entries; some may be removed since.
    changed: Vec<Slot>,
    /// Stored entries that were removed.
    removed: BTreeSet<Uid>,
}

/// What the shelf knows of a slot beside its entry.
#[derive(Debug, Clone, Copy, Default)]
struct Mark {
    /// It is the one that its name means.
    named: bool,
    /// Its place among the names that are not in order yet.
    ticket: Option<Ticket>,
    /// It has changed in this turn.
    changed: bool,
    /// It is not in the journal.
    unwritten: bool,
}

impl<E: Shelved, const LANES: usize> Default for Shelf<E, LANES> {
    fn default() -> Self {
        Self {
            slab: Slab::default(),
            marks: Vec::new(),
            uids: Index::default(),
            names: Index::default(),
            order: Order::default(),
            lanes: std::array::from_fn(|_| Lane::default()),
            changed: Vec::new(),
            removed: BTreeSet::new(),
        }
    }
}

impl<E: Shelved, const LANES: usize> Shelf<E, LANES> {
    /// How many entries there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.slab.len()
    }

    /// Whether there are no entries.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The entry of this identity.
    #[must_use]
    pub fn get(&self, uid: Uid) -> Option<&E> {
        self.slab.get(self.slot(uid)?)
    }

    /// Whether there is an entry of this identity.
    #[must_use]
    pub fn contains(&self, uid: Uid) -> bool {
        self.slot(uid).is_some()
    }

    /// The entry of this name; of several, the one that came last.
    #[must_use]
    pub fn named(&self, name: &TimerName) -> Option<&E> {
        self.slab.get(self.slot_named(name, Hashed::of(name))?)
    }

    /// Puts an entry in, in place of one of the same identity, and under its name in place of whoever had it.
    pub fn insert(&mut self, entry: E) {
        let uid = entry.uid();
        let (slot, known) = self.put(entry);
        let unwritten = !known && !self.removed.contains(&uid);
        self.marks[slot.index()].unwritten |= unwritten;
        self.mark(slot);
        let (order, mut names) = self.order_and_names();
        order.add(slot, &mut names);
    }

    /// Puts an entry in that is in the journal already: one of many, whose names are put in order after the last one by
    /// [`Shelf::order_names`].
    pub fn restore(&mut self, entry: E) {
        let (slot, _) = self.put(entry);
        let (order, mut names) = self.order_and_names();
        order.add_of_many(slot, &mut names);
    }

    /// Puts all names in order, so that no page has to do it.
    pub fn order_names(&mut self) {
        let (order, mut names) = self.order_and_names();
        order.enter_all(&mut names);
    }

    /// Changes an entry, and has it stand where it belongs from then on.
    pub fn change<R>(&mut self, uid: Uid, change: impl FnOnce(&mut E) -> R) -> Option<R> {
        let slot = self.slot(uid)?;
        let result = self.adjust_at(slot, change);
        self.mark(slot);
        result
    }

    /// Changes what is not stored of an entry, and has it stand where it belongs from then on.
    pub fn adjust<R>(&mut self, uid: Uid, change: impl FnOnce(&mut E) -> R) -> Option<R> {
        self.adjust_at(self.slot(uid)?, change)
    }

    /// Takes an entry out.
    pub fn remove(&mut self, uid: Uid) -> Option<E> {
        let hashed = Hashed::of(&uid);
        let slot = self.slot_of(uid, hashed)?;
        for lane in &mut self.lanes {
            lane.put(slot, None, |slot| uid_at(&self.slab, slot));
        }
        self.unname(slot);
        self.uids.remove(hashed, slot);
        let mark = std::mem::take(&mut self.marks[slot.index()]);
        let entry = self.slab.remove(slot)?;
        if entry.is_stored() && !mark.unwritten {
            self.removed.insert(uid);
        }
        Some(entry)
    }

    /// The stored entries that were put in, changed or removed since the last call, in the order of their
    /// identities. What came and went in between is not among them.
    pub fn take_changed(&mut self) -> Vec<Uid> {
        let mut uids = Vec::with_capacity(self.changed.len() + self.removed.len());
        for slot in self.changed.drain(..) {
            let mark = &mut self.marks[slot.index()];
            if std::mem::take(&mut mark.changed) {
                mark.unwritten = false;
                uids.push(uid_at(&self.slab, slot));
            }
        }
        uids.extend(std::mem::take(&mut self.removed));
        uids.sort_unstable();
        uids.dedup();
        uids
    }

    /// The entries whose names come after `name`, in the order of their names; all, if there is no `name`. Each costs
    /// about the same, wherever the page begins.
    pub fn page(&mut self, name: Option<&TimerName>) -> impl Iterator<Item = &E> {
        self.in_order(name, false)
    }

    /// The entries that have this name or come after it, in the order of their names.
    pub fn page_from(&mut self, name: &TimerName) -> impl Iterator<Item = &E> {
        self.in_order(Some(name), true)
    }

    /// All entries, in the order of their identities: sorted for the occasion, so not for every turn.
    #[must_use]
    pub fn by_uid(&self) -> Vec<&E> {
        let mut entries: Vec<&E> = self.slab.iter().collect();
        entries.sort_unstable_by_key(|entry| entry.uid());
        entries
    }

    /// The earliest deadline of a queue, and whose it is.
    #[must_use]
    pub fn first(&self, lane: usize, queue: &E::Queue) -> Option<(WallTime, &E)> {
        let (due, slot) = self.lanes[lane].get(queue)?.first()?;
        Some((due, self.slab.get(slot)?))
    }

    /// The entries of a queue in the order in which they are due; within one instant, of their identities.
    pub fn queue(&self, lane: usize, queue: &E::Queue) -> impl Iterator<Item = (WallTime, &E)> {
        let slots = self.lanes[lane].iter(queue, |slot| uid_at(&self.slab, slot));
        slots.filter_map(|(due, slot)| Some((due, self.slab.get(slot)?)))
    }

    /// How many stand in a queue.
    #[must_use]
    pub fn queue_len(&self, lane: usize, queue: &E::Queue) -> usize {
        self.lanes[lane].get(queue).map_or(0, queue::Queue::len)
    }

    /// The queues of a lane in which something stands, in their order.
    pub fn queues(&self, lane: usize) -> impl Iterator<Item = &E::Queue> {
        self.lanes[lane].keys()
    }

    fn in_order(&mut self, name: Option<&TimerName>, itself: bool) -> impl Iterator<Item = &E> {
        let (order, mut names) = self.order_and_names();
        order.enter_all(&mut names);
        let slots = order.from(name, itself, &names);
        let slab = names.slab;
        slots.filter_map(|slot| slab.get(slot))
    }

    /// Returns where it is, and whether there was one of the same identity.
    fn put(&mut self, entry: E) -> (Slot, bool) {
        let hashed = Hashed::of(&entry.uid());
        let known = self.slot_of(entry.uid(), hashed);
        let slot = match known {
            Some(slot) => {
                self.unname(slot);
                if let Some(old) = self.slab.get_mut(slot) {
                    *old = entry;
                }
                slot
            }
            None => self.insert_new(entry, hashed),
        };
        self.take_name(slot);
        self.stand(slot);
        (slot, known.is_some())
    }

    fn insert_new(&mut self, entry: E, hashed: Hashed) -> Slot {
        let slot = self.slab.insert(entry);
        if self.marks.len() <= slot.index() {
            self.marks.resize(slot.index() + 1, Mark::default());
        }
        let slab = &self.slab;
        self.uids
            .add(hashed, slot, |slot| Hashed::of(&uid_at(slab, slot)));
        slot
    }

    fn adjust_at<R>(&mut self, slot: Slot, change: impl FnOnce(&mut E) -> R) -> Option<R> {
        let entry = self.slab.get_mut(slot)?;
        let result = change(entry);
        self.stand(slot);
        Some(result)
    }

    fn stand(&mut self, slot: Slot) {
        let Some(entry) = self.slab.get(slot) else {
            return;
        };
        for (number, lane) in self.lanes.iter_mut().enumerate() {
            lane.put(slot, entry.waits(number), |slot| uid_at(&self.slab, slot));
        }
    }

    fn mark(&mut self, slot: Slot) {
        let mark = &mut self.marks[slot.index()];
        if !mark.changed && self.slab.get(slot).is_some_and(E::is_stored) {
            mark.changed = true;
            self.changed.push(slot);
        }
    }

    fn take_name(&mut self, slot: Slot) {
        let Some(name) = self.slab.get(slot).map(E::name) else {
            return;
        };
        let hashed = Hashed::of(name);
        if let Some(holder) = self.slot_named(name, hashed) {
            self.unname(holder);
        }
        let again = |slot| self.slab.get(slot).map(|it| Hashed::of(it.name()));
        self.names.add(hashed, slot, |slot| {
            again(slot).expect("what is named has an entry")
        });
        self.marks[slot.index()].named = true;
    }

    fn unname(&mut self, slot: Slot) {
        let mark = &mut self.marks[slot.index()];
        let Some(entry) = self.slab.get(slot).filter(|_| mark.named) else {
            return;
        };
        self.names.remove(Hashed::of(entry.name()), slot);
        mark.named = false;
        let ticket = mark.ticket.take();
        let (order, names) = self.order_and_names();
        order.remove(slot, ticket, &names);
    }

    fn order_and_names(&mut self) -> (&mut Order, Names<'_, E>) {
        let names = Names {
            slab: &self.slab,
            marks: &mut self.marks,
        };
        (&mut self.order, names)
    }

    fn slot(&self, uid: Uid) -> Option<Slot> {
        self.slot_of(uid, Hashed::of(&uid))
    }

    fn slot_of(&self, uid: Uid, hashed: Hashed) -> Option<Slot> {
        let is_it = |slot| self.slab.get(slot).is_some_and(|entry| entry.uid() == uid);
        self.uids.find(hashed, is_it)
    }

    fn slot_named(&self, name: &TimerName, hashed: Hashed) -> Option<Slot> {
        let is_it = |slot| self.slab.get(slot).is_some_and(|it| it.name() == name);
        self.names.find(hashed, is_it)
    }
}

fn uid_at<E: Shelved>(slab: &Slab<E>, slot: Slot) -> Uid {
    slab.get(slot)
        .map(E::uid)
        .expect("what stands in an index or a queue has an entry")
}

struct Names<'a, E> {
    slab: &'a Slab<E>,
    marks: &'a mut [Mark],
}

impl<E: Shelved> Named for Names<'_, E> {
    fn name(&self, slot: Slot) -> Option<&TimerName> {
        self.slab.get(slot).map(E::name)
    }

    fn set_ticket(&mut self, slot: Slot, ticket: Option<Ticket>) {
        self.marks[slot.index()].ticket = ticket;
    }
}

#[cfg(test)]
mod tests;
