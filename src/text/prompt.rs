//! The prompt around pictures and questions.
//!
//! LLaVA's own: `{system} USER: <image>\n{question} ASSISTANT:`, later turns
//! `</s>USER: {question} ASSISTANT:`; the text before the picture and the text after it are
//! tokenised apart, as upstream's `tokenizer_image_token` does. Other families: the pieces of the
//! checkpoint's chat template ([`super::chat`]).
//! Upstream: `llava/conversation.py` (separator style TWO); the processors of transformers.

use serde::{Deserialize, Serialize};

use super::Tokenizer;
use super::pieces::Pieces;
use super::spans::Span;
use super::tiled::{is_of_tiles, tiled};
use crate::image::tiles::{Level, Plan};

/// A piece of a prompt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Part {
    /// Tokens.
    Ids(Vec<u32>),
    /// So many image tokens, the next of the picture's.
    Slots(usize),
}

/// Strings of a conversation; no template language.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Template {
    /// One of [`Template::NAMES`], `chat_template` for a checkpoint's own, or any other.
    pub name: String,
    #[serde(flatten)]
    frame: Frame,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
enum Frame {
    Roles(Roles),
    Pieces(Box<Pieces>),
}

/// Names and separators, as in LLaVA's conversations.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Roles {
    /// The text that opens every conversation.
    system: String,
    /// What the person and the model are called.
    roles: [String; 2],
    /// Stands before each role.
    sep: String,
    /// Ends each answer; the tokenizer's end token takes its place.
    sep2: String,
}

/// Which template a model is asked with.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum TemplateChoice {
    /// Its own: a pack's, or a checkpoint's chat template.
    #[default]
    Own,
    /// This one.
    Named(Template),
}

impl std::str::FromStr for TemplateChoice {
    type Err = String;

    fn from_str(name: &str) -> Result<TemplateChoice, String> {
        if name == "own" {
            return Ok(TemplateChoice::Own);
        }
        Template::by_name(name).map(TemplateChoice::Named).ok_or_else(|| {
            format!("{name:?} is no template; there are own, {}", Template::NAMES.join(", "))
        })
    }
}

/// The longest text of a template, in bytes: far above any system prompt.
const MOST_BYTES: usize = 64 << 10;
/// The most spans of a template's piece.
const MOST_SPANS: usize = 1 << 10;

impl Template {
    /// The built-in templates.
    pub const NAMES: [&str; 7] = [
        "vicuna_v1",
        "llava_v1",
        "smolvlm",
        "granite_docling",
        "llava_interleave",
        "llava_onevision",
        "nanollava",
    ];

    /// The advice where a checkpoint's own template cannot be used.
    pub const HINT: &str = "a built-in template can be named instead";

    /// What MQT-LLaVA was fine-tuned with and its evaluation scripts use; the default.
    pub fn vicuna_v1() -> Template {
        Template::two(
            "vicuna_v1",
            "A chat between a curious user and an artificial intelligence assistant. \
             The assistant gives helpful, detailed, and polite answers to the user's questions.",
        )
    }

    /// What the reference's quick start uses: `human` instead of `user`.
    pub fn llava_v1() -> Template {
        Template::two(
            "llava_v1",
            "A chat between a curious human and an artificial intelligence assistant. \
             The assistant gives helpful, detailed, and polite answers to the human's questions.",
        )
    }

    /// A checkpoint's own, from its chat template.
    #[doc(hidden)]
    pub fn of(pieces: Pieces) -> Template {
        Template::in_pieces("chat_template", pieces)
    }

    /// A built-in template; `v1` is another name of `vicuna_v1`.
    pub fn by_name(name: &str) -> Option<Template> {
        match name {
            "vicuna_v1" | "v1" => Some(Template::vicuna_v1()),
            "llava_v1" => Some(Template::llava_v1()),
            _ => Some(Template::in_pieces(name, Pieces::published(name)?)),
        }
    }

    fn in_pieces(name: &str, pieces: Pieces) -> Template {
        Template { name: name.to_owned(), frame: Frame::Pieces(Box::new(pieces)) }
    }

    fn two(name: &str, system: &str) -> Template {
        let roles = Roles {
            system: system.to_string(),
            roles: ["USER".to_string(), "ASSISTANT".to_string()],
            sep: " ".to_string(),
            sep2: "</s>".to_string(),
        };
        Template { name: name.to_string(), frame: Frame::Roles(roles) }
    }

    /// Checks what a manifest says; the error is the problem in words.
    pub(crate) fn check(&self) -> Result<(), String> {
        let (texts, spans): (Vec<&str>, usize) = match &self.frame {
            Frame::Roles(Roles { system, roles: [user, assistant], sep, sep2 }) => {
                (vec![system, user, assistant, sep, sep2], 0)
            }
            Frame::Pieces(pieces) => (
                pieces.all().flatten().map(Span::text).collect(),
                pieces.all().map(Vec::len).max().unwrap_or(0),
            ),
        };
        if texts.iter().any(|text| text.len() > MOST_BYTES) || spans > MOST_SPANS {
            return Err(format!("its prompt template has a text of more than {MOST_BYTES} bytes"));
        }
        Ok(())
    }

    /// The special tokens that it writes, by name.
    pub(crate) fn tokens(&self) -> impl Iterator<Item = &str> {
        let pieces = match &self.frame {
            Frame::Roles(_) => None,
            Frame::Pieces(pieces) => Some(pieces.all().flatten()),
        };
        pieces.into_iter().flatten().filter_map(|span| match span {
            Span::Token { token } => Some(token.as_str()),
            Span::Text(_) => None,
        })
    }

    /// Whether a prompt with pictures may hold the special token of this name.
    pub(crate) fn may_write(&self, name: &str) -> bool {
        is_of_tiles(name) || self.tokens().any(|token| token == name)
    }

    /// The same with another system prompt; none if the template has no place for one.
    pub fn instructed(&self, system: &str) -> Option<Template> {
        let frame = match &self.frame {
            Frame::Roles(roles) => {
                Frame::Roles(Roles { system: system.to_owned(), ..roles.clone() })
            }
            Frame::Pieces(pieces) => Frame::Pieces(Box::new(pieces.instructed(system)?)),
        };
        Some(Template { name: self.name.clone(), frame })
    }

    /// Ids of everything before the picture, BOS first; the same for every picture and question.
    #[doc(hidden)]
    pub fn prefix_ids(&self, tokenizer: &Tokenizer) -> Vec<u32> {
        match &self.frame {
            Frame::Roles(Roles { system, sep, roles: [user, _], .. }) => {
                let mut ids: Vec<u32> = tokenizer.bos().into_iter().collect();
                ids.extend(tokenizer.encode(&format!("{system}{sep}{user}: ")));
                ids
            }
            Frame::Pieces(pieces) => pieces.opening(tokenizer, true),
        }
    }

    /// One picture in the prompt: its `tokens` image tokens in all, and what the family writes
    /// around them and between its squares. For several pictures in a row, these lists follow each
    /// other.
    #[doc(hidden)]
    pub fn picture(&self, tokenizer: &Tokenizer, plan: &Plan, tokens: usize) -> Vec<Part> {
        match plan.level {
            Level::Edge(_) | Level::Unsplit => tiled(tokenizer, plan, tokens),
            _ => vec![Part::Slots(tokens)],
        }
    }

    /// Ids of what goes between two pictures of one turn; none if the template has no place for a
    /// second one.
    pub(crate) fn between_ids(&self, tokenizer: &Tokenizer) -> Option<Vec<u32>> {
        match &self.frame {
            Frame::Roles(_) => Some(tokenizer.encode("\n")),
            Frame::Pieces(pieces) => pieces.between(tokenizer),
        }
    }

    /// Ids from [`Template::answer_end_ids`] of an answer to a picture of the turn that follows;
    /// none if the template has no place for it.
    pub(crate) fn next_picture_ids(&self, tokenizer: &Tokenizer) -> Option<Vec<u32>> {
        match &self.frame {
            Frame::Roles(Roles { roles: [user, _], .. }) => {
                Some(tokenizer.encode_after_special(&format!("{user}: ")))
            }
            Frame::Pieces(pieces) => pieces.next_picture(tokenizer),
        }
    }

    /// Ids of what follows the pictures of a turn, up to its answer.
    #[doc(hidden)]
    pub fn question_ids(&self, tokenizer: &Tokenizer, question: &str) -> Vec<u32> {
        match &self.frame {
            Frame::Roles(Roles { sep, roles: [_, assistant], .. }) => {
                tokenizer.encode(&format!("\n{question}{sep}{assistant}:"))
            }
            Frame::Pieces(pieces) => pieces.question(tokenizer, question),
        }
    }

    /// Ids of the whole first turn where there is no picture, BOS first.
    #[doc(hidden)]
    pub fn lone_question_ids(&self, tokenizer: &Tokenizer, question: &str) -> Vec<u32> {
        match &self.frame {
            Frame::Roles(Roles { system, sep, roles: [user, assistant], .. }) => {
                let text = format!("{system}{sep}{user}: {question}{sep}{assistant}:");
                tokenizer.bos().into_iter().chain(tokenizer.encode(&text)).collect()
            }
            Frame::Pieces(pieces) => pieces.lone_question(tokenizer, question),
        }
    }

    /// Ids of what ends an answer, up to the next turn.
    #[doc(hidden)]
    pub fn answer_end_ids(&self, tokenizer: &Tokenizer) -> Vec<u32> {
        match &self.frame {
            Frame::Roles(_) => vec![tokenizer.eos()],
            Frame::Pieces(pieces) => pieces.end(tokenizer),
        }
    }

    /// Ids of a later turn, to follow [`Template::answer_end_ids`] of the answer before it.
    #[doc(hidden)]
    pub fn next_turn_ids(&self, tokenizer: &Tokenizer, question: &str) -> Vec<u32> {
        match &self.frame {
            Frame::Roles(Roles { sep, roles: [user, assistant], .. }) => {
                tokenizer.encode_after_special(&format!("{user}: {question}{sep}{assistant}:"))
            }
            Frame::Pieces(pieces) => pieces.next_turn(tokenizer, question),
        }
    }

    /// A conversation as text, `picture` in the place of one; each turn is a question and its
    /// answer, if it has one already.
    pub fn written(&self, picture: Option<&str>, turns: &[(&str, Option<&str>)]) -> String {
        let Roles { system, roles: [user, assistant], sep, sep2 } = match &self.frame {
            Frame::Roles(roles) => roles,
            Frame::Pieces(pieces) => return pieces.written(picture, turns),
        };
        let mut text = format!("{system}{sep}");
        for (i, (question, answer)) in turns.iter().enumerate() {
            let picture = picture.filter(|_| i == 0).map(|picture| format!("{picture}\n"));
            let picture = picture.unwrap_or_default();
            text += &format!("{user}: {picture}{question}{sep}{assistant}:");
            text += &answer.map(|answer| format!(" {answer}{sep2}")).unwrap_or_default();
        }
        text
    }
}
