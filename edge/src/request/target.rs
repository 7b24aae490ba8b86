//! What runs a timer: a handler, a request over HTTP, a command.
//!
//! Here is what is wrong wherever the timer runs. Whether an address may be called, a key exists or a command is
//! allowed is the node's to say that runs it.

use super::fields::{self, in_words, shown};
use crate::fault::Faults;
use dormouse_engine::id::TimerId;
use dormouse_engine::time::Millis;
use dormouse_engine::timer::{CommandTarget, HandlerName, HttpTarget, PLACE_PREFIX, Target};
use dormouse_proto::v1;
use http::{HeaderName, HeaderValue, Uri};
use std::collections::{BTreeMap, BTreeSet};
use v1::target::Kind;

/// The longest address, in bytes.
pub(super) const URL_LENGTH_MAX: usize = 2048;
/// The most further headers of a request.
pub(super) const HEADERS_MAX: usize = 32;
/// The longest value of a header, in bytes.
pub(super) const HEADER_LENGTH_MAX: usize = 4096;
/// The most ranges of statuses.
pub(super) const RANGES_MAX: usize = 16;
/// The most values for a command's placeholders.
pub(super) const ARGS_MAX: usize = 32;
/// The longest of them, in bytes.
pub(super) const ARG_LENGTH_MAX: usize = 1024;

const METHODS: [&str; 6] = ["POST", "GET", "PUT", "PATCH", "DELETE", "HEAD"];
/// The shortest time for an answer.
const TIMEOUT_MIN: Millis = Millis(100);
/// Of the connection, or set by whoever sends the request.
const RESERVED: [&str; 11] = [
    "connection",
    "content-length",
    "expect",
    "host",
    "keep-alive",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];
const RESERVED_PREFIX: &str = "dormouse-";

/// The place that runs the timer, and what it does there. `attempt` is how long an attempt may be silent.
pub(super) fn target(
    faults: &mut Faults,
    path: &str,
    target: Option<v1::Target>,
    attempt: Option<Millis>,
) -> Option<(HandlerName, Target)> {
    match target.and_then(|target| target.kind) {
        Some(Kind::Handler(target)) => {
            let path = format!("{path}.handler.name");
            handler(faults, &path, &target.name).map(|name| (name, Target::Handler))
        }
        Some(Kind::Http(target)) => {
            let target = http(faults, &format!("{path}.http"), target, attempt)?;
            Some((Target::http_place(), Target::Http(Box::new(target))))
        }
        Some(Kind::Command(target)) => command(faults, &format!("{path}.command"), target),
        None => {
            faults.invalid(path, "must be set: one of handler, http and command");
            None
        }
    }
}

fn handler(faults: &mut Faults, path: &str, text: &str) -> Option<HandlerName> {
    let Some(name) = HandlerName::new(text) else {
        let why = "must be 1 to 255 visible ASCII characters without spaces";
        faults.invalid(path, format!("is {}; {why}", shown(text)));
        return None;
    };
    if name.is_reserved() {
        let why = format!("is {}; must not begin with {PLACE_PREFIX:?}", shown(text));
        faults.invalid(path, why);
        return None;
    }
    Some(name)
}

fn http(
    faults: &mut Faults,
    path: &str,
    target: v1::HttpTarget,
    attempt: Option<Millis>,
) -> Option<HttpTarget> {
    if let Err(why) = check_url(&target.url) {
        let why = format!("is {}; {why}", shown(&target.url));
        faults.invalid(format!("{path}.url"), why);
    }
    let method = match target.method.as_str() {
        "" => METHODS[0].to_owned(),
        text if METHODS.contains(&text) => target.method,
        text => {
            let why = format!("is {}; must be one of {}", shown(text), METHODS.join(", "));
            faults.invalid(format!("{path}.method"), why);
            target.method
        }
    };
    headers(faults, &format!("{path}.headers"), &target.headers);
    let timeout = match &target.timeout {
        None => None,
        Some(value) => {
            let path = format!("{path}.timeout");
            Some(timeout(faults, &path, value, attempt)?)
        }
    };
    let success = success(faults, &format!("{path}.success"), &target.success);
    if !target.signing_key.is_empty() {
        let path = format!("{path}.signing_key");
        fields::parsed(faults, &path, &target.signing_key, TimerId::new)?;
    }
    Some(HttpTarget {
        url: target.url,
        method,
        headers: target.headers,
        timeout,
        success: success?,
        signing_key: target.signing_key,
    })
}

fn check_url(url: &str) -> Result<(), &'static str> {
    if url.len() > URL_LENGTH_MAX {
        return Err("must have at most 2048 bytes");
    }
    if !url.chars().all(|c| c.is_ascii_graphic()) {
        return Err(
            "must be visible ASCII characters without spaces; write others in percent encoding",
        );
    }
    if url.contains('#') {
        return Err("must have no fragment: it is not sent");
    }
    let uri: Uri = url
        .parse()
        .map_err(|_| "must be an address such as https://example.com/path")?;
    if !matches!(uri.scheme_str(), Some("http" | "https")) {
        return Err("must begin with http:// or https://");
    }
    let authority = uri.authority().map_or("", |it| it.as_str());
    if authority.contains('@') {
        return Err(
            "must have no credentials: they would be shown to everybody who may read the timer",
        );
    }
    let host = uri.host().unwrap_or_default();
    if host.is_empty() || host == "[]" {
        return Err("must have a host");
    }
    let has_port = authority.len() > host.len();
    if has_port && uri.port_u16().is_none_or(|port| port == 0) {
        return Err("has a port that is none; must be 1 to 65535");
    }
    Ok(())
}

fn headers(faults: &mut Faults, path: &str, headers: &BTreeMap<String, String>) {
    if headers.len() > HEADERS_MAX {
        let why = format!(
            "has {} headers; at most {HEADERS_MAX} are allowed",
            headers.len()
        );
        return faults.invalid(path, why);
    }
    let mut seen = BTreeSet::new();
    for (name, value) in headers {
        let path = format!("{path}[{}]", shown(name));
        let lower = name.to_ascii_lowercase();
        if HeaderName::from_bytes(name.as_bytes()).is_err() {
            faults.invalid(path, "is no name of a header");
        } else if RESERVED.contains(&lower.as_str()) || lower.starts_with(RESERVED_PREFIX) {
            faults.invalid(path, "is set by whoever sends the request; leave it out");
        } else if !seen.insert(lower) {
            faults.invalid(path, "is there twice; the case of a name does not count");
        } else if value.len() > HEADER_LENGTH_MAX {
            let why = format!(
                "has {} bytes; at most {HEADER_LENGTH_MAX} are allowed",
                value.len()
            );
            faults.invalid(path, why);
        } else if HeaderValue::from_str(value).is_err() {
            let why = "must be visible ASCII characters, spaces and tabs";
            faults.invalid(path, format!("is {}; {why}", shown(value)));
        }
    }
}

fn timeout(
    faults: &mut Faults,
    path: &str,
    value: &prost_types::Duration,
    attempt: Option<Millis>,
) -> Option<Millis> {
    let length = fields::length(faults, path, value)?;
    // What is wrong with the attempt's own time is said there.
    let attempt = attempt.unwrap_or(super::policy::ATTEMPT_TIMEOUT_MAX);
    if (TIMEOUT_MIN..=attempt).contains(&length) {
        return Some(length);
    }
    let why = format!(
        "is {}; must be {} to the attempt's own {}",
        in_words(length),
        in_words(TIMEOUT_MIN),
        in_words(attempt)
    );
    faults.invalid(path, why);
    None
}

fn success(faults: &mut Faults, path: &str, ranges: &[v1::StatusRange]) -> Option<Vec<(u16, u16)>> {
    if ranges.len() > RANGES_MAX {
        let why = format!(
            "has {} ranges; at most {RANGES_MAX} are allowed",
            ranges.len()
        );
        faults.invalid(path, why);
        return None;
    }
    let status = |number: u32| {
        let number = u16::try_from(number).ok();
        number.filter(|it| (100..=599).contains(it))
    };
    let mut read = Vec::new();
    for (at, range) in ranges.iter().enumerate() {
        let last = match range.last {
            0 => range.first,
            last => last,
        };
        match (status(range.first), status(last)) {
            (None, _) => {
                let why = format!("is {}; must be 100 to 599", range.first);
                faults.invalid(format!("{path}[{at}].first"), why);
            }
            (Some(first), Some(last)) if first <= last => read.push((first, last)),
            (Some(first), _) => {
                let why = format!("is {last}; must be {first} to 599");
                faults.invalid(format!("{path}[{at}].last"), why);
            }
        }
    }
    (read.len() == ranges.len()).then_some(read)
}

fn command(
    faults: &mut Faults,
    path: &str,
    target: v1::CommandTarget,
) -> Option<(HandlerName, Target)> {
    let name_path = format!("{path}.name");
    let name = fields::parsed(faults, &name_path, &target.name, TimerId::new);
    let args_path = format!("{path}.args");
    if target.args.len() > ARGS_MAX {
        let why = format!(
            "has {} values; at most {ARGS_MAX} are allowed",
            target.args.len()
        );
        faults.invalid(&args_path, why);
        return None;
    }
    let mut right = true;
    for (at, arg) in target.args.iter().enumerate() {
        let path = format!("{args_path}[{at}]");
        if arg.len() > ARG_LENGTH_MAX {
            let why = format!(
                "has {} bytes; at most {ARG_LENGTH_MAX} are allowed",
                arg.len()
            );
            faults.invalid(path, why);
            right = false;
        } else if arg.contains('\0') {
            faults.invalid(path, "must not contain NUL");
            right = false;
        }
    }
    let place = Target::command_place(name?.as_str()).expect("an id is short and visible");
    let target = CommandTarget {
        name: target.name,
        args: target.args,
    };
    right.then_some((place, Target::Command(target)))
}
