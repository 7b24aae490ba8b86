//! Makes the request of a run: where it goes, its headers, its signature.
//!
//! What a timer may say was checked when it was made, but by another program, perhaps of another version; here it is
//! checked again, because this is where it would do harm.

use super::signature::{Key, Signed};
use bytes::Bytes;
use dormouse_engine::timer::{HttpTarget, Run};
use http::header::{
    CONTENT_LENGTH, CONTENT_TYPE, HOST, HeaderMap, HeaderName, HeaderValue, USER_AGENT,
};
use http::{Method, Request};
use http_body_util::Full;
use std::collections::BTreeMap;
use url::{Host, Url};

/// Headers of the connection, and those that follow from the rest of the request.
const REFUSED: [&str; 11] = [
    "connection",
    "content-length",
    "host",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];
/// What the names of the agent's own headers begin with.
const OWN: &str = "dormouse-";
const METHODS: [&str; 6] = ["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD"];

/// A request and where it goes.
#[derive(Debug)]
pub(super) struct Prepared {
    pub(super) request: Request<Full<Bytes>>,
    pub(super) host: Host<String>,
    pub(super) port: u16,
    pub(super) is_tls: bool,
}

/// Makes the request of a run at `now`, in seconds since 1970.
///
/// # Errors
/// What is wrong with the target; nothing is sent then.
pub(super) fn prepare(
    target: &HttpTarget,
    run: &Run,
    keys: &BTreeMap<String, Key>,
    now: u64,
) -> Result<Prepared, String> {
    let url = parse(&target.url)?;
    let method = METHODS
        .contains(&target.method.as_str())
        .then(|| Method::from_bytes(target.method.as_bytes()).ok());
    let method = method
        .flatten()
        .ok_or_else(|| format!("the method {:?} is not one of {METHODS:?}", target.method))?;
    let body = Bytes::from_owner(run.payload.0.clone());
    let mut headers = headers(target, run)?;
    if !target.signing_key.is_empty() {
        let key = keys.get(&target.signing_key).ok_or_else(|| {
            format!(
                "this node has no signing key {:?}; its owner can add it to the agent's configuration",
                target.signing_key
            )
        })?;
        let signature = key.sign(Signed {
            at: now,
            method: method.as_str(),
            url: url.as_str(),
            run: &run.id.to_string(),
            token: run.token.0,
            body: &body,
        });
        headers.insert("dormouse-signature", own(&signature)?);
    }
    let (host, port) = (url.host(), url.port_or_known_default());
    let (host, port) = host.zip(port).ok_or("the URL has no host")?;
    let host_header = match url.port() {
        Some(port) => format!("{host}:{port}"),
        None => host.to_string(),
    };
    headers.insert(HOST, own(&host_header)?);
    let path = &url[url::Position::BeforePath..url::Position::AfterQuery];
    let request = Request::builder().method(method).uri(path);
    let mut request = request
        .body(Full::new(body))
        .map_err(|error| format!("the URL cannot be asked for: {error}"))?;
    *request.headers_mut() = headers;
    Ok(Prepared {
        request,
        host: host.to_owned(),
        port,
        is_tls: url.scheme() == "https",
    })
}

/// Reads a URL as browsers do: whatever spelling an address has, it comes out as that address or is refused.
fn parse(text: &str) -> Result<Url, String> {
    let mut url: Url = text
        .parse()
        .map_err(|error| format!("the URL is wrong: {error}"))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err("the URL does not begin with http:// or https://".into());
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("the URL has credentials in it; give them in a header".into());
    }
    // It is for who reads the answer.
    url.set_fragment(None);
    Ok(url)
}

/// What the agent fills in, what the timer says instead or besides, and what only the agent says.
fn headers(target: &HttpTarget, run: &Run) -> Result<HeaderMap, String> {
    let mut headers = HeaderMap::new();
    let agent = concat!("dormouse/", env!("CARGO_PKG_VERSION"));
    headers.insert(USER_AGENT, HeaderValue::from_static(agent));
    headers.insert("idempotency-key", own(&run.id.to_string())?);
    if !run.content_type.is_empty() {
        headers.insert(CONTENT_TYPE, own(&run.content_type)?);
    }
    if run.payload.0.is_empty() && matches!(target.method.as_str(), "POST" | "PUT" | "PATCH") {
        // Of these some servers want to hear the length also if there is nothing.
        headers.insert(CONTENT_LENGTH, HeaderValue::from_static("0"));
    }
    for (name, value) in &target.headers {
        let lower = name.to_ascii_lowercase();
        if REFUSED.contains(&lower.as_str()) || lower.starts_with(OWN) {
            return Err(format!("the header {name:?} is not the timer's to set"));
        }
        let parsed = HeaderName::from_bytes(lower.as_bytes());
        let parsed = parsed.map_err(|_| format!("{name:?} is no name of a header"))?;
        let value = HeaderValue::from_bytes(value.as_bytes());
        let value =
            value.map_err(|_| format!("the header {name:?} has a value that none may have"))?;
        headers.insert(parsed, value);
    }
    let facts = [
        ("dormouse-timer", run.name.to_string()),
        ("dormouse-run", run.id.to_string()),
        ("dormouse-attempt", run.attempt.to_string()),
        ("dormouse-nominal-time", run.nominal.to_string()),
        ("dormouse-fencing-token", run.token.to_string()),
    ];
    for (name, value) in facts {
        headers.insert(name, own(&value)?);
    }
    Ok(headers)
}

fn own(value: &str) -> Result<HeaderValue, String> {
    HeaderValue::from_str(value).map_err(|_| format!("{value:?} cannot be sent as a header"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_the_same_in_every_spelling() {
        for spelling in [
            "127.0.0.1",
            "127.1",
            "2130706433",
            "0x7f000001",
            "0177.0.0.1",
            "0x7f.1",
            "127.0.0.1.",
            "１２７.0.0.1",
        ] {
            let url = parse(&format!("http://{spelling}/")).unwrap();
            assert_eq!(
                url.host(),
                Some(Host::Ipv4([127, 0, 0, 1].into())),
                "{spelling}"
            );
        }
        let mapped = parse("http://[::FFFF:7f00:1]/").unwrap();
        assert_eq!(mapped.host_str(), Some("[::ffff:7f00:1]"));
        for wrong in [
            "http://256.0.0.1/",
            "http://0x100000000/",
            "http://1.2.3.4.5/",
            "http://[::1",
            "http://a b/",
            "http:///",
            "",
        ] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn only_plain_addresses_of_the_web_are_asked() {
        for wrong in [
            "ftp://h/",
            "file:///etc/passwd",
            "unix:/x",
            "http://u@h/",
            "http://u:p@h/",
            "//h/",
            "gopher://h/",
        ] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
        assert_eq!(
            parse("HTTPS://Host:443/a?b=c#d").unwrap().as_str(),
            "https://host/a?b=c"
        );
    }
}
