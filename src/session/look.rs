//! Pictures in front of the model: which there are, and when the tower runs for them.

use super::gallery::{Hash, Seen, View};
use super::{Session, ms};
use crate::budget::{self, Budget, Offer, Step};
use crate::cancel::Cancel;
use crate::error::{Error, Result};
use crate::image::tiles::{self, Plan, Scene};
use crate::image::{Picture, Pixels};
use crate::model::{Arithmetic, ImageTokens, Looked, Measured, PictureStore};
use crate::select::{self, Select};
use std::sync::Arc;
use web_time::Instant;

/// The most pictures of a conversation.
const MOST_PICTURES: usize = 256;
/// Tells a frame's hash from that of the same picture by itself.
const FRAME: u8 = 0xF0;

impl Session {
    /// Puts a picture in front of the model, and encodes it unless that was done before. A picture
    /// other than the current one starts a new conversation.
    ///
    /// All its image tokens are kept; every m is a view of them. If the picture can be cut at
    /// several levels, a level is encoded when a question first needs it.
    ///
    /// # Errors
    /// [`Error::ImageUnreadable`] if its shape is out of bounds, [`Error::Cancelled`], or the
    /// device's failures. The previous pictures are then kept.
    pub async fn look(&mut self, picture: &Picture, cancel: &Cancel) -> Result<Looked> {
        let (hash, looked) = self.see_once(picture, false, cancel).await?;
        if self.pictures != [hash] || self.is_clip {
            self.show(vec![hash], false);
            self.pending = looked;
        }
        Ok(looked)
    }

    /// Puts one more picture in front of the model, before the next question; the conversation goes
    /// on. The same picture may be there twice.
    ///
    /// # Errors
    /// As [`Session::look`]; [`Error::InvalidSetting`] if the model takes no further picture.
    /// Nothing has changed then.
    pub async fn look_also(&mut self, picture: &Picture, cancel: &Cancel) -> Result<Looked> {
        if !self.pictures.is_empty() || !self.turns.is_empty() {
            self.check_several(self.pictures.len() + 1)?;
        }
        let (hash, looked) = self.see_once(picture, false, cancel).await?;
        self.pictures.push(hash);
        self.pending = self.pending.and(looked);
        Ok(looked)
    }

    /// Puts the frames of a clip in front of the model, in their order: a new conversation. If the
    /// model's family was trained with clips, the frames are cut and placed in the prompt as in
    /// training. Each frame is dropped once it is encoded.
    ///
    /// # Errors
    /// As [`Session::look_also`]. The previous pictures are kept then.
    pub async fn watch(
        &mut self,
        frames: impl IntoIterator<Item = Picture>,
        cancel: &Cancel,
    ) -> Result<Looked> {
        let (mut hashes, mut looked) = (Vec::new(), Looked::default());
        for frame in frames {
            if !hashes.is_empty() {
                self.check_several(hashes.len() + 1)?;
            }
            let (hash, more) = self.see_once(&frame, true, cancel).await?;
            hashes.push(hash);
            looked = looked.and(more);
        }
        if self.pictures != hashes || !self.is_clip {
            self.show(hashes, true);
            self.pending = looked;
        }
        Ok(looked)
    }

    /// Removes a picture, counted from 0 in the order of the prompt. The turns are kept, and are
    /// read again without it.
    ///
    /// # Errors
    /// [`Error::InvalidSetting`] if there is no picture of this number.
    pub fn forget(&mut self, picture: usize) -> Result<()> {
        if picture >= self.pictures.len() {
            let why = match self.pictures.len() {
                0 => "there is no picture".into(),
                n => format!("{} is outside 1 to {n}", picture + 1),
            };
            return Err(Error::InvalidSetting { what: "the picture's number".into(), why });
        }
        self.pictures.remove(picture);
        let mut before = 0;
        for told in &mut self.turns {
            before += told.new_images;
            if picture < before {
                told.new_images -= 1;
                break;
            }
        }
        // A turn that comes back would show pictures that are gone.
        self.withdrawn.clear();
        self.answered = None;
        self.write_turns_again();
        self.gallery.tidy(&self.pictures, self.model.config());
        Ok(())
    }

    /// Removes all pictures and starts a new conversation.
    pub fn forget_all(&mut self) {
        self.show(Vec::new(), false);
        self.pending = Looked::default();
    }

    /// How many pictures are in front of the model.
    pub fn pictures(&self) -> usize {
        self.pictures.len()
    }

    /// Bytes that pictures take, including those kept after they left the prompt: image tokens, and
    /// the pixels of those that can be cut at other levels.
    pub fn picture_bytes(&self) -> u64 {
        self.gallery.bytes(self.model.config()) as u64
    }

    /// The first square of a picture as the model sees it, without its floats; `None` if there is
    /// no picture of this number, counted from 0.
    pub fn shown(&self, picture: usize) -> Option<&Pixels> {
        let hash = self.pictures.get(picture)?;
        self.gallery.get(hash).map(|seen| &seen.shown)
    }

    /// Keeps encoded pictures in `store`, and takes them from there. This has no effect where
    /// everything must be computed ([`Arithmetic::Exact`]), and in [`Session::trace`].
    pub fn keep_pictures(&mut self, store: Arc<dyn PictureStore>) {
        self.store = Some(store);
    }

    /// Whether so many pictures may stand in one prompt.
    fn check_several(&self, pictures: usize) -> Result<()> {
        let why = if pictures > MOST_PICTURES {
            format!("{pictures} are more than the {MOST_PICTURES} that a conversation may have")
        } else if self.template.between_ids(self.model.tokenizer()).is_none() {
            "this model's prompt has no place for a second picture".into()
        } else {
            return Ok(());
        };
        Err(Error::InvalidSetting { what: "pictures".into(), why })
    }

    /// These pictures from now on, and no turn about others. The cache may hold other pictures'
    /// tokens: slots carry the picture's hash, so they will not match.
    fn show(&mut self, pictures: Vec<Hash>, is_clip: bool) {
        (self.pictures, self.is_clip) = (pictures, is_clip);
        self.start_anew();
        self.gallery.tidy(&self.pictures, self.model.config());
    }

    /// A picture's hash, and what encoding it took: nothing if it is there already, or will be
    /// encoded at the level that a question needs.
    async fn see_once(
        &mut self,
        picture: &Picture,
        is_frame: bool,
        cancel: &Cancel,
    ) -> Result<(Hash, Looked)> {
        let spec = self.model.image_spec().clone();
        let levels = spec.levels_in(if is_frame { Scene::Frames } else { Scene::Alone });
        let level = levels.first().copied().unwrap_or_default();
        let (plan, mut squares) = tiles::squares(picture, &spec, level)?;
        let first = squares.first().ok_or_else(no_square)?;
        let is_tiled = self.model.config().is_tiled();
        let mut hash = self.model.config().picture_hash(picture, first);
        if is_tiled && is_frame {
            // There may be many frames, and one level is all they need: their pixels are not kept.
            hash[31] ^= FRAME;
        }
        if self.gallery.get(&hash).is_some() {
            self.gallery.touch(&hash);
            return Ok((hash, Looked::default()));
        }
        let (mut looked, mut views) = (Looked::default(), Vec::new());
        if !is_tiled || is_frame {
            let visual;
            (visual, looked) = self.see(&squares, &plan, hash, cancel).await?;
            views.push(View { plan, visual, spread: None });
        }
        let mut shown = squares.swap_remove(0);
        shown.data = Vec::new();
        let size = (picture.width, picture.height);
        let source = (is_tiled && !is_frame).then(|| picture.clone());
        self.gallery.add(Seen { hash, size, source, views, shown });
        Ok((hash, looked))
    }

    /// A picture's image tokens, and what they took: nothing, if they were kept.
    async fn see(
        &mut self,
        squares: &[Pixels],
        plan: &Plan,
        hash: Hash,
        cancel: &Cancel,
    ) -> Result<(ImageTokens, Looked)> {
        let model = self.model.clone();
        let kept = self.store.clone().zip(model.picture_key(hash, plan));
        if let Some((store, key)) = &kept
            && let Some(halves) = store.get(key, model.config().visual_len(plan)).await
        {
            return Ok((model.restore(&halves, plan).await?, Looked::default()));
        }
        let (mut visual, looked) = match model.seen_ahead(&hash, plan.level) {
            Some((visual, looked, measured)) => {
                self.measured(looked, measured);
                (visual, looked)
            }
            None => self.see_now(squares, plan, cancel).await?,
        };
        if model.arithmetic() == Arithmetic::Fast {
            // Rounded on first use too, so that a question asked again has the same answer.
            let halves;
            (visual, halves) = model.round(visual, plan).await?;
            if let (Some((store, key)), Some(halves)) = (&kept, halves) {
                store.put(key, &halves).await;
            }
        }
        Ok((visual, looked))
    }

    /// A picture's image tokens from the tower.
    async fn see_now(
        &mut self,
        squares: &[Pixels],
        plan: &Plan,
        cancel: &Cancel,
    ) -> Result<(ImageTokens, Looked)> {
        let compiled = self.model.compiled();
        let (visual, looked) = self.model.look(squares, plan, cancel).await?;
        let is_cold = self.model.compiled() != compiled;
        self.measured(looked, if is_cold { Measured::Cold } else { Measured::Alone });
        Ok((visual, looked))
    }

    /// Learns the device's speed from what the tower took.
    fn measured(&mut self, looked: Looked, measured: Measured) {
        let each = looked.ms() / f64::from(looked.vision_runs.max(1));
        match measured {
            Measured::Cold => self.encoded_cold = true,
            Measured::Beside => self.speed.encoded_beside(each),
            Measured::Alone => self.speed.encoded(each),
        }
    }

    /// What the pictures are to each other.
    pub(super) fn scene(&self) -> Scene {
        match self.pictures.len() {
            _ if self.is_clip => Scene::Frames,
            0 | 1 => Scene::Alone,
            _ => Scene::Several,
        }
    }

    /// Which m are offered for the pictures in front of the model, or for any picture if there is
    /// none.
    ///
    /// # Errors
    /// [`Error::InvalidSetting`] if the model's tokens cannot be chosen in this way.
    pub fn offer(&self, select: Option<Select>) -> Result<Offer> {
        let config = self.model.config();
        let select = config.checked_select(select)?;
        if select == Select::Question && self.pictures.len() > 1 {
            let why = "it is for one picture".into();
            return Err(Error::InvalidSetting { what: "select question".into(), why });
        }
        let offers = self.sizes().map(|size| config.offer_in(self.scene(), select, size));
        Ok(Offer::of_all(offers).unwrap_or_else(|| config.offer_by(select)))
    }

    /// Width and height of each picture.
    fn sizes(&self) -> impl Iterator<Item = (usize, usize)> {
        self.pictures.iter().filter_map(|hash| self.gallery.get(hash)).map(|seen| seen.size)
    }

    /// The step that each picture takes where m tokens of each are wanted.
    pub(super) fn steps(&self, m: usize, select: Select) -> Vec<Step> {
        let (config, scene) = (self.model.config(), self.scene());
        self.sizes().map(|size| budget::at_most(m, &config.offer_in(scene, select, size))).collect()
    }

    /// Encodes one square where an automatic budget has levels to choose from and nobody knows yet
    /// how long a square takes.
    pub(super) async fn measure_tower(
        &mut self,
        budget: &Budget,
        offer: &Offer,
        cancel: &Cancel,
    ) -> Result<Looked> {
        let (known, steps) = (self.speed.encode_ms.is_some(), &offer.steps);
        let (Some(least), Some(most)) = (steps.first(), steps.last()) else {
            return Ok(Looked::default());
        };
        let is_open = matches!(budget, Budget::Auto { .. }) && self.turns.is_empty();
        let Some(&first) = self.pictures.first() else { return Ok(Looked::default()) };
        if known || !is_open || least.level == most.level {
            return Ok(Looked::default());
        }
        // What was kept by another process would measure nothing.
        let store = self.store.take();
        let looked = self.encode_one(&first, least, Select::Random, cancel).await;
        self.store = store;
        looked
    }

    /// Encodes what m tokens of each picture need and is not there: a level of the picture, the
    /// order of its tokens.
    pub(super) async fn encode(
        &mut self,
        m: usize,
        select: Select,
        cancel: &Cancel,
    ) -> Result<Looked> {
        let mut looked = Looked::default();
        for (hash, step) in self.pictures.clone().iter().zip(self.steps(m, select)) {
            looked = looked.and(self.encode_one(hash, &step, select, cancel).await?);
        }
        Ok(looked)
    }

    async fn encode_one(
        &mut self,
        hash: &Hash,
        step: &Step,
        select: Select,
        cancel: &Cancel,
    ) -> Result<Looked> {
        let model = self.model.clone();
        let mut looked = Looked::default();
        if let Some(seen) = self.gallery.get(hash)
            && seen.view(step.level).is_none()
            && let Some(source) = &seen.source
        {
            let (plan, squares) = tiles::squares(source, model.image_spec(), step.level)?;
            let visual;
            (visual, looked) = self.see(&squares, &plan, *hash, cancel).await?;
            if let Some(seen) = self.gallery.get_mut(hash) {
                seen.views.push(View { plan, visual, spread: None });
            }
        }
        let (config, is_clip) = (model.config(), self.is_clip);
        let Some(seen) = self.gallery.get_mut(hash) else { return Ok(looked) };
        let view = seen.views.iter_mut().find(|view| view.plan.level == step.level);
        let Some(view) = view.filter(|view| view.spread.is_none() && select == Select::Spread)
        else {
            return Ok(looked);
        };
        let all = config.tokens(&view.plan);
        let candidates = all - config.newlines(&view.plan);
        // A frame's newline does not count.
        if step.tokens < if is_clip { candidates } else { all } {
            let start = Instant::now();
            let tokens = model.read_visual(&view.visual, 0..candidates).await?;
            view.spread = Some(select::farthest_point(&tokens, config.language.hidden));
            looked.resample_ms += ms(start);
        }
        Ok(looked)
    }
}

fn no_square() -> Error {
    Error::ImageUnreadable { problem: "it has no square for the tower".into() }
}
