//! Records from the JSON that `writing` makes; what is wrong is told with its path.

use super::writing::snake;
use dormouse_engine::time::WallTime;
use serde::de::value::StringDeserializer;
use serde::de::{self, DeserializeOwned, IntoDeserializer as _, Unexpected, Visitor};
use serde::forward_to_deserialize_any;
use serde_json::{Map, Value};
use std::fmt::{self, Display};

/// What is wrong with a value, and where.
#[derive(Debug)]
pub(super) struct Fault {
    /// The keys and places from the outside inwards.
    pub(super) path: Vec<String>,
    why: String,
}

impl Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.path.is_empty() {
            true => f.write_str(&self.why),
            false => write!(f, "{}: {}", self.path.join("."), self.why),
        }
    }
}

impl std::error::Error for Fault {}

impl de::Error for Fault {
    fn custom<T: Display>(why: T) -> Self {
        Self {
            path: Vec::new(),
            why: why.to_string(),
        }
    }
}

impl Fault {
    fn within(mut self, part: impl Into<String>) -> Self {
        self.path.insert(0, part.into());
        self
    }
}

/// The record that a value is.
///
/// # Errors
/// What is wrong, and where.
pub(super) fn value<T: DeserializeOwned>(value: Value) -> Result<T, Fault> {
    T::deserialize(Reader(value))
}

/// An instant as it is written; none if it is outside the years that have four digits.
pub(super) fn instant(millis: i64) -> Option<String> {
    let text = WallTime(millis).to_string();
    (text.len() == "1970-01-01T00:00:00.000Z".len() && text.ends_with('Z')).then_some(text)
}

/// Milliseconds since 1970 of an instant as it is written.
fn millis(text: &str) -> Option<i64> {
    let instant: jiff::Timestamp = text.parse().ok()?;
    Some(instant.as_millisecond())
}

struct Reader(Value);

impl Reader {
    fn unexpected(&self) -> Unexpected<'_> {
        match &self.0 {
            Value::Null => Unexpected::Unit,
            Value::Bool(flag) => Unexpected::Bool(*flag),
            Value::Number(number) => match (number.as_u64(), number.as_i64()) {
                (Some(number), _) => Unexpected::Unsigned(number),
                (None, Some(number)) => Unexpected::Signed(number),
                (None, None) => Unexpected::Float(number.as_f64().unwrap_or_default()),
            },
            Value::String(text) => Unexpected::Str(text),
            Value::Array(_) => Unexpected::Seq,
            Value::Object(_) => Unexpected::Map,
        }
    }

    fn text(&self, expected: &str) -> Result<&str, Fault> {
        let wrong = || de::Error::invalid_type(self.unexpected(), &expected);
        self.0.as_str().ok_or_else(wrong)
    }
}

impl<'de> de::Deserializer<'de> for Reader {
    type Error = Fault;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        match self.0 {
            Value::Null => visitor.visit_unit(),
            Value::Bool(flag) => visitor.visit_bool(flag),
            Value::Number(ref number) => match (number.as_u64(), number.as_i64()) {
                (Some(number), _) => visitor.visit_u64(number),
                (None, Some(number)) => visitor.visit_i64(number),
                (None, None) => visitor.visit_f64(number.as_f64().unwrap_or_default()),
            },
            Value::String(text) => visitor.visit_string(text),
            Value::Array(items) => visitor.visit_seq(Items(items.into_iter(), 0)),
            Value::Object(map) => visitor.visit_map(Entries::new(map)),
        }
    }

    fn deserialize_u128<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        let text = self.text("32 hexadecimal digits")?;
        let digits = text.len() == 32 && text.bytes().all(|it| it.is_ascii_hexdigit());
        let number = u128::from_str_radix(text, 16).ok().filter(|_| digits);
        match number {
            Some(number) => visitor.visit_u128(number),
            None => Err(de::Error::invalid_value(
                Unexpected::Str(text),
                &"32 hexadecimal digits",
            )),
        }
    }

    fn deserialize_bytes<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        use base64::Engine as _;
        let text = self.text("base64")?;
        let bytes = base64::engine::general_purpose::STANDARD.decode(text);
        match bytes {
            Ok(bytes) => visitor.visit_byte_buf(bytes),
            Err(why) => Err(de::Error::custom(format_args!("is no base64: {why}"))),
        }
    }

    fn deserialize_byte_buf<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        self.deserialize_bytes(visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        match self.0 {
            Value::Null => visitor.visit_none(),
            _ => visitor.visit_some(self),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Fault> {
        let Value::String(text) = &self.0 else {
            return visitor.visit_newtype_struct(self);
        };
        if name != "WallTime" {
            return visitor.visit_newtype_struct(self);
        }
        match millis(text) {
            Some(millis) => visitor.visit_newtype_struct(Self(Value::from(millis))),
            None => Err(de::Error::invalid_value(
                Unexpected::Str(text),
                &"an instant as RFC 3339",
            )),
        }
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Fault> {
        let (name, inner) = match self.0 {
            Value::String(name) => (name, None),
            Value::Object(map) if map.len() == 1 => {
                let entry = map.into_iter().next();
                let (name, inner) = entry.expect("it has one entry");
                (name, Some(inner))
            }
            _ => {
                let expected = "a name, or an object with one";
                return Err(de::Error::invalid_type(self.unexpected(), &expected));
            }
        };
        let known = variants.iter().find(|variant| snake(variant) == name);
        let Some(variant) = known else {
            let known: Vec<String> = variants.iter().map(|it| snake(it)).collect();
            let why = format!("{name:?} is none of {}", known.join(", "));
            return Err(de::Error::custom(why));
        };
        visitor.visit_enum(Choice {
            variant,
            name,
            inner,
        })
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 f32 f64 char str string unit unit_struct seq tuple tuple_struct map
        struct identifier ignored_any
    }
}

/// A variant of an enum, and what it holds.
struct Choice {
    variant: &'static str,
    name: String,
    inner: Option<Value>,
}

impl<'de> de::EnumAccess<'de> for Choice {
    type Error = Fault;
    type Variant = Self;

    fn variant_seed<S: de::DeserializeSeed<'de>>(self, seed: S) -> Result<(S::Value, Self), Fault> {
        let variant: de::value::StrDeserializer<'_, Fault> = self.variant.into_deserializer();
        Ok((seed.deserialize(variant)?, self))
    }
}

impl Choice {
    fn inner(self) -> Result<(String, Reader), Fault> {
        match self.inner {
            Some(inner) => Ok((self.name, Reader(inner))),
            None => {
                let why = format!("{} needs a value: {{\"{}\": ...}}", self.name, self.name);
                Err(de::Error::custom(why))
            }
        }
    }
}

impl<'de> de::VariantAccess<'de> for Choice {
    type Error = Fault;

    fn unit_variant(self) -> Result<(), Fault> {
        match self.inner {
            None => Ok(()),
            Some(_) => Err(de::Error::custom(format_args!(
                "{} has no value",
                self.name
            ))),
        }
    }

    fn newtype_variant_seed<S: de::DeserializeSeed<'de>>(self, seed: S) -> Result<S::Value, Fault> {
        let (name, inner) = self.inner()?;
        seed.deserialize(inner).map_err(|fault| fault.within(name))
    }

    fn tuple_variant<V: Visitor<'de>>(self, _: usize, visitor: V) -> Result<V::Value, Fault> {
        let (name, inner) = self.inner()?;
        de::Deserializer::deserialize_any(inner, visitor).map_err(|fault| fault.within(name))
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Fault> {
        let (name, inner) = self.inner()?;
        de::Deserializer::deserialize_any(inner, visitor).map_err(|fault| fault.within(name))
    }
}

/// The items of a list, and how many were taken.
struct Items(std::vec::IntoIter<Value>, usize);

impl<'de> de::SeqAccess<'de> for Items {
    type Error = Fault;

    fn next_element_seed<S: de::DeserializeSeed<'de>>(
        &mut self,
        seed: S,
    ) -> Result<Option<S::Value>, Fault> {
        let Some(item) = self.0.next() else {
            return Ok(None);
        };
        let at = self.1;
        self.1 += 1;
        let read = seed.deserialize(Reader(item));
        read.map(Some).map_err(|fault| fault.within(at.to_string()))
    }
}

/// The entries of an object.
struct Entries {
    rest: serde_json::map::IntoIter,
    next: Option<(String, Value)>,
}

impl Entries {
    fn new(map: Map<String, Value>) -> Self {
        Self {
            rest: map.into_iter(),
            next: None,
        }
    }
}

impl<'de> de::MapAccess<'de> for Entries {
    type Error = Fault;

    fn next_key_seed<S: de::DeserializeSeed<'de>>(
        &mut self,
        seed: S,
    ) -> Result<Option<S::Value>, Fault> {
        self.next = self.rest.next();
        let Some((key, _)) = &self.next else {
            return Ok(None);
        };
        let read = seed.deserialize(Key(key.clone()));
        read.map(Some).map_err(|fault| fault.within(key.clone()))
    }

    fn next_value_seed<S: de::DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, Fault> {
        let (key, value) = self.next.take().expect("a key was taken before its value");
        let read = seed.deserialize(Reader(value));
        read.map_err(|fault| fault.within(key))
    }
}

/// A key: a text, or what a text stands for.
struct Key(String);

macro_rules! numbers {
    ($($method:ident: $visit:ident),*) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
            match self.0.parse() {
                Ok(number) => visitor.$visit(number),
                Err(_) => Err(de::Error::invalid_value(Unexpected::Str(&self.0), &"a number")),
            }
        }
    )*};
}

impl<'de> de::Deserializer<'de> for Key {
    type Error = Fault;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        let text: StringDeserializer<Fault> = self.0.into_deserializer();
        text.deserialize_any(visitor)
    }

    numbers! {
        deserialize_u8: visit_u8, deserialize_u16: visit_u16, deserialize_u32: visit_u32, deserialize_u64: visit_u64,
        deserialize_i8: visit_i8, deserialize_i16: visit_i16, deserialize_i32: visit_i32, deserialize_i64: visit_i64
    }

    fn deserialize_u128<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        Reader(Value::String(self.0)).deserialize_u128(visitor)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Fault> {
        match (name, millis(&self.0)) {
            ("WallTime", Some(millis)) => visitor.visit_newtype_struct(Reader(Value::from(millis))),
            _ => visitor.visit_newtype_struct(self),
        }
    }

    forward_to_deserialize_any! {
        bool i128 f32 f64 char str string bytes byte_buf option unit unit_struct seq tuple tuple_struct map struct enum
        identifier ignored_any
    }
}
