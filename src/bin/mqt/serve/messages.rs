//! The messages of a request: system, earlier turns, and the question.

use super::engine::{Said, Spend};
use super::problem::Problem;
use super::source::Sources;
use serde_json::{Map, Value};
use std::mem::take;

/// Messages of a conversation, and parts of one message.
const MOST_MESSAGES: usize = 1000;
const MOST_PARTS: usize = 1000;

/// What messages say.
#[derive(Default)]
pub(crate) struct Told {
    pub(crate) system: Option<String>,
    pub(crate) earlier: Vec<(Said, String)>,
    pub(crate) said: Said,
    /// What `detail` says.
    pub(crate) spend: Spend,
    /// Fields without effect.
    pub(crate) ignored: Vec<String>,
}

/// Reads the list of messages; pictures are read from where they are.
pub(crate) fn read(messages: Value, sources: &Sources) -> Result<Told, Problem> {
    let Value::Array(messages) = messages else {
        return Err(Problem::invalid("messages", "it is not a list"));
    };
    if messages.len() > MOST_MESSAGES {
        let why = format!("there are more than {MOST_MESSAGES}");
        return Err(Problem::invalid("messages", why));
    }
    let mut reader = Reader { sources, told: Told::default(), answer: None, details: Vec::new() };
    for (at, message) in messages.into_iter().enumerate() {
        let at = format!("messages[{at}]");
        let Value::Object(message) = message else {
            return Err(Problem::invalid(at, "it is not an object"));
        };
        reader.message(&at, message)?;
    }
    reader.finish()
}

struct Reader<'a> {
    sources: &'a Sources,
    told: Told,
    /// The assistant's last text, while nobody has said anything after it.
    answer: Option<String>,
    details: Vec<Spend>,
}

impl Reader<'_> {
    fn message(&mut self, at: &str, mut message: Map<String, Value>) -> Result<(), Problem> {
        message.retain(|_, value| !value.is_null());
        let role = message.remove("role");
        let content = message.remove("content").unwrap_or(Value::Null);
        match role.as_ref().and_then(Value::as_str) {
            Some("system" | "developer") => self.system(at, content)?,
            Some("user") => self.user(at, content)?,
            Some("assistant") => self.assistant(at, content, &message)?,
            Some("tool" | "function") => {
                return Err(Problem::unsupported(at, "this server calls no tools"));
            }
            _ => {
                let why = "its role is none of system, developer, user and assistant";
                return Err(Problem::invalid(at, why));
            }
        }
        let unread = message.into_iter().map(|(name, _)| format!("messages.{name}"));
        self.told.ignored.extend(unread);
        Ok(())
    }

    fn system(&mut self, at: &str, content: Value) -> Result<(), Problem> {
        let begun = self.answer.is_some()
            || !self.told.earlier.is_empty()
            || !self.told.said.text.is_empty()
            || !self.told.said.pictures.is_empty();
        if begun {
            let why = "a system message is only possible before all others";
            return Err(Problem::unsupported(at, why));
        }
        let said = self.content(at, content, false)?;
        let system = self.told.system.get_or_insert_default();
        join(system, &said.text);
        Ok(())
    }

    fn user(&mut self, at: &str, content: Value) -> Result<(), Problem> {
        let Said { pictures, text } = self.content(at, content, true)?;
        if let Some(answer) = self.answer.take() {
            let said = take(&mut self.told.said);
            self.told.earlier.push((said, answer));
        }
        // Two messages in a row are one.
        self.told.said.pictures.extend(pictures);
        join(&mut self.told.said.text, &text);
        Ok(())
    }

    fn assistant(
        &mut self,
        at: &str,
        content: Value,
        message: &Map<String, Value>,
    ) -> Result<(), Problem> {
        let calls = ["tool_calls", "function_call"].iter().any(|name| message.contains_key(*name));
        if calls {
            return Err(Problem::unsupported(at, "this server calls no tools"));
        }
        if self.told.said.text.is_empty() && self.told.said.pictures.is_empty() {
            let why = "the first message after the system's has to be a user's";
            return Err(Problem::unsupported(at, why));
        }
        let said = self.content(at, content, false)?;
        join(self.answer.get_or_insert_default(), &said.text);
        Ok(())
    }

    /// A text, or a list of parts.
    fn content(&mut self, at: &str, content: Value, pictures: bool) -> Result<Said, Problem> {
        let parts = match content {
            Value::String(text) => return Ok(Said { text, ..Said::default() }),
            Value::Array(parts) if parts.len() <= MOST_PARTS => parts,
            Value::Array(_) => {
                return Err(Problem::invalid(at, format!("it has more than {MOST_PARTS} parts")));
            }
            Value::Null => return Err(Problem::invalid(at, "its content is missing")),
            _ => return Err(Problem::invalid(at, "its content is neither text nor a list")),
        };
        let mut said = Said::default();
        for (i, part) in parts.into_iter().enumerate() {
            let at = format!("{at}.content[{i}]");
            let Value::Object(mut part) = part else {
                return Err(Problem::invalid(at, "it is not an object"));
            };
            match part.remove("type").as_ref().and_then(Value::as_str) {
                Some("text") => match part.remove("text") {
                    Some(Value::String(text)) => join(&mut said.text, &text),
                    _ => return Err(Problem::invalid(at, "its text is missing")),
                },
                Some("image_url") if pictures => {
                    let file = self.picture(&at, part.remove("image_url"))?;
                    said.pictures.push(file);
                }
                Some("image_url") => {
                    return Err(Problem::unsupported(at, "only a user message has pictures"));
                }
                _ => {
                    return Err(Problem::unsupported(at, "its type is neither text nor image_url"));
                }
            }
            self.told.ignored.extend(part.into_iter().map(|(name, _)| format!("content.{name}")));
        }
        Ok(said)
    }

    /// `{"url": …, "detail": …}`; some clients send the address alone.
    fn picture(&mut self, at: &str, image: Option<Value>) -> Result<super::engine::File, Problem> {
        let (url, detail) = match image {
            Some(Value::String(url)) => (Some(Value::String(url)), None),
            Some(Value::Object(mut image)) => (image.remove("url"), image.remove("detail")),
            _ => (None, None),
        };
        let Some(Value::String(url)) = url else {
            return Err(Problem::invalid(at, "the picture's url is missing"));
        };
        match detail.as_ref().map(|detail| detail.as_str().unwrap_or_default()) {
            None => {}
            Some("auto") => self.details.push(Spend::Auto),
            Some("low") => self.details.push(Spend::Low),
            Some("high") => self.details.push(Spend::High),
            Some(_) => {
                return Err(Problem::invalid(at, "detail is none of low, high and auto"));
            }
        }
        self.sources.read(at, url)
    }

    fn finish(mut self) -> Result<Told, Problem> {
        if self.answer.is_some() {
            let why = "the last message has to be a user's";
            return Err(Problem::unsupported("messages", why));
        }
        if self.told.said.text.trim().is_empty() {
            return Err(Problem::invalid("messages", "the question is empty"));
        }
        self.told.spend = self.details.first().copied().unwrap_or_default();
        if self.details.iter().any(|detail| *detail != self.told.spend) {
            let why = "pictures of one request have one detail";
            return Err(Problem::unsupported("messages", why));
        }
        self.told.ignored.sort();
        self.told.ignored.dedup();
        Ok(self.told)
    }
}

/// Adds a text on a line of its own.
fn join(text: &mut String, more: &str) {
    if !text.is_empty() && !more.is_empty() {
        text.push('\n');
    }
    text.push_str(more);
}
