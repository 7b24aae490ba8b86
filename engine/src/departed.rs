//! Timers that are no more, so that a request about them that is repeated is done once.
//!
//! A timer remembers the requests that made and changed it; when it goes, what a repeated create or cancel has to
//! be answered stays here, for as long as a request may be repeated.

use crate::id::Uid;
use crate::op::Cancelled;
use crate::time::{Millis, WallTime};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// How long a request may be repeated.
pub const REQUEST_KEPT: Millis = Millis(24 * 3_600_000);

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
}

impl Departed {
    /// Remembers how a timer went; `durable` if it is to be in the journal.
    pub(crate) fn note(&mut self, uid: Uid, farewell: Farewell, durable: bool) {
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
        self.ages.insert((farewell.at, uid));
        if let Some((request, _)) = farewell.cancel {
            self.cancels.insert(request, uid);
        }
        self.timers.insert(uid, farewell);
    }

    pub(crate) fn get(&self, uid: Uid) -> Option<&Farewell> {
        self.timers.get(&uid)
    }

    /// What a cancellation was answered that is asked for again.
    pub(crate) fn answered(&self, request: u128) -> Option<Cancelled> {
        let farewell = self.timers.get(self.cancels.get(&request)?)?;
        farewell.cancel.map(|(_, outcome)| outcome)
    }

    /// The timer that this request has cancelled.
    pub(crate) fn cancelled_by(&self, request: u128) -> Option<Uid> {
        self.cancels.get(&request).copied()
    }

    pub(crate) fn take_dirty(&mut self) -> BTreeSet<Uid> {
        std::mem::take(&mut self.dirty)
    }

    /// Forgets what nobody may ask again.
    pub(crate) fn prune(&mut self, now: WallTime) {
        while let Some((at, uid)) = self.ages.first().copied() {
            if at + REQUEST_KEPT > now {
                return;
            }
            self.remove(uid);
        }
    }

    fn remove(&mut self, uid: Uid) {
        let Some(farewell) = self.timers.remove(&uid) else {
            return;
        };
        self.ages.remove(&(farewell.at, uid));
        if let Some((request, _)) = farewell.cancel {
            self.cancels.remove(&request);
        }
        self.dirty.insert(uid);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cancellation_is_answered_again_for_a_day() {
        let mut departed = Departed::default();
        let farewell = Farewell {
            at: WallTime(0),
            cancel: Some((7, Cancelled::Cancelled)),
        };
        departed.note(Uid(1), farewell, true);
        departed.prune(WallTime(0) + REQUEST_KEPT - Millis(1));
        assert_eq!(departed.answered(7), Some(Cancelled::Cancelled));
        departed.prune(WallTime(0) + REQUEST_KEPT);
        assert_eq!((departed.answered(7), departed.get(Uid(1))), (None, None));
    }

    #[test]
    fn the_oldest_go_when_there_are_too_many() {
        let mut departed = Departed::default();
        for number in 0..=KEPT_MAX as i64 {
            let farewell = Farewell {
                at: WallTime(number),
                cancel: None,
            };
            departed.note(Uid(number.unsigned_abs().into()), farewell, false);
        }
        assert!(departed.get(Uid(0)).is_none() && departed.get(Uid(1)).is_some());
    }
}
