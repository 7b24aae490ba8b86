//! Clients that do not behave: too many streams, streams that are reset at once, floods of pings, lengths that are not
//! true, and bytes that are no HTTP/2. Whoever behaves is answered all the while.

#![allow(
    missing_docs,
    unreachable_pub,
    dead_code,
    clippy::unwrap_used,
    reason = "the harness is shared by several programs, all of them tests"
)]

mod harness;

use dormouse_proto::v1;
use harness::{PATIENCE, Server, create, timer_after};
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RESET: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;
const REFUSED_STREAM: u32 = 7;
const CALM_DOWN: u32 = 11;

/// A connection on which everything can be said.
struct Raw(TcpStream);

struct Frame {
    kind: u8,
    stream: u32,
    payload: Vec<u8>,
}

impl Raw {
    async fn connect(server: &Server) -> TcpStream {
        let address = server.url.trim_start_matches("http://");
        TcpStream::connect(address).await.unwrap()
    }

    async fn open(server: &Server) -> Self {
        let mut raw = Self(Self::connect(server).await);
        raw.0
            .write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
            .await
            .unwrap();
        raw.0.write_all(&frame(SETTINGS, 0, 0, &[])).await.unwrap();
        raw
    }

    /// Sends what it can before the other side hangs up, which it may.
    async fn say(&mut self, bytes: &[u8]) {
        let _ = timeout(Duration::from_secs(2), self.0.write_all(bytes)).await;
    }

    /// The next frame; none if the connection has ended or nothing is said for a while.
    async fn hear(&mut self) -> Option<Frame> {
        let mut head = [0; 9];
        let heard = timeout(Duration::from_secs(2), self.0.read_exact(&mut head)).await;
        heard.ok()?.ok()?;
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
        let mut payload = vec![0; length as usize];
        self.0.read_exact(&mut payload).await.ok()?;
        Some(Frame {
            kind: head[3],
            stream: u32::from_be_bytes([head[5], head[6], head[7], head[8]]),
            payload,
        })
    }

    /// The codes of the streams that were reset, and of the end of the connection, until nothing more is said.
    async fn codes(&mut self) -> (Vec<u32>, Option<u32>) {
        let mut reset = Vec::new();
        let mut ended = None;
        while let Some(frame) = self.hear().await {
            let code =
                |at: usize| u32::from_be_bytes(frame.payload[at..at + 4].try_into().unwrap());
            match frame.kind {
                RESET => reset.push(code(0)),
                GOAWAY => ended = Some(code(4)),
                _ => {}
            }
        }
        (reset, ended)
    }
}

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let mut frame = length[1..].to_vec();
    frame.extend([kind, flags]);
    frame.extend(stream.to_be_bytes());
    frame.extend(payload);
    frame
}

/// The head of a call, which is not ended.
fn call(stream: u32) -> Vec<u8> {
    head(stream, "/dormouse.v1.TimerService/CreateTimer")
}

/// A whole call for a page of timers.
fn list(stream: u32) -> Vec<u8> {
    let mut call = head(stream, "/dormouse.v1.TimerService/ListTimers");
    call.extend(frame(DATA, END_STREAM, stream, &[0; 5]));
    call
}

fn head(stream: u32, path: &str) -> Vec<u8> {
    let mut block = vec![0x83, 0x86];
    for (name, value) in [(4, path), (1, "localhost")] {
        block.extend([name, u8::try_from(value.len()).unwrap()]);
        block.extend(value.as_bytes());
    }
    block.extend([0x0f, 0x10, 16]);
    block.extend(b"application/grpc");
    block.extend([0, 2, b't', b'e', 8]);
    block.extend(b"trailers");
    frame(HEADERS, END_HEADERS, stream, &block)
}

/// A client that behaves is answered soon.
async fn is_well(server: &Server, id: &str) {
    let mut timers = server.timers();
    let created = timers.create_timer(create(id, timer_after(3_600_000)));
    timeout(PATIENCE, created).await.expect("in time").unwrap();
}

async fn with_server<F: AsyncFnOnce(&Server)>(test: F) {
    let data = tempfile::tempdir().unwrap();
    let server = Server::start(data.path()).await;
    test(&server).await;
    is_well(&server, "after").await;
    server.stop().await;
}

#[tokio::test]
async fn of_ten_thousand_and_one_streams_most_are_refused() {
    with_server(async |server| {
        let mut raw = Raw::open(server).await;
        let calls: Vec<u8> = (0..10_001).flat_map(|n| call(2 * n + 1)).collect();
        raw.say(&calls).await;
        is_well(server, "meanwhile").await;
        let (reset, ended) = raw.codes().await;
        let refused = reset.iter().filter(|code| **code == REFUSED_STREAM).count();
        assert!(
            refused > 0 || ended.is_some_and(|code| code != 0),
            "{refused} refused, {ended:?}"
        );
    })
    .await;
}

#[tokio::test]
async fn who_resets_every_stream_at_once_is_told_to_calm_down() {
    with_server(async |server| {
        let mut raw = Raw::open(server).await;
        let flood: Vec<u8> = (0..10_000)
            .flat_map(|n| {
                let stream = 2 * n + 1;
                let mut both = call(stream);
                both.extend(frame(RESET, 0, stream, &8_u32.to_be_bytes()));
                both
            })
            .collect();
        raw.say(&flood).await;
        is_well(server, "meanwhile").await;
        assert_eq!(raw.codes().await.1, Some(CALM_DOWN));
    })
    .await;
}

#[tokio::test]
async fn a_flood_of_pings_holds_nobody_up() {
    with_server(async |server| {
        let mut raw = Raw::open(server).await;
        // Nothing of what is answered is read.
        let flood = frame(PING, 0, 0, &[7; 8]).repeat(200_000);
        raw.say(&flood).await;
        is_well(server, "meanwhile").await;
    })
    .await;
}

#[tokio::test]
async fn a_length_that_is_only_claimed_is_refused_before_it_comes() {
    with_server(async |server| {
        let mut raw = Raw::open(server).await;
        let mut said = call(1);
        said.extend(frame(DATA, 0, 1, &[0, 0xff, 0xff, 0xff, 0xff]));
        raw.say(&said).await;
        let mut answered = false;
        while let Some(frame) = raw.hear().await {
            answered |= frame.stream == 1 && matches!(frame.kind, HEADERS | RESET);
        }
        assert!(answered, "it is not waited for four gigabytes");
    })
    .await;
}

#[tokio::test]
async fn what_is_no_http_2_is_hung_up_on() {
    let noise: Vec<u8> = (0..4096_u32)
        .map(|n| n.wrapping_mul(2_654_435_761).to_be_bytes()[0])
        .collect();
    let tls = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03".repeat(40);
    let http_1 = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n".to_vec();
    with_server(async |server| {
        for said in [noise, tls, http_1] {
            let mut stream = Raw::connect(server).await;
            let _ = stream.write_all(&said).await;
            let mut heard = Vec::new();
            let ended = timeout(PATIENCE, stream.read_to_end(&mut heard)).await;
            // Reset or closed, but not kept.
            assert!(ended.is_ok(), "it is kept open");
        }
    })
    .await;
}

#[tokio::test]
async fn unknown_calls_and_messages_that_do_not_decode_are_refused() {
    use tonic::client::Grpc;
    use tonic_prost::ProstCodec;
    with_server(async |server| {
        let ask = async |path: &'static str| {
            let mut grpc = Grpc::new(server.channel.clone());
            grpc.ready().await.unwrap();
            // A field that is text there is a number here.
            let wrong = v1::PipelineRequest {
                id: 7,
                request: None,
            };
            let codec: ProstCodec<_, v1::GetTimerResponse> = ProstCodec::default();
            let path = http::uri::PathAndQuery::from_static(path);
            let answer = grpc.unary(tonic::Request::new(wrong), path, codec).await;
            answer.unwrap_err().code()
        };
        let unknown = ask("/dormouse.v1.TimerService/Nothing").await;
        assert_eq!(unknown, tonic::Code::Unimplemented);
        let misread = ask("/dormouse.v1.TimerService/GetTimer").await;
        assert_eq!(misread, tonic::Code::Internal);
    })
    .await;
}

#[tokio::test]
async fn a_client_that_reads_no_answer_is_given_few_and_leaves_room_for_others() {
    with_server(async |server| {
        for number in 0..8 {
            let mut timer = timer_after(3_600_000);
            timer.payload = vec![7; 60_000].into();
            let created = create(&format!("large-{number}"), timer);
            server.timers().create_timer(created).await.unwrap();
        }
        let mut raw = Raw::open(server).await;
        let calls: Vec<u8> = (0..100).flat_map(|n| list(2 * n + 1)).collect();
        raw.say(&calls).await;
        let mut begun = 0;
        while let Some(frame) = raw.hear().await {
            begun += usize::from(frame.kind == HEADERS);
        }
        assert!((1..=8).contains(&begun), "{begun} answers were made");
        let mut timers = server.timers();
        let listed = timers.list_timers(v1::ListTimersRequest::default());
        let listed = timeout(PATIENCE, listed).await.expect("in time").unwrap();
        assert_eq!(listed.into_inner().timers.len(), 8);
    })
    .await;
}
