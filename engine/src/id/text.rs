//! The texts that ids are made of, small in memory.
//!
//! Names of nodes, pools and handlers stand in millions of timers, so they are shared and one pointer wide. The id of
//! a timer is its own, so a short one needs no memory of its own. What a valid id is is for `id` to say.

use std::cmp::Ordering;
use std::fmt;
use std::sync::Arc;

/// A text that many values share; cloning it copies one pointer.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(crate) struct Shared(Arc<Box<str>>);

impl Shared {
    pub(crate) fn new(text: &str) -> Self {
        Self(Arc::new(text.into()))
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
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
            false => self.as_str().cmp(other.as_str()),
        }
    }
}

/// A text that hardly ever two values share: a short one stands in the value itself.
#[derive(Clone)]
pub(super) enum Own {
    Short(u8, [u8; SHORT_MAX]),
    Long(Shared),
}

/// The longest text that fits beside its length into sixteen bytes with the tag.
const SHORT_MAX: usize = 14;

impl Own {
    pub(super) fn new(text: &str) -> Self {
        let mut bytes = [0; SHORT_MAX];
        match (u8::try_from(text.len()), bytes.get_mut(..text.len())) {
            (Ok(length), Some(place)) => {
                place.copy_from_slice(text.as_bytes());
                Self::Short(length, bytes)
            }
            _ => Self::Long(Shared::new(text)),
        }
    }

    /// Texts compare as their bytes do, and these need no look at whether they are a text.
    fn as_bytes(&self) -> &[u8] {
        match self {
            Self::Short(length, bytes) => &bytes[..usize::from(*length)],
            Self::Long(text) => text.as_str().as_bytes(),
        }
    }

    pub(super) fn as_str(&self) -> &str {
        match self {
            Self::Short(length, bytes) => std::str::from_utf8(&bytes[..usize::from(*length)])
                .expect("these bytes were a text of this length"),
            Self::Long(text) => text.as_str(),
        }
    }
}

impl fmt::Debug for Own {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_str().fmt(f)
    }
}

impl PartialEq for Own {
    fn eq(&self, other: &Self) -> bool {
        self.as_bytes() == other.as_bytes()
    }
}

impl Eq for Own {}

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

impl std::hash::Hash for Own {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.as_bytes().hash(state);
    }
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
