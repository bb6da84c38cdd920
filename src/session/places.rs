//! From weights of image tokens to weights of places in the picture.

use crate::config::Config;
use crate::image::ImageSpec;
use crate::image::tiles::{Level, Plan, Whole};

/// A grid over an area of a picture, and a weight for each of its cells.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Places {
    pub(super) columns: usize,
    pub(super) rows: usize,
    /// [rows, columns]
    pub(super) weights: Vec<f32>,
    /// [left, top, width, height] in pixels of the picture.
    pub(super) area: [f64; 4],
}

impl Places {
    /// Where `tokens`, (row of the picture's, weight) each, have their values from.
    ///
    /// `map` [M, patches] is the resampler's, where there is one. Elsewhere a token's weight goes
    /// to its own place and to no other: where no token was read, nothing was looked at. A newline
    /// has no place.
    pub(super) fn of(
        config: &Config,
        spec: &ImageSpec,
        plan: &Plan,
        tokens: &[(u32, f32)],
        map: Option<&[f32]>,
    ) -> Places {
        let area = spec.area(plan.level, plan.picture.0, plan.picture.1);
        let side = config.square_side();
        if let Some(map) = map {
            let (grid, patches) = (config.vision.grid(), config.vision.patches());
            let mut places = Places::none(grid, grid, area);
            for &(row, weight) in tokens {
                let from = &map[row as usize * patches..][..patches];
                let all = places.weights.iter_mut().zip(from);
                all.for_each(|(place, share)| *place += weight * share);
            }
            return places;
        }
        let (down, across) = match plan.level {
            Level::Pinpoints(_) => {
                let (rows, columns) = plan.unpadded(side);
                (rows.len(), columns.len())
            }
            _ => plan.grid(side),
        };
        let mut places = Places::none(across, down, area);
        if !Config::is_assembled(plan) {
            for &(row, weight) in tokens {
                places.add_row(config, plan, row as usize, weight);
            }
            return places;
        }
        let taps = config.assembly(plan);
        let newline = plan.squares() * config.square_tokens();
        for &(row, weight) in tokens {
            let made_of = &taps.list[row as usize * taps.each..][..taps.each];
            for &(from, share) in made_of.iter().filter(|(from, _)| *from as usize != newline) {
                places.add_row(config, plan, from as usize, weight * share);
            }
        }
        places
    }

    fn none(columns: usize, rows: usize, area: [f64; 4]) -> Places {
        Places { columns, rows, weights: vec![0.0; rows * columns], area }
    }

    /// Adds a row of the squares' tokens, or an average of them that lies behind those.
    fn add_row(&mut self, config: &Config, plan: &Plan, row: usize, weight: f32) {
        let (side, each) = (config.square_side(), config.square_tokens());
        let (square, at) = (row / each, row % each);
        let tiles = plan.rows * plan.columns;
        let tile = match plan.whole {
            Whole::Alone if square > 0 => return self.add_average(config, row, weight),
            Whole::Alone => None,
            Whole::First => square.checked_sub(1),
            Whole::Last => (square < tiles).then_some(square),
        };
        let Some(tile) = tile else {
            return self.add_cell((at / side, at % side), side, weight);
        };
        let (y, x) =
            (tile / plan.columns * side + at / side, tile % plan.columns * side + at % side);
        let (y, x) = match plan.level {
            Level::Pinpoints(_) => {
                let (rows, columns) = plan.unpadded(side);
                (y - rows.start, x - columns.start)
            }
            _ => (y, x),
        };
        self.weights[y * self.columns + x] += weight;
    }

    fn add_average(&mut self, config: &Config, row: usize, weight: f32) {
        let mut first = config.square_tokens();
        for side in config.pool_sides() {
            if row < first + side * side {
                let at = row - first;
                return self.add_cell((at / side, at % side), side, weight);
            }
            first += side * side;
        }
    }

    /// Adds a cell of a grid of `side` × `side` over the same area, shared among the cells here by
    /// how much of each it covers.
    fn add_cell(&mut self, (y, x): (usize, usize), side: usize, weight: f32) {
        let across = covered(x, side, self.columns);
        for (row, down) in covered(y, side, self.rows) {
            for (column, share) in &across {
                self.weights[row * self.columns + column] += weight * down * share;
            }
        }
    }
}

/// The cells of `to` that cell `at` of `from` over the same length covers, and how much of it lies
/// in each.
fn covered(at: usize, from: usize, to: usize) -> Vec<(usize, f32)> {
    // In units of 1 / (from · to) of the length.
    let (start, end) = (at * to, (at + 1) * to);
    (start / from..end.div_ceil(from))
        .map(|cell| {
            let overlap = end.min((cell + 1) * from) - start.max(cell * from);
            (cell, overlap as f32 / to as f32)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::shapes::named;
    use crate::image::tiles::Scene;

    #[test]
    fn a_cell_is_shared_among_those_it_covers() {
        assert_eq!(covered(1, 2, 4), [(2, 0.5), (3, 0.5)]);
        assert_eq!(covered(1, 3, 3), [(1, 1.0)]);
        assert_eq!(covered(1, 4, 2), [(0, 1.0)]);
        let two_thirds = covered(0, 2, 3);
        assert_eq!(two_thirds.len(), 2);
        assert!((two_thirds[0].1 - 2.0 / 3.0).abs() < 1e-6, "{two_thirds:?}");
    }

    fn sum(places: &Places) -> f32 {
        places.weights.iter().sum()
    }

    fn of(name: &str, level: Level, size: (usize, usize), tokens: &[(u32, f32)]) -> Places {
        let config = named(name).unwrap();
        let spec = config.image_spec();
        let plan = spec.plan(level, size.0, size.1);
        Places::of(&config, &spec, &plan, tokens, None)
    }

    #[test]
    fn a_selected_token_has_its_own_place() {
        let tokens = [(0, 0.25), (25, 0.5), (575, 0.25)];
        let places = of("llava-1.5-7b", Level::Square, (640, 480), &tokens);
        assert_eq!((places.columns, places.rows, sum(&places)), (24, 24, 1.0));
        let lit: Vec<usize> = (0..576).filter(|&i| places.weights[i] > 0.0).collect();
        assert_eq!(lit, [0, 25, 575]);
    }

    #[test]
    fn an_average_is_shared_among_its_square() {
        // Behind the 576 tokens and their 144 averages: 6 × 6 averages, the last one at the end.
        let places = of("llava-1.5-7b", Level::Square, (480, 480), &[(576 + 144 + 35, 1.0)]);
        let lit: Vec<usize> = (0..576).filter(|&i| places.weights[i] > 0.0).collect();
        assert_eq!((lit.len(), lit[0], lit[15]), (16, 20 * 24 + 20, 575));
        assert!((places.weights[575] - 1.0 / 16.0).abs() < 1e-6);
    }

    #[test]
    fn a_resamplers_token_looks_where_its_map_says() {
        let config = named("mqt-llava-7b").unwrap();
        let (spec, patches) = (config.image_spec(), config.vision.patches());
        let mut map = vec![0.0; config.m_max() * patches];
        (map[3], map[patches + 5]) = (1.0, 1.0);
        let plan = spec.plan(Level::Square, 50, 50);
        let tokens = [(0, 0.75), (1, 0.25)];
        let places = Places::of(&config, &spec, &plan, &tokens, Some(&map));
        assert_eq!((places.weights[3], places.weights[5], sum(&places)), (0.75, 0.25, 1.0));
    }

    /// A tile's token lies in its tile; one of the whole is shared among all tiles.
    #[test]
    fn tiles_lie_side_by_side() {
        let tile = of("smolvlm-256m", Level::Edge(2), (400, 300), &[(64 + 9, 1.0)]);
        assert_eq!((tile.columns, tile.rows), (16, 16));
        assert_eq!(tile.weights.iter().position(|&weight| weight > 0.0), Some(16 + 9));
        let whole = of("smolvlm-256m", Level::Edge(2), (400, 300), &[(4 * 64 + 63, 1.0)]);
        let lit: Vec<usize> = (0..256).filter(|&i| whole.weights[i] > 0.0).collect();
        assert_eq!(lit, [14 * 16 + 14, 14 * 16 + 15, 15 * 16 + 14, 255]);
    }

    /// Newlines apart, nothing is lost, and every place is reached.
    #[test]
    fn every_token_of_every_level_has_a_place() {
        let config = named("llava-onevision-0.5b").unwrap();
        let spec = config.image_spec();
        let scenes = [Scene::Alone, Scene::Several, Scene::Frames];
        for level in scenes.into_iter().flat_map(|scene| spec.levels_in(scene)) {
            for (width, height) in [(640, 480), (1920, 1080), (9, 900), (1, 60_000)] {
                let plan = spec.plan(level, width, height);
                let all: Vec<_> = (0..config.tokens(&plan) as u32).map(|row| (row, 1.0)).collect();
                let places = Places::of(&config, &spec, &plan, &all, None);
                let lines = match level {
                    Level::Pinpoints(_) => {
                        let each = config.square_tokens();
                        let (across, down) = (places.columns, all.len() - each);
                        // Reduced to fewer rows, there are fewer newlines than rows of places.
                        if across * (across + 1) == down { across } else { down.min(places.rows) }
                    }
                    _ => 1,
                };
                let lost = all.len() as f32 - sum(&places);
                assert!(lost > 0.5 && lost < lines as f32 + 0.5, "{level:?} {width}: {lost}");
                assert!(places.weights.iter().all(|&weight| weight > 0.0), "{level:?} {width}");
            }
        }
    }
}
