//! What a disk can do to a journal, and what a start makes of it: a torn end is forgotten, since nobody
//! was told of it; whatever else does not read stops the start, and nothing is deleted.
//!
//! The tests reach into the log through sled itself, at `first:u64be chunk:u32be`.
#![allow(clippy::unwrap_used, reason = "a test ends at what it did not expect")]

mod bytes;
mod log;
mod snapshots;

use dormouse_store::{Config, Disk, Entry, Error, Folded, Group, Journal, Kind, Progress};
use std::fs;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

pub(crate) struct Store {
    pub(crate) dir: TempDir,
}

impl Store {
    /// A store with `count` groups, the nth putting key n with 20 KB: three chunks each.
    pub(crate) fn with_groups(count: u8) -> Self {
        let store = Self {
            dir: tempfile::tempdir().unwrap(),
        };
        let mut disk = store.open().unwrap();
        (1..=count).for_each(|n| assert_eq!(disk.append(&group(n)).unwrap(), u64::from(n)));
        store
    }

    pub(crate) fn open(&self) -> Result<Disk, Error> {
        Disk::open(&Config::new(self.dir.path(), Kind::Agent, "default/n1"))
    }

    pub(crate) fn load(&self) -> Result<Folded, Error> {
        self.open()?.load()?.collect()
    }

    pub(crate) fn refused(&self) -> Error {
        let error = self.load().expect_err("a damaged store does not open");
        assert!(error.is_config(), "{error}");
        error
    }

    pub(crate) fn path(&self, part: &str) -> PathBuf {
        self.dir.path().join(part)
    }

    pub(crate) fn files(&self, part: &str) -> Vec<PathBuf> {
        let mut files: Vec<_> = fs::read_dir(self.path(part))
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .collect();
        files.sort();
        files
    }

    /// Changes the log behind the store's back.
    pub(crate) fn tamper(&self, change: impl FnOnce(&sled::Db)) {
        let config = sled::Config::new()
            .path(self.path("log"))
            .flush_every_ms(None);
        // sled lets its lock go some milliseconds after it was dropped.
        let db = (0..250).find_map(|_| {
            let db = config.open().ok();
            if db.is_none() {
                std::thread::sleep(std::time::Duration::from_millis(20));
            }
            db
        });
        let db = db.expect("the log opens");
        change(&db);
        db.flush().unwrap();
    }

    pub(crate) fn snapshot(&self, disk: &mut Disk) -> PathBuf {
        finish_snapshot(disk, 10_000);
        self.files("snapshots").pop().unwrap()
    }
}

pub(crate) fn finish_snapshot(disk: &mut Disk, budget: usize) {
    loop {
        match disk.snapshot(budget).unwrap() {
            Progress::More => {}
            Progress::Waiting => std::thread::sleep(std::time::Duration::from_millis(1)),
            Progress::Done => return,
        }
    }
}

pub(crate) fn group(n: u8) -> Group {
    vec![Entry::put(vec![n], vec![n; 20_000])]
}

pub(crate) fn key(first: u64, chunk: u32) -> Vec<u8> {
    [&first.to_be_bytes()[..], &chunk.to_be_bytes()[..]].concat()
}

pub(crate) fn flip(path: &Path, at: usize) {
    let mut bytes = fs::read(path).unwrap();
    bytes[at] ^= 0x40;
    fs::write(path, bytes).unwrap();
}

pub(crate) fn flip_value(db: &sled::Db, key: &[u8]) {
    let mut value = db.get(key).unwrap().expect("the chunk is there").to_vec();
    let last = value.len() - 1;
    value[last] ^= 1;
    db.insert(key, value).unwrap();
}
