//! The kernel's own timer on CLOCK_BOOTTIME, and the two clocks in nanoseconds.
//!
//! The runtime's sleep has a grain of a millisecond and stops while the machine is suspended; this one has
//! neither fault. What is to happen at a time is the executor's affair, not this file's.

use rustix::time::{
    ClockId, Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, clock_gettime,
    timerfd_create, timerfd_settime,
};
use std::io;
use std::os::fd::OwnedFd;
use std::time::SystemTime;

/// Nanoseconds in a millisecond.
pub(crate) const MILLI: u64 = 1_000_000;

/// A timer that one thread waits for and any thread may set.
pub(crate) struct Alarm(OwnedFd);

impl Alarm {
    /// Asks the kernel for a timer; it is not set.
    pub(crate) fn new() -> io::Result<Self> {
        Ok(Self(timerfd_create(
            TimerfdClockId::Boottime,
            TimerfdFlags::CLOEXEC,
        )?))
    }

    /// Rings when CLOCK_BOOTTIME shows `at` nanoseconds, at once if that is past; never if it is none.
    pub(crate) fn set(&self, at: Option<u64>) {
        // All zeroes mean "never" to the kernel.
        let value = at.map_or(timespec(0), |at| timespec(at.max(1)));
        let spec = Itimerspec {
            it_interval: timespec(0),
            it_value: value,
        };
        timerfd_settime(&self.0, TimerfdTimerFlags::ABSTIME, &spec)
            .expect("the descriptor is a timer and the time is normalised");
    }

    /// Blocks the thread until it rings.
    ///
    /// # Errors
    /// What the kernel says; an interrupted wait is no error.
    pub(crate) fn wait(&self) -> io::Result<()> {
        let mut expirations = [0; 8];
        loop {
            match rustix::io::read(&self.0, &mut expirations) {
                Ok(_) => return Ok(()),
                Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
}

fn timespec(nanos: u64) -> Timespec {
    const SECOND: u64 = 1_000_000_000;
    Timespec {
        tv_sec: i64::try_from(nanos / SECOND).unwrap_or(i64::MAX),
        tv_nsec: i64::try_from(nanos % SECOND).expect("below a second"),
    }
}

/// CLOCK_BOOTTIME in nanoseconds.
pub(crate) fn boot_nanos() -> u64 {
    let time = clock_gettime(ClockId::Boottime);
    let nanos = time
        .tv_sec
        .saturating_mul(1_000_000_000)
        .saturating_add(time.tv_nsec);
    u64::try_from(nanos).unwrap_or(0)
}

/// UTC in nanoseconds since 1970; through the libc, which a test can shift for one process.
pub(crate) fn wall_nanos() -> i64 {
    match SystemTime::now().duration_since(SystemTime::UNIX_EPOCH) {
        Ok(since) => i64::try_from(since.as_nanos()).unwrap_or(i64::MAX),
        Err(before) => -i64::try_from(before.duration().as_nanos()).unwrap_or(i64::MAX),
    }
}
