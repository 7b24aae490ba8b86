//! Whole agents against a coordinator: what the user of one node, or of two, can rely on.
//!
//! The agents run in this process, as they do in an application that embeds them.

#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

mod support;

use dormouse_agent::engine::op::{Activity, Cancelled, NewTime, Refusal};
use dormouse_agent::engine::time::Millis;
use dormouse_agent::engine::timer::{Durability, NewTimer, Target, When};
use dormouse_agent::{Agent, Config, Failure};
use std::path::Path;
use std::time::Duration;
use support::{
    Coordinator, NOBODY, active, be, config, handler, listen, local_name, next, timer, until,
};
use tempfile::TempDir;
use tokio::sync::mpsc;
use tokio::time::Instant;

/// A coordinator and agents on it, which handle `h` and tell what they ran.
struct Cluster {
    coordinator: Coordinator,
    dir: TempDir,
    told: mpsc::UnboundedSender<support::Fired>,
    fired: mpsc::UnboundedReceiver<support::Fired>,
}

impl Cluster {
    async fn start() -> Self {
        let (told, fired) = mpsc::unbounded_channel();
        let coordinator = Coordinator::start().await;
        Self {
            coordinator,
            dir: tempfile::tempdir().unwrap(),
            told,
            fired,
        }
    }

    fn config(&self, node: &str) -> Config {
        config(node, &self.coordinator.url(), &self.dir.path().join(node))
    }

    async fn agent(&self, node: &str) -> Agent {
        let agent = Agent::start(self.config(node)).await.unwrap();
        listen(&agent, node, &self.told);
        active(&agent).await;
        agent
    }

    /// Two awake nodes.
    async fn pair() -> (Self, Agent, Agent) {
        let cluster = Self::start().await;
        let (first, second) = (cluster.agent("n1").await, cluster.agent("n2").await);
        (cluster, first, second)
    }

    fn has_nothing_more(&mut self) -> bool {
        self.fired.try_recv().is_err()
    }
}

async fn create(agent: &Agent, id: &str, after_ms: u64, durability: Durability) {
    let created = agent.create(timer(agent, id, after_ms, durability)).await;
    assert!(created.as_ref().is_ok_and(Option::is_some), "{created:?}");
}

async fn alone(path: &Path) -> Agent {
    Agent::start(config("n1", NOBODY, path)).await.unwrap()
}

#[tokio::test]
async fn a_local_timer_needs_no_coordinator_and_survives_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("n1");
    let agent = alone(&data).await;
    let new = timer(&agent, "t", 3_600_000, Durability::Local);
    let created = agent.create(new).await.unwrap().unwrap();
    assert_eq!(created.name, local_name("n1", "t"));
    agent.stop().await.unwrap();
    let agent = alone(&data).await;
    let found = agent.look(local_name("n1", "t")).await.unwrap().unwrap();
    assert_eq!((found.uid, found.due()), (created.uid, created.due()));
    agent.stop().await.unwrap();
}

#[tokio::test]
async fn timers_fire_on_time_and_never_early() {
    let dir = tempfile::tempdir().unwrap();
    let agent = alone(&dir.path().join("n1")).await;
    let (told, mut fired) = mpsc::unbounded_channel();
    listen(&agent, "n1", &told);
    for number in 0..30 {
        create(
            &agent,
            &format!("t{number}"),
            50 + 17 * number,
            Durability::Ephemeral,
        )
        .await;
    }
    let mut lateness = Vec::new();
    for _ in 0..30 {
        lateness.push(next(&mut fired).await.lateness_ms);
    }
    lateness.sort_unstable();
    assert!(lateness[0] >= 0, "early: {lateness:?}");
    // By their own deadlines, not with something periodic; how late exactly is judged where nothing runs beside it.
    assert!(lateness[15] <= 100, "half of them are late: {lateness:?}");
    agent.stop().await.unwrap();
}

#[tokio::test]
async fn a_timer_can_be_moved_and_cancelled_by_function_calls() {
    let dir = tempfile::tempdir().unwrap();
    let agent = alone(&dir.path().join("n1")).await;
    let (told, mut fired) = mpsc::unbounded_channel();
    listen(&agent, "n1", &told);
    create(&agent, "moved", 3_600_000, Durability::Local).await;
    create(&agent, "ended", 300, Durability::Local).await;
    let moved = agent
        .rearm(local_name("n1", "moved"), NewTime::After(Millis(50)))
        .await;
    assert_eq!(moved.unwrap().unwrap().generation, 2);
    let ended = agent.cancel(local_name("n1", "ended")).await;
    assert_eq!(ended, Ok(Some(Cancelled::Cancelled)));
    assert_eq!(next(&mut fired).await.timer, "moved");
    tokio::time::sleep(Duration::from_millis(400)).await;
    assert!(
        fired.try_recv().is_err(),
        "what was cancelled does not fire"
    );
    let missing = agent.look(local_name("n1", "never")).await;
    assert!(
        matches!(
            missing,
            Err(Refusal::NotFound { .. } | Refusal::Unavailable { .. })
        ),
        "{missing:?}"
    );
    agent.stop().await.unwrap();
}

#[tokio::test]
async fn a_replicated_timer_is_acknowledged_when_the_coordinator_has_it() {
    let cluster = Cluster::start().await;
    let agent = cluster.agent("n1").await;
    create(&agent, "t", 3_600_000, Durability::Replicated).await;
    assert_eq!(cluster.coordinator.timers(), 1);
    create(&agent, "local", 3_600_000, Durability::Local).await;
    assert_eq!(
        cluster.coordinator.timers(),
        1,
        "a LOCAL timer costs the coordinator nothing"
    );
    agent.stop().await.unwrap();
}

#[tokio::test]
async fn without_a_coordinator_a_replicated_timer_is_not_acknowledged() {
    let dir = tempfile::tempdir().unwrap();
    let agent = alone(&dir.path().join("n1")).await;
    let new = timer(&agent, "t", 3_600_000, Durability::Replicated);
    let created = tokio::time::timeout(Duration::from_secs(30), agent.create(new))
        .await
        .unwrap();
    assert!(
        matches!(created, Err(Refusal::Unavailable { .. })),
        "{created:?}"
    );
    agent.stop().await.unwrap();
}

#[tokio::test]
async fn the_timers_of_a_sleeping_node_run_on_an_awake_one_once_and_on_time() {
    let (mut cluster, first, second) = Cluster::pair().await;
    for (number, durability) in [
        Durability::Replicated,
        Durability::Local,
        Durability::Ephemeral,
    ]
    .into_iter()
    .enumerate()
    {
        create(&first, &format!("t{number}"), 1_500, durability).await;
    }
    assert_eq!(be(&first, "n1", Activity::Idle).await, Ok(()));
    for _ in 0..3 {
        let fired = next(&mut cluster.fired).await;
        assert_eq!(fired.node, "n2", "{fired:?}");
        assert!((0..=100).contains(&fired.lateness_ms), "{fired:?}");
    }
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert!(cluster.has_nothing_more());
    first.stop().await.unwrap();
    second.stop().await.unwrap();
}

#[tokio::test]
async fn a_node_that_wakes_takes_its_timers_back() {
    let (mut cluster, first, second) = Cluster::pair().await;
    create(&first, "t", 2_000, Durability::Replicated).await;
    assert_eq!(be(&first, "n1", Activity::Idle).await, Ok(()));
    assert_eq!(be(&first, "n1", Activity::Active).await, Ok(()));
    active(&first).await;
    assert_eq!(next(&mut cluster.fired).await.node, "n1");
    first.stop().await.unwrap();
    second.stop().await.unwrap();
}

#[tokio::test]
async fn an_awake_node_goes_on_firing_while_the_coordinator_is_away_and_nothing_is_doubled() {
    let mut cluster = Cluster::start().await;
    let agent = cluster.agent("n1").await;
    for number in 0..10 {
        create(
            &agent,
            &format!("t{number}"),
            500 + 300 * number,
            Durability::Replicated,
        )
        .await;
    }
    let killed = cluster.coordinator.kill().await;
    let mut tokens = Vec::new();
    for _ in 0..9 {
        let fired = next(&mut cluster.fired).await;
        assert!((0..=100).contains(&fired.lateness_ms), "{fired:?}");
        tokens.push(fired.token);
    }
    cluster.coordinator = killed.restart().await;
    tokens.push(next(&mut cluster.fired).await.token);
    active(&agent).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert!(cluster.fired.try_recv().is_err(), "nothing is doubled");
    tokens.sort_unstable();
    tokens.dedup();
    assert_eq!(tokens.len(), 10, "every run has a token of its own");
    agent.stop().await.unwrap();
}

#[tokio::test]
async fn an_acknowledged_timer_outlives_a_killed_coordinator() {
    let mut cluster = Cluster::start().await;
    let agent = cluster.agent("n1").await;
    create(&agent, "t", 2_500, Durability::Replicated).await;
    assert_eq!(be(&agent, "n1", Activity::Idle).await, Ok(()));
    cluster.coordinator = cluster.coordinator.kill().await.restart().await;
    let fired = next(&mut cluster.fired).await;
    assert_eq!(fired.timer, "t");
    assert!(fired.lateness_ms >= 0, "{fired:?}");
    agent.stop().await.unwrap();
}

#[tokio::test]
async fn a_node_that_stops_hands_its_timers_to_the_others() {
    let (mut cluster, first, second) = Cluster::pair().await;
    create(&first, "t", 1_500, Durability::Replicated).await;
    first.stop().await.unwrap();
    let fired = next(&mut cluster.fired).await;
    assert_eq!((fired.node.as_str(), fired.timer.as_str()), ("n2", "t"));
    assert!((0..=100).contains(&fired.lateness_ms), "{fired:?}");
    second.stop().await.unwrap();
}

#[tokio::test]
async fn a_run_in_flight_may_end_before_the_agent_does() {
    let mut cluster = Cluster::start().await;
    let agent = Agent::start(cluster.config("n1")).await.unwrap();
    active(&agent).await;
    let (told, mut ended) = mpsc::unbounded_channel();
    agent.handle(handler("h"), move |_| {
        let told = told.clone();
        async move {
            told.send("begun").unwrap();
            tokio::time::sleep(Duration::from_millis(700)).await;
            told.send("done").unwrap();
            Ok(())
        }
    });
    create(&agent, "t", 1, Durability::Replicated).await;
    assert_eq!(ended.recv().await, Some("begun"));
    agent.stop().await.unwrap();
    assert_eq!(ended.try_recv(), Ok("done"));
    // Its outcome was told, so that nobody does it again.
    let second = cluster.agent("n2").await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert!(cluster.has_nothing_more());
    second.stop().await.unwrap();
}

#[tokio::test]
async fn stopping_takes_less_than_five_seconds_also_with_a_handler_that_hangs() {
    let cluster = Cluster::start().await;
    let agent = Agent::start(cluster.config("n1")).await.unwrap();
    active(&agent).await;
    let (told, mut begun) = mpsc::unbounded_channel();
    agent.handle(handler("h"), move |_| {
        told.send(()).unwrap();
        std::future::pending::<Result<(), Failure>>()
    });
    create(&agent, "t", 1, Durability::Replicated).await;
    begun.recv().await.unwrap();
    let begin = Instant::now();
    agent.stop().await.unwrap();
    assert!(
        begin.elapsed() < Duration::from_secs(5),
        "{:?}",
        begin.elapsed()
    );
}

#[tokio::test]
async fn stopping_without_a_coordinator_is_quick_and_forgets_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("n1");
    let agent = alone(&data).await;
    create(&agent, "t", 3_600_000, Durability::Local).await;
    let begin = Instant::now();
    agent.stop().await.unwrap();
    assert!(
        begin.elapsed() < Duration::from_secs(5),
        "{:?}",
        begin.elapsed()
    );
    let agent = alone(&data).await;
    assert!(agent.look(local_name("n1", "t")).await.is_ok());
    agent.stop().await.unwrap();
}

#[tokio::test]
async fn of_two_agents_with_one_name_one_ends_with_the_code_of_bad_configuration() {
    let cluster = Cluster::start().await;
    let first = Agent::start(cluster.config("n1")).await.unwrap();
    active(&first).await;
    let mut twin = cluster.config("n1");
    twin.data = cluster.dir.path().join("twin");
    twin.listen = dormouse_agent::Address::Unix(cluster.dir.path().join("twin.sock"));
    let second = Agent::start(twin).await.unwrap();
    let ended = tokio::select! {
        ended = first.ended() => ended,
        ended = second.ended() => ended,
        () = tokio::time::sleep(Duration::from_secs(30)) => panic!("they take the name from each other for ever"),
    };
    assert_eq!(ended.map_err(|error| error.exit_code()), Err(78));
    let _ = tokio::join!(first.stop(), second.stop());
}

#[tokio::test]
async fn after_its_end_an_agent_refuses_instead_of_hanging() {
    let dir = tempfile::tempdir().unwrap();
    let agent = alone(&dir.path().join("n1")).await;
    agent.stop().await.unwrap();
    let new = timer(&agent, "t", 1_000, Durability::Local);
    assert!(matches!(
        agent.create(new).await,
        Err(Refusal::Unavailable { .. })
    ));
    assert!(agent.view().await.is_none());
    until("the socket is gone", async || {
        !dir.path().join("n1.sock").exists()
    })
    .await;
}

#[tokio::test]
async fn five_hundred_timers_a_second_run_once_each_and_never_early() {
    let dir = tempfile::tempdir().unwrap();
    let agent = alone(&dir.path().join("n1")).await;
    let (told, mut fired) = mpsc::unbounded_channel();
    listen(&agent, "n1", &told);
    let begin = support::wall();
    let creates = (0..1_000).map(|number| {
        let new = timer(&agent, &format!("t{number}"), 0, Durability::Local);
        agent.create(NewTimer {
            when: When::At(begin + Millis(2_000 + 2 * number)),
            ..new
        })
    });
    let created = futures_util::future::join_all(creates).await;
    assert!(created.iter().all(Result::is_ok));
    let mut ran = std::collections::BTreeSet::new();
    for _ in 0..1_000 {
        let run = next(&mut fired).await;
        assert!(run.lateness_ms >= 0, "early by {} ms", run.lateness_ms);
        assert!(ran.insert(run.timer.clone()), "{run:?} ran twice");
    }
    agent.stop().await.unwrap();
}

#[tokio::test]
#[should_panic(expected = "must not begin with dormouse:")]
async fn no_handler_takes_the_runs_of_other_targets() {
    let cluster = Cluster::start().await;
    let agent = Agent::start(cluster.config("n1")).await.unwrap();
    agent.handle(Target::http_place(), |_| async { Ok(()) });
}
