//! How likely the tokens of an answer were, as OpenAI's clients read it.

use super::queue::Event;
use mqt::Likely;
use mqt::session::Watch;
use mqt::text::Tokenizer;
use serde_json::{Value, json};
use tokio::sync::mpsc::UnboundedSender;

/// The most of the likeliest tokens that a request may ask for.
pub(crate) const MOST: u64 = 20;
/// What stands for a token that was not likely at all.
const LEAST: f32 = -9999.0;

/// Sends each token's place in the list as an event.
pub(crate) fn watch(top: usize, tokenizer: Tokenizer, events: UnboundedSender<Event>) -> Watch {
    Watch::new(top, move |own, top| {
        let mut token = entry(&tokenizer, own);
        token["top_logprobs"] = top.iter().map(|likely| entry(&tokenizer, *likely)).collect();
        // The client may have left.
        let _ = events.send(Event::Token(token));
    })
}

/// The tokens of an answer, or of a piece of it.
pub(crate) fn list(tokens: Option<Vec<Value>>) -> Value {
    tokens.map_or(Value::Null, |tokens| json!({"content": tokens, "refusal": null}))
}

fn entry(tokenizer: &Tokenizer, likely: Likely) -> Value {
    let bytes = tokenizer.bytes(likely.token);
    let name = || tokenizer.specials().find(|(_, id)| *id == likely.token).map(|(name, _)| name);
    let text = match bytes {
        Some(bytes) => String::from_utf8_lossy(bytes).into_owned(),
        None => name().unwrap_or_default().to_owned(),
    };
    json!({"token": text, "logprob": likely.logprob.max(LEAST), "bytes": bytes})
}
