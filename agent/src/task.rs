//! The one task that owns the base.
//!
//! ```text
//! executor --Settled, places-->  |       | --records--> journal (one group a turn)
//! link     --Heard, Connected--> | turns |                 |
//! API      --Asked-------------> |       | --effects--> wait until that group and all before it are durable,
//! clock    --Tick--------------> |       |              then link, API, executor: in the order of the turns
//! ```
//!
//! What waits is taken as one turn; the next is decided while the last one's group is on its way to the disk.

#[cfg(test)]
mod tests;

use crate::config::Error;
use crate::events;
use crate::executor::Executor;
use crate::link::{Event, Outgoing};
use dormouse_edge::clock::{self, Alarm};
use dormouse_engine::base::{Base, Effect, Input, View};
use dormouse_engine::decision::Decision;
use dormouse_engine::op::{Answer, Op};
use dormouse_engine::record::Record;
use dormouse_engine::time::{Deadlines, Now};
use dormouse_store::{Entry, Ticket, Writer};
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot, watch};

/// Inputs of one turn; more wait for the next one, so that no turn holds up a launch for long.
const TURN_INPUTS_MAX: usize = 512;
/// Turns whose groups may be on their way to the disk at once.
const TURNS_MAX: usize = 64;
/// Bytes that may wait for the disk before no further turn is decided.
const WAITING_BYTES_MAX: usize = 16 << 20;
/// Requests that wait for the coordinator at once; the reply of one more is dropped.
const ASKS_MAX: usize = 65_536;
/// A base whose deadline is over although nothing follows from it is asked again after this.
const REST: Duration = Duration::from_millis(10);

/// What others want of the task.
pub(crate) enum Ask {
    /// Decide this.
    Op(Op, oneshot::Sender<Answer>),
    /// Tell how things are.
    View(oneshot::Sender<View>),
    /// Hand everything over, then end.
    Stop,
}

/// The task's ends of its channels.
pub(crate) struct Mailbox {
    /// From the link.
    pub(crate) link: mpsc::Receiver<Event>,
    /// From the API.
    pub(crate) asks: mpsc::Receiver<Ask>,
}

/// Why the task ended without an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// Everything was handed over, or nothing could be.
    Stopped,
    /// Another process has the node's name.
    Clashed,
}

/// The base and everything that its decisions reach.
pub(crate) struct Task {
    base: Base,
    writer: Writer,
    executor: Arc<Executor>,
    mailbox: Mailbox,
    alarm: Alarm,
    /// Taken from the mailbox, but not yet part of a turn.
    event: Option<Event>,
    ask: Option<Ask>,
    /// The connection that is open, if one is.
    outgoing: Option<Outgoing>,
    waiting: BTreeMap<u64, oneshot::Sender<Answer>>,
    ask_last: u64,
    /// Decided turns whose effects were not performed yet, the oldest first.
    turns: VecDeque<Turn>,
    /// The last turn was for a deadline, and nothing followed from it.
    restless: bool,
    /// The number of the newest durable change, for those who watch.
    newest: watch::Sender<u64>,
    /// The number of the newest change that is a part of a turn.
    submitted: u64,
    end: Option<End>,
}

/// What is still to be done of one turn.
struct Turn {
    /// Its group; none if it has no records.
    durable: Option<Ticket>,
    effects: Vec<Effect>,
    /// The connection that its messages were meant for: a later one has another session.
    outgoing: Option<Outgoing>,
    /// The number of the newest change after it.
    newest: u64,
}

impl Task {
    /// A task for a base that has just been recovered; `first` is what the recovery decided.
    ///
    /// # Errors
    /// If the system has no timer to give.
    pub(crate) fn new(
        (base, first): (Base, Decision<Effect>),
        writer: Writer,
        executor: Arc<Executor>,
        mailbox: Mailbox,
    ) -> Result<Self, Error> {
        let submitted = base.newest_change();
        let newest = watch::channel(submitted).0;
        let mut task = Self {
            base,
            writer,
            executor,
            mailbox,
            alarm: Alarm::new().map_err(Error::system("a timer"))?,
            event: None,
            ask: None,
            outgoing: None,
            waiting: BTreeMap::new(),
            ask_last: 0,
            turns: VecDeque::new(),
            restless: false,
            newest,
            submitted,
            end: None,
        };
        task.submit(first);
        Ok(task)
    }

    /// How to hear that something has changed.
    pub(crate) fn newest_change(&self) -> watch::Receiver<u64> {
        self.newest.subscribe()
    }

    /// Runs until the base has stopped.
    ///
    /// # Errors
    /// If a group could not be made durable.
    pub(crate) async fn run(mut self) -> Result<End, Error> {
        loop {
            self.perform_durable();
            if let Some(end) = self.end {
                return Ok(end);
            }
            let has_room =
                self.turns.len() < TURNS_MAX && self.writer.waiting_bytes() < WAITING_BYTES_MAX;
            let deadlines = self.base.next_deadline();
            let rests = self.restless;
            tokio::select! {
                biased;
                durable = durable(&mut self.turns) => {
                    durable.inspect_err(events::journal_failed)?;
                }
                () = news(&self.executor, &mut self.mailbox, &mut self.event, &mut self.ask), if has_room => {
                    self.turn();
                }
                due = ring(&mut self.alarm, deadlines, rests), if has_room => {
                    due.map_err(Error::system("a timer"))?;
                    self.turn();
                }
            }
        }
    }

    /// Everything that waits, as one turn.
    fn turn(&mut self) {
        let inputs = self.gather();
        let now = clock::now();
        let tick = is_due(self.base.next_deadline(), now).then_some(Input::Tick);
        let inputs: Vec<Input> = tick.into_iter().chain(inputs).collect();
        if inputs.is_empty() {
            return;
        }
        let is_tick = inputs == [Input::Tick];
        let decision = self.base.handle(now, inputs);
        self.note_rest(is_tick && decision.is_empty(), now);
        self.submit(decision);
    }

    /// A deadline that stays over although the base was called would be called again at once, for ever, and
    /// keep this thread from what else it has to do.
    fn note_rest(&mut self, was_idle_tick: bool, now: Now) {
        let over = is_due(self.base.next_deadline(), now);
        if over && was_idle_tick && !self.restless {
            events::restless();
        }
        self.restless = over && was_idle_tick;
    }

    fn gather(&mut self) -> Vec<Input> {
        let mut inputs = self.executor.drain();
        while inputs.len() < TURN_INPUTS_MAX
            && let Some(event) = self
                .event
                .take()
                .or_else(|| self.mailbox.link.try_recv().ok())
        {
            match event {
                Event::Heard(message) => inputs.push(Input::Heard(message)),
                // The connection changes between two turns, so that each turn speaks on one.
                change if !inputs.is_empty() => {
                    self.event = Some(change);
                    return inputs;
                }
                Event::Connected(outgoing) => {
                    events::link_up();
                    self.outgoing = Some(outgoing);
                    inputs.push(Input::Connected);
                }
                Event::Disconnected => {
                    self.outgoing = None;
                    inputs.push(Input::Disconnected);
                }
            }
        }
        while inputs.len() < TURN_INPUTS_MAX
            && let Some(ask) = self
                .ask
                .take()
                .or_else(|| self.mailbox.asks.try_recv().ok())
        {
            inputs.extend(self.admit(ask));
        }
        inputs
    }

    fn admit(&mut self, ask: Ask) -> Option<Input> {
        match ask {
            Ask::Op(..) if self.waiting.len() >= ASKS_MAX => None,
            Ask::Op(op, reply) => {
                self.ask_last += 1;
                self.waiting.insert(self.ask_last, reply);
                Some(Input::Asked {
                    ask: self.ask_last,
                    op,
                })
            }
            Ask::View(reply) => {
                // Who asked may be gone.
                let _ = reply.send(self.base.view(clock::now()));
                None
            }
            Ask::Stop => Some(Input::Stop),
        }
    }

    fn submit(&mut self, decision: Decision<Effect>) {
        let newest = self.base.newest_change();
        // A timer that is in no journal changes without a record, and nobody but those who watch may have to hear of it.
        let has_news = newest != self.submitted;
        if decision.is_empty() && !has_news {
            return;
        }
        self.submitted = newest;
        let Decision {
            records, effects, ..
        } = decision;
        let durable = (!records.is_empty())
            .then(|| self.writer.submit(records.into_iter().map(entry).collect()));
        self.turns.push_back(Turn {
            durable,
            effects,
            outgoing: self.outgoing.clone(),
            newest,
        });
    }

    /// Performs the turns that have nothing left to wait for, up to the one that ends it all: a node that has left says
    /// hello to nobody.
    fn perform_durable(&mut self) {
        while self.end.is_none()
            && self
                .turns
                .front()
                .is_some_and(|turn| turn.durable.is_none())
        {
            let Some(turn) = self.turns.pop_front() else {
                return;
            };
            for effect in turn.effects {
                self.perform(effect, turn.outgoing.as_ref());
            }
            self.newest
                .send_if_modified(|told| std::mem::replace(told, turn.newest) != turn.newest);
        }
    }

    fn perform(&mut self, effect: Effect, outgoing: Option<&Outgoing>) {
        match effect {
            Effect::Send(message) => {
                if let Some(outgoing) = outgoing {
                    outgoing.say(message);
                }
            }
            Effect::Answer { ask, answer } => {
                if let Some(reply) = self.waiting.remove(&ask) {
                    // Who asked may be gone.
                    let _ = reply.send(answer);
                }
            }
            Effect::Launch { run, until, from } => self.executor.launch(run, from, until),
            Effect::Abandon { token } => self.executor.abandon(token),
            Effect::Reconnect => {
                if let Some(outgoing) = outgoing {
                    outgoing.hang_up();
                }
            }
            Effect::Stopped => self.end = Some(End::Stopped),
            Effect::Clashed => self.end = Some(End::Clashed),
        }
    }
}

/// Waits until the group of the oldest turn is durable; for ever if there is none.
async fn durable(turns: &mut VecDeque<Turn>) -> Result<(), dormouse_store::Error> {
    let Some(turn) = turns.front_mut() else {
        return std::future::pending().await;
    };
    if let Some(ticket) = &mut turn.durable {
        ticket.await?;
        turn.durable = None;
    }
    Ok(())
}

/// Waits until there is something for a turn. What it takes it leaves in `event` and `ask`.
async fn news(
    executor: &Executor,
    mailbox: &mut Mailbox,
    event: &mut Option<Event>,
    ask: &mut Option<Ask>,
) {
    if event.is_some() || ask.is_some() {
        return;
    }
    tokio::select! {
        biased;
        () = executor.changed() => {}
        // A closed channel has no news any more.
        Some(next) = mailbox.link.recv() => *event = Some(next),
        Some(next) = mailbox.asks.recv() => *ask = Some(next),
    }
}

/// Waits for a deadline; for a moment at least, if the last one was over and nothing followed.
async fn ring(alarm: &mut Alarm, at: Deadlines, rests: bool) -> std::io::Result<()> {
    if rests {
        tokio::time::sleep(REST).await;
    }
    alarm.until(at.wall, at.boot).await
}

fn is_due(deadlines: Deadlines, now: Now) -> bool {
    deadlines.wall.is_some_and(|wall| wall <= now.wall)
        || deadlines.boot.is_some_and(|boot| boot <= now.boot)
}

fn entry(record: Record) -> Entry {
    match record.value {
        Some(value) => Entry::put(record.key, value),
        None => Entry::delete(record.key),
    }
}
