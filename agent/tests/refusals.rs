//! Starts that are refused, because no restart would help.
//!
//! Each says what is wrong and what to do, and has the exit code of bad configuration.

#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

mod support;

use dormouse_agent::{Agent, Config};
use support::{NOBODY, config};

#[tokio::test]
async fn what_only_a_person_can_mend_has_exit_code_78_and_says_what_to_do() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("n1");
    let agent = Agent::start(config("n1", NOBODY, &data)).await.unwrap();
    let good = config("n1", NOBODY, &data);
    let locked = Config {
        listen: "127.0.0.1:0".parse().unwrap(),
        ..good.clone()
    };
    let in_use = Config {
        data: dir.path().join("other"),
        ..good.clone()
    };
    let open = Config {
        listen: "0.0.0.0:0".parse().unwrap(),
        data: dir.path().join("open"),
        ..good.clone()
    };
    let tls = Config {
        coordinator: "https://127.0.0.1:1".into(),
        ..good.clone()
    };
    let cases = [
        (locked, "in use by another process"),
        (in_use, "in use"),
        (open, "--insecure"),
        (tls, "TLS"),
    ];
    for (config, words) in cases {
        let error = Agent::start(config).await.err().expect("it does not start");
        assert_eq!(error.exit_code(), 78, "{error}");
        assert!(error.to_string().contains(words), "{error}");
    }
    agent.stop().await.unwrap();
    let foreign = Agent::start(config("n2", NOBODY, &data))
        .await
        .err()
        .expect("it does not start");
    assert_eq!(foreign.exit_code(), 78);
    assert!(foreign.to_string().contains("not ours"), "{foreign}");
}
