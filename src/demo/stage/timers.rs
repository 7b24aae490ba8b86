//! The timers of the demo: registered, written down as promises, and in the end called in.
//!
//! What is promised is kept in the demo's own words (an instant, a grid, the fields of a line), with the moments between
//! which it was acknowledged.

use super::{BEAT, Stage};
use crate::crontab::{self, Form};
use crate::demo::almanac::{Calendar, Millis, When};
use crate::demo::facts::{Micros, Promise, micros, now};
use crate::failure::Failure;
use dormouse_client::{Client, Durability, Error, RunState, Scheduled, Timer};
use futures_util::future::try_join_all;
use std::time::{Duration, UNIX_EPOCH};

/// The crontab that is imported.
const CRONTAB: &str = include_str!("../../../examples/crontab");
/// Runs of a beat have ended this long after it.
const BEAT_OVER: Millis = 700;
/// And the next one is not yet near this long after it.
const BEAT_NEAR: Millis = 2_000;

/// Registration.
impl Stage {
    /// A one-shot timer at its home.
    pub(in crate::demo) async fn once(
        &mut self,
        (home, name): (&str, &str),
        at: Millis,
        durability: Durability,
    ) -> Result<(), Failure> {
        let timer = task(Timer::at(instant(at)), name)?.durability(durability);
        self.register(Some(home), timer, When::At(at)).await
    }

    /// A one-shot timer that runs at its home only.
    pub(in crate::demo) async fn pinned_once(
        &mut self,
        (home, name): (&str, &str),
        at: Millis,
    ) -> Result<(), Failure> {
        let timer = task(Timer::at(instant(at)), name)?.pinned(home)?;
        self.register(Some(home), timer, When::At(at)).await
    }

    /// A movable timer of every beat, `phase` after it.
    pub(in crate::demo) async fn every_beat(
        &mut self,
        (home, name): (&str, &str),
        phase: Millis,
    ) -> Result<(), Failure> {
        let (timer, when) = periodic(name, phase)?;
        self.register(Some(home), timer, when).await
    }

    /// The same, pinned to its home.
    pub(in crate::demo) async fn pinned_every_beat(
        &mut self,
        (home, name): (&str, &str),
        phase: Millis,
    ) -> Result<(), Failure> {
        let (timer, when) = periodic(name, phase)?;
        self.register(Some(home), timer.pinned(home)?, when).await
    }

    /// A timer of the pool itself, by a cron expression with seconds.
    pub(in crate::demo) async fn cron(
        &mut self,
        name: &str,
        expression: &str,
    ) -> Result<(), Failure> {
        let calendar = Calendar::parse(expression, "UTC").expect("the demo's own expression");
        let timer = task(Timer::cron(expression), name)?;
        self.register(None, timer, When::Calendar(Box::new(calendar)))
            .await
    }

    /// Imports the crontab into the pool, and says how many lines became timers.
    pub(in crate::demo) async fn import_crontab(&mut self) -> Result<usize, Failure> {
        let lines = crontab::parse(CRONTAB, Form::User, "UTC", |_, _| Ok(())).entries;
        for line in &lines {
            let calendar = Calendar::parse(&line.expression, &line.zone).ok_or_else(|| {
                Failure::failed(format!("the demo cannot judge {:?}", line.expression))
            })?;
            let timer = Timer::cron_in(&line.expression, &line.zone)
                .handler("cron")?
                .name(&line.timer_id)?
                .payload(line.command.clone());
            self.register(None, timer, When::Calendar(Box::new(calendar)))
                .await?;
        }
        Ok(lines.len())
    }

    async fn register(
        &mut self,
        home: Option<&str>,
        timer: Timer,
        when: When,
    ) -> Result<(), Failure> {
        let at = match home {
            Some(node) => self.agent(node),
            None => self.coordinator(),
        };
        let asked = now();
        let created = at.create(timer).await?;
        self.facts.promises.push(Promise {
            uid: created.uid,
            name: created.name,
            home: home.map(str::to_owned),
            when,
            created: (asked, now()),
            cancelled: None,
            done_until: None,
        });
        Ok(())
    }

    /// Sets so many time-outs at an awake node and cancels them, as a request does that is answered in time. Gives the
    /// number of changes of which the coordinator never heard.
    pub(in crate::demo) async fn time_outs(
        &self,
        node: &str,
        count: usize,
    ) -> Result<usize, Failure> {
        let agent = self.agent(node);
        let before = self.coordinator().server_info().await?.timers;
        let classes = [Durability::Local, Durability::Ephemeral];
        let drafts = (0..count).map(|place| {
            let timer = Timer::after(Duration::from_secs(60)).handler("task")?;
            Ok(timer.durability(classes[place % classes.len()]))
        });
        let drafts = drafts.collect::<Result<Vec<Timer>, Error>>()?;
        let created = try_join_all(drafts.into_iter().map(|draft| agent.create(draft))).await?;
        let after = self.coordinator().server_info().await?.timers;
        try_join_all(created.iter().map(|timer| agent.cancel(&timer.name))).await?;
        let known = usize::try_from(after.saturating_sub(before)).unwrap_or(usize::MAX);
        Ok(count.saturating_sub(known) * 2)
    }
}

/// The end.
impl Stage {
    /// Waits until everything due has run, asks for what is on record, and cancels what would go on for ever.
    pub(in crate::demo) async fn call_in(&mut self) -> Result<(), Failure> {
        // What never runs is for the table to tell: the demo waits for it, but not for ever.
        let _ = self
            .wait_for("what is due", async || {
                let phase = (now() / 1000).rem_euclid(BEAT);
                let calm = (BEAT_OVER..BEAT_NEAR).contains(&phase);
                Ok((calm && self.all_ran()).then_some(()))
            })
            .await;
        for place in 0..self.facts.promises.len() {
            let done = self.on_record(place).await;
            self.facts.promises[place].done_until = done;
        }
        for place in 0..self.facts.promises.len() {
            let promise = &self.facts.promises[place];
            if matches!(promise.when, When::At(_)) {
                continue;
            }
            let asked = now();
            self.owner(promise).cancel(&promise.name).await?;
            self.facts.promises[place].cancelled = Some((asked, now()));
        }
        Ok(())
    }

    /// Whether every timer has run for its last nominal time.
    fn all_ran(&self) -> bool {
        let launches = &self.notes.open().launches;
        self.facts.promises.iter().all(|promise| {
            let times = promise.when.times(promise.created.1 / 1000, now() / 1000);
            times.iter().all(|time| {
                launches
                    .iter()
                    .any(|it| it.uid == promise.uid && it.nominal == time * 1000)
            })
        })
    }

    /// The last nominal time that a timer's owner has on record as done; it is given time to hear of what ran.
    async fn on_record(&self, place: usize) -> Option<Micros> {
        let promise = &self.facts.promises[place];
        let ran = {
            let notes = self.notes.open();
            let of_it = notes.launches.iter().filter(|it| it.uid == promise.uid);
            of_it.map(|launch| launch.nominal).max()?
        };
        let mut done = None;
        for _ in 0..20 {
            done = last_done(self.owner(promise), &promise.name).await;
            if done >= Some(ran) {
                break;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        done
    }
}

async fn last_done(owner: &Client, name: &str) -> Option<Micros> {
    let last = owner.get(name).await.ok()?.last_run?;
    let is_done = last.state == RunState::Done;
    last.nominal_time.filter(|_| is_done).map(micros)
}

fn task(scheduled: Scheduled, name: &str) -> Result<Timer, Error> {
    scheduled.handler("task")?.name(name)
}

fn periodic(name: &str, phase: Millis) -> Result<(Timer, When), Error> {
    let (interval, shift) = (length(BEAT), length(phase));
    let timer = task(Timer::every_in_phase(interval, shift)?, name)?;
    let when = When::Every {
        interval: BEAT,
        phase,
    };
    Ok((timer, when))
}

fn length(millis: Millis) -> Duration {
    Duration::from_millis(millis.unsigned_abs())
}

fn instant(at: Millis) -> std::time::SystemTime {
    UNIX_EPOCH + length(at)
}
