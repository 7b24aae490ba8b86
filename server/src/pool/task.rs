//! The loop of one pool: gather what waits, decide once, make it durable, perform.
//!
//! ```text
//!   mail ----> turn 7: decide -----> journal: groups 5, 6 in flight
//!   alarm ---/   |                      |
//!                +-- effects of 7 wait  +--> effects of 5, then 6, then 7
//! ```
//!
//! Later turns are decided while earlier ones are written, but not many: what comes meanwhile shares the next
//! turn. Effects are performed in the order of the turns, each after its records are durable, also if it has
//! none of its own. If an append fails nothing more is performed, and the process has to end.

use super::{Handle, MAILBOX, Mail, Seen};
use crate::Error;
use crate::events;
use crate::session::Outbox;
use dormouse_edge::clock::{self, Alarm};
use dormouse_edge::timers::Feed;
use dormouse_engine::decision::Decision;
use dormouse_engine::id::PoolId;
use dormouse_engine::ledger::Exported;
use dormouse_engine::op::Answer;
use dormouse_engine::pool::{Config, Effect, Input, Link, Pool};
use dormouse_engine::record::Record;
use dormouse_store::{self as store, Disk, Entry, Journal, Kind, Writer};
use std::collections::{BTreeMap, VecDeque};
use std::path::PathBuf;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot, watch};
use uuid::Uuid;

/// Inputs of one turn at most, so that a burst does not keep the first of it waiting for long.
const TURN_MAX: usize = 1024;
/// Turns that may wait for the journal: one is being written, one is ready.
const AHEAD: usize = 2;
/// A pool whose deadline is over although nothing follows from it is asked again after this.
const REST: Duration = Duration::from_millis(10);

/// The task of one pool.
pub(crate) struct Task {
    pool: PoolId,
    machine: Pool,
    writer: Writer,
    alarm: Alarm,
    mail: mpsc::Receiver<Mail>,
    written: mpsc::UnboundedReceiver<Written>,
    tell_written: mpsc::UnboundedSender<Written>,
    /// Decided, and not durable yet; oldest first.
    turns: VecDeque<Turn>,
    /// What the shell itself has to tell the machine.
    noticed: Vec<Input>,
    links: BTreeMap<Link, Outbox>,
    asks: BTreeMap<u64, oneshot::Sender<Answer>>,
    last_ask: u64,
    /// The number of the newest durable change, for those who watch.
    newest: watch::Sender<u64>,
    restless: bool,
}

type Written = Result<u64, store::Error>;

/// What waits for the records of a turn.
#[derive(Default)]
struct Turn {
    effects: Vec<Effect>,
    views: Vec<View>,
    /// The number of the newest change after it.
    newest: u64,
}

/// What somebody wants to see, as it is after the turn; it may be shown once that is durable.
enum View {
    Seen(oneshot::Sender<Seen>, Seen),
    Exported(oneshot::Sender<Exported>, Box<Exported>),
}

/// Somebody who wants to see what is after the turn.
enum Viewer {
    Seen(oneshot::Sender<Seen>),
    Exported(oneshot::Sender<Exported>),
}

/// Whether the loop goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Next {
    Turn,
    End,
}

/// Recovers the pool of `config` from `dir`. The task that is returned has to be run.
pub(crate) async fn open(config: Config, dir: PathBuf) -> Result<(Handle, Task), Error> {
    let pool = config.pool.clone();
    let opened = tokio::task::spawn_blocking(move || {
        let store = store::Config::new(dir, Kind::Coordinator, config.pool.as_str());
        recover(config, Disk::open(&store)?)
    });
    let recovered = opened.await.map_err(|why| Error::Task {
        pool,
        why: why.to_string(),
    })?;
    begin(recovered?)
}

/// A pool as its journal has it, before it is told anything.
pub(super) struct Recovered {
    pool: PoolId,
    machine: Pool,
    first: Decision<Effect>,
    writer: Writer,
    position: u64,
}

pub(super) fn recover(config: Config, journal: impl Journal + 'static) -> Result<Recovered, Error> {
    let pool = config.pool.clone();
    let (writer, loaded) = Writer::start(journal)?;
    let state = loaded.state.into_iter();
    let state = state.map(|(key, value)| (key.to_vec(), value.to_vec()));
    match Pool::recover(config, state, clock::now()) {
        Ok((machine, first)) => Ok(Recovered {
            pool,
            machine,
            first,
            writer,
            position: loaded.position,
        }),
        Err(why) => Err(Error::Record { pool, why }),
    }
}

pub(super) fn begin(recovered: Recovered) -> Result<(Handle, Task), Error> {
    let Recovered {
        pool,
        machine,
        first,
        writer,
        position,
    } = recovered;
    events::pool_opened(&pool, machine.ledger().len(), position);
    let (mail, receiver) = mpsc::channel(MAILBOX);
    let (tell_written, written) = mpsc::unbounded_channel();
    let (newest, told) = watch::channel(machine.ledger().newest_change());
    let handle = Handle {
        pool: pool.clone(),
        mail,
        feed: Feed {
            counter: Uuid::now_v7().as_u128(),
            newest: told,
        },
    };
    let mut task = Task {
        pool,
        machine,
        writer,
        alarm: Alarm::new()?,
        mail: receiver,
        written,
        tell_written,
        turns: VecDeque::new(),
        noticed: Vec::new(),
        links: BTreeMap::new(),
        asks: BTreeMap::new(),
        last_ask: 0,
        newest,
        restless: false,
    };
    task.submit(first, Vec::new());
    Ok((handle, task))
}

impl Task {
    /// Runs until it is told to stop, then answers what was decided and closes the journal.
    ///
    /// # Errors
    /// If something could not be made durable: then nothing more was answered.
    pub(crate) async fn run(mut self) -> Result<(), Error> {
        let mut letters = Vec::with_capacity(TURN_MAX);
        while self.step(&mut letters).await? == Next::Turn {}
        while !self.turns.is_empty() {
            let written = self.written.recv().await;
            self.perform(written)?;
        }
        let writer = self.writer;
        let closed = tokio::task::spawn_blocking(move || writer.close()).await;
        closed.map_err(|why| Error::Task {
            pool: self.pool,
            why: why.to_string(),
        })
    }

    async fn step(&mut self, letters: &mut Vec<Mail>) -> Result<Next, Error> {
        let may_decide = self.turns.len() < AHEAD;
        if may_decide && !self.noticed.is_empty() {
            self.turn(letters);
            return Ok(Next::Turn);
        }
        let at = self.machine.next_deadline();
        let rests = self.restless;
        tokio::select! {
            biased;
            written = self.written.recv() => self.perform(written)?,
            count = self.mail.recv_many(letters, TURN_MAX), if may_decide => {
                if count == 0 {
                    return Ok(Next::End);
                }
                return Ok(self.turn(letters));
            }
            rang = ring(&mut self.alarm, (at.wall, at.boot), rests), if may_decide => {
                rang?;
                self.noticed.push(Input::Tick);
                return Ok(self.turn(letters));
            }
        }
        Ok(Next::Turn)
    }

    /// Decides one turn from all that waits.
    fn turn(&mut self, letters: &mut Vec<Mail>) -> Next {
        let mut inputs = std::mem::take(&mut self.noticed);
        let is_tick = inputs == [Input::Tick] && letters.is_empty();
        let mut views = Vec::new();
        let mut next = Next::Turn;
        for letter in letters.drain(..) {
            match letter {
                Mail::Opened { link, outbox } => {
                    self.links.insert(link, outbox);
                }
                Mail::Said { link, message } => inputs.push(Input::Said {
                    link,
                    message: *message,
                }),
                Mail::Closed { link } => {
                    self.links.remove(&link);
                    inputs.push(Input::Closed { link });
                }
                Mail::Asked { op, answer } => {
                    self.last_ask += 1;
                    self.asks.insert(self.last_ask, answer);
                    inputs.push(Input::Asked {
                        ask: self.last_ask,
                        op,
                    });
                }
                Mail::Brought { restore, answer } => {
                    self.last_ask += 1;
                    self.asks.insert(self.last_ask, answer);
                    inputs.push(Input::Brought {
                        ask: self.last_ask,
                        restore,
                    });
                }
                Mail::Viewed { answer } => views.push(Viewer::Seen(answer)),
                Mail::Exported { answer } => views.push(Viewer::Exported(answer)),
                Mail::Stop => next = Next::End,
            }
        }
        let now = clock::now();
        let decision = self.machine.handle(now, inputs);
        self.note_rest(is_tick && decision.is_empty(), now);
        self.submit(decision, views);
        next
    }

    /// A deadline that stays over although the machine was called would be called again at once, for ever.
    fn note_rest(&mut self, was_idle_tick: bool, now: dormouse_engine::time::Now) {
        let at = self.machine.next_deadline();
        let over =
            at.wall.is_some_and(|it| it <= now.wall) || at.boot.is_some_and(|it| it <= now.boot);
        if over && was_idle_tick && !self.restless {
            events::pool_restless(&self.pool);
        }
        self.restless = over && was_idle_tick;
    }

    /// Hands the records to the journal; the rest waits for them, and for those before them.
    fn submit(&mut self, decision: Decision<Effect>, viewers: Vec<Viewer>) {
        let Decision {
            records, effects, ..
        } = decision;
        let views = viewers
            .into_iter()
            .map(|viewer| self.show(viewer))
            .collect();
        let turn = Turn {
            effects,
            views,
            newest: self.machine.ledger().newest_change(),
        };
        let tell = self.tell_written.clone();
        let done = move |written| {
            // Nobody listens only when the task is gone, and then nothing waits for this.
            let _ = tell.send(written);
        };
        if !records.is_empty() {
            self.turns.push_back(turn);
            self.writer
                .submit_then(records.into_iter().map(entry).collect(), done);
        } else if self.turns.is_empty() {
            self.carry_out(turn);
        } else {
            self.turns.push_back(turn);
            self.writer.barrier_then(done);
        }
    }

    fn show(&self, viewer: Viewer) -> View {
        match viewer {
            Viewer::Seen(answer) => View::Seen(answer, self.seen()),
            Viewer::Exported(answer) => {
                let exported = self.machine.ledger().export(clock::now().wall);
                View::Exported(answer, Box::new(exported))
            }
        }
    }

    fn seen(&self) -> Seen {
        Seen {
            view: self.machine.view(),
            index: self.machine.ledger().index(),
            connected: self.links.len(),
        }
    }

    /// The oldest turn is durable.
    fn perform(&mut self, written: Option<Written>) -> Result<(), Error> {
        let written = written.expect("the task holds a sender of its own");
        written.map_err(|why| Error::Append {
            pool: self.pool.clone(),
            why,
        })?;
        let turn = self
            .turns
            .pop_front()
            .expect("each turn that waits is answered once");
        self.carry_out(turn);
        Ok(())
    }

    fn carry_out(&mut self, turn: Turn) {
        for effect in turn.effects {
            match effect {
                Effect::Send { link, message } => {
                    let heard = self
                        .links
                        .get(&link)
                        .is_none_or(|outbox| outbox.send(message));
                    if !heard {
                        self.hang_up(link);
                    }
                }
                // What was sent before is still delivered.
                Effect::Close { link } => drop(self.links.remove(&link)),
                Effect::Answer { ask, answer } => {
                    if let Some(waiting) = self.asks.remove(&ask) {
                        // Who does not wait any more has lost nothing by it.
                        let _ = waiting.send(answer);
                    }
                }
                Effect::Note(note) => events::note(&self.pool, &note),
            }
        }
        self.newest
            .send_if_modified(|told| std::mem::replace(told, turn.newest) != turn.newest);
        for view in turn.views {
            // Who does not wait any more has lost nothing by it.
            match view {
                View::Seen(viewer, seen) => drop(viewer.send(seen)),
                View::Exported(viewer, exported) => drop(viewer.send(*exported)),
            }
        }
    }

    /// A node that does not read what it is told is not waited for: its queue would grow without bound.
    fn hang_up(&mut self, link: Link) {
        events::session_slow(&self.pool, link);
        if let Some(outbox) = self.links.remove(&link) {
            outbox.cut_off();
        }
        self.noticed.push(Input::Closed { link });
    }
}

type Deadline = (
    Option<dormouse_engine::time::WallTime>,
    Option<dormouse_engine::time::BootTime>,
);

async fn ring(alarm: &mut Alarm, (wall, boot): Deadline, rests: bool) -> std::io::Result<()> {
    if rests {
        tokio::time::sleep(REST).await;
    }
    alarm.until(wall, boot).await
}

fn entry(record: Record) -> Entry {
    match record.value {
        Some(value) => Entry::put(record.key, value),
        None => Entry::delete(record.key),
    }
}
