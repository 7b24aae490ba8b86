//! Timers that are no more, so that a request about them that is repeated is done once.
//!
//! A timer remembers the requests that made and changed it; when it goes, what a repeated create or cancel has to
//! be answered stays here, for as long as a request may be repeated.
//!
//! Every cancel of a busy node comes by here, so that a farewell is a place at the end of a ring and one entry in each
//! of two hash tables. Places are in the order in which timers went. A clock that is set back makes that another order
//! than that of times: then some are remembered longer than they have to be, and none shorter.

use crate::id::{TimerName, Uid};
use crate::op::{Answer, Cancelled, Change, Op, Refusal};
use crate::shelf::{Hashed, Index, Slot};
use crate::time::{Millis, WallTime};
use crate::timer::Timer;
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;

/// How long a request may be repeated.
pub const REQUEST_KEPT: Millis = Millis(24 * 3_600_000);

/// Timers that are too old to be remembered and go in one turn.
const PRUNED_IN_TURN_MAX: usize = 1_024;

/// At most so many are remembered; then the oldest go earlier.
const KEPT_MAX: usize = 65_536;

#[derive(Debug, Default)]
pub(crate) struct Departed {
    /// In the order in which they went; a gap where one was noted once more. The first and the last are none.
    ring: VecDeque<Option<Place>>,
    /// The number of the first place: later ones have higher numbers, until these begin anew.
    first: u32,
    uids: Index,
    /// By the request that cancelled it.
    cancels: Index,
    /// Some came from a journal, which has them in another order.
    unordered: bool,
    dirty: Vec<Uid>,
}

#[derive(Debug)]
struct Place {
    uid: Uid,
    farewell: Farewell,
    /// It is in the journal, or will be at the end of the turn.
    stored: bool,
}

impl Place {
    fn cancelled_by(&self) -> Option<u128> {
        self.farewell.cancel.map(|(request, _)| request)
    }
}

/// How a timer went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Farewell {
    /// When.
    pub(crate) at: WallTime,
    /// The request that cancelled it, and what it was answered.
    pub(crate) cancel: Option<(u128, Cancelled)>,
    /// A hash of its name.
    pub(crate) name: u64,
}

impl Farewell {
    fn new(name: &TimerName, cancel: Option<(u128, Cancelled)>, at: WallTime) -> Self {
        Self {
            at,
            cancel,
            name: name.digest(),
        }
    }
}

impl Departed {
    /// A timer goes: what a repeated create or cancel of it is to be answered is remembered, if one may still come.
    pub(crate) fn bid(
        &mut self,
        timer: &Timer,
        cancel: Option<(u128, Cancelled)>,
        now: WallTime,
        durable: bool,
    ) {
        let young = timer.created + REQUEST_KEPT > now;
        let cancel = cancel.filter(|(request, _)| *request != 0);
        if young || cancel.is_some() {
            let farewell = Farewell::new(&timer.name, cancel, now);
            self.note(timer.uid, farewell, durable);
        }
    }

    /// A timer went elsewhere that is not here: it was, or who asked for it here had no answer.
    pub(crate) fn hear(&mut self, uid: Uid, now: WallTime) {
        if self.get(uid).is_none() {
            let farewell = Farewell {
                at: now,
                cancel: None,
                name: 0,
            };
            self.note(uid, farewell, true);
        }
    }

    /// Remembers how a timer went; `durable` if it is to be in the journal.
    fn note(&mut self, uid: Uid, farewell: Farewell, durable: bool) {
        self.put_in_order();
        self.push(Place {
            uid,
            farewell,
            stored: durable,
        });
        if durable {
            self.dirty.push(uid);
        }
        if self.ring.len() > KEPT_MAX {
            self.remove_first();
        }
    }

    /// Remembers what is in the journal already.
    pub(crate) fn restore(&mut self, uid: Uid, farewell: Farewell) {
        self.push(Place {
            uid,
            farewell,
            stored: true,
        });
        self.unordered = true;
    }

    pub(crate) fn get(&self, uid: Uid) -> Option<&Farewell> {
        Some(&self.place(self.slot(uid)?)?.farewell)
    }

    /// The answer to a request about a timer that is no more, if it was done before.
    pub(crate) fn answer(&self, op: &Op) -> Option<Answer> {
        match op {
            Op::Create(new) => self.get(new.uid).map(|_| gone_since()),
            Op::Change {
                name,
                request,
                change,
            } => {
                let request = Some(*request).filter(|request| *request != 0)?;
                let farewell = &self.place(self.cancel(request)?)?.farewell;
                let (_, outcome) = farewell.cancel?;
                let same = name.digest() == farewell.name;
                Some(match same && *change == Change::Cancel {
                    true => Answer::Cancelled(outcome),
                    false => Answer::Refused(used_before()),
                })
            }
            Op::Look { .. }
            | Op::List { .. }
            | Op::Kept { .. }
            | Op::Runs { .. }
            | Op::Dead { .. }
            | Op::News { .. }
            | Op::Activity { .. } => None,
        }
    }

    /// The timer that this request has cancelled.
    pub(crate) fn cancelled_by(&self, request: u128) -> Option<Uid> {
        Some(self.place(self.cancel(request)?)?.uid)
    }

    /// Whether a record has changed since the last call of [`Departed::take_dirty`].
    pub(crate) fn is_dirty(&self) -> bool {
        !self.dirty.is_empty()
    }

    /// Whose record has changed since the last call, in the order of identities.
    pub(crate) fn take_dirty(&mut self) -> Vec<Uid> {
        let mut dirty = std::mem::take(&mut self.dirty);
        dirty.sort_unstable();
        dirty.dedup();
        dirty
    }

    /// Forgets what nobody may ask again, so much of it as one turn may.
    pub(crate) fn prune(&mut self, now: WallTime) {
        self.put_in_order();
        for _ in 0..PRUNED_IN_TURN_MAX {
            let oldest = self.ring.front().and_then(Option::as_ref);
            if oldest.is_none_or(|oldest| oldest.farewell.at + REQUEST_KEPT > now) {
                return;
            }
            self.remove_first();
        }
    }

    /// What came from a journal is put in the order of its times, once.
    fn put_in_order(&mut self) {
        if !std::mem::take(&mut self.unordered) {
            return;
        }
        let mut places: Vec<Place> = std::mem::take(&mut self.ring)
            .into_iter()
            .flatten()
            .collect();
        places.sort_unstable_by_key(|place| (place.farewell.at, place.uid));
        self.uids = Index::default();
        self.cancels = Index::default();
        for place in places {
            self.push(place);
        }
    }

    /// Puts it at the end, in place of an older one of the same timer.
    fn push(&mut self, mut place: Place) {
        while let Some(older) = self.index_uid(place.uid) {
            // The journal has what was noted before, and is told when that goes.
            let older = self.take(older);
            place.stored |= older.is_some_and(|older| older.stored);
        }
        if let Some((request, _)) = place.farewell.cancel {
            let (ring, first) = (&self.ring, self.first);
            let of = |slot| place_at(ring, first, slot).and_then(Place::cancelled_by);
            let again = |slot| {
                let request = of(slot).expect("who stands there was cancelled");
                Hashed::of(&request)
            };
            let is_it = |slot| of(slot) == Some(request);
            let hashed = Hashed::of(&request);
            self.cancels.replace(hashed, self.next(), is_it, again);
        }
        self.ring.push_back(Some(place));
    }

    /// Has the index say that this one stands at the next place, unless it stands at another one, which is returned.
    fn index_uid(&mut self, uid: Uid) -> Option<Slot> {
        let (ring, first) = (&self.ring, self.first);
        let of = |slot| place_at(ring, first, slot).map(|place| place.uid);
        let again = |slot| {
            let uid = of(slot).expect("who stands there has a place");
            Hashed::of(&uid)
        };
        let is_it = |slot| of(slot) == Some(uid);
        self.uids.add(Hashed::of(&uid), self.next(), is_it, again)
    }

    /// The place behind the last one.
    fn next(&self) -> Slot {
        let count = u32::try_from(self.ring.len()).expect("there are at most a few too many");
        Slot::at(self.first.wrapping_add(count) as usize)
    }

    fn remove_first(&mut self) {
        if let Some(place) = self.take(Slot::at(self.first as usize))
            && place.stored
        {
            self.dirty.push(place.uid);
        }
    }

    fn take(&mut self, slot: Slot) -> Option<Place> {
        let place = self.ring.get_mut(at(self.first, slot))?.take()?;
        self.uids.remove(Hashed::of(&place.uid), slot);
        if let Some((request, _)) = place.farewell.cancel {
            self.cancels.remove(Hashed::of(&request), slot);
        }
        while self.ring.back().is_some_and(Option::is_none) {
            self.ring.pop_back();
        }
        while self.ring.front().is_some_and(Option::is_none) {
            self.ring.pop_front();
            self.first = self.first.wrapping_add(1);
        }
        Some(place)
    }

    fn slot(&self, uid: Uid) -> Option<Slot> {
        let is_it = |slot| self.place(slot).is_some_and(|place| place.uid == uid);
        self.uids.find(Hashed::of(&uid), is_it)
    }

    /// The last that this request has cancelled.
    fn cancel(&self, request: u128) -> Option<Slot> {
        let by = |slot| self.place(slot).and_then(Place::cancelled_by);
        let is_it = |slot| by(slot) == Some(request);
        self.cancels.find(Hashed::of(&request), is_it)
    }

    fn place(&self, slot: Slot) -> Option<&Place> {
        place_at(&self.ring, self.first, slot)
    }
}

fn place_at(ring: &VecDeque<Option<Place>>, first: u32, slot: Slot) -> Option<&Place> {
    ring.get(at(first, slot))?.as_ref()
}

fn at(first: u32, slot: Slot) -> usize {
    slot.number().wrapping_sub(first) as usize
}

/// The answer to a repeated create whose timer is no more.
pub(crate) fn gone_since() -> Answer {
    Answer::Refused(Refusal::Precondition {
        why:
            "this request was done, and its timer is no more; use a fresh request id for a new one"
                .into(),
    })
}

/// The refusal of a request id that stands for another request.
pub(crate) fn used_before() -> Refusal {
    Refusal::Invalid {
        field: "request_id".into(),
        why: "was used before with another request; use a fresh one for each request".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cancellation_is_answered_again_for_a_day() {
        let mut departed = Departed::default();
        let name = TimerName::parse("pools/default/timers/t").unwrap();
        let cancel = Some((7, Cancelled::Cancelled));
        let farewell = Farewell::new(&name, cancel, WallTime(0));
        let asked = |change| Op::Change {
            name: name.clone(),
            request: 7,
            change,
        };
        departed.note(Uid(1), farewell, true);
        departed.prune(WallTime(0) + REQUEST_KEPT - Millis(1));
        let again = Answer::Cancelled(Cancelled::Cancelled);
        assert_eq!(departed.answer(&asked(Change::Cancel)), Some(again));
        let other = departed.answer(&asked(Change::Pause));
        assert!(matches!(
            other,
            Some(Answer::Refused(Refusal::Invalid { .. }))
        ));
        departed.prune(WallTime(0) + REQUEST_KEPT);
        assert_eq!(departed.answer(&asked(Change::Cancel)), None);
        assert_eq!(departed.get(Uid(1)), None);
    }

    #[test]
    fn who_goes_twice_is_forgotten_once() {
        let mut departed = Departed::default();
        let name = TimerName::parse("pools/default/timers/t").unwrap();
        for at in [0, 5] {
            departed.note(Uid(1), Farewell::new(&name, None, WallTime(at)), true);
        }
        departed.prune(WallTime(4) + REQUEST_KEPT);
        assert!(departed.get(Uid(1)).is_some());
        departed.prune(WallTime(5) + REQUEST_KEPT);
        assert!(departed.get(Uid(1)).is_none() && departed.ring.is_empty());
    }

    #[test]
    fn the_oldest_go_when_there_are_too_many() {
        let mut departed = Departed::default();
        for number in 0..=KEPT_MAX as i64 {
            let farewell = Farewell {
                at: WallTime(number),
                cancel: None,
                name: 0,
            };
            departed.note(Uid(number.unsigned_abs().into()), farewell, false);
        }
        assert!(departed.get(Uid(0)).is_none() && departed.get(Uid(1)).is_some());
    }

    fn farewell(at: i64, request: u128) -> Farewell {
        Farewell {
            at: WallTime(at),
            cancel: Some((request, Cancelled::Cancelled)),
            name: 0,
        }
    }

    #[test]
    fn what_was_never_stored_is_not_taken_back() {
        let mut departed = Departed::default();
        departed.note(Uid(1), farewell(1, 1), false);
        departed.note(Uid(2), farewell(2, 2), true);
        assert_eq!(departed.take_dirty(), [Uid(2)]);
        departed.prune(WallTime(9) + REQUEST_KEPT);
        assert_eq!(departed.take_dirty(), [Uid(2)]);
        assert!(departed.ring.is_empty() && departed.cancelled_by(1).is_none());
    }

    #[test]
    fn what_comes_from_a_journal_goes_by_its_age() {
        let mut departed = Departed::default();
        for (uid, at) in [(1, 30), (2, 10), (3, 20)] {
            departed.restore(Uid(uid), farewell(at, uid));
        }
        departed.note(Uid(4), farewell(40, 4), true);
        departed.prune(WallTime(20) + REQUEST_KEPT);
        let known = (1..=4).filter(|uid| departed.get(Uid(*uid)).is_some());
        assert_eq!(known.collect::<Vec<_>>(), [1, 4]);
        assert_eq!(departed.cancelled_by(1), Some(Uid(1)));
        assert_eq!(departed.cancelled_by(2), None);
        assert_eq!(departed.take_dirty(), [2, 3, 4].map(Uid));
    }

    #[test]
    fn one_that_goes_again_and_again_takes_no_more_room() {
        let mut departed = Departed::default();
        departed.note(Uid(1), farewell(0, 1), false);
        for number in 0..3 * KEPT_MAX as i64 {
            departed.note(Uid(2), farewell(number, 2), false);
        }
        assert!(departed.ring.len() <= KEPT_MAX);
        assert_eq!(departed.cancelled_by(2), Some(Uid(2)));
    }
}
