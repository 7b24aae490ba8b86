//! Arbitrary timers, usual in most of their parts.

use crate::id::{NodeId, PoolId, RunId, TimerId, TimerName, Token, Uid};
use crate::schedule::{Cron, Schedule};
use crate::time::{Millis, WallTime};
use crate::timer::{
    Awaits, Begun, Bounds, CommandTarget, Durability, Ending, Follow, HandlerName, Kind, LastRun,
    NewTimer, Occurrence, Payload, Phase, Placement, Policy, Remembered, Retry, Skip, Spec, Target,
    Timer, When,
};
use proptest::collection::{btree_map, vec};
use proptest::option;
use proptest::prelude::*;
use std::sync::Arc;

const ID: &str = "[a-z0-9]([-a-z0-9._]{0,20}[a-z0-9])?";

fn node() -> impl Strategy<Value = NodeId> {
    ID.prop_map(|text| NodeId::new(&text).unwrap())
}

fn wall() -> impl Strategy<Value = WallTime> + Clone {
    prop_oneof![any::<i64>(), 0..2_000_000_000_000_i64].prop_map(WallTime)
}

fn placement() -> impl Strategy<Value = Placement> {
    prop_oneof![Just(Placement::Movable), node().prop_map(Placement::Pinned)]
}

fn target() -> impl Strategy<Value = Target> {
    let command = ("[a-z]{1,5}", vec(".{0,5}", 0..3));
    prop_oneof![
        Just(Target::Handler),
        command.prop_map(|(name, args)| Target::Command(CommandTarget { name, args })),
    ]
}

fn policy() -> impl Strategy<Value = Policy> {
    let special =
        (any::<u64>(), any::<u32>(), option::of(wall())).prop_map(|(jitter, most, end)| Policy {
            jitter: Millis(jitter),
            retry: Retry {
                attempts_max: most,
                ..Retry::default()
            },
            bounds: Bounds {
                end,
                ..Bounds::default()
            },
            ..Policy::default()
        });
    prop_oneof![Just(Policy::default()), special]
}

fn kind() -> impl Strategy<Value = Kind> {
    use Durability::{Ephemeral, Local, Replicated, ReplicatedAsync};
    let durability = prop::sample::select(vec![Ephemeral, Local, ReplicatedAsync, Replicated]);
    let labels = btree_map(".{0,5}", ".{0,5}", 0..3);
    let handler = "[!-~]{1,20}".prop_map(|text| HandlerName::new(&text).unwrap());
    let parts = (
        handler,
        placement(),
        durability,
        target(),
        policy(),
        ".{0,9}",
        labels,
    );
    parts.prop_map(
        |(handler, placement, durability, target, policy, content_type, labels)| Kind {
            handler,
            placement,
            durability,
            target,
            policy,
            content_type,
            labels,
        },
    )
}

fn schedule() -> impl Strategy<Value = Schedule> {
    let cron = Cron::parse("*/5 8-18 * * mon", "Europe/Berlin").unwrap();
    let every = (any::<u64>().prop_map(Millis), wall());
    prop_oneof![
        wall().prop_map(Schedule::At),
        every.prop_map(|(interval, phase)| Schedule::Every { interval, phase }),
        Just(Schedule::Cron(cron)),
    ]
}

fn occurrence() -> impl Strategy<Value = Occurrence> + Clone {
    let special = (
        wall(),
        any::<u32>(),
        any::<u64>(),
        any::<u8>(),
        option::of(wall()),
    );
    let special = special.prop_map(|(nominal, attempt, missed, deaths, follow)| Occurrence {
        nominal,
        attempt,
        missed,
        deaths,
        manual: deaths % 2 == 1,
        follow: follow.map_or(Follow::NOTHING, Follow::after),
    });
    prop_oneof![wall().prop_map(Occurrence::fresh), special]
}

fn ending() -> impl Strategy<Value = Ending> {
    let all = [
        Ending::Done,
        Ending::Dead,
        Ending::Skipped(Skip::Overlap),
        Ending::Lost,
    ];
    prop::sample::select(all.to_vec())
}

fn phase() -> impl Strategy<Value = Phase> {
    let begun = (node(), wall(), any::<u64>()).prop_map(|(by, started, token)| Begun {
        by,
        started,
        token: Token(token),
    });
    let soon = occurrence().prop_map(|occurrence| Phase::Waiting {
        due: occurrence.nominal,
        occurrence,
    });
    let later = (occurrence(), wall());
    let runs = (occurrence(), begun.prop_map(Box::new));
    prop_oneof![
        soon,
        later.prop_map(|(occurrence, due)| Phase::Waiting { occurrence, due }),
        runs.prop_map(|(occurrence, run)| Phase::Running { occurrence, run }),
        (ending(), wall()).prop_map(|(ending, at)| Phase::Over { ending, at }),
    ]
}

fn last_run() -> impl Strategy<Value = LastRun> {
    let parts = (
        any::<u64>(),
        wall(),
        ending(),
        node(),
        any::<u32>(),
        ".{0,9}",
    );
    parts.prop_map(|(number, at, ending, by, attempt, reason)| LastRun {
        id: RunId(number),
        nominal: at,
        ending,
        at,
        by,
        token: Token(number),
        attempt,
        reason,
    })
}

fn plain() -> Timer {
    let new = NewTimer {
        pool: PoolId::new("default").unwrap(),
        id: TimerId::new("t").unwrap(),
        uid: Uid(1),
        request: 1,
        when: When::At(WallTime(0)),
        placement: Placement::Movable,
        handler: HandlerName::new("h").unwrap(),
        target: Target::Handler,
        policy: Policy::default(),
        paused: false,
        payload: Payload::default(),
        content_type: String::new(),
        durability: Durability::Local,
        labels: Default::default(),
    };
    Timer::accept(&new, None, WallTime(0)).unwrap()
}

fn named() -> impl Strategy<Value = Timer> {
    let pool = prop_oneof![Just("default".to_owned()), ID];
    let request = prop_oneof![Just(0), any::<u128>()];
    let parts = (
        any::<u128>(),
        request,
        pool,
        option::of(node()),
        option::of(node()),
    );
    (parts, option::of(ID), any::<bool>()).prop_map(|(parts, id, within)| {
        let (uid, request, pool, home, other) = parts;
        let id = id.unwrap_or_else(|| format!("t-{request:032x}"));
        let (id, pool) = (TimerId::new(&id).unwrap(), PoolId::new(&pool).unwrap());
        let node = if within { home.clone() } else { other };
        let mut timer = plain();
        timer.name = TimerName::new(pool, node, id);
        (timer.uid, timer.request, timer.home) = (Uid(uid), request, home);
        timer
    })
}

fn aside(timer: &mut Timer, (count, last, beside): (u64, Option<LastRun>, Vec<Phase>)) {
    (timer.begun, timer.skipped, timer.token) = (count, count >> 1, Token(count));
    (timer.last, timer.beside, timer.paused) = (last, beside, count % 3 == 1);
    timer.awaits = [None, Some(Awaits::Home), Some(Awaits::Return)][(count % 3) as usize];
    let request = Remembered {
        request: count.into(),
        digest: count,
        nominal: None,
    };
    timer.requests = vec![request; (count % 4) as usize];
}

/// A timer that may be anything.
pub(super) fn timer() -> impl Strategy<Value = Timer> {
    let spec = (schedule(), vec(any::<u8>(), 0..99), kind(), any::<bool>());
    let times = (wall(), option::of(wall()), any::<u64>(), any::<u64>());
    let rare = (any::<u64>(), option::of(last_run()), vec(phase(), 0..3));
    (named(), spec, times, phase(), option::of(rare)).prop_map(
        |(named, spec, times, phase, rare)| {
            let (schedule, payload, kind, once) = spec;
            let (created, updated, generation, revision) = times;
            let schedule = match phase.occurrence().filter(|_| once) {
                Some(occurrence) => Schedule::At(occurrence.nominal),
                None => schedule,
            };
            let mut timer = named;
            timer.spec = Spec::new(schedule, Payload(payload.into()), Arc::new(kind));
            timer.created = created;
            timer.edited = updated.filter(|updated| *updated != created);
            (timer.generation, timer.revision, timer.phase) = (generation, revision, phase);
            if let Some(rare) = rare {
                aside(&mut timer, rare);
            }
            timer
        },
    )
}
