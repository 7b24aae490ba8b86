//! A timer, for its user: what was asked for, what was left out, and where it is in its life.

use super::{duration, newest_run, policy, target, timestamp};
use bytes::Bytes;
use dormouse_engine::id::TimerName;
use dormouse_engine::schedule::Schedule;
use dormouse_engine::time::{Millis, WallTime};
use dormouse_engine::timer::{Awaits, Durability, Ending, NewTimer, Phase, Placement, Timer};
use dormouse_proto::v1;

/// How many of its next times are shown with a timer.
const NEXT_TIMES: usize = 3;

/// A timer, for its user.
#[must_use]
pub fn timer(timer: &Timer) -> v1::Timer {
    let spec = &timer.spec;
    let shown = v1::Timer {
        name: timer.name.to_string(),
        schedule: Some(schedule(&spec.schedule)),
        placement: Some(placement(&spec.placement)),
        target: Some(target::target(&spec.handler, &spec.target)),
        payload: Bytes::from_owner(spec.payload.0.clone()),
        content_type: spec.content_type.clone(),
        durability: durability(spec.durability).into(),
        labels: spec.labels.clone(),
        state: state(timer).into(),
        generation: timer.generation,
        etag: format!("{}-{}", timer.generation, timer.revision),
        uid: timer.uid.to_string(),
        home: timer
            .home
            .as_ref()
            .map(ToString::to_string)
            .unwrap_or_default(),
        next_times: timer
            .next_times(NEXT_TIMES)
            .into_iter()
            .map(timestamp)
            .collect(),
        last_run: newest_run(timer),
        create_time: Some(timestamp(timer.created)),
        update_time: Some(timestamp(timer.updated())),
        paused: timer.paused,
        skipped_count: timer.skipped,
        begun_count: timer.begun,
        ..v1::Timer::default()
    };
    policy::filled(shown, &spec.policy, Some(&spec.schedule))
}

/// What is known of a timer that is stored for a node that sleeps.
#[must_use]
pub fn pending(new: &NewTimer) -> v1::Timer {
    let node = match &new.placement {
        Placement::Pinned(node) => Some(node.clone()),
        Placement::Movable => None,
    };
    let replicated = new.durability == Durability::Replicated;
    let named_by = node.clone().filter(|_| !replicated);
    let name = TimerName::new(new.pool.clone(), named_by, new.id.clone());
    let known = v1::Timer {
        placement: Some(placement(&new.placement)),
        target: Some(target::target(&new.handler, &new.target)),
        durability: durability(new.durability).into(),
        state: v1::TimerState::Pending.into(),
        uid: new.uid.to_string(),
        home: node.map(|node| node.to_string()).unwrap_or_default(),
        ..named(&name)
    };
    policy::filled(known, &new.policy, None)
}

/// A timer of which nothing is known but its name, which tells its home.
#[must_use]
pub fn named(name: &TimerName) -> v1::Timer {
    let home = name.node.as_ref().map(ToString::to_string);
    v1::Timer {
        name: name.to_string(),
        home: home.unwrap_or_default(),
        ..v1::Timer::default()
    }
}

fn schedule(schedule: &Schedule) -> v1::Schedule {
    use v1::schedule::Kind;
    let kind = match schedule {
        Schedule::At(time) => Kind::At(timestamp(*time)),
        Schedule::Every { interval, phase } => Kind::Every(every(*interval, *phase)),
        Schedule::Cron(cron) => Kind::Cron(v1::Cron {
            expression: cron.expression().into(),
            zone: cron.zone().into(),
        }),
    };
    v1::Schedule { kind: Some(kind) }
}

fn every(interval: Millis, phase: WallTime) -> v1::Every {
    let length = i64::try_from(interval.0).unwrap_or(i64::MAX).max(1);
    let phase = Millis(phase.0.rem_euclid(length).unsigned_abs());
    v1::Every {
        interval: Some(duration(interval)),
        phase: Some(duration(phase)),
    }
}

fn placement(placement: &Placement) -> v1::Placement {
    use v1::placement::Kind;
    let kind = match placement {
        Placement::Movable => Kind::Movable(v1::Movable {}),
        Placement::Pinned(node) => Kind::Pinned(v1::Pinned {
            node: node.to_string(),
        }),
    };
    v1::Placement { kind: Some(kind) }
}

fn durability(durability: Durability) -> v1::Durability {
    match durability {
        Durability::Ephemeral => v1::Durability::Ephemeral,
        Durability::Local => v1::Durability::Local,
        Durability::ReplicatedAsync => v1::Durability::ReplicatedAsync,
        Durability::Replicated => v1::Durability::Replicated,
    }
}

fn state(timer: &Timer) -> v1::TimerState {
    match &timer.phase {
        Phase::Waiting { .. } => match timer.awaits {
            None if timer.paused => v1::TimerState::Paused,
            None => v1::TimerState::Scheduled,
            Some(Awaits::Home) => v1::TimerState::Pending,
            Some(Awaits::Return) => v1::TimerState::Unreachable,
        },
        Phase::Running { .. } => v1::TimerState::Running,
        // What its user asked for, or an earlier occurrence, goes on beside.
        Phase::Over { .. } if !timer.is_over() => v1::TimerState::Running,
        Phase::Over {
            ending: Ending::Done,
            ..
        } => v1::TimerState::Done,
        Phase::Over {
            ending: Ending::Failed,
            ..
        } => v1::TimerState::Failed,
        Phase::Over {
            ending: Ending::Dead,
            ..
        } => v1::TimerState::Dead,
        Phase::Over {
            ending: Ending::Skipped(_),
            ..
        } => v1::TimerState::Skipped,
        Phase::Over {
            ending: Ending::Lost,
            ..
        } => v1::TimerState::Lost,
    }
}
