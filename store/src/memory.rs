//! The journal without a disk, for simulators and tests: it can forget what was not committed.
//!
//! ```text
//!   stage (in flight) --commit--> log (durable) --crash()--> a new Memory, as a restart finds it
//! ```
//!
//! `append_all` is `stage` and `commit` in one. Handles are cheap clones of one disk, so that a test
//! keeps one while a writer owns another. Faults are planted by number, never by chance.

use crate::entry::{Group, State};
use crate::error::Error;
use crate::image::{Image, group_cost};
use crate::journal::{Journal, Loaded, Progress, Size};
use crate::recover::{self, Span};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// How an append fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Nothing was written: a restart does not find it.
    BeforeWrite,
    /// It was written, but the answer was lost: a restart finds it, though it was never acknowledged.
    AfterWrite,
}

/// A journal in memory. Clones are handles of the same one.
#[derive(Clone, Default)]
pub struct Memory {
    platter: Arc<Mutex<Platter>>,
}

#[derive(Default)]
struct Platter {
    /// Durable.
    log: BTreeMap<u64, Group>,
    /// Durable; oldest first.
    snapshots: Vec<Snapshot>,
    /// Volatile: written, but not known to be durable.
    staged: Vec<Group>,
    image: Image,
    position: u64,
    log_bytes: u64,
    walk: Option<Walk>,
    writes: u64,
    faults: BTreeMap<u64, Fault>,
    failed: Option<Error>,
}

#[derive(Clone)]
struct Snapshot {
    span: Span,
    image: Image,
    damaged: bool,
}

struct Walk {
    from: u64,
    log_bytes: u64,
    copied: Image,
    cursor: Option<crate::entry::Bytes>,
}

impl Memory {
    /// An empty journal.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    fn platter(&self) -> MutexGuard<'_, Platter> {
        self.platter.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts a group in flight and answers the position that it will have: volatile until
    /// [`commit`](Self::commit).
    pub fn stage(&self, group: Group) -> u64 {
        let mut platter = self.platter();
        platter.staged.push(group);
        platter.position + platter.staged.len() as u64
    }

    /// How many groups are in flight.
    #[must_use]
    pub fn staged(&self) -> usize {
        self.platter().staged.len()
    }

    /// Makes everything in flight durable, in one write, and answers the last position.
    ///
    /// # Errors
    /// A planted fault, and everything after it.
    pub fn commit(&self) -> Result<u64, Error> {
        self.platter().commit()
    }

    /// What a restarted process finds after a crash at this moment: everything committed and nothing
    /// that is in flight. This one goes on unchanged and shares nothing with the new one.
    #[must_use]
    pub fn crash(&self) -> Self {
        self.crash_keeping(0)
    }

    /// As [`crash`](Self::crash), but the first `staged` groups in flight had reached the disk,
    /// although nobody was told.
    #[must_use]
    pub fn crash_keeping(&self, staged: usize) -> Self {
        let old = self.platter();
        let mut log = old.log.clone();
        log.extend((old.position + 1..).zip(old.staged.iter().take(staged).cloned()));
        let mut new = Platter {
            log,
            snapshots: old.snapshots.clone(),
            ..Platter::default()
        };
        new.failed = new.recover().err();
        Self {
            platter: Arc::new(Mutex::new(new)),
        }
    }

    /// Lets the `nth` write from now fail (1 is the next one).
    pub fn fail_write(&self, nth: u64, fault: Fault) {
        let mut platter = self.platter();
        let at = platter.writes + nth;
        platter.faults.insert(at, fault);
    }

    /// How many writes there were, each with one or more groups. A crash begins a new count.
    #[must_use]
    pub fn writes(&self) -> u64 {
        self.platter().writes
    }

    /// Damages the newest snapshot that is not damaged yet, as a flipped bit would; false if there is none.
    pub fn damage_newest_snapshot(&self) -> bool {
        let mut platter = self.platter();
        let newest = platter
            .snapshots
            .iter_mut()
            .rev()
            .find(|snapshot| !snapshot.damaged);
        newest.map(|snapshot| snapshot.damaged = true).is_some()
    }
}

impl Platter {
    fn commit(&mut self) -> Result<u64, Error> {
        if let Some(error) = &self.failed {
            return Err(error.clone());
        }
        self.writes += 1;
        match self.faults.remove(&self.writes) {
            None => self.write(),
            Some(fault) => return Err(self.fail(fault)),
        }
        Ok(self.position)
    }

    fn fail(&mut self, fault: Fault) -> Error {
        if fault == Fault::AfterWrite {
            self.write();
        }
        let planted = std::io::Error::other("a planted fault");
        let error = Error::io("append to", Path::new("memory"))(planted);
        self.failed = Some(error.stopped());
        error
    }

    fn write(&mut self) {
        for group in std::mem::take(&mut self.staged) {
            self.position += 1;
            self.fold(&group);
            self.log.insert(self.position, group);
        }
    }

    fn fold(&mut self, group: &Group) {
        self.image.apply(group);
        self.log_bytes += group_cost(group);
    }

    fn recover(&mut self) -> Result<(), Error> {
        let intact = self
            .snapshots
            .iter()
            .rev()
            .find(|snapshot| !snapshot.damaged)
            .cloned();
        let reach = self
            .log
            .keys()
            .next()
            .copied()
            .zip(self.log.keys().next_back().copied());
        let base = intact.as_ref().map(|snapshot| snapshot.span);
        recover::check(base, reach).map_err(|what| Error::damaged(Path::new("memory"), what))?;
        self.snapshots.retain(|snapshot| !snapshot.damaged);
        self.position = base.map_or(0, |span| span.from);
        self.image = intact.map(|snapshot| snapshot.image).unwrap_or_default();
        let after: Vec<Group> = self
            .log
            .range(self.position + 1..)
            .map(|(_, group)| group.clone())
            .collect();
        for group in &after {
            self.fold(group);
        }
        self.position += after.len() as u64;
        Ok(())
    }

    fn walk_on(&mut self, mut walk: Walk, budget: usize) -> Progress {
        let chunk = self.image.chunk(walk.cursor.as_ref(), budget);
        if let Some((last, _)) = chunk.last() {
            walk.cursor = Some(last.clone());
            let puts: Group = chunk
                .into_iter()
                .map(|(key, value)| crate::entry::Entry::put(key, value))
                .collect();
            walk.copied.apply(&puts);
            self.walk = Some(walk);
            return Progress::More;
        }
        let span = Span {
            from: walk.from,
            to: self.position,
        };
        self.snapshots.push(Snapshot {
            span,
            image: walk.copied,
            damaged: false,
        });
        if self.snapshots.len() > 2 {
            self.snapshots.remove(0);
        }
        self.log_bytes -= walk.log_bytes;
        Progress::Done
    }

    fn floor(&self) -> u64 {
        if self.snapshots.len() < 2 {
            0
        } else {
            self.snapshots[0].span.from
        }
    }
}

impl Journal for Memory {
    fn load(&mut self) -> Result<Loaded, Error> {
        let platter = self.platter();
        match &platter.failed {
            Some(error) => Err(error.clone()),
            None => Ok(Loaded {
                state: State::clone(platter.image.state()),
                position: platter.position,
            }),
        }
    }

    fn append_all(&mut self, groups: &[Group]) -> Result<u64, Error> {
        let mut platter = self.platter();
        platter.staged.extend_from_slice(groups);
        if platter.staged.is_empty() && platter.failed.is_none() {
            return Ok(platter.position);
        }
        platter.commit()
    }

    fn snapshot(&mut self, budget: usize) -> Result<Progress, Error> {
        let mut platter = self.platter();
        let newest = platter
            .snapshots
            .last()
            .map_or(0, |snapshot| snapshot.span.from);
        let walk = match platter.walk.take() {
            Some(walk) => walk,
            None if platter.position == newest => return Ok(Progress::Done),
            None => Walk {
                from: platter.position,
                log_bytes: platter.log_bytes,
                copied: Image::default(),
                cursor: None,
            },
        };
        Ok(platter.walk_on(walk, budget))
    }

    fn truncate(&mut self, position: u64, budget: usize) -> Result<Progress, Error> {
        let mut platter = self.platter();
        let position = position.min(platter.floor());
        for _ in 0..budget.max(1) {
            match platter.log.first_entry() {
                Some(first) if *first.key() <= position => drop(first.remove()),
                _ => return Ok(Progress::Done),
            }
        }
        Ok(Progress::More)
    }

    fn size(&self) -> Size {
        let platter = self.platter();
        Size {
            log: platter.log_bytes,
            image: platter.image.bytes(),
        }
    }
}
