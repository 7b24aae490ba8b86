//! How the facts of a machine stand in its journal: absolute values under keys, versioned.
//!
//! A value is one version byte and then MessagePack with named fields, so that a later version can add a
//! field with a default. A record that does not decode stops the start; it is never skipped.

use crate::id::{NodeId, Token, Uid};
use crate::time::WallTime;
use crate::timer::RunKey;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// The version of the encoding that this build writes.
pub const VERSION: u8 = 1;

/// One absolute fact: the value under a key, or that there is none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Which fact.
    pub key: Vec<u8>,
    /// The encoded value; none deletes it.
    pub value: Option<Vec<u8>>,
}

/// Which fact a record is about; its encoding is the key in the journal.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Key {
    /// The machine's own facts.
    Meta,
    /// A node of the pool.
    Node(NodeId),
    /// A timer.
    Timer(Uid),
    /// A timer that is no more, but of which somebody has still to hear.
    Gone(Uid),
    /// A change that waits for a sleeping node.
    Pending(u64),
    /// What has become of a run of a timer.
    Run(Uid, RunKey),
    /// How a timer went, for requests about it that are repeated.
    Farewell(Uid),
}

/// A record cannot be read: it is damaged, or of a newer version.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unreadable {
    /// The version byte is not one that this build knows.
    #[error(
        "record {key} has version {found}, and this build reads up to {VERSION}; start a newer build"
    )]
    Version {
        /// The key, shown.
        key: String,
        /// The version byte.
        found: u8,
    },
    /// The value does not decode.
    #[error("record {key} does not decode: {why}; restore the data directory from a copy")]
    Value {
        /// The key, shown.
        key: String,
        /// The decoder's words.
        why: String,
    },
    /// The key is of no known kind.
    #[error("a record has the unknown key {0}; start a newer build or restore the data directory")]
    Key(String),
}

impl Key {
    /// The key's bytes in the journal.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let (kind, rest): (u8, Vec<u8>) = match self {
            Self::Meta => (b'm', Vec::new()),
            Self::Node(node) => (b'n', node.as_str().into()),
            Self::Timer(uid) => (b't', uid.0.to_be_bytes().into()),
            Self::Gone(uid) => (b'g', uid.0.to_be_bytes().into()),
            Self::Pending(number) => (b'p', number.to_be_bytes().into()),
            Self::Run(uid, run) => (b'r', run_key(*uid, *run)),
            Self::Farewell(uid) => (b'f', uid.0.to_be_bytes().into()),
        };
        std::iter::once(kind).chain(rest).collect()
    }

    /// Reads a key.
    ///
    /// # Errors
    /// [`Unreadable::Key`] if it is of no known kind.
    pub fn decode(bytes: &[u8]) -> Result<Self, Unreadable> {
        Self::parse(bytes).ok_or_else(|| Unreadable::Key(show(bytes)))
    }

    fn parse(bytes: &[u8]) -> Option<Self> {
        let (kind, rest) = bytes.split_first()?;
        match kind {
            b'm' if rest.is_empty() => Some(Self::Meta),
            b'n' => NodeId::new(std::str::from_utf8(rest).ok()?)
                .ok()
                .map(Self::Node),
            b't' => Some(Self::Timer(Uid(u128::from_be_bytes(rest.try_into().ok()?)))),
            b'g' => Some(Self::Gone(Uid(u128::from_be_bytes(rest.try_into().ok()?)))),
            b'p' => Some(Self::Pending(u64::from_be_bytes(rest.try_into().ok()?))),
            b'r' => parse_run_key(rest),
            b'f' => Some(Self::Farewell(Uid(u128::from_be_bytes(
                rest.try_into().ok()?,
            )))),
            _ => None,
        }
    }
}

fn run_key(uid: Uid, run: RunKey) -> Vec<u8> {
    let mut bytes = uid.0.to_be_bytes().to_vec();
    bytes.extend(run.finished.0.to_be_bytes());
    bytes.extend(run.nominal.0.to_be_bytes());
    bytes.extend(run.attempt.to_be_bytes());
    bytes.extend(run.token.0.to_be_bytes());
    bytes
}

fn parse_run_key(bytes: &[u8]) -> Option<Key> {
    let (uid, rest) = bytes.split_first_chunk()?;
    let (finished, rest) = rest.split_first_chunk()?;
    let (nominal, rest) = rest.split_first_chunk()?;
    let (attempt, token) = rest.split_first_chunk()?;
    let run = RunKey {
        finished: WallTime(i64::from_be_bytes(*finished)),
        nominal: WallTime(i64::from_be_bytes(*nominal)),
        attempt: u32::from_be_bytes(*attempt),
        token: Token(u64::from_be_bytes(token.try_into().ok()?)),
    };
    Some(Key::Run(Uid(u128::from_be_bytes(*uid)), run))
}

impl Record {
    /// The record that `key` has `value`.
    pub fn put<T: Serialize>(key: &Key, value: &T) -> Self {
        Self {
            key: key.encode(),
            value: Some(encode(value)),
        }
    }

    /// The record that `key` has no value.
    #[must_use]
    pub fn delete(key: &Key) -> Self {
        Self {
            key: key.encode(),
            value: None,
        }
    }
}

/// Encodes a value with its version byte.
pub fn encode<T: Serialize>(value: &T) -> Vec<u8> {
    let mut bytes = vec![VERSION];
    let mut serializer = rmp_serde::Serializer::new(&mut bytes).with_struct_map();
    value
        .serialize(&mut serializer)
        .expect("the engine's records are maps, lists and numbers, which always encode");
    bytes
}

/// Decodes a value that [`encode`] wrote.
///
/// # Errors
/// [`Unreadable`] names the key and what is wrong.
pub fn decode<T: DeserializeOwned>(key: &[u8], bytes: &[u8]) -> Result<T, Unreadable> {
    match bytes.split_first() {
        Some((&VERSION, rest)) => rmp_serde::from_slice(rest).map_err(|error| Unreadable::Value {
            key: show(key),
            why: error.to_string(),
        }),
        Some((&found, _)) => Err(Unreadable::Version {
            key: show(key),
            found,
        }),
        None => Err(Unreadable::Value {
            key: show(key),
            why: "it is empty".into(),
        }),
    }
}

fn show(bytes: &[u8]) -> String {
    let tail: String = bytes.iter().skip(1).map(|b| format!("{b:02x}")).collect();
    match bytes.first() {
        Some(kind) => format!("{}:{tail}", kind.escape_ascii()),
        None => "(empty)".into(),
    }
}
