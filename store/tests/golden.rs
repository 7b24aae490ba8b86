//! The bytes of the format on disk, kept in `tests/golden/store-N` of the repository, N being its number.
//!
//! Today's code must write the same bytes for the same history, and read the kept ones. If a test fails because
//! the format was changed on purpose: raise `FORMAT_VERSION`, then `BLESS=1 cargo test -p dormouse-store --test
//! golden` writes the directory of the new number. A directory that is there is never written over.
//!
//! sled's own file is not kept but what stands in it; what a new log makes up by chance, its seal, is left out.
#![allow(clippy::unwrap_used, reason = "a test ends at what it did not expect")]

use dormouse_store::{Config, Disk, Entry, FORMAT_VERSION, Group, Journal, Kind, Progress};
use std::collections::BTreeMap;
use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The units of the history; before the last one a snapshot is taken.
fn history() -> Vec<Vec<Group>> {
    let put = |key: &str, value: &[u8]| Entry::put(key.as_bytes(), value);
    let long: Vec<u8> = (0..9_000_u32).map(|n| (n % 251) as u8).collect();
    vec![
        vec![
            vec![put("a", b"1"), put("b", b"2")],
            vec![],
            vec![put("", b"nameless")],
        ],
        vec![vec![put("long", &long), Entry::delete(*b"b")]],
        vec![
            vec![put("a", b"3"), put("c", b"")],
            vec![Entry::delete(*b"never")],
        ],
    ]
}

fn config(dir: &Path) -> Config {
    Config::new(dir, Kind::Agent, "default/n1")
}

fn open_log(dir: &Path) -> sled::Db {
    let config = sled::Config::new()
        .path(dir.join("log"))
        .flush_every_ms(None);
    // sled lets its lock go some milliseconds after it was dropped.
    let tries = (0..250).find_map(|_| {
        let db = config.open().ok();
        if db.is_none() {
            std::thread::sleep(Duration::from_millis(20));
        }
        db
    });
    tries.expect("the log opens")
}

/// Every file of the directory as it is kept, by name; the log as lines of key and value.
fn written(dir: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut files = BTreeMap::new();
    for name in ["FORMAT", "REACH"] {
        files.insert(name.to_owned(), fs::read(dir.join(name)).unwrap());
    }
    for entry in fs::read_dir(dir.join("snapshots")).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name().into_string().unwrap();
        files.insert(name, fs::read(entry.path()).unwrap());
    }
    let lines = open_log(dir).iter().map(|item| {
        let (key, value) = item.unwrap();
        format!("{} {}\n", hex(&key), hex(&value))
    });
    files.insert("log.hex".to_owned(), lines.collect::<String>().into_bytes());
    files
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex(text: &str) -> Vec<u8> {
    let byte = |at| u8::from_str_radix(&text[at..at + 2], 16).unwrap();
    (0..text.len()).step_by(2).map(byte).collect()
}

/// The same without the seal and the checksums over it.
fn comparable(files: &BTreeMap<String, Vec<u8>>) -> BTreeMap<String, String> {
    let text = |name: &str, bytes: &[u8]| match name {
        "log.hex" => {
            let lines = std::str::from_utf8(bytes).unwrap().lines();
            // Hex of the version; then seal, first position, two checksums: of the position nothing is lost,
            // since the key has it.
            let line = |line: &str| {
                let (key, value) = line.split_once(' ').unwrap();
                format!("{key} {} {}\n", &value[..2], &value[50..])
            };
            lines.map(line).collect()
        }
        "REACH" => {
            let lines = std::str::from_utf8(bytes).unwrap().lines();
            let chance = |line: &&str| line.starts_with("seal") || line.starts_with("crc32c");
            lines.filter(|line| !chance(line)).collect()
        }
        _ => hex(bytes),
    };
    let named = files
        .iter()
        .map(|(name, bytes)| (name.clone(), text(name, bytes)));
    named.collect()
}

fn kept() -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    root.join(format!("tests/golden/store-{FORMAT_VERSION}"))
}

fn read_kept() -> BTreeMap<String, Vec<u8>> {
    let list =
        fs::read_dir(kept()).expect("run it with BLESS=1 to keep the format of a new number");
    let read = |entry: fs::DirEntry| {
        let name = entry.file_name().into_string().unwrap();
        (name, fs::read(entry.path()).unwrap())
    };
    list.map(|entry| read(entry.unwrap())).collect()
}

fn write_history(dir: &Path) {
    let mut disk = Disk::open(&config(dir)).unwrap();
    let mut units = history();
    let last = units.pop().unwrap();
    for unit in units {
        disk.append_all(&unit).unwrap();
    }
    while disk.snapshot(1 << 20).unwrap() != Progress::Done {
        std::thread::sleep(Duration::from_millis(1));
    }
    disk.append_all(&last).unwrap();
    disk.close().unwrap();
}

#[test]
fn the_same_history_is_the_same_bytes_under_the_same_number() {
    let dir = tempfile::tempdir().unwrap();
    write_history(dir.path());
    let files = written(dir.path());
    if env::var_os("BLESS").is_some() && !kept().exists() {
        fs::create_dir_all(kept()).unwrap();
        for (name, bytes) in &files {
            fs::write(kept().join(name), bytes).unwrap();
        }
    }
    assert!(
        comparable(&files) == comparable(&read_kept()),
        "format {FORMAT_VERSION} was changed: raise FORMAT_VERSION, then run this with BLESS=1\n{:#?}",
        comparable(&files)
    );
}

#[test]
fn what_is_kept_opens_to_the_state_of_its_history() {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir_all(dir.path().join("snapshots")).unwrap();
    for (name, bytes) in read_kept() {
        match name.as_str() {
            "log.hex" => {
                let db = open_log(dir.path());
                for line in std::str::from_utf8(&bytes).unwrap().lines() {
                    let (key, value) = line.split_once(' ').unwrap();
                    db.insert(unhex(key), unhex(value)).unwrap();
                }
                db.flush().unwrap();
            }
            name if name.ends_with(".snapshot") => {
                fs::write(dir.path().join("snapshots").join(name), bytes).unwrap();
            }
            name => fs::write(dir.path().join(name), bytes).unwrap(),
        }
    }
    let found = Disk::open(&config(dir.path())).unwrap().load().unwrap();
    let found = found.collect().unwrap();
    let mut state = BTreeMap::new();
    for Entry { key, value } in history().into_iter().flatten().flatten() {
        match value {
            Some(value) => state.insert(key, value),
            None => state.remove(&key),
        };
    }
    assert_eq!((found.position, found.state), (6, state));
}
