//! What the shelf of timers costs alone, beside the trees that would do the same.
//!
//! `cargo bench -p dormouse-benches --bench shelf`: operations a second, and bytes an entry beside the entry's own, with
//! ten thousand and with a million entries there. An entry has the size of a timer, a name that no other has and a
//! deadline within an hour.

#![allow(clippy::print_stdout, reason = "a measurement is printed")]
#![allow(
    clippy::disallowed_types,
    reason = "a short measurement ends before a suspend"
)]

mod quick;

use dormouse_engine::id::{NodeId, PoolId, TimerId, TimerName, Uid};
use dormouse_engine::shelf::{Shelf, Shelved};
use dormouse_engine::time::WallTime;
use std::alloc::{GlobalAlloc, Layout, System};
use std::collections::{BTreeMap, BTreeSet};
use std::hint::black_box;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Instant;

/// Counts the bytes that are allocated now.
struct Counting;

static ALLOCATED: AtomicUsize = AtomicUsize::new(0);

#[allow(
    unsafe_code,
    reason = "an allocator is unsafe; this one passes on to the system's"
)]
// SAFETY: every call is passed on unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATED.fetch_add(layout.size(), Relaxed);
        // SAFETY: the caller keeps the contract of `alloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        ALLOCATED.fetch_sub(layout.size(), Relaxed);
        // SAFETY: the caller keeps the contract of `dealloc`.
        unsafe { System.dealloc(at, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

#[derive(Debug, Clone)]
struct Card {
    uid: Uid,
    name: TimerName,
    due: WallTime,
    _rest: [u64; 14],
}

impl Shelved for Card {
    type Queue = u8;

    fn uid(&self) -> Uid {
        self.uid
    }

    fn name(&self) -> &TimerName {
        &self.name
    }

    fn waits(&self, _: usize) -> Option<(u8, WallTime)> {
        Some((0, self.due))
    }

    fn is_stored(&self) -> bool {
        false
    }
}

/// What both can do.
trait Timers: Default {
    fn insert(&mut self, card: Card);
    fn cancel(&mut self, name: &TimerName) -> Option<Card>;
    fn rearm(&mut self, uid: Uid, due: WallTime);
    fn first(&self) -> Option<(WallTime, Uid)>;
    fn page(&mut self, after: &TimerName) -> usize;
}

impl Timers for Shelf<Card> {
    fn insert(&mut self, card: Card) {
        Self::insert(self, card);
    }

    fn cancel(&mut self, name: &TimerName) -> Option<Card> {
        let uid = self.named(name)?.uid;
        self.remove(uid)
    }

    fn rearm(&mut self, uid: Uid, due: WallTime) {
        self.change(uid, |card| card.due = due);
    }

    fn first(&self) -> Option<(WallTime, Uid)> {
        Self::first(self, 0, &0).map(|(due, card)| (due, card.uid))
    }

    fn page(&mut self, after: &TimerName) -> usize {
        Self::page(self, Some(after)).take(100).count()
    }
}

/// One tree for each way to find a timer.
#[derive(Default)]
struct Trees {
    timers: BTreeMap<Uid, Card>,
    names: BTreeMap<TimerName, Uid>,
    queue: BTreeSet<(WallTime, Uid)>,
}

impl Timers for Trees {
    fn insert(&mut self, card: Card) {
        self.names.insert(card.name.clone(), card.uid);
        self.queue.insert((card.due, card.uid));
        self.timers.insert(card.uid, card);
    }

    fn cancel(&mut self, name: &TimerName) -> Option<Card> {
        let card = self.timers.remove(&self.names.remove(name)?)?;
        self.queue.remove(&(card.due, card.uid));
        Some(card)
    }

    fn rearm(&mut self, uid: Uid, due: WallTime) {
        if let Some(card) = self.timers.get_mut(&uid) {
            self.queue.remove(&(card.due, uid));
            card.due = due;
            self.queue.insert((due, uid));
        }
    }

    fn first(&self) -> Option<(WallTime, Uid)> {
        self.queue.first().copied()
    }

    fn page(&mut self, after: &TimerName) -> usize {
        self.names.range(after..).skip(1).take(100).count()
    }
}

/// Numbers that look random, the same in every run.
struct Mixed(u64);

impl Mixed {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let word = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        word ^ (word >> 31)
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }
}

const START: i64 = 1_800_000_000_000;

fn cards(count: u64, mixed: &mut Mixed) -> Vec<Card> {
    let pool = PoolId::new("default").expect("an id");
    let node = NodeId::new("n1").expect("an id");
    let made = (0..count).map(|number| {
        let moment = u128::from(1_700_000_000_000 + number / 50) << 80;
        Card {
            uid: Uid(moment | u128::from(mixed.next())),
            name: TimerName::new(
                pool.clone(),
                Some(node.clone()),
                TimerId::new(&format!("order-{:08x}", mixed.next() as u32)).expect("an id"),
            ),
            due: WallTime(START + mixed.below(3_600_000).cast_signed()),
            _rest: [number; 14],
        }
    });
    made.collect()
}

fn measure(what: &str, count: u64, run: impl FnOnce()) {
    let start = Instant::now();
    run();
    let spent = start.elapsed();
    let each = spent.as_nanos() as f64 / count as f64;
    println!("  {what:<24} {each:>8.0} ns  {:>8.2} M/s", 1_000.0 / each);
}

fn measure_all<T: Timers>(label: &str, resident: u64) {
    println!("{label}, {resident} entries:");
    let mut mixed = Mixed(resident);
    let all = cards(resident, &mut mixed);
    let names: Vec<TimerName> = all.iter().map(|card| card.name.clone()).collect();
    let uids: Vec<Uid> = all.iter().map(|card| card.uid).collect();
    let before = ALLOCATED.load(Relaxed);
    let mut timers = T::default();
    measure("fill", resident, || {
        for card in &all {
            timers.insert(card.clone());
        }
    });
    let bytes = (ALLOCATED.load(Relaxed) - before) as u64 / resident;
    println!(
        "  {:<24} {:>8} B",
        "beside the entry",
        bytes.saturating_sub(size_of::<Card>() as u64)
    );
    drop(all);
    measure_steps(&mut timers, &mut mixed, (&names, &uids));
}

fn measure_steps<T: Timers>(
    timers: &mut T,
    mixed: &mut Mixed,
    (names, uids): (&[TimerName], &[Uid]),
) {
    let steps = 500_000;
    // Few enough to be at hand, as what was just read from a socket is.
    let fresh = cards(2_048, &mut Mixed(77));
    let rounds = steps / 2_048;
    measure("create + cancel at once", rounds * 2_048, || {
        for card in (0..rounds).flat_map(|_| &fresh) {
            timers.insert(card.clone());
            black_box(timers.cancel(&card.name));
        }
    });
    // What it costs to watch requests that are answered before their timeout: many are outstanding.
    measure("create + cancel 512 later", rounds * 2_048, || {
        for _ in 0..rounds {
            for (number, card) in fresh.iter().enumerate() {
                timers.insert(card.clone());
                if number >= 512 {
                    black_box(timers.cancel(&fresh[number - 512].name));
                }
            }
            for card in &fresh[2_048 - 512..] {
                black_box(timers.cancel(&card.name));
            }
        }
    });
    let count = uids.len() as u64;
    measure("rearm", steps, || {
        for _ in 0..steps {
            let uid = uids[mixed.below(count) as usize];
            timers.rearm(uid, WallTime(START + mixed.below(3_600_000).cast_signed()));
        }
    });
    measure("due, again in an hour", steps, || {
        for _ in 0..steps {
            if let Some((due, uid)) = timers.first() {
                timers.rearm(uid, WallTime(due.0 + 3_600_000));
            }
        }
    });
    timers.page(&names[0]);
    let pages = 5_000;
    measure("page of 100", pages, || {
        for _ in 0..pages {
            black_box(timers.page(&names[mixed.below(count) as usize]));
        }
    });
    let gone = (count / 2).min(200_000);
    measure("cancel anyone", gone, || {
        for name in &names[..gone as usize] {
            black_box(timers.cancel(name));
        }
    });
}

/// What a restart costs: everything at once, then the order of the names.
fn measure_restart(resident: u64) {
    let all = cards(resident, &mut Mixed(resident));
    println!("shelf, restored with {resident} entries:");
    measure("restore, each", resident, || {
        let mut shelf: Shelf<Card> = Shelf::default();
        for card in &all {
            shelf.restore(card.clone());
        }
        shelf.order_names();
        black_box(shelf);
    });
}

fn main() {
    let sizes = [10_000, 1_000_000];
    let sizes = if quick::is_asked() {
        &sizes[..1]
    } else {
        &sizes[..]
    };
    for &resident in sizes {
        measure_restart(resident);
        measure_all::<Shelf<Card>>("shelf", resident);
        measure_all::<Trees>("trees", resident);
    }
}
