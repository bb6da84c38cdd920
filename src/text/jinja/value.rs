//! A template's values, as Python has them.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use super::Out;
use super::meter::{Meter, STEP};

/// What a list or a map holds.
#[derive(Debug)]
pub(crate) struct Held<T> {
    pub(super) of: T,
    /// Bytes, of everything inside.
    pub(super) weight: usize,
    /// Levels of lists and maps, itself included.
    pub(super) depth: usize,
}

/// Keys and their values, in the order in which they came.
pub(crate) type Entries = Vec<(Rc<str>, Value)>;

/// A value. Lists stand for tuples too.
#[derive(Debug, Clone)]
pub(crate) enum Value {
    Undefined,
    None,
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(Rc<str>),
    List(Rc<Held<Vec<Value>>>),
    Map(Rc<Held<Entries>>),
    /// What `namespace` makes; only a variable can be one, so that none lies in itself.
    Space(Rc<RefCell<BTreeMap<String, Value>>>),
    /// A macro, by its number.
    Macro(usize),
}

impl Value {
    pub(super) fn weight(&self) -> usize {
        match self {
            Value::Text(text) => text.len() + STEP,
            Value::List(held) => held.weight,
            Value::Map(held) => held.weight,
            _ => STEP,
        }
    }

    pub(super) fn depth(&self) -> usize {
        match self {
            Value::List(held) => held.depth,
            Value::Map(held) => held.depth,
            _ => 0,
        }
    }

    /// The type's name in a sentence.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Value::Undefined => "a value that is not there",
            Value::None => "none",
            Value::Bool(_) => "a truth value",
            Value::Int(_) | Value::Float(_) => "a number",
            Value::Text(_) => "a text",
            Value::List(_) => "a list",
            Value::Map(_) => "a map",
            Value::Space(_) => "a namespace",
            Value::Macro(_) => "a macro",
        }
    }

    pub(super) fn is_true(&self) -> bool {
        match self {
            Value::Undefined | Value::None => false,
            Value::Bool(truth) => *truth,
            Value::Int(number) => *number != 0,
            Value::Float(number) => *number != 0.0,
            Value::Text(text) => !text.is_empty(),
            Value::List(held) => !held.of.is_empty(),
            Value::Map(held) => !held.of.is_empty(),
            Value::Space(_) | Value::Macro(_) => true,
        }
    }

    pub(super) fn number(&self) -> Option<f64> {
        match self {
            Value::Bool(truth) => Some(f64::from(u8::from(*truth))),
            #[allow(clippy::cast_precision_loss, reason = "as Python compares them")]
            Value::Int(number) => Some(*number as f64),
            Value::Float(number) => Some(*number),
            _ => None,
        }
    }

    pub(super) fn int(&self) -> Out<i64> {
        match self {
            Value::Bool(truth) => Ok(i64::from(*truth)),
            Value::Int(number) => Ok(*number),
            other => Err(format!("it uses {} as a whole number", other.kind())),
        }
    }

    pub(super) fn str(&self) -> Out<&str> {
        match self {
            Value::Text(text) => Ok(text),
            other => Err(format!("it uses {} as a text", other.kind())),
        }
    }

    /// What a value looks like when it is written. Lists and maps are not: no prompt needs what
    /// Python would show of them.
    pub(super) fn shown(&self) -> Out<Rc<str>> {
        Ok(match self {
            Value::Text(text) => text.clone(),
            Value::Undefined => Rc::from(""),
            Value::None => Rc::from("None"),
            Value::Bool(truth) => Rc::from(if *truth { "True" } else { "False" }),
            Value::Int(number) => Rc::from(number.to_string()),
            Value::Float(number) => Rc::from(format!("{number:?}")),
            other => return Err(format!("it writes {}", other.kind())),
        })
    }

    /// The value under a key of a map or a namespace.
    pub(super) fn entry(&self, key: &str, meter: &Meter) -> Out<Value> {
        match self {
            Value::Map(held) => {
                meter.spend(held.of.len())?;
                let found = held.of.iter().find(|(name, _)| **name == *key);
                Ok(found.map_or(Value::Undefined, |(_, value)| value.clone()))
            }
            Value::Space(space) => Ok(space.borrow().get(key).cloned().unwrap_or(Value::Undefined)),
            Value::Undefined => Err(format!("it asks for {key} of a value that is not there")),
            _ => Ok(Value::Undefined),
        }
    }

    /// The items that a loop visits.
    pub(super) fn items(&self, meter: &Meter) -> Out<Vec<Value>> {
        meter.spend(self.weight())?;
        match self {
            Value::Undefined => Ok(Vec::new()),
            Value::List(held) => Ok(held.of.clone()),
            Value::Map(held) => {
                Ok(held.of.iter().map(|(key, _)| Value::Text(key.clone())).collect())
            }
            Value::Text(text) => {
                // A character becomes a value of its own.
                meter.fits(text.chars().count() * STEP)?;
                Ok(text.chars().map(|sign| Value::words(sign.encode_utf8(&mut [0; 4]))).collect())
            }
            other => Err(format!("it goes through {}", other.kind())),
        }
    }

    /// Whether two values are the same, as `==` says.
    pub(super) fn same(&self, other: &Value, meter: &Meter) -> Out<bool> {
        meter.spend(self.weight().min(other.weight()))?;
        Ok(self.alike(other))
    }

    fn alike(&self, other: &Value) -> bool {
        match (self, other) {
            (Value::Undefined, Value::Undefined) | (Value::None, Value::None) => true,
            (Value::Int(a), Value::Int(b)) => a == b,
            (Value::Text(a), Value::Text(b)) => a == b,
            (Value::List(a), Value::List(b)) => {
                a.of.len() == b.of.len() && a.of.iter().zip(&b.of).all(|(a, b)| a.alike(b))
            }
            // In the order of their entries: no template compares maps.
            (Value::Map(a), Value::Map(b)) => {
                a.of.len() == b.of.len()
                    && a.of.iter().zip(&b.of).all(|(a, b)| a.0 == b.0 && a.1.alike(&b.1))
            }
            (Value::Macro(a), Value::Macro(b)) => a == b,
            _ => match (self.number(), other.number()) {
                (Some(a), Some(b)) => a == b,
                _ => false,
            },
        }
    }
}
