//! From a picture to the pixels of its squares. Every resize ends in 8 bits, as Pillow's does.

use super::resample::{Resize, resize};
use super::tiles::{Level, Plan, Tiling, Whole};
use super::{Aspect, ImageSpec, Picture, Pixels, check};
use crate::error::Result;

/// The squares of `picture` at one of [`ImageSpec::levels`], in the order in which the tower sees
/// them: row by row, the whole before or after them ([`Plan::whole`]).
///
/// # Errors
/// [`Error::ImageUnreadable`](crate::Error::ImageUnreadable) if the pixels do not fit the size, or
/// a side is not 1 to 65535.
pub fn squares(picture: &Picture, spec: &ImageSpec, level: Level) -> Result<(Plan, Vec<Pixels>)> {
    let source = check(&picture.rgb, picture.width, picture.height)?;
    let plan = spec.plan(level, picture.width, picture.height);
    let one = |rgb: Vec<u8>| {
        let mut pixels = Pixels::square(rgb, source, spec);
        pixels.readings_differ = picture.readings_differ;
        pixels
    };
    let side = (spec.size, spec.size);
    let mut all = Vec::with_capacity(plan.squares());
    match level {
        Level::Square => all.push(Pixels::of(picture, spec)?),
        Level::Padded | Level::Frame => {
            let aspect = if level == Level::Padded { Aspect::Pad } else { Aspect::Stretch };
            all.push(Pixels::of(picture, &ImageSpec { aspect, ..spec.clone() })?);
        }
        Level::Unsplit => {
            let published = match spec.tiling {
                Tiling::Edges { published, .. } => u8::try_from(published).unwrap_or(u8::MAX),
                _ => 1,
            };
            let (first, _) = spec.edge_sizes(published, picture.width, picture.height);
            all.push(one(Raw::from(picture).stretch(first, spec).stretch(side, spec).rgb));
        }
        Level::Edge(n) => {
            let (first, second) = spec.edge_sizes(n, picture.width, picture.height);
            let whole = Raw::from(picture).stretch(first, spec).stretch(second, spec);
            if plan.whole == Whole::Last {
                all.extend(whole.as_ref().cut(&plan, spec.size).map(one));
            }
            all.push(one(whole.as_ref().stretch(side, spec).rgb));
        }
        Level::Pinpoints(_) => {
            let whole = Raw::from(picture);
            all.push(one(whole.stretch(side, spec).rgb));
            let canvas = (plan.columns * spec.size, plan.rows * spec.size);
            let shown = whole.stretch(inside((picture.width, picture.height), canvas), spec);
            let canvas = shown.as_ref().on_black(canvas);
            all.extend(canvas.as_ref().cut(&plan, spec.size).map(one));
        }
    }
    Ok((plan, all))
}

/// The largest size of the picture's shape inside `canvas`, by upstream's rounding.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "sizes are far below 2^53, and a side is never negative"
)]
fn inside((width, height): (usize, usize), canvas: (usize, usize)) -> (usize, usize) {
    let across = canvas.0 as f64 / width as f64;
    let down = canvas.1 as f64 / height as f64;
    let scaled =
        |length: usize, by: f64, most: usize| ((length as f64 * by).ceil() as usize).clamp(1, most);
    if across < down {
        (canvas.0, scaled(height, across, canvas.1))
    } else {
        (scaled(width, down, canvas.0), canvas.1)
    }
}

/// Pixels that are owned, [height, width, 3].
struct Owned {
    rgb: Vec<u8>,
    width: usize,
}

/// The same, lent.
#[derive(Clone, Copy)]
struct Raw<'a> {
    rgb: &'a [u8],
    size: (usize, usize),
}

impl<'a> From<&'a Picture> for Raw<'a> {
    fn from(picture: &'a Picture) -> Raw<'a> {
        Raw { rgb: &picture.rgb, size: (picture.width, picture.height) }
    }
}

impl Owned {
    fn as_ref(&self) -> Raw<'_> {
        Raw { rgb: &self.rgb, size: (self.width, self.rgb.len() / 3 / self.width) }
    }

    fn stretch(&self, to: (usize, usize), spec: &ImageSpec) -> Owned {
        self.as_ref().stretch(to, spec)
    }
}

impl<'a> Raw<'a> {
    fn stretch(self, to: (usize, usize), spec: &ImageSpec) -> Owned {
        if to == self.size {
            return Owned { rgb: self.rgb.to_vec(), width: to.0 };
        }
        let rgb = resize(self.rgb, self.size, &Resize::stretch(self.size, to, spec.filter));
        Owned { rgb, width: to.0 }
    }

    /// In the middle of a black canvas that is at least as large.
    fn on_black(self, canvas: (usize, usize)) -> Owned {
        let (left, top) = ((canvas.0 - self.size.0) / 2, (canvas.1 - self.size.1) / 2);
        let mut rgb = vec![0; canvas.0 * canvas.1 * 3];
        let rows = rgb[top * canvas.0 * 3..].chunks_exact_mut(canvas.0 * 3);
        for (row, out) in self.rgb.chunks_exact(self.size.0 * 3).zip(rows) {
            out[left * 3..][..row.len()].copy_from_slice(row);
        }
        Owned { rgb, width: canvas.0 }
    }

    /// Its squares, row by row.
    fn cut(self, plan: &Plan, side: usize) -> impl Iterator<Item = Vec<u8>> + use<'a> {
        let columns = plan.columns;
        (0..plan.rows * columns).map(move |i| {
            let (top, left) = (i / columns * side, i % columns * side);
            let row = |y: usize| &self.rgb[(y * self.size.0 + left) * 3..][..side * 3];
            (top..top + side).flat_map(row).copied().collect()
        })
    }
}
