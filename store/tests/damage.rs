//! What a disk can do to a journal, and what a start makes of it: a torn end is forgotten, since nobody
//! was told of it; whatever else does not read stops the start, and nothing is deleted.
//!
//! The tests reach into the log through sled itself, at `first:u64be chunk:u32be`.

use dormouse_store::{Config, Disk, Entry, Error, Group, Journal, Kind, Loaded, Progress};
use std::fs;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

struct Store {
    dir: TempDir,
}

impl Store {
    /// A store with `count` groups, the nth putting key n with 20 KB: three chunks each.
    fn with_groups(count: u8) -> Self {
        let store = Self {
            dir: tempfile::tempdir().unwrap(),
        };
        let mut disk = store.open().unwrap();
        (1..=count).for_each(|n| assert_eq!(disk.append(&group(n)).unwrap(), u64::from(n)));
        store
    }

    fn open(&self) -> Result<Disk, Error> {
        Disk::open(&Config::new(self.dir.path(), Kind::Agent, "default/n1"))
    }

    fn load(&self) -> Result<Loaded, Error> {
        self.open()?.load()
    }

    fn refused(&self) -> Error {
        let error = self.load().expect_err("a damaged store does not open");
        assert!(error.is_config(), "{error}");
        error
    }

    fn path(&self, part: &str) -> PathBuf {
        self.dir.path().join(part)
    }

    fn files(&self, part: &str) -> Vec<PathBuf> {
        let mut files: Vec<_> = fs::read_dir(self.path(part))
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .collect();
        files.sort();
        files
    }

    /// Changes the log behind the store's back.
    fn tamper(&self, change: impl FnOnce(&sled::Db)) {
        let config = sled::Config::new()
            .path(self.path("log"))
            .flush_every_ms(None);
        // sled lets its lock go some milliseconds after it was dropped.
        let db = (0..250).find_map(|_| {
            let db = config.open().ok();
            if db.is_none() {
                std::thread::sleep(std::time::Duration::from_millis(20));
            }
            db
        });
        let db = db.expect("the log opens");
        change(&db);
        db.flush().unwrap();
    }

    fn snapshot(&self, disk: &mut Disk) -> PathBuf {
        while disk.snapshot(10_000).unwrap() == Progress::More {}
        self.files("snapshots").pop().unwrap()
    }
}

fn group(n: u8) -> Group {
    vec![Entry::put(vec![n], vec![n; 20_000])]
}

fn key(first: u64, chunk: u32) -> Vec<u8> {
    [&first.to_be_bytes()[..], &chunk.to_be_bytes()[..]].concat()
}

fn flip(path: &Path, at: usize) {
    let mut bytes = fs::read(path).unwrap();
    bytes[at] ^= 0x40;
    fs::write(path, bytes).unwrap();
}

fn flip_value(db: &sled::Db, key: &[u8]) {
    let mut value = db.get(key).unwrap().expect("the chunk is there").to_vec();
    let last = value.len() - 1;
    value[last] ^= 1;
    db.insert(key, value).unwrap();
}

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
        let loaded = disk.load().unwrap();
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
fn a_full_disk_postpones_a_snapshot_and_the_log_goes_on() {
    let store = Store::with_groups(3);
    let mut disk = store.open().unwrap();
    fs::create_dir(store.path("snapshots/walk.partial")).unwrap();
    disk.snapshot(100).expect_err("the file cannot be made");
    assert_eq!(disk.append(&group(4)).unwrap(), 4);
    fs::remove_dir(store.path("snapshots/walk.partial")).unwrap();
    store.snapshot(&mut disk);
}

/// The file of sled, with one byte after the other flipped: whatever comes of it, never a panic and
/// never a state that was not the state after some group.
#[test]
fn a_flipped_byte_in_the_log_file_never_invents_a_state() {
    let store = Store::with_groups(6);
    store.tamper(|_| ());
    let db = store.path("log/db");
    let original: Vec<(PathBuf, Vec<u8>)> = store
        .files("log")
        .into_iter()
        .filter(|path| path.is_file())
        .map(|path| (path.clone(), fs::read(path).unwrap()))
        .collect();
    let (mut refused, mut opened) = (0, 0);
    for at in std::iter::once(None).chain((0..120_000).step_by(3_989).map(Some)) {
        for path in store.files("log").iter().filter(|path| path.is_file()) {
            fs::remove_file(path).unwrap();
        }
        original
            .iter()
            .for_each(|(path, bytes)| fs::write(path, bytes).unwrap());
        at.into_iter().for_each(|at| flip(&db, at));
        match store.load() {
            Err(error) => {
                assert!(at.is_some(), "unflipped it opens: {error}");
                refused += 1;
            }
            Ok(loaded) => {
                let expected: Vec<u8> = (1..=loaded.position as u8).collect();
                let keys: Vec<u8> = loaded.state.keys().map(|key| key[0]).collect();
                assert_eq!(keys, expected, "flipped byte {at:?}");
                assert!(
                    loaded
                        .state
                        .iter()
                        .all(|(key, value)| value[..] == vec![key[0]; 20_000])
                );
                opened += usize::from(at.is_some());
            }
        }
    }
    assert!(
        refused > 0 && refused + opened == 31,
        "refused {refused}, opened {opened}"
    );
}
