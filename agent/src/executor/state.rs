//! Who runs what: the executor's tables, changed under its lock and without waiting.
//!
//! Every run is in one of three stages; those that wait for a moment (to be launched, to time out) stand in
//! the agenda, ordered by CLOCK_BOOTTIME in nanoseconds. The steps are in the files beside this one.

mod ending;
mod launching;
mod roster;

use super::{Said, WorkerId};
use dormouse_engine::base::Input;
use dormouse_engine::id::Token;
use dormouse_engine::message::Capacity;
use dormouse_engine::time::BootTime;
use dormouse_engine::timer::{HandlerName, Run};
use std::collections::{BTreeMap, BTreeSet};
use tokio::sync::mpsc;

#[derive(Default)]
pub(super) struct State {
    workers: BTreeMap<WorkerId, Worker>,
    runs: BTreeMap<Token, InFlight>,
    /// Runs by handler whose outcome counts: those that the base knows of.
    live: BTreeMap<HandlerName, u32>,
    agenda: BTreeSet<(u64, Token)>,
    /// What the alarm is set for.
    armed: Option<u64>,
    ended: Vec<Input>,
    /// The places that the base was told last.
    told: Capacity,
    /// Whether the places may be others since then.
    moved: bool,
    withdrawn: bool,
    worker_last: u64,
    choice_last: u64,
}

struct Worker {
    queue: mpsc::Sender<Said>,
    handlers: BTreeSet<HandlerName>,
    credits: u32,
    /// Credits in use.
    held: u32,
    detached: bool,
    /// When it was chosen last; the one with the smallest number waits longest.
    chosen: u64,
}

struct InFlight {
    run: Run,
    worker: WorkerId,
    from: BootTime,
    until: BootTime,
    stage: Stage,
    /// Its place in the agenda.
    at: Option<u64>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// Its time has not come.
    Waiting,
    /// At the worker.
    Launched,
    /// At the worker, but its outcome no longer counts.
    Forgotten,
}

impl Worker {
    fn free(&self) -> u32 {
        if self.detached {
            0
        } else {
            self.credits.saturating_sub(self.held)
        }
    }
}

impl State {
    fn wait(&mut self, token: Token, at: u64) {
        self.leave_agenda(token);
        if let Some(flight) = self.runs.get_mut(&token) {
            flight.at = Some(at);
            self.agenda.insert((at, token));
        }
    }

    fn leave_agenda(&mut self, token: Token) {
        if let Some(at) = self
            .runs
            .get_mut(&token)
            .and_then(|flight| flight.at.take())
        {
            self.agenda.remove(&(at, token));
        }
    }

    /// What the alarm has to be set for, if that changed.
    pub(super) fn rearm(&mut self) -> Option<Option<u64>> {
        let first = self.agenda.first().map(|(at, _)| *at);
        (first != self.armed).then(|| {
            self.armed = first;
            first
        })
    }

    pub(super) fn has_news(&self) -> bool {
        self.moved || !self.ended.is_empty()
    }

    pub(super) fn drain(&mut self) -> Vec<Input> {
        let mut inputs = Vec::new();
        if std::mem::take(&mut self.moved) {
            let places = self.places();
            if places != self.told {
                self.told.clone_from(&places);
                inputs.push(Input::Workers { places });
            }
        }
        inputs.append(&mut self.ended);
        inputs
    }

    /// What is in use and counts, and what is free. A credit that several handlers share is counted for each
    /// while it is free, and for one when it is used.
    fn places(&self) -> Capacity {
        let mut places = self.free();
        for (handler, count) in &self.live {
            *places.entry(handler.clone()).or_default() += count;
        }
        places
    }

    pub(super) fn free(&self) -> Capacity {
        let mut free = Capacity::new();
        for worker in self
            .workers
            .values()
            .filter(|worker| !worker.detached && !self.withdrawn)
        {
            for handler in &worker.handlers {
                *free.entry(handler.clone()).or_default() += worker.free();
            }
        }
        free
    }

    pub(super) fn in_flight(&self) -> usize {
        self.live.values().map(|count| *count as usize).sum()
    }
}
