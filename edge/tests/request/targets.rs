//! Targets: handlers, requests over HTTP, commands.

use super::wanted::*;
use dormouse_engine::time::Millis;
use dormouse_engine::timer::Target;
use dormouse_proto::v1;
use prost_types::Duration;
use tonic::Code::InvalidArgument;
use v1::target::Kind;

/// A timer with a good HTTP target but for these fields.
macro_rules! http {
    ($($field:ident: $value:expr),*) => {
        targeting(Kind::Http(v1::HttpTarget {
            $($field: $value,)*
            ..v1::HttpTarget { url: "https://example.com/hook?x=1".into(), ..Default::default() }
        }))
    };
}

fn targeting(kind: Kind) -> v1::Timer {
    but!(target: Some(v1::Target { kind: Some(kind) }))
}

fn command(name: &str, args: Vec<String>) -> v1::Timer {
    let name = name.into();
    targeting(Kind::Command(v1::CommandTarget { name, args }))
}

fn range(first: u32, last: u32) -> v1::StatusRange {
    v1::StatusRange { first, last }
}

fn header(name: &str, value: &str) -> std::collections::BTreeMap<String, String> {
    [(name.to_owned(), value.to_owned())].into()
}

#[test]
fn an_address_that_is_none_is_refused() {
    let long = format!("http://example.com/{}", "a".repeat(2048));
    for url in [
        "",
        "example.com",
        "/path",
        "//example.com/",
        "file:///etc/passwd",
        "ftp://example.com",
        "javascript:alert(1)",
        "http://",
        "http:///path",
        "http://user@example.com/",
        "http://user:secret@example.com/",
        "http://example.com/#top",
        "http://example.com/a b",
        "http://example.com/\r\nHost: x",
        "http://ex\u{e4}mple.com/",
        "http://example.com:0/",
        "http://example.com:99999/",
        "http://example.com:x/",
        "http://[::1/",
        "http://[]/",
        &long,
    ] {
        wrong(
            http!(url: url.into()),
            InvalidArgument,
            "timer.target.http.url",
        );
    }
    for url in [
        "http://example.com",
        "https://[2001:db8::1]:8443/x",
        "http://127.0.0.1:8080/",
        "HTTP://EXAMPLE.COM/",
    ] {
        made(http!(url: url.into()));
    }
}

#[test]
fn wrong_parts_of_a_request_are_refused() {
    let duration = |seconds, nanos| Some(Duration { seconds, nanos });
    let many: std::collections::BTreeMap<_, _> =
        (0..33).map(|n| (format!("x-{n}"), String::new())).collect();
    let cases = [
        (http!(method: "TRACE".into()), "method"),
        (http!(method: "get".into()), "method"),
        (http!(headers: many), "headers"),
        (http!(headers: header("", "v")), "headers[\"\"]"),
        (http!(headers: header("a b", "v")), "headers[\"a b\"]"),
        (http!(headers: header("x", "a\r\nb: c")), "headers[\"x\"]"),
        (http!(headers: header("x", "\0")), "headers[\"x\"]"),
        (
            http!(headers: header("x", &"v".repeat(4097))),
            "headers[\"x\"]",
        ),
        (http!(headers: header("Host", "v")), "headers[\"Host\"]"),
        (
            http!(headers: header("content-LENGTH", "1")),
            "headers[\"content-LENGTH\"]",
        ),
        (
            http!(headers: header("Transfer-Encoding", "chunked")),
            "headers[\"Transfer-Encoding\"]",
        ),
        (
            http!(headers: header("Dormouse-Fencing-Token", "1")),
            "headers[\"Dormouse-Fencing-Token\"]",
        ),
        (http!(timeout: duration(0, 99_000_000)), "timeout"),
        (http!(timeout: duration(61, 0)), "timeout"),
        (http!(timeout: duration(-1, 0)), "timeout"),
        (http!(success: vec![range(200, 0); 17]), "success"),
        (http!(success: vec![range(99, 0)]), "success[0].first"),
        (
            http!(success: vec![range(200, 0), range(600, 0)]),
            "success[1].first",
        ),
        (http!(success: vec![range(204, 200)]), "success[0].last"),
        (http!(success: vec![range(204, 600)]), "success[0].last"),
        (http!(signing_key: "No Key".into()), "signing_key"),
    ];
    for (timer, field) in cases {
        wrong(
            timer,
            InvalidArgument,
            &format!("timer.target.http.{field}"),
        );
    }
}

#[test]
fn a_request_is_taken_as_it_was_said() {
    let new = made(http!(
        headers: header("X-Tea", "earl grey"),
        timeout: Some(Duration { seconds: 60, nanos: 0 }),
        success: vec![range(200, 0), range(300, 399)],
        signing_key: "k1".into()
    ));
    assert_eq!(new.handler, Target::http_place());
    let Target::Http(target) = new.target else {
        panic!("it is a request")
    };
    assert_eq!(target.method, "POST");
    assert_eq!(target.headers, header("X-Tea", "earl grey"));
    assert_eq!(target.timeout, Some(Millis(60_000)));
    assert_eq!(target.success, [(200, 200), (300, 399)]);
    assert_eq!(target.signing_key, "k1");
}

#[test]
fn wrong_commands_are_refused() {
    let arg = |arg: &str| vec!["ok".to_owned(), arg.to_owned()];
    for name in ["", "../x", "a/b", "a b", "a\0b", "X"] {
        let timer = command(name, Vec::new());
        wrong(timer, InvalidArgument, "timer.target.command.name");
    }
    let many = vec![String::new(); 33];
    wrong(
        command("backup", many),
        InvalidArgument,
        "timer.target.command.args",
    );
    for bad in ["a\0b", &"x".repeat(1025)] {
        let timer = command("backup", arg(bad));
        wrong(timer, InvalidArgument, "timer.target.command.args[1]");
    }
    let new = made(command("backup", arg("--all; rm -rf $HOME")));
    assert_eq!(Some(new.handler), Target::command_place("backup"));
}

#[test]
fn a_handler_is_no_place_of_ours() {
    let timer = but!(target: handler("dormouse:http"));
    wrong(timer, InvalidArgument, "timer.target.handler.name");
    made(but!(target: handler("dormouse")));
}
