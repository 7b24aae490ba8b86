//! What stands around the machine of one pool: its mail, the connections of nodes, those who ask and those who look.
//!
//! The loop itself, and the rule that nothing is told before it is durable, is the shell's.

use super::{BOUNDS, Handle, Mail, Seen};
use crate::Error;
use crate::events;
use crate::session::Outbox;
use dormouse_edge::clock;
use dormouse_edge::shell::{self, Around, Course, Letters, Shell, TURN, mailbox};
use dormouse_edge::timers::Feed;
use dormouse_engine::decision::Decision;
use dormouse_engine::id::PoolId;
use dormouse_engine::ledger::{Exported, Place, Stored};
use dormouse_engine::message::NodeMessage;
use dormouse_engine::op::Answer;
use dormouse_engine::pool::{Config, Effect, Input, Link, Pool};
use dormouse_engine::record::Reader;
use dormouse_store::{self as store, Disk, Journal, Kind, Writer};
use std::cell::LazyCell;
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{oneshot, watch};
use uuid::Uuid;

/// The task of one pool.
pub(crate) struct Task {
    pool: PoolId,
    writer: Writer,
    shell: Shell<Pool, Surroundings>,
}

/// What the machine's decisions reach.
struct Surroundings {
    pool: PoolId,
    mail: Letters<Mail>,
    /// Connections that are no more, but of which something still waits.
    closing: BTreeSet<Link>,
    /// What the shell itself has to tell the machine.
    noticed: Vec<Input>,
    links: BTreeMap<Link, Outbox>,
    asks: BTreeMap<u64, oneshot::Sender<Answer>>,
    last_ask: u64,
    /// Those who want to see what is after the next turn.
    viewers: Vec<Viewer>,
    /// The number of the newest durable change, for those who watch.
    newest: watch::Sender<u64>,
    /// The number of the newest change that is a part of a turn.
    decided: u64,
    course: Course,
}

/// What is shown when a turn is performed.
struct Shown {
    views: Vec<View>,
    /// The number of the newest change after it.
    newest: u64,
}

/// What somebody wants to see, as it is after the turn; it may be shown once that is durable.
enum View {
    Seen(oneshot::Sender<Arc<Seen>>, Arc<Seen>),
    Exported(oneshot::Sender<Exported>, Box<Exported>),
}

/// Somebody who wants to see what is after the turn.
enum Viewer {
    Seen(oneshot::Sender<Arc<Seen>>),
    Exported(Option<Place>, oneshot::Sender<Exported>),
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
    let mut state = loaded.records.decode(|| {
        let mut reader = Reader::new(pool.clone());
        move |key: &[u8], value: &[u8]| Stored::decode(key, value, &mut reader)
    });
    let machine = Pool::from_facts(config, &mut state, clock::now());
    // First: a machine of records that ended early is none.
    state.finish()?;
    match machine {
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
    let (mail, letters) = mailbox(BOUNDS);
    let decided = machine.ledger().newest_change();
    let (newest, told) = watch::channel(decided);
    let handle = Handle {
        pool: pool.clone(),
        mail,
        feed: Feed {
            counter: Uuid::now_v7().as_u128(),
            newest: told,
        },
    };
    let around = Surroundings {
        pool: pool.clone(),
        mail: letters,
        closing: BTreeSet::new(),
        noticed: Vec::new(),
        links: BTreeMap::new(),
        asks: BTreeMap::new(),
        last_ask: 0,
        viewers: Vec::new(),
        newest,
        decided,
        course: Course::On,
    };
    let task = Task {
        pool,
        writer: writer.clone(),
        shell: Shell::new((machine, first), writer, around)?,
    };
    Ok((handle, task))
}

impl Task {
    /// Runs until it is told to stop, then answers what was decided and closes the journal.
    ///
    /// # Errors
    /// If something could not be made durable: then nothing more was answered.
    pub(crate) async fn run(self) -> Result<(), Error> {
        let Self {
            pool,
            writer,
            shell,
        } = self;
        match shell.run().await {
            Ok(_) => {}
            Err(shell::Error::Append(why)) => return Err(Error::Append { pool, why }),
            Err(shell::Error::Alarm(why)) => return Err(why.into()),
        }
        let closed = tokio::task::spawn_blocking(move || writer.close()).await;
        closed.map_err(|why| Error::Task {
            pool,
            why: why.to_string(),
        })
    }
}

impl Around<Pool> for Surroundings {
    type About = Shown;

    async fn ready(&mut self) {
        if self.noticed.is_empty() {
            self.mail.ready(None).await;
        }
    }

    fn gather(&mut self) -> Vec<Input> {
        let mut inputs = Vec::new();
        for letter in self.mail.take(TURN, None) {
            inputs.extend(self.open(letter));
        }
        // A connection ends after everything that was heard on it.
        inputs.append(&mut self.noticed);
        inputs
    }

    fn about(&mut self, machine: &Pool) -> Option<Shown> {
        let newest = machine.ledger().newest_change();
        let has_news = std::mem::replace(&mut self.decided, newest) != newest;
        let viewers = std::mem::take(&mut self.viewers).into_iter();
        // One look for all of them: a turn is not longer for a hundred.
        let seen = LazyCell::new(|| self.look(machine));
        let views = viewers.map(|viewer| show(machine, viewer, &seen));
        let views: Vec<View> = views.collect();
        (has_news || !views.is_empty()).then_some(Shown { views, newest })
    }

    fn perform(&mut self, effect: Effect, _: Option<&Shown>) {
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

    fn performed(&mut self, shown: Shown) {
        self.newest
            .send_if_modified(|told| std::mem::replace(told, shown.newest) != shown.newest);
        for view in shown.views {
            // Who does not wait any more has lost nothing by it.
            match view {
                View::Seen(viewer, seen) => drop(viewer.send(seen)),
                View::Exported(viewer, exported) => drop(viewer.send(*exported)),
            }
        }
    }

    fn restless(&self) {
        events::pool_restless(&self.pool);
    }

    fn took_long(&self, turn: Duration) {
        events::turn_long(&self.pool, turn);
    }

    fn course(&self) -> Course {
        self.course
    }
}

impl Surroundings {
    fn open(&mut self, letter: Mail) -> Option<Input> {
        match letter {
            Mail::Opened {
                link,
                outbox,
                hello,
            } => {
                self.links.insert(link, outbox);
                let message = NodeMessage::Hello(*hello);
                Some(Input::Said { link, message })
            }
            Mail::Beat { line } => {
                let heartbeat = line.take_beat(clock::now().boot)?;
                let message = NodeMessage::Heartbeat(heartbeat);
                Some(Input::Said {
                    link: line.link,
                    message,
                })
            }
            Mail::Said { line, message } => {
                line.note_taken(matches!(*message, NodeMessage::Report(_)));
                if line.is_heard_out() && self.closing.remove(&line.link) {
                    self.noticed.push(Input::Closed { link: line.link });
                }
                Some(Input::Said {
                    link: line.link,
                    message: *message,
                })
            }
            Mail::Closed { line } => {
                self.links.remove(&line.link);
                match line.is_heard_out() {
                    true => self.noticed.push(Input::Closed { link: line.link }),
                    false => drop(self.closing.insert(line.link)),
                }
                None
            }
            Mail::Asked { op, answer } => {
                let ask = self.expect(answer);
                Some(Input::Asked { ask, op })
            }
            Mail::Brought { restore, answer } => {
                let ask = self.expect(answer);
                Some(Input::Brought { ask, restore })
            }
            Mail::Viewed { answer } => {
                self.viewers.push(Viewer::Seen(answer));
                None
            }
            Mail::Exported { after, answer } => {
                self.viewers.push(Viewer::Exported(after, answer));
                None
            }
            Mail::Stop => {
                self.course = Course::Finish;
                None
            }
        }
    }

    /// Somebody waits for an answer; it will carry this number.
    fn expect(&mut self, answer: oneshot::Sender<Answer>) -> u64 {
        self.last_ask += 1;
        self.asks.insert(self.last_ask, answer);
        self.last_ask
    }

    fn look(&self, machine: &Pool) -> Arc<Seen> {
        Arc::new(Seen {
            view: machine.view(),
            index: machine.ledger().index(),
            connected: self.links.len(),
        })
    }

    /// A node that has read nothing for longer than a lease does not act on what it is told.
    fn hang_up(&mut self, link: Link) {
        events::session_slow(&self.pool, link);
        if let Some(outbox) = self.links.remove(&link) {
            outbox.cut_off();
        }
        self.noticed.push(Input::Closed { link });
    }
}

fn show<F: FnOnce() -> Arc<Seen>>(
    machine: &Pool,
    viewer: Viewer,
    seen: &LazyCell<Arc<Seen>, F>,
) -> View {
    match viewer {
        Viewer::Seen(answer) => View::Seen(answer, Arc::clone(seen)),
        Viewer::Exported(after, answer) => {
            let exported = machine.ledger().export(after, clock::now().wall);
            View::Exported(answer, Box::new(exported))
        }
    }
}
