//! The coordinator's clock as this node last measured it, carried on by CLOCK_BOOTTIME.
//!
//! A measurement counts from when the coordinator spoke, so that this clock is late by the way of the message
//! but never early. Before the first one the node's own UTC clock decides.

use crate::time::{BootTime, Deadlines, Millis, Now, WallTime};

/// A round trip this short makes a measurement better than an older one.
const GOOD_ROUND_TRIP: Millis = Millis(200);
/// A measurement this old is replaced by any newer one.
const STALE_AFTER: Millis = Millis(60_000);

/// Both clocks are read in whole milliseconds, rounded down: without this the clock could be early by one.
const ROUNDING: Millis = Millis(1);

#[derive(Debug, Default)]
pub(super) struct Clock {
    anchor: Option<(WallTime, BootTime)>,
}

impl Clock {
    /// What the clock that decides shows.
    pub(super) fn read(&self, now: Now) -> WallTime {
        match self.anchor {
            Some((wall, boot)) => wall + now.boot.since(boot),
            None => now.wall,
        }
    }

    /// The coordinator's clock showed `clock` at some time after `sent`.
    pub(super) fn measure(&mut self, now: Now, sent: BootTime, clock: WallTime) {
        let better = self.anchor.is_none_or(|(_, at)| {
            clock >= self.read(now)
                || now.boot.since(sent) <= GOOD_ROUND_TRIP
                || now.boot.since(at) >= STALE_AFTER
        });
        if better {
            self.anchor = Some((clock, now.boot + ROUNDING));
        }
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
                boot: Some(boot + wall.since(from)),
            },
            None => Deadlines {
                wall: Some(wall),
                boot: None,
            },
        }
    }
}
