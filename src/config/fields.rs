//! Reads one field of a published JSON file at a time: with the type that it must have, or an error
//! that names the file.

use super::LARGEST;
use super::pictures::short;
use crate::error::{Error, Result};
use crate::untrusted::cut;
use serde_json::Value;

/// One JSON object and the file it came from, for messages.
#[derive(Clone, Copy)]
pub(crate) struct Fields<'a> {
    pub(crate) file: &'a str,
    pub(crate) value: &'a Value,
}

impl<'a> Fields<'a> {
    /// The error that names this file.
    pub(crate) fn bad(&self, problem: String) -> Error {
        Error::ModelCorrupt { file: self.file.to_owned(), problem }
    }

    /// The value of a field, or `None` if it is absent or null.
    pub(crate) fn get(&self, key: &str) -> Option<&'a Value> {
        self.value.get(key).filter(|v| !v.is_null())
    }

    /// An object inside this one.
    pub(crate) fn inner(&self, key: &str) -> Result<Option<Fields<'a>>> {
        let Some(value) = self.get(key) else { return Ok(None) };
        if value.is_object() {
            Ok(Some(Fields { file: self.file, value }))
        } else {
            Err(self.bad(format!("{key} is {}, not an object", short(value))))
        }
    }

    /// A positive whole number, or `None` if absent.
    pub(crate) fn count_or_none(&self, key: &str) -> Result<Option<usize>> {
        let Some(value) = self.get(key) else { return Ok(None) };
        match value.as_u64() {
            Some(n) if (1..=LARGEST).contains(&n) => Ok(Some(n as usize)),
            _ => Err(self
                .bad(format!("{key} is {}, not a whole number from 1 to {LARGEST}", short(value)))),
        }
    }

    /// The index of one layer, also as text or as a list of one; `None` if absent.
    pub(crate) fn layer(&self, key: &str) -> Result<Option<i64>> {
        let Some(value) = self.get(key) else { return Ok(None) };
        let one = match value.as_array().map(Vec::as_slice) {
            Some([one]) => one,
            _ => value,
        };
        let whole = |v: f64| (v.fract() == 0.0 && v.abs() < 1e6).then_some(v as i64);
        let index = one
            .as_i64()
            .or_else(|| whole(one.as_f64()?))
            .or_else(|| one.as_str()?.trim().parse().ok());
        index.map(Some).ok_or_else(|| {
            self.bad(format!("{key} is {}, not the index of one layer", short(value)))
        })
    }

    /// Refuses other texts than these, by name.
    pub(crate) fn only(&self, key: &str, known: &[&str]) -> Result<()> {
        match self.text(key)? {
            Some(other) if !known.contains(&other) => Err(self.bad(format!(
                "{key} {:?} is not supported; it may be {}",
                cut(other, 60),
                known.join(" or ")
            ))),
            _ => Ok(()),
        }
    }

    /// A positive whole number that has to be there.
    pub(crate) fn count(&self, key: &str) -> Result<usize> {
        self.count_or_none(key)?.ok_or_else(|| self.bad(format!("{key} is missing")))
    }

    /// A positive number that a 32-bit float holds; `default` if absent.
    pub(crate) fn number(&self, key: &str, default: f64) -> Result<f64> {
        let Some(value) = self.get(key) else { return Ok(default) };
        value.as_f64().filter(|v| *v > 0.0 && (*v as f32).is_normal()).ok_or_else(|| {
            self.bad(format!("{key} is {}, not a usable positive number", short(value)))
        })
    }

    /// A text, or `None` if absent; anything else is no text to be passed over.
    pub(crate) fn text(&self, key: &str) -> Result<Option<&'a str>> {
        let Some(value) = self.get(key) else { return Ok(None) };
        value
            .as_str()
            .map(Some)
            .ok_or_else(|| self.bad(format!("{key} is {}, not a text", short(value))))
    }

    /// True or false; absent is false.
    pub(crate) fn flag(&self, key: &str) -> Result<bool> {
        let Some(value) = self.get(key) else { return Ok(false) };
        value
            .as_bool()
            .ok_or_else(|| self.bad(format!("{key} is {}, not true or false", short(value))))
    }

    /// Three finite numbers, or `None` if absent.
    pub(crate) fn triple(&self, key: &str) -> Result<Option<[f64; 3]>> {
        let Some(value) = self.get(key) else { return Ok(None) };
        let list: Option<Vec<f64>> =
            value.as_array().and_then(|a| a.iter().map(Value::as_f64).collect());
        let triple = list
            .and_then(|l| <[f64; 3]>::try_from(l).ok())
            .filter(|t| t.iter().all(|v| v.is_finite()));
        triple
            .map(Some)
            .ok_or_else(|| self.bad(format!("{key} is {}, not three numbers", short(value))))
    }
}
