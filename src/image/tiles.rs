//! Cutting a picture into the squares that a tower sees: which squares there are at each level of
//! tiling, known from width and height alone.
//!
//! Upstream: transformers' `image_processing_idefics3` (edges) and
//! `image_processing_llava_onevision` (pinpoints).

use std::ops::Range;

use super::ImageSpec;
pub use super::cut::squares;

/// How a family cuts pictures.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Tiling {
    /// One square, whatever the picture's shape.
    #[default]
    Square,
    /// SmolVLM, Idefics3: the longer edge becomes N squares, and the whole comes last.
    Edges {
        /// The published N: `size.longest_edge` over the tower's side.
        published: usize,
        /// `do_image_splitting`; without it there is one square at the published size.
        split: bool,
    },
    /// LLaVA-OneVision: the size that wastes least is cut into squares, and the whole comes first.
    Pinpoints {
        /// [height, width] of each size, in the file's order; multiples of the tower's side.
        sizes: Vec<[usize; 2]>,
        /// K of `anyres_max_K`: more patches than K squares have are reduced.
        most: usize,
    },
}

/// One way of cutting: how much of the tower a picture takes.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize,
)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Level {
    /// The one square of families without tiles.
    #[default]
    Square,
    /// The longer edge is N squares, and the whole comes last; N = 1 is one square.
    Edge(u8),
    /// The whole at the published size, then resized to one square.
    Unsplit,
    /// One stretched square, its tokens pooled: a video's frame.
    Frame,
    /// One padded square: a picture among several.
    Padded,
    /// The whole, and the best size of at most so many squares.
    Pinpoints(u8),
}

impl Level {
    /// A level in two bytes; 0 is the one square of families without tiles.
    pub(crate) fn code(self) -> [u8; 2] {
        match self {
            Level::Square => [0, 0],
            Level::Edge(n) => [1, n],
            Level::Unsplit => [2, 0],
            Level::Frame => [3, 0],
            Level::Padded => [4, 0],
            Level::Pinpoints(n) => [5, n],
        }
    }
}

/// How the pictures of a prompt belong together: checkpoints were trained to see them cut in
/// different ways.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Scene {
    /// There is one.
    #[default]
    Alone,
    /// There are several.
    Several,
    /// They are frames of one clip, in its order.
    Frames,
}

/// Where the whole picture stands among a plan's squares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Whole {
    /// It is the only square.
    Alone,
    /// Before the tiles.
    First,
    /// After the tiles.
    Last,
}

/// The squares of one picture at one level.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Plan {
    /// The level.
    pub level: Level,
    /// Width and height of the picture.
    pub picture: (usize, usize),
    /// Rows of tiles; 0 where the whole stands alone.
    pub rows: usize,
    /// Tiles in a row; 0 where the whole stands alone.
    pub columns: usize,
    /// Where the whole stands.
    pub whole: Whole,
}

/// The most squares that a picture is cut into, the whole not counted: far above any published
/// checkpoint's 36.
const MOST_SQUARES: usize = 225;
/// The most pixels of a picture that is resized for cutting: as floats, they take 200 MB.
const MOST_CUT_PIXELS: usize = 1 << 24;
/// The most sizes to choose from.
const MOST_SIZES: usize = 1024;
/// The longest edge of a picture before it is fitted to squares.
const LONGEST_EDGE: usize = 4096;

impl Tiling {
    /// Checks what a configuration says, for squares of `side` pixels; the error is the problem in
    /// words. What [`ImageSpec::plan`] and [`squares`] allocate is bounded by it.
    #[doc(hidden)]
    pub fn check(&self, side: usize) -> Result<(), String> {
        let too_many = |squares: usize| {
            squares > MOST_SQUARES || squares.saturating_mul(side * side) > MOST_CUT_PIXELS
        };
        match self {
            Tiling::Square => Ok(()),
            Tiling::Edges { published, .. } => {
                if *published == 0 || too_many(published.saturating_mul(*published)) {
                    return Err(format!(
                        "its pictures would be cut into up to {published} × {published} squares of {side} pixels, more than is run"
                    ));
                }
                Ok(())
            }
            Tiling::Pinpoints { sizes, most } => {
                if !(1..=MOST_SIZES).contains(&sizes.len()) || *most == 0 {
                    return Err(format!(
                        "it names {} sizes for its pictures and keeps {most} squares' worth of them; 1 to {MOST_SIZES} sizes are read",
                        sizes.len()
                    ));
                }
                let unfit = |[height, width]: &&[usize; 2]| {
                    let fits = |edge: usize| edge > 0 && edge.is_multiple_of(side);
                    !fits(*height) || !fits(*width) || too_many((height / side) * (width / side))
                };
                match sizes.iter().find(unfit) {
                    None => Ok(()),
                    Some([height, width]) => Err(format!(
                        "its image_grid_pinpoints hold {height} × {width}, which is not a usable number of squares of {side} pixels"
                    )),
                }
            }
        }
    }
}

impl ImageSpec {
    /// The ways this family cuts a picture that stands alone, from cheap to dear; those above the
    /// first few may give the same squares for some pictures.
    #[doc(hidden)]
    pub fn levels(&self) -> Vec<Level> {
        self.levels_in(Scene::Alone)
    }

    /// The ways this family cuts each picture of a scene, from cheap to dear.
    #[doc(hidden)]
    pub fn levels_in(&self, scene: Scene) -> Vec<Level> {
        match (&self.tiling, scene) {
            (Tiling::Pinpoints { .. }, Scene::Several) => vec![Level::Frame, Level::Padded],
            (Tiling::Pinpoints { .. }, Scene::Frames) => vec![Level::Frame],
            (Tiling::Edges { split: true, .. }, Scene::Frames) => vec![Level::Edge(1)],
            _ => self.levels_alone(),
        }
    }

    fn levels_alone(&self) -> Vec<Level> {
        match &self.tiling {
            Tiling::Square => vec![Level::Square],
            Tiling::Edges { split: false, .. } => vec![Level::Unsplit],
            Tiling::Edges { published, .. } => (1..=small(*published)).map(Level::Edge).collect(),
            Tiling::Pinpoints { sizes, .. } => {
                let counts = || sizes.iter().map(|size| self.squares_of(*size));
                let (least, all) = (counts().min().unwrap_or(1), counts().max().unwrap_or(1));
                let few = [1, 4].into_iter().filter(|few| (least..all).contains(few));
                let tiled = few.chain([all]).map(|most| Level::Pinpoints(small(most)));
                [Level::Frame, Level::Padded].into_iter().chain(tiled).collect()
            }
        }
    }

    /// The squares of a picture of `width` × `height` pixels at one of [`ImageSpec::levels`].
    /// Known before a pixel is: every side is at least 1.
    #[doc(hidden)]
    pub fn plan(&self, level: Level, width: usize, height: usize) -> Plan {
        let alone =
            Plan { level, picture: (width, height), rows: 0, columns: 0, whole: Whole::Alone };
        match level {
            Level::Square | Level::Unsplit | Level::Frame | Level::Padded => alone,
            Level::Edge(n) => {
                let (_, (across, down)) = self.edge_sizes(n, width, height);
                let (rows, columns) = (down / self.size, across / self.size);
                if rows * columns == 1 {
                    return alone;
                }
                Plan { rows, columns, whole: Whole::Last, ..alone }
            }
            Level::Pinpoints(most) => {
                let [down, across] = self.best_size(usize::from(most), width, height);
                let (rows, columns) = (down / self.size, across / self.size);
                Plan { rows, columns, whole: Whole::First, ..alone }
            }
        }
    }

    fn squares_of(&self, [height, width]: [usize; 2]) -> usize {
        (height / self.size) * (width / self.size)
    }

    /// Width and height after each of the two resizes of [`Level::Edge`]: the longer edge to `n`
    /// squares, then both up to whole squares.
    pub(super) fn edge_sizes(
        &self,
        n: u8,
        width: usize,
        height: usize,
    ) -> ((usize, usize), (usize, usize)) {
        let side = self.size;
        let edge = usize::from(n.max(1)) * side;
        let even = |length: usize| length + length % 2;
        let up = |length: usize| length.max(1).div_ceil(side) * side;
        let mut first = fit((width, height), edge, even);
        if first.0.max(first.1) > LONGEST_EDGE {
            first = fit(first, LONGEST_EDGE, |length| length);
        }
        (first, fit(first, up(first.0.max(first.1)), up))
    }

    /// [height, width] of the size that shows most of the picture and wastes least, of those of
    /// at most `most` squares; of all smallest ones where there is none.
    fn best_size(&self, most: usize, width: usize, height: usize) -> [usize; 2] {
        let Tiling::Pinpoints { sizes, .. } = &self.tiling else { return [self.size; 2] };
        let least = sizes.iter().map(|size| self.squares_of(*size)).min().unwrap_or(1);
        let mut best = None;
        for &[down, across] in sizes {
            if self.squares_of([down, across]) > most.max(least) {
                continue;
            }
            let scale = (float(across) / float(width)).min(float(down) / float(height));
            let shown = truncated(float(width) * scale) * truncated(float(height) * scale);
            let shown = shown.min(width * height);
            // The first of equals stays.
            let better = (shown, std::cmp::Reverse(down * across - shown.min(down * across)));
            if best.is_none_or(|(so_far, _)| better > so_far) {
                best = Some((better, [down, across]));
            }
        }
        best.map_or([self.size; 2], |(_, size)| size)
    }
}
impl Plan {
    /// Squares in all: runs of the tower.
    pub fn squares(&self) -> usize {
        self.rows * self.columns + 1
    }

    /// Rows and columns of tokens of all tiles put together, `side` × `side` of each; of the whole
    /// where it stands alone.
    pub fn grid(&self, side: usize) -> (usize, usize) {
        (self.rows.max(1) * side, self.columns.max(1) * side)
    }

    /// Rows and columns of [`Plan::grid`] that show the picture and not what it was padded with:
    /// at least one of each.
    pub fn unpadded(&self, side: usize) -> (Range<usize>, Range<usize>) {
        let (rows, columns) = self.grid(side);
        let (width, height) = (float(self.picture.0), float(self.picture.1));
        let (down, across) = (float(rows), float(columns));
        // Upstream's int(round(…, 7)): a product just below a whole number is that number.
        let seventh = |length: f64| truncated(format!("{length:.7}").parse().unwrap_or(length));
        let kept = |of: usize, shown: usize| {
            let off = (of.saturating_sub(shown) / 2).min((of - 1) / 2);
            off..of - off
        };
        if width / height > across / down {
            (kept(rows, seventh(height * (across / width))), 0..columns)
        } else {
            (0..rows, kept(columns, seventh(width * (down / height))))
        }
    }

    /// Rows and columns that remain of [`Plan::unpadded`]: fewer where there are more tokens than
    /// `most` squares have. The reduction is bilinear.
    pub fn reduced(&self, side: usize, most: usize) -> (usize, usize) {
        let (rows, columns) = self.unpadded(side);
        let (rows, columns) = (rows.len(), columns.len());
        let ratio = (float(rows * columns) / float(most.max(1) * side * side)).sqrt();
        if ratio > 1.1 {
            (floor_divided(rows, ratio).max(1), floor_divided(columns, ratio).max(1))
        } else {
            (rows, columns)
        }
    }

    /// Image tokens, newlines included, where the projector makes `side` × `side` of a square.
    pub fn tokens(&self, side: usize, tiling: &Tiling) -> usize {
        match (self.level, tiling) {
            (Level::Frame, _) => pooled(side).pow(2) + 1,
            (Level::Padded, _) => side * side + 1,
            (Level::Pinpoints(_), Tiling::Pinpoints { most, .. }) => {
                let (rows, columns) = self.reduced(side, *most);
                side * side + rows * (columns + 1)
            }
            _ => self.squares() * side * side,
        }
    }
}

/// Tokens along a side of [`Level::Frame`]'s square, of the `side` that there were.
pub fn pooled(side: usize) -> usize {
    side.div_ceil(2)
}

/// Width and height with the longer one `long`; the other one, as far as the aspect asks for it,
/// is rounded by `round`. Quotients and products as the reference has them.
fn fit(
    (width, height): (usize, usize),
    long: usize,
    round: impl Fn(usize) -> usize,
) -> (usize, usize) {
    let aspect = float(width) / float(height);
    if width >= height {
        (long, round(truncated(float(long) / aspect)).max(1))
    } else {
        (round(truncated(float(long) * aspect)).max(1), long)
    }
}

/// Python's `length // by`: from the remainder, which may be one less than the rounded quotient.
fn floor_divided(length: usize, by: f64) -> usize {
    let length = float(length);
    truncated(((length - length % by) / by).round())
}

#[expect(clippy::cast_precision_loss, reason = "sizes of pictures are far below 2^53")]
fn float(length: usize) -> f64 {
    length as f64
}

/// Python's `int()` of a number that is not negative.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "truncation is what is wanted, and the cast saturates"
)]
fn truncated(length: f64) -> usize {
    length as usize
}

/// A count of squares as a level holds it; [`Tiling::check`] refuses larger ones.
fn small(count: usize) -> u8 {
    u8::try_from(count).unwrap_or(u8::MAX)
}
