//! WebP: the container is ours, its pictures are decoded by `image-webp`.
//!
//! The first picture is taken out and decoded on its own, so that nothing else in the file matters:
//! flags that announce missing data, profiles, later frames. Upstream: libwebp's `demux.c` and
//! `webp_dec.c`, as Pillow's `_webp.c` uses them.

use std::io::Cursor;

use image_webp::{DecodingError, WebPDecoder};

use super::container::unreadable;
use super::read::{Decoded, Samples, check_size};
use super::turn;
use crate::error::{Error, Result};

const ANIMATION: u8 = 2;
const XMP: u8 = 4;
const EXIF: u8 = 8;
const ALPHA: u8 = 16;

/// A chunk's name and body.
type Chunk<'a> = (&'a [u8; 4], &'a [u8]);

/// One picture's chunks.
#[derive(Clone, Copy, Default)]
struct Parts<'a> {
    alpha: Option<&'a [u8]>,
    lossy: Option<&'a [u8]>,
    lossless: Option<&'a [u8]>,
}

/// The picture that is shown first.
struct First<'a> {
    parts: Parts<'a>,
    /// The screen's size, where the file names one.
    canvas: Option<(usize, usize)>,
    left: usize,
    top: usize,
    /// The size that the file names for the picture itself.
    size: Option<(usize, usize)>,
    /// Alpha counts.
    transparent: bool,
    orientation: u8,
}

/// Decodes the first picture.
pub(super) fn decode(bytes: &[u8]) -> Result<Decoded> {
    let first = First::find(bytes)?;
    let (file, width, height) = first.parts.alone()?;
    let (canvas_width, canvas_height) = first.canvas.unwrap_or((width, height));
    check_size(canvas_width as u64, canvas_height as u64)?;
    check_size(width as u64, height as u64)?;
    let outside = first.left + width > canvas_width || first.top + height > canvas_height;
    if outside || first.size.is_some_and(|size| size != (width, height)) {
        return Err(damaged("its sizes contradict each other"));
    }
    let mut decoder = WebPDecoder::new(Cursor::new(file)).map_err(|error| explain(&error))?;
    let mut samples =
        vec![0; decoder.output_buffer_size().ok_or_else(|| damaged("its size is wrong"))?];
    decoder.read_image(&mut samples).map_err(|error| explain(&error))?;
    let mut kind = if decoder.has_alpha() { Samples::RGBA } else { Samples::RGB };
    if kind == Samples::RGBA && !first.transparent {
        for i in 0..width * height {
            samples.copy_within(4 * i..4 * i + 3, 3 * i);
        }
        samples.truncate(3 * width * height);
        kind = Samples::RGB;
    }
    if (width, height) != (canvas_width, canvas_height) {
        (samples, kind) = first.on_canvas(&samples, kind, width, (canvas_width, canvas_height));
    }
    Ok(Decoded {
        samples,
        kind,
        width: canvas_width,
        height: canvas_height,
        orientation: first.orientation,
        saturate: false,
    })
}

impl<'a> First<'a> {
    fn find(bytes: &'a [u8]) -> Result<First<'a>> {
        let size = usize::try_from(u32::from_le_bytes([bytes[4], bytes[5], bytes[6], bytes[7]]))
            .unwrap_or(usize::MAX);
        let body = bytes.get(12..size.saturating_add(8).min(bytes.len())).unwrap_or_default();
        let all = chunks(body)?;
        let Some((b"VP8X", head)) = all.first() else {
            let parts = Parts::of(&all[..all.len().min(1)]);
            return Ok(First {
                parts,
                canvas: None,
                left: 0,
                top: 0,
                size: None,
                transparent: true,
                orientation: 1,
            });
        };
        let &[flags, _, _, _, w0, w1, w2, h0, h1, h2, ..] = *head else {
            return Err(damaged("its header is cut"));
        };
        let canvas = (side([w0, w1, w2]) + 1, side([h0, h1, h2]) + 1);
        // libwebp looks at these only where the header promises them.
        let find = |name: &[u8; 4], flag: u8| {
            all.iter().find(|chunk| chunk.0 == name && flags & flag != 0).map(|chunk| chunk.1)
        };
        let orientation = turn::orientation(find(b"EXIF", EXIF), find(b"XMP ", XMP));
        let transparent = flags & ALPHA != 0;
        if flags & ANIMATION == 0 {
            let parts = Parts::of(&all);
            // A lossless picture says itself whether it has alpha; a plane of its own needs the
            // flag.
            let transparent = transparent || parts.lossless.is_some();
            return Ok(First {
                parts,
                canvas: Some(canvas),
                left: 0,
                top: 0,
                size: Some(canvas),
                transparent,
                orientation,
            });
        }
        let frame = all
            .iter()
            .find(|chunk| chunk.0 == b"ANMF")
            .ok_or_else(|| damaged("it promises frames and has none"))?
            .1;
        let &[x0, x1, x2, y0, y1, y2, w0, w1, w2, h0, h1, h2, _, _, _, _, ref rest @ ..] = frame
        else {
            return Err(damaged("a frame is cut"));
        };
        Ok(First {
            parts: Parts::of(&chunks(rest)?),
            canvas: Some(canvas),
            left: 2 * side([x0, x1, x2]),
            top: 2 * side([y0, y1, y2]),
            size: Some((side([w0, w1, w2]) + 1, side([h0, h1, h2]) + 1)),
            transparent,
            orientation,
        })
    }

    /// The picture on its screen: around it nothing, which is black where alpha does not count.
    fn on_canvas(
        &self,
        samples: &[u8],
        kind: Samples,
        width: usize,
        canvas: (usize, usize),
    ) -> (Vec<u8>, Samples) {
        let shown = if self.transparent { Samples::RGBA } else { Samples::RGB };
        let mut screen = vec![0; canvas.0 * canvas.1 * shown.channels];
        for (y, row) in samples.chunks_exact(width * kind.channels).enumerate() {
            let at = (self.top + y) * canvas.0 + self.left;
            let pixels = screen[at * shown.channels..].chunks_exact_mut(shown.channels);
            for (pixel, stored) in pixels.zip(row.chunks_exact(kind.channels)) {
                pixel[shown.channels - 1] = 255;
                pixel[..kind.channels].copy_from_slice(stored);
            }
        }
        (screen, shown)
    }
}

impl<'a> Parts<'a> {
    fn of(chunks: &[Chunk<'a>]) -> Parts<'a> {
        let mut parts = Parts::default();
        for &(name, body) in chunks {
            match name {
                b"ALPH" if parts.lossy.is_none() => parts.alpha = Some(body),
                b"VP8 " | b"VP8L" if parts.lossy.is_some() || parts.lossless.is_some() => {}
                b"VP8 " => parts.lossy = Some(body),
                b"VP8L" => parts.lossless = Some(body),
                _ => {}
            }
        }
        parts
    }

    /// A file with nothing but this picture, and the picture's size.
    fn alone(&self) -> Result<(Vec<u8>, usize, usize)> {
        let cut = || damaged("a picture is cut");
        let mut body = Vec::new();
        let (width, height);
        if let Some(lossless) = self.lossless {
            let &[_, b0, b1, b2, b3, ..] = lossless else { return Err(cut()) };
            let bits = u32::from_le_bytes([b0, b1, b2, b3]) as usize;
            (width, height) = ((bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1);
            put(&mut body, b"VP8L", lossless);
        } else {
            let lossy = self.lossy.ok_or_else(|| damaged("it has no picture"))?;
            let &[_, _, _, _, _, _, w0, w1, h0, h1, ..] = lossy else { return Err(cut()) };
            let side = |low, high| usize::from(u16::from_le_bytes([low, high]) & 0x3FFF);
            (width, height) = (side(w0, w1), side(h0, h1));
            if let Some(alpha) = self.alpha
                && width > 0
                && height > 0
            {
                let mut head = vec![ALPHA, 0, 0, 0];
                head.extend(&(width as u32 - 1).to_le_bytes()[..3]);
                head.extend(&(height as u32 - 1).to_le_bytes()[..3]);
                put(&mut body, b"VP8X", &head);
                put(&mut body, b"ALPH", alpha);
            }
            put(&mut body, b"VP8 ", lossy);
        }
        let size = u32::try_from(body.len() + 4).map_err(|_| damaged("it is too long"))?;
        let mut file = b"RIFF".to_vec();
        file.extend(size.to_le_bytes());
        file.extend(b"WEBP");
        file.append(&mut body);
        Ok((file, width, height))
    }
}

fn put(file: &mut Vec<u8>, name: &[u8; 4], body: &[u8]) {
    file.extend(name);
    file.extend((body.len() as u32).to_le_bytes());
    file.extend(body);
    if body.len() % 2 == 1 {
        file.push(0);
    }
}

fn side([a, b, c]: [u8; 3]) -> usize {
    u32::from_le_bytes([a, b, c, 0]) as usize
}

/// The chunks of a body. The last may lack its padding.
fn chunks(mut body: &[u8]) -> Result<Vec<Chunk<'_>>> {
    let mut found = Vec::new();
    while let Some((head, rest)) = body.split_first_chunk::<8>() {
        let (Some(name), Some(size)) = (head.first_chunk::<4>(), head.last_chunk::<4>()) else {
            break;
        };
        let size = u32::from_le_bytes(*size) as usize;
        let content = rest.get(..size).ok_or_else(|| damaged("a chunk is longer than the file"))?;
        found.push((name, content));
        body = rest.get(size + size % 2..).unwrap_or_default();
    }
    Ok(found)
}

fn damaged(why: &str) -> Error {
    unreadable(format!("the WebP file is damaged ({why})"))
}

fn explain(error: &DecodingError) -> Error {
    unreadable(match error {
        DecodingError::UnsupportedFeature(_) => {
            format!("this kind of WebP file cannot be read ({error})")
        }
        DecodingError::ImageTooLarge | DecodingError::MemoryLimitExceeded => {
            "it is too large to decode; make it smaller first".to_owned()
        }
        _ => format!("the WebP file is damaged ({error})"),
    })
}
