//! JPEG files → RGB, bit for bit as libjpeg-turbo makes it, and so Pillow.
//!
//! Every sequential and progressive Huffman file of 8 bits is read: any sampling that libjpeg
//! reads, any sharing of the components among scans, restart markers, tables between scans. No Rust
//! library does that today: those that were tried silently read several scans as one, or only a few
//! of the samplings (`docs/pictures.md`). What is left out on purpose is refused by name.
//!
//! segments and tables ([`header`]) → codes ([`huffman`]) → coefficients ([`blocks`]) → samples
//! ([`scan`], [`idct`], [`smooth`]) → rows of full width ([`upsample`]) → RGB ([`colour`]).

mod blocks;
mod colour;
mod header;
mod huffman;
mod idct;
mod scan;
mod smooth;
#[cfg(test)]
mod tests;
mod upsample;

use super::container::unreadable;
use super::read::{Decoded, Samples, check_size};
use super::turn;
use crate::error::{Error, Result};

/// Coefficients in the order in which they are coded → their place in a block of rows.
const NATURAL: [u8; 64] = [
    0, 1, 8, 16, 9, 2, 3, 10, 17, 24, 32, 25, 18, 11, 4, 5, 12, 19, 26, 33, 40, 48, 41, 34, 27, 20,
    13, 6, 7, 14, 21, 28, 35, 42, 49, 56, 57, 50, 43, 36, 29, 22, 15, 23, 30, 37, 44, 51, 58, 59,
    52, 45, 38, 31, 39, 46, 53, 60, 61, 54, 47, 55, 62, 63,
];

/// Blocks that all scans together may code: 16 scans of the largest picture, hundreds of any usual
/// one. A scan of a few bytes can ask for a walk over the whole picture, so their number needs a
/// bound.
const MAX_CODED_BLOCKS: u64 = 1 << 27;

/// Decodes a whole file.
pub(super) fn decode(bytes: &[u8]) -> Result<Decoded> {
    let mut reader = header::Reader::new(bytes);
    let frame = reader.frame()?;
    check_size(frame.width as u64, frame.height as u64)?;
    let mut picture = scan::Picture::new(&frame);
    let mut budget = MAX_CODED_BLOCKS;
    while let Some(scan) = reader.scan(&frame)? {
        budget = budget
            .checked_sub(scan.coded_blocks(&frame))
            .ok_or_else(|| damaged("it has too many scans for its size"))?;
        let used = picture.decode(&frame, &scan, &reader)?;
        reader.skip(used);
    }
    let planes = picture.into_planes(&frame)?;
    let space = colour::Space::of(&frame, &reader);
    let samples = colour::to_rgb(&frame, &planes, space);
    let (width, height) = (frame.width, frame.height);
    let orientation = turn::orientation(reader.exif.as_deref(), reader.xmp);
    Ok(Decoded { samples, kind: Samples::RGB, width, height, orientation, saturate: false })
}

fn damaged(why: &str) -> Error {
    unreadable(format!("the JPEG file is damaged ({why})"))
}

fn unsupported(what: &str) -> Error {
    unreadable(format!(
        "this kind of JPEG file cannot be read ({what}); save it as a usual JPEG or as PNG"
    ))
}
