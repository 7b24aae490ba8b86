//! Edits of a timer: which fields, to what.
//!
//! An edit is read twice. Alone, for what is wrong whatever the timer is; then laid over the timer as it is, since
//! policies bind each other: a jitter may be longer than a new interval. Only the named fields are sent on, as the
//! request has them.

use super::timer::{self, Body};
use super::{Asked, Here, create_from, fields, schedule};
use crate::fault::{self, Faults};
use dormouse_engine::id::{NodeId, TimerName};
use dormouse_engine::op::{Change, Setting};
use dormouse_engine::timer::{Durability, NewTimer, Placement};
use dormouse_proto::v1;
use std::collections::BTreeSet;
use tonic::Status;

use super::change::Changing;

/// A field that a client sets, by its name on the wire.
type Field = &'static str;

const FIELDS: [Field; 21] = [
    "schedule",
    "placement",
    "target",
    "payload",
    "content_type",
    "durability",
    "isolation",
    "effort",
    "start_time",
    "end_time",
    "max_occurrences",
    "expire_time",
    "jitter",
    "misfire",
    "misfire_grace",
    "catchup_window",
    "overlap",
    "retry",
    "dst",
    "labels",
    "paused",
];
/// Beside [`FIELDS`]; it has the highest number.
const CAP: Field = "misfire_cap";

/// Fields that are right or wrong only beside others.
const BOUND: [Field; 11] = [
    "schedule",
    "target",
    "isolation",
    "effort",
    "start_time",
    "end_time",
    "expire_time",
    "jitter",
    "catchup_window",
    "retry",
    "dst",
];

/// An edit, right by itself.
#[derive(Debug, Clone, PartialEq)]
pub struct Edit {
    /// Of which timer.
    pub name: TimerName,
    /// Whether the timer is to be created if there is none.
    pub allow_missing: bool,
    fields: BTreeSet<Field>,
    timer: v1::Timer,
    etag: Option<(u64, u64)>,
    asked: Asked,
}

/// What an update asks for.
///
/// # Errors
/// As [`super::create`].
pub fn update(request: v1::UpdateTimerRequest, here: &Here) -> Result<Edit, Status> {
    let mut faults = Faults::default();
    let asked = Asked::read(&mut faults, "request_id", &request.request_id);
    let Some(timer) = request.timer else {
        return Err(fault::invalid("timer", "must be set"));
    };
    let name = fields::name(&mut faults, "timer.name", &timer.name);
    let fields = mask(&mut faults, request.update_mask.as_ref());
    let etag = etag(&mut faults, &timer.etag);
    // What the timer itself has is not known yet; the widest values stand for it.
    timer::read(
        &mut faults,
        "timer",
        laid_over(unbound(), &timer, &fields),
        here,
    );
    let edit = name.map(|name| Edit {
        name,
        allow_missing: request.allow_missing,
        fields,
        timer,
        etag,
        asked,
    });
    let edit = faults.finish(edit)?;
    edit.asked.check_age(here.now)?;
    Ok(edit)
}

impl Edit {
    /// The change, laid over the timer as it is; none if nothing is known of it.
    ///
    /// # Errors
    /// `INVALID_ARGUMENT` for what does not go together with what stays, or cannot be changed.
    pub fn onto(&self, current: Option<&v1::Timer>, here: &Here) -> Result<Changing, Status> {
        let mut faults = Faults::default();
        self.check_fixed(&mut faults, current, here);
        let base = match current {
            Some(current) if self.is_bound() => current.clone(),
            _ => unbound(),
        };
        let base = v1::Timer {
            catchup_window: None,
            ..base
        };
        let beside = laid_over(base, &self.timer, &self.fields);
        timer::read(&mut faults, "timer", beside, here);
        let settings = self.settings(&mut faults, here);
        let settings = faults.finish(settings)?;
        Ok(Changing {
            name: self.name.clone(),
            request: self.asked.number(),
            change: Change::Update {
                settings,
                etag: self.etag,
            },
        })
    }

    /// The timer to create if there is none.
    ///
    /// # Errors
    /// `INVALID_ARGUMENT` if it would have another name.
    pub fn creation(&self, here: &Here) -> Result<NewTimer, Status> {
        let mut faults = Faults::default();
        let body = timer::read(&mut faults, "timer", self.timer.clone(), here);
        let body = faults.finish(body)?;
        let named_by = match (&body.durability, &body.placement) {
            (Durability::Replicated, _) => None,
            (_, Placement::Pinned(node)) => Some(node.clone()),
            (_, Placement::Movable) => here.node.clone(),
        };
        if named_by != self.name.node {
            return Err(fault::invalid(
                "timer.durability",
                misnamed(&self.name, named_by.as_ref()),
            ));
        }
        Ok(create_from(
            body,
            self.name.pool.clone(),
            self.name.timer.clone(),
            self.asked.or_fresh(),
        ))
    }

    fn is_bound(&self) -> bool {
        BOUND.iter().any(|field| self.fields.contains(field))
    }

    /// Where a timer is kept decides its name, so that it stays.
    fn check_fixed(&self, faults: &mut Faults, current: Option<&v1::Timer>, here: &Here) {
        let wanted = self.timer.durability;
        let named = self.fields.contains("durability") && wanted != 0;
        if named && current.is_none_or(|current| current.durability != wanted) {
            let why = "cannot be changed: create another timer";
            faults.invalid("timer.durability", why);
        }
        let Some(wanted) = &self.timer.placement else {
            return;
        };
        let read = |placement: &v1::Placement| {
            super::place::placement(&mut Faults::default(), "", Some(placement.clone()), here)
        };
        let stays = |current: &v1::Timer| current.placement.as_ref().and_then(read) == read(wanted);
        if self.fields.contains("placement") && !current.is_some_and(stays) {
            let why = "cannot be changed: create another timer";
            faults.invalid("timer.placement", why);
        }
    }

    /// What is sent on follows from the request alone: whoever repeats it asks for the same, whatever the timer has
    /// become meanwhile.
    fn settings(&self, faults: &mut Faults, here: &Here) -> Option<Vec<Setting>> {
        let alone = laid_over(unbound(), &self.timer, &self.fields);
        let window = alone.catchup_window;
        let dst = schedule::dst(faults, "timer.dst", alone.dst.unwrap_or_default());
        let mut body = timer::read(faults, "timer", alone, here)?;
        let has_schedule = self.fields.contains("schedule");
        if let (false, Some(window)) = (has_schedule, window) {
            // Only beside its interval it can be seen that a window is the one that follows from it.
            body.policy.misfire.window = fields::length(faults, "timer.catchup_window", &window);
        }
        let setting = |field: &Field| match (*field, has_schedule) {
            ("schedule", _) if !self.fields.contains("dst") => {
                Some(Setting::Times(body.when.clone()))
            }
            ("dst", false) => dst.map(Setting::Dst),
            _ => setting(field, &body),
        };
        Some(self.fields.iter().filter_map(setting).collect())
    }
}

fn setting(field: &str, body: &Body) -> Option<Setting> {
    let policy = &body.policy;
    Some(match field {
        "schedule" => Setting::When(body.when.clone()),
        "target" => Setting::Target(body.handler.clone(), body.target.clone()),
        "payload" => Setting::Payload(body.payload.clone()),
        "content_type" => Setting::ContentType(body.content_type.clone()),
        "isolation" => Setting::Isolation(policy.isolation),
        "effort" => Setting::Effort(policy.effort),
        "start_time" => Setting::Start(policy.bounds.start),
        "end_time" => Setting::End(policy.bounds.end),
        "max_occurrences" => Setting::OccurrencesMax(policy.bounds.occurrences_max),
        "expire_time" => Setting::Expire(policy.bounds.expire),
        "jitter" => Setting::Jitter(policy.jitter),
        "misfire" => Setting::MisfireMode(policy.misfire.mode),
        "misfire_grace" => Setting::MisfireGrace(policy.misfire.grace),
        "catchup_window" => Setting::MisfireWindow(policy.misfire.window),
        CAP => Setting::MisfireCap(policy.misfire.cap),
        "overlap" => Setting::Overlap(policy.overlap),
        "retry" => Setting::Retry(policy.retry),
        "labels" => Setting::Labels(body.labels.clone()),
        "paused" => Setting::Paused(body.paused),
        // With a schedule the clock policy is a part of it; where a timer is kept never changes.
        _ => return None,
    })
}

/// The fields that a mask names; all that a client sets if it names none.
fn mask(faults: &mut Faults, mask: Option<&prost_types::FieldMask>) -> BTreeSet<Field> {
    let all = || FIELDS.into_iter().chain([CAP]);
    let paths = mask.map(|mask| mask.paths.as_slice()).unwrap_or_default();
    if paths.is_empty() || paths == ["*"] {
        return all().collect();
    }
    let mut fields = BTreeSet::new();
    for path in paths {
        if let Some(field) = all().find(|field| field == path) {
            fields.insert(field);
            continue;
        }
        let shown = fields::shown(path);
        let whole = path.split('.').next().unwrap_or_default();
        let why = match all().find(|field| *field == whole) {
            Some(whole) => format!("{shown} is a part of {whole}, which is changed as a whole"),
            None => format!(
                "{shown} is no field that a client sets; such are schedule, target or labels"
            ),
        };
        faults.invalid("update_mask", why);
    }
    fields
}

/// `timer` in the named fields, `base` in all others.
fn laid_over(base: v1::Timer, timer: &v1::Timer, fields: &BTreeSet<Field>) -> v1::Timer {
    let mut merged = base;
    macro_rules! lay {
        ($($field:ident),+) => {
            $(if fields.contains(stringify!($field)) {
                merged.$field = timer.$field.clone();
            })+
        };
    }
    lay!(
        schedule,
        target,
        payload,
        content_type,
        start_time,
        end_time,
        expire_time,
        jitter,
        misfire_grace,
        catchup_window,
        retry,
        labels
    );
    lay!(
        isolation,
        effort,
        max_occurrences,
        misfire,
        misfire_cap,
        overlap,
        dst,
        paused,
        placement,
        durability
    );
    let at_most_once = merged.effort == i32::from(v1::Effort::AtMostOnce);
    if fields.contains("effort") && at_most_once && !fields.contains("isolation") {
        merged.isolation = v1::Isolation::Unspecified.into();
    }
    merged
}

/// A timer that binds no field of another.
fn unbound() -> v1::Timer {
    let interval = prost_types::Duration {
        seconds: 3_600 * 24 * 365,
        nanos: 0,
    };
    let every = v1::Every {
        interval: Some(interval),
        phase: None,
    };
    let handler = v1::HandlerTarget { name: "any".into() };
    let timeout = super::policy::ATTEMPT_TIMEOUT_MAX;
    v1::Timer {
        schedule: Some(v1::Schedule {
            kind: Some(v1::schedule::Kind::Every(every)),
        }),
        target: Some(v1::Target {
            kind: Some(v1::target::Kind::Handler(handler)),
        }),
        retry: Some(v1::RetryPolicy {
            attempt_timeout: Some(crate::answer::duration(timeout)),
            ..v1::RetryPolicy::default()
        }),
        ..v1::Timer::default()
    }
}

/// The generation and revision that a tag stands for.
fn etag(faults: &mut Faults, text: &str) -> Option<(u64, u64)> {
    if text.is_empty() {
        return None;
    }
    let parts = text.split_once('-');
    let read = parts.and_then(|(generation, revision)| {
        Some((generation.parse().ok()?, revision.parse().ok()?))
    });
    if read.is_none() {
        let why = format!(
            "{} is no tag; hand back the one that was read, or none",
            fields::shown(text)
        );
        faults.invalid("timer.etag", why);
    }
    read
}

fn misnamed(name: &TimerName, named_by: Option<&NodeId>) -> String {
    match (named_by, &name.node) {
        (None, _) => format!("is REPLICATED, but {name} would be the name of another durability"),
        (Some(node), Some(other)) => {
            format!("makes it a timer of node {node}, but {name} is one of {other}")
        }
        (Some(node), None) => {
            format!("makes it a timer of node {node}, but {name} is one of the whole pool")
        }
    }
}
