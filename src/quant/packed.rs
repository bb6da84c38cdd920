//! A matrix in panel layout, in host memory: packing rows into it, and reading them back.

use super::block::{self, Params};
use super::search::{best_scale, round_to};
use super::{BLOCK, CHUNK_WORDS, Format, PANEL, padded_cols};
use half::f16;

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
        Packed::pack_weighed(format, values, rows, cols, None)
    }

    /// The same, a column's errors weighed by its importance \[cols\], whose size does not matter.
    pub fn pack_weighed(
        format: Format,
        values: &[f32],
        rows: usize,
        cols: usize,
        importance: Option<&[f32]>,
    ) -> Packed {
        assert_eq!(values.len(), rows * cols, "pack: {rows} x {cols}");
        Packed::pack_rows(format, rows, cols, importance, |row, out| {
            out.copy_from_slice(&values[row * cols..][..cols])
        })
    }

    /// The same, with the rows asked for one by one: `fill` writes row i into a slice of `cols`
    /// zeros.
    pub fn pack_rows(
        format: Format,
        rows: usize,
        cols: usize,
        importance: Option<&[f32]>,
        fill: impl Fn(usize, &mut [f32]) + Send + Sync,
    ) -> Packed {
        let mut packed = Packed::zeros(format, rows, cols);
        let importance = weights(importance, cols);
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
                Lane { format, lane, data: &mut *data, scales: &mut *scales }
                    .pack(&row, &importance);
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
        padded_cols(self.cols) / BLOCK * self.format.scale_words()
    }

    /// Scale and zero of block `block` ([`Format::block`] columns) in row `lane` of `panel`; 1 and
    /// 0 where the format has none.
    pub fn scale(&self, panel: usize, block: usize, lane: usize) -> (f32, f32) {
        if !self.format.is_scaled() {
            return (1.0, 0.0);
        }
        let plane = &self.scales[panel * self.panel_scale_words()..];
        if let Some(bits) = self.format.code_bits() {
            let word = plane[block / 2 * self.format.scale_words() + lane];
            return Params::of(word, block % 2).values(bits);
        }
        let word = plane[block * self.format.scale_words() + lane / 2];
        let half = if lane.is_multiple_of(2) { word as u16 } else { (word >> 16) as u16 };
        (f16::from_bits(half).to_f32(), 0.0)
    }

    /// Unpacks row `lane` of `panel` into `out` [padded_cols].
    pub fn unpack_row(&self, panel: usize, lane: usize, out: &mut [f32]) {
        self.unpack_codes(panel, lane, out);
        if self.format.is_scaled() {
            for (block, values) in out.chunks_exact_mut(self.format.block()).enumerate() {
                // Exact: code and zero differ by an integer of nine bits in some power of two, and
                // a scale has at most eleven.
                let (scale, zero) = self.scale(panel, block, lane);
                values.iter_mut().for_each(|v| *v = (*v - zero) * scale);
            }
        }
    }

    /// The same without scales and zeros: codes as floats for the scaled formats.
    pub(crate) fn unpack_codes(&self, panel: usize, lane: usize, out: &mut [f32]) {
        let data = &self.data[panel * self.panel_data_words()..][..self.panel_data_words()];
        let step = self.format.chunk_cols();
        for (chunk, out) in out.chunks_exact_mut(step).enumerate() {
            let words = &data[(chunk * PANEL + lane) * CHUNK_WORDS..][..CHUNK_WORDS];
            let fifth = self.fifth_bits(panel, chunk, lane);
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
                    Format::Q5 | Format::Q4 => {
                        for (i, byte) in word.to_le_bytes().into_iter().enumerate() {
                            let bit = |g: usize| (fifth >> (8 * i + g) & 1) as u8 * 16;
                            out[4 * j + i] = f32::from(byte & 15 | bit(j));
                            out[16 + 4 * j + i] = f32::from(byte >> 4 | bit(4 + j));
                        }
                    }
                }
            }
        }
    }

    /// The fifth bits of a chunk; 0 where codes have none.
    fn fifth_bits(&self, panel: usize, chunk: usize, lane: usize) -> u32 {
        if self.format != Format::Q5 {
            return 0;
        }
        let plane = &self.scales[panel * self.panel_scale_words()..];
        plane[chunk / 2 * self.format.scale_words() + (1 + chunk % 2) * PANEL + lane]
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

/// Importance for the columns and, 0, their padding; its mean is 1, which keeps sums of floats in
/// range.
fn weights(importance: Option<&[f32]>, cols: usize) -> Vec<f32> {
    let mut weights = vec![1.0; cols];
    if let Some(importance) = importance {
        assert_eq!(importance.len(), cols, "importance of {cols} columns");
        let mean = importance.iter().map(|v| f64::from(*v)).sum::<f64>() / cols as f64;
        // What the checkpoint's own numbers made infinite or nothing says nothing.
        if mean.is_finite() && mean > 0.0 {
            let scaled = importance.iter().map(|v| (f64::from(*v) / mean) as f32);
            weights.iter_mut().zip(scaled).for_each(|(w, v)| *w = v);
        }
    }
    weights.resize(padded_cols(cols), 0.0);
    weights
}

/// One row's place in a panel.
struct Lane<'a> {
    format: Format,
    lane: usize,
    data: &'a mut [u32],
    scales: &'a mut [u32],
}

impl Lane<'_> {
    fn pack(&mut self, row: &[f32], importance: &[f32]) {
        for (block, values) in row.chunks(BLOCK).enumerate() {
            let importance = &importance[block * BLOCK..][..BLOCK];
            let mut padded = [0.0f32; BLOCK];
            padded[..values.len()].copy_from_slice(values);
            match self.format.code_bits() {
                Some(bits) => self.coded(block, values, importance, bits),
                None if self.format == Format::Q8 => self.bytes(block, &padded, importance),
                None => self.floats(block, &padded),
            }
        }
    }

    fn chunk(&mut self, chunk: usize) -> &mut [u32] {
        &mut self.data[(chunk * PANEL + self.lane) * CHUNK_WORDS..][..CHUNK_WORDS]
    }

    fn floats(&mut self, block: usize, values: &[f32; BLOCK]) {
        let step = self.format.chunk_cols();
        let halves = self.format == Format::F16;
        for (within, values) in values.chunks_exact(step).enumerate() {
            let words = self.chunk(block * (BLOCK / step) + within);
            for (word, values) in words.iter_mut().zip(values.chunks_exact(step / CHUNK_WORDS)) {
                *word = if halves { pair(values[0], values[1]) } else { values[0].to_bits() };
            }
        }
    }

    fn bytes(&mut self, block: usize, values: &[f32; BLOCK], importance: &[f32]) {
        let scale = best_scale(values, importance);
        self.scales[block * PANEL / 2 + self.lane / 2] |=
            u32::from(scale.to_bits()) << (16 * (self.lane % 2));
        let inverse = if scale.to_f32() == 0.0 { 0.0 } else { 1.0 / scale.to_f32() };
        let step = self.format.chunk_cols();
        for (within, values) in values.chunks_exact(step).enumerate() {
            let words = self.chunk(block * (BLOCK / step) + within);
            for (word, values) in words.iter_mut().zip(values.chunks_exact(4)) {
                let byte = |i: usize| round_to(values[i] * inverse, -127, 127) as i8 as u8;
                *word = u32::from_le_bytes(std::array::from_fn(byte));
            }
        }
    }

    fn coded(&mut self, block: usize, values: &[f32], importance: &[f32], bits: u32) {
        let (lane, words) = (self.lane, self.format.scale_words());
        for (half, values) in values.chunks(block::COLS).enumerate() {
            let importance = &importance[half * block::COLS..][..values.len()];
            let fitted = block::fit(block::Block { values, importance }, bits);
            self.scales[block * words + lane] |= fitted.params.word() << (16 * half);
            let codes = fitted.codes;
            for (j, word) in self.chunk(2 * block + half).iter_mut().enumerate() {
                *word = u32::from_le_bytes(std::array::from_fn(|i| {
                    codes[4 * j + i] & 15 | (codes[16 + 4 * j + i] & 15) << 4
                }));
            }
            if bits == 5 {
                let fifth = codes.iter().enumerate().fold(0, |word, (column, code)| {
                    word | u32::from(code >> 4) << (8 * (column % 4) + column / 4)
                });
                self.scales[block * words + (1 + half) * PANEL + lane] = fifth;
            }
        }
    }
}

/// Two floats as f16 in one word, the first in the low half.
pub fn pair(a: f32, b: f32) -> u32 {
    u32::from(f16::from_f32(a).to_bits()) | u32::from(f16::from_f32(b).to_bits()) << 16
}
