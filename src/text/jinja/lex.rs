//! A template's text, cut into the text between tags and the words inside them.

use super::Out;

/// A word inside a tag.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Word {
    Name(String),
    Int(i64),
    Float(f64),
    Text(String),
    Sign(&'static str),
}

/// A piece of a template.
#[derive(Debug)]
pub(super) enum Piece {
    /// Text that is written as it stands.
    Text(String),
    /// `{{ … }}`
    Print(Vec<Word>),
    /// `{% … %}`
    Tag(Vec<Word>),
}

/// Longer ones first.
const SIGNS: [&str; 29] = [
    "**", "//", "==", "!=", "<=", ">=", "+", "-", "*", "/", "%", "~", "<", ">", "=", "(", ")", "[",
    "]", "{", "}", ",", ".", ":", "|", ";", "!", "&", "@",
];

/// The pieces of a template, blanks cut as `trim_blocks` and `lstrip_blocks` say.
pub(super) fn pieces(source: &str) -> Out<Vec<Piece>> {
    let source = source.replace("\r\n", "\n").replace('\r', "\n");
    let mut rest = source.strip_suffix('\n').unwrap_or(&source);
    let mut pieces = Vec::new();
    // Whether `rest` begins a line.
    let mut fresh = true;
    loop {
        let next = ["{{", "{%", "{#"].into_iter().filter_map(|open| rest.find(open)).min();
        let Some(at) = next else {
            push(&mut pieces, rest);
            return Ok(pieces);
        };
        let (before, tag) = rest.split_at(at);
        let (open, inside) = tag.split_at(2);
        let (trims, inside) = sign(inside);
        push(&mut pieces, cut_before(before, open, trims, fresh));
        let (words, keeps, tail) = match open {
            "{#" => {
                let (inside, tail) = inside.split_once("#}").ok_or("a comment does not end")?;
                (Vec::new(), inside.chars().next_back().filter(|c| "-+".contains(*c)), tail)
            }
            _ => words(inside, if open == "{{" { "}}" } else { "%}" })?,
        };
        let blank = tail.len() - tail.trim_start().len();
        let cut = match keeps {
            Some('-') => blank,
            None if open != "{{" && tail.starts_with('\n') => 1,
            _ => 0,
        };
        fresh = tail[..cut].ends_with('\n');
        rest = &tail[cut..];
        match open {
            "{{" => pieces.push(Piece::Print(words)),
            "{%" => pieces.push(Piece::Tag(words)),
            _ => (),
        }
    }
}

fn push(pieces: &mut Vec<Piece>, text: &str) {
    if !text.is_empty() {
        pieces.push(Piece::Text(text.to_owned()));
    }
}

/// The sign after an opening: `-` cuts blanks, `+` keeps them.
fn sign(inside: &str) -> (Option<char>, &str) {
    match inside.chars().next() {
        Some(sign @ ('-' | '+')) => (Some(sign), &inside[1..]),
        _ => (None, inside),
    }
}

/// What is written of the text before a tag.
fn cut_before<'a>(before: &'a str, open: &str, sign: Option<char>, fresh: bool) -> &'a str {
    match sign {
        Some('-') => before.trim_end(),
        None if open != "{{" => {
            let line = before.rfind('\n').map(|at| at + 1).or(fresh.then_some(0));
            match line {
                Some(at) if before[at..].trim().is_empty() => &before[..at],
                _ => before,
            }
        }
        _ => before,
    }
}

/// The words up to the end of a tag, the sign before the end, and what follows it.
fn words<'a>(mut rest: &'a str, close: &str) -> Out<(Vec<Word>, Option<char>, &'a str)> {
    let (mut words, mut open) = (Vec::new(), 0_usize);
    loop {
        rest = rest.trim_start();
        let first = rest.chars().next().ok_or("a tag does not end")?;
        let (sign, end) = sign(rest);
        if let Some(tail) = end.strip_prefix(close).filter(|_| open == 0) {
            return Ok((words, sign, tail));
        }
        let word = if first == '\'' || first == '"' {
            let (text, tail) = quoted(&rest[1..], first)?;
            rest = tail;
            Word::Text(text)
        } else if first.is_ascii_digit() {
            let (number, tail) = number(rest)?;
            rest = tail;
            number
        } else if first.is_alphabetic() || first == '_' {
            let end = rest.find(|c: char| !(c.is_alphanumeric() || c == '_')).unwrap_or(rest.len());
            let (name, tail) = rest.split_at(end);
            rest = tail;
            Word::Name(name.to_owned())
        } else {
            let sign = SIGNS.into_iter().find(|sign| rest.starts_with(sign));
            let sign = sign.ok_or_else(|| format!("the sign {first:?} has no meaning"))?;
            match sign {
                "(" | "[" | "{" => open += 1,
                ")" | "]" | "}" => open = open.saturating_sub(1),
                _ => (),
            }
            rest = &rest[sign.len()..];
            Word::Sign(sign)
        };
        words.push(word);
    }
}

/// A text in quotes, and what follows it.
fn quoted(rest: &str, quote: char) -> Out<(String, &str)> {
    let mut text = String::new();
    let mut signs = rest.char_indices();
    while let Some((at, sign)) = signs.next() {
        match sign {
            '\\' => {
                let (_, escaped) = signs.next().ok_or("a text does not end")?;
                match escaped {
                    'n' => text.push('\n'),
                    't' => text.push('\t'),
                    'r' => text.push('\r'),
                    '\n' => (),
                    'u' | 'x' | 'U' => {
                        let digits = match escaped {
                            'x' => 2,
                            'u' => 4,
                            _ => 8,
                        };
                        let code: String = signs.by_ref().take(digits).map(|(_, c)| c).collect();
                        let code = u32::from_str_radix(&code, 16).ok().and_then(char::from_u32);
                        text.push(code.ok_or("an escaped character does not exist")?);
                    }
                    '\\' | '\'' | '"' => text.push(escaped),
                    other => text.extend(['\\', other]),
                }
            }
            _ if sign == quote => return Ok((text, &rest[at + 1..])),
            _ => text.push(sign),
        }
    }
    Err("a text does not end".into())
}

/// A number, and what follows it.
fn number(rest: &str) -> Out<(Word, &str)> {
    let digits =
        |text: &str| text.find(|c: char| !(c.is_ascii_digit() || c == '_')).unwrap_or(text.len());
    let whole = digits(rest);
    let fraction = rest[whole..].strip_prefix('.').map_or(0, digits);
    let end = if fraction == 0 { whole } else { whole + 1 + fraction };
    let (text, tail) = rest.split_at(end);
    let text = text.replace('_', "");
    let word = match fraction {
        0 => text.parse().ok().map(Word::Int),
        _ => text.parse().ok().map(Word::Float),
    };
    word.map(|word| (word, tail)).ok_or_else(|| "a number is too large".into())
}
