//! Names and numbers that identify things: nodes, racks, pools, timers, sessions, tokens.
//!
//! Parsing happens here once; inside the engine a name is known to be well-formed.

mod text;

pub(crate) use text::{Shared, as_text};

use crate::hash;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;
use std::hash::{Hash, Hasher};
use std::ops::Deref;
use std::sync::Arc;
use text::Own;

/// Why a text is not a valid id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadId {
    /// The text is empty.
    #[error("must not be empty")]
    Empty,
    /// The text is longer than 63 characters.
    #[error("has {0} characters; at most {max} are allowed", max = ID_LENGTH_MAX)]
    TooLong(usize),
    /// The text has a character that ids do not have, or one in the wrong place.
    #[error(
        "has {0:?} at offset {1}; an id is 1 to 63 characters of a-z, 0-9, '-', '.', '_' \
         and begins and ends with a letter or digit"
    )]
    BadChar(char, usize),
    /// A timer name is not of one of its two forms.
    #[error(
        "is not a timer name; expected pools/POOL/timers/TIMER or pools/POOL/nodes/NODE/timers/TIMER"
    )]
    BadName,
}

/// The longest id: that of a DNS label, so that a pod's name is a node's name.
pub const ID_LENGTH_MAX: usize = 63;

fn check(text: &str) -> Result<(), BadId> {
    if text.is_empty() {
        return Err(BadId::Empty);
    }
    if text.len() > ID_LENGTH_MAX {
        return Err(BadId::TooLong(text.chars().count()));
    }
    let last = text.len() - 1;
    for (at, c) in text.char_indices() {
        let plain = c.is_ascii_lowercase() || c.is_ascii_digit();
        let inner = matches!(c, '-' | '.' | '_') && at != 0 && at != last;
        if !plain && !inner {
            return Err(BadId::BadChar(c, at));
        }
    }
    Ok(())
}

macro_rules! id {
    ($(#[$doc:meta])* $name:ident($text:ident)) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name($text);

        impl $name {
            /// Parses an id of the form `[a-z0-9]([-a-z0-9._]{0,61}[a-z0-9])?`.
            ///
            /// # Errors
            /// [`BadId`] says what is wrong and where.
            pub fn new(text: &str) -> Result<Self, BadId> {
                check(text).map(|()| Self($text::new(text)))
            }

            /// The id as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                self.0.as_str()
            }

            /// The bytes of the text, which are its characters.
            #[must_use]
            pub fn as_bytes(&self) -> &[u8] {
                self.0.as_bytes()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> Self {
                id.as_str().into()
            }
        }

        as_text!($name, "an id", Self::Value::new);
    };
}

id!(
    /// A machine or pod that runs an agent.
    NodeId(Shared)
);
id!(
    /// The failure and locality domain of a node.
    RackId(Shared)
);
id!(
    /// A set of interchangeable nodes; each pool has a hierarchy of its own.
    PoolId(Shared)
);
id!(
    /// The last part of a timer's name.
    TimerId(Own)
);

impl NodeId {
    pub(crate) fn shared(&self) -> &Shared {
        &self.0
    }
}

impl TimerId {
    /// The first of all ids in their order.
    #[must_use]
    pub fn first() -> Self {
        Self(Own::new("0"))
    }
}

/// Where the name of a timer is looked up: within its pool, or within a node of it.
///
/// REPLICATED timers are named within their pool; timers of the other classes within their home node,
/// and are routed by that name also after a hand-over.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Scope {
    /// The pool that the timer belongs to.
    pub pool: PoolId,
    /// The home by which it is routed; none for REPLICATED timers.
    pub node: Option<NodeId>,
    /// A hash of both: names are looked up far more often than scopes are made.
    hash: u64,
}

impl Scope {
    pub(crate) fn new(pool: PoolId, node: Option<NodeId>) -> Self {
        let of_node = node.as_ref().map_or(0, |it| hash::digest(it.as_bytes()));
        let hash = hash::fold(&[hash::digest(pool.as_bytes()), of_node]);
        Self { pool, node, hash }
    }
}

impl Hash for Scope {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.hash);
    }
}

/// The full name of a timer; its scope, which timers share, is read through it: `name.pool`, `name.node`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TimerName {
    scope: Arc<Scope>,
    /// The name within that pool or node.
    pub timer: TimerId,
}

/// The longest name as text: three ids, and what stands before each.
const TEXT_MAX: usize = 3 * ID_LENGTH_MAX + 21;

/// A name as it is written down.
#[derive(Serialize, Deserialize)]
struct Parts {
    pool: PoolId,
    node: Option<NodeId>,
    timer: TimerId,
}

impl TimerName {
    /// The name of a timer of `pool` or, if `node` is some, of that node.
    #[must_use]
    pub fn new(pool: PoolId, node: Option<NodeId>, timer: TimerId) -> Self {
        Self::within(Arc::new(Scope::new(pool, node)), timer)
    }

    /// A hash of it as text, without making the text.
    pub(crate) fn digest(&self) -> u64 {
        let mut text = [0; TEXT_MAX];
        let mut length = 0;
        let mut put = |part: &[u8]| {
            text[length..length + part.len()].copy_from_slice(part);
            length += part.len();
        };
        put(b"pools/");
        put(self.pool.as_bytes());
        if let Some(node) = &self.node {
            put(b"/nodes/");
            put(node.as_bytes());
        }
        put(b"/timers/");
        put(self.timer.as_bytes());
        hash::digest(&text[..length])
    }

    pub(crate) fn within(scope: Arc<Scope>, timer: TimerId) -> Self {
        Self { scope, timer }
    }

    pub(crate) fn scope(&self) -> &Arc<Scope> {
        &self.scope
    }

    pub(crate) fn scope_mut(&mut self) -> &mut Arc<Scope> {
        &mut self.scope
    }

    /// Parses `pools/POOL/timers/TIMER` or `pools/POOL/nodes/NODE/timers/TIMER`.
    ///
    /// # Errors
    /// [`BadId`] if the form or one of the ids is wrong.
    pub fn parse(text: &str) -> Result<Self, BadId> {
        let parts: Vec<&str> = text.split('/').collect();
        let (pool, node, timer) = match parts.as_slice() {
            ["pools", pool, "timers", timer] => (pool, None, timer),
            ["pools", pool, "nodes", node, "timers", timer] => (pool, Some(node), timer),
            _ => return Err(BadId::BadName),
        };
        let node = node.map(|n| NodeId::new(n)).transpose()?;
        Ok(Self::new(PoolId::new(pool)?, node, TimerId::new(timer)?))
    }
}

impl Deref for TimerName {
    type Target = Scope;
    fn deref(&self) -> &Scope {
        &self.scope
    }
}

impl fmt::Debug for TimerName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TimerName")
            .field("pool", &self.pool)
            .field("node", &self.node)
            .field("timer", &self.timer)
            .finish()
    }
}

impl fmt::Display for TimerName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.node {
            None => write!(f, "pools/{}/timers/{}", self.pool, self.timer),
            Some(node) => write!(
                f,
                "pools/{}/nodes/{}/timers/{}",
                self.pool, node, self.timer
            ),
        }
    }
}

impl Serialize for TimerName {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            return serializer.collect_str(self);
        }
        let parts = Parts {
            pool: self.pool.clone(),
            node: self.node.clone(),
            timer: self.timer.clone(),
        };
        parts.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for TimerName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if deserializer.is_human_readable() {
            let text = String::deserialize(deserializer)?;
            return Self::parse(&text).map_err(D::Error::custom);
        }
        let parts = Parts::deserialize(deserializer)?;
        Ok(Self::new(parts.pool, parts.node, parts.timer))
    }
}

/// The identity of one timer: another timer of the same name has another one.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, Default,
)]
pub struct Uid(#[serde(with = "crate::record::wide")] pub u128);

impl fmt::Display for Uid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

/// The number of a session, given by the coordinator; a newer session has a larger one.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, Default,
)]
pub struct Session(pub u64);

/// Raised whenever ownership of a node's movable timers moves.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, Default,
)]
pub struct Epoch(pub u64);

/// The fencing token of a run: tokens of one timer grow, and only the newest one may settle.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, Default,
)]
pub struct Token(pub u64);

impl fmt::Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The name of one occurrence's runs: `hash(uid, generation, nominal time)`, the same for every attempt.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, Default,
)]
pub struct RunId(pub u64);

impl fmt::Display for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_digest_of_a_name_is_that_of_its_text() {
        let longest = "x".repeat(ID_LENGTH_MAX);
        for (node, timer) in [("n1", "t1"), (&*longest, &*longest)] {
            for node in [None, Some(NodeId::new(node).unwrap())] {
                let pool = PoolId::new(&longest).unwrap();
                let name = TimerName::new(pool, node, TimerId::new(timer).unwrap());
                assert_eq!(name.digest(), hash::digest(name.to_string().as_bytes()));
            }
        }
    }
}
