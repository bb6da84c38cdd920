//! The formats that a matrix can have, and the room that each takes.

use super::{BLOCK, CHUNK_WORDS, PANEL, padded_cols};

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
    /// 5-bit codes with a byte of scale and a byte of zero per 32 columns: 5.5 bits per weight.
    Q5,
    /// 4-bit codes with a byte of scale and a byte of zero per 32 columns: 4.5 bits per weight.
    Q4,
}

impl Format {
    /// Every format, the most exact first.
    pub const ALL: [Format; 5] = [Format::F32, Format::F16, Format::Q8, Format::Q5, Format::Q4];
    /// Those whose values are integers times a scale.
    pub const SCALED: [Format; 3] = [Format::Q8, Format::Q5, Format::Q4];

    /// Columns in one 16-byte chunk.
    pub const fn chunk_cols(self) -> usize {
        match self {
            Format::F32 => 4,
            Format::F16 => 8,
            Format::Q8 => 16,
            Format::Q5 | Format::Q4 => 32,
        }
    }

    /// Whether blocks carry a scale.
    pub const fn is_scaled(self) -> bool {
        matches!(self, Format::Q8 | Format::Q5 | Format::Q4)
    }

    /// Bits of a code, in the formats that have a zero as well as a scale.
    pub const fn code_bits(self) -> Option<u32> {
        match self {
            Format::Q5 => Some(5),
            Format::Q4 => Some(4),
            Format::F32 | Format::F16 | Format::Q8 => None,
        }
    }

    /// Columns that share one scale.
    pub const fn block(self) -> usize {
        if self.code_bits().is_some() { super::block::COLS } else { BLOCK }
    }

    /// The name used in flags, manifests and reports.
    pub const fn name(self) -> &'static str {
        match self {
            Format::F32 => "f32",
            Format::F16 => "f16",
            Format::Q8 => "q8",
            Format::Q5 => "q5",
            Format::Q4 => "q4",
        }
    }

    /// Words of a panel's scale plane for every [`BLOCK`] columns.
    pub const fn scale_words(self) -> usize {
        match self {
            Format::F32 | Format::F16 => 0,
            Format::Q8 => PANEL / 2,
            Format::Q4 => PANEL,
            Format::Q5 => 3 * PANEL,
        }
    }

    /// Words of the data and of the scale plane for a matrix of this shape.
    pub const fn words(self, rows: usize, cols: usize) -> (u64, u64) {
        let (panels, cols) = (rows.div_ceil(PANEL) as u64, padded_cols(cols) as u64);
        let data = panels * (cols / self.chunk_cols() as u64) * (PANEL * CHUNK_WORDS) as u64;
        (data, panels * (cols / BLOCK as u64) * self.scale_words() as u64)
    }
}
