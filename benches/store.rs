//! What the journal costs: appends, a snapshot of a million records beside them, and loading it again.
//!
//! A plain program, since each figure is of one long history on a disk: `cargo bench -p dormouse-benches --bench
//! store`. `RECORDS` (a million, or 50,000 with `--quick`) and `BYTES` (200, of a value) change the size; the directory
//! is made in `TMPDIR`. Peak memory is that of the whole process, from the kernel's high-water mark.

#![allow(
    clippy::disallowed_types,
    clippy::print_stdout,
    reason = "a measurement of an awake machine, to be read"
)]

mod quick;

use dormouse_store::{Config, Disk, Entry, Group, Journal, Kind, Policy, Progress, Writer};
use std::env;
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

fn number(name: &str, default: u64) -> u64 {
    let given = env::var(name).ok();
    given.and_then(|text| text.parse().ok()).unwrap_or(default)
}

fn open(dir: &Path) -> Disk {
    Disk::open(&Config::new(dir, Kind::Coordinator, "bench")).expect("the store opens")
}

/// The nth record: a key as a timer has it, and a value that does not compress.
fn entry(n: u64, bytes: usize) -> Entry {
    let scrambled = n.wrapping_mul(0x9E37_79B9_7F4A_7C15);
    let mut key = vec![b't'];
    key.extend_from_slice(&(u128::from(scrambled) << 64 | u128::from(n)).to_be_bytes());
    let value: Vec<u8> = (0..bytes as u64)
        .map(|at| (scrambled.rotate_left((at % 64) as u32) ^ at) as u8)
        .collect();
    Entry::put(key, value)
}

fn group(begin: u64, records: u64, bytes: usize) -> Group {
    (begin..begin + records).map(|n| entry(n, bytes)).collect()
}

/// The process's peak of resident memory in MiB since the last call of [`forget_peak`].
fn peak_mib() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmHWM"));
    let digits = line.map(|line| {
        line.chars()
            .filter(char::is_ascii_digit)
            .collect::<String>()
    });
    digits
        .and_then(|text| text.parse::<u64>().ok())
        .unwrap_or(0)
        / 1024
}

fn forget_peak() {
    let _ = fs::write("/proc/self/clear_refs", "5");
}

fn append(bytes: usize) {
    for records in [1, 100, 1_000] {
        let dir = tempfile::tempdir().expect("a directory");
        let mut disk = open(dir.path());
        let rounds = (200_000 / records).clamp(100, 2_000);
        let groups: Vec<Group> = (0..rounds)
            .map(|round| group(round * records, records, bytes))
            .collect();
        let begin = Instant::now();
        for group in &groups {
            disk.append(group).expect("it is written");
        }
        let took = begin.elapsed().as_secs_f64();
        println!(
            "append  {records:>5} records a group: {:>9.0} records/s, {:>7.3} ms a group",
            (rounds * records) as f64 / took,
            1e3 * took / rounds as f64
        );
    }
}

/// A policy under which nothing happens by itself.
fn quiet() -> Policy {
    Policy {
        log_bytes_min: u64::MAX,
        ..Policy::default()
    }
}

/// Appends the state, and takes snapshots of it while single records are appended.
fn snapshot(dir: &Path, records: u64, bytes: usize) {
    let mut disk = open(dir);
    for begin in (0..records).step_by(1_000) {
        disk.append(&group(begin, 1_000, bytes))
            .expect("it is written");
    }
    finish(&mut disk);
    drop(disk);
    // From here on a snapshot is due at once, and once more, over the one before.
    let policy = Policy {
        log_bytes_min: 1,
        log_percent: 0,
        ..Policy::default()
    };
    report("append  alone", dir, quiet(), records, bytes);
    report("append  beside a snapshot", dir, policy, records, bytes);
}

fn finish(disk: &mut Disk) {
    forget_peak();
    let (begin, before) = (Instant::now(), peak_mib());
    loop {
        match disk.snapshot(128 << 10).expect("it is written") {
            Progress::Done => break,
            Progress::More => {}
            Progress::Waiting => std::thread::sleep(Duration::from_millis(1)),
        }
    }
    println!(
        "snapshot of the log: {:.2} s, {:.0} MiB, peak memory {} MiB over {before} MiB",
        begin.elapsed().as_secs_f64(),
        disk.size().snapshot as f64 / (1 << 20) as f64,
        peak_mib().saturating_sub(before)
    );
    while disk.truncate(u64::MAX, 64).expect("it is dropped") == Progress::More {}
}

/// Changes records one by one for some seconds.
fn report(what: &str, dir: &Path, policy: Policy, records: u64, bytes: usize) {
    forget_peak();
    let (writer, loaded) = Writer::with_policy(open(dir), policy).expect("the store loads");
    loaded
        .records
        .decode(|| |_: &[u8], _: &[u8]| ())
        .finish()
        .expect("it reads");
    let mut took = Vec::new();
    let begin = Instant::now();
    while begin.elapsed() < Duration::from_secs(5) {
        let n = took.len() as u64 * 7_919 % records;
        let one = Instant::now();
        writer
            .submit(vec![entry(n, bytes)])
            .wait()
            .expect("it is written");
        took.push(one.elapsed());
    }
    took.sort_unstable();
    let at = |share: usize| took[(took.len() - 1) * share / 1_000].as_secs_f64() * 1e3;
    println!(
        "{what}: {} appends in 5 s; median {:.2}, p99 {:.2}, longest {:.1} ms",
        took.len(),
        at(500),
        at(990),
        at(1_000)
    );
}

fn load(dir: &Path) {
    for round in 0..3 {
        forget_peak();
        let (before, begin) = (peak_mib(), Instant::now());
        let mut disk = open(dir);
        let opened = begin.elapsed();
        let loaded = disk.load().expect("it loads");
        let mut lengths = loaded
            .records
            .decode(|| |key: &[u8], value: &[u8]| key.len() + value.len());
        let (count, bytes) = lengths
            .by_ref()
            .fold((0_u64, 0), |(count, sum), length| (count + 1, sum + length));
        lengths.finish().expect("all of it reads");
        println!(
            "load {round}: {count} records, {bytes} bytes: {:.3} s, {:.3} s of it to open; peak memory {} MiB",
            begin.elapsed().as_secs_f64(),
            opened.as_secs_f64(),
            peak_mib().saturating_sub(before)
        );
    }
}

fn main() {
    let all = if quick::is_asked() { 50_000 } else { 1_000_000 };
    let records = number("RECORDS", all);
    let bytes = number("BYTES", 200) as usize;
    append(bytes);
    let dir = tempfile::tempdir().expect("a directory");
    snapshot(dir.path(), records, bytes);
    load(dir.path());
}
