//! The `replay` example, through its own code: lines in, lines out.
//!
//! What the hierarchy itself does is tested elsewhere; here it is the contract with other programs.

#[path = "../../examples/replay/lines.rs"]
mod lines;
#[path = "../../examples/replay/op.rs"]
mod op;
#[path = "../../examples/replay/stage.rs"]
mod stage;
#[path = "../../examples/replay/state.rs"]
mod state;

use serde_json::{Value, json};
use std::io::{self, Write};

/// What was written between two flushes.
#[derive(Default)]
struct Flushed {
    open: Vec<u8>,
    done: Vec<String>,
}

impl Write for Flushed {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.open.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.done
            .push(String::from_utf8(std::mem::take(&mut self.open)).unwrap());
        Ok(())
    }
}

/// The answers to these lines; each was flushed by itself.
fn replay(input: &[u8]) -> Vec<Value> {
    let mut output = Flushed::default();
    lines::answer(input, &mut output).unwrap();
    assert!(output.open.is_empty(), "the last line is flushed");
    output
        .done
        .iter()
        .map(|line| {
            assert_eq!(line.matches('\n').count(), 1, "one line at a time");
            serde_json::from_str(line).unwrap()
        })
        .collect()
}

fn told(ops: &[Value]) -> Vec<Value> {
    let input: String = ops.iter().map(|op| format!("{op}\n")).collect();
    let answers = replay(input.as_bytes());
    assert_eq!(answers.len(), ops.len());
    answers
}

fn last(ops: &[Value]) -> Value {
    told(ops).pop().unwrap()
}

fn join(node: &str, rack: &str) -> Value {
    json!({"op": "join", "node": node, "rack": rack, "now": 0})
}

fn active(node: &str, now: i64) -> Value {
    json!({"op": "active", "node": node, "now": now})
}

fn idle(node: &str, first: Option<i64>, now: i64) -> Value {
    json!({"op": "idle", "node": node, "first": first, "self_wake": null, "now": now})
}

fn advance(now: i64) -> Value {
    json!({"op": "advance", "now": now})
}

fn other(op: &str, node: &str, now: i64) -> Value {
    json!({"op": op, "node": node, "now": now})
}

fn t2() -> Vec<Value> {
    let config = json!({"op": "config", "capacity": 2});
    let joins = ["n0", "n1", "n2", "n3"].map(|node| join(node, "r0"));
    std::iter::once(config).chain(joins).collect()
}

fn t2_with(more: &[Value]) -> Vec<Value> {
    t2().into_iter().chain(more.iter().cloned()).collect()
}

#[test]
fn every_line_gets_one_line_bad_ones_too() {
    let input = b"{\"op\":\"config\",\"capacity\":2}\n\nnonsense\n\xff\xfe\n[\"advance\",5]\n\
        {\"op\":\"advance\",\"now\":5}\r\n{\"op\":\"advance\",\"now\":6}";
    let answers = replay(input);
    assert_eq!(answers.len(), 7);
    let bad: Vec<bool> = answers
        .iter()
        .map(|answer| answer.get("error").is_some())
        .collect();
    assert_eq!(bad, [false, true, true, true, true, false, false]);
}

#[test]
fn a_state_shows_the_groups_as_they_are() {
    let answer = last(&t2_with(&[active("n0", 0), idle("n1", Some(100), 0)]));
    let want = json!({
        "cover": "covered", "by": "n0", "pulls": [], "sentry": null,
        "groups": [
            {"id": "0:0", "level": 0, "rack": "r0", "members": ["n0", "n1"],
             "active": 1, "migrator": 1, "head": 100, "head_node": "n1"},
            {"id": "0:1", "level": 0, "rack": "r0", "members": ["n2", "n3"],
             "active": 0, "migrator": 0, "head": null, "head_node": null},
            {"id": "1:0", "level": 1, "rack": "r0", "members": ["0:0", "0:1"],
             "active": 1, "migrator": 1, "head": null, "head_node": null},
        ],
    });
    assert_eq!(answer, want);
}

#[test]
fn cover_is_null_unless_a_parked_node_asked() {
    for answer in told(&t2_with(&[
        active("n0", 0),
        advance(5),
        other("lost", "n0", 5),
    ])) {
        assert_eq!(answer["cover"], Value::Null);
        assert_eq!(answer["by"], Value::Null);
    }
}

#[test]
fn the_three_covers_have_their_names() {
    let sentry = last(&t2_with(&[active("n0", 0), idle("n0", Some(100), 0)]));
    assert_eq!(
        (&sentry["cover"], &sentry["by"]),
        (&json!("sentry"), &Value::Null)
    );
    assert_eq!(sentry["sentry"], json!({"node": "n0", "at": 100}));
    let nothing = last(&t2_with(&[active("n0", 0), idle("n0", None, 0)]));
    assert_eq!(
        (&nothing["cover"], &nothing["by"]),
        (&json!("covered"), &Value::Null)
    );
    let due = last(&t2_with(&[active("n0", 0), idle("n0", Some(100), 100)]));
    assert_eq!(
        (&due["cover"], &due["by"]),
        (&json!("not_covered"), &Value::Null)
    );
    assert_eq!(due["sentry"], Value::Null);
}

#[test]
fn first_is_answered_like_idle() {
    let first = json!({"op": "first", "node": "n0", "first": 50, "now": 0});
    let answer = last(&t2_with(&[
        active("n2", 0),
        idle("n0", Some(100), 0),
        first,
    ]));
    assert_eq!(answer["by"], "n2");
    assert_eq!(answer["groups"][2]["head"], 50);
}

#[test]
fn an_advance_pulls_until_nothing_is_due() {
    let parked = json!({"op": "idle", "node": "n0", "first": 100, "then": [400, 200], "now": 0});
    let ops = t2_with(&[
        active("n2", 0),
        parked,
        advance(99),
        advance(300),
        advance(500),
    ]);
    let answers = told(&ops);
    let pulls = |back: usize| answers[answers.len() - back]["pulls"].clone();
    assert_eq!(pulls(3), json!([]));
    let pull = |deadline: i64| json!({"owner": "n0", "by": "n2", "deadline": deadline});
    assert_eq!(pulls(2), json!([pull(100), pull(200)]));
    assert_eq!(pulls(1), json!([pull(400)]));
}

#[test]
fn a_stale_report_is_dropped_and_an_equal_one_answered_afresh() {
    let numbered = |mut op: Value, seq: u64| {
        op["session"] = json!(1);
        op["seq"] = json!(seq);
        op
    };
    let mut ops = t2_with(&[
        active("n2", 0),
        numbered(active("n0", 0), 6),
        numbered(idle("n0", Some(10), 0), 5),
    ]);
    let stale = last(&ops);
    assert_eq!(stale["cover"], Value::Null);
    assert_eq!(stale["groups"][0]["active"], 1);
    ops.push(numbered(idle("n0", Some(100), 0), 7));
    assert_eq!(last(&ops)["by"], "n2");
    ops.push(idle("n2", None, 0));
    ops.push(numbered(idle("n0", Some(999), 0), 7));
    let afresh = last(&ops);
    assert_eq!(
        (&afresh["cover"], &afresh["by"]),
        (&json!("covered"), &Value::Null)
    );
    assert_eq!(afresh["groups"][0]["head"], 100, "not applied again");
    ops.push(numbered(join("n0", "r0"), 3));
    assert_eq!(last(&ops)["groups"], afresh["groups"]);
}

#[test]
fn a_bad_line_changes_nothing() {
    let bad = [
        json!({"op": "config", "capacity": 4}),
        json!({"op": "what"}),
        json!({"op": "active", "node": "n9", "now": 0}),
        json!({"op": "active", "node": "N0", "now": 0}),
        json!({"op": "active", "node": "n0"}),
        json!({"op": "active", "node": "n0", "now": 1.5}),
        json!({"op": "active", "node": "n0", "now": u64::MAX}),
        json!({"op": "active", "node": "n0", "now": 0, "session": 1}),
        json!({"op": "active", "node": "n0", "now": 0, "session": 1, "seq": -1}),
        json!({"op": "idle", "node": "n0", "now": 0}),
        json!({"op": "idle", "node": "n0", "first": "soon", "now": 0}),
        json!({"op": "idle", "node": "n0", "first": null, "then": [400], "now": 0}),
        json!({"op": "idle", "node": "n0", "first": 100, "then": [50], "now": 0}),
        json!({"op": "join", "node": "n0", "rack": "elsewhere", "now": 700}),
        json!({"op": "lost", "node": "n9", "now": 700}),
        json!({"op": "leave", "node": "n9", "now": 700}),
        json!({"op": "eligible", "node": "n9", "value": true, "now": 700}),
        json!({"op": "eligible", "node": "n0", "value": 1, "now": 0}),
    ];
    let before = last(&t2_with(&[active("n0", 0), idle("n0", Some(100), 50)]));
    for op in bad {
        let answers = told(&t2_with(&[
            active("n0", 0),
            idle("n0", Some(100), 50),
            op.clone(),
            idle("n0", Some(100), 50),
        ]));
        let [.., error, after] = answers.as_slice() else {
            panic!("too few answers")
        };
        assert!(
            error["error"].is_string() && error.as_object().unwrap().len() == 1,
            "{op}"
        );
        assert_eq!(*after, before, "after {op}");
    }
}

#[test]
fn a_capacity_is_two_to_eight_and_said_first() {
    for capacity in [-1, 0, 1, 9, 256] {
        assert!(last(&[json!({"op": "config", "capacity": capacity})])["error"].is_string());
    }
    let late = told(&[advance(0), json!({"op": "config", "capacity": 2})]);
    assert!(late[1]["error"].is_string());
    assert_eq!(
        last(&[join("n0", "r0")])["groups"][0]["members"]
            .as_array()
            .unwrap()
            .len(),
        8
    );
}

#[test]
fn the_clock_does_not_go_back() {
    let answer = last(&t2_with(&[
        active("n0", 0),
        advance(200),
        idle("n0", Some(100), 10),
    ]));
    assert_eq!(answer["cover"], "not_covered");
}

#[test]
fn who_leaves_keeps_its_slot_until_its_deadlines_are_pulled() {
    let mut ops = t2_with(&[
        active("n2", 0),
        idle("n0", Some(100), 0),
        other("leave", "n0", 0),
    ]);
    assert_eq!(last(&ops)["groups"][2]["head_node"], "n0");
    ops.push(active("n0", 1));
    assert!(last(&ops)["error"].is_string(), "it has left");
    ops.push(advance(100));
    let answer = last(&ops);
    assert_eq!(answer["pulls"][0]["owner"], "n0");
    assert_eq!(answer["groups"][0]["members"], json!([null, "n1"]));
    ops.push(join("n5", "r0"));
    assert_eq!(last(&ops)["groups"][0]["members"], json!(["n5", "n1"]));
}

#[test]
fn who_is_lost_comes_back_with_its_next_report() {
    let mut ops = t2_with(&[active("n0", 0), active("n2", 0), other("lost", "n0", 5)]);
    let answer = last(&ops);
    assert_eq!(
        answer["groups"][0]["members"],
        json!([null, "n1"]),
        "it owned nothing"
    );
    assert_eq!(answer["groups"][2]["active"], 2);
    ops.push(active("n0", 6));
    assert_eq!(last(&ops)["groups"][0]["active"], 1);
    ops.extend([idle("n0", Some(100), 7), other("lost", "n0", 8)]);
    assert_eq!(
        last(&ops)["groups"][0]["members"],
        json!(["n0", "n1"]),
        "it owns something"
    );
}

#[test]
fn the_ineligible_are_active_but_no_migrators() {
    let off = json!({"op": "eligible", "node": "n0", "value": false, "now": 0});
    let answer = last(&t2_with(&[active("n0", 0), off]));
    assert_eq!(answer["groups"][0]["active"], 1);
    assert_eq!(answer["groups"][0]["migrator"], 0);
    assert_eq!(answer["groups"][2]["active"], 0);
}
