//! The fixed text of a conversation in pieces, from the checkpoint's own chat template: what goes
//! before, between and after picture, questions and answers.

use serde::{Deserialize, Serialize};

use super::Tokenizer;
use super::spans::{Span, ids, spans, written};

/// What stands around picture, questions and answers; each piece reaches from one of them to the
/// next.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pieces {
    /// From the start to the picture.
    pub to_picture: Vec<Span>,
    /// From the picture to the first question.
    pub to_question: Vec<Span>,
    /// From the start to the first question where there is no picture.
    pub to_lone_question: Vec<Span>,
    /// From a question to the answer that is to be written.
    pub to_answer: Vec<Span>,
    /// From a question to an answer of an earlier turn, where a template writes it; templates
    /// differ from `to_answer` by a space or a newline. Answers that were just written keep theirs.
    pub to_past_answer: Vec<Span>,
    /// From an answer to the next question; it begins with what ends the answer.
    pub to_next: Vec<Span>,
    /// Where a system prompt goes; none if the template has no place for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub system: Option<SystemPieces>,
    /// What stands around further pictures; none if the template has no place for them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub several: Option<SeveralPieces>,
}

/// What stands around pictures after the first one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SeveralPieces {
    /// From one picture to the next of the same turn.
    pub between: Vec<Span>,
    /// From an answer to a picture of the turn that follows; it begins with what ends the answer.
    pub to_next_picture: Vec<Span>,
}

/// What stands around a system prompt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SystemPieces {
    /// From the start to the system prompt.
    pub to_system: Vec<Span>,
    /// From the system prompt to the picture.
    pub to_picture: Vec<Span>,
    /// From the system prompt to the first question where there is no picture.
    pub to_lone_question: Vec<Span>,
}

impl Pieces {
    /// Every piece.
    pub(super) fn all(&self) -> impl Iterator<Item = &Vec<Span>> {
        let Pieces { to_picture, to_question, to_lone_question, .. } = self;
        let Pieces { to_answer, to_past_answer, to_next, system, several, .. } = self;
        let system = system
            .iter()
            .flat_map(|system| [&system.to_system, &system.to_picture, &system.to_lone_question]);
        let several =
            several.iter().flat_map(|several| [&several.between, &several.to_next_picture]);
        [to_picture, to_question, to_lone_question, to_answer, to_past_answer, to_next]
            .into_iter()
            .chain(system)
            .chain(several)
    }

    /// The same with this system prompt; none if there is no place for it.
    pub(super) fn instructed(&self, text: &str) -> Option<Pieces> {
        let system = self.system.as_ref()?;
        let behind = |rest: &[Span]| {
            let text = Span::Text(text.to_owned());
            [&system.to_system, std::slice::from_ref(&text), rest].concat()
        };
        Some(Pieces {
            to_picture: behind(&system.to_picture),
            to_lone_question: behind(&system.to_lone_question),
            ..self.clone()
        })
    }

    /// From the start to the picture, or to the question where there is none.
    pub(super) fn opening(&self, tokenizer: &Tokenizer, picture: bool) -> Vec<u32> {
        let spans = if picture { &self.to_picture } else { &self.to_lone_question };
        let mut opening = ids(tokenizer, spans, true);
        // A template may write the token that the tokenizer would add.
        if let Some(bos) = tokenizer.bos().filter(|bos| opening.first() != Some(bos)) {
            opening.insert(0, bos);
        }
        opening
    }

    /// From the picture to the answer.
    pub(super) fn question(&self, tokenizer: &Tokenizer, question: &str) -> Vec<u32> {
        self.around(tokenizer, &self.to_question, question, false)
    }

    /// The whole prompt of a question without a picture.
    pub(super) fn lone_question(&self, tokenizer: &Tokenizer, question: &str) -> Vec<u32> {
        let mut asked = self.around(tokenizer, &self.to_lone_question, question, true);
        if let Some(bos) = tokenizer.bos().filter(|bos| asked.first() != Some(bos)) {
            asked.insert(0, bos);
        }
        asked
    }

    /// What ends an answer.
    pub(super) fn end(&self, tokenizer: &Tokenizer) -> Vec<u32> {
        ids(tokenizer, end_and_rest(&self.to_next).0, false)
    }

    /// From the end of an answer to the next one.
    pub(super) fn next_turn(&self, tokenizer: &Tokenizer, question: &str) -> Vec<u32> {
        self.around(tokenizer, end_and_rest(&self.to_next).1, question, false)
    }

    /// From one picture to the next of a turn, where the template has a place for it.
    pub(super) fn between(&self, tokenizer: &Tokenizer) -> Option<Vec<u32>> {
        Some(ids(tokenizer, &self.several.as_ref()?.between, false))
    }

    /// From the end of an answer to a picture, where the template has a place for it.
    pub(super) fn next_picture(&self, tokenizer: &Tokenizer) -> Option<Vec<u32>> {
        Some(ids(tokenizer, end_and_rest(&self.several.as_ref()?.to_next_picture).1, false))
    }

    /// A question between what stands before it and what stands after it; whatever it spells, it
    /// is text.
    fn around(
        &self,
        tokenizer: &Tokenizer,
        before: &[Span],
        question: &str,
        opens: bool,
    ) -> Vec<u32> {
        let question = Span::Text(question.to_owned());
        ids(tokenizer, before.iter().chain([&question]).chain(&self.to_answer), opens)
    }

    /// A whole conversation as text, from the first question on.
    pub(super) fn written(&self, picture: Option<&str>, turns: &[(&str, Option<&str>)]) -> String {
        let mut text = match picture {
            Some(picture) => written(&self.to_picture) + picture + &written(&self.to_question),
            None => written(&self.to_lone_question),
        };
        for (i, (question, answer)) in turns.iter().enumerate() {
            if i > 0 {
                text += &written(&self.to_next);
            }
            text += question;
            text += &match answer {
                Some(answer) => written(&self.to_past_answer) + answer,
                None => written(&self.to_answer),
            };
        }
        text
    }
}

/// Splits a piece that begins at an answer: what ends the answer, and what follows that.
fn end_and_rest(piece: &[Span]) -> (Option<&Span>, &[Span]) {
    match piece.split_first() {
        Some((end @ Span::Token { .. }, rest)) => (Some(end), rest),
        _ => (None, piece),
    }
}

/// Every special token that a published template writes.
const TOKENS: [&str; 6] = [
    "<|im_start|>",
    "<|im_end|>",
    "<end_of_utterance>",
    "<|start_of_role|>",
    "<|end_of_role|>",
    "<|end_of_text|>",
];

impl Pieces {
    /// The template of a published family, by name.
    pub(super) fn published(name: &str) -> Option<Pieces> {
        let qwen = |sep: &str, newline: &str, gap: &str, opening: &str, between: &str| {
            let user = format!("<|im_start|>user{sep}");
            let close = format!("<|im_end|>{newline}");
            Pieces::plain([
                &format!("{opening}{user}"),
                "\n",
                &format!("{opening}{user}{gap}"),
                &format!("{close}<|im_start|>assistant\n"),
                &format!("{close}<|im_start|>assistant{sep}{gap}"),
                &format!("{close}{user}{gap}"),
                between,
                &format!("{close}{user}"),
            ])
        };
        Some(match name {
            "smolvlm" => Pieces::plain([
                "<|im_start|>User:",
                "",
                "<|im_start|>User: ",
                "<end_of_utterance>\nAssistant:",
                "<end_of_utterance>\nAssistant: ",
                "<end_of_utterance>\nUser: ",
                "",
                "<end_of_utterance>\nUser:",
            ]),
            "granite_docling" => {
                let role = |name: &str| format!("<|start_of_role|>{name}<|end_of_role|>");
                let to_answer = format!("<|end_of_text|>\n{}", role("assistant"));
                let user = role("user");
                let to_next = format!("<|end_of_text|>\n{user}");
                Pieces::plain([&user, "", &user, &to_answer, &to_answer, &to_next, "", &to_next])
            }
            "llava_interleave" => qwen("\n", "\n", "\n", "", ""),
            "llava_onevision" => qwen(" ", "", "\n", "", ""),
            "nanollava" => {
                qwen("\n", "", "", "<|im_start|>system\nAnswer the questions.<|im_end|>", "\n")
            }
            _ => return None,
        })
    }

    /// From texts in the order of the fields, without a place for a system prompt.
    fn plain(texts: [&str; 8]) -> Pieces {
        let [
            to_picture,
            to_question,
            to_lone_question,
            to_answer,
            to_past_answer,
            to_next,
            between,
            to_next_picture,
        ] = texts.map(|text| spans(text, &TOKENS));
        Pieces {
            to_picture,
            to_question,
            to_lone_question,
            to_answer,
            to_past_answer,
            to_next,
            system: None,
            several: Some(SeveralPieces { between, to_next_picture }),
        }
    }
}
