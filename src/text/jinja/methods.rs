//! Python's methods of texts and maps that templates use.

use std::rc::Rc;

use super::Out;
use super::meter::{Meter, STEP};
use super::run::Given;
use super::value::Value;

/// `of.name(…)`
pub(super) fn method(of: &Value, name: &str, given: &Given, meter: &Meter) -> Out<Value> {
    given.only(3, &[])?;
    meter.spend(of.weight())?;
    let found = match of {
        Value::Text(text) => of_text(text, name, &given.plain, meter)?,
        Value::Map(held) => of_map(&held.of, name, &given.plain, meter)?,
        Value::Undefined => return Err(format!("it calls {name} of a value that is not there")),
        _ => None,
    };
    found.ok_or_else(|| format!("{} has no method {name}", of.kind()))
}

type Entries = [(Rc<str>, Value)];

fn of_map(entries: &Entries, name: &str, given: &[Value], meter: &Meter) -> Out<Option<Value>> {
    Ok(Some(match (name, given) {
        ("get", [Value::Text(key), otherwise @ ..]) => {
            let found = entries.iter().find(|(other, _)| other == key).map(|(_, value)| value);
            found.or(otherwise.first()).cloned().unwrap_or(Value::None)
        }
        ("keys", []) => {
            meter.list(entries.iter().map(|(key, _)| Value::Text(key.clone())).collect())?
        }
        ("values", []) => meter.list(entries.iter().map(|(_, value)| value.clone()).collect())?,
        ("items", []) => pairs(entries, meter)?,
        _ => return Ok(None),
    }))
}

/// Lists of key and value.
pub(super) fn pairs(entries: &Entries, meter: &Meter) -> Out<Value> {
    let pair =
        |(key, value): &(Rc<str>, Value)| meter.list(vec![Value::Text(key.clone()), value.clone()]);
    meter.list(entries.iter().map(pair).collect::<Out<_>>()?)
}

fn of_text(text: &str, name: &str, given: &[Value], meter: &Meter) -> Out<Option<Value>> {
    let truth = |truth: bool| Ok(Some(Value::Bool(truth)));
    let made = |made: &str| meter.text(made).map(Some);
    match (name, given) {
        ("strip" | "lstrip" | "rstrip", [] | [Value::None]) => made(match name {
            "strip" => text.trim(),
            "lstrip" => text.trim_start(),
            _ => text.trim_end(),
        }),
        ("strip" | "lstrip" | "rstrip", [Value::Text(signs)]) => {
            // Each character of the text may be looked for among all of them.
            meter.spend(text.len().saturating_mul(signs.len()))?;
            let is_one = |sign: char| signs.contains(sign);
            made(match name {
                "strip" => text.trim_matches(is_one),
                "lstrip" => text.trim_start_matches(is_one),
                _ => text.trim_end_matches(is_one),
            })
        }
        ("removeprefix", [Value::Text(part)]) => made(text.strip_prefix(&**part).unwrap_or(text)),
        ("removesuffix", [Value::Text(part)]) => made(text.strip_suffix(&**part).unwrap_or(text)),
        ("lower", []) => made(&text.to_lowercase()),
        ("upper", []) => made(&text.to_uppercase()),
        ("title", []) => made(&title(text)),
        ("capitalize", []) => made(&capital(text)),
        ("startswith", [part]) => truth(any(part, |part| text.starts_with(part))?),
        ("endswith", [part]) => truth(any(part, |part| text.ends_with(part))?),
        ("isdigit", []) => truth(!text.is_empty() && text.chars().all(char::is_numeric)),
        ("isalpha", []) => truth(!text.is_empty() && text.chars().all(char::is_alphabetic)),
        ("isspace", []) => truth(!text.is_empty() && text.chars().all(char::is_whitespace)),
        ("count", [Value::Text(part)]) => Ok(Some(number(text.matches(&**part).count()))),
        ("find", [Value::Text(part)]) => Ok(Some(match text.find(&**part) {
            Some(at) => number(text[..at].chars().count()),
            None => Value::Int(-1),
        })),
        ("replace", [Value::Text(old), Value::Text(new), most @ ..]) => {
            let most = most.first().map_or(Ok(-1), Value::int)?;
            replaced(text, old, new, most, meter).map(Some)
        }
        ("join", [items]) => join(text, &items.items(meter)?, meter).map(Some),
        ("split", given) => split(text, given, meter).map(Some),
        ("splitlines", []) => texts(text.lines(), meter).map(Some),
        _ => Ok(None),
    }
}

fn any(part: &Value, holds: impl Fn(&str) -> bool) -> Out<bool> {
    match part {
        Value::List(held) => {
            for part in &held.of {
                if holds(part.str()?) {
                    return Ok(true);
                }
            }
            Ok(false)
        }
        part => Ok(holds(part.str()?)),
    }
}

pub(super) fn number(number: usize) -> Value {
    Value::Int(i64::try_from(number).unwrap_or(i64::MAX))
}

/// The words with a capital first.
pub(super) fn title(text: &str) -> String {
    let mut made = String::with_capacity(text.len());
    let mut inside = false;
    for sign in text.chars() {
        if inside {
            made.extend(sign.to_lowercase());
        } else {
            made.extend(sign.to_uppercase());
        }
        inside = sign.is_alphabetic();
    }
    made
}

/// The text with a capital first and small letters after it.
pub(super) fn capital(text: &str) -> String {
    let mut signs = text.chars();
    let first = signs.next().into_iter().flat_map(char::to_uppercase);
    first.chain(signs.flat_map(char::to_lowercase)).collect()
}

pub(super) fn replaced(text: &str, old: &str, new: &str, most: i64, meter: &Meter) -> Out<Value> {
    let most = usize::try_from(most).unwrap_or(usize::MAX);
    let times = text.matches(old).count().min(most);
    meter.fits(text.len().saturating_add(times.saturating_mul(new.len())))?;
    meter.text(&text.replacen(old, new, times))
}

pub(super) fn join(between: &str, items: &[Value], meter: &Meter) -> Out<Value> {
    let mut made = String::new();
    for (i, item) in items.iter().enumerate() {
        let item = item.shown()?;
        let between = if i == 0 { "" } else { between };
        meter.spend(between.len() + item.len() + STEP)?;
        if i > 0 {
            made.push_str(between);
        }
        made.push_str(&item);
        meter.fits(made.len())?;
    }
    meter.text(&made)
}

fn split(text: &str, given: &[Value], meter: &Meter) -> Out<Value> {
    let most = given.get(1).map_or(Ok(-1), Value::int)?;
    let most = usize::try_from(most).map_or(usize::MAX, |most| most.saturating_add(1));
    match given.first() {
        None | Some(Value::None) if most == usize::MAX => texts(text.split_whitespace(), meter),
        None | Some(Value::None) => Err("it splits a few times at blanks".into()),
        Some(between) => match between.str()? {
            "" => Err("it splits a text at nothing".into()),
            between => texts(text.splitn(most, between), meter),
        },
    }
}

fn texts<'a>(parts: impl Iterator<Item = &'a str>, meter: &Meter) -> Out<Value> {
    meter.list(parts.map(|part| meter.text(part)).collect::<Out<_>>()?)
}
