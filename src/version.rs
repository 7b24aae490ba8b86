//! `dormouse version`: which program this is.

use crate::cli::Peer;
use crate::failure::Failure;
use serde::Serialize;

#[derive(Serialize)]
struct Version {
    version: &'static str,
    api: &'static str,
}

pub(crate) fn run(peer: &Peer) -> Result<(), Failure> {
    let version = Version {
        version: env!("CARGO_PKG_VERSION"),
        api: "dormouse.v1",
    };
    peer.output.one(
        &version,
        &format!("dormouse {} ({})", version.version, version.api),
    )
}
