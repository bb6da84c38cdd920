//! The index of the largest logit; the lowest among equals.

use super::check::{Case, EXACT, random};
use super::{Variant, kernel, params};
use crate::gpu::{Kernel, Recorder, Storage, Tensor};

params! { cols: u32 }

static KERNEL: Kernel = kernel!("argmax", [Read, Write]);

pub(super) fn variants() -> Vec<Variant> {
    vec![Variant { kernel: &KERNEL, preludes: vec![], constants: vec![] }]
}

/// Records row 0 of `x` [≥ 1, cols] → `out` \[1\] u32.
pub fn argmax(rec: &mut Recorder, x: &Tensor, out: &Storage) {
    rec.dispatch(&KERNEL, &[], &[], Params { cols: x.cols as u32 }, &[x, out], [1, 1, 1]);
}

/// The twin. NaN is never the largest; an empty or all-NaN row gives 0.
pub fn reference(x: &[f32]) -> u32 {
    let mut best = (f32::MIN, 0);
    for (i, &v) in x.iter().enumerate() {
        if v > best.0 {
            best = (v, i as u32);
        }
    }
    best.1
}

pub(super) fn cases() -> Vec<Case> {
    let case = |(cols, twins): (usize, bool)| {
        Case::new(format!("argmax {cols} twins {twins}"), EXACT, async move |gpu| {
            let mut x = random(1, cols);
            if twins {
                // The same largest value in several places: the first must win.
                for i in [cols / 3, cols / 2, cols - 1] {
                    x[i] = 2.0;
                }
            }
            let x_gpu = gpu.upload("x", &x, 1, cols).await?;
            let out = gpu.storage("out", 4).await?;
            let mut rec = gpu.recorder();
            argmax(&mut rec, &x_gpu, &out);
            rec.submit();
            let bytes = gpu.read(&out, 0, 4).await?;
            let got = u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
            Ok((vec![got as f32], vec![reference(&x) as f32]))
        })
    };
    [(1, false), (63, true), (65, false), (700, true), (32_000, false)].into_iter().map(case).collect()
}
