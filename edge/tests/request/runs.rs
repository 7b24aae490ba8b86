//! Lists of runs, and changes that name a run.

use super::wanted::*;
use dormouse_edge::request;
use dormouse_engine::id::{RunId, Token};
use dormouse_engine::op::Change;
use dormouse_engine::time::WallTime;
use dormouse_engine::timer::RunKey;
use dormouse_proto::v1;

const NAME: &str = "pools/default/timers/tea";

const KEY: RunKey = RunKey {
    finished: WallTime(-5),
    nominal: WallTime(i64::MAX),
    attempt: 3,
    token: Token(u64::MAX),
};

#[test]
fn the_token_of_a_page_leads_to_where_it_ended() {
    let runs = request::runs(v1::ListRunsRequest {
        name: NAME.into(),
        page_token: request::token(&KEY),
        ..Default::default()
    });
    assert_eq!(runs.unwrap().before, Some(KEY));
    let name = request::name(NAME).unwrap();
    let dead = request::dead(&v1::ListDeadRunsRequest {
        page_token: request::dead_token(&name, &KEY),
        ..Default::default()
    });
    assert_eq!(dead.unwrap().after, Some((name, KEY)));
}

#[test]
fn forged_tokens_sizes_and_states_are_refused() {
    let asks = |page_size, page_token: &str, state| v1::ListRunsRequest {
        name: NAME.into(),
        page_size,
        page_token: page_token.into(),
        states: vec![state],
    };
    for (request, field) in [
        (asks(-1, "", 0), "page_size"),
        (asks(1001, "", 0), "page_size"),
        (asks(1, "x", 0), "page_token"),
        (asks(1, "1.2.3", 0), "page_token"),
        (asks(1, "1.2.3.4.5", 0), "page_token"),
        (asks(1, "", 99), "states"),
    ] {
        assert_eq!(blamed(&request::runs(request).unwrap_err()), [field]);
    }
    for page_token in [
        "x",
        "pools/default/timers/tea",
        "pools/default/timers/tea 1",
    ] {
        let page_token = page_token.into();
        let request = v1::ListDeadRunsRequest {
            page_token,
            ..Default::default()
        };
        assert_eq!(
            blamed(&request::dead(&request).unwrap_err()),
            ["page_token"]
        );
    }
}

#[test]
fn a_dead_run_is_named_by_its_sixteen_digits() {
    let ask = |run: &str| request::of_dead_run((NAME, ""), run, Change::Purge, &here());
    assert_eq!(
        ask("00000000000000ff").unwrap().change,
        Change::Purge(RunId(255))
    );
    for run in [
        "",
        "ff",
        "+0000000000000ff",
        "zzzzzzzzzzzzzzzz",
        "00000000000000ff0",
    ] {
        assert_eq!(blamed(&ask(run).unwrap_err()), ["run"]);
    }
}

#[test]
fn the_id_of_a_request_goes_with_every_change() {
    let id = uuid::Uuid::now_v7();
    let at = dormouse_edge::request::Here {
        now: WallTime(0),
        ..here()
    };
    let text = id.to_string();
    let asked = request::plain((NAME, &text), Change::Pause, &at, "").unwrap();
    assert_eq!(asked.request, id.as_u128());
    let asked = request::plain((NAME, ""), Change::Cancel, &at, "").unwrap();
    assert_eq!(asked.request, 0);
    let bad = request::plain(("tea", "7"), Change::Cancel, &at, "requests[2].").unwrap_err();
    assert_eq!(blamed(&bad), ["requests[2].name", "requests[2].request_id"]);
}
