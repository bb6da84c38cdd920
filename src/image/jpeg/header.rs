//! A JPEG's segments: the frame, the tables, and where each scan begins.
//! Upstream: libjpeg-turbo's `jdmarker.c` and `jdinput.c`.

use super::huffman::{self, Table, Tables};
use super::{damaged, unsupported};
use crate::error::Result;

/// The most blocks of an MCU that the standard allows.
const MAX_BLOCKS_IN_MCU: usize = 10;

/// The start-of-frame segment, and the sizes that follow from it.
pub(super) struct Frame {
    pub(super) width: usize,
    pub(super) height: usize,
    pub(super) progressive: bool,
    pub(super) components: Vec<Component>,
    /// The largest sampling factors, across and down.
    pub(super) most: (usize, usize),
}

/// One of the planes that a picture is stored as.
pub(super) struct Component {
    pub(super) id: u8,
    /// Sampling factors, across and down.
    pub(super) across: usize,
    pub(super) down: usize,
    /// The slot of its quantisation table.
    quant: usize,
    /// Samples that belong to the picture.
    pub(super) width: usize,
    pub(super) height: usize,
    /// Blocks, up to whole MCUs of the frame.
    pub(super) columns: usize,
    pub(super) rows: usize,
}

/// One start-of-scan segment, with the tables that hold for it.
pub(super) struct Scan {
    pub(super) parts: Vec<Part>,
    /// The first and last coefficient, in coded order.
    pub(super) first: usize,
    pub(super) last: usize,
    /// The bits that earlier scans have brought, and those left to later ones.
    pub(super) high: u32,
    pub(super) low: u32,
    /// MCUs between restart markers; 0 for none.
    pub(super) restart: usize,
}

/// A component in a scan.
pub(super) struct Part {
    /// Its index in the frame.
    pub(super) component: usize,
    pub(super) dc: Option<Box<Table>>,
    pub(super) ac: Option<Box<Table>>,
    /// Steps in natural order.
    pub(super) quant: [u16; 64],
}

impl Scan {
    /// Blocks that the scan codes.
    pub(super) fn coded_blocks(&self, frame: &Frame) -> u64 {
        let blocks = |part: &Part| {
            let component = &frame.components[part.component];
            component.columns as u64 * component.rows as u64
        };
        self.parts.iter().map(blocks).sum()
    }
}

/// Walks a file's segments and keeps what they define.
pub(super) struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
    /// A JFIF segment was there.
    pub(super) jfif: bool,
    /// The colour transform that an Adobe segment names.
    pub(super) adobe: Option<u8>,
    /// The EXIF segments, joined.
    pub(super) exif: Option<Vec<u8>>,
    pub(super) xmp: Option<&'a [u8]>,
    quants: [Option<[u16; 64]>; 4],
    dc: Tables,
    ac: Tables,
    restart: usize,
}

impl<'a> Reader<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Reader<'a> {
        let (dc, ac) = huffman::standard();
        Reader {
            bytes,
            at: 2,
            jfif: false,
            adobe: None,
            exif: None,
            xmp: None,
            quants: [None; 4],
            dc,
            ac,
            restart: 0,
        }
    }

    /// The coded data from here on.
    pub(super) fn rest(&self) -> &'a [u8] {
        &self.bytes[self.at..]
    }

    /// Moves behind coded data.
    pub(super) fn skip(&mut self, n: usize) {
        self.at += n;
    }

    /// Reads up to the start of the frame.
    pub(super) fn frame(&mut self) -> Result<Frame> {
        loop {
            let (marker, body) =
                self.segment()?.ok_or_else(|| damaged("it ends before its picture begins"))?;
            match marker {
                0xC0..=0xC2 => return Frame::new(marker == 0xC2, body),
                0xC3 => return Err(unsupported("lossless JPEG")),
                0xC5..=0xC7 | 0xCD..=0xCF | 0xDE | 0xDF => {
                    return Err(unsupported("hierarchical JPEG"));
                }
                0xC9..=0xCB => return Err(unsupported("arithmetic coding")),
                0xF7 => return Err(unsupported("JPEG-LS")),
                0xDA => return Err(damaged("a scan comes before the frame")),
                _ => self.table(marker, body)?,
            }
        }
    }

    /// Reads up to the next scan; `None` at the end of the picture.
    pub(super) fn scan(&mut self, frame: &Frame) -> Result<Option<Scan>> {
        loop {
            let Some((marker, body)) = self.segment()? else { return Ok(None) };
            match marker {
                0xDA => return self.start_scan(frame, body).map(Some),
                0xC0..=0xC3 | 0xC5..=0xCB | 0xCD..=0xCF => {
                    return Err(damaged("it has a second frame"));
                }
                0xDC => return Err(unsupported("the height after the picture")),
                _ => self.table(marker, body)?,
            }
        }
    }

    /// The next segment with a body; `None` at the end of the image.
    fn segment(&mut self) -> Result<Option<(u8, &'a [u8])>> {
        let short = || damaged("a segment is cut");
        loop {
            let skipped = self.rest().iter().position(|&byte| byte == 0xFF).ok_or_else(short)?;
            self.at += skipped + 1;
            while self.bytes.get(self.at) == Some(&0xFF) {
                self.at += 1;
            }
            let marker = *self.bytes.get(self.at).ok_or_else(short)?;
            self.at += 1;
            match marker {
                0x00 | 0x01 | 0xD0..=0xD8 => continue,
                0xD9 => return Ok(None),
                _ => {}
            }
            let [high, low, rest @ ..] = self.rest() else { return Err(short()) };
            let length = usize::from(u16::from_be_bytes([*high, *low]));
            let body = length.checked_sub(2).and_then(|n| rest.get(..n)).ok_or_else(short)?;
            self.at += length;
            return Ok(Some((marker, body)));
        }
    }

    /// Segments that define something for what follows; all others are passed over.
    fn table(&mut self, marker: u8, body: &'a [u8]) -> Result<()> {
        match marker {
            0xC4 => self.huffman(body),
            0xCC => Err(unsupported("arithmetic coding")),
            0xDB => self.quantisation(body),
            0xDD => {
                let [high, low] = *body else {
                    return Err(damaged("a restart interval of the wrong length"));
                };
                self.restart = usize::from(u16::from_be_bytes([high, low]));
                Ok(())
            }
            0xE0 => {
                self.jfif |= body.len() >= 14 && body.starts_with(b"JFIF\0");
                Ok(())
            }
            0xE1 => {
                self.metadata(body);
                Ok(())
            }
            0xEE => {
                if body.len() >= 12 && body.starts_with(b"Adobe") {
                    self.adobe = Some(body[11]);
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn metadata(&mut self, body: &'a [u8]) {
        if let Some(block) = body.strip_prefix(b"Exif\0\0") {
            self.exif.get_or_insert_default().extend_from_slice(block);
        } else if let Some(packet) = body.strip_prefix(b"http://ns.adobe.com/xap/1.0/\0") {
            self.xmp = Some(packet);
        }
    }

    fn huffman(&mut self, mut body: &[u8]) -> Result<()> {
        let wrong = || damaged("a Huffman table is cut");
        while let [slot, rest @ ..] = body {
            let (counts, rest) = rest.split_first_chunk::<16>().ok_or_else(wrong)?;
            let n = counts.iter().map(|&count| usize::from(count)).sum();
            let symbols = rest.get(..n).ok_or_else(wrong)?;
            let is_dc = slot >> 4 == 0;
            let table = Table::new(counts, symbols, is_dc)
                .ok_or_else(|| damaged("a Huffman table contradicts itself"))?;
            let tables = if is_dc { &mut self.dc } else { &mut self.ac };
            let place = tables.get_mut(usize::from(slot & 15)).filter(|_| slot >> 4 < 2);
            *place.ok_or_else(|| damaged("a Huffman table has no such slot"))? =
                Some(Box::new(table));
            body = &rest[n..];
        }
        Ok(())
    }

    fn quantisation(&mut self, mut body: &[u8]) -> Result<()> {
        let wrong = || damaged("a quantisation table is cut");
        while let [slot, rest @ ..] = body {
            let wide = slot >> 4 != 0;
            let n = if wide { 128 } else { 64 };
            let steps = rest.get(..n).ok_or_else(wrong)?;
            let mut table = [0; 64];
            for (k, &at) in super::NATURAL.iter().enumerate() {
                let step = if wide {
                    u16::from_be_bytes([steps[2 * k], steps[2 * k + 1]])
                } else {
                    u16::from(steps[k])
                };
                table[usize::from(at)] = step;
            }
            let place = self.quants.get_mut(usize::from(slot & 15));
            *place.ok_or_else(|| damaged("a quantisation table has no such slot"))? = Some(table);
            body = &rest[n..];
        }
        Ok(())
    }

    fn start_scan(&self, frame: &Frame, body: &[u8]) -> Result<Scan> {
        let wrong = || damaged("the start of a scan is wrong");
        let (&n, rest) = body.split_first().ok_or_else(wrong)?;
        let n = usize::from(n);
        let (chosen, rest) = rest.split_at_checked(2 * n).ok_or_else(wrong)?;
        let &[first, last, approximation] = rest else { return Err(wrong()) };
        if !(1..=4).contains(&n) {
            return Err(wrong());
        }
        let mut scan = Scan {
            parts: Vec::with_capacity(n),
            first: usize::from(first),
            last: usize::from(last),
            high: u32::from(approximation >> 4),
            low: u32::from(approximation & 15),
            restart: self.restart,
        };
        if frame.progressive {
            scan.check_progression(n)?;
        } else {
            (scan.first, scan.last, scan.high, scan.low) = (0, 63, 0, 0);
        }
        for choice in chosen.chunks_exact(2) {
            let taken = |i: usize| scan.parts.iter().any(|part: &Part| part.component == i);
            let component = (0..frame.components.len())
                .find(|&i| frame.components[i].id == choice[0] && !taken(i));
            let part = self.part(
                frame,
                &scan,
                component.ok_or_else(|| damaged("a scan names no component"))?,
                choice[1],
            )?;
            scan.parts.push(part);
        }
        let blocks: usize = scan
            .parts
            .iter()
            .map(|part| &frame.components[part.component])
            .map(|c| c.across * c.down)
            .sum();
        if n > 1 && blocks > MAX_BLOCKS_IN_MCU {
            return Err(damaged("a scan holds too many blocks at once"));
        }
        Ok(scan)
    }

    fn part(&self, frame: &Frame, scan: &Scan, component: usize, slots: u8) -> Result<Part> {
        let missing = || damaged("a Huffman table is missing");
        let table = |tables: &Tables, slot: u8| {
            tables.get(usize::from(slot)).and_then(Clone::clone).ok_or_else(missing)
        };
        let needs_dc = scan.first == 0 && scan.high == 0;
        let quant = self.quants.get(frame.components[component].quant).copied().flatten();
        Ok(Part {
            component,
            dc: if needs_dc { Some(table(&self.dc, slots >> 4)?) } else { None },
            ac: if scan.last > 0 { Some(table(&self.ac, slots & 15)?) } else { None },
            quant: quant.ok_or_else(|| damaged("a quantisation table is missing"))?,
        })
    }
}

impl Scan {
    /// What a progressive scan may say of itself.
    fn check_progression(&self, n: usize) -> Result<()> {
        let dc = self.first == 0 && self.last == 0;
        let ac = self.first >= 1 && self.last >= self.first && self.last <= 63 && n == 1;
        let refines = self.high == 0 || self.high == self.low + 1;
        if (dc || ac) && refines && self.low <= 13 {
            Ok(())
        } else {
            Err(damaged("a progressive scan contradicts itself"))
        }
    }
}

impl Frame {
    fn new(progressive: bool, body: &[u8]) -> Result<Frame> {
        let wrong = || damaged("the start of the frame is wrong");
        let &[precision, h1, h0, w1, w0, n, ref rest @ ..] = body else { return Err(wrong()) };
        let (width, height) =
            (usize::from(u16::from_be_bytes([w1, w0])), usize::from(u16::from_be_bytes([h1, h0])));
        let n = usize::from(n);
        if precision != 8 {
            return Err(unsupported(&format!("{precision}-bit samples")));
        }
        if height == 0 && width > 0 {
            return Err(unsupported("the height after the picture"));
        }
        if !matches!(n, 1 | 3 | 4) {
            return Err(unsupported(&format!("{n} components")));
        }
        if rest.len() != 3 * n {
            return Err(wrong());
        }
        let factors = |part: &[u8]| (usize::from(part[1] >> 4), usize::from(part[1] & 15));
        let most = rest
            .chunks_exact(3)
            .map(factors)
            .fold((1, 1), |most, f| (most.0.max(f.0), most.1.max(f.1)));
        let mut components = Vec::with_capacity(n);
        for part in rest.chunks_exact(3) {
            let (across, down) = factors(part);
            if !(1..=4).contains(&across) || !(1..=4).contains(&down) {
                return Err(wrong());
            }
            if !most.0.is_multiple_of(across) || !most.1.is_multiple_of(down) {
                return Err(unsupported("fractional sampling"));
            }
            components.push(Component {
                id: part[0],
                across,
                down,
                quant: usize::from(part[2]),
                width: (width * across).div_ceil(most.0),
                height: (height * down).div_ceil(most.1),
                columns: width.div_ceil(8 * most.0) * across,
                rows: height.div_ceil(8 * most.1) * down,
            });
        }
        Ok(Frame { width, height, progressive, components, most })
    }
}
