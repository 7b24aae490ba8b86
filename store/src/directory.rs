//! The data directory: whose it is, which format it has, and that only one process has it.
//!
//! ```text
//!   DIR/FORMAT      format version, kind and owner; written last, when all else is durable
//!   DIR/LOCK        flock for life, freed by any death; holds the pid for the error message
//!   DIR/REACH       up to where the log is known to reach
//!   DIR/log/        sled        DIR/snapshots/   the last two        DIR/set-aside/  what did not read
//! ```
//!
//! What is inside `REACH`, `log` and `snapshots` is left to their modules.

use crate::FORMAT_VERSION;
use crate::error::Error;
use crate::reach::{REACH, REACH_PARTIAL};
use std::fmt;
use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

const FORMAT: &str = "FORMAT";
const FORMAT_PARTIAL: &str = "FORMAT.partial";
const LOCK: &str = "LOCK";
const LOG: &str = "log";
const SNAPSHOTS: &str = "snapshots";
const SET_ASIDE: &str = "set-aside";
const FIRST_LINE: &str = "dormouse store";

/// What may be in a directory that has no FORMAT yet: what an interrupted creation left behind.
const OURS: [&str; 9] = [
    FORMAT_PARTIAL,
    LOCK,
    REACH,
    REACH_PARTIAL,
    LOG,
    SNAPSHOTS,
    SET_ASIDE,
    "lost+found",
    FORMAT,
];

/// What kind of program keeps its state in a directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The ledger of a coordinator.
    Coordinator,
    /// The base of a node.
    Agent,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Coordinator => "coordinator",
            Self::Agent => "agent",
        })
    }
}

/// Which directory to open, and for whom.
#[derive(Debug, Clone)]
pub struct Config {
    /// The data directory. It is made if it does not exist (mode 0700, also its missing parents). At
    /// first use it must be empty but for sockets: open the store before putting other files there.
    pub dir: PathBuf,
    /// The kind of program; a directory of another kind is refused.
    pub kind: Kind,
    /// The name of the owner (`default/n1` for a node), compared exactly; another one is refused.
    pub owner: String,
    /// Appends fail rather than leave fewer free bytes than this on the disk.
    pub reserve_bytes: u64,
}

impl Config {
    /// The directory `dir` for `owner`, with the default reserve of 16 MiB.
    pub fn new(dir: impl Into<PathBuf>, kind: Kind, owner: impl Into<String>) -> Self {
        Self {
            dir: dir.into(),
            kind,
            owner: owner.into(),
            reserve_bytes: 16 << 20,
        }
    }
}

/// A directory that this process alone has, as long as this lives: `DIR/LOCK` is locked by `flock`, which any
/// death frees, and holds the pid for the error message of others.
#[derive(Debug)]
pub struct Lock {
    _file: File,
}

impl Lock {
    /// Takes the lock of `dir`, which must exist.
    ///
    /// # Errors
    /// [`Error::Locked`] if another process has it; the file cannot be made or written.
    pub fn take(dir: &Path) -> Result<Self, Error> {
        let path = dir.join(LOCK);
        let mut file = private()
            .create(true)
            .truncate(false)
            .read(true)
            .write(true)
            .open(&path)
            .map_err(Error::unusable("open", &path))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut text = String::new();
                let pid = file
                    .read_to_string(&mut text)
                    .ok()
                    .and_then(|_| text.trim().parse().ok());
                return Err(Error::Locked {
                    dir: dir.to_owned(),
                    pid,
                });
            }
            Err(TryLockError::Error(e)) => return Err(Error::unusable("lock", &path)(e)),
        }
        file.set_len(0)
            .and_then(|()| writeln!(file, "{}", std::process::id()))
            .map_err(Error::unusable("write", &path))?;
        Ok(Self { _file: file })
    }
}

/// A data directory that is locked for us as long as this lives.
#[derive(Debug)]
pub(crate) struct Directory {
    path: PathBuf,
    identity: String,
    fresh: bool,
    _lock: Lock,
}

impl Directory {
    /// Makes or opens the directory, locks it, and checks that it is ours and not newer.
    pub(crate) fn open(config: &Config) -> Result<Self, Error> {
        let path = config.dir.clone();
        create_dir_all(&path)?;
        refuse_strangers(&path, config)?;
        let lock = Lock::take(&path)?;
        let identity = identity(config);
        let fresh = match read_format(&path)? {
            Some(text) => check_format(&path, &text, &identity).map(|()| false)?,
            None => true,
        };
        for part in [LOG, SNAPSHOTS] {
            if fresh {
                create_dir_all(&path.join(part))?;
            }
        }
        Ok(Self {
            path,
            identity,
            fresh,
            _lock: lock,
        })
    }

    /// True if there is no FORMAT: everything in it may be made anew.
    pub(crate) fn is_fresh(&self) -> bool {
        self.fresh
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn log(&self) -> PathBuf {
        self.path.join(LOG)
    }

    pub(crate) fn snapshots(&self) -> PathBuf {
        self.path.join(SNAPSHOTS)
    }

    pub(crate) fn set_aside(&self) -> PathBuf {
        self.path.join(SET_ASIDE)
    }

    /// Writes FORMAT: from here on the directory is never taken for a new one.
    pub(crate) fn finish_creation(&mut self) -> Result<(), Error> {
        let partial = self.path.join(FORMAT_PARTIAL);
        let text = format!(
            "{FIRST_LINE}\nversion = {FORMAT_VERSION}\n{}\n",
            self.identity
        );
        let write = || -> io::Result<()> {
            let mut file = private()
                .create(true)
                .truncate(true)
                .write(true)
                .open(&partial)?;
            file.write_all(text.as_bytes())?;
            file.sync_all()?;
            fs::rename(&partial, self.path.join(FORMAT))?;
            sync_dir(&self.path)
        };
        write().map_err(Error::unusable("write", &self.path.join(FORMAT)))?;
        self.fresh = false;
        Ok(())
    }
}

fn identity(config: &Config) -> String {
    format!("kind = {}\nowner = {:?}", config.kind, config.owner)
}

/// Options for a file that only its owner may read.
pub(crate) fn private() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.mode(0o600);
    options
}

/// Makes the entries of a directory durable.
pub(crate) fn sync_dir(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}

/// Makes `dir` and its missing parents, durably, for their owner only.
pub(crate) fn create_dir_all(dir: &Path) -> Result<(), Error> {
    if dir.is_dir() {
        return Ok(());
    }
    let parent = dir
        .parent()
        .filter(|parent| !parent.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    if !parent.exists() {
        create_dir_all(parent)?;
    }
    let made = DirBuilder::new().mode(0o700).create(dir);
    made.map_err(Error::unusable("create directory", dir))?;
    sync_dir(parent).map_err(Error::unusable("sync", parent))
}

/// Moves what does not read out of the way, under a name that is free; it is never deleted.
pub(crate) fn set_aside(path: &Path, into: &Path) -> Result<(), Error> {
    create_dir_all(into)?;
    let name = path
        .file_name()
        .expect("a file in a directory has a name")
        .to_string_lossy();
    let target = (0_u64..)
        .map(|n| into.join(format!("{name}.{n}")))
        .find(|target| !target.exists())
        .expect("some number is free");
    tracing::warn!(path = %path.display(), target = %target.display(), "set aside what does not read");
    let parent = path.parent().unwrap_or(Path::new("."));
    fs::rename(path, &target)
        .and_then(|()| sync_dir(into))
        .and_then(|()| sync_dir(parent))
        .map_err(Error::unusable("set aside", path))
}

fn refuse_strangers(dir: &Path, config: &Config) -> Result<(), Error> {
    if dir.join(FORMAT).exists() {
        return Ok(());
    }
    let entries = fs::read_dir(dir).map_err(Error::unusable("read directory", dir))?;
    for entry in entries {
        let entry = entry.map_err(Error::unusable("read directory", dir))?;
        let socket = entry.file_type().is_ok_and(|kind| kind.is_socket());
        if !socket && !OURS.iter().any(|name| entry.file_name() == *name) {
            return Err(Error::Foreign {
                dir: dir.to_owned(),
                found: format!("{:?} and no FORMAT file", entry.file_name()),
                expected: format!(
                    "an empty directory or that of {} {:?}",
                    config.kind, config.owner
                ),
            });
        }
    }
    Ok(())
}

fn read_format(dir: &Path) -> Result<Option<String>, Error> {
    let path = dir.join(FORMAT);
    match fs::read_to_string(&path) {
        Ok(text) => Ok(Some(text)),
        Err(e) if e.kind() == ErrorKind::NotFound => Ok(None),
        Err(e) if e.kind() == ErrorKind::InvalidData => {
            Err(Error::damaged(&path, "it is not text"))
        }
        Err(e) => Err(Error::unusable("read", &path)(e)),
    }
}

fn check_format(dir: &Path, text: &str, identity: &str) -> Result<(), Error> {
    let path = dir.join(FORMAT);
    let version = text
        .strip_prefix(FIRST_LINE)
        .and_then(|rest| rest.strip_prefix("\nversion = "))
        .and_then(|rest| rest.split_once('\n'));
    let Some((Ok(version), found)) = version.map(|(number, rest)| (number.parse::<u32>(), rest))
    else {
        return Err(Error::damaged(&path, "it does not begin as a FORMAT file"));
    };
    if version != FORMAT_VERSION {
        return Err(Error::version(&path, version, FORMAT_VERSION));
    }
    let Some(found) = found.strip_suffix('\n') else {
        return Err(Error::damaged(&path, "it is cut off"));
    };
    if found == identity {
        return Ok(());
    }
    Err(Error::Foreign {
        dir: dir.to_owned(),
        found: found.replace('\n', ", "),
        expected: identity.replace('\n', ", "),
    })
}
