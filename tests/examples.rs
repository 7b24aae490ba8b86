//! The examples of the client library, run as a reader would run them: each comes to its end by itself.

#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

use dormouse_cluster::{Cluster, Logs, Settings};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;
use tokio::process::Command as Process;

const PROGRAM: &str = env!("CARGO_BIN_EXE_dormouse");
/// More than an example takes, on a machine that is busy.
const LIMIT: Duration = Duration::from_secs(60);

/// Each example, and what it says before `done`.
const EXAMPLES: [(&str, &[&str]); 5] = [
    ("remind_me", &["reminder: Call Bob back"]),
    ("debounce", &["draft 5 is saved", "indexing draft 5"]),
    ("cron_job", &["has begun", "ms late"]),
    (
        "retrying_worker",
        &["attempt 1 with", "attempt 2 with", "attempt 3 with"],
    ),
    (
        "session_timeout",
        &[
            "bob logs out: cancelled",
            "alice is still there",
            "carol has expired",
        ],
    ),
];

/// Where the examples are, built if they are not yet: with the whole workspace, as the command is that runs all tests,
/// because with any other set of packages the libraries get other features and all of them are built again.
fn built() -> PathBuf {
    let Output { status, stderr, .. } = Command::new(env!("CARGO"))
        .args(["test", "--quiet", "--offline", "--workspace", "--no-run"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    assert!(status.success(), "{}", String::from_utf8_lossy(&stderr));
    let folder = Path::new(PROGRAM).parent().unwrap();
    folder.join("examples")
}

#[tokio::test]
async fn every_example_comes_to_its_end() {
    let dir = tempfile::tempdir().unwrap();
    let mut cluster = Cluster::new(Settings {
        program: PathBuf::from(PROGRAM),
        data: dir.path().to_owned(),
        lease: None,
        wake_grace: None,
        logs: Logs::Quiet,
        agent_flags: Vec::new(),
    });
    cluster.start_coordinator(None).unwrap();
    cluster.start_agent("n1", "r1", None).unwrap();
    cluster
        .ready(LIMIT)
        .await
        .unwrap_or_else(|error| panic!("{error}"));
    let address = cluster.address("n1").unwrap();
    let folder = built();
    for (name, words) in EXAMPLES {
        let mut example = Process::new(folder.join(name));
        example.env("DORMOUSE_ADDR", &address).kill_on_drop(true);
        let ended = tokio::time::timeout(LIMIT, example.output()).await;
        let said = ended
            .unwrap_or_else(|_| panic!("{name} does not end"))
            .unwrap();
        let stdout = String::from_utf8(said.stdout).unwrap();
        let stderr = String::from_utf8_lossy(&said.stderr);
        assert!(said.status.success(), "{name}: {stdout}{stderr}");
        assert!(stdout.ends_with("done\n"), "{name}: {stdout}");
        for word in words {
            assert!(stdout.contains(word), "{name} says {word:?}: {stdout}");
        }
    }
}
