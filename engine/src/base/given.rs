//! What is this node's own again: timers that others had, those that ended there, and what left the ledger.

use super::Base;
use crate::id::{Token, Uid};
use crate::time::Now;
use crate::timer::Timer;
use std::collections::BTreeSet;

impl Base {
    /// Timers that come back; one that is here already was given twice.
    pub(super) fn take_given(&mut self, now: Now, timers: Vec<Timer>) {
        let mut back = BTreeSet::new();
        for timer in timers {
            let (uid, token) = (timer.uid, timer.token);
            let held = self.timers.get(uid).is_some_and(|entry| entry.held);
            // Every giving back follows a claim, and so has a newer token.
            let newer = self
                .timers
                .get(uid)
                .is_some_and(|entry| timer.token > entry.timer.token);
            // One that was brought from elsewhere is given without having been claimed.
            let unknown = !self.timers.contains(uid)
                && !self.gone.contains(&uid)
                && self.departed.get(uid).is_none();
            if held && newer {
                self.note_came_back(now, &timer.spec.handler);
            }
            if self.awaited.remove(&uid) || newer || unknown {
                // The ledger has it until it has heard that it was taken, whatever else was handed over.
                let revision = timer.revision;
                self.adopt_as(timer, revision);
                back.insert(uid);
            } else if held {
                // An old copy: the timer was handed over again since, and is not taken.
                continue;
            }
            self.lane.items.taken.push((uid, token));
        }
        self.lane.forget_handed(&back);
        self.lane.ship_by(now.boot);
    }

    /// Timers that ended while others had them.
    pub(super) fn take_gone(&mut self, now: Now, gone: Vec<Uid>) {
        for uid in &gone {
            let held = self.timers.get(*uid).filter(|entry| entry.held);
            if let Some(handler) = held.map(|entry| entry.timer.spec.handler.clone()) {
                self.note_came_back(now, &handler);
            }
            self.take_leave(now, *uid);
        }
        let ended = gone.into_iter().map(|uid| (uid, Token::default()));
        self.lane.items.taken.extend(ended);
    }

    /// Timers of the lighter classes have left the ledger: nobody but the node has them now.
    pub(super) fn own_all_that_left_the_ledger(&mut self) {
        self.change_meta(|meta| meta.stage = 0);
        let there: Vec<Uid> = self.queues.there.iter().copied().collect();
        self.own_what_left_the_ledger(&there);
        let waiting: Vec<Uid> = self.desk.changing().collect();
        for uid in waiting {
            if self
                .timers
                .get(uid)
                .is_some_and(|entry| entry.is_light() && !self.is_there(entry))
            {
                self.change_answered(uid, u64::MAX);
            }
        }
    }

    /// The same for timers that were given back. One that is handed over stays there, once that was told.
    pub(super) fn own_what_left_the_ledger(&mut self, uids: &[Uid]) {
        let untold: BTreeSet<Uid> = self.lane.items.handed.iter().copied().collect();
        let untaken = self.lane.untaken();
        for uid in uids.iter().filter(|uid| !untaken.contains(uid)) {
            let left = self.timers.get(*uid).is_some_and(|entry| {
                let light = !entry.timer.spec.durability.is_replicated();
                light && entry.shipped > 0 && (!entry.held || untold.contains(uid))
            });
            if left {
                self.change(*uid, |entry| {
                    entry.shipped = 0;
                    entry.offered = false;
                });
                self.change_answered(*uid, u64::MAX);
            }
        }
    }

    /// Light timers that were offered in vain: the coordinator does not have them.
    pub(super) fn own_what_was_offered(&mut self) {
        let there: Vec<Uid> = self.queues.there.iter().copied().collect();
        for uid in there {
            if self
                .timers
                .get(uid)
                .is_some_and(|entry| entry.offered && entry.shipped == 0)
            {
                self.change(uid, |entry| entry.offered = false);
            }
        }
    }
}
