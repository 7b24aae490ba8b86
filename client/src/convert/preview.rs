//! Previews of schedules.

use super::{filled, instant, required, schedule_to_wire};
use crate::error::Error;
use crate::preview::{Gap, PreviewWindow, PreviewedTime, Repeated};
use crate::timer::Scheduled;
use dormouse_proto::v1 as wire;

pub(crate) fn preview_request(
    schedule: Scheduled,
    window: PreviewWindow,
) -> wire::PreviewScheduleRequest {
    wire::PreviewScheduleRequest {
        schedule: Some(wire::Schedule {
            kind: Some(schedule_to_wire(schedule.into_when())),
        }),
        dst: Some(dst(window.gap, window.repeated)),
        after_time: window.after.map(Into::into),
        count: window.count.into(),
    }
}

pub(super) fn dst(gap: Gap, repeated: Repeated) -> wire::DstPolicy {
    let gap = match gap {
        Gap::Shift => wire::DstGap::Shift,
        Gap::Skip => wire::DstGap::Skip,
    };
    let overlap = match repeated {
        Repeated::First => wire::DstOverlap::First,
        Repeated::Last => wire::DstOverlap::Last,
        Repeated::Both => wire::DstOverlap::Both,
    };
    wire::DstPolicy {
        gap: gap.into(),
        overlap: overlap.into(),
    }
}

pub(crate) fn previewed(
    response: wire::PreviewScheduleResponse,
) -> Result<Vec<PreviewedTime>, Error> {
    let times = response.times.into_iter().map(|time| {
        Ok(PreviewedTime {
            time: instant(required("time", time.time)?)?,
            local_time: time.local_time,
            note: filled(time.note),
        })
    });
    times.collect()
}
