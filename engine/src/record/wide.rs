//! Numbers of 128 bits that look random, such as uids: sixteen bytes, where a number of their length would take
//! more. Where fields have names they are numbers like others.

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Such a number, the highest byte first.
pub(crate) struct Bytes(pub(crate) u128);

impl Serialize for Bytes {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            return serializer.serialize_u128(self.0);
        }
        self.0.to_be_bytes().serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Bytes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if deserializer.is_human_readable() {
            return u128::deserialize(deserializer).map(Self);
        }
        let bytes = <[u8; 16]>::deserialize(deserializer)?;
        Ok(Self(u128::from_be_bytes(bytes)))
    }
}

pub(crate) fn serialize<S: Serializer>(number: &u128, serializer: S) -> Result<S::Ok, S::Error> {
    Bytes(*number).serialize(serializer)
}

pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u128, D::Error> {
    Bytes::deserialize(deserializer).map(|bytes| bytes.0)
}
