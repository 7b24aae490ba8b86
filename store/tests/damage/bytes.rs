//! Flipped bytes and torn writes in the files themselves, below sled and its checksums.
//!
//! A store is copied while it is open, which is what `kill -9` leaves, or after a clean stop; each copy is
//! damaged in one place and started twice, because the first start changes what the second one sees.
//! `DORMOUSE_STORE_FLIPS=100000` flips every byte of a small log instead of a sample.

use crate::finish_snapshot;
use dormouse_store::{Config, Disk, Entry, Error, Group, Journal, Kind, Progress, State, Writer};
use std::collections::BTreeMap;
use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use tempfile::TempDir;

/// Groups of one unit each, folded units, and units of several chunks.
const UNITS: [usize; 12] = [1, 1, 3, 1, 1, 5, 1, 2, 1, 1, 4, 1];
const THREADS: usize = 2;

/// Every file of a data directory, by its path in it.
type Files = BTreeMap<PathBuf, Vec<u8>>;

fn config(dir: &Path) -> Config {
    Config::new(dir, Kind::Coordinator, "default")
}

/// What stands at a position: every fifth group needs three chunks.
fn group(position: u64) -> Group {
    let length = if position.is_multiple_of(5) {
        16_000
    } else {
        60
    };
    vec![Entry::put(
        position.to_be_bytes(),
        vec![position as u8 ^ 0x5A; length],
    )]
}

fn state(position: u64) -> State {
    (1..=position)
        .flat_map(group)
        .map(|entry| (entry.key, entry.value.expect("only puts")))
        .collect()
}

/// Appends the units and answers the position after each of them.
fn append_units(disk: &mut Disk, units: &[usize]) -> Vec<u64> {
    let mut ends = Vec::new();
    for size in units {
        let from = disk.load().unwrap().collect().unwrap().position + 1;
        let groups: Vec<Group> = (from..from + *size as u64).map(group).collect();
        ends.push(disk.append_all(&groups).unwrap());
    }
    ends
}

fn files(dir: &Path) -> Files {
    let mut found = Files::new();
    let mut open = vec![dir.to_owned()];
    while let Some(next) = open.pop() {
        for entry in fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                open.push(path);
            } else {
                let name = path.strip_prefix(dir).unwrap().to_owned();
                found.insert(name, fs::read(&path).unwrap());
            }
        }
    }
    found
}

/// Starts a store from these files, in a directory of its own.
fn restore(files: &Files) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    for part in ["log/blobs", "snapshots"] {
        fs::create_dir_all(dir.path().join(part)).unwrap();
    }
    for (name, bytes) in files {
        fs::write(dir.path().join(name), bytes).unwrap();
    }
    dir
}

/// The position that a start finds, with the state that belongs to it.
fn start(dir: &Path) -> Result<u64, Error> {
    let loaded = Disk::open(&config(dir))?.load()?.collect()?;
    assert!(
        loaded.state == state(loaded.position),
        "an invented state at {}",
        loaded.position
    );
    Ok(loaded.position)
}

/// Starts it twice: what was refused stays refused, whatever sled has blanked meanwhile.
fn start_twice(files: &Files, what: &str) -> Option<u64> {
    let dir = restore(files);
    let (first, second) = (start(dir.path()), start(dir.path()));
    match (first, second) {
        (Ok(first), Ok(second)) => {
            assert_eq!(first, second, "{what}");
            Some(first)
        }
        (Err(first), Err(second)) => {
            assert!(first.is_config() && second.is_config(), "{what}: {first}");
            None
        }
        (first, second) => panic!("{what}: first {first:?}, then {second:?}"),
    }
}

/// How many bytes of the log are flipped.
fn flips() -> usize {
    let flips = env::var("DORMOUSE_STORE_FLIPS").ok();
    flips.and_then(|n| n.parse().ok()).unwrap_or(120)
}

/// The bytes to flip: a sample of what is written in the log, and a few of every other file.
fn places(files: &Files) -> Vec<(PathBuf, usize)> {
    let mut places = Vec::new();
    for (name, bytes) in files {
        let log = name.ends_with("db");
        let written = bytes.iter().rposition(|byte| *byte != 0);
        let (end, count) = if log {
            (written.map_or(0, |n| n + 1), flips())
        } else {
            (bytes.len(), 8)
        };
        let step = (end / count).max(1);
        places.extend((0..end).step_by(step).map(|at| (name.clone(), at)));
    }
    places
}

/// Flips each place in a copy of its own and counts the refusals; `allowed` judges what starts.
fn flip_all(files: &Files, allowed: impl Fn(u64) -> bool + Sync) -> (usize, usize) {
    let places = places(files);
    let (next, refused) = (AtomicUsize::new(0), AtomicUsize::new(0));
    thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                let mut flipped = files.clone();
                while let Some((name, at)) = places.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let bit = 1 << (at % 8);
                    flipped.get_mut(name).unwrap()[*at] ^= bit;
                    let what = format!("{} byte {at}", name.display());
                    match start_twice(&flipped, &what) {
                        Some(position) => assert!(allowed(position), "{what}: {position}"),
                        None => drop(refused.fetch_add(1, Ordering::Relaxed)),
                    }
                    flipped.get_mut(name).unwrap()[*at] ^= bit;
                }
            });
        }
    });
    (refused.into_inner(), places.len())
}

#[test]
fn after_a_clean_stop_a_flipped_byte_anywhere_is_refused_or_costs_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let mut disk = Disk::open(&config(dir.path())).unwrap();
    let end = *append_units(&mut disk, &UNITS).last().unwrap();
    disk.close().unwrap();
    drop(disk);
    let files = files(dir.path());
    assert_eq!(start_twice(&files, "unflipped"), Some(end));
    let (refused, all) = flip_all(&files, |position| position == end);
    assert!(refused > all / 2, "{refused} of {all} were refused");
}

#[test]
fn after_a_kill_a_flipped_byte_anywhere_is_refused_or_costs_the_last_unit_at_most() {
    let dir = tempfile::tempdir().unwrap();
    let mut disk = Disk::open(&config(dir.path())).unwrap();
    let ends = append_units(&mut disk, &UNITS);
    let files = files(dir.path());
    drop(disk);
    let (before, end) = (ends[ends.len() - 2], ends[ends.len() - 1]);
    assert_eq!(start_twice(&files, "unflipped"), Some(end));
    let (refused, all) = flip_all(&files, |position| position == before || position == end);
    assert!(refused > all / 2, "{refused} of {all} were refused");
}

#[test]
fn a_flipped_byte_is_noticed_in_a_log_that_was_restarted_snapshotted_and_truncated() {
    let dir = tempfile::tempdir().unwrap();
    let mut ends = Vec::new();
    for _ in 0..4 {
        let mut disk = Disk::open(&config(dir.path())).unwrap();
        ends = append_units(&mut disk, &UNITS);
        finish_snapshot(&mut disk, 1 << 20);
        while disk.truncate(u64::MAX, 64).unwrap() == Progress::More {}
    }
    let mut disk = Disk::open(&config(dir.path())).unwrap();
    ends.extend(append_units(&mut disk, &UNITS));
    let files = files(dir.path());
    let (before, end) = (ends[ends.len() - 2], ends[ends.len() - 1]);
    assert_eq!(start_twice(&files, "unflipped"), Some(end));
    flip_all(&files, |position| position == before || position == end);
}

/// The last unit reaches the disk in part: what was written of it up to a byte. The biggest has several
/// fdatasyncs.
#[test]
fn a_torn_last_unit_never_stops_a_start() {
    for last in [1, 3, 80] {
        let dir = tempfile::tempdir().unwrap();
        let mut disk = Disk::open(&config(dir.path())).unwrap();
        let before = *append_units(&mut disk, &UNITS).last().unwrap();
        let old = files(dir.path());
        let end = append_units(&mut disk, &[last])[0];
        let new = files(dir.path());
        drop(disk);
        let db = Path::new("log/db");
        let (from, to) = (&old[db], &new[db]);
        let old_byte = |at: usize| from.get(at).copied().unwrap_or(0);
        let changed: Vec<usize> = (0..to.len())
            .filter(|at| old_byte(*at) != to[*at])
            .collect();
        assert!(!changed.is_empty());
        let mut torn = new.clone();
        for nth in 0..24 {
            let cut = changed[changed.len() * nth / 24];
            let prefix = (0..to.len()).map(|at| if at < cut { to[at] } else { old_byte(at) });
            torn.insert(db.into(), prefix.collect());
            let found = start_twice(&torn, &format!("cut at {cut}"));
            assert!(
                found == Some(before) || found == Some(end),
                "{cut}: {found:?}"
            );
        }
    }
}

/// A client may have seen the files of its own store, and put such bytes into a timer.
#[test]
fn a_payload_that_looks_like_a_frame_stops_no_start() {
    let dir = tempfile::tempdir().unwrap();
    let other = tempfile::tempdir().unwrap();
    let mut of_other = Disk::open(&config(other.path())).unwrap();
    append_units(&mut of_other, &UNITS);
    let frames = files(other.path())[Path::new("log/db")].clone();
    let mut disk = Disk::open(&config(dir.path())).unwrap();
    disk.append(&vec![Entry::put(*b"k", frames.clone())])
        .unwrap();
    drop(disk);
    let loaded = Disk::open(&config(dir.path()))
        .unwrap()
        .load()
        .unwrap()
        .collect()
        .unwrap();
    assert_eq!(loaded.position, 1);
    assert_eq!(&loaded.state[&b"k"[..]][..], &frames[..]);
}

#[test]
fn a_closed_writer_has_noted_its_last_position_and_a_dropped_one_too() {
    for close in [true, false] {
        let dir = tempfile::tempdir().unwrap();
        let (writer, _) = Writer::start(Disk::open(&config(dir.path())).unwrap()).unwrap();
        let tickets: Vec<_> = (1..=7).map(|n| writer.submit(group(n))).collect();
        for ticket in tickets {
            ticket.wait().unwrap();
        }
        if close {
            writer.close();
        }
        drop(writer);
        let reach = fs::read_to_string(dir.path().join("REACH")).unwrap();
        assert!(reach.contains("reaches = 7\n"), "{reach}");
    }
}

#[test]
fn a_lost_or_damaged_reach_stops_the_start() {
    let dir = tempfile::tempdir().unwrap();
    let mut disk = Disk::open(&config(dir.path())).unwrap();
    append_units(&mut disk, &UNITS);
    disk.close().unwrap();
    drop(disk);
    let mut files = files(dir.path());
    let reach = files.remove(Path::new("REACH")).expect("it is there");
    assert_eq!(start_twice(&files, "without it"), None);
    files.insert("REACH".into(), reach[..reach.len() - 1].to_vec());
    assert_eq!(start_twice(&files, "cut off"), None);
    files.insert("REACH".into(), reach);
    assert!(start_twice(&files, "as it was").is_some());
}
