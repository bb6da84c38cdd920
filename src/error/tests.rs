//! Every kind of error: its name, its facts, and that no message is written for one front end.

use super::*;

/// One of every kind.
fn examples() -> Vec<Error> {
    let (name, why) = (String::from("a name"), String::from("a reason"));
    let all = vec![
        Error::BudgetOutOfRange { m: 300, max: 256 },
        Error::BudgetNotOffered { m: 10, offered: vec![1, 9, 36] },
        Error::InvalidSetting { what: "context".into(), why: why.clone() },
        Error::ModelMissing { path: "folder/manifest.json".into(), why: why.clone() },
        Error::ModelCorrupt { file: name.clone(), problem: why.clone() },
        Error::TensorMissing { name: name.clone(), hint: String::new() },
        Error::TowerMissing { why: why.clone() },
        Error::TensorShape { name: name.clone(), expected: vec![2], got: vec![3] },
        Error::TensorType { name: name.clone(), dtype: "I8".into() },
        Error::TensorUnknown { name: name.clone() },
        Error::Tensors { faults: vec![Error::TensorUnknown { name: name.clone() }] },
        Error::AdapterNotFound { wanted: name.clone(), available: "cpu".into() },
        Error::DeviceRefused { adapter: name.clone(), why: why.clone() },
        Error::OutOfMemory { what: name.clone(), bytes: 16 },
        Error::LimitTooSmall { what: name.clone(), limit: "maxBufferSize", need: 2, have: 1 },
        Error::DeviceLost { why: why.clone() },
        Error::ImageMissing { path: name.clone(), why: why.clone() },
        Error::ImageUnreadable { problem: why.clone() },
        Error::ContextFull { need: 10, have: 8 },
        Error::OutputFailed { path: "out".into(), why },
        Error::Cancelled,
    ];
    // A new kind fails here: it belongs into the list above.
    for error in &all {
        match error {
            Error::BudgetOutOfRange { .. }
            | Error::BudgetNotOffered { .. }
            | Error::InvalidSetting { .. }
            | Error::ModelMissing { .. }
            | Error::ModelCorrupt { .. }
            | Error::TensorMissing { .. }
            | Error::TowerMissing { .. }
            | Error::TensorShape { .. }
            | Error::TensorType { .. }
            | Error::TensorUnknown { .. }
            | Error::Tensors { .. }
            | Error::AdapterNotFound { .. }
            | Error::DeviceRefused { .. }
            | Error::OutOfMemory { .. }
            | Error::LimitTooSmall { .. }
            | Error::DeviceLost { .. }
            | Error::ImageMissing { .. }
            | Error::ImageUnreadable { .. }
            | Error::ContextFull { .. }
            | Error::OutputFailed { .. }
            | Error::Cancelled => {}
        }
    }
    all
}

/// Whether text names a flag of the program.
fn names_a_flag(text: &str) -> bool {
    let is_flag = |word: &str| {
        let word = word.trim_start_matches(['(', '`', '"']);
        let letters = word.trim_start_matches('-');
        let dashes = word.len() - letters.len();
        let short = letters.trim_end_matches(['.', ',', ';', ':']).len() == 1;
        letters.starts_with(|c: char| c.is_ascii_lowercase())
            && (dashes == 2 || dashes == 1 && short)
    };
    text.split_whitespace().any(is_flag)
}

/// Reasons and hints all over the library: `the_library_names_no_flags` in `tests/tidy.rs`.
#[test]
fn no_message_names_a_flag() {
    for error in examples() {
        let message = error.to_string();
        assert!(!message.contains("--") && !message.contains('`'), "{message}");
        assert!(!names_a_flag(&message), "{message}");
    }
}

#[test]
fn a_code_has_the_name_that_it_is_serialised_as() {
    for error in examples() {
        let code = error.code();
        assert_eq!(serde_json::to_value(code).unwrap(), code.as_str());
    }
}

#[test]
fn facts_are_the_numbers_of_the_message() {
    let facts = |error: &Error| serde_json::to_value(error.facts()).unwrap();
    assert_eq!(
        facts(&Error::ContextFull { need: 10, have: 8 }),
        serde_json::json!({"need": 10, "have": 8})
    );
    assert_eq!(
        facts(&Error::BudgetNotOffered { m: 10, offered: vec![1, 9] }),
        serde_json::json!({"asked": 10, "offered": [1, 9]})
    );
    // A device that does not say how much is no fact.
    assert_eq!(
        facts(&Error::OutOfMemory { what: "keys".into(), bytes: 0 }),
        serde_json::json!({"what": "keys"})
    );
    assert_eq!(facts(&Error::Cancelled), serde_json::json!({}));
}
