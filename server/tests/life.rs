//! The life of a coordinator: starts that are refused, ends, and what a restart finds.

#![allow(
    missing_docs,
    unreachable_pub,
    dead_code,
    clippy::unwrap_used,
    reason = "the harness is shared by several programs, all of them tests"
)]

mod harness;

use dormouse_proto::v1;
use dormouse_server::bind;
use harness::{Server, config, create, timer_after};
use std::path::Path;
use std::time::Duration;
use tokio::time::timeout;
use tonic::Code;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

const HOUR: u64 = 3_600_000;

async fn refusal(data: &Path) -> (u8, String) {
    let error = bind(config(data))
        .await
        .err()
        .expect("the start is refused");
    (error.exit_code(), error.to_string())
}

#[tokio::test]
async fn a_restart_finds_what_was_acknowledged() {
    let data = tempfile::tempdir().unwrap();
    let server = Server::start(data.path()).await;
    let mut other = create("tea", timer_after(HOUR));
    other.pool = "kitchen".into();
    let first = server
        .timers()
        .create_timer(create("tea", timer_after(HOUR)))
        .await
        .unwrap();
    let second = server.timers().create_timer(other).await.unwrap();
    server.stop().await;
    let server = Server::start(data.path()).await;
    let listed = server
        .timers()
        .list_timers(v1::ListTimersRequest::default())
        .await
        .unwrap();
    let expected = [
        first.into_inner().timer.unwrap(),
        second.into_inner().timer.unwrap(),
    ];
    assert_eq!(listed.into_inner().timers, expected);
    server.stop().await;
}

#[tokio::test]
async fn a_parked_node_is_still_parked_after_a_restart() {
    let data = tempfile::tempdir().unwrap();
    let server = Server::start(data.path()).await;
    let mut node = server.awake("n1").await;
    let idle = harness::idle();
    node.report(idle, dormouse_engine::message::Items::default())
        .await;
    server.stop().await;
    let server = Server::start(data.path()).await;
    let nodes = server
        .admin()
        .list_nodes(v1::ListNodesRequest::default())
        .await
        .unwrap();
    let nodes = nodes.into_inner().nodes;
    assert_eq!(
        (nodes[0].node.as_str(), nodes[0].state()),
        ("n1", v1::NodeState::Idle)
    );
    server.stop().await;
}

#[tokio::test]
async fn a_second_coordinator_on_the_same_data_is_refused() {
    let data = tempfile::tempdir().unwrap();
    let server = Server::start(data.path()).await;
    let (code, why) = refusal(data.path()).await;
    assert_eq!(code, 78);
    assert!(why.contains("in use by another process"), "{why}");
    server.stop().await;
    let server = Server::start(data.path()).await;
    server.stop().await;
}

#[tokio::test]
async fn newer_foreign_and_undecodable_data_is_refused_and_left_alone() {
    let data = tempfile::tempdir().unwrap();
    Server::start(data.path()).await.stop().await;
    let format = data.path().join("FORMAT");
    let text = std::fs::read_to_string(&format).unwrap();
    std::fs::write(&format, text.replace("version = 1", "version = 7")).unwrap();
    let (code, why) = refusal(data.path()).await;
    assert!(code == 78 && why.contains("format 7"), "{why}");
    std::fs::write(&format, text).unwrap();
    std::fs::create_dir(data.path().join("pools/Not A Pool")).unwrap();
    let (code, why) = refusal(data.path()).await;
    assert!(code == 78 && why.contains("Not A Pool"), "{why}");
    std::fs::remove_dir(data.path().join("pools/Not A Pool")).unwrap();
    undecodable(&data.path().join("pools/default"));
    let (code, why) = refusal(data.path()).await;
    assert!(code == 78 && why.contains("does not decode"), "{why}");
}

/// Writes a record that no version has ever written.
fn undecodable(dir: &Path) {
    use dormouse_store::{Disk, Entry, Journal as _, Kind};
    let mut disk = Disk::open(&dormouse_store::Config::new(
        dir,
        Kind::Coordinator,
        "default",
    ))
    .unwrap();
    disk.append(&vec![Entry::put(*b"m", *b"\x02junk")]).unwrap();
}

#[tokio::test]
async fn an_address_that_others_can_reach_is_refused() {
    let data = tempfile::tempdir().unwrap();
    let untouched = data.path().join("untouched");
    let mut open = config(&untouched);
    open.listen = "0.0.0.0:0".parse().unwrap();
    let error = bind(open).await.err().expect("the start is refused");
    assert!(
        error.exit_code() == 78 && error.to_string().contains("--insecure"),
        "{error}"
    );
    assert!(!untouched.exists(), "it is refused before data is opened");
}

#[tokio::test]
async fn an_address_in_use_may_be_free_at_the_next_start() {
    let data = tempfile::tempdir().unwrap();
    let other = tempfile::tempdir().unwrap();
    let server = Server::start(data.path()).await;
    let mut same = config(other.path());
    same.listen = server.url.strip_prefix("http://").unwrap().parse().unwrap();
    let error = bind(same.clone())
        .await
        .err()
        .expect("the start is refused");
    assert!(
        error.exit_code() == 1 && error.to_string().contains("in use"),
        "{error}"
    );
    server.stop().await;
    let bound = bind(same).await;
    assert!(bound.is_ok(), "its data was closed: {:?}", bound.err());
}

#[tokio::test]
async fn a_stop_with_open_sessions_ends_in_time_and_tells_them() {
    let data = tempfile::tempdir().unwrap();
    let server = Server::start(data.path()).await;
    let mut health = HealthClient::new(server.channel.clone());
    let check = health
        .check(tonic_health::pb::HealthCheckRequest::default())
        .await
        .unwrap();
    assert_eq!(check.into_inner().status(), ServingStatus::Serving);
    let mut node = server.awake("n1").await;
    timeout(Duration::from_secs(4), server.stop())
        .await
        .expect("within 5 s");
    let end = loop {
        match node.next().await {
            Ok(Some(_)) => {}
            Ok(None) => break None,
            Err(status) => break Some(status.code()),
        }
    };
    assert_eq!(end, Some(Code::Unavailable));
}

#[tokio::test]
async fn what_is_not_grpc_or_too_large_is_refused_and_the_rest_is_served() {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let data = tempfile::tempdir().unwrap();
    let server = Server::start(data.path()).await;
    let junk: [&[u8]; 3] = [
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        &[0xff; 4096],
    ];
    for bytes in junk {
        let address = server.url.strip_prefix("http://").unwrap();
        let mut socket = tokio::net::TcpStream::connect(address).await.unwrap();
        socket.write_all(bytes).await.unwrap();
        let mut heard = Vec::new();
        // Closed or reset: either way it ends.
        let ended = timeout(Duration::from_secs(5), socket.read_to_end(&mut heard)).await;
        assert!(
            ended.is_ok(),
            "the connection is still open after {bytes:?}"
        );
    }
    let mut large = create("large", timer_after(HOUR));
    large.timer.as_mut().unwrap().payload = vec![0; 5 << 20].into();
    let status = server.timers().create_timer(large).await.unwrap_err();
    assert!(status.message().contains("too large"), "{status:?}");
    assert!(
        server
            .timers()
            .create_timer(create("fine", timer_after(HOUR)))
            .await
            .is_ok()
    );
    server.stop().await;
}
