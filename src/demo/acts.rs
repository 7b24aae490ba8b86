//! The acts of the demo, in the order of the story: each does something to the nodes, waits, and tells what came of it.
//!
//! An act says what it saw itself (which node ran whose timers, how late); whether that was right is judged at the end,
//! from all facts together.

use super::almanac::Millis;
use super::draw::clock;
use super::facts::Micros;
use super::score::{self, Score};
use super::stage::{BEAT, LEASE, NODES, Ran, Stage};
use super::tell::Narrator;
use crate::failure::Failure;
use dormouse_client::{Durability, PoolInfo};
use std::collections::BTreeSet;

/// Time enough to register a few timers and to fall asleep before a beat.
const LEAD: Millis = 1_200;
/// A beat and what an act hangs on it is over by then.
const AFTER: Millis = 900;
/// How many time-outs are set and cancelled.
const TIME_OUTS: usize = 100;

/// The stage and the voice.
#[derive(Debug)]
pub(super) struct Play {
    pub(super) stage: Stage,
    pub(super) tell: Narrator,
    /// Changes that never left their node.
    pub(super) spared: usize,
}

impl Play {
    /// The processes start, and the first timers are registered.
    pub(super) async fn the_stage_is_set(&mut self) -> Result<(), Failure> {
        self.tell.line(&self.tell.bold("dormouse demo"))?;
        self.tell.line(&format!(
            "A coordinator and nine agents in two racks, a worker at each: real processes on this machine, in a \
             temporary\ndirectory. The lease is {} s. It takes about half a minute. zz sleeps, [ ] is the migrator of \
             its group,\n((o)) the sentry.",
            LEASE.as_secs()
        ))?;
        self.tell
            .act("Nine nodes wake, and timers are registered")?;
        let opening = self.stage.open();
        self.tell
            .meanwhile("starting ten processes", opening)
            .await?;
        let lines = self.stage.import_crontab().await?;
        self.stage.cron("sweep", "*/3 * * * * *").await?;
        for (place, (node, _)) in (0..).zip(NODES) {
            let name = format!("poll-{node}");
            self.stage.every_beat((node, &name), 20 * place).await?;
        }
        self.spared = self.stage.time_outs("n7", TIME_OUTS).await?;
        self.tell.tree(&self.stage.pool().await?)?;
        self.tell.came(&format!(
            "{lines} lines of a crontab and a sweep every 3 s are the pool's own; each node has a periodic timer of 3 s."
        ))?;
        self.tell.came(&format!(
            "n7 set {TIME_OUTS} time-outs and cancelled them: {} changes that cost no packet.",
            self.spared
        ))
    }

    /// Two nodes of a rack sleep, and its migrator runs their timers.
    pub(super) async fn two_nodes_sleep(&mut self) -> Result<(), Failure> {
        self.tell
            .act("n1 and n2 go idle: their timers run on the migrator")?;
        let beat = Stage::next_beat(LEAD);
        for (place, durability) in (0..).zip([
            Durability::Ephemeral,
            Durability::Local,
            Durability::ReplicatedAsync,
            Durability::Replicated,
        ]) {
            let home = if place % 2 == 0 { "n1" } else { "n2" };
            let name = format!("once-{}", durability.as_str().replace('_', "-"));
            let at = beat + 300 + 50 * place;
            self.stage.once((home, &name), at, durability).await?;
        }
        self.stage.lull(&["n1", "n2"]).await?;
        let ran = self.watch_until(beat + AFTER).await?;
        let theirs = of_homes(&ran, &["n1", "n2"]);
        self.tell.came(&format!(
            "{}. They slept on.",
            ran_words("timers of n1 and n2, of all durabilities,", &theirs)
        ))
    }

    /// The rest of the rack sleeps too.
    pub(super) async fn a_rack_sleeps(&mut self) -> Result<(), Failure> {
        self.tell
            .act("The whole rack east goes idle: rack west serves it")?;
        let beat = Stage::next_beat(LEAD);
        self.stage
            .once(("n5", "report-n5"), beat + 250, Durability::Local)
            .await?;
        self.stage
            .pinned_once(("n4", "backup-n4"), beat + 400)
            .await?;
        self.stage.lull(&["n3", "n4", "n5"]).await?;
        let ran = self.watch_until(beat + AFTER + 200).await?;
        let theirs = of_homes(&ran, &["n1", "n2", "n3", "n4", "n5"]);
        let (pinned, movable) = theirs.into_iter().partition(|it| it.timer == "backup-n4");
        let movable: Vec<Ran> = movable;
        let pinned: Vec<Ran> = pinned;
        self.tell
            .came(&format!("{}.", ran_words("timers of rack east", &movable)))?;
        self.tell.came(&format!(
            "{}: what is pinned wakes its node, and nobody else.",
            ran_words("timer pinned to n4", &pinned)
        ))
    }

    /// Everything sleeps, and the sentry wakes.
    pub(super) async fn all_sleep(&mut self) -> Result<(), Failure> {
        self.tell
            .act("Everything sleeps: the sentry wakes for the first deadline of all")?;
        let beat = Stage::next_beat(LEAD);
        self.stage
            .once(("n6", "report-n6"), beat + 350, Durability::Local)
            .await?;
        self.stage.lull(&["n6", "n7", "n8"]).await?;
        // The last one to fall asleep keeps the watch.
        self.stage.lull(&["n9"]).await?;
        let (pool, sentry) = self.stage.sentry().await?;
        let mark = self.stage.mark();
        self.tell.tree(&pool)?;
        let at = clock(super::facts::micros(sentry.at));
        self.tell.came(&format!(
            "{} is the sentry: it wakes at {at}, the others need not.",
            sentry.node
        ))?;
        let over = Stage::until(beat + AFTER);
        self.tell.meanwhile("all sleep", over).await;
        let ran = self.stage.ran_since(mark);
        self.tell
            .came(&format!("{}.", ran_words("timers of all nodes", &ran)))
    }

    /// A node dies, and its replicated timers run elsewhere.
    pub(super) async fn a_node_is_killed(&mut self) -> Result<(), Failure> {
        self.tell.act(
            "Rack west wakes, and one of its nodes is killed with -9: its timers run elsewhere",
        )?;
        self.stage.rouse(&["n6", "n7", "n8", "n9"]).await?;
        let mark = self.stage.mark();
        let beat = Stage::next_beat(LEAD - 400);
        let victim = bystander(&self.stage.pool().await?);
        let names: Vec<String> = (1..=3).map(|n| format!("order-{victim}-{n}")).collect();
        for (name, after) in names.iter().zip([800, 1_200, 1_600]) {
            let at = beat + after;
            self.stage
                .once((victim, name), at, Durability::Replicated)
                .await?;
        }
        self.stage
            .pinned_every_beat(("n6", "flush-n6"), 200)
            .await?;
        let killing = Stage::until(beat + 500);
        self.tell.meanwhile("all is well", killing).await;
        self.stage.kill(victim).await?;
        let killed = super::facts::now();
        self.tell.came(&format!(
            "{victim} was killed at {}, and had three timers still due.",
            clock(killed)
        ))?;
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let over = self.stage.ran_all(mark, &names);
        self.tell.meanwhile("its lease runs out", over).await;
        self.tell.tree(&self.stage.pool().await?)?;
        let ran = self.stage.ran_since(mark);
        let orders: Vec<Ran> = ran
            .into_iter()
            .filter(|it| names.contains(&it.timer.as_str()))
            .collect();
        let last = orders.iter().map(|it| it.nominal + it.late).max();
        let after = last.unwrap_or(killed) - killed;
        self.tell.came(&format!(
            "{}, all within {} of the kill.",
            ran_words(&format!("timers of {victim}"), &orders),
            length(after)
        ))
    }

    /// The coordinator dies, and who is awake goes on.
    pub(super) async fn the_coordinator_is_killed(&mut self) -> Result<(), Failure> {
        self.tell
            .act("The coordinator is killed with -9: who is awake goes on by itself")?;
        let beat = Stage::next_beat(LEAD - 400);
        self.stage
            .once(("n7", "report-n7"), beat + 300, Durability::Local)
            .await?;
        let mark = self.stage.mark();
        self.stage.kill_coordinator().await?;
        let firing = Stage::until(beat + AFTER - 300);
        self.tell.meanwhile("no coordinator", firing).await;
        let alone = self.stage.ran_since(mark);
        self.tell
            .came(&format!("{}.", ran_words("timers without it", &alone)))?;
        let mark = self.stage.mark();
        let since = self.tell.elapsed();
        let back = self.stage.revive_coordinator();
        self.tell.meanwhile("it starts again", back).await?;
        let took = self.tell.elapsed().saturating_sub(since).as_millis();
        let catching_up = Stage::until(super::facts::now() / 1000 + 300);
        self.tell.meanwhile("catching up", catching_up).await;
        let ran = self.stage.ran_since(mark);
        let asleep = of_homes(&ran, &["n1", "n2", "n3", "n4", "n5"]);
        self.tell.came(&format!(
            "It is back, and all agents found it within {took} ms. {}.",
            ran_words("timers of sleepers that had waited", &asleep)
        ))
    }

    /// A sleeper wakes and takes its timers back.
    pub(super) async fn a_sleeper_resumes(&mut self) -> Result<(), Failure> {
        self.tell.act("n1 wakes and takes its timers back")?;
        let mark = self.stage.mark();
        self.stage.rouse(&["n1"]).await?;
        let beat = Stage::next_beat(300);
        self.stage
            .once(("n1", "hello-n1"), beat + 150, Durability::Local)
            .await?;
        self.tell.tree(&self.stage.pool().await?)?;
        let over = Stage::until(beat + 600);
        self.tell.meanwhile("the next beat", over).await;
        let ran = of_homes(&self.stage.ran_since(mark), &["n1"]);
        self.tell
            .came(&format!("{}.", ran_words("timers of n1", &ran)))
    }

    /// What is still owed is waited for, and the facts are judged.
    pub(super) async fn the_curtain_falls(&mut self) -> Result<Score, Failure> {
        let calling = self.stage.call_in();
        self.tell.meanwhile("the last ones", calling).await?;
        Ok(score::score(&self.stage.facts()))
    }

    /// Draws the tree, waits for the end of a beat, and gives what ran meanwhile.
    async fn watch_until(&mut self, end: Millis) -> Result<Vec<Ran>, Failure> {
        let mark = self.stage.mark();
        self.tell.tree(&self.stage.pool().await?)?;
        self.tell
            .meanwhile("the next beat", Stage::until(end))
            .await;
        Ok(self.stage.ran_since(mark))
    }
}

/// An awake node of rack west that watches for nobody.
fn bystander(pool: &PoolInfo) -> &'static str {
    let watches = |node: &str| {
        pool.groups.iter().any(|group| {
            let slots = group.members.iter().enumerate();
            let mut migrators = slots.filter(|(slot, _)| group.migrator == 1 << slot);
            migrators.any(|(_, member)| member.as_deref() == Some(node))
        })
    };
    if watches("n8") { "n9" } else { "n8" }
}

fn of_homes(ran: &[Ran], homes: &[&str]) -> Vec<Ran> {
    let of_one = |it: &&Ran| it.home.as_deref().is_some_and(|home| homes.contains(&home));
    ran.iter().filter(of_one).cloned().collect()
}

/// Such as `3 timers of n1 ran on n3, 0.9 ms late at most`.
fn ran_words(what: &str, ran: &[Ran]) -> String {
    let places: BTreeSet<&str> = ran.iter().map(|it| it.node.as_str()).collect();
    let places: Vec<&str> = places.into_iter().collect();
    let Some((last, others)) = places.split_last() else {
        return format!("No {what} ran");
    };
    let places = match others {
        [] => (*last).to_owned(),
        others => format!("{} and {last}", others.join(", ")),
    };
    let late = ran.iter().map(|it| it.late).max().unwrap_or(0);
    format!(
        "{} {what} ran on {places}, {} late at most",
        ran.len(),
        length(late)
    )
}

/// A length of time, in the unit that reads best.
fn length(micros: Micros) -> String {
    let tenths = |unit: Micros| {
        let tenths = (micros * 10 + unit / 2) / unit;
        format!("{}.{}", tenths / 10, tenths % 10)
    };
    if micros < 1_000_000 {
        format!("{} ms", tenths(1_000))
    } else {
        format!("{} s", tenths(1_000_000))
    }
}

// One beat per act is what the times above are made for.
const _: () = assert!(BEAT > LEAD + AFTER);

#[cfg(test)]
mod tests {
    use super::*;

    fn ran(node: &str, late: Micros) -> Ran {
        Ran {
            timer: "t".into(),
            home: Some("n1".into()),
            node: node.into(),
            nominal: 0,
            late,
        }
    }

    #[test]
    fn launches_are_told_with_places_and_the_longest_wait() {
        let told = ran_words("timers", &[ran("n3", 940), ran("n2", 2_000), ran("n3", 1)]);
        assert_eq!(told, "3 timers ran on n2 and n3, 2.0 ms late at most");
        assert_eq!(ran_words("timers", &[]), "No timers ran");
        assert_eq!(length(2_949_999), "2.9 s");
    }
}
