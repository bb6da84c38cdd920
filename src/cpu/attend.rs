//! Attention over keys and values in the layout in which the float product reads weights: keys 32
//! to a tile, so that a tile gives 32 scores at once, and values 32 dimensions to a column of
//! tiles.
//!
//! A query's sums do not depend on the other queries: keys that it does not see have weight 0.

use super::Isa;
use super::floats::{STRETCH, tile};
use super::matrix::Row;
use super::norm::{stored, together};
use super::simd::{Job, Simd};
use crate::cancel::Cancel;
use crate::kernels::attention::Mask;
use crate::kernels::attention::cache::HeadShape;
use crate::parallel::{self, Pool};
use crate::quant::PANEL;

/// Keys and values of one layer.
pub(crate) struct KvRows {
    pub(super) shape: HeadShape,
    len: usize,
    /// Of each key head [tiles of 32 keys][head_dim], a row 32 keys.
    pub(super) keys: Vec<Vec<Row>>,
    /// Of each key head and 32 dimensions of it [keys].
    values: Vec<Vec<Row>>,
}

impl KvRows {
    pub(crate) fn new(shape: HeadShape) -> KvRows {
        let tiles = shape.head_dim.div_ceil(PANEL);
        KvRows {
            shape,
            len: 0,
            keys: vec![Vec::new(); shape.kv_heads],
            values: vec![Vec::new(); shape.kv_heads * tiles],
        }
    }

    /// Room for positions up to `len`, so that adding them allocates nothing.
    pub(crate) fn reserve(&mut self, len: usize) {
        let (rows, more) = (len.div_ceil(PANEL) * self.shape.head_dim, len);
        for keys in &mut self.keys {
            keys.reserve(rows.saturating_sub(keys.len()));
        }
        for values in &mut self.values {
            values.reserve(more.saturating_sub(values.len()));
        }
    }

    /// Forgets the positions from `len` on.
    pub(crate) fn truncate(&mut self, len: usize) {
        self.len = self.len.min(len);
        let rows = self.len.div_ceil(PANEL) * self.shape.head_dim;
        self.keys.iter_mut().for_each(|keys| keys.truncate(rows));
        self.values.iter_mut().for_each(|values| values.truncate(self.len));
    }

    /// Cuts rows of [q | k | v] into heads: queries, rotated and scaled, replace `q` [n, heads ·
    /// head_dim], keys and values are added. `rope` [n, head_dim] holds (cos, sin) pairs; without
    /// it nothing is rotated.
    pub(crate) fn add(&mut self, qkv: &[f32], rope: Option<&[f32]>, q: &mut Vec<f32>) {
        let HeadShape { heads, head_dim, .. } = self.shape;
        let (k_at, v_at, total) = self.shape.sections();
        let (n, first, width) = (qkv.len() / total, self.len, heads * head_dim);
        let scale = (1.0 / (head_dim as f64).sqrt()) as f32;
        let table = |t: usize| rope.map(|rope| &rope[t * head_dim..][..head_dim]);
        q.resize(n * width, 0.0);
        parallel::chunks(q, width, |t, q| {
            let from = &qkv[t * total..][..width];
            for (to, from) in q.chunks_exact_mut(head_dim).zip(from.chunks_exact(head_dim)) {
                turn(from, table(t), scale, to);
            }
        });
        parallel::chunks(&mut self.keys, 1, |head, keys| {
            let keys = &mut keys[0];
            keys.resize((first + n).div_ceil(PANEL) * head_dim, Row::ZERO);
            let mut turned = [0.0f32; MOST_DIMS];
            for t in 0..n {
                let from = &qkv[t * total + k_at + head * head_dim..][..head_dim];
                turn(from, table(t), 1.0, &mut turned[..head_dim]);
                let (tile, lane) = ((first + t) / PANEL, (first + t) % PANEL);
                for (to, v) in keys[tile * head_dim..].iter_mut().zip(&turned[..head_dim]) {
                    to.0[lane] = *v;
                }
            }
        });
        let tiles = head_dim.div_ceil(PANEL);
        parallel::chunks(&mut self.values, 1, |i, values| {
            let (at, dims) = (i % tiles * PANEL, PANEL.min(head_dim - i % tiles * PANEL));
            for t in 0..n {
                let from = &qkv[t * total + v_at + i / tiles * head_dim + at..][..dims];
                let mut to = Row::ZERO;
                to.0[..dims].copy_from_slice(from);
                values[0].push(to);
            }
        });
        self.len += n;
    }
}

/// The widest head that [`crate::config`] lets through.
const MOST_DIMS: usize = 1024;

/// Rotates neighbours (2i, 2i + 1) by (cos, sin) pairs, where there are some, and scales.
fn turn(from: &[f32], table: Option<&[f32]>, scale: f32, to: &mut [f32]) {
    let Some(table) = table else {
        to.iter_mut().zip(from).for_each(|(to, v)| *to = v * scale);
        return;
    };
    let pairs = from.as_chunks::<2>().0.iter().zip(table.as_chunks::<2>().0);
    for (to, ([a, b], [cos, sin])) in to.as_chunks_mut::<2>().0.iter_mut().zip(pairs) {
        *to = [(a * cos - b * sin) * scale, (b * cos + a * sin) * scale];
    }
}

/// Memory that attention uses again and again.
#[derive(Default)]
pub(crate) struct Memory {
    /// [kv_heads, n · heads per key head, head_dim]
    heads: Vec<f32>,
    work: Pool<Work>,
}

/// Memory of one task.
#[derive(Default)]
struct Work {
    /// Scores, then weights: [tiles of 32 keys, queries].
    scores: Vec<Row>,
    /// Queries [head_dim, queries], then weights [keys, queries].
    x: Vec<f32>,
}

/// Queries `q` [n, heads · head_dim], scaled → `out`, the same shape. Once `cancel` says so, `out`
/// holds anything.
pub(crate) fn attend(
    isa: Isa,
    q: &[f32],
    kv: &KvRows,
    mask: Mask,
    memory: &mut Memory,
    out: &mut Vec<f32>,
    cancel: &Cancel,
) {
    let HeadShape { heads, kv_heads, head_dim } = kv.shape;
    let (width, shared) = (heads * head_dim, heads / kv_heads);
    let n = q.len() / width;
    let Memory { heads: by_head, work: pool } = memory;
    out.resize(q.len(), 0.0);
    by_head.resize(q.len(), 0.0);
    // Queries that share keys are computed together; those of one task as many as fit.
    let (rows, most) = (n * shared, isa.run(Most));
    parallel::chunks(by_head, rows * head_dim, |kv_head, out| {
        parallel::chunks(out, most * head_dim, |group, out| {
            if cancel.is_cancelled() {
                return;
            }
            let mut work = pool.take();
            let first = group * most;
            isa.run(Queries { kv, kv_head, first, q, mask, work: &mut work, out });
            pool.give(work);
        });
    });
    let by_head = &*by_head;
    parallel::chunks(out, width, |t, out| {
        for (head, out) in out.chunks_exact_mut(head_dim).enumerate() {
            let row = (head / shared * n + t) * shared + head % shared;
            out.copy_from_slice(&by_head[row * head_dim..][..head_dim]);
        }
    });
}

/// Queries that a task has at most.
struct Most;

impl Job for Most {
    type Out = usize;

    #[inline(always)]
    fn run<S: Simd>(self, _: S) -> usize {
        S::TOKENS
    }
}

/// Some of the queries of a key head.
struct Queries<'a> {
    kv: &'a KvRows,
    kv_head: usize,
    /// Row r is query head r % shared of token r / shared.
    first: usize,
    q: &'a [f32],
    mask: Mask,
    work: &'a mut Work,
    /// [queries, head_dim]
    out: &'a mut [f32],
}

impl Job for Queries<'_> {
    type Out = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let HeadShape { heads, kv_heads, head_dim } = self.kv.shape;
        let shared = heads / kv_heads;
        let n = self.out.len() / head_dim;
        let Work { scores, x } = self.work;
        let visible = |i: usize| match self.mask {
            Mask::All(keys) => keys,
            Mask::Causal(position) => position + (self.first + i) / shared + 1,
        };
        let keys = visible(n - 1);
        let tiles = keys.div_ceil(PANEL);

        x.resize(n * head_dim, 0.0);
        for i in 0..n {
            let (t, head) = ((self.first + i) / shared, (self.first + i) % shared);
            let at = (t * heads + self.kv_head * shared + head) * head_dim;
            for (d, v) in self.q[at..][..head_dim].iter().enumerate() {
                x[d * n + i] = *v;
            }
        }
        scores.clear();
        scores.resize(tiles * n, Row::ZERO);
        let all = self.kv.keys[self.kv_head].chunks_exact(head_dim);
        for (scores, keys) in scores.chunks_exact_mut(n).zip(all) {
            tile(s, n, x, keys, scores);
        }

        let mut totals = [0.0f32; 12];
        for i in 0..n {
            totals[i] = softmax(s, scores, i, n, visible(i));
        }

        x.resize(tiles * PANEL * n, 0.0);
        for (scores, x) in scores.chunks_exact(n).zip(x.chunks_exact_mut(PANEL * n)) {
            for (i, scores) in scores.iter().enumerate() {
                for (j, score) in scores.0.iter().enumerate() {
                    x[j * n + i] = *score;
                }
            }
        }
        let columns = head_dim.div_ceil(PANEL);
        for column in 0..columns {
            let values = &self.kv.values[self.kv_head * columns + column][..keys];
            let mut sums = [Row::ZERO; 12];
            for (values, x) in values.chunks(STRETCH).zip(x.chunks(STRETCH * n)) {
                tile(s, n, x, values, &mut sums[..n]);
            }
            for (i, out) in self.out.chunks_exact_mut(head_dim).enumerate() {
                let out = &mut out[column * PANEL..];
                let dims = out.len().min(PANEL);
                for (out, sum) in out[..dims].iter_mut().zip(&sums[i].0) {
                    *out = sum / totals[i];
                }
            }
        }
    }
}

/// Turns query `i`'s scores of the first `visible` keys into weights, those of all others into 0;
/// gives their sum.
#[inline(always)]
fn softmax<S: Simd>(s: S, scores: &mut [Row], i: usize, n: usize, visible: usize) -> f32 {
    let mut most = [s.splat(f32::MIN); PANEL / 4];
    for (tile, row) in scores.chunks_exact_mut(n).enumerate() {
        let row = &mut row[i];
        let seen = visible.saturating_sub(tile * PANEL).min(PANEL);
        row.0[seen..].fill(f32::NEG_INFINITY);
        for group in 0..PANEL / S::LANES {
            most[group] = s.max(most[group], s.load(&row.0[group * S::LANES..]));
        }
    }
    let all = stored(s, most);
    let most = all[..].iter().copied().fold(f32::MIN, |a, b| if b > a { b } else { a });
    let mut sums = [s.splat(0.0); PANEL / 4];
    for (tile, row) in scores.chunks_exact_mut(n).enumerate() {
        let row = &mut row[i];
        let seen = visible.saturating_sub(tile * PANEL).min(PANEL);
        for group in 0..PANEL / S::LANES {
            let to = &mut row.0[group * S::LANES..];
            s.store(s.exp(s.sub(s.load(to), s.splat(most))), to);
        }
        row.0[seen..].fill(0.0);
        for group in 0..PANEL / S::LANES {
            sums[group] = s.add(sums[group], s.load(&row.0[group * S::LANES..]));
        }
    }
    together(&stored(s, sums))
}
