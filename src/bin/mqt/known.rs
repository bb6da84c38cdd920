//! What is known before a model is loaded: the numbers of image tokens to check, and the picture
//! that is encoded while the decoder's weights are read.

use crate::failure::{Failure, Result};
use crate::picture::Picture;
use crate::pictures::Pictures;
use mqt::Model;
use mqt::Select;
use mqt::config::Config;
use mqt::image::{self, ImageSpec, Reading};
use mqt::model::FirstPicture;
use std::sync::{Arc, Mutex, PoisonError};

/// What is known before a model is loaded.
#[derive(Clone, Copy, Default)]
pub(crate) struct Known<'a> {
    /// Numbers of image tokens that will be asked for, to check.
    pub(crate) fixed: &'a [u64],
    /// How tokens will be chosen.
    pub(crate) select: Option<Select>,
    /// What the first question is about: it is encoded while the decoder's weights are read.
    pub(crate) first: Option<&'a Picture>,
    /// Whether encoded pictures are not kept.
    pub(crate) no_picture_cache: bool,
}

/// The first picture, once it is decoded.
pub(crate) type Decoded = Arc<Mutex<Option<image::Picture>>>;

impl Known<'_> {
    /// The picture to encode while weights are read. Its pixels are kept in `decoded`.
    pub(crate) fn picture(
        &self,
        picture: &Picture,
        decoded: &Decoded,
        select: Select,
        config: &Config,
    ) -> FirstPicture {
        let (picture, decoded, spec) = (picture.clone(), decoded.clone(), config.image_spec());
        let m = self.fixed.first().and_then(|&m| usize::try_from(m).ok());
        let mut first = FirstPicture::new(select, move || {
            // Whatever is wrong with it will be found when the question is asked.
            let picture = read(&picture, &spec, Reading::People).ok()?;
            *decoded.lock().unwrap_or_else(PoisonError::into_inner) = Some(picture.clone());
            Some(picture)
        });
        first.image_tokens = m;
        first.store = Pictures::shared(self.no_picture_cache);
        first
    }
}

/// The picture, read for a person or as this model's reference reads it.
pub(crate) fn decode(picture: &Picture, model: &Model, reading: Reading) -> Result<image::Picture> {
    read(picture, model.image_spec(), reading)
}

fn read(picture: &Picture, spec: &ImageSpec, reading: Reading) -> Result<image::Picture> {
    let bytes = picture.bytes()?;
    image::Picture::read(&bytes, spec.reading(reading))
        .map_err(|error| Failure::from(error).about(&picture.name))
}
