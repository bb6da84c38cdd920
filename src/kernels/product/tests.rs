//! The twin against a sum in doubles, and rows that do not see their neighbours.

use super::*;
use crate::kernels::check::random;
use crate::quant::{Format, Packed};

#[test]
fn the_twin_multiplies() {
    let (n, rows, cols) = (3, 40, 70);
    let (values, x) = (random(5, rows * cols), random(6, n * cols));
    let got = reference(&x, &Packed::pack(Format::F32, &values, rows, cols), None, Act::None);
    for t in 0..n {
        for r in 0..rows {
            let want: f64 = (0..cols)
                .map(|c| f64::from(x[t * cols + c]) * f64::from(values[r * cols + c]))
                .sum();
            assert!((f64::from(got[t * rows + r]) - want).abs() < 1e-5);
        }
    }
}

/// Values that PyTorch's own functions give: nothing else holds the twin's formulas.
#[test]
fn the_twins_epilogues_are_pytorchs() {
    let x = [-3.0f32, -0.5, 0.0, 0.7, 2.5];
    let one = Packed::pack(Format::F32, &[1.0], 1, 1);
    for (act, want) in [
        (Act::None, x),
        (Act::QuickGelu, [-0.018_071_31, -0.149_611_56, 0.0, 0.536_893_95, 2.465_013_8]),
        (Act::Gelu, [-0.004_049_694, -0.154_268_77, 0.0, 0.530_625_46, 2.484_475_9]),
        (Act::GeluTanh, [-0.003_637_392, -0.154_286, 0.0, 0.530_570_13, 2.484_915_7]),
    ] {
        let got = reference(&x, &one, None, act);
        // The error function is within 1.5e-7 of the exact one.
        let off = got.iter().zip(want).map(|(got, want)| (got - want).abs()).fold(0.0, f32::max);
        assert!(off < 1e-6, "{act:?}: {got:?}");
    }
}

#[test]
fn every_epilogue_has_a_case_and_a_variant_of_every_kernel() {
    let kernels = [
        ("lanes", lanes::cases(), lanes::variants()),
        ("tiles", tiles::cases(), tiles::variants()),
        ("bytes", bytes::cases(), bytes::variants()),
    ];
    for (name, cases, variants) in kernels {
        for act in Act::ALL {
            let word = format!(" {act:?} ");
            assert!(cases.iter().any(|case| case.name.contains(&word)), "{name}: {act:?}");
            let constant = ("ACT", act as u32);
            assert!(variants.iter().any(|v| v.constants.contains(&constant)), "{name}: {act:?}");
        }
    }
}

/// A row's bits do not depend on the tokens beside it: the ground under "the first m of M equal
/// a run with m".
#[cfg(feature = "native")]
#[test]
fn a_row_does_not_see_its_neighbours() {
    let Some(gpu) = crate::kernels::check::gpu_or_skip() else {
        return;
    };
    gpu.fix_order();
    let (rows, cols) = (70, 136);
    for format in Format::ALL {
        let w = Packed::pack(format, &random(7, rows * cols), rows, cols);
        let x = random(8, 9 * cols);
        let run = |first: usize, n: usize| {
            pollster::block_on(async {
                let (x, w) = (
                    gpu.upload("x", &x, 9, cols).await.unwrap(),
                    gpu.upload_matrix("w", &w).await.unwrap(),
                );
                let out = gpu.tensor("out", n, rows).await.unwrap();
                let mut rec = gpu.recorder();
                linear(&mut rec, x.slice(first..first + n), &w, &out);
                rec.submit();
                gpu.read_rows(&out, 0, n).await.unwrap()
            })
        };
        let all = run(0, 9);
        for (first, n) in [(0, 1), (3, 1), (8, 1), (2, 3), (5, 4), (0, 8)] {
            assert!(
                run(first, n) == all[first * rows..(first + n) * rows],
                "{} {first} {n}",
                format.name()
            );
        }
    }
}
