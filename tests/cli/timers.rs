//! What the commands about timers change and print: policies, edits, pauses, runs, watches.

use crate::stage::{LIMIT, PROGRAM, Stage, dormouse, lines};
use serde_json::{Value, json};
use std::process::Stdio;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::Command;

#[tokio::test(flavor = "multi_thread")]
async fn every_policy_is_shown_as_it_was_given() {
    let stage = Stage::with_agents(&[("n1", "r1")]).await;
    let line = "timer create a --every 1h --http https://example.com/x --method PUT --header X-A=b \
                --http-timeout 5s --success 200-204 --start 2030-01-01T00:00:00Z --end 2031-01-01T00:00:00Z \
                --max-occurrences 7 --jitter 90s --misfire all --misfire-cap 9 --overlap buffer-one \
                --retry-attempts 3 --backoff-min 2s --at-most-once --paused --label team=red -o json";
    assert_eq!(stage.at("n1", line).object()["state"], "paused");
    let got = stage.at("coordinator", "timer get a -o json").object();
    let expected = json!({
        "http": {
            "url": "https://example.com/x", "method": "PUT", "headers": {"X-A": "b"}, "timeout": "5s",
            "success": ["200-204"], "signing_key": null,
        },
        "handler": null, "command": null, "paused": true, "labels": {"team": "red"},
        "start_time": "2030-01-01T00:00:00.000Z", "end_time": "2031-01-01T00:00:00.000Z", "expire_time": null,
        "max_occurrences": 7, "jitter": "1m30s", "misfire": "all", "misfire_cap": 9, "misfire_grace": "1m",
        "catchup_window": "1h", "overlap": "buffer_one", "effort": "at_most_once", "isolation": "hold",
        "retry": {
            "max_attempts": 3, "backoff_min": "2s", "backoff_max": "5m", "backoff_factor": 2.0,
            "attempt_timeout": "1m",
        },
        "gap": "shift", "overlap_dst": "first", "begun_count": 0, "skipped_count": 0, "last_run": null,
    });
    for (field, value) in expected.as_object().unwrap() {
        assert_eq!(got[field], *value, "{field}");
    }
    let words = stage.at("n1", "timer get a").ok();
    for part in [
        "PUT https://example.com/x",
        "at most 7",
        "overlap buffer_one",
        "misfire all up to 9",
        "3 attempts of 1m, waits 2s to 5m",
        "paused",
    ] {
        assert!(words.contains(part), "{part}: {words}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_update_changes_what_is_said_and_nothing_else() {
    let stage = Stage::with_agents(&[("n1", "r1")]).await;
    let create =
        "timer create a --every 1h --handler h --payload p --retry-attempts 3 --backoff-min 2s";
    stage.at("n1", create).ok();
    let before = stage.at("n1", "timer get a -o json").object();
    let line = "timer update a --backoff-max 9s --overlap allow --label k=v -o json";
    let changed = stage.at("coordinator", line).object();
    assert_eq!(changed["uid"], before["uid"]);
    let after = stage.at("n1", "timer get a -o json").object();
    let retry = json!({
        "max_attempts": 3, "backoff_min": "2s", "backoff_max": "9s", "backoff_factor": 2.0, "attempt_timeout": "1m",
    });
    assert_eq!(
        (&after["retry"], &after["overlap"]),
        (&retry, &json!("allow"))
    );
    assert_eq!(after["labels"], json!({"k": "v"}));
    for same in ["schedule", "payload", "handler", "misfire", "next_times"] {
        assert_eq!(after[same], before[same], "{same}");
    }

    stage
        .at("n1", "timer update a --clear-labels --paused true")
        .ok();
    let paused = stage.at("n1", "timer get a -o json").object();
    assert_eq!(
        (&paused["labels"], &paused["state"]),
        (&json!({}), &json!("paused"))
    );
    let resumed = stage.at("n1", "timer update a --paused false -o json");
    assert_eq!(resumed.object()["state"], "scheduled");
    let both = stage.at("n1", "timer update a --clear-labels --label k=v");
    assert_eq!(both.code, 2, "{both:?}");

    let etag = before["etag"].as_str().unwrap();
    let stale = stage.at(
        "n1",
        &format!("timer update a --overlap skip --if-etag {etag}"),
    );
    assert_eq!(stale.code, 1);
    assert!(stale.stderr.contains("hint: "), "{stale:?}");
    let early = stage.at("n1", "timer update a --jitter 2h");
    assert!(
        early.code == 1 && early.stderr.contains("jitter"),
        "{early:?}"
    );
    assert_eq!(stage.at("n1", "timer update a").code, 2, "nothing is said");
    assert_eq!(stage.at("n1", "timer update none --overlap skip").code, 3);
    let new = stage.at(
        "n1",
        "timer update b --create --after 1h --handler h -o json",
    );
    assert_eq!(new.object()["name"], "pools/default/timers/b");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_timer_is_paused_resumed_and_moved() {
    let stage = Stage::with_agents(&[("n1", "r1")]).await;
    stage.at("n1", "timer create a --after 1h --handler h").ok();
    let paused = stage.at("coordinator", "timer pause a -o json").object();
    assert_eq!(
        (&paused["state"], &paused["next_times"]),
        (&json!("paused"), &json!([]))
    );
    let listed = stage
        .at("n1", "timer list --state paused -o json")
        .objects();
    assert_eq!(listed.len(), 1);
    let resumed = stage.at("n1", "timer resume a -o json").object();
    assert_eq!(resumed["state"], "scheduled");
    let next = resumed["next_times"].clone();
    for (mode, moves) in [("drop", false), ("keep-time", false), ("replace", true)] {
        let line = format!("timer rearm a --after 3h --mode {mode} --payload {mode} -o json");
        let moved = stage.at("n1", &line).object()["next_times"] != next;
        assert_eq!(moved, moves, "{mode}");
        let payload = stage.at("n1", "timer get a -o json").object()["payload"].clone();
        assert_eq!(payload == mode, mode != "drop", "{mode}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn runs_are_asked_for_listed_and_brought_back_from_the_dead() {
    let stage = Stage::with_agents(&[("n1", "r1")]).await;
    stage
        .at(
            "n1",
            "timer create a --every 1h --handler h --retry-attempts 1",
        )
        .ok();
    let asked = stage.at("n1", "timer run a -o json").object();
    assert_eq!(
        (&asked["timer"], &asked["state"]),
        (&json!("pools/default/timers/a"), &json!("waiting"))
    );
    let address = stage.cluster.address("n1").unwrap();
    let worker = format!("timeout 20 dormouse worker --addr {address} --handler h -- false");
    let worker = std::thread::spawn(move || lines(&worker));
    let dead = async {
        loop {
            let dead = stage.at("coordinator", "timer dead list -o json").objects();
            if let Some(dead) = dead.into_iter().next() {
                return dead;
            }
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
    };
    let dead = tokio::time::timeout(LIMIT, dead).await.expect("it dies");
    assert_eq!(
        (&dead["run"], &dead["state"]),
        (&asked["run"], &json!("dead"))
    );
    let runs = stage
        .at("n1", "timer runs a --state dead -o json")
        .objects();
    assert_eq!(runs.len(), 1, "{runs:?}");
    assert_eq!(
        stage.at("n1", "timer runs a --state lost").ok(),
        "no runs\n"
    );

    let run = dead["run"].as_str().unwrap();
    let again = stage
        .at(
            "coordinator",
            &format!("timer dead requeue a {run} -o json"),
        )
        .object();
    assert_eq!(again["timer"], "pools/default/timers/a");
    let missing = stage.at("coordinator", "timer dead purge a 00000000000000ff");
    assert_eq!(missing.code, 3, "{missing:?}");
    drop(worker);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watch_tells_what_there_is_and_what_changes() {
    let stage = Stage::with_agents(&[("n1", "r1")]).await;
    stage.at("n1", "timer create a --after 1h --handler h").ok();
    let mut watch = Command::new(PROGRAM)
        .args(["timer", "watch", "-o", "json"])
        .env(
            "DORMOUSE_ADDR",
            stage.cluster.address("coordinator").unwrap(),
        )
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut told = BufReader::new(watch.stdout.take().unwrap()).lines();
    let mut next = async || {
        let line = tokio::time::timeout(LIMIT, told.next_line()).await;
        let line = line.expect("it is told").unwrap().expect("it goes on");
        serde_json::from_str::<Value>(&line).unwrap()
    };
    assert_eq!(next().await["kind"], "reset");
    let first = next().await;
    assert_eq!(
        (&first["kind"], &first["timer"]["name"]),
        (&json!("timer"), &json!("pools/default/timers/a"))
    );
    stage.at("n1", "timer cancel a").ok();
    let removed = loop {
        let line = next().await;
        if line["kind"] == "removed" {
            break line;
        }
    };
    assert_eq!(removed["name"], "pools/default/timers/a");
    assert!(removed["resume_token"].is_string());
}

#[test]
fn completions_are_written_for_every_shell() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = dormouse(&format!("completions {shell}")).ok();
        assert!(
            script.contains("dormouse") && script.contains("retry-attempts"),
            "{shell}"
        );
    }
    assert_eq!(dormouse("completions tcl").code, 2);
}

#[test]
fn flags_that_do_not_go_together_are_wrong_usage() {
    for line in [
        "timer create --after 1s --handler h --command c",
        "timer create --after 1s --http ftp://x/",
        "timer create --after 1s --handler h --misfire-cap 0",
        "timer create --after 1s --handler h --retry-attempts 101",
        "timer create --after 1s --handler h --success 99",
        "timer create --after 1s --command C",
        "timer update a --unbounded --end +1h",
        "timer runs a --state scheduled",
        "timer rearm a --after 1s --mode push",
        "timer dead",
    ] {
        let said = dormouse(line);
        assert_eq!(said.code, 2, "{line}: {said:?}");
        assert!(
            said.stdout.is_empty() && !said.stderr.is_empty(),
            "{line}: {said:?}"
        );
    }
}
