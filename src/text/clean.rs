//! SentencePiece's normaliser: characters rewritten by a table, spaces collapsed.
//!
//! LLaMA's tokenizer uses neither; tokenizers trained with SentencePiece's defaults use both.
//! Upstream: `normalizer.cc` of SentencePiece.

use serde_json::{Value, json};

use super::stream::SPACE;

/// The longest key and the longest replacement of a table, in bytes: far above Unicode's own, of
/// which the longest has 33.
const LONGEST: usize = 64;

/// What happens to text before it is cut into tokens.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Clean {
    /// `precompiled_charsmap`; empty = none.
    charsmap: Vec<u8>,
    /// Spaces at both ends go, several in a row become one.
    collapse: bool,
}

impl Clean {
    pub(super) fn new(charsmap: Vec<u8>, collapse: bool) -> Clean {
        Clean { charsmap, collapse }
    }

    /// Refuses a table that lengthens text without limit; the error is the problem in words.
    pub(super) fn check(&self) -> Result<(), String> {
        let Some(trie) = Trie::new(&self.charsmap) else { return Ok(()) };
        let longest =
            trie.replacements.split(|&byte| byte == 0).map(<[u8]>::len).max().unwrap_or(0);
        if longest > LONGEST {
            return Err(format!(
                "its table of characters puts {longest} bytes in the place of one; {LONGEST} is the most that is run"
            ));
        }
        Ok(())
    }

    /// Text → cleaned text.
    pub(super) fn apply(&self, text: &str) -> String {
        let mut mapped = String::with_capacity(text.len());
        match Trie::new(&self.charsmap) {
            Some(trie) => trie.rewrite(text, &mut mapped),
            None => mapped.push_str(text),
        }
        if self.collapse {
            let words: Vec<&str> = mapped.split(' ').filter(|word| !word.is_empty()).collect();
            mapped = words.join(" ");
            // SentencePiece looks at the end after spaces have become marks.
            mapped.truncate(mapped.trim_end_matches([' ', SPACE]).len());
        }
        mapped
    }

    /// Whether text that is empty once cleaned is no text at all.
    pub(super) fn collapses(&self) -> bool {
        self.collapse
    }

    /// The same as steps of a `tokenizer.json` normaliser.
    pub(super) fn to_steps(&self) -> Vec<Value> {
        let mut steps = Vec::new();
        if !self.charsmap.is_empty() {
            steps.push(
                json!({"type": "Precompiled", "precompiled_charsmap": base64(&self.charsmap)}),
            );
        }
        if self.collapse {
            steps.extend(collapse_steps());
        }
        steps
    }

    /// Reads [`Clean::to_steps`] back; `None` for any other steps.
    pub(super) fn from_steps(mut steps: &[Value]) -> Option<Clean> {
        let mut clean = Clean::default();
        if let Some(map) = steps.first().and_then(|step| step.get("precompiled_charsmap")) {
            clean.charsmap = from_base64(map.as_str()?)?;
            steps = &steps[1..];
        }
        if *steps == collapse_steps() {
            clean.collapse = true;
            steps = &[];
        }
        steps.is_empty().then_some(clean)
    }
}

fn collapse_steps() -> [Value; 2] {
    [
        json!({"type": "Replace", "pattern": {"Regex": "^ +| +$"}, "content": ""}),
        json!({"type": "Replace", "pattern": {"Regex": " {2,}"}, "content": " "}),
    ]
}

/// A Darts double-array trie from byte strings to offsets into `replacements`; every access is
/// checked, as the bytes come from a file.
struct Trie<'a> {
    units: &'a [u8],
    replacements: &'a [u8],
}

impl<'a> Trie<'a> {
    /// Layout: length of the trie in bytes (u32), trie (u32 units), NUL-terminated replacements.
    fn new(charsmap: &'a [u8]) -> Option<Trie<'a>> {
        let (length, rest) = charsmap.split_first_chunk::<4>()?;
        let length = usize::try_from(u32::from_le_bytes(*length)).ok()?;
        let (units, replacements) = rest.split_at_checked(length)?;
        Some(Trie { units, replacements })
    }

    fn unit(&self, at: u32) -> Option<u32> {
        let at = usize::try_from(at).ok()?.checked_mul(4)?;
        self.units.get(at..)?.first_chunk().map(|unit| u32::from_le_bytes(*unit))
    }

    /// The longest key that `text` starts with: its length and its replacement.
    fn longest(&self, text: &[u8]) -> Option<(usize, &'a str)> {
        let offset = |unit: u32| (unit >> 10) << ((unit & (1 << 9)) >> 6);
        let mut found = None;
        let mut node = offset(self.unit(0)?);
        for (i, &byte) in text.iter().enumerate().take(LONGEST) {
            node ^= u32::from(byte);
            let Some(unit) = self.unit(node) else { break };
            if unit & (1 << 31 | 0xFF) != u32::from(byte) {
                break;
            }
            node ^= offset(unit);
            if unit >> 8 & 1 == 1 {
                found = self.unit(node).map(|leaf| (i + 1, leaf & !(1 << 31)));
            }
        }
        let (length, at) = found?;
        let replacement = self.replacements.get(usize::try_from(at).ok()?..)?;
        let end = replacement.iter().position(|&byte| byte == 0)?;
        Some((length, std::str::from_utf8(&replacement[..end]).ok()?))
    }

    fn rewrite(&self, mut text: &str, out: &mut String) {
        while let Some(first) = text.chars().next() {
            match self.longest(text.as_bytes()) {
                Some((length, replacement)) if text.is_char_boundary(length) => {
                    out.push_str(replacement);
                    text = &text[length..];
                }
                _ => {
                    out.push(first);
                    text = &text[first.len_utf8()..];
                }
            }
        }
    }
}

const BASE64: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

fn base64(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let group = chunk.iter().fold(0u32, |group, &byte| group << 8 | u32::from(byte))
            << (8 * (3 - chunk.len()));
        for i in 0..4 {
            let digit = BASE64[(group >> (18 - 6 * i) & 63) as usize];
            text.push(if i <= chunk.len() { char::from(digit) } else { '=' });
        }
    }
    text
}

fn from_base64(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len() / 4 * 3);
    for chunk in text.trim_end_matches('=').as_bytes().chunks(4) {
        let mut group = 0u32;
        for &letter in chunk {
            let digit = BASE64.iter().position(|&known| known == letter)?;
            group = group << 6 | u32::try_from(digit).ok()?;
        }
        group <<= 6 * (4 - chunk.len());
        let decoded = group.to_be_bytes();
        bytes.extend_from_slice(&decoded[1..chunk.len().max(1)]);
    }
    Some(bytes)
}
