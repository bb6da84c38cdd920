//! Operators, items and slices, as Python has them. The size of a result is measured before it is
//! made.

use std::rc::Rc;

use super::Out;
use super::meter::{HEAVIEST, Meter, STEP};
use super::value::Value;

/// An operator of two values that is not a comparison.
pub(super) fn binary(sign: &str, left: &Value, right: &Value, meter: &Meter) -> Out<Value> {
    match (sign, left, right) {
        ("~", ..) => joined(&left.shown()?, &right.shown()?, meter),
        ("+", Value::Text(a), Value::Text(b)) => joined(a, b, meter),
        ("+", Value::List(a), Value::List(b)) => {
            meter.fits((a.of.len() + b.of.len()) * STEP)?;
            meter.list(a.of.iter().chain(&b.of).cloned().collect())
        }
        ("*", Value::Text(text), times) | ("*", times, Value::Text(text)) => {
            let times = repeats(times, text.len().max(1))?;
            meter.fits(text.len() * times)?;
            meter.text(&text.repeat(times))
        }
        ("*", Value::List(held), times) | ("*", times, Value::List(held)) => {
            let times = repeats(times, held.of.len().max(1) * STEP)?;
            meter.fits(held.of.len() * times * STEP)?;
            meter.list(held.of.iter().cycle().take(held.of.len() * times).cloned().collect())
        }
        (_, Value::Float(_), _) | (_, _, Value::Float(_)) | ("/", ..) => floats(sign, left, right),
        _ => whole(sign, left, right),
    }
}

fn joined(left: &str, right: &str, meter: &Meter) -> Out<Value> {
    meter.fits(left.len() + right.len())?;
    Ok(Value::Text(Rc::from(format!("{left}{right}"))))
}

/// How often something of this size is repeated.
fn repeats(times: &Value, size: usize) -> Out<usize> {
    let times = usize::try_from(times.int()?.max(0)).unwrap_or(usize::MAX);
    match times.checked_mul(size) {
        Some(bytes) if bytes <= HEAVIEST => Ok(times),
        _ => Err(format!("it makes a value of more than {HEAVIEST} bytes")),
    }
}

fn impossible(sign: &str, left: &Value, right: &Value) -> String {
    format!("it computes {} {sign} {}", left.kind(), right.kind())
}

fn floats(sign: &str, left: &Value, right: &Value) -> Out<Value> {
    let (Some(a), Some(b)) = (left.number(), right.number()) else {
        return Err(impossible(sign, left, right));
    };
    let value = match sign {
        "+" => a + b,
        "-" => a - b,
        "*" => a * b,
        "**" => a.powf(b),
        _ if b == 0.0 => return Err("it divides by zero".into()),
        "/" => a / b,
        "//" => (a / b).floor(),
        _ => a - b * (a / b).floor(),
    };
    Ok(Value::Float(value))
}

fn whole(sign: &str, left: &Value, right: &Value) -> Out<Value> {
    if left.number().is_none() || right.number().is_none() {
        return Err(impossible(sign, left, right));
    }
    let (a, b) = (left.int()?, right.int()?);
    let value = match sign {
        "+" => a.checked_add(b),
        "-" => a.checked_sub(b),
        "*" => a.checked_mul(b),
        "**" => u32::try_from(b).ok().and_then(|b| a.checked_pow(b)),
        _ if b == 0 => return Err("it divides by zero".into()),
        "//" => a.checked_div(b).map(|q| q - i64::from(a % b != 0 && (a < 0) != (b < 0))),
        _ => a.checked_rem(b).map(|r| if r != 0 && (r < 0) != (b < 0) { r + b } else { r }),
    };
    value.map(Value::Int).ok_or_else(|| "it computes with too large numbers".into())
}

/// A comparison.
pub(super) fn compare(sign: &str, left: &Value, right: &Value, meter: &Meter) -> Out<bool> {
    match sign {
        "==" => return left.same(right, meter),
        "!=" => return Ok(!left.same(right, meter)?),
        "in" => return holds(right, left, meter),
        "not in" => return Ok(!holds(right, left, meter)?),
        _ => (),
    }
    let order = match (left, right) {
        (Value::Text(a), Value::Text(b)) => {
            meter.spend(a.len().min(b.len()))?;
            Some(a.cmp(b))
        }
        (Value::Int(a), Value::Int(b)) => Some(a.cmp(b)),
        _ => match (left.number(), right.number()) {
            (Some(a), Some(b)) => a.partial_cmp(&b),
            _ => return Err(impossible(sign, left, right)),
        },
    };
    Ok(order.is_some_and(|order| match sign {
        "<" => order.is_lt(),
        "<=" => order.is_le(),
        ">" => order.is_gt(),
        _ => order.is_ge(),
    }))
}

/// Whether `inside` is in `of`.
pub(super) fn holds(of: &Value, inside: &Value, meter: &Meter) -> Out<bool> {
    meter.spend(of.weight())?;
    match of {
        Value::Text(text) => Ok(text.contains(inside.str()?)),
        Value::Map(held) => {
            Ok(matches!(inside, Value::Text(key) if held.of.iter().any(|(k, _)| k == key)))
        }
        Value::List(held) => {
            for item in &held.of {
                if item.same(inside, meter)? {
                    return Ok(true);
                }
            }
            Ok(false)
        }
        Value::Undefined => Ok(false),
        other => Err(format!("it looks for something in {}", other.kind())),
    }
}

/// `of[at]`
pub(super) fn item(of: &Value, at: &Value, meter: &Meter) -> Out<Value> {
    match (of, at) {
        (Value::Map(_) | Value::Space(_) | Value::Undefined, _) => match at {
            Value::Text(key) => of.entry(key, meter),
            _ if matches!(of, Value::Undefined) => {
                Err(format!("it takes an item of {}", of.kind()))
            }
            _ => Ok(Value::Undefined),
        },
        (Value::List(held), Value::Int(at)) => {
            Ok(place(*at, held.of.len()).map_or(Value::Undefined, |at| held.of[at].clone()))
        }
        (Value::Text(text), Value::Int(at)) => {
            meter.spend(text.len())?;
            let sign = place(*at, text.chars().count()).and_then(|at| text.chars().nth(at));
            Ok(sign.map_or(Value::Undefined, |sign| Value::words(sign.encode_utf8(&mut [0; 4]))))
        }
        _ => Ok(Value::Undefined),
    }
}

/// The place that a number means, counted from the end if it is negative.
fn place(at: i64, length: usize) -> Option<usize> {
    let length = i64::try_from(length).ok()?;
    let at = if at < 0 { at.checked_add(length)? } else { at };
    usize::try_from(at).ok().filter(|at| (*at as u64) < length as u64)
}

/// `of[from:to:step]`
pub(super) fn slice(of: &Value, ends: [Value; 3], meter: &Meter) -> Out<Value> {
    meter.spend(of.weight())?;
    match of {
        Value::List(held) => {
            let places = places(held.of.len(), &ends)?;
            meter.list(places.into_iter().map(|at| held.of[at].clone()).collect())
        }
        Value::Text(text) => {
            let signs: Vec<char> = text.chars().collect();
            let places = places(signs.len(), &ends)?;
            meter.text(&places.into_iter().map(|at| signs[at]).collect::<String>())
        }
        other => Err(format!("it takes a part of {}", other.kind())),
    }
}

fn places(length: usize, ends: &[Value; 3]) -> Out<Vec<usize>> {
    let given = |end: &Value| match end {
        Value::Undefined | Value::None => Ok(None),
        other => other.int().map(Some),
    };
    let [from, to, step] = ends;
    let (from, to, step) = (given(from)?, given(to)?, given(step)?.unwrap_or(1));
    if step == 0 {
        return Err("a slice takes steps of 0".into());
    }
    let length = i64::try_from(length).map_err(|_| "a list is too long")?;
    // The ends that Python's slice.indices gives.
    let (least, most) = if step > 0 { (0, length) } else { (-1, length - 1) };
    let end = |end: Option<i64>, otherwise: i64| match end {
        Some(end) if end < 0 => end.saturating_add(length).clamp(least, most),
        Some(end) => end.clamp(least, most),
        None => otherwise,
    };
    let (first, last) = if step > 0 { (least, most) } else { (most, least) };
    let (mut at, to) = (end(from, first), end(to, last));
    let mut places = Vec::new();
    while if step > 0 { at < to } else { at > to } {
        places.extend(usize::try_from(at));
        at = at.saturating_add(step);
    }
    Ok(places)
}
