//! Reading a shelf in an order: of names, of identities, of times.

use super::queue::Queue;
use super::spelled::Spelled;
use super::{Shelf, Shelved, uid_at};
use crate::id::{TimerName, Uid};
use crate::time::WallTime;

impl<E: Shelved, const LANES: usize> Shelf<E, LANES> {
    /// The entries whose names come after `name`, in the order of their names; all, if there is no `name`. Each costs
    /// about the same, wherever the page begins.
    pub fn page(&mut self, name: Option<&TimerName>) -> impl Iterator<Item = &E> {
        self.in_order(name, false)
    }

    /// The entries that have this name or come after it, in the order of their names.
    pub fn page_from(&mut self, name: &TimerName) -> impl Iterator<Item = &E> {
        self.in_order(Some(name), true)
    }

    /// The entries that come after `uid` in the order of their identities; all, if there is no `uid`. Each costs about
    /// the same, wherever the walk begins. Only of entries that are [`Shelved::WALKED`].
    pub fn walk(&mut self, uid: Option<Uid>) -> impl Iterator<Item = &E> {
        debug_assert!(E::WALKED, "these have no order of identities");
        let (walk, mut uids) = self.walk_and_uids();
        walk.enter_all(&mut uids);
        let key = uid.map(Spelled::of_uid);
        let slots = walk.from(key.as_ref(), false, &uids);
        let slab = uids.slab;
        slots.filter_map(|slot| slab.get(slot))
    }

    /// The identities of all entries of which `which` holds, in their order: it goes over all, so it is not for every
    /// turn.
    pub fn uids_of(&self, which: impl Fn(&E) -> bool) -> Vec<Uid> {
        let entries = self.slab.iter().filter(|entry| which(entry));
        let mut uids: Vec<Uid> = entries.map(E::uid).collect();
        uids.sort_unstable();
        uids
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

    /// The queues of a group in which something stands, by when the first of each is due; of equal ones in their order.
    pub fn heads(&self, lane: usize, group: usize) -> impl Iterator<Item = &(WallTime, E::Queue)> {
        self.lanes[lane].heads(group)
    }

    /// The first of these: when it is due.
    #[must_use]
    pub fn head(&self, lane: usize, group: usize) -> Option<WallTime> {
        self.lanes[lane].head(group).map(|(due, _)| *due)
    }

    /// The entries of a queue in the order in which they are due; within one instant, of their identities.
    pub fn queue(&self, lane: usize, queue: &E::Queue) -> impl Iterator<Item = (WallTime, &E)> {
        let slots = self.lanes[lane].iter(queue, |slot| uid_at(&self.slab, slot));
        slots.filter_map(|(due, slot)| Some((due, self.slab.get(slot)?)))
    }

    /// How many stand in a queue.
    #[must_use]
    pub fn queue_len(&self, lane: usize, queue: &E::Queue) -> usize {
        self.lanes[lane].get(queue).map_or(0, Queue::len)
    }

    /// The queues of a lane in which something stands, in their order.
    pub fn queues(&self, lane: usize) -> impl Iterator<Item = &E::Queue> {
        self.lanes[lane].keys()
    }

    fn in_order(&mut self, name: Option<&TimerName>, itself: bool) -> impl Iterator<Item = &E> {
        let (order, mut names) = self.order_and_names();
        order.enter_all(&mut names);
        let key = name.map(Spelled::of);
        let slots = order.from(key.as_ref(), itself, &names);
        let slab = names.slab;
        slots.filter_map(|slot| slab.get(slot))
    }
}
