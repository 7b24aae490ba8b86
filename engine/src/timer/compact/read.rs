//! How a timer is read again; what a record leaves out comes from where it stands, or is as usual.

use super::{PARTS_MAX, derived_id, part};
use crate::id::{NodeId, PoolId, TimerId, TimerName, Token, Uid};
use crate::record::{Reader, wide};
use crate::schedule::Schedule;
use crate::time::WallTime;
use crate::timer::aside::Kept;
use crate::timer::told::Told;
use crate::timer::{Awaits, Kind, LastRun, Occurrence, Payload, Phase, Remembered, Spec, Timer};
use serde::de::{DeserializeSeed, Error as _, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use std::fmt;
use std::sync::Arc;

impl<'de> Deserialize<'de> for Timer {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if deserializer.is_human_readable() {
            return Told::deserialize(deserializer).map(Self::from);
        }
        let seed = TimerSeed {
            uid: None,
            reader: None,
        };
        seed.deserialize(deserializer)
    }
}

/// Reads a timer; what it does not say is known from where it stands.
pub(crate) struct TimerSeed<'a> {
    /// The uid of the key it stands under.
    pub(crate) uid: Option<Uid>,
    /// Knows the pool of the journal, and what its timers share.
    pub(crate) reader: Option<&'a mut Reader>,
}

impl<'de> DeserializeSeed<'de> for TimerSeed<'_> {
    type Value = Timer;
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Timer, D::Error> {
        deserializer.deserialize_tuple(PARTS_MAX, self)
    }
}

impl<'de> Visitor<'de> for TimerSeed<'_> {
    type Value = Timer;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a timer")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<Timer, A::Error> {
        let mut parts = Parts { seq, here: 0 };
        parts.here = parts.next()?;
        if parts.here & !part::ALL != 0 {
            return Err(A::Error::custom(
                "it has parts that this build does not know",
            ));
        }
        self.read(parts)
    }
}

/// The parts of a record, as far as they are not read yet.
struct Parts<A> {
    seq: A,
    here: u32,
}

impl<'de, A: SeqAccess<'de>> Parts<A> {
    fn next<T: Deserialize<'de>>(&mut self) -> Result<T, A::Error> {
        let next = self.seq.next_element()?;
        next.ok_or_else(|| A::Error::custom("it ends early"))
    }

    fn has(&self, part: u32) -> bool {
        self.here & part != 0
    }

    /// The next part if it is the one that the bit stands for.
    fn maybe<T: Deserialize<'de>>(&mut self, part: u32) -> Result<Option<T>, A::Error> {
        match self.has(part) {
            true => self.next().map(Some),
            false => Ok(None),
        }
    }

    fn after(&mut self, base: WallTime, part: u32) -> Result<WallTime, A::Error> {
        let distance: Option<i64> = self.maybe(part)?;
        Ok(WallTime(base.0.wrapping_add(distance.unwrap_or(0))))
    }
}

impl TimerSeed<'_> {
    fn read<'de, A: SeqAccess<'de>>(mut self, mut parts: Parts<A>) -> Result<Timer, A::Error> {
        let told: Option<wide::Bytes> = parts.maybe(part::UID)?;
        let uid = told.map(|it| Uid(it.0)).or(self.uid);
        let uid = uid.ok_or_else(|| A::Error::custom("it has no uid"))?;
        let request: Option<wide::Bytes> = parts.maybe(part::REQUEST)?;
        let request = request.map_or(0, |it| it.0);
        let (name, home) = self.read_name(&mut parts, request)?;
        let kind = self.read_kind(&mut parts)?;
        let created: WallTime = parts.next()?;
        let updated = parts.after(created, part::UPDATED)?;
        let schedule: Option<Schedule> = parts.maybe(part::SCHEDULE)?;
        let phase = read_line(&mut parts, created)?;
        let schedule = match (schedule, &phase) {
            (Some(schedule), _) => schedule,
            (None, Phase::Waiting { occurrence, .. }) => Schedule::At(occurrence.nominal),
            (None, _) => return Err(A::Error::custom("it has no schedule")),
        };
        let generation = parts.maybe(part::GENERATION)?.unwrap_or(1);
        let revision = parts.maybe(part::REVISION)?.unwrap_or(1);
        let mut aside = read_aside(&mut parts)?;
        if generation != 1 || revision != 1 || updated != created {
            aside.generation = generation;
            aside.revision = revision;
            aside.edited = Some(updated).filter(|updated| *updated != created);
        }
        let payload: Payload = parts.next()?;
        let mut timer = Timer {
            uid,
            name,
            spec: Spec::new(schedule, payload, kind),
            home,
            request,
            created,
            phase,
            aside,
        };
        if let Some(reader) = self.reader {
            reader.share(&mut timer);
        }
        Ok(timer)
    }

    fn read_name<'de, A: SeqAccess<'de>>(
        &self,
        parts: &mut Parts<A>,
        request: u128,
    ) -> Result<(TimerName, Option<NodeId>), A::Error> {
        let pool: Option<PoolId> = parts.maybe(part::POOL)?;
        let own = self.reader.as_ref().map(|reader| reader.pool());
        let pool = pool.or_else(|| own.cloned());
        let pool = pool.ok_or_else(|| A::Error::custom("it has no pool"))?;
        let home: Option<NodeId> = parts.maybe(part::HOME)?;
        let node: Option<NodeId> = parts.maybe(part::NODE)?;
        let node = node.or_else(|| home.clone().filter(|_| parts.has(part::WITHIN_HOME)));
        let id: Option<TimerId> = parts.maybe(part::ID)?;
        let id = match id {
            Some(id) => id,
            None => TimerId::new(&derived_id(request)).map_err(A::Error::custom)?,
        };
        Ok((TimerName::new(pool, node, id), home))
    }

    fn read_kind<'de, A: SeqAccess<'de>>(
        &mut self,
        parts: &mut Parts<A>,
    ) -> Result<Arc<Kind>, A::Error> {
        let bytes: &[u8] = parts.next()?;
        let kind = match &mut self.reader {
            Some(reader) => reader.kind(bytes),
            None => Kind::read(bytes).map(Arc::new),
        };
        kind.ok_or_else(|| A::Error::custom("what it shares with others does not decode"))
    }
}

fn read_line<'de, A: SeqAccess<'de>>(
    parts: &mut Parts<A>,
    created: WallTime,
) -> Result<Phase, A::Error> {
    if parts.has(part::LINE) {
        return parts.next();
    }
    let occurrence = match parts.maybe(part::OCCURRENCE)? {
        Some(occurrence) => occurrence,
        None => {
            let distance: i64 = parts.next()?;
            Occurrence::fresh(WallTime(created.0.wrapping_add(distance)))
        }
    };
    let due = parts.after(occurrence.nominal, part::DUE)?;
    Ok(Phase::Waiting { occurrence, due })
}

fn read_aside<'de, A: SeqAccess<'de>>(parts: &mut Parts<A>) -> Result<Kept, A::Error> {
    let mut aside = Kept::default();
    if !parts.has(part::ASIDE) {
        return Ok(aside);
    }
    aside.token = parts.maybe(part::TOKEN)?.map_or(Token(0), Token);
    aside.begun = parts.maybe(part::BEGUN)?.unwrap_or(0);
    aside.skipped = parts.maybe(part::SKIPPED)?.unwrap_or(0);
    aside.last = parts.maybe::<LastRun>(part::LAST)?;
    aside.requests = parts
        .maybe::<Vec<Remembered>>(part::REQUESTS)?
        .unwrap_or_default();
    aside.beside = parts.maybe::<Vec<Phase>>(part::BESIDE)?.unwrap_or_default();
    aside.awaits = parts.maybe::<Awaits>(part::AWAITS)?;
    aside.paused = parts.has(part::PAUSED);
    aside.tidy();
    Ok(aside)
}
