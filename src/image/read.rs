//! File bytes → an RGB picture in 8 bits, for people or as the reference reads it.

use std::io::Cursor;

use image::metadata::Orientation;
use image::{ColorType, DynamicImage, ImageDecoder, ImageError, ImageFormat, ImageReader, Limits, RgbImage};

use super::container::{Gif, inspect, unreadable};
use super::{MAX_PIXELS, Reading};
use crate::error::{Error, Result};

/// Memory a decoder may ask for: [`MAX_PIXELS`] of 16-bit RGBA.
const MAX_DECODED_BYTES: u64 = MAX_PIXELS * 8;

/// A decoded picture.
pub(super) struct Picture {
    /// [height, width, 3].
    pub(super) rgb: Vec<u8>,
    pub(super) width: usize,
    pub(super) height: usize,
    /// The other [`Reading`] could give other pixels.
    pub(super) readings_differ: bool,
}

/// Decodes the first frame of a JPEG, PNG, WebP, GIF or BMP file.
pub(super) fn read(bytes: &[u8], reading: Reading) -> Result<Picture> {
    let format = inspect(bytes)?;
    let patched = if format == ImageFormat::Jpeg { super::jpeg::adobe_rgb(bytes) } else { None };
    let bytes = patched.as_deref().unwrap_or(bytes);
    let explain = |error| explain(format, &error);

    let mut limits = Limits::default();
    limits.max_alloc = Some(MAX_DECODED_BYTES);
    let mut reader = ImageReader::with_format(Cursor::new(bytes), format);
    reader.limits(limits);
    let mut decoder = reader.into_decoder().map_err(explain)?;
    let (width, height) = decoder.dimensions();
    let pixels = u64::from(width) * u64::from(height);
    if pixels > MAX_PIXELS || width.max(height) > u32::from(u16::MAX) {
        return Err(too_large(width, height));
    }
    if pixels == 0 {
        return Err(unreadable("it has no pixels"));
    }
    // Damaged metadata costs the rotation, not the picture.
    let orientation = decoder.orientation().unwrap_or(Orientation::NoTransforms);
    let kind = decoder.color_type();
    let size = usize::try_from(decoder.total_bytes()).map_err(|_| too_large(width, height))?;
    let mut samples = vec![0; size];
    decoder.read_image(&mut samples).map_err(explain)?;

    if reading == Reading::Reference && format == ImageFormat::Gif {
        let ground = Gif::walk(bytes).map_or([0; 3], |gif| gif.ground);
        for pixel in samples.chunks_exact_mut(4).filter(|pixel| pixel[3] == 0) {
            pixel[..3].copy_from_slice(&ground);
        }
    }
    // Pillow knows a grey 16-bit PNG by its header; transparency in a side chunk does not count.
    let saturate = format == ImageFormat::Png && bytes.get(24..26) == Some(&[16, 0]);
    let layout = Layout { kind, saturate, reading };
    let opaque = layout.is_opaque(&samples);
    let picture = Picture {
        rgb: layout.to_rgb(samples),
        width: width as usize,
        height: height as usize,
        readings_differ: !opaque || layout.bytes_per_sample() == 2 || orientation != Orientation::NoTransforms,
    };
    Ok(match reading {
        Reading::People => picture.turned(orientation),
        Reading::Reference => picture,
    })
}

impl Picture {
    /// Upright, by what the camera noted.
    fn turned(self, orientation: Orientation) -> Picture {
        if orientation == Orientation::NoTransforms {
            return self;
        }
        let (width, height) = (self.width as u32, self.height as u32);
        let image = RgbImage::from_raw(width, height, self.rgb).expect("three bytes a pixel");
        let mut image = DynamicImage::ImageRgb8(image);
        image.apply_orientation(orientation);
        let (width, height) = (image.width() as usize, image.height() as usize);
        Picture { rgb: image.into_bytes(), width, height, ..self }
    }
}

/// How the decoder's samples become RGB.
struct Layout {
    kind: ColorType,
    /// 16-bit grey clamps at 255 for the reference, instead of keeping the high byte.
    saturate: bool,
    reading: Reading,
}

impl Layout {
    fn channels(&self) -> usize {
        usize::from(self.kind.channel_count())
    }

    fn bytes_per_sample(&self) -> usize {
        usize::from(self.kind.bytes_per_pixel()) / self.channels()
    }

    fn is_opaque(&self, samples: &[u8]) -> bool {
        let alpha = self.bytes_per_sample();
        let pixel = alpha * self.channels();
        !self.kind.has_alpha() || samples.chunks_exact(pixel).all(|p| p[pixel - alpha..].iter().all(|&b| b == 255))
    }

    /// Any layout → RGB; in place where a pixel shrinks, so that a large picture is held once.
    fn to_rgb(&self, mut samples: Vec<u8>) -> Vec<u8> {
        let pixel_bytes = usize::from(self.kind.bytes_per_pixel());
        if self.kind == ColorType::Rgb8 {
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
        let channels = self.channels();
        let mut values = [0u8; 4];
        if self.bytes_per_sample() == 1 {
            values[..channels].copy_from_slice(pixel);
        } else {
            for (value, wide) in values.iter_mut().zip(pixel.chunks_exact(2)) {
                *value = self.narrow(u16::from_ne_bytes([wide[0], wide[1]]));
            }
        }
        let rgb = if channels < 3 { [values[0]; 3] } else { [values[0], values[1], values[2]] };
        if self.reading == Reading::People && self.kind.has_alpha() { over_white(rgb, values[channels - 1]) } else { rgb }
    }

    fn narrow(&self, wide: u16) -> u8 {
        let narrow = match self.reading {
            Reading::People => (u32::from(wide) + 128) / 257,
            Reading::Reference if self.saturate => u32::from(wide).min(255),
            Reading::Reference => u32::from(wide) >> 8,
        };
        u8::try_from(narrow).expect("65535 narrows to 255 on each path")
    }
}

fn over_white(rgb: [u8; 3], alpha: u8) -> [u8; 3] {
    let alpha = u32::from(alpha);
    rgb.map(|value| {
        let mixed = (u32::from(value) * alpha + 255 * (255 - alpha) + 127) / 255;
        u8::try_from(mixed).expect("a mix of two bytes is a byte")
    })
}

fn too_large(width: u32, height: u32) -> Error {
    unreadable(format!(
        "it is {width} × {height} pixels; up to {} million and 65535 on a side are decoded, so make it smaller first",
        MAX_PIXELS / 1_000_000
    ))
}

/// A decoder's error in one sentence.
fn explain(format: ImageFormat, error: &ImageError) -> Error {
    let name = match format {
        ImageFormat::Jpeg => "JPEG",
        ImageFormat::Png => "PNG",
        ImageFormat::WebP => "WebP",
        ImageFormat::Gif => "GIF",
        _ => "BMP",
    };
    unreadable(match error {
        ImageError::Limits(_) => "it is too large to decode; make it smaller first".to_string(),
        ImageError::Unsupported(_) => format!("this kind of {name} file cannot be read ({error})"),
        ImageError::IoError(io) if io.kind() == std::io::ErrorKind::UnexpectedEof => {
            format!("the {name} file is truncated, its end is missing")
        }
        _ => format!("the {name} file is damaged ({error})"),
    })
}
