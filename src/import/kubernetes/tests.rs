//! Manifests, and the timers that they become.

use super::*;
use crate::source::Place;
use std::collections::BTreeMap;
use std::time::SystemTime;

fn found(text: &str) -> Found {
    let settings = Settings {
        handler: None,
        zone: "UTC",
        now: SystemTime::UNIX_EPOCH,
    };
    read(text.as_bytes(), &settings)
}

fn fixture(name: &str) -> Found {
    let path = format!(
        "{}/tests/fixtures/kubernetes/{name}",
        env!("CARGO_MANIFEST_DIR")
    );
    found(&std::fs::read_to_string(path).expect("the fixture is there"))
}

/// A CronJob with these lines in its `spec`, and these in that of its Job.
fn job(spec: &str, job: &str) -> String {
    format!(
        "kind: CronJob\nmetadata:\n  name: j\nspec:\n{spec}  jobTemplate:\n    spec:\n{job}      template:\n        \
         spec:\n          containers:\n          - image: i\n"
    )
}

fn spec(lines: &str) -> String {
    let lines: Vec<String> = lines.lines().map(|line| format!("  {line}\n")).collect();
    job(&lines.concat(), "")
}

/// The only timer of a text without problems.
fn timer(text: &str) -> wire::Timer {
    let mut found = found(text);
    assert!(found.problems.is_empty(), "{text}: {:?}", found.problems);
    assert_eq!(found.entries.len(), 1, "{text}");
    found.entries.remove(0).timer
}

fn cron(timer: &wire::Timer) -> (String, String) {
    match &timer.schedule.as_ref().unwrap().kind {
        Some(wire::schedule::Kind::Cron(cron)) => (cron.expression.clone(), cron.zone.clone()),
        other => panic!("{other:?} is no cron"),
    }
}

fn problems(text: &str) -> Vec<(usize, usize, String)> {
    let problems = found(text).problems.into_iter();
    let told = problems.map(|it| (it.place.line, it.place.column, it.text));
    told.collect()
}

fn notes(entry: &Entry) -> Vec<&str> {
    let notes = entry.notes.iter();
    notes
        .map(|it| it.text.split(": ").next().unwrap_or_default())
        .collect()
}

#[test]
fn schedules_come_with_their_zone_from_wherever_it_is_named() {
    let every = "schedule: \"@every 1h30m\"";
    for (lines, expression, zone) in [
        ("schedule: \"0 4 * * *\"", "0 4 * * *", "UTC"),
        (
            "schedule: 0 4 * * *\ntimeZone: Europe/Berlin",
            "0 4 * * *",
            "Europe/Berlin",
        ),
        (
            "schedule: TZ=Asia/Tokyo 0 4 * * *",
            "0 4 * * *",
            "Asia/Tokyo",
        ),
        (
            "schedule: 'CRON_TZ=Asia/Tokyo @daily'",
            "@daily",
            "Asia/Tokyo",
        ),
        ("schedule: '@weekly'", "@weekly", "UTC"),
    ] {
        let timer = timer(&spec(lines));
        assert_eq!(cron(&timer), (expression.into(), zone.into()), "{lines}");
    }
    let kind = timer(&spec(every)).schedule.unwrap().kind.unwrap();
    let wire::schedule::Kind::Every(every) = kind else {
        panic!("{kind:?} is no interval");
    };
    assert_eq!(every.interval.unwrap().seconds, 5_400);
}

#[test]
fn policies_have_their_equivalents() {
    let schedule = "schedule: '@daily'\n";
    for (lines, overlap) in [
        ("", wire::Overlap::Allow),
        ("concurrencyPolicy: Allow", wire::Overlap::Allow),
        ("concurrencyPolicy: Forbid", wire::Overlap::Skip),
        ("concurrencyPolicy: Replace", wire::Overlap::Replace),
    ] {
        let timer = timer(&spec(&format!("{schedule}{lines}")));
        assert_eq!(timer.overlap(), overlap, "{lines}");
        assert!(!timer.paused);
    }
    assert!(timer(&spec(&format!("{schedule}suspend: true"))).paused);
}

#[test]
fn a_deadline_is_a_window_and_a_short_one_is_a_grace() {
    let of = |lines: &str| timer(&spec(&format!("schedule: '@daily'\n{lines}")));
    let window = |timer: &wire::Timer| timer.catchup_window.map(|it| it.seconds);
    let none = of("");
    assert_eq!(none.misfire(), wire::Misfire::Once);
    assert_eq!(window(&none), Some(315_360_000));
    let long = of("startingDeadlineSeconds: 200");
    assert_eq!(
        (long.misfire(), window(&long)),
        (wire::Misfire::Once, Some(200))
    );
    let short = of("startingDeadlineSeconds: 10");
    assert_eq!(
        (short.misfire(), window(&short)),
        (wire::Misfire::Skip, None)
    );
    assert_eq!(short.misfire_grace.map(|it| it.seconds), Some(10));
}

#[test]
fn retries_and_time_outs_are_those_of_the_job() {
    for (lines, attempts, timeout) in [
        ("", 7, None),
        ("      backoffLimit: 0\n", 1, None),
        (
            "      backoffLimit: 3\n      activeDeadlineSeconds: 90\n",
            4,
            Some(90),
        ),
        ("      backoffLimit: 1000\n", 100, None),
        ("      activeDeadlineSeconds: 90000\n", 7, Some(86_400)),
    ] {
        let retry = timer(&job("  schedule: '@daily'\n", lines)).retry.unwrap();
        assert_eq!(retry.max_attempts, attempts, "{lines}");
        assert_eq!(
            retry.attempt_timeout.map(|it| it.seconds),
            timeout,
            "{lines}"
        );
        assert_eq!(retry.backoff_min.unwrap().seconds, 10);
        assert_eq!(retry.backoff_max.unwrap().seconds, 360);
    }
}

#[test]
fn a_manifest_of_everyday_becomes_a_timer_with_a_report() {
    let found = fixture("shop.yaml");
    assert!(found.problems.is_empty(), "{:?}", found.problems);
    assert_eq!(found.notes.len(), 1, "the namespace is left out");
    let [report, thumbnails] = found.entries.as_slice() else {
        panic!("{:?}", found.entries);
    };
    assert_eq!(report.what, "CronJob shop/stock-report");
    assert_eq!(report.timer_id, "shop.stock-report");
    assert_eq!(report.place, Place { line: 7, column: 1 });
    assert_eq!(report.schedule, "30 6 * * 1-5 (Europe/Madrid)");
    let labels: BTreeMap<&str, &str> = report
        .timer
        .labels
        .iter()
        .map(|(key, value)| (key.as_str(), value.as_str()))
        .collect();
    assert_eq!(labels["kubernetes.namespace"], "shop");
    assert_eq!(labels["kubernetes.name"], "stock-report");
    assert_eq!(labels["team"], "sales");
    let payload: serde_json::Value = serde_json::from_slice(&report.timer.payload).unwrap();
    assert_eq!(
        payload,
        serde_json::json!({
            "image": "registry.shop.example/reports:3.2",
            "command": ["/app/report", "--format", "pdf"],
            "args": ["--since=yesterday"],
            "env": ["REPORT_BUCKET", "DATABASE_URL"],
        })
    );
    let pod = "spec.jobTemplate.spec.template.spec";
    let expected = [
        "spec.successfulJobsHistoryLimit".to_owned(),
        "spec.failedJobsHistoryLimit".to_owned(),
        "spec.jobTemplate.spec.activeDeadlineSeconds".to_owned(),
        "spec.jobTemplate.spec.ttlSecondsAfterFinished".to_owned(),
        format!("{pod}.serviceAccountName"),
        format!("{pod}.containers[0].image"),
        format!("{pod}.containers[0].env"),
        format!("{pod}.containers[0].volumeMounts"),
        format!("{pod}.containers[0].resources"),
        format!("{pod}.volumes"),
    ];
    assert_eq!(notes(report), expected);
    assert!(thumbnails.timer.paused);
    assert_eq!(thumbnails.timer.misfire(), wire::Misfire::Skip);
}

#[test]
fn older_manifests_and_lists_of_json_are_read_too() {
    let older = fixture("older.yaml");
    assert!(older.problems.is_empty(), "{:?}", older.problems);
    assert_eq!(cron(&older.entries[0].timer).1, "Asia/Tokyo");
    let told = notes(&older.entries[0]);
    for part in ["initContainers", "nodeSelector", "envFrom", "containers[1]"] {
        assert!(
            told.iter().any(|note| note.ends_with(part)),
            "{part}: {told:?}"
        );
    }
    let list = fixture("list.json");
    assert!(list.problems.is_empty(), "{:?}", list.problems);
    let [entry] = list.entries.as_slice() else {
        panic!("{:?}", list.entries);
    };
    assert_eq!(entry.timer_id, "edge.renew-certificates");
    let told = notes(entry);
    assert_eq!(
        told.len(),
        3,
        "what a cluster fills in is no news: {told:?}"
    );
}

#[test]
fn every_problem_of_every_document_names_its_place() {
    let found = fixture("wrong.yaml");
    assert_eq!(found.entries.len(), 1, "the other document is right");
    let told: Vec<String> = found.problems.iter().map(ToString::to_string).collect();
    assert_eq!(told.len(), 2, "{told:?}");
    assert!(
        told[0].starts_with("19:16: CronJob broken: spec.schedule: "),
        "{told:?}"
    );
    assert!(
        told[1].starts_with("20:22: CronJob broken: spec.concurrencyPolicy: must be Allow"),
        "{told:?}"
    );
}

#[test]
fn what_cannot_be_a_timer_is_refused_in_words() {
    for (text, words) in [
        (spec("schedule: '61 * * * *'"), "61"),
        (spec("schedule: '* * * * * *'"), "five fields"),
        (spec("schedule: 5"), "must be a text"),
        (spec("schedule: '@reboot'"), "spec.schedule"),
        (spec("schedule: '@every 5'"), "no duration"),
        (spec("schedule: 'TZ=UTC'"), "without an expression"),
        (spec("schedule: '0 0 30 2 *'"), "spec.schedule"),
        (
            spec("schedule: '@daily'\ntimeZone: Mars/Base"),
            "spec.timeZone",
        ),
        (
            spec("schedule: TZ=UTC @daily\ntimeZone: UTC"),
            "Kubernetes refuses that too",
        ),
        (spec("schedule: '@daily'\nsuspend: maybe"), "true or false"),
        (
            spec("schedule: '@daily'\nstartingDeadlineSeconds: -1"),
            "0 or more",
        ),
        (spec("suspend: false"), "schedule is missing"),
        (
            "kind: CronJob\nmetadata: {name: a}\n".into(),
            "spec: is missing",
        ),
        ("kind: CronJob\nspec: {}\n".into(), "metadata: is missing"),
        ("metadata: {name: a}\n".into(), "kind: is missing"),
        ("kind: Deployment\n".into(), "no CronJob"),
        ("".into(), "no CronJob"),
        ("kind: [\n".into(), "neither YAML nor JSON"),
        ("kind: List\nitems: 5\n".into(), "must be a list"),
        (
            spec("schedule: '@daily'").replace("kind: CronJob", "kind: CronJob\napiVersion: v2"),
            "batch/v1",
        ),
        (
            spec("schedule: '@daily'").replace("  name: j", "  generateName: j"),
            "must have a name",
        ),
        (
            spec("schedule: '@daily'").replace("- image: i", "  []"),
            "containers are missing",
        ),
    ] {
        let told = problems(&text);
        assert!(
            told.iter().any(|(_, _, why)| why.contains(words)),
            "{text}\n{words}: {told:?}"
        );
        assert!(
            told.iter()
                .all(|(line, column, _)| *line > 0 && *column > 0)
        );
    }
}

#[test]
fn an_anchor_that_multiplies_itself_is_refused() {
    let mut text = String::from("a0: &a0 [x]\n");
    for level in 1..30 {
        let before = level - 1;
        text.push_str(&format!("a{level}: &a{level} [*a{before}, *a{before}]\n"));
    }
    assert!(!found(&text).problems.is_empty());
}
