//! The prompt around a picture and a question.
//!
//! `{system} USER: <image>\n{question} ASSISTANT:`, later turns `</s>USER: {question} ASSISTANT:`.
//! The text before the picture and the text after it are tokenised apart, as upstream's
//! `tokenizer_image_token` does; the picture's tokens go between them.
//! Upstream: `llava/conversation.py` (separator style TWO).

use serde::{Deserialize, Serialize};

use super::Tokenizer;
use crate::image::tiles::Plan;

/// A piece of a prompt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Part {
    /// Tokens.
    Ids(Vec<u32>),
    /// So many image tokens, the next of the picture's.
    Slots(usize),
}

/// Names and strings of a conversation; no template language.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Template {
    /// `vicuna_v1`, `llava_v1`, or a name of one's own.
    pub name: String,
    /// The text that opens every conversation.
    pub system: String,
    /// What the person and the model are called.
    pub roles: [String; 2],
    /// Stands before each role.
    pub sep: String,
    /// Ends each answer; the tokenizer's end token takes its place.
    pub sep2: String,
}

impl Template {
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

    /// A built-in template; `v1` is another name of `vicuna_v1`.
    pub fn by_name(name: &str) -> Option<Template> {
        match name {
            "vicuna_v1" | "v1" => Some(Template::vicuna_v1()),
            "llava_v1" => Some(Template::llava_v1()),
            _ => None,
        }
    }

    fn two(name: &str, system: &str) -> Template {
        Template {
            name: name.to_string(),
            system: system.to_string(),
            roles: ["USER".to_string(), "ASSISTANT".to_string()],
            sep: " ".to_string(),
            sep2: "</s>".to_string(),
        }
    }

    /// Ids of everything before the picture, BOS first; the same for every picture and question.
    pub fn prefix_ids(&self, tokenizer: &Tokenizer) -> Vec<u32> {
        let Template { system, sep, roles: [user, _], .. } = self;
        let mut ids = vec![tokenizer.bos()];
        ids.extend(tokenizer.encode(&format!("{system}{sep}{user}: ")));
        ids
    }

    /// What stands for one picture in the prompt: its `tokens` image tokens in all, and whatever
    /// the family writes around them and between its squares.
    pub fn picture(&self, _: &Tokenizer, _: &Plan, tokens: usize) -> Vec<Part> {
        vec![Part::Slots(tokens)]
    }

    /// Ids of what follows the picture in the first turn.
    pub fn question_ids(&self, tokenizer: &Tokenizer, question: &str) -> Vec<u32> {
        let Template { sep, roles: [_, assistant], .. } = self;
        tokenizer.encode(&format!("\n{question}{sep}{assistant}:"))
    }

    /// Ids of a later turn, to follow the end token of the answer before it.
    pub fn next_turn_ids(&self, tokenizer: &Tokenizer, question: &str) -> Vec<u32> {
        let Template { sep, roles: [user, assistant], .. } = self;
        tokenizer.encode_after_special(&format!("{user}: {question}{sep}{assistant}:"))
    }
}
