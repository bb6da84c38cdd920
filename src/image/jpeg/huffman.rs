//! Huffman tables and the bits of a scan. Upstream: libjpeg-turbo's `jdhuff.c`.

/// Codes of up to this many bits are found with one look.
const LOOK_BITS: u32 = 9;

/// A table of codes.
#[derive(Clone)]
pub(super) struct Table {
    /// The next [`LOOK_BITS`] bits → the code's length, 8 bits up, and its symbol; 0 where the code
    /// is longer.
    look: [u16; 1 << LOOK_BITS],
    /// For each length, one more than its largest code, moved to the top of 16 bits.
    ends: [u32; 17],
    /// For each length, what to add to a code for its place in `symbols`.
    offsets: [i32; 17],
    symbols: [u8; 256],
}

impl Table {
    /// From the number of codes of each length, and the symbols in order; `None` where no such code
    /// exists.
    pub(super) fn new(counts: &[u8; 16], symbols: &[u8], is_dc: bool) -> Option<Table> {
        if symbols.len() > 256 || is_dc && symbols.iter().any(|&symbol| symbol > 15) {
            return None;
        }
        let mut table =
            Table { look: [0; 1 << LOOK_BITS], ends: [0; 17], offsets: [0; 17], symbols: [0; 256] };
        table.symbols[..symbols.len()].copy_from_slice(symbols);
        let (mut code, mut at) = (0u32, 0usize);
        for length in 1..=16 {
            let count = u32::from(counts[length as usize - 1]);
            table.offsets[length as usize] = i32::try_from(at).ok()? - i32::try_from(code).ok()?;
            for _ in 0..count {
                if code >> length != 0 {
                    return None;
                }
                if length <= LOOK_BITS {
                    let spread = LOOK_BITS - length;
                    let entry = u16::try_from(length).ok()? << 8 | u16::from(*symbols.get(at)?);
                    table.look[(code << spread) as usize..][..1 << spread].fill(entry);
                }
                code += 1;
                at += 1;
            }
            table.ends[length as usize] = code << (16 - length);
            code <<= 1;
        }
        Some(table)
    }
}

/// The tables of a file, by slot.
pub(super) type Tables = [Option<Box<Table>>; 4];

/// The tables, for DC and AC values, that files of single video frames leave out (T.81, annex K).
pub(super) fn standard() -> (Tables, Tables) {
    let make =
        |counts: [u8; 16], symbols: &[u8], is_dc| Table::new(&counts, symbols, is_dc).map(Box::new);
    let numbers: [u8; 12] = std::array::from_fn(|i| i as u8);
    let dc_luma = make([0, 1, 5, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0, 0], &numbers, true);
    let dc_chroma = make([0, 3, 1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0], &numbers, true);
    let ac_luma = make([0, 2, 1, 3, 3, 2, 4, 3, 5, 5, 4, 4, 0, 0, 1, 0x7D], &AC_LUMA, false);
    let ac_chroma = make([0, 2, 1, 2, 4, 4, 3, 4, 7, 5, 4, 4, 0, 1, 2, 0x77], &AC_CHROMA, false);
    ([dc_luma, dc_chroma, None, None], [ac_luma, ac_chroma, None, None])
}

#[rustfmt::skip]
const AC_LUMA: [u8; 162] = [
    0x01, 0x02, 0x03, 0x00, 0x04, 0x11, 0x05, 0x12, 0x21, 0x31, 0x41, 0x06, 0x13, 0x51, 0x61, 0x07, 0x22, 0x71, 0x14, 0x32, 0x81, 0x91, 0xA1, 0x08,
    0x23, 0x42, 0xB1, 0xC1, 0x15, 0x52, 0xD1, 0xF0, 0x24, 0x33, 0x62, 0x72, 0x82, 0x09, 0x0A, 0x16, 0x17, 0x18, 0x19, 0x1A, 0x25, 0x26, 0x27, 0x28,
    0x29, 0x2A, 0x34, 0x35, 0x36, 0x37, 0x38, 0x39, 0x3A, 0x43, 0x44, 0x45, 0x46, 0x47, 0x48, 0x49, 0x4A, 0x53, 0x54, 0x55, 0x56, 0x57, 0x58, 0x59,
    0x5A, 0x63, 0x64, 0x65, 0x66, 0x67, 0x68, 0x69, 0x6A, 0x73, 0x74, 0x75, 0x76, 0x77, 0x78, 0x79, 0x7A, 0x83, 0x84, 0x85, 0x86, 0x87, 0x88, 0x89,
    0x8A, 0x92, 0x93, 0x94, 0x95, 0x96, 0x97, 0x98, 0x99, 0x9A, 0xA2, 0xA3, 0xA4, 0xA5, 0xA6, 0xA7, 0xA8, 0xA9, 0xAA, 0xB2, 0xB3, 0xB4, 0xB5, 0xB6,
    0xB7, 0xB8, 0xB9, 0xBA, 0xC2, 0xC3, 0xC4, 0xC5, 0xC6, 0xC7, 0xC8, 0xC9, 0xCA, 0xD2, 0xD3, 0xD4, 0xD5, 0xD6, 0xD7, 0xD8, 0xD9, 0xDA, 0xE1, 0xE2,
    0xE3, 0xE4, 0xE5, 0xE6, 0xE7, 0xE8, 0xE9, 0xEA, 0xF1, 0xF2, 0xF3, 0xF4, 0xF5, 0xF6, 0xF7, 0xF8, 0xF9, 0xFA,
];

#[rustfmt::skip]
const AC_CHROMA: [u8; 162] = [
    0x00, 0x01, 0x02, 0x03, 0x11, 0x04, 0x05, 0x21, 0x31, 0x06, 0x12, 0x41, 0x51, 0x07, 0x61, 0x71, 0x13, 0x22, 0x32, 0x81, 0x08, 0x14, 0x42, 0x91,
    0xA1, 0xB1, 0xC1, 0x09, 0x23, 0x33, 0x52, 0xF0, 0x15, 0x62, 0x72, 0xD1, 0x0A, 0x16, 0x24, 0x34, 0xE1, 0x25, 0xF1, 0x17, 0x18, 0x19, 0x1A, 0x26,
    0x27, 0x28, 0x29, 0x2A, 0x35, 0x36, 0x37, 0x38, 0x39, 0x3A, 0x43, 0x44, 0x45, 0x46, 0x47, 0x48, 0x49, 0x4A, 0x53, 0x54, 0x55, 0x56, 0x57, 0x58,
    0x59, 0x5A, 0x63, 0x64, 0x65, 0x66, 0x67, 0x68, 0x69, 0x6A, 0x73, 0x74, 0x75, 0x76, 0x77, 0x78, 0x79, 0x7A, 0x82, 0x83, 0x84, 0x85, 0x86, 0x87,
    0x88, 0x89, 0x8A, 0x92, 0x93, 0x94, 0x95, 0x96, 0x97, 0x98, 0x99, 0x9A, 0xA2, 0xA3, 0xA4, 0xA5, 0xA6, 0xA7, 0xA8, 0xA9, 0xAA, 0xB2, 0xB3, 0xB4,
    0xB5, 0xB6, 0xB7, 0xB8, 0xB9, 0xBA, 0xC2, 0xC3, 0xC4, 0xC5, 0xC6, 0xC7, 0xC8, 0xC9, 0xCA, 0xD2, 0xD3, 0xD4, 0xD5, 0xD6, 0xD7, 0xD8, 0xD9, 0xDA,
    0xE2, 0xE3, 0xE4, 0xE5, 0xE6, 0xE7, 0xE8, 0xE9, 0xEA, 0xF2, 0xF3, 0xF4, 0xF5, 0xF6, 0xF7, 0xF8, 0xF9, 0xFA,
];

/// The coded bits between two restart markers, most significant first.
pub(super) struct Bits {
    bytes: Vec<u8>,
    at: usize,
    /// The next bits, at the top; those below `n` are zeros.
    next: u64,
    n: u32,
    /// Zero bits put behind the end of the data.
    padded: u32,
}

impl Bits {
    /// `bytes` without stuffing.
    pub(super) fn new(bytes: Vec<u8>) -> Bits {
        Bits { bytes, at: 0, next: 0, n: 0, padded: 0 }
    }

    /// Gives the buffer back.
    pub(super) fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    /// More bits were taken than there are.
    pub(super) fn overran(&self) -> bool {
        self.padded > self.n
    }

    /// At least 32 bits are ready after this: enough for a code and the number behind it.
    #[inline(always)]
    fn fill(&mut self) {
        if self.n >= 32 {
            return;
        }
        if let Some(eight) = self.bytes.get(self.at..).and_then(|rest| rest.first_chunk()) {
            let taken = (63 - self.n) >> 3;
            let kept = u64::from_be_bytes(*eight) & !(u64::MAX >> (8 * taken));
            self.next |= kept >> self.n;
            self.at += taken as usize;
            self.n += 8 * taken;
        } else {
            self.fill_at_end();
        }
    }

    #[cold]
    fn fill_at_end(&mut self) {
        while self.n <= 48 {
            match self.bytes.get(self.at) {
                Some(&byte) => self.next |= u64::from(byte) << (56 - self.n),
                None => self.padded = (self.padded + 8).min(1 << 16),
            }
            self.at += 1;
            self.n += 8;
        }
    }

    #[inline(always)]
    fn skip(&mut self, n: u32) {
        self.next <<= n;
        self.n -= n;
    }

    /// The next symbol, with at least 16 bits ready behind it; `None` for bits that are no code.
    #[inline(always)]
    pub(super) fn symbol(&mut self, table: &Table) -> Option<u8> {
        self.fill();
        let found = table.look[(self.next >> (64 - LOOK_BITS)) as usize];
        if found != 0 {
            self.skip(u32::from(found >> 8));
            return Some((found & 255) as u8);
        }
        self.long_symbol(table)
    }

    fn long_symbol(&mut self, table: &Table) -> Option<u8> {
        let sixteen = (self.next >> 48) as u32;
        let length = (LOOK_BITS + 1..=16).find(|&length| sixteen < table.ends[length as usize])?;
        let code = i32::try_from(sixteen >> (16 - length)).ok()?;
        self.skip(length);
        let place = usize::try_from(code + table.offsets[length as usize]).ok()?;
        table.symbols.get(place).copied()
    }

    /// The number of `n` bits behind a symbol: negative where its first bit is 0.
    #[inline(always)]
    pub(super) fn number(&mut self, n: u32) -> i32 {
        if n == 0 {
            return 0;
        }
        let raw = (self.next >> (64 - n)) as i32;
        let negative = (self.next >> 63) ^ 1;
        self.skip(n);
        raw - (negative as i32) * ((1 << n) - 1)
    }

    /// `n` bits behind a symbol, as they are.
    pub(super) fn raw(&mut self, n: u32) -> u32 {
        if n == 0 {
            return 0;
        }
        let raw = (self.next >> (64 - n)) as u32;
        self.skip(n);
        raw
    }

    /// One bit.
    #[inline(always)]
    pub(super) fn bit(&mut self) -> bool {
        self.fill();
        let bit = self.next >> 63 == 1;
        self.skip(1);
        bit
    }
}
