//! The names of the ledger's timers: of those that are the ledger's own affair, and of each stage.

use super::timers::Place;
use super::{Entry, Ledger};
use crate::id::{NodeId, TimerName, Uid};
use std::collections::BTreeMap;

impl Ledger {
    /// The timer of this name.
    #[must_use]
    pub fn named(&self, name: &TimerName) -> Option<&Entry> {
        let of_pool = self.names.get(name);
        let staged = || self.stages.attached(name.node.as_ref()?)?.names.get(name);
        self.entry(*of_pool.or_else(staged)?)
    }

    /// The timers in the order of their names, from the first after `after`.
    pub(super) fn by_name<'a>(
        &'a self,
        after: Option<&'a TimerName>,
    ) -> impl Iterator<Item = &'a Entry> {
        use std::ops::Bound::{Excluded, Unbounded};
        let from = after.map_or(Unbounded, Excluded);
        let mut own = self.names.range((from, Unbounded)).peekable();
        let mut staged = self.staged_by_name(after).peekable();
        let uids = std::iter::from_fn(move || match (own.peek(), staged.peek()) {
            (Some((first, _)), Some((second, _))) if second < first => staged.next(),
            (Some(_), _) => own.next(),
            (None, _) => staged.next(),
        });
        uids.filter_map(|(_, uid)| self.entry(*uid))
    }

    fn staged_by_name<'a>(
        &'a self,
        after: Option<&'a TimerName>,
    ) -> impl Iterator<Item = (&'a TimerName, &'a Uid)> {
        use std::ops::Bound::{Excluded, Included, Unbounded};
        let node = after.and_then(|name| name.node.as_ref());
        let stages = self
            .stages
            .current
            .range::<NodeId, _>((node.map_or(Unbounded, Included), Unbounded));
        let from = after.map_or(Unbounded, Excluded);
        let attached = stages.filter(|(_, stage)| stage.attached);
        attached.flat_map(move |(_, stage)| stage.names.range((from, Unbounded)))
    }

    fn names_of(&mut self, place: &Place) -> Option<&mut BTreeMap<TimerName, Uid>> {
        match place {
            (_, None) => Some(&mut self.names),
            (home, Some(attempt)) => {
                let stage = self.stages.of_mut(home.as_ref(), *attempt)?;
                Some(&mut stage.names)
            }
        }
    }

    pub(super) fn learn_name(&mut self, uid: Uid) {
        let Some(entry) = self.timers.get(&uid) else {
            return;
        };
        let (place, name) = (entry.place(), entry.timer.name.clone());
        if let Some(names) = self.names_of(&place) {
            names.insert(name, uid);
        }
    }

    pub(super) fn forget_name(&mut self, place: &Place, name: &TimerName, uid: Uid) {
        if let Some(names) = self.names_of(place)
            && names.get(name) == Some(&uid)
        {
            names.remove(name);
        }
    }
}
