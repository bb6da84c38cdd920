//! Nothing that comes from a model, a pack, a server or a file is trusted: not its text, its paths
//! or its sizes. This is the one place where each is checked.
//!
//! `docs/security.md` lists who calls what.

use crate::error::{Error, Result};
use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::fmt::Write;

/// Most bytes of each kind of file. A file's size is compared before the file is read.
pub mod limits {
    /// A configuration: `config.json`, `preprocessor_config.json`, `generation_config.json`,
    /// `tokenizer_config.json`. The largest published ones are tens of kilobytes;
    /// `tokenizer_config.json` lists added tokens.
    pub const CONFIG: u64 = 4 << 20;
    /// A pack's manifest: about 150 bytes for each tensor.
    pub const MANIFEST: u64 = 8 << 20;
    /// A checkpoint's index: about 100 bytes for each tensor.
    pub const INDEX: u64 = 16 << 20;
    /// A tokenizer as JSON: the largest published ones are about 35 MB.
    pub const TOKENIZER: u64 = 64 << 20;
    /// A SentencePiece model: the largest published ones are about 5 MB.
    pub const SENTENCEPIECE: u64 = 16 << 20;
    /// The header of a safetensors file: about 100 bytes for each tensor.
    pub const HEADER: u64 = 16 << 20;
    /// The header of a GGUF file, which holds the tokenizer too: the largest published ones have
    /// about 16 MB.
    pub const GGUF: u64 = 64 << 20;
    /// Text beside a model that only goes along: its card, its list of scenes, and whatever has no
    /// limit of its own.
    pub const TEXT: u64 = 16 << 20;
    /// A server's listing of a model's files.
    pub const LISTING: u64 = 8 << 20;
    /// A line of questions or answers: in a chat it may hold a picture as a `data:` URL.
    pub const LINE: u64 = 64 << 20;
    /// A note or a journal of our own.
    pub const NOTE: u64 = 16 << 20;
    /// Files in a model.
    pub const FILES: usize = 10_000;
    /// One file of weights: the largest published ones are some hundred gigabytes.
    pub const WEIGHTS: u64 = 1 << 40;
    /// A path in a listing.
    pub const PATH: usize = 1024;
    /// Characters of a message that are shown on one line.
    pub const MESSAGE: usize = 2000;
    /// Characters of a name inside a message.
    pub const NAME: usize = 200;

    /// The size limit for a model's small file of this name.
    pub fn of(name: &str) -> u64 {
        match name {
            "manifest.json" | "verified.json" => MANIFEST,
            "tokenizer.json" => TOKENIZER,
            "tokenizer.model" => SENTENCEPIECE,
            name if name.ends_with(".index.json") => INDEX,
            name if name.ends_with(".json") => CONFIG,
            _ => TEXT,
        }
    }
}

/// What we write beside a model's files, or in the cache. Nobody else's file may have such a name:
/// we would believe it.
const OURS: [&str; 3] = ["verified.json", "convert.journal", "kernels.json"];

/// `text`, with every character escaped that could control a terminal or hide what is written:
/// control characters other than newline and tab, and the marks that reorder text. Nothing is
/// allocated if there are none.
pub fn shown(text: &str) -> Cow<'_, str> {
    if !text.chars().any(is_steering) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        if is_steering(c) {
            let code = u32::from(c);
            let written = if code < 0x100 {
                write!(out, "\\x{code:02x}")
            } else {
                write!(out, "\\u{{{code:x}}}")
            };
            written.expect("a string takes any text");
        } else {
            out.push(c);
        }
    }
    Cow::Owned(out)
}

/// A control character (C0, DEL, C1) but newline and tab, or one of Unicode's marks that change the
/// order of what follows.
fn is_steering(c: char) -> bool {
    let reorders = matches!(c, '\u{061c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    c.is_control() && c != '\n' && c != '\t' || reorders
}

/// `json`, which is valid JSON, with the characters that [`shown`] escapes written as `\uXXXX`: its
/// meaning is the same, and a terminal can show it.
pub fn shown_json(json: &str) -> Cow<'_, str> {
    if !json.chars().any(is_steering) {
        return Cow::Borrowed(json);
    }
    let mut out = String::with_capacity(json.len() + 16);
    for c in json.chars() {
        if is_steering(c) {
            write!(out, "\\u{:04x}", u32::from(c)).expect("a string takes any text");
        } else {
            out.push(c);
        }
    }
    Cow::Owned(out)
}

/// `text` as one line that can be read: [`shown`], white space as single spaces, at most
/// [`limits::MESSAGE`] characters.
pub fn one_line(text: &str) -> String {
    let words = text.split_whitespace().collect::<Vec<_>>().join(" ");
    cut(&shown(&words), limits::MESSAGE)
}

/// The first `most` characters, and how many are left out.
pub fn cut(text: &str, most: usize) -> String {
    match text.char_indices().nth(most) {
        Some((at, _)) => {
            format!("{} … ({} more characters)", &text[..at], text[at..].chars().count())
        }
        None => text.to_owned(),
    }
}

/// Refuses names that could point outside their folder, hide in it, or be one of our own notes: no
/// separators, no leading dot, no control characters, no names of devices on Windows, none of our
/// own names, at most 255 bytes. `from` is the file that contains the name.
///
/// # Errors
/// [`Error::ModelCorrupt`].
pub fn check_file_name(name: &str, from: &str) -> Result<()> {
    let stem = name.split('.').next().unwrap_or_default().trim_end().to_ascii_uppercase();
    let numbered = |prefix: &str| {
        stem.strip_prefix(prefix).is_some_and(|rest| matches!(rest.as_bytes(), [b'0'..=b'9']))
    };
    let device = matches!(stem.as_str(), "CON" | "PRN" | "AUX" | "NUL")
        || numbered("COM")
        || numbered("LPT");
    let plain = !name.is_empty()
        && !name.contains(['/', '\\', ':', '*', '?', '"', '<', '>', '|'])
        && !name.chars().any(is_steering);
    let visible =
        !name.starts_with('.') && !name.ends_with(['.', ' ']) && !name.contains(['\n', '\t']);
    let ours = OURS.iter().any(|own| own.eq_ignore_ascii_case(name));
    if plain && visible && !device && !ours && name.len() <= 255 {
        return Ok(());
    }
    Err(Error::ModelCorrupt {
        file: from.into(),
        problem: format!(
            "it names a file {:?}, which no file of a model may be called",
            short(name)
        ),
    })
}

/// Like [`check_file_name`], for a file that may lie in sub-folders: each part of `path` between
/// slashes is such a name.
///
/// # Errors
/// [`Error::ModelCorrupt`].
pub fn check_path(path: &str, from: &str) -> Result<()> {
    if path.len() > limits::PATH {
        let problem = format!(
            "it names a file {:?}…, which is longer than {} bytes",
            short(path),
            limits::PATH
        );
        return Err(Error::ModelCorrupt { file: from.into(), problem });
    }
    let problem =
        || format!("it names a file {:?}, which no file of a model may be called", short(path));
    let fits = path.split('/').all(|part| check_file_name(part, from).is_ok());
    if fits { Ok(()) } else { Err(Error::ModelCorrupt { file: from.into(), problem: problem() }) }
}

/// Refuses files that cannot be in one folder on every system: the same path twice, paths that
/// differ only in case, a file where another path needs a folder.
///
/// # Errors
/// [`Error::ModelCorrupt`].
pub fn check_distinct<'a>(paths: impl IntoIterator<Item = &'a str>, from: &str) -> Result<()> {
    let corrupt = |problem: String| Err(Error::ModelCorrupt { file: from.into(), problem });
    let (mut files, mut folders) = (HashSet::new(), HashMap::new());
    for path in paths {
        let folded = path.to_lowercase();
        for (slash, _) in folded.match_indices('/') {
            folders.entry(folded[..slash].to_owned()).or_insert(path);
        }
        if !files.insert(folded) {
            return corrupt(format!(
                "it names the file {:?} twice (capital and small letters count as the same)",
                short(path)
            ));
        }
    }
    match folders.iter().find(|(folder, _)| files.contains(*folder)) {
        Some((folder, path)) => corrupt(format!(
            "it names a file {:?}, which is also the folder of {:?}",
            short(folder),
            short(path)
        )),
        None => Ok(()),
    }
}

/// Refuses anything that is not a SHA-256 in lower-case hex digits.
///
/// # Errors
/// [`Error::ModelCorrupt`].
pub fn check_sha256(sum: &str, of: &str, from: &str) -> Result<()> {
    if sum.len() == 64 && sum.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')) {
        return Ok(());
    }
    let problem = format!(
        "the SHA-256 that it gives for {:?} is not 64 small hex digits: {:?}",
        short(of),
        short(sum)
    );
    Err(Error::ModelCorrupt { file: from.into(), problem })
}

/// The beginning of a text that may be of any length.
pub fn short(text: &str) -> &str {
    text.char_indices().nth(100).map_or(text, |(end, _)| &text[..end])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_cannot_steer_a_terminal() {
        assert!(matches!(shown("plain, ünï, 日本\n\ttext"), Cow::Borrowed(_)));
        assert_eq!(shown("a\x1b]52;c;eA==\x07b"), "a\\x1b]52;c;eA==\\x07b");
        assert_eq!(shown("\r\x08\x7f\u{9b}2J\u{202e}x"), "\\x0d\\x08\\x7f\\x9b2J\\u{202e}x");
    }

    #[test]
    fn json_says_the_same_on_a_terminal() {
        let value = "a\x1b]52;c;\x07\u{9b}2J\u{202e}x\u{7f}é";
        let exact = serde_json::to_string(value).unwrap();
        assert!(exact.contains('\u{9b}'), "serde_json escapes ASCII only");
        let safe = shown_json(&exact);
        assert!(!safe.chars().any(is_steering), "{safe:?}");
        assert_eq!(serde_json::from_str::<String>(&safe).unwrap(), value);
    }

    #[test]
    fn a_message_is_one_line_of_bounded_length() {
        assert_eq!(one_line("a \n b\tc\x1b[2J"), "a b c\\x1b[2J");
        let long = one_line(&"é".repeat(1_000_000));
        assert!(long.ends_with("(998000 more characters)") && long.len() < 5000, "{}", long.len());
    }

    #[test]
    fn names_stay_in_their_folder() {
        for name in [
            "model.safetensors",
            "weights-00001.safetensors",
            "a b (1).json",
            "комплект.json",
            "control.json",
        ] {
            assert!(check_file_name(name, "x").is_ok(), "{name}");
        }
        let long = "a".repeat(256);
        let bad = [
            "",
            ".",
            "..",
            "a/b",
            "/etc/passwd",
            "a\\b",
            "C:x",
            ".bashrc",
            ".mqt-files.json",
            "a\0",
            "a\x1b[2J",
            "nul",
            "COM1.txt",
            "a.",
            "a ",
            "a\nb",
            "verified.json",
            "Convert.Journal",
            &long,
        ];
        for name in bad {
            assert_eq!(check_file_name(name, "x").unwrap_err().exit_code(), 3, "{name:?}");
        }
    }

    #[test]
    fn paths_are_names_between_slashes() {
        assert!(check_path("vision_tower/config.json", "x").is_ok());
        let long = "a/".repeat(600) + "a";
        for path in [
            "",
            "/a",
            "a/",
            "a//b",
            "../a",
            "a/../b",
            "a/./b",
            ".git/hooks/post-commit",
            "a/.bashrc",
            "a/nul/b",
            &long,
        ] {
            assert_eq!(check_path(path, "x").unwrap_err().exit_code(), 3, "{path:?}");
        }
    }

    #[test]
    fn files_that_would_replace_each_other_are_refused() {
        assert!(check_distinct(["a", "b/a", "b/c"], "x").is_ok());
        for paths in [
            &["a", "a"][..],
            &["a/Config.json", "a/config.json"],
            &["a", "a/b"],
            &["a/b/c", "A"],
            &["É", "é"],
        ] {
            assert_eq!(
                check_distinct(paths.iter().copied(), "x").unwrap_err().exit_code(),
                3,
                "{paths:?}"
            );
        }
    }

    #[test]
    fn sums_are_small_hex_digits() {
        assert!(check_sha256(&"0a".repeat(32), "a", "x").is_ok());
        for sum in
            [String::new(), "0A".repeat(32), "0g".repeat(32), "0a".repeat(33), "é".repeat(32)]
        {
            assert_eq!(check_sha256(&sum, "a", "x").unwrap_err().exit_code(), 3, "{sum}");
        }
    }
}
