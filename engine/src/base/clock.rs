//! The coordinator's clock as this node last measured it, carried on by CLOCK_BOOTTIME.
//!
//! A measurement counts from when the coordinator spoke, so that this clock is late by the way of the message
//! but never early; the shortest way counts, so that one answer that was long on its way makes nothing late. Before the
//! first one the node's own UTC clock decides.

use crate::planted::{self, Fault};
use crate::time::{BootTime, Deadlines, Millis, Now, WallTime};

/// A clock that is carried on may have gone ahead by one part in so many: twice what the clocks of machines do.
const DRIFT_PARTS: u64 = 5_000;

/// Both clocks are read in whole milliseconds, rounded down: without this the clock could be early by one.
const ROUNDING: Millis = Millis(1);

/// How far the clock is ahead of what was measured: not at all, unless that is planted.
fn ahead() -> Millis {
    Millis(10 * u64::from(planted::is(Fault::FireEarly)))
}

#[derive(Debug, Default)]
pub(super) struct Clock {
    anchor: Option<(WallTime, BootTime)>,
}

impl Clock {
    /// What the clock that decides shows.
    pub(super) fn read(&self, now: Now) -> WallTime {
        match self.anchor {
            Some((wall, boot)) => wall + now.boot.since(boot) + ahead(),
            None => now.wall,
        }
    }

    /// The coordinator's clock showed `clock` at some time after `sent`.
    ///
    /// It shows something from `clock` to `clock` and the round trip now. If the older measurement, carried on, is
    /// within that, it is the better one: its answer was not as long on its way.
    pub(super) fn measure(&mut self, now: Now, sent: BootTime, clock: WallTime) {
        let latest = clock + now.boot.since(sent);
        let carried = self.carried(now);
        self.anchor = match carried.filter(|carried| (clock..=latest).contains(carried)) {
            Some(carried) => Some((carried, now.boot)),
            None => Some((clock - ROUNDING, now.boot)),
        };
    }

    /// What the clock that decides shows at least, if it was measured.
    fn carried(&self, now: Now) -> Option<WallTime> {
        let (_, at) = self.anchor?;
        let drift = now.boot.since(at).0.div_ceil(DRIFT_PARTS);
        Some(WallTime(self.read(now).0.saturating_sub_unsigned(drift)))
    }

    /// How far the clock that decides is ahead of the node's own, in milliseconds.
    pub(super) fn offset_ms(&self, now: Now) -> i64 {
        self.read(now).0.saturating_sub(now.wall.0)
    }

    /// When this clock shows `wall`: on CLOCK_BOOTTIME once it was measured, else on the node's UTC clock.
    pub(super) fn until(&self, wall: WallTime) -> Deadlines {
        match self.anchor {
            Some((from, boot)) => Deadlines {
                wall: None,
                boot: Some(boot + wall.since(from) - ahead()),
            },
            None => Deadlines {
                wall: Some(wall),
                boot: None,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// By the node's clock; the coordinator's shows the same.
    fn at(boot: u64) -> Now {
        let wall = WallTime(i64::try_from(boot).unwrap());
        let boot = BootTime(boot);
        Now { wall, boot }
    }

    /// The coordinator answered at `spoke` to what was said at `sent`, and was heard at `heard`.
    fn measure(clock: &mut Clock, sent: u64, spoke: i64, heard: u64) {
        clock.measure(at(heard), BootTime(sent), WallTime(spoke));
    }

    #[test]
    fn one_answer_that_was_long_on_its_way_makes_nothing_late() {
        let mut clock = Clock::default();
        measure(&mut clock, 10_000, 10_001, 10_002);
        measure(&mut clock, 13_000, 13_001, 13_040);
        let late = 13_040 - clock.read(at(13_040)).0;
        assert!((0..=3).contains(&late), "{late}");
    }

    #[test]
    fn a_shorter_way_corrects_a_longer_one_at_once() {
        let mut clock = Clock::default();
        measure(&mut clock, 10_000, 10_001, 10_040);
        measure(&mut clock, 13_000, 13_001, 13_002);
        let late = 13_002 - clock.read(at(13_002)).0;
        assert!((0..=2).contains(&late), "{late}");
    }

    #[test]
    fn two_answers_in_one_millisecond_lose_no_rounding() {
        let mut clock = Clock::default();
        measure(&mut clock, 10_000, 10_000, 10_000);
        measure(&mut clock, 10_000, 10_000, 10_000);
        assert_eq!(clock.read(at(10_001)), WallTime(10_000));
    }

    #[test]
    fn a_clock_that_was_set_back_is_followed() {
        let mut clock = Clock::default();
        measure(&mut clock, 10_000, 10_001, 10_002);
        measure(&mut clock, 13_000, 3_001, 13_040);
        assert_eq!(clock.read(at(13_040)), WallTime(3_000));
    }

    #[test]
    fn a_node_whose_clock_is_fast_is_not_early_after_a_day_of_long_ways() {
        let mut clock = Clock::default();
        measure(&mut clock, 0, 0, 1);
        for second in (3..86_400).step_by(3) {
            let truth = second * 1_000;
            // 100 millionths fast, and each answer half a second on its way.
            let fast = |truth: u64| truth + truth / 10_000;
            let heard = fast(truth + 500);
            measure(
                &mut clock,
                fast(truth),
                i64::try_from(truth).unwrap(),
                heard,
            );
            let shown = clock.read(at(heard)).0;
            assert!(
                shown <= i64::try_from(truth + 500).unwrap(),
                "{shown} {truth}"
            );
        }
    }
}
