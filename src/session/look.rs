//! Pictures in front of the model: what was encoded of them, and which of their image tokens a
//! prompt reads.

use super::{Session, ms};
use crate::budget::{Budget, Choice, Mode, Offer};
use crate::cancel::Cancel;
use crate::config::Config;
use crate::error::{Error, Result};
use crate::image::tiles::{self, Level, Plan};
use crate::image::{Picture, Pixels};
use crate::model::{Arithmetic, ImageTokens, Looked, PictureStore, PictureTag};
use crate::select::{self, Select};
use std::sync::Arc;
use web_time::Instant;

/// Which fixed permutation `random` is.
const RANDOM_SEED: u64 = 0x6d71_7421;

/// A picture, and what was encoded of it.
pub(super) struct Seen {
    pub(super) hash: [u8; 32],
    /// Width and height.
    pub(super) size: (usize, usize),
    /// The picture itself, where other levels may be wanted later.
    source: Option<Picture>,
    pub(super) views: Vec<View>,
    /// The first square, as the model sees it, without its floats.
    shown: Pixels,
}

/// A picture cut at one level and encoded.
pub(super) struct View {
    pub(super) plan: Plan,
    pub(super) visual: ImageTokens,
    /// The order in which its tokens spread, once fewer than all were wanted.
    spread: Option<Vec<u32>>,
}

impl Seen {
    /// What is encoded at this level.
    pub(super) fn view(&self, level: Level) -> Option<&View> {
        self.views.iter().find(|view| view.plan.level == level)
    }

    /// Levels that are encoded.
    pub(super) fn encoded(&self) -> Vec<Level> {
        self.views.iter().map(|view| view.plan.level).collect()
    }

    /// What is encoded, under the names that slots use.
    pub(super) fn visuals(&self) -> Vec<(PictureTag, &ImageTokens)> {
        self.views.iter().map(|view| (self.key(view.plan.level), &view.visual)).collect()
    }

    /// What slots call the picture at this level.
    pub(super) fn key(&self, level: Level) -> PictureTag {
        let [kind, n] = code(level);
        let hash = &self.hash;
        [hash[0], hash[1], hash[2], hash[3], hash[4], hash[5], kind, n]
    }
}

impl View {
    /// Rows of the image tokens that `m` of them are, in the order of the prompt.
    pub(super) fn rows(&self, config: &Config, select: Select, m: usize) -> Vec<u32> {
        let all = config.tokens(&self.plan);
        let range = |from: usize, n: usize| (from as u32..(from + n) as u32).collect();
        match select {
            Select::Pool => range(config.first_pooled(m), m),
            _ if m >= all => range(0, all),
            Select::Nested => range(0, m),
            Select::Spread | Select::Random => {
                let newlines = config.newlines(&self.plan);
                let candidates = all - newlines;
                let kept = if m > newlines { newlines } else { 0 };
                let random;
                let order = match (select, &self.spread) {
                    (Select::Spread, Some(order)) => order,
                    _ => {
                        random = select::random(candidates, RANDOM_SEED);
                        &random
                    }
                };
                let mut rows = select::first(order, m - kept);
                rows.extend((candidates..candidates + kept).map(|row| row as u32));
                rows
            }
        }
    }
}

impl Session {
    /// Puts a picture in front of the model: encodes it unless it is the one already seen. Another
    /// picture starts a new conversation.
    ///
    /// All its image tokens are kept; every m is a view of them. Where the picture may be cut in
    /// several ways, a level is encoded when a question first needs it.
    ///
    /// # Errors
    /// [`Error::ImageUnreadable`] if its shape is out of bounds, [`Error::Cancelled`], or the
    /// device's failures. The previous picture is kept then.
    pub async fn look(&mut self, picture: &Picture, cancel: &Cancel) -> Result<Looked> {
        let spec = self.model.image_spec().clone();
        let level = spec.levels().first().copied().unwrap_or_default();
        let (plan, mut squares) = tiles::squares(picture, &spec, level)?;
        let first = squares.first().ok_or_else(no_square)?;
        let is_tiled = self.model.config().is_tiled();
        let hash = if is_tiled { picture.hash() } else { first.hash() };
        if self.picture.as_ref().is_some_and(|seen| seen.hash == hash) {
            return Ok(Looked::default());
        }
        let (mut looked, mut views) = (Looked::default(), Vec::new());
        if !is_tiled {
            let visual;
            (visual, looked) = self.see(&squares, &plan, hash, cancel).await?;
            views.push(View { plan, visual, spread: None });
        }
        let mut shown = squares.swap_remove(0);
        shown.data = Vec::new();
        let size = (picture.width, picture.height);
        let source = is_tiled.then(|| picture.clone());
        // The cache may hold the previous picture's tokens: the slots carry the picture's hash, so
        // they will not match.
        self.picture = Some(Seen { hash, size, source, views, shown });
        self.start_anew();
        self.pending = looked;
        Ok(looked)
    }

    /// The picture's first square as the model sees it, without its floats; `None` before a
    /// picture.
    pub fn shown(&self) -> Option<&Pixels> {
        self.picture.as_ref().map(|seen| &seen.shown)
    }

    /// Keeps encoded pictures in `store`, and takes them from there. Without effect where
    /// everything is to be computed ([`Arithmetic::Exact`]), and in [`Session::trace`].
    pub fn keep_pictures(&mut self, store: Arc<dyn PictureStore>) {
        self.store = Some(store);
    }

    /// A picture's image tokens, and what they took: nothing, if they were kept.
    async fn see(
        &mut self,
        squares: &[Pixels],
        plan: &Plan,
        hash: [u8; 32],
        cancel: &Cancel,
    ) -> Result<(ImageTokens, Looked)> {
        self.encoded_cold = false;
        let model = self.model.clone();
        let part = u32::from(u16::from_be_bytes(code(plan.level)));
        let kept = self.store.clone().zip(model.picture_key(hash, part));
        if let Some((store, key)) = &kept
            && let Some(halves) = store.get(key, model.visual_len(plan)).await
        {
            return Ok((model.restore(&halves, plan).await?, Looked::default()));
        }
        let compiled = model.compiled();
        let (mut visual, looked) = model.look(squares, plan, cancel).await?;
        // Its time counts as the device's speed unless kernels compiled meanwhile.
        self.encoded_cold = model.compiled() != compiled;
        if !self.encoded_cold {
            self.speed.encoded(looked.ms() / f64::from(looked.vision_runs.max(1)));
        }
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

    /// Which m there are for the picture in front of the model, or for any.
    ///
    /// # Errors
    /// [`Error::InvalidSetting`] if the model's tokens cannot be chosen in this way.
    pub fn offer(&self, select: Option<Select>) -> Result<Offer> {
        let config = self.model.config();
        let select = config.checked_select(select)?;
        Ok(match &self.picture {
            Some(seen) => config.offer_for(select, seen.size),
            None => config.offer_by(select),
        })
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
        if known || !is_open || least.level == most.level {
            return Ok(Looked::default());
        }
        let (m, level, reason) = (least.tokens, least.level, String::new());
        let choice = Choice { m, level, mode: Mode::Auto, reason };
        // What was kept by another process would measure nothing.
        let store = self.store.take();
        let looked = self.encode(&choice, Select::Random, cancel).await;
        self.store = store;
        looked
    }

    /// Encodes what a choice needs and is not there: a level of the picture, the order of its
    /// tokens.
    pub(super) async fn encode(
        &mut self,
        choice: &Choice,
        select: Select,
        cancel: &Cancel,
    ) -> Result<Looked> {
        let model = self.model.clone();
        let mut looked = Looked::default();
        if let Some(seen) = &self.picture
            && seen.view(choice.level).is_none()
            && let Some(source) = &seen.source
        {
            let (plan, squares) = tiles::squares(source, model.image_spec(), choice.level)?;
            let (hash, visual);
            hash = seen.hash;
            (visual, looked) = self.see(&squares, &plan, hash, cancel).await?;
            if let Some(seen) = &mut self.picture {
                seen.views.push(View { plan, visual, spread: None });
            }
        }
        let Some(seen) = &mut self.picture else { return Ok(looked) };
        let config = model.config();
        let view = seen.views.iter_mut().find(|view| view.plan.level == choice.level);
        let Some(view) = view.filter(|view| view.spread.is_none() && select == Select::Spread)
        else {
            return Ok(looked);
        };
        let all = config.tokens(&view.plan);
        if choice.m < all {
            let start = Instant::now();
            let candidates = 0..all - config.newlines(&view.plan);
            let tokens = model.read_visual(&view.visual, candidates).await?;
            view.spread = Some(select::farthest_point(&tokens, config.language.hidden));
            looked.resample_ms += ms(start);
        }
        Ok(looked)
    }
}

/// A level in two bytes; 0 is the one square of families without tiles.
fn code(level: Level) -> [u8; 2] {
    match level {
        Level::Square => [0, 0],
        Level::Edge(n) => [1, n],
        Level::Unsplit => [2, 0],
        Level::Frame => [3, 0],
        Level::Padded => [4, 0],
        Level::Pinpoints(n) => [5, n],
    }
}

fn no_square() -> Error {
    Error::ImageUnreadable { problem: "it has no square for the tower".into() }
}
