//! Who is who: two agents of one name, two processes on one data directory.
//!
//! Real processes, since exit codes and locks of the file system are what is shown.

use crate::guest::Guest;
use crate::stage::{SOON, Stage};
use dormouse_cluster::{COORDINATOR, Error};
use std::path::Path;

/// The exit code of a configuration that a restart does not cure.
const CONFIG: i32 = 78;

#[tokio::test]
async fn of_two_agents_with_one_name_the_older_is_fenced_and_ends_with_78() {
    let stage = Stage::new().server().node("n1", "r1").ready().await;
    let data = stage.data.path().join("clone");
    let _clone = Guest::start(agent(&stage, "n1", &data));
    let Error::Ended {
        name,
        status,
        last_words,
    } = stage.cluster.first_end().await
    else {
        panic!("somebody ends");
    };
    assert_eq!(
        (name.as_str(), status.code()),
        ("n1", Some(CONFIG)),
        "{last_words}"
    );
    assert!(
        last_words.contains("--node"),
        "it says what to do: {last_words}"
    );
    stage.until_state("n1", "active", SOON).await;
}

#[tokio::test]
async fn a_data_directory_belongs_to_one_process() {
    let mut stage = Stage::new().server().agent("n1", "r1").ready().await;
    let data = stage.data.path().join(COORDINATOR);
    let words = ["server", "--listen", "127.0.0.1:0", "--data"];
    let server = || {
        let words = words.iter().map(Into::into);
        Guest::start(words.chain([data.clone().into_os_string()]))
    };
    check_refused(server(), "another process").await;
    let of_agent = stage.data.path().join("n1");
    check_refused(
        Guest::start(agent(&stage, "n1", &of_agent)),
        "another process",
    )
    .await;
    assert_eq!(stage.state("n1").await.as_deref(), Some("active"));

    // The lock is the process's, so that nothing is left of it after a kill.
    stage.kill_server().await;
    stage.restart_server().await;
    stage.cluster.ready(SOON).await.unwrap();
}

#[tokio::test]
async fn a_foreign_data_directory_is_refused() {
    let stage = Stage::new().server().agent("n1", "r1").ready().await;
    let mut stage = stage;
    stage.cluster.end("n1").await.unwrap();
    let of_agent = stage.data.path().join("n1");
    let words = ["server", "--listen", "127.0.0.1:0", "--data"];
    let words = words.iter().map(Into::into);
    let server = Guest::start(words.chain([of_agent.clone().into_os_string()]));
    check_refused(server, "agent").await;
    check_refused(Guest::start(agent(&stage, "n2", &of_agent)), "n1").await;
}

/// The command line of an agent of this name, on another address.
fn agent(stage: &Stage, node: &str, data: &Path) -> Vec<String> {
    let coordinator = stage.cluster.address(COORDINATOR).unwrap();
    let data = data.display().to_string();
    let words = ["agent", "--rack", "r1", "--listen", "127.0.0.1:0"];
    let more = [
        "--node",
        node,
        "--coordinator",
        &coordinator,
        "--data",
        &data,
    ];
    let words = words.iter().chain(&more);
    words.map(|&word| word.to_owned()).collect()
}

async fn check_refused(mut guest: Guest, why: &str) {
    let status = guest.ended(SOON).await;
    let log = guest.log().await;
    assert_eq!(status.code(), Some(CONFIG), "{log}");
    assert!(log.contains(why), "it says {why:?}: {log}");
}
