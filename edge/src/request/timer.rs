//! A timer as a user describes it, read field by field.

use super::{Here, content, place, policy, schedule, target};
use crate::fault::Faults;
use dormouse_engine::timer::{Durability, HandlerName, Payload, Placement, Policy, Target, When};
use dormouse_proto::v1;
use std::collections::BTreeMap;

/// All that a user says of a timer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Body {
    pub(super) when: When,
    pub(super) placement: Placement,
    pub(super) handler: HandlerName,
    pub(super) target: Target,
    pub(super) payload: Payload,
    pub(super) content_type: String,
    pub(super) policy: Policy,
    pub(super) paused: bool,
    pub(super) durability: Durability,
    pub(super) labels: BTreeMap<String, String>,
}

/// Reads every field that a user sets; what is wrong is said at its path below `path`.
pub(super) fn read(faults: &mut Faults, path: &str, timer: v1::Timer, here: &Here) -> Option<Body> {
    let field = |name: &str| format!("{path}.{name}");
    let when = schedule::when(faults, &field("schedule"), timer.schedule.clone(), here.now);
    let when = clock_changes(faults, &field("dst"), timer.dst, when);
    let policy = policy::policy(faults, path, &timer, when.as_ref(), here.now);
    let placement = place::placement(faults, &field("placement"), timer.placement, here);
    let durability = place::durability(
        faults,
        &field("durability"),
        timer.durability,
        placement.as_ref(),
    );
    let attempt = policy.as_ref().map(|policy| policy.retry.attempt_timeout);
    let target = target::target(faults, &field("target"), timer.target, attempt);
    let payload = content::payload(faults, &field("payload"), &timer.payload);
    let content_type = content::content_type(faults, &field("content_type"), timer.content_type);
    let labels = content::labels(faults, &field("labels"), timer.labels);
    let (handler, target) = target?;
    Some(Body {
        when: when?,
        placement: placement?,
        handler,
        target,
        payload: payload?,
        content_type: content_type?,
        policy: policy?,
        paused: timer.paused,
        durability: durability?,
        labels: labels?,
    })
}

/// The schedule with what it does when the clocks change.
fn clock_changes(
    faults: &mut Faults,
    path: &str,
    dst: Option<v1::DstPolicy>,
    when: Option<When>,
) -> Option<When> {
    let dst = schedule::dst(faults, path, dst.unwrap_or_default());
    match (when?, dst?) {
        (When::Cron(cron), dst) => Some(When::Cron(cron.with_dst(dst))),
        (when, _) => Some(when),
    }
}
