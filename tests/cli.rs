//! The command line against real processes: what it prints, and with which code it exits.
//!
//! Each test has a cluster of its own on loopback. What timers do under faults is for other tests; here it is the
//! contract with people and programs.

#[path = "cli/dev.rs"]
mod dev;
#[path = "cli/roles.rs"]
mod roles;
#[path = "cli/stage.rs"]
mod stage;
#[path = "cli/timers.rs"]
mod timers;
#[path = "cli/transfer.rs"]
mod transfer;

use serde_json::{Value, json};
use stage::{Stage, dormouse, lines};
use std::time::Duration;

#[tokio::test(flavor = "multi_thread")]
async fn a_timer_is_shown_with_the_same_fields_by_every_command() {
    let stage = Stage::with_agents(&[("n1", "r1")]).await;
    let created = stage
        .at("n1", "timer create a --after 1h --handler h -o json")
        .object();
    assert_eq!(created["name"], "pools/default/timers/a");
    assert_eq!(created["state"], "scheduled");
    assert_eq!(created["home"], "n1");
    assert_eq!(created["durability"], "replicated");
    assert_eq!(created["generation"], 1);
    let next = created["next_times"][0].as_str().unwrap();
    assert!(next.ends_with('Z') && next.contains('T'), "{next}");
    assert!(!created["uid"].as_str().unwrap().is_empty());

    for place in ["n1", "coordinator"] {
        let got = stage.at(place, "-o json timer get a").object();
        let listed = stage.at(place, "timer list -o json").object();
        for field in [
            "name",
            "uid",
            "state",
            "home",
            "durability",
            "generation",
            "next_times",
        ] {
            assert_eq!(got[field], created[field], "get {field} at {place}");
            assert_eq!(listed[field], created[field], "list {field} at {place}");
        }
    }
    let moved = stage
        .at("coordinator", "timer rearm a --after 2h -o json")
        .object();
    assert_eq!(
        (&moved["uid"], &moved["generation"]),
        (&created["uid"], &json!(2))
    );
    assert!(moved["next_times"][0].as_str() > Some(next));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_timer_that_is_not_replicated_is_named_by_its_home() {
    let stage = Stage::with_agents(&[("n1", "r1")]).await;
    let created = stage.at(
        "n1",
        "timer create a --after 1h --handler h --durability local -o json",
    );
    assert_eq!(created.object()["name"], "pools/default/nodes/n1/timers/a");
    assert_eq!(stage.at("coordinator", "timer get a").code, 3);
    for name in ["a", "a --node n1", "pools/default/nodes/n1/timers/a"] {
        let got = stage.at("n1", &format!("timer get {name} -o json"));
        assert_eq!(got.object()["durability"], "local", "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancel_prints_its_outcome_and_what_is_gone_is_not_found() {
    let stage = Stage::with_agents(&[("n1", "r1")]).await;
    stage.at("n1", "timer create a --after 1h --handler h").ok();
    let cancelled = stage.at("n1", "timer cancel a -o json").object();
    assert!(cancelled["uid"].as_str().is_some_and(|uid| !uid.is_empty()));
    let known = json!({
        "name": "pools/default/timers/a", "uid": cancelled["uid"], "state": "cancelled", "home": "n1",
        "durability": "replicated", "generation": 1, "next_times": [],
        "outcome": "cancelled", "token": null
    });
    assert_eq!(cancelled, known);
    for line in ["timer cancel a", "timer get a", "timer rearm a --after 1s"] {
        let missing = stage.at("n1", line);
        assert_eq!(missing.code, 3, "{line}: {missing:?}");
        let words = "error: there is no timer pools/default/timers/a\nhint: ";
        assert!(missing.stderr.starts_with(words), "{line}: {missing:?}");
        assert!(missing.stdout.is_empty());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_has_pages_and_says_what_was_asked_for() {
    let stage = Stage::with_agents(&[("n1", "r1")]).await;
    for number in 0..5 {
        let team = if number < 2 { "a" } else { "b" };
        let line = format!("timer create t{number} --after 1h --handler h --label team={team}");
        stage.at("n1", &line).ok();
    }
    let names = |line: &str| -> Vec<String> {
        let rows = stage.at("coordinator", line).objects();
        let name = |row: &Value| {
            row["name"]
                .as_str()
                .unwrap()
                .rsplit('/')
                .next()
                .unwrap()
                .to_owned()
        };
        rows.iter().map(name).collect()
    };
    assert_eq!(names("timer list -o json --limit 2"), ["t0", "t1"]);
    assert_eq!(names("timer list -o json --limit 2 --all").len(), 5);
    assert_eq!(names("timer list -o json --label team=a"), ["t0", "t1"]);
    assert_eq!(names("timer list -o json --state running").len(), 0);
    assert_eq!(names("timer list -o json --home n1").len(), 5);
    let table = stage.at("n1", "timer list").ok();
    assert!(
        table.starts_with("NAME") && table.lines().count() == 6,
        "{table}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn going_idle_prints_the_cover_at_agent_and_coordinator_alike() {
    let stage = Stage::with_agents(&[("n1", "r1"), ("n2", "r1")]).await;
    stage.at("n1", "timer create a --after 1h --handler h").ok();
    let idle = stage.at("n1", "node idle n1 -o json").object();
    assert_eq!(
        idle,
        json!({"node": "n1", "cover": "covered", "by": "n2", "at": null, "why": null, "state": "idle"})
    );
    let sentry = stage.at("coordinator", "node idle n2 -o json").object();
    assert_eq!(
        (&sentry["cover"], &sentry["by"]),
        (&json!("sentry"), &Value::Null)
    );
    assert!(sentry["at"].as_str().unwrap().ends_with('Z'));
    for (place, node) in [("coordinator", "n1"), ("n2", "n2")] {
        let active = stage
            .at(place, &format!("node active {node} -o json"))
            .object();
        assert_eq!(
            (&active["cover"], &active["state"]),
            (&Value::Null, &json!("active"))
        );
    }
    let words = stage.at("coordinator", "node idle n1").ok();
    assert_eq!(words.trim(), "n1 is idle: covered by n2");
    assert_eq!(
        stage.at("coordinator", "node auto n1 -o json").object()["state"],
        "active"
    );
    assert_eq!(
        stage.at("n1", "node idle n2").code,
        3,
        "another node's agent"
    );
    assert_eq!(stage.at("coordinator", "node idle n9").code, 3);
    let drained = stage.at("coordinator", "node drain n2 -o json").object();
    assert_eq!(drained["state"], "draining");
}

#[tokio::test(flavor = "multi_thread")]
async fn nodes_and_topology_have_their_shapes() {
    let stage = Stage::with_agents(&[("n1", "r1"), ("n2", "r2")]).await;
    let nodes = stage.at("coordinator", "node list -o json").objects();
    let epoch = |at: usize| nodes[at]["epoch"].clone();
    let row = |node, rack, epoch| json!({"node": node, "pool": "default", "rack": rack, "state": "active", "eligible": true, "epoch": epoch});
    assert_eq!(
        nodes,
        [row("n1", "r1", epoch(0)), row("n2", "r2", epoch(1))]
    );
    assert!(epoch(0).as_u64() > Some(0));

    stage.at("n1", "timer create a --after 1h --handler h").ok();
    stage.at("n1", "node idle n1").ok();
    let whole = stage.at("coordinator", "topology -o json").object();
    let pool = &whole["pools"][0];
    assert_eq!(
        (&pool["pool"], &pool["sentry"]),
        (&json!("default"), &Value::Null)
    );
    assert_eq!(pool["nodes"].as_array().unwrap().len(), 2);
    let groups = pool["groups"].as_array().unwrap();
    let racks: Vec<&Value> = groups.iter().map(|group| &group["rack"]).collect();
    assert!(
        racks.contains(&&json!("r1")) && racks.contains(&&Value::Null),
        "{racks:?}"
    );
    let sleeping = groups.iter().find(|it| it["rack"] == "r1").unwrap();
    assert_eq!(sleeping["members"][0], "n1");
    assert_eq!(
        (&sleeping["active"], &sleeping["migrator"]),
        (&json!(0), &json!(0))
    );
    assert!(
        sleeping["head"].as_i64() > Some(1_700_000_000_000),
        "{sleeping}"
    );
    assert_eq!(sleeping["head_node"], "n1");

    stage.at("n2", "node idle n2").ok();
    let whole = stage.at("coordinator", "topology -o json").object();
    assert_eq!(whole["pools"][0]["sentry"]["node"], "n2");
    let tree = stage.at("coordinator", "topology").ok();
    assert!(
        tree.contains("sentry n2") && tree.contains("○ n1 idle"),
        "{tree}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_prints_one_line_for_each_run_and_nothing_else() {
    let mut stage = Stage::with_agents(&[("n1", "r1")]).await;
    let mut printed = stage.cluster.start_worker("n1", &["h"], &[]).unwrap();
    stage.ready().await;
    stage
        .at(
            "n1",
            "timer create a --after 0s --handler h --payload hello",
        )
        .ok();
    let line = stage::next(&mut printed).await;
    let run: Value = serde_json::from_str(&line).unwrap();
    let fields: Vec<&String> = run.as_object().unwrap().keys().collect();
    let mut expected = [
        "timer",
        "run",
        "node",
        "nominal_time",
        "launched_time",
        "attempt",
        "token",
        "payload",
    ];
    expected.sort_unstable();
    assert_eq!(fields, expected);
    assert_eq!(run["timer"], "pools/default/timers/a");
    assert_eq!(
        (&run["node"], &run["payload"], &run["attempt"]),
        (&json!("n1"), &json!("hello"), &json!(1))
    );
    assert!(
        run["launched_time"].as_str() >= run["nominal_time"].as_str(),
        "{run}"
    );
    stage.wait_for("n1", "a", "done").await;
    let status = stage.cluster.end("n1/worker").await.unwrap().unwrap();
    assert!(status.success(), "{status}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_waits_for_its_agent_for_ever() {
    let mut stage = Stage::with_agents(&[("n1", "r1")]).await;
    stage.cluster.kill("n1").await.unwrap();
    let mut printed = stage.cluster.start_worker("n1", &["h"], &[]).unwrap();
    tokio::time::sleep(Duration::from_millis(500)).await;
    stage.cluster.start("n1").unwrap();
    stage.ready().await;
    stage.at("n1", "timer create a --after 0s --handler h").ok();
    stage::next(&mut printed).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_runs_a_command_and_its_exit_code_decides() {
    let mut stage = Stage::with_agents(&[("n1", "r1")]).await;
    let script = "echo \"$DORMOUSE_TIMER $DORMOUSE_NODE $(cat)\"; test \"$DORMOUSE_ATTEMPT\" -gt 1";
    let command = ["sh", "-c", script];
    let mut printed = stage.cluster.start_worker("n1", &["h"], &command).unwrap();
    stage.ready().await;
    stage
        .at(
            "n1",
            "timer create a --after 0s --handler h --payload hello",
        )
        .ok();
    let expected = "pools/default/timers/a n1 hello";
    assert_eq!(
        stage::next(&mut printed).await,
        expected,
        "the first attempt fails"
    );
    assert_eq!(
        stage::next(&mut printed).await,
        expected,
        "the second one is done"
    );
    stage.wait_for("n1", "a", "done").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_is_asked_twice_ends_at_once_with_its_commands() {
    let mut stage = Stage::with_agents(&[("n1", "r1")]).await;
    let command = ["sh", "-c", "echo $$; sleep 1000"];
    let worker = stage.cluster.start_worker("n1", &["h"], &command);
    let mut printed = worker.unwrap();
    stage.ready().await;
    stage.at("n1", "timer create a --after 0s --handler h").ok();
    let command = stage::next(&mut printed).await.parse().unwrap();
    let worker = stage.cluster.pid("n1/worker").unwrap().unwrap();
    dev::send(dev::pid(u64::from(worker)), rustix::process::Signal::INT);
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert!(dev::is_alive(dev::pid(command)), "it may finish");
    dev::send(dev::pid(u64::from(worker)), rustix::process::Signal::INT);
    let gone = async {
        while dev::is_alive(dev::pid(command)) {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let gone = tokio::time::timeout(Duration::from_secs(3), gone).await;
    gone.expect("it is killed long before its grace is over");
}

#[tokio::test(flavor = "multi_thread")]
async fn importing_a_crontab_again_changes_nothing() {
    let stage = Stage::with_agents(&[("n1", "r1")]).await;
    let file = stage.file(
        "crontab",
        "MAILTO=me\nCRON_TZ=Europe/Berlin\n30 2 * * * /bin/backup --all\n@daily echo 100\\%\n",
    );
    let import = format!("cron import {file} -o json");
    let first = stage.at("n1", &import);
    assert!(
        first
            .stderr
            .contains(&format!("{file}:1:1: MAILTO is ignored")),
        "{first:?}"
    );
    let outcomes = |rows: Vec<Value>| -> Vec<(Value, Value)> {
        let pair = |row: &Value| (row["line"].clone(), row["outcome"].clone());
        rows.iter().map(pair).collect()
    };
    let created = [(json!(3), json!("created")), (json!(4), json!("created"))];
    assert_eq!(outcomes(first.objects()), created);
    let unchanged = [
        (json!(3), json!("unchanged")),
        (json!(4), json!("unchanged")),
    ];
    assert_eq!(
        outcomes(stage.at("coordinator", &import).objects()),
        unchanged
    );
    assert_eq!(outcomes(stage.at("n1", &import).objects()), unchanged);

    let name = first.objects()[0]["name"].as_str().unwrap().to_owned();
    let timer = stage
        .at("n1", &format!("timer get {name} -o json"))
        .object();
    assert_eq!(timer["handler"], "cron");
    assert_eq!(timer["payload"], "/bin/backup --all");
    assert_eq!(timer["schedule"], "cron 30 2 * * * (Europe/Berlin)");
    let other = stage.at("n1", &format!("cron import {file} --handler other -o json"));
    assert_eq!(
        (other.code, &other.objects()[0]["outcome"]),
        (1, &json!("failed"))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_of_a_wrong_crontab_is_imported_unless_partly() {
    let stage = Stage::with_agents(&[("n1", "r1")]).await;
    let file = stage.file(
        "crontab",
        "0 5 * * * root good\n0 99 * * * root bad\n@reboot root worse\n",
    );
    let whole = stage.at("n1", &format!("cron import {file} --system"));
    assert_eq!(whole.code, 1);
    assert!(whole.stderr.contains(&format!("{file}:2:3: ")), "{whole:?}");
    assert!(whole.stderr.contains(&format!("{file}:3:1: ")), "{whole:?}");
    assert!(stage.at("n1", "timer list -o json").objects().is_empty());
    let rehearsed = stage.at(
        "n1",
        &format!("cron import {file} --system --partial --dry-run -o json"),
    );
    assert_eq!(
        (rehearsed.code, &rehearsed.objects()[0]["outcome"]),
        (1, &json!("would_create"))
    );
    assert!(stage.at("n1", "timer list -o json").objects().is_empty());
    let partly = stage.at(
        "n1",
        &format!("cron import {file} --system --partial -o json"),
    );
    assert_eq!((partly.code, partly.objects().len()), (1, 1));
    assert_eq!(stage.at("n1", "timer list -o json").objects().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_refused_exits_with_1_and_says_what_would_be_right() {
    let stage = Stage::with_agents(&[("n1", "r1")]).await;
    let big = stage.file("big", &"x".repeat(70_000));
    let payload = format!("timer create x --after 1s --handler h --payload @{big}");
    let cases = [
        ("timer create x --cron 0_0_30_2_* --handler h", "no date"),
        ("timer create x --cron 0_99_*_*_* --handler h", "offset 2"),
        (
            "timer create x --cron @daily --zone Mars/Base --handler h",
            "Europe/Berlin",
        ),
        (
            "timer create x --at 1960-01-01T00:00:00Z --handler h",
            "1970",
        ),
        (
            "timer create x --at 2200-01-01T00:00:00Z --handler h",
            "ten years",
        ),
        ("timer create x --every 1ms --handler h", "shortest"),
        (
            "timer create x --after 1s --handler h --payload @/nowhere",
            "/nowhere",
        ),
        (&payload, "64 KiB"),
    ];
    for (line, reason) in cases {
        for place in ["n1", "coordinator"] {
            let refused = stage.at(place, line);
            assert_eq!(refused.code, 1, "{line} at {place}: {refused:?}");
            assert!(
                refused.stderr.contains(reason),
                "{line} at {place}: {refused:?}"
            );
        }
    }
    stage.at("n1", "timer create x --after 1h --handler h").ok();
    assert_eq!(
        stage.at("n1", "timer create x --after 2h --handler h").code,
        1
    );
    assert_eq!(
        stage.at("n1", "node list").code,
        1,
        "an agent knows only itself"
    );
    let worker = stage.at("coordinator", "worker --handler h");
    assert!(
        worker.code == 1 && worker.stderr.contains("agent"),
        "{worker:?}"
    );
}

#[test]
fn wrong_usage_exits_with_2_before_anything_is_sent() {
    for line in [
        "",
        "frob",
        "timer create --handler h",
        "timer create --after 1s",
        "timer create --after 1s --at +1s --handler h",
        "timer create --after 1x --handler h",
        "timer create --after -1s --handler h",
        "timer create --at tomorrow --handler h",
        "timer create --every 0s --handler h",
        "timer create UPPER --after 1s --handler h",
        "timer create a/b --after 1s --handler h",
        "timer create --after 1s --handler h --durability eternal",
        "timer create --after 1s --handler h --label novalue",
        "timer create --after 1s --handler h --pinned ..",
        "timer rearm a",
        "timer list --state sleepy",
        "timer list --limit 0",
        "timer list -o yaml",
        "node idle",
        "worker",
        "worker --handler h --concurrency 0",
        "--addr 127.0.0.1:7400 timer list",
        "--addr https://127.0.0.1:7400 timer list",
        "server",
        "server --data d --lease ten",
        "server --data d --listen nowhere",
        "agent --rack r --data d",
        "agent --node N --rack r --data d",
        "dev --nodes 0",
        "cron preview",
        "cron preview @daily -n 0",
        "cron preview @daily -n 1001",
        "cron preview @daily --from tomorrow",
        "cron preview @daily --from 1969-12-31T00:00:00Z",
        "cron preview @daily --gap close",
    ] {
        let said = dormouse(line);
        assert_eq!(said.code, 2, "{line}: {said:?}");
        assert!(
            said.stdout.is_empty() && !said.stderr.is_empty(),
            "{line}: {said:?}"
        );
    }
}

#[test]
fn whoever_cannot_be_reached_is_unavailable() {
    for line in ["timer list", "timer cancel a", "node list", "topology"] {
        let said = dormouse(&format!("--addr http://127.0.0.1:9 {line}"));
        assert_eq!(said.code, 4, "{line}: {said:?}");
        assert!(said.stderr.contains("hint: "), "{line}: {said:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_configuration_exits_with_78() {
    let stage = Stage::with_agents(&[("n1", "r1")]).await;
    let dir = |name: &str| stage.path(name).display().to_string();
    let (fresh, coordinators, agents) = (dir("fresh"), dir("coordinator"), dir("n1"));
    let file = stage.file("file", "");
    let foreign = stage.path("foreign");
    std::fs::create_dir(&foreign).unwrap();
    std::fs::write(foreign.join("precious"), "data").unwrap();
    let foreign = foreign.display();
    for line in [
        format!("server --data {fresh} --lease 1ms"),
        format!("server --data {coordinators} --listen 127.0.0.1:0"),
        format!("server --data {file} --listen 127.0.0.1:0"),
        format!("server --data {foreign} --listen 127.0.0.1:0"),
        format!("server --data {fresh} --listen 0.0.0.0:0"),
        format!("agent --node n2 --rack r1 --data {agents} --listen 127.0.0.1:0"),
        format!(
            "agent --node n2 --rack r1 --data {fresh} --listen 127.0.0.1:0 --coordinator there"
        ),
        format!("agent --node n2 --rack r1 --data {fresh} --listen 0.0.0.0:0"),
    ] {
        let said = stage::dormouse(&line);
        assert_eq!(said.code, 78, "{line}: {said:?}");
        assert!(said.stderr.contains("error: "), "{line}: {said:?}");
    }
}

#[test]
fn a_preview_needs_nobody_and_tells_what_the_clocks_do() {
    let line = "dormouse cron preview '30 2 * * *' --zone Europe/Berlin --from 2026-03-28T12:00:00Z -n 2 -o json";
    let found = lines(line).objects();
    assert_eq!(found.len(), 2);
    assert_eq!(found[0]["nominal_time"], "2026-03-29T01:00:00.000Z");
    assert_eq!(
        found[0]["local_time"],
        "2026-03-29T03:00:00+02:00[Europe/Berlin]"
    );
    assert!(found[0]["note"].as_str().unwrap().contains("02:30"));
    assert!(found[1]["note"].is_null());
    let found = lines(&format!("{line} --gap skip")).objects();
    assert_eq!(found[0]["nominal_time"], "2026-03-30T00:30:00.000Z");
    let autumn = "dormouse cron preview '30 2 * * *' --zone Europe/Berlin --from 2026-10-25T02:00:00+02:00 -o json";
    let first = |policy| lines(&format!("{autumn} {policy}")).objects()[0]["nominal_time"].clone();
    assert_eq!(first("--overlap first"), "2026-10-25T00:30:00.000Z");
    assert_eq!(first("--overlap last"), "2026-10-25T01:30:00.000Z");
    let both = lines(&format!("{autumn} --overlap both")).objects();
    assert_eq!(both.len(), 10);
    assert_eq!(both[1]["nominal_time"], "2026-10-25T01:30:00.000Z");
    let table = lines("dormouse cron preview @daily").ok();
    assert_eq!(table.lines().count(), 11, "{table}");
    let hashed = lines("dormouse cron preview 'H H * * *' -n 1");
    assert!(
        hashed.code == 0 && hashed.stderr.contains("uid"),
        "{hashed:?}"
    );
    for (line, why) in [
        ("dormouse cron preview '0 99 * * *'", "offset 2"),
        ("dormouse cron preview '0 0 30 2 *'", "no date"),
        ("dormouse cron preview @daily --zone Mars/Base", "IANA"),
        (
            "dormouse cron preview '30 2 * 3 7L' --zone Europe/Berlin --gap skip",
            "no date",
        ),
    ] {
        let said = lines(line);
        assert_eq!(said.code, 1, "{line}: {said:?}");
        assert!(said.stderr.contains(why), "{line}: {said:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn agent_and_coordinator_preview_alike() {
    let stage = Stage::with_agents(&[("n1", "r1")]).await;
    let mut answers = Vec::new();
    for member in ["n1", "coordinator"] {
        let address = stage.cluster.address(member).expect("it is a member");
        let client = dormouse_client::Client::connect(&address).await.unwrap();
        let schedule = dormouse_client::Timer::cron_in("30 2 * * *", "Europe/Berlin");
        let window = dormouse_client::PreviewWindow {
            after: Some(std::time::UNIX_EPOCH),
            count: 400,
            ..Default::default()
        };
        answers.push(client.preview(schedule, window).await.unwrap());
    }
    assert_eq!(answers[0], answers[1]);
    assert_eq!(answers[0].len(), 400);
    assert_eq!(
        answers[0][0].local_time,
        "1970-01-01T02:30:00+01:00[Europe/Berlin]"
    );
}

#[test]
fn the_version_is_known_without_asking_anybody() {
    let said = dormouse("version -o json").object();
    assert_eq!(said["version"], env!("CARGO_PKG_VERSION"));
    assert!(dormouse("version").ok().contains(env!("CARGO_PKG_VERSION")));
}

#[test]
fn a_reader_that_has_seen_enough_is_no_error() {
    let said = lines("dormouse version | true");
    assert!(!said.stderr.contains("panicked"), "{said:?}");
}
