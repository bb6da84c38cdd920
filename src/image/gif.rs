//! The first frame of a GIF, on the screen that Pillow gives it. Upstream: Pillow's
//! `GifImagePlugin.py`.

use weezl::{BitOrder, LzwStatus, decode::Configuration};

use super::Reading;
use super::container::{Walk, unreadable};
use super::read::{Decoded, Samples, check_size};
use crate::error::{Error, Result};

/// The first frame and what it needs of the file around it.
pub(super) struct First<'a> {
    /// The logical screen.
    screen: (usize, usize),
    /// The frame's left, top, width and height.
    frame: (usize, usize, usize, usize),
    /// RGB, of the frame and of the file; empty where there is none.
    local: &'a [u8],
    global: &'a [u8],
    transparent: Option<u8>,
    interlaced: bool,
    code_bits: u8,
    coded: Vec<u8>,
}

impl<'a> First<'a> {
    /// Every block up to the trailer; `None` if the file ends before it. The frame may be missing.
    pub(super) fn walk(bytes: &'a [u8]) -> Option<Option<First<'a>>> {
        let mut walk = Walk { bytes, at: 6 };
        let screen = walk.take(7)?;
        let size = |at: &[u8], i: usize| usize::from(u16::from_le_bytes([at[i], at[i + 1]]));
        let global = palette(&mut walk, screen[4])?;
        let mut first = None;
        let mut transparent = None;
        loop {
            match walk.byte()? {
                0x21 => {
                    let is_control = walk.byte()? == 0xF9;
                    if is_control
                        && let Some([4..=255, flags, _, _, index, ..]) = walk.bytes.get(walk.at..)
                    {
                        transparent = (flags & 1 == 1).then_some(*index).or(transparent);
                    }
                    blocks(&mut walk, |_| ())?;
                }
                0x2C => {
                    let head = walk.take(9)?;
                    let local = palette(&mut walk, head[8])?;
                    let code_bits = walk.byte()?;
                    let mut coded = Vec::new();
                    let is_first = first.is_none();
                    blocks(&mut walk, |block| {
                        if is_first {
                            coded.extend_from_slice(block);
                        }
                    })?;
                    first.get_or_insert(First {
                        screen: (size(screen, 0), size(screen, 2)),
                        frame: (size(head, 0), size(head, 2), size(head, 4), size(head, 6)),
                        local,
                        global,
                        transparent,
                        interlaced: head[8] & 0x40 != 0,
                        code_bits,
                        coded,
                    });
                }
                0x3B => return Some(first),
                // Padding between blocks, as some writers leave it.
                _ => {}
            }
        }
    }

    /// The colours of all indices. Those that a palette leaves out are black, as Pillow has them;
    /// without a palette they are greys.
    fn colours(&self, reading: Reading) -> Vec<[u8; 3]> {
        let palette = match reading {
            // Pillow loses a frame's palette where that is a ramp of greys, and shows the file's.
            Reading::Reference | Reading::ReferenceOverWhite if is_ramp(self.local) => self.global,
            _ if self.local.is_empty() => self.global,
            _ => self.local,
        };
        let outside = |index: u8| if is_ramp(palette) { [index; 3] } else { [0; 3] };
        let entry = |index: u8| {
            palette
                .chunks_exact(3)
                .nth(usize::from(index))
                .map(|entry| [entry[0], entry[1], entry[2]])
        };
        (0..=255).map(|index| entry(index).unwrap_or_else(|| outside(index))).collect()
    }

    /// The frame's indices, row by row from the top.
    fn indices(&self) -> Result<Vec<u8>> {
        let (_, _, width, height) = self.frame;
        let n = width * height;
        if n == 0 {
            return Err(damaged("its frame has no pixels"));
        }
        if !(1..=8).contains(&self.code_bits) {
            return Err(damaged("its codes have an impossible size"));
        }
        let mut stored = vec![0; n];
        let mut lzw = Configuration::new(BitOrder::Lsb, self.code_bits)
            .with_yield_on_full_buffer(true)
            .build();
        let (mut read, mut written) = (0, 0);
        while written < n {
            let step = lzw.decode_bytes(&self.coded[read..], &mut stored[written..]);
            read += step.consumed_in;
            written += step.consumed_out;
            match step.status {
                Ok(LzwStatus::Ok) if step.consumed_in + step.consumed_out > 0 => {}
                _ if written == n => {}
                Err(_) => return Err(damaged("its coded data make no sense")),
                Ok(_) => return Err(damaged("its coded data end too early")),
            }
        }
        if !self.interlaced {
            return Ok(stored);
        }
        let mut rows = vec![0; n];
        let passes = [(0, 8), (4, 8), (2, 4), (1, 2)];
        let order = passes.into_iter().flat_map(|(start, step)| (start..height).step_by(step));
        for (y, row) in order.zip(stored.chunks_exact(width)) {
            rows[y * width..][..width].copy_from_slice(row);
        }
        Ok(rows)
    }
}

/// Each entry is the grey of its index; so is a palette without entries.
fn is_ramp(palette: &[u8]) -> bool {
    palette
        .chunks_exact(3)
        .enumerate()
        .all(|(index, entry)| entry.iter().all(|&level| usize::from(level) == index))
}

fn palette<'a>(walk: &mut Walk<'a>, flags: u8) -> Option<&'a [u8]> {
    if flags & 0x80 == 0 {
        return Some(&[]);
    }
    walk.take(3 << ((flags & 7) + 1))
}

fn blocks(walk: &mut Walk, mut each: impl FnMut(&[u8])) -> Option<()> {
    loop {
        match walk.byte()? {
            0 => return Some(()),
            n => each(walk.take(usize::from(n))?),
        }
    }
}

/// The first frame on its screen, which grows where the frame is larger. What the frame does not
/// cover has the transparent colour, or colour 0, for the reference, and is white for people.
pub(super) fn decode(bytes: &[u8], reading: Reading) -> Result<Decoded> {
    let first = First::walk(bytes).flatten().ok_or_else(|| damaged("it holds no frame"))?;
    let (left, top, frame_width, frame_height) = first.frame;
    let width = first.screen.0.max(left + frame_width);
    let height = first.screen.1.max(top + frame_height);
    check_size(width as u64, height as u64)?;
    let indices = first.indices()?;
    let colours = first.colours(reading);
    let ground = match reading {
        Reading::People => [255; 3],
        _ => colours[usize::from(first.transparent.unwrap_or(0))],
    };
    let [r, g, b] = ground;
    // Colour 0 is opaque for a reference that looks at alpha.
    let opaque = reading == Reading::ReferenceOverWhite && first.transparent.is_none();
    let mut samples = [r, g, b, if opaque { 255 } else { 0 }].repeat(width * height);
    for (y, row) in indices.chunks_exact(frame_width).enumerate() {
        let at = ((top + y) * width + left) * 4;
        for (pixel, &index) in samples[at..].chunks_exact_mut(4).zip(row) {
            let [r, g, b] = colours[usize::from(index)];
            let alpha = if first.transparent == Some(index) { 0 } else { 255 };
            pixel.copy_from_slice(&[r, g, b, alpha]);
        }
    }
    Ok(Decoded { samples, kind: Samples::RGBA, width, height, orientation: 1, saturate: false })
}

fn damaged(why: &str) -> Error {
    unreadable(format!("the GIF file is damaged ({why})"))
}
