//! A matrix as the processor's kernels read it: neighbouring rows in neighbouring lanes.
//!
//! [`Packed`] has the 16 bytes that a row has of a chunk side by side; here word j of all 32 rows
//! comes before word j + 1, so that a vector load gives one word for as many rows as there are
//! lanes, and no kernel has to transpose anything. Repacking is one pass over the data while
//! loading.
//!
//! ```text
//! data   [panels][chunks][4 words][32 rows]
//! scales q4 [panels][cols / 64][32 rows], q5 [panels][cols / 64][3][32 rows]: as in Packed
//!        q8 [panels][cols / 64][32 rows] f32
//! ```
//!
//! A byte of `q8` is stored with 128 added: an unsigned code whose zero is 128.

use crate::quant::block::Params;
use crate::quant::{BLOCK, CHUNK_WORDS, Format, PANEL, Packed, padded_cols};
use bytemuck::Zeroable;
use half::f16;

/// A word of each of a panel's 32 rows; two lines of a cache.
#[derive(Clone, Copy, Zeroable)]
#[repr(C, align(64))]
pub(crate) struct Words(pub(super) [u32; PANEL]);

/// A float for each of 32 rows.
#[derive(Clone, Copy, Zeroable)]
#[repr(C, align(64))]
pub(crate) struct Row(pub(crate) [f32; PANEL]);

impl Row {
    pub(super) const ZERO: Row = Row([0.0; PANEL]);
}

/// A matrix [rows, cols] for the kernels of this folder.
pub(crate) struct Matrix {
    pub(super) format: Format,
    pub(crate) rows: usize,
    pub(crate) cols: usize,
    data: Vec<Words>,
    scales: Vec<Words>,
    /// Whether `--arithmetic fast` may round activations to bytes.
    pub(crate) may_round: bool,
}

impl Matrix {
    /// Repacks a matrix; panels in parallel.
    pub(crate) fn new(packed: &Packed, may_round: bool) -> Matrix {
        let chunk_words = padded_cols(packed.cols) / packed.format.chunk_cols() * CHUNK_WORDS;
        let mut data = vec![Words::zeroed(); packed.panels() * chunk_words];
        let flip = if packed.format == Format::Q8 { 0x8080_8080 } else { 0 };
        let items: Vec<_> = data
            .chunks_mut(chunk_words)
            .zip(packed.data.chunks(packed.panel_data_words()))
            .collect();
        crate::parallel::for_each(items, |(to, from)| {
            let chunks = from.chunks_exact(PANEL * CHUNK_WORDS);
            for (to, from) in to.chunks_exact_mut(CHUNK_WORDS).zip(chunks) {
                for (lane, words) in from.chunks_exact(CHUNK_WORDS).enumerate() {
                    for (to, word) in to.iter_mut().zip(words) {
                        to.0[lane] = word ^ flip;
                    }
                }
            }
        });
        Matrix {
            format: packed.format,
            rows: packed.rows,
            cols: packed.cols,
            data,
            scales: scales(packed),
            may_round: may_round && packed.format.is_scaled(),
        }
    }

    pub(super) fn panels(&self) -> usize {
        self.rows.div_ceil(PANEL)
    }

    /// Blocks of 64 columns.
    pub(super) fn blocks(&self) -> usize {
        padded_cols(self.cols) / BLOCK
    }

    /// The data and the scales of one panel.
    pub(super) fn panel(&self, panel: usize) -> (&[Words], &[Words]) {
        let of = |all: &'_ [Words]| all.len() / self.panels();
        let (data, scales) = (of(&self.data), of(&self.scales));
        (&self.data[panel * data..][..data], &self.scales[panel * scales..][..scales])
    }

    /// Words of data, and of scales, for 64 columns of a panel.
    pub(super) fn block_words(&self) -> (usize, usize) {
        let data = BLOCK / self.format.chunk_cols() * CHUNK_WORDS;
        (data, self.scales.len() / self.panels() / self.blocks())
    }

    /// Writes row `row` as floats into `out` [cols].
    pub(crate) fn row(&self, row: usize, out: &mut [f32]) {
        let (panel, lane) = (row / PANEL, row % PANEL);
        let (data, scales) = self.panel(panel);
        let step = self.format.chunk_cols();
        let (_, scale_words) = self.block_words();
        for (c, out) in out.iter_mut().enumerate() {
            let (chunk, within) = (c / step, c % step);
            let word = |j: usize| data[chunk * CHUNK_WORDS + j].0[lane];
            let scale = |i: usize| scales[c / BLOCK * scale_words + i].0[lane];
            let half = c % BLOCK / (BLOCK / 2);
            *out = match self.format {
                Format::F32 => f32::from_bits(word(within)),
                Format::F16 => {
                    f16::from_bits((word(within / 2) >> (16 * (within % 2))) as u16).to_f32()
                }
                Format::Q8 => {
                    let byte = (word(within / 4) >> (8 * (within % 4))) & 255;
                    (byte as f32 - 128.0) * f32::from_bits(scale(0))
                }
                Format::Q5 | Format::Q4 => {
                    let (j, i) = (within % 16 / 4, within % 4);
                    let mut code = word(j) >> (8 * i + 4 * (within / 16)) & 15;
                    if self.format == Format::Q5 {
                        code |= (scale(1 + half) >> (8 * i + within / 4) & 1) << 4;
                    }
                    let bits = if self.format == Format::Q5 { 5 } else { 4 };
                    let (scale, zero) = Params::of(scale(0), half).values(bits);
                    (code as f32 - zero) * scale
                }
            };
        }
    }
}

/// The scale plane: as it is, but floats for halves.
fn scales(packed: &Packed) -> Vec<Words> {
    let words = |of: &[u32]| {
        let mut words = Words::zeroed();
        words.0.copy_from_slice(of);
        words
    };
    if packed.format != Format::Q8 {
        return packed.scales.chunks_exact(PANEL).map(words).collect();
    }
    let floats = |of: &[u32]| {
        let mut words = Words::zeroed();
        for (lane, word) in words.0.iter_mut().enumerate() {
            let half = (of[lane / 2] >> (16 * (lane % 2))) as u16;
            *word = f16::from_bits(half).to_f32().to_bits();
        }
        words
    };
    packed.scales.chunks_exact(PANEL / 2).map(floats).collect()
}
