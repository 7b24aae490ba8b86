//! Starts that are refused.
//!
//! Each says what is wrong and what to do, and its exit code says whether the next start may succeed.

#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

mod support;

use dormouse_agent::targets::Targets;
use dormouse_agent::{Agent, Config};
use std::path::Path;
use support::{NOBODY, config};

#[tokio::test]
async fn what_only_a_person_can_mend_has_exit_code_78_and_says_what_to_do() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("n1");
    let agent = Agent::start(config("n1", NOBODY, &data)).await.unwrap();
    let good = config("n1", NOBODY, &data);
    let untouched = dir.path().join("open");
    let locked = Config {
        listen: "127.0.0.1:0".parse().unwrap(),
        ..good.clone()
    };
    let open = Config {
        listen: "0.0.0.0:0".parse().unwrap(),
        data: untouched.clone(),
        ..good.clone()
    };
    let tls = Config {
        coordinator: "https://127.0.0.1:1".into(),
        ..good.clone()
    };
    let list = dir.path().join("commands.toml");
    std::fs::write(
        &list,
        "[command.x]\nargv = [\"/bin/true\"]\nuzer = \"root\"\n",
    )
    .unwrap();
    let unlisted = with_commands(good.clone(), &list);
    let missing = with_commands(good.clone(), &dir.path().join("missing"));
    let cases = [
        (unlisted, "command.x.uzer: unknown field"),
        (missing, "cannot be read"),
        (locked, "in use by another process"),
        (open, "--insecure"),
        (tls, "TLS"),
    ];
    for (config, words) in cases {
        let error = Agent::start(config).await.err().expect("it does not start");
        assert_eq!(error.exit_code(), 78, "{error}");
        assert!(error.to_string().contains(words), "{error}");
    }
    assert!(!untouched.exists(), "it is refused before data is opened");
    agent.stop().await.unwrap();
    let foreign = Agent::start(config("n2", NOBODY, &data))
        .await
        .err()
        .expect("it does not start");
    assert_eq!(foreign.exit_code(), 78);
    assert!(foreign.to_string().contains("not ours"), "{foreign}");
}

fn with_commands(config: Config, list: &Path) -> Config {
    let commands = Some(list.to_owned());
    let targets = Targets {
        commands,
        ..Targets::default()
    };
    Config { targets, ..config }
}

#[tokio::test]
async fn an_address_in_use_may_be_free_at_the_next_start() {
    let dir = tempfile::tempdir().unwrap();
    let agent = Agent::start(config("n1", NOBODY, &dir.path().join("n1")));
    let agent = agent.await.unwrap();
    let same = Config {
        listen: agent.address().clone(),
        ..config("n2", NOBODY, &dir.path().join("n2"))
    };
    let error = Agent::start(same.clone()).await.err().expect("it is taken");
    assert_eq!(error.exit_code(), 1, "{error}");
    assert!(error.to_string().contains("in use"), "{error}");
    agent.stop().await.unwrap();
    let second = Agent::start(same).await.expect("now it is free");
    second.stop().await.unwrap();
}
