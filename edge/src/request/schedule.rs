//! When a timer is to fire: the schedule of a request, and the new time of a rearm.
//!
//! A schedule that can never fire, or only beyond the horizon, is refused here already; whoever accepts the
//! timer asks again, since time goes on.

use super::fields;
use crate::fault::Faults;
use dormouse_engine::id::Uid;
use dormouse_engine::op::NewTime;
use dormouse_engine::schedule::{BadSchedule, Cron, Dst, Gap, Overlap, Schedule};
use dormouse_engine::time::{Millis, WallTime};
use dormouse_engine::timer::When;
use dormouse_proto::v1;
use v1::rearm_timer_request::Time;
use v1::schedule::Kind;

pub(super) fn when(
    faults: &mut Faults,
    path: &str,
    schedule: Option<v1::Schedule>,
    now: WallTime,
) -> Option<When> {
    let Some(kind) = schedule.and_then(|schedule| schedule.kind) else {
        faults.invalid(path, "must be set: one of at, after, every and cron");
        return None;
    };
    let when = match &kind {
        Kind::At(time) => fields::time(faults, &format!("{path}.at"), time).map(When::At),
        Kind::After(wait) => {
            fields::length(faults, &format!("{path}.after"), wait).map(When::After)
        }
        Kind::Every(every) => self::every(faults, &format!("{path}.every"), every),
        Kind::Cron(cron) => self::cron(faults, &format!("{path}.cron"), cron),
    }?;
    match when.accept(Uid(0), now) {
        Ok(_) => Some(when),
        Err(bad) => {
            refuse(faults, &format!("{path}.{}", blamed(&kind)), &bad);
            None
        }
    }
}

/// The schedule of a timer that is accepted at `now` with this policy for changes of the clock.
pub(super) fn planned(
    faults: &mut Faults,
    path: &str,
    schedule: Option<v1::Schedule>,
    dst: Option<Dst>,
    now: WallTime,
) -> Option<Schedule> {
    let when = match (self::when(faults, path, schedule, now)?, dst) {
        (When::Cron(cron), Some(dst)) => When::Cron(cron.with_dst(dst)),
        (when, _) => when,
    };
    match when.accept(Uid(0), now) {
        Ok(schedule) => Some(schedule),
        // Only the policy can have made a difference since it was judged before.
        Err(bad) => {
            refuse(faults, &format!("{path}.cron.expression"), &bad);
            None
        }
    }
}

/// A policy for changes of the clock; what is left out is the default.
pub(super) fn dst(faults: &mut Faults, path: &str, dst: v1::DstPolicy) -> Option<Dst> {
    let gap = match v1::DstGap::try_from(dst.gap) {
        Ok(v1::DstGap::Unspecified | v1::DstGap::Shift) => Some(Gap::Shift),
        Ok(v1::DstGap::Skip) => Some(Gap::Skip),
        Err(_) => {
            let why = format!("{} is no value of it", dst.gap);
            faults.invalid(format!("{path}.gap"), why);
            None
        }
    };
    let overlap = match v1::DstOverlap::try_from(dst.overlap) {
        Ok(v1::DstOverlap::Unspecified | v1::DstOverlap::First) => Some(Overlap::First),
        Ok(v1::DstOverlap::Last) => Some(Overlap::Last),
        Ok(v1::DstOverlap::Both) => Some(Overlap::Both),
        Err(_) => {
            let why = format!("{} is no value of it", dst.overlap);
            faults.invalid(format!("{path}.overlap"), why);
            None
        }
    };
    let (gap, overlap) = gap.zip(overlap)?;
    Some(Dst { gap, overlap })
}

/// The field that decides how far ahead a schedule is.
fn blamed(kind: &Kind) -> &'static str {
    match kind {
        Kind::At(_) => "at",
        Kind::After(_) => "after",
        Kind::Every(_) => "every.interval",
        Kind::Cron(_) => "cron.expression",
    }
}

fn refuse(faults: &mut Faults, path: &str, bad: &BadSchedule) {
    if bad.is_out_of_horizon() {
        faults.beyond(path, bad.to_string());
    } else {
        faults.invalid(path, bad.to_string());
    }
}

fn every(faults: &mut Faults, path: &str, every: &v1::Every) -> Option<When> {
    let Some(interval) = &every.interval else {
        faults.invalid(format!("{path}.interval"), "must be set");
        return None;
    };
    let interval = fields::whole_length(faults, &format!("{path}.interval"), interval)?;
    let phase = match &every.phase {
        None => None,
        Some(phase) => Some(self::phase(
            faults,
            &format!("{path}.phase"),
            phase,
            interval,
        )?),
    };
    Some(When::Every { interval, phase })
}

fn phase(
    faults: &mut Faults,
    path: &str,
    phase: &prost_types::Duration,
    interval: Millis,
) -> Option<WallTime> {
    let phase = fields::whole_length(faults, path, phase)?;
    if phase >= interval {
        faults.invalid(path, "must be shorter than the interval");
        return None;
    }
    Some(WallTime(0) + phase)
}

fn cron(faults: &mut Faults, path: &str, cron: &v1::Cron) -> Option<When> {
    match Cron::parse(&cron.expression, &cron.zone) {
        Ok(cron) => Some(When::Cron(cron)),
        Err(bad @ BadSchedule::UnknownZone(_)) => {
            faults.invalid(format!("{path}.zone"), bad.to_string());
            None
        }
        Err(bad) => {
            faults.invalid(format!("{path}.expression"), bad.to_string());
            None
        }
    }
}

pub(super) fn new_time(faults: &mut Faults, time: Option<&Time>, now: WallTime) -> Option<NewTime> {
    let (field, to, at) = match time {
        None => {
            faults.invalid("time", "must be set: one of at and after");
            return None;
        }
        Some(Time::At(at)) => {
            let at = fields::time(faults, "at", at)?;
            ("at", NewTime::At(at), at)
        }
        Some(Time::After(wait)) => {
            let wait = fields::length(faults, "after", wait)?;
            ("after", NewTime::After(wait), now + wait)
        }
    };
    match Schedule::At(at).check(now) {
        Ok(()) => Some(to),
        Err(bad) => {
            refuse(faults, field, &bad);
            None
        }
    }
}
