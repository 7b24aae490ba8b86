//! How the kind of a timer is written down, and with it whatever of it is as usual.
//!
//! It stands in its own bytes within a timer, so that a reader of many timers decodes each kind once.

use crate::id::NodeId;
use crate::timer::{Durability, HandlerName, Kind, Placement, Policy, Target};
use serde::de::{Error as _, SeqAccess, Visitor};
use serde::ser::{Error as _, SerializeTuple};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;

/// The lowest two bits are the class of durability; the others say which parts follow the handler.
mod part {
    pub(super) const DURABILITY: u8 = 0b11;
    pub(super) const PINNED: u8 = 1 << 2;
    pub(super) const TARGET: u8 = 1 << 3;
    pub(super) const POLICY: u8 = 1 << 4;
    pub(super) const CONTENT_TYPE: u8 = 1 << 5;
    pub(super) const LABELS: u8 = 1 << 6;
    pub(super) const ALL: u8 = (1 << 7) - 1;
}

/// More than the parts that there are.
const PARTS_MAX: usize = 8;

/// The room that most kinds take: their handler, and a policy.
const USUAL: usize = 128;

/// The classes in the order of their numbers.
const CLASSES: [Durability; 4] = [
    Durability::Ephemeral,
    Durability::Local,
    Durability::ReplicatedAsync,
    Durability::Replicated,
];

/// A kind as the bytes that stand in a timer.
pub(super) struct KindBytes<'a>(pub(super) &'a Kind);

impl Serialize for KindBytes<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut usual = [0; USUAL];
        if let Ok(bytes) = postcard::to_slice(&Written(self.0), &mut usual) {
            return serializer.serialize_bytes(bytes);
        }
        let bytes = postcard::to_allocvec(&Written(self.0)).map_err(S::Error::custom)?;
        serializer.serialize_bytes(&bytes)
    }
}

impl Kind {
    /// The kind that these bytes are; none if they are not one.
    pub(crate) fn read(bytes: &[u8]) -> Option<Self> {
        let (Read(kind), rest) = postcard::take_from_bytes(bytes).ok()?;
        rest.is_empty().then_some(kind)
    }
}

struct Written<'a>(&'a Kind);

impl Serialize for Written<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let kind = self.0;
        let bit = |is: bool, bit: u8| if is { bit } else { 0 };
        let class = CLASSES.iter().position(|it| *it == kind.durability);
        let class = class.and_then(|class| u8::try_from(class).ok());
        let parts = class.expect("there are four classes")
            | bit(kind.placement != Placement::Movable, part::PINNED)
            | bit(kind.target != Target::Handler, part::TARGET)
            | bit(kind.policy != Policy::default(), part::POLICY)
            | bit(!kind.content_type.is_empty(), part::CONTENT_TYPE)
            | bit(!kind.labels.is_empty(), part::LABELS);
        let mut out = serializer.serialize_tuple(PARTS_MAX)?;
        out.serialize_element(&parts)?;
        out.serialize_element(&kind.handler)?;
        if let Placement::Pinned(node) = &kind.placement {
            out.serialize_element(node)?;
        }
        if parts & part::TARGET != 0 {
            out.serialize_element(&kind.target)?;
        }
        if parts & part::POLICY != 0 {
            out.serialize_element(&kind.policy)?;
        }
        if parts & part::CONTENT_TYPE != 0 {
            out.serialize_element(&kind.content_type)?;
        }
        if parts & part::LABELS != 0 {
            out.serialize_element(&kind.labels)?;
        }
        out.end()
    }
}

struct Read(Kind);

impl<'de> Deserialize<'de> for Read {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_tuple(PARTS_MAX, KindVisitor)
    }
}

struct KindVisitor;

impl<'de> Visitor<'de> for KindVisitor {
    type Value = Read;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the kind of a timer")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Read, A::Error> {
        let parts: u8 = next(&mut seq)?;
        if parts & !part::ALL != 0 {
            return Err(A::Error::custom(
                "it has parts that this build does not know",
            ));
        }
        let has = |part: u8| parts & part != 0;
        let handler: HandlerName = next(&mut seq)?;
        Ok(Read(Kind {
            handler,
            placement: match has(part::PINNED) {
                true => Placement::Pinned(next::<NodeId, _>(&mut seq)?),
                false => Placement::Movable,
            },
            durability: CLASSES[usize::from(parts & part::DURABILITY)],
            target: or_usual(&mut seq, has(part::TARGET))?,
            policy: or_usual(&mut seq, has(part::POLICY))?,
            content_type: or_usual(&mut seq, has(part::CONTENT_TYPE))?,
            labels: or_usual(&mut seq, has(part::LABELS))?,
        }))
    }
}

fn next<'de, T: Deserialize<'de>, A: SeqAccess<'de>>(seq: &mut A) -> Result<T, A::Error> {
    let next = seq.next_element()?;
    next.ok_or_else(|| A::Error::custom("it ends early"))
}

fn or_usual<'de, T: Deserialize<'de> + Default, A: SeqAccess<'de>>(
    seq: &mut A,
    is_there: bool,
) -> Result<T, A::Error> {
    match is_there {
        true => next(seq),
        false => Ok(T::default()),
    }
}
