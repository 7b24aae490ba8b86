//! What stands around the base: the link, those who ask, and the executor.
//!
//! The loop itself, and the rule that nothing is said or launched before it is durable, is the shell's.

#[cfg(test)]
mod tests;

use crate::config::Error;
use crate::events;
use crate::executor::Executor;
use crate::link::{Event, Outgoing};
use dormouse_edge::clock;
use dormouse_edge::shell::{self, Around, Budget, Course, Lane, Letters, Shell, TURN};
use dormouse_engine::base::{Base, Effect, Input, View};
use dormouse_engine::decision::Decision;
use dormouse_engine::op::{Answer, Op};
use dormouse_store::Writer;
use std::cell::LazyCell;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot, watch};

/// Inputs of one turn; more wait for the next one, so that no turn holds up a launch for long.
const TURN_INPUTS_MAX: usize = 512;
/// Requests that the base has in work at once; more wait in their lanes. Each may be one that goes to the coordinator.
pub(crate) const ASKS_MAX: usize = 4_096;
/// Of those, the ones that only look: their answers are large, and come on the session beside its lease.
const READS_MAX: usize = 32;

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
pub(crate) struct Inbox {
    /// From the link.
    pub(crate) link: mpsc::Receiver<Event>,
    /// From the API.
    pub(crate) asks: Letters<Ask>,
}

/// Why the task ended without an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// Everything was handed over, or nothing could be.
    Stopped,
    /// Another process has the node's name.
    Clashed,
}

/// The base with its shell.
pub(crate) struct Task(Shell<Base, Surroundings>);

/// What the base's decisions reach.
struct Surroundings {
    executor: Arc<Executor>,
    inbox: Inbox,
    /// Taken from the mailbox, but not yet part of a turn.
    event: Option<Event>,
    /// The connection that is open, if one is.
    outgoing: Option<Outgoing>,
    waiting: BTreeMap<u64, (Lane, oneshot::Sender<Answer>)>,
    /// Of those, the ones that only look.
    reads: usize,
    ask_last: u64,
    /// Those who want to see what is after the next turn.
    viewers: Vec<oneshot::Sender<View>>,
    /// The number of the newest durable change, for those who watch.
    newest: watch::Sender<u64>,
    end: Option<End>,
}

/// What goes along with a turn.
struct About {
    /// The connection that its messages are meant for: a later one has another session.
    outgoing: Option<Outgoing>,
    /// The number of the newest change after it. A timer that is in no journal changes without a record, and nobody
    /// but those who watch may have to hear of it.
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
        inbox: Inbox,
    ) -> Result<(Self, watch::Receiver<u64>), Error> {
        let (newest, told) = watch::channel(base.newest_change());
        let around = Surroundings {
            executor,
            inbox,
            event: None,
            outgoing: None,
            waiting: BTreeMap::new(),
            reads: 0,
            ask_last: 0,
            viewers: Vec::new(),
            newest,
            end: None,
        };
        let shell = Shell::new((base, first), writer, around).map_err(Error::system("a timer"))?;
        Ok((Self(shell), told))
    }

    /// Runs until the base has stopped.
    ///
    /// # Errors
    /// If a group could not be made durable.
    pub(crate) async fn run(self) -> Result<End, Error> {
        match self.0.run().await {
            Ok(around) => Ok(around.end.unwrap_or(End::Stopped)),
            Err(shell::Error::Append(why)) => {
                events::journal_failed(&why);
                Err(why.into())
            }
            Err(shell::Error::Alarm(why)) => Err(Error::system("a timer")(why)),
        }
    }
}

impl Around<Base> for Surroundings {
    type About = About;

    /// What it takes it leaves in `event`.
    async fn ready(&mut self) {
        if self.event.is_some() {
            return;
        }
        let (held, has_room) = (self.held(), self.waiting.len() < ASKS_MAX);
        tokio::select! {
            biased;
            () = self.executor.changed() => {}
            // A closed channel has no news any more.
            Some(next) = self.inbox.link.recv() => self.event = Some(next),
            () = self.inbox.asks.ready(held), if has_room => {}
        }
    }

    fn gather(&mut self) -> Vec<Input> {
        let mut inputs = self.executor.drain();
        while inputs.len() < TURN_INPUTS_MAX
            && let Some(event) = self
                .event
                .take()
                .or_else(|| self.inbox.link.try_recv().ok())
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
        let room = ASKS_MAX.saturating_sub(self.waiting.len());
        let budget = Budget {
            items: TURN.items.min(room),
            ..TURN
        };
        for ask in self.inbox.asks.take(budget, self.held()) {
            inputs.extend(self.admit(ask));
        }
        inputs
    }

    fn about(&mut self, base: &Base) -> Option<About> {
        // One look for all of them: a turn is not longer for a hundred.
        let view = LazyCell::new(|| base.view(clock::now()));
        for viewer in self.viewers.drain(..) {
            // Who asked may be gone.
            let _ = viewer.send(view.clone());
        }
        Some(About {
            outgoing: self.outgoing.clone(),
            newest: base.newest_change(),
        })
    }

    fn perform(&mut self, effect: Effect, about: Option<&About>) {
        let outgoing = about.and_then(|about| about.outgoing.as_ref());
        match effect {
            Effect::Send(message) => {
                if let Some(outgoing) = outgoing {
                    outgoing.say(message);
                }
            }
            Effect::Answer { ask, answer } => {
                if let Some((lane, reply)) = self.waiting.remove(&ask) {
                    self.reads -= usize::from(lane == Lane::Read);
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

    fn performed(&mut self, about: About) {
        self.newest
            .send_if_modified(|told| std::mem::replace(told, about.newest) != about.newest);
    }

    fn restless(&self) {
        events::restless();
    }

    fn took_long(&self, turn: Duration) {
        events::turn_long(turn);
    }

    fn course(&self) -> Course {
        match self.end {
            Some(_) => Course::Leave,
            None => Course::On,
        }
    }
}

impl Surroundings {
    /// The lane of which nothing is taken now.
    fn held(&self) -> Option<Lane> {
        (self.reads >= READS_MAX).then_some(Lane::Read)
    }

    fn admit(&mut self, ask: Ask) -> Option<Input> {
        match ask {
            Ask::Op(op, reply) => {
                let lane = Lane::of(&op);
                self.ask_last += 1;
                self.reads += usize::from(lane == Lane::Read);
                self.waiting.insert(self.ask_last, (lane, reply));
                Some(Input::Asked {
                    ask: self.ask_last,
                    op,
                })
            }
            Ask::View(reply) => {
                self.viewers.push(reply);
                None
            }
            Ask::Stop => Some(Input::Stop),
        }
    }
}
