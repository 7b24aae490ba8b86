//! A preview of a schedule: what is asked, checked as if a timer were to be created.

use super::{fields, schedule};
use crate::fault::Faults;
use dormouse_engine::schedule::Schedule;
use dormouse_engine::time::WallTime;
use dormouse_proto::v1;
use tonic::Status;

/// How many times are shown if the request does not say.
const COUNT: usize = 10;
/// The most times that are shown.
const COUNT_MAX: usize = 1000;

/// Which times are wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// Of this schedule.
    pub schedule: Schedule,
    /// Strictly after this.
    pub after: WallTime,
    /// So many.
    pub count: usize,
}

/// What a preview is of; `now` is when the timer would be accepted.
///
/// # Errors
/// As [`super::create`], for the same schedules.
pub fn preview(request: v1::PreviewScheduleRequest, now: WallTime) -> Result<Wanted, Status> {
    let mut found = Faults::default();
    let faults = &mut found;
    let dst = request.dst.unwrap_or_default();
    let dst = schedule::dst(faults, "dst", dst);
    let schedule = schedule::planned(faults, "schedule", request.schedule, dst, now);
    let after = match &request.after_time {
        Some(time) => fields::time(faults, "after_time", time),
        None => Some(now),
    };
    let count = match usize::try_from(request.count) {
        Ok(0) => COUNT,
        Ok(count @ 1..=COUNT_MAX) => count,
        _ => {
            faults.invalid(
                "count",
                format!("must be 1 to {COUNT_MAX}, or 0 for {COUNT}"),
            );
            COUNT
        }
    };
    let wanted = schedule.zip(after).map(|(schedule, after)| Wanted {
        schedule,
        after,
        count,
    });
    found.finish(wanted)
}
