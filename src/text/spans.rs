//! The frame of a prompt as spans of text and special tokens, and how it becomes ids.

use serde::{Deserialize, Serialize};

use super::Tokenizer;

/// A stretch of a prompt's frame.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Span {
    /// Ordinary text.
    Text(String),
    /// A special token.
    Token {
        /// Its name in the tokenizer.
        token: String,
    },
}

impl Span {
    /// What it looks like in a written prompt.
    pub fn text(&self) -> &str {
        match self {
            Span::Text(text) | Span::Token { token: text } => text,
        }
    }
}

/// Cuts the special tokens `names` out of a text, the longest that begins first.
pub(super) fn spans(text: &str, names: &[&str]) -> Vec<Span> {
    let mut found = Vec::new();
    let (mut begin, mut at) = (0, 0);
    while let Some(letter) = text[at..].chars().next() {
        let here = names.iter().filter(|name| !name.is_empty() && text[at..].starts_with(**name));
        if let Some(name) = here.max_by_key(|name| name.len()) {
            if begin < at {
                found.push(Span::Text(text[begin..at].to_owned()));
            }
            found.push(Span::Token { token: (*name).to_owned() });
            at += name.len();
            begin = at;
        } else {
            at += letter.len_utf8();
        }
    }
    if begin < text.len() {
        found.push(Span::Text(text[begin..].to_owned()));
    }
    found
}

/// Ids of spans in a row. Neighbouring texts are one text to the tokenizer; a token that it does
/// not have is text. `opens`: the first text is the first of the prompt.
pub(super) fn ids<'a>(
    tokenizer: &Tokenizer,
    spans: impl IntoIterator<Item = &'a Span>,
    opens: bool,
) -> Vec<u32> {
    let (mut ids, mut text, mut opens) = (Vec::new(), String::new(), opens);
    let mut flush = |text: &mut String, ids: &mut Vec<u32>| {
        if !text.is_empty() {
            let encode = if opens { Tokenizer::encode } else { Tokenizer::encode_after_special };
            ids.extend(encode(tokenizer, text));
            text.clear();
        }
        opens = false;
    };
    for span in spans {
        let id = match span {
            Span::Token { token } => tokenizer.special(token),
            Span::Text(_) => None,
        };
        let Some(id) = id else {
            text.push_str(span.text());
            continue;
        };
        flush(&mut text, &mut ids);
        ids.push(id);
    }
    flush(&mut text, &mut ids);
    ids
}

/// The spans as they are written.
pub(super) fn written(spans: &[Span]) -> String {
    spans.iter().map(Span::text).collect()
}
