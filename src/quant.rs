//! Weight formats: bits and panel layout, packing, unpacking, rounding.
//!
//! Every matrix [rows, cols] lies in **panels** of 32 rows. Along the columns a panel is cut into
//! chunks of 16 bytes per row; a chunk stores its 32 rows side by side, so that a GPU lane owns a
//! row and neighbouring lanes read neighbouring words:
//!
//! ```text
//! data   [panels][chunks][32 rows][4 words of 32 bits]
//! scales [panels][blocks][32 rows] f16, two rows per word          (q8 and q4 only; a block is 64 columns)
//! ```
//!
//! Rows are padded with zeros to a multiple of 32, columns to a multiple of 64. Activations are
//! padded alike ([`padded_cols`]), so no kernel needs a tail in the inner loop and no width is
//! refused.
//!
//! Inside a chunk, `q4` word j holds columns 4j…4j+3 in the low nibbles of its four bytes and
//! 16+4j…16+4j+3 in the high ones; a value is (nibble − 8) · scale. `q8` holds four signed bytes
//! per word, `f16` two halves, `f32` one float.

use half::f16;

/// Rows per panel: one GPU lane each.
pub const PANEL: usize = 32;
/// Columns that share one scale.
pub const BLOCK: usize = 64;
/// 32-bit words of one row in one chunk (16 bytes).
pub const CHUNK_WORDS: usize = 4;

/// How the values of a matrix are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// 32-bit floats: the reference's weights, unchanged.
    F32,
    /// 16-bit floats, read without the `shader-f16` feature.
    F16,
    /// Signed 8-bit integers with one f16 scale per 64 columns: 8.25 bits per weight.
    Q8,
    /// 4-bit integers with one f16 scale per 64 columns: 4.25 bits per weight.
    Q4,
}

impl Format {
    /// Columns in one 16-byte chunk.
    pub const fn chunk_cols(self) -> usize {
        match self {
            Format::F32 => 4,
            Format::F16 => 8,
            Format::Q8 => 16,
            Format::Q4 => 32,
        }
    }

    /// Whether blocks carry a scale.
    pub const fn is_scaled(self) -> bool {
        matches!(self, Format::Q8 | Format::Q4)
    }

    /// The name used in flags, manifests and reports.
    pub const fn name(self) -> &'static str {
        match self {
            Format::F32 => "f32",
            Format::F16 => "f16",
            Format::Q8 => "q8",
            Format::Q4 => "q4",
        }
    }

    /// Words of the data and of the scale plane for a matrix of this shape.
    pub const fn words(self, rows: usize, cols: usize) -> (u64, u64) {
        let (panels, cols) = (rows.div_ceil(PANEL) as u64, padded_cols(cols) as u64);
        let data = panels * (cols / self.chunk_cols() as u64) * (PANEL * CHUNK_WORDS) as u64;
        let scales =
            if self.is_scaled() { panels * (cols / BLOCK as u64) * (PANEL / 2) as u64 } else { 0 };
        (data, scales)
    }
}

/// Columns including padding: a multiple of [`BLOCK`]. Also the row stride of every activation.
pub const fn padded_cols(cols: usize) -> usize {
    cols.div_ceil(BLOCK) * BLOCK
}

/// Rows including padding: a multiple of [`PANEL`].
pub const fn padded_rows(rows: usize) -> usize {
    rows.div_ceil(PANEL) * PANEL
}

/// A matrix in panel layout, in host memory.
#[derive(Clone, Debug, PartialEq)]
pub struct Packed {
    /// How values are stored.
    pub format: Format,
    /// Rows without padding.
    pub rows: usize,
    /// Columns without padding.
    pub cols: usize,
    /// The data plane.
    pub data: Vec<u32>,
    /// The scale plane; empty for `f32` and `f16`.
    pub scales: Vec<u32>,
}

impl Packed {
    /// Packs `values` [rows, cols], row-major. Quantised formats search each block's scale for the
    /// least squared error.
    pub fn pack(format: Format, values: &[f32], rows: usize, cols: usize) -> Packed {
        assert_eq!(values.len(), rows * cols, "pack: {rows} x {cols}");
        Packed::pack_rows(format, rows, cols, |row, out| {
            out.copy_from_slice(&values[row * cols..][..cols])
        })
    }

    /// The same, with the rows asked for one by one: `fill` writes row i into a slice of `cols`
    /// zeros.
    pub fn pack_rows(
        format: Format,
        rows: usize,
        cols: usize,
        fill: impl Fn(usize, &mut [f32]) + Send + Sync,
    ) -> Packed {
        let mut packed = Packed::zeros(format, rows, cols);
        let data_words = packed.panel_data_words();
        let scale_words = packed.panel_scale_words();
        let scales: Vec<&mut [u32]> = if format.is_scaled() {
            packed.scales.chunks_mut(scale_words).collect()
        } else {
            (0..rows.div_ceil(PANEL)).map(|_| &mut [][..]).collect()
        };
        let panels: Vec<_> = packed.data.chunks_mut(data_words).zip(scales).enumerate().collect();
        crate::parallel::for_each(panels, |(panel, (data, scales))| {
            let first = panel * PANEL;
            let mut row = vec![0.0; cols];
            for lane in 0..PANEL.min(rows - first) {
                row.fill(0.0);
                fill(first + lane, &mut row);
                pack_row(format, &row, lane, data, scales);
            }
        });
        packed
    }

    /// Adds the panels of `more` below these; every one of these is full.
    pub fn append(&mut self, more: &Packed) {
        assert!(
            self.format == more.format && self.cols == more.cols && self.rows.is_multiple_of(PANEL),
            "append: {} rows",
            self.rows
        );
        self.rows += more.rows;
        self.data.extend_from_slice(&more.data);
        self.scales.extend_from_slice(&more.scales);
    }

    /// All zeros.
    pub fn zeros(format: Format, rows: usize, cols: usize) -> Packed {
        let (data, scales) = format.words(rows, cols);
        Packed {
            format,
            rows,
            cols,
            data: vec![0; data as usize],
            scales: vec![0; scales as usize],
        }
    }

    /// Number of panels.
    pub fn panels(&self) -> usize {
        self.rows.div_ceil(PANEL)
    }

    /// Words of one panel in the data plane.
    pub fn panel_data_words(&self) -> usize {
        padded_cols(self.cols) / self.format.chunk_cols() * PANEL * CHUNK_WORDS
    }

    /// Words of one panel in the scale plane.
    pub fn panel_scale_words(&self) -> usize {
        if self.format.is_scaled() { padded_cols(self.cols) / BLOCK * PANEL / 2 } else { 0 }
    }

    /// The scale of `block` in row `lane` of `panel`; 1 for unscaled formats.
    pub fn scale(&self, panel: usize, block: usize, lane: usize) -> f32 {
        if !self.format.is_scaled() {
            return 1.0;
        }
        let word = self.scales[panel * self.panel_scale_words() + block * PANEL / 2 + lane / 2];
        let half = if lane.is_multiple_of(2) { word as u16 } else { (word >> 16) as u16 };
        f16::from_bits(half).to_f32()
    }

    /// Unpacks row `lane` of `panel` into `out` [padded_cols].
    pub fn unpack_row(&self, panel: usize, lane: usize, out: &mut [f32]) {
        self.unpack_unscaled(panel, lane, out);
        if self.format.is_scaled() {
            for (block, values) in out.chunks_exact_mut(BLOCK).enumerate() {
                // Exact: an integer of at most 8 bits times a half fits a float.
                let scale = self.scale(panel, block, lane);
                values.iter_mut().for_each(|v| *v *= scale);
            }
        }
    }

    /// The same without the scales: integers as floats for q8 and q4.
    pub(crate) fn unpack_unscaled(&self, panel: usize, lane: usize, out: &mut [f32]) {
        let data = &self.data[panel * self.panel_data_words()..][..self.panel_data_words()];
        let step = self.format.chunk_cols();
        for (chunk, out) in out.chunks_exact_mut(step).enumerate() {
            let words = &data[(chunk * PANEL + lane) * CHUNK_WORDS..][..CHUNK_WORDS];
            for (j, &word) in words.iter().enumerate() {
                match self.format {
                    Format::F32 => out[j] = f32::from_bits(word),
                    Format::F16 => {
                        out[2 * j] = f16::from_bits(word as u16).to_f32();
                        out[2 * j + 1] = f16::from_bits((word >> 16) as u16).to_f32();
                    }
                    Format::Q8 => {
                        for (i, byte) in word.to_le_bytes().into_iter().enumerate() {
                            out[4 * j + i] = f32::from(byte as i8);
                        }
                    }
                    Format::Q4 => {
                        for (i, byte) in word.to_le_bytes().into_iter().enumerate() {
                            out[4 * j + i] = f32::from(byte & 15) - 8.0;
                            out[16 + 4 * j + i] = f32::from(byte >> 4) - 8.0;
                        }
                    }
                }
            }
        }
    }

    /// Row `row` as floats, without padding.
    pub fn row(&self, row: usize) -> Vec<f32> {
        let (panel, lane) = (row / PANEL, row % PANEL);
        let mut out = vec![0.0; padded_cols(self.cols)];
        self.unpack_row(panel, lane, &mut out);
        out.truncate(self.cols);
        out
    }
}

/// Writes one row into its lane of a panel.
fn pack_row(format: Format, row: &[f32], lane: usize, data: &mut [u32], scales: &mut [u32]) {
    for (block, values) in row.chunks(BLOCK).enumerate() {
        let mut padded = [0.0f32; BLOCK];
        padded[..values.len()].copy_from_slice(values);
        let mut bytes = [0u8; BLOCK];
        if format.is_scaled() {
            let (lo, hi) = if format == Format::Q8 { (-127, 127) } else { (-8, 7) };
            let scale = best_scale(&padded, lo, hi);
            scales[block * PANEL / 2 + lane / 2] |= u32::from(scale.to_bits()) << (16 * (lane % 2));
            let inverse = if scale.to_f32() == 0.0 { 0.0 } else { 1.0 / scale.to_f32() };
            for (byte, value) in bytes.iter_mut().zip(padded) {
                *byte = round_to(value * inverse, lo, hi) as i8 as u8;
            }
        }
        let step = format.chunk_cols();
        for within in 0..BLOCK / step {
            let chunk = block * BLOCK / step + within;
            let words = &mut data[(chunk * PANEL + lane) * CHUNK_WORDS..][..CHUNK_WORDS];
            let (values, bytes) =
                (&padded[within * step..][..step], &bytes[within * step..][..step]);
            for (j, word) in words.iter_mut().enumerate() {
                *word = match format {
                    Format::F32 => values[j].to_bits(),
                    Format::F16 => pair(values[2 * j], values[2 * j + 1]),
                    Format::Q8 => u32::from_le_bytes([
                        bytes[4 * j],
                        bytes[4 * j + 1],
                        bytes[4 * j + 2],
                        bytes[4 * j + 3],
                    ]),
                    Format::Q4 => u32::from_le_bytes(std::array::from_fn(|i| {
                        let nibble = |byte: u8| (byte as i8 + 8) as u8;
                        nibble(bytes[4 * j + i]) | nibble(bytes[16 + 4 * j + i]) << 4
                    })),
                };
            }
        }
    }
}

/// Two floats as f16 in one word, the first in the low half.
pub fn pair(a: f32, b: f32) -> u32 {
    u32::from(f16::from_f32(a).to_bits()) | u32::from(f16::from_f32(b).to_bits()) << 16
}

pub(crate) fn round_to(value: f32, lo: i32, hi: i32) -> i32 {
    // `as` saturates and maps NaN to 0, so hostile weights cannot panic.
    (value.round_ties_even() as i32).clamp(lo, hi)
}

/// Sums of (w − q · scale)², w · q and q² over a block, q the codes that `scale` gives.
///
/// Eight sums side by side and rounding by a large constant, so that compilers make vector
/// instructions of it; it is nearly all of the time that quantising takes.
fn sums(block: &[f32], scale: f32, lo: f32, hi: f32) -> (f32, f32, f32) {
    const LANES: usize = 8;
    /// Adding and subtracting 1.5 · 2²³ rounds a small float to the nearest integer, ties to even.
    const ROUND: f32 = 12_582_912.0;
    let inverse = 1.0 / scale;
    let (mut error, mut wq, mut qq) = ([0.0f32; LANES], [0.0f32; LANES], [0.0f32; LANES]);
    for chunk in block.chunks_exact(LANES) {
        for i in 0..LANES {
            let w = chunk[i];
            let q = ((w * inverse).max(lo).min(hi) + ROUND) - ROUND;
            let d = w - q * scale;
            error[i] += d * d;
            wq[i] += w * q;
            qq[i] += q * q;
        }
    }
    (error.iter().sum(), wq.iter().sum(), qq.iter().sum())
}

/// The f16 scale that rounds `block` (a multiple of 8 values) with the least squared error.
///
/// Plain absmax wastes a step on outliers and, for q4, one code on the side that has none: so both
/// signs are tried (the largest magnitude can take the code −8), over a range of step widths, each
/// refined by least squares.
pub(crate) fn best_scale(block: &[f32], lo: i32, hi: i32) -> f16 {
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
        let (error, wq, qq) = sums(block, rounded.to_f32(), lo as f32, hi as f32);
        if error < best.0 {
            best = (error, rounded);
        }
        (wq, qq)
    };
    let steps: &[f32] = if hi == 127 {
        &[127.0, 126.0, 124.0, 120.0]
    } else {
        &[8.0, 7.5, 7.0, 6.6, 6.2, 5.8, 5.4, 5.0, 8.5, 9.0]
    };
    for &step in steps {
        for sign in [-1.0, 1.0] {
            if sign > 0.0 && step > hi as f32 + 0.5 || hi == 127 && sign < 0.0 {
                continue;
            }
            let (wq, qq) = consider(sign * peak / step);
            if qq > 0.0 {
                consider(wq / qq);
            }
        }
    }
    best.1
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::check::random;

    #[test]
    fn every_format_keeps_its_error_bound() {
        for (rows, cols) in [(1, 1), (31, 63), (32, 64), (33, 65), (70, 200)] {
            let values = random(rows as u64 * 31 + cols as u64, rows * cols);
            for (format, bound) in
                [(Format::F32, 0.0), (Format::F16, 5e-4), (Format::Q8, 6e-3), (Format::Q4, 0.11)]
            {
                let packed = Packed::pack(format, &values, rows, cols);
                let (data, scales) = format.words(rows, cols);
                assert_eq!((packed.data.len() as u64, packed.scales.len() as u64), (data, scales));
                let (mut error, mut norm) = (0.0f64, 0.0f64);
                for row in 0..rows {
                    for (got, want) in packed.row(row).iter().zip(&values[row * cols..]) {
                        error += f64::from(got - want).powi(2);
                        norm += f64::from(*want).powi(2);
                    }
                }
                // Uniform values on a grid of 2^b steps: the bound is about half a step over the
                // spread, a little more for one tiny row.
                assert!(
                    (error / norm).sqrt() <= bound,
                    "{} {rows}x{cols}: {}",
                    format.name(),
                    (error / norm).sqrt()
                );
            }
        }
    }

    #[test]
    fn the_search_never_loses_to_absmax() {
        for seed in 0..50 {
            let values: [f32; BLOCK] = random(seed, BLOCK).try_into().unwrap();
            let values = values.map(|v| v * v * v);
            let peak = values.iter().fold(0.0f32, |a, b| a.max(b.abs()));
            let error = |scale: f32| -> f32 {
                values.iter().map(|w| (w - round_to(w / scale, -8, 7) as f32 * scale).powi(2)).sum()
            };
            let plain = f16::from_f32(peak / 7.0).to_f32();
            assert!(error(best_scale(&values, -8, 7).to_f32()) <= error(plain));
        }
    }

    #[test]
    fn zeros_infinities_and_nan_do_not_panic() {
        for value in [0.0, f32::INFINITY, f32::NAN, 1e-30, 1e30] {
            for format in [Format::F16, Format::Q8, Format::Q4] {
                Packed::pack(format, &[value; 70], 1, 70).row(0);
            }
        }
    }
}
