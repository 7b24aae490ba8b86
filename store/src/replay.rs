//! What counts of a log at a start: a torn end is discarded, anything else that does not read is refused.
//!
//! ```text
//!   snapshot    ............. at
//!   log      [ skipped      ][ folded over the snapshot .......... ][ torn: never acknowledged ]
//! ```
//!
//! Only one unit is ever in flight, so only the last one can be torn, and none that is known to have been
//! durable. sled has checksums of its own and gives a value whole or not at all: one with a wrong
//! checksum was damaged later, perhaps after it was acknowledged, so that is refused also at the end.

use crate::error::Error;
use crate::fold::Fold;
use crate::frame::{self, Flaw};
use crate::log::{Chunks, Log};
use crate::recover;
use std::path::{Path, PathBuf};

/// Bytes of the log that a start reads at a time.
const START_BYTES: usize = 1 << 20;

/// A unit of the log whose bytes are as they were written.
pub(crate) struct Unit {
    first: u64,
    last: u64,
    payload: Vec<u8>,
    dir: PathBuf,
}

impl Unit {
    /// # Errors
    /// It does not decode, or a run could not be written.
    pub(crate) fn fold_into(&self, fold: &mut Fold) -> Result<(), Error> {
        // One less than there are groups.
        let span = self.last.checked_sub(self.first);
        match fold.push(&self.payload)? {
            Some(groups) if span.is_some() && groups.checked_sub(1) == span => Ok(()),
            _ => Err(Error::damaged(
                &self.dir,
                format!("group {} does not decode", self.first),
            )),
        }
    }
}

/// Reads the units of a log forward, without a gap.
pub(crate) struct Replay {
    /// The last group that was read.
    pub position: u64,
    /// What was read, in bytes.
    pub bytes: u64,
}

impl Replay {
    pub(crate) fn after(position: u64) -> Self {
        Self { position, bytes: 0 }
    }

    /// The next units, about `budget` bytes of them and at least one, up to group `until`; none if that is
    /// reached.
    pub(crate) fn read(
        &mut self,
        log: &Log,
        until: u64,
        budget: usize,
    ) -> Result<Vec<Unit>, Error> {
        if self.position >= until {
            return Ok(Vec::new());
        }
        let mut units = Vec::new();
        for chunks in log.units_from(self.position + 1, budget)? {
            if chunks.first > until {
                break;
            }
            if chunks.first != self.position + 1 {
                return Err(missing(log.dir(), self.position + 1));
            }
            let unit = check(&chunks, log.dir())?;
            self.position = unit.last;
            self.bytes += unit.payload.len() as u64;
            units.push(unit);
        }
        if units.is_empty() {
            return Err(missing(log.dir(), self.position + 1));
        }
        Ok(units)
    }

    /// Folds everything up to group `until`.
    pub(crate) fn fold(&mut self, log: &Log, until: u64, fold: &mut Fold) -> Result<(), Error> {
        while self.position < until {
            for unit in self.read(log, until, START_BYTES)? {
                unit.fold_into(fold)?;
            }
        }
        Ok(())
    }
}

fn missing(dir: &Path, position: u64) -> Error {
    Error::damaged(dir, format!("group {position} is missing"))
}

/// The positions that the log holds, which must reach to the group `known`. A torn end is discarded.
pub(crate) fn reach(log: &mut Log, known: u64) -> Result<recover::Reach, Error> {
    discard_torn_end(log, known)?;
    let reach = match (log.first_from(1)?, log.last()?) {
        (Some(first), Some(chunks)) => Some((first, check(&chunks, log.dir())?.last)),
        _ => None,
    };
    refuse_loss(reach.map_or(0, |(_, last)| last), known, log.dir())?;
    Ok(reach)
}

fn refuse_loss(last: u64, known: u64, dir: &Path) -> Result<(), Error> {
    if last >= known {
        return Ok(());
    }
    Err(Error::damaged(
        dir,
        format!("the log ends at group {last}, but group {known} was durable"),
    ))
}

fn discard_torn_end(log: &mut Log, known: u64) -> Result<(), Error> {
    let Some(unit) = log.last()? else {
        return Ok(());
    };
    if frame::join(&unit.chunks) == Err(Flaw::Incomplete) {
        // Before anything is removed: a refusal deletes nothing.
        refuse_loss(unit.first.saturating_sub(1), known, log.dir())?;
        tracing::info!(
            position = unit.first,
            "discarded a group that was never acknowledged"
        );
        let keys: Vec<_> = unit.chunks.into_iter().map(|(key, _)| key).collect();
        log.remove(&keys)?;
    }
    Ok(())
}

fn check(unit: &Chunks, dir: &Path) -> Result<Unit, Error> {
    let joined = frame::join(&unit.chunks).map_err(|flaw| match flaw {
        Flaw::Newer(found) => Error::version(dir, found.into(), frame::VERSION.into()),
        Flaw::Incomplete => Error::damaged(
            dir,
            format!("group {} is incomplete and not the last", unit.first),
        ),
        Flaw::Damaged(what) => Error::damaged(dir, format!("group {}: {what}", unit.first)),
    });
    let (last, payload) = joined?;
    Ok(Unit {
        first: unit.first,
        last,
        payload,
        dir: dir.to_owned(),
    })
}
