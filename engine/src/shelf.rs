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
mod named;
mod order;
mod queue;
mod reading;
mod slab;
mod spelled;

use crate::id::{TimerName, Uid};
use crate::time::WallTime;
use lane::Lane;
use order::{Keys, Order, Ticket};
use slab::Slab;
use spelled::Spelled;
use std::collections::BTreeSet;
use std::fmt;

pub(crate) use index::{Hashed, Index};
pub(crate) use slab::Slot;

/// What a shelf asks of its entries.
pub trait Shelved {
    /// Which queue of a lane is meant.
    type Queue: Clone + Ord + fmt::Debug;

    /// Whether entries are walked over in the order of their identities ([`Shelf::walk`]): that order takes some room
    /// for each.
    const WALKED: bool = false;

    /// Its identity, which never changes.
    fn uid(&self) -> Uid;

    /// Its name, which never changes.
    fn name(&self) -> &TimerName;

    /// In which queue of this lane it stands, and when it is due there; none if it waits for nothing.
    fn waits(&self, lane: usize) -> Option<(Self::Queue, WallTime)>;

    /// Whether a change of it has to be in the journal.
    fn is_stored(&self) -> bool;

    /// In which group a queue is, if the first of a group is asked for ([`Shelf::heads`]); groups are small numbers.
    #[must_use]
    fn group(_queue: &Self::Queue) -> Option<usize> {
        None
    }

    /// Whether it is found by its name, and has its place in the order of names.
    fn is_named(&self) -> bool {
        true
    }
}

/// The timers of a machine. What stands in several queues at a time has a lane for each.
#[derive(Debug)]
pub struct Shelf<E: Shelved, const LANES: usize = 1> {
    slab: Slab<E>,
    marks: Vec<Mark>,
    uids: Index,
    names: Index,
    order: Order,
    /// The order of identities, if there is one.
    walk: Order,
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
    /// The same among the identities.
    walk_ticket: Option<Ticket>,
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
            walk: Order::default(),
            lanes: std::array::from_fn(|_| Lane::new(E::group)),
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

    /// Puts an entry in, in place of one of the same identity, and under its name in place of whoever had it. Returns
    /// the one of the same identity.
    pub fn insert(&mut self, entry: E) -> Option<E> {
        let uid = entry.uid();
        let (slot, replaced) = self.put(entry);
        let known = replaced.is_some();
        let unwritten = !known && !self.removed.contains(&uid);
        self.marks[slot.index()].unwritten |= unwritten;
        self.mark(slot);
        self.add_to_order(slot);
        if E::WALKED && !known {
            let (walk, mut uids) = self.walk_and_uids();
            walk.add(slot, &mut uids);
        }
        replaced
    }

    /// Puts an entry in that is in the journal already: one of many, whose names are put in order after the last one by
    /// [`Shelf::order_names`].
    pub fn restore(&mut self, entry: E) {
        let (slot, replaced) = self.put(entry);
        if self.marks[slot.index()].named {
            let (order, mut names) = self.order_and_names();
            order.add_of_many(slot, &mut names);
        }
        if E::WALKED && replaced.is_none() {
            let (walk, mut uids) = self.walk_and_uids();
            walk.add_of_many(slot, &mut uids);
        }
    }

    /// Puts all names in order, so that no page has to do it, and all identities, if these have an order.
    pub fn order_names(&mut self) {
        let (order, mut names) = self.order_and_names();
        order.enter_all(&mut names);
        let (walk, mut uids) = self.walk_and_uids();
        walk.enter_all(&mut uids);
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
        if E::WALKED {
            let ticket = self.marks[slot.index()].walk_ticket.take();
            let (walk, uids) = self.walk_and_uids();
            walk.remove(slot, ticket, &uids);
        }
        self.uids.remove(hashed, slot);
        let mark = std::mem::take(&mut self.marks[slot.index()]);
        let entry = self.slab.remove(slot)?;
        if entry.is_stored() && !mark.unwritten {
            self.removed.insert(uid);
        }
        Some(entry)
    }

    /// Whether [`Shelf::take_changed`] has anything to tell, or may have.
    #[must_use]
    pub fn has_changed(&self) -> bool {
        !self.changed.is_empty() || !self.removed.is_empty()
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

    /// Returns where it is, and what was there of the same identity.
    fn put(&mut self, entry: E) -> (Slot, Option<E>) {
        let (uid, slab) = (entry.uid(), &self.slab);
        let is_it = |slot| slab.get(slot).is_some_and(|entry| entry.uid() == uid);
        let again = |slot| Hashed::of(&uid_at(slab, slot));
        let known = self.uids.add(Hashed::of(&uid), slab.next(), is_it, again);
        let (slot, replaced) = match known {
            Some(slot) => {
                self.unname(slot);
                let place = self.slab.get_mut(slot);
                (slot, place.map(|place| std::mem::replace(place, entry)))
            }
            None => (self.insert_new(entry), None),
        };
        if self.slab.get(slot).is_some_and(E::is_named) {
            self.take_name(slot);
        }
        self.stand(slot);
        (slot, replaced)
    }

    /// It goes where it was said to go: the index has that already.
    fn insert_new(&mut self, entry: E) -> Slot {
        let slot = self.slab.insert(entry);
        if self.marks.len() <= slot.index() {
            self.marks.resize(slot.index() + 1, Mark::default());
        }
        slot
    }

    fn adjust_at<R>(&mut self, slot: Slot, change: impl FnOnce(&mut E) -> R) -> Option<R> {
        let entry = self.slab.get_mut(slot)?;
        let before = entry.is_named();
        let result = change(entry);
        let named = entry.is_named();
        self.rename(slot, (before, named));
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
        let is_it = |slot| self.slab.get(slot).is_some_and(|it| it.name() == name);
        let again = |slot| self.slab.get(slot).map(|it| Hashed::of(it.name()));
        let again = |slot| again(slot).expect("what is named has an entry");
        let holder = self.names.replace(Hashed::of(name), slot, is_it, again);
        if let Some(holder) = holder {
            self.leave_order(holder);
        }
        self.marks[slot.index()].named = true;
    }

    fn unname(&mut self, slot: Slot) {
        let named = self.marks[slot.index()].named;
        let Some(entry) = self.slab.get(slot).filter(|_| named) else {
            return;
        };
        self.names.remove(Hashed::of(entry.name()), slot);
        self.leave_order(slot);
    }

    /// Its name means another one now, or none.
    fn leave_order(&mut self, slot: Slot) {
        let mark = &mut self.marks[slot.index()];
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

    fn walk_and_uids(&mut self) -> (&mut Order, Uids<'_, E>) {
        let uids = Uids {
            slab: &self.slab,
            marks: &mut self.marks,
        };
        (&mut self.walk, uids)
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

impl<E: Shelved> Keys for Names<'_, E> {
    fn key(&self, slot: Slot) -> Option<Spelled> {
        Some(Spelled::of(self.slab.get(slot)?.name()))
    }

    fn set_ticket(&mut self, slot: Slot, ticket: Option<Ticket>) {
        self.marks[slot.index()].ticket = ticket;
    }
}

struct Uids<'a, E> {
    slab: &'a Slab<E>,
    marks: &'a mut [Mark],
}

impl<E: Shelved> Keys for Uids<'_, E> {
    fn key(&self, slot: Slot) -> Option<Spelled> {
        Some(Spelled::of_uid(self.slab.get(slot)?.uid()))
    }

    fn set_ticket(&mut self, slot: Slot, ticket: Option<Ticket>) {
        self.marks[slot.index()].walk_ticket = ticket;
    }
}

#[cfg(test)]
mod tests;
