//! Damage to snapshots, half-done truncation, and a disk without room.
//!
//! A damaged newest snapshot costs nothing as long as the older one and the log lead to the same state;
//! if nothing does, the start is refused and the damaged file stays where it is.

use crate::{Store, finish_snapshot, flip, flip_value, group, key};
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
    bytes[16] = 3;
    let crc = crc32c::crc32c_append(crc32c::crc32c(&0_u64.to_le_bytes()), &bytes[16..26]);
    bytes[12..16].copy_from_slice(&crc.to_le_bytes());
    fs::write(&path, bytes).unwrap();
    assert!(matches!(
        store.refused(),
        Error::Newer {
            found: 3,
            known: 2,
            ..
        }
    ));
}

/// The steps of publishing one: what is there after each of them, should the process end there.
#[test]
fn a_crash_at_any_step_of_a_snapshot_opens_to_the_same_state() {
    let store = Store::with_groups(3);
    let mut disk = store.open().unwrap();
    let oldest = store.snapshot(&mut disk);
    disk.append(&group(4)).unwrap();
    let older = store.snapshot(&mut disk);
    disk.append(&group(5)).unwrap();
    let oldest_bytes = fs::read(&oldest).unwrap();
    let newest = store.snapshot(&mut disk);
    disk.append(&group(6)).unwrap();
    drop(disk);
    let (partial, run) = (
        store.path("snapshots/merge.partial"),
        store.path("snapshots/merge-run.partial"),
    );
    let bytes = fs::read(&newest).unwrap();
    let whole = store.load().unwrap();
    assert_eq!(whole.state.len(), 6);
    let opens = |step: &str, files: usize| {
        assert_eq!(store.load().unwrap(), whole, "{step}");
        assert!(!partial.exists() && !run.exists(), "{step}");
        assert_eq!(store.files("snapshots").len(), files, "{step}");
    };
    opens("all is done", 2);
    fs::write(&oldest, &oldest_bytes).unwrap();
    opens("the oldest is not removed", 3);
    fs::remove_file(&newest).unwrap();
    for length in [0, 20, bytes.len() / 2, bytes.len()] {
        fs::write(&run, &bytes[..length / 2]).unwrap();
        fs::write(&partial, &bytes[..length]).unwrap();
        opens("it is written in part, or whole and not renamed", 2);
    }
    assert!(older.exists() && oldest.exists());
    // The next one leaves two, whatever was left behind.
    let mut disk = store.open().unwrap();
    store.snapshot(&mut disk);
    drop(disk);
    opens("after the next one", 2);
    assert!(!oldest.exists());
}

#[test]
fn a_snapshot_that_is_given_up_leaves_what_was_there() {
    let store = Store::with_groups(5);
    let mut disk = store.open().unwrap();
    for budget in [1, 30_000, 1 << 20] {
        let _ = disk.snapshot(budget).unwrap();
        let _ = disk.snapshot(budget).unwrap();
        drop(disk);
        assert_eq!(store.load().unwrap().position, 5);
        disk = store.open().unwrap();
    }
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
    finish_snapshot(&mut disk, 1 << 20);
    disk.append(&group(1)).unwrap();
    finish_snapshot(&mut disk, 1 << 20);
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
    fs::create_dir(store.path("snapshots/merge.partial")).unwrap();
    // Another thread finds that the file cannot be made.
    while disk.snapshot(100).is_ok() {}
    assert_eq!(disk.append(&group(4)).unwrap(), 4);
    fs::remove_dir(store.path("snapshots/merge.partial")).unwrap();
    store.snapshot(&mut disk);
}
