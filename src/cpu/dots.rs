//! Dot products of rows with one another, with the same order of sums on every instruction set: all
//! processors agree about which of two tokens is farther away.

use super::Isa;
use super::simd::{Job, Simd};

/// Lanes that sums are kept in: enough for wide registers. They are added up in their order.
const LANES: usize = 16;
/// Rows whose sums are in registers together.
const FOUR: usize = 4;
/// Rows that are read together: each row before them then comes from memory once for eight.
pub(crate) const ROWS: usize = 2 * FOUR;
/// Numbers of each row that are read together: those of [`ROWS`] rows stay in the fastest cache
/// while all rows before them pass.
const CHUNK: usize = 32 * LANES;

/// Row `at` + k, for k below [`ROWS`]: its products with the rows before it. Rows are of one width;
/// there may be fewer than eight left.
pub(crate) fn dots(isa: Isa, rows: &[Vec<f32>], at: usize) -> Vec<Vec<f32>> {
    isa.run(Dots { rows, at })
}

struct Dots<'a> {
    rows: &'a [Vec<f32>],
    at: usize,
}

type Sums = [[f32; LANES]; FOUR];

impl Job for Dots<'_> {
    type Out = Vec<Vec<f32>>;

    // What an instruction set adds is the width of the registers that a compiler takes: products
    // and sums stay apart, so nothing is rounded otherwise.
    #[inline(always)]
    fn run<S: Simd>(self, _: S) -> Vec<Vec<f32>> {
        let Dots { rows, at } = self;
        let last = rows.len() - 1;
        let own: [&[f32]; ROWS] = std::array::from_fn(|k| rows[(at + k).min(last)].as_slice());
        let there = ROWS.min(rows.len() - at);
        let others = &rows[..at + there - 1];
        let mut sums = vec![[[[0.0f32; LANES]; FOUR]; ROWS / FOUR]; others.len()];
        let whole = own[0].len() / LANES * LANES;
        for from in (0..whole).step_by(CHUNK) {
            let part = from..whole.min(from + CHUNK);
            let own = own.map(|row| &row[part.clone()]);
            for (other, sums) in others.iter().zip(&mut sums) {
                for (four, sums) in own.as_chunks::<FOUR>().0.iter().zip(sums) {
                    add(*four, &other[part.clone()], sums);
                }
            }
        }
        let product = |k: usize, j: usize| {
            let tail = own[k][whole..].iter().zip(&others[j][whole..]);
            let tail: f64 = tail.map(|(a, b)| f64::from(a * b)).sum();
            let lanes = &sums[j][k / FOUR][k % FOUR];
            (lanes.iter().map(|&sum| f64::from(sum)).sum::<f64>() + tail) as f32
        };
        (0..there).map(|k| (0..at + k).map(|j| product(k, j)).collect()).collect()
    }
}

#[inline(always)]
fn add(four: [&[f32]; FOUR], other: &[f32], sums: &mut Sums) {
    let [a, b, c, d] = four.map(|row| row.as_chunks::<LANES>().0);
    let mut now = *sums;
    // Slices side by side: an index would be checked in every step.
    for ((((other, a), b), c), d) in other.as_chunks::<LANES>().0.iter().zip(a).zip(b).zip(c).zip(d)
    {
        for lane in 0..LANES {
            now[0][lane] += a[lane] * other[lane];
            now[1][lane] += b[lane] * other[lane];
            now[2][lane] += c[lane] * other[lane];
            now[3][lane] += d[lane] * other[lane];
        }
    }
    *sums = now;
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every count of rows that a last group may have, widths with and without a rest.
    #[test]
    fn every_instruction_set_gives_the_same_bits() {
        for (n, width) in
            [(1, 16), (2, 7), (5, 40), (7, 16), (8, 33), (12, 129), (9, 512), (17, 1100)]
        {
            let value = |i: usize| ((i * 37 % 101) as f32 - 50.0).sin();
            let rows: Vec<Vec<f32>> =
                (0..n).map(|i| (0..width).map(|k| value(i * width + k)).collect()).collect();
            let all = |isa: Isa| -> Vec<Vec<f32>> {
                (0..n).step_by(ROWS).flat_map(|at| dots(isa, &rows, at)).collect()
            };
            let plain = all(Isa::Plain);
            for (i, row) in plain.iter().enumerate() {
                assert_eq!(row.len(), i);
                for (j, got) in row.iter().enumerate() {
                    let pairs = rows[i].iter().zip(&rows[j]);
                    let want: f64 = pairs.map(|(a, b)| f64::from(*a) * f64::from(*b)).sum();
                    // Each product and each sum of f32 below 1 is off by its last bit.
                    let bound = 1e-6 + 2e-7 * width as f64;
                    assert!((f64::from(*got) - want).abs() < bound, "{got}, not {want}");
                }
            }
            for isa in Isa::ALL.into_iter().filter(|isa| isa.is_there()) {
                assert_eq!(all(isa), plain, "{} on {n} × {width}", isa.name());
            }
        }
    }
}
