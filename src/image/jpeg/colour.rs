//! Components → RGB. Upstream: libjpeg-turbo's `default_decompress_parms` and `jdcolor.c`; for four
//! components, Pillow's `CMYK;I` and `cmyk2rgb`.

use super::header::{Frame, Reader};
use super::scan::Plane;
use super::upsample::Upsampler;
use crate::parallel;

/// What the components are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Space {
    Grey,
    Rgb,
    YCbCr,
    Cmyk,
    /// YCbCr of the inks, and black as it is.
    Ycck,
}

impl Space {
    /// libjpeg's rule: a JFIF segment wins over an Adobe segment, an Adobe segment over the
    /// components' names.
    pub(super) fn of(frame: &Frame, reader: &Reader) -> Space {
        let ids: Vec<u8> = frame.components.iter().map(|component| component.id).collect();
        match (ids.len(), reader.adobe) {
            (1, _) => Space::Grey,
            (3, _) if reader.jfif => Space::YCbCr,
            (3, Some(0)) => Space::Rgb,
            (3, Some(_)) => Space::YCbCr,
            (3, None) if ids == *b"RGB" => Space::Rgb,
            (3, None) => Space::YCbCr,
            (_, Some(0) | None) => Space::Cmyk,
            (_, Some(_)) => Space::Ycck,
        }
    }
}

/// Rows that are converted together.
const BAND: usize = 64;

/// [height, width, 3].
pub(super) fn to_rgb(frame: &Frame, planes: &[Plane], space: Space) -> Vec<u8> {
    let upsamplers: Vec<Upsampler> = frame
        .components
        .iter()
        .zip(planes)
        .map(|(c, plane)| Upsampler::new(frame, c, plane))
        .collect();
    let mut rgb = vec![0; frame.width * frame.height * 3];
    let bands = rgb.chunks_mut(frame.width * 3 * BAND).enumerate().collect();
    parallel::for_each(bands, |(band, out): (usize, &mut [u8])| {
        let mut scratch = vec![vec![0; Upsampler::scratch(frame.width)]; planes.len()];
        for (i, out) in out.chunks_exact_mut(frame.width * 3).enumerate() {
            let mut rows = upsamplers
                .iter()
                .zip(&mut scratch)
                .map(|(upsampler, scratch)| upsampler.row(band * BAND + i, scratch));
            let mut next = || rows.next().unwrap_or_default();
            match space {
                Space::Grey => grey(next(), out),
                Space::Rgb => plain([next(), next(), next()], out),
                Space::YCbCr => ycc([next(), next(), next()], out),
                Space::Cmyk => inks([next(), next(), next(), next()], out, |c, m, y| [c, m, y]),
                // libjpeg turns RGB into inks, 255 less each.
                Space::Ycck => inks([next(), next(), next(), next()], out, |y, cb, cr| {
                    rgb_of(y, cb, cr).map(|v| 255 - v)
                }),
            }
        }
    });
    rgb
}

fn grey(row: &[u8], out: &mut [u8]) {
    for (pixel, &value) in out.chunks_exact_mut(3).zip(row) {
        pixel.fill(value);
    }
}

fn plain([r, g, b]: [&[u8]; 3], out: &mut [u8]) {
    for (((pixel, &r), &g), &b) in out.chunks_exact_mut(3).zip(r).zip(g).zip(b) {
        pixel.copy_from_slice(&[r, g, b]);
    }
}

fn ycc([y, cb, cr]: [&[u8]; 3], out: &mut [u8]) {
    /// Pixels at a time: converted by SIMD, then put side by side.
    const N: usize = 32;
    let mut pixels = [0u32; N];
    let rows = y.chunks(N).zip(cb.chunks(N)).zip(cr.chunks(N));
    for (out, ((y, cb), cr)) in out.chunks_mut(3 * N).zip(rows) {
        for (((pixel, &y), &cb), &cr) in pixels.iter_mut().zip(y).zip(cb).zip(cr) {
            let [r, g, b] = rgb_of(y, cb, cr);
            *pixel = u32::from_le_bytes([r, g, b, 0]);
        }
        let fourfold = out.len() / 12 * 4;
        let mut fours = out.chunks_exact_mut(12);
        for (out, pixels) in fours.by_ref().zip(pixels.chunks_exact(4)) {
            let words = [
                pixels[0] | pixels[1] << 24,
                pixels[1] >> 8 | pixels[2] << 16,
                pixels[2] >> 16 | pixels[3] << 8,
            ];
            for (out, word) in out.chunks_exact_mut(4).zip(words) {
                out.copy_from_slice(&word.to_le_bytes());
            }
        }
        for (out, pixel) in fours.into_remainder().chunks_exact_mut(3).zip(&pixels[fourfold..]) {
            out.copy_from_slice(&pixel.to_le_bytes()[..3]);
        }
    }
}

/// libjpeg's 1.402, 0.344, 0.714 and 1.772 in 16 bits of fraction, less whole numbers, so that all
/// fit into 16 bits.
#[inline(always)]
fn rgb_of(y: u8, cb: u8, cr: u8) -> [u8; 3] {
    let (y, cb, cr) = (i16::from(y), i16::from(cb) - 128, i16::from(cr) - 128);
    let rounded = |value: i32| ((value + (1 << 15)) >> 16) as i16;
    let times = |value: i16, factor: i16| i32::from(value) * i32::from(factor);
    let r = y + cr + rounded(times(cr, 26345));
    let g = y - cr + rounded(times(cb, -22554) + times(cr, 18734));
    let b = y + cb + cb + rounded(times(cb, -14942));
    [r, g, b].map(|value| value.clamp(0, 255) as u8)
}

/// Four components, stored inverted as Adobe's programs do: Pillow takes all of them so.
fn inks([a, b, c, k]: [&[u8]; 4], out: &mut [u8], stored: impl Fn(u8, u8, u8) -> [u8; 3]) {
    for ((((pixel, &a), &b), &c), &k) in out.chunks_exact_mut(3).zip(a).zip(b).zip(c).zip(k) {
        let light = stored(a, b, c);
        for (value, light) in pixel.iter_mut().zip(light) {
            let shade = u32::from(255 - light) * u32::from(k) + 128;
            let shade = ((shade >> 8) + shade) >> 8;
            *value = u32::from(k).saturating_sub(shade) as u8;
        }
    }
}
