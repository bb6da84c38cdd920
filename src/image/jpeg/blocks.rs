//! The codes of a scan → coefficients. Upstream: libjpeg-turbo's `jdhuff.c` and `jdphuff.c`.

use super::header::{Part, Scan};
use super::huffman::{Bits, Table};
use super::scan::Block;
use super::{NATURAL, damaged};
use crate::error::{Error, Result};

/// Decoding between two restart markers.
pub(super) struct Run {
    bits: Bits,
    /// The last DC value of each part of the scan.
    previous: [i32; 4],
    /// Blocks still to come in which no new coefficient appears.
    zeros: u32,
}

impl Run {
    /// Begins with the coded data behind a restart marker.
    pub(super) fn new(coded: Vec<u8>) -> Run {
        Run { bits: Bits::new(coded), previous: [0; 4], zeros: 0 }
    }

    /// The buffer of the coded data, to be filled again.
    pub(super) fn into_buffer(self) -> Vec<u8> {
        self.bits.into_bytes()
    }

    /// Fails if more was decoded than there is.
    pub(super) fn check(&self) -> Result<()> {
        if self.bits.overran() { Err(too_short()) } else { Ok(()) }
    }

    fn dc(&mut self, i: usize, table: &Table) -> Option<i32> {
        let n = self.bits.symbol(table)?;
        let value = self.previous[i].wrapping_add(self.bits.number(u32::from(n)));
        self.previous[i] = value;
        Some(value)
    }

    /// A block of a sequential scan, and whether it holds nothing but its DC value.
    #[inline]
    pub(super) fn block(&mut self, i: usize, part: &Part, block: &mut Block) -> Result<bool> {
        let (Some(dc), Some(ac)) = (&part.dc, &part.ac) else { return Err(no_table()) };
        self.sequential(i, dc, ac, block).ok_or_else(bad_code)
    }

    #[inline]
    fn sequential(&mut self, i: usize, dc: &Table, ac: &Table, block: &mut Block) -> Option<bool> {
        block[0] = self.dc(i, dc)? as i16;
        let mut flat = true;
        let mut k = 1;
        while k < 64 {
            let symbol = self.bits.symbol(ac)?;
            let (zeros, n) = (usize::from(symbol >> 4), u32::from(symbol & 15));
            if n == 0 {
                if zeros < 15 {
                    break;
                }
                k += 16;
                continue;
            }
            k += zeros;
            block[usize::from(*NATURAL.get(k)?)] = self.bits.number(n) as i16;
            flat = false;
            k += 1;
        }
        Some(flat)
    }

    /// A block of a progressive scan.
    pub(super) fn progressive_block(
        &mut self,
        i: usize,
        scan: &Scan,
        part: &Part,
        block: &mut Block,
    ) -> Result<()> {
        let decoded = match (scan.first, scan.high) {
            (0, 0) => {
                let table = part.dc.as_deref().ok_or_else(no_table)?;
                self.dc(i, table).map(|value| block[0] = (value << scan.low) as i16)
            }
            (0, _) => {
                block[0] |= i16::from(self.bits.bit()) << scan.low;
                Some(())
            }
            (_, 0) => self.first_bits(scan, part.ac.as_deref().ok_or_else(no_table)?, block),
            _ => self.next_bit(scan, part.ac.as_deref().ok_or_else(no_table)?, block),
        };
        decoded.ok_or_else(bad_code)
    }

    /// Coefficients that no scan has named before.
    fn first_bits(&mut self, scan: &Scan, table: &Table, block: &mut Block) -> Option<()> {
        if self.zeros > 0 {
            self.zeros -= 1;
            return Some(());
        }
        let mut k = scan.first;
        while k <= scan.last {
            let symbol = self.bits.symbol(table)?;
            let (zeros, n) = (usize::from(symbol >> 4), u32::from(symbol & 15));
            if n == 0 && zeros < 15 {
                self.zeros = self.run_of_blocks(zeros) - 1;
                break;
            }
            k += zeros;
            if n > 0 {
                block[usize::from(*NATURAL.get(k)?)] = (self.bits.number(n) << scan.low) as i16;
            }
            k += 1;
        }
        Some(())
    }

    /// One more bit of those that are known, and coefficients of that size.
    fn next_bit(&mut self, scan: &Scan, table: &Table, block: &mut Block) -> Option<()> {
        let step = 1i16 << scan.low;
        let mut k = scan.first;
        if self.zeros == 0 {
            while k <= scan.last {
                let symbol = self.bits.symbol(table)?;
                let (mut zeros, n) = (usize::from(symbol >> 4), symbol & 15);
                let mut fresh = 0;
                if n > 0 {
                    fresh = if self.bits.bit() { step } else { -step };
                } else if zeros < 15 {
                    self.zeros = self.run_of_blocks(zeros);
                    break;
                }
                while k <= scan.last {
                    let value = &mut block[usize::from(NATURAL[k])];
                    if *value != 0 {
                        self.correct(value, step);
                    } else if zeros == 0 {
                        *value = fresh;
                        k += 1;
                        break;
                    } else {
                        zeros -= 1;
                    }
                    k += 1;
                }
            }
        }
        if self.zeros > 0 {
            for &at in &NATURAL[k.min(scan.last + 1)..=scan.last] {
                let value = &mut block[usize::from(at)];
                if *value != 0 {
                    self.correct(value, step);
                }
            }
            self.zeros -= 1;
        }
        Some(())
    }

    fn correct(&mut self, value: &mut i16, step: i16) {
        if self.bits.bit() && *value & step == 0 {
            *value = value.wrapping_add(if *value >= 0 { step } else { -step });
        }
    }

    /// The length of a run of blocks, this one included.
    fn run_of_blocks(&mut self, n: usize) -> u32 {
        (1 << n) + self.bits.raw(n as u32)
    }
}

fn bad_code() -> Error {
    damaged("its coded data make no sense")
}

pub(super) fn too_short() -> Error {
    damaged("its coded data end too early")
}

fn no_table() -> Error {
    damaged("a Huffman table is missing")
}
