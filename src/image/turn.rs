//! Which way up a picture is: EXIF and XMP, and turning it.
//! Upstream: Pillow's `Image.getexif` and `ImageOps.exif_transpose`.

use super::read::Picture;

/// The tag of the orientation.
const ORIENTATION: u64 = 0x0112;

/// EXIF's number for how the picture is turned, from a file's EXIF and XMP blocks: 1 (upright) to
/// 8. Damaged blocks cost the rotation, not the picture.
pub(super) fn orientation(exif: Option<&[u8]>, xmp: Option<&[u8]>) -> u8 {
    let said = exif.and_then(from_exif).or_else(|| xmp.and_then(from_xmp));
    said.and_then(|said| u8::try_from(said).ok()).filter(|said| (1..=8).contains(said)).unwrap_or(1)
}

/// From a TIFF block; `Exif\0\0` may stand before it, even twice.
fn from_exif(block: &[u8]) -> Option<u64> {
    let once = block.strip_prefix(b"Exif\0\0").unwrap_or(block);
    let block = once.strip_prefix(b"Exif\0\0").unwrap_or(once);
    let big = match block.first_chunk()? {
        b"MM\0*" | b"MM*\0" => true,
        b"II*\0" | b"II\0*" => false,
        _ => return None,
    };
    let number = |at: usize, n: usize| -> Option<u64> {
        let bytes = block.get(at..at.checked_add(n)?)?;
        let add = |sum: u64, &byte: &u8| sum << 8 | u64::from(byte);
        Some(if big { bytes.iter().fold(0, add) } else { bytes.iter().rev().fold(0, add) })
    };
    let start = usize::try_from(number(4, 4)?).ok()?;
    let mut said = None;
    for i in 0..usize::try_from(number(start, 2)?).ok()? {
        let at = start + 2 + 12 * i;
        // A directory that is cut is read as far as it goes.
        let Some(tag) = number(at, 12).and_then(|_| number(at, 2)) else { break };
        // SHORT, or LONG by some writers; Pillow takes no other kind for a number.
        let size = match number(at + 2, 2)? {
            3 | 8 => 2,
            4 | 9 => 4,
            _ => continue,
        };
        if tag == ORIENTATION && number(at + 4, 4)? == 1 {
            said = number(at + 8, size);
        }
    }
    said
}

/// From an XMP packet: `tiff:Orientation="6"` or `<tiff:Orientation>6</…`.
fn from_xmp(packet: &[u8]) -> Option<u64> {
    const NAME: &[u8] = b"tiff:Orientation";
    packet.windows(NAME.len() + 3).find_map(|window| {
        let value = window.strip_prefix(NAME)?;
        let digit = value.strip_prefix(b"=\"").or_else(|| value.strip_prefix(b">"))?.first()?;
        digit.is_ascii_digit().then(|| u64::from(digit - b'0'))
    })
}

/// Turns a picture upright. `orientation` 2 to 8.
pub(super) fn upright(picture: Picture, orientation: u8) -> Picture {
    let (width, height) = (picture.width, picture.height);
    // Where the pixel at the upper left comes from, and the steps to the next column and row, in
    // pixels.
    let (last_column, last_row) = (width - 1, (height - 1) * width);
    let (right, down) = (1isize, width as isize);
    let (start, across, along) = match orientation {
        2 => (last_column, -right, down),
        3 => (last_row + last_column, -right, -down),
        4 => (last_row, right, -down),
        5 => (0, down, right),
        6 => (last_row, -down, right),
        7 => (last_row + last_column, -down, -right),
        _ => (last_column, down, -right),
    };
    let (width, height) = if orientation < 5 { (width, height) } else { (height, width) };
    let mut rgb = Vec::with_capacity(picture.rgb.len());
    for y in 0..height {
        let row = start.wrapping_add_signed(along * y as isize);
        for x in 0..width {
            let at = 3 * row.wrapping_add_signed(across * x as isize);
            rgb.extend_from_slice(&picture.rgb[at..at + 3]);
        }
    }
    Picture { rgb, width, height, ..picture }
}
