//! Picture files → [`Pixels`], what the vision tower sees.
//!
//! bytes → RGB, 8 bits → square (padded, cropped or stretched) → S × S by Pillow's bicubic or
//! Lanczos → normalised [3, S, S]. Families that cut a picture into several squares: [`Tiling`].
//! From the decoded pixels on, everything equals the PyTorch reference bit for bit.
//! Upstream: `process_images` and `expand2square` in `llava/mm_utils.py`, then transformers'
//! `CLIPImageProcessor`.
//!
//! What each kind of file becomes, by [`Reading`]; [`Reading::ReferenceOverWhite`] is the last
//! column but for alpha and transparent palette entries, which go over white:
//!
//! | File | People | Reference (Pillow's `convert("RGB")`) |
//! |---|---|---|
//! | EXIF orientation (JPEG, PNG, WebP), XMP's where there is none | applied | ignored |
//! | alpha, transparent palette entries | over white | dropped, the hidden colour shows |
//! | BMP whose alpha is 0 throughout | opaque | dropped |
//! | grey, palette, 1 to 8 bits | expanded | the same |
//! | 16-bit grey PNG | scaled, rounded | values above 255 become 255 |
//! | 16-bit RGB, RGBA, grey with alpha | scaled, rounded | high byte |
//! | CMYK and YCCK JPEG | c·k / 255, Adobe's inverted inks | the same |
//! | animated GIF, WebP, PNG | first frame | first frame |
//! | GIF frame smaller than its screen | white around it | the transparent colour, or colour 0 |
//!
//! Everything equals Pillow bit for bit. Stricter than Pillow: any file that ends before its own
//! end is refused. What is read and what is refused by name: `docs/pictures.md`.

mod area;
mod bmp;
mod container;
mod cut;
mod gif;
mod jpeg;
mod png;
mod read;
mod resample;
#[cfg(test)]
mod tests;
pub(crate) mod tiles;
mod turn;
mod webp;

use sha2::{Digest, Sha256};

use self::container::unreadable;
pub use self::read::Picture;
use self::resample::{Resize, resize};
pub use self::tiles::{Level, Scene, Tiling};
use crate::error::Result;

/// The most pixels a picture may have: Pillow's own limit against decompression bombs.
pub const MAX_PIXELS: u64 = 178_956_970;

/// How pictures become the tower's input; from `preprocessor_config.json` and the checkpoint's
/// config.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct ImageSpec {
    /// S: side of the square the tower takes, in pixels.
    pub size: usize,
    /// What happens to pictures that are not square.
    pub aspect: Aspect,
    /// How samples between pixels are computed.
    pub filter: Filter,
    /// Whether one picture becomes several squares.
    pub tiling: Tiling,
    /// The reference puts transparent pixels over white instead of dropping alpha.
    pub over_white: bool,
    /// Subtracted from each channel, on a scale of 0 to 1.
    pub mean: [f64; 3],
    /// Each channel is divided by it.
    pub std: [f64; 3],
}

impl ImageSpec {
    /// The published CLIP towers' mean and deviation, padded to a square of `size`.
    #[doc(hidden)]
    pub fn clip(size: usize) -> ImageSpec {
        ImageSpec {
            size,
            aspect: Aspect::Pad,
            filter: Filter::Bicubic,
            tiling: Tiling::Square,
            over_white: false,
            mean: [0.48145466, 0.4578275, 0.40821073],
            std: [0.26862954, 0.26130258, 0.27577711],
        }
    }

    /// The reading that a picture is read with where `reading` is asked for: families differ in
    /// what their reference does with alpha.
    #[doc(hidden)]
    pub fn reading(&self, reading: Reading) -> Reading {
        match reading {
            Reading::Reference if self.over_white => Reading::ReferenceOverWhite,
            other => other,
        }
    }

    /// The padding colour, the mean in 8 bits: (122, 116, 104) for CLIP.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "truncation is the reference's int(), and the cast saturates"
    )]
    pub(crate) fn padding(&self) -> [u8; 3] {
        self.mean.map(|mean| (mean * 255.0) as u8)
    }
}

/// What happens to pictures that are not square.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Aspect {
    /// Padded to a square with the mean colour (`image_aspect_ratio: "pad"`).
    Pad,
    /// Shorter edge to S, then the middle S × S: the ends of the longer edge are lost.
    CropCenter,
    /// Both edges to S, each by its own factor.
    Stretch,
}

/// How samples between pixels are computed; both filters as in Pillow.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize,
)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Filter {
    /// Cubic, two samples to each side.
    #[default]
    Bicubic,
    /// Three samples to each side.
    Lanczos,
}

/// How a file is read; the table above says where the readings differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Reading {
    /// As a person sees it in a viewer.
    People,
    /// As the PyTorch reference reads it, for comparing with it.
    Reference,
    /// The same, but transparent pixels over white ([`ImageSpec::over_white`]).
    ReferenceOverWhite,
}

/// One picture, ready for the tower.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Pixels {
    /// S.
    pub size: usize,
    /// [3, S, S], normalised.
    pub data: Vec<f32>,
    /// [S, S, 3], the 8-bit picture the model sees, padding included.
    pub rgb: Vec<u8>,
    /// Width and height of the picture before it was made square, upright if it was turned.
    pub source: (u32, u32),
    /// The other [`Reading`] could give other pixels: the file has an EXIF rotation,
    /// transparency or 16-bit samples.
    pub readings_differ: bool,
}

impl Pixels {
    /// Decodes a JPEG, PNG, WebP, GIF or BMP file of up to [`MAX_PIXELS`] and 65535 pixels a side.
    ///
    /// Fails with [`Error::ImageUnreadable`](crate::error::Error::ImageUnreadable) on anything
    /// else, on damaged files and on files whose end is missing.
    pub fn decode(bytes: &[u8], spec: &ImageSpec, reading: Reading) -> Result<Pixels> {
        Pixels::of(&Picture::read(bytes, spec.reading(reading))?, spec)
    }

    /// The one square of a decoded picture.
    fn of(picture: &Picture, spec: &ImageSpec) -> Result<Pixels> {
        let mut pixels = Pixels::from_rgb(&picture.rgb, picture.width, picture.height, spec)?;
        pixels.readings_differ = picture.readings_differ;
        Ok(pixels)
    }

    /// From decoded pixels, `rgb` [height, width, 3]; each side 1 to 65535.
    pub fn from_rgb(rgb: &[u8], width: usize, height: usize, spec: &ImageSpec) -> Result<Pixels> {
        let source = check(rgb, width, height)?;
        let rgb = resize(rgb, (width, height), &plan(width, height, spec));
        Ok(Pixels::square(rgb, source, spec))
    }

    /// Of finished values [3, S, S] alone, for comparisons with stored ones.
    #[doc(hidden)]
    pub fn of_values(data: Vec<f32>, size: usize) -> Pixels {
        Pixels { size, data, rgb: Vec::new(), source: (1, 1), readings_differ: false }
    }

    /// From a finished square, [S, S, 3].
    fn square(rgb: Vec<u8>, source: (u32, u32), spec: &ImageSpec) -> Pixels {
        let data = normalise(&rgb, spec);
        Pixels { size: spec.size, data, rgb, source, readings_differ: false }
    }

    /// SHA-256 of the 8-bit pixels the model sees: equal for files that look equal to it.
    pub fn hash(&self) -> [u8; 32] {
        Sha256::digest(&self.rgb).into()
    }
}

/// Refuses pixels that are no picture; its width and height.
fn check(rgb: &[u8], width: usize, height: usize) -> Result<(u32, u32)> {
    let (Ok(wide @ 1..), Ok(high @ 1..)) = (u16::try_from(width), u16::try_from(height)) else {
        return Err(unreadable(format!(
            "it is {width} × {height} pixels; each side must be 1 to 65535"
        )));
    };
    if rgb.len() != width * height * 3 {
        return Err(unreadable(format!(
            "{} bytes are not {width} × {height} RGB pixels",
            rgb.len()
        )));
    }
    Ok((u32::from(wide), u32::from(high)))
}

/// Where a picture lies on the canvas, and which part of the result is kept.
fn plan(width: usize, height: usize, spec: &ImageSpec) -> Resize {
    let size = spec.size;
    let (colour, filter) = (spec.padding(), spec.filter);
    match spec.aspect {
        Aspect::Pad => {
            let side = width.max(height);
            Resize {
                canvas: (side, side),
                origin: ((side - width) / 2, (side - height) / 2),
                output: (size, size),
                window: (0..size, 0..size),
                colour,
                filter,
            }
        }
        Aspect::CropCenter => {
            let short = width.min(height);
            let output = (size * width / short, size * height / short);
            let (left, top) = ((output.0 - size) / 2, (output.1 - size) / 2);
            Resize {
                canvas: (width, height),
                origin: (0, 0),
                output,
                window: (left..left + size, top..top + size),
                colour,
                filter,
            }
        }
        Aspect::Stretch => Resize::stretch((width, height), (size, size), filter),
    }
}

/// [S, S, 3] → [3, S, S]: scaled to 0..1 in f64, then mean and deviation in f32.
#[expect(clippy::cast_possible_truncation, reason = "f64 to f32 is the reference's rounding")]
fn normalise(rgb: &[u8], spec: &ImageSpec) -> Vec<f32> {
    let mut data = Vec::with_capacity(rgb.len());
    for channel in 0..3 {
        let (mean, std) = (spec.mean[channel] as f32, spec.std[channel] as f32);
        let table: Vec<f32> = (0..=255u8)
            .map(|value| ((f64::from(value) * (1.0 / 255.0)) as f32 - mean) / std)
            .collect();
        data.extend(rgb.iter().skip(channel).step_by(3).map(|&value| table[usize::from(value)]));
    }
    data
}
