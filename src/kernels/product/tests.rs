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
