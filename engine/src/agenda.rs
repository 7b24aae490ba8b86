//! What has a time, in a queue by time and found by its key: leases, repeats, alarms, deadlines of routes.
//!
//! A key has at most one time. Setting it, taking it out and looking at the first are each a search in a tree, so
//! that no turn has to walk over everything that waits for something.

use std::collections::{BTreeMap, BTreeSet};

/// Keys by the time that each waits for.
#[derive(Debug)]
pub(crate) struct Agenda<T, K> {
    queue: BTreeSet<(T, K)>,
    times: BTreeMap<K, T>,
}

impl<T, K> Default for Agenda<T, K> {
    fn default() -> Self {
        Self {
            queue: BTreeSet::new(),
            times: BTreeMap::new(),
        }
    }
}

impl<T: Ord + Copy, K: Ord + Clone> Agenda<T, K> {
    /// From now on `key` waits for `time`, or for nothing.
    pub(crate) fn set(&mut self, key: &K, time: Option<T>) {
        let before = self.times.get(key).copied();
        if before == time {
            return;
        }
        if let Some(before) = before {
            self.times.remove(key);
            self.queue.remove(&(before, key.clone()));
        }
        if let Some(time) = time {
            self.times.insert(key.clone(), time);
            self.queue.insert((time, key.clone()));
        }
    }

    /// What `key` waits for.
    pub(crate) fn time_of(&self, key: &K) -> Option<T> {
        self.times.get(key).copied()
    }

    /// The first time that something waits for.
    pub(crate) fn first(&self) -> Option<T> {
        self.queue.first().map(|(time, _)| *time)
    }

    /// Takes the first key out whose time has come.
    pub(crate) fn pop_due(&mut self, now: T) -> Option<K> {
        let due = self.first().is_some_and(|first| first <= now);
        let (_, key) = due.then(|| self.queue.pop_first())??;
        self.times.remove(&key);
        Some(key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_due_comes_out_in_order_and_once() {
        let mut agenda = Agenda::default();
        for (key, time) in [('a', 3), ('b', 1), ('c', 2), ('d', 9)] {
            agenda.set(&key, Some(time));
        }
        agenda.set(&'c', None);
        agenda.set(&'d', Some(1));
        assert_eq!((agenda.first(), agenda.time_of(&'d')), (Some(1), Some(1)));
        let due: Vec<char> = std::iter::from_fn(|| agenda.pop_due(2)).collect();
        assert_eq!(due, ['b', 'd']);
        assert_eq!((agenda.first(), agenda.time_of(&'b')), (Some(3), None));
    }
}
