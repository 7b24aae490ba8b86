//! A mailbox: lanes that many tasks post to and one shell takes from.
//!
//! Posting never waits: what has no room is refused. When the shell is gone everything that waited is dropped, so
//! that nobody waits for an answer that does not come.

use super::lanes::{Bounds, Budget, Full, Lane, Lanes};
use crate::clock;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::Notify;

/// Why something was not taken; nothing was done with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refused {
    /// Its lane is full or slow.
    Full,
    /// The shell is gone.
    Ended,
}

/// Where tasks post. Clones post to the same one.
#[derive(Debug)]
pub struct Mailbox<T>(Arc<Shared<T>>);

/// Where the shell takes from; there is one.
#[derive(Debug)]
pub struct Letters<T>(Arc<Shared<T>>);

#[derive(Debug)]
struct Shared<T> {
    /// None when the shell is gone.
    lanes: Mutex<Option<Lanes<T>>>,
    posted: Notify,
}

/// A mailbox whose lanes have these bounds.
#[must_use]
pub fn mailbox<T>(bounds: Bounds) -> (Mailbox<T>, Letters<T>) {
    let shared = Arc::new(Shared {
        lanes: Mutex::new(Some(Lanes::new(bounds))),
        posted: Notify::new(),
    });
    (Mailbox(Arc::clone(&shared)), Letters(shared))
}

impl<T> Clone for Mailbox<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T> Shared<T> {
    fn lanes(&self) -> MutexGuard<'_, Option<Lanes<T>>> {
        self.lanes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T> Mailbox<T> {
    /// Posts an item of so many bytes.
    ///
    /// # Errors
    /// Why it was not taken.
    pub fn post(&self, lane: Lane, bytes: usize, item: T) -> Result<(), Refused> {
        let now = clock::now().boot;
        match self.0.lanes().as_mut() {
            None => return Err(Refused::Ended),
            Some(lanes) => {
                if let Err(Full(_)) = lanes.push(now, lane, bytes, item) {
                    return Err(Refused::Full);
                }
            }
        }
        self.0.posted.notify_one();
        Ok(())
    }

    /// Posts what has a bound of its own, such as one for each session; false if the shell is gone.
    pub fn post_always(&self, lane: Lane, item: T) -> bool {
        let now = clock::now().boot;
        let is_open = match self.0.lanes().as_mut() {
            None => false,
            Some(lanes) => {
                lanes.push_always(now, lane, item);
                true
            }
        };
        self.0.posted.notify_one();
        is_open
    }
}

impl<T> Letters<T> {
    /// Waits until something was posted that is not in the lane that is held.
    pub async fn ready(&self, held: Option<Lane>) {
        loop {
            let posted = self.0.posted.notified();
            if !self.is_empty_but(held) {
                return;
            }
            posted.await;
        }
    }

    fn is_empty_but(&self, held: Option<Lane>) -> bool {
        let lanes = self.0.lanes();
        lanes.as_ref().is_none_or(|it| it.is_empty_but(held))
    }

    /// Takes what one turn may be told; nothing from the lane that is held.
    pub fn take(&self, budget: Budget, held: Option<Lane>) -> Vec<T> {
        let now = clock::now().boot;
        let mut lanes = self.0.lanes();
        let lanes = lanes.as_mut();
        lanes.map_or_else(Vec::new, |lanes| lanes.take(now, budget, held))
    }
}

impl<T> Drop for Letters<T> {
    fn drop(&mut self) {
        let waiting = self.0.lanes().take();
        // Outside of the lock: somebody's answer is dropped with it, and wakes that somebody.
        drop(waiting);
    }
}
