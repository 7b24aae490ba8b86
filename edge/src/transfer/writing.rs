//! Any record as JSON that is made to last; see `transfer` for the form.

use serde::ser::{self, Serialize};
use serde_json::{Map, Value};
use std::fmt::{self, Display};

/// A record as a value.
///
/// # Errors
/// If a key of a map is no text and no number; records have none.
pub(super) fn value<T: Serialize + ?Sized>(record: &T) -> Result<Value, Unwritable> {
    record.serialize(Writer)
}

/// A name of Rust in snake_case: `RearmMode` is `rearm_mode`.
pub(super) fn snake(name: &str) -> String {
    let mut snake = String::with_capacity(name.len() + 4);
    for c in name.chars() {
        if c.is_ascii_uppercase() && !snake.is_empty() {
            snake.push('_');
        }
        snake.push(c.to_ascii_lowercase());
    }
    snake
}

/// What cannot be written as JSON.
#[derive(Debug)]
pub(super) struct Unwritable(String);

impl Display for Unwritable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Unwritable {}

impl ser::Error for Unwritable {
    fn custom<T: Display>(why: T) -> Self {
        Self(why.to_string())
    }
}

struct Writer;

/// A list or a map that is being written; `under` is the variant that it belongs to.
struct Parts {
    under: Option<String>,
    list: Vec<Value>,
    map: Map<String, Value>,
    key: String,
}

impl Parts {
    fn new(variant: Option<&str>) -> Self {
        Self {
            under: variant.map(snake),
            list: Vec::new(),
            map: Map::new(),
            key: String::new(),
        }
    }

    fn wrap(under: Option<String>, inner: Value) -> Value {
        match under {
            None => inner,
            Some(variant) => Value::Object(Map::from_iter([(variant, inner)])),
        }
    }

    fn list(self) -> Value {
        Self::wrap(self.under, Value::Array(self.list))
    }

    fn map(self) -> Value {
        Self::wrap(self.under, Value::Object(self.map))
    }
}

macro_rules! plain {
    ($($method:ident: $type:ty),*) => {$(
        fn $method(self, value: $type) -> Result<Value, Unwritable> {
            Ok(Value::from(value))
        }
    )*};
}

impl ser::Serializer for Writer {
    type Ok = Value;
    type Error = Unwritable;
    type SerializeSeq = Parts;
    type SerializeTuple = Parts;
    type SerializeTupleStruct = Parts;
    type SerializeTupleVariant = Parts;
    type SerializeMap = Parts;
    type SerializeStruct = Parts;
    type SerializeStructVariant = Parts;

    plain! {
        serialize_bool: bool, serialize_i8: i8, serialize_i16: i16, serialize_i32: i32, serialize_i64: i64,
        serialize_u8: u8, serialize_u16: u16, serialize_u32: u32, serialize_u64: u64, serialize_f32: f32,
        serialize_f64: f64, serialize_str: &str
    }

    fn serialize_char(self, value: char) -> Result<Value, Unwritable> {
        Ok(Value::from(value.to_string()))
    }

    /// Numbers of this size are identities.
    fn serialize_u128(self, value: u128) -> Result<Value, Unwritable> {
        Ok(Value::from(format!("{value:032x}")))
    }

    fn serialize_bytes(self, bytes: &[u8]) -> Result<Value, Unwritable> {
        use base64::Engine as _;
        let text = base64::engine::general_purpose::STANDARD.encode(bytes);
        Ok(Value::from(text))
    }

    fn serialize_none(self) -> Result<Value, Unwritable> {
        Ok(Value::Null)
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<Value, Unwritable> {
        value.serialize(self)
    }

    fn serialize_unit(self) -> Result<Value, Unwritable> {
        Ok(Value::Null)
    }

    fn serialize_unit_struct(self, _: &'static str) -> Result<Value, Unwritable> {
        Ok(Value::Null)
    }

    fn serialize_unit_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
    ) -> Result<Value, Unwritable> {
        Ok(Value::from(snake(variant)))
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        name: &'static str,
        inner: &T,
    ) -> Result<Value, Unwritable> {
        let inner = inner.serialize(self)?;
        Ok(match (name, inner.as_i64()) {
            ("WallTime", Some(millis)) => {
                super::reading::instant(millis).map_or(inner, Value::from)
            }
            _ => inner,
        })
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        inner: &T,
    ) -> Result<Value, Unwritable> {
        let inner = inner.serialize(self)?;
        Ok(Parts::wrap(Some(snake(variant)), inner))
    }

    fn serialize_seq(self, _: Option<usize>) -> Result<Parts, Unwritable> {
        Ok(Parts::new(None))
    }

    fn serialize_tuple(self, _: usize) -> Result<Parts, Unwritable> {
        Ok(Parts::new(None))
    }

    fn serialize_tuple_struct(self, _: &'static str, _: usize) -> Result<Parts, Unwritable> {
        Ok(Parts::new(None))
    }

    fn serialize_tuple_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        _: usize,
    ) -> Result<Parts, Unwritable> {
        Ok(Parts::new(Some(variant)))
    }

    fn serialize_map(self, _: Option<usize>) -> Result<Parts, Unwritable> {
        Ok(Parts::new(None))
    }

    fn serialize_struct(self, _: &'static str, _: usize) -> Result<Parts, Unwritable> {
        Ok(Parts::new(None))
    }

    fn serialize_struct_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        _: usize,
    ) -> Result<Parts, Unwritable> {
        Ok(Parts::new(Some(variant)))
    }
}

macro_rules! list {
    ($($trait:ident: $method:ident),*) => {$(
        impl ser::$trait for Parts {
            type Ok = Value;
            type Error = Unwritable;

            fn $method<T: Serialize + ?Sized>(&mut self, item: &T) -> Result<(), Unwritable> {
                self.list.push(value(item)?);
                Ok(())
            }

            fn end(self) -> Result<Value, Unwritable> {
                Ok(self.list())
            }
        }
    )*};
}

list! {
    SerializeSeq: serialize_element,
    SerializeTuple: serialize_element,
    SerializeTupleStruct: serialize_field,
    SerializeTupleVariant: serialize_field
}

macro_rules! fields {
    ($($trait:ident),*) => {$(
        impl ser::$trait for Parts {
            type Ok = Value;
            type Error = Unwritable;

            fn serialize_field<T: Serialize + ?Sized>(
                &mut self,
                key: &'static str,
                field: &T,
            ) -> Result<(), Unwritable> {
                self.map.insert(key.to_owned(), value(field)?);
                Ok(())
            }

            fn end(self) -> Result<Value, Unwritable> {
                Ok(self.map())
            }
        }
    )*};
}

fields!(SerializeStruct, SerializeStructVariant);

impl ser::SerializeMap for Parts {
    type Ok = Value;
    type Error = Unwritable;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), Unwritable> {
        self.key = match value(key)? {
            Value::String(text) => text,
            Value::Number(number) => number.to_string(),
            other => return Err(Unwritable(format!("{other} cannot be a key"))),
        };
        Ok(())
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, field: &T) -> Result<(), Unwritable> {
        let key = std::mem::take(&mut self.key);
        self.map.insert(key, value(field)?);
        Ok(())
    }

    fn end(self) -> Result<Value, Unwritable> {
        Ok(self.map())
    }
}
