//! Pages of runs.

use super::Ask;
use super::changes::refused;
use crate::answer;
use crate::request::{self, Dead, Runs};
use dormouse_engine::op::{Answer, Op};
use dormouse_engine::timer::RunKey;
use dormouse_proto::v1;
use tonic::Status;

/// How many lists of the engine one filtered page looks through before it answers with what it has.
const ROUNDS_MAX: usize = 10;

/// The page that a list of runs asks for.
pub(super) async fn list(owner: &impl Ask, wanted: Runs) -> Result<v1::ListRunsResponse, Status> {
    let mut found = Vec::new();
    let mut last: Option<RunKey> = wanted.before;
    for _ in 0..ROUNDS_MAX {
        // A filter may let nothing pass, so that it looks at many for a few.
        let limit = match wanted.takes_all() {
            true => wanted.size - found.len(),
            false => request::PAGE_MAX.unsigned_abs() as usize,
        };
        let op = Op::Runs {
            name: wanted.name.clone(),
            before: last,
            limit: limit_of(limit),
        };
        let (runs, more) = match owner.ask(&wanted.name.pool, op).await {
            Answer::Runs { runs, more } => (runs, more),
            other => return Err(refused(&other)),
        };
        let count = runs.len();
        for (at, run) in runs.iter().enumerate() {
            last = Some(run.key());
            let shown = answer::run(&wanted.name, run);
            if wanted.takes(&shown) {
                found.push(shown);
            }
            if found.len() == wanted.size {
                return Ok(page(found, last.filter(|_| more || at + 1 < count)));
            }
        }
        if !more || count == 0 {
            return Ok(page(found, None));
        }
    }
    Ok(page(found, last))
}

fn page(runs: Vec<v1::RunRecord>, next: Option<RunKey>) -> v1::ListRunsResponse {
    v1::ListRunsResponse {
        runs,
        next_page_token: next.as_ref().map(request::token).unwrap_or_default(),
    }
}

/// The page that a list of dead runs asks for.
pub(super) async fn dead(
    owner: &impl Ask,
    wanted: Dead,
) -> Result<v1::ListDeadRunsResponse, Status> {
    let pool = wanted.pool.unwrap_or_else(|| owner.own_pool());
    let op = Op::Dead {
        after: wanted.after,
        limit: limit_of(wanted.size),
    };
    let (letters, more) = match owner.ask(&pool, op).await {
        Answer::Dead { letters, more } => (letters, more),
        other => return Err(refused(&other)),
    };
    let next = letters
        .last()
        .filter(|_| more)
        .map(|(name, run)| request::dead_token(name, &run.key()));
    Ok(v1::ListDeadRunsResponse {
        runs: letters
            .iter()
            .map(|(name, run)| answer::run(name, run))
            .collect(),
        next_page_token: next.unwrap_or_default(),
    })
}

fn limit_of(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}
