//! What few timers have, in a box that the others do without.
//!
//! A timer that waits for its first run has none of it. Reading it from one without a box gives what every timer
//! begins with; changing it makes the box, and [`Kept::tidy`] drops a box that has become empty.

use super::{LastRun, Phase, RunRecord, Timer};
use crate::id::Token;
use crate::time::WallTime;
use serde::{Deserialize, Serialize};
use std::ops::{Deref, DerefMut};

/// What few timers have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Aside {
    /// Raised by every edit and rearm; occurrences of an older generation are dropped.
    pub generation: u64,
    /// Raised by every change of this record by whoever owns it.
    pub revision: u64,
    /// When its user last changed it, if that was after it was made.
    pub edited: Option<WallTime>,
    /// Occurrences beside the main line, waiting or running.
    pub beside: Vec<Phase>,
    /// Whether nothing of it happens until it is resumed, but for what its user asks for.
    pub paused: bool,
    /// Occurrences of its schedule that have begun.
    pub begun: u64,
    /// The newest token given to a run of it; zero before the first.
    pub token: Token,
    /// How its latest occurrence ended.
    pub last: Option<LastRun>,
    /// Occurrences that were skipped, of all reasons.
    pub skipped: u64,
    /// Why a pinned timer cannot fire just now, if it cannot.
    pub awaits: Option<Awaits>,
    /// The requests that changed it last, so that a repeated one is done once.
    pub requests: Vec<Remembered>,
    /// What the steps have written down of runs, and its owner has not taken yet; never stored.
    pub noted: Vec<RunRecord>,
}

/// A request that has changed a timer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Remembered {
    /// Its id.
    #[serde(with = "crate::record::wide")]
    pub request: u128,
    /// A hash of what it asked for.
    pub digest: u64,
    /// The nominal time of the run that it asked for, if it asked for one.
    pub nominal: Option<WallTime>,
}

/// What a pinned timer waits for beside its time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Awaits {
    /// Its home sleeps, and has not heard of it.
    Home,
    /// Its home has left.
    Return,
}

/// What every timer begins with.
static NOTHING: Aside = Aside {
    generation: 1,
    revision: 1,
    edited: None,
    beside: Vec::new(),
    paused: false,
    begun: 0,
    token: Token(0),
    last: None,
    skipped: 0,
    awaits: None,
    requests: Vec::new(),
    noted: Vec::new(),
};

impl Default for Aside {
    fn default() -> Self {
        NOTHING.clone()
    }
}

/// The box, if there is one.
#[derive(Clone, Default)]
pub(crate) struct Kept(Option<Box<Aside>>);

impl Kept {
    /// The lines beside the main one, to be changed.
    pub(super) fn beside_mut(&mut self) -> impl Iterator<Item = &mut Phase> {
        self.0.iter_mut().flat_map(|aside| &mut aside.beside)
    }

    pub(super) fn tidy(&mut self) {
        if self.0.as_deref() == Some(&NOTHING) {
            self.0 = None;
        }
    }
}

impl Deref for Kept {
    type Target = Aside;
    fn deref(&self) -> &Aside {
        self.0.as_deref().unwrap_or(&NOTHING)
    }
}

impl DerefMut for Kept {
    fn deref_mut(&mut self) -> &mut Aside {
        self.0.get_or_insert_default()
    }
}

impl PartialEq for Kept {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl Eq for Kept {}

impl Deref for Timer {
    type Target = Aside;
    fn deref(&self) -> &Aside {
        &self.aside
    }
}

impl DerefMut for Timer {
    fn deref_mut(&mut self) -> &mut Aside {
        &mut self.aside
    }
}

impl Timer {
    /// What the steps have written down of runs since the last call.
    pub(crate) fn take_noted(&mut self) -> Vec<RunRecord> {
        let Some(aside) = &mut self.aside.0 else {
            return Vec::new();
        };
        let noted = std::mem::take(&mut aside.noted);
        self.aside.tidy();
        noted
    }

    /// Takes the lines beside the main one out.
    pub(super) fn take_beside(&mut self) -> Vec<Phase> {
        let aside = self.aside.0.as_mut();
        aside.map_or_else(Vec::new, |aside| std::mem::take(&mut aside.beside))
    }

    /// Its user changes it.
    pub(super) fn note_edited(&mut self, now: WallTime) {
        self.edited = Some(now).filter(|now| *now != self.created);
    }

    /// Sets why it cannot fire just now, or that it can.
    pub(crate) fn set_awaits(&mut self, awaits: Option<Awaits>) {
        if self.awaits != awaits {
            self.awaits = awaits;
            self.aside.tidy();
        }
    }
}
