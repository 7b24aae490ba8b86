//! The clocks of the machine, and an alarm on both of them.
//!
//! tokio's clock stops in suspend and has a grain of a millisecond; a timerfd on CLOCK_BOOTTIME does neither.
//! A second one on CLOCK_REALTIME follows that clock when it is slewed, and tells when it is set.

use dormouse_engine::time::{BootTime, Millis, Now, WallTime};
use rustix::io::Errno;
use rustix::time::{
    ClockId, Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec,
};
use std::io;
use std::os::fd::OwnedFd;
use std::time::{Duration, SystemTime};
use tokio::io::unix::AsyncFd;

/// What time it is now, on both clocks.
#[must_use]
pub fn now() -> Now {
    Now {
        wall: wall(),
        boot: boot(),
    }
}

/// UTC, rounded down, so that nothing is early.
fn wall() -> WallTime {
    // The libc's clock, which a test can shift for one process.
    match SystemTime::now().duration_since(SystemTime::UNIX_EPOCH) {
        Ok(since) => WallTime(i64::try_from(since.as_millis()).unwrap_or(i64::MAX)),
        Err(before) => WallTime(-i64::try_from(before.duration().as_millis()).unwrap_or(i64::MAX)),
    }
}

/// What CLOCK_BOOTTIME shows, as fine as it is: to tell how long something took.
#[must_use]
pub(crate) fn precise() -> Duration {
    let time = rustix::time::clock_gettime(ClockId::Boottime);
    let nanos = u32::try_from(time.tv_nsec).unwrap_or(0);
    Duration::new(time.tv_sec.unsigned_abs(), nanos)
}

fn boot() -> BootTime {
    let time = rustix::time::clock_gettime(ClockId::Boottime);
    let millis = time
        .tv_sec
        .saturating_mul(1000)
        .saturating_add(time.tv_nsec / 1_000_000);
    BootTime(millis.unsigned_abs())
}

/// An alarm that a loop asks for anew in each turn; it costs nothing while it waits, and nothing more while what is
/// wanted only moves away: it then rings once for what is not wanted any more, which is less than a call of the kernel
/// in each turn.
#[derive(Debug)]
pub struct Alarm {
    wall: AsyncFd<OwnedFd>,
    boot: AsyncFd<OwnedFd>,
    /// What the kernel's alarms are set for, if they have not rung since.
    set: Option<Wanted>,
}

/// Deadlines on both clocks.
#[derive(Debug, Clone, Copy)]
struct Wanted {
    wall: Option<WallTime>,
    boot: Option<BootTime>,
}

impl Wanted {
    fn is_over(self, now: Now) -> bool {
        self.wall.is_some_and(|it| it <= now.wall) || self.boot.is_some_and(|it| it <= now.boot)
    }

    /// Whether an alarm for this rings in time for `other` too.
    fn covers(self, other: Self) -> bool {
        let wall = other
            .wall
            .is_none_or(|it| self.wall.is_some_and(|own| own <= it));
        wall && other
            .boot
            .is_none_or(|it| self.boot.is_some_and(|own| own <= it))
    }
}

/// How a wait on one clock ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Rang {
    InTime,
    ClockSet,
}

impl Alarm {
    /// An alarm that is not set. Within a tokio runtime.
    ///
    /// # Errors
    /// If the process has no file descriptors left.
    pub fn new() -> io::Result<Self> {
        Ok(Self {
            wall: timer(TimerfdClockId::Realtime)?,
            boot: timer(TimerfdClockId::Boottime)?,
            set: None,
        })
    }

    /// Returns when the wall clock or the boot clock has reached its deadline, or when the wall clock has been
    /// set, since then every deadline has to be looked at again. Without a deadline it waits for ever.
    ///
    /// May be dropped at any point; the next call begins anew.
    ///
    /// # Errors
    /// If the kernel refuses a timer, which it does for no time that we can name.
    pub async fn until(
        &mut self,
        wall: Option<WallTime>,
        boot: Option<BootTime>,
    ) -> io::Result<()> {
        // A wall clock that is not the kernel's own (shifted for this process) would make the kernel's alarm
        // ring at once, again and again: after the first time it only watches for settings of the clock.
        let mut trusts_kernel = true;
        let wanted = Wanted { wall, boot };
        loop {
            let now = now();
            if wanted.is_over(now) {
                return Ok(());
            }
            if !self.set.is_some_and(|set| set.covers(wanted)) {
                self.set(wanted, now, trusts_kernel)?;
            }
            let (rang, by_wall) = tokio::select! {
                rang = ring(&self.boot) => (rang?, false),
                rang = ring(&self.wall) => (rang?, true),
            };
            if rang == Rang::ClockSet {
                self.set = None;
                return Ok(());
            }
            let set = self.set.take().and_then(|set| set.wall);
            if by_wall && set.is_some_and(|wall| wall > self::wall()) {
                trusts_kernel = false;
            }
        }
    }

    fn set(&mut self, wanted: Wanted, now: Now, trusts_kernel: bool) -> io::Result<()> {
        // If only one of the two can be set, neither counts as set.
        self.set = None;
        let by_wall = wanted.wall.map(|wall| now.boot + wall.since(now.wall));
        let first = [wanted.boot, by_wall].into_iter().flatten().min();
        set(
            &self.boot,
            first.map(|time| time.0),
            TimerfdTimerFlags::ABSTIME,
        )?;
        let watched = wanted
            .wall
            .map(|wall| if trusts_kernel { wall } else { FAR });
        let flags = TimerfdTimerFlags::ABSTIME | TimerfdTimerFlags::CANCEL_ON_SET;
        set(&self.wall, watched.map(|time| time.0.unsigned_abs()), flags)?;
        self.set = Some(wanted);
        Ok(())
    }
}

/// A time that does not come.
const FAR: WallTime = WallTime(253_402_300_799_000);

#[expect(
    deprecated,
    reason = "the newer call is unsafe code; an owned descriptor stays open while it is registered"
)]
fn timer(clock: TimerfdClockId) -> io::Result<AsyncFd<OwnedFd>> {
    let flags = TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC;
    AsyncFd::new(rustix::time::timerfd_create(clock, flags)?)
}

/// Sets a timer to a time in milliseconds, or stops it.
fn set(timer: &AsyncFd<OwnedFd>, time: Option<u64>, flags: TimerfdTimerFlags) -> io::Result<()> {
    let zero = Timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    let value = match time.map(|time| time.min(FAR.0.unsigned_abs())) {
        None => zero,
        // All zeroes would stop it.
        Some(0) => Timespec {
            tv_sec: 0,
            tv_nsec: 1,
        },
        Some(time) => Timespec {
            tv_sec: i64::try_from(time / 1000).unwrap_or(i64::MAX),
            tv_nsec: i64::try_from(time % 1000 * 1_000_000).unwrap_or(0),
        },
    };
    let spec = Itimerspec {
        it_interval: zero,
        it_value: value,
    };
    match rustix::time::timerfd_settime(timer.get_ref(), flags, &spec) {
        // The clock was set since the timer was: it is set all the same, and this is the news.
        Ok(_) | Err(Errno::CANCELED) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

async fn ring(timer: &AsyncFd<OwnedFd>) -> io::Result<Rang> {
    loop {
        let mut ready = timer.readable().await?;
        let mut expirations = [0; 8];
        match ready.try_io(|timer| Ok(rustix::io::read(timer.get_ref(), &mut expirations)?)) {
            Ok(Ok(_)) => return Ok(Rang::InTime),
            Ok(Err(error)) if error.raw_os_error() == Some(Errno::CANCELED.raw_os_error()) => {
                return Ok(Rang::ClockSet);
            }
            Ok(Err(error)) => return Err(error),
            // Set anew since it rang.
            Err(_) => {}
        }
    }
}

/// Waits for a length of time on CLOCK_BOOTTIME, for those who wait once in a while.
///
/// # Errors
/// As [`Alarm::new`].
pub async fn sleep(length: Millis) -> io::Result<()> {
    Alarm::new()?.until(None, Some(now().boot + length)).await
}

#[cfg(test)]
mod tests {
    use super::*;

    type Deadlines = (Option<WallTime>, Option<BootTime>);

    async fn rings_within(alarm: &mut Alarm, at: Deadlines, limit_ms: u64) -> bool {
        let limit = Duration::from_millis(limit_ms);
        tokio::time::timeout(limit, alarm.until(at.0, at.1))
            .await
            .is_ok()
    }

    #[tokio::test]
    async fn an_alarm_rings_at_its_time_and_not_before() {
        let mut alarm = Alarm::new().unwrap();
        let start = now();
        assert!(rings_within(&mut alarm, (Some(start.wall + Millis(60)), None), 5000).await);
        assert!(now().wall >= start.wall + Millis(60));
        let start = now();
        assert!(rings_within(&mut alarm, (None, Some(start.boot + Millis(60))), 5000).await);
        let waited = now().boot.since(start.boot);
        assert!(waited >= Millis(60) && waited < Millis(400), "{waited:?}");
    }

    #[tokio::test]
    async fn the_earlier_of_two_clocks_rings() {
        let mut alarm = Alarm::new().unwrap();
        let start = now();
        let far = Millis::from_secs(3600);
        let boot_first = (Some(start.wall + far), Some(start.boot + Millis(30)));
        assert!(rings_within(&mut alarm, boot_first, 5000).await);
        let wall_first = (Some(now().wall + Millis(30)), Some(start.boot + far));
        assert!(rings_within(&mut alarm, wall_first, 5000).await);
    }

    #[tokio::test]
    async fn an_alarm_without_a_deadline_or_after_a_dropped_wait_keeps_still() {
        let mut alarm = Alarm::new().unwrap();
        let soon = (None, Some(now().boot + Millis(40)));
        assert!(!rings_within(&mut alarm, soon, 1).await);
        assert!(!rings_within(&mut alarm, (None, None), 120).await);
        assert!(rings_within(&mut alarm, (Some(WallTime(0)), None), 50).await);
    }

    #[tokio::test]
    async fn what_is_wanted_anew_rings_at_its_own_time_whether_it_is_earlier_or_later() {
        let mut alarm = Alarm::new().unwrap();
        let start = now();
        let boot_at = |millis| (None, Some(start.boot + Millis(millis)));
        let wall_at = |millis| (Some(start.wall + Millis(millis)), None);
        assert!(!rings_within(&mut alarm, boot_at(60_000), 1).await);
        assert!(!rings_within(&mut alarm, boot_at(30), 1).await);
        assert!(rings_within(&mut alarm, boot_at(90), 5000).await);
        assert!(now().boot >= start.boot + Millis(90));
        assert!(!rings_within(&mut alarm, wall_at(150), 1).await);
        assert!(rings_within(&mut alarm, wall_at(200), 5000).await);
        assert!(now().wall >= start.wall + Millis(200));
        let waited = now().boot.since(start.boot);
        assert!(waited < Millis(2_000), "{waited:?}");
    }

    #[tokio::test]
    async fn sleeping_counts_the_boot_clock() {
        let start = now().boot;
        sleep(Millis(20)).await.unwrap();
        assert!(now().boot.since(start) >= Millis(20));
    }
}
