//! The schedule of a CronJob: five fields or a macro, and a zone.
//!
//! The zone is in `timeZone`, or, in older manifests, in front of the expression as `TZ=` or `CRON_TZ=`.

use super::super::document::Node;
use super::super::periods;
use crate::source::{Remark, validate};
use dormouse_client::wire;
use std::time::Duration;

/// An interval is rounded up to this.
const INTERVAL_MIN: Duration = Duration::from_secs(1);

/// The schedule of a CronJob's `spec`, and how it is shown; `default_zone` is for those that name none.
///
/// # Errors
/// What is wrong with it, and where.
pub(super) fn read(
    spec: &Node<'_>,
    default_zone: &str,
) -> Result<(wire::schedule::Kind, String), Remark> {
    let Some(node) = spec.get("schedule") else {
        return Err(spec.remark("schedule is missing"));
    };
    let text = node.text()?;
    let (prefixed, expression) = split_zone(text).map_err(|why| node.remark(why))?;
    let offset = text.chars().count() - expression.chars().count();
    let field = spec.get("timeZone");
    let zone = match (field.as_ref(), prefixed) {
        (Some(field), Some(_)) => {
            let why = "is there although the schedule names a zone; Kubernetes refuses that too";
            return Err(field.remark(why));
        }
        (Some(field), None) => field.text()?,
        (None, prefixed) => prefixed.unwrap_or(default_zone),
    };
    if let Some(interval) = expression.strip_prefix("@every ") {
        let Some(interval) = periods::go(interval.trim()) else {
            let why = "is no duration; write it like 90s, 15m or 1h30m";
            return Err(node.remark_at(offset + "@every ".len(), why));
        };
        let interval = Duration::from_secs(interval.max(INTERVAL_MIN).as_secs());
        let shown = format!("every {}s", interval.as_secs());
        return Ok((periods::every(interval, None), shown));
    }
    let fields = expression.split_whitespace().count();
    if !expression.starts_with('@') && fields != 5 {
        return Err(node.remark(format!("five fields are expected; here are {fields}")));
    }
    // Which of the two is wrong is told by a zone that no expression can be at fault with.
    if let Err(no) = validate("0 0 * * *", zone) {
        return Err(field.as_ref().unwrap_or(&node).remark(no.why));
    }
    validate(expression, zone).map_err(|no| match no.offset {
        Some(at) => node.remark_at(offset + at, no.why),
        None => node.remark(no.why),
    })?;
    let cron = wire::Cron {
        expression: expression.into(),
        zone: zone.into(),
    };
    let shown = format!("{expression} ({zone})");
    Ok((wire::schedule::Kind::Cron(cron), shown))
}

/// The zone in front of an expression, if there is one, and the expression.
fn split_zone(text: &str) -> Result<(Option<&str>, &str), &'static str> {
    let text = text.trim();
    let zone = text
        .strip_prefix("CRON_TZ=")
        .or_else(|| text.strip_prefix("TZ="));
    match zone.map(|rest| rest.split_once(' ')) {
        None => Ok((None, text)),
        Some(Some((zone, expression))) if !zone.is_empty() => Ok((Some(zone), expression.trim())),
        Some(_) => Err("has a zone without an expression after it"),
    }
}
