//! The test language: a cluster is put on the stage, timers are made by the command line, and runs are read where
//! workers print them.
//!
//! Members are killed, frozen and started again through `cluster`. What a run or an answer must look like is for the
//! tests to say.

use crate::evidence::{Evidence, Run};
use crate::guest::{self, PROGRAM};
use dormouse_client::Client;
use dormouse_cluster::{COORDINATOR, Cluster, Logs, Settings, worker_of};
use jiff::Timestamp;
use serde_json::Value;
use std::time::Duration;
use tempfile::TempDir;
use tokio::time::Instant;

/// The lease of every stage: short, so that nobody waits for long.
pub(crate) const LEASE: Duration = Duration::from_secs(3);
/// How long a promised wake-up is waited for.
pub(crate) const WAKE_GRACE: Duration = Duration::from_secs(1);
/// What a fault may cost beside the lease or the grace.
pub(crate) const MARGIN: Duration = Duration::from_secs(2);
/// The handler of every timer and worker.
pub(crate) const HANDLER: &str = "h";
/// How long anything may take that takes no time.
pub(crate) const SOON: Duration = Duration::from_secs(20);

/// Between two looks at something that nobody announces.
const PAUSE: Duration = Duration::from_millis(25);

/// A cluster, its data, and what its workers print. Dropping it kills everything.
#[derive(Debug)]
pub(crate) struct Stage {
    pub(crate) cluster: Cluster,
    pub(crate) evidence: Evidence,
    pub(crate) data: TempDir,
}

/// A timer as `timer create` printed it.
#[derive(Debug, Clone)]
pub(crate) struct Created {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) due: Timestamp,
}

impl Stage {
    pub(crate) fn new() -> Self {
        let data = tempfile::Builder::new()
            .prefix("dormouse-end-to-end-")
            .tempdir()
            .unwrap();
        let cluster = Cluster::new(Settings {
            program: PROGRAM.into(),
            data: data.path().to_owned(),
            lease: Some(LEASE),
            wake_grace: Some(WAKE_GRACE),
            agent_flags: Vec::new(),
            logs: if std::env::var_os("DORMOUSE_LOG").is_some() {
                Logs::Forward
            } else {
                Logs::Quiet
            },
        });
        Self {
            cluster,
            evidence: Evidence::default(),
            data,
        }
    }

    /// With a coordinator.
    pub(crate) fn server(mut self) -> Self {
        self.cluster.start_coordinator(None).unwrap();
        self
    }

    /// With the agent of a node, and without a worker.
    pub(crate) fn agent(mut self, node: &str, rack: &str) -> Self {
        self.cluster.start_agent(node, rack, None).unwrap();
        self
    }

    /// With the agent of a node and a worker that prints.
    pub(crate) fn node(self, node: &str, rack: &str) -> Self {
        self.agent(node, rack).worker(node, &[])
    }

    /// With a worker at a node's agent: it runs `command`, or prints.
    pub(crate) fn worker(mut self, node: &str, command: &[&str]) -> Self {
        let lines = self.cluster.start_worker(node, &[HANDLER], command);
        self.evidence.follow(lines.unwrap());
        self
    }

    /// Once everybody is there for the others.
    pub(crate) async fn ready(self) -> Self {
        self.cluster.ready(SOON).await.unwrap();
        self
    }

    /// A coordinator and three nodes in two racks, with workers that print.
    pub(crate) async fn of_three_nodes() -> Self {
        let stage = Self::new().server();
        let stage = stage.node("n1", "r1").node("n2", "r1").node("n3", "r2");
        stage.ready().await
    }

    /// A client that asks once, for what the command line would be too slow.
    pub(crate) async fn client(&self, member: &str) -> Client {
        let client = self.cluster.client(member).await.unwrap();
        client.attempts(1).timeout(Duration::from_secs(5))
    }

    /// Runs a command against a member or an address, and reads the lines of JSON that it prints.
    pub(crate) async fn ask(&self, whom: &str, words: &[&str]) -> Vec<Value> {
        let output = self.command(whom, words).await;
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(
            output.status.success(),
            "{words:?} at {whom}: {}, {errors}",
            output.status
        );
        let lines = String::from_utf8(output.stdout).unwrap();
        lines
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }

    async fn command(&self, whom: &str, words: &[&str]) -> std::process::Output {
        let mut command = guest::command();
        let address = self.cluster.address(whom);
        // Who is no member is named by its address.
        let address = address.as_deref().unwrap_or(whom);
        command.args(["-o", "json", "--addr", address]).args(words);
        command.output().await.unwrap()
    }

    /// Creates a timer at a member or an address.
    pub(crate) async fn create(&self, whom: &str, id: &str, words: &[&str]) -> Created {
        let words = [&["timer", "create", id, "--handler", HANDLER], words].concat();
        let answer = self.ask(whom, &words).await.swap_remove(0);
        Created {
            id: id.to_owned(),
            name: text(&answer["name"]),
            due: text(&answer["next_times"][0]).parse().unwrap(),
        }
    }

    /// A timer as the coordinator has it.
    pub(crate) async fn timer(&self, created: &Created) -> Value {
        let words = ["timer", "get", &created.name];
        self.ask(COORDINATOR, &words).await.swap_remove(0)
    }

    /// Waits until the coordinator knows of every run of a timer that was printed.
    pub(crate) async fn until_shipped(&self, timer: &Created) {
        let newest = self.evidence.of(&timer.id).pop().expect("it has run");
        until(SOON, "its last run is known", async || {
            let known = self.timer(timer).await["last_run"]["token"].as_u64();
            (known >= Some(newest.token)).then_some(())
        })
        .await;
    }

    /// Makes a node idle; gives the cover that was printed.
    pub(crate) async fn idle(&self, node: &str) -> Value {
        let answer = self.ask(node, &["node", "idle", node]).await.swap_remove(0);
        assert_eq!(answer["state"], "idle", "{answer}");
        answer
    }

    /// Makes a node active.
    pub(crate) async fn active(&self, node: &str) {
        let answer = self.ask(node, &["node", "active", node]).await;
        assert_eq!(answer[0]["state"], "active", "{answer:?}");
    }

    /// What the coordinator knows of every node, by `node list`.
    pub(crate) async fn nodes(&self) -> Vec<Value> {
        self.ask(COORDINATOR, &["node", "list"]).await
    }

    /// What the coordinator says that a node does; none if it knows no such node.
    pub(crate) async fn state(&self, node: &str) -> Option<String> {
        let nodes = self.nodes().await;
        let known = nodes.iter().find(|known| known["node"] == node);
        known.map(|known| text(&known["state"]))
    }

    /// Waits until the coordinator says so of a node.
    pub(crate) async fn until_state(&self, node: &str, state: &str, limit: Duration) {
        let what = format!("{node} is {state}");
        until(limit, &what, async || {
            (self.state(node).await.as_deref() == Some(state)).then_some(())
        })
        .await;
    }

    /// Waits until the coordinator has written down that the newest run of a timer is done.
    pub(crate) async fn until_done(&self, timer: &Created, limit: Duration) -> Value {
        let what = format!("{} is done", timer.id);
        until(limit, &what, async || {
            let found = self.timer(timer).await;
            (found["state"] == "done").then_some(found)
        })
        .await
    }

    /// Waits for the first run of a timer, which must be on time.
    pub(crate) async fn punctual(&self, timer: &Created) -> Run {
        let run = self.evidence.first(&timer.id, SOON).await;
        crate::evidence::check_punctual(&timer.id, std::slice::from_ref(&run));
        run
    }

    /// Kills the agent of a node and its worker: the machine is gone.
    pub(crate) async fn kill_node(&mut self, node: &str) {
        self.cluster.kill(node).await.unwrap();
        self.cluster.kill(&worker_of(node)).await.unwrap();
    }

    /// Kills the coordinator.
    pub(crate) async fn kill_server(&mut self) {
        self.cluster.kill(COORDINATOR).await.unwrap();
    }

    /// Starts the coordinator again, at its address and with its data, and waits until it answers.
    pub(crate) async fn restart_server(&mut self) {
        self.cluster.start(COORDINATOR).unwrap();
        let client = self.client(COORDINATOR).await;
        until(SOON, "the coordinator answers", async || {
            client.server_info().await.ok()
        })
        .await;
    }
}

/// Asks again and again until there is an answer.
pub(crate) async fn until<T>(limit: Duration, what: &str, ask: impl AsyncFn() -> Option<T>) -> T {
    let over = Instant::now() + limit;
    loop {
        if let Some(answer) = ask().await {
            return answer;
        }
        assert!(
            Instant::now() < over,
            "in {limit:?} it did not happen that {what}"
        );
        tokio::time::sleep(PAUSE).await;
    }
}

/// A string of JSON.
pub(crate) fn text(value: &Value) -> String {
    let text = value.as_str();
    text.unwrap_or_else(|| panic!("{value} is no text"))
        .to_owned()
}
