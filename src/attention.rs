//! Where the image tokens read from: the resampler map as a heat map over the picture, and in
//! words.
//!
//! The weights say which patches a token takes its values from. They do not say why an answer was
//! given. For what an answer looked at, there is another map: [`crate::Session::looked_at`].

use std::ops::Range;

/// Of so many layers, those whose attention is shown: the middle third, rounded outwards. The first
/// layers attend to neighbours and the last ones to what the next token needs.
pub(crate) fn middle_third(layers: usize) -> Range<usize> {
    layers / 3..(2 * layers).div_ceil(3)
}

/// The mean of the first `m` rows of a map [M, patches]: one number for each patch, summing to 1.
pub fn together(map: &[f32], patches: usize, m: usize) -> Vec<f32> {
    let mut mean = vec![0.0f32; patches];
    for row in map.chunks_exact(patches).take(m) {
        mean.iter_mut().zip(row).for_each(|(mean, weight)| *mean += weight / m as f32);
    }
    mean
}

/// The mean over heads of a map [heads, M, patches], for its first `m` tokens: [m, patches].
pub(crate) fn mean(map: &[f32], m_max: usize, patches: usize, m: usize) -> Vec<f32> {
    let heads = map.chunks_exact(m_max * patches);
    let share = 1.0 / heads.len() as f32;
    let mut mean = vec![0.0f32; m * patches];
    for head in heads {
        mean.iter_mut().zip(head).for_each(|(mean, weight)| *mean += weight * share);
    }
    mean
}

/// The map [m, patches] of tokens that average squares of patches; without a resampler they all do.
/// `m` is the square of a divisor of `grid`.
pub(crate) fn pooled(grid: usize, m: usize) -> Vec<f32> {
    let side = m.isqrt();
    let block = grid / side;
    let share = 1.0 / (block * block) as f32;
    let mut map = vec![0.0; m * grid * grid];
    for (token, row) in map.chunks_exact_mut(grid * grid).enumerate() {
        let (top, left) = (token / side * block, token % side * block);
        for y in top..top + block {
            row[y * grid + left..][..block].fill(share);
        }
    }
    map
}

/// The ninth of the picture that gets the most weight, and its share: ("top left", 0.42).
/// `weights`: one for each patch, their number a square.
pub fn mostly(weights: &[f32]) -> (&'static str, f32) {
    let grid = weights.len().isqrt().max(1);
    let centre = |at: usize| (at as f32 + 0.5) / grid as f32;
    heaviest(weights.iter().enumerate().map(|(i, &w)| (centre(i % grid), centre(i / grid), w)))
}

/// The same of weights that lie anywhere: (x, y, weight), x and y from 0 to 1.
pub(crate) fn heaviest(weights: impl Iterator<Item = (f32, f32, f32)>) -> (&'static str, f32) {
    const NAMES: [&str; 9] = [
        "top left",
        "top middle",
        "top right",
        "middle left",
        "the middle",
        "middle right",
        "bottom left",
        "bottom middle",
        "bottom right",
    ];
    let mut shares = [0.0f32; 9];
    for (x, y, weight) in weights {
        // A patch belongs to the ninth that its centre lies in.
        let third = |at: f32| usize::from(at >= 1.0 / 3.0) + usize::from(at >= 2.0 / 3.0);
        shares[third(y) * 3 + third(x)] += weight;
    }
    let total: f32 = shares.iter().sum();
    let best = (0..9).max_by(|&a, &b| shares[a].total_cmp(&shares[b])).unwrap_or(0);
    (NAMES[best], if total > 0.0 { shares[best] / total } else { 0.0 })
}

/// A colour for a weight between 0 and 1: dark violet, red, orange, pale yellow; lightness grows
/// all the way.
pub fn colour(weight: f32) -> [u8; 3] {
    const STOPS: [[f32; 3]; 5] = [
        [13.0, 8.0, 60.0],
        [120.0, 28.0, 109.0],
        [212.0, 72.0, 66.0],
        [251.0, 155.0, 6.0],
        [252.0, 255.0, 164.0],
    ];
    let at = weight.clamp(0.0, 1.0) * (STOPS.len() - 1) as f32;
    let below = (at as usize).min(STOPS.len() - 2);
    let t = at - below as f32;
    std::array::from_fn(|i| (STOPS[below][i] * (1.0 - t) + STOPS[below + 1][i] * t).round() as u8)
}

/// The picture as the model sees it (`rgb` [size, size, 3]) with a heat map over it, `scale` times
/// as large: [size · scale, size · scale, 3]. `weights`, one for each patch, are drawn relative to
/// the largest; `opacity` 0 shows the picture alone, 1 the map alone.
pub fn overlay(rgb: &[u8], size: usize, weights: &[f32], scale: usize, opacity: f32) -> Vec<u8> {
    let (side, grid) = (size * scale, weights.len().isqrt().max(1));
    let top = weights.iter().copied().fold(f32::MIN_POSITIVE, f32::max);
    let mut out = Vec::with_capacity(side * side * 3);
    for y in 0..side {
        for x in 0..side {
            let heat = colour(weights[(y * grid / side) * grid + x * grid / side] / top);
            let seen = &rgb[((y / scale) * size + x / scale) * 3..][..3];
            out.extend((0..3).map(|i| {
                (f32::from(seen[i]) * (1.0 - opacity) + f32::from(heat[i]) * opacity).round() as u8
            }));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_name_the_heaviest_ninth() {
        let mut weights = vec![0.0; 64];
        weights[63] = 3.0;
        weights[0] = 1.0;
        assert_eq!(mostly(&weights), ("bottom right", 0.75));
        assert_eq!(mostly(&[1.0]), ("the middle", 1.0));
        assert_eq!(mostly(&[0.0; 16]).1, 0.0);
    }

    #[test]
    fn the_mean_of_m_rows_ignores_the_others() {
        assert_eq!(together(&[1.0, 0.0, 0.0, 1.0, 9.0, 9.0], 2, 2), [0.5, 0.5]);
    }

    #[test]
    fn a_pooled_token_reads_its_square_of_patches() {
        assert_eq!(pooled(2, 1), [0.25; 4]);
        assert_eq!(pooled(2, 4), [1., 0., 0., 0., 0., 1., 0., 0., 0., 0., 1., 0., 0., 0., 0., 1.]);
        // The second of four tokens over 4 x 4 patches: the upper right quarter.
        let second = [0., 0., 0.25, 0.25, 0., 0., 0.25, 0.25, 0., 0., 0., 0., 0., 0., 0., 0.];
        assert_eq!(pooled(4, 4)[16..32], second);
    }

    #[test]
    fn more_weight_is_lighter() {
        let lightness = |w: f32| colour(w).iter().map(|&c| u32::from(c)).sum::<u32>();
        assert!((0..100).all(|i| lightness(i as f32 / 100.0) < lightness((i + 1) as f32 / 100.0)));
    }

    #[test]
    fn the_overlay_lies_where_the_patches_are() {
        let black = [0; 48];
        let out = overlay(&black, 4, &[1.0, 0.0, 0.0, 0.0], 2, 1.0);
        assert_eq!(out.len(), 8 * 8 * 3);
        assert_eq!((&out[..3], &out[4 * 3..][..3]), (&colour(1.0)[..], &colour(0.0)[..]));
        assert!(overlay(&black, 4, &[1.0, 0.0, 0.0, 0.0], 1, 0.0).iter().all(|&v| v == 0));
    }
}
