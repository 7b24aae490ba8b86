//! What is acknowledged survives `kill -9`: a hundred times for the coordinator, a hundred times for an agent.
//!
//! Requests are in flight whenever the kill comes, so that it hits every step between decision and answer; what was
//! not answered may or may not be there. Real processes, real files and real time, since that is what is killed.

use crate::stage::{HANDLER, SOON, Stage, until};
use dormouse_client::{Client, Durability, Timer, TimerFilter};
use dormouse_cluster::COORDINATOR;
use std::collections::BTreeSet;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio_util::task::AbortOnDropHandle;

/// How often.
const KILLS: usize = 100;
/// Requests in flight at once.
const CALLERS: usize = 4;
/// Acknowledgements between a start and the next kill, so that kills come at all stages of a busy life.
const ACKS: usize = 12;

/// After every so many kills the agent is given the time to come back, which is longer than a life otherwise is.
const PAUSED: usize = 5;

#[tokio::test]
async fn a_hundred_kills_of_the_coordinator_lose_no_acknowledged_timer() {
    let mut stage = Stage::new().server().agent("n1", "r1").ready().await;
    let mut acknowledged = BTreeSet::new();
    // This one goes on through all the kills, and its requests travel over the agent's session.
    let (sender, mut of_agent) = mpsc::unbounded_channel();
    let node = stage.client("n1").await;
    let _creating = AbortOnDropHandle::new(tokio::spawn(create(
        "n1",
        node,
        drafted,
        sender,
        Fate::GoOn,
    )));
    for kill in 0..KILLS {
        let client = stage.client(COORDINATOR).await;
        let created = create_until_killed(&mut stage, COORDINATOR, (kill, &client), drafted).await;
        acknowledged.extend(created);
        acknowledged.extend(std::iter::from_fn(|| of_agent.try_recv().ok()));
        stage.restart_server().await;
        check_all_there(&client, &acknowledged, kill).await;
        if kill % PAUSED == 0 {
            let next = tokio::time::timeout(SOON, of_agent.recv()).await;
            acknowledged.extend(next.expect("the agent comes back"));
        }
    }
    let of_agent = acknowledged.iter().filter(|name| name.contains("/n1-"));
    let (of_agent, all) = (of_agent.count(), acknowledged.len());
    eprintln!("{all} timers acknowledged, {of_agent} of them through the agent");
}

#[tokio::test]
async fn a_hundred_kills_of_an_agent_lose_no_acknowledged_local_timer() {
    let mut stage = Stage::new().server().agent("n1", "r1").ready().await;
    let mut acknowledged = BTreeSet::new();
    for kill in 0..KILLS {
        let client = stage.client("n1").await;
        acknowledged.extend(create_until_killed(&mut stage, "n1", (kill, &client), local).await);
        stage.cluster.start("n1").unwrap();
        check_all_there(&client, &acknowledged, kill).await;
    }
}

/// A timer that is far from firing.
fn drafted(id: &str) -> Timer {
    let far = Timer::after(Duration::from_secs(3600));
    let timer = far.handler(HANDLER).unwrap();
    timer.name(id).unwrap()
}

fn local(id: &str) -> Timer {
    drafted(id).durability(Durability::Local)
}

/// What a caller does when it is not answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    End,
    GoOn,
}

/// Creates timers one after the other, and tells the names of those that were acknowledged.
async fn create(
    prefix: impl std::fmt::Display,
    client: Client,
    draft: fn(&str) -> Timer,
    acknowledged: mpsc::UnboundedSender<String>,
    fate: Fate,
) {
    for number in 0.. {
        match client.create(draft(&format!("{prefix}-{number}"))).await {
            Ok(timer) => drop(acknowledged.send(timer.name)),
            Err(_) if fate == Fate::End => return,
            // Nobody announces that the session is open again.
            Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
        }
    }
}

/// Lets callers create timers at a member and kills it in the midst of that. Gives what was acknowledged.
async fn create_until_killed(
    stage: &mut Stage,
    member: &str,
    (kill, client): (usize, &Client),
    draft: fn(&str) -> Timer,
) -> Vec<String> {
    let (sender, mut acknowledged) = mpsc::unbounded_channel();
    for caller in 0..CALLERS {
        let prefix = format!("k{kill}-c{caller}");
        let acknowledged = sender.clone();
        tokio::spawn(create(
            prefix,
            client.clone(),
            draft,
            acknowledged,
            Fate::End,
        ));
    }
    drop(sender);
    let mut names = Vec::new();
    for _ in 0..ACKS {
        let name = tokio::time::timeout(SOON, acknowledged.recv()).await;
        names.push(name.expect("it goes on").expect("nobody has killed it yet"));
    }
    stage.cluster.kill(member).await.unwrap();
    // The callers end when they are not answered, and the channel with them.
    while let Some(name) = acknowledged.recv().await {
        names.push(name);
    }
    names
}

async fn check_all_there(client: &Client, acknowledged: &BTreeSet<String>, kill: usize) {
    let all = || {
        client
            .list(TimerFilter {
                page_size: 1000,
                ..TimerFilter::default()
            })
            .all()
    };
    let found = until(SOON, "it answers again", async || all().await.ok()).await;
    let found: BTreeSet<String> = found.into_iter().map(|timer| timer.name).collect();
    let lost: Vec<_> = acknowledged.difference(&found).collect();
    assert!(
        lost.is_empty(),
        "after kill {kill} these are lost: {lost:?}"
    );
}
