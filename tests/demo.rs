//! The demo as a program sees it: one line, these keys, nothing lost, nothing early.
//!
//! It takes as long as the demo, half a minute. What the demo judges by is tested beside it.

use assert_cmd::Command;
use serde_json::Value;

fn keys(object: &Value) -> Vec<&str> {
    let object = object.as_object().expect("it is an object");
    object.keys().map(String::as_str).collect()
}

#[test]
fn the_demo_tells_of_a_run_in_which_nothing_was_lost_or_early() {
    let run = Command::cargo_bin("dormouse")
        .expect("it was built")
        .args(["demo", "-o", "json"])
        .output()
        .expect("it runs");
    let errors = String::from_utf8_lossy(&run.stderr);
    assert!(run.status.success(), "{errors}");
    let stdout = String::from_utf8(run.stdout).expect("it is text");
    assert_eq!(stdout.lines().count(), 1, "{stdout}");

    let table: Value = serde_json::from_str(&stdout).expect("it is JSON");
    let expected = [
        "due",
        "duplicates",
        "early",
        "fired",
        "lateness_ms",
        "lost",
        "seconds",
        "wakeups",
        "wakeups_avoided",
    ];
    let mut found = keys(&table);
    found.sort_unstable();
    assert_eq!(found, expected);
    for path in ["own", "migrated", "failover"] {
        let late = &table["lateness_ms"][path];
        assert_eq!(keys(late), ["p50", "p99"]);
        assert!(late["p50"].is_number(), "{table}");
    }
    let count = |key: &str| table[key].as_u64().expect(key);
    assert!(count("due") > 20, "{table}");
    assert_eq!(count("fired"), count("due"));
    assert_eq!((count("lost"), count("early")), (0, 0));
    assert!(count("wakeups") >= 1 && count("wakeups_avoided") > count("wakeups"));
}
