//! Everything at once: nodes sleep, wake, die, hang and return, the coordinator too, while timers are made and fire.
//!
//! The faults come from a seed (`DORMOUSE_SEED`, printed), what the kernel makes of them does not: a failure is told by
//! its evidence. The simulator goes through many more such stories, and replays them; here real processes do.

use crate::evidence::Run;
use crate::stage::{HANDLER, LEASE, MARGIN, SOON, Stage};
use dormouse_client::{Activity, Client, Timer, TimerFilter, TimerInfo, TimerState};
use dormouse_cluster::COORDINATOR;
use rand::rngs::SmallRng;
use rand::{RngExt as _, SeedableRng as _};
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, SystemTime};
use tokio::sync::mpsc;
use tokio::time::Instant;

/// How long it goes on.
const STORM: Duration = Duration::from_secs(25);
const NODES: [(&str, &str); 4] = [("n1", "r1"), ("n2", "r1"), ("n3", "r2"), ("n4", "r2")];
/// Between two events.
const PACE_MS: std::ops::Range<u64> = 20..150;
/// A fault ends after this, at most longer than a lease.
const FAULT_MS: std::ops::Range<u64> = 100..4_500;
/// One event of so many is a fault; most make a timer.
const FAULTS_IN: u32 = 6;

/// What is wrong with whom, and until when.
#[derive(Debug, Default)]
struct Faults {
    killed: BTreeMap<&'static str, Instant>,
    frozen: BTreeMap<&'static str, Instant>,
    /// Sessions that may have ended without settling what they had begun.
    ended: usize,
}

#[derive(Debug)]
struct Storm {
    stage: Stage,
    random: SmallRng,
    faults: Faults,
    acknowledged: mpsc::UnboundedReceiver<String>,
    acknowledge: mpsc::UnboundedSender<String>,
}

#[tokio::test]
async fn after_a_storm_every_acknowledged_timer_has_run_and_nothing_is_overdue() {
    let seed = std::env::var("DORMOUSE_SEED").ok();
    let seed = seed.map_or_else(rand::random, |seed| seed.parse().unwrap());
    eprintln!("the storm of DORMOUSE_SEED={seed}");
    let mut stage = Stage::new().server();
    for (node, rack) in NODES {
        stage = stage.node(node, rack);
    }
    let (acknowledge, acknowledged) = mpsc::unbounded_channel();
    let mut storm = Storm {
        stage: stage.ready().await,
        random: SmallRng::seed_from_u64(seed),
        faults: Faults::default(),
        acknowledged,
        acknowledge,
    };
    for node in ["n1", "n3"] {
        let id = format!("tick-{node}");
        storm.stage.create(node, &id, &["--every", "500ms"]).await;
    }
    let over = Instant::now() + STORM;
    for number in 0.. {
        if Instant::now() >= over {
            break;
        }
        storm.happen(number).await;
        storm.mend(false).await;
        let pace = storm.random.random_range(PACE_MS);
        // The weather has a rhythm of its own, and waits for nobody.
        tokio::time::sleep(Duration::from_millis(pace)).await;
    }
    storm.mend(true).await;
    storm.wake_all().await;
    storm.check().await;
}

impl Storm {
    /// One event: a fault, a change of activity, or a new timer.
    async fn happen(&mut self, number: u32) {
        let (node, _) = NODES[self.random.random_range(0..NODES.len())];
        let until = Instant::now() + Duration::from_millis(self.random.random_range(FAULT_MS));
        if self.random.random_range(0..FAULTS_IN) > 0 {
            return self.create(node, number).await;
        }
        match self.random.random_range(0..6) {
            0 => self.kill(node, until).await,
            1 => self.kill(COORDINATOR, until).await,
            2 => self.freeze(node, until),
            3 => self.freeze(COORDINATOR, until),
            4 => self.be(node, Activity::Active),
            _ => self.be(node, Activity::Idle),
        }
    }

    /// A one-shot at a node or at the coordinator; nobody waits for the answer, which may be long in coming.
    async fn create(&mut self, node: &'static str, number: u32) {
        let whom = match self.random.random_range(0..4) {
            0 => COORDINATOR,
            _ => node,
        };
        let wait = Duration::from_millis(self.random.random_range(0..6_000));
        let timer = Timer::after(wait).handler(HANDLER).unwrap();
        let timer = timer.name(&format!("t{number}")).unwrap();
        let client = self.stage.client(whom).await;
        let acknowledge = self.acknowledge.clone();
        tokio::spawn(async move {
            if let Ok(timer) = client.create(timer).await {
                // Nobody counts any more what is acknowledged after the storm.
                let _ = acknowledge.send(timer.name);
            }
        });
    }

    async fn kill(&mut self, member: &'static str, until: Instant) {
        if !self.faults.killed.contains_key(member) {
            self.stage.cluster.kill(member).await.unwrap();
            self.faults.frozen.remove(member);
            self.faults.killed.insert(member, until);
            self.faults.ended += 1;
        }
    }

    fn freeze(&mut self, member: &'static str, until: Instant) {
        let killed = self.faults.killed.contains_key(member);
        if !killed && !self.faults.frozen.contains_key(member) {
            self.stage.cluster.freeze(member).unwrap();
            self.faults.frozen.insert(member, until);
            self.faults.ended += 1;
        }
    }

    /// Asks a node to sleep or to wake, and does not wait for its answer.
    fn be(&mut self, node: &'static str, activity: Activity) {
        let address = self.stage.cluster.address(node).unwrap();
        tokio::spawn(async move {
            let client = Client::connect(&address).await.unwrap();
            drop(client.attempts(1).set_activity(node, activity).await);
        });
    }

    /// Ends the faults that have lasted long enough, or all of them.
    async fn mend(&mut self, all: bool) {
        let now = Instant::now();
        let over = |_: &&str, until: &mut Instant| all || *until <= now;
        let killed: Vec<_> = self.faults.killed.extract_if(.., over).collect();
        for (member, _) in killed {
            self.stage.cluster.start(member).unwrap();
        }
        let frozen: Vec<_> = self.faults.frozen.extract_if(.., over).collect();
        for (member, _) in frozen {
            self.stage.cluster.thaw(member).unwrap();
        }
    }

    async fn wake_all(&self) {
        self.stage.cluster.ready(SOON).await.unwrap();
        for (node, _) in NODES {
            self.stage.active(node).await;
        }
    }

    async fn check(&mut self) {
        let acknowledged: Vec<String> =
            std::iter::from_fn(|| self.acknowledged.try_recv().ok()).collect();
        let timers = self.until_all_done(&acknowledged).await;
        let mut launches = 0;
        for name in &acknowledged {
            launches += self.check_story(&timers[name]);
        }
        let (timers, ended) = (acknowledged.len(), self.faults.ended);
        eprintln!(
            "{timers} timers, {} launched once more, {ended} faults",
            launches - timers
        );
        self.check_ticks();
    }

    /// Waits until every acknowledged timer is done and none is overdue. What was created last is due six seconds
    /// later, and what was begun may have to be begun again after a lease.
    async fn until_all_done(&self, acknowledged: &[String]) -> BTreeMap<String, TimerInfo> {
        let client = self.stage.client(COORDINATOR).await;
        let over = Instant::now() + SOON + LEASE + MARGIN;
        loop {
            let timers = all(&client).await;
            let open = |name: &String| {
                let timer = timers.get(name);
                timer.is_none_or(|timer| timer.state != TimerState::Done)
            };
            let open = acknowledged.iter().filter(|name| open(name));
            let late = timers.values().filter(|timer| is_overdue(timer));
            let open: BTreeSet<&String> = open.chain(late.map(|timer| &timer.name)).collect();
            if open.is_empty() {
                return timers;
            }
            if Instant::now() >= over {
                self.explain(&open).await;
                panic!("not done, or overdue: {open:?}");
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// Tells how things stand, for who has to find out why a timer does not run.
    async fn explain(&self, open: &BTreeSet<&String>) {
        for line in self.stage.ask(COORDINATOR, &["topology"]).await {
            eprintln!("topology: {line}");
        }
        for (node, _) in NODES {
            eprintln!("{:?}", self.stage.ask(node, &["node", "get", node]).await);
        }
        for name in open {
            for whom in [COORDINATOR, "n1", "n2", "n3", "n4"] {
                let found = self.stage.ask(whom, &["timer", "get", name]).await;
                eprintln!("at {whom}: {found:?}");
            }
        }
    }

    /// It ran, never early, and the run that counts is the one with the newest token. Gives how often it was launched.
    fn check_story(&self, timer: &TimerInfo) -> usize {
        let id = timer.name.rsplit('/').next().unwrap();
        let runs = self.stage.evidence.of(id);
        let newest = runs.iter().map(|run| run.token).max();
        let accepted = timer.last_run.as_ref().map(|run| run.token);
        assert!(newest.is_some(), "it never ran: {timer:#?}");
        assert_eq!(newest, accepted, "{timer:#?}, {runs:#?}");
        let tokens: BTreeSet<u64> = runs.iter().map(|run| run.token).collect();
        assert_eq!(
            tokens.len(),
            runs.len(),
            "one run was launched twice: {runs:#?}"
        );
        assert!(runs.len() <= 1 + self.faults.ended, "{runs:#?}");
        check_never_early(&runs);
        runs.len()
    }

    fn check_ticks(&self) {
        for node in ["n1", "n3"] {
            let runs = self.stage.evidence.of(&format!("tick-{node}"));
            check_never_early(&runs);
            let nominal: BTreeSet<_> = runs.iter().map(|run| run.nominal_time).collect();
            eprintln!(
                "tick-{node}: {} occurrences, {} launches",
                nominal.len(),
                runs.len()
            );
        }
    }
}

fn check_never_early(runs: &[Run]) {
    let early = runs
        .iter()
        .find(|run| run.launched_time.is_some_and(|at| at < run.nominal_time));
    assert!(early.is_none(), "{early:?}");
}

fn is_overdue(timer: &TimerInfo) -> bool {
    let late = SystemTime::now() - MARGIN;
    timer.next_times.iter().any(|next| *next < late)
}

/// Every timer that the coordinator knows, by name.
async fn all(client: &Client) -> BTreeMap<String, TimerInfo> {
    let filter = TimerFilter {
        page_size: 1000,
        ..TimerFilter::default()
    };
    let timers = client.list(filter).all().await.unwrap();
    timers.into_iter().map(|it| (it.name.clone(), it)).collect()
}
