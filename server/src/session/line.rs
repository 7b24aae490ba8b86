//! What waits at a pool of one connection: its newest heartbeat, and how many of its messages.
//!
//! Its reader never waits for room. A heartbeat that comes while another one waits replaces it, reports have a bound
//! of their own, and the end of the connection comes after everything that was heard on it.

use dormouse_edge::clock;
use dormouse_engine::message::Heartbeat;
use dormouse_engine::pool::Link;
use dormouse_engine::time::BootTime;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

/// Reports of one session that wait at once. A node has one outstanding and repeats it: one more is dropped.
const REPORTS_MAX: usize = 8;

/// One connection, as its pool's mailbox knows it.
#[derive(Debug)]
pub(crate) struct Line {
    pub(crate) link: Link,
    beat: Mutex<Option<(Heartbeat, BootTime)>>,
    reports: AtomicUsize,
    /// All its messages but heartbeats.
    waiting: AtomicUsize,
}

impl Line {
    pub(crate) const fn new(link: Link) -> Self {
        Self {
            link,
            beat: Mutex::new(None),
            reports: AtomicUsize::new(0),
            waiting: AtomicUsize::new(0),
        }
    }

    /// A heartbeat has come. Whether none waits yet, so that the mailbox has to be told. What an older one has asked is
    /// asked again.
    pub(crate) fn beat(&self, heartbeat: Heartbeat) -> bool {
        let arrived = clock::now().boot;
        let mut beat = self.beat.lock().unwrap_or_else(PoisonError::into_inner);
        beat.replace((heartbeat, arrived)).is_none()
    }

    /// The newest heartbeat. The time that it has waited here is no skew of its node's clock.
    pub(crate) fn take_beat(&self, now: BootTime) -> Option<Heartbeat> {
        let mut beat = self.beat.lock().unwrap_or_else(PoisonError::into_inner);
        let (heartbeat, arrived) = beat.take()?;
        Some(Heartbeat {
            wall: heartbeat.wall + now.since(arrived),
            ..heartbeat
        })
    }

    /// Whether another report may wait.
    pub(crate) fn has_room_for_a_report(&self) -> bool {
        self.reports.load(Ordering::Relaxed) < REPORTS_MAX
    }

    /// A message goes into the mailbox.
    pub(crate) fn note_posted(&self, is_report: bool) {
        self.waiting.fetch_add(1, Ordering::AcqRel);
        self.reports
            .fetch_add(usize::from(is_report), Ordering::AcqRel);
    }

    /// A message has left the mailbox, or did not get into it.
    pub(crate) fn note_taken(&self, is_report: bool) {
        self.waiting.fetch_sub(1, Ordering::AcqRel);
        self.reports
            .fetch_sub(usize::from(is_report), Ordering::AcqRel);
    }

    /// Whether everything that was heard on it has left the mailbox.
    pub(crate) fn is_heard_out(&self) -> bool {
        self.waiting.load(Ordering::Acquire) == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use dormouse_engine::id::Session;
    use dormouse_engine::time::{Millis, WallTime};

    fn heartbeat(sent: u64) -> Heartbeat {
        Heartbeat {
            session: Session(1),
            sent: BootTime(sent),
            wall: WallTime(5_000),
            wanted: Vec::new(),
        }
    }

    #[test]
    fn the_newest_heartbeat_counts_and_is_announced_once() {
        let line = Line::new(Link(1));
        assert!(line.beat(heartbeat(1)));
        assert!(!line.beat(heartbeat(2)));
        let taken = line.take_beat(clock::now().boot).expect("one waits");
        assert_eq!(taken.sent, BootTime(2));
        assert!(line.take_beat(clock::now().boot).is_none());
    }

    #[test]
    fn the_time_that_a_heartbeat_waits_is_no_skew() {
        let line = Line::new(Link(1));
        line.beat(heartbeat(1));
        let later = clock::now().boot + Millis(3_000);
        let wall = line.take_beat(later).expect("one waits").wall;
        assert!(wall >= WallTime(8_000), "{wall:?}");
    }

    #[test]
    fn reports_of_one_session_have_a_bound() {
        let line = Line::new(Link(1));
        for _ in 0..REPORTS_MAX {
            assert!(line.has_room_for_a_report());
            line.note_posted(true);
        }
        assert!(!line.has_room_for_a_report());
        line.note_taken(true);
        assert!(line.has_room_for_a_report() && !line.is_heard_out());
    }
}
