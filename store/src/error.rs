//! Why a journal could not be opened or written, and what the caller may do about it.
//!
//! Errors of opening are about the directory and need a person ([`Error::is_config`], exit code 78);
//! errors of writing end the process, because what was decided could not be kept.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// What went wrong. After an error of a write the journal takes nothing more; nothing that an
/// [`Ok`] acknowledged is lost by any of them.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Error {
    /// Another process has the directory. Nothing was touched; retry when it has ended.
    #[error(
        "data directory {} is in use by another process{}; stop that one, or use another directory",
        dir.display(), pid.map(|pid| format!(" (pid {pid})")).unwrap_or_default()
    )]
    Locked {
        /// The data directory.
        dir: PathBuf,
        /// The process that wrote its id into the lock file, if it can be read.
        pid: Option<u32>,
    },

    /// A newer program wrote this. Nothing was touched.
    #[error(
        "{} has format {found}, this program knows up to {known}; \
         start the newer program again, or restore a backup from before the upgrade",
        path.display()
    )]
    Newer {
        /// What has the newer format.
        path: PathBuf,
        /// The format that was found.
        found: u32,
        /// The newest format that this program reads.
        known: u32,
    },

    /// A program from before the first release wrote this. Nothing was touched.
    #[error(
        "{} has format {found}, from before the first release, and this program reads only {known}; \
         move the data directory aside to start empty, and before that, if the timers in it are needed, \
         start the program that wrote it and let `dormouse export` write them into a file for \
         `dormouse import`",
        path.display()
    )]
    Older {
        /// What has the older format.
        path: PathBuf,
        /// The format that was found.
        found: u32,
        /// The format that this program reads.
        known: u32,
    },

    /// The directory belongs to somebody else. Nothing was touched.
    #[error(
        "data directory {} is not ours: it holds {found}, expected {expected}; check --data",
        dir.display()
    )]
    Foreign {
        /// The data directory.
        dir: PathBuf,
        /// Whose it is.
        found: String,
        /// Whose it should be.
        expected: String,
    },

    /// The directory cannot be made, read or written. Nothing was changed.
    #[error("cannot {doing} {}: {source}; check the path, its owner and its mode", path.display())]
    Unusable {
        /// What was tried.
        doing: &'static str,
        /// On which file or directory.
        path: PathBuf,
        /// What the system said.
        source: Arc<io::Error>,
    },

    /// What was acknowledged cannot all be read any more. Nothing was deleted.
    #[error(
        "{} is damaged: {what}; restore a backup, or move the directory aside to start empty, \
         which forgets everything in it",
        path.display()
    )]
    Damaged {
        /// The damaged file or directory.
        path: PathBuf,
        /// What is wrong with it.
        what: String,
    },

    /// A record is intact, but its owner cannot make sense of it. For the callers of a journal.
    #[error(
        "the record {key:?} does not decode: {why}; start the program that wrote it, \
         or restore a backup"
    )]
    Undecodable {
        /// The key of the record, as text.
        key: String,
        /// What the decoder said.
        why: String,
    },

    /// The disk is nearly full. Nothing of this group was written; make room, then restart.
    #[error(
        "the disk of {} is full: {free} bytes are free, {needed} are needed; make room and restart",
        dir.display()
    )]
    Full {
        /// The data directory.
        dir: PathBuf,
        /// Bytes that are free.
        free: u64,
        /// Bytes that must be free to write.
        needed: u64,
    },

    /// The system failed a read or a write. Whether the group is there is known after a restart.
    #[error("cannot {doing} {}: {source}", path.display())]
    Io {
        /// What was tried.
        doing: &'static str,
        /// On which file or directory.
        path: PathBuf,
        /// What the system said.
        source: Arc<io::Error>,
    },

    /// An earlier write failed, so nothing is written any more. Restart the process.
    #[error("the journal has stopped after an earlier failure: {0}")]
    Stopped(String),

    /// The writer was closed before this was submitted. Nothing of it was written.
    #[error("the journal is closed")]
    Closed,
}

impl Error {
    /// True for what a restart alone cannot cure: the binary exits with code 78 (`EX_CONFIG`).
    #[must_use]
    pub fn is_config(&self) -> bool {
        match self {
            Self::Locked { .. }
            | Self::Newer { .. }
            | Self::Older { .. }
            | Self::Foreign { .. }
            | Self::Unusable { .. }
            | Self::Damaged { .. }
            | Self::Undecodable { .. } => true,
            Self::Full { .. } | Self::Io { .. } | Self::Stopped(_) | Self::Closed => false,
        }
    }

    /// A record whose owner cannot decode it: the start must be refused, the record never skipped.
    #[must_use]
    pub fn undecodable(key: &[u8], why: impl std::fmt::Display) -> Self {
        Self::Undecodable {
            key: String::from_utf8_lossy(key).into_owned(),
            why: why.to_string(),
        }
    }

    /// What a journal answers after `self` has failed it.
    pub(crate) fn stopped(&self) -> Self {
        match self {
            Self::Stopped(_) | Self::Closed => self.clone(),
            other => Self::Stopped(other.to_string()),
        }
    }

    /// What is not of the only version that this program reads.
    pub(crate) fn version(path: &Path, found: u32, known: u32) -> Self {
        let path = path.to_owned();
        if found > known {
            Self::Newer { path, found, known }
        } else if found == 0 {
            Self::damaged(&path, "there never was a version 0")
        } else {
            Self::Older { path, found, known }
        }
    }

    pub(crate) fn damaged(path: &Path, what: impl Into<String>) -> Self {
        Self::Damaged {
            path: path.to_owned(),
            what: what.into(),
        }
    }

    /// For `map_err` of what is done while a directory is opened.
    pub(crate) fn unusable(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Unusable {
            doing,
            path: path.to_owned(),
            source: Arc::new(source),
        }
    }

    /// For `map_err` of what is done while a journal is in use.
    pub(crate) fn io(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io {
            doing,
            path: path.to_owned(),
            source: Arc::new(source),
        }
    }
}
