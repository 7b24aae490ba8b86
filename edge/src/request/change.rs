//! Changes of a timer that exists, but for edits: rearm, cancel, pause, resume, run, and what becomes of the dead.

use super::{Asked, Here, content, fields, schedule};
use crate::fault::Faults;
use dormouse_engine::id::{RunId, TimerName};
use dormouse_engine::op::{Change, RearmMode};
use dormouse_proto::v1;
use tonic::Status;

/// A change that a user asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Changing {
    /// Of which timer.
    pub name: TimerName,
    /// The request that asks for it; zero if nobody may repeat it.
    pub request: u128,
    /// What is to change.
    pub change: Change,
}

/// What a rearm asks for. `within` comes before the paths of its fields.
///
/// # Errors
/// As [`super::create`].
pub fn rearm(
    request: v1::RearmTimerRequest,
    here: &Here,
    within: &str,
) -> Result<Changing, Status> {
    let mut faults = Faults::default();
    let to = schedule::new_time(&mut faults, request.time.as_ref(), here.now);
    let mode = match v1::RearmMode::try_from(request.mode) {
        Ok(v1::RearmMode::Unspecified | v1::RearmMode::Replace) => Some(RearmMode::Replace),
        Ok(v1::RearmMode::KeepTime) => Some(RearmMode::KeepTime),
        Ok(v1::RearmMode::Drop) => Some(RearmMode::Drop),
        Err(_) => {
            let why = format!(
                "{} is no mode; must be REPLACE, KEEP_TIME or DROP",
                request.mode
            );
            faults.invalid("mode", why);
            None
        }
    };
    let payload = match &request.payload {
        None => Some(None),
        Some(bytes) => content::payload(&mut faults, "payload", bytes).map(Some),
    };
    let change = (|| {
        Some(Change::Rearm {
            to: to?,
            mode: mode?,
            payload: payload?,
        })
    })();
    changing(
        faults.within(within),
        (&request.name, &request.request_id),
        change,
        (here, within),
    )
}

/// The timer that a change names that has nothing else to say: cancel, pause, resume, run.
///
/// # Errors
/// As [`super::create`].
pub fn plain(
    (name, request_id): (&str, &str),
    change: Change,
    here: &Here,
    within: &str,
) -> Result<Changing, Status> {
    changing(
        Faults::default(),
        (name, request_id),
        Some(change),
        (here, within),
    )
}

/// What becomes of a dead run, which its id names.
///
/// # Errors
/// As [`super::create`].
pub fn of_dead_run(
    (name, request_id): (&str, &str),
    run: &str,
    change: impl FnOnce(RunId) -> Change,
    here: &Here,
) -> Result<Changing, Status> {
    let mut faults = Faults::default();
    let digits = run.len() == 16 && run.bytes().all(|b| b.is_ascii_hexdigit());
    let id = u64::from_str_radix(run, 16).ok().filter(|_| digits);
    if id.is_none() {
        let why = format!(
            "{} is no id of a run; it has 16 hexadecimal digits",
            fields::shown(run)
        );
        faults.invalid("run", why);
    }
    let change = id.map(|id| change(RunId(id)));
    changing(faults, (name, request_id), change, (here, ""))
}

fn changing(
    mut faults: Faults,
    (name, request_id): (&str, &str),
    change: Option<Change>,
    (here, within): (&Here, &str),
) -> Result<Changing, Status> {
    let name = fields::name(&mut faults, &format!("{within}name"), name);
    let asked = Asked::read(&mut faults, &format!("{within}request_id"), request_id);
    let (name, change) = faults.finish(name.zip(change))?;
    asked.check_age(here.now)?;
    Ok(Changing {
        name,
        request: asked.number(),
        change,
    })
}
