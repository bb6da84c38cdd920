//! File bytes → an RGB picture in 8 bits, for people or as the reference reads it.

use sha2::{Digest, Sha256};

use super::container::{Format, inspect, unreadable};
use super::{MAX_PIXELS, Reading, bmp, gif, jpeg, png, turn, webp};
use crate::error::{Error, Result};

/// Where a PNG's first chunk says what its colours are, and what it says of RGB.
const PNG_COLOURS: usize = 25;
const PNG_RGB: u8 = 2;

/// A decoded picture.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Picture {
    /// [height, width, 3].
    pub rgb: Vec<u8>,
    /// In pixels, after turning.
    pub width: usize,
    /// In pixels, after turning.
    pub height: usize,
    /// The other [`Reading`] could give other pixels.
    pub readings_differ: bool,
}

impl Picture {
    /// A picture of pixels that are there already: `rgb` [height, width, 3], each side 1 to 65535.
    ///
    /// # Errors
    /// [`Error::ImageUnreadable`] if the bytes are not those of a picture of this size.
    pub fn from_rgb(rgb: Vec<u8>, width: usize, height: usize) -> Result<Picture> {
        super::check(&rgb, width, height)?;
        Ok(Picture { rgb, width, height, readings_differ: false })
    }

    /// SHA-256 of its size and pixels: equal for files that are the same picture.
    pub fn hash(&self) -> [u8; 32] {
        let mut hash = Sha256::new();
        for side in [self.width, self.height] {
            hash.update((side as u64).to_le_bytes());
        }
        hash.update(&self.rgb);
        hash.finalize().into()
    }

    /// Decodes the first frame of a JPEG, PNG, WebP, GIF or BMP file of up to [`MAX_PIXELS`] and
    /// 65535 pixels a side.
    ///
    /// # Errors
    /// [`Error::ImageUnreadable`] on anything else, on damaged files and on files whose end is
    /// missing.
    pub fn read(bytes: &[u8], reading: Reading) -> Result<Picture> {
        let format = inspect(bytes)?;
        // Pillow calls an RGB file with one transparent colour RGB, so no reference asks for alpha.
        let keyed = matches!(format, Format::Png) && bytes.get(PNG_COLOURS) == Some(&PNG_RGB);
        let seen = match reading {
            Reading::ReferenceOverWhite if keyed => Reading::Reference,
            other => other,
        };
        let decoded = match format {
            Format::Jpeg => jpeg::decode(bytes)?,
            Format::Png => png::decode(bytes)?,
            Format::Gif => gif::decode(bytes, reading)?,
            Format::WebP => webp::decode(bytes)?,
            Format::Bmp => bmp::decode(bytes, reading)?,
        };
        let layout = Layout { samples: decoded.kind, saturate: decoded.saturate, reading: seen };
        let turned = decoded.orientation != 1;
        let readings_differ = turned || decoded.kind.wide || !layout.is_opaque(&decoded.samples);
        let picture = Picture {
            rgb: layout.to_rgb(decoded.samples),
            width: decoded.width,
            height: decoded.height,
            readings_differ,
        };
        Ok(match reading {
            Reading::People if turned => turn::upright(picture, decoded.orientation),
            _ => picture,
        })
    }
}

/// What a decoder makes of a file.
pub(super) struct Decoded {
    /// [height, width, channels]; of 16 bits in the machine's byte order.
    pub(super) samples: Vec<u8>,
    pub(super) kind: Samples,
    pub(super) width: usize,
    pub(super) height: usize,
    /// EXIF's number for how the picture is turned: 1 (upright) to 8.
    pub(super) orientation: u8,
    /// Pillow reads this kind of 16 bits by clamping at 255, not by its high byte.
    pub(super) saturate: bool,
}

/// What one pixel consists of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Samples {
    /// 1 grey, 2 grey and alpha, 3 RGB, 4 RGBA.
    pub(super) channels: usize,
    /// 16 bits a channel, else 8.
    pub(super) wide: bool,
}

impl Samples {
    pub(super) const RGB: Samples = Samples { channels: 3, wide: false };
    pub(super) const RGBA: Samples = Samples { channels: 4, wide: false };

    fn bytes_per_sample(self) -> usize {
        if self.wide { 2 } else { 1 }
    }

    fn bytes_per_pixel(self) -> usize {
        self.channels * self.bytes_per_sample()
    }

    fn has_alpha(self) -> bool {
        self.channels.is_multiple_of(2)
    }
}

/// Refuses pictures without pixels and pictures that are too large, before anything is allocated
/// for them.
pub(super) fn check_size(width: u64, height: u64) -> Result<()> {
    let pixels = width.saturating_mul(height);
    if pixels == 0 {
        return Err(unreadable("it has no pixels"));
    }
    if pixels > MAX_PIXELS || width.max(height) > u64::from(u16::MAX) {
        return Err(too_large(width, height));
    }
    Ok(())
}

fn too_large(width: u64, height: u64) -> Error {
    unreadable(format!(
        "it is {width} × {height} pixels; up to {} million and 65535 on a side are decoded, so make it smaller first",
        MAX_PIXELS / 1_000_000
    ))
}

/// How the decoder's samples become RGB.
struct Layout {
    samples: Samples,
    saturate: bool,
    reading: Reading,
}

impl Layout {
    fn is_opaque(&self, samples: &[u8]) -> bool {
        let (pixel, alpha) = (self.samples.bytes_per_pixel(), self.samples.bytes_per_sample());
        !self.samples.has_alpha()
            || samples.chunks_exact(pixel).all(|p| p[pixel - alpha..].iter().all(|&b| b == 255))
    }

    /// Any layout → RGB; in place where a pixel shrinks, so that a large picture is held once.
    fn to_rgb(&self, mut samples: Vec<u8>) -> Vec<u8> {
        let pixel_bytes = self.samples.bytes_per_pixel();
        if self.samples == Samples::RGB {
            return samples;
        }
        if pixel_bytes < 3 {
            return samples.chunks_exact(pixel_bytes).flat_map(|pixel| self.pixel(pixel)).collect();
        }
        let n_pixels = samples.len() / pixel_bytes;
        for i in 0..n_pixels {
            let rgb = self.pixel(&samples[i * pixel_bytes..][..pixel_bytes]);
            samples[i * 3..][..3].copy_from_slice(&rgb);
        }
        samples.truncate(n_pixels * 3);
        samples.shrink_to_fit();
        samples
    }

    fn pixel(&self, pixel: &[u8]) -> [u8; 3] {
        let channels = self.samples.channels;
        let mut values = [0u8; 4];
        if self.samples.wide {
            for (value, wide) in values.iter_mut().zip(pixel.chunks_exact(2)) {
                *value = self.narrow(u16::from_ne_bytes([wide[0], wide[1]]));
            }
        } else {
            values[..channels].copy_from_slice(pixel);
        }
        let rgb = if channels < 3 { [values[0]; 3] } else { [values[0], values[1], values[2]] };
        if self.reading != Reading::Reference && self.samples.has_alpha() {
            over_white(rgb, values[channels - 1])
        } else {
            rgb
        }
    }

    fn narrow(&self, wide: u16) -> u8 {
        let narrow = match self.reading {
            Reading::People => (u32::from(wide) + 128) / 257,
            _ if self.saturate => u32::from(wide).min(255),
            _ => u32::from(wide) >> 8,
        };
        u8::try_from(narrow).expect("65535 narrows to 255 on each path")
    }
}

fn over_white(rgb: [u8; 3], alpha: u8) -> [u8; 3] {
    if alpha == 255 {
        return rgb;
    }
    let alpha = u32::from(alpha);
    rgb.map(|value| {
        let mixed = (u32::from(value) * alpha + 255 * (255 - alpha) + 127) / 255;
        u8::try_from(mixed).expect("a mix of two bytes is a byte")
    })
}
