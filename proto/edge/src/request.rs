//! What users ask, as operations of the engine, or what is wrong with it.
//!
//! Everything that is wrong whatever the state is found here, before anybody is asked. What depends on the
//! state (whether a node exists, whether a name is taken) is for the owner of the timer to say.

mod fields;
mod page;
mod policy;
mod preview;
mod schedule;

pub use fields::{bare_node, bare_pool};
pub use page::{Listing, PAGE_MAX, listing, page_size};
pub use preview::{Wanted, preview};

use crate::fault::{self, Faults};
use dormouse_engine::id::{NodeId, PoolId, TimerId, TimerName, Uid};
use dormouse_engine::op::{Activity, Change, Op, RearmMode};
use dormouse_engine::time::WallTime;
use dormouse_engine::timer::{
    Durability, HandlerName, NewTimer, Payload, Placement, Policy, Target,
};
use dormouse_proto::v1;
use std::collections::BTreeMap;
use tonic::{Code, Status};
use tonic_types::StatusExt as _;
use uuid::Uuid;

/// The largest payload, in bytes.
pub const PAYLOAD_MAX: usize = 64 * 1024;
/// The most labels of a timer.
pub const LABELS_MAX: usize = 64;
/// The longest key or value of a label, in bytes.
pub const LABEL_LENGTH_MAX: usize = 63;
/// The longest media type, in bytes.
pub const CONTENT_TYPE_LENGTH_MAX: usize = 255;
/// The most items of a batch.
pub const BATCH_MAX: usize = 1000;
/// How long the id of a request may be used again, in milliseconds: 24 hours.
pub const REQUEST_ID_KEPT_MS: i64 = 24 * 3_600_000;

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
    let request_path = format!("{within}request_id");
    let asked = fields::request_id(&mut faults, &request_path, &request.request_id);
    let new = build(&mut faults, request, asked, here, within);
    let new = faults.finish(new)?;
    check_age(&request_path, asked, here.now)?;
    Ok(new)
}

fn build(
    faults: &mut Faults,
    request: v1::CreateTimerRequest,
    asked: Option<Uuid>,
    here: &Here,
    within: &str,
) -> Option<NewTimer> {
    let pool = fields::pool(faults, &format!("{within}pool"), &request.pool);
    let asked = asked.unwrap_or_else(Uuid::now_v7);
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
    policy::only_defaults(faults, &path, &timer);
    let placement = placement(faults, &path, timer.placement, here);
    let durability = durability(faults, &path, timer.durability, placement.as_ref());
    let when = schedule::when(
        faults,
        &format!("{path}.schedule"),
        timer.schedule,
        here.now,
    );
    let handler = handler(faults, &path, timer.target);
    let payload = payload(faults, &path, &timer.payload);
    let content_type = content_type(faults, &path, timer.content_type);
    let labels = labels(faults, &format!("{path}.labels"), timer.labels);
    let pool = pool?.unwrap_or_else(|| here.pool.clone());
    Some(NewTimer {
        id: id?,
        uid: uid(&pool, asked),
        pool,
        request: asked.as_u128(),
        when: when?,
        placement: placement?,
        handler: handler?,
        target: Target::Handler,
        policy: Policy::default(),
        paused: false,
        payload: payload?,
        content_type: content_type?,
        durability: durability?,
        labels: labels?,
    })
}

/// What a rearm asks for.
///
/// # Errors
/// As [`create`].
pub fn rearm(request: &v1::RearmTimerRequest, here: &Here) -> Result<Op, Status> {
    let mut faults = Faults::default();
    let name = fields::name(&mut faults, "name", &request.name);
    let asked = fields::request_id(&mut faults, "request_id", &request.request_id);
    let to = schedule::new_time(&mut faults, request.time.as_ref(), here.now);
    match v1::RearmMode::try_from(request.mode) {
        Ok(v1::RearmMode::Unspecified | v1::RearmMode::Replace) => {}
        Ok(other) => {
            faults.unsupported("mode", format!("{} is not there yet", other.as_str_name()))
        }
        Err(_) => faults.invalid("mode", format!("{} is no mode", request.mode)),
    }
    let op = name.zip(to).map(|(name, to)| Op::Change {
        name,
        request: asked.map_or(0, |id| id.as_u128()),
        change: Change::Rearm {
            to,
            mode: RearmMode::Replace,
            payload: None,
        },
    });
    let op = faults.finish(op)?;
    check_age("request_id", asked, here.now)?;
    Ok(op)
}

/// The timer that a cancellation names. `within` is as in [`create`].
///
/// # Errors
/// As [`create`].
pub fn cancel(
    request: &v1::CancelTimerRequest,
    here: &Here,
    within: &str,
) -> Result<TimerName, Status> {
    let mut faults = Faults::default();
    let name = fields::name(&mut faults, &format!("{within}name"), &request.name);
    let path = format!("{within}request_id");
    let asked = fields::request_id(&mut faults, &path, &request.request_id);
    let name = faults.finish(name)?;
    check_age(&path, asked, here.now)?;
    Ok(name)
}

/// The timer that a look-up names.
///
/// # Errors
/// `INVALID_ARGUMENT` if it is not a timer's full name.
pub fn name(text: &str) -> Result<TimerName, Status> {
    TimerName::parse(text).map_err(|bad| fault::invalid("name", bad.to_string()))
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

/// A request that is too old is not known any more, so that it might be done twice.
fn check_age(path: &str, asked: Option<Uuid>, now: WallTime) -> Result<(), Status> {
    let Some((secs, _)) = asked
        .and_then(|id| id.get_timestamp())
        .map(|time| time.to_unix())
    else {
        return Ok(());
    };
    let made = i64::try_from(secs).unwrap_or(i64::MAX).saturating_mul(1000);
    if now.0.saturating_sub(made) <= REQUEST_ID_KEPT_MS {
        return Ok(());
    }
    let why =
        format!("{path} is older than 24 hours; look whether it was done, and ask with a new one");
    let mut details = fault::details("REQUEST_ID_EXPIRED");
    details.add_precondition_failure_violation("REQUEST_ID", path, &why);
    Err(Status::with_error_details(
        Code::FailedPrecondition,
        why,
        details,
    ))
}

/// The identity of the timer that a request asks for: the same for a repetition of the request, by which its
/// owner knows it, and another one for every other request and pool.
fn uid(pool: &PoolId, asked: Uuid) -> Uid {
    // FNV-1a; it never changes, since a request may be repeated to a newer version.
    let mix = |hash: u128, byte: &u8| (hash ^ u128::from(*byte)).wrapping_mul((1 << 88) + 0x13b);
    let start = 0x6c62_272e_07bb_0142_62b8_2175_6295_c58d;
    Uid(asked.as_u128() ^ pool.as_str().as_bytes().iter().fold(start, mix))
}

/// Without a name the id follows from the request, so that a repeated request finds its own work.
fn timer_id(faults: &mut Faults, path: &str, text: &str, asked: Uuid) -> Option<TimerId> {
    if text.is_empty() {
        let derived = TimerId::new(&format!("t-{}", asked.simple()));
        return Some(derived.expect("'t-' and hexadecimal digits make an id"));
    }
    fields::parsed(faults, path, TimerId::new(text))
}

fn placement(
    faults: &mut Faults,
    path: &str,
    placement: Option<v1::Placement>,
    here: &Here,
) -> Option<Placement> {
    use v1::placement::Kind;
    let Some(Kind::Pinned(pinned)) = placement.and_then(|placement| placement.kind) else {
        return Some(Placement::Movable);
    };
    let path = format!("{path}.placement.pinned.node");
    match (pinned.node.as_str(), &here.node) {
        ("", Some(own)) => Some(Placement::Pinned(own.clone())),
        ("", None) => {
            faults.invalid(path, "must be set: only an agent can fill in its own node");
            None
        }
        (text, _) => fields::parsed(faults, &path, NodeId::new(text)).map(Placement::Pinned),
    }
}

fn durability(
    faults: &mut Faults,
    path: &str,
    number: i32,
    placement: Option<&Placement>,
) -> Option<Durability> {
    match v1::Durability::try_from(number) {
        Ok(v1::Durability::Unspecified) => Some(match placement {
            Some(Placement::Pinned(_)) => Durability::Local,
            Some(Placement::Movable) | None => Durability::Replicated,
        }),
        Ok(v1::Durability::Ephemeral) => Some(Durability::Ephemeral),
        Ok(v1::Durability::Local) => Some(Durability::Local),
        Ok(v1::Durability::ReplicatedAsync) => Some(Durability::ReplicatedAsync),
        Ok(v1::Durability::Replicated) => Some(Durability::Replicated),
        Err(_) => {
            faults.invalid(
                format!("{path}.durability"),
                format!("{number} is no durability"),
            );
            None
        }
    }
}

fn handler(faults: &mut Faults, path: &str, target: Option<v1::Target>) -> Option<HandlerName> {
    use v1::target::Kind;
    let path = format!("{path}.target");
    match target.and_then(|target| target.kind) {
        Some(Kind::Handler(handler)) => {
            let name = HandlerName::new(&handler.name);
            if name.is_none() {
                let why = "must be 1 to 255 visible ASCII characters without spaces";
                faults.invalid(format!("{path}.handler.name"), why);
            }
            name
        }
        Some(Kind::Http(_)) => {
            faults.unsupported(format!("{path}.http"), "is not there yet; use a handler");
            None
        }
        Some(Kind::Command(_)) => {
            faults.unsupported(format!("{path}.command"), "is not there yet; use a handler");
            None
        }
        None => {
            faults.invalid(path, "must be set: say which handler runs the timer");
            None
        }
    }
}

fn payload(faults: &mut Faults, path: &str, payload: &[u8]) -> Option<Payload> {
    if payload.len() > PAYLOAD_MAX {
        let why = format!(
            "has {} bytes; at most {PAYLOAD_MAX} are allowed",
            payload.len()
        );
        faults.invalid(format!("{path}.payload"), why);
        return None;
    }
    Some(Payload(payload.into()))
}

fn content_type(faults: &mut Faults, path: &str, text: String) -> Option<String> {
    let plain = text.chars().all(|c| c.is_ascii_graphic() || c == ' ');
    if text.len() > CONTENT_TYPE_LENGTH_MAX || !plain {
        let why = format!("must be at most {CONTENT_TYPE_LENGTH_MAX} visible ASCII characters");
        faults.invalid(format!("{path}.content_type"), why);
        return None;
    }
    Some(text)
}

fn labels(
    faults: &mut Faults,
    path: &str,
    labels: BTreeMap<String, String>,
) -> Option<BTreeMap<String, String>> {
    let before = faults.is_empty();
    if labels.len() > LABELS_MAX {
        faults.invalid(
            path,
            format!(
                "has {} labels; at most {LABELS_MAX} are allowed",
                labels.len()
            ),
        );
        return None;
    }
    for (key, value) in &labels {
        let fits =
            |text: &str| text.len() <= LABEL_LENGTH_MAX && !text.chars().any(char::is_control);
        if key.is_empty() || !fits(key) || !fits(value) {
            let shown: String = key.chars().take(LABEL_LENGTH_MAX).collect();
            let why = format!(
                "key and value must have at most {LABEL_LENGTH_MAX} bytes without control characters, the key at least one"
            );
            faults.invalid(format!("{path}[{shown:?}]"), why);
        }
    }
    (faults.is_empty() || !before).then_some(labels)
}
