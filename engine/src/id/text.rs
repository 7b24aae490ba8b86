//! The texts that ids are made of, small in memory.
//!
//! Names of nodes, pools and handlers stand in millions of timers, so they are shared and one pointer wide. The id of
//! a timer is its own, so a short one needs no memory of its own. What a valid id is is for `id` to say.

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

/// A text that many values share; cloning it copies one pointer.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Shared(Arc<Text>);

/// In one piece of memory where it is short: whoever asks for a timer names its pool and its handler, and each name
/// would be two pieces to get, to follow and to give back.
#[derive(PartialEq, Eq)]
enum Text {
    Short(Short<SHARED_MAX>),
    Long(Box<str>),
}

/// The longest text that fits into a cache line with its length, its tag and the counts of who has it.
const SHARED_MAX: usize = 38;

impl Shared {
    pub(crate) fn new(text: &str) -> Self {
        let short = Short::new(text).map(Text::Short);
        Self(Arc::new(short.unwrap_or_else(|| Text::Long(text.into()))))
    }

    pub(crate) fn as_str(&self) -> &str {
        match &*self.0 {
            Text::Short(text) => text.as_str(),
            Text::Long(text) => text,
        }
    }

    /// Texts compare as their bytes do, and these need no look at whether they are a text.
    pub(crate) fn as_bytes(&self) -> &[u8] {
        match &*self.0 {
            Text::Short(text) => text.as_bytes(),
            Text::Long(text) => text.as_bytes(),
        }
    }

    /// How many have it.
    pub(crate) fn users(&self) -> usize {
        Arc::strong_count(&self.0)
    }

    /// Whether both are the same, not only equal.
    pub(crate) fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

/// A text of at most so many bytes; what lies behind its end is zero, so that equal ones are equal as a whole.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Short<const MAX: usize> {
    length: u8,
    bytes: [u8; MAX],
}

impl<const MAX: usize> Short<MAX> {
    fn new(text: &str) -> Option<Self> {
        let mut bytes = [0; MAX];
        let length = u8::try_from(text.len()).ok()?;
        bytes
            .get_mut(..text.len())?
            .copy_from_slice(text.as_bytes());
        Some(Self { length, bytes })
    }

    fn as_bytes(&self) -> &[u8] {
        &self.bytes[..usize::from(self.length)]
    }

    fn as_str(&self) -> &str {
        std::str::from_utf8(self.as_bytes()).expect("these bytes were a text of this length")
    }
}

impl Hash for Shared {
    fn hash<H: Hasher>(&self, state: &mut H) {
        hash(self.as_bytes(), state);
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_str().fmt(f)
    }
}

impl PartialOrd for Shared {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Shared {
    fn cmp(&self, other: &Self) -> Ordering {
        match self.is(other) {
            true => Ordering::Equal,
            false => self.as_bytes().cmp(other.as_bytes()),
        }
    }
}

/// A text that hardly ever two values share: a short one stands in the value itself.
#[derive(Clone, PartialEq, Eq)]
pub(super) enum Own {
    Short(Short<SHORT_MAX>),
    Long(Shared),
}

/// The longest text that fits beside its length into sixteen bytes with the tag.
const SHORT_MAX: usize = 14;

impl Own {
    pub(super) fn new(text: &str) -> Self {
        let short = Short::new(text).map(Self::Short);
        short.unwrap_or_else(|| Self::Long(Shared::new(text)))
    }

    pub(super) fn as_bytes(&self) -> &[u8] {
        match self {
            Self::Short(text) => text.as_bytes(),
            Self::Long(text) => text.as_bytes(),
        }
    }

    pub(super) fn as_str(&self) -> &str {
        match self {
            Self::Short(text) => text.as_str(),
            Self::Long(text) => text.as_str(),
        }
    }
}

impl Hash for Own {
    fn hash<H: Hasher>(&self, state: &mut H) {
        hash(self.as_bytes(), state);
    }
}

impl fmt::Debug for Own {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_str().fmt(f)
    }
}

impl PartialOrd for Own {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Own {
    fn cmp(&self, other: &Self) -> Ordering {
        self.as_bytes().cmp(other.as_bytes())
    }
}

/// As a text is hashed: no text has the byte at the end, so that none is the beginning of another.
fn hash(text: &[u8], state: &mut impl Hasher) {
    state.write(text);
    state.write_u8(0xff);
}

/// Writes and reads a kind of name as its text; `$parse` says whether a text is one.
macro_rules! as_text {
    ($name:ident, $what:literal, $parse:expr) => {
        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.as_str())
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                struct Text;
                impl serde::de::Visitor<'_> for Text {
                    type Value = $name;
                    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        f.write_str($what)
                    }
                    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<$name, E> {
                        $parse(text).map_err(E::custom)
                    }
                }
                deserializer.deserialize_str(Text)
            }
        }
    };
}
pub(crate) use as_text;
