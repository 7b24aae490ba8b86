//! Pages of runs: of one timer, and of the dead of a pool.
//!
//! The token of a page says where the last run of the page before it stands. It holds no state of a server.

use super::{fields, page};
use crate::fault::Faults;
use dormouse_engine::id::{PoolId, TimerName, Token};
use dormouse_engine::time::WallTime;
use dormouse_engine::timer::RunKey;
use dormouse_proto::v1;
use std::collections::BTreeSet;
use tonic::Status;

/// What a list of runs asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Runs {
    /// Of this timer.
    pub name: TimerName,
    /// Older than this one.
    pub before: Option<RunKey>,
    /// At most so many.
    pub size: usize,
    states: BTreeSet<i32>,
}

impl Runs {
    /// Whether it asks for every run of its timer.
    #[must_use]
    pub fn takes_all(&self) -> bool {
        self.states.is_empty()
    }

    /// Whether it asks for this run.
    #[must_use]
    pub fn takes(&self, run: &v1::RunRecord) -> bool {
        self.takes_all() || self.states.contains(&run.state)
    }
}

/// What a list of dead runs asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dead {
    /// Of this pool; of the own one if none.
    pub pool: Option<PoolId>,
    /// After this one.
    pub after: Option<(TimerName, RunKey)>,
    /// At most so many.
    pub size: usize,
}

/// What a list of runs asks for.
///
/// # Errors
/// `INVALID_ARGUMENT` as for a list of timers.
pub fn runs(request: v1::ListRunsRequest) -> Result<Runs, Status> {
    let mut faults = Faults::default();
    let name = fields::name(&mut faults, "name", &request.name);
    let size = page::read_page_size(&mut faults, request.page_size);
    let before = read_token(&mut faults, &request.page_token, key);
    for state in &request.states {
        if v1::RunState::try_from(*state).is_err() {
            faults.invalid("states", format!("{state} is no state of a run"));
        }
    }
    let states = request.states.into_iter().collect();
    let runs = name.zip(size).map(|(name, size)| Runs {
        name,
        before,
        size,
        states,
    });
    faults.finish(runs)
}

/// What a list of dead runs asks for.
///
/// # Errors
/// `INVALID_ARGUMENT` as for a list of timers.
pub fn dead(request: &v1::ListDeadRunsRequest) -> Result<Dead, Status> {
    let mut faults = Faults::default();
    let pool = fields::pool(&mut faults, "pool", &request.pool);
    let size = page::read_page_size(&mut faults, request.page_size);
    let after = read_token(&mut faults, &request.page_token, |text| {
        let (name, run) = text.split_once(' ')?;
        Some((TimerName::parse(name).ok()?, key(run)?))
    });
    let dead = pool
        .zip(size)
        .map(|(pool, size)| Dead { pool, after, size });
    faults.finish(dead)
}

/// The token of the page after the one that ends with this run.
#[must_use]
pub fn token(key: &RunKey) -> String {
    let RunKey {
        finished,
        nominal,
        attempt,
        token,
    } = key;
    format!("{}.{}.{attempt}.{token}", finished.0, nominal.0)
}

/// The same of dead runs.
#[must_use]
pub fn dead_token(name: &TimerName, key: &RunKey) -> String {
    format!("{name} {}", token(key))
}

fn key(text: &str) -> Option<RunKey> {
    let mut parts = text.split('.');
    let key = RunKey {
        finished: WallTime(parts.next()?.parse().ok()?),
        nominal: WallTime(parts.next()?.parse().ok()?),
        attempt: parts.next()?.parse().ok()?,
        token: Token(parts.next()?.parse().ok()?),
    };
    parts.next().is_none().then_some(key)
}

fn read_token<T>(
    faults: &mut Faults,
    text: &str,
    read: impl FnOnce(&str) -> Option<T>,
) -> Option<T> {
    if text.is_empty() {
        return None;
    }
    let token = read(text);
    if token.is_none() {
        let why = "is not a token of this list; begin again without one";
        faults.invalid("page_token", format!("{} {why}", fields::shown(text)));
    }
    token
}
