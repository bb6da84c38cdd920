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

/// The f16 scale that rounds `block` (a multiple of 8 values) to −127 … 127 with the least squared
/// error, each weighed by its importance.
///
/// Plain absmax wastes steps on outliers: so some step widths are tried, each refined by least
/// squares.
pub(crate) fn best_scale(block: &[f32], importance: &[f32]) -> f16 {
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
        let (error, wq, qq) = sums(block, importance, rounded.to_f32(), -127.0, 127.0);
        if error < best.0 {
            best = (error, rounded);
        }
        (wq, qq)
    };
    for step in [127.0, 126.0, 124.0, 120.0] {
        let (wq, qq) = consider(peak / step);
        if qq > 0.0 {
            consider(wq / qq);
        }
    }
    best.1
}
