//! Messages of the JSON parser about a text, and of the system about a file, as sentences for
//! people: the original messages use terms of Rust.

use crate::untrusted::{cut, one_line};
use serde::de::DeserializeOwned;
use serde_json::error::Category;

/// Reads one JSON object.
///
/// # Errors
/// What is wrong with the text, and where, as part of a sentence; an array is no object, whatever
/// its values.
pub fn object<T: DeserializeOwned>(text: &[u8]) -> Result<T, String> {
    let first = text.iter().find(|byte| !byte.is_ascii_whitespace());
    if first.is_some_and(|byte| *byte != b'{') {
        let value = serde_json::from_slice::<serde::de::IgnoredAny>(text);
        return Err(value
            .err()
            .map_or("it holds no JSON object".into(), |error| json_error(&error)));
    }
    serde_json::from_slice(text).map_err(|error| {
        let said = json_error(&error);
        if is_python_number(text, &error) {
            let (general, what) = ("it is not valid JSON", "NaN and Infinity are no numbers there");
            return said.replacen(general, &format!("{general}: {what}"), 1);
        }
        said
    })
}

/// Whether the reader stopped at a number as Python's `json` writes it and JSON does not know.
fn is_python_number(text: &[u8], error: &serde_json::Error) -> bool {
    let Some(line) = text.split(|byte| *byte == b'\n').nth(error.line().wrapping_sub(1)) else {
        return false;
    };
    let here = &line[error.column().saturating_sub(2).min(line.len())..];
    error.classify() == Category::Syntax
        && [&b"NaN"[..], b"Infinity"].iter().any(|word| {
            here[..here.len().min(word.len() + 2)].windows(word.len()).any(|w| w == *word)
        })
}

/// What is wrong with a JSON text, and where.
pub fn json_error(error: &serde_json::Error) -> String {
    let said = error.to_string();
    let place = format!(" at line {} column {}", error.line(), error.column());
    let said = said.strip_suffix(&place).unwrap_or(&said);
    let what = match error.classify() {
        Category::Eof => "its JSON ends in the middle".into(),
        Category::Syntax => syntax(said),
        Category::Data => data(said),
        Category::Io => one_line(said),
    };
    match (error.line(), error.column()) {
        (0, _) => what,
        // Lines of their own, and files without line breaks.
        (1, column) => format!("{what} (at character {column})"),
        (line, column) => format!("{what} (at line {line}, character {column})"),
    }
}

/// What the system says of a file, without its number.
pub fn system_error(error: &std::io::Error) -> String {
    let said = error.to_string();
    let end = said.rfind(" (os error ").filter(|_| said.ends_with(')')).unwrap_or(said.len());
    said[..end].to_owned()
}

fn syntax(said: &str) -> String {
    let what = match said {
        "trailing characters" => "more text follows the JSON",
        "trailing comma" => "a comma has nothing behind it",
        "key must be a string" => "a field's name is not in quotation marks",
        "number out of range" => "a number is too large",
        "invalid number" => "a number is written wrongly",
        "invalid escape" => "a text has a backslash that stands for nothing",
        "recursion limit exceeded" => "lists or objects are nested too deeply",
        "invalid unicode code point" => "a text is not UTF-8",
        _ if said.starts_with("control character") => {
            "a text has a control character in it that is not escaped"
        }
        _ if said.contains("surrogate") || said.contains("hex escape") => {
            "a text has a \\u escape that stands for no character"
        }
        _ => return "it is not valid JSON".into(),
    };
    format!("it is not valid JSON: {what}")
}

/// About a value that the JSON may not have there.
fn data(said: &str) -> String {
    let quoted = |rest: &str| rest.trim_matches('`').to_owned();
    if let Some(field) = said.strip_prefix("missing field ") {
        return format!("the field {:?} is missing", cut(&quoted(field), 60));
    }
    if let Some(field) = said.strip_prefix("duplicate field ") {
        return format!("the field {:?} is there twice", cut(&quoted(field), 60));
    }
    let known_words = ["unknown variant ", "unknown field "]
        .iter()
        .find_map(|kind| said.strip_prefix(kind)?.split_once(", expected "));
    if let Some((given, known)) = known_words {
        let known = known.trim_start_matches("one of ").replace('`', "\"");
        let given = cut(&quoted(given), 60);
        return one_line(&format!("it has {given:?}, where one of these should be: {known}"));
    }
    let length = said.strip_prefix("invalid length ").and_then(|l| l.split_once(", expected "));
    if let Some((length, wanted)) = length {
        return format!(
            "it has a list of {length} values, where {} should be",
            self::wanted(wanted)
        );
    }
    let found = ["invalid type: ", "invalid value: "].iter().find_map(|p| said.strip_prefix(p));
    match found.and_then(|found| found.rsplit_once(", expected ")) {
        Some((found, wanted)) => {
            format!("it has {}, where {} should be", self::found(found), self::wanted(wanted))
        }
        None => one_line(said).replace('`', "\""),
    }
}

fn found(said: &str) -> String {
    let kinds = [
        ("integer ", "the number "),
        ("floating point ", "the number "),
        ("string ", "the text "),
        ("boolean ", ""),
        ("number", "a number"),
        ("sequence", "a list"),
        ("map", "an object"),
        ("newtype struct", "a value"),
    ];
    let plain = kinds
        .iter()
        .find_map(|(from, to)| Some(format!("{to}{}", said.strip_prefix(from)?.trim_matches('`'))));
    cut(&one_line(&plain.unwrap_or_else(|| said.to_owned())), 80)
}

fn wanted(said: &str) -> String {
    match said {
        "u8" | "u16" | "u32" | "u64" | "u128" | "usize" => "a whole number from 0 on".into(),
        "i8" | "i16" | "i32" | "i64" | "i128" | "isize" => "a whole number".into(),
        "f32" | "f64" => "a number".into(),
        "a string" | "string" | "a borrowed string" | "str" => "a text".into(),
        "a boolean" => "true or false".into(),
        "a sequence" => "a list".into(),
        "a map" => "an object".into(),
        "unit" | "null" => "null".into(),
        _ if said.starts_with("struct ") || said.starts_with("internally tagged") => {
            "an object".into()
        }
        _ if said.starts_with("an array of length ") || said.starts_with("a tuple of size ") => {
            let count = said.rsplit(' ').next().unwrap_or_default();
            format!("a list of {count} values")
        }
        _ if said.contains("variant") || said.contains("enum") => "one of the known words".into(),
        _ => one_line(said).replace('`', "\""),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;

    #[derive(Debug, Deserialize)]
    #[expect(dead_code, reason = "what is read matters here only where it fails")]
    struct Entry {
        size: Option<u64>,
        path: String,
        share: Option<f32>,
        on: Option<bool>,
        shape: Option<[usize; 2]>,
        inner: Option<Box<Entry>>,
        kind: Option<Kind>,
    }

    #[derive(Debug, Deserialize)]
    #[serde(rename_all = "lowercase")]
    enum Kind {
        F16,
        Q8,
        Q4,
    }

    #[test]
    fn what_is_wrong_is_said_without_rusts_words() {
        for (text, want) in [
            (r#"{"path": 5}"#, "it has the number 5, where a text should be (at character 10)"),
            (r#"{"path": "a", "size": -1}"#, "the number -1, where a whole number from 0 on"),
            (r#"{"path": "a", "size": 1.5}"#, "the number 1.5, where a whole number from 0 on"),
            (r#"{"path": "a", "size": "x"}"#, "the text \"x\", where a whole number from 0 on"),
            (r#"{"path": "a", "share": []}"#, "it has a list, where a number should be"),
            (r#"{"path": "a", "on": 1}"#, "the number 1, where true or false should be"),
            (r#"{"path": "a", "inner": 7}"#, "the number 7, where an object should be"),
            (r#"{"path": {}}"#, "it has an object, where a text should be"),
            (r#"{"path": null}"#, "it has null, where a text should be"),
            (r#"{"path": true}"#, "it has true, where a text should be"),
            (
                r#"{"path": "a", "kind": "x"}"#,
                "it has \"x\", where one of these should be: \"f16\", \"q8\", \"q4\"",
            ),
            (r#"{"path": "a", "inner": []}"#, "a list of 0 values, where an object should be"),
            ("{}", "the field \"path\" is missing (at character 2)"),
            (r#"{"path": "a", "path": "b"}"#, "the field \"path\" is there twice"),
            (r#"[null, "a"]"#, "it holds no JSON object"),
            ("7", "it holds no JSON object"),
            ("", "its JSON ends in the middle"),
            (r#"{"path": "a"#, "its JSON ends in the middle"),
            ("{\n\n\"path\" \"a\"}", "it is not valid JSON (at line 3, character 8)"),
            (r#"{"path": "a"} x"#, "not valid JSON: more text follows the JSON"),
            (r#"{"path": "a",}"#, "not valid JSON: a comma has nothing behind it"),
            (r#"{path: "a"}"#, "a field's name is not in quotation marks"),
            (r#"{"size": 1e999}"#, "a number is too large"),
            ("{\"path\": \"a\tb\"}", "a control character in it"),
            (r#"{"path": "\x"}"#, "a backslash that stands for nothing"),
            (r#"{"path": "\ud800"}"#, "a \\u escape that stands for no character"),
            ("it is a text", "it is not valid JSON"),
        ] {
            let said = object::<Entry>(text.as_bytes()).unwrap_err();
            assert!(said.contains(want), "{text}: {said}");
            for word in ["expected", "u64", "usize", "struct", "sequence", "map", "EOF", "`"] {
                assert!(!said.contains(word), "{word} in {said}");
            }
        }
    }

    #[test]
    fn the_systems_number_is_left_out() {
        let error = std::io::Error::from_raw_os_error(2);
        assert!(error.to_string().contains("os error"));
        assert!(!system_error(&error).contains("os error"));
        assert_eq!(system_error(&std::io::Error::other("why (not)")), "why (not)");
    }

    #[test]
    fn what_is_wrong_is_cut_and_escaped() {
        let text = serde_json::json!({"path": "a", "size": format!("\x1b[2J{}", "x".repeat(5000))});
        let said = object::<Entry>(text.to_string().as_bytes()).unwrap_err();
        assert!(said.len() < 300 && !said.contains('\x1b'), "{said}");
    }

    #[test]
    fn pythons_numbers_that_json_has_not_are_named() {
        let said = |text: &str| object::<serde_json::Value>(text.as_bytes()).unwrap_err();
        for text in ["{\"a\": NaN}", "{\"a\": Infinity}", "{\n\"a\": -Infinity\n}"] {
            assert!(said(text).contains("NaN and Infinity are no numbers"), "{}", said(text));
        }
        for text in ["{\"NaN\": nothing}", "{\"a\": -}", "{", "{\"a\": 1e400}"] {
            assert!(!said(text).contains("NaN"), "{}", said(text));
        }
    }
}
