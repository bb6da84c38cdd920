//! Values in files of questions and answers, kept exactly as they were written: a number beyond 64
//! bits would be changed by reading it.

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};
use serde_json::Value;
use serde_json::value::RawValue;
use std::fmt;

/// A question's id: a number, as it was written, or a string.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Id(String);

impl Id {
    /// As JSON: a number in its own digits, a string with the usual escapes.
    pub(crate) fn json(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Id {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Id, D::Error> {
        let raw = Box::<RawValue>::deserialize(deserializer)?;
        match raw.get().as_bytes().first() {
            Some(b'"' | b'-' | b'0'..=b'9') => Ok(Id(plain(&raw))),
            _ => Err(D::Error::custom("question_id is neither a number nor a text")),
        }
    }
}

impl Serialize for Id {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let raw = RawValue::from_string(self.0.clone()).map_err(serde::ser::Error::custom)?;
        raw.serialize(serializer)
    }
}

/// The right answer to a question: any value, as people read it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Key(pub(crate) String);

impl<'de> Deserialize<'de> for Key {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Key, D::Error> {
        let raw = Box::<RawValue>::deserialize(deserializer)?;
        Ok(Key(serde_json::from_str::<String>(raw.get()).unwrap_or_else(|_| plain(&raw))))
    }
}

/// JSON in one spelling, but for numbers, which stay as they are.
fn plain(raw: &RawValue) -> String {
    let text = raw.get();
    match serde_json::from_str::<Value>(text) {
        Ok(value) if !value.is_number() => value.to_string(),
        // Read as a value, a large number would lose its last digits.
        _ => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_keep_their_digits_and_strings_their_meaning() {
        for (text, want) in [
            ("18446744073709551617", "18446744073709551617"),
            ("-9223372036854775809", "-9223372036854775809"),
            ("0.1000000000000000055511151231257827", "0.1000000000000000055511151231257827"),
            ("7", "7"),
            (r#""\u0041\u002f""#, r#""A/""#),
        ] {
            let id: Id = serde_json::from_str(text).unwrap();
            assert_eq!(id.json(), want);
            assert_eq!(serde_json::to_string(&id).unwrap(), want);
        }
        for text in ["null", "true", "[1]", "{}"] {
            assert!(serde_json::from_str::<Id>(text).is_err(), "{text}");
        }
        for (text, want) in [
            ("18446744073709551617", "18446744073709551617"),
            (r#""a""#, "a"),
            ("[1, 2]", "[1,2]"),
            ("true", "true"),
        ] {
            assert_eq!(serde_json::from_str::<Key>(text).unwrap().0, want);
        }
    }
}
