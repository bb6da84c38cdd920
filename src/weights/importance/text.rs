//! Importance measured: the decoder reads a text, layer by layer as its matrices are read anyway.
//! Only the text's hidden states and the output of one matrix are in memory.

use super::products::products;
use super::{Fill, Part, Signal};
use crate::config::LanguageConfig;
use crate::kernels::attention::heads::{self, rope_table};
use crate::kernels::attention::{self, Mask};
use crate::kernels::{rms_norm, swiglu};
use crate::text::Tokenizer;
use std::ops::Range;

/// Tokens of a text that are used: more tell nothing that could be seen in any table.
pub const TOKENS: usize = 2048;
/// Tokens that are read in one go.
const WINDOW: usize = 256;

/// A text's tokens in pieces that are read by themselves, each behind the first token of every
/// prompt.
pub fn windows(tokenizer: &Tokenizer, text: &str, longest: usize) -> Vec<Vec<u32>> {
    let ids = tokenizer.encode(text);
    let window = WINDOW.min(longest).max(2) - 1;
    let behind = |ids: &[u32]| tokenizer.bos().into_iter().chain(ids.iter().copied()).collect();
    ids[..ids.len().min(TOKENS)].chunks(window).map(behind).collect()
}

pub(super) struct Texts {
    language: LanguageConfig,
    ids: Vec<u32>,
    /// Where each text ends.
    ends: Vec<usize>,
    rope: Vec<f32>,
    /// The residual stream, [tokens, hidden].
    stream: Vec<f32>,
    /// What the next matrix is multiplied with, [tokens, its columns].
    input: Vec<f32>,
    /// What it gives, [its rows so far, tokens].
    output: Vec<f32>,
}

impl Texts {
    pub(super) fn new(language: &LanguageConfig, texts: Vec<Vec<u32>>) -> Texts {
        let mut ends = Vec::new();
        let mut ids = Vec::new();
        for text in &texts {
            ids.extend_from_slice(text);
            ends.push(ids.len());
        }
        let longest = texts.iter().map(Vec::len).max().unwrap_or(0);
        Texts {
            rope: rope_table(&language.inv_freq, longest),
            stream: vec![0.0; ids.len() * language.hidden],
            language: language.clone(),
            ids,
            ends,
            input: Vec::new(),
            output: Vec::new(),
        }
    }

    /// What the last matrix gave, [tokens, rows].
    fn take_output(&mut self) -> Vec<f32> {
        let (output, tokens) = (std::mem::take(&mut self.output), self.ids.len());
        let rows = output.len() / tokens;
        (0..tokens)
            .flat_map(|t| (0..rows).map(move |r| r * tokens + t))
            .map(|i| output[i])
            .collect()
    }

    fn add(&mut self) {
        let output = self.take_output();
        self.stream.iter_mut().zip(output).for_each(|(s, o)| *s += o);
    }

    fn normed(&self, gain: &[f32]) -> Vec<f32> {
        // Behind the last layer comes no matrix of ours.
        if gain.is_empty() {
            Vec::new()
        } else {
            rms_norm::reference(&self.stream, gain, self.language.eps)
        }
    }

    fn attended(&mut self, bias: &[f32]) -> Vec<f32> {
        let mut qkv = self.take_output();
        let (shape, width) = (self.language.shape, self.language.shape.sections().2);
        if !bias.is_empty() {
            for row in qkv.chunks_exact_mut(width) {
                row.iter_mut().zip(bias).for_each(|(v, b)| *v += b);
            }
        }
        let mut mixed = Vec::new();
        let mut first = 0;
        for &end in &self.ends {
            let rows = &qkv[first * width..end * width];
            let (q, keys, values) = heads::reference(rows, shape, Some(&self.rope), 0);
            mixed.extend(attention::reference(&q, &keys, &values, shape, Mask::Causal(0)));
            first = end;
        }
        mixed
    }

    /// The mean square of each column of the input.
    fn importance(&self) -> Vec<f32> {
        let tokens = self.ids.len();
        let cols = self.input.len() / tokens;
        let mut sums = vec![0.0f64; cols];
        for row in self.input.chunks_exact(cols.max(1)) {
            sums.iter_mut().zip(row).for_each(|(s, v)| *s += f64::from(*v).powi(2));
        }
        sums.into_iter().map(|s| (s / tokens as f64) as f32).collect()
    }
}

impl Signal for Texts {
    fn embed(&mut self, rows: Range<usize>, fill: Fill) {
        let hidden = self.language.hidden;
        for (id, out) in self.ids.iter().zip(self.stream.chunks_exact_mut(hidden)) {
            if rows.contains(&(*id as usize)) {
                fill(*id as usize, out);
            }
        }
    }

    fn rows(&mut self, rows: Range<usize>, fill: Fill) {
        self.output.extend(products(&self.input, self.ids.len(), rows, fill));
    }

    fn finish(&mut self, part: Part, vector: &[f32]) -> Vec<f32> {
        self.input = match part {
            Part::Embed => self.normed(vector),
            Part::Qkv => self.attended(vector),
            Part::GateUp => swiglu::reference(&self.take_output(), self.language.ffn),
            Part::O | Part::Down => {
                self.add();
                self.normed(vector)
            }
        };
        self.importance()
    }
}
