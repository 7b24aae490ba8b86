//! The journal on disk: a log of units in sled, snapshots in files, and nothing of the state in memory.
//!
//! A start reads the newest snapshot and the log after it, once, as a stream that its caller takes in. A new
//! snapshot is merged on disk from the same two (`merging`), beside the appends. Opening a directory is in
//! `directory`, what counts of a log in `replay`; why it is so is told in `docs/design/journal.md`.

use crate::codec;
use crate::directory::{Config, Directory};
use crate::entry::Group;
use crate::error::Error;
use crate::fold::Fold;
use crate::journal::{Journal, Loaded, Progress, Size};
use crate::log::Log;
use crate::merge::{Merge, Source};
use crate::merging::{Merging, Step, Wake};
use crate::proof;
use crate::reach::Reach;
use crate::records::Records;
use crate::recover;
use crate::replay::{self, Replay};
use crate::snapshot::{self, Snapshots};

/// A journal in a data directory, which is locked as long as this lives.
pub struct Disk {
    // The first field: its thread ends before anything else is closed.
    merging: Option<Merging>,
    log: Log,
    snapshots: Snapshots,
    /// What the log after the newest snapshot folds to, from the start until it is loaded or outdated.
    folded: Option<Fold>,
    position: u64,
    /// Bytes that a start would read of the log after the newest snapshot.
    log_bytes: u64,
    wake: Option<Wake>,
    failed: Option<Error>,
    reach: Reach,
    reserve_bytes: u64,
    // The last field: the lock is freed after everything else is closed.
    dir: Directory,
}

impl Disk {
    /// Opens the data directory, makes it if there is none, and verifies that all that is durable in it reads.
    ///
    /// # Errors
    /// Each of them says what to do; [`Error::is_config`] is true for all of them but a failing disk.
    /// Nothing is ever replaced by something empty.
    pub fn open(config: &Config) -> Result<Self, Error> {
        let mut dir = Directory::open(config)?;
        let reach = known_reach(&dir)?;
        let mut log = Log::open(&dir.log(), &dir.set_aside(), reach.seal())?;
        if dir.is_fresh() {
            refuse_used(&dir, &log)?;
            log.begin()?;
            dir.finish_creation()?;
        }
        if !log.has_begun()? {
            return Err(Error::damaged(
                &dir.log(),
                "the log is empty and was not before",
            ));
        }
        let held = replay::reach(&mut log, reach.position())?;
        let reaches = |at| recover::check(at, held).map_err(|what| Error::damaged(log.dir(), what));
        let snapshots = Snapshots::open(&dir.snapshots(), &dir.set_aside(), reaches)?;
        let mut disk = Self {
            merging: None,
            log,
            snapshots,
            folded: None,
            position: held.map_or(0, |(_, last)| last),
            log_bytes: 0,
            wake: None,
            failed: None,
            reach,
            reserve_bytes: config.reserve_bytes,
            dir,
        };
        let (folded, bytes) = disk.fold()?;
        (disk.folded, disk.log_bytes) = (Some(folded), bytes);
        Ok(disk)
    }

    /// Folds the log after the newest snapshot, and says how many bytes of it there are.
    fn fold(&self) -> Result<(Fold, u64), Error> {
        let mut fold = Fold::new(&self.snapshots.start_run());
        let mut replay = Replay::after(self.snapshots.newest().at);
        replay.fold(&self.log, self.position, &mut fold)?;
        Ok((fold, replay.bytes))
    }

    fn write(&mut self, groups: &[Group]) -> Result<u64, Error> {
        let payload = codec::encode_unit(groups);
        self.check_space(4 * payload.len() as u64)?;
        let last = self.position + groups.len() as u64;
        self.log.put(self.position + 1, last, &payload)?;
        self.folded = None;
        self.log_bytes += payload.len() as u64;
        self.position = last;
        Ok(last)
    }

    fn check_space(&self, bytes: u64) -> Result<(), Error> {
        let free = self.log.free_bytes()?;
        let needed = self.reserve_bytes.saturating_add(bytes);
        if free < needed {
            return Err(Error::Full {
                dir: self.dir.path().to_owned(),
                free,
                needed,
            });
        }
        Ok(())
    }

    /// Begins a snapshot of what is durable now, if a group came after the newest one.
    fn begin_snapshot(&self) -> Result<Option<Merging>, Error> {
        let newest = self.snapshots.newest();
        if self.position == newest.at {
            return Ok(None);
        }
        // The log once more as runs, and what comes of both.
        self.check_space(newest.totals.bytes + 2 * self.log_bytes)?;
        let wake = self.wake.clone();
        let merging = Merging::begin(&self.snapshots, self.position, self.log_bytes, wake)?;
        Ok(Some(merging))
    }

    fn drop_below(&mut self, position: u64, budget: usize) -> Result<Progress, Error> {
        // A unit goes whole or not at all: one that holds groups on both sides of the floor stays.
        let next = self
            .log
            .first_from(position + 1)?
            .unwrap_or(self.position + 1);
        let end = if next == position + 1 {
            Some(next)
        } else {
            self.log.first_below(position + 1)?
        };
        let Some(end) = end else {
            return Ok(Progress::Done);
        };
        let keys = self.log.keys_below(end, budget.max(1))?;
        self.log.remove(&keys)?;
        Ok(if keys.len() < budget {
            Progress::Done
        } else {
            Progress::More
        })
    }

    /// Once something failed, nothing is written any more.
    fn fused<T>(&mut self, act: impl FnOnce(&mut Self) -> Result<T, Error>) -> Result<T, Error> {
        if let Some(error) = &self.failed {
            return Err(error.clone());
        }
        act(self).inspect_err(|error| self.failed = Some(error.stopped()))
    }
}

impl Journal for Disk {
    fn load(&mut self) -> Result<Loaded, Error> {
        let folded = match self.folded.take() {
            Some(folded) => folded,
            None => self.fold()?.0,
        };
        let base = self.snapshots.read_newest()?.map(Source::new).transpose()?;
        let sources = base.into_iter().chain(folded.into_sources()?);
        Ok(Loaded {
            position: self.position,
            records: Records::new(Merge::new(sources.collect())),
        })
    }

    fn append_all(&mut self, groups: &[Group]) -> Result<u64, Error> {
        self.fused(|disk| {
            if groups.is_empty() {
                Ok(disk.position)
            } else {
                disk.write(groups)
            }
        })
    }

    fn snapshot(&mut self, budget: usize) -> Result<Progress, Error> {
        let mut merging = match self.merging.take() {
            Some(merging) => merging,
            None => match self.begin_snapshot()? {
                Some(merging) => merging,
                None => return Ok(Progress::Done),
            },
        };
        // After an error it is dropped, and so given up.
        let progress = match merging.step(&self.log, budget)? {
            Step::Published(published) => {
                self.snapshots.note(published);
                self.log_bytes -= merging.log_bytes;
                return Ok(Progress::Done);
            }
            Step::Feed => Progress::More,
            Step::Wait => Progress::Waiting,
        };
        self.merging = Some(merging);
        Ok(progress)
    }

    fn wake_with(&mut self, wake: Wake) {
        self.wake = Some(wake);
    }

    fn truncate(&mut self, position: u64, budget: usize) -> Result<Progress, Error> {
        let position = position.min(self.snapshots.floor());
        self.fused(|disk| disk.drop_below(position, budget))
    }

    fn close(&mut self) -> Result<(), Error> {
        let position = self.position;
        self.fused(|disk| disk.reach.raise(position))
    }

    fn size(&self) -> Size {
        Size {
            log: self.log_bytes,
            snapshot: self.snapshots.newest().totals.bytes,
        }
    }
}

/// How far the log must reach. What its bytes prove is noted before sled opens, because sled blanks what
/// it takes for torn: the next start could not prove it again.
fn known_reach(dir: &Directory) -> Result<Reach, Error> {
    if dir.is_fresh() {
        return Reach::begin(dir.path());
    }
    let db = dir.log().join("db");
    if !db.exists() {
        return Err(Error::damaged(&dir.log(), "the log is not there"));
    }
    let mut reach = Reach::open(dir.path())?;
    let proven = proof::durable_position(&db, reach.seal());
    reach.raise(proven.map_err(Error::unusable("read", &db))?)?;
    Ok(reach)
}

/// A directory without FORMAT is taken for a new one only if nothing is in it.
fn refuse_used(dir: &Directory, log: &Log) -> Result<(), Error> {
    if log.first_from(1)?.is_some() || !snapshot::list(&dir.snapshots())?.is_empty() {
        return Err(Error::damaged(
            dir.path(),
            "the FORMAT file is missing, but there are groups",
        ));
    }
    Ok(())
}
