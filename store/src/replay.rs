//! What counts of a log at a start: a torn end is discarded, anything else that does not read is refused.
//!
//! ```text
//!   snapshot    from ........ to
//!   log      [ skipped ][ replayed over the snapshot .......... ][ torn: never acknowledged ]
//! ```
//!
//! Only one unit is ever in flight, so only the last one can be torn, and none that is known to have been
//! durable. sled has checksums of its own and gives a value whole or not at all: one with a wrong
//! checksum was damaged later, perhaps after it was acknowledged, so that is refused also at the end.

use crate::codec;
use crate::error::Error;
use crate::frame::{self, Flaw};
use crate::image::{Image, group_cost};
use crate::log::{Log, Unit};
use crate::recover;
use crate::snapshot::Snapshots;
use std::path::Path;

/// What a start found.
pub(crate) struct Recovered {
    pub image: Image,
    pub position: u64,
    pub log_bytes: u64,
}

/// Folds the newest valid snapshot and the log after it, which must reach to the group `known`.
pub(crate) fn recover(
    log: &mut Log,
    snapshots: &mut Snapshots,
    known: u64,
) -> Result<Recovered, Error> {
    discard_torn_end(log, known)?;
    let reach = reach(log)?;
    refuse_loss(reach.map_or(0, |(_, last)| last), known, log.dir())?;
    let complete =
        |base| recover::check(base, reach).map_err(|what| Error::damaged(log.dir(), what));
    let (base, image) = snapshots.newest_valid(complete)?;
    let from = base.map_or(0, |span| span.from);
    let mut found = Recovered {
        image,
        position: from,
        log_bytes: 0,
    };
    log.scan(|unit, next| found.replay(unit, next, from, log.dir()))?;
    Ok(found)
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

fn reach(log: &Log) -> Result<recover::Reach, Error> {
    let (Some(first), Some(unit)) = (log.first_from(1)?, log.last()?) else {
        return Ok(None);
    };
    let (last, _) = read(&unit, log.dir())?;
    Ok(Some((first, last)))
}

fn read(unit: &Unit, dir: &Path) -> Result<(u64, Vec<u8>), Error> {
    frame::join(&unit.chunks).map_err(|flaw| match flaw {
        Flaw::Newer(found) => Error::Newer {
            path: dir.to_owned(),
            found: found.into(),
            known: frame::VERSION.into(),
        },
        Flaw::Incomplete => Error::damaged(
            dir,
            format!("group {} is incomplete and not the last", unit.first),
        ),
        Flaw::Damaged(what) => Error::damaged(dir, format!("group {}: {what}", unit.first)),
    })
}

impl Recovered {
    fn replay(
        &mut self,
        unit: &Unit,
        next: Option<u64>,
        from: u64,
        dir: &Path,
    ) -> Result<(), Error> {
        // What the snapshot covers may be half truncated: it is not even read.
        if next.is_some_and(|next| next <= from + 1) {
            return Ok(());
        }
        let (last, payload) = read(unit, dir)?;
        if last <= from {
            return Ok(());
        }
        let gap = || Error::damaged(dir, format!("group {} is missing", self.position + 1));
        if unit.first > self.position + 1 {
            return Err(gap());
        }
        let groups = codec::decode_unit(&payload)
            .filter(|groups| {
                last.checked_sub(unit.first) == Some((groups.len() as u64).wrapping_sub(1))
            })
            .ok_or_else(|| Error::damaged(dir, format!("group {} does not decode", unit.first)))?;
        for (group, position) in groups.iter().zip(unit.first..) {
            if position == self.position + 1 {
                self.image.apply(group);
                self.log_bytes += group_cost(group);
                self.position = position;
            }
        }
        Ok(())
    }
}
