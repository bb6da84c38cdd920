//! The body of a request, field by field: what is honoured, what is refused by name, and what has
//! no effect, which the answer reports.

use super::engine::{Ask, Spend};
use super::grammars::Grammars;
use super::logprobs;
use super::messages;
use super::problem::Problem;
use super::source::Sources;
use axum::http::StatusCode;
use mqt::Sampling;
use serde_json::{Map, Value};

/// Strings that end an answer, and bytes of one.
const MOST_STOPS: usize = 16;
const LONGEST_STOP: usize = 1000;

/// Fields that would change the answer and that this server does not know how to honour.
const NOT_HONOURED: [(&str, &str); 20] = [
    ("tools", "this server calls no tools"),
    ("functions", "this server calls no functions"),
    ("function_call", "this server calls no functions"),
    ("tool_choice", "this server calls no tools"),
    ("audio", "this server gives text only"),
    ("prediction", "this server takes no predicted output"),
    ("web_search_options", "this server searches nothing"),
    ("presence_penalty", "use `repetition_penalty`"),
    ("frequency_penalty", "use `repetition_penalty`"),
    ("grammar", "use `response_format` or `choices`"),
    ("json_schema", "use `response_format`"),
    ("guided_json", "use `response_format`"),
    ("guided_choice", "use `choices`"),
    ("guided_regex", "use `response_format` with a `pattern`"),
    ("guided_grammar", "use `response_format` or `choices`"),
    ("structured_outputs", "use `response_format` or `choices`"),
    ("logit_bias", "this server takes no bias"),
    ("min_p", "use `top_p` or `top_k`"),
    ("ignore_eos", "an answer ends where the model ends it"),
    ("min_tokens", "an answer ends where the model ends it"),
];

/// Every field that is honoured: the description of the API lists them.
#[cfg(test)]
pub(crate) const HONOURED: [&str; 19] = [
    "model",
    "messages",
    "stream",
    "stream_options",
    "n",
    "max_tokens",
    "max_completion_tokens",
    "temperature",
    "top_p",
    "top_k",
    "repetition_penalty",
    "seed",
    "stop",
    "image_tokens",
    "response_format",
    "choices",
    "logprobs",
    "top_logprobs",
    "modalities",
];

/// A request that can be answered.
pub(crate) struct Asked {
    pub(crate) ask: Ask,
    pub(crate) stream: bool,
    /// A stream ends with a chunk that has the usage.
    pub(crate) include_usage: bool,
    /// Fields without effect.
    pub(crate) ignored: Vec<String>,
}

/// Reads a request for the model of this name.
pub(crate) fn read(
    bytes: &[u8],
    model: &str,
    sources: &Sources,
    grammars: &Grammars,
) -> Result<Asked, Problem> {
    let body: Value = serde_json::from_slice(bytes).map_err(|error| {
        let (line, column) = (error.line(), error.column());
        let why = format!("the body is not valid JSON (line {line}, column {column})");
        Problem::new(StatusCode::BAD_REQUEST, "invalid_json", why)
    })?;
    let Value::Object(fields) = body else {
        let why = "the body is not a JSON object";
        return Err(Problem::new(StatusCode::BAD_REQUEST, "invalid_json", why));
    };
    Fields::new(fields).read(model, sources, grammars)
}

/// The fields that were not read yet; `null` is as good as absent.
struct Fields(Map<String, Value>);

impl Fields {
    fn new(mut fields: Map<String, Value>) -> Fields {
        fields.retain(|_, value| !value.is_null());
        Fields(fields)
    }

    fn read(
        mut self,
        model: &str,
        sources: &Sources,
        grammars: &Grammars,
    ) -> Result<Asked, Problem> {
        self.check_model(model)?;
        self.refuse()?;
        let (stream, include_usage) = self.streaming()?;
        let (sampling, max_new_tokens, stop) =
            (self.sampling()?, self.max_new_tokens()?, self.stop()?);
        let (logprobs, image_tokens) = (self.logprobs()?, self.whole("image_tokens", 1)?);
        let (format, choices) = (self.0.remove("response_format"), self.0.remove("choices"));
        let mut ignored = Vec::new();
        let grammar = grammars.read(format, choices, &mut ignored)?;
        if grammar.is_some() && !stop.is_empty() {
            let why = "it could cut the answer out of its form; give it without `response_format` and `choices`";
            return Err(Problem::invalid("stop", why));
        }
        let Some(messages) = self.0.remove("messages") else {
            return Err(Problem::invalid("messages", "the messages are missing"));
        };
        let told = messages::read(messages, sources)?;
        let spend = image_tokens.map_or(told.spend, Spend::Exactly);
        let ask = Ask {
            system: told.system,
            earlier: told.earlier,
            said: told.said,
            spend,
            sampling,
            max_new_tokens,
            stop,
            grammar,
            logprobs,
        };
        ignored.extend(self.0.into_iter().map(|(name, _)| name));
        ignored.sort();
        ignored.extend(told.ignored);
        Ok(Asked { ask, stream, include_usage, ignored })
    }

    fn check_model(&mut self, model: &str) -> Result<(), Problem> {
        let asked = match self.0.remove("model") {
            Some(Value::String(asked)) => asked,
            Some(_) => return Err(Problem::invalid("model", "it is not a string")),
            None => {
                let why = format!("the model's name is missing; here it is `{model}`");
                return Err(Problem::invalid("model", why));
            }
        };
        if asked == model { Ok(()) } else { Err(no_model(&asked, model)) }
    }

    /// Refuses what would change the answer, unless its value changes nothing.
    fn refuse(&mut self) -> Result<(), Problem> {
        for (name, why) in NOT_HONOURED {
            let Some(value) = self.0.remove(name) else { continue };
            let is_void = match &value {
                Value::Bool(value) => !value,
                Value::Number(number) => number.as_f64() == Some(0.0),
                Value::Array(list) => list.is_empty(),
                Value::Object(map) => map.is_empty(),
                Value::String(text) => text == "none" || text == "auto",
                Value::Null => true,
            };
            if !is_void {
                return Err(Problem::unsupported(name, why));
            }
        }
        if self.whole("n", 0)?.is_some_and(|n| n != 1) {
            return Err(Problem::unsupported("n", "there is one answer to a request"));
        }
        if let Some(modalities) = self.0.remove("modalities")
            && modalities != serde_json::json!(["text"])
        {
            return Err(Problem::unsupported("modalities", "this server gives text only"));
        }
        Ok(())
    }

    fn streaming(&mut self) -> Result<(bool, bool), Problem> {
        let stream = self.truth("stream")?.unwrap_or(false);
        let Some(options) = self.0.remove("stream_options") else { return Ok((stream, false)) };
        let Value::Object(options) = options else {
            return Err(Problem::invalid("stream_options", "it is not an object"));
        };
        if !stream {
            let why = "it is only allowed together with `stream: true`";
            return Err(Problem::invalid("stream_options", why));
        }
        let mut options = Fields::new(options);
        let include_usage = options.truth("include_usage")?.unwrap_or(false);
        let left =
            options.0.into_iter().map(|(name, value)| (format!("stream_options.{name}"), value));
        self.0.extend(left);
        Ok((stream, include_usage))
    }

    fn sampling(&mut self) -> Result<Sampling, Problem> {
        let usual = Sampling::default();
        let seed = match self.0.remove("seed") {
            None => usual.seed,
            Some(seed) => seed
                .as_u64()
                .or_else(|| seed.as_i64().map(i64::cast_unsigned))
                .ok_or_else(|| Problem::invalid("seed", "it is not a whole number of 64 bits"))?,
        };
        let top_k = self.whole("top_k", 0)?;
        Ok(Sampling {
            temperature: self.number("temperature", 0.0, 2.0)?.unwrap_or(usual.temperature),
            // 0 keeps the likeliest token only, and so does the smallest number above it.
            top_p: self
                .number("top_p", 0.0, 1.0)?
                .map_or(usual.top_p, |p| p.max(f32::MIN_POSITIVE)),
            top_k: top_k.map_or(usual.top_k, |k| usize::try_from(k).unwrap_or(0)),
            repetition_penalty: self
                .number("repetition_penalty", 0.01, 100.0)?
                .unwrap_or(usual.repetition_penalty),
            seed,
        })
    }

    fn max_new_tokens(&mut self) -> Result<Option<usize>, Problem> {
        let old = self.whole("max_tokens", 1)?;
        let new = self.whole("max_completion_tokens", 1)?;
        if let (Some(old), Some(new)) = (old, new)
            && old != new
        {
            let why = "`max_tokens` says something else; give one of them";
            return Err(Problem::invalid("max_completion_tokens", why));
        }
        Ok(new.or(old).map(|most| usize::try_from(most).unwrap_or(usize::MAX)))
    }

    /// How many of the likeliest tokens are wanted, if `logprobs` are.
    fn logprobs(&mut self) -> Result<Option<usize>, Problem> {
        let wanted = self.truth("logprobs")?.unwrap_or(false);
        let top = self.whole("top_logprobs", 0)?.unwrap_or(0);
        if top > logprobs::MOST {
            let why = format!("at most {} are possible", logprobs::MOST);
            return Err(Problem::invalid("top_logprobs", why));
        }
        if top > 0 && !wanted {
            let why = "it is only allowed together with `logprobs: true`";
            return Err(Problem::invalid("top_logprobs", why));
        }
        Ok(wanted.then_some(usize::try_from(top).unwrap_or(0)))
    }

    fn stop(&mut self) -> Result<Vec<String>, Problem> {
        let wrong = || Problem::invalid("stop", "it is neither a string nor a list of strings");
        let stops = match self.0.remove("stop") {
            None => Vec::new(),
            Some(Value::String(stop)) => vec![stop],
            Some(Value::Array(stops)) => stops
                .into_iter()
                .map(|stop| if let Value::String(stop) = stop { Ok(stop) } else { Err(wrong()) })
                .collect::<Result<_, _>>()?,
            Some(_) => return Err(wrong()),
        };
        if stops.len() > MOST_STOPS || stops.iter().any(|stop| stop.len() > LONGEST_STOP) {
            let why = format!("at most {MOST_STOPS} strings of {LONGEST_STOP} bytes are possible");
            return Err(Problem::invalid("stop", why));
        }
        Ok(stops)
    }

    fn truth(&mut self, name: &str) -> Result<Option<bool>, Problem> {
        match self.0.remove(name) {
            None => Ok(None),
            Some(Value::Bool(value)) => Ok(Some(value)),
            Some(_) => Err(Problem::invalid(name, "it is neither true nor false")),
        }
    }

    fn whole(&mut self, name: &str, least: u64) -> Result<Option<u64>, Problem> {
        let Some(value) = self.0.remove(name) else { return Ok(None) };
        let number = value.as_u64().filter(|number| *number >= least && *number <= MOST);
        let why = || format!("it is not a whole number from {least} to {MOST}");
        number.map(Some).ok_or_else(|| Problem::invalid(name, why()))
    }

    fn number(&mut self, name: &str, least: f32, most: f32) -> Result<Option<f32>, Problem> {
        let Some(value) = self.0.remove(name) else { return Ok(None) };
        let number = value.as_f64().map(|number| number as f32);
        let why = || format!("it is not a number from {least} to {most}");
        let number = number.filter(|number| (least..=most).contains(number));
        number.map(Some).ok_or_else(|| Problem::invalid(name, why()))
    }
}

/// The largest whole number that a field takes.
const MOST: u64 = u32::MAX as u64;

/// 404: there is one model, and it has another name.
pub(crate) fn no_model(asked: &str, model: &str) -> Problem {
    let asked = mqt::internals::untrusted::cut(asked, mqt::internals::untrusted::limits::NAME);
    let message = format!("there is no model `{asked}` here; this server has `{model}`");
    Problem::new(StatusCode::NOT_FOUND, "model_not_found", message).of("model")
}
