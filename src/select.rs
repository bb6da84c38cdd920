//! Which of a picture's image tokens are read, where a model was not trained to have nested ones.
//!
//! In every way, the first m of an order are the selection for m, put back into raster order. So
//! the selections are nested, and the prompt has the tokens in the order that the model knows.

pub mod question;

use crate::{cpu, parallel};
use std::fmt;
use std::str::FromStr;

/// How image tokens are chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Select {
    /// The first m, as an MQT model was trained to nest them.
    Nested,
    /// Each next token is the one farthest from those already chosen (DivPrune, arXiv 2503.02175).
    Spread,
    /// Averages over squares of the grid.
    Pool,
    /// By chance, the same for every picture.
    Random,
    /// By what the question attends to, inside the decoder (SparseVLM, arXiv 2410.04417).
    Question,
}

impl Select {
    /// The word for it.
    pub fn name(self) -> &'static str {
        match self {
            Select::Nested => "nested",
            Select::Spread => "spread",
            Select::Pool => "pool",
            Select::Random => "random",
            Select::Question => "question",
        }
    }
}

impl fmt::Display for Select {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Select {
    type Err = String;

    fn from_str(text: &str) -> Result<Select, String> {
        [Select::Nested, Select::Spread, Select::Pool, Select::Random, Select::Question]
            .into_iter()
            .find(|select| select.name() == text)
            .ok_or_else(|| format!("{text:?} is none of nested, spread, pool, random and question"))
    }
}

/// The first `m` of an order, in raster order.
///
/// # Panics
/// The order has fewer.
pub fn first(order: &[u32], m: usize) -> Vec<u32> {
    let mut chosen = order[..m].to_vec();
    chosen.sort_unstable();
    chosen
}

/// Farthest-point order of `tokens` [n, width]: a permutation of 0..n.
///
/// The distance of two tokens is 1 − cosine; a row of zeros has length 0 and is at distance 1 from
/// every other. The first token is the one whose nearest other token is farthest; every next one
/// is farthest from those chosen. Of equal candidates the lowest index is taken.
///
/// Every adapter's tokens come through this one function, so that the order is the same
/// wherever two candidates differ by more than the adapters' last bits.
///
/// # Panics
/// `tokens` is not whole rows.
pub fn farthest_point(tokens: &[f32], width: usize) -> Vec<u32> {
    assert!(width > 0 && tokens.len().is_multiple_of(width), "whole tokens of {width} numbers");
    let n = tokens.len() / width;
    if n < 2 {
        return (0..n as u32).collect();
    }
    let cosines = cosines(&normalised(tokens, width), n);
    let cosine = |i: usize, j: usize| if i < j { cosines[j][i] } else { cosines[i][j] };
    // The largest cosine is the least distance; comparing cosines spares a rounding.
    let nearest = |i: usize| {
        (0..n).filter(|&j| j != i).map(|j| cosine(i, j)).fold(f32::NEG_INFINITY, f32::max)
    };
    let mut order = Vec::with_capacity(n);
    let mut near: Vec<f32> = (0..n).map(nearest).collect();
    let mut is_chosen = vec![false; n];
    loop {
        let candidates = (0..n).filter(|&i| !is_chosen[i]);
        // The first of equal ones: a later one must be smaller to be taken.
        let Some(next) = candidates.reduce(|best, i| if near[i] < near[best] { i } else { best })
        else {
            return order;
        };
        is_chosen[next] = true;
        if order.is_empty() {
            near.fill(f32::NEG_INFINITY);
        }
        order.push(next as u32);
        for (i, near) in near.iter_mut().enumerate().filter(|(i, _)| *i != next) {
            *near = near.max(cosine(i, next));
        }
    }
}

/// Each row divided by its length; rows of zeros stay.
fn normalised(tokens: &[f32], width: usize) -> Vec<Vec<f32>> {
    parallel::map(tokens.len() / width, |i| {
        let row = &tokens[i * width..][..width];
        let length = row.iter().map(|&v| f64::from(v) * f64::from(v)).sum::<f64>().sqrt();
        let factor = if length > 0.0 { 1.0 / length } else { 0.0 };
        row.iter().map(|&v| (f64::from(v) * factor) as f32).collect()
    })
}

/// Row i: the cosines of token i with those before it.
fn cosines(rows: &[Vec<f32>], n: usize) -> Vec<Vec<f32>> {
    let isa = cpu::Isa::chosen();
    let groups = parallel::map(n.div_ceil(cpu::ROWS), |i| cpu::dots(isa, rows, i * cpu::ROWS));
    groups.into_iter().flatten().collect()
}

/// A permutation of 0..n that `seed` decides, the same on every machine.
pub fn random(n: usize, seed: u64) -> Vec<u32> {
    let mut order: Vec<u32> = (0..n as u32).collect();
    let mut state = seed;
    // Fisher and Yates, with splitmix64 for chance.
    for i in (1..n).rev() {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        order.swap(i, ((z ^ (z >> 31)) % (i as u64 + 1)) as usize);
    }
    order
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The same rule in f64 and without any shortcut.
    fn plainly(tokens: &[f32], width: usize) -> Vec<u32> {
        let rows: Vec<Vec<f64>> = tokens
            .chunks(width)
            .map(|row| {
                let row: Vec<f64> = row.iter().map(|&v| f64::from(v)).collect();
                let length = row.iter().map(|v| v * v).sum::<f64>().sqrt();
                row.iter().map(|v| if length > 0.0 { v / length } else { 0.0 }).collect()
            })
            .collect();
        let far = |i: usize, j: usize| {
            1.0 - rows[i].iter().zip(&rows[j]).map(|(a, b)| a * b).sum::<f64>()
        };
        let n = rows.len();
        let mut order: Vec<usize> = Vec::new();
        while order.len() < n {
            let near = |i: usize| {
                let others: Vec<usize> = if order.is_empty() {
                    (0..n).filter(|&j| j != i).collect()
                } else {
                    order.clone()
                };
                others.into_iter().map(|j| far(i, j)).fold(f64::INFINITY, f64::min)
            };
            let mut best = None;
            for i in (0..n).filter(|i| !order.contains(i)) {
                if best.is_none_or(|(_, most)| near(i) > most) {
                    best = Some((i, near(i)));
                }
            }
            order.push(best.unwrap().0);
        }
        order.into_iter().map(|i| i as u32).collect()
    }

    #[test]
    fn the_order_is_that_of_the_plain_rule_in_f64() {
        for (n, width, seed) in [(1, 3, 1), (2, 5, 2), (40, 17, 3), (90, 64, 4), (30, 100, 5)] {
            let chance = random(n * width, seed);
            let tokens: Vec<f32> = chance.iter().map(|&v| (v as f32).sin()).collect();
            assert_eq!(farthest_point(&tokens, width), plainly(&tokens, width), "{n} × {width}");
        }
    }

    #[test]
    fn ties_zeros_and_duplicates_come_in_order_of_the_index() {
        let order = |rows: &[&[f32]]| farthest_point(&rows.concat(), rows[0].len());
        assert_eq!(order(&[&[1., 2., 3.]]), [0]);
        assert_eq!(order(&[&[1., 0.], &[2., 0.]]), [0, 1]);
        assert_eq!(order(&[&[3., 4.], &[3., 4.], &[3., 4.]]), [0, 1, 2]);
        assert_eq!(order(&[&[0., 0.], &[1., 0.], &[-1., 0.], &[0., 1.]]), [0, 1, 2, 3]);
        let doubled: [&[f32]; 7] = [
            &[1., 0., 0.],
            &[1., 0., 0.],
            &[-1., 0., 0.],
            &[0., 1., 0.],
            &[0., -1., 0.],
            &[0., 0., 1.],
            &[0., 0., 2.],
        ];
        assert_eq!(order(&doubled), [2, 0, 3, 4, 5, 1, 6]);
    }

    #[test]
    fn selections_are_nested_and_in_raster_order() {
        for order in [random(50, 7), farthest_point(&[0.5; 12], 2)] {
            let mut before = Vec::new();
            for m in 1..=order.len() {
                let chosen = first(&order, m);
                assert!(chosen.is_sorted() && before.iter().all(|i| chosen.contains(i)));
                before = chosen;
            }
            assert_eq!(before, (0..order.len() as u32).collect::<Vec<_>>());
        }
    }
}
