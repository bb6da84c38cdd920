//! A text's tokens times the rows of a matrix, on the processor: nearly all of the time that
//! measuring takes.

use super::super::layout::{Role, layout};
use super::Fill;
use crate::config::Config;
use crate::quant::PANEL;
use std::ops::Range;
use web_time::Instant;

/// Rows and tokens that share what is loaded, and sums side by side: what sixteen vector registers
/// hold.
const TILE: (usize, usize) = (4, 2);
const LANES: usize = 4;

/// x [tokens, cols] times rows of a matrix → [rows, tokens]. Every sum has its own order, whatever
/// the number of threads.
pub(super) fn products(x: &[f32], tokens: usize, rows: Range<usize>, fill: Fill) -> Vec<f32> {
    let cols = x.len() / tokens;
    let panels = crate::parallel::map(rows.len().div_ceil(PANEL), |panel| {
        let mine = panel * PANEL..rows.len().min((panel + 1) * PANEL);
        // Whole tiles; what lies beyond the rows stays 0.
        let mut w = vec![0.0f32; mine.len().next_multiple_of(TILE.0) * cols];
        for (row, out) in mine.clone().zip(w.chunks_exact_mut(cols)) {
            fill(rows.start + row, out);
        }
        let mut out = vec![0.0f32; mine.len() * tokens];
        for (tile, w) in w.chunks_exact(TILE.0 * cols).enumerate() {
            for first in (0..tokens).step_by(TILE.1) {
                // The last token stands in for one that is missing.
                let at = |t: usize| &x[(first + t).min(tokens - 1) * cols..][..cols];
                let sums = dots(std::array::from_fn(|r| &w[r * cols..][..cols]), [at(0), at(1)]);
                for (r, sums) in sums.iter().enumerate() {
                    for (t, sum) in sums.iter().enumerate() {
                        let row = tile * TILE.0 + r;
                        if row < mine.len() && first + t < tokens {
                            out[row * tokens + first + t] = *sum;
                        }
                    }
                }
            }
        }
        out
    });
    panels.concat()
}

/// Every row times every token.
fn dots(w: [&[f32]; TILE.0], x: [&[f32]; TILE.1]) -> [[f32; TILE.1]; TILE.0] {
    let mut sums = [[[0.0f32; LANES]; TILE.1]; TILE.0];
    let whole = w[0].len() / LANES * LANES;
    for at in (0..whole).step_by(LANES) {
        let part = |v: &[f32]| -> [f32; LANES] {
            v[at..at + LANES].try_into().expect("as many as there are lanes")
        };
        let (w, x) = (w.map(part), x.map(part));
        for r in 0..TILE.0 {
            for t in 0..TILE.1 {
                for i in 0..LANES {
                    sums[r][t][i] += w[r][i] * x[t][i];
                }
            }
        }
    }
    std::array::from_fn(|r| {
        std::array::from_fn(|t| {
            let rest: f32 = (whole..w[r].len()).map(|i| w[r][i] * x[t][i]).sum();
            let [a, b, c, d] = sums[r][t];
            (a + b) + (c + d) + rest
        })
    })
}

/// How often the small product of [`seconds`] is timed.
const TRIES: usize = 5;

/// About how long measuring on this many tokens takes here, in seconds: a small product is timed.
pub fn seconds(config: &Config, tokens: usize) -> f64 {
    let layers = layout(config)
        .into_iter()
        .filter(|entry| matches!(entry.role, Role::Layer | Role::LastLayer));
    let weights: f64 = layers.map(|entry| (entry.rows * entry.cols) as f64).sum();
    let (cols, rows, n) = (1024, 16 * PANEL, 64);
    let x = vec![0.5; n * cols];
    // The first run starts threads, and others may be disturbed.
    let runs = (0..TRIES).map(|_| {
        let start = Instant::now();
        products(&x, n, 0..rows, &|_, out| out.fill(0.25));
        start.elapsed().as_secs_f64()
    });
    let each = runs.fold(f64::INFINITY, f64::min) / (cols * rows * n) as f64;
    each * weights * tokens as f64
}
