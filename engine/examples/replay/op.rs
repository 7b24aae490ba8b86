//! The operations of `replay`, one JSON object per line, checked before anything is done.
//!
//! Fields that an operation does not know are ignored; one that it needs and misses, or one of the
//! wrong type or range, makes the line bad. Times are whole milliseconds, i64; numbers of reports u64.

use dormouse_engine::hierarchy::Seq;
use dormouse_engine::id::{NodeId, RackId, Session};
use dormouse_engine::time::WallTime;
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};

/// One operation.
#[derive(Debug, Deserialize)]
#[serde(tag = "op", rename_all = "snake_case")]
pub(super) enum Op {
    /// How many members a group has, 2 to 8; only before any other operation.
    Config { capacity: u8 },
    /// A node comes, idle and without timers.
    Join(Join),
    /// A node says that it is awake.
    Active(Active),
    /// A node says that it has parked.
    Idle(Idle),
    /// A parked node says that its earliest deadline changed.
    First(Idle),
    /// The clock goes on, and what is due is pulled.
    Advance { now: WallTime },
    /// A node is taken for dead.
    Lost { node: NodeId, now: WallTime },
    /// A node goes.
    Leave { node: NodeId, now: WallTime },
    /// Whether a node may serve others and keep watch.
    Eligible {
        node: NodeId,
        value: bool,
        now: WallTime,
    },
}

#[derive(Debug, Deserialize)]
pub(super) struct Join {
    pub(super) node: NodeId,
    pub(super) rack: RackId,
    pub(super) now: WallTime,
    session: Option<Session>,
    seq: Option<u64>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Active {
    pub(super) node: NodeId,
    pub(super) now: WallTime,
    session: Option<Session>,
    seq: Option<u64>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Idle {
    pub(super) node: NodeId,
    /// May be null, but has to be said.
    #[serde(deserialize_with = "Option::deserialize")]
    pub(super) first: Option<WallTime>,
    /// The node's further deadlines, in any order.
    #[serde(default, deserialize_with = "list_or_null")]
    pub(super) then: Vec<WallTime>,
    /// When the node will be up by itself: of no concern to the hierarchy, but checked.
    #[serde(rename = "self_wake")]
    _self_wake: Option<WallTime>,
    pub(super) now: WallTime,
    session: Option<Session>,
    seq: Option<u64>,
}

fn list_or_null<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<WallTime>, D::Error> {
    Option::deserialize(from).map(Option::unwrap_or_default)
}

impl Op {
    /// Reads one line.
    pub(super) fn parse(line: &[u8]) -> Result<Self, String> {
        let object: Map<String, Value> =
            serde_json::from_slice(line).map_err(|bad| format!("not a JSON object: {bad}"))?;
        let op: Self =
            serde_json::from_value(Value::Object(object)).map_err(|bad| bad.to_string())?;
        op.check().map(|()| op)
    }

    fn check(&self) -> Result<(), String> {
        match self {
            Self::Config { capacity } if !(2..=8).contains(capacity) => {
                Err(format!("capacity is {capacity}; it has to be 2 to 8"))
            }
            Self::Join(join) => join.number().map(drop),
            Self::Active(active) => active.number().map(drop),
            Self::Idle(idle) | Self::First(idle) => idle.check(),
            _ => Ok(()),
        }
    }
}

impl Join {
    pub(super) fn number(&self) -> Result<Option<Seq>, String> {
        number(self.session, self.seq)
    }
}

impl Active {
    pub(super) fn number(&self) -> Result<Option<Seq>, String> {
        number(self.session, self.seq)
    }
}

impl Idle {
    pub(super) fn number(&self) -> Result<Option<Seq>, String> {
        number(self.session, self.seq)
    }

    fn check(&self) -> Result<(), String> {
        match (self.first, self.then.iter().min()) {
            (None, Some(_)) => Err("`then` without a `first`".into()),
            (Some(first), Some(next)) if *next < first => {
                Err("a deadline in `then` is earlier than `first`".into())
            }
            _ => self.number().map(drop),
        }
    }
}

fn number(session: Option<Session>, seq: Option<u64>) -> Result<Option<Seq>, String> {
    match (session, seq) {
        (Some(session), Some(number)) => Ok(Some(Seq { session, number })),
        (None, None) => Ok(None),
        _ => Err("`session` and `seq` belong together".into()),
    }
}
