//! Rows made of a few weighted rows each: means of squares, bilinear resizing, rows taken over.
//!
//! [`super::mix`] weights every row of its input; this reads only the rows that it needs. Upstream:
//! torch `interpolate(mode="bilinear")`, `avg_pool2d`, and LLaVA-OneVision's `pack_image_features`.

use super::check::{Case, F32_LIMIT, random};
use super::{Variant, groups, kernel, params};
use crate::error::Result;
use crate::gpu::{Gpu, Kernel, Recorder, Storage, Tensor};

params! { taps: u32, cols: u32, stride: u32, to_row: u32 }

static KERNEL: Kernel = kernel!("gather", [Read, Read, Write]);

pub(super) fn variants() -> Vec<Variant> {
    vec![Variant { kernel: &KERNEL, preludes: vec![], constants: vec![] }]
}

/// Which rows of the input make each row of the output, and with what weights.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Taps {
    /// Rows that a row is made of; those it does not need weigh 0.
    pub each: usize,
    /// [rows, each] of (row, weight).
    pub list: Vec<(u32, f32)>,
}

impl Taps {
    /// No rows yet, of `each` rows each; 1 or more.
    pub fn new(each: usize) -> Taps {
        Taps { each, list: Vec::new() }
    }

    /// Rows of the output.
    pub fn rows(&self) -> usize {
        self.list.len() / self.each
    }

    /// One more row, of at most `each` rows.
    pub fn push(&mut self, row: &[(usize, f32)]) {
        assert!(row.len() <= self.each, "taps: {} of {}", row.len(), self.each);
        let padding = std::iter::repeat_n((0, 0.0), self.each - row.len());
        self.list.extend(row.iter().map(|&(at, weight)| (at as u32, weight)).chain(padding));
    }

    /// Means over the squares of a `grid` × `grid` of rows that make a grid of `side` × `side`;
    /// `side` divides `grid`.
    pub fn means(grid: usize, side: usize) -> Taps {
        let step = grid / side;
        let mut taps = Taps::new(step * step);
        for token in 0..side * side {
            let (y, x) = (token / side * step, token % side * step);
            let square = (0..step * step).map(|i| (y + i / step) * grid + x + i % step);
            let weight = 1.0 / (step * step) as f32;
            taps.push(&square.map(|row| (row, weight)).collect::<Vec<_>>());
        }
        taps
    }

    /// On the device.
    ///
    /// # Errors
    /// As [`Gpu::storage`].
    pub async fn upload(&self, gpu: &Gpu) -> Result<Storage> {
        let words: Vec<u32> =
            self.list.iter().flat_map(|(row, weight)| [*row, weight.to_bits()]).collect();
        let storage = gpu.storage("taps", words.len().max(2) as u64 * 4).await?;
        gpu.write(&storage, 0, bytemuck::cast_slice(&words));
        Ok(storage)
    }
}

/// Records values [rows that `taps` names, cols] → rows `to..to + taps.rows()` of `out`
/// [rows, cols]; `uploaded` is what [`Taps::upload`] gave.
pub fn gather(
    rec: &mut Recorder,
    taps: &Taps,
    uploaded: &Storage,
    values: &Tensor,
    (out, to): (&Tensor, usize),
) {
    let most = taps.list.iter().map(|(row, _)| *row as usize).max().unwrap_or(0);
    assert!(
        most < values.rows && values.cols == out.cols && to + taps.rows() <= out.rows,
        "gather: {} rows to {to}",
        taps.rows()
    );
    let params = Params {
        taps: taps.each as u32,
        cols: values.cols as u32,
        stride: values.stride() as u32,
        to_row: to as u32,
    };
    let grid = [groups(values.cols), taps.rows() as u32, 1];
    rec.dispatch(&KERNEL, &[], &[], params, &[uploaded, values, out], grid);
}

/// The twin: values [any, cols] → [rows, cols].
pub fn reference(taps: &Taps, values: &[f32], cols: usize) -> Vec<f32> {
    let mut out = vec![0.0f32; taps.rows() * cols];
    for (out, row) in out.chunks_exact_mut(cols).zip(taps.list.chunks_exact(taps.each)) {
        for (at, weight) in row {
            let from = &values[*at as usize * cols..][..cols];
            out.iter_mut().zip(from).for_each(|(o, v)| *o += weight * v);
        }
    }
    out
}

pub(super) fn cases() -> Vec<Case> {
    let case = |(rows, each, values, cols): (usize, usize, usize, usize)| {
        let name = format!("gather {rows} of {each} from {values}x{cols}");
        Case::new(name, F32_LIMIT, async move |gpu| {
            let weights = random(1, rows * each);
            let mut taps = Taps::new(each);
            for (i, weights) in weights.chunks_exact(each).enumerate() {
                let row = weights.iter().enumerate().map(|(k, w)| ((i * 7 + k * 3) % values, *w));
                // The last of several is left out, and padded.
                let row: Vec<_> = row.take((each - 1).max(1)).collect();
                taps.push(&row);
            }
            let x = random(2, values * cols);
            let x_gpu = gpu.upload("values", &x, values, cols).await?;
            let out = gpu.tensor("out", rows + 1, cols).await?;
            let uploaded = taps.upload(gpu).await?;
            let mut rec = gpu.recorder();
            gather(&mut rec, &taps, &uploaded, &x_gpu, (&out, 1));
            rec.submit();
            Ok((gpu.read_rows(&out, 1, rows).await?, reference(&taps, &x, cols)))
        })
    };
    [(1, 1, 1, 1), (5, 4, 9, 65), (17, 9, 50, 56)].into_iter().map(case).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn means_cover_every_row_once() {
        let taps = Taps::means(6, 3);
        assert_eq!((taps.rows(), taps.each), (9, 4));
        let mut rows: Vec<u32> = taps.list.iter().map(|(row, _)| *row).collect();
        assert_eq!(&rows[..4], [0, 1, 6, 7]);
        rows.sort_unstable();
        assert_eq!(rows, (0..36).collect::<Vec<_>>());
    }
}
