//! Which m a model offers, for any picture or for a given one.

use super::{Config, Projector};
use crate::budget::{Offer, Step, ladder};
use crate::error::{Error, Result};
use crate::image::tiles::{Level, Plan, Scene, Tiling};
use crate::image::{Picture, Pixels};
use crate::select::{Select, question};

/// Fewer tokens than one square has, that an automatic budget may take of a tiled model's first
/// level.
const THINNED: [usize; 2] = [16, 32];

/// Image tokens of each frame of a clip that an automatic budget chooses from, and the most.
const FRAME: [usize; 3] = [2, 4, 8];
const FRAME_MOST: usize = 9;

/// Sizes that stand for pictures of any shape: the most tokens that some picture has are among
/// theirs.
const ANY_SHAPE: [(usize, usize); 7] = [(1, 1), (4, 3), (3, 4), (2, 1), (1, 2), (3, 1), (1, 3)];

impl Config {
    /// The ways of choosing image tokens, the model's own first.
    pub fn selects(&self) -> &'static [Select] {
        match &self.projector {
            // Its tokens were trained to be nested; the other ways show what that is worth.
            Projector::Resampler(_) => &[Select::Nested, Select::Spread, Select::Random],
            Projector::Mlp(mlp) if mlp.elastic && !self.is_tiled() => {
                &[Select::Pool, Select::Spread, Select::Random]
            }
            _ if self.is_tiled() => &[Select::Spread, Select::Random],
            _ if self.has_schedules() => {
                &[Select::Spread, Select::Pool, Select::Random, Select::Question]
            }
            _ => &[Select::Spread, Select::Pool, Select::Random],
        }
    }

    /// Whether [`question`]'s schedules are for this model: LLaVA-1.5's tower and projector, and
    /// layers to prune after.
    fn has_schedules(&self) -> bool {
        let is_llava = matches!(self.projector, Projector::Mlp(_)) && self.vision.class_token;
        let deepest = question::LAYERS[question::LAYERS.len() - 1];
        is_llava && self.square_side() == 24 && self.language.layers > deepest
    }

    /// The model's own way of choosing.
    pub fn select(&self) -> Select {
        self.selects()[0]
    }

    /// Whether one picture becomes several squares.
    pub fn is_tiled(&self) -> bool {
        self.preparing.tiling != Tiling::Square
    }

    /// The way of choosing that was asked for, or the model's own.
    ///
    /// # Errors
    /// [`Error::InvalidSetting`] if this model's image tokens cannot be chosen like that.
    pub fn checked_select(&self, select: Option<Select>) -> Result<Select> {
        let Some(select) = select else { return Ok(self.select()) };
        if self.selects().contains(&select) {
            return Ok(select);
        }
        let there: Vec<&str> = self.selects().iter().map(|select| select.name()).collect();
        let (last, others) = there.split_last().unwrap_or((&"", &[]));
        let why = match others {
            [] => (*last).to_owned(),
            _ => format!("{} or {last}", others.join(", ")),
        };
        let why = format!("this model's image tokens are chosen by {why}");
        Err(Error::InvalidSetting { what: format!("select {select}"), why })
    }

    /// Which m there are for pictures of any shape, chosen in the model's own way.
    pub fn offer(&self) -> Offer {
        self.offer_by(self.select())
    }

    /// Which m there are for pictures of any shape.
    pub fn offer_by(&self, select: Select) -> Offer {
        if !self.is_tiled() {
            return self.offer_for(select, (1, 1));
        }
        let side = self.vision.image_size * 4;
        let all = ANY_SHAPE.map(|(w, h)| self.offer_for(select, (w * side, h * side)));
        let most = all.into_iter().max_by_key(|offer| offer.max);
        most.unwrap_or(Offer::up_to(self.m_max()))
    }

    /// Which m there are for a picture of this width and height that stands alone.
    pub fn offer_for(&self, select: Select, size: (usize, usize)) -> Offer {
        self.offer_in(Scene::Alone, select, size)
    }

    /// Which m there are for a picture of this width and height in a scene.
    pub fn offer_in(&self, scene: Scene, select: Select, size: (usize, usize)) -> Offer {
        let mut offer = self.offer_of(scene, select, size);
        if scene == Scene::Frames {
            // A clip is many pictures: an automatic budget takes a few tokens of each.
            let first = offer.levels.first().copied().unwrap_or(Step::square(1));
            let there: Vec<usize> = match &offer.exactly[..] {
                [] => FRAME.into_iter().filter(|&m| m < first.tokens).collect(),
                exactly => exactly.iter().copied().filter(|&m| m <= FRAME_MOST).collect(),
            };
            let steps: Vec<Step> =
                there.into_iter().map(|tokens| Step { tokens, ..first }).collect();
            offer.steps = if steps.is_empty() { vec![first] } else { steps };
        }
        offer
    }

    fn offer_of(&self, scene: Scene, select: Select, (width, height): (usize, usize)) -> Offer {
        match (select, &self.projector) {
            (Select::Nested, Projector::Resampler(r)) => return Offer::up_to(r.m_max),
            (Select::Pool, projector) => {
                let elastic = matches!(projector, Projector::Mlp(mlp) if mlp.elastic);
                let sides = self.pool_sides();
                let values = sides.iter().rev().map(|side| side * side).chain([self.m_max()]);
                return Offer::exactly(values.collect(), elastic);
            }
            (Select::Question, _) => return Offer::exactly(question::BUDGETS.to_vec(), false),
            _ if !self.is_tiled() => {
                let steps = ladder(self.m_max()).into_iter().map(Step::square).collect();
                return Offer { steps, ..Offer::up_to(self.m_max()) };
            }
            _ => {}
        }
        let spec = self.image_spec();
        let levels: Vec<Level> = spec.levels_in(scene);
        let least = match (self.reads_documents, levels.last()) {
            (true, Some(published)) => *published,
            _ => levels.first().copied().unwrap_or_default(),
        };
        let step = |level| {
            let plan = spec.plan(level, width, height);
            // Only the last frame of a clip is followed by a newline.
            let shared = if scene == Scene::Frames { self.newlines(&plan) } else { 0 };
            Step { tokens: self.tokens(&plan) - shared, level, squares: plan.squares() }
        };
        let thinned: &[usize] =
            if matches!(self.preparing.tiling, Tiling::Edges { .. }) { &THINNED } else { &[] };
        Offer::tiled(levels.into_iter().map(step).collect(), thinned, least)
    }

    /// Which m there is a map for of where they read: [`crate::Model::resampler_map`].
    #[doc(hidden)]
    pub fn mapped(&self) -> Offer {
        if self.is_tiled() {
            // The tokens of one square, each of its own block of patches.
            return Offer::exactly(vec![self.square_tokens()], false);
        }
        self.offer_by(self.mapped_select())
    }

    /// The way of choosing whose tokens read from the same places in every picture.
    pub(crate) fn mapped_select(&self) -> Select {
        if self.selects().contains(&Select::Pool) { Select::Pool } else { self.select() }
    }

    /// Of a picture's tokens, how many at the end are no candidates when fewer are chosen:
    /// newlines.
    pub(crate) fn newlines(&self, plan: &Plan) -> usize {
        usize::from(matches!(plan.level, Level::Frame | Level::Padded))
    }

    /// Sides of the pooled grids, finest first: each the largest that divides the one before it
    /// (M3: 24 → 12, 6, 3, 1).
    pub(crate) fn pool_sides(&self) -> Vec<usize> {
        if !self.selects().contains(&Select::Pool) {
            return Vec::new();
        }
        let mut side = self.square_side();
        let mut sides = Vec::new();
        while side > 1 {
            let factor = (2..=side).find(|&n| side.is_multiple_of(n)).unwrap_or(side);
            side /= factor;
            sides.push(side);
        }
        sides
    }

    /// Rows that a picture cut like this has of image tokens and of their averages.
    pub(crate) fn rows(&self, plan: &Plan) -> usize {
        let is_one = plan.squares() == 1 && !Config::is_assembled(plan);
        if is_one { self.visual_rows() } else { self.tokens(plan) }
    }

    /// Numbers of all image tokens of a picture cut like this.
    pub(crate) fn visual_len(&self, plan: &Plan) -> usize {
        self.rows(plan) * self.language.hidden
    }

    /// What tells a picture from any other to this model: the pixels of its one square, `first`; of
    /// the whole picture where it may be cut in other ways.
    pub(crate) fn picture_hash(&self, picture: &Picture, first: &Pixels) -> [u8; 32] {
        if self.is_tiled() { picture.hash() } else { first.hash() }
    }

    /// Image tokens computed per picture: M, then the pooled grids, finest first.
    pub(crate) fn visual_rows(&self) -> usize {
        self.m_max() + self.pool_sides().iter().map(|side| side * side).sum::<usize>()
    }

    /// The first of those rows for `m` averages; `m` is one of the offer's.
    pub(crate) fn first_pooled(&self, m: usize) -> usize {
        if m == self.m_max() {
            return 0;
        }
        let levels = self.pool_sides().into_iter().map(|side| side * side);
        self.m_max() + levels.take_while(|&level| level != m).sum::<usize>()
    }
}

#[cfg(test)]
mod tests {
    use crate::config::shapes;
    use crate::select::Select;

    #[test]
    fn every_checkpoint_with_more_tokens_than_wanted_has_the_knob() {
        let config = shapes::named("llava-1.5-7b").unwrap();
        let offer = config.offer();
        assert_eq!(offer.ladder(), [2, 4, 8, 16, 36, 64, 144, 256, 576]);
        assert_eq!((config.select(), offer.steps.len()), (Select::Spread, 9));
        let pooled = config.offer_for(Select::Pool, (640, 480));
        assert_eq!(pooled.ladder(), [1, 9, 36, 144, 576]);
        // Schedules by the question are for this layout, and for as many layers.
        assert_eq!(config.offer_by(Select::Question).ladder(), [64, 96, 128, 192]);
        let mut shallow = config.clone();
        shallow.language.layers = 15;
        assert!(shallow.checked_select(Some(Select::Question)).is_err());
        for other in shapes::NAMES.iter().filter(|name| **name != "llava-1.5-7b") {
            let other = shapes::named(other).unwrap();
            let error = other.checked_select(Some(Select::Question)).unwrap_err().to_string();
            assert!(error.starts_with("select question: this model's image tokens are"), "{error}");
        }
        let nested = shapes::named("mqt-llava-7b").unwrap();
        assert_eq!((nested.select(), nested.offer().max), (Select::Nested, 256));
        assert_eq!(nested.offer_by(Select::Random).max, 256);
        assert!(nested.checked_select(Some(Select::Pool)).is_err());
    }
}
