//! What a request says about the form of its answer, `response_format` and `choices`, as a grammar.
//!
//! What grammars need from the tokenizer is made when the first request asks for one; the most
//! recent grammars are kept.

use super::problem::Problem;
use crate::form::Form;
use mqt::Error;
use mqt::grammar::{Compiler, Grammar};
use mqt::text::Tokenizer;
use serde_json::{Map, Value, json};
use std::collections::VecDeque;
use std::sync::Mutex;

/// Grammars that are kept.
const KEPT: usize = 16;
/// Choices of a request.
const MOST_CHOICES: usize = 1000;

/// Grammars for the model's tokens.
pub(crate) struct Grammars {
    tokenizer: Tokenizer,
    end_ids: Vec<u32>,
    /// One request's after the other: compiling keeps a processor busy.
    made: Mutex<Made>,
}

#[derive(Default)]
struct Made {
    compiler: Option<Compiler>,
    /// By what they were made from, the newest last.
    recent: VecDeque<(String, Grammar)>,
}

impl Grammars {
    pub(crate) fn new(tokenizer: Tokenizer, end_ids: Vec<u32>) -> Grammars {
        Grammars { tokenizer, end_ids, made: Mutex::default() }
    }

    /// The grammar of an answer, if these fields ask for one. Parts without effect are added to
    /// `ignored`.
    pub(crate) fn read(
        &self,
        format: Option<Value>,
        choices: Option<Value>,
        ignored: &mut Vec<String>,
    ) -> Result<Option<Grammar>, Problem> {
        let schema = format.map(|format| schema(format, ignored)).transpose()?.flatten();
        let form = match (schema, choices) {
            (Some(_), Some(_)) => {
                let why = "`response_format` gives the answer's form already; give one of them";
                return Err(Problem::invalid("choices", why));
            }
            (Some(schema), None) => Form::Schema(schema),
            (None, Some(choices)) => Form::Choices(texts(choices)?),
            (None, None) => return Ok(None),
        };
        self.compile(&form).map(Some)
    }

    fn compile(&self, form: &Form) -> Result<Grammar, Problem> {
        let key = form.json().to_string();
        let mut made = self.made.lock().unwrap_or_else(|error| error.into_inner());
        if let Some((_, grammar)) = made.recent.iter().find(|(other, _)| *other == key) {
            return Ok(grammar.clone());
        }
        if made.compiler.is_none() {
            let compiler = Compiler::new(&self.tokenizer, &self.end_ids);
            made.compiler = Some(compiler.map_err(|error| Problem::from(&error))?);
        }
        let compiler = made.compiler.as_ref().ok_or_else(Problem::internal)?;
        let grammar = form.compile(compiler).map_err(|error| match (form, error) {
            (Form::Schema(_), Error::InvalidSetting { why, .. }) => {
                let why = format!("no answer can be kept to this schema: {why}");
                Problem::invalid("response_format", why)
            }
            (Form::Choices(_), Error::InvalidSetting { why, .. }) => {
                Problem::invalid("choices", why)
            }
            (_, error) => Problem::from(&error),
        })?;
        if made.recent.len() == KEPT {
            made.recent.pop_front();
        }
        made.recent.push_back((key, grammar.clone()));
        Ok(grammar)
    }
}

/// The schema of a `response_format`; `None`: any text.
fn schema(format: Value, ignored: &mut Vec<String>) -> Result<Option<Map<String, Value>>, Problem> {
    const AT: &str = "response_format";
    let Value::Object(mut format) = format else {
        return Err(Problem::invalid(AT, "it is not an object"));
    };
    let mut leave_out = |at: &str, map: &Map<String, Value>, known: &[&str]| {
        let others = map.keys().filter(|name| !known.contains(&name.as_str()));
        ignored.extend(others.map(|name| format!("{at}.{name}")));
    };
    leave_out(AT, &format, &["type", "json_schema"]);
    if let Some(Value::Object(map)) = format.get("json_schema") {
        // An answer is always kept to its schema strictly; name and description are for people.
        let known = ["name", "description", "strict", "schema"];
        leave_out("response_format.json_schema", map, &known);
    }
    match format.get("type").and_then(Value::as_str) {
        Some("text") => Ok(None),
        Some("json_object") => Ok(Some(Map::from_iter([("type".into(), json!("object"))]))),
        Some("json_schema") => {
            let schema = format.get_mut("json_schema").and_then(|value| value.get_mut("schema"));
            match schema.map(Value::take) {
                Some(Value::Object(schema)) => Ok(Some(schema)),
                _ => Err(Problem::invalid(AT, "`json_schema.schema` is not an object")),
            }
        }
        _ => {
            let why = "`type` is none of `text`, `json_object` and `json_schema`";
            Err(Problem::unsupported(AT, why))
        }
    }
}

fn texts(choices: Value) -> Result<Vec<String>, Problem> {
    let wrong = || {
        let why = format!("it is not a list of 1 to {MOST_CHOICES} strings");
        Problem::invalid("choices", why)
    };
    let Value::Array(list) = choices else { return Err(wrong()) };
    if list.is_empty() || list.len() > MOST_CHOICES {
        return Err(wrong());
    }
    list.into_iter()
        .map(|text| if let Value::String(text) = text { Ok(text) } else { Err(wrong()) })
        .collect()
}
