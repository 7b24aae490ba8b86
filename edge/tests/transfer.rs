//! Lines of an export: written, read again, and refused with the place of what is wrong.

#![allow(clippy::unwrap_used, reason = "a test")]

use dormouse_edge::transfer::{Line, Lines};
use dormouse_engine::id::{NodeId, PoolId, RunId, TimerId, TimerName, Token, Uid};
use dormouse_engine::ledger::{Exported, Fact};
use dormouse_engine::op::{Change, NewTime, Op};
use dormouse_engine::schedule::Cron;
use dormouse_engine::time::{LogIndex, Millis, WallTime};
use dormouse_engine::timer::{
    Bounds, CommandTarget, Durability, Ending, HandlerName, HttpTarget, LastRun, NewTimer, Payload,
    Phase, Placement, Policy, Skip, Target, Timer, When,
};
use proptest::prelude::*;
use serde_json::{Value, json};
use std::collections::BTreeMap;

const NOW: WallTime = WallTime(1_800_000_000_000);

fn node() -> NodeId {
    NodeId::new("n1").unwrap()
}

fn timer(when: When) -> Timer {
    let new = NewTimer {
        pool: PoolId::new("default").unwrap(),
        id: TimerId::new("tea").unwrap(),
        uid: Uid(0x0123_4567_89ab_cdef),
        request: u128::MAX,
        when,
        placement: Placement::Movable,
        handler: HandlerName::new("h").unwrap(),
        target: Target::Handler,
        payload: Payload(b"\xff\x00tea".to_vec().into()),
        content_type: "text/plain".into(),
        policy: Policy::default(),
        paused: false,
        durability: Durability::ReplicatedAsync,
        labels: BTreeMap::from([("team \"x\"".to_owned(), "ä".to_owned())]),
    };
    Timer::accept(&new, None, NOW).unwrap()
}

fn cron() -> When {
    When::Cron(Cron::parse("*/5 8-18 * * MON-FRI", "Europe/Berlin").unwrap())
}

fn line(timer: Timer) -> String {
    Line::Fact(Fact::Timer(Box::new(timer))).write()
}

fn back(line: &str) -> Timer {
    match Line::read(line).unwrap_or_else(|why| panic!("{line}: {why}")) {
        Line::Fact(Fact::Timer(timer)) => *timer,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_line_is_json_that_is_made_to_last() {
    let mut timer = timer(When::At(WallTime(1_800_000_060_500)));
    timer.spec.placement = Placement::Pinned(node());
    let line = line(timer);
    assert!(line.starts_with("{\"kind\":\"timer\","), "{line}");
    let value: Value = serde_json::from_str(&line).unwrap();
    for (path, expected) in [
        ("/uid", json!("00000000000000000123456789abcdef")),
        ("/name", json!("pools/default/timers/tea")),
        ("/generation", json!(1)),
        ("/created", json!("2027-01-15T08:00:00.000Z")),
        ("/spec/schedule/at", json!("2027-01-15T08:01:00.500Z")),
        ("/spec/placement/pinned", json!("n1")),
        ("/spec/durability", json!("replicated_async")),
        ("/spec/payload", json!("/wB0ZWE=")),
        ("/spec/policy/retry/backoff_first", json!(1_000)),
        ("/spec/policy/overlap", json!("skip")),
        ("/phase/waiting/due", json!("2027-01-15T08:01:00.500Z")),
        ("/phase/waiting/occurrence/attempt", json!(0)),
    ] {
        assert_eq!(value.pointer(path), Some(&expected), "{path} of {line}");
    }
}

#[test]
fn timers_of_every_shape_read_back_as_they_were() {
    let every = When::Every {
        interval: Millis(1_500),
        phase: Some(WallTime(7)),
    };
    let mut shapes = vec![
        timer(cron()),
        timer(every.clone()),
        timer(When::After(Millis(5))),
    ];
    let mut http = timer(every.clone());
    http.spec.target = Target::Http(Box::new(HttpTarget {
        url: "https://example.com/".into(),
        method: "POST".into(),
        headers: BTreeMap::from([("x".to_owned(), "y".to_owned())]),
        timeout: Some(Millis(5)),
        success: vec![(200, 204), (409, 409)],
        signing_key: String::new(),
    }));
    shapes.push(http);
    let mut command = timer(every);
    command.spec.target = Target::Command(CommandTarget {
        name: "c".into(),
        args: vec!["a".into(), "\u{1}\n".into()],
    });
    command.spec.policy.bounds = Bounds {
        start: Some(WallTime(-1)),
        end: Some(WallTime(i64::MAX)),
        occurrences_max: Some(u64::MAX),
        expire: None,
    };
    command.token = Token(u64::MAX >> 1);
    command.last = Some(LastRun {
        id: RunId(u64::MAX),
        nominal: WallTime(i64::MIN),
        ending: Ending::Skipped(Skip::PastWindow),
        at: NOW,
        by: node(),
        token: Token(1 << 60),
        reason: String::new(),
        attempt: 3,
    });
    shapes.push(command);
    let mut over = timer(cron());
    over.phase = Phase::Over {
        ending: Ending::Dead,
        at: NOW,
    };
    shapes.push(over);
    for shape in shapes {
        assert_eq!(back(&line(shape.clone())), shape);
    }
}

#[test]
fn what_an_older_line_does_not_have_gets_its_default() {
    let whole = line(timer(cron()));
    let mut value: Value = serde_json::from_str(&whole).unwrap();
    value.as_object_mut().unwrap().remove("awaits");
    value["spec"].as_object_mut().unwrap().remove("policy");
    value["a_newer_field"] = json!({"x": [1]});
    assert_eq!(back(&value.to_string()), timer(cron()));
}

#[test]
fn an_export_has_a_head_its_pools_and_an_end_that_counts() {
    let name = TimerName::parse("pools/default/nodes/n1/timers/x").unwrap();
    let facts = vec![
        Fact::Timer(Box::new(timer(cron()))),
        Fact::Pending {
            node: node(),
            op: Op::rearm(name.clone(), NewTime::At(NOW)),
        },
        Fact::Pending {
            node: node(),
            op: Op::change(name, Change::Pause),
        },
        Fact::Gone {
            uid: Uid(9),
            home: node(),
        },
    ];
    let exported = Exported {
        pool: PoolId::new("default").unwrap(),
        ledger: 7,
        index: LogIndex(812),
        facts: facts[..2].to_vec(),
        next: None,
        facts_total: 4,
    };
    let later = Exported {
        index: LogIndex(813),
        facts: facts[2..].to_vec(),
        ..exported.clone()
    };
    let mut export = Lines::default();
    let mut lines = vec![export.head(NOW)];
    lines.extend(export.piece(exported));
    lines.extend(export.piece(later));
    lines.push(export.end());
    let read: Vec<Line> = lines.iter().map(|line| Line::read(line).unwrap()).collect();
    assert!(matches!(&read[0], Line::Head(head) if head.version == 1 && head.time == NOW));
    assert!(matches!(&read[1], Line::Pool(pool) if pool.index.0 == 812));
    let within: Vec<Line> = facts.into_iter().map(Line::Fact).collect();
    assert_eq!(read[2..4], within[..2]);
    assert!(matches!(&read[4], Line::Pool(pool) if pool.index.0 == 813));
    assert_eq!(read[5..7], within[2..]);
    assert!(matches!(&read[7], Line::End(end) if end.lines == 7));
    for (line, read) in lines.iter().zip(&read) {
        assert_eq!(read.write(), *line);
    }
}

#[test]
fn a_wrong_line_is_refused_with_the_column_of_what_is_wrong() {
    let right = line(timer(When::At(NOW)));
    for (from, to, words) in [
        (
            "\"2027-01-15T08:00:00.000Z\",\"generation\"",
            "\"soon\",\"generation\"",
            "RFC 3339",
        ),
        (
            "\"generation\":1",
            "\"generation\":\"one\"",
            "generation: invalid type",
        ),
        (
            "\"generation\":1",
            "\"generation\":-1",
            "generation: invalid value",
        ),
        (
            "\"handler\":\"h\"",
            "\"handler\":7",
            "spec.handler: invalid type",
        ),
        (
            "\"replicated_async\"",
            "\"eternal\"",
            "none of ephemeral, local, replicated_async",
        ),
        ("\"/wB0ZWE=\"", "\"%\"", "base64"),
        (
            "\"pools/default/timers/tea\"",
            "\"tea\"",
            "name: is not a timer name",
        ),
        (
            "\"00000000000000000123456789abcdef\"",
            "\"12\"",
            "32 hexadecimal digits",
        ),
    ] {
        assert!(right.contains(from), "{from} in {right}");
        let wrong = right.replacen(from, to, 1);
        let why = Line::read(&wrong).unwrap_err();
        assert!(why.why.contains(words), "{to}: {why}");
        let value = to.rsplit(':').next().unwrap().split(',').next().unwrap();
        let at = wrong.find(to).unwrap() + to.find(value).unwrap_or(0);
        let column = wrong[..at].chars().count() + 1;
        assert_eq!(why.column, column, "{to}: {why} in {wrong}");
    }
}

#[test]
fn what_is_no_line_is_refused_in_words() {
    for (line, words) in [
        ("", "no JSON"),
        ("{\"kind\":", "no JSON"),
        ("[]", "an object"),
        ("{}", "a `kind`"),
        ("{\"kind\":7}", "a `kind`"),
        ("{\"kind\":\"dream\"}", "\"dream\" is no kind"),
        ("{\"kind\":\"timer\"}", "missing field"),
        ("{\"kind\":\"end\",\"lines\":null}", "lines: "),
        (
            "{\"kind\":\"dormouse_export\",\"version\":2,\"shape\":{}}",
            "reads up to 1",
        ),
    ] {
        let why = Line::read(line).unwrap_err();
        assert!(why.why.contains(words), "{line}: {why}");
    }
    let why = Line::read("{\"kind\": \"timer\", \"uid\" 5}").unwrap_err();
    assert_eq!(why.column, 25, "{why}");
}

proptest! {
    #[test]
    fn any_text_is_a_line_or_refused(text in ".{0,200}") {
        let _ = Line::read(&text);
    }

    #[test]
    fn a_line_with_any_part_replaced_is_read_or_refused_within_it(at in 0usize..900, with in "[\\[\\]{}\",:a-z0-9]{0,4}") {
        let mut text = line(timer(cron()));
        let at = at.min(text.len());
        if text.is_char_boundary(at) {
            let end = (at + with.len()).min(text.len());
            if text.is_char_boundary(end) {
                text.replace_range(at..end, &with);
            }
        }
        if let Err(why) = Line::read(&text) {
            prop_assert!(why.column <= text.chars().count() + 1);
        }
    }
}
