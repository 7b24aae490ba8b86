//! The one true time of a simulation, and the clocks of its machines, each off in its own way.
//!
//! True time is in microseconds, so that things can happen between two milliseconds. The coordinator's UTC clock
//! is the true one; a node's is off by a constant that a step changes, and its CLOCK_BOOTTIME drifts.

use dormouse_engine::time::{BootTime, Deadlines, Now, WallTime};

/// A moment of true time: microseconds since the simulation began.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Moment(pub u64);

/// Milliseconds in the unit of [`Moment`].
pub(crate) const fn ms(millis: u64) -> u64 {
    millis * 1000
}

impl Moment {
    pub(crate) const fn plus(self, micros: u64) -> Self {
        Self(self.0.saturating_add(micros))
    }

    /// True time as a machine counts it that never stops.
    pub(crate) const fn boot(self) -> BootTime {
        BootTime(self.0 / 1_000)
    }

    pub(crate) const fn since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}

impl std::fmt::Display for Moment {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:>4}.{:06}", self.0 / 1_000_000, self.0 % 1_000_000)
    }
}

/// What the true UTC clock shows when the simulation begins, in milliseconds.
pub(crate) const BEGIN: i64 = 1_800_000_000_000;

/// The true UTC clock.
pub(crate) fn wall_at(at: Moment) -> WallTime {
    WallTime(BEGIN + i64::try_from(at.0 / 1000).expect("a simulation is short"))
}

/// How many microseconds before `due` it is, by the true UTC clock; negative afterwards.
pub(crate) fn micros_before(due: WallTime, at: Moment) -> i64 {
    let at = BEGIN * 1000 + i64::try_from(at.0).expect("a simulation is short");
    due.0.saturating_mul(1000).saturating_sub(at)
}

/// The clocks of one machine.
#[derive(Debug, Clone)]
pub(crate) struct Clock {
    /// How far its UTC clock is ahead, in microseconds.
    pub(crate) offset: i64,
    /// How much faster its CLOCK_BOOTTIME runs, in millionths.
    pub(crate) drift_ppm: i64,
    booted: Moment,
    boot_begin: u64,
}

impl Clock {
    pub(crate) fn new(offset: i64, drift_ppm: i64) -> Self {
        Self {
            offset,
            drift_ppm,
            booted: Moment(0),
            boot_begin: 7_000_000,
        }
    }

    /// CLOCK_BOOTTIME begins again.
    pub(crate) fn reboot(&mut self, at: Moment) {
        self.booted = at;
        self.boot_begin = 3_000_000;
    }

    pub(crate) fn now(&self, at: Moment) -> Now {
        let wall = BEGIN * 1000 + i64::try_from(at.0).expect("a simulation is short") + self.offset;
        Now {
            wall: WallTime(wall.div_euclid(1000)),
            boot: BootTime(self.boot(at) / 1000),
        }
    }

    fn boot(&self, at: Moment) -> u64 {
        let passed = i64::try_from(at.since(self.booted)).expect("a simulation is short");
        let drifted = passed + passed * self.drift_ppm / 1_000_000;
        self.boot_begin + drifted.unsigned_abs()
    }

    /// The first moment at which its UTC clock shows `wall`.
    fn at_wall(&self, wall: WallTime) -> Moment {
        let at = wall
            .0
            .saturating_sub(BEGIN)
            .saturating_mul(1000)
            .saturating_sub(self.offset);
        Moment(u64::try_from(at).unwrap_or(0))
    }

    /// The first moment at which its CLOCK_BOOTTIME shows `boot`.
    pub(crate) fn at_boot(&self, boot: BootTime) -> Moment {
        let target = boot.0.saturating_mul(1000);
        let ahead = target.saturating_sub(self.boot_begin).min(1 << 50);
        let slow = u64::try_from(1_000_000 + self.drift_ppm).expect("a clock runs forward");
        let mut at = self.booted.plus(
            u64::try_from(u128::from(ahead) * 1_000_000 / u128::from(slow))
                .unwrap_or(u64::MAX >> 8),
        );
        while self.boot(at) < target && at.0 < 1 << 55 {
            at = at.plus(1);
        }
        at
    }

    /// When the earlier of two deadlines comes.
    pub(crate) fn at_deadline(&self, deadlines: Deadlines) -> Option<Moment> {
        let wall = deadlines.wall.map(|wall| self.at_wall(wall));
        let boot = deadlines.boot.map(|boot| self.at_boot(boot));
        wall.into_iter().chain(boot).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deadline_comes_when_the_clock_shows_it_and_not_before() {
        for ppm in [-100, 0, 100] {
            let mut clock = Clock::new(-2_345, ppm);
            clock.reboot(Moment(1_234_567));
            for boot in [4_000, 4_001, 77_777, 1_234_567] {
                let at = clock.at_boot(BootTime(boot));
                assert_eq!(clock.now(at).boot, BootTime(boot));
                assert!(clock.now(Moment(at.0 - 1)).boot < BootTime(boot));
            }
            let wall = WallTime(BEGIN + 5_000);
            let at = clock.at_wall(wall);
            assert_eq!(clock.now(at).wall, wall);
            assert!(clock.now(Moment(at.0 - 1)).wall < wall);
        }
    }
}
