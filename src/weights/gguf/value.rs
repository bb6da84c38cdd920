//! The values of a GGUF file's keys: numbers, texts, and lists of them.

use super::container::Container;
use super::cursor::{Cursor, Stop};
use crate::error::Result;
use crate::untrusted::{cut, short};
use std::fmt;

/// Numbers of the format for the types of values.
mod kind {
    pub(super) const U8: u32 = 0;
    pub(super) const I8: u32 = 1;
    pub(super) const U16: u32 = 2;
    pub(super) const I16: u32 = 3;
    pub(super) const U32: u32 = 4;
    pub(super) const I32: u32 = 5;
    pub(super) const F32: u32 = 6;
    pub(super) const BOOL: u32 = 7;
    pub(super) const TEXT: u32 = 8;
    pub(super) const LIST: u32 = 9;
    pub(super) const U64: u32 = 10;
    pub(super) const I64: u32 = 11;
    pub(super) const F64: u32 = 12;
}

/// The longest list that is shown entry by entry.
const SHORT: usize = 8;

/// The value of a key. A list takes a few times the bytes that it has in the file, no more.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Value {
    /// A whole number without sign, of 8 to 64 bits.
    Unsigned(u64),
    /// A whole number with sign, of 8 to 64 bits.
    Signed(i64),
    /// A float of 32 bits.
    Float(f32),
    /// A float of 64 bits.
    Double(f64),
    /// True or false.
    Bool(bool),
    /// A text; bytes that are no UTF-8 are replaced.
    Text(String),
    /// A list of texts.
    Texts(Vec<String>),
    /// A list of floats.
    Floats(Vec<f32>),
    /// A list of whole numbers.
    Wholes(Vec<i64>),
    /// A list of something else, and how long it is: no key that counts has one.
    Other(u64),
}

impl Value {
    /// Reads a value of this type.
    pub(super) fn read(cursor: &mut Cursor, key: &str, kind: u32) -> Result<Value, Stop> {
        if kind == kind::TEXT {
            return Ok(Value::Text(String::from_utf8_lossy(cursor.text()?).into_owned()));
        }
        if kind == kind::LIST {
            return Value::read_list(cursor, key);
        }
        let Some(width) = width(kind) else {
            return Err(Stop::Wrong(format!(
                "its key {:?} has a value of type {kind}, which GGUF does not know",
                short(key)
            )));
        };
        let bytes = cursor.take(width)?;
        if kind == kind::BOOL && bytes[0] > 1 {
            return Err(Stop::Wrong(format!(
                "its key {:?} is {}, not true or false",
                short(key),
                bytes[0]
            )));
        }
        Ok(scalar(kind, bytes))
    }

    fn read_list(cursor: &mut Cursor, key: &str) -> Result<Value, Stop> {
        let (kind, count) = (cursor.u32()?, cursor.u64()?);
        if kind == kind::LIST {
            return Err(Stop::Wrong(format!(
                "its key {:?} is a list of lists, which no key of a model is",
                short(key)
            )));
        }
        let what = format!("entries of {:?}", short(key));
        if kind == kind::TEXT {
            cursor.check_count(&what, count, 8)?;
            let text = |cursor: &mut Cursor| {
                cursor.text().map(|bytes| String::from_utf8_lossy(bytes).into_owned())
            };
            return (0..count).map(|_| text(cursor)).collect::<Result<_, _>>().map(Value::Texts);
        }
        let Some(width) = width(kind) else {
            return Err(Stop::Wrong(format!(
                "its key {:?} is a list of values of type {kind}, which GGUF does not know",
                short(key)
            )));
        };
        cursor.check_count(&what, count, width as u64)?;
        let bytes = usize::try_from(count).ok().and_then(|n| n.checked_mul(width));
        let bytes = cursor.take(bytes.ok_or(Stop::Short(cursor.part))?)?;
        let values = bytes.chunks_exact(width).map(|bytes| scalar(kind, bytes));
        Ok(match kind {
            kind::F32 => Value::Floats(
                values
                    .filter_map(|v| if let Value::Float(v) = v { Some(v) } else { None })
                    .collect(),
            ),
            kind::BOOL | kind::F64 | kind::U64 => Value::Other(count),
            _ => Value::Wholes(
                values
                    .filter_map(|v| match v {
                        Value::Unsigned(v) => i64::try_from(v).ok(),
                        Value::Signed(v) => Some(v),
                        _ => None,
                    })
                    .collect(),
            ),
        })
    }
}

/// Bytes of a value of this type, unless it is a text or a list.
fn width(kind: u32) -> Option<usize> {
    match kind {
        kind::U8 | kind::I8 | kind::BOOL => Some(1),
        kind::U16 | kind::I16 => Some(2),
        kind::U32 | kind::I32 | kind::F32 => Some(4),
        kind::U64 | kind::I64 | kind::F64 => Some(8),
        _ => None,
    }
}

/// The value in exactly as many bytes as its type has.
fn scalar(kind: u32, bytes: &[u8]) -> Value {
    let mut word = [0; 8];
    word[..bytes.len()].copy_from_slice(bytes);
    let unsigned = u64::from_le_bytes(word);
    let signed = |bits: u32| (unsigned << (64 - bits)).cast_signed() >> (64 - bits);
    match kind {
        kind::BOOL => Value::Bool(unsigned != 0),
        kind::I8 => Value::Signed(signed(8)),
        kind::I16 => Value::Signed(signed(16)),
        kind::I32 => Value::Signed(signed(32)),
        kind::I64 => Value::Signed(signed(64)),
        kind::F32 => Value::Float(f32::from_bits(unsigned as u32)),
        kind::F64 => Value::Double(f64::from_bits(unsigned)),
        _ => Value::Unsigned(unsigned),
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Value::Unsigned(n) => write!(f, "{n}"),
            Value::Signed(n) => write!(f, "{n}"),
            Value::Float(x) => write!(f, "{x}"),
            Value::Double(x) => write!(f, "{x}"),
            Value::Bool(b) => write!(f, "{b}"),
            Value::Text(text) => write!(f, "{:?}", cut(text, 60)),
            Value::Texts(list) => write!(f, "a list of {} texts", list.len()),
            Value::Floats(list) if list.len() <= SHORT => write!(f, "{list:?}"),
            Value::Floats(list) => write!(f, "a list of {} floats", list.len()),
            Value::Wholes(list) if list.len() <= SHORT => write!(f, "{list:?}"),
            Value::Wholes(list) => write!(f, "a list of {} whole numbers", list.len()),
            Value::Other(n) => write!(f, "a list of {n} values"),
        }
    }
}

/// In JSON a short list is one, a long one is a text that says how long it is.
impl serde::Serialize for Value {
    fn serialize<S: serde::Serializer>(
        &self,
        serializer: S,
    ) -> std::result::Result<S::Ok, S::Error> {
        match self {
            Value::Unsigned(n) => serializer.serialize_u64(*n),
            Value::Signed(n) => serializer.serialize_i64(*n),
            Value::Float(x) => serializer.serialize_f64(decimal(*x)),
            Value::Double(x) => serializer.serialize_f64(*x),
            Value::Bool(b) => serializer.serialize_bool(*b),
            Value::Text(text) => serializer.serialize_str(text),
            Value::Floats(list) if list.len() <= SHORT => list.serialize(serializer),
            Value::Wholes(list) if list.len() <= SHORT => list.serialize(serializer),
            long => serializer.collect_str(long),
        }
    }
}

/// Keys by name and kind of value. Each fails with
/// [`Error::ModelCorrupt`](crate::Error::ModelCorrupt) on a value of another kind.
impl Container {
    fn not<T>(&self, key: &str, value: &Value, what: &str) -> Result<T> {
        Err(self.bad(format!("{key} is {value}, not {what}")))
    }

    /// A text; `None` if absent.
    pub fn text(&self, key: &str) -> Result<Option<&str>> {
        match self.keys.get(key) {
            None => Ok(None),
            Some(Value::Text(text)) => Ok(Some(text)),
            Some(other) => self.not(key, other, "a text"),
        }
    }

    /// A whole number that is not negative; `None` if absent.
    pub fn whole(&self, key: &str) -> Result<Option<u64>> {
        match self.keys.get(key) {
            None => Ok(None),
            Some(Value::Unsigned(n)) => Ok(Some(*n)),
            Some(Value::Signed(n)) if *n >= 0 => Ok(Some(n.cast_unsigned())),
            Some(other) => self.not(key, other, "a whole number"),
        }
    }

    /// A number; `None` if absent.
    pub fn number(&self, key: &str) -> Result<Option<f64>> {
        match self.keys.get(key) {
            None => Ok(None),
            Some(Value::Float(x)) if x.is_finite() => Ok(Some(decimal(*x))),
            Some(Value::Double(x)) if x.is_finite() => Ok(Some(*x)),
            Some(Value::Unsigned(n)) => Ok(Some(*n as f64)),
            Some(other) => self.not(key, other, "a number"),
        }
    }

    /// True or false; `None` if absent.
    pub fn flag(&self, key: &str) -> Result<Option<bool>> {
        match self.keys.get(key) {
            None => Ok(None),
            Some(Value::Bool(b)) => Ok(Some(*b)),
            Some(other) => self.not(key, other, "true or false"),
        }
    }

    /// A list of numbers; `None` if absent.
    pub fn floats(&self, key: &str) -> Result<Option<&[f32]>> {
        match self.keys.get(key) {
            None => Ok(None),
            Some(Value::Floats(list)) => Ok(Some(list)),
            Some(other) => self.not(key, other, "a list of floats"),
        }
    }

    /// A list of whole numbers; `None` if absent.
    pub fn wholes(&self, key: &str) -> Result<Option<&[i64]>> {
        match self.keys.get(key) {
            None => Ok(None),
            Some(Value::Wholes(list)) => Ok(Some(list)),
            Some(other) => self.not(key, other, "a list of whole numbers"),
        }
    }

    /// A list of texts; `None` if absent.
    pub fn texts(&self, key: &str) -> Result<Option<&[String]>> {
        match self.keys.get(key) {
            None => Ok(None),
            Some(Value::Texts(list)) => Ok(Some(list)),
            Some(other) => self.not(key, other, "a list of texts"),
        }
    }
}

/// The number that a float of 32 bits was made of: the shortest decimal that gives the float, as
/// the model's own JSON had it. 1e-5 becomes 1e-5, not 9.999999747378752e-6.
pub(super) fn decimal(x: f32) -> f64 {
    x.to_string().parse().unwrap_or_else(|_| f64::from(x))
}
