//! Turns the text of an earlier answer, such as a client sends back in a later request, into token
//! ids.

use super::{Template, Tokenizer};

impl Template {
    /// Ids of an answer from its text, with the space before it that the model would have written.
    pub fn answer_ids(&self, tokenizer: &Tokenizer, answer: &str) -> Vec<u32> {
        const MARK: &str = "x";
        // SentencePiece puts a space before every text by itself.
        let mark = tokenizer.encode(MARK);
        if tokenizer.decode(&[mark.as_slice(), &mark].concat()).trim().contains(' ') {
            return tokenizer.encode(answer);
        }
        let open = self.written(None, &[("", None)]);
        let told = self.written(None, &[("", Some(MARK))]);
        let rest = told.strip_prefix(&open).unwrap_or(MARK);
        let gap = rest.find(MARK).map_or("", |at| &rest[..at]);
        tokenizer.encode(&format!("{gap}{answer}"))
    }
}
