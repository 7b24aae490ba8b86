//! How the facts of a machine stand in its journal: absolute values under keys, versioned.
//!
//! A value is one version byte and then the fields by their places, numbers as short as they are; the layout is told
//! in `docs/design/records.md`. The version is raised with every change of a layout, and the layout before is read by
//! its number. A record that does not decode stops the start; it is never skipped.

mod reader;
#[cfg(test)]
mod tests;
pub(crate) mod wide;

pub use reader::Reader;

use crate::id::{NodeId, PoolId, Token, Uid};
use crate::time::WallTime;
use crate::timer::{Keyed, RunKey, Timer, TimerSeed};
use postcard::Deserializer;
use postcard::de_flavors::Slice;
use serde::Serialize;
use serde::de::{DeserializeOwned, DeserializeSeed};

/// The version of the encoding that this build writes.
pub const VERSION: u8 = 2;

/// No facts: the journal of a machine that begins.
pub const NO_FACTS: [(&[u8], &[u8]); 0] = [];

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

/// A record cannot be read: it is damaged, or of another version.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unreadable {
    /// The version byte is not one that this build knows.
    #[error(
        "record {key} has version {found}, and this build reads version {VERSION}; {}", cure(*found)
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

fn cure(found: u8) -> &'static str {
    match found > VERSION {
        true => "start a newer build",
        false => {
            "it was written before 0.1.0, when formats changed without a reader: start with an empty data directory, \
             or export with the older build"
        }
    }
}

impl Key {
    /// The key's bytes in the journal.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        match self {
            Self::Meta => vec![b'm'],
            Self::Node(node) => [b"n", node.as_str().as_bytes()].concat(),
            Self::Timer(uid) => of_uid(b't', *uid).into(),
            Self::Gone(uid) => of_uid(b'g', *uid).into(),
            Self::Pending(number) => [&b"p"[..], &number.to_be_bytes()].concat(),
            Self::Run(uid, run) => run_key(*uid, *run),
            Self::Farewell(uid) => of_uid(b'f', *uid).into(),
        }
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

fn of_uid(kind: u8, uid: Uid) -> [u8; 17] {
    let mut bytes = [kind; 17];
    bytes[1..].copy_from_slice(&uid.0.to_be_bytes());
    bytes
}

fn run_key(uid: Uid, run: RunKey) -> Vec<u8> {
    let parts: [&[u8]; 5] = [
        &of_uid(b'r', uid),
        &run.finished.0.to_be_bytes(),
        &run.nominal.0.to_be_bytes(),
        &run.attempt.to_be_bytes(),
        &run.token.0.to_be_bytes(),
    ];
    parts.concat()
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

    /// The record of a timer, and of what its owner knows beside it. Its key has the uid, and the journal the pool.
    pub(crate) fn put_timer<T: Serialize>(timer: &Timer, pool: &PoolId, beside: &T) -> Self {
        Self {
            key: Key::Timer(timer.uid).encode(),
            value: Some(written(&(VERSION, Keyed { timer, pool }, beside))),
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
    // A byte stands for itself, so the version comes first.
    written(&(VERSION, value))
}

fn written<T: Serialize>(value: &T) -> Vec<u8> {
    postcard::to_extend(value, Vec::with_capacity(USUAL))
        .expect("the engine's records are lists of known length and numbers, which always encode")
}

/// The room that most records take.
const USUAL: usize = 192;

/// Decodes a value that [`encode`] wrote.
///
/// # Errors
/// [`Unreadable`] names the key and what is wrong.
pub fn decode<T: DeserializeOwned>(key: &[u8], bytes: &[u8]) -> Result<T, Unreadable> {
    read(key, bytes, |from| T::deserialize(from))
}

/// Decodes what [`Record::put_timer`] wrote of the timer `uid`.
///
/// # Errors
/// [`Unreadable`] names the key and what is wrong.
pub(crate) fn decode_timer<T: DeserializeOwned>(
    (key, uid): (&[u8], Uid),
    bytes: &[u8],
    reader: &mut Reader,
) -> Result<(Timer, T), Unreadable> {
    read(key, bytes, |from| {
        let seed = TimerSeed {
            uid: Some(uid),
            reader: Some(reader),
        };
        Ok((seed.deserialize(&mut *from)?, T::deserialize(from)?))
    })
}

fn read<'a, T>(
    key: &[u8],
    bytes: &'a [u8],
    read: impl FnOnce(&mut Deserializer<'a, Slice<'a>>) -> postcard::Result<T>,
) -> Result<T, Unreadable> {
    let damaged = |why: &str| Unreadable::Value {
        key: show(key),
        why: why.into(),
    };
    let rest = match bytes.split_first() {
        Some((&VERSION, rest)) => rest,
        Some((&found, _)) => {
            let key = show(key);
            return Err(Unreadable::Version { key, found });
        }
        None => return Err(damaged("it is empty")),
    };
    let mut from = Deserializer::from_bytes(rest);
    let value = read(&mut from).map_err(|error| damaged(words(&error)))?;
    match from.finalize() {
        Ok([]) => Ok(value),
        _ => Err(damaged("something follows its end")),
    }
}

/// What is wrong, in the reader's words; the library's own name its parts.
#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "the library's list grows with its versions, and has what no reader can meet"
)]
fn words(error: &postcard::Error) -> &'static str {
    match error {
        postcard::Error::DeserializeUnexpectedEnd => "it ends early",
        postcard::Error::DeserializeBadVarint => "a number in it is too large",
        postcard::Error::DeserializeBadUtf8 => "a text in it is not UTF-8",
        postcard::Error::DeserializeBadBool | postcard::Error::DeserializeBadOption => {
            "a flag in it is neither 0 nor 1"
        }
        _ => "a value in it is not one that may stand there",
    }
}

fn show(bytes: &[u8]) -> String {
    let tail: String = bytes.iter().skip(1).map(|b| format!("{b:02x}")).collect();
    match bytes.first() {
        Some(kind) => format!("{}:{tail}", kind.escape_ascii()),
        None => "(empty)".into(),
    }
}
