//! What it costs to register a timer and cancel it again, as ratios against peers in the same run.
//!
//! The claim is that on an awake node this costs almost nothing: `base` is the engine's own work for one
//! EPHEMERAL timer, whose requests are there already. Its peers are tokio's timer queue, which keeps no name, and one durable write per timer,
//! as a queue in a database makes it. LOCAL timers share a durable write: `journal` writes them a hundred at
//! a time.

#![allow(missing_docs, reason = "criterion's macros make undocumented items")]

mod quick;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use dormouse_engine::base::{Base, Config, Effect, Input};
use dormouse_engine::decision::Decision;
use dormouse_engine::id::{NodeId, PoolId, RackId, TimerId, TimerName, Uid};
use dormouse_engine::op::Op;
use dormouse_engine::record::{Key, NO_FACTS, Record};
use dormouse_engine::time::{BootTime, Millis, Now, WallTime};
use dormouse_engine::timer::{Durability, HandlerName, NewTimer, Payload, Placement, Timer, When};
use dormouse_store::{Config as StoreConfig, Disk, Entry, Journal, Kind};
use std::collections::BTreeMap;
use std::hint::black_box;

/// Timers per durable write of the `journal` case: about what one turn gathers under load.
const GROUP: usize = 100;

/// How many timers are there beside the one that comes and goes.
const RESIDENT: &[(u128, &str)] = &[
    (0, "base"),
    (10_000, "base, 10,000 others"),
    (1_000_000, "base, 1,000,000 others"),
];

fn now() -> Now {
    Now {
        wall: WallTime(1_800_000_000_000),
        boot: BootTime(1_000),
    }
}

fn new_timer(number: u128) -> NewTimer {
    NewTimer {
        pool: PoolId::new("default").expect("an id"),
        id: TimerId::new(&format!("t{number}")).expect("an id"),
        uid: Uid(number),
        request: number,
        when: When::After(Millis(30_000)),
        placement: Placement::Movable,
        handler: HandlerName::new("remind").expect("a name"),
        target: Default::default(),
        policy: Default::default(),
        paused: false,
        payload: Payload(vec![0; 64].into()),
        content_type: String::new(),
        durability: Durability::Ephemeral,
        labels: BTreeMap::new(),
    }
}

fn base() -> Base {
    let config = Config {
        node: NodeId::new("n1").expect("an id"),
        pool: PoolId::new("default").expect("an id"),
        rack: RackId::new("r1").expect("an id"),
        incarnation: 1,
        replicate_after: Millis(200),
        message: Default::default(),
    };
    let recovered = Base::recover(config, NO_FACTS, now());
    let mut base = recovered.expect("an empty base").0;
    // The first turn writes down which tokens the node may give.
    let _ = base.handle(now(), vec![Input::Tick]);
    base
}

fn name(number: u128) -> TimerName {
    TimerName::parse(&format!("pools/default/nodes/n1/timers/t{number}")).expect("a name")
}

/// A base with so many timers that stay.
fn base_with(resident: u128) -> Base {
    let mut base = base();
    for number in 1..=resident {
        let create = Op::Create(Box::new(new_timer(number)));
        perform(base.handle(now(), vec![Input::Asked { ask: 1, op: create }]));
    }
    base
}

/// What an EPHEMERAL timer's turn leaves to be done: nothing to store, one answer.
fn perform(decision: Decision<Effect>) {
    assert!(
        decision.records.is_empty(),
        "an EPHEMERAL timer is not stored"
    );
    black_box(decision.effects);
}

fn register_and_cancel(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("register_and_cancel");
    group.throughput(Throughput::Elements(1));
    for (resident, named) in RESIDENT {
        if *resident > 10_000 && quick::is_asked() {
            continue;
        }
        group.bench_function(*named, |bencher| {
            let (mut base, mut number) = (base_with(*resident), *resident);
            let mut inputs = || {
                number += 1;
                let create = Op::Create(Box::new(new_timer(number)));
                let cancel = Op::cancel(name(number));
                let create = vec![Input::Asked { ask: 1, op: create }];
                (create, vec![Input::Asked { ask: 2, op: cancel }])
            };
            let pair = |(create, cancel)| {
                perform(base.handle(now(), create));
                perform(base.handle(now(), cancel));
            };
            bencher.iter_batched(&mut inputs, pair, BatchSize::SmallInput);
        });
    }
    group.bench_function("peer: tokio DelayQueue", |bencher| {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build();
        let runtime = runtime.expect("a runtime");
        let _inside = runtime.enter();
        let mut queue = tokio_util::time::DelayQueue::new();
        let pair = |timer| {
            let key = queue.insert(timer, std::time::Duration::from_secs(30));
            black_box(queue.remove(&key));
        };
        bencher.iter_batched(|| new_timer(1), pair, BatchSize::SmallInput);
    });
    group.finish();
}

fn entry(number: u128) -> Entry {
    let timer = Timer::accept(&new_timer(number), None, now().wall).expect("a timer");
    let record = Record::put(&Key::Timer(timer.uid), &timer);
    Entry::put(record.key, record.value.expect("a value"))
}

fn register_durably(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("register_durably");
    group.throughput(Throughput::Elements(GROUP as u64));
    group.sample_size(20);
    group.bench_function("journal: a hundred share a write", |bencher| {
        let dir = tempfile::tempdir().expect("a directory");
        let mut disk = open(dir.path());
        let mut number = 0;
        bencher.iter_batched(
            || {
                (0..GROUP)
                    .map(|_| {
                        number += 1;
                        entry(number)
                    })
                    .collect::<Vec<_>>()
            },
            |timers| disk.append(&timers).expect("the disk takes it"),
            BatchSize::SmallInput,
        );
    });
    group.bench_function("peer: one durable write each", |bencher| {
        let dir = tempfile::tempdir().expect("a directory");
        let mut disk = open(dir.path());
        let mut number = 0;
        bencher.iter_batched(
            || {
                (0..GROUP)
                    .map(|_| {
                        number += 1;
                        entry(number)
                    })
                    .collect::<Vec<_>>()
            },
            |timers| {
                for timer in timers {
                    disk.append(&vec![timer]).expect("the disk takes it");
                }
            },
            BatchSize::SmallInput,
        );
    });
    group.finish();
}

fn open(path: &std::path::Path) -> Disk {
    let mut disk =
        Disk::open(&StoreConfig::new(path, Kind::Agent, "bench")).expect("a new directory");
    disk.load().expect("nothing yet");
    disk
}

criterion_group!(benches, register_and_cancel, register_durably);
criterion_main!(benches);
