//! Entries that are found by name only at times, and their order for those who may only look.

use super::order::{Keys, Ticket};
use super::slab::{Slab, Slot};
use super::spelled::Spelled;
use super::{Shelf, Shelved};
use crate::id::{TimerName, Uid};

impl<E: Shelved, const LANES: usize> Shelf<E, LANES> {
    /// The entries whose names come after `name`, as these were in order at the last [`Shelf::order_names`]; all, if
    /// there is no `name`.
    pub fn ordered(&self, name: Option<&TimerName>) -> impl Iterator<Item = &E> {
        let key = name.map(Spelled::of);
        let slots = self.order.from(key.as_ref(), false, &self.slab);
        slots.filter_map(|slot| self.slab.get(slot))
    }

    /// Whether an entry came in since the last [`Shelf::take_changed`] and was never stored before.
    #[must_use]
    pub fn is_unwritten(&self, uid: Uid) -> bool {
        let slot = self.slot(uid);
        slot.is_some_and(|slot| self.marks[slot.index()].unwritten)
    }

    /// An entry is found by its name from now on, or not any more.
    pub(super) fn rename(&mut self, slot: Slot, (before, named): (bool, bool)) {
        if before && !named {
            self.unname(slot);
        } else if named && !before {
            self.take_name(slot);
            self.add_to_order(slot);
        }
    }

    pub(super) fn add_to_order(&mut self, slot: Slot) {
        if self.marks[slot.index()].named {
            let (order, mut names) = self.order_and_names();
            order.add(slot, &mut names);
        }
    }
}

impl<E: Shelved> Keys for Slab<E> {
    fn key(&self, slot: Slot) -> Option<Spelled> {
        Some(Spelled::of(self.get(slot)?.name()))
    }

    /// Who only reads an order gives out no tickets.
    fn set_ticket(&mut self, _: Slot, _: Option<Ticket>) {}
}
