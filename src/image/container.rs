//! The kind of a file, and whether it is complete.
//!
//! The decoders differ in what they do with half a file (JPEG fills the rest with grey, GIF stops
//! after the first frame), so completeness is checked here, once, by walking the file's own
//! structure; no pixel is decoded.

use super::gif;
use crate::error::{Error, Result};

/// The formats that can be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    Jpeg,
    Png,
    Gif,
    WebP,
    Bmp,
}

/// The picture formats that can be read, in words for messages.
const READABLE: &str = "JPEG, PNG, WebP, GIF and BMP can be read";

/// What the bytes say they are: the format, and that the file reaches its own end.
pub(super) fn inspect(bytes: &[u8]) -> Result<Format> {
    if bytes.is_empty() {
        return Err(unreadable("the file is empty"));
    }
    let (format, name, complete) = match bytes {
        [0xFF, 0xD8, ..] => (Format::Jpeg, "JPEG", jpeg_complete(bytes)),
        [0x89, b'P', b'N', b'G', b'\r', b'\n', 0x1A, b'\n', ..] => {
            (Format::Png, "PNG", png_complete(bytes))
        }
        [b'G', b'I', b'F', b'8', b'7' | b'9', b'a', ..] => {
            (Format::Gif, "GIF", gif::First::walk(bytes).is_some())
        }
        [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P', ..] => {
            (Format::WebP, "WebP", webp_complete(bytes))
        }
        // Rows are counted by the decoder; the size field of the header is often wrong.
        [b'B', b'M', ..] => (Format::Bmp, "BMP", true),
        _ => return Err(unreadable(foreign(bytes))),
    };
    if complete {
        Ok(format)
    } else {
        Err(unreadable(format!("the {name} file is truncated, its end is missing")))
    }
}

/// [`Error::ImageUnreadable`] with this problem.
pub(super) fn unreadable(problem: impl Into<String>) -> Error {
    Error::ImageUnreadable { problem: problem.into() }
}

/// A sentence for bytes that are none of our formats.
fn foreign(bytes: &[u8]) -> String {
    let begins =
        |at: usize, what: &[u8]| bytes.get(at..).is_some_and(|rest| rest.starts_with(what));
    let brand =
        |names: &[&[u8; 4]]| begins(4, b"ftyp") && names.iter().any(|name| begins(8, *name));
    let text = String::from_utf8_lossy(&bytes[..bytes.len().min(1024)]).to_ascii_lowercase();
    let kind = if brand(&[b"avif", b"avis"]) {
        "an AVIF picture"
    } else if brand(&[b"heic", b"heix", b"hevc", b"hevx", b"heim", b"heis", b"mif1", b"msf1"]) {
        "a HEIC picture"
    } else if begins(0, b"II*\0")
        || begins(0, b"MM\0*")
        || begins(0, b"II+\0")
        || begins(0, b"MM\0+")
    {
        "a TIFF picture"
    } else if begins(0, b"\xFF\x0A") || begins(0, b"\0\0\0\x0CJXL ") {
        "a JPEG XL picture"
    } else if begins(0, b"\0\0\0\x0CjP  ") || begins(0, b"\xFF\x4F\xFF\x51") {
        "a JPEG 2000 picture"
    } else if begins(0, b"8BPS") {
        "a Photoshop file"
    } else if begins(0, b"\0\0\x01\0") {
        "a Windows icon"
    } else if begins(0, b"qoif") {
        "a QOI picture"
    } else if begins(0, b"%PDF") {
        "a PDF document"
    } else if begins(4, b"ftyp") || begins(0, b"\x1A\x45\xDF\xA3") {
        "a video"
    } else if text.contains("<svg") {
        "an SVG drawing"
    } else if !bytes.contains(&0) && std::str::from_utf8(bytes).is_ok() {
        return format!("this is text, not a picture; {READABLE}");
    } else {
        return format!("the file is not a picture that can be recognised; {READABLE}");
    };
    format!("this looks like {kind}; {READABLE}, so convert it to one of these")
}

/// A cursor that runs off the end as `None`.
pub(super) struct Walk<'a> {
    pub(super) bytes: &'a [u8],
    pub(super) at: usize,
}

impl<'a> Walk<'a> {
    pub(super) fn take(&mut self, n: usize) -> Option<&'a [u8]> {
        let end = self.at.checked_add(n)?;
        let taken = self.bytes.get(self.at..end)?;
        self.at = end;
        Some(taken)
    }

    pub(super) fn byte(&mut self) -> Option<u8> {
        self.take(1).map(|taken| taken[0])
    }
}

/// Every JPEG segment and every scan up to the end marker; what follows it (a second picture, a
/// camera maker's data) is not ours.
fn jpeg_complete(bytes: &[u8]) -> bool {
    let mut walk = Walk { bytes, at: 2 };
    let mut run = || -> Option<()> {
        let mut in_scan = false;
        loop {
            // The next 0xFF; inside a scan everything else is coded data, elsewhere it is junk.
            let skipped = walk.bytes.get(walk.at..)?.iter().position(|&b| b == 0xFF)?;
            walk.at += skipped + 1;
            let mut marker = walk.byte()?;
            while marker == 0xFF {
                marker = walk.byte()?;
            }
            match marker {
                0x00 | 0x01 | 0xD0..=0xD8 => continue,
                0xD9 => return Some(()),
                _ => {}
            }
            // A damaged length inside coded data is the decoder's to judge: only skip true
            // segments.
            let length = walk.take(2).map(|l| usize::from(u16::from_be_bytes([l[0], l[1]])))?;
            if length < 2 {
                if in_scan {
                    continue;
                }
                return None;
            }
            walk.take(length - 2)?;
            in_scan = marker == 0xDA;
        }
    };
    run().is_some()
}

/// Every PNG chunk up to and including `IEND`.
fn png_complete(bytes: &[u8]) -> bool {
    let mut walk = Walk { bytes, at: 8 };
    let mut run = || -> Option<()> {
        loop {
            let head = walk.take(8)?;
            let length = u32::from_be_bytes([head[0], head[1], head[2], head[3]]);
            walk.take(usize::try_from(length).ok()?)?;
            walk.take(4)?;
            if &head[4..] == b"IEND" {
                return Some(());
            }
        }
    };
    run().is_some()
}

/// The RIFF header counts the bytes after itself.
fn webp_complete(bytes: &[u8]) -> bool {
    let size = u32::from_le_bytes([bytes[4], bytes[5], bytes[6], bytes[7]]);
    usize::try_from(size).is_ok_and(|size| size <= bytes.len() - 8)
}
