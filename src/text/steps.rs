//! The steps of a `tokenizer.json` that prepare text for the merges. Only known ones run, and each
//! is bounded when the file is read: together they may lengthen a text [`MOST_GROWTH`] times, and a
//! search in it may go back only so often.

use std::ops::Range;

use fancy_regex::{Expr, Regex, RegexBuilder};
use serde::Deserialize;
use serde_json::Value;
use tokenizers::normalizer::SplitDelimiterBehavior;
use tokenizers::pattern::{Invert, Pattern};
use tokenizers::{
    NormalizedString, Normalizer, NormalizerWrapper, Offsets, PreTokenizedString, PreTokenizer,
    PreTokenizerWrapper,
};

use crate::plain::json_error;
use crate::untrusted::{cut, limits};

/// The most that all steps together may lengthen a text. Unicode's compatibility forms lengthen it
/// 11 times, `▁` for spaces 3 times.
const MOST_GROWTH: usize = 200;
/// The most steps, and the most levels of sequences within sequences.
const MOST_STEPS: usize = 32;
const MOST_LEVELS: usize = 8;
/// The longest text that a step inserts, in bytes.
const MOST_INSERTED: usize = 64;
/// The longest regular expression, in bytes, and the largest with its counted repeats written out.
const PATTERN_BYTES: usize = 4096;
const PATTERN_PARTS: usize = 20_000;
/// So often may a search go back for one match: usually, and in a few hard places.
const QUICK: usize = 2_000;
const PATIENT: usize = 1_000_000;
const HARD_PLACES: usize = 8;

/// Normaliser and pre-tokenizer of a `tokenizer.json`.
pub(super) struct Steps {
    normal: Vec<Normal>,
    split: Vec<Split>,
}

enum Normal {
    Replace(Search, String),
    Other(NormalizerWrapper),
}

enum Split {
    At { search: Search, behavior: SplitDelimiterBehavior, invert: bool },
    Other(PreTokenizerWrapper),
}

impl Steps {
    /// Checks both; the error is the problem in words.
    pub(super) fn new(normalizer: &Value, pre_tokenizer: &Value) -> Result<Steps, String> {
        let (mut normal, mut split) = (Vec::new(), Vec::new());
        let mut growth = 1usize;
        for step in flat(normalizer, "normalizers", "normaliser")? {
            let (step, factor) = read_normal(step)?;
            growth = growth.saturating_mul(factor);
            normal.push(step);
        }
        for step in flat(pre_tokenizer, "pretokenizers", "pre-tokenizer")? {
            let (step, factor) = read_split(step)?;
            growth = growth.saturating_mul(factor);
            split.push(step);
        }
        if growth > MOST_GROWTH {
            return Err(format!(
                "its normaliser and pre-tokenizer may make a text {growth} times as long; {MOST_GROWTH} times is the most that is run"
            ));
        }
        Ok(Steps { normal, split })
    }

    /// The text in the pieces that are merged one by one; a step that fails on this text is left
    /// out.
    pub(super) fn apply(&self, text: &str) -> PreTokenizedString {
        let mut normal = text.to_owned();
        for step in &self.normal {
            // Each step gets a text without a past. Where the characters came from is nothing we
            // need, and after a match of nothing it is wrong: the next step would panic over it.
            let mut normalized = NormalizedString::from(normal.as_str());
            let done = match step {
                Normal::Replace(search, content) => normalized.replace(search, content),
                Normal::Other(other) => other.normalize(&mut normalized),
            };
            if done.is_ok() {
                normalized.get().clone_into(&mut normal);
            }
        }
        let mut cut = PreTokenizedString::from(normal.as_str());
        for step in &self.split {
            let before = cut.clone();
            let done = match step {
                Split::At { search, behavior, invert: true } => {
                    cut.split(|_, text| text.split(Invert(search), *behavior))
                }
                Split::At { search, behavior, invert: false } => {
                    cut.split(|_, text| text.split(search, *behavior))
                }
                Split::Other(other) => other.pre_tokenize(&mut cut),
            };
            if done.is_err() {
                cut = before;
            }
        }
        cut
    }
}

/// The steps of a sequence, in order; one step is a sequence of itself.
fn flat<'a>(step: &'a Value, list: &str, what: &str) -> Result<Vec<&'a Value>, String> {
    let mut steps = Vec::new();
    let mut open: Vec<(&Value, usize)> = vec![(step, 0)];
    while let Some((step, level)) = open.pop() {
        if step.is_null() {
            continue;
        }
        if kind(step) == "Sequence" {
            let inner = step
                .get(list)
                .and_then(Value::as_array)
                .ok_or_else(|| format!("a sequence of its {what} has no {list}"))?;
            open.extend(inner.iter().rev().map(|step| (step, level + 1)));
        } else {
            steps.push(step);
        }
        if level > MOST_LEVELS || steps.len() + open.len() > MOST_STEPS {
            return Err(format!(
                "its {what} has more than {MOST_STEPS} steps, or sequences deeper than {MOST_LEVELS} levels"
            ));
        }
    }
    Ok(steps)
}

fn kind(step: &Value) -> &str {
    step.get("type").and_then(Value::as_str).unwrap_or_default()
}

/// One step of a normaliser, and how many times longer it may make a text.
fn read_normal(step: &Value) -> Result<(Normal, usize), String> {
    let factor = match kind(step) {
        "Replace" => {
            let content = inserted(step, "content")?;
            let (search, factor) = Search::read(step, "normaliser", content.len())?;
            return Ok((Normal::Replace(search, content), factor));
        }
        // Its length is added once.
        "Prepend" => inserted(step, "prepend").map(|_| 1)?,
        "NFC" | "NFD" => 3,
        "NFKC" | "NFKD" => 11,
        "Lowercase" | "ByteLevel" => 2,
        "Strip" | "StripAccents" | "Nmt" => 1,
        other => {
            return Err(format!(
                "its normaliser has a step {:?}, which is not supported",
                cut(other, limits::NAME)
            ));
        }
    };
    let step = serde_json::from_value(step.clone()).map_err(|error| json_error(&error))?;
    Ok((Normal::Other(step), factor))
}

/// The same of a pre-tokenizer.
fn read_split(step: &Value) -> Result<(Split, usize), String> {
    #[derive(Deserialize)]
    struct How {
        behavior: SplitDelimiterBehavior,
        invert: bool,
    }
    let factor = match kind(step) {
        "Split" => {
            let How { behavior, invert } =
                How::deserialize(step).map_err(|error| json_error(&error))?;
            let (search, _) = Search::read(step, "pre-tokenizer", 0)?;
            return Ok((Split::At { search, behavior, invert }, 1));
        }
        // A space before each piece, then two bytes for one.
        "ByteLevel" => 4,
        // A character of at most four bytes for each space, and one before each piece.
        "Metaspace" => 8,
        "Digits" | "Whitespace" | "WhitespaceSplit" | "Punctuation" | "CharDelimiterSplit"
        | "UnicodeScripts" => 1,
        other => {
            return Err(format!(
                "its pre-tokenizer has a step {:?}, which is not supported",
                cut(other, limits::NAME)
            ));
        }
    };
    let step = serde_json::from_value(step.clone()).map_err(|error| json_error(&error))?;
    Ok((Split::Other(step), factor))
}

/// A text that a step puts in.
fn inserted(step: &Value, key: &str) -> Result<String, String> {
    let text = step
        .get(key)
        .and_then(Value::as_str)
        .ok_or_else(|| format!("a step of its normaliser has no {key}"))?;
    if text.len() > MOST_INSERTED {
        return Err(format!(
            "a step of its normaliser inserts {} bytes; {MOST_INSERTED} is the most that is run",
            text.len()
        ));
    }
    Ok(text.to_owned())
}

/// What is looked for in a text.
enum Search {
    Text(String),
    /// The same expression with little patience and with much.
    Regex {
        quick: Box<Regex>,
        patient: Box<Regex>,
    },
}

impl Search {
    /// Reads a step's pattern; how many times longer a text may become when `content` bytes take
    /// the place of each match.
    fn read(step: &Value, what: &str, content: usize) -> Result<(Search, usize), String> {
        #[derive(Deserialize)]
        enum Form {
            String(String),
            Regex(String),
        }
        let form = step.get("pattern").map(Form::deserialize);
        match form
            .ok_or_else(|| format!("a step of its {what} has no pattern"))?
            .map_err(|error| error.to_string())?
        {
            Form::String(text) if text.is_empty() => {
                Err(format!("a step of its {what} looks for an empty text"))
            }
            Form::String(text) => {
                let factor = content.div_ceil(text.len()).max(1);
                Ok((Search::Text(text), factor))
            }
            Form::Regex(pattern) => {
                check(&pattern)
                    .map_err(|problem| format!("a regular expression of its {what} {problem}"))?;
                let build = |patience: usize| {
                    RegexBuilder::new(&pattern)
                        .backtrack_limit(patience)
                        .build()
                        .map(Box::new)
                        .map_err(|error| error.to_string())
                };
                // A match may be a single byte, or lie empty before every one of them.
                Ok((
                    Search::Regex { quick: build(QUICK)?, patient: build(PATIENT)? },
                    content.saturating_add(1),
                ))
            }
        }
    }

    /// Every match, in order. Where an expression goes back too often, the rest of the text has
    /// none.
    fn matches(&self, text: &str) -> Vec<Range<usize>> {
        let (quick, patient) = match self {
            Search::Text(wanted) => {
                return text
                    .match_indices(wanted.as_str())
                    .map(|(at, _)| at..at + wanted.len())
                    .collect();
            }
            Search::Regex { quick, patient } => (quick, patient),
        };
        let (mut found, mut at, mut hard) = (Vec::<Range<usize>>::new(), 0, 0);
        while at <= text.len() {
            let mut next = quick.find_from_pos(text, at);
            if next.is_err() && hard < HARD_PLACES {
                hard += 1;
                next = patient.find_from_pos(text, at);
            }
            let Ok(Some(range)) = next.map(|next| next.map(|next| next.range())) else { break };
            at = range.end;
            if range.is_empty() {
                at += text[at..].chars().next().map_or(1, char::len_utf8);
                // An empty match right behind another one is none.
                if found.last().is_some_and(|last| last.end == range.end) {
                    continue;
                }
            }
            found.push(range);
        }
        found
    }
}

impl Pattern for &Search {
    fn find_matches(&self, text: &str) -> tokenizers::Result<Vec<(Offsets, bool)>> {
        if text.is_empty() {
            return Ok(vec![((0, 0), false)]);
        }
        let (mut parts, mut end) = (Vec::new(), 0);
        for found in self.matches(text) {
            if found.start > end {
                parts.push(((end, found.start), false));
            }
            end = found.end;
            parts.push(((found.start, end), true));
        }
        if end < text.len() {
            parts.push(((end, text.len()), false));
        }
        Ok(parts)
    }
}

/// Refuses expressions that would take much memory, and those that call themselves or look back at
/// what they matched.
fn check(pattern: &str) -> Result<(), String> {
    if pattern.len() > PATTERN_BYTES {
        return Err(format!(
            "has {} bytes; {PATTERN_BYTES} is the most that is run",
            pattern.len()
        ));
    }
    let tree = Expr::parse_tree(pattern).map_err(|error| format!("cannot be read: {error}"))?;
    match parts(&tree.expr) {
        None => Err("refers to its own groups, which is not supported".into()),
        Some(parts) if parts > PATTERN_PARTS => Err(format!(
            "has {parts} parts once its repeats are written out; {PATTERN_PARTS} is the most that is run"
        )),
        Some(_) => Ok(()),
    }
}

/// Parts of an expression with its counted repeats written out; `None` if there are kinds that no
/// tokenizer needs.
fn parts(expr: &Expr) -> Option<usize> {
    let sum = |list: &[Expr]| {
        list.iter().try_fold(1usize, |sum, part| Some(sum.saturating_add(parts(part)?)))
    };
    match expr {
        Expr::Empty
        | Expr::Any { .. }
        | Expr::Assertion(_)
        | Expr::Literal { .. }
        | Expr::Delegate { .. } => Some(1),
        Expr::Concat(list) | Expr::Alt(list) => sum(list),
        Expr::Group(inner) | Expr::LookAround(inner, _) | Expr::AtomicGroup(inner) => {
            Some(parts(inner)?.saturating_add(1))
        }
        Expr::Repeat { child, lo, hi, .. } => {
            let times = if *hi == usize::MAX { lo.saturating_add(1) } else { *hi };
            Some(parts(child)?.saturating_mul(times.max(1)).saturating_add(1))
        }
        _ => None,
    }
}
