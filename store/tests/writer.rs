//! The writer thread over the in-memory journal: order, sharing, failure, closing, upkeep.
//!
//! A `Gate` holds the thread in the answer to a first group, so that what waits behind it is known
//! and no test depends on how fast a thread is. Real processes are in `tests/crash.rs`.
#![allow(clippy::unwrap_used, reason = "a test ends at what it did not expect")]

use dormouse_store::{Config, Kind};
use dormouse_store::{Disk, Entry, Error, Fault, Group, Journal, Memory, Policy, Ticket, Writer};
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

const SOON: Duration = Duration::from_secs(30);

fn put(key: &str, value: &str) -> Group {
    vec![Entry::put(key.as_bytes(), value.as_bytes())]
}

fn start(memory: &Memory) -> Writer {
    Writer::start(memory.clone()).unwrap().0
}

/// Holds the writer's thread in the answer to a first group until it is released.
struct Gate {
    release: Sender<()>,
}

impl Gate {
    fn close(writer: &Writer) -> Self {
        let (release, released) = mpsc::channel::<()>();
        let (held, holds) = mpsc::channel();
        writer.submit_then(put("gate", ""), move |answer| {
            answer.unwrap();
            held.send(()).unwrap();
            let _ = released.recv_timeout(SOON);
        });
        holds.recv_timeout(SOON).unwrap();
        Self { release }
    }

    fn open(self) {
        self.release.send(()).unwrap();
    }
}

fn answers(receiver: &Receiver<(u64, bool)>, count: usize) -> Vec<(u64, bool)> {
    (0..count)
        .map(|_| receiver.recv_timeout(SOON).expect("an answer comes"))
        .collect()
}

#[test]
fn answers_come_in_the_order_of_submission_with_the_promised_positions() {
    let memory = Memory::new();
    let writer = start(&memory);
    let (sender, receiver) = mpsc::channel();
    let mut promised = Vec::new();
    for n in 0..500_u32 {
        let sender = sender.clone();
        promised.push(writer.submit_then(put("k", &n.to_string()), move |answer| {
            sender.send((answer.unwrap(), true)).unwrap();
        }));
    }
    let answered: Vec<u64> = answers(&receiver, 500)
        .into_iter()
        .map(|(position, _)| position)
        .collect();
    assert_eq!(answered, promised);
    assert_eq!(promised, (1..=500).collect::<Vec<_>>());
    assert_eq!(
        &memory.crash().load().unwrap().collect().unwrap().state[&b"k"[..]][..],
        b"499"
    );
}

#[test]
fn an_answered_group_survives_a_crash_at_that_moment() {
    let memory = Memory::new();
    let writer = start(&memory);
    for n in 0..100_u64 {
        let position = writer.submit(put(&n.to_string(), "")).wait().unwrap();
        let found = memory.crash().load().unwrap().collect().unwrap();
        assert!(found.position >= position && found.state.contains_key(n.to_string().as_bytes()));
    }
}

#[test]
fn what_waits_for_the_group_in_flight_shares_one_write() {
    let memory = Memory::new();
    let writer = start(&memory);
    let gate = Gate::close(&writer);
    let before = memory.writes();
    let tickets: Vec<Ticket> = (0..100)
        .map(|n| writer.submit(put(&n.to_string(), "v")))
        .collect();
    assert!(writer.waiting_bytes() >= 100);
    assert_eq!(
        memory.writes(),
        before,
        "nothing is written while one is in flight"
    );
    gate.open();
    let positions: Vec<u64> = tickets
        .into_iter()
        .map(|ticket| ticket.wait().unwrap())
        .collect();
    assert_eq!(positions, (2..=101).collect::<Vec<_>>());
    assert_eq!(memory.writes(), before + 1);
    assert_eq!(writer.waiting_bytes(), 0);
}

#[test]
fn a_shared_write_is_bounded_and_a_bigger_group_goes_alone() {
    let memory = Memory::new();
    let policy = Policy {
        unit_bytes_max: 1_000,
        ..Policy::default()
    };
    let (writer, _) = Writer::with_policy(memory.clone(), policy).unwrap();
    let gate = Gate::close(&writer);
    let before = memory.writes();
    let sized = |bytes: usize| vec![Entry::put(*b"k", vec![0; bytes - 1])];
    let tickets: Vec<Ticket> = [400, 600, 400, 5_000, 400]
        .map(|bytes| writer.submit(sized(bytes)))
        .into();
    gate.open();
    assert!(tickets.into_iter().all(|ticket| ticket.wait().is_ok()));
    assert_eq!(memory.writes(), before + 4, "[400 600] [400] [5000] [400]");
}

#[test]
fn a_barrier_waits_for_what_is_before_it_and_writes_nothing() {
    let memory = Memory::new();
    let writer = start(&memory);
    let (sender, receiver) = mpsc::channel();
    writer.barrier_then(move |answer| sender.send((answer.unwrap(), true)).unwrap());
    assert_eq!(answers(&receiver, 1), [(0, true)]);
    let gate = Gate::close(&writer);
    let group = writer.submit(put("a", "1"));
    let (sender, receiver) = mpsc::channel();
    let position = writer.barrier_then(move |answer| sender.send((answer.unwrap(), true)).unwrap());
    assert_eq!(position, group.position());
    assert!(
        receiver.recv_timeout(Duration::from_millis(50)).is_err(),
        "the group is in flight"
    );
    gate.open();
    assert_eq!(answers(&receiver, 1), [(2, true)]);
    assert_eq!((memory.writes(), writer.position()), (2, 2));
}

#[test]
fn an_empty_group_is_written_and_has_a_position() {
    let memory = Memory::new();
    let writer = start(&memory);
    assert_eq!(writer.submit(vec![]).wait().unwrap(), 1);
    assert_eq!(memory.writes(), 1);
}

#[test]
fn after_a_failed_append_everything_is_refused_and_nothing_acknowledged_is_lost() {
    for fault in [Fault::BeforeWrite, Fault::AfterWrite] {
        let memory = Memory::new();
        let writer = start(&memory);
        writer.submit(put("kept", "1")).wait().unwrap();
        let gate = Gate::close(&writer);
        memory.fail_write(1, fault);
        let failed = writer.submit(put("lost", "1"));
        let together = writer.submit(put("lost too", "1"));
        let (sender, barrier) = mpsc::channel();
        let later = sender.clone();
        writer.barrier_then(move |answer| sender.send((0, answer.is_ok())).unwrap());
        gate.open();
        assert!(matches!(failed.wait(), Err(Error::Io { .. })));
        assert!(together.wait().is_err());
        assert_eq!(answers(&barrier, 1), [(0, false)]);
        assert!(matches!(
            writer.submit(put("later", "1")).wait(),
            Err(Error::Stopped(_))
        ));
        writer.barrier_then(move |answer| later.send((1, answer.is_ok())).unwrap());
        assert_eq!(answers(&barrier, 1), [(1, false)]);
        let found = memory.crash().load().unwrap().collect().unwrap();
        let written = fault == Fault::AfterWrite;
        assert_eq!(found.position, if written { 4 } else { 2 });
        assert_eq!(found.state.contains_key(&b"lost"[..]), written);
        assert!(found.state.contains_key(&b"kept"[..]) && !found.state.contains_key(&b"later"[..]));
    }
}

#[test]
fn what_waits_behind_a_failed_write_is_answered_too() {
    let memory = Memory::new();
    let policy = Policy {
        unit_bytes_max: 1,
        ..Policy::default()
    };
    let (writer, _) = Writer::with_policy(memory.clone(), policy).unwrap();
    let gate = Gate::close(&writer);
    memory.fail_write(2, Fault::BeforeWrite);
    let tickets: Vec<Ticket> = (0..5)
        .map(|n| writer.submit(put(&n.to_string(), "v")))
        .collect();
    gate.open();
    let kept: Vec<bool> = tickets
        .into_iter()
        .map(|ticket| ticket.wait().is_ok())
        .collect();
    assert_eq!(kept, [true, false, false, false, false]);
}

#[test]
fn a_panicking_callback_fails_the_writer_and_leaves_nobody_waiting() {
    let memory = Memory::new();
    let writer = start(&memory);
    let gate = Gate::close(&writer);
    writer.submit_then(put("a", "1"), |_| panic!("a bug of the caller"));
    let behind = writer.submit(put("b", "1"));
    gate.open();
    assert!(behind.wait().is_err());
    while writer.submit(put("c", "1")).wait().is_ok() {}
}

#[test]
fn closing_answers_what_was_submitted_and_refuses_the_rest() {
    let memory = Memory::new();
    let writer = start(&memory);
    let tickets: Vec<Ticket> = (0..50)
        .map(|n| writer.submit(put(&n.to_string(), "v")))
        .collect();
    writer.close();
    assert!(tickets.into_iter().all(|ticket| ticket.wait().is_ok()));
    assert!(matches!(
        writer.submit(put("late", "1")).wait(),
        Err(Error::Closed)
    ));
    assert_eq!(
        memory.crash().load().unwrap().collect().unwrap().position,
        50
    );
}

#[test]
fn dropping_the_last_handle_still_writes_and_frees_the_directory() {
    let dir = tempfile::tempdir().unwrap();
    let config = Config::new(dir.path(), Kind::Agent, "n1");
    for round in 0..5 {
        let (writer, loaded) = Writer::start(Disk::open(&config).unwrap()).unwrap();
        assert_eq!(loaded.position, 20 * round);
        let other = writer.clone();
        (0..20).for_each(|n| drop(other.submit(put(&n.to_string(), "v"))));
        drop((writer, other));
    }
}

#[test]
fn a_callback_may_drop_the_last_handle() {
    let writer = start(&Memory::new());
    let handle = writer.clone();
    let (sender, receiver) = mpsc::channel();
    let gate = Gate::close(&writer);
    writer.submit_then(put("a", "1"), move |answer| {
        drop(handle);
        sender.send((answer.unwrap(), true)).unwrap();
    });
    // From here the callback has the last handle.
    std::thread::spawn(move || drop(writer));
    std::thread::sleep(Duration::from_millis(20));
    gate.open();
    assert_eq!(answers(&receiver, 1), [(2, true)]);
}

struct Unpark(std::thread::Thread, Mutex<u32>);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        *self.1.lock().unwrap() += 1;
        self.0.unpark();
    }
}

#[test]
fn a_ticket_can_be_awaited_by_any_runtime() {
    let writer = start(&Memory::new());
    let gate = Gate::close(&writer);
    let unpark = Arc::new(Unpark(std::thread::current(), Mutex::new(0)));
    let waker = Waker::from(Arc::clone(&unpark));
    let mut ticket = std::pin::pin!(writer.submit(put("a", "1")));
    let mut poll = || ticket.as_mut().poll(&mut Context::from_waker(&waker));
    assert!(poll().is_pending() && poll().is_pending());
    gate.open();
    let answer = loop {
        match poll() {
            Poll::Ready(answer) => break answer,
            Poll::Pending => std::thread::park_timeout(SOON),
        }
    };
    assert_eq!((answer.unwrap(), *unpark.1.lock().unwrap()), (2, 1));
}

/// A journal that grows over its limit again and again.
fn churn(writer: &Writer, rounds: u32) {
    for n in 0..rounds {
        let key = format!("key {}", n % 10);
        writer
            .submit(vec![Entry::put(key.into_bytes(), vec![n as u8; 1_000])])
            .wait()
            .unwrap();
    }
}

fn eventually(mut holds: impl FnMut() -> bool) {
    for _ in 0..3_000 {
        if holds() {
            return;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    panic!("it does not come to hold");
}

#[test]
fn the_log_is_kept_short_by_itself_also_when_no_group_comes() {
    let memory = Memory::new();
    let policy = Policy {
        log_bytes_min: 20_000,
        snapshot_step_bytes: 1_500,
        truncate_step_keys: 3,
        ..Policy::default()
    };
    let (writer, _) = Writer::with_policy(memory.clone(), policy).unwrap();
    churn(&writer, 500);
    eventually(|| memory.size().log <= 21_000);
    assert!(memory.damage_newest_snapshot() && memory.damage_newest_snapshot());
    memory
        .crash()
        .load()
        .expect_err("the log below the older snapshot is gone");
}

#[test]
fn a_small_log_is_left_alone() {
    let memory = Memory::new();
    let writer = start(&memory);
    churn(&writer, 500);
    writer.close();
    assert!(!memory.damage_newest_snapshot(), "there is none");
}

#[test]
fn a_failed_snapshot_fails_no_group_and_is_tried_again_after_more_growth() {
    let dir = tempfile::tempdir().unwrap();
    let disk = Disk::open(&Config::new(dir.path(), Kind::Agent, "n1")).unwrap();
    let policy = Policy {
        log_bytes_min: 20_000,
        ..Policy::default()
    };
    let (writer, _) = Writer::with_policy(disk, policy).unwrap();
    let obstacle = dir.path().join("snapshots/merge.partial");
    let published = || {
        std::fs::read_dir(dir.path().join("snapshots"))
            .unwrap()
            .count()
    };
    std::fs::create_dir(&obstacle).unwrap();
    churn(&writer, 60);
    assert_eq!(published(), 1, "only the obstacle is there");
    std::fs::remove_dir(&obstacle).unwrap();
    churn(&writer, 60);
    eventually(|| published() >= 1);
    churn(&writer, 10);
}

/// A snapshot stands still where it opens its file: a named pipe that nobody reads.
#[test]
fn groups_are_answered_while_the_snapshot_of_a_large_state_is_held_up() {
    let dir = tempfile::tempdir().unwrap();
    let disk = Disk::open(&Config::new(dir.path(), Kind::Agent, "n1")).unwrap();
    let policy = Policy {
        log_bytes_min: 4 << 20,
        ..Policy::default()
    };
    let pipe = dir.path().join("snapshots/merge.partial");
    let made = std::process::Command::new("mkfifo").arg(&pipe).status();
    assert!(made.unwrap().success());
    let (writer, _) = Writer::with_policy(disk, policy).unwrap();
    for n in 0..100_u64 {
        let big = vec![Entry::put(n.to_be_bytes(), vec![1; 100_000])];
        writer.submit(big).wait().unwrap();
    }
    // The snapshot has begun long ago; these would wait for ever if they waited for it.
    churn(&writer, 200);
    assert!(
        std::fs::metadata(&pipe).unwrap().len() == 0,
        "it is still a pipe"
    );
    let reader = std::thread::spawn(move || {
        // Lets the thread go on, whose pipe cannot be synced: this snapshot fails, and no group does.
        let mut input = std::fs::File::open(&pipe).unwrap();
        std::io::copy(&mut input, &mut std::io::sink()).unwrap();
        std::fs::remove_file(&pipe)
    });
    churn(&writer, 200);
    let _ = reader.join().unwrap();
    let snapshots = dir.path().join("snapshots");
    eventually(|| {
        churn(&writer, 50);
        let list = std::fs::read_dir(&snapshots).unwrap();
        list.flatten().any(|entry| {
            entry
                .path()
                .extension()
                .is_some_and(|end| end == "snapshot")
        })
    });
}
