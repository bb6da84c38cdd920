//! The picture of a first question.

use crate::budget;
use crate::cancel::Cancel;
use crate::config::Config;
use crate::image::Picture;
use crate::image::tiles::{self, Level, Scene};
use crate::model::look::{Encoder, Seen};
use crate::model::pictures::{self, PictureStore};
use crate::model::{Looked, Measured};
use crate::select::Select;
use pollster::block_on;
use std::sync::Arc;

/// The picture of a model's first question: [`super::Opened::with_picture`].
#[non_exhaustive]
pub struct FirstPicture {
    /// Reads it; on the thread that encodes it. `None`: it cannot be used, which whoever asks about
    /// it will find out.
    pub read: Box<dyn FnOnce() -> Option<Picture> + Send + Sync>,
    /// The m that will be asked for, where it is known.
    pub image_tokens: Option<usize>,
    /// How tokens will be chosen.
    pub select: Select,
    /// Where encoded pictures are kept, if they are.
    pub store: Option<Arc<dyn PictureStore>>,
}

/// It, once it is read.
pub(super) struct Read {
    picture: Picture,
    image_tokens: Option<usize>,
    select: Select,
    store: Option<Arc<dyn PictureStore>>,
}

impl FirstPicture {
    /// A picture to read, and how its tokens will be chosen; nothing is known of m, nothing kept.
    pub fn new(
        select: Select,
        read: impl FnOnce() -> Option<Picture> + Send + Sync + 'static,
    ) -> FirstPicture {
        FirstPicture { read: Box::new(read), image_tokens: None, select, store: None }
    }

    pub(super) fn read(self) -> Option<Read> {
        let FirstPicture { read, image_tokens, select, store } = self;
        Some(Read { picture: read()?, image_tokens, select, store })
    }
}

impl Read {
    /// Encodes the picture as a first question about it will need it. Nothing, where that is not
    /// known yet, where it is kept already, and where anything fails: whoever asks meets the error
    /// then.
    pub(super) fn encode(
        self,
        encoder: &Encoder,
        config: &Config,
        identity: Option<&str>,
        cancel: &Cancel,
    ) -> Option<Seen> {
        let level = self.level(config)?;
        let (plan, squares) = tiles::squares(&self.picture, &config.image_spec(), level).ok()?;
        let hash = config.picture_hash(&self.picture, squares.first()?);
        if let (Some(store), Some(model)) = (&self.store, identity) {
            let key = pictures::key(model, hash, &plan);
            if block_on(store.get(&key, config.visual_len(&plan))).is_some() {
                return None;
            }
        }
        let (rows, compiled) = (config.visual_rows(), encoder.compiled());
        let (visual, looked) =
            block_on(encoder.look(config, &squares, &plan, rows, cancel)).ok()?;
        let is_cold = encoder.compiled() != compiled;
        Some(Seen {
            hash,
            level,
            visual,
            looked: Looked { hidden_ms: looked.ms(), ..looked },
            measured: if is_cold { Measured::Cold } else { Measured::Beside },
        })
    }

    /// How it will be cut; `None` if only measuring will tell.
    fn level(&self, config: &Config) -> Option<Level> {
        if !config.is_tiled() {
            let levels = config.image_spec().levels_in(Scene::Alone);
            return Some(levels.first().copied().unwrap_or_default());
        }
        let size = (self.picture.width, self.picture.height);
        let offer = config.offer_in(Scene::Alone, self.select, size);
        if let Some(m) = self.image_tokens {
            return Some(budget::at_most(m, &offer).level);
        }
        let (least, most) = (offer.steps.first()?, offer.steps.last()?);
        (least.level == most.level).then_some(least.level)
    }
}
