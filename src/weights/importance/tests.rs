//! Both ways of getting importance against the same in plain formulas; and however a matrix is come
//! to, its importance is the same.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use super::*;
use crate::kernels::attention::heads::{self, rope_table};
use crate::kernels::attention::{self, Mask};
use crate::kernels::check::compare;
use crate::kernels::product::{self, Act};
use crate::kernels::{rms_norm, swiglu};
use crate::quant::{PANEL, Packed};
use crate::weights::checkpoint::Checkpoint;
use crate::weights::files::Disk;
use crate::weights::{Supply, Weights};
use pollster::block_on;
use std::path::Path;

const CASES: [&str; 3] = ["a-f32-tower", "b-f16-shards", "c-crop"];

fn open(case: &str, weights: Weights) -> Option<Checkpoint> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(case);
    let disk = Disk::open(&folder.join("checkpoint")).ok()?;
    Some(block_on(Checkpoint::open(Box::new(disk), None, weights.into())).unwrap())
}

/// The decoder in floats, its matrices and vectors by name.
struct Exact(Checkpoint, Vec<Entry>);

impl Exact {
    fn entry(&self, name: &str) -> Option<&Entry> {
        self.1.iter().find(|entry| entry.name == name)
    }

    fn matrix(&self, name: &str) -> Packed {
        block_on(self.0.matrix(self.entry(name).unwrap())).unwrap()
    }

    fn vector(&self, name: &str) -> Vec<f32> {
        self.entry(name).map_or(Vec::new(), |entry| block_on(self.0.vector(entry)).unwrap())
    }

    fn rows(&self, name: &str) -> Vec<Vec<f64>> {
        let matrix = self.matrix(name);
        let row = |r: usize| matrix.row(r).into_iter().map(f64::from).collect();
        (0..matrix.rows).map(row).collect()
    }
}

fn exact(case: &str) -> Option<Exact> {
    let checkpoint = open(case, Weights::F32)?;
    let entries = layout(&checkpoint.config);
    Some(Exact(checkpoint, entries))
}

fn columns(x: &[f32], cols: usize) -> Vec<f32> {
    (0..cols)
        .map(|c| {
            let squares = x.chunks_exact(cols).map(|row| f64::from(row[c]).powi(2));
            (squares.sum::<f64>() / (x.len() / cols) as f64) as f32
        })
        .collect()
}

/// The importance of every matrix of the layers, in order, on a text.
fn measured(exact: &Exact, ids: &[u32]) -> Vec<Vec<f32>> {
    let l = &exact.0.config.language;
    let embed = exact.matrix("language.embed");
    let mut x: Vec<f32> = ids.iter().flat_map(|id| embed.row(*id as usize)).collect();
    let rope = rope_table(&l.inv_freq, ids.len());
    let mut all = Vec::new();
    let mut times = |x: &[f32], w: &Packed, bias: Option<&[f32]>| {
        all.push(columns(x, w.cols));
        product::reference(x, w, bias, Act::None)
    };
    let add = |x: &mut [f32], y: Vec<f32>| x.iter_mut().zip(y).for_each(|(x, y)| *x += y);
    for i in 0..l.layers {
        let name = |part: &str| format!("language.layers.{i}.{part}");
        let bias = Some(exact.vector(&name("qkv.bias"))).filter(|bias| !bias.is_empty());
        let normed = rms_norm::reference(&x, &exact.vector(&name("norm1")), l.eps);
        let qkv = times(&normed, &exact.matrix(&name("qkv")), bias.as_deref());
        let (q, k, v) = heads::reference(&qkv, l.shape, Some(&rope), 0);
        let mixed = attention::reference(&q, &k, &v, l.shape, Mask::Causal(0));
        add(&mut x, times(&mixed, &exact.matrix(&name("o")), None));
        let normed = rms_norm::reference(&x, &exact.vector(&name("norm2")), l.eps);
        let gate_up = times(&normed, &exact.matrix(&name("gate_up")), None);
        let gated = swiglu::reference(&gate_up, l.ffn);
        add(&mut x, times(&gated, &exact.matrix(&name("down")), None));
    }
    all
}

/// The same guessed, as tests/formats has it.
fn guessed(exact: &Exact) -> Vec<Vec<f32>> {
    let l = &exact.0.config.language;
    let squares = |w: &[Vec<f64>], x: &[f64]| -> Vec<f64> {
        w.iter().map(|row| row.iter().zip(x).map(|(w, x)| w * w * x).sum()).collect()
    };
    let embed = exact.rows("language.embed");
    let mut stream: Vec<f64> = (0..l.hidden)
        .map(|c| embed.iter().map(|row| row[c].powi(2)).sum::<f64>() / embed.len() as f64)
        .collect();
    let mut all: Vec<Vec<f64>> = Vec::new();
    for i in 0..l.layers {
        let name = |part: &str| format!("language.layers.{i}.{part}");
        let normed = |stream: &[f64], gain: &str| -> Vec<f64> {
            let mean = stream.iter().sum::<f64>() / stream.len() as f64;
            let gain = exact.vector(&name(gain));
            stream.iter().zip(gain).map(|(s, g)| s / mean * f64::from(g).powi(2)).collect()
        };
        let x = normed(&stream, "norm1");
        let (first, bias) = (l.shape.sections().1, exact.vector(&name("qkv.bias")));
        let mut values = squares(&exact.rows(&name("qkv")), &x);
        values.iter_mut().zip(&bias).for_each(|(v, b)| *v += f64::from(*b).powi(2));
        let group = l.shape.heads / l.shape.kv_heads;
        let o: Vec<f64> = (0..l.shape.heads)
            .flat_map(|h| {
                values[first + h / group * l.shape.head_dim..][..l.shape.head_dim].to_vec()
            })
            .collect();
        let more = squares(&exact.rows(&name("o")), &o);
        stream.iter_mut().zip(more).for_each(|(s, m)| *s += m);
        let y = normed(&stream, "norm2");
        let both = squares(&exact.rows(&name("gate_up")), &y);
        let at = |f: usize| f / PANEL * 2 * PANEL + f % PANEL;
        let d: Vec<f64> = (0..l.ffn).map(|f| both[at(f)] * both[at(f) + PANEL] / 2.0).collect();
        let more = squares(&exact.rows(&name("down")), &d);
        stream.iter_mut().zip(more).for_each(|(s, m)| *s += m);
        all.extend([x, o, y, d]);
    }
    let single = |v: Vec<f64>| -> Vec<f32> {
        let mean = v.iter().sum::<f64>() / v.len() as f64;
        v.into_iter().map(|v| (v / mean) as f32).collect()
    };
    all.into_iter().map(single).collect()
}

/// What the walk through a checkpoint finds for each matrix of the layers.
fn found(checkpoint: &Checkpoint, backwards: bool) -> Vec<Vec<f32>> {
    let mut entries = layout(&checkpoint.config);
    entries.retain(|e| matches!(e.role, Role::Layer | Role::LastLayer));
    if backwards {
        entries.reverse();
    }
    let of = |entry: &Entry| {
        // As loading does: the matrix is packed, and with it its rows are seen.
        if !backwards {
            block_on(checkpoint.matrix(entry)).unwrap();
        }
        block_on(checkpoint.importance(entry)).unwrap().unwrap()
    };
    let mut all: Vec<Vec<f32>> = entries.iter().map(of).collect();
    if backwards {
        all.reverse();
    }
    all
}

#[test]
fn what_is_found_is_what_the_formulas_say() {
    let ids = [1, 5, 9, 40, 17, 3, 3, 60];
    let mut seen = 0;
    for case in CASES {
        let Some(exact) = exact(case) else { continue };
        for (got, want) in
            found(&open(case, Weights::Q4).unwrap(), false).iter().zip(guessed(&exact))
        {
            let check = compare(got, &want, 1e-5);
            assert!(check.ok, "{case}, guessed: {}", check.message);
        }
        let texts = vec![ids.to_vec()];
        let checkpoint = open(case, Weights::Q4).unwrap().measured(texts, &Cancel::new());
        for (got, want) in found(&checkpoint, false).iter().zip(measured(&exact, &ids)) {
            let check = compare(got, &want, 1e-4);
            assert!(check.ok, "{case}, measured: {}", check.message);
        }
        seen += 1;
    }
    assert!(seen >= 2, "the golden checkpoints have other names");
}

/// After an interruption the last matrix may be the first that is asked for; and texts do not see
/// one another.
#[test]
fn the_way_to_a_matrix_does_not_matter() {
    let guess = || open(CASES[0], Weights::Q4).unwrap();
    assert_eq!(found(&guess(), false), found(&guess(), true));
    let measure = |texts: Vec<Vec<u32>>| guess().measured(texts, &Cancel::new());
    let texts = vec![vec![1, 7, 9], vec![1, 4, 30, 2]];
    let forwards = found(&measure(texts.clone()), false);
    assert_eq!(forwards, found(&measure(texts.clone()), true));
    let alone: Vec<_> = texts.iter().map(|t| found(&measure(vec![t.clone()]), false)).collect();
    for (i, both) in forwards.iter().enumerate() {
        let mean: Vec<f32> = both
            .iter()
            .enumerate()
            .map(|(c, _)| (alone[0][i][c] * 3.0 + alone[1][i][c] * 4.0) / 7.0)
            .collect();
        let check = compare(both, &mean, 1e-5);
        assert!(check.ok, "{}", check.message);
    }
}
