//! Weight formats: bits and panel layout, packing, unpacking, rounding.
//!
//! Every matrix [rows, cols] lies in **panels** of 32 rows. Along the columns a panel is cut into
//! chunks of 16 bytes per row; a chunk stores its 32 rows side by side, so that a GPU lane owns a
//! row and neighbouring lanes read neighbouring words:
//!
//! ```text
//! data   [panels][chunks][32 rows][4 words of 32 bits]
//! scales q8 [panels][cols / 64][32 rows] f16, two rows per word
//!        q4 [panels][cols / 64][32 rows] one word
//!        q5 [panels][cols / 64][3][32 rows] one word: as q4, then the fifth bits, 32 columns each
//! ```
//!
//! Rows are padded with zeros to a multiple of 32, columns to a multiple of 64. Activations are
//! padded alike ([`padded_cols`]), so no kernel needs a tail in the inner loop and no width is
//! refused.
//!
//! Inside a chunk, `q4` and `q5` word j holds the low four bits of columns 4j…4j+3 in the low
//! nibbles of its four bytes and those of 16+4j…16+4j+3 in the high ones. The fifth bit of column
//! 4g + i of a chunk is bit 8i + g of its word. `q8` holds four signed bytes per word, `f16` two
//! halves, `f32` one float.
//!
//! A value of `q8` is byte · scale, a scale for 64 columns. A value of `q4` and `q5` is
//! (code − zero) · scale, both for 32 columns: see [`block`]. Their scales' word has columns 0…31
//! of the 64 in its low half and 32…63 in its high one; a half has the zero in its low byte and
//! the scale in its high one.

pub mod block;
mod format;
mod packed;
mod search;
#[cfg(test)]
mod stand;
#[cfg(test)]
mod tests;

pub use format::Format;
pub use packed::{Packed, pair};
#[cfg(test)]
pub(crate) use search::best_scale;
pub(crate) use search::round_to;

/// Rows per panel: one GPU lane each.
pub const PANEL: usize = 32;
/// Columns that a step of a kernel covers, whatever the format.
pub const BLOCK: usize = 64;
/// 32-bit words of one row in one chunk (16 bytes).
pub const CHUNK_WORDS: usize = 4;

/// Columns including padding: a multiple of [`BLOCK`]. Also the row stride of every activation.
pub const fn padded_cols(cols: usize) -> usize {
    cols.div_ceil(BLOCK) * BLOCK
}

/// Rows including padding: a multiple of [`PANEL`].
pub const fn padded_rows(rows: usize) -> usize {
    rows.div_ceil(PANEL) * PANEL
}
