//! Where each application waits for its answer.
//!
//! Most are answered while they are decided. The one that is being decided stands apart, so that it enters the tree of
//! those that wait only if it has to wait.

use super::desk::Place;
use std::collections::BTreeMap;

/// What is asked and not answered yet.
#[derive(Debug, Default)]
pub(super) struct Asks {
    begun: Option<(u64, Place)>,
    waiting: BTreeMap<u64, Place>,
}

impl Asks {
    /// This one is being decided from now on.
    pub(super) fn begin(&mut self, ask: u64) {
        self.waiting.remove(&ask);
        self.begun = Some((ask, Place::Nowhere));
    }

    /// The one that was being decided waits if it was not answered. Returns whether it does.
    pub(super) fn keep_begun(&mut self) -> bool {
        let begun = self.begun.take();
        self.waiting.extend(begun);
        begun.is_some()
    }

    /// Where this one waits, if it was not answered.
    pub(super) fn place_mut(&mut self, ask: u64) -> Option<&mut Place> {
        match &mut self.begun {
            Some((begun, place)) if *begun == ask => Some(place),
            Some(_) | None => self.waiting.get_mut(&ask),
        }
    }

    /// It is answered. Returns whether it was not before.
    pub(super) fn end(&mut self, ask: u64) -> bool {
        let begun = self.begun.take_if(|(begun, _)| *begun == ask);
        begun.is_some() || self.waiting.remove(&ask).is_some()
    }
}
