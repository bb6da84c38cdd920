//! Functions, filters and tests that templates use.

use std::rc::Rc;

use super::Out;
use super::meter::{HEAVIEST, Meter, STEP};
use super::methods::{self, number};
use super::operators::{compare, holds};
use super::run::{Given, namespace};
use super::value::Value;
use crate::untrusted::{cut, limits};

/// `name(…)`
pub(super) fn function(name: &str, given: Given, meter: &Meter) -> Out<Value> {
    match name {
        "raise_exception" => match given.plain.first() {
            Some(Value::Text(problem)) => Err(cut(problem, limits::NAME)),
            _ => Err("it raises an exception".into()),
        },
        "range" => range(&given.plain, meter),
        "namespace" => namespace(given),
        "dict" => {
            let mut entries = match given.plain.first() {
                None => Vec::new(),
                Some(Value::Map(held)) => held.of.clone(),
                Some(other) => return Err(format!("it makes a map of {}", other.kind())),
            };
            entries.extend(given.named.into_iter().map(|(key, value)| (Rc::from(key), value)));
            meter.map(entries)
        }
        other => Err(format!("there is no function {other}")),
    }
}

fn range(given: &[Value], meter: &Meter) -> Out<Value> {
    let numbers: Out<Vec<i64>> = given.iter().map(Value::int).collect();
    let (from, to, step) = match numbers?[..] {
        [to] => (0, to, 1),
        [from, to] => (from, to, 1),
        [from, to, step] if step != 0 => (from, to, step),
        _ => return Err("a range takes one to three numbers".into()),
    };
    let (mut numbers, mut at) = (Vec::new(), from);
    while if step > 0 { at < to } else { at > to } {
        meter.fits((numbers.len() + 1) * STEP)?;
        numbers.push(Value::Int(at));
        at = at.checked_add(step).ok_or("a range is too long")?;
    }
    meter.list(numbers)
}

/// `of | name(…)`
pub(super) fn filter(of: &Value, name: &str, given: &Given, meter: &Meter) -> Out<Value> {
    meter.spend(of.weight())?;
    let plain = |given: &Given| given.only(0, &[]);
    match name {
        "trim" => return methods::method(of, "strip", given, meter),
        "upper" | "lower" | "title" | "capitalize" => {
            plain(given)?;
            return methods::method(&Value::Text(of.shown()?), name, given, meter);
        }
        "safe" => return Ok(of.clone()),
        "string" => return Ok(Value::Text(of.shown()?)),
        "tojson" => {
            given.only(0, &["ensure_ascii"])?;
            let mut text = String::new();
            json(of, &mut text, meter)?;
            return meter.text(&text);
        }
        "default" | "d" => {
            let missing = match given.at(1, "boolean") {
                Some(truth) if truth.is_true() => !of.is_true(),
                _ => matches!(of, Value::Undefined),
            };
            let otherwise = given.at(0, "default_value").cloned();
            let empty = || Value::words("");
            return Ok(if missing { otherwise.unwrap_or_else(empty) } else { of.clone() });
        }
        "length" | "count" => {
            plain(given)?;
            return Ok(number(match of {
                Value::Text(text) => text.chars().count(),
                Value::List(held) => held.of.len(),
                Value::Map(held) => held.of.len(),
                Value::Undefined => 0,
                other => return Err(format!("it takes the length of {}", other.kind())),
            }));
        }
        "int" => return Ok(int(of)),
        "abs" => return Ok(of.int()?.checked_abs().map_or(Value::Undefined, Value::Int)),
        "replace" => {
            let text =
                |at| given.plain.get(at).map_or(Err("it replaces nothing".into()), Value::str);
            let most = given.at(2, "count").map_or(Ok(-1), Value::int)?;
            return methods::replaced(&of.shown()?, text(0)?, text(1)?, most, meter);
        }
        "items" => {
            return match of {
                Value::Map(held) => methods::pairs(&held.of, meter),
                Value::Undefined => meter.list(Vec::new()),
                other => Err(format!("it takes the items of {}", other.kind())),
            };
        }
        _ => (),
    }
    of_list(of, name, given, meter)
}

/// Filters of what can be gone through.
fn of_list(of: &Value, name: &str, given: &Given, meter: &Meter) -> Out<Value> {
    match name {
        "first" => Ok(of.items(meter)?.first().cloned().unwrap_or(Value::Undefined)),
        "last" => Ok(of.items(meter)?.last().cloned().unwrap_or(Value::Undefined)),
        "list" => meter.list(of.items(meter)?),
        "reverse" => {
            let mut items = of.items(meter)?;
            items.reverse();
            match of {
                Value::Text(text) => meter.text(&text.chars().rev().collect::<String>()),
                _ => meter.list(items),
            }
        }
        "sort" => {
            given.only(0, &[])?;
            let mut items = of.items(meter)?;
            // Each comparison costs at most the heaviest of them.
            let heaviest = items.iter().map(Value::weight).max().unwrap_or(0);
            let times = items.len() * (items.len().max(1).ilog2() as usize + 1);
            meter.spend(times.saturating_mul(heaviest))?;
            let first = items.first().map_or("nothing", Value::kind);
            if items.iter().any(|item| item.kind() != first || item.depth() > 0) {
                return Err("it sorts what has no order".into());
            }
            items.sort_by(|a, b| match (a, b) {
                (Value::Text(a), Value::Text(b)) => a.to_lowercase().cmp(&b.to_lowercase()),
                _ => a.number().partial_cmp(&b.number()).unwrap_or(std::cmp::Ordering::Equal),
            });
            meter.list(items)
        }
        "join" => {
            let between = given.at(0, "d").map_or(Ok(""), Value::str)?;
            let mut items = of.items(meter)?;
            if let Some(key) = given.at(1, "attribute") {
                items = items.iter().map(|item| within(item, key, meter)).collect::<Out<_>>()?;
            }
            methods::join(between, &items, meter)
        }
        "map" => {
            let one = |item: &Value| match (given.at(usize::MAX, "attribute"), &given.plain[..]) {
                (Some(key), _) => within(item, key, meter),
                (None, [Value::Text(name), rest @ ..]) => {
                    // Of filters that filter again, none takes a list of lists apart.
                    let inner = Given { plain: rest.to_vec(), named: Vec::new() };
                    meter.step(|| filter(item, name, &inner, meter))
                }
                _ => Err("it maps with no filter".into()),
            };
            let items = gone_through(of, meter)?;
            meter.list(items.iter().map(one).collect::<Out<_>>()?)
        }
        "select" | "reject" | "selectattr" | "rejectattr" => selected(of, name, given, meter),
        other => Err(format!("there is no filter {other}")),
    }
}

/// The items that pass a test, or those that do not.
fn selected(of: &Value, name: &str, given: &Given, meter: &Meter) -> Out<Value> {
    let takes = name.starts_with("select");
    let (key, rest) = match (name.ends_with("attr"), &given.plain[..]) {
        (false, rest) => (None, rest),
        (true, [key, rest @ ..]) => (Some(key), rest),
        (true, []) => return Err("it selects by no entry".into()),
    };
    let mut kept = Vec::new();
    for item in gone_through(of, meter)? {
        let looked = key.map_or(Ok(item.clone()), |key| within(&item, key, meter))?;
        let passes = match rest {
            [] => looked.is_true(),
            [name, rest @ ..] => {
                let name = name.str()?;
                meter.step(|| test(&looked, name, rest, meter))?
            }
        };
        if passes == takes {
            kept.push(item);
        }
    }
    meter.list(kept)
}

/// The items, or none of what is not true, as Jinja's own filters have it.
fn gone_through(of: &Value, meter: &Meter) -> Out<Vec<Value>> {
    if of.is_true() { of.items(meter) } else { Ok(Vec::new()) }
}

/// The entry under a key whose points lead further inside.
fn within(item: &Value, key: &Value, meter: &Meter) -> Out<Value> {
    let mut at = item.clone();
    for key in key.str()?.split('.') {
        meter.spend(STEP)?;
        at = at.entry(key, meter)?;
    }
    Ok(at)
}

#[allow(clippy::cast_possible_truncation, reason = "a number beyond i64 becomes its end")]
fn int(of: &Value) -> Value {
    Value::Int(match of {
        Value::Text(text) => text.trim().parse().unwrap_or(0),
        other => other.number().map_or(0, |number| number as i64),
    })
}

/// A value as Python's `json.dumps` writes it for transformers.
fn json(of: &Value, to: &mut String, meter: &Meter) -> Out<()> {
    meter.spend(STEP)?;
    if to.len() > HEAVIEST {
        return Err(format!("it makes a value of more than {HEAVIEST} bytes"));
    }
    match of {
        Value::None => to.push_str("null"),
        Value::Bool(truth) => to.push_str(if *truth { "true" } else { "false" }),
        Value::Int(_) | Value::Float(_) => to.push_str(&of.shown()?),
        Value::Text(text) => to.push_str(&serde_json::Value::from(&**text).to_string()),
        Value::List(held) => {
            to.push('[');
            for (i, item) in held.of.iter().enumerate() {
                to.push_str(if i == 0 { "" } else { ", " });
                json(item, to, meter)?;
            }
            to.push(']');
        }
        Value::Map(held) => {
            to.push('{');
            for (i, (key, value)) in held.of.iter().enumerate() {
                to.push_str(if i == 0 { "" } else { ", " });
                to.push_str(&serde_json::Value::from(&**key).to_string());
                to.push_str(": ");
                json(value, to, meter)?;
            }
            to.push('}');
        }
        other => return Err(format!("it writes {} as JSON", other.kind())),
    }
    Ok(())
}

/// `of is name(…)`
pub(super) fn test(of: &Value, name: &str, given: &[Value], meter: &Meter) -> Out<bool> {
    let odd = |of: &Value| of.int().map(|number| number % 2 != 0);
    Ok(match (name, given) {
        ("defined", []) => !matches!(of, Value::Undefined),
        ("undefined", []) => matches!(of, Value::Undefined),
        ("none", []) => matches!(of, Value::None),
        ("string", []) => matches!(of, Value::Text(_)),
        ("mapping", []) => matches!(of, Value::Map(_)),
        ("number", []) => of.number().is_some(),
        ("integer", []) => matches!(of, Value::Int(_)),
        ("float", []) => matches!(of, Value::Float(_)),
        ("boolean", []) => matches!(of, Value::Bool(_)),
        ("true", []) => matches!(of, Value::Bool(true)),
        ("false", []) => matches!(of, Value::Bool(false)),
        ("callable", []) => matches!(of, Value::Macro(_)),
        ("sequence", []) => matches!(of, Value::List(_) | Value::Text(_) | Value::Map(_)),
        ("iterable", []) => {
            matches!(of, Value::List(_) | Value::Text(_) | Value::Map(_) | Value::Undefined)
        }
        ("odd", []) => odd(of)?,
        ("even", []) => !odd(of)?,
        ("divisibleby", [by]) => {
            let rest = of.int()?.checked_rem(by.int()?);
            rest.ok_or("it divides by zero")? == 0
        }
        ("equalto" | "eq" | "==" | "sameas", [other]) => of.same(other, meter)?,
        ("ne" | "!=", [other]) => !of.same(other, meter)?,
        ("lt" | "lessthan" | "<", [other]) => compare("<", of, other, meter)?,
        ("le" | "<=", [other]) => compare("<=", of, other, meter)?,
        ("gt" | "greaterthan" | ">", [other]) => compare(">", of, other, meter)?,
        ("ge" | ">=", [other]) => compare(">=", of, other, meter)?,
        ("in", [other]) => holds(other, of, meter)?,
        (other, _) => return Err(format!("there is no test {other}")),
    })
}
