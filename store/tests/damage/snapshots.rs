//! Damage to snapshots, half-done truncation, and a disk without room.
//!
//! A damaged newest snapshot costs nothing as long as the older one and the log lead to the same state;
//! if nothing does, the start is refused and the damaged file stays where it is.

use crate::{Store, flip, flip_value, group, key};
use dormouse_store::{Config, Disk, Entry, Error, Journal, Kind, Progress};
use std::fs;

#[test]
fn a_half_truncated_unit_below_the_snapshot_is_not_even_read() {
    let store = Store::with_groups(3);
    let mut disk = store.open().unwrap();
    store.snapshot(&mut disk);
    disk.append(&group(4)).unwrap();
    store.snapshot(&mut disk);
    disk.append(&group(5)).unwrap();
    drop(disk);
    let whole = store.load().unwrap();
    // As a crash in the middle of truncation leaves it, and with damage where nobody looks any more.
    store.tamper(|db| {
        (0..2).for_each(|chunk| drop(db.remove(key(1, chunk)).unwrap()));
        flip_value(db, &key(2, 1));
    });
    assert_eq!(store.load().unwrap(), whole);
}

#[test]
fn every_damage_to_the_newest_snapshot_falls_back_to_the_older_one() {
    let store = Store::with_groups(3);
    let mut disk = store.open().unwrap();
    store.snapshot(&mut disk);
    disk.append(&group(4)).unwrap();
    let newest = store.snapshot(&mut disk);
    while disk.truncate(u64::MAX, 64).unwrap() == Progress::More {}
    disk.append(&group(5)).unwrap();
    drop(disk);
    let whole = store.load().unwrap();
    let bytes = fs::read(&newest).unwrap();
    let cuts = [0, 7, 8, 20, bytes.len() / 2, bytes.len() - 1].map(|at| bytes[..at].to_vec());
    let flips = [3, 10, 13, 17, 30, bytes.len() / 2, bytes.len() - 3].map(|at| {
        let mut flipped = bytes.clone();
        flipped[at] ^= 1;
        flipped
    });
    let longer = [bytes.clone(), vec![0]].concat();
    for damaged in cuts.into_iter().chain(flips).chain([longer]) {
        fs::write(&newest, &damaged).unwrap();
        assert_eq!(store.load().unwrap(), whole);
        assert!(!newest.exists(), "it is out of the way");
    }
    assert_eq!(
        store.files("set-aside").len(),
        14,
        "and every one is kept for inspection"
    );
}

#[test]
fn a_damaged_snapshot_that_nothing_replaces_stays_where_it_is() {
    let store = Store::with_groups(3);
    let mut disk = store.open().unwrap();
    store.snapshot(&mut disk);
    disk.append(&group(4)).unwrap();
    store.snapshot(&mut disk);
    while disk.truncate(u64::MAX, 64).unwrap() == Progress::More {}
    drop(disk);
    store
        .files("snapshots")
        .iter()
        .for_each(|path| flip(path, 40));
    assert!(
        matches!(store.refused(), Error::Damaged { path, .. } if path.ends_with(store.files("snapshots").pop().unwrap()))
    );
    assert_eq!(store.files("snapshots").len(), 2);
}

#[test]
fn a_snapshot_of_a_newer_program_says_so_and_is_not_passed_over() {
    let store = Store::with_groups(3);
    let path = store.snapshot(&mut store.open().unwrap());
    // The first frame: length, checksum of number and body, then version and kind.
    let mut bytes = fs::read(&path).unwrap();
    bytes[16] = 2;
    let crc = crc32c::crc32c_append(crc32c::crc32c(&0_u64.to_le_bytes()), &bytes[16..26]);
    bytes[12..16].copy_from_slice(&crc.to_le_bytes());
    fs::write(&path, bytes).unwrap();
    assert!(matches!(
        store.refused(),
        Error::Newer {
            found: 2,
            known: 1,
            ..
        }
    ));
}

#[test]
fn an_unfinished_walk_is_removed_at_the_next_start() {
    let store = Store::with_groups(3);
    fs::write(
        store.path("snapshots/walk.partial"),
        b"DORMSNAP and then the power went",
    )
    .unwrap();
    assert_eq!(store.load().unwrap().position, 3);
    assert!(store.files("snapshots").is_empty());
}

#[test]
fn no_group_becomes_a_blob_file_of_sled() {
    let store = Store::with_groups(1);
    let mut disk = store.open().unwrap();
    for n in 0..12 {
        disk.append(&vec![Entry::put(vec![n], vec![n; 1 << 20])])
            .unwrap();
        for small in 0..10 {
            disk.append(&vec![Entry::put(vec![small], vec![0; 7_100])])
                .unwrap();
        }
    }
    while disk.snapshot(1 << 20).unwrap() == Progress::More {}
    disk.append(&group(1)).unwrap();
    while disk.snapshot(1 << 20).unwrap() == Progress::More {}
    while disk.truncate(u64::MAX, 64).unwrap() == Progress::More {}
    assert!(
        store.files("log/blobs").is_empty(),
        "blob files are never synced"
    );
}

#[test]
fn a_full_disk_refuses_the_group_and_keeps_what_was_acknowledged() {
    let store = Store::with_groups(3);
    let mut config = Config::new(store.dir.path(), Kind::Agent, "default/n1");
    config.reserve_bytes = u64::MAX;
    let mut disk = Disk::open(&config).unwrap();
    let error = disk.append(&group(4)).unwrap_err();
    assert!(
        matches!(error, Error::Full { .. }) && !error.is_config(),
        "{error}"
    );
    assert!(
        matches!(disk.append(&group(4)), Err(Error::Stopped(_))),
        "it takes nothing more"
    );
    drop(disk);
    assert_eq!(store.load().unwrap().position, 3);
}

#[test]
fn a_snapshot_that_cannot_be_written_leaves_the_log_going_on() {
    let store = Store::with_groups(3);
    let mut disk = store.open().unwrap();
    fs::create_dir(store.path("snapshots/walk.partial")).unwrap();
    disk.snapshot(100).expect_err("the file cannot be made");
    assert_eq!(disk.append(&group(4)).unwrap(), 4);
    fs::remove_dir(store.path("snapshots/walk.partial")).unwrap();
    store.snapshot(&mut disk);
}
