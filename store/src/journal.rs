//! The seam: what a journal promises, whoever implements it.
//!
//! ```text
//!   task --Group--> Writer (a thread) --append_all--> Journal --> a log of groups
//!                      |                                |
//!                      '---snapshot, truncate---------> '-------> snapshot files, the last two kept
//! ```
//!
//! Both implementations pass the suite in `tests/conformance`. Who calls when is the
//! [`Writer`](crate::Writer)'s business; what the bytes mean is the caller's.

use crate::entry::{Group, State};
use crate::error::Error;
use crate::records::Records;
use std::sync::Arc;

/// What a start finds: snapshot and log, folded.
#[derive(Debug)]
pub struct Loaded {
    /// The position of the last durable group; 0 if there never was one.
    pub position: u64,
    /// Each live key with its value, to be read once.
    pub records: Records,
}

/// The same in one map.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Folded {
    /// The position of the last durable group.
    pub position: u64,
    /// Each live key with its value.
    pub state: State,
}

impl Loaded {
    /// Reads everything into memory; for tests and tools.
    ///
    /// # Errors
    /// As [`Records::collect`].
    pub fn collect(self) -> Result<Folded, Error> {
        Ok(Folded {
            position: self.position,
            state: self.records.collect()?,
        })
    }
}

/// Whether a task that is done in steps needs more of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// Call again, after what is more urgent.
    More,
    /// Call again when woken, or after the next group: another thread is at work.
    Waiting,
    /// It is finished.
    Done,
}

/// How big things are, in bytes of keys and values; for deciding when a snapshot pays.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Size {
    /// What a start would have to read of the log after the newest snapshot.
    pub log: u64,
    /// The newest snapshot.
    pub snapshot: u64,
}

/// A durable sequence of groups, and the state that they fold to.
///
/// Positions begin at 1 and grow by one with each group, across restarts. There is one caller, and it
/// blocks: nothing here is called while another call runs. After an error of [`append_all`] every
/// later call of it fails too, and the process must end; a restart finds each group that was
/// acknowledged, and perhaps the one whose append failed, whole or not at all.
///
/// [`append_all`]: Journal::append_all
pub trait Journal: Send {
    /// The folded state of all durable groups, as a stream. Groups that are appended while it is read change
    /// nothing in it.
    ///
    /// # Errors
    /// What was acknowledged cannot be read; also while it is read, see [`Records`].
    fn load(&mut self) -> Result<Loaded, Error>;

    /// Makes `groups` durable together and answers the position of the last one.
    /// Returns `Ok` only when all of them survive a power cut. Each has its own position; an
    /// empty group has one too and proves that the disk still takes writes. No groups, no write.
    ///
    /// # Errors
    /// The disk is full or failed; none of the groups may be acted upon.
    fn append_all(&mut self, groups: &[Group]) -> Result<u64, Error>;

    /// Makes one group durable and answers its position.
    ///
    /// # Errors
    /// As [`append_all`](Journal::append_all).
    fn append(&mut self, group: &Group) -> Result<u64, Error> {
        self.append_all(std::slice::from_ref(group))
    }

    /// Goes on with a snapshot by about `budget` bytes of the log, or begins one; groups may be appended
    /// between two steps. Most of the work is another thread's: a step never waits for it. `Done` when the
    /// snapshot is published and durable, or if nothing was appended since the last one. A snapshot that is
    /// not published is forgotten by a restart.
    ///
    /// # Errors
    /// The snapshot could not be written. It is given up; the log is untouched and takes further groups; a
    /// later call begins afresh.
    fn snapshot(&mut self, budget: usize) -> Result<Progress, Error>;

    /// How to wake the caller after [`Progress::Waiting`]: called on any thread, and perhaps for nothing.
    fn wake_with(&mut self, wake: Arc<dyn Fn() + Send + Sync>) {
        drop(wake);
    }

    /// Drops groups at and below `position` from the log, in steps of about `budget` log keys.
    /// Never drops what a start from the *older* of the two kept snapshots needs, whatever `position`
    /// says; `u64::MAX` means as much as may go.
    ///
    /// # Errors
    /// The disk failed; nothing that is needed has been dropped.
    fn truncate(&mut self, position: u64, budget: usize) -> Result<Progress, Error>;

    /// Called last, at a clean stop: from here on also the loss of the very last group is noticed, which
    /// after a crash looks like a write that nobody was told of.
    ///
    /// # Errors
    /// That could not be noted. Everything acknowledged is durable all the same.
    fn close(&mut self) -> Result<(), Error> {
        Ok(())
    }

    /// How big log and snapshot are now.
    fn size(&self) -> Size;
}
