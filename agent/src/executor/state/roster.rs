//! The workers: who is there, and what becomes of their runs when they go.
//!
//! A worker that goes without a word has died with what it had begun; one that detached before has given it
//! back. What it had not begun goes to another one.

use super::{Stage, State, Worker};
use crate::executor::{Said, WorkerId};
use dormouse_engine::base::Input;
use dormouse_engine::id::Token;
use dormouse_engine::timer::{HandlerName, Outcome};
use std::collections::BTreeSet;
use tokio::sync::mpsc;

impl State {
    pub(in crate::executor) fn attach(&mut self, queue: mpsc::Sender<Said>) -> WorkerId {
        self.worker_last += 1;
        let id = WorkerId(self.worker_last);
        let worker = Worker {
            queue,
            handlers: BTreeSet::new(),
            credits: 0,
            held: 0,
            detached: false,
            chosen: 0,
        };
        self.workers.insert(id, worker);
        id
    }

    pub(in crate::executor) fn offer(
        &mut self,
        id: WorkerId,
        handlers: BTreeSet<HandlerName>,
        credits: u32,
    ) {
        if let Some(worker) = self.workers.get_mut(&id) {
            worker.handlers = handlers;
            worker.credits = credits;
            worker.detached = false;
            self.moved = true;
        }
    }

    pub(in crate::executor) fn detach(&mut self, id: WorkerId) {
        if let Some(worker) = self.workers.get_mut(&id) {
            worker.detached = true;
            self.moved = true;
        }
    }

    pub(in crate::executor) fn gone(&mut self, id: WorkerId) {
        let Some(worker) = self.workers.get_mut(&id) else {
            return;
        };
        let died = !std::mem::replace(&mut worker.detached, true);
        let its = self.runs.iter().filter(|(_, flight)| flight.worker == id);
        for (token, stage) in its
            .map(|(token, flight)| (*token, flight.stage))
            .collect::<Vec<_>>()
        {
            match stage {
                Stage::Waiting => self.move_on(token),
                Stage::Launched => self.interrupt(token, died),
                Stage::Forgotten => drop(self.remove(token)),
            }
        }
        self.workers.remove(&id);
        self.moved = true;
    }

    fn interrupt(&mut self, token: Token, died: bool) {
        if let Some(flight) = self.remove(token) {
            let outcome = Outcome::Interrupted { died };
            self.ended.push(Input::Settled {
                uid: flight.run.uid,
                token,
                outcome,
            });
        }
    }

    pub(in crate::executor) fn withdraw(&mut self) {
        self.withdrawn = true;
        self.moved = true;
    }

    /// Drops every queue, which ends the streams behind them.
    pub(in crate::executor) fn hang_up(&mut self) {
        self.workers.clear();
        self.runs.clear();
        self.agenda.clear();
        self.live.clear();
    }
}
