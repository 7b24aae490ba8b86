//! Timers in and out: exports of one coordinator put into another, and files of other schedulers.

use crate::stage::{Said, Stage, dormouse};
use serde_json::{Value, json};
use std::path::Path;

fn fixture(name: &str) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let path = root.join("tests/fixtures").join(name);
    // The stage takes `_` in a line for a blank; no name of a fixture has one.
    path.display().to_string()
}

/// What is the same of a timer wherever it is kept.
fn kept(rows: Vec<Value>) -> Vec<Value> {
    let rows = rows.into_iter().map(|mut row| {
        let home = row.as_object_mut().and_then(|row| row.remove("home"));
        assert!(home.is_some(), "{row}");
        row
    });
    rows.collect()
}

fn outcomes(said: &Said) -> Vec<(Value, Value)> {
    let rows = said.objects();
    let pairs = rows
        .iter()
        .map(|row| (row["name"].clone(), row["outcome"].clone()));
    pairs.collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_that_is_exported_can_be_put_into_an_empty_coordinator() {
    let full = Stage::with_agents(&[("n1", "r1")]).await;
    full.at(
        "n1",
        "timer create a --cron 0_4_*_*_* --zone Europe/Berlin --handler h --payload äö",
    )
    .ok();
    full.at(
        "n1",
        "timer create b --after 2h --handler h --label team=ops",
    )
    .ok();
    full.at(
        "coordinator",
        "timer create c --every 90m --handler h --pool other",
    )
    .ok();
    full.at("n1", "timer rearm b --after 3h").ok();
    let lines = full.at("coordinator", "export").ok();
    let first: Value = serde_json::from_str(lines.lines().next().unwrap()).unwrap();
    assert_eq!(
        (&first["kind"], &first["version"]),
        (&json!("dormouse_export"), &json!(1))
    );
    let last: Value = serde_json::from_str(lines.lines().last().unwrap()).unwrap();
    assert_eq!(
        (&last["kind"], &last["lines"]),
        (&json!("end"), &json!(lines.lines().count() - 1))
    );
    let one = full.at("coordinator", "export --pool other").ok();
    assert_eq!(one.lines().count(), 4, "head, pool, timer, end: {one}");

    let empty = Stage::with_agents(&[]).await;
    let file = empty.file("export", &lines);
    let rehearsed = empty.at("coordinator", &format!("import {file} --dry-run -o json"));
    assert_eq!(
        rehearsed.object(),
        json!({"created": 3, "known": 0, "refused": 0, "validate_only": true})
    );
    assert!(
        empty
            .at("coordinator", "timer list -o json")
            .objects()
            .is_empty()
    );
    let imported = empty.at("coordinator", &format!("import {file} -o json"));
    assert_eq!(imported.object()["created"], 3);
    let list = "timer list -o json";
    assert_eq!(
        kept(empty.at("coordinator", list).objects()),
        kept(full.at("coordinator", list).objects())
    );
    let again = empty
        .at("coordinator", &format!("import {file} -o json"))
        .object();
    assert_eq!((&again["created"], &again["known"]), (&json!(0), &json!(3)));
    assert_eq!(
        dormouse("--addr http://127.0.0.1:9 export").code,
        4,
        "nobody is there"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_of_a_wrong_export_is_put_in_unless_partly() {
    let stage = Stage::with_agents(&[]).await;
    stage
        .at("coordinator", "timer create a --after 2h --handler h")
        .ok();
    stage
        .at("coordinator", "timer create b --after 2h --handler h")
        .ok();
    let lines = stage.at("coordinator", "export").ok();
    stage.at("coordinator", "timer cancel a").ok();
    stage.at("coordinator", "timer cancel b").ok();
    let list = || {
        stage
            .at("coordinator", "timer list -o json")
            .objects()
            .len()
    };

    let wrong = lines.replacen("\"generation\":1", "\"generation\":\"one\"", 1);
    let file = stage.file("wrong", &wrong);
    let said = stage.at("coordinator", &format!("import {file}"));
    assert_eq!((said.code, list()), (1, 0), "{said:?}");
    let column = wrong.lines().nth(2).unwrap().find("\"one\"").unwrap() + 1;
    assert!(
        said.stderr
            .contains(&format!("{file}:3:{column}: generation: ")),
        "{said:?}"
    );
    assert!(said.stderr.contains("nothing was imported"), "{said:?}");

    let cut: String = lines
        .lines()
        .take(3)
        .map(|line| format!("{line}\n"))
        .collect();
    let cut = stage.file("cut", &cut);
    let said = stage.at("coordinator", &format!("import {cut}"));
    assert!(
        said.code == 1 && said.stderr.contains("not whole"),
        "{said:?}"
    );
    assert_eq!(list(), 0);

    let said = stage.at("coordinator", &format!("import {file} --partial -o json"));
    assert_eq!((said.code, list()), (1, 1), "{said:?}");
    assert!(
        said.stderr.contains(&format!("{file}:3:{column}: ")),
        "{said:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_that_another_timer_has_is_not_taken_from_it() {
    let stage = Stage::with_agents(&[]).await;
    stage
        .at("coordinator", "timer create a --after 2h --handler h")
        .ok();
    stage
        .at("coordinator", "timer create b --after 2h --handler h")
        .ok();
    let file = stage.file("export", &stage.at("coordinator", "export").ok());
    stage.at("coordinator", "timer cancel a").ok();
    stage.at("coordinator", "timer cancel b").ok();
    stage
        .at("coordinator", "timer create a --after 5h --handler mine")
        .ok();
    let said = stage.at("coordinator", &format!("import {file}"));
    assert_eq!(said.code, 1, "{said:?}");
    assert!(said.stderr.contains("pools/default/timers/a"), "{said:?}");
    assert_eq!(
        stage
            .at("coordinator", "timer list -o json")
            .objects()
            .len(),
        1
    );
    let said = stage.at("coordinator", &format!("import {file} --partial -o json"));
    assert_eq!(said.objects()[0]["created"], 1, "{said:?}");
    let mine = stage.at("coordinator", "timer get a -o json").object();
    assert_eq!(mine["handler"], "mine");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_put_back_runs_under_a_later_token() {
    let mut full = Stage::with_agents(&[("n1", "r1")]).await;
    full.at("n1", "timer create a --every 1s --handler h").ok();
    let worker = full.cluster.start_worker("n1", &["h"], &[]);
    let mut printed = worker.unwrap();
    full.ready().await;
    let token = |line: &str| -> u64 {
        let run: Value = serde_json::from_str(line).unwrap();
        run["token"].as_u64().unwrap()
    };
    let before = token(&crate::stage::next(&mut printed).await);
    let lines = full.at("coordinator", "export").ok();

    let mut empty = Stage::with_agents(&[("m1", "r1")]).await;
    let file = empty.file("export", &lines);
    empty.at("coordinator", &format!("import {file}")).ok();
    let worker = empty.cluster.start_worker("m1", &["h"], &[]);
    let mut printed = worker.unwrap();
    empty.ready().await;
    let after = token(&crate::stage::next(&mut printed).await);
    assert!(after > before, "{after} is above {before}");
}

#[tokio::test(flavor = "multi_thread")]
async fn manifests_become_timers_and_importing_them_again_changes_nothing() {
    let stage = Stage::with_agents(&[("n1", "r1")]).await;
    let import = format!(
        "import --from kubernetes {} -o json",
        fixture("kubernetes/shop.yaml")
    );
    let first = stage.at("coordinator", &import);
    let expected = |outcome: &str| {
        let name = |id: &str| json!(format!("pools/default/timers/{id}"));
        vec![
            (name("shop.stock-report"), json!(outcome)),
            (name("shop.thumbnails"), json!(outcome)),
        ]
    };
    assert_eq!(
        (first.code, outcomes(&first)),
        (0, expected("created")),
        "{first:?}"
    );
    let again = stage.at("coordinator", &import);
    assert_eq!(outcomes(&again), expected("unchanged"), "{again:?}");
    let report = stage
        .at("coordinator", "timer get shop.stock-report -o json")
        .object();
    assert_eq!(report["handler"], "cronjob");
    assert_eq!(report["schedule"], "cron 30 6 * * 1-5 (Europe/Madrid)");
    let other = stage.at("coordinator", &format!("{import} --handler other"));
    assert_eq!(
        (other.code, outcomes(&other)[0].1.clone()),
        (1, json!("failed")),
        "{other:?}"
    );
}

#[test]
fn a_rehearsal_needs_nobody_and_tells_what_has_no_equivalent() {
    let file = fixture("kubernetes/shop.yaml");
    let said = dormouse(&format!("import --from kubernetes {file} --dry-run"));
    assert_eq!(said.code, 0, "{said:?}");
    assert!(said.stdout.contains("would create"), "{said:?}");
    assert!(
        said.stderr
            .contains(&format!("{file}:2:1: a Namespace is left out")),
        "{said:?}"
    );
    assert!(
        said.stderr
            .contains("CronJob shop/stock-report has no equivalent for:"),
        "{said:?}"
    );
    let rows = dormouse(&format!(
        "import --from kubernetes {file} --dry-run -o json"
    ));
    let rows = rows.objects();
    assert!(
        rows[0]["notes"]
            .as_array()
            .is_some_and(|notes| notes.len() > 5),
        "{rows:?}"
    );
    for file in ["dapr/list.json", "dapr/jobs.yaml"] {
        let said = dormouse(&format!(
            "import --from dapr {} --dry-run -o json",
            fixture(file)
        ));
        assert_eq!(said.code, 0, "{said:?}");
        assert!(said.objects().len() >= 2, "{said:?}");
    }
    let crontab = format!("{}/examples/crontab", env!("CARGO_MANIFEST_DIR"));
    let one = dormouse(&format!(
        "import --from crontab {crontab} --dry-run -o json"
    ));
    let other = dormouse(&format!("cron import {crontab} --dry-run -o json"));
    assert_eq!((one.code, one.stdout), (0, other.stdout));
}

#[test]
fn a_wrong_file_ends_with_a_place_and_a_wrong_line_with_usage() {
    let file = fixture("kubernetes/wrong.yaml");
    let said = dormouse(&format!("import --from kubernetes {file} --dry-run"));
    assert_eq!(said.code, 1, "{said:?}");
    assert!(
        said.stderr
            .contains(&format!("{file}:19:16: CronJob broken: spec.schedule: ")),
        "{said:?}"
    );
    assert!(said.stdout.is_empty(), "nothing is rehearsed: {said:?}");
    let part = dormouse(&format!(
        "import --from kubernetes {file} --dry-run --partial -o json"
    ));
    assert_eq!((part.code, part.objects().len()), (1, 1), "{part:?}");
    assert_eq!(
        dormouse("import --from kubernetes /nowhere --dry-run").code,
        1
    );
    for line in [
        "import",
        "import --from nomad x",
        "import x --handler h",
        "import x --pool p",
        "import --from kubernetes x --system",
        "import --from kubernetes x --pool UPPER",
        "export --pool UPPER",
    ] {
        assert_eq!(dormouse(line).code, 2, "{line}");
    }
}
