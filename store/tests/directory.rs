//! Whose directory it is: what is refused at the door, and what is made behind it.
//!
//! Every refusal must be one that the binaries answer with exit code 78, and must leave the directory
//! as it was. Damage to what is inside is in `tests/damage`.
#![allow(clippy::unwrap_used, reason = "a test ends at what it did not expect")]

use dormouse_store::{Config, Disk, Entry, Error, Journal, Kind};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use tempfile::{TempDir, tempdir};

fn config(dir: &Path) -> Config {
    Config::new(dir, Kind::Agent, "default/n1")
}

fn refused(config: &Config) -> Error {
    let error = Disk::open(config)
        .map(|_| ())
        .expect_err("this directory is refused");
    assert!(error.is_config(), "{error}");
    error
}

/// A store with one group in it.
fn store() -> TempDir {
    let dir = tempdir().unwrap();
    Disk::open(&config(dir.path()))
        .unwrap()
        .append(&vec![Entry::put(*b"k", *b"v")])
        .unwrap();
    dir
}

fn edit_format(dir: &Path, from: &str, to: &str) {
    let text = fs::read_to_string(dir.join("FORMAT")).unwrap();
    assert!(text.contains(from), "{text}");
    fs::write(dir.join("FORMAT"), text.replace(from, to)).unwrap();
}

#[test]
fn a_second_opener_is_told_who_has_it_and_gets_it_afterwards() {
    let dir = tempdir().unwrap();
    let first = Disk::open(&config(dir.path())).unwrap();
    let error = refused(&config(dir.path()));
    assert!(
        matches!(error, Error::Locked { pid, .. } if pid == Some(std::process::id())),
        "{error}"
    );
    drop(first);
    Disk::open(&config(dir.path())).unwrap();
}

#[test]
fn a_newer_format_is_refused_by_its_number_alone() {
    let dir = store();
    fs::write(
        dir.path().join("FORMAT"),
        "dormouse store\nversion = 3\nwho knows what follows",
    )
    .unwrap();
    assert!(matches!(
        refused(&config(dir.path())),
        Error::Newer {
            found: 3,
            known: 2,
            ..
        }
    ));
}

#[test]
fn a_format_from_before_the_first_release_is_refused_with_a_cure() {
    let dir = store();
    edit_format(dir.path(), "version = 2", "version = 1");
    let error = refused(&config(dir.path()));
    assert!(
        matches!(
            error,
            Error::Older {
                found: 1,
                known: 2,
                ..
            }
        ),
        "{error}"
    );
    let text = error.to_string();
    assert!(
        text.contains("aside") && text.contains("dormouse export"),
        "{text}"
    );
}

#[test]
fn another_kind_or_owner_is_refused_and_untouched() {
    let dir = store();
    let mut other = config(dir.path());
    other.owner = "default/n2".into();
    let text = refused(&other).to_string();
    assert!(
        text.contains("default/n1") && text.contains("default/n2"),
        "{text}"
    );
    let kind = Config::new(dir.path(), Kind::Coordinator, "default/n1");
    assert!(matches!(refused(&kind), Error::Foreign { .. }));
    assert_eq!(
        Disk::open(&config(dir.path()))
            .unwrap()
            .load()
            .unwrap()
            .collect()
            .unwrap()
            .position,
        1
    );
}

#[test]
fn an_owner_may_have_any_name() {
    let dir = tempdir().unwrap();
    let odd = Config::new(dir.path(), Kind::Agent, "a\nkind = coordinator\n\"");
    drop(Disk::open(&odd).unwrap());
    drop(Disk::open(&odd).unwrap());
    assert!(matches!(
        refused(&config(dir.path())),
        Error::Foreign { .. }
    ));
}

#[test]
fn a_format_file_that_does_not_read_is_refused() {
    for text in [
        "",
        "dormouse",
        "dormouse store\nversion = x\n",
        "dormouse store\nversion = 0\nkind = agent\n",
    ] {
        let dir = store();
        fs::write(dir.path().join("FORMAT"), text).unwrap();
        assert!(
            matches!(refused(&config(dir.path())), Error::Damaged { .. }),
            "{text:?}"
        );
    }
    let dir = store();
    fs::write(dir.path().join("FORMAT"), [0xff, 0xfe]).unwrap();
    refused(&config(dir.path()));
    let dir = store();
    edit_format(dir.path(), "n1\"\n", "n1\"");
    assert!(
        matches!(refused(&config(dir.path())), Error::Damaged { .. }),
        "cut off"
    );
}

#[test]
fn a_lost_format_file_does_not_make_a_full_store_a_new_one() {
    let dir = store();
    fs::remove_file(dir.path().join("FORMAT")).unwrap();
    assert!(
        refused(&config(dir.path()))
            .to_string()
            .contains("FORMAT file is missing")
    );
    assert!(!dir.path().join("FORMAT").exists());
}

#[test]
fn a_directory_with_other_files_is_refused_before_anything_is_made() {
    let dir = tempdir().unwrap();
    fs::write(dir.path().join("thesis.tex"), "do not touch").unwrap();
    let error = refused(&config(dir.path()));
    assert!(
        matches!(&error, Error::Foreign { found, .. } if found.contains("thesis")),
        "{error}"
    );
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
}

#[test]
fn a_mount_point_a_socket_and_an_interrupted_creation_are_not_in_the_way() {
    let dir = tempdir().unwrap();
    fs::create_dir(dir.path().join("lost+found")).unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(dir.path().join("agent.sock")).unwrap();
    fs::create_dir(dir.path().join("log")).unwrap();
    fs::write(dir.path().join("FORMAT.partial"), "dormouse st").unwrap();
    drop(Disk::open(&config(dir.path())).unwrap());
    // Interrupted right before FORMAT: the log has begun, but there is no group.
    fs::remove_file(dir.path().join("FORMAT")).unwrap();
    drop(Disk::open(&config(dir.path())).unwrap());
    assert!(dir.path().join("FORMAT").exists());
}

#[test]
fn a_file_later_beside_the_store_is_not_in_the_way() {
    let dir = store();
    fs::write(dir.path().join("notes"), "mine").unwrap();
    assert_eq!(
        Disk::open(&config(dir.path()))
            .unwrap()
            .load()
            .unwrap()
            .collect()
            .unwrap()
            .position,
        1
    );
}

#[test]
fn a_path_that_cannot_be_a_directory_is_unusable() {
    let dir = tempdir().unwrap();
    let file = dir.path().join("file");
    fs::write(&file, "").unwrap();
    for path in [
        file.clone(),
        file.join("below"),
        "/proc/nowhere/dormouse".into(),
        "".into(),
    ] {
        let error = refused(&config(&path));
        assert!(matches!(error, Error::Unusable { .. }), "{error}");
    }
}

#[test]
fn everything_is_for_its_owner_only() {
    let dir = tempdir().unwrap();
    let root = dir.path().join("new/deep");
    drop(Disk::open(&config(&root)).unwrap());
    let mut seen = 0;
    let mut left = vec![dir.path().join("new")];
    while let Some(path) = left.pop() {
        let meta = fs::metadata(&path).unwrap();
        let expected = if meta.is_dir() { 0o700 } else { 0o600 };
        assert_eq!(
            meta.permissions().mode() & 0o777,
            expected,
            "{}",
            path.display()
        );
        if meta.is_dir() {
            left.extend(
                fs::read_dir(&path)
                    .unwrap()
                    .map(|entry| entry.unwrap().path()),
            );
        }
        seen += 1;
    }
    assert!(seen >= 8, "{seen}");
}
