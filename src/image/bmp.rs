//! BMP, every kind that Pillow reads, with its arithmetic. Upstream: Pillow's `BmpImagePlugin.py`
//! and `Unpack.c`.

use super::Reading;
use super::container::{Walk, unreadable};
use super::read::{Decoded, Samples, check_size};
use crate::error::{Error, Result};

/// What the header says.
struct Header {
    width: usize,
    height: usize,
    /// The first row stored is the upper one.
    from_top: bool,
    bits: u32,
    coding: Coding,
    palette: Vec<[u8; 3]>,
    /// Each entry of the palette is the grey of its index.
    ramp: bool,
    /// Red, green, blue, alpha; for 16 bits and more.
    masks: [Mask; 4],
    /// Where the rows begin.
    start: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Coding {
    Plain,
    Runs,
}

/// The bits of one channel within a pixel.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Mask {
    shift: u32,
    /// The channel's largest value; 0 where there is no such channel.
    most: u32,
}

impl Mask {
    /// `None` where the bits do not lie side by side.
    fn new(bits: u32) -> Option<Mask> {
        if bits == 0 {
            return Some(Mask::default());
        }
        let shift = bits.trailing_zeros();
        let most = bits >> shift;
        (most.trailing_ones() + most.leading_zeros() == 32).then_some(Mask { shift, most })
    }

    /// 0 to 255, rounded down as Pillow does.
    fn level(self, pixel: u32) -> u8 {
        match (pixel >> self.shift & self.most, self.most) {
            (_, 0) => 0,
            (value, 255) => value as u8,
            (value, most) => (u64::from(value) * 255 / u64::from(most)) as u8,
        }
    }
}

/// Decodes a file. For people a picture whose alpha is 0 throughout is opaque: its writer left the
/// bytes unused.
pub(super) fn decode(bytes: &[u8], reading: Reading) -> Result<Decoded> {
    let header = Header::read(bytes)?;
    let (width, height) = (header.width, header.height);
    let data = bytes.get(header.start..).unwrap_or_default();
    let has_alpha = header.masks[3].most != 0;
    let kind = if has_alpha { Samples::RGBA } else { Samples::RGB };
    let mut samples = vec![0; width * height * kind.channels];
    let row_bytes = width * kind.channels;
    let indices = if header.coding == Coding::Runs { header.runs(data)? } else { Vec::new() };
    let stride = (width * header.bits as usize).div_ceil(32) * 4;
    for i in 0..height {
        let y = if header.from_top { i } else { height - 1 - i };
        let out = &mut samples[y * row_bytes..][..row_bytes];
        if header.coding == Coding::Runs {
            header.colours(indices[i * width..][..width].iter().copied(), out);
            continue;
        }
        let row =
            data.get(i * stride..).and_then(|rest| rest.get(..stride)).ok_or_else(truncated)?;
        match header.bits {
            1 | 2 | 4 | 8 => header.colours(unpack(row, header.bits), out),
            _ => header.pixels(row, out, kind.channels),
        }
    }
    if has_alpha && reading == Reading::People && samples.chunks_exact(4).all(|pixel| pixel[3] == 0)
    {
        for pixel in samples.chunks_exact_mut(4) {
            pixel[3] = 255;
        }
    }
    Ok(Decoded { samples, kind, width, height, orientation: 1, saturate: false })
}

/// Indices of 1, 2, 4 or 8 bits, the leftmost in the highest.
fn unpack(row: &[u8], bits: u32) -> impl Iterator<Item = u8> + '_ {
    let per_byte = 8 / bits;
    let mask = (0xFFu8) >> (8 - bits);
    row.iter()
        .flat_map(move |&byte| (0..per_byte).map(move |i| byte >> (8 - bits * (i + 1)) & mask))
}

impl Header {
    fn read(bytes: &[u8]) -> Result<Header> {
        let mut walk = Walk { bytes, at: 10 };
        let offset = number(&mut walk, 4)? as usize;
        let size = number(&mut walk, 4)? as usize;
        if !matches!(size, 12 | 40 | 52 | 56 | 64 | 108 | 124) {
            return Err(unsupported(&format!("a header of {size} bytes")));
        }
        let body = walk.take(size - 4).ok_or_else(truncated)?;
        let field = |at: usize, n: usize| body.get(at..at + n).map_or(0, little);
        let old = size == 12;
        let (width, height) =
            if old { (field(0, 2), field(2, 2)) } else { (field(0, 4), field(4, 4)) };
        let (bits, compression) = if old { (field(6, 2), 0) } else { (field(10, 2), field(12, 4)) };
        let from_top = !old && height.cast_signed() < 0;
        let height = if from_top { height.wrapping_neg() } else { height };
        check_size(u64::from(width), u64::from(height))?;
        let coding = match (compression, bits) {
            (0, 1 | 2 | 4 | 8 | 16 | 24 | 32) => Coding::Plain,
            (1, 8) | (2, 4) => Coding::Runs,
            (3, 16 | 24 | 32) if size != 64 => Coding::Plain,
            (3 | 4, _) if size == 64 => return Err(unsupported("OS/2 compression")),
            (4, _) => return Err(unsupported("a JPEG inside")),
            (5, _) => return Err(unsupported("a PNG inside")),
            _ => {
                return Err(unsupported(&format!(
                    "{bits} bits a pixel with compression {compression}"
                )));
            }
        };
        let masks = match compression {
            3 => Header::masks(&mut walk, body)?,
            _ => Header::usual_masks(bits),
        };
        let entry = if old { 3 } else { 4 };
        let used = field(28, 4) as usize;
        let n_colours = if used == 0 { 1 << bits.min(8) } else { used };
        let mut palette = Vec::new();
        let mut start = offset;
        if bits <= 8 {
            if n_colours > 65536 {
                return Err(damaged("its palette is too long"));
            }
            let entries = walk.take(n_colours * entry).ok_or_else(truncated)?;
            palette = entries.chunks_exact(entry).take(256).map(|c| [c[2], c[1], c[0]]).collect();
            // A writer that forgot its palette when it counted.
            if offset == 14 + size {
                start += entry * n_colours;
            }
        }
        let start = if start == 0 { walk.at } else { start };
        let ramp = palette
            .iter()
            .enumerate()
            .all(|(index, entry)| entry.iter().all(|&level| usize::from(level) == index));
        Ok(Header {
            width: width as usize,
            height: height as usize,
            from_top,
            bits,
            coding,
            palette,
            ramp,
            masks,
            start,
        })
    }

    /// Masks that the file states: in the header, or right behind the short one.
    fn masks(walk: &mut Walk, body: &[u8]) -> Result<[Mask; 4]> {
        let mut bits = [0; 4];
        let stated = if body.len() >= 52 { 4 } else { 3 };
        for (i, bits) in bits.iter_mut().take(stated).enumerate() {
            *bits = match body.get(36 + 4 * i..40 + 4 * i) {
                Some(field) => little(field),
                None => number(walk, 4)?,
            };
        }
        if bits == [0; 4] {
            return Ok(Header::usual_masks(32)
                .map(|mask| if mask.most == 0 { Mask { shift: 24, most: 255 } } else { mask }));
        }
        let mut masks = [Mask::default(); 4];
        for (mask, bits) in masks.iter_mut().zip(bits) {
            *mask = Mask::new(bits).ok_or_else(|| unsupported("channels whose bits lie apart"))?;
        }
        Ok(masks)
    }

    fn usual_masks(bits: u32) -> [Mask; 4] {
        let rgb = |r, g, b, most| {
            [(r, most), (g, most), (b, most), (0, 0)].map(|(shift, most)| Mask { shift, most })
        };
        if bits == 16 { rgb(10, 5, 0, 31) } else { rgb(16, 8, 0, 255) }
    }

    fn colours(&self, indices: impl Iterator<Item = u8>, out: &mut [u8]) {
        for (pixel, index) in out.chunks_exact_mut(3).zip(indices) {
            // What a short palette leaves out is black, as Pillow has it, or goes on where it is a
            // ramp of greys.
            let outside = if self.ramp { [index; 3] } else { [0; 3] };
            pixel.copy_from_slice(self.palette.get(usize::from(index)).unwrap_or(&outside));
        }
    }

    fn pixels(&self, row: &[u8], out: &mut [u8], channels: usize) {
        let each = |pixel: u32, out: &mut [u8]| {
            for (value, mask) in out.iter_mut().zip(&self.masks) {
                *value = mask.level(pixel);
            }
        };
        let pixels = out.chunks_exact_mut(channels);
        match self.bits {
            16 => pixels
                .zip(row.chunks_exact(2))
                .for_each(|(out, p)| each(u32::from_le_bytes([p[0], p[1], 0, 0]), out)),
            24 => pixels
                .zip(row.chunks_exact(3))
                .for_each(|(out, p)| each(u32::from_le_bytes([p[0], p[1], p[2], 0]), out)),
            _ => pixels
                .zip(row.chunks_exact(4))
                .for_each(|(out, p)| each(u32::from_le_bytes([p[0], p[1], p[2], p[3]]), out)),
        }
    }

    /// Run-length coded indices, in the order of the rows in the file. What is skipped has index 0.
    fn runs(&self, data: &[u8]) -> Result<Vec<u8>> {
        let n = self.width * self.height;
        let four = self.bits == 4;
        let mut walk = Walk { bytes: data, at: 0 };
        let mut out: Vec<u8> = Vec::new();
        let mut x = 0;
        while out.len() < n {
            let (count, value) = match (walk.byte(), walk.byte()) {
                (Some(count), Some(value)) => (usize::from(count), value),
                _ => return Err(truncated()),
            };
            match (count, value) {
                (1.., _) => {
                    let count = count.min(self.width.saturating_sub(x));
                    let pair = if four { [value >> 4, value & 15] } else { [value; 2] };
                    out.extend((0..count).map(|i| pair[i % 2]));
                    x += count;
                }
                (0, 0) => {
                    out.resize(out.len().next_multiple_of(self.width), 0);
                    x = 0;
                }
                // The end: rows that are missing have colour 0.
                (0, 1) => break,
                (0, 2) => {
                    let jump = walk.take(2).ok_or_else(truncated)?;
                    let skipped = usize::from(jump[0]) + usize::from(jump[1]) * self.width;
                    out.resize((out.len() + skipped).min(n), 0);
                    x = out.len() % self.width;
                }
                (0, count) => {
                    let count = usize::from(count);
                    let wanted = count.min(n - out.len());
                    let stored = if four { wanted.div_ceil(2) } else { wanted };
                    let bytes = walk.take(stored).ok_or_else(truncated)?;
                    if four {
                        out.extend(
                            bytes.iter().flat_map(|&byte| [byte >> 4, byte & 15]).take(wanted),
                        );
                    } else {
                        out.extend_from_slice(bytes);
                    }
                    x += count;
                    // Padding to two bytes, counted from the start of the file.
                    walk.at += (self.start + walk.at) % 2;
                }
            }
        }
        out.resize(n, 0);
        Ok(out)
    }
}

fn little(bytes: &[u8]) -> u32 {
    bytes.iter().rev().fold(0, |sum, &byte| sum << 8 | u32::from(byte))
}

fn number(walk: &mut Walk, n: usize) -> Result<u32> {
    walk.take(n).map(little).ok_or_else(truncated)
}

fn truncated() -> Error {
    unreadable("the BMP file is truncated, its end is missing")
}

fn damaged(why: &str) -> Error {
    unreadable(format!("the BMP file is damaged ({why})"))
}

fn unsupported(what: &str) -> Error {
    unreadable(format!("this kind of BMP file cannot be read ({what}); save it as PNG"))
}
