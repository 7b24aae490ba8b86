//! The task around [`Turns`]: it waits for mail, the disk and the clock, and does what is next.
//!
//! What is decided, and when an effect may be performed, is not this file's affair. If a group cannot be made durable
//! nothing more is performed, and the process has to end.

use super::turns::{Ahead, Step, Turns};
use crate::clock::{self, Alarm};
use dormouse_engine::decision::Decision;
use dormouse_engine::machine::Machine;
use dormouse_engine::record::Record;
use dormouse_engine::time::Deadlines;
use dormouse_store::{self as store, Entry, Ticket, Writer};
use std::collections::VecDeque;
use std::future::poll_fn;
use std::io;
use std::pin::pin;
use std::time::Duration;

/// A machine whose deadline is over although nothing follows from it is asked again after this.
const REST: Duration = Duration::from_millis(10);

/// A turn that takes longer is told of: meanwhile nothing else is heard, not even that a lease goes on. A turn's work has
/// a bound that is below this on any machine that is not kept from working.
const TURN_MAX: Duration = Duration::from_millis(10);

/// How far decisions may be ahead of the disk. The journal writes together what waits for it, and a turn costs
/// little, so that many small turns are not worse than few large ones. The bytes are one unit of the journal that is
/// being written and one that gathers: a run that is launched waits for both, and what waits beyond that does so in
/// its lane, where it can be refused.
const AHEAD: Ahead = Ahead {
    turns: 64,
    bytes: 2 << 20,
};

/// What stands around a machine: its mail, its connections, its workers.
pub trait Around<M: Machine>: Send {
    /// What goes along with a turn until its effects are performed.
    type About: Send;

    /// Waits until there is something for a turn. May be dropped at any point; nothing is lost by that.
    fn ready(&mut self) -> impl Future<Output = ()> + Send;

    /// What waits, at most as much as one turn may be told.
    fn gather(&mut self) -> Vec<M::Input>;

    /// What goes along with the turn that was just decided, if anything does.
    fn about(&mut self, machine: &M) -> Option<Self::About>;

    /// Does what a turn wants done.
    fn perform(&mut self, effect: M::Effect, about: Option<&Self::About>);

    /// All effects of a turn are performed.
    fn performed(&mut self, about: Self::About);

    /// A deadline stays over although nothing follows from it, which only a fault of the engine causes.
    fn restless(&self);

    /// A turn took longer than it may, and longer than each one before it.
    fn took_long(&self, turn: Duration);

    /// Whether the loop goes on.
    fn course(&self) -> Course;
}

/// Whether the loop of a shell goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Course {
    /// It does.
    On,
    /// What is decided is still performed; nothing more is decided.
    Finish,
    /// It ends here: nothing more is performed.
    Leave,
}

/// Why a shell cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A group could not be made durable. What waited for it was not performed.
    #[error(transparent)]
    Append(store::Error),
    /// The system refuses a timer.
    #[error("the system refuses a timer: {0}")]
    Alarm(io::Error),
}

/// A machine with its journal, its alarm and its surroundings.
pub struct Shell<M: Machine, A: Around<M>> {
    turns: Turns<M, A::About>,
    /// The groups on their way, the oldest first.
    tickets: VecDeque<Ticket>,
    writer: Writer,
    alarm: Alarm,
    /// The longest turn, or how long one may take at least.
    longest: Duration,
    around: A,
}

impl<M: Machine, A: Around<M>> Shell<M, A> {
    /// A shell for a machine that was just recovered; `first` is what the recovery decided. Within a tokio runtime.
    ///
    /// # Errors
    /// If the process has no file descriptors left.
    pub fn new(
        (machine, first): (M, Decision<M::Effect>),
        writer: Writer,
        around: A,
    ) -> io::Result<Self> {
        let mut shell = Self {
            turns: Turns::new(machine, AHEAD),
            tickets: VecDeque::new(),
            writer,
            alarm: Alarm::new()?,
            longest: TURN_MAX,
            around,
        };
        let about = shell.around.about(shell.turns.machine());
        let group = shell.turns.submit(first, about);
        shell.append(group);
        Ok(shell)
    }

    /// Runs until its surroundings want it to end. Returns them.
    ///
    /// # Errors
    /// If something could not be made durable: then nothing that waited for it was performed.
    pub async fn run(mut self) -> Result<A, Error> {
        loop {
            self.perform();
            let course = self.around.course();
            if course == Course::Leave || course == Course::Finish && self.turns.is_idle() {
                return Ok(self.around);
            }
            let may_decide = course == Course::On && self.turns.may_decide();
            let at = self.turns.next_deadline();
            let rests = self.turns.is_restless();
            let next = async {
                tokio::select! {
                    biased;
                    durable = durable(&mut self.tickets) => durable.map_err(Error::Append).map(|()| Next::Durable),
                    () = std::future::ready(()), if may_decide && self.turns.has_more() => Ok(Next::Turn),
                    () = self.around.ready(), if may_decide => Ok(Next::Turn),
                    due = ring(&mut self.alarm, at, rests), if may_decide => {
                        due.map_err(Error::Alarm).map(|()| Next::Turn)
                    }
                }
            };
            let (next, has_waited) = telling_whether_it_waits(next).await;
            match next? {
                Next::Durable => self.turns.durable(),
                Next::Turn => {
                    // Whoever was answered goes on before the next turn, even if that could be decided at once. Who
                    // has waited has let them; each time that is yielded the runtime asks the system for events.
                    if !has_waited {
                        tokio::task::yield_now().await;
                    }
                    self.turn();
                }
            }
        }
    }

    /// Everything that waits, as one turn.
    fn turn(&mut self) {
        let inputs = self.around.gather();
        let was_restless = self.turns.is_restless();
        let around = &mut self.around;
        let begun = clock::precise();
        let group = self
            .turns
            .decide(clock::now(), inputs, |machine, _| around.about(machine));
        let took = clock::precise().saturating_sub(begun);
        if took > self.longest {
            self.longest = took;
            self.around.took_long(took);
        }
        if self.turns.is_restless() && !was_restless {
            self.around.restless();
        }
        self.append(group);
    }

    fn append(&mut self, group: Option<Vec<Record>>) {
        if let Some(group) = group {
            let group = group.into_iter().map(entry).collect();
            self.tickets.push_back(self.writer.submit(group));
        }
    }

    /// Does what may be done, up to what ends it all: a node that has left says hello to nobody.
    fn perform(&mut self) {
        while self.around.course() != Course::Leave
            && let Some(step) = self.turns.next_step()
        {
            match step {
                Step::Perform(effect) => self.around.perform(effect, self.turns.about()),
                Step::Performed(about) => self.around.performed(about),
            }
        }
    }
}

/// What comes next.
enum Next {
    /// The oldest group is durable.
    Durable,
    /// There is something to decide.
    Turn,
}

/// What a future gives, and whether it was not there at once.
async fn telling_whether_it_waits<T>(future: impl Future<Output = T>) -> (T, bool) {
    let mut future = pin!(future);
    let mut polls = 0_u32;
    let output = poll_fn(|context| {
        polls = polls.saturating_add(1);
        future.as_mut().poll(context)
    })
    .await;
    (output, polls > 1)
}

/// Waits until the oldest group is durable; for ever if there is none.
async fn durable(tickets: &mut VecDeque<Ticket>) -> Result<(), store::Error> {
    let Some(ticket) = tickets.front_mut() else {
        return std::future::pending().await;
    };
    ticket.await?;
    tickets.pop_front();
    Ok(())
}

/// Waits for a deadline; for a moment at least, if the last one was over and nothing followed.
async fn ring(alarm: &mut Alarm, at: Deadlines, rests: bool) -> io::Result<()> {
    if rests {
        tokio::time::sleep(REST).await;
    }
    alarm.until(at.wall, at.boot).await
}

fn entry(record: Record) -> Entry {
    match record.value {
        Some(value) => Entry::put(record.key, value),
        None => Entry::delete(record.key),
    }
}
