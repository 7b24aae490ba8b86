//! A snapshot in the making: the journal's thread feeds it the log, a thread of its own does all else.
//!
//! ```text
//!   journal's thread    reads a piece of the log ----.  ----.      (never waits; goes on appending)
//!                                                    v      v
//!   dormouse-snapshot   fold, runs ........ merge with the newest snapshot, write, sync, publish
//! ```
//!
//! Only the journal's thread touches sled. Only what was durable when it began is fed, so that the file may be
//! published as soon as it is. In memory are one fold, a page of each run and the pieces on their way.

use crate::blocks::BlockWriter;
use crate::error::Error;
use crate::fold::Fold;
use crate::log::Log;
use crate::merge::{Merge, Source};
use crate::replay::{Replay, Unit};
use crate::snapshot::{Place, Published, Snapshots};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError, TrySendError, sync_channel};
use std::thread::{self, JoinHandle};

/// Pieces that may wait for the thread.
const PIECES: usize = 2;

/// Tells the journal's thread that a step is due.
pub(crate) type Wake = Arc<dyn Fn() + Send + Sync>;

type Piece = Vec<Unit>;

/// What the journal's thread has to do next.
pub(crate) enum Step {
    /// Feed on.
    Feed,
    /// Nothing before it is woken.
    Wait,
    /// Take notice of what was published.
    Published(Published),
}

/// A snapshot that is being made.
pub(crate) struct Merging {
    replay: Replay,
    until: u64,
    feed: Option<SyncSender<Piece>>,
    /// A piece for which there was no room.
    waits: Option<Piece>,
    ended: Receiver<Result<Published, Error>>,
    given_up: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
    /// Bytes of the log that it makes superfluous.
    pub log_bytes: u64,
}

impl Merging {
    /// Begins a snapshot of all groups up to `until`, which are durable.
    pub(crate) fn begin(
        snapshots: &Snapshots,
        until: u64,
        log_bytes: u64,
        wake: Option<Wake>,
    ) -> Result<Self, Error> {
        let (feed, pieces) = sync_channel(PIECES);
        let (tell, ended) = sync_channel(1);
        let given_up = Arc::new(AtomicBool::new(false));
        let job = Job {
            base: snapshots.read_newest()?.map(Source::new).transpose()?,
            place: snapshots.place(until),
            given_up: Arc::clone(&given_up),
        };
        let thread = thread::Builder::new()
            .name("dormouse-snapshot".into())
            .spawn(move || {
                let rouse = Rouse(wake);
                // The journal is gone only when it has given this up.
                let _ = tell.send(job.run(&pieces, &rouse));
            });
        Ok(Self {
            replay: Replay::after(snapshots.newest().at),
            until,
            feed: Some(feed),
            waits: None,
            ended,
            given_up,
            thread: Some(thread.map_err(Error::io("start a thread for", "a snapshot".as_ref()))?),
            log_bytes,
        })
    }

    /// Goes on by about `budget` bytes of the log, without waiting for anything but its disk.
    pub(crate) fn step(&mut self, log: &Log, budget: usize) -> Result<Step, Error> {
        match self.ended.try_recv() {
            Ok(ended) => return ended.map(Step::Published),
            Err(TryRecvError::Empty) => {}
            Err(TryRecvError::Disconnected) => {
                return Err(Error::Stopped("the thread of a snapshot panicked".into()));
            }
        }
        let Some(feed) = &self.feed else {
            return Ok(Step::Wait);
        };
        let piece = match self.waits.take() {
            Some(piece) => piece,
            None => self.replay.read(log, self.until, budget)?,
        };
        if piece.is_empty() {
            // Its end is the end of the channel.
            self.feed = None;
            return Ok(Step::Wait);
        }
        match feed.try_send(piece) {
            Ok(()) => Ok(Step::Feed),
            Err(TrySendError::Full(piece)) => {
                self.waits = Some(piece);
                Ok(Step::Wait)
            }
            // It has failed: the next step hears why.
            Err(TrySendError::Disconnected(_)) => Ok(Step::Wait),
        }
    }
}

/// Gives up what is not published yet, and waits for the thread: at most for a page and a sync.
impl Drop for Merging {
    fn drop(&mut self) {
        self.given_up.store(true, Ordering::Relaxed);
        self.feed = None;
        if let Some(thread) = self.thread.take() {
            // A panic there was already told by `step`.
            let _ = thread.join();
        }
    }
}

/// Wakes the journal's thread, and once more when the thread of the snapshot ends, however it does.
struct Rouse(Option<Wake>);

impl Rouse {
    fn wake(&self) {
        if let Some(wake) = &self.0 {
            wake();
        }
    }
}

impl Drop for Rouse {
    fn drop(&mut self) {
        self.wake();
    }
}

/// What the thread does.
struct Job {
    base: Option<Source>,
    place: Place,
    given_up: Arc<AtomicBool>,
}

impl Job {
    fn run(self, pieces: &Receiver<Piece>, rouse: &Rouse) -> Result<Published, Error> {
        let mut fold = Fold::new(&self.place.run());
        while let Ok(piece) = pieces.recv() {
            rouse.wake();
            for unit in piece {
                unit.fold_into(&mut fold)?;
                self.go_on()?;
            }
        }
        self.go_on()?;
        let sources = self.base.into_iter().chain(fold.into_sources()?).collect();
        let (file, path) = self.place.create()?;
        let mut out = BlockWriter::begin(file, &path, self.place.at)?;
        for page in Merge::new(sources) {
            out.page(&page?)?;
            out.sync_now_and_then()?;
            if self.given_up.load(Ordering::Relaxed) {
                return Err(Error::Closed);
            }
        }
        let (file, totals) = out.end()?;
        self.place.publish(&file, totals)
    }

    fn go_on(&self) -> Result<(), Error> {
        if self.given_up.load(Ordering::Relaxed) {
            return Err(Error::Closed);
        }
        Ok(())
    }
}
