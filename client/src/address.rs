//! Where an agent or a coordinator listens, as text: `http://HOST:PORT` or `unix:PATH`.
//!
//! Only the form is checked here; whether anybody listens shows at the first call.

use crate::error::Error;
use std::time::Duration;
use tonic::transport::{Endpoint, Uri};

/// How long one attempt to connect may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// A silent connection is asked for a sign of life this often, while a call is open on it.
const KEEP_ALIVE_INTERVAL: Duration = Duration::from_secs(10);
/// Without the sign of life for this long the connection is given up.
const KEEP_ALIVE_TIMEOUT: Duration = Duration::from_secs(5);

/// Reads an address and prepares a connection to it.
pub(crate) fn parse(text: &str) -> Result<Endpoint, Error> {
    check(text).map_err(|why| Error::BadAddress {
        address: text.into(),
        why,
    })?;
    let bad = |error: tonic::transport::Error| Error::BadAddress {
        address: text.into(),
        why: error.to_string(),
    };
    Ok(Endpoint::from_shared(text.to_owned())
        .map_err(bad)?
        .user_agent(concat!("dormouse-client/", env!("CARGO_PKG_VERSION")))
        .map_err(bad)?
        .connect_timeout(CONNECT_TIMEOUT)
        .http2_keep_alive_interval(KEEP_ALIVE_INTERVAL)
        .keep_alive_timeout(KEEP_ALIVE_TIMEOUT)
        .tcp_nodelay(true))
}

fn check(text: &str) -> Result<(), String> {
    if let Some(path) = text.strip_prefix("unix:") {
        let path = path.strip_prefix("//").unwrap_or(path);
        return if path.is_empty() {
            Err("the path of the socket is missing".into())
        } else {
            Ok(())
        };
    }
    if text.starts_with("https:") {
        return Err("this version speaks plain HTTP/2 only; use http:// or unix:".into());
    }
    if !text.starts_with("http://") {
        return Err("it must begin with http:// or unix:".into());
    }
    let uri: Uri = text.parse().map_err(|error| format!("{error}"))?;
    let authority = uri
        .authority()
        .map(|authority| authority.as_str())
        .unwrap_or_default();
    if uri.host().unwrap_or_default().is_empty() || authority.contains('@') {
        return Err("it must name a host, and no user".into());
    }
    if uri
        .path_and_query()
        .is_some_and(|rest| rest.as_str() != "/")
    {
        return Err("it must end after the port".into());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_of_address_are_understood() {
        for text in [
            "http://127.0.0.1:7400",
            "http://[::1]:7400/",
            "http://host",
            "unix:/run/a.sock",
            "unix:a.sock",
            "unix:///a",
        ] {
            assert!(parse(text).is_ok(), "{text}");
        }
    }

    #[test]
    fn anything_else_is_refused_with_a_reason() {
        for text in [
            "",
            "127.0.0.1:7400",
            "https://host",
            "unix:",
            "unix://",
            "http://",
            "http://a@b",
            "http://a/b",
            "http://a b",
        ] {
            let error = parse(text).expect_err(text);
            assert!(
                matches!(&error, Error::BadAddress { why, .. } if !why.is_empty()),
                "{text}: {error}"
            );
        }
    }
}
