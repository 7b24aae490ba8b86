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

/// What a start finds: snapshot and replay, folded.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Loaded {
    /// Each live key with its value.
    pub state: State,
    /// The position of the last durable group; 0 if there never was one.
    pub position: u64,
}

/// Whether a task that is done in steps needs more of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// Call again, after what is more urgent.
    More,
    /// It is finished.
    Done,
}

/// How big things are, in bytes of keys and values; for deciding when a snapshot pays.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Size {
    /// What a start would have to replay over the newest snapshot.
    pub log: u64,
    /// The live state, which is what a snapshot would write.
    pub image: u64,
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
    /// The folded state of all durable groups. It shares the bytes with the journal.
    ///
    /// # Errors
    /// What was acknowledged cannot be read.
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

    /// Takes the walk for a snapshot about `budget` bytes further, or begins one; groups may be
    /// appended between two steps. `Done` when the snapshot is published and durable, or if nothing
    /// was appended since the last one. A walk that is not finished is forgotten by a restart.
    ///
    /// # Errors
    /// The snapshot could not be written. The walk is given up; the log is untouched and takes
    /// further groups; a later call begins afresh.
    fn snapshot(&mut self, budget: usize) -> Result<Progress, Error>;

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

    /// How big log and state are now.
    fn size(&self) -> Size;
}
