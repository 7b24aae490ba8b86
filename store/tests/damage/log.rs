//! Damage to the log: only a torn last unit is forgiven.
//!
//! Chunks are removed and changed through sled, whose own checksums would hide most of it. Flipped bytes of
//! its file are in `bytes`.

use crate::{Store, flip_value, key};
use dormouse_store::{Entry, Error, Journal};
use std::fs;

#[test]
fn a_torn_last_group_is_forgotten_whichever_chunk_is_missing() {
    for gone in 0..3 {
        let store = Store::with_groups(5);
        store.tamper(|db| {
            drop(
                db.remove(key(5, gone))
                    .unwrap()
                    .expect("the chunk was there"),
            )
        });
        let mut disk = store.open().unwrap();
        let loaded = disk.load().unwrap().collect().unwrap();
        assert_eq!(
            (loaded.position, loaded.state.len()),
            (4, 4),
            "without chunk {gone}"
        );
        // Its position is given again, and nothing of the torn write shines through.
        assert_eq!(
            disk.append(&vec![Entry::put(vec![55], vec![1])]).unwrap(),
            5
        );
        drop(disk);
        assert_eq!(store.load().unwrap().state.len(), 5);
    }
}

#[test]
fn an_incomplete_group_in_the_middle_stops_the_start() {
    for gone in 0..3 {
        let store = Store::with_groups(5);
        store.tamper(|db| {
            drop(
                db.remove(key(3, gone))
                    .unwrap()
                    .expect("the chunk was there"),
            )
        });
        assert!(
            store
                .refused()
                .to_string()
                .contains("group 3 is incomplete")
        );
    }
}

#[test]
fn a_missing_group_in_the_middle_stops_the_start() {
    let store = Store::with_groups(5);
    store.tamper(|db| (0..3).for_each(|chunk| drop(db.remove(key(3, chunk)).unwrap())));
    assert!(store.refused().to_string().contains("group 3 is missing"));
}

#[test]
fn a_missing_beginning_stops_the_start() {
    let store = Store::with_groups(5);
    store.tamper(|db| (0..3).for_each(|chunk| drop(db.remove(key(1, chunk)).unwrap())));
    assert!(store.refused().to_string().contains("begins at group 2"));
}

#[test]
fn a_wrong_checksum_stops_the_start_in_the_middle_and_at_the_end() {
    for position in [3, 5] {
        let store = Store::with_groups(5);
        store.tamper(|db| flip_value(db, &key(position, 1)));
        let text = store.refused().to_string();
        assert!(
            text.contains(&format!("group {position}")) && text.contains("checksum"),
            "{text}"
        );
        // Refusing deletes nothing: the same answer again, and the chunk is still there.
        store.refused();
        store.tamper(|db| assert!(db.contains_key(key(position, 1)).unwrap()));
    }
}

#[test]
fn a_key_that_is_not_ours_stops_the_start() {
    let store = Store::with_groups(2);
    store.tamper(|db| drop(db.insert(b"\x01hello", b"world").unwrap()));
    store.refused();
}

#[test]
fn a_frame_of_a_newer_program_says_so() {
    let store = Store::with_groups(3);
    store.tamper(|db| {
        let mut value = db.get(key(2, 0)).unwrap().unwrap().to_vec();
        value[0] = 2;
        db.insert(key(2, 0), value).unwrap();
    });
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
fn a_log_that_lost_its_end_below_a_snapshot_stops_the_start() {
    let store = Store::with_groups(5);
    store.snapshot(&mut store.open().unwrap());
    store.tamper(|db| (0..3).for_each(|chunk| drop(db.remove(key(5, chunk)).unwrap())));
    assert!(store.refused().to_string().contains("ends at group 4"));
}

#[test]
fn an_emptied_log_stops_the_start() {
    let store = Store::with_groups(5);
    store.tamper(|db| db.clear().unwrap());
    assert!(store.refused().to_string().contains("was not before"));
}

#[test]
fn a_log_that_is_gone_stops_the_start() {
    let store = Store::with_groups(5);
    store.tamper(|_| ());
    fs::rename(store.path("log"), store.path("elsewhere")).unwrap();
    assert!(store.refused().to_string().contains("not there"));
    assert!(!store.path("log").exists(), "nothing is made in its place");
}

#[test]
fn what_a_power_cut_leaves_of_a_sled_snapshot_is_cleared_and_all_groups_are_there() {
    let store = Store::with_groups(9);
    let whole = store.load().unwrap();
    fs::write(store.path("log/snap.00000000FFFFFFFF.generating"), b"half").unwrap();
    fs::write(store.path("log/snap.00000000FFFFFFFE"), b"").unwrap();
    assert_eq!(store.load().unwrap(), whole);
    assert!(!store.path("log/snap.00000000FFFFFFFF.generating").exists());
    assert_eq!(store.files("set-aside").len(), 1);
    // The worst case: the only snapshot that sled has is empty.
    for path in store.files("log") {
        if path
            .file_name()
            .unwrap()
            .to_string_lossy()
            .starts_with("snap.")
        {
            fs::write(path, b"").unwrap();
        }
    }
    assert_eq!(store.load().unwrap(), whole);
}
