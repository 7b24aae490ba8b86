//! Due timers that have no worker here: begun when there is one, handed to the group when others have room.
//!
//! They are out of the queues of what is due, so that a timer without a worker delays no other.

use super::others::{ASK_AGAIN, ASK_NEXT};
use super::queues::{Place, Sort, Standing};
use super::{Base, Stance};
use crate::id::Uid;
use crate::steps;
use crate::time::{BootTime, Millis, Now};
use crate::timer::HandlerName;

/// How long a due timer waits for a free worker of its own node before another node may run it.
pub(super) const STARVE_MAX: Millis = Millis(1_000);
/// At most this many timers wait for the next report to hand them over.
const HANDED_MAX: usize = 1_024;
/// For at most this many handlers others are looked for in one turn.
const LOOKS_MAX: usize = 64;

impl Base {
    /// Begins timers that have waited for a worker and have one now: at most `most`. Returns how many it took up.
    pub(super) fn fire_starved(&mut self, now: Now, most: usize) -> usize {
        if self.queues.starved.has_no_room() {
            return 0;
        }
        let roomy: Vec<HandlerName> = self.queues.starved.roomy().cloned().collect();
        let share = (most / roomy.len().max(1)).max(1);
        let mut left = most;
        for handler in roomy {
            for _ in 0..share.min(left) {
                let Some((sort, uid)) = self.first_starved(now, &handler) else {
                    break;
                };
                left -= 1;
                self.adjust(uid, |entry| entry.starved = None);
                if sort != Sort::Pinned || self.owns_now() {
                    self.try_launch(now, uid);
                }
            }
            if !self.runs.is_free(&handler) {
                self.queues.starved.note_full(&handler);
            }
        }
        most - left
    }

    /// Whether a timer that has waited for a worker can begin now.
    pub(super) fn can_end_starving(&self, now: Now) -> bool {
        let mut roomy = self.queues.starved.roomy();
        roomy.any(|handler| self.first_starved(now, handler).is_some())
    }

    /// Whether a pinned timer has waited for a worker that is here now.
    pub(super) fn may_end_starving(&self) -> bool {
        let mut roomy = self.queues.starved.roomy();
        roomy.any(|handler| {
            let waits = self.timers.first_starved(Sort::Pinned, handler).is_some();
            self.runs.is_free(handler) && waits
        })
    }

    /// Whether nothing has to be heard before pinned timers fire.
    fn owns_now(&self) -> bool {
        !matches!(self.stance, Stance::Apart | Stance::Parked)
    }

    /// The longest due timer that waits for this handler, has a free worker, and may begin.
    fn first_starved(&self, now: Now, handler: &HandlerName) -> Option<(Sort, Uid)> {
        if !self.runs.is_free(handler) || self.stance == Stance::Leaving {
            return None;
        }
        let may_begin = |sort: &Sort| match self.stands(*sort) {
            Standing::Pinned => true,
            Standing::Alone | Standing::Shared => self.may_fire(*sort),
            Standing::Holding => self.may_fire(*sort) && self.link.has_lease(now),
            Standing::Claimed => false,
        };
        let sorts = Sort::ALL.into_iter().filter(may_begin);
        let timers = &self.timers;
        let heads = sorts.filter_map(|sort| Some((timers.first_starved(sort, handler)?, sort)));
        let first = heads.min();
        first.map(|((_, uid), sort)| (sort, uid))
    }

    /// Hands timers that have waited for too long to the group, as far as others have room for them.
    pub(super) fn hand_starved(&mut self, now: Now) {
        for _ in 0..LOOKS_MAX {
            if !self.may_hand() {
                return;
            }
            let Some(handler) = self.queues.starved.take_look(now.boot) else {
                return;
            };
            if let Some(next) = self.look_for_others(now, &handler) {
                self.look_by(&handler, next);
            }
        }
    }

    /// Hands over what may be handed over of one handler. Returns when to look again.
    fn look_for_others(&mut self, now: Now, handler: &HandlerName) -> Option<BootTime> {
        while self.may_hand() {
            steps::visit();
            // Its own node may be who gets the claim: nobody else has to have room.
            if let Some(uid) = self.first_to_claim(handler) {
                self.hand(now, uid);
                continue;
            }
            let (from, (_, uid)) = self.first_to_hand(handler)?;
            if from > now.boot {
                return Some(from);
            }
            if !self.others.take_room(handler) {
                return Some(self.ask_for_others(now, handler));
            }
            self.hand(now, uid);
        }
        Some(now.boot)
    }

    /// The first timer of this handler that waits for a claim.
    fn first_to_claim(&self, handler: &HandlerName) -> Option<Uid> {
        let sorts = Sort::ONCE.into_iter();
        let sorts = sorts.filter(|sort| self.stands(*sort) == Standing::Claimed);
        let heads = sorts.filter_map(|sort| self.timers.first_starved(sort, handler));
        heads.min().map(|(_, uid)| uid)
    }

    /// The timer of this handler that may be handed over first, and from when on.
    fn first_to_hand(&self, handler: &HandlerName) -> Option<(BootTime, Place)> {
        let wait = self.patience_for(handler);
        let heads = Sort::movable().filter_map(|sort| self.timers.first_starved(sort, handler));
        let since = |uid: Uid| self.timers.get(uid).and_then(|entry| entry.starved);
        heads
            .filter_map(|place| Some((since(place.1)? + wait, place)))
            .min()
    }

    /// How long a timer waits for a worker of this node before another node may run it.
    fn patience_for(&self, handler: &HandlerName) -> Millis {
        match self.runs.places().contains_key(handler) {
            true => STARVE_MAX,
            false => Millis(0),
        }
    }

    /// Asks whether anybody else has room. Returns when to look again, if there is no answer before.
    fn ask_for_others(&mut self, now: Now, handler: &HandlerName) -> BootTime {
        match self.others.want(handler) {
            true => {
                self.beat_soon(now);
                now.boot + ASK_AGAIN
            }
            false => now.boot + ASK_NEXT,
        }
    }

    /// One of these timers came back, or has ended elsewhere: its place there is free.
    pub(super) fn note_came_back(&mut self, now: Now, handler: &HandlerName) {
        if self.others.give_room(handler) {
            self.look_by(handler, now.boot);
        }
    }

    /// Whether the group can be given something for one run.
    pub(super) fn may_hand(&self) -> bool {
        let full = self.lane.items.handed.len() >= HANDED_MAX;
        self.stance == Stance::Active && self.link.is_open() && !full
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

    /// When others are looked for.
    pub(super) fn starved_until(&self) -> Option<BootTime> {
        let look = self.queues.starved.next_look();
        look.filter(|_| self.may_hand())
    }

    /// A worker of this handler may be free now, and one that went may have been the only one.
    pub(super) fn note_places(&mut self, now: Now, handlers: impl Iterator<Item = HandlerName>) {
        for handler in handlers {
            if self.runs.is_free(&handler) {
                self.note_room(&handler);
            }
            if !self.runs.places().contains_key(&handler) {
                self.look_by(&handler, now.boot);
            }
        }
    }
}
