//! The journal without a disk, for simulators and tests: it can forget what was not committed.
//!
//! ```text
//!   stage (in flight) --commit--> log (durable) --crash()--> a new Memory, as a restart finds it
//! ```
//!
//! `append_all` is `stage` and `commit` in one. Handles are cheap clones of one disk, so that a test
//! keeps one while a writer owns another. Faults are planted by number, never by chance.

use crate::codec::ENTRY_OVERHEAD;
use crate::entry::{Entry, Group, State};
use crate::error::Error;
use crate::journal::{Journal, Loaded, Progress, Size};
use crate::page::Page;
use crate::records::Records;
use crate::recover;
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
    position: u64,
    /// Of the log after the newest snapshot.
    log_bytes: u64,
    merging: Option<Snapshot>,
    writes: u64,
    faults: BTreeMap<u64, Fault>,
    failed: Option<Error>,
}

#[derive(Clone, Default)]
struct Snapshot {
    /// Holds all groups up to this one.
    at: u64,
    /// Will be published when it holds all groups up to this one.
    until: u64,
    state: State,
    damaged: bool,
}

impl Snapshot {
    fn bytes(&self) -> u64 {
        let costs = self.state.iter().map(|(key, value)| cost(key, Some(value)));
        costs.sum()
    }
}

fn cost(key: &[u8], value: Option<&crate::entry::Bytes>) -> u64 {
    (key.len() + value.map_or(0, |value| value.len())) as u64 + ENTRY_OVERHEAD
}

fn group_cost(group: &Group) -> u64 {
    let costs = group
        .iter()
        .map(|entry| cost(&entry.key, entry.value.as_ref()));
    costs.sum()
}

fn apply(state: &mut State, group: &Group) {
    for Entry { key, value } in group {
        match value {
            Some(value) => state.insert(key.clone(), value.clone()),
            None => state.remove(key),
        };
    }
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
            self.log_bytes += group_cost(&group);
            self.log.insert(self.position, group);
        }
    }

    fn newest(&self) -> Option<&Snapshot> {
        self.snapshots
            .iter()
            .rev()
            .find(|snapshot| !snapshot.damaged)
    }

    /// What all groups up to `until` fold to.
    fn state(&self) -> State {
        let mut state = self.newest().map(|it| it.state.clone()).unwrap_or_default();
        let at = self.newest().map_or(0, |it| it.at);
        for (_, group) in self.log.range(at + 1..) {
            apply(&mut state, group);
        }
        state
    }

    fn recover(&mut self) -> Result<(), Error> {
        let base = self.newest().map_or(0, |it| it.at);
        let ends = (self.log.first_key_value(), self.log.last_key_value());
        let reach = match ends {
            (Some((first, _)), Some((last, _))) => Some((*first, *last)),
            _ => None,
        };
        recover::check(base, reach).map_err(|what| Error::damaged(Path::new("memory"), what))?;
        self.snapshots.retain(|snapshot| !snapshot.damaged);
        self.position = reach.map_or(base, |(_, last)| last);
        let after = self.log.range(base + 1..);
        self.log_bytes = after.map(|(_, group)| group_cost(group)).sum();
        Ok(())
    }

    /// Takes the snapshot about `budget` bytes of the log further.
    fn merge(&mut self, mut snapshot: Snapshot, budget: usize) -> Progress {
        let mut bytes = 0;
        while snapshot.at < snapshot.until && bytes < budget as u64 {
            snapshot.at += 1;
            let group = &self.log[&snapshot.at];
            apply(&mut snapshot.state, group);
            bytes += group_cost(group);
        }
        if snapshot.at < snapshot.until {
            self.merging = Some(snapshot);
            return Progress::More;
        }
        let after = self.log.range(snapshot.at + 1..);
        self.log_bytes = after.map(|(_, group)| group_cost(group)).sum();
        self.snapshots.push(snapshot);
        if self.snapshots.len() > 2 {
            self.snapshots.remove(0);
        }
        Progress::Done
    }

    fn floor(&self) -> u64 {
        if self.snapshots.len() < 2 {
            0
        } else {
            self.snapshots[0].at
        }
    }
}

impl Journal for Memory {
    fn load(&mut self) -> Result<Loaded, Error> {
        let platter = self.platter();
        if let Some(error) = &platter.failed {
            return Err(error.clone());
        }
        let state = platter.state();
        let pages = state.into_iter().map(|(key, value)| {
            let mut page = Page::default();
            page.push(&key, Some(&value));
            Ok(page)
        });
        Ok(Loaded {
            position: platter.position,
            records: Records::new(pages),
        })
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
        let snapshot = match platter.merging.take() {
            Some(snapshot) => snapshot,
            None => {
                let newest = platter.newest().cloned().unwrap_or_default();
                if newest.at == platter.position {
                    return Ok(Progress::Done);
                }
                Snapshot {
                    until: platter.position,
                    ..newest
                }
            }
        };
        Ok(platter.merge(snapshot, budget))
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
            snapshot: platter.newest().map_or(0, Snapshot::bytes),
        }
    }
}
