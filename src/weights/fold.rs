//! The parts of the resampler that do not depend on the picture, computed once.
//!
//! Upstream (MQT-LLaVA `query_abstractor`): queries come from learned tables, keys from the
//! position table alone, values from the LayerNormed features. So the softmax map A is a constant,
//! the value norm's gain folds into Wv, and out-projection and `proj` are one matrix: y =
//! concat_h(A_h · x̂ · W'vᵀ) · Fᵀ + c, with x̂ the features normalised without gain.

use crate::kernels::layer_norm;
use crate::kernels::product::{self, Act};
use crate::parallel;
use crate::quant::{Format, Packed};

/// The resampler as in the checkpoint; D its width, H the decoder's.
#[derive(Debug)]
pub struct Resampler {
    /// [M, D]
    pub query: Vec<f32>,
    /// [M, D]
    pub pos_embed: Vec<f32>,
    /// [3 D, D]: rows of q, k, v.
    pub in_proj: Vec<f32>,
    /// [3 D]
    pub in_bias: Vec<f32>,
    /// [D, D]
    pub out_proj: Vec<f32>,
    /// D values.
    pub out_bias: Vec<f32>,
    /// (weight, bias) of `ln_q`, `ln_k`, `ln_v`.
    pub norms: [(Vec<f32>, Vec<f32>); 3],
    /// [D, H], used as x · proj.
    pub proj: Vec<f32>,
    /// D.
    pub width: usize,
    /// Attention heads.
    pub heads: usize,
}

/// What the runtime needs of it.
#[derive(Debug)]
pub struct Folded {
    /// [heads, M, patches]; each row sums to 1.
    pub map: Vec<f32>,
    /// W'v [D, D].
    pub value: Vec<f32>,
    /// F [H, D].
    pub out: Vec<f32>,
    /// c, H values.
    pub bias: Vec<f32>,
}

/// ε of the resampler's norms.
pub const EPS: f32 = 1e-6;

impl Resampler {
    /// Folds for a tower with a `grid` × `grid` of patches. `query.len() / width` is a square.
    pub fn fold(&self, grid: usize) -> Folded {
        let d = self.width;
        let hidden = self.proj.len() / d;
        let (wv, bv) = (&self.in_proj[2 * d * d..], &self.in_bias[2 * d..]);
        let (gain, shift) = (&self.norms[2].0, &self.norms[2].1);
        let value =
            wv.chunks_exact(d).flat_map(|row| row.iter().zip(gain).map(|(w, g)| w * g)).collect();
        let constant: Vec<f64> =
            wv.chunks_exact(d).zip(bv).map(|(row, b)| f64::from(*b) + dot(row, shift)).collect();
        // F[h, b] = Σ_a proj[a, h] · Wo[a, b]
        let out = product::reference(
            &transpose(&self.proj, d, hidden),
            &Packed::pack(Format::F32, &transpose(&self.out_proj, d, d), d, d),
            None,
            Act::None,
        );
        let bias = (0..hidden)
            .map(|h| {
                let through: f64 =
                    out[h * d..][..d].iter().zip(&constant).map(|(f, c)| f64::from(*f) * c).sum();
                let own: f64 = self
                    .out_bias
                    .iter()
                    .enumerate()
                    .map(|(a, b)| f64::from(*b) * f64::from(self.proj[a * hidden + h]))
                    .sum();
                (through + own) as f32
            })
            .collect();
        Folded { map: self.map(grid), value, out, bias }
    }

    /// A [heads, M, patches] = softmax(Q Kᵀ / √d_h), rows of Q and K projected from tables alone.
    fn map(&self, grid: usize) -> Vec<f32> {
        let (d, head_dim) = (self.width, self.width / self.heads);
        let side = (self.query.len() / d).isqrt();
        let queries: Vec<f32> =
            self.query.iter().zip(&self.pos_embed).map(|(q, p)| q + p).collect();
        let keys = interpolate(&self.pos_embed, side, grid, d);
        let project = |x: &[f32], part: usize| {
            let (gain, shift) = &self.norms[part];
            let x = layer_norm::reference(x, d, Some((gain, shift)), EPS);
            let w = Packed::pack(Format::F32, &self.in_proj[part * d * d..][..d * d], d, d);
            product::reference(&x, &w, Some(&self.in_bias[part * d..][..d]), Act::None)
        };
        let (q, k) = (project(&queries, 0), project(&keys, 1));
        let scale = 1.0 / (head_dim as f64).sqrt();
        let rows = parallel::map(self.heads * side * side, |row| {
            let (head, i) = (row / (side * side), row % (side * side));
            let q = &q[i * d + head * head_dim..][..head_dim];
            let scores: Vec<f64> = k
                .chunks_exact(d)
                .map(|k| dot(q, &k[head * head_dim..][..head_dim]) * scale)
                .collect();
            let top = scores.iter().copied().fold(f64::MIN, f64::max);
            let total: f64 = scores.iter().map(|s| (s - top).exp()).sum();
            scores.iter().map(|s| ((s - top).exp() / total) as f32).collect::<Vec<_>>()
        });
        rows.concat()
    }
}

fn dot(a: &[f32], b: &[f32]) -> f64 {
    a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum()
}

fn transpose(x: &[f32], rows: usize, cols: usize) -> Vec<f32> {
    (0..cols).flat_map(|c| (0..rows).map(move |r| x[r * cols + c])).collect()
}

/// A table [from · from, width] on a square grid, interpolated to [to · to, width]. Upstream: torch
/// `interpolate(mode="bicubic", align_corners=False)`, a = −0.75, borders clamped, no antialiasing.
pub fn interpolate(table: &[f32], from: usize, to: usize, width: usize) -> Vec<f32> {
    let taps: Vec<[(usize, f64); 4]> = (0..to).map(|o| taps(o, from, to)).collect();
    let mut out = Vec::with_capacity(to * to * width);
    for y in &taps {
        for x in &taps {
            for d in 0..width {
                let row = |ty: usize| {
                    x.iter()
                        .map(|(tx, w)| f64::from(table[(ty * from + tx) * width + d]) * w)
                        .sum::<f64>()
                };
                out.push(y.iter().map(|(ty, w)| row(*ty) * w).sum::<f64>() as f32);
            }
        }
    }
    out
}

/// The four source positions of output `o` and their weights.
fn taps(o: usize, from: usize, to: usize) -> [(usize, f64); 4] {
    const A: f64 = -0.75;
    let source = (o as f64 + 0.5) * from as f64 / to as f64 - 0.5;
    let (base, t) = (source.floor(), source - source.floor());
    let near = |x: f64| ((A + 2.0) * x - (A + 3.0)) * x * x + 1.0;
    let far = |x: f64| ((A * x - 5.0 * A) * x + 8.0 * A) * x - 4.0 * A;
    let weights = [far(t + 1.0), near(t), near(1.0 - t), far(2.0 - t)];
    std::array::from_fn(|i| {
        let at = (base + i as f64 - 1.0).clamp(0.0, from as f64 - 1.0);
        (at as usize, weights[i])
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::check::random;

    /// Every pair in tests/golden/bicubic.safetensors, made by torch.
    #[test]
    fn interpolation_is_torch_bicubic() {
        let bytes =
            std::fs::read(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/bicubic.safetensors"))
                .unwrap();
        let file = safetensors::SafeTensors::deserialize(&bytes).unwrap();
        let floats = |name: &str| -> Vec<f32> {
            file.tensor(name)
                .unwrap()
                .data()
                .chunks_exact(4)
                .map(|b| f32::from_le_bytes(b.try_into().unwrap()))
                .collect()
        };
        let mut pairs = 0;
        for name in file.names().iter().filter_map(|n| n.strip_suffix(".input")) {
            let (from, to) = name.split_once("_to_").unwrap();
            let (input, want) =
                (floats(&format!("{name}.input")), floats(&format!("{name}.output")));
            let got = interpolate(&input, from.parse().unwrap(), to.parse().unwrap(), 3);
            let worst = got.iter().zip(&want).map(|(g, w)| (g - w).abs()).fold(0.0, f32::max);
            // torch interpolates in f32, we in f64: sixteen products of values up to 4, so some
            // ulps of 4.
            assert!(worst < 4e-6, "{name}: {worst}");
            pairs += 1;
        }
        assert!(pairs >= 8);
    }

    /// Folded = the naive module of mqt-llava's formulas, for every m a prefix of M.
    #[test]
    fn folding_changes_nothing() {
        let (d, heads, m, grid, hidden) = (24, 4, 9, 4, 20);
        let scaled = |seed, n, s: f32| random(seed, n).iter().map(|v| v * s).collect::<Vec<f32>>();
        let r = Resampler {
            query: random(1, m * d),
            pos_embed: random(2, m * d),
            in_proj: scaled(3, 3 * d * d, 0.4),
            in_bias: random(4, 3 * d),
            out_proj: scaled(5, d * d, 0.4),
            out_bias: random(6, d),
            norms: [7, 8, 9]
                .map(|s| (random(s, d).iter().map(|v| 1.0 + 0.2 * v).collect(), random(s + 10, d))),
            proj: scaled(11, d * hidden, 0.4),
            width: d,
            heads,
        };
        let x = random(12, grid * grid * d);
        let folded = r.fold(grid);
        assert!(
            folded
                .map
                .chunks_exact(grid * grid)
                .all(|row| (row.iter().sum::<f32>() - 1.0).abs() < 1e-5)
        );
        let pack = |values: &[f32], rows: usize, cols: usize| {
            Packed::pack(Format::F32, values, rows, cols)
        };
        let normalised = layer_norm::reference(&x, d, None, EPS);
        let values = product::reference(&normalised, &pack(&folded.value, d, d), None, Act::None);
        let mixed = crate::kernels::mix::reference(&folded.map, heads, m, &values, d, m);
        let got = product::reference(
            &mixed,
            &pack(&folded.out, hidden, d),
            Some(&folded.bias),
            Act::None,
        );

        let project = |x: &[f32], part: usize| {
            let (gain, shift) = &r.norms[part];
            let x = layer_norm::reference(x, d, Some((gain, shift)), EPS);
            product::reference(
                &x,
                &pack(&r.in_proj[part * d * d..][..d * d], d, d),
                Some(&r.in_bias[part * d..][..d]),
                Act::None,
            )
        };
        let queries: Vec<f32> = r.query.iter().zip(&r.pos_embed).map(|(a, b)| a + b).collect();
        let (q, k, v) = (
            project(&queries, 0),
            project(&interpolate(&r.pos_embed, 3, grid, d), 1),
            project(&x, 2),
        );
        let shape = crate::kernels::attention::cache::HeadShape {
            heads,
            kv_heads: heads,
            head_dim: d / heads,
        };
        let q: Vec<f32> = q.iter().map(|v| v / ((d / heads) as f32).sqrt()).collect();
        let o = crate::kernels::attention::reference(
            &q,
            &k,
            &v,
            shape,
            crate::kernels::attention::Mask::All(grid * grid),
        );
        let o = product::reference(&o, &pack(&r.out_proj, d, d), Some(&r.out_bias), Act::None);
        let want = product::reference(
            &o,
            &pack(&transpose(&r.proj, d, hidden), hidden, d),
            None,
            Act::None,
        );
        let check = crate::kernels::check::compare(&got, &want, 1e-5);
        assert!(check.ok, "{}", check.message);
    }
}
