//! How the tokens of a picture's squares make up the picture's image tokens.
//!
//! Upstream: transformers' `Idefics3Model`, and `pack_image_features` and `apply_pooling` of
//! LLaVA-OneVision.

use super::{Config, Projector};
use crate::image::tiles::{Level, Plan, Tiling, Whole};
use crate::kernels::gather::Taps;
use std::ops::Range;

/// What of the tiles' grid becomes image tokens, and how many.
#[derive(Clone, Debug, PartialEq)]
struct Kept {
    /// Rows of the grid that show the picture.
    rows: Range<usize>,
    /// Columns of the grid that show it.
    columns: Range<usize>,
    /// Rows and columns of tokens that are made of these.
    made: (usize, usize),
}

impl Config {
    /// Image tokens that one square gives, before newlines and pooling.
    #[doc(hidden)]
    pub fn square_tokens(&self) -> usize {
        match &self.projector {
            Projector::Resampler(r) => r.m_max,
            _ => self.square_side().pow(2),
        }
    }

    /// Side of the grid of tokens that one square gives; 0 where they are no grid.
    pub(crate) fn square_side(&self) -> usize {
        match &self.projector {
            Projector::Resampler(_) => 0,
            Projector::Mlp(_) => self.vision.grid(),
            Projector::Shuffle(shuffle) => self.vision.grid() / shuffle.scale,
            Projector::Ldp2(ldp) => ldp.side,
        }
    }

    /// Image tokens of a picture cut as `plan` says, newlines included.
    #[doc(hidden)]
    pub fn tokens(&self, plan: &Plan) -> usize {
        match self.square_side() {
            0 => plan.squares() * self.square_tokens(),
            side => plan.tokens(side, &self.preparing.tiling),
        }
    }

    /// The plan that costs least: one square.
    pub(crate) fn least_plan(&self, picture: (usize, usize)) -> Plan {
        let level = match self.preparing.tiling {
            Tiling::Square => Level::Square,
            Tiling::Edges { split: true, .. } => Level::Edge(1),
            Tiling::Edges { split: false, .. } => Level::Unsplit,
            Tiling::Pinpoints { .. } => Level::Frame,
        };
        Plan { level, picture, rows: 0, columns: 0, whole: Whole::Alone }
    }

    /// The plans that take most of a device, at each level, with a picture of the plan's own size;
    /// none where every picture is one square.
    pub(crate) fn largest_plans(&self) -> Vec<Plan> {
        let side = self.vision.image_size;
        match &self.preparing.tiling {
            Tiling::Square => Vec::new(),
            Tiling::Edges { published, .. } => {
                let plan = |n: usize| Plan {
                    level: Level::Edge(n as u8),
                    picture: (n * side, n * side),
                    rows: n,
                    columns: n,
                    whole: Whole::Last,
                };
                (1..=*published).map(plan).collect()
            }
            Tiling::Pinpoints { sizes, .. } => {
                let plan = |[height, width]: &[usize; 2]| Plan {
                    level: Level::Pinpoints(u8::MAX),
                    picture: (*width, *height),
                    rows: height / side,
                    columns: width / side,
                    whole: Whole::First,
                };
                sizes.iter().map(plan).collect()
            }
        }
    }

    /// Whether the tokens of the squares are put together into other rows than they come in.
    pub(crate) fn is_assembled(plan: &Plan) -> bool {
        matches!(plan.level, Level::Frame | Level::Padded | Level::Pinpoints(_))
    }

    /// The part of the tiles' grid that shows the picture, and the grid that it becomes.
    fn kept(&self, plan: &Plan) -> Kept {
        let side = self.square_side();
        let most = match &self.preparing.tiling {
            Tiling::Pinpoints { most, .. } => *most,
            _ => 1,
        };
        let (rows, columns) = plan.unpadded(side);
        Kept { rows, columns, made: plan.reduced(side, most) }
    }

    /// How image tokens come from the squares' tokens, [squares · square tokens] in the order of
    /// `plan`, and the newline behind them.
    pub(crate) fn assembly(&self, plan: &Plan) -> Taps {
        let (side, each) = (self.square_side(), self.square_tokens());
        let newline = plan.squares() * each;
        let mut taps = Taps::new(4);
        match plan.level {
            Level::Frame => {
                let made = side.div_ceil(2);
                for token in 0..made * made {
                    let (y, x) = (tap(token / made, side, made), tap(token % made, side, made));
                    taps.push(&corners(y, x, |y, x| y * side + x));
                }
                taps.push(&[(newline, 1.0)]);
            }
            Level::Padded => {
                (0..each).for_each(|row| taps.push(&[(row, 1.0)]));
                taps.push(&[(newline, 1.0)]);
            }
            Level::Pinpoints(_) => {
                (0..each).for_each(|row| taps.push(&[(row, 1.0)]));
                let Kept { rows, columns, made } = self.kept(plan);
                // The whole comes first, then the tiles row by row.
                let place = |y: usize, x: usize| {
                    let (y, x) = (y + rows.start, x + columns.start);
                    let tile = 1 + y / side * plan.columns + x / side;
                    tile * each + y % side * side + x % side
                };
                for row in 0..made.0 {
                    for column in 0..made.1 {
                        let y = tap(row, rows.len(), made.0);
                        let x = tap(column, columns.len(), made.1);
                        taps.push(&corners(y, x, place));
                    }
                    taps.push(&[(newline, 1.0)]);
                }
            }
            Level::Square | Level::Unsplit | Level::Edge(_) => {
                (0..newline).for_each(|row| taps.push(&[(row, 1.0)]));
            }
        }
        taps
    }
}

/// The two places of `from` that place `to_at` of `to` lies between, and how far it is from the
/// first: bilinear, without corners aligned and without antialiasing.
fn tap(to_at: usize, from: usize, to: usize) -> (usize, usize, f64) {
    let source = ((to_at as f64 + 0.5) * from as f64 / to as f64 - 0.5).max(0.0);
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 or more")]
    let first = (source as usize).min(from - 1);
    (first, (first + 1).min(from - 1), source - first as f64)
}

/// The four neighbours of a place and their weights; fewer where it lies on one.
fn corners(
    (top, bottom, down): (usize, usize, f64),
    (left, right, across): (usize, usize, f64),
    row: impl Fn(usize, usize) -> usize,
) -> Vec<(usize, f32)> {
    let all = [
        (top, left, (1.0 - down) * (1.0 - across)),
        (top, right, (1.0 - down) * across),
        (bottom, left, down * (1.0 - across)),
        (bottom, right, down * across),
    ];
    let counted = all.into_iter().filter(|(.., weight)| *weight != 0.0);
    counted.map(|(y, x, weight)| (row(y, x), weight as f32)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::shapes::named;

    fn pinpoints(picture: (usize, usize), rows: usize, columns: usize) -> Plan {
        Plan { level: Level::Pinpoints(36), picture, rows, columns, whole: Whole::First }
    }

    /// As transformers counts them.
    #[test]
    fn onevision_counts_its_tokens() {
        let config = named("llava-onevision-0.5b").unwrap();
        for (picture, rows, columns, tokens) in [
            ((384, 384), 1, 1, 1485),
            ((640, 480), 2, 2, 2929),
            ((1024, 768), 2, 3, 4725),
            ((1920, 1080), 3, 5, 7269),
            ((4000, 3000), 5, 6, 7309),
        ] {
            let plan = pinpoints(picture, rows, columns);
            assert_eq!(config.tokens(&plan), tokens, "{picture:?}");
            assert_eq!(config.assembly(&plan).rows(), tokens, "{picture:?}");
        }
        let mut plan = config.least_plan((100, 50));
        assert_eq!((plan.level, config.tokens(&plan)), (Level::Frame, 197));
        assert_eq!(config.assembly(&plan).rows(), 197);
        plan.level = Level::Padded;
        assert_eq!((config.tokens(&plan), config.assembly(&plan).rows()), (730, 730));
    }

    /// Every row of an assembly is a mean: its weights sum to 1.
    #[test]
    fn no_row_is_weighed_more_than_another() {
        let config = named("llava-onevision-0.5b").unwrap();
        for plan in [config.least_plan((9, 9)), pinpoints((1920, 1080), 3, 5)] {
            let taps = config.assembly(&plan);
            for row in taps.list.chunks_exact(taps.each) {
                let sum: f32 = row.iter().map(|(_, weight)| weight).sum();
                assert!((sum - 1.0).abs() < 1e-6, "{row:?}");
            }
        }
    }

    #[test]
    fn pictures_that_are_all_but_lines_have_tokens() {
        let config = named("llava-onevision-0.5b").unwrap();
        for (picture, rows, columns) in [((1, 60_000), 6, 1), ((60_000, 1), 1, 6), ((1, 1), 1, 1)] {
            let plan = pinpoints(picture, rows, columns);
            assert_eq!(config.assembly(&plan).rows(), config.tokens(&plan), "{picture:?}");
        }
    }

    #[test]
    fn smolvlm_has_as_many_tokens_for_every_square() {
        let config = named("smolvlm-256m").unwrap();
        let plan = config.least_plan((300, 200));
        assert_eq!((plan.level, config.tokens(&plan)), (Level::Edge(1), 64));
        let tiled = Plan { level: Level::Edge(4), rows: 3, columns: 4, whole: Whole::Last, ..plan };
        assert_eq!(config.tokens(&tiled), 832);
        assert_eq!(named("mobilevlm-v2-1.7b").unwrap().square_tokens(), 144);
    }
}
