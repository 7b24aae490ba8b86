//! The journals under test, as far as the seam does not reach: how to restart and damage them.
//!
//! For the disk a start opens the same directory again; for the memory it is the crash of the one
//! before, which is all that a new process would find.

use dormouse_store::{Config, Disk, Error, Journal, Kind, Memory};
use std::fs;
use std::path::PathBuf;
use tempfile::TempDir;

/// A journal that can be started again and again over the same durable content.
pub(crate) trait Subject {
    /// What is under test.
    type Journal: Journal;
    /// Starts a process over what is durable now; the journal before must have been dropped.
    fn start(&mut self) -> Result<Self::Journal, Error>;
    /// Flips a bit in the newest snapshot that still reads.
    fn damage_newest_snapshot(&mut self);

    /// As `start`, where it must succeed.
    fn up(&mut self) -> Self::Journal {
        self.start().expect("what is durable is whole")
    }
}

pub(crate) struct OnDisk {
    dir: TempDir,
    /// Snapshots damaged since the last start, which sets them aside.
    damaged: usize,
}

impl OnDisk {
    pub(crate) fn new() -> Self {
        Self {
            dir: tempfile::tempdir().expect("a temporary directory"),
            damaged: 0,
        }
    }
}

impl Subject for OnDisk {
    type Journal = Disk;

    fn start(&mut self) -> Result<Disk, Error> {
        self.damaged = 0;
        Disk::open(&Config::new(self.dir.path(), Kind::Agent, "default/n1"))
    }

    fn damage_newest_snapshot(&mut self) {
        let list = fs::read_dir(self.dir.path().join("snapshots")).expect("it was made");
        let files = list.map(|entry| entry.expect("it reads").path());
        let published = |path: &PathBuf| path.extension().is_some_and(|end| end == "snapshot");
        let mut files: Vec<_> = files.filter(published).collect();
        files.sort();
        files.truncate(files.len() - self.damaged);
        self.damaged += 1;
        let newest = files.last().expect("there is a snapshot");
        let mut bytes = fs::read(newest).expect("it reads");
        let middle = bytes.len() / 2;
        bytes[middle] ^= 0x10;
        fs::write(newest, bytes).expect("it is writable");
    }
}

#[derive(Default)]
pub(crate) struct InMemory {
    memory: Memory,
}

impl Subject for InMemory {
    type Journal = Memory;

    fn start(&mut self) -> Result<Memory, Error> {
        self.memory = self.memory.crash();
        let mut journal = self.memory.clone();
        journal.load().map(|_| journal)
    }

    fn damage_newest_snapshot(&mut self) {
        assert!(self.memory.damage_newest_snapshot(), "there is a snapshot");
    }
}
