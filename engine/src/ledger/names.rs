//! The names of the ledger's timers: of those that are the ledger's own affair, and of each stage.

use super::timers::Place;
use super::{Entry, Ledger};
use crate::id::{NodeId, TimerName, Uid};
use std::collections::BTreeMap;

impl Ledger {
    /// The timer of this name.
    #[must_use]
    pub fn named(&self, name: &TimerName) -> Option<&Entry> {
        self.timers.named(name).or_else(|| {
            let stage = self.stages.attached(name.node.as_ref()?)?;
            self.entry(*stage.names.get(name)?)
        })
    }

    /// The timers in the order of their names, from the first after `after`.
    pub(super) fn by_name<'a>(
        &'a self,
        after: Option<&'a TimerName>,
    ) -> impl Iterator<Item = &'a Entry> {
        let mut own = self.timers.ordered(after).peekable();
        let staged = self.staged_by_name(after);
        let mut staged = staged.filter_map(|(_, uid)| self.entry(*uid)).peekable();
        std::iter::from_fn(move || match (own.peek(), staged.peek()) {
            (Some(first), Some(second)) if second.timer.name < first.timer.name => staged.next(),
            (Some(_), _) => own.next(),
            (None, _) => staged.next(),
        })
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

    fn staged_names(&mut self, place: &Place) -> Option<&mut BTreeMap<TimerName, Uid>> {
        let (home, stage) = place;
        let stage = self.stages.of_mut(home.as_ref(), (*stage)?)?;
        Some(&mut stage.names)
    }

    /// Of what belongs to a stage the stage knows the name.
    pub(super) fn learn_staged_name(&mut self, uid: Uid) {
        let Some(entry) = self.timers.get(uid).filter(|entry| entry.stage().is_some()) else {
            return;
        };
        let (place, name) = (entry.place(), entry.timer.name.clone());
        if let Some(names) = self.staged_names(&place) {
            names.insert(name, uid);
        }
    }

    pub(super) fn forget_staged_name(&mut self, place: &Place, name: &TimerName, uid: Uid) {
        if let Some(names) = self.staged_names(place)
            && names.get(name) == Some(&uid)
        {
            names.remove(name);
        }
    }
}
