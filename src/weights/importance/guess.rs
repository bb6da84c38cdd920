//! Importance guessed from the weights alone: inputs are taken as independent, so their squares add
//! up.
//!
//! It finds the few channels of the residual stream that are hundreds of times as strong as the
//! rest, which is what matters, for two operations per weight.

use super::{Fill, Part, Signal};
use crate::config::LanguageConfig;
use crate::quant::PANEL;
use std::ops::Range;

pub(super) struct Guess {
    language: LanguageConfig,
    /// The mean square of each channel of the residual stream.
    stream: Vec<f64>,
    /// That of what the next matrix is multiplied with.
    input: Vec<f64>,
    /// That of what it gives, row by row.
    output: Vec<f64>,
}

impl Guess {
    pub(super) fn new(language: &LanguageConfig) -> Guess {
        let stream = vec![0.0; language.hidden];
        Guess { language: language.clone(), stream, input: Vec::new(), output: Vec::new() }
    }

    /// What a norm makes of the stream.
    fn normed(&self, gain: &[f32]) -> Vec<f64> {
        let mean = self.stream.iter().sum::<f64>() / self.stream.len() as f64;
        let scaled = self.stream.iter().map(|v| if mean > 0.0 { v / mean } else { 0.0 });
        scaled.zip(gain).map(|(v, g)| v * f64::from(*g).powi(2)).collect()
    }

    /// What attention gives at most: the values as they are, each for the heads that share it.
    fn attended(&self, bias: &[f32]) -> Vec<f64> {
        let shape = self.language.shape;
        let first = shape.sections().1;
        let value = |i: usize| {
            let bias = bias.get(first + i).map_or(0.0, |b| f64::from(*b));
            self.output[first + i] + bias.powi(2)
        };
        let heads = (0..shape.heads).map(|head| head / (shape.heads / shape.kv_heads));
        heads
            .flat_map(|kv| (0..shape.head_dim).map(move |i| kv * shape.head_dim + i))
            .map(value)
            .collect()
    }

    /// Gates and ups lie panel by panel in turns. The square of silu is between a quarter and a
    /// half of its argument's.
    fn gated(&self) -> Vec<f64> {
        let at = |f: usize| f / PANEL * 2 * PANEL + f % PANEL;
        let both = |f: usize| self.output[at(f)] * self.output[at(f) + PANEL];
        (0..self.language.ffn).map(|f| both(f) / 2.0).collect()
    }

    fn add(&mut self) {
        self.stream.iter_mut().zip(&self.output).for_each(|(s, o)| *s += o);
    }
}

impl Signal for Guess {
    fn embed(&mut self, rows: Range<usize>, fill: Fill) {
        let cols = self.stream.len();
        let panels = crate::parallel::map(rows.len().div_ceil(PANEL), |panel| {
            let (mut row, mut sums) = (vec![0.0f32; cols], vec![0.0f64; cols]);
            for i in panel * PANEL..rows.len().min((panel + 1) * PANEL) {
                row.fill(0.0);
                fill(rows.start + i, &mut row);
                sums.iter_mut().zip(&row).for_each(|(s, v)| *s += f64::from(v * v));
            }
            sums
        });
        for sums in panels {
            self.stream.iter_mut().zip(sums).for_each(|(s, v)| *s += v);
        }
    }

    fn rows(&mut self, rows: Range<usize>, fill: Fill) {
        let input = &self.input;
        let panels = crate::parallel::map(rows.len().div_ceil(PANEL), |panel| {
            let mut row = vec![0.0f32; input.len()];
            let of = |i: usize| {
                row.fill(0.0);
                fill(rows.start + i, &mut row);
                energy(&row, input)
            };
            (panel * PANEL..rows.len().min((panel + 1) * PANEL)).map(of).collect::<Vec<f64>>()
        });
        self.output.extend(panels.into_iter().flatten());
    }

    fn finish(&mut self, part: Part, vector: &[f32]) -> Vec<f32> {
        self.input = match part {
            Part::Embed => {
                let vocab = self.language.vocab as f64;
                self.stream.iter_mut().for_each(|v| *v /= vocab);
                self.normed(vector)
            }
            Part::Qkv => self.attended(vector),
            Part::GateUp => self.gated(),
            Part::O | Part::Down => {
                self.add();
                self.normed(vector)
            }
        };
        self.output.clear();
        let mean = self.input.iter().sum::<f64>() / self.input.len().max(1) as f64;
        // In single precision they might be too small or too large; only their ratios count.
        self.input.iter().map(|v| if mean > 0.0 { (v / mean) as f32 } else { 1.0 }).collect()
    }
}

/// Σ input · row².
fn energy(row: &[f32], input: &[f64]) -> f64 {
    const LANES: usize = 4;
    let mut sums = [0.0f64; LANES];
    let (rows, inputs) = (row.chunks_exact(LANES), input.chunks_exact(LANES));
    let rest: f64 =
        rows.remainder().iter().zip(inputs.remainder()).map(|(w, x)| f64::from(w * w) * x).sum();
    for (row, input) in rows.zip(inputs) {
        for i in 0..LANES {
            sums[i] += f64::from(row[i] * row[i]) * input[i];
        }
    }
    (sums[0] + sums[1]) + (sums[2] + sums[3]) + rest
}
