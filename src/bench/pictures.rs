//! What several pictures in one question cost.

use super::{Bench, QUESTION};
use crate::error::Result;
use crate::model::Cache;
use serde::Serialize;

/// How many pictures.
const PICTURES: [usize; 4] = [1, 2, 4, 8];
/// Image tokens of each, at most.
const EACH: usize = 16;

/// The wait for the first token about several pictures.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Pictures {
    /// Pictures, each another one.
    pub pictures: usize,
    /// m of each.
    pub image_tokens: usize,
    /// Milliseconds, the tower for each picture included.
    pub ms: f64,
    /// Of those, the part that is left once the pictures are encoded.
    pub encoded_ms: f64,
}

impl Bench<'_> {
    /// As many rows as there is room for, with a fixed m of 16 or the next smaller one.
    pub(super) async fn pictures(
        &mut self,
        cache: &mut Cache,
        encode_ms: f64,
    ) -> Result<Vec<Pictures>> {
        let ladder = self.model.config().offer().ladder();
        let few = ladder.iter().rfind(|&&m| m <= EACH).or(ladder.first());
        let m = few.copied().unwrap_or(EACH);
        let (template, tokenizer) = (self.model.template(), self.model.tokenizer());
        let system = template.prefix_ids(tokenizer).len();
        let between = template.between_ids(tokenizer).map(|ids| ids.len());
        let mut rows = Vec::new();
        for pictures in PICTURES {
            let Some(between) = between.or((pictures == 1).then_some(0)) else { break };
            let tokens = pictures * m + (pictures - 1) * between + QUESTION;
            if system + tokens > cache.capacity() {
                break;
            }
            self.say(&format!("first token about {pictures} pictures"))?;
            self.fill(cache, system).await?;
            let encoded_ms = self.median(cache, system, tokens).await? * 1e3;
            let ms = encoded_ms + encode_ms * pictures as f64;
            rows.push(Pictures { pictures, image_tokens: m, ms, encoded_ms });
        }
        Ok(rows)
    }
}
