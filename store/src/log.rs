//! sled as a log: units under ascending keys, durable one after the other.
//!
//! Everything that is known about sled 0.34.7 and power cuts is obeyed here and nowhere else: one
//! writer, `flush` and then `fdatasync` after every unit, small values, leftovers removed before
//! opening, panics caught. Which units count is decided in `replay`.

use crate::directory::{self, private, sync_dir};
use crate::error::Error;
use crate::frame::{self, Seal};
use sled::IVec;
use std::fs::{self, File, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// sled's default is 1 GiB; a log is read once.
const CACHE_BYTES: u64 = 8 << 20;

/// At most this many chunks (about 220 KiB) are ever behind the last fdatasync.
const CHUNKS_PER_SYNC: usize = 32;

/// A snapshot of sled that is this short has no content; sled would refuse to open.
const SLED_SNAPSHOT_BYTES_EMPTY: u64 = 12;

/// sled lets its file go some milliseconds after it was dropped; so often we look again.
const LOCK_RETRIES: u32 = 250;
const LOCK_RETRY_AFTER: Duration = Duration::from_millis(20);

/// The log. There is one writer: whoever has it mutably.
pub(crate) struct Log {
    db: sled::Db,
    file: File,
    path: PathBuf,
    seal: Seal,
}

/// The chunks of a unit, which is what stands under one first position, in key order.
pub(crate) struct Chunks {
    pub first: u64,
    pub chunks: Vec<(IVec, IVec)>,
}

impl Log {
    /// Opens the log in `dir`, after removing or setting aside what a power cut makes sled stumble on.
    pub(crate) fn open(dir: &Path, aside: &Path, seal: Seal) -> Result<Self, Error> {
        clear_leftovers(dir, aside)?;
        // Before sled opens, because it then publishes a snapshot of its own over what a killed process
        // had only written; and after, because what is found counts as durable from here on.
        make_private_and_durable(dir).map_err(Error::unusable("sync", dir))?;
        let config = sled::Config::new()
            .path(dir)
            .cache_capacity(CACHE_BYTES)
            .flush_every_ms(None)
            .mode(sled::Mode::HighThroughput);
        let db = open_patiently(&config).map_err(|e| refused(dir, &e))?;
        let path = dir.join("db");
        let file = File::open(&path).map_err(Error::unusable("open", &path))?;
        make_private_and_durable(dir).map_err(Error::unusable("sync", dir))?;
        Ok(Self {
            db,
            file,
            path,
            seal,
        })
    }

    /// Writes the mark that this log has begun; a log without it has lost everything.
    pub(crate) fn begin(&mut self) -> Result<(), Error> {
        self.put(0, 0, &[])
    }

    /// True if the mark of [`begin`](Self::begin) is there.
    pub(crate) fn has_begun(&self) -> Result<bool, Error> {
        self.reading(|db| db.contains_key(frame::key(0, 0)))
    }

    /// Makes one unit durable. After an error the log must not be used any more.
    pub(crate) fn put(&mut self, first: u64, last: u64, payload: &[u8]) -> Result<(), Error> {
        let chunks = frame::split(self.seal, first, last, payload);
        for some in chunks.chunks(CHUNKS_PER_SYNC) {
            self.writing("append to", |db| {
                some.iter()
                    .try_for_each(|(key, value)| db.insert(key, value.as_slice()).map(|_| ()))
            })?;
        }
        Ok(())
    }

    /// Removes keys durably. After an error the log must not be used any more.
    pub(crate) fn remove(&mut self, keys: &[IVec]) -> Result<(), Error> {
        for some in keys.chunks(2 * CHUNKS_PER_SYNC) {
            self.writing("truncate", |db| {
                some.iter().try_for_each(|key| db.remove(key).map(|_| ()))
            })?;
        }
        Ok(())
    }

    /// The last unit, complete or not.
    pub(crate) fn last(&self) -> Result<Option<Chunks>, Error> {
        self.reading(|db| {
            let Some((key, _)) = db.range(frame::key(1, 0)..).next_back().transpose()? else {
                return Ok(None);
            };
            let first = first_of(&key);
            let chunks = db
                .range(frame::key(first, 0)..)
                .collect::<sled::Result<_>>()?;
            Ok(Some(Chunks { first, chunks }))
        })
    }

    /// The first position of the first unit at or above `position`.
    pub(crate) fn first_from(&self, position: u64) -> Result<Option<u64>, Error> {
        self.reading(|db| {
            let head = db.range(frame::key(position, 0)..).next().transpose()?;
            Ok(head.map(|(key, _)| first_of(&key)))
        })
    }

    /// The first position of the last unit that begins below `position`.
    pub(crate) fn first_below(&self, position: u64) -> Result<Option<u64>, Error> {
        self.reading(|db| {
            let tail = db
                .range(frame::key(1, 0)..frame::key(position, 0))
                .next_back()
                .transpose()?;
            Ok(tail.map(|(key, _)| first_of(&key)))
        })
    }

    /// At most `count` of the oldest keys of units that begin below `position`.
    pub(crate) fn keys_below(&self, position: u64, count: usize) -> Result<Vec<IVec>, Error> {
        self.reading(|db| {
            let range = db.range(frame::key(1, 0)..frame::key(position, 0));
            range
                .take(count)
                .map(|item| item.map(|(key, _)| key))
                .collect()
        })
    }

    /// The units that begin at or above `position`, in order, about `budget` bytes of them and at least one if
    /// there is any.
    pub(crate) fn units_from(&self, position: u64, budget: usize) -> Result<Vec<Chunks>, Error> {
        self.reading(|db| {
            let mut units: Vec<Chunks> = Vec::new();
            let mut bytes = 0;
            for item in db.range(frame::key(position, 0)..) {
                let (key, value) = item?;
                let first = first_of(&key);
                let length = value.len();
                match units.last_mut() {
                    Some(unit) if unit.first == first => unit.chunks.push((key, value)),
                    Some(_) if bytes >= budget => break,
                    _ => units.push(Chunks {
                        first,
                        chunks: vec![(key, value)],
                    }),
                }
                bytes += length;
            }
            Ok(units)
        })
    }

    /// The directory of the log, for errors.
    pub(crate) fn dir(&self) -> &Path {
        self.path
            .parent()
            .expect("the file of the log is in its directory")
    }

    /// Bytes that are free on its disk for this user.
    pub(crate) fn free_bytes(&self) -> Result<u64, Error> {
        let stat = rustix::fs::fstatvfs(&self.file)
            .map_err(|e| Error::io("ask for free space on", &self.path)(e.into()))?;
        Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
    }

    fn reading<T>(&self, read: impl FnOnce(&sled::Db) -> sled::Result<T>) -> Result<T, Error> {
        guarded(|| read(&self.db)).map_err(|e| refused(self.dir(), &e))
    }

    /// Changes something, then makes it durable: sled's flush writes, only fdatasync keeps.
    fn writing(
        &mut self,
        doing: &'static str,
        write: impl FnOnce(&sled::Db) -> sled::Result<()>,
    ) -> Result<(), Error> {
        let written = guarded(|| write(&self.db).and_then(|()| self.db.flush().map(|_| ())));
        written.and_then(|()| self.file.sync_data()).map_err(|e| {
            // sled would flush once more when it is dropped, and may wait for ever for a write that
            // failed: it is left as it is, because the process must end now.
            std::mem::forget(self.db.clone());
            Error::io(doing, &self.path)(e)
        })
    }
}

fn first_of(key: &[u8]) -> u64 {
    // A key that is not ours counts as the last one of all, where it stops the start.
    frame::parse_key(key).map_or(u64::MAX, |(first, _)| first)
}

fn refused(dir: &Path, error: &io::Error) -> Error {
    Error::damaged(dir, format!("sled says: {error}"))
}

/// sled can panic on damaged files: that is an error of the disk, not of the program.
fn guarded<T>(call: impl FnOnce() -> sled::Result<T>) -> io::Result<T> {
    match catch_unwind(AssertUnwindSafe(call)) {
        Ok(result) => result.map_err(io::Error::from),
        Err(panic) => {
            let text = panic
                .downcast_ref::<String>()
                .map(String::as_str)
                .or_else(|| panic.downcast_ref::<&str>().copied())
                .unwrap_or("of unknown cause");
            Err(io::Error::other(format!("a panic in sled: {text}")))
        }
    }
}

fn open_patiently(config: &sled::Config) -> io::Result<sled::Db> {
    let mut tries = LOCK_RETRIES;
    loop {
        match guarded(|| config.open()) {
            Err(e) if tries > 0 && e.to_string().contains("could not acquire lock") => {
                tries -= 1;
                std::thread::sleep(LOCK_RETRY_AFTER);
            }
            result => return result,
        }
    }
}

fn clear_leftovers(dir: &Path, aside: &Path) -> Result<(), Error> {
    let list = fs::read_dir(dir).map_err(Error::unusable("read directory", dir))?;
    for entry in list {
        let path = entry
            .map_err(Error::unusable("read directory", dir))?
            .path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if !name.starts_with("snap.") {
            continue;
        }
        if name.ends_with(".generating") {
            fs::remove_file(&path).map_err(Error::unusable("remove", &path))?;
            continue;
        }
        let length = fs::metadata(&path)
            .map_err(Error::unusable("read", &path))?
            .len();
        if length <= SLED_SNAPSHOT_BYTES_EMPTY {
            directory::set_aside(&path, aside)?;
        }
    }
    Ok(())
}

/// sled syncs neither its directory nor its `conf`, and makes its files readable for all.
fn make_private_and_durable(dir: &Path) -> io::Result<()> {
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        if path.is_file() {
            fs::set_permissions(&path, Permissions::from_mode(0o600))?;
            private().read(true).open(&path)?.sync_all()?;
        } else {
            fs::set_permissions(&path, Permissions::from_mode(0o700))?;
            sync_dir(&path)?;
        }
    }
    sync_dir(dir)
}
