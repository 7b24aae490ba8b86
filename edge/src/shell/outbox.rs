//! An outbox: what was said on a connection and not read yet.
//!
//! It is bounded in messages and bytes. What its machine says again by itself is dropped when there is no room, and
//! said again later; what it does not keeps its place, within a bound that the protocol gives. A burst never ends a
//! connection: only a peer that has read nothing for longer than a lease does.

use dormouse_engine::time::{BootTime, Millis};
use std::collections::VecDeque;

/// Whether something may be dropped when there is no room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keep {
    /// It is repeated until it is answered.
    Repeated,
    /// The newest of its kind says everything: it takes the place of an older one, and goes before all else.
    Newest,
    /// It is said once, or again only when it is asked for again.
    Once,
}

/// What was said and not read yet.
#[derive(Debug)]
pub struct Outbox<T> {
    waiting: VecDeque<(usize, T)>,
    newest: Option<T>,
    bytes: usize,
    messages_max: usize,
    bytes_max: usize,
    /// When the peer last took something, or when the first of what waits came.
    moved: BootTime,
    /// How many were dropped.
    dropped: u64,
}

/// What is said once may take this many times the room of what is repeated: a report's answer for each report, an
/// operation's for each that the peer may have in flight.
const ONCE_TIMES: usize = 16;

impl<T> Outbox<T> {
    /// An empty one, in which so many repeated messages of so many bytes in all may wait. A single message may be larger.
    #[must_use]
    pub const fn new(messages_max: usize, bytes_max: usize) -> Self {
        Self {
            waiting: VecDeque::new(),
            newest: None,
            bytes: 0,
            messages_max,
            bytes_max,
            moved: BootTime(0),
            dropped: 0,
        }
    }

    /// Says something of so many bytes; false if it was dropped.
    pub fn push(&mut self, now: BootTime, keep: Keep, bytes: usize, message: T) -> bool {
        if self.is_empty() {
            self.moved = now;
        }
        let times = match keep {
            Keep::Newest => {
                self.newest = Some(message);
                return true;
            }
            Keep::Repeated => 1,
            Keep::Once => ONCE_TIMES,
        };
        let has_room = self.waiting.len() < self.messages_max * times
            && self.bytes < self.bytes_max.saturating_mul(times);
        if !has_room {
            self.dropped += 1;
            return false;
        }
        self.bytes += bytes;
        self.waiting.push_back((bytes, message));
        true
    }

    /// The peer takes the next message.
    pub fn pop(&mut self, now: BootTime) -> Option<T> {
        let message = self.newest.take().or_else(|| {
            let (bytes, message) = self.waiting.pop_front()?;
            self.bytes -= bytes;
            Some(message)
        })?;
        self.moved = now;
        Some(message)
    }

    fn is_empty(&self) -> bool {
        self.newest.is_none() && self.waiting.is_empty()
    }

    /// Whether something waits that the peer has not read for longer than this.
    #[must_use]
    pub fn is_stuck(&self, now: BootTime, longer_than: Millis) -> bool {
        !self.is_empty() && now.since(self.moved) > longer_than
    }

    /// How many messages were dropped so far.
    #[must_use]
    pub const fn dropped(&self) -> u64 {
        self.dropped
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEASE: Millis = Millis(10_000);

    fn at(millis: u64) -> BootTime {
        BootTime(millis)
    }

    #[test]
    fn a_burst_drops_what_is_said_again_and_keeps_what_is_not() {
        let mut outbox = Outbox::new(2, 1_000);
        let said: Vec<bool> = (0..4)
            .map(|number| outbox.push(at(0), Keep::Repeated, 10, number))
            .collect();
        assert_eq!(said, [true, true, false, false]);
        assert!(outbox.push(at(0), Keep::Once, 10, 9));
        assert_eq!(outbox.dropped(), 2);
        assert_eq!(outbox.pop(at(1)), Some(0));
        assert_eq!(outbox.pop(at(1)), Some(1));
        assert_eq!(outbox.pop(at(1)), Some(9));
        assert!(outbox.push(at(1), Keep::Repeated, 10, 2), "room again");
    }

    #[test]
    fn the_newest_takes_the_place_of_an_older_one_and_goes_first() {
        let mut outbox = Outbox::new(1, 1_000);
        outbox.push(at(0), Keep::Once, 10, 1);
        assert!(outbox.push(at(0), Keep::Newest, 10, 2));
        assert!(outbox.push(at(0), Keep::Newest, 10, 3), "there is room");
        assert_eq!(outbox.pop(at(1)), Some(3));
        assert_eq!(outbox.pop(at(1)), Some(1));
        assert_eq!(outbox.pop(at(1)), None);
        outbox.push(at(20_000), Keep::Newest, 10, 4);
        assert!(!outbox.is_stuck(at(29_000), LEASE));
        assert!(outbox.is_stuck(at(31_000), LEASE), "it counts as unread");
    }

    #[test]
    fn bytes_bound_it_too_and_a_single_large_message_passes() {
        let mut outbox = Outbox::new(100, 1_000);
        assert!(outbox.push(at(0), Keep::Repeated, 5_000, 1));
        assert!(!outbox.push(at(0), Keep::Repeated, 1, 2));
        assert!(outbox.push(at(0), Keep::Once, 20_000, 3));
        assert!(
            !outbox.push(at(0), Keep::Once, 1, 4),
            "even this has a bound"
        );
    }

    #[test]
    fn only_a_peer_that_reads_nothing_for_longer_than_a_lease_is_stuck() {
        let mut outbox = Outbox::new(2, 1_000);
        assert!(!outbox.is_stuck(at(60_000), LEASE), "nothing waits");
        outbox.push(at(60_000), Keep::Repeated, 1, 1);
        outbox.push(at(60_000), Keep::Repeated, 1, 2);
        assert!(!outbox.is_stuck(at(69_000), LEASE));
        outbox.pop(at(69_000));
        assert!(!outbox.is_stuck(at(75_000), LEASE), "it reads slowly");
        assert!(outbox.is_stuck(at(80_000), LEASE));
    }
}
