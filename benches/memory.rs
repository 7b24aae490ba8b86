//! What a pending timer takes in memory, in the machine of a node and in that of a coordinator, and in a record; and
//! what a node takes at a coordinator.
//!
//! A counting allocator adds up what the machine holds after so many timers were registered, as glibc's allocator
//! rounds it: eight bytes of its own for each piece, in steps of sixteen, at least 32. Payloads have 100 bytes, and 88 in
//! the record. What a whole process takes is measured by `dormouse-large million`.

#![expect(clippy::print_stdout, reason = "a bench tells its figures")]

mod counting;
mod quick;

use dormouse_engine::base::{self, Base};
use dormouse_engine::id::{Epoch, NodeId, PoolId, RackId, TimerId, Uid};
use dormouse_engine::message::{
    Act, Active, CoordinatorMessage, Hello, Items, NodeMessage, Report, Welcome,
};
use dormouse_engine::op::Op;
use dormouse_engine::pool::{self, Link, Pool};
use dormouse_engine::record::{Key, NO_FACTS, Record};
use dormouse_engine::time::{BootTime, LogIndex, Millis, Now, WallTime};
use dormouse_engine::timer::{Durability, HandlerName, NewTimer, Payload, Placement, Timer, When};
use std::collections::BTreeMap;

/// Inputs of one turn.
const TURN: u128 = 512;

#[global_allocator]
static ALLOCATOR: counting::Counting = counting::Counting;

fn now() -> Now {
    Now {
        wall: WallTime(1_800_000_000_000),
        boot: BootTime(1_000),
    }
}

fn handler() -> HandlerName {
    HandlerName::new("remind").expect("a name")
}

fn new_timer(number: u128, durability: Durability) -> NewTimer {
    NewTimer {
        pool: PoolId::new("default").expect("an id"),
        id: TimerId::new(&format!("t{number}")).expect("an id"),
        uid: Uid(number),
        request: number,
        when: When::After(Millis(3_600_000)),
        placement: Placement::Movable,
        handler: handler(),
        target: Default::default(),
        policy: Default::default(),
        paused: false,
        payload: Payload(vec![0; 100].into()),
        content_type: String::new(),
        durability,
        labels: BTreeMap::new(),
    }
}

fn empty_base() -> Base {
    let config = base::Config {
        node: NodeId::new("n1").expect("an id"),
        pool: PoolId::new("default").expect("an id"),
        rack: RackId::new("r1").expect("an id"),
        incarnation: 1,
        replicate_after: Millis(200),
        message: Default::default(),
    };
    let (base, _) = Base::recover(config, NO_FACTS, now()).expect("an empty base");
    base
}

/// A base that has accepted `count` timers.
fn base(count: u128, durability: Durability) -> Base {
    let mut base = empty_base();
    for first in (1..=count).step_by(512) {
        let asked = (first..first + TURN).take_while(|number| *number <= count);
        let asked = asked.map(|number| base::Input::Asked {
            ask: 1,
            op: Op::Create(Box::new(new_timer(number, durability))),
        });
        let inputs = asked.collect();
        drop(base.handle(now(), inputs));
    }
    base
}

fn empty_pool() -> Pool {
    let config = pool::Config {
        pool: PoolId::new("default").expect("an id"),
        ledger: 1,
        lease: Millis(10_000),
        wake_grace: Millis(2_000),
        group_capacity: 8,
        message: Default::default(),
    };
    let (pool, _) = Pool::recover(config, NO_FACTS, now()).expect("an empty pool");
    pool
}

/// A coordinator that has accepted `count` timers of the pool's own.
fn pool(count: u128) -> Pool {
    let mut pool = empty_pool();
    for first in (1..=count).step_by(512) {
        let asked = (first..first + TURN).take_while(|number| *number <= count);
        let asked = asked.map(|number| pool::Input::Asked {
            ask: 1,
            op: Op::Create(Box::new(new_timer(number, Durability::Replicated))),
        });
        let inputs = asked.collect();
        drop(pool.handle(now(), inputs));
    }
    pool
}

/// A coordinator with `count` active nodes, eight of them in a rack.
fn nodes(count: u128) -> Pool {
    let mut pool = empty_pool();
    for number in 0..count {
        let link = Link(u64::try_from(number).expect("few"));
        let say = |message| vec![pool::Input::Said { link, message }];
        let hello = Hello {
            node: NodeId::new(&format!("n{number:06}")).expect("an id"),
            pool: PoolId::new("default").expect("an id"),
            rack: RackId::new(&format!("r{}", number / 8)).expect("an id"),
            incarnation: 1,
            epoch: Epoch::default(),
            known: LogIndex(0),
            ledger: 1,
            wall: now().wall,
        };
        let said = pool.handle(now(), say(NodeMessage::Hello(hello)));
        let welcome = said.effects.into_iter().find_map(welcome);
        let welcome = welcome.expect("a node that says hello is welcome");
        let active = Active {
            known: LogIndex(0),
            cursor: None,
        };
        let report = Report {
            session: welcome.session,
            seq: 1,
            epoch: welcome.epoch,
            act: Act::Active(active),
            items: Items {
                capacity: Some(BTreeMap::from([(handler(), 1)])),
                ..Items::default()
            },
        };
        drop(pool.handle(now(), say(NodeMessage::Report(report))));
    }
    pool
}

fn welcome(effect: pool::Effect) -> Option<Welcome> {
    match effect {
        pool::Effect::Send {
            message: CoordinatorMessage::Welcome(welcome),
            ..
        } => Some(welcome),
        _ => None,
    }
}

/// Bytes of the key and of the value of a plain timer with a payload of 88.
fn record() -> (usize, usize) {
    let wish = NewTimer {
        payload: Payload(vec![0; 88].into()),
        ..new_timer(1, Durability::Replicated)
    };
    let timer = Timer::accept(&wish, None, now().wall).expect("a timer");
    let record = Record::put(&Key::Timer(timer.uid), &timer);
    (
        record.key.len(),
        record.value.map_or(0, |value| value.len()),
    )
}

fn measure<T>(what: &str, count: u128, make: impl FnOnce() -> T) {
    let before = counting::held();
    let made = make();
    let held = counting::held() - before;
    let each = held as u128 / count;
    println!("{what:<24} {count:>9} of them  {each:>5} B each");
    drop(made);
}

fn main() {
    println!("a timer by itself: {} B", size_of::<Timer>());
    let (key, value) = record();
    println!("its record, with 88 B of payload: {value} B under a key of {key} B");
    let counts = [100_000, 1_000_000];
    let counts = if quick::is_asked() {
        &counts[..1]
    } else {
        &counts[..]
    };
    for &count in counts {
        measure("base, EPHEMERAL", count, || {
            base(count, Durability::Ephemeral)
        });
        measure("base, LOCAL", count, || base(count, Durability::Local));
        measure("pool, REPLICATED", count, || pool(count));
    }
    let count = counts[0] / 10;
    measure("pool, its nodes", count, || nodes(count));
}
