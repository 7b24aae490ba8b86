//! How a timer is written down: what is as usual takes no room.
//!
//! First comes a number whose bits say which of the parts follow, then these in the order of the table in
//! `docs/design/records.md`. A part that is left out is as it is in a fresh one-shot. In a journal the key has the
//! uid, and the pool is the journal's own; in a message both are written. Encoding and versions are for `record`.

mod kind;
mod read;

pub(crate) use read::TimerSeed;

use super::told::Told;
use super::{Occurrence, Phase, Timer};
use crate::id::{PoolId, Token};
use crate::record::wide;
use crate::schedule::Schedule;
use crate::time::WallTime;
use kind::KindBytes;
use serde::ser::SerializeTuple;
use serde::{Serialize, Serializer};

/// Which parts follow. The low ones are those that a plain timer has, so that the number has one byte.
mod part {
    pub(super) const REQUEST: u32 = 1;
    pub(super) const ID: u32 = 1 << 1;
    pub(super) const HOME: u32 = 1 << 2;
    /// The name is within the home: nothing follows.
    pub(super) const WITHIN_HOME: u32 = 1 << 3;
    pub(super) const TOKEN: u32 = 1 << 4;
    pub(super) const UID: u32 = 1 << 5;
    pub(super) const POOL: u32 = 1 << 6;
    pub(super) const SCHEDULE: u32 = 1 << 7;
    pub(super) const GENERATION: u32 = 1 << 8;
    pub(super) const REVISION: u32 = 1 << 9;
    pub(super) const UPDATED: u32 = 1 << 10;
    pub(super) const DUE: u32 = 1 << 11;
    pub(super) const OCCURRENCE: u32 = 1 << 12;
    pub(super) const LINE: u32 = 1 << 13;
    pub(super) const BEGUN: u32 = 1 << 14;
    pub(super) const SKIPPED: u32 = 1 << 15;
    pub(super) const LAST: u32 = 1 << 16;
    pub(super) const REQUESTS: u32 = 1 << 17;
    pub(super) const BESIDE: u32 = 1 << 18;
    /// It is paused: nothing follows.
    pub(super) const PAUSED: u32 = 1 << 19;
    pub(super) const AWAITS: u32 = 1 << 20;
    pub(super) const NODE: u32 = 1 << 21;
    pub(super) const ALL: u32 = (1 << 22) - 1;
    /// What stands in the box beside the timer.
    pub(super) const ASIDE: u32 =
        TOKEN | BEGUN | SKIPPED | LAST | REQUESTS | BESIDE | PAUSED | AWAITS;
}

/// More than the parts that there are.
const PARTS_MAX: usize = 32;

/// A timer as a journal has it: without its uid, and without its pool if that is the journal's.
pub(crate) struct Keyed<'a> {
    pub(crate) timer: &'a Timer,
    pub(crate) pool: &'a PoolId,
}

impl Serialize for Timer {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            return Told::from(self).serialize(serializer);
        }
        write(self, part::UID | part::POOL, serializer)
    }
}

impl Serialize for Keyed<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let other = self.timer.name.pool != *self.pool;
        write(self.timer, bit(other, part::POOL), serializer)
    }
}

fn bit(is: bool, bit: u32) -> u32 {
    if is { bit } else { 0 }
}

/// The id of a timer whose user gave none.
fn derived_id(request: u128) -> String {
    format!("t-{request:032x}")
}

fn has_derived_id(timer: &Timer) -> bool {
    let id = timer.name.timer.as_str();
    id.len() == 34 && id.starts_with("t-") && id == derived_id(timer.request)
}

/// The parts that a timer has, whoever reads it.
fn parts_of(timer: &Timer) -> u32 {
    let (name, aside) = (&timer.name, &timer.aside);
    let within_home = name.node.is_some() && name.node == timer.home;
    let line = match &timer.phase {
        Phase::Waiting { occurrence, due } => {
            bit(*due != occurrence.nominal, part::DUE) | plain(timer, occurrence)
        }
        Phase::Running { .. } | Phase::Over { .. } => part::LINE | part::SCHEDULE,
    };
    line | bit(timer.request != 0, part::REQUEST)
        | bit(!has_derived_id(timer), part::ID)
        | bit(timer.home.is_some(), part::HOME)
        | bit(within_home, part::WITHIN_HOME)
        | bit(name.node.is_some() && !within_home, part::NODE)
        | bit(aside.token != Token(0), part::TOKEN)
        | bit(timer.generation != 1, part::GENERATION)
        | bit(timer.revision != 1, part::REVISION)
        | bit(timer.updated() != timer.created, part::UPDATED)
        | bit(aside.begun != 0, part::BEGUN)
        | bit(aside.skipped != 0, part::SKIPPED)
        | bit(aside.last.is_some(), part::LAST)
        | bit(!aside.requests.is_empty(), part::REQUESTS)
        | bit(!aside.beside.is_empty(), part::BESIDE)
        | bit(aside.paused, part::PAUSED)
        | bit(aside.awaits.is_some(), part::AWAITS)
}

/// A waiting line without a history needs only its time; a one-shot's schedule is that time.
fn plain(timer: &Timer, occurrence: &Occurrence) -> u32 {
    let fresh = *occurrence == Occurrence::fresh(occurrence.nominal);
    let once = timer.spec.schedule == Schedule::At(occurrence.nominal);
    bit(!fresh, part::OCCURRENCE) | bit(!once, part::SCHEDULE)
}

/// A time beside another one: the distance is a smaller number.
fn from(base: WallTime, time: WallTime) -> i64 {
    time.0.wrapping_sub(base.0)
}

fn write<S: Serializer>(timer: &Timer, told: u32, serializer: S) -> Result<S::Ok, S::Error> {
    let parts = parts_of(timer) | told;
    let has = |part: u32| parts & part != 0;
    let mut out = serializer.serialize_tuple(PARTS_MAX)?;
    out.serialize_element(&parts)?;
    if has(part::UID) {
        out.serialize_element(&wide::Bytes(timer.uid.0))?;
    }
    if has(part::REQUEST) {
        out.serialize_element(&wide::Bytes(timer.request))?;
    }
    if has(part::POOL) {
        out.serialize_element(&timer.name.pool)?;
    }
    if let Some(home) = &timer.home {
        out.serialize_element(home)?;
    }
    if let Some(node) = timer.name.node.as_ref().filter(|_| has(part::NODE)) {
        out.serialize_element(node)?;
    }
    if has(part::ID) {
        out.serialize_element(&timer.name.timer)?;
    }
    out.serialize_element(&KindBytes(timer.spec.kind()))?;
    out.serialize_element(&timer.created)?;
    if has(part::UPDATED) {
        out.serialize_element(&from(timer.created, timer.updated()))?;
    }
    if has(part::SCHEDULE) {
        out.serialize_element(&timer.spec.schedule)?;
    }
    write_line(timer, parts, &mut out)?;
    write_counts(timer, parts, &mut out)?;
    out.serialize_element(&timer.spec.payload)?;
    out.end()
}

fn write_line<T: SerializeTuple>(timer: &Timer, parts: u32, out: &mut T) -> Result<(), T::Error> {
    let Phase::Waiting { occurrence, due } = &timer.phase else {
        return out.serialize_element(&timer.phase);
    };
    if parts & part::OCCURRENCE != 0 {
        out.serialize_element(occurrence)?;
    } else {
        out.serialize_element(&from(timer.created, occurrence.nominal))?;
    }
    if parts & part::DUE != 0 {
        out.serialize_element(&from(occurrence.nominal, *due))?;
    }
    Ok(())
}

fn write_counts<T: SerializeTuple>(timer: &Timer, parts: u32, out: &mut T) -> Result<(), T::Error> {
    let aside = &timer.aside;
    let numbers = [
        (part::GENERATION, timer.generation),
        (part::REVISION, timer.revision),
        (part::TOKEN, aside.token.0),
        (part::BEGUN, aside.begun),
        (part::SKIPPED, aside.skipped),
    ];
    for (part, number) in numbers {
        if parts & part != 0 {
            out.serialize_element(&number)?;
        }
    }
    if let Some(last) = &aside.last {
        out.serialize_element(last)?;
    }
    if parts & part::REQUESTS != 0 {
        out.serialize_element(&aside.requests)?;
    }
    if parts & part::BESIDE != 0 {
        out.serialize_element(&aside.beside)?;
    }
    if let Some(awaits) = &aside.awaits {
        out.serialize_element(awaits)?;
    }
    Ok(())
}
