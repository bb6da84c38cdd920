//! What SmolVLM's family writes around a picture's squares.
//!
//! Upstream: `get_image_prompt_string` in transformers' `processing_idefics3`.

use super::Tokenizer;
use super::prompt::Part;
use crate::image::tiles::{Plan, Whole};

const AROUND: &str = "<fake_token_around_image>";
const WHOLE: &str = "<global-img>";

/// The special tokens that this family writes, as far as a tokenizer has them.
pub(super) fn is_of_tiles(name: &str) -> bool {
    name == AROUND || name == WHOLE || (name.starts_with("<row_") && name.contains("_col_"))
}

/// One picture of `tokens` image tokens, as many for each of its squares.
pub(super) fn tiled(tokenizer: &Tokenizer, plan: &Plan, tokens: usize) -> Vec<Part> {
    let mut writer = Writer { tokenizer, parts: Vec::new(), text: String::new() };
    let each = tokens / plan.squares();
    if plan.whole != Whole::Alone {
        for row in 1..=plan.rows {
            for column in 1..=plan.columns {
                writer.token(AROUND);
                writer.token(&format!("<row_{row}_col_{column}>"));
                writer.slots(each);
            }
            writer.text.push('\n');
        }
        writer.text.push('\n');
    }
    writer.token(AROUND);
    writer.token(WHOLE);
    writer.slots(tokens - each * (plan.squares() - 1));
    writer.token(AROUND);
    writer.flush();
    writer.parts
}

struct Writer<'a> {
    tokenizer: &'a Tokenizer,
    parts: Vec<Part>,
    /// What is encoded before the next token or slot; neighbouring texts are one.
    text: String,
}

impl Writer<'_> {
    /// A special token; the larger checkpoints have some of them as text only.
    fn token(&mut self, name: &str) {
        match self.tokenizer.special(name) {
            Some(id) => {
                self.flush();
                self.ids(vec![id]);
            }
            None => self.text.push_str(name),
        }
    }

    fn slots(&mut self, tokens: usize) {
        self.flush();
        self.parts.push(Part::Slots(tokens));
    }

    fn flush(&mut self) {
        let ids = self.tokenizer.encode_after_special(&self.text);
        self.text.clear();
        self.ids(ids);
    }

    fn ids(&mut self, new: Vec<u32>) {
        match self.parts.last_mut() {
            Some(Part::Ids(ids)) => ids.extend(new),
            _ if new.is_empty() => {}
            _ => self.parts.push(Part::Ids(new)),
        }
    }
}
