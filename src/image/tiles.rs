//! Cutting a picture into the squares that a tower sees: which squares there are at each level of
//! tiling, known from width and height alone.
//!
//! Upstream: transformers' `image_processing_idefics3` (edges) and
//! `image_processing_llava_onevision` (pinpoints).

use super::{ImageSpec, Picture, Pixels};
use crate::error::Result;

/// How a family cuts pictures.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
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

impl Plan {
    /// Squares in all: runs of the tower.
    pub fn squares(&self) -> usize {
        self.rows * self.columns + 1
    }
}

impl ImageSpec {
    /// The levels there are, cheapest first.
    pub fn levels(&self) -> Vec<Level> {
        vec![Level::Square]
    }

    /// The squares of a picture of this size at this level.
    pub fn plan(&self, level: Level, width: usize, height: usize) -> Plan {
        Plan { level, picture: (width, height), rows: 0, columns: 0, whole: Whole::Alone }
    }
}

/// Cuts a picture: its plan, and its squares in the order of the plan.
///
/// # Errors
/// [`Error::ImageUnreadable`](crate::error::Error::ImageUnreadable) if it is too large or too thin.
pub fn squares(picture: &Picture, spec: &ImageSpec, level: Level) -> Result<(Plan, Vec<Pixels>)> {
    let mut pixels = Pixels::from_rgb(&picture.rgb, picture.width, picture.height, spec)?;
    pixels.readings_differ = picture.readings_differ;
    Ok((spec.plan(level, picture.width, picture.height), vec![pixels]))
}
