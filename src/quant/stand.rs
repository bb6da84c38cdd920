//! A substitute for tests/formats, which needs a trained decoder: matrices with the statistics that
//! decide there, and a test of what each format loses on them compared with plain four-bit formats
//! like llama.cpp's. It also has the blocks that the code of tests/formats rounds.

use super::block::{Block, COLS, Params, fit};
use super::{Format, Packed};
use crate::kernels::check::random;
use half::f16;

const ROWS: usize = 96;
const WIDTH: usize = 576;

/// About normal, its spread 1: three uniform values.
fn normal(seed: u64, n: usize) -> Vec<f32> {
    random(seed, 3 * n).chunks_exact(3).map(|v| v.iter().sum()).collect()
}

/// Weights [`ROWS`, `WIDTH`] and the importance of their columns.
///
/// As in SmolLM2-135M, the stand's decoder: weights with tails as heavy as a normal distribution
/// whose spread varies by a third from weight to weight (kurtosis about 5), and inputs of which
/// most columns differ by a factor of a few, and one in a hundred has hundreds of times the mean
/// square of the rest.
fn decoder(seed: u64) -> (Vec<f32>, Vec<f32>) {
    let values = normal(seed, ROWS * WIDTH);
    let spread = normal(seed + 1, ROWS * WIDTH);
    let weights = values.iter().zip(&spread).map(|(v, s)| 0.04 * v * (0.35 * s).exp()).collect();
    let strong = |c: usize| if c % 97 == 11 { 400.0 } else { 1.0 };
    let importance = normal(seed + 2, WIDTH);
    (weights, importance.iter().enumerate().map(|(c, v)| strong(c) * v.exp()).collect())
}

/// Σ importance · error² over Σ importance · value².
fn loss(values: &[f32], rounded: &[f32], importance: &[f32]) -> f64 {
    let (mut error, mut size) = (0.0, 0.0);
    for (i, (v, r)) in values.iter().zip(rounded).enumerate() {
        let w = f64::from(importance[i % WIDTH]);
        error += w * f64::from(v - r).powi(2);
        size += w * f64::from(*v).powi(2);
    }
    error / size
}

fn ours(format: Format, values: &[f32], importance: Option<&[f32]>) -> Vec<f32> {
    let packed = Packed::pack_weighed(format, values, ROWS, WIDTH, importance);
    (0..ROWS).flat_map(|row| packed.row(row)).collect()
}

/// llama.cpp's Q4_0: the largest magnitude of 32 takes the code −8.
fn q4_0(values: &[f32]) -> Vec<f32> {
    let block = |x: &[f32]| -> Vec<f32> {
        let peak = x.iter().fold(0.0f32, |a, b| if b.abs() > a.abs() { *b } else { a });
        let scale = f16::from_f32(peak / -8.0).to_f32();
        x.iter().map(|v| (v / scale).round().clamp(-8.0, 7.0) * scale).collect()
    };
    values.chunks_exact(COLS).flat_map(block).collect()
}

/// llama.cpp's IQ4_NL: sixteen uneven levels, the scale of 32 searched for the least squared error.
fn iq4_nl(values: &[f32]) -> Vec<f32> {
    const LEVELS: [i8; 16] =
        [-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113];
    let level = |v: f32| {
        let near = |a: &f32, b: &f32| (a - v).abs().total_cmp(&(b - v).abs());
        LEVELS.into_iter().map(f32::from).min_by(near).unwrap()
    };
    let block = |x: &[f32]| -> Vec<f32> {
        let peak = x.iter().fold(0.0f32, |a, b| if b.abs() > a.abs() { *b } else { a });
        let tries =
            (-7..=7).flat_map(|i| [1.0, -1.0].map(|sign| sign * peak / (127.0 + 7.0 * i as f32)));
        let rounded = tries.map(|scale| {
            let scale = f16::from_f32(scale).to_f32();
            let all: Vec<f32> = x.iter().map(|v| level(v / scale) * scale).collect();
            let error: f32 = x.iter().zip(&all).map(|(a, b)| (a - b).powi(2)).sum();
            (error, all)
        });
        rounded.min_by(|a, b| a.0.total_cmp(&b.0)).unwrap().1
    };
    values.chunks_exact(COLS).flat_map(block).collect()
}

/// Losses beside that of a plain four-bit format; recorded, and held with a twentieth to spare.
#[test]
fn formats_lose_no_more_than_was_recorded() {
    let (values, importance) = decoder(17);
    let of = |rounded: &[f32]| loss(&values, rounded, &importance);
    let (plain, uneven) = (of(&q4_0(&values)), of(&iq4_nl(&values)));
    let ratio = |format: Format, weighed: bool| {
        of(&ours(format, &values, weighed.then_some(&importance[..]))) / uneven
    };
    let recorded = [
        ("Q4_0", plain / uneven, 1.64),
        ("q4, all columns alike", ratio(Format::Q4, false), 0.964),
        ("q4", ratio(Format::Q4, true), 0.347),
        ("q5, all columns alike", ratio(Format::Q5, false), 0.247),
        ("q5", ratio(Format::Q5, true), 0.0898),
        ("q8, all columns alike", ratio(Format::Q8, false), 0.00686),
        ("q8", ratio(Format::Q8, true), 0.00299),
    ];
    let told: Vec<String> =
        recorded.iter().map(|(name, got, _)| format!("{name}: {got:.5} of IQ4_NL")).collect();
    for (name, got, want) in recorded {
        assert!((want * 0.95..want * 1.05).contains(&got), "{name}: {got}; {told:#?}");
    }
}

/// tests/formats/vectors.json, made by the stand's own code.
#[test]
fn blocks_are_rounded_as_the_stand_rounds_them() {
    #[derive(serde::Deserialize)]
    struct Rounded {
        values: Vec<u32>,
        importance: Vec<u32>,
        scale: u8,
        zero: u8,
        codes: [u8; COLS],
    }
    let all: std::collections::BTreeMap<String, Vec<Rounded>> =
        serde_json::from_str(include_str!("../../tests/formats/vectors.json")).unwrap();
    for (name, bits) in [("q4", 4), ("q5", 5)] {
        for (i, want) in all[name].iter().enumerate() {
            let floats =
                |bits: &[u32]| -> Vec<f32> { bits.iter().map(|b| f32::from_bits(*b)).collect() };
            let (values, importance) = (floats(&want.values), floats(&want.importance));
            let got = fit(Block { values: &values, importance: &importance }, bits);
            let params = Params { scale: want.scale, zero: want.zero };
            assert_eq!((got.params, got.codes), (params, want.codes), "{name}, block {i}");
        }
    }
}
