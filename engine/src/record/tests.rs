//! What is written reads back as it was, what is damaged is refused in words, and a plain timer takes little room.

mod facts;

use super::*;
use crate::base;
use crate::id::{NodeId, TimerId};
use crate::ledger;
use crate::timer::{Durability, HandlerName, NewTimer, Payload, Placement, Target, When};
use facts::timer;
use proptest::prelude::*;

fn pool() -> PoolId {
    PoolId::new("default").unwrap()
}

/// What a user asks for who asks for nothing special.
fn plain(payload: usize, id: &str, durability: Durability) -> NewTimer {
    NewTimer {
        pool: pool(),
        id: TimerId::new(id).unwrap(),
        uid: Uid(0x0123_4567_89ab_cdef_0123_4567_89ab_cdef),
        request: REQUEST,
        when: When::At(WallTime(1_800_000_300_000)),
        placement: Placement::Movable,
        handler: HandlerName::new("remind").unwrap(),
        target: Target::Handler,
        policy: Default::default(),
        paused: false,
        payload: Payload(vec![7; payload].into()),
        content_type: String::new(),
        durability,
        labels: Default::default(),
    }
}

const REQUEST: u128 = 0x0198_0000_1111_7222_8333_4444_5555_6666;

fn accepted(new: &NewTimer, home: Option<&str>) -> Timer {
    let home = home.map(|home| NodeId::new(home).unwrap());
    Timer::accept(new, home, WallTime(1_800_000_000_000)).unwrap()
}

fn journalled(timer: &Timer) -> Vec<u8> {
    Record::put_timer(timer, &pool(), &()).value.unwrap()
}

fn read_back(bytes: &[u8], uid: Uid) -> Result<Timer, Unreadable> {
    let mut reader = Reader::new(pool());
    decode_timer::<()>((b"t", uid), bytes, &mut reader).map(|(timer, ())| timer)
}

#[test]
fn a_plain_timer_takes_its_payload_and_at_most_64_bytes_beside_its_key() {
    let derived = format!("t-{REQUEST:032x}");
    for (id, durability, home) in [
        (derived.as_str(), Durability::Replicated, None),
        (derived.as_str(), Durability::Local, Some("node-17")),
        ("backup-12345", Durability::Replicated, Some("node-17")),
        ("backup-12345", Durability::Local, Some("node-17")),
    ] {
        let timer = accepted(&plain(88, id, durability), home);
        let bytes = journalled(&timer);
        assert!(bytes.len() <= 88 + 64, "{} bytes: {timer:?}", bytes.len());
        assert_eq!(read_back(&bytes, timer.uid).unwrap(), timer);
    }
}

#[test]
fn what_timers_share_is_one_after_a_restart() {
    let mut reader = Reader::new(pool());
    let mut read = |id: &str| {
        let timer = accepted(&plain(8, id, Durability::Local), Some("n1"));
        let bytes = journalled(&timer);
        let (read, ()) = decode_timer((b"t", timer.uid), &bytes, &mut reader).unwrap();
        read
    };
    let (first, second): (Timer, Timer) = (read("a"), read("b"));
    assert_eq!(first.shared(), second.shared());
}

#[test]
fn a_length_that_is_more_than_there_is_is_refused() {
    // A kind, a payload, a list of requests: each says that a terabyte follows.
    for parts in [1 << 7, 1 << 17, 0] {
        let mut bytes = vec![VERSION];
        bytes.extend(written(&(parts | 1 << 1, "a", u64::from(u32::MAX) << 8)));
        let why = read_back(&bytes, Uid(1)).unwrap_err().to_string();
        assert!(why.contains("does not decode"), "{why}");
    }
    let list = written(&(VERSION, u64::from(u32::MAX) << 8));
    assert!(decode::<Vec<u128>>(b"l", &list).is_err());
}

#[test]
fn another_version_is_refused_with_what_to_do() {
    for (version, cure) in [
        (VERSION - 1, "empty data directory"),
        (VERSION + 1, "newer build"),
    ] {
        let why = read_back(&[version, 0], Uid(1)).unwrap_err().to_string();
        assert!(why.contains(cure), "{why}");
    }
}

proptest! {
    #[test]
    fn a_timer_reads_back_from_a_journal_and_from_a_message(timer in timer()) {
        prop_assert_eq!(&read_back(&journalled(&timer), timer.uid).unwrap(), &timer);
        let message: Timer = decode(b"message", &encode(&timer)).unwrap();
        prop_assert_eq!(message, timer);
    }

    #[test]
    fn a_record_that_ends_early_is_refused(timer in timer(), share in 0.0..1.0) {
        let bytes = journalled(&timer);
        let end = (bytes.len() as f64 * share) as usize;
        let refused = read_back(&bytes[..end], timer.uid).unwrap_err();
        prop_assert!(matches!(refused, Unreadable::Value { .. }), "{}", refused);
        let mut longer = bytes;
        longer.push(0);
        prop_assert!(read_back(&longer, timer.uid).is_err());
    }

    #[test]
    fn a_damaged_record_makes_nobody_panic(
        timer in timer(),
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ) {
        let mut bytes = journalled(&timer);
        for (at, byte) in damage {
            let at = at.index(bytes.len() - 1) + 1;
            bytes[at] = byte;
        }
        let _ = read_back(&bytes, timer.uid);
    }

    #[test]
    fn bytes_that_are_no_fact_make_nobody_panic(
        kind in prop::sample::select(b"mntgprf".to_vec()),
        rest in prop::collection::vec(any::<u8>(), 0..60),
        mut value in prop::collection::vec(any::<u8>(), 0..200),
    ) {
        let length = match kind { b'm' => 0, b'p' => 8, b'r' => 44, b'n' => rest.len(), _ => 16 };
        let mut key = vec![kind];
        key.extend(rest.into_iter().chain([0; 44]).take(length));
        value.insert(0, VERSION);
        let mut reader = Reader::new(pool());
        let _ = base::Stored::decode(&key, &value, &mut reader);
        let _ = ledger::Stored::decode(&key, &value, &mut reader);
    }

    #[test]
    fn numbers_that_look_random_take_sixteen_bytes(number in any::<u128>()) {
        let bytes = encode(&Uid(number));
        prop_assert_eq!(bytes.len(), 17);
        prop_assert_eq!(decode::<Uid>(b"u", &bytes).unwrap(), Uid(number));
    }
}
