//! How a product with a weight matrix is cut up among lanes. Any cut of floats gives the same
//! result up to the order of sums; those of bytes (`Via::Bytes`) round the activations first. Which
//! is fastest is measured.

use crate::gpu::{Gpu, Matrix, Window};
use crate::quant::{BLOCK, Format, PANEL, padded_cols};

/// How lanes come by activations and weights.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Via {
    /// Every lane loads what it needs.
    Lanes,
    /// Activations are uniforms, a dispatch per `tokens`: drivers that load per lane load those
    /// once for all lanes.
    Window,
    /// Both go through workgroup memory, a tile at a time: `tiles`. Tokens and rows are a
    /// workgroup's then, rows in panels.
    Tile,
    /// Activations are rounded to bytes in workgroup memory: `bytes`, and `step` for one
    /// token. Tokens are a workgroup's.
    Bytes,
}

/// Tokens and rows of one lane, and how the columns are shared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Cut {
    /// Tokens that share each weight a lane loads: 1, 2, 4, 8 or 16; 64 of a tile.
    pub tokens: u32,
    /// Rows that share each activation a lane loads: 1, 2, 4, 8 or 16.
    pub rows: u32,
    /// Lanes among which a row's columns are shared out, joined through workgroup memory; 1 needs
    /// no barrier.
    pub slices: u32,
    /// Lanes of a workgroup.
    pub lanes: u32,
    /// Where a lane's operands come from.
    pub via: Via,
}

impl Cut {
    /// The one cut of `--arithmetic exact`.
    pub const EXACT: Cut = Cut::new(4, 4, 1, 64);

    const fn new(tokens: u32, rows: u32, slices: u32, lanes: u32) -> Cut {
        Cut { tokens, rows, slices, lanes, via: Via::Lanes }
    }

    const fn uniform(tokens: u32, rows: u32) -> Cut {
        Cut { tokens, rows, slices: 1, lanes: 32, via: Via::Window }
    }

    const fn bytes(tokens: u32, rows: u32, slices: u32, lanes: u32) -> Cut {
        Cut { tokens, rows, slices, lanes, via: Via::Bytes }
    }

    const fn tile(panels: u32) -> Cut {
        Cut { tokens: 64, rows: panels, slices: 1, lanes: 256, via: Via::Tile }
    }

    /// Whether matrices of this format and so many columns can be cut so: a window holds so much,
    /// workgroup memory holds so much, and bytes need weights that are integers.
    pub fn takes(self, format: Format, cols: usize) -> bool {
        match self.via {
            Via::Window => self.tokens as usize * padded_cols(cols) * 4 <= Window::BYTES,
            // A step rounds all of a token's columns into workgroup memory, of which WebGPU grants
            // 16 KiB.
            Via::Bytes if self.is_for(true) => {
                // Sixteen bytes, a quarter of a peak; half of a total, where codes have zeros.
                let sixteen = if format.code_bits().is_some() { 19 } else { 17 };
                format.is_scaled()
                    && padded_cols(cols) / 16 * sixteen + self.lanes as usize * 20 <= 16 << 10
            }
            Via::Bytes => format.is_scaled(),
            Via::Lanes | Via::Tile => true,
        }
    }

    /// Whether this is a cut for the fused product of decoding (`step`), or else for the other
    /// products.
    pub fn is_for(self, step: bool) -> bool {
        match (self.via, step) {
            (Via::Bytes, _) => step == (self.tokens == 1),
            (_, true) => self.tokens == 1 && self.rows > 1,
            (_, false) => true,
        }
    }

    /// The text that binds the activations.
    pub(super) fn prelude(self) -> &'static str {
        match self.via {
            Via::Window => include_str!("../../../shaders/common/x_uniform.wgsl"),
            Via::Lanes | Via::Tile | Via::Bytes => {
                include_str!("../../../shaders/common/x_storage.wgsl")
            }
        }
    }

    /// Columns of a lane's tile in use; at most 16, with slices at most 4.
    pub fn columns(self) -> u32 {
        if self.tokens <= 2 {
            self.tokens * self.rows.div_ceil(4)
        } else {
            self.tokens / 4 * self.rows
        }
    }

    /// Rows of one workgroup.
    pub fn group_rows(self) -> usize {
        if self.via == Via::Tile {
            return self.rows as usize * PANEL;
        }
        (self.lanes / 32 / self.slices * self.rows) as usize * PANEL
    }

    /// The constants of the kernel and of `common/tile.wgsl`, for a matrix of `cols` columns.
    pub(super) fn constants(self, cols: usize) -> Vec<(&'static str, u32)> {
        let Cut { tokens, rows, slices, lanes, via } = self;
        if via == Via::Tile {
            return vec![("PANELS", rows), ("WG", lanes)];
        }
        if via == Via::Bytes {
            let all = [("TOKENS", tokens), ("ROWS", rows), ("SLICES", slices), ("WG", lanes)];
            let own = if self.is_for(true) {
                [("COLUMNS", 1), ("BLOCKS", (padded_cols(cols) / BLOCK) as u32)].to_vec()
            } else {
                [("PARTIAL", if slices > 1 { lanes * tokens / 4 } else { 1 })].to_vec()
            };
            return all.into_iter().chain(own).collect();
        }
        let window =
            (via == Via::Window).then_some(("QUADS", tokens * padded_cols(cols) as u32 / 4));
        [
            ("TOKENS", tokens),
            ("ROWS", rows),
            ("SLICES", slices),
            ("WG", lanes),
            ("COLUMNS", self.columns()),
        ]
        .into_iter()
        .chain(window)
        .collect()
    }
}

impl std::fmt::Display for Cut {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let via = match self.via {
            Via::Lanes => "",
            Via::Window => "u",
            Via::Tile => "t",
            Via::Bytes => "b",
        };
        write!(f, "{}x{}/{}@{}{via}", self.tokens, self.rows, self.slices, self.lanes)
    }
}

impl std::str::FromStr for Cut {
    type Err = ();

    /// Only what [`all`] lists.
    fn from_str(text: &str) -> Result<Cut, ()> {
        all().into_iter().find(|cut| cut.to_string() == text).ok_or(())
    }
}

/// Without barriers: many rows and tokens per lane, each load used often. What software adapters
/// like, and wide products anywhere.
const LANES: [Cut; 9] = [
    Cut::EXACT,
    Cut::new(1, 4, 1, 32),
    Cut::new(1, 8, 1, 32),
    Cut::new(1, 16, 1, 32),
    Cut::new(2, 16, 1, 32),
    Cut::new(4, 8, 1, 32),
    Cut::new(4, 16, 1, 32),
    Cut::new(8, 4, 1, 64),
    Cut::new(8, 8, 1, 64),
];

/// One or two rows per lane and their columns shared: enough groups to fill a large device.
const SLICED: [Cut; 7] = [
    Cut::new(1, 1, 8, 256),
    Cut::new(1, 2, 8, 256),
    Cut::new(1, 2, 2, 64),
    Cut::new(1, 4, 4, 128),
    Cut::new(4, 1, 8, 256),
    Cut::new(8, 1, 8, 256),
    Cut::new(16, 1, 8, 256),
];

/// As [`LANES`], activations through a window.
const WINDOWED: [Cut; 5] = [
    Cut::uniform(1, 8),
    Cut::uniform(1, 16),
    Cut::uniform(2, 16),
    Cut::uniform(4, 16),
    Cut::uniform(8, 8),
];

/// Prompts and pictures on devices whose workgroup memory is one.
const TILES: [Cut; 2] = [Cut::tile(2), Cut::tile(4)];

/// Integer products: one token, few tokens with the columns shared, many with the rows.
const BYTES: [Cut; 8] = [
    Cut::bytes(1, 2, 8, 256),
    Cut::bytes(1, 2, 4, 128),
    Cut::bytes(1, 4, 4, 128),
    Cut::bytes(4, 1, 8, 256),
    Cut::bytes(8, 1, 8, 256),
    Cut::bytes(16, 1, 4, 128),
    Cut::bytes(16, 1, 1, 256),
    Cut::bytes(16, 2, 1, 256),
];

/// Every cut there is.
pub fn all() -> Vec<Cut> {
    LANES.into_iter().chain(SLICED).chain(WINDOWED).chain(TILES).chain(BYTES).collect()
}

/// Batches for which a cut is chosen; a batch takes the choice of the next one up.
pub const BATCHES: [usize; 8] = [1, 2, 4, 8, 16, 32, 64, 256];

/// The batch in [`BATCHES`] that stands for `n` tokens.
pub fn batch(n: usize) -> usize {
    BATCHES.into_iter().find(|&b| b >= n).unwrap_or(256)
}

/// The key of a choice for `n` tokens. `step`: the fused product of decoding; `may_round`:
/// [`Matrix::may_round`], since matrices of one shape with and without it have different cuts to
/// choose from.
pub fn key(
    format: Format,
    rows: usize,
    cols: usize,
    n: usize,
    step: bool,
    may_round: bool,
) -> String {
    let kernel = if step { "product/step" } else { "product" };
    let bytes = if may_round && format.is_scaled() { " or bytes" } else { "" };
    format!("{kernel} {} {rows}x{cols} by {}{bytes}", format.name(), batch(n))
}

/// The cut for the product of `n` tokens with `w`: what was chosen, else a guess from the kind of
/// device.
pub fn cut(gpu: &Gpu, w: &Matrix, n: usize, step: bool) -> Cut {
    if gpu.order_is_fixed() {
        return Cut::EXACT;
    }
    let chosen = |n: usize| {
        let cut = gpu
            .chosen(&key(w.format, w.rows, w.cols, n, step, w.may_round))
            .and_then(|text| text.parse().ok());
        // Choices come from a file.
        let allowed = |cut: &Cut| cut.via != Via::Bytes || w.may_round && gpu.has_packed_dot();
        cut.filter(|cut: &Cut| cut.takes(w.format, w.cols) && cut.is_for(step) && allowed(cut))
    };
    let chosen = chosen(n).or_else(|| if n > 64 { chosen(64) } else { None });
    chosen.unwrap_or_else(|| guess(gpu.is_software(), w.rows, w.cols, n))
}

/// A product that cuts are wanted for.
#[derive(Clone, Copy, Debug)]
pub struct Product {
    /// Whether the device is a program on the processor.
    pub software: bool,
    /// Whether activations may be rounded to bytes, and the device has a product for them.
    pub bytes: bool,
    /// Of the matrix.
    pub format: Format,
    /// The matrix' height in panels.
    pub panels: usize,
    /// The matrix' width.
    pub cols: usize,
}

/// Cuts worth measuring for the product of `n` tokens.
pub fn candidates(product: Product, n: usize, step: bool) -> Vec<Cut> {
    let Product { software, bytes, format, panels, cols } = product;
    let fits = |cut: &Cut| {
        let tokens = cut.tokens as usize;
        let good = match n {
            1 => tokens == 1,
            2 => tokens == 2 || tokens == 4,
            _ => tokens > 2 && tokens <= batch(n).max(4),
        };
        // A lane whose rows are past the end works for nothing.
        good && cut.takes(format, cols)
            && (bytes || cut.via != Via::Bytes)
            && (cut.rows as usize <= panels || cut.rows <= 4)
            && cut.is_for(step)
            && !(software && (cut.slices > 1 || matches!(cut.via, Via::Tile | Via::Bytes)))
    };
    all().into_iter().filter(fits).collect()
}

/// The cut before anything was measured.
pub fn guess(software: bool, rows: usize, cols: usize, n: usize) -> Cut {
    // Large tiles take software adapters a second to compile, which only large matrices give back.
    let large = rows * cols >= 1 << 20 && rows >= 16 * PANEL;
    let windowed =
        |cut: Cut, otherwise: Cut| if cut.takes(Format::F32, cols) { cut } else { otherwise };
    match (software, n) {
        // Sixteen rows a lane, where that leaves enough groups for a few cores.
        (true, 1) if large && rows >= 64 * PANEL => {
            windowed(Cut::uniform(1, 16), Cut::new(1, 16, 1, 32))
        }
        (true, 1) if large => windowed(Cut::uniform(1, 8), Cut::new(1, 8, 1, 32)),
        (true, 1) => Cut::new(1, 4, 1, 32),
        (true, 2) if large => windowed(Cut::uniform(2, 16), Cut::new(2, 16, 1, 32)),
        (true, _) if large => windowed(Cut::uniform(4, 16), Cut::new(4, 16, 1, 32)),
        (true, _) => Cut::EXACT,
        (false, 1) => Cut::new(1, 2, 8, 256),
        (false, 2..=4) => Cut::new(4, 1, 8, 256),
        (false, 5..=8) => Cut::new(8, 1, 8, 256),
        (false, 9..=16) => Cut::new(16, 1, 8, 256),
        (false, _) => Cut::new(8, 4, 1, 64),
    }
}

/// `n` tokens in runs of one cut each: (first, tokens, cut). What remains where a cut of many rows
/// does not divide `n` has cuts of its own.
pub fn runs(n: usize, main: Cut, of: impl Fn(usize) -> Cut) -> Vec<(usize, usize, Cut)> {
    let tokens = main.tokens as usize;
    let rest = n % tokens;
    let idle = (tokens - rest) % tokens;
    let whole = match main.via {
        // A quarter of a tile: the tower's 577 patches are nine tiles and one.
        Via::Tile => rest > tokens / 4,
        // A lane with a token too many costs less than another pipeline and dispatch.
        Via::Lanes | Via::Window | Via::Bytes => main.rows < 8 || idle <= 1,
    };
    if n <= tokens || rest == 0 || whole {
        return vec![(0, n, main)];
    }
    let mut all = vec![(0, n - rest, main)];
    all.extend(
        runs(rest, of(rest), of)
            .into_iter()
            .map(|(first, count, cut)| (n - rest + first, count, cut)),
    );
    all
}

#[cfg(test)]
mod tests;
