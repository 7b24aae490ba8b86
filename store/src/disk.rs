//! The journal on disk: a log of units in sled, the folded image in memory, snapshots in files.
//!
//! The image is kept here, so that a snapshot needs nobody's help: only what is durable is folded in,
//! and a walk of the image between two appends can be published at once. What it costs is told in
//! `docs/design/journal.md`. Opening a directory is in `directory`, what counts of a log in `replay`.

use crate::codec;
use crate::directory::{Config, Directory};
use crate::entry::Group;
use crate::error::Error;
use crate::image::{Image, group_cost};
use crate::journal::{Journal, Loaded, Progress, Size};
use crate::log::Log;
use crate::proof;
use crate::reach::Reach;
use crate::replay::{self, Recovered};
use crate::snapshot::{Snapshots, Walk};

/// A journal in a data directory, which is locked as long as this lives.
pub struct Disk {
    log: Log,
    snapshots: Snapshots,
    image: Image,
    position: u64,
    /// Bytes that a start would replay over the newest snapshot.
    log_bytes: u64,
    walk: Option<OpenWalk>,
    failed: Option<Error>,
    reach: Reach,
    reserve_bytes: u64,
    // The last field: the lock is freed after everything else is closed.
    dir: Directory,
}

struct OpenWalk {
    file: Walk,
    /// `log_bytes` when it began: what it makes superfluous.
    log_bytes: u64,
}

impl Disk {
    /// Opens the data directory, makes it if there is none, and recovers what is durable in it.
    ///
    /// # Errors
    /// Each of them says what to do; [`Error::is_config`] is true for all of them but a failing disk.
    /// Nothing is ever replaced by something empty.
    pub fn open(config: &Config) -> Result<Self, Error> {
        let mut dir = Directory::open(config)?;
        let reach = known_reach(&dir)?;
        let mut log = Log::open(&dir.log(), &dir.set_aside(), reach.seal())?;
        let mut snapshots = Snapshots::open(&dir.snapshots(), &dir.set_aside())?;
        if dir.is_fresh() {
            refuse_used(&dir, &log, &snapshots)?;
            log.begin()?;
            dir.finish_creation()?;
        }
        if !log.has_begun()? {
            return Err(Error::damaged(
                &dir.log(),
                "the log is empty and was not before",
            ));
        }
        let Recovered {
            image,
            position,
            log_bytes,
        } = replay::recover(&mut log, &mut snapshots, reach.position())?;
        Ok(Self {
            log,
            snapshots,
            image,
            position,
            log_bytes,
            walk: None,
            failed: None,
            reach,
            reserve_bytes: config.reserve_bytes,
            dir,
        })
    }

    fn write(&mut self, groups: &[Group]) -> Result<u64, Error> {
        let payload = codec::encode_unit(groups);
        self.check_space(4 * payload.len() as u64)?;
        let last = self.position + groups.len() as u64;
        self.log.put(self.position + 1, last, &payload)?;
        for group in groups {
            self.image.apply(group);
            self.log_bytes += group_cost(group);
        }
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

    fn walk_on(&mut self, mut walk: OpenWalk, budget: usize) -> Result<Progress, Error> {
        if walk.file.step(&self.image, budget)? {
            self.walk = Some(walk);
            return Ok(Progress::More);
        }
        self.snapshots.publish(walk.file, self.position)?;
        self.log_bytes -= walk.log_bytes;
        Ok(Progress::Done)
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
        Ok(Loaded {
            state: self.image.state().clone(),
            position: self.position,
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
        let walk = match self.walk.take() {
            Some(walk) => walk,
            None if self.position == self.snapshots.newest().map_or(0, |span| span.from) => {
                return Ok(Progress::Done);
            }
            None => {
                self.check_space(2 * self.image.bytes())?;
                OpenWalk {
                    file: self.snapshots.begin(self.position)?,
                    log_bytes: self.log_bytes,
                }
            }
        };
        self.walk_on(walk, budget)
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
            image: self.image.bytes(),
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
fn refuse_used(dir: &Directory, log: &Log, snapshots: &Snapshots) -> Result<(), Error> {
    if log.first_from(1)?.is_some() || snapshots.newest().is_some() {
        return Err(Error::damaged(
            dir.path(),
            "the FORMAT file is missing, but there are groups",
        ));
    }
    Ok(())
}
