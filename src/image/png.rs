//! PNG: the chunks with the picture go to the crate `png`; those with its orientation are read
//! here. All others (profiles, texts, later frames) are dropped before anything is decompressed.

use std::io::Cursor;

use png::{BitDepth, ColorType, Decoder, DecodingError, Limits, Transformations};

use super::MAX_PIXELS;
use super::container::{Walk, unreadable};
use super::read::{Decoded, Samples, check_size};
use super::turn;
use crate::error::{Error, Result};

const SIGNATURE: &[u8] = b"\x89PNG\r\n\x1A\n";

/// The most bytes of a text that are looked at: an EXIF block in hexadecimal takes 128 KiB.
const MAX_TEXT_BYTES: usize = 1 << 20;

/// The most bytes of all texts together; Pillow's limit is the same.
const MAX_TEXTS_BYTES: usize = 64 << 20;

/// Decodes the first picture.
pub(super) fn decode(bytes: &[u8]) -> Result<Decoded> {
    let chunks = Chunks::collect(bytes).ok_or_else(|| damaged("its chunks are cut"))?;
    let limits = Limits { bytes: usize::try_from(MAX_PIXELS * 8).unwrap_or(usize::MAX) };
    let mut decoder = Decoder::new_with_limits(Cursor::new(chunks.file()), limits);
    decoder.set_transformations(Transformations::EXPAND);
    let info = decoder.read_header_info().map_err(|error| explain(&error))?;
    check_size(u64::from(info.width), u64::from(info.height))?;
    // Pillow knows a grey 16-bit PNG by its header; transparency in a side chunk does not count.
    let saturate = info.bit_depth == BitDepth::Sixteen && info.color_type == ColorType::Grayscale;
    let mut reader = decoder.read_info().map_err(|error| explain(&error))?;
    let size = reader.output_buffer_size().ok_or_else(|| damaged("its size is wrong"))?;
    let mut samples = vec![0; size];
    let info = reader.next_frame(&mut samples).map_err(|error| explain(&error))?;
    let wide = info.bit_depth == BitDepth::Sixteen;
    if wide && cfg!(target_endian = "little") {
        for sample in samples.chunks_exact_mut(2) {
            sample.swap(0, 1);
        }
    }
    let channels = info.color_type.samples();
    let (width, height) = (info.width as usize, info.height as usize);
    Ok(Decoded {
        samples,
        kind: Samples { channels, wide },
        width,
        height,
        orientation: chunks.orientation(),
        saturate,
    })
}

/// What is used of a file.
#[derive(Default)]
struct Chunks<'a> {
    /// The chunks that make the picture, whole.
    picture: Vec<&'a [u8]>,
    exif: Option<&'a [u8]>,
    /// An EXIF block in hexadecimal, as ImageMagick writes it.
    profile: Option<Vec<u8>>,
    xmp: Option<Vec<u8>>,
    text_bytes: usize,
}

impl<'a> Chunks<'a> {
    fn collect(bytes: &'a [u8]) -> Option<Chunks<'a>> {
        let mut walk = Walk { bytes, at: SIGNATURE.len() };
        let mut chunks = Chunks::default();
        loop {
            let start = walk.at;
            let head: &[u8; 8] = walk.take(8)?.first_chunk()?;
            let length = u32::from_be_bytes([head[0], head[1], head[2], head[3]]);
            let body = walk.take(usize::try_from(length).ok()?)?;
            walk.take(4)?;
            let name = &head[4..];
            match name {
                b"eXIf" => chunks.exif = Some(body),
                b"tEXt" | b"zTXt" | b"iTXt" => chunks.text(name, body),
                // The picture, and every other chunk that must not be passed over.
                b"tRNS" => chunks.picture.push(&bytes[start..walk.at]),
                [kind, ..] if kind.is_ascii_uppercase() => {
                    chunks.picture.push(&bytes[start..walk.at])
                }
                _ => {}
            }
            if name == b"IEND" {
                return Some(chunks);
            }
        }
    }

    /// Keeps texts that may say how the picture is turned.
    fn text(&mut self, kind: &[u8], body: &[u8]) {
        let Some((key, rest)) = split(body) else { return };
        let kept = match key {
            b"Raw profile type exif" | b"Raw profile type APP1" => &mut self.profile,
            b"XML:com.adobe.xmp" => &mut self.xmp,
            _ => return,
        };
        if self.text_bytes > MAX_TEXTS_BYTES {
            return;
        }
        if let Some(text) = text_of(kind, rest) {
            self.text_bytes += text.len();
            *kept = Some(text);
        }
    }

    /// A file with nothing but the picture.
    fn file(&self) -> Vec<u8> {
        let mut file = SIGNATURE.to_vec();
        for chunk in &self.picture {
            file.extend_from_slice(chunk);
        }
        file
    }

    fn orientation(&self) -> u8 {
        let profile = self.profile.as_deref().and_then(from_hexadecimal);
        turn::orientation(self.exif.or(profile.as_deref()), self.xmp.as_deref())
    }
}

/// Up to a zero byte, and behind it.
fn split(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = bytes.iter().position(|&byte| byte == 0)?;
    Some((&bytes[..end], &bytes[end + 1..]))
}

/// The text of a chunk, behind its key.
fn text_of(kind: &[u8], rest: &[u8]) -> Option<Vec<u8>> {
    let (packed, text) = match kind {
        b"tEXt" => (false, rest),
        b"zTXt" => (true, rest.strip_prefix(b"\0")?),
        _ => {
            // Packed or not, the method of packing, a language, the key translated.
            let [packed, _, rest @ ..] = rest else { return None };
            let (_, rest) = split(rest)?;
            (*packed == 1, split(rest)?.1)
        }
    };
    if packed {
        return fdeflate::decompress_to_vec_bounded(text, MAX_TEXT_BYTES).ok();
    }
    Some(text[..text.len().min(MAX_TEXT_BYTES)].to_vec())
}

/// Three lines of heading, then the block.
fn from_hexadecimal(text: &[u8]) -> Option<Vec<u8>> {
    let mut lines = text.splitn(4, |&byte| byte == b'\n').skip(3);
    let digits: Option<Vec<u8>> = lines
        .next()?
        .iter()
        .filter(|byte| !byte.is_ascii_whitespace())
        .map(|&byte| digit(byte))
        .collect();
    Some(digits?.chunks_exact(2).map(|pair| pair[0] << 4 | pair[1]).collect())
}

fn digit(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}

fn damaged(why: &str) -> Error {
    unreadable(format!("the PNG file is damaged ({why})"))
}

fn explain(error: &DecodingError) -> Error {
    unreadable(match error {
        DecodingError::LimitsExceeded => {
            "it is too large to decode; make it smaller first".to_owned()
        }
        _ => format!("the PNG file is damaged ({error})"),
    })
}
