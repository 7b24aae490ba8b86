//! The file REACH: up to where the log is known to reach, outside of the log, and the seal of its frames.
//!
//! ```text
//!   clean stop           : the last position       start : what the raw log proves, before sled opens
//! ```
//!
//! The position only grows, since a log never becomes shorter; so nothing need be taken back when the
//! next process appends. A log that ends before it has lost something: `replay` refuses that.

use crate::directory::{private, sync_dir};
use crate::error::Error;
use crate::frame::Seal;
use std::fs;
use std::hash::{BuildHasher, RandomState};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

pub(crate) const REACH: &str = "REACH";
pub(crate) const REACH_PARTIAL: &str = "REACH.partial";
const FIRST_LINE: &str = "dormouse log";

/// What is known of the log of one directory.
#[derive(Debug)]
pub(crate) struct Reach {
    dir: PathBuf,
    seal: Seal,
    position: u64,
}

impl Reach {
    /// Makes the file for a new log, with a seal of its own; one that is there already stays.
    pub(crate) fn begin(dir: &Path) -> Result<Self, Error> {
        if dir.join(REACH).exists() {
            return Self::open(dir);
        }
        // The keys of the standard library's hasher are the randomness at hand.
        let seal = RandomState::new().hash_one(dir).to_le_bytes();
        let reach = Self {
            dir: dir.to_owned(),
            seal,
            position: 0,
        };
        reach.write(0)?;
        Ok(reach)
    }

    /// Reads the file of a log that is not new.
    pub(crate) fn open(dir: &Path) -> Result<Self, Error> {
        let path = dir.join(REACH);
        let text = match fs::read(&path) {
            Ok(text) => text,
            Err(e) if e.kind() == io::ErrorKind::NotFound => {
                return Err(Error::damaged(&path, "it is not there"));
            }
            Err(e) => return Err(Error::unusable("read", &path)(e)),
        };
        let (seal, position) =
            parse(&text).ok_or_else(|| Error::damaged(&path, "it is not as it was written"))?;
        Ok(Self {
            dir: dir.to_owned(),
            seal,
            position,
        })
    }

    /// What marks the frames of this log.
    pub(crate) fn seal(&self) -> Seal {
        self.seal
    }

    /// Groups up to here were durable: a log that ends before has lost some.
    pub(crate) fn position(&self) -> u64 {
        self.position
    }

    /// Notes durably that the log reaches at least to `position`.
    pub(crate) fn raise(&mut self, position: u64) -> Result<(), Error> {
        if position > self.position {
            self.write(position)?;
            self.position = position;
        }
        Ok(())
    }

    fn write(&self, position: u64) -> Result<(), Error> {
        let path = self.dir.join(REACH);
        let partial = self.dir.join(REACH_PARTIAL);
        let write = || -> io::Result<()> {
            let mut file = private()
                .create(true)
                .truncate(true)
                .write(true)
                .open(&partial)?;
            file.write_all(text(self.seal, position).as_bytes())?;
            file.sync_all()?;
            fs::rename(&partial, &path)?;
            sync_dir(&self.dir)
        };
        write().map_err(Error::unusable("write", &path))
    }
}

fn text(seal: Seal, position: u64) -> String {
    let seal = u64::from_be_bytes(seal);
    let body = format!("{FIRST_LINE}\nversion = 1\nseal = {seal:016x}\nreaches = {position}\n");
    let crc = crc32c::crc32c(body.as_bytes());
    format!("{body}crc32c = {crc:08x}\n")
}

/// The seal and the position, if the text is exactly what [`text`] makes of them.
fn parse(bytes: &[u8]) -> Option<(Seal, u64)> {
    let found = std::str::from_utf8(bytes).ok()?;
    let value = |name: &str| {
        let mut lines = found.lines();
        lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(" = "))
    };
    let seal = u64::from_str_radix(value("seal")?, 16).ok()?.to_be_bytes();
    let position = value("reaches")?.parse().ok()?;
    (found == text(seal, position)).then_some((seal, position))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_flipped_bit_and_every_cut_is_found() {
        let text = text(*b"\x00ealed\xff ", 4711).into_bytes();
        assert_eq!(parse(&text), Some((*b"\x00ealed\xff ", 4711)));
        for at in 0..text.len() {
            assert_eq!(parse(&text[..at]), None, "cut at {at}");
            for bit in 0..8 {
                let mut flipped = text.clone();
                flipped[at] ^= 1 << bit;
                assert_eq!(parse(&flipped), None, "byte {at} bit {bit}");
            }
        }
    }

    #[test]
    fn it_only_grows_and_every_log_has_a_seal_of_its_own() {
        let dir = tempfile::tempdir().unwrap();
        let mut reach = Reach::begin(dir.path()).unwrap();
        reach.raise(9).unwrap();
        reach.raise(3).unwrap();
        for again in [Reach::open(dir.path()), Reach::begin(dir.path())] {
            let again = again.unwrap();
            assert_eq!((again.position(), again.seal()), (9, reach.seal()));
        }
        fs::remove_file(dir.path().join(REACH)).unwrap();
        Reach::open(dir.path()).expect_err("it is not there");
        let other = Reach::begin(dir.path()).unwrap();
        assert_ne!(other.seal(), reach.seal());
    }
}
