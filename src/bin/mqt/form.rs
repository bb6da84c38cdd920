//! The form that an answer must have: JSON that matches a schema, or one of several texts.

use crate::args::FormArgs;
use crate::failure::{Failure, Result};
use mqt::Error;
use mqt::grammar::{Compiler, Grammar, SCHEMA, check_choices};
use mqt::internals::plain;
use mqt::model::Model;
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};
use std::fs::File;
use std::io::Read;
use std::path::Path;

pub(crate) enum Form {
    Schema(Map<String, Value>),
    Choices(Vec<String>),
}

impl Form {
    /// What the flags say; `None`: any text.
    pub(crate) fn of(args: &FormArgs) -> Result<Option<Form>> {
        match &args.json_schema {
            Some(path) => read(path).map(|schema| Some(Form::Schema(schema))),
            None if args.choices.is_empty() => Ok(None),
            None => {
                // Before a model is loaded for them.
                let choices = &args.choices;
                check_choices(choices)
                    .map_err(|why| Failure::usage(format!("--choices: {why}")))?;
                Ok(Some(Form::Choices(choices.clone())))
            }
        }
    }

    /// The same for one model's tokens.
    pub(crate) fn compile(&self, compiler: &Compiler) -> mqt::Result<Grammar> {
        match self {
            Form::Schema(schema) => compiler.schema(schema),
            Form::Choices(choices) => compiler.choices(choices),
        }
    }

    /// The grammar of a command's answers.
    pub(crate) fn grammar(&self, model: &Model) -> Result<Grammar> {
        let compiler = Compiler::new(model.tokenizer(), &model.config().end_ids)?;
        self.compile(&compiler).map_err(|error| match (self, error) {
            (Form::Schema(_), Error::InvalidSetting { why, .. }) => Failure::usage(format!(
                "--json-schema: no answer can be kept to this schema: {why}"
            )),
            (Form::Choices(_), Error::InvalidSetting { why, .. }) => {
                Failure::usage(format!("--choices: {why}"))
            }
            (_, error) => error.into(),
        })
    }

    /// As JSON: the same for the same form.
    pub(crate) fn json(&self) -> Value {
        match self {
            Form::Schema(schema) => json!({"schema": schema}),
            Form::Choices(choices) => json!({"choices": choices}),
        }
    }

    /// What tells it from others, short enough for every line of a file.
    pub(crate) fn name(&self) -> String {
        let digest = Sha256::digest(self.json().to_string());
        let digits: String = digest.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
        let kind = if let Form::Schema(_) = self { "schema" } else { "choices" };
        format!("{kind} {digits}")
    }
}

fn read(path: &Path) -> Result<Map<String, Value>> {
    let wrong = |why: String| Failure::usage(format!("--json-schema {}: {why}", path.display()));
    let mut text = Vec::new();
    let file =
        File::open(path).and_then(|file| file.take(SCHEMA as u64 + 1).read_to_end(&mut text));
    file.map_err(|error| wrong(plain::system_error(&error)))?;
    if text.len() > SCHEMA {
        return Err(wrong(format!("it is longer than {} KiB", SCHEMA >> 10)));
    }
    plain::object(&text).map_err(wrong)
}
