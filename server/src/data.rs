//! The coordinator's data directory: locked for one process, with a directory for each pool.
//!
//! ```text
//!   DATA/FORMAT         whose it is and in which format; written once, before there is any pool
//!   DATA/LOCK           for the life of the process, as the store locks a directory
//!   DATA/pools/NAME/    the journal of a pool, which is the store's
//! ```

use crate::Error;
use dormouse_engine::id::PoolId;
use dormouse_store as store;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, ErrorKind, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, FileTypeExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

const FORMAT: &str = "FORMAT";
const FORMAT_PARTIAL: &str = "FORMAT.partial";
const LOCK: &str = "LOCK";
const POOLS: &str = "pools";
const FIRST_LINE: &str = "dormouse coordinator";
/// The newest format of the directory that this program knows, and the one that it writes.
const VERSION: u32 = 1;
/// What may be in a directory that has no FORMAT yet.
const HARMLESS: [&str; 3] = [LOCK, FORMAT_PARTIAL, "lost+found"];

/// A data directory that is locked for us as long as this lives.
#[derive(Debug)]
pub(crate) struct DataDir {
    path: PathBuf,
    _lock: store::Lock,
}

impl DataDir {
    /// Makes or opens the directory, locks it, and checks that it is a coordinator's and not newer.
    pub(crate) fn open(path: &Path) -> Result<Self, Error> {
        make(path)?;
        let format = read_format(path)?;
        if format.is_none() {
            refuse_strangers(path)?;
        }
        let lock = store::Lock::take(path)?;
        match format {
            Some(text) => check_format(path, &text)?,
            None => write_format(path)?,
        }
        make(&path.join(POOLS))?;
        Ok(Self {
            path: path.into(),
            _lock: lock,
        })
    }

    /// Where the journal of `pool` is.
    pub(crate) fn pool(&self, pool: &PoolId) -> PathBuf {
        self.path.join(POOLS).join(pool.as_str())
    }

    /// The pools that have a journal, in order.
    pub(crate) fn pools(&self) -> Result<Vec<PoolId>, Error> {
        let dir = self.path.join(POOLS);
        let mut pools = Vec::new();
        for entry in fs::read_dir(&dir).map_err(unusable("read directory", &dir))? {
            let entry = entry.map_err(unusable("read directory", &dir))?;
            let name = entry.file_name();
            match name.to_str().and_then(|name| PoolId::new(name).ok()) {
                Some(pool) => pools.push(pool),
                None => {
                    return Err(foreign(
                        &dir,
                        format!("{name:?}"),
                        "only directories of pools",
                    ));
                }
            }
        }
        pools.sort();
        Ok(pools)
    }
}

fn make(dir: &Path) -> Result<(), Error> {
    let made = DirBuilder::new().recursive(true).mode(0o700).create(dir);
    made.map_err(unusable("create directory", dir))
}

fn refuse_strangers(dir: &Path) -> Result<(), Error> {
    for entry in fs::read_dir(dir).map_err(unusable("read directory", dir))? {
        let entry = entry.map_err(unusable("read directory", dir))?;
        let is_socket = entry.file_type().is_ok_and(|kind| kind.is_socket());
        if !is_socket && !HARMLESS.iter().any(|name| entry.file_name() == *name) {
            let found = format!("{:?} and no FORMAT file", entry.file_name());
            return Err(foreign(
                dir,
                found,
                "an empty directory or that of a coordinator",
            ));
        }
    }
    Ok(())
}

fn read_format(dir: &Path) -> Result<Option<String>, Error> {
    let path = dir.join(FORMAT);
    match fs::read_to_string(&path) {
        Ok(text) => Ok(Some(text)),
        Err(why) if why.kind() == ErrorKind::NotFound => Ok(None),
        Err(why) if why.kind() == ErrorKind::InvalidData => Err(damaged(&path)),
        Err(why) => Err(unusable("read", &path)(why)),
    }
}

fn check_format(dir: &Path, text: &str) -> Result<(), Error> {
    let path = dir.join(FORMAT);
    let Some(rest) = text.strip_prefix(FIRST_LINE) else {
        let found: String = text.lines().take(3).collect::<Vec<_>>().join(", ");
        return Err(foreign(dir, found, "the directory of a coordinator"));
    };
    let version = rest
        .strip_prefix("\nversion = ")
        .and_then(|rest| rest.strip_suffix('\n'));
    match version.and_then(|number| number.parse::<u32>().ok()) {
        Some(VERSION) => Ok(()),
        Some(found) if found > VERSION => Err(store::Error::Newer {
            path,
            found,
            known: VERSION,
        }
        .into()),
        _ => Err(damaged(&path)),
    }
}

/// From here on the directory is never taken for a new one.
fn write_format(dir: &Path) -> Result<(), Error> {
    let partial = dir.join(FORMAT_PARTIAL);
    let path = dir.join(FORMAT);
    let write = || -> io::Result<()> {
        let mut options = OpenOptions::new();
        options.mode(0o600).create(true).truncate(true).write(true);
        let mut file = options.open(&partial)?;
        file.write_all(format!("{FIRST_LINE}\nversion = {VERSION}\n").as_bytes())?;
        file.sync_all()?;
        fs::rename(&partial, &path)?;
        File::open(dir)?.sync_all()
    };
    write().map_err(unusable("write", &path))
}

fn unusable(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Error {
    move |why| {
        store::Error::Unusable {
            doing,
            path: path.into(),
            source: Arc::new(why),
        }
        .into()
    }
}

fn foreign(dir: &Path, found: String, expected: &str) -> Error {
    store::Error::Foreign {
        dir: dir.into(),
        found,
        expected: expected.into(),
    }
    .into()
}

fn damaged(path: &Path) -> Error {
    let what = "it does not read as a FORMAT file".into();
    store::Error::Damaged {
        path: path.into(),
        what,
    }
    .into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(path: &Path) -> String {
        let error = DataDir::open(path).unwrap_err();
        assert_eq!(error.exit_code(), 78, "{error}");
        error.to_string()
    }

    #[test]
    fn a_directory_is_made_and_found_again() {
        let temp = tempfile::tempdir().unwrap();
        let path = temp.path().join("a/b");
        let data = DataDir::open(&path).unwrap();
        fs::create_dir(data.pool(&PoolId::new("p").unwrap())).unwrap();
        drop(data);
        let pools = DataDir::open(&path).unwrap().pools().unwrap();
        assert_eq!(pools, [PoolId::new("p").unwrap()]);
    }

    #[test]
    fn a_second_process_is_told_who_has_the_directory() {
        let temp = tempfile::tempdir().unwrap();
        let _first = DataDir::open(temp.path()).unwrap();
        assert!(refusal(temp.path()).contains(&format!("pid {}", std::process::id())));
    }

    #[test]
    fn a_foreign_directory_is_left_alone() {
        let temp = tempfile::tempdir().unwrap();
        fs::write(temp.path().join("thesis.tex"), "").unwrap();
        assert!(refusal(temp.path()).contains("thesis.tex"));
        assert_eq!(fs::read_dir(temp.path()).unwrap().count(), 1);
    }

    #[test]
    fn an_agents_directory_a_newer_one_and_a_damaged_one_are_refused() {
        let temp = tempfile::tempdir().unwrap();
        let write = |text: &str| fs::write(temp.path().join(FORMAT), text).unwrap();
        write("dormouse store\nversion = 1\nkind = agent\n");
        assert!(refusal(temp.path()).contains("kind = agent"));
        write("dormouse coordinator\nversion = 2\n");
        assert!(refusal(temp.path()).contains("format 2"));
        write("dormouse coordinator\nversion = x\n");
        assert!(refusal(temp.path()).contains("damaged"));
    }

    #[test]
    fn a_file_in_place_of_the_directory_is_refused() {
        let temp = tempfile::tempdir().unwrap();
        let path = temp.path().join("file");
        fs::write(&path, "").unwrap();
        assert!(refusal(&path).contains("cannot create directory"));
    }
}
