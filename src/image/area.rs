//! Which part of a picture a square shows, and resizing a picture: for drawing over it.

use super::resample::{Resize, resize};
use super::tiles::Level;
use super::{Aspect, Filter, ImageSpec, Picture};

impl ImageSpec {
    /// What the squares of a picture of `width` × `height` show of it at this level, all together:
    /// [left, top, width, height] in the picture's pixels. It reaches beyond the picture where that
    /// is padded, and is less than it where its ends are cut off.
    #[doc(hidden)]
    pub fn area(&self, level: Level, width: usize, height: usize) -> [f64; 4] {
        let whole = [0.0, 0.0, float(width), float(height)];
        let aspect = match level {
            Level::Square => self.aspect,
            Level::Padded => Aspect::Pad,
            _ => return whole,
        };
        match aspect {
            Aspect::Stretch => whole,
            Aspect::Pad => {
                let side = width.max(height);
                let before = |length: usize| -float((side - length) / 2);
                [before(width), before(height), float(side), float(side)]
            }
            Aspect::CropCenter => {
                let side = float(width.min(height));
                [(float(width) - side) / 2.0, (float(height) - side) / 2.0, side, side]
            }
        }
    }
}

impl Picture {
    /// The picture with its longer side between `least` and `most` pixels.
    #[must_use]
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "sides are rounded, positive and bounded by `most`"
    )]
    #[doc(hidden)]
    pub fn fitted(&self, least: usize, most: usize) -> Picture {
        let long = self.width.max(self.height);
        let factor = float(long.clamp(least, most)) / float(long);
        let to = |side: usize| ((float(side) * factor).round() as usize).max(1);
        let (width, height) = (to(self.width), to(self.height));
        let from = (self.width, self.height);
        let plan = Resize::stretch(from, (width, height), Filter::Bicubic);
        Picture { rgb: resize(&self.rgb, from, &plan), width, height, ..*self }
    }
}

#[expect(clippy::cast_precision_loss, reason = "sides of pictures are far below 2^53")]
fn float(length: usize) -> f64 {
    length as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_square_shows_more_or_less_than_the_picture() {
        let pad = ImageSpec::clip(112);
        let of = |aspect| ImageSpec { aspect, ..pad.clone() };
        assert_eq!(pad.area(Level::Square, 300, 200), [0.0, -50.0, 300.0, 300.0]);
        assert_eq!(pad.area(Level::Square, 200, 301), [-50.0, 0.0, 301.0, 301.0]);
        let crop = of(Aspect::CropCenter);
        assert_eq!(crop.area(Level::Square, 300, 200), [50.0, 0.0, 200.0, 200.0]);
        let stretch = of(Aspect::Stretch);
        assert_eq!(stretch.area(Level::Square, 300, 200), [0.0, 0.0, 300.0, 200.0]);
        assert_eq!(stretch.area(Level::Padded, 300, 200), [0.0, -50.0, 300.0, 300.0]);
        assert_eq!(pad.area(Level::Edge(2), 300, 200), [0.0, 0.0, 300.0, 200.0]);
    }

    #[test]
    fn a_fitted_picture_keeps_its_shape() {
        let picture = |width: usize, height: usize| {
            let rgb = vec![7; width * height * 3];
            let fitted = Picture { rgb, width, height, readings_differ: false }.fitted(40, 60);
            assert_eq!(fitted.rgb, vec![7; fitted.width * fitted.height * 3]);
            (fitted.width, fitted.height)
        };
        assert_eq!(picture(30, 20), (40, 27));
        assert_eq!(picture(50, 20), (50, 20));
        assert_eq!(picture(600, 1), (60, 1));
    }
}
