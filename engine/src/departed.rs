//! Timers that are no more, so that a request about them that is repeated is done once.
//!
//! A timer remembers the requests that made and changed it; when it goes, what a repeated create or cancel has to
//! be answered stays here, for as long as a request may be repeated.

use crate::hash;
use crate::id::{TimerName, Uid};
use crate::op::{Answer, Cancelled, Change, Op, Refusal};
use crate::time::{Millis, WallTime};
use crate::timer::Timer;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// How long a request may be repeated.
pub const REQUEST_KEPT: Millis = Millis(24 * 3_600_000);

/// Timers that are too old to be remembered and go in one turn.
const PRUNED_IN_TURN_MAX: usize = 1_024;

/// At most so many are remembered; then the oldest go earlier.
const KEPT_MAX: usize = 65_536;

#[derive(Debug, Default)]
pub(crate) struct Departed {
    timers: BTreeMap<Uid, Farewell>,
    cancels: BTreeMap<u128, Uid>,
    ages: BTreeSet<(WallTime, Uid)>,
    dirty: BTreeSet<Uid>,
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
            name: hash::digest(name.to_string().as_bytes()),
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

    /// Remembers how a timer went; `durable` if it is to be in the journal.
    fn note(&mut self, uid: Uid, farewell: Farewell, durable: bool) {
        self.restore(uid, farewell);
        if durable {
            self.dirty.insert(uid);
        }
        if self.ages.len() > KEPT_MAX
            && let Some((_, uid)) = self.ages.first().copied()
        {
            self.remove(uid);
        }
    }

    /// Remembers what is in the journal already.
    pub(crate) fn restore(&mut self, uid: Uid, farewell: Farewell) {
        self.forget(uid);
        self.ages.insert((farewell.at, uid));
        if let Some((request, _)) = farewell.cancel {
            self.cancels.insert(request, uid);
        }
        self.timers.insert(uid, farewell);
    }

    pub(crate) fn get(&self, uid: Uid) -> Option<&Farewell> {
        self.timers.get(&uid)
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
                let farewell = self.timers.get(self.cancels.get(request)?)?;
                let (_, outcome) = farewell.cancel?;
                let same = hash::digest(name.to_string().as_bytes()) == farewell.name;
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
        self.cancels.get(&request).copied()
    }

    pub(crate) fn take_dirty(&mut self) -> BTreeSet<Uid> {
        std::mem::take(&mut self.dirty)
    }

    /// Forgets what nobody may ask again, so much of it as one turn may.
    pub(crate) fn prune(&mut self, now: WallTime) {
        for _ in 0..PRUNED_IN_TURN_MAX {
            let oldest = self.ages.first().copied();
            let Some((_, uid)) = oldest.filter(|(at, _)| *at + REQUEST_KEPT <= now) else {
                return;
            };
            self.remove(uid);
        }
    }

    fn remove(&mut self, uid: Uid) {
        if self.forget(uid) {
            self.dirty.insert(uid);
        }
    }

    /// Returns whether it was remembered.
    fn forget(&mut self, uid: Uid) -> bool {
        let Some(farewell) = self.timers.remove(&uid) else {
            return false;
        };
        self.ages.remove(&(farewell.at, uid));
        if let Some((request, _)) = farewell.cancel {
            self.cancels.remove(&request);
        }
        true
    }
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
        assert!(departed.get(Uid(1)).is_none() && departed.ages.is_empty());
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
}
