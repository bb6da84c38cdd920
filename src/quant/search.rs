//! The scale of a block of signed integers around 0: what `q8` stores.

use half::f16;

pub(crate) fn round_to(value: f32, lo: i32, hi: i32) -> i32 {
    // `as` saturates and maps NaN to 0, so hostile weights cannot panic.
    (value.round_ties_even() as i32).clamp(lo, hi)
}

/// Sums of i (w − q · scale)², i w q and i q² over a block, q the codes that `scale` gives, i the
/// importance.
///
/// Eight sums side by side and rounding by a large constant, so that compilers make vector
/// instructions of it; it is nearly all of the time that quantising takes.
fn sums(block: &[f32], importance: &[f32], scale: f32, lo: f32, hi: f32) -> (f32, f32, f32) {
    const LANES: usize = 8;
    /// Adding and subtracting 1.5 · 2²³ rounds a small float to the nearest integer, ties to even.
    const ROUND: f32 = 12_582_912.0;
    let inverse = 1.0 / scale;
    let (mut error, mut wq, mut qq) = ([0.0f32; LANES], [0.0f32; LANES], [0.0f32; LANES]);
    for (chunk, importance) in block.chunks_exact(LANES).zip(importance.chunks_exact(LANES)) {
        for i in 0..LANES {
            let w = chunk[i];
            let q = ((w * inverse).max(lo).min(hi) + ROUND) - ROUND;
            let d = w - q * scale;
            error[i] += importance[i] * d * d;
            wq[i] += importance[i] * w * q;
            qq[i] += importance[i] * q * q;
        }
    }
    (error.iter().sum(), wq.iter().sum(), qq.iter().sum())
}

/// The f16 scale that rounds `block` (a multiple of 8 values) with the least squared error, each
/// weighed by its importance.
///
/// Plain absmax wastes a step on outliers and, for four bits, one code on the side that has none:
/// so both signs are tried (the largest magnitude can take the code −8), over a range of step
/// widths, each refined by least squares.
pub(crate) fn best_scale(block: &[f32], importance: &[f32], lo: i32, hi: i32) -> f16 {
    let peak = block.iter().copied().fold(0.0f32, |a, b| if b.abs() > a.abs() { b } else { a });
    if peak == 0.0 || !peak.is_finite() {
        return f16::ZERO;
    }
    let mut best = (f32::INFINITY, f16::ZERO);
    let mut consider = |scale: f32| {
        let rounded = f16::from_f32(scale);
        if rounded.to_f32() == 0.0 || !rounded.is_finite() {
            return (0.0, 0.0);
        }
        let (error, wq, qq) = sums(block, importance, rounded.to_f32(), lo as f32, hi as f32);
        if error < best.0 {
            best = (error, rounded);
        }
        (wq, qq)
    };
    let steps: &[f32] = if hi == 127 {
        &[127.0, 126.0, 124.0, 120.0]
    } else {
        &[8.0, 7.5, 7.0, 6.6, 6.2, 5.8, 5.4, 5.0, 8.5, 9.0]
    };
    for &step in steps {
        for sign in [-1.0, 1.0] {
            if sign > 0.0 && step > hi as f32 + 0.5 || hi == 127 && sign < 0.0 {
                continue;
            }
            let (wq, qq) = consider(sign * peak / step);
            if qq > 0.0 {
                consider(wq / qq);
            }
        }
    }
    best.1
}
