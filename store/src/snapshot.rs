//! The published snapshots of a directory: what all groups up to a position fold to, the last two kept.
//!
//! ```text
//!   snapshots/00000000000000004711.snapshot     all groups up to 4711      merge.partial   not finished
//! ```
//!
//! What a file looks like inside is left to `blocks`, when one is made to `merging`. A crash between any two
//! steps of `publish` leaves a directory that opens to the same state; the steps are numbered there.

use crate::blocks::{BlockReader, Totals};
use crate::directory::{private, set_aside, sync_dir};
use crate::error::Error;
use std::fs::{self, File};
use std::path::{Path, PathBuf};

const SUFFIX: &str = ".snapshot";
/// What is being written.
const PARTIAL: &str = "merge.partial";
/// Where runs have a name for a moment: those of a merge, and those of a start.
const RUNS: [&str; 2] = ["merge-run.partial", "start-run.partial"];

fn parse_name(name: &str) -> Option<u64> {
    name.strip_suffix(SUFFIX)?.parse().ok()
}

fn path_of(dir: &Path, at: u64) -> PathBuf {
    dir.join(format!("{at:020}{SUFFIX}"))
}

/// A snapshot that was published.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Published {
    /// The group up to which it holds everything; 0 if there is none.
    pub at: u64,
    pub totals: Totals,
}

/// The published snapshots of one directory.
#[derive(Debug)]
pub(crate) struct Snapshots {
    dir: PathBuf,
    aside: PathBuf,
    /// The positions of all but the newest, oldest first.
    older: Vec<u64>,
    newest: Published,
}

impl Snapshots {
    /// Removes what was not finished, and finds the newest snapshot that reads and that `reaches` accepts.
    /// Damaged ones are set aside, but only when an older one, or the whole log, takes their place.
    pub(crate) fn open(
        dir: &Path,
        aside: &Path,
        reaches: impl Fn(u64) -> Result<(), Error>,
    ) -> Result<Self, Error> {
        let mut snapshots = Self {
            dir: dir.to_owned(),
            aside: aside.to_owned(),
            older: list(dir)?,
            newest: Published {
                at: 0,
                totals: Totals::default(),
            },
        };
        let damaged = snapshots.find_newest()?;
        match (reaches(snapshots.newest.at), damaged.first()) {
            (Ok(()), _) => {}
            (Err(_), Some((_, damage))) => return Err(damage.clone()),
            (Err(error), None) => return Err(error),
        }
        for (at, _) in &damaged {
            set_aside(&path_of(dir, *at), &snapshots.aside)?;
        }
        Ok(snapshots)
    }

    fn find_newest(&mut self) -> Result<Vec<(u64, Error)>, Error> {
        let mut damaged = Vec::new();
        while let Some(at) = self.older.pop() {
            match open(&self.dir, at).and_then(BlockReader::verify) {
                Ok(totals) => {
                    self.newest = Published { at, totals };
                    break;
                }
                Err(error @ Error::Damaged { .. }) => {
                    tracing::error!(%error, "a snapshot does not read; trying an older one");
                    damaged.push((at, error));
                }
                Err(error) => return Err(error),
            }
        }
        Ok(damaged)
    }

    pub(crate) fn newest(&self) -> Published {
        self.newest
    }

    /// The newest one, to be read; `None` if there is none.
    pub(crate) fn read_newest(&self) -> Result<Option<BlockReader>, Error> {
        let at = self.newest.at;
        (at > 0).then(|| open(&self.dir, at)).transpose()
    }

    /// The log may be dropped up to here: the older snapshot must stay useful.
    pub(crate) fn floor(&self) -> u64 {
        self.older.last().copied().unwrap_or(0)
    }

    /// Where a start may put down its runs.
    pub(crate) fn start_run(&self) -> PathBuf {
        self.dir.join(RUNS[1])
    }

    /// What a merge needs to know to write and publish one at group `at`.
    pub(crate) fn place(&self, at: u64) -> Place {
        Place {
            dir: self.dir.clone(),
            at,
            stays: self.newest.at,
        }
    }

    /// Takes notice of what `publish` has done.
    pub(crate) fn note(&mut self, published: Published) {
        self.older.clear();
        if self.newest.at > 0 && self.newest.at < published.at {
            self.older.push(self.newest.at);
        }
        self.newest = published;
    }
}

/// Where a snapshot is to be.
pub(crate) struct Place {
    dir: PathBuf,
    pub at: u64,
    /// The snapshot that is kept besides the new one.
    stays: u64,
}

impl Place {
    /// The file to write to; one that was given up is written over.
    pub(crate) fn create(&self) -> Result<(File, PathBuf), Error> {
        let path = self.dir.join(PARTIAL);
        let mut options = private();
        let file = options.create(true).truncate(true).write(true).open(&path);
        Ok((file.map_err(Error::io("create", &path))?, path))
    }

    /// Where a merge may put down its runs.
    pub(crate) fn run(&self) -> PathBuf {
        self.dir.join(RUNS[0])
    }

    /// Publishes what was written, durably, and removes all but the last two.
    ///
    /// ```text
    ///   a crash after          leaves                               and a start
    ///   1 nothing yet          merge.partial, in part or whole      removes it
    ///   2 fsync of the file    merge.partial, whole                 removes it
    ///   3 rename               the new name, or after a power cut   begins at either: the log reaches
    ///                          still merge.partial                  over both until 5
    ///   4 fsync of snapshots/  three snapshots                      begins at the newest, keeps all
    ///   5 unlink of the rest   two                                  begins at the newest
    /// ```
    ///
    /// The log is dropped only after this, and only up to the older one of the two.
    pub(crate) fn publish(&self, file: &File, totals: Totals) -> Result<Published, Error> {
        let path = path_of(&self.dir, self.at);
        file.sync_all()
            .and_then(|()| fs::rename(self.dir.join(PARTIAL), &path))
            .and_then(|()| sync_dir(&self.dir))
            .map_err(Error::io("publish", &path))?;
        let published = Published {
            at: self.at,
            totals,
        };
        for at in list(&self.dir)? {
            if at != self.at && at != self.stays {
                let old = path_of(&self.dir, at);
                fs::remove_file(&old).map_err(Error::io("remove", &old))?;
            }
        }
        sync_dir(&self.dir).map_err(Error::io("sync", &self.dir))?;
        Ok(published)
    }
}

fn open(dir: &Path, at: u64) -> Result<BlockReader, Error> {
    let path = path_of(dir, at);
    let file = File::open(&path).map_err(Error::unusable("open", &path))?;
    BlockReader::new(file, &path, at)
}

/// The positions of what is published, oldest first. What was not finished is removed.
pub(crate) fn list(dir: &Path) -> Result<Vec<u64>, Error> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).map_err(Error::unusable("read directory", dir))? {
        let entry = entry.map_err(Error::unusable("read directory", dir))?;
        let name = entry.file_name();
        if let Some(at) = name.to_str().and_then(parse_name) {
            found.push(at);
        } else if name == PARTIAL || RUNS.iter().any(|run| name == *run) {
            fs::remove_file(entry.path()).map_err(Error::unusable("remove", &entry.path()))?;
        }
    }
    found.sort_unstable();
    Ok(found)
}
