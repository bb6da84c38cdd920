//! The twin of the products: the formula in plain loops, for every weight format.

use super::Act;
use crate::quant::{PANEL, Packed, padded_cols};

/// The twin: x [n, cols] → [n, rows]; in four interleaved sums, whatever the kernel's cut.
pub fn reference(x: &[f32], w: &Packed, bias: Option<&[f32]>, act: Act) -> Vec<f32> {
    let n = x.len() / w.cols;
    let stride = padded_cols(w.cols);
    let mut padded = vec![0.0; n * stride];
    for (to, from) in padded.chunks_exact_mut(stride).zip(x.chunks_exact(w.cols)) {
        to[..w.cols].copy_from_slice(from);
    }
    let panels = crate::parallel::map(w.panels(), |panel| reference_panel(&padded, n, w, panel));
    let mut out = vec![0.0; n * w.rows];
    for (panel, sums) in panels.iter().enumerate() {
        for row in panel * PANEL..w.rows.min((panel + 1) * PANEL) {
            for t in 0..n {
                let v = sums[(row % PANEL) * n + t] + bias.map_or(0.0, |b| b[row]);
                out[t * w.rows + row] = activate(v, act);
            }
        }
    }
    out
}

/// One panel of the twin: x [n, padded cols] → [32 rows, n].
fn reference_panel(x: &[f32], n: usize, w: &Packed, panel: usize) -> Vec<f32> {
    let stride = padded_cols(w.cols);
    let mut out = vec![0.0; PANEL * n];
    let mut row = vec![0.0; stride];
    for lane in 0..PANEL.min(w.rows - panel * PANEL) {
        w.unpack_row(panel, lane, &mut row);
        for (t, x) in x.chunks_exact(stride).enumerate() {
            let mut sum = [0.0f32; 4];
            for (x, w) in x.chunks_exact(4).zip(row.chunks_exact(4)) {
                for i in 0..4 {
                    sum[i] += x[i] * w[i];
                }
            }
            out[lane * n + t] = (sum[0] + sum[1]) + (sum[2] + sum[3]);
        }
    }
    out
}

pub(super) fn activate(v: f32, act: Act) -> f32 {
    match act {
        Act::None => v,
        Act::QuickGelu => v / (1.0 + (-1.702 * v).exp()),
        Act::Gelu => 0.5 * v * (1.0 + erf(v * std::f32::consts::FRAC_1_SQRT_2)),
        // ½(1 + tanh(u)) is the sigmoid of 2u.
        Act::GeluTanh => v / (1.0 + (-1.595_769 * (v + 0.044_715 * v * v * v)).exp()),
    }
}

/// Abramowitz and Stegun 7.1.26, as in the shader.
fn erf(v: f32) -> f32 {
    let t = 1.0 / (1.0 + 0.327_591_1 * v.abs());
    let poly = t
        * (0.254_829_6
            + t * (-0.284_496_74 + t * (1.421_413_7 + t * (-1.453_152 + t * 1.061_405_4))));
    v.signum() * (1.0 - poly * (-v * v).exp())
}

/// x [n, cols], weights, bias → [n, rows].
pub(super) type Twin = fn(&[f32], &Packed, Option<&[f32]>, Act) -> Vec<f32>;
