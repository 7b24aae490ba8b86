//! Due timers that have no worker here: launched when there is one, handed to the group when it takes too long.
//!
//! They are out of the queues of what is due, so that a timer without a worker delays no other.

use super::{Base, Entry, Stance, Starving};
use crate::id::Uid;
use crate::time::{BootTime, Millis, Now};

/// How long a due timer waits for a free worker of its own node before another node may run it.
const STARVE_MAX: Millis = Millis(1_000);

impl Base {
    /// Timers that wait for a worker: launched when one is free, handed to the group when it takes too long.
    pub(super) fn fire_starved(&mut self, now: Now) {
        let waiting: Vec<Starving> = self.queues.starved.keys().cloned().collect();
        for starving in waiting {
            while self.runs.is_free(&starving.handler)
                && let Some(uid) = self.first_starved(now, &starving)
            {
                self.adjust(uid, |entry| entry.starved = None);
                if starving.movable || self.owns_now() {
                    self.try_launch(now, uid);
                }
            }
            while let Some(uid) = self.first_to_hand(now, &starving) {
                self.hand(now, uid);
            }
        }
    }

    /// Whether a pinned timer has waited for a worker that is here now.
    pub(super) fn may_end_starving(&self) -> bool {
        let mut waiting = self.queues.starved.keys();
        waiting.any(|starving| !starving.movable && self.runs.is_free(&starving.handler))
    }

    /// Whether nothing has to be heard before pinned timers fire.
    fn owns_now(&self) -> bool {
        !matches!(self.stance, Stance::Apart | Stance::Parked)
    }

    /// The longest due timer of these that the node may launch.
    fn first_starved(&self, now: Now, starving: &Starving) -> Option<Uid> {
        if starving.claimed {
            return None;
        }
        let mut waiting = self
            .queues
            .starved
            .get(starving)?
            .iter()
            .map(|(_, uid)| *uid);
        waiting.find(|uid| {
            self.timers
                .get(uid)
                .is_some_and(|entry| !starving.movable || self.may_launch_movable(now, entry))
        })
    }

    fn may_launch_movable(&self, now: Now, entry: &Entry) -> bool {
        self.owns(entry)
            && !self.is_isolated(now, entry)
            && !matches!(self.stance, Stance::Parking | Stance::Leaving)
    }

    fn first_to_hand(&self, now: Now, starving: &Starving) -> Option<Uid> {
        let (_, uid) = *self.queues.starved.get(starving)?.first()?;
        let entry = self.timers.get(&uid)?;
        self.should_hand(now, entry).then_some(uid)
    }

    fn should_hand(&self, now: Now, entry: &Entry) -> bool {
        let nobody = !self.runs.places().contains_key(&entry.timer.spec.handler);
        let long = entry
            .starved
            .is_some_and(|since| since + STARVE_MAX <= now.boot);
        let can = self.may_hand() && entry.timer.is_movable();
        can && !entry.held && (nobody || long || self.must_be_claimed(entry))
    }

    /// Whether the group can be given something for one run.
    pub(super) fn may_hand(&self) -> bool {
        self.stance == Stance::Active && self.link.is_open()
    }

    pub(super) fn hand(&mut self, now: Now, uid: Uid) {
        self.change(uid, |entry| {
            entry.held = true;
            entry.starved = None;
            // The ledger has it as it is, not as a part of a stage.
            entry.staged = None;
        });
        self.lane.items.handed.push(uid);
        self.lane.ship_by(now.boot);
    }

    pub(super) fn starved_until(&self) -> Option<BootTime> {
        let movable = self
            .queues
            .starved
            .iter()
            .filter(|(starving, _)| starving.movable);
        let firsts = movable.filter_map(|(_, queue)| queue.first());
        let waiting = firsts.filter_map(|(_, uid)| self.timers.get(uid));
        let since = waiting.filter_map(|entry| entry.starved).min()?;
        self.may_hand().then(|| since + STARVE_MAX)
    }
}
