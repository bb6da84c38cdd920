//! What libjpeg makes of a progressive file whose fine scans are missing: low frequencies guessed
//! from the DC values of the 5 × 5 blocks around. Upstream: libjpeg-turbo's `jdcoefct.c`,
//! `decompress_smooth_data`.

use super::NATURAL;
use super::header::{Component, Scan};
use super::scan::Block;

/// The DC value and the nine lowest frequencies, in coded order.
const LOW: usize = 10;

/// For each coefficient, in coded order, how many of its low bits are still to come; −1 for all.
pub(super) struct Known([i8; 64]);

impl Default for Known {
    fn default() -> Known {
        Known([-1; 64])
    }
}

impl Known {
    /// A scan has been read.
    pub(super) fn note(&mut self, scan: &Scan) {
        self.0[scan.first..=scan.last].fill(scan.low as i8);
    }
}

/// Whether libjpeg would guess anything in this picture: for all components or for none.
pub(super) fn is_useful<'a>(parts: impl Iterator<Item = (&'a Known, &'a [u16; 64])>) -> bool {
    let mut useful = false;
    for (known, quant) in parts {
        let divides = NATURAL[..LOW].iter().all(|&at| quant[usize::from(at)] != 0);
        if known.0[0] < 0 || !divides {
            return false;
        }
        useful |= known.0[1..LOW].iter().any(|&bits| bits != 0);
    }
    useful
}

/// Weights of the 5 × 5 DC values, row by row, where nothing but the DC values is known: the nine
/// frequencies, then the DC value itself.
#[rustfmt::skip]
const FROM_DC: [[i32; 25]; LOW] = [
    [-1, -1, 0, 1, 1, -3, 13, 0, -13, 3, -3, 38, 0, -38, 3, -3, 13, 0, -13, 3, -1, -1, 0, 1, 1],
    [-1, -3, -3, -3, -1, -1, 13, 38, 13, -1, 0, 0, 0, 0, 0, 1, -13, -38, -13, 1, 1, 3, 3, 3, 1],
    [0, 0, 1, 0, 0, 0, 2, 7, 2, 0, 0, -5, -14, -5, 0, 0, 2, 7, 2, 0, 0, 0, 1, 0, 0],
    [-1, 0, 0, 0, 1, 0, 9, 0, -9, 0, 0, 0, 0, 0, 0, 0, -9, 0, 9, 0, 1, 0, 0, 0, -1],
    [0, 0, 0, 0, 0, 0, 2, -5, 2, 0, 1, 7, -14, 7, 1, 0, 2, -5, 2, 0, 0, 0, 0, 0, 0],
    [0, 0, 0, 0, 0, 0, 1, 0, -1, 0, 0, 2, 0, -2, 0, 0, 1, 0, -1, 0, 0, 0, 0, 0, 0],
    [0, 0, 0, 0, 0, 0, 1, -3, 1, 0, 0, 0, 0, 0, 0, 0, -1, 3, -1, 0, 0, 0, 0, 0, 0],
    [0, 0, 0, 0, 0, 0, 1, 0, -1, 0, 0, -3, 0, 3, 0, 0, 1, 0, -1, 0, 0, 0, 0, 0, 0],
    [0, 0, 0, 0, 0, 0, 1, 2, 1, 0, 0, 0, 0, 0, 0, 0, -1, -2, -1, 0, 0, 0, 0, 0, 0],
    [-2, -6, -8, -6, -2, -6, 6, 42, 6, -6, -8, 42, 152, 42, -8, -6, 6, 42, 6, -6, -2, -6, -8, -6, -2],
];

/// The same for the five lowest frequencies where some of them are known.
#[rustfmt::skip]
const FROM_MORE: [[i32; 25]; 5] = [
    [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, -7, 50, 0, -50, 7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
    [0, 0, -7, 0, 0, 0, 0, 50, 0, 0, 0, 0, 0, 0, 0, 0, 0, -50, 0, 0, 0, 0, 7, 0, 0],
    [0, 0, -1, 0, 0, 0, 0, 13, 0, 0, 0, 0, -24, 0, 0, 0, 0, 13, 0, 0, 0, 0, -1, 0, 0],
    [0, -1, 0, 1, 0, -1, 10, 0, -10, 1, 0, 0, 0, 0, 0, 1, -10, 0, 10, -1, 0, 1, 0, -1, 0],
    [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, -1, 13, -24, 13, -1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
];

/// A component's blocks, to be asked for what they look like with the guesses in.
pub(super) struct Guesses<'a> {
    blocks: &'a [Block],
    component: &'a Component,
    quant: &'a [u16; 64],
    known: &'a Known,
    /// Nothing but DC values is known.
    only_dc: bool,
}

impl<'a> Guesses<'a> {
    pub(super) fn new(
        blocks: &'a [Block],
        component: &'a Component,
        quant: &'a [u16; 64],
        known: &'a Known,
    ) -> Guesses<'a> {
        Guesses {
            blocks,
            component,
            quant,
            known,
            only_dc: known.0[1..LOW].iter().all(|&bits| bits == -1),
        }
    }

    /// Block `i` with its guesses; `None` outside the picture.
    pub(super) fn block(&self, i: usize) -> Option<Block> {
        let (x, y) = (i % self.component.columns, i / self.component.columns);
        let (columns, rows) = (self.component.width.div_ceil(8), self.component.height.div_ceil(8));
        if x >= columns || y >= rows {
            return None;
        }
        let dc = self.around(x, y, columns, rows);
        let guess = |weights: &[i32; 25], step: u16, most: i8| {
            let sum: i64 =
                weights.iter().zip(dc).map(|(&weight, dc)| i64::from(weight) * i64::from(dc)).sum();
            let (sum, step) = (sum * i64::from(self.quant[0]), i64::from(step));
            let size = ((step << 7) + sum.abs()) / (step << 8);
            let size = if most > 0 { size.min((1 << most) - 1) } else { size };
            (if sum < 0 { -size } else { size }) as i16
        };
        let mut block = self.blocks[i];
        let tables = if self.only_dc { &FROM_DC[..LOW - 1] } else { &FROM_MORE[..] };
        for (k, weights) in (1..).zip(tables) {
            let at = usize::from(NATURAL[k]);
            if self.known.0[k] != 0 && block[at] == 0 {
                block[at] = guess(weights, self.quant[at], self.known.0[k]);
            }
        }
        if self.only_dc {
            block[0] = guess(&FROM_DC[LOW - 1], self.quant[0], 0);
        }
        Some(block)
    }

    /// The 5 × 5 DC values around a block; at the edges the outermost again.
    fn around(&self, x: usize, y: usize, columns: usize, rows: usize) -> [i16; 25] {
        // libjpeg counts rows in groups of a component's MCU, and the last group by what is left of
        // it: so it may look at blocks below the picture, or stop a row early.
        let down = self.component.down;
        let groups = self.component.rows / down;
        let (group, inside) = (y / down, y % down);
        let group_rows = if group + 1 < groups { down } else { rows - group * down };
        let (row, end) = (group * group_rows + inside, groups * group_rows);
        let up1 = if row > 0 { y - 1 } else { y };
        let up2 = if row > 1 { y - 2 } else { up1 };
        let down1 = if row + 1 < end { y + 1 } else { y };
        let down2 = if row + 2 < end { y + 2 } else { down1 };
        let across = [
            x.saturating_sub(2),
            x.saturating_sub(1),
            x,
            (x + 1).min(columns - 1),
            (x + 2).min(columns - 1),
        ];
        let mut dc = [0; 25];
        for (row, place) in [up2, up1, y, down1, down2].into_iter().zip(dc.chunks_exact_mut(5)) {
            for (column, value) in across.into_iter().zip(place) {
                *value = self.blocks[row * self.component.columns + column][0];
            }
        }
        dc
    }
}
