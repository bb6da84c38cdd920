//! Grammars from JSON schemas and from lists of choices, by the crate `llguidance`.

use super::{Constraint, Grammar};
use crate::error::{Error, Result};
use crate::text::Tokenizer;
use crate::untrusted;
use llguidance::api::TopLevelGrammar;
use llguidance::toktrie::{ApproximateTokEnv, InferenceCapabilities, TokEnv, TokRxInfo, TokTrie};
use llguidance::{Matcher, ParserFactory};
use serde_json::{Map, Value, json};
use std::sync::{Arc, Mutex};
use std::thread;

/// Bytes of a schema, or of all choices together, at most.
pub const SCHEMA: usize = 1 << 16;

/// What a schema of that length takes of the stack at most, twice. Only what is used is taken.
const STACK: usize = 256 << 20;

/// White space between the parts of a JSON answer: nothing, a space, or a line break and an
/// indentation. Without a limit a model can write white space until it is cut.
const SPACE: &str = r"\x20|\x0A\x20{0,32}";

/// Where the crate takes its own settings from, inside a schema.
const SETTINGS: &str = "x-guidance";

/// Whether these can be choices of an answer.
///
/// # Errors
/// Why not, as a sentence.
pub fn check_choices(choices: &[impl AsRef<str>]) -> std::result::Result<(), String> {
    let texts = || choices.iter().map(AsRef::as_ref);
    if choices.is_empty() || texts().any(|text| text.is_empty() || text.trim() != text) {
        return Err("give at least one; none may be empty, or begin or end with white space".into());
    }
    if texts().map(str::len).sum::<usize>() > SCHEMA {
        return Err(format!("they are longer than {} KiB", SCHEMA >> 10));
    }
    Ok(())
}

/// Makes grammars for one model's tokens.
pub struct Compiler {
    factory: ParserFactory,
}

impl Compiler {
    /// For a tokenizer and the tokens that end an answer.
    ///
    /// # Errors
    /// [`Error::InvalidSetting`] if the tokenizer has none of them.
    pub fn new(tokenizer: &Tokenizer, end_ids: &[u32]) -> Result<Compiler> {
        let vocab = tokenizer.vocab_size();
        let mut words: Vec<Vec<u8>> = (0..vocab as u32)
            .map(|id| tokenizer.bytes(id).map(<[u8]>::to_vec).unwrap_or_default())
            .collect();
        let ends: Vec<u32> = end_ids.iter().copied().filter(|id| (*id as usize) < vocab).collect();
        let Some(&first) = ends.first() else {
            let why = "the tokenizer has no token that ends an answer";
            return Err(wrong("the grammar", why));
        };
        let specials = tokenizer.specials().map(|(_, id)| id).chain(ends.iter().copied());
        for id in specials {
            // How the crate tells tokens that are no text.
            words[id as usize] = format!("<{id}>").into_bytes();
            words[id as usize].insert(0, TokTrie::SPECIAL_TOKEN_MARKER);
        }
        let info = TokRxInfo::new(vocab as u32, first);
        let trie = TokTrie::from(&info, &words).with_eos_tokens(&ends);
        let tokens: TokEnv = Arc::new(ApproximateTokEnv::new(trie));
        let slices = llguidance::earley::SlicedBiasComputer::general_slices();
        let factory = ParserFactory::new(&tokens, InferenceCapabilities::default(), &slices);
        let mut factory = factory.map_err(|error| refused("the grammar", &error))?;
        factory.quiet();
        let limits = factory.limits_mut();
        limits.verbose_errors = false;
        // Whoever sends a schema may be a stranger: a state takes up to 2 KB, a symbol some bytes.
        limits.max_lexer_states = 50_000;
        limits.max_grammar_size = 100_000;
        Ok(Compiler { factory })
    }

    /// Answers that are JSON by this schema: an object in JSON Schema's words.
    ///
    /// # Errors
    /// [`Error::InvalidSetting`] if it is too long, or has something that cannot be kept to.
    pub fn schema(&self, schema: &Map<String, Value>) -> Result<Grammar> {
        const WHAT: &str = "the schema";
        if schema.contains_key(SETTINGS) {
            return Err(wrong(WHAT, &format!("`{SETTINGS}` is not possible here")));
        }
        let mut schema = schema.clone();
        schema.insert(SETTINGS.into(), json!({"whitespace_pattern": SPACE}));
        let text = Value::Object(schema).to_string();
        if text.len() > SCHEMA {
            return Err(wrong(WHAT, &format!("it is longer than {} KiB", SCHEMA >> 10)));
        }
        self.grammar(WHAT, format!("start: \" \"? body\nbody: %json {text}\n"))
    }

    /// Answers that are one of these texts.
    ///
    /// # Errors
    /// [`Error::InvalidSetting`] if there are none, if they are too long, or if one begins or ends
    /// with white space, which answers do not.
    pub fn choices(&self, choices: &[impl AsRef<str>]) -> Result<Grammar> {
        const WHAT: &str = "the choices";
        check_choices(choices).map_err(|why| wrong(WHAT, &why))?;
        let quoted: Vec<String> =
            choices.iter().map(|text| json!(text.as_ref()).to_string()).collect();
        self.grammar(WHAT, format!("start: \" \"? ({})\n", quoted.join(" | ")))
    }

    /// In the crate's own language. A space may come first: it is the tokenizer's, and answers
    /// leave it out.
    fn grammar(&self, what: &'static str, text: String) -> Result<Grammar> {
        let compile = || {
            let parser = self.factory.create_parser(TopLevelGrammar::from_lark(text));
            let mut matcher = Matcher::new(parser);
            // Now, rather than in the middle of an answer.
            matcher.compute_mask().map(|_| matcher)
        };
        // References and parts inside each other are followed by functions that call themselves.
        let compiled = thread::scope(|scope| {
            let thread = thread::Builder::new().name("grammar".into()).stack_size(STACK);
            thread.spawn_scoped(scope, compile).ok()?.join().ok()
        });
        let Some(compiled) = compiled else {
            return Err(wrong(what, "it could not be compiled"));
        };
        let matcher = Mutex::new(compiled.map_err(|error| refused(what, &error))?);
        Ok(Grammar::new(move || {
            let matcher = matcher.lock().unwrap_or_else(|error| error.into_inner());
            Ok(Box::new(Way { matcher: matcher.deep_clone(), what }))
        }))
    }
}

/// A way through one of these grammars.
struct Way {
    matcher: Matcher,
    what: &'static str,
}

impl Constraint for Way {
    fn allow(&mut self, mask: &mut [u32]) -> Result<()> {
        let allowed = self.matcher.compute_mask_or_eos();
        let allowed = allowed.map_err(|error| refused(self.what, &error))?;
        for (word, allowed) in mask.iter_mut().zip(allowed.as_slice()) {
            *word = *allowed;
        }
        Ok(())
    }

    fn take(&mut self, token: u32) -> Result<()> {
        self.matcher.consume_token(token).map_err(|error| refused(self.what, &error))
    }

    fn is_complete(&self) -> bool {
        self.matcher.is_stopped()
    }
}

fn wrong(what: &str, why: &str) -> Error {
    Error::InvalidSetting { what: what.into(), why: why.into() }
}

/// The crate's reason, on one line and without what it says about our text around the schema.
fn refused(what: &str, error: &impl std::fmt::Display) -> Error {
    const BEFORE: &str = "failed to compile JSON schema: ";
    let text = error.to_string();
    let reason = text.split("\n<").next().unwrap_or_default();
    let reason = reason.split("1 | start:").next().unwrap_or_default();
    let reason = reason.split_once(BEFORE).map_or(reason, |(_, reason)| reason).trim();
    match reason {
        "NoExtensionBias" => wrong(what, "no text can fulfil it"),
        _ if reason.starts_with("panic") => wrong(what, "it could not be compiled"),
        _ => wrong(what, &untrusted::cut(&untrusted::one_line(reason), 200)),
    }
}
