//! What runs a timer, for its user.

use super::duration;
use dormouse_engine::timer::{CommandTarget, HandlerName, HttpTarget, Target};
use dormouse_proto::v1;
use v1::target::Kind;

pub(super) fn target(handler: &HandlerName, target: &Target) -> v1::Target {
    let kind = match target {
        Target::Handler => Kind::Handler(v1::HandlerTarget {
            name: handler.to_string(),
        }),
        Target::Http(target) => Kind::Http(http(target)),
        Target::Command(CommandTarget { name, args }) => Kind::Command(v1::CommandTarget {
            name: name.clone(),
            args: args.clone(),
        }),
    };
    v1::Target { kind: Some(kind) }
}

fn http(target: &HttpTarget) -> v1::HttpTarget {
    let range = |(first, last): &(u16, u16)| v1::StatusRange {
        first: u32::from(*first),
        last: u32::from(*last),
    };
    v1::HttpTarget {
        url: target.url.clone(),
        method: target.method.clone(),
        headers: target.headers.clone(),
        timeout: target.timeout.map(duration),
        success: target.success.iter().map(range).collect(),
        signing_key: target.signing_key.clone(),
    }
}
