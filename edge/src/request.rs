//! What users ask, as operations of the engine, or what is wrong with it.
//!
//! Everything that is wrong whatever the state is found here, before anybody is asked. What depends on the
//! state (whether a node exists, whether a name is taken) is for the owner of the timer to say.

mod asked;
mod change;
mod content;
mod fields;
mod page;
mod place;
mod policy;
mod preview;
mod runs;
mod schedule;
mod target;
mod timer;
mod update;

pub use change::{Changing, of_dead_run, plain, rearm};
pub use content::{CONTENT_TYPE_LENGTH_MAX, LABEL_LENGTH_MAX, LABELS_MAX, PAYLOAD_MAX};
pub use fields::{bare_node, bare_pool};
pub use page::{Listing, PAGE_MAX, listing, page_size};
pub use preview::{Wanted, preview};
pub use runs::{Dead, Runs, dead, dead_token, runs, token};
pub use update::{Edit, update};

use crate::fault::{self, Faults};
use asked::Asked;
use dormouse_engine::id::{NodeId, PoolId, TimerId, TimerName};
use dormouse_engine::op::Activity;
use dormouse_engine::time::WallTime;
use dormouse_engine::timer::NewTimer;
use dormouse_proto::v1;
use timer::Body;
use tonic::Status;
use uuid::Uuid;

/// The most items of a batch.
pub const BATCH_MAX: usize = 1000;

/// Who is asked, and when: what fills the gaps of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Here {
    /// The pool of a request that names none.
    pub pool: PoolId,
    /// The node of a pinned timer that names none; the coordinator has none.
    pub node: Option<NodeId>,
    /// The time by which horizons are judged.
    pub now: WallTime,
}

/// The timer that a request asks for. `within` comes before the paths of its fields (`requests[3].`, or nothing).
///
/// # Errors
/// `INVALID_ARGUMENT`, `UNIMPLEMENTED` or `OUT_OF_RANGE`, with the fields; `FAILED_PRECONDITION` for a request
/// that is too old to be known again.
pub fn create(
    request: v1::CreateTimerRequest,
    here: &Here,
    within: &str,
) -> Result<NewTimer, Status> {
    let mut faults = Faults::default();
    let asked = Asked::read(
        &mut faults,
        &format!("{within}request_id"),
        &request.request_id,
    );
    let new = build(&mut faults, request, &asked, here, within);
    let new = faults.finish(new)?;
    asked.check_age(here.now)?;
    Ok(new)
}

fn build(
    faults: &mut Faults,
    request: v1::CreateTimerRequest,
    asked: &Asked,
    here: &Here,
    within: &str,
) -> Option<NewTimer> {
    let pool = fields::pool(faults, &format!("{within}pool"), &request.pool);
    let asked = asked.or_fresh();
    let id = timer_id(
        faults,
        &format!("{within}timer_id"),
        &request.timer_id,
        asked,
    );
    let path = format!("{within}timer");
    let Some(timer) = request.timer else {
        faults.invalid(path, "must be set");
        return None;
    };
    let body = timer::read(faults, &path, timer, here);
    let pool = pool?.unwrap_or_else(|| here.pool.clone());
    Some(create_from(body?, pool, id?, asked))
}

/// The timer that is asked for under this id.
fn create_from(body: Body, pool: PoolId, id: TimerId, asked: Uuid) -> NewTimer {
    NewTimer {
        uid: asked::uid(&pool, asked),
        pool,
        id,
        request: asked.as_u128(),
        when: body.when,
        placement: body.placement,
        handler: body.handler,
        target: body.target,
        payload: body.payload,
        content_type: body.content_type,
        policy: body.policy,
        paused: body.paused,
        durability: body.durability,
        labels: body.labels,
    }
}

/// Without a name the id follows from the request, so that a repeated request finds its own work.
fn timer_id(faults: &mut Faults, path: &str, text: &str, asked: Uuid) -> Option<TimerId> {
    if text.is_empty() {
        let derived = TimerId::new(&format!("t-{}", asked.simple()));
        return Some(derived.expect("'t-' and hexadecimal digits make an id"));
    }
    fields::parsed(faults, path, text, TimerId::new)
}

/// The timer that a look-up names.
///
/// # Errors
/// `INVALID_ARGUMENT` if it is not a timer's full name.
pub fn name(text: &str) -> Result<TimerName, Status> {
    let name = TimerName::parse(text);
    name.map_err(|bad| fault::invalid("name", format!("{} {bad}", fields::shown(text))))
}

/// Whether a batch has an allowed number of items.
///
/// # Errors
/// `INVALID_ARGUMENT` if it has none, or more than [`BATCH_MAX`].
pub fn batch_size(items: usize) -> Result<(), Status> {
    if (1..=BATCH_MAX).contains(&items) {
        return Ok(());
    }
    Err(fault::invalid(
        "requests",
        format!("has {items} items; 1 to {BATCH_MAX} are allowed"),
    ))
}

/// What a node is told to be.
///
/// # Errors
/// `INVALID_ARGUMENT` if it is nothing that a node can be.
pub fn activity(number: i32) -> Result<Activity, Status> {
    match v1::Activity::try_from(number) {
        Ok(v1::Activity::Idle) => Ok(Activity::Idle),
        // Without a detector of idleness it is active.
        Ok(v1::Activity::Active | v1::Activity::Automatic) => Ok(Activity::Active),
        Ok(v1::Activity::Unspecified) => Err(fault::invalid(
            "activity",
            "must be set: idle, active or automatic",
        )),
        Err(_) => Err(fault::invalid(
            "activity",
            format!("{number} is no activity"),
        )),
    }
}
