//! Timers that are no more, and of which their homes have still to hear.

use super::timers::take_from;
use super::{GONE_MAX, Gone, Ledger};
use crate::id::Uid;
use crate::planted::{self, Fault};
use crate::record::Key;
use crate::time::LogIndex;

impl Ledger {
    /// Takes a timer out, and remembers that its home has to hear of it.
    pub(super) fn bury(&mut self, uid: Uid, at: LogIndex) {
        let Some(entry) = self.remove(uid) else {
            return;
        };
        self.note_removed(uid, entry.timer.name.clone());
        let former = entry.former().cloned();
        let home = entry.timer.home.or(former);
        if let Some(home) = home.filter(|_| !planted::is(Fault::ForgetGone)) {
            if self.is_active(&home) {
                let ended = self.ended_elsewhere.entry(home.clone());
                ended.or_default().insert(uid);
                self.turn.given.insert((home.clone(), uid));
            }
            self.remember_gone(uid, Gone { home, at });
            self.turn.dirty.insert(Key::Gone(uid));
            self.bound_gone();
        }
    }

    /// Remembers that a home has to hear of a timer that is no more; what is in the journal already.
    pub(super) fn remember_gone(&mut self, uid: Uid, gone: Gone) {
        self.forget_gone(uid);
        let of_home = self.gone_of.entry(gone.home.clone()).or_default();
        of_home.insert((gone.at, uid));
        self.gone.insert(uid, gone);
    }

    /// The home has heard of it, or never will.
    pub(super) fn forget_gone(&mut self, uid: Uid) {
        self.unheard_cancels.remove(&uid);
        if let Some(gone) = self.gone.remove(&uid) {
            take_from(&mut self.gone_of, &gone.home, &(gone.at, uid));
            self.turn.dirty.insert(Key::Gone(uid));
        }
    }

    /// Nodes that left for ever are not waited for without bound.
    fn bound_gone(&mut self) {
        if self.gone.len() <= GONE_MAX {
            return;
        }
        let mut strange = self.gone_of.iter();
        let first = strange.find(|(home, _)| !self.nodes.contains_key(*home));
        if let Some((_, uid)) = first.and_then(|(_, gone)| gone.first().copied()) {
            self.forget_gone(uid);
        }
    }
}
