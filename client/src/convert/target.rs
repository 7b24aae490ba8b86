//! Targets, in both directions.

use super::{duration_to_wire, length};
use crate::error::Error;
use crate::target::{Http, Target};
use dormouse_proto::v1 as wire;
use wire::target::Kind;

/// None for what this version does not know; it cannot be asked for.
pub(super) fn target_to_wire(target: Target) -> Option<wire::Target> {
    let kind = match target {
        Target::Handler(name) => Kind::Handler(wire::HandlerTarget { name }),
        Target::Http(http) => Kind::Http(http_to_wire(http)),
        Target::Command { name, args } => Kind::Command(wire::CommandTarget { name, args }),
        Target::Unknown => return None,
    };
    Some(wire::Target { kind: Some(kind) })
}

fn http_to_wire(http: Http) -> wire::HttpTarget {
    let ranges = http.success.into_iter().map(|range| wire::StatusRange {
        first: u32::from(*range.start()),
        last: u32::from(*range.end()),
    });
    wire::HttpTarget {
        url: http.url,
        method: http.method,
        headers: http.headers,
        timeout: http.timeout.map(duration_to_wire),
        success: ranges.collect(),
        signing_key: http.signing_key,
    }
}

pub(super) fn target(target: Option<wire::Target>) -> Result<Target, Error> {
    Ok(match target.and_then(|target| target.kind) {
        Some(Kind::Handler(handler)) => Target::Handler(handler.name),
        Some(Kind::Http(target)) => Target::Http(http(target)?),
        Some(Kind::Command(command)) => Target::Command {
            name: command.name,
            args: command.args,
        },
        None => Target::Unknown,
    })
}

fn http(http: wire::HttpTarget) -> Result<Http, Error> {
    let status = |number: u32| {
        let absurd = |_| Error::bad_answer(format!("it has the absurd status {number}"));
        u16::try_from(number).map_err(absurd)
    };
    let ranges = http.success.iter().map(|range| {
        let last = if range.last == 0 {
            range.first
        } else {
            range.last
        };
        Ok(status(range.first)?..=status(last)?)
    });
    Ok(Http {
        success: ranges.collect::<Result<_, Error>>()?,
        url: http.url,
        method: http.method,
        headers: http.headers,
        timeout: http.timeout.map(length).transpose()?,
        signing_key: http.signing_key,
    })
}
