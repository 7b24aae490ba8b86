//! The one writer of a journal: a thread, and the handle by which tasks submit groups.
//!
//! ```text
//!   task: submit(group) -> Ticket, goes on gathering
//!            '-> waiting: [g7 g8 g9]          thread: append_all([g4 g5 g6]) in flight, then answers
//!                                              4, 5, 6 in that order, then takes [g7 g8 g9], then upkeep
//! ```
//!
//! One unit is in flight; what waits meanwhile shares the next one, and its fdatasync. Feeding a snapshot and
//! truncation are small steps between units. What a failure means is the owner's: the process must end.

mod ticket;
mod upkeep;

use crate::entry::Group;
use crate::error::Error;
use crate::journal::{Journal, Loaded};
use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
pub use ticket::Ticket;
use upkeep::Upkeep;

/// When the writer takes a snapshot, and how much it does at a time.
#[derive(Debug, Clone)]
pub struct Policy {
    /// No snapshot before the log has grown by this many bytes since the last one.
    pub log_bytes_min: u64,
    /// No snapshot before the log since the last one is this share of it, in percent.
    pub log_percent: u64,
    /// Bytes of the log that are read for a snapshot between two units.
    pub snapshot_step_bytes: usize,
    /// Log keys that are dropped between two units.
    pub truncate_step_keys: usize,
    /// Waiting groups are written together up to this many bytes; a bigger group goes alone.
    pub unit_bytes_max: usize,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            log_bytes_min: 8 << 20,
            log_percent: 50,
            snapshot_step_bytes: 128 << 10,
            truncate_step_keys: 64,
            unit_bytes_max: 1 << 20,
        }
    }
}

type Answer = Box<dyn FnOnce(Result<u64, Error>) + Send>;

struct Submission {
    /// `None` is a barrier: it waits for what is before it and writes nothing.
    group: Option<Group>,
    position: u64,
    bytes: usize,
    answer: Answer,
}

#[derive(Default)]
struct Queue {
    waiting: VecDeque<Submission>,
    waiting_bytes: usize,
    /// The last position that was given to a submission.
    position: u64,
    /// A snapshot has got on.
    woken: bool,
    /// The thread sleeps, and has to be woken. While a unit is in flight it looks by itself for what has come.
    sleeps: bool,
    closed: bool,
    failed: Option<Error>,
}

#[derive(Default)]
struct Shared {
    queue: Mutex<Queue>,
    submitted: Condvar,
}

impl Shared {
    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wake(&self) {
        self.queue().woken = true;
        self.submitted.notify_one();
    }
}

/// A handle of the writer thread. Clones are handles of the same one; when the last is dropped, what was
/// submitted is still written, then the thread ends and the journal is closed.
///
/// ```
/// use dormouse_store::{Entry, Memory, Writer};
///
/// let (writer, loaded) = Writer::start(Memory::new())?;
/// assert_eq!(loaded.position, 0);
/// let ticket = writer.submit(vec![Entry::put(*b"timer/1", *b"at noon"), Entry::delete(*b"timer/0")]);
/// // Go on gathering; answer nobody before the ticket is answered. It is a future, too.
/// assert_eq!(ticket.wait()?, 1);
/// # Ok::<(), dormouse_store::Error>(())
/// ```
#[derive(Clone)]
pub struct Writer {
    owner: Arc<Owner>,
}

struct Owner {
    shared: Arc<Shared>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Writer {
    /// Loads the journal and starts its thread.
    ///
    /// # Errors
    /// Those of [`Journal::load`]; or the system has no thread left.
    pub fn start(journal: impl Journal + 'static) -> Result<(Self, Loaded), Error> {
        Self::with_policy(journal, Policy::default())
    }

    /// As [`start`](Self::start), with a policy of the caller's.
    ///
    /// # Errors
    /// As [`start`](Self::start).
    pub fn with_policy(
        mut journal: impl Journal + 'static,
        policy: Policy,
    ) -> Result<(Self, Loaded), Error> {
        let loaded = journal.load()?;
        let shared = Arc::new(Shared::default());
        shared.queue().position = loaded.position;
        let of_snapshot = Arc::clone(&shared);
        journal.wake_with(Arc::new(move || of_snapshot.wake()));
        let of_thread = Arc::clone(&shared);
        let thread = thread::Builder::new()
            .name("dormouse-journal".into())
            .spawn(move || run(journal, &of_thread, policy))
            .map_err(Error::io("start a thread for", "the journal".as_ref()))?;
        let owner = Owner {
            shared,
            thread: Mutex::new(Some(thread)),
        };
        Ok((
            Self {
                owner: Arc::new(owner),
            },
            loaded,
        ))
    }

    /// Submits what one turn decided; the ticket is answered when it is durable, in the order of
    /// submission. It is written even if it is empty, which proves that the disk still takes writes.
    pub fn submit(&self, group: Group) -> Ticket {
        let (answer, slot) = ticket::slot();
        Ticket::new(self.push(Some(group), answer), slot)
    }

    /// As [`submit`](Self::submit), with a callback instead of a ticket; answers the position that the
    /// group will have. The callback runs on the writer's thread and must be short (or on the
    /// caller's, if the writer has failed or is closed).
    pub fn submit_then(
        &self,
        group: Group,
        answer: impl FnOnce(Result<u64, Error>) + Send + 'static,
    ) -> u64 {
        self.push(Some(group), Box::new(answer))
    }

    /// Calls back when everything submitted before it is durable; writes nothing itself. For a turn without
    /// records, whose effects must still wait for those of earlier turns.
    pub fn barrier_then(&self, answer: impl FnOnce(Result<u64, Error>) + Send + 'static) -> u64 {
        self.push(None, Box::new(answer))
    }

    /// The last position that was given to a group. The next group gets the one after it, which only
    /// a sole submitter can rely on.
    #[must_use]
    pub fn position(&self) -> u64 {
        self.owner.shared.queue().position
    }

    /// Bytes that wait for the group in flight: a submitter that sees this grow should take less in.
    #[must_use]
    pub fn waiting_bytes(&self) -> usize {
        self.owner.shared.queue().waiting_bytes
    }

    /// Refuses further groups, waits until everything submitted is answered, and closes the journal.
    pub fn close(&self) {
        self.owner.close();
    }

    fn push(&self, group: Option<Group>, answer: Answer) -> u64 {
        let mut queue = self.owner.shared.queue();
        let refused = match (&queue.failed, queue.closed) {
            (Some(error), _) => Some(error.clone()),
            (None, closed) => closed.then_some(Error::Closed),
        };
        if let Some(error) = refused {
            let position = queue.position;
            drop(queue);
            answer(Err(error));
            return position;
        }
        queue.position += u64::from(group.is_some());
        let position = queue.position;
        let bytes = group.iter().flatten().map(crate::Entry::size).sum();
        queue.waiting_bytes += bytes;
        queue.waiting.push_back(Submission {
            group,
            position,
            bytes,
            answer,
        });
        let sleeps = std::mem::take(&mut queue.sleeps);
        drop(queue);
        if sleeps {
            self.owner.shared.submitted.notify_one();
        }
        position
    }
}

impl Owner {
    fn close(&self) {
        self.shared.queue().closed = true;
        self.shared.submitted.notify_one();
        let thread = self
            .thread
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        match thread {
            // The last handle may be dropped by a callback: then the thread ends by itself.
            Some(thread) if thread.thread().id() != thread::current().id() => {
                // A panic of the thread was already answered to everybody who waited.
                let _ = thread.join();
            }
            _ => {}
        }
    }
}

impl Drop for Owner {
    fn drop(&mut self) {
        self.close();
    }
}

fn run(mut journal: impl Journal, shared: &Shared, policy: Policy) {
    let worked = catch_unwind(AssertUnwindSafe(|| {
        write_until_closed(&mut journal, shared, &policy)
    }));
    let error = match worked {
        Ok(Ok(())) => return close(&mut journal),
        Ok(Err(error)) => error,
        Err(_) => Error::Stopped("the writer panicked".into()),
    };
    tracing::error!(%error, "the journal failed; the process must end");
    refuse_all(shared, &error);
}

fn close(journal: &mut impl Journal) {
    if let Err(error) = journal.close() {
        tracing::warn!(%error, "the clean stop could not be noted");
    }
}

fn write_until_closed(
    journal: &mut impl Journal,
    shared: &Shared,
    policy: &Policy,
) -> Result<(), Error> {
    let mut upkeep = Upkeep::default();
    while let Some(submissions) = next_unit(shared, policy, upkeep.is_busy()) {
        if !submissions.is_empty() {
            write(journal, shared, submissions)?;
        }
        upkeep.step(journal, policy);
    }
    Ok(())
}

/// What is written next, and perhaps nothing if there is upkeep to do; `None` when all is done.
fn next_unit(shared: &Shared, policy: &Policy, busy: bool) -> Option<Vec<Submission>> {
    let mut queue = shared.queue();
    while queue.waiting.is_empty() && !busy && !queue.woken && !queue.closed {
        queue.sleeps = true;
        queue = shared
            .submitted
            .wait(queue)
            .unwrap_or_else(PoisonError::into_inner);
    }
    if queue.waiting.is_empty() && queue.closed {
        return None;
    }
    (queue.woken, queue.sleeps) = (false, false);
    let mut unit = Vec::new();
    let mut bytes = 0;
    while let Some(next) = queue.waiting.front() {
        bytes += next.bytes;
        if bytes > policy.unit_bytes_max && !unit.is_empty() {
            break;
        }
        unit.extend(queue.waiting.pop_front());
    }
    queue.waiting_bytes -= unit
        .iter()
        .map(|submission| submission.bytes)
        .sum::<usize>();
    Some(unit)
}

fn write(
    journal: &mut impl Journal,
    shared: &Shared,
    mut submissions: Vec<Submission>,
) -> Result<(), Error> {
    let groups: Vec<Group> = submissions
        .iter_mut()
        .filter_map(|s| s.group.take())
        .collect();
    let written = journal.append_all(&groups).and_then(|last| {
        let expected = submissions
            .last()
            .map_or(last, |submission| submission.position);
        if last == expected {
            return Ok(());
        }
        Err(Error::Stopped(format!(
            "the journal is at group {last}, expected {expected}"
        )))
    });
    if let Err(error) = &written {
        // First closed to new groups, so that nothing is answered Ok after a failure.
        shared.queue().failed = Some(error.stopped());
    }
    for submission in submissions {
        (submission.answer)(written.clone().map(|()| submission.position));
    }
    written
}

fn refuse_all(shared: &Shared, error: &Error) {
    let mut queue = shared.queue();
    queue.failed = Some(error.stopped());
    queue.waiting_bytes = 0;
    let waiting = std::mem::take(&mut queue.waiting);
    drop(queue);
    for submission in waiting {
        (submission.answer)(Err(error.stopped()));
    }
}
