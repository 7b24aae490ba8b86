//! What the pools keep, out and in over the wire.

#![allow(
    missing_docs,
    unreachable_pub,
    dead_code,
    clippy::unwrap_used,
    reason = "the harness is shared by several programs, all of them tests"
)]

mod harness;

use dormouse_proto::v1;
use harness::Server;
use tonic::{Code, Status};
use tonic_types::StatusExt as _;
use v1::schedule::Kind;

fn seconds(seconds: i64) -> Option<prost_types::Duration> {
    Some(prost_types::Duration { seconds, nanos: 0 })
}

async fn create(server: &Server, pool: &str, id: &str) -> v1::Timer {
    let every = v1::Every {
        interval: seconds(3_600),
        phase: None,
    };
    let handler = v1::HandlerTarget { name: "h".into() };
    let timer = v1::Timer {
        schedule: Some(v1::Schedule {
            kind: Some(Kind::Every(every)),
        }),
        target: Some(v1::Target {
            kind: Some(v1::target::Kind::Handler(handler)),
        }),
        payload: vec![0, 255].into(),
        ..v1::Timer::default()
    };
    let request = v1::CreateTimerRequest {
        pool: pool.into(),
        timer_id: id.into(),
        timer: Some(timer),
        ..v1::CreateTimerRequest::default()
    };
    let created = server.timers().create_timer(request).await.unwrap();
    created.into_inner().timer.unwrap()
}

async fn list(server: &Server) -> Vec<v1::Timer> {
    let request = v1::ListTimersRequest::default();
    let listed = server.timers().list_timers(request).await.unwrap();
    listed.into_inner().timers
}

async fn export(server: &Server) -> Vec<String> {
    let request = v1::ExportRequest::default();
    let mut stream = server.admin().export(request).await.unwrap().into_inner();
    let (mut lines, mut total) = (Vec::new(), 0);
    while let Some(some) = stream.message().await.unwrap() {
        total = total.max(some.lines_total);
        lines.extend(some.lines);
    }
    assert_eq!(lines.len() as u64, total);
    lines
}

/// The lines in messages of two, the last of which says so.
fn messages(lines: &[String], options: &v1::ImportRequest) -> Vec<v1::ImportRequest> {
    let message = |lines: &[String]| v1::ImportRequest {
        lines: lines.to_vec(),
        ..options.clone()
    };
    let mut messages: Vec<_> = lines.chunks(2).map(message).collect();
    messages.push(v1::ImportRequest {
        last: true,
        ..options.clone()
    });
    messages
}

async fn import(
    server: &Server,
    lines: &[String],
    options: v1::ImportRequest,
) -> Result<v1::ImportResponse, Status> {
    let messages = tokio_stream::iter(messages(lines, &options));
    let answer = server.admin().import(messages).await;
    answer.map(tonic::Response::into_inner)
}

fn violations(status: &Status) -> Vec<String> {
    let details = status.get_error_details();
    let bad = details.bad_request().unwrap();
    bad.field_violations
        .iter()
        .map(|it| it.field.clone())
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_exported_is_there_after_an_import_and_a_restart() {
    let (from, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let full = Server::start(from.path()).await;
    for (pool, id) in [("default", "a"), ("default", "b"), ("other", "a")] {
        create(&full, pool, id).await;
    }
    let lines = export(&full).await;
    let expected = list(&full).await;
    full.stop().await;

    let empty = Server::start(to.path()).await;
    let imported = import(&empty, &lines, v1::ImportRequest::default()).await;
    assert_eq!(imported.unwrap().created, 3);
    assert_eq!(list(&empty).await, expected);
    empty.stop().await;
    let again = Server::start(to.path()).await;
    assert_eq!(list(&again).await, expected, "it was durable");
    let imported = import(&again, &lines, v1::ImportRequest::default())
        .await
        .unwrap();
    assert_eq!((imported.created, imported.known), (0, 3));
    again.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_wrong_line_keeps_everything_out_and_every_wrong_line_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path()).await;
    let kept = create(&server, "default", "a").await;
    let mut lines = export(&server).await;
    let fresh = lines[2].replace("timers/a\"", "timers/b\"");
    let fresh = fresh.replace(&kept.uid, "00000000000000000000000000000042");
    lines.insert(3, fresh.clone());
    lines.insert(4, "{\"kind\":\"timer\",\"uid\":7}".into());
    lines.insert(5, fresh.replace("pools/default", "pools/elsewhere"));
    lines.insert(6, fresh.clone());
    // The end counts the lines before it, of which there are more now.
    let refused = import(&server, &lines, v1::ImportRequest::default())
        .await
        .unwrap_err();
    assert_eq!(refused.code(), Code::InvalidArgument);
    assert_eq!(
        violations(&refused),
        ["lines[4]:23", "lines[5]", "lines[6]", "lines[7]"]
    );
    assert_eq!(list(&server).await.len(), 1);

    let partial = v1::ImportRequest {
        partial: true,
        ..v1::ImportRequest::default()
    };
    let part = import(&server, &lines, partial).await.unwrap();
    assert_eq!((part.created, part.known), (1, 1));
    let left: Vec<u64> = part.refused.iter().map(|it| it.line).collect();
    assert_eq!(left, [5, 6, 7, 8]);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_that_is_taken_is_told_as_such_and_keeps_everything_out() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path()).await;
    let kept = create(&server, "default", "a").await;
    create(&server, "other", "x").await;
    let lines: Vec<String> = export(&server)
        .await
        .into_iter()
        .map(|line| line.replace(&kept.uid, "00000000000000000000000000000042"))
        .map(|line| {
            line.replace("timers/x\"", "timers/y\"")
                .replace("\"uid\":\"0", "\"uid\":\"f")
        })
        .collect();
    let refused = import(&server, &lines, v1::ImportRequest::default())
        .await
        .unwrap_err();
    assert_eq!(refused.code(), Code::AlreadyExists, "{refused:?}");
    assert_eq!(violations(&refused), ["lines[2]"]);
    assert_eq!(
        list(&server).await.len(),
        2,
        "also of the other pool nothing came in"
    );
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_is_cut_off_and_lines_that_are_not_whole_change_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path()).await;
    create(&server, "default", "a").await;
    let lines = export(&server).await;
    let name = v1::CancelTimerRequest {
        name: "pools/default/timers/a".into(),
        request_id: String::new(),
    };
    server.timers().cancel_timer(name).await.unwrap();
    let mut cut = messages(&lines, &v1::ImportRequest::default());
    cut.pop();
    let refused = server
        .admin()
        .import(tokio_stream::iter(cut))
        .await
        .unwrap_err();
    assert_eq!(violations(&refused), ["last"]);
    let short = &lines[..lines.len() - 1];
    let refused = import(&server, short, v1::ImportRequest::default())
        .await
        .unwrap_err();
    assert!(refused.message().contains("not whole"), "{refused:?}");
    let rehearsal = v1::ImportRequest {
        validate_only: true,
        ..v1::ImportRequest::default()
    };
    assert_eq!(import(&server, &lines, rehearsal).await.unwrap().created, 1);
    assert!(list(&server).await.is_empty());
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_import_makes_no_pool() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path()).await;
    create(&server, "default", "a").await;
    let lines: Vec<String> = export(&server)
        .await
        .into_iter()
        .map(|line| {
            line.replace("\"default\"", "\"fresh\"")
                .replace("pools/default", "pools/fresh")
        })
        .collect();
    let pools = async || {
        let info = server.admin().server_info(v1::ServerInfoRequest {}).await;
        info.unwrap().into_inner().pools
    };
    let mut wrong = lines.clone();
    wrong.insert(3, lines[2].clone());
    let refused = import(&server, &wrong, v1::ImportRequest::default())
        .await
        .unwrap_err();
    assert_eq!(refused.code(), Code::InvalidArgument);
    let rehearsal = v1::ImportRequest {
        validate_only: true,
        ..v1::ImportRequest::default()
    };
    assert_eq!(import(&server, &lines, rehearsal).await.unwrap().created, 1);
    assert_eq!(pools().await, ["default"]);
    assert_eq!(
        import(&server, &lines, v1::ImportRequest::default())
            .await
            .unwrap()
            .created,
        1
    );
    assert_eq!(pools().await, ["default", "fresh"]);
    server.stop().await;
}
