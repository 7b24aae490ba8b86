//! Timers that have ended and can still be looked up: for a while, and at most so many bytes of them.

use super::stands::{Queue, WAITS};
use super::{Entry, Ledger};
use crate::id::Uid;
use crate::page::Weigh as _;
use crate::steps;
use crate::time::WallTime;

/// The most bytes of ended timers; above that the first to be forgotten go at once, and are counted.
pub const ENDED_BYTES_MAX: usize = 64 << 20;
/// Ended timers that are forgotten in one turn.
const PRUNED_IN_TURN_MAX: usize = 512;

/// What the ended timers take; by when they are forgotten they stand on the shelf.
#[derive(Debug, Default)]
pub(super) struct Ended {
    bytes: usize,
    evicted: u64,
}

impl Ended {
    pub(super) fn insert(&mut self, entry: &Entry) {
        if entry.timer.kept_until().is_some() {
            self.bytes += entry.timer.weight();
        }
    }

    pub(super) fn remove(&mut self, entry: &Entry) {
        if entry.timer.kept_until().is_some() {
            self.bytes -= entry.timer.weight();
        }
    }

    fn is_full(&self) -> bool {
        self.bytes > ENDED_BYTES_MAX
    }
}

impl Ledger {
    /// Forgets timers that ended long enough ago, so many of them as one turn may; a home that has not heard of the
    /// end hears of that.
    pub(crate) fn prune(&mut self, now: WallTime) {
        self.prune_past(now);
        for _ in 0..PRUNED_IN_TURN_MAX {
            let Some((_, uid)) = self.next_forgotten().filter(|(at, _)| *at <= now) else {
                return;
            };
            steps::visit();
            self.ended.evicted += u64::from(self.ended.is_full());
            self.forget_ended(uid, now);
        }
    }

    fn forget_ended(&mut self, uid: Uid, now: WallTime) {
        if self.entry(uid).is_none() {
            // It was handed over, but the hand-over has not come to an end.
            self.remove(uid);
            return;
        }
        self.note_farewell(uid, None, now);
        let entry = self.entry(uid);
        let home = entry.and_then(|it| it.timer.home.clone());
        // A home hears by itself of the end of what it has.
        let has = entry.is_some_and(|it| it.held.is_none());
        if has && home.is_some_and(|home| self.is_active(&home)) {
            if let Some(entry) = self.remove(uid) {
                self.note_removed(uid, entry.timer.name);
            }
        } else {
            let at = self.stamp();
            self.bury(uid, at);
        }
    }

    /// When `prune` has something to do.
    #[must_use]
    pub fn prune_at(&self) -> Option<WallTime> {
        self.next_forgotten().map(|(at, _)| at)
    }

    /// What is forgotten next, and when: at once, if there is too much of it.
    fn next_forgotten(&self) -> Option<(WallTime, Uid)> {
        let (until, entry) = self.timers.first(WAITS, &Queue::Ended)?;
        let at = match self.ended.is_full() {
            true => WallTime(i64::MIN),
            false => until,
        };
        Some((at, entry.timer.uid))
    }

    /// How many ended timers were forgotten early, because there were too many.
    pub(crate) fn ended_early(&self) -> u64 {
        self.ended.evicted
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::id::{PoolId, TimerId};
    use crate::op::Op;
    use crate::time::Millis;
    use crate::timer::{
        Durability, ENDED_KEPT, Ending, HandlerName, NewTimer, Payload, Phase, Placement, When,
    };

    const NOW: WallTime = WallTime(1_800_000_000_000);

    pub(in crate::ledger) fn new(uid: u128, payload: &Payload) -> NewTimer {
        NewTimer {
            pool: PoolId::new("default").unwrap(),
            id: TimerId::new(&format!("t{uid}")).unwrap(),
            uid: Uid(uid),
            request: uid,
            when: When::After(Millis(60_000)),
            placement: Placement::Movable,
            handler: HandlerName::new("h").unwrap(),
            target: Default::default(),
            payload: payload.clone(),
            content_type: String::new(),
            policy: Default::default(),
            paused: false,
            durability: Durability::Replicated,
            labels: Default::default(),
        }
    }

    /// A ledger with this many timers that have ended, one each millisecond.
    fn ended(count: u128, payload: usize) -> Ledger {
        let mut ledger = Ledger::new(PoolId::new("default").unwrap(), 1);
        let payload = Payload(vec![0; payload].into());
        for uid in 1..=count {
            ledger.execute(&Op::Create(Box::new(new(uid, &payload))), NOW);
            let at = NOW + Millis(u64::try_from(uid).unwrap());
            let ending = Ending::Done;
            ledger.change(Uid(uid), |entry| {
                entry.timer.phase = Phase::Over { ending, at }
            });
        }
        ledger
    }

    #[test]
    fn the_oldest_go_when_the_ended_take_too_many_bytes() {
        let mut ledger = ended(1_300, 60_000);
        while ledger.prune_at().is_some_and(|at| at <= NOW) {
            ledger.prune(NOW);
        }
        let left = ledger.len();
        assert!(ledger.ended.bytes <= ENDED_BYTES_MAX && left > 1_000);
        assert_eq!(ledger.ended_early() + left as u64, 1_300);
        assert!(ledger.entry(Uid(1)).is_none() && ledger.entry(Uid(1_300)).is_some());
    }

    #[test]
    fn what_is_over_at_once_goes_in_bounded_turns() {
        let mut ledger = ended(1_500, 0);
        let later = NOW + ENDED_KEPT + Millis(2_000);
        ledger.prune(later);
        assert_eq!(ledger.len(), 1_500 - PRUNED_IN_TURN_MAX);
        assert!(ledger.prune_at().is_some_and(|at| at <= later));
        ledger.prune(later);
        ledger.prune(later);
        assert_eq!(
            (ledger.len(), ledger.ended.bytes, ledger.ended_early()),
            (0, 0, 0)
        );
    }
}
