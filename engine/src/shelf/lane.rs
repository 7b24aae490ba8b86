//! Many queues by time, of which an entry stands in at most one.
//!
//! A queue has a key, such as a home or a handler, and exists while something stands in it. What stands twice, as a
//! timer that is due again while it runs, stands in two lanes. Queues may be in groups: then the first of all queues of
//! a group is found in one look, however many these are.

use super::queue::{Number, Ordered, Queue, Slots, Stand};
use super::slab::Slot;
use crate::id::Uid;
use crate::time::WallTime;
use std::collections::{BTreeMap, BTreeSet};

#[derive(Debug)]
pub(super) struct Lane<Q> {
    numbers: BTreeMap<Q, Number>,
    queues: Vec<Keyed<Q>>,
    /// Numbers of queues that are empty, to be used again.
    spare: Vec<Number>,
    stands: Vec<Option<Stand>>,
    /// In which group a queue is.
    group: fn(&Q) -> Option<usize>,
    /// The queue that was joined last: most join that.
    last: Option<Number>,
    /// By group: when the first of each queue is due.
    heads: Vec<BTreeSet<(WallTime, Q)>>,
}

#[derive(Debug)]
struct Keyed<Q> {
    /// None while nothing stands in it.
    key: Option<Q>,
    queue: Queue,
}

impl<Q> Lane<Q> {
    pub(super) fn new(group: fn(&Q) -> Option<usize>) -> Self {
        Self {
            numbers: BTreeMap::new(),
            queues: Vec::new(),
            spare: Vec::new(),
            stands: Vec::new(),
            group,
            last: None,
            heads: Vec::new(),
        }
    }
}

impl<Q: Clone + Ord> Lane<Q> {
    /// Has the slot stand where it is to stand from now on, or nowhere.
    pub(super) fn put(
        &mut self,
        slot: Slot,
        place: Option<(Q, WallTime)>,
        uid: impl Fn(Slot) -> Uid,
    ) {
        let stand = self.stands.get(slot.index()).copied().flatten();
        let place = match (stand, place) {
            (None, None) => return,
            (Some(stand), Some((key, due))) if self.is_in(stand, &key) => {
                let mut slots = Slots {
                    stands: &mut self.stands,
                    uid,
                };
                let queue = &mut self.queues[place_of(stand.queue)].queue;
                let before = queue.first_due();
                queue.move_to(stand, due, &mut slots);
                return self.note_head(stand.queue, before);
            }
            (_, place) => place,
        };
        if let Some(stand) = stand {
            self.leave(stand, &uid);
        }
        if let Some((key, due)) = place {
            self.join((slot, due), key, &uid);
        }
    }

    pub(super) fn get(&self, key: &Q) -> Option<&Queue> {
        let number = *self.numbers.get(key)?;
        Some(&self.queues[place_of(number)].queue)
    }

    /// The slots of a queue in their order.
    pub(super) fn iter<F: Fn(Slot) -> Uid>(
        &self,
        key: &Q,
        uid: F,
    ) -> impl Iterator<Item = (WallTime, Slot)> + use<'_, F, Q> {
        let ordered: Option<Ordered<'_, F>> = self.get(key).map(|queue| queue.iter(uid));
        ordered.into_iter().flatten()
    }

    /// The queues that are not empty, in the order of their keys.
    pub(super) fn keys(&self) -> impl Iterator<Item = &Q> {
        self.numbers.keys()
    }

    /// The queues of a group in which something stands, by when the first of each is due; of equal ones by their keys.
    pub(super) fn heads(&self, group: usize) -> impl Iterator<Item = &(WallTime, Q)> {
        self.heads.get(group).into_iter().flatten()
    }

    /// The first of these.
    pub(super) fn head(&self, group: usize) -> Option<&(WallTime, Q)> {
        self.heads.get(group)?.first()
    }

    fn is_in(&self, stand: Stand, key: &Q) -> bool {
        self.queues[place_of(stand.queue)].key.as_ref() == Some(key)
    }

    fn join(&mut self, (slot, due): (Slot, WallTime), key: Q, uid: impl Fn(Slot) -> Uid) {
        if self.stands.len() <= slot.index() {
            self.stands.resize(slot.index() + 1, None);
        }
        let number = self.number(key);
        let queue = &mut self.queues[place_of(number)].queue;
        let mut slots = Slots {
            stands: &mut self.stands,
            uid,
        };
        let before = queue.first_due();
        queue.join((slot, due), number, &mut slots);
        self.note_head(number, before);
    }

    fn leave(&mut self, stand: Stand, uid: impl Fn(Slot) -> Uid) {
        let keyed = &mut self.queues[place_of(stand.queue)];
        let mut slots = Slots {
            stands: &mut self.stands,
            uid,
        };
        let before = keyed.queue.first_due();
        keyed.queue.leave(stand, &mut slots);
        self.note_head(stand.queue, before);
        let keyed = &mut self.queues[place_of(stand.queue)];
        if keyed.queue.is_empty()
            && let Some(key) = keyed.key.take()
        {
            keyed.queue = Queue::default();
            self.numbers.remove(&key);
            self.spare.push(stand.queue);
        }
    }

    /// The first of this queue was due at `before`, and may be another one now.
    fn note_head(&mut self, number: Number, before: Option<WallTime>) {
        let keyed = &self.queues[place_of(number)];
        let after = keyed.queue.first_due();
        if before == after {
            return;
        }
        let Some(key) = &keyed.key else { return };
        let Some(group) = (self.group)(key) else {
            return;
        };
        if self.heads.len() <= group {
            self.heads.resize_with(group + 1, BTreeSet::new);
        }
        let heads = &mut self.heads[group];
        if let Some(before) = before {
            heads.remove(&(before, key.clone()));
        }
        if let Some(after) = after {
            heads.insert((after, key.clone()));
        }
    }

    fn number(&mut self, key: Q) -> Number {
        let is_it = |number: &Number| self.queues[place_of(*number)].key.as_ref() == Some(&key);
        if let Some(number) = self.last.filter(is_it) {
            return number;
        }
        if let Some(number) = self.numbers.get(&key) {
            self.last = Some(*number);
            return *number;
        }
        let number = self.spare.pop().unwrap_or_else(|| {
            self.queues.push(Keyed {
                key: None,
                queue: Queue::default(),
            });
            let count = u32::try_from(self.queues.len()).ok();
            let number = count.and_then(Number::new);
            number.expect("there are no more queues than entries, and one was just added")
        });
        self.queues[place_of(number)].key = Some(key.clone());
        self.numbers.insert(key, number);
        number
    }
}

fn place_of(number: Number) -> usize {
    number.get() as usize - 1
}
