//! Reads files that the agent acts upon: nobody but its own user and root may have a hand in them.
//!
//! A file that others may write, or whose place others may take, would let them run commands as the agent or sign in
//! its name. A symbolic link is followed, and everything on its way is judged like the file.

use rustix::fs::{FileType, Mode};
use std::fs::{File, Metadata};
use std::io::{self, Read as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

/// The longest file that is read, in bytes.
const LENGTH_MAX: u64 = 1 << 20;
/// A chain of links that is longer than this is none that anybody meant.
const LINKS_MAX: usize = 8;

/// Who may see the content of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sight {
    /// Everybody.
    Open,
    /// Its owner and its group.
    Secret,
}

/// The content of a file that nobody else has a hand in.
///
/// # Errors
/// What is wrong with it and what to do, in words that follow its path.
pub(super) fn read(path: &Path, sight: Sight) -> Result<Vec<u8>, String> {
    let told = |error: io::Error| format!("cannot be read: {error}");
    // Judged by what is open, so that it cannot be exchanged between the look and the reading. Opening a pipe must not
    // wait for its other end.
    let file = File::from(
        rustix::fs::open(
            path,
            rustix::fs::OFlags::RDONLY | rustix::fs::OFlags::CLOEXEC | rustix::fs::OFlags::NONBLOCK,
            Mode::empty(),
        )
        .map_err(|error| told(error.into()))?,
    );
    let metadata = file.metadata().map_err(told)?;
    judge_file(&metadata, sight)?;
    for place in way(path).map_err(told)? {
        judge_directory(&place)?;
    }
    if metadata.len() > LENGTH_MAX {
        return Err(format!("is longer than {LENGTH_MAX} bytes"));
    }
    let mut content = Vec::new();
    file.take(LENGTH_MAX)
        .read_to_end(&mut content)
        .map_err(told)?;
    Ok(content)
}

fn judge_file(metadata: &Metadata, sight: Sight) -> Result<(), String> {
    if FileType::from_raw_mode(metadata.mode()) != FileType::RegularFile {
        return Err("is not a regular file".into());
    }
    if !is_trusted(metadata.uid()) {
        return Err(format!(
            "belongs to user {}; it must belong to the user of the agent or to root: chown it",
            metadata.uid()
        ));
    }
    if metadata.mode() & 0o022 != 0 {
        return Err("may be written by its group or by others; chmod go-w it".into());
    }
    if sight == Sight::Secret && metadata.mode() & 0o007 != 0 {
        return Err("holds a secret and may be read by everybody; chmod o= it".into());
    }
    Ok(())
}

fn judge_directory(path: &Path) -> Result<(), String> {
    let metadata = std::fs::symlink_metadata(path)
        .map_err(|error| format!("is in {}, which cannot be read: {error}", path.display()))?;
    if !is_trusted(metadata.uid()) {
        return Err(format!(
            "is in {}, which belongs to user {}, who could exchange it; put it where only the user of the agent or \
             root may write",
            path.display(),
            metadata.uid()
        ));
    }
    // In a sticky directory nobody moves what is not his own.
    let is_sticky = metadata.mode() & 0o1000 != 0;
    if metadata.mode() & 0o022 != 0 && !is_sticky {
        return Err(format!(
            "is in {}, where others may write and could exchange it; chmod go-w that directory",
            path.display()
        ));
    }
    Ok(())
}

fn is_trusted(uid: u32) -> bool {
    uid == 0 || uid == rustix::process::geteuid().as_raw()
}

/// Every directory in which somebody could exchange what `path` leads to.
fn way(path: &Path) -> io::Result<Vec<PathBuf>> {
    let mut path = std::path::absolute(path)?;
    let mut directories = Vec::new();
    let mut links = 0;
    loop {
        let parent = path.parent().unwrap_or(&path).canonicalize()?;
        directories.extend(parent.ancestors().map(Path::to_owned));
        let Ok(target) = std::fs::read_link(&path) else {
            return Ok(directories);
        };
        links += 1;
        if links > LINKS_MAX {
            return Err(io::Error::other("it is a link to a link, and so on"));
        }
        path = parent.join(target);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::{Permissions, create_dir, set_permissions, write};
    use std::os::unix::fs::{PermissionsExt as _, chown, symlink};
    use tempfile::TempDir;

    fn mode(path: &Path, mode: u32) {
        set_permissions(path, Permissions::from_mode(mode)).unwrap();
    }

    fn file(dir: &TempDir, wanted: u32) -> PathBuf {
        let path = dir.path().join("file");
        write(&path, "content").unwrap();
        mode(&path, wanted);
        path
    }

    #[test]
    fn a_file_of_ones_own_is_read_and_one_that_others_write_is_not() {
        let dir = tempfile::tempdir().unwrap();
        for (wanted, open, secret) in [
            (0o600, true, true),
            (0o640, true, true),
            (0o644, true, false),
            (0o601, true, false),
            (0o620, false, false),
            (0o602, false, false),
            (0o666, false, false),
        ] {
            let path = file(&dir, wanted);
            assert_eq!(read(&path, Sight::Open).is_ok(), open, "{wanted:o}");
            assert_eq!(read(&path, Sight::Secret).is_ok(), secret, "{wanted:o}");
        }
        assert_eq!(
            read(&file(&dir, 0o600), Sight::Secret),
            Ok(b"content".to_vec())
        );
    }

    #[test]
    fn a_directory_that_others_write_is_refused_unless_it_is_sticky() {
        let dir = tempfile::tempdir().unwrap();
        let path = file(&dir, 0o600);
        for (wanted, accepted) in [
            (0o755, true),
            (0o775, false),
            (0o777, false),
            (0o1777, true),
        ] {
            mode(dir.path(), wanted);
            let result = read(&path, Sight::Open);
            assert_eq!(result.is_ok(), accepted, "{wanted:o}: {result:?}");
        }
    }

    #[test]
    fn what_belongs_to_somebody_else_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = file(&dir, 0o600);
        if chown(&path, Some(12_345), None).is_err() {
            // Only root gives files away; then a file of root's is the one that is trusted, and it is above.
            return;
        }
        assert!(read(&path, Sight::Open).unwrap_err().contains("12345"));
        chown(&path, Some(0), None).unwrap();
        assert!(read(&path, Sight::Open).is_ok());
        chown(dir.path(), Some(12_345), None).unwrap();
        assert!(read(&path, Sight::Open).unwrap_err().contains("12345"));
    }

    #[test]
    fn a_link_is_as_good_as_every_directory_on_its_way() {
        let dir = tempfile::tempdir().unwrap();
        let path = file(&dir, 0o600);
        let (safe, open) = (dir.path().join("safe"), dir.path().join("open"));
        create_dir(&safe).unwrap();
        create_dir(&open).unwrap();
        symlink(&path, safe.join("link")).unwrap();
        assert!(read(&safe.join("link"), Sight::Open).is_ok());
        // The link in the middle could be exchanged.
        symlink(safe.join("link"), open.join("middle")).unwrap();
        symlink(open.join("middle"), safe.join("first")).unwrap();
        assert!(read(&safe.join("first"), Sight::Open).is_ok());
        mode(&open, 0o777);
        assert!(read(&safe.join("first"), Sight::Open).is_err());
        symlink("circle", safe.join("circle")).unwrap();
        assert!(read(&safe.join("circle"), Sight::Open).is_err());
    }

    #[test]
    fn what_is_no_regular_file_is_refused_without_waiting() {
        let dir = tempfile::tempdir().unwrap();
        assert!(read(dir.path(), Sight::Open).is_err());
        assert!(read(&dir.path().join("missing"), Sight::Open).is_err());
        let pipe = dir.path().join("pipe");
        rustix::fs::mknodat(
            rustix::fs::CWD,
            &pipe,
            FileType::Fifo,
            Mode::from_raw_mode(0o600),
            0,
        )
        .unwrap();
        let why = read(&pipe, Sight::Open).unwrap_err();
        assert!(why.contains("regular"), "{why}");
        let device = read(Path::new("/dev/zero"), Sight::Open).unwrap_err();
        assert!(device.contains("regular"), "{device}");
    }
}
