//! The resampler's fixed mixing of patches, as a product of floats: `out[i, c] = Σ_p map[h, i, p] ·
//! values[p, c]`, h the head of column c.

use super::Isa;
use super::floats::{STRETCH, groups, tile};
use super::matrix::Row;
use super::simd::{Job, Simd};
use crate::parallel;
use crate::quant::PANEL;

/// Rows 0..n of map [heads, M, patches] with values [patches, cols] → [n, cols].
pub(crate) fn mix(
    isa: Isa,
    (map, heads, m_max): (&[f32], usize, usize),
    values: &[f32],
    cols: usize,
    n: usize,
) -> Vec<f32> {
    let head_dim = cols / heads;
    let tiles = head_dim.div_ceil(PANEL);
    let mut sums = vec![Row::ZERO; heads * tiles * n];
    parallel::chunks(&mut sums, n, |i, sums| {
        let (head, first) = (i / tiles, i % tiles * PANEL);
        let from = head * head_dim + first..head * head_dim + head_dim.min(first + PANEL);
        isa.run(Tile {
            map: &map[head * m_max * (values.len() / cols)..],
            values,
            cols,
            from,
            sums,
        });
    });
    let mut out = vec![0.0; n * cols];
    for (i, sums) in sums.chunks_exact(n).enumerate() {
        let first = i / tiles * head_dim + i % tiles * PANEL;
        let count = PANEL.min(i / tiles * head_dim + head_dim - first);
        for (sum, out) in sums.iter().zip(out.chunks_exact_mut(cols)) {
            out[first..first + count].copy_from_slice(&sum.0[..count]);
        }
    }
    out
}

/// Up to 32 columns of one head.
struct Tile<'a> {
    /// [M, patches]
    map: &'a [f32],
    values: &'a [f32],
    cols: usize,
    from: std::ops::Range<usize>,
    sums: &'a mut [Row],
}

impl Job for Tile<'_> {
    type Out = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let patches = self.values.len() / self.cols;
        let mut w = vec![Row::ZERO; patches];
        for (w, row) in w.iter_mut().zip(self.values.chunks_exact(self.cols)) {
            w.0[..self.from.len()].copy_from_slice(&row[self.from.clone()]);
        }
        let mut x = vec![0.0; patches * S::TOKENS];
        for (first, count) in groups(self.sums.len(), S::TOKENS) {
            let x = &mut x[..patches * count];
            for (t, row) in
                self.map[first * patches..].chunks_exact(patches).take(count).enumerate()
            {
                for (to, v) in x.iter_mut().skip(t).step_by(count).zip(row) {
                    *to = *v;
                }
            }
            let sums = &mut self.sums[first..first + count];
            for (w, x) in w.chunks(STRETCH).zip(x.chunks(STRETCH * count)) {
                tile(s, count, x, w, sums);
            }
        }
    }
}
