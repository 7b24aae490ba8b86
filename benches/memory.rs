//! What a pending timer takes in memory, in the machine of a node and in that of a coordinator.
//!
//! A counting allocator adds up what the machine holds after so many timers were registered, as glibc's allocator
//! rounds it: eight bytes of its own for each piece, in steps of sixteen, at least 32. Payloads have 100 bytes. What
//! a whole process takes is measured elsewhere.

#![expect(clippy::print_stdout, reason = "a bench tells its figures")]

mod counting;
mod quick;

use dormouse_engine::base::{self, Base};
use dormouse_engine::id::{NodeId, PoolId, RackId, TimerId, Uid};
use dormouse_engine::op::Op;
use dormouse_engine::pool::{self, Pool};
use dormouse_engine::record::NO_FACTS;
use dormouse_engine::time::{BootTime, Millis, Now, WallTime};
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

fn new_timer(number: u128, durability: Durability) -> NewTimer {
    NewTimer {
        pool: PoolId::new("default").expect("an id"),
        id: TimerId::new(&format!("t{number}")).expect("an id"),
        uid: Uid(number),
        request: number,
        when: When::After(Millis(3_600_000)),
        placement: Placement::Movable,
        handler: HandlerName::new("remind").expect("a name"),
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

/// A coordinator that has accepted `count` timers of the pool's own.
fn pool(count: u128) -> Pool {
    let config = pool::Config {
        pool: PoolId::new("default").expect("an id"),
        ledger: 1,
        lease: Millis(10_000),
        wake_grace: Millis(2_000),
        group_capacity: 8,
        message: Default::default(),
    };
    let (mut pool, _) = Pool::recover(config, NO_FACTS, now()).expect("an empty pool");
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

fn measure<T>(what: &str, count: u128, make: impl FnOnce() -> T) {
    let before = counting::held();
    let made = make();
    let held = counting::held() - before;
    let each = held as u128 / count;
    println!("{what:<24} {count:>9} timers  {each:>5} B each");
    drop(made);
}

fn main() {
    println!("a timer by itself: {} B", size_of::<Timer>());
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
}
