//! A timer where fields have names: as it is exported, flat, whatever shares or boxes its parts.
//!
//! What lines of an older program do not have gets its default. How a timer stands in a journal is for `compact`.

use super::{
    Awaits, Begun, Durability, Ending, HandlerName, Kind, LastRun, Occurrence, Payload, Phase,
    Placement, Policy, Remembered, Spec, Target, Timer, aside::Kept,
};
use crate::id::{NodeId, TimerName, Token, Uid};
use crate::schedule::Schedule;
use crate::time::WallTime;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::Arc;

/// A timer, flat.
#[derive(Serialize, Deserialize)]
pub(super) struct Told {
    uid: Uid,
    name: TimerName,
    spec: ToldSpec,
    home: Option<NodeId>,
    generation: u64,
    revision: u64,
    request: u128,
    created: WallTime,
    updated: WallTime,
    phase: Phase,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    beside: Vec<Phase>,
    #[serde(default)]
    paused: bool,
    #[serde(default)]
    begun: u64,
    token: Token,
    last: Option<LastRun>,
    skipped: u64,
    #[serde(default)]
    awaits: Option<Awaits>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    requests: Vec<Remembered>,
}

#[derive(Serialize, Deserialize)]
struct ToldSpec {
    schedule: Schedule,
    placement: Placement,
    handler: HandlerName,
    #[serde(default)]
    target: Target,
    payload: Payload,
    content_type: String,
    #[serde(default)]
    policy: Policy,
    durability: Durability,
    labels: BTreeMap<String, String>,
}

/// A line of a timer, flat; also in a journal.
#[derive(Serialize, Deserialize)]
pub(super) enum ToldPhase {
    Waiting {
        occurrence: Occurrence,
        due: WallTime,
    },
    Running {
        occurrence: Occurrence,
        by: NodeId,
        started: WallTime,
        token: Token,
    },
    Over {
        ending: Ending,
        at: WallTime,
    },
}

impl From<&Timer> for Told {
    fn from(timer: &Timer) -> Self {
        let aside = (*timer.aside).clone();
        Self {
            uid: timer.uid,
            name: timer.name.clone(),
            spec: ToldSpec::from(&timer.spec),
            home: timer.home.clone(),
            generation: timer.generation,
            revision: timer.revision,
            request: timer.request,
            created: timer.created,
            updated: timer.updated(),
            phase: timer.phase.clone(),
            beside: aside.beside,
            paused: aside.paused,
            begun: aside.begun,
            token: aside.token,
            last: aside.last,
            skipped: aside.skipped,
            awaits: aside.awaits,
            requests: aside.requests,
        }
    }
}

impl From<&Spec> for ToldSpec {
    fn from(spec: &Spec) -> Self {
        let kind = Kind::clone(spec.kind());
        Self {
            schedule: spec.schedule.clone(),
            placement: kind.placement,
            handler: kind.handler,
            target: kind.target,
            payload: spec.payload.clone(),
            content_type: kind.content_type,
            policy: kind.policy,
            durability: kind.durability,
            labels: kind.labels,
        }
    }
}

impl From<Told> for Timer {
    fn from(told: Told) -> Self {
        let mut aside = Kept::default();
        aside.generation = told.generation;
        aside.revision = told.revision;
        aside.edited = Some(told.updated).filter(|it| *it != told.created);
        aside.beside = told.beside;
        aside.paused = told.paused;
        aside.begun = told.begun;
        aside.token = told.token;
        aside.last = told.last;
        aside.skipped = told.skipped;
        aside.awaits = told.awaits;
        aside.requests = told.requests;
        aside.tidy();
        Self {
            uid: told.uid,
            name: told.name,
            spec: told.spec.into(),
            home: told.home,
            request: told.request,
            created: told.created,
            phase: told.phase,
            aside,
        }
    }
}

impl From<ToldSpec> for Spec {
    fn from(told: ToldSpec) -> Self {
        let kind = Kind {
            handler: told.handler,
            placement: told.placement,
            durability: told.durability,
            target: told.target,
            policy: told.policy,
            content_type: told.content_type,
            labels: told.labels,
        };
        Self::new(told.schedule, told.payload, Arc::new(kind))
    }
}

impl From<Phase> for ToldPhase {
    fn from(phase: Phase) -> Self {
        match phase {
            Phase::Waiting { occurrence, due } => Self::Waiting { occurrence, due },
            Phase::Running { occurrence, run } => Self::Running {
                occurrence,
                by: run.by,
                started: run.started,
                token: run.token,
            },
            Phase::Over { ending, at } => Self::Over { ending, at },
        }
    }
}

impl From<ToldPhase> for Phase {
    fn from(told: ToldPhase) -> Self {
        match told {
            ToldPhase::Waiting { occurrence, due } => Self::Waiting { occurrence, due },
            ToldPhase::Running {
                occurrence,
                by,
                started,
                token,
            } => Self::Running {
                occurrence,
                run: Box::new(Begun { by, started, token }),
            },
            ToldPhase::Over { ending, at } => Self::Over { ending, at },
        }
    }
}
