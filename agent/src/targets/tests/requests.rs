//! Requests to servers that do everything a server should not.
//!
//! A server is a listener on loopback and a script: it reads one request of each connection and answers with bytes.

use super::*;
use dormouse_engine::timer::HttpTarget;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt as _;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;

/// A node that may ask loopback.
fn node() -> Fixture {
    node_with(|_| {})
}

fn node_with(change: impl FnOnce(&mut Http)) -> Fixture {
    let mut config = Targets::default();
    config.http.allow = vec!["127.0.0.1".parse().unwrap()];
    change(&mut config.http);
    Fixture::start(&config)
}

/// A server that speaks to each of its clients as `answer` does, and tells what was asked.
struct Server {
    address: SocketAddr,
    asked: mpsc::UnboundedReceiver<Asked>,
}

/// A request as it came.
#[derive(Debug)]
struct Asked {
    line: String,
    headers: BTreeMap<String, String>,
    body: Vec<u8>,
}

impl Server {
    async fn start<F, Fut>(answer: F) -> Self
    where
        F: Fn(TcpStream) -> Fut + Send + 'static,
        Fut: Future<Output = ()> + Send + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (tell, asked) = mpsc::unbounded_channel();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                if let Some(request) = Asked::read(&mut stream).await {
                    let _ = tell.send(request);
                }
                tokio::spawn(answer(stream));
            }
        });
        Self { address, asked }
    }

    /// One that says the same to everybody, then ends the connection.
    async fn saying(words: impl Into<Vec<u8>>) -> Self {
        let words = Arc::new(words.into());
        Self::start(move |mut stream| {
            let words = Arc::clone(&words);
            async move { drop(stream.write_all(&words).await) }
        })
        .await
    }

    fn url(&self) -> String {
        format!("http://{}/hook?x=1", self.address)
    }

    fn run(&self, number: u64) -> Run {
        request(number, &self.url(), |_| {})
    }
}

impl Asked {
    async fn read(stream: &mut (impl AsyncRead + Unpin)) -> Option<Self> {
        let mut text = Vec::new();
        let end = loop {
            if let Some(end) = text.windows(4).position(|four| four == b"\r\n\r\n") {
                break end;
            }
            stream
                .read_buf(&mut text)
                .await
                .ok()
                .filter(|length| *length > 0)?;
        };
        let head = String::from_utf8(text[..end].to_vec()).unwrap();
        let mut lines = head.lines();
        let line = lines.next().unwrap().to_owned();
        let headers: BTreeMap<String, String> = lines
            .map(|line| line.split_once(": ").unwrap())
            .map(|(name, value)| (name.to_lowercase(), value.to_owned()))
            .collect();
        let mut body = text.split_off(end + 4);
        let length = headers
            .get("content-length")
            .map_or(0, |it| it.parse().unwrap());
        while body.len() < length {
            stream
                .read_buf(&mut body)
                .await
                .ok()
                .filter(|length| *length > 0)?;
        }
        Some(Self {
            line,
            headers,
            body,
        })
    }
}

fn place() -> HandlerName {
    Target::http_place()
}

fn request(number: u64, url: &str, change: impl FnOnce(&mut HttpTarget)) -> Run {
    let mut target = HttpTarget {
        url: url.into(),
        method: "POST".into(),
        headers: BTreeMap::new(),
        timeout: None,
        success: Vec::new(),
        signing_key: String::new(),
    };
    change(&mut target);
    run(number, place(), Target::Http(Box::new(target)))
}

const OK: &str = "HTTP/1.1 204 No Content\r\n\r\n";

#[tokio::test]
async fn a_request_carries_its_run() {
    let (node, mut server) = (node(), Server::saying(OK).await);
    let run = request(255, &server.url(), |target| {
        target.headers = [("Authorization".into(), "Bearer x".into())].into();
    });
    assert_eq!(node.outcome_of(run).await, Outcome::Done);
    let asked = server.asked.recv().await.unwrap();
    assert_eq!(asked.line, "POST /hook?x=1 HTTP/1.1");
    assert_eq!(asked.body, b"the payload");
    let expected = [
        ("authorization", "Bearer x"),
        ("content-length", "11"),
        ("content-type", "text/plain"),
        ("dormouse-attempt", "2"),
        ("dormouse-fencing-token", "255"),
        ("dormouse-nominal-time", "1970-01-01T00:00:01.500Z"),
        ("dormouse-run", "00000000000000ff"),
        ("dormouse-timer", "pools/default/timers/t"),
        ("host", &server.address.to_string()),
        ("idempotency-key", "00000000000000ff"),
        (
            "user-agent",
            concat!("dormouse/", env!("CARGO_PKG_VERSION")),
        ),
    ];
    let asked: Vec<_> = asked
        .headers
        .iter()
        .map(|(a, b)| (a.as_str(), b.as_str()))
        .collect();
    assert_eq!(asked, expected);
}

#[tokio::test]
async fn every_method_is_sent_and_no_other() {
    let (node, mut server) = (node(), Server::saying(OK).await);
    for method in ["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD"] {
        let run = request(1, &server.url(), |target| target.method = method.into());
        let run = Run {
            payload: Payload::default(),
            ..run
        };
        assert_eq!(node.outcome_of(run).await, Outcome::Done, "{method}");
        let asked = server.asked.recv().await.unwrap();
        assert!(asked.line.starts_with(&format!("{method} /")), "{asked:?}");
        assert!(asked.body.is_empty());
    }
    for method in ["CONNECT", "TRACE", "get", ""] {
        let run = request(2, &server.url(), |target| target.method = method.into());
        assert!(node.failure_of(run).await.contains("method"));
    }
}

#[tokio::test]
async fn headers_of_the_connection_and_of_the_agent_are_refused_and_others_are_the_timers() {
    let (node, mut server) = (node(), Server::saying(OK).await);
    for name in [
        "Host",
        "Content-Length",
        "connection",
        "Transfer-Encoding",
        "TE",
        "Upgrade",
        "Dormouse-Run",
        "a b",
        "x\r\ny",
    ] {
        let run = request(1, &server.url(), |target| {
            target.headers = [(name.into(), "x".into())].into();
        });
        let why = node.failure_of(run).await;
        assert!(why.contains("header"), "{name}: {why}");
    }
    let split = request(2, &server.url(), |target| {
        target.headers = [("X".into(), "a\r\nHost: b".into())].into();
    });
    assert!(node.failure_of(split).await.contains("value"));
    assert!(server.asked.try_recv().is_err(), "nothing was sent");
    let run = request(3, &server.url(), |target| {
        target.headers = [
            ("User-Agent".into(), "mine".into()),
            ("Content-Type".into(), "a/b".into()),
        ]
        .into();
    });
    assert_eq!(node.outcome_of(run).await, Outcome::Done);
    let asked = server.asked.recv().await.unwrap();
    assert_eq!(asked.headers["user-agent"], "mine");
    assert_eq!(asked.headers["content-type"], "a/b");
}

#[tokio::test]
async fn a_failure_has_the_wait_and_the_words_of_the_target() {
    let words = "HTTP/1.1 503 Busy\r\nRetry-After: 7\r\nContent-Length: 12\r\n\r\ntoo\x1b[1m busy";
    let (node, server) = (node(), Server::saying(words).await);
    let outcome = node.outcome_of(server.run(1)).await;
    let reason = "HTTP 503 Service Unavailable: too\u{fffd}[1m busy".into();
    let retry_after = Some(Millis(7_000));
    assert_eq!(
        outcome,
        Outcome::Failed {
            retry_after,
            reason
        }
    );
    let run = request(2, &server.url(), |target| target.success = vec![(503, 503)]);
    assert_eq!(node.outcome_of(run).await, Outcome::Done);
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let elsewhere = Server::saying(OK).await;
    let words = format!(
        "HTTP/1.1 302 Found\r\nLocation: {}\r\nContent-Length: 0\r\n\r\n",
        elsewhere.url()
    );
    let (node, server) = (node(), Server::saying(words).await);
    let why = node.failure_of(server.run(1)).await;
    assert!(why.contains("302") && why.contains("not followed"), "{why}");
    let mut asked = elsewhere.asked;
    assert!(asked.try_recv().is_err());
}

#[tokio::test]
async fn garbage_is_a_failure_and_harms_no_other_request() {
    let node = node();
    let good = Server::saying(OK).await;
    let headers = format!("HTTP/1.1 200 OK\r\n{}\r\n", "X-Y: z\r\n".repeat(20_000));
    let long = format!("HTTP/1.1 200 OK\r\nX: {}\r\n\r\n", "y".repeat(1 << 20));
    let garbage: [&[u8]; 7] = [
        b"",
        b"\x16\x03\x01\x02\x00",
        b"SSH-2.0-OpenSSH_9\r\n",
        b"HTTP/1.1 abc\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n",
        headers.as_bytes(),
        long.as_bytes(),
    ];
    for words in garbage {
        let server = Server::saying(words).await;
        let why = node.failure_of(server.run(1)).await;
        assert!(why.contains("failed: "), "{why}");
        assert_eq!(node.outcome_of(good.run(2)).await, Outcome::Done);
    }
}

#[tokio::test]
async fn a_body_without_end_is_read_up_to_a_limit() {
    let (tell, mut closed) = mpsc::unbounded_channel();
    let server = Server::start(move |mut stream| {
        let tell = tell.clone();
        async move {
            let mut sent = 0_usize;
            let head = "HTTP/1.1 500 No\r\nTransfer-Encoding: chunked\r\n\r\n";
            let _ = stream.write_all(head.as_bytes()).await;
            let chunk = format!("1000\r\n{}\r\n", "x".repeat(0x1000));
            while stream.write_all(chunk.as_bytes()).await.is_ok() {
                sent += 0x1000;
            }
            let _ = tell.send(sent);
        }
    })
    .await;
    let why = node().failure_of(server.run(1)).await;
    assert_eq!(why.len(), 1_024);
    let sent = tokio::time::timeout(PATIENCE, closed.recv()).await;
    let sent = sent.expect("the connection is closed").unwrap();
    assert!(sent < 64 << 20, "{sent} bytes");
}

#[tokio::test]
async fn the_status_decides_even_if_the_body_never_ends() {
    let server = Server::start(|mut stream| async move {
        let head = "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf";
        let _ = stream.write_all(head.as_bytes()).await;
        let mut rest = Vec::new();
        let _ = stream.read_to_end(&mut rest).await;
    })
    .await;
    let run = request(1, &server.url(), |target| {
        target.timeout = Some(Millis(200))
    });
    assert_eq!(node().outcome_of(run).await, Outcome::Done);
}

#[tokio::test]
async fn a_target_that_never_answers_takes_one_place_until_its_time_is_over() {
    let node = node_with(|http| http.concurrency = 2);
    let silent = Server::start(|mut stream| async move {
        let mut rest = Vec::new();
        let _ = stream.read_to_end(&mut rest).await;
    })
    .await;
    let good = Server::saying(OK).await;
    let slow = request(1, &silent.url(), |target| {
        target.timeout = Some(Millis(300))
    });
    node.launch(slow);
    node.launch(good.run(2));
    assert_eq!(node.outcome().await, (Token(2), Outcome::Done));
    let (token, outcome) = node.outcome().await;
    let reason = "no answer within 300ms".into();
    let retry_after = None;
    assert_eq!(
        (token, outcome),
        (
            Token(1),
            Outcome::Failed {
                retry_after,
                reason
            }
        )
    );
    node.all_free(&place(), 2).await;
}

#[tokio::test]
async fn a_withdrawn_request_is_broken_off() {
    let node = node_with(|http| http.concurrency = 1);
    let (tell, mut closed) = mpsc::unbounded_channel();
    let mut silent = Server::start(move |mut stream| {
        let tell = tell.clone();
        async move {
            let mut rest = Vec::new();
            let _ = stream.read_to_end(&mut rest).await;
            let _ = tell.send(());
        }
    })
    .await;
    node.launch(silent.run(1));
    silent.asked.recv().await.unwrap();
    node.executor.abandon(Token(1));
    let closed = tokio::time::timeout(PATIENCE, closed.recv()).await;
    closed.expect("the connection is closed").unwrap();
    node.all_free(&place(), 1).await;
}

#[tokio::test]
async fn nothing_is_sent_to_an_address_that_is_not_allowed() {
    let strict = node_with(|http| http.allow.clear());
    let mut server = Server::saying(OK).await;
    let port = server.address.port();
    for host in [
        "127.0.0.1",
        "localhost",
        "2130706433",
        "0x7f.1",
        "[::ffff:127.0.0.1]",
        "[::1]",
        "0.0.0.0",
    ] {
        let run = request(1, &format!("http://{host}:{port}/"), |_| {});
        let why = strict.failure_of(run).await;
        assert!(
            why.contains("refused; the owner of the node can allow it"),
            "{host}: {why}"
        );
    }
    let metadata = request(2, "http://169.254.169.254/latest/meta-data", |_| {});
    let open = node_with(|http| http.allow = vec!["0.0.0.0/0".parse().unwrap()]);
    let why = open.failure_of(metadata).await;
    assert!(why.contains("a metadata service"), "{why}");
    assert!(server.asked.try_recv().is_err());
    let named = request(3, &format!("http://localhost:{port}/"), |_| {});
    assert_eq!(open.outcome_of(named).await, Outcome::Done);
}

#[tokio::test]
async fn a_signed_request_is_signed_with_the_key_that_it_names() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("key");
    std::fs::write(&path, "0123456789abcdef").unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
    let node = node_with(|http| http.keys = [("billing".into(), path.clone())].into());
    let mut server = Server::saying(OK).await;
    let signed = |key: &str| request(7, &server.url(), |target| target.signing_key = key.into());
    let (known, unknown) = (signed("billing"), signed("other"));
    assert_eq!(node.outcome_of(known).await, Outcome::Done);
    let asked = server.asked.recv().await.unwrap();
    let header = &asked.headers["dormouse-signature"];
    let at = header
        .strip_prefix("t=")
        .unwrap()
        .split(',')
        .next()
        .unwrap();
    let key = signature::Key::read(&path).unwrap();
    let expected = key.sign(signature::Signed {
        at: at.parse().unwrap(),
        method: "POST",
        url: &server.url(),
        run: "0000000000000007",
        token: 7,
        body: b"the payload",
    });
    assert_eq!(*header, expected);
    let why = node.failure_of(unknown).await;
    assert!(why.contains("no signing key \"other\""), "{why}");
    assert!(server.asked.try_recv().is_err());
}

/// A server with TLS under a certificate of its own; the certificate's file.
async fn tls_server(dir: &tempfile::TempDir) -> (SocketAddr, PathBuf) {
    let certified = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let path = dir.path().join("ca.pem");
    std::fs::write(&path, certified.cert.pem()).unwrap();
    let key =
        rustls::pki_types::PrivateKeyDer::try_from(certified.signing_key.serialize_der()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certified.cert.der().clone()], key)
        .unwrap();
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            if let Ok(mut stream) = acceptor.accept(stream).await {
                answer_one(&mut stream).await;
            }
        }
    });
    (address, path)
}

async fn answer_one(stream: &mut (impl AsyncRead + AsyncWrite + Unpin)) {
    if Asked::read(stream).await.is_some() {
        let _ = stream.write_all(OK.as_bytes()).await;
        let _ = stream.shutdown().await;
    }
}

#[tokio::test]
async fn a_certificate_must_be_of_a_known_authority_and_of_the_name() {
    let dir = tempfile::tempdir().unwrap();
    let (address, ca) = tls_server(&dir).await;
    let knowing = node_with(|http| http.ca = Some(ca.clone()));
    let asked = |host: &str| request(1, &format!("https://{host}:{}/", address.port()), |_| {});
    assert_eq!(knowing.outcome_of(asked("localhost")).await, Outcome::Done);
    let why = knowing.failure_of(asked("127.0.0.1")).await;
    assert!(why.contains("TLS failed"), "{why}");
    let why = node().failure_of(asked("localhost")).await;
    assert!(
        why.contains("TLS failed") || why.contains("certificate authority"),
        "{why}"
    );
}

#[tokio::test]
async fn a_node_that_sends_no_requests_offers_no_place() {
    let node = node_with(|http| http.concurrency = 0);
    let (launched, url) = (place(), "http://127.0.0.1/");
    assert_eq!(node.executor.free().get(&launched), None);
    node.launch(request(1, url, |_| {}));
    let told = node.executor.drain();
    assert!(
        matches!(
            told[..],
            [Input::NotLaunched {
                token: Token(1),
                ..
            }]
        ),
        "{told:?}"
    );
}

#[tokio::test]
async fn a_file_that_is_not_right_stops_the_start() {
    let dir = tempfile::tempdir().unwrap();
    let (missing, empty) = (dir.path().join("missing"), dir.path().join("empty"));
    std::fs::write(&empty, "").unwrap();
    let node = NodeId::new("n1").unwrap();
    let start = |change: &dyn Fn(&mut Targets)| {
        let mut config = Targets::default();
        change(&mut config);
        let refused = Prepared::new(&config, &node).err();
        refused.expect("it does not start").to_string()
    };
    assert!(start(&|it| it.http.ca = Some(missing.clone())).contains("cannot be read"));
    assert!(start(&|it| it.http.ca = Some(empty.clone())).contains("no certificate"));
    assert!(
        start(&|it| it.http.keys = [("k".into(), missing.clone())].into()).contains("signing key")
    );
    assert!(start(&|it| it.commands = Some(missing.clone())).contains("allowlist"));
}
