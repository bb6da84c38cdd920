//! A picture becomes image tokens: from the store, or from the tower, which is measured.

use super::{Looked, Session};
use crate::cancel::Cancel;
use crate::error::Result;
use crate::image::Pixels;
use crate::model::{Arithmetic, ImageTokens, PictureStore};
use std::sync::Arc;

impl Session {
    /// Keeps encoded pictures in `store`, and takes them from there. Without effect where
    /// everything is to be computed ([`Arithmetic::Exact`]), and in [`Session::trace`].
    pub fn keep_pictures(&mut self, store: Arc<dyn PictureStore>) {
        self.store = Some(store);
    }

    /// A picture's image tokens, and what they took: nothing, if they were kept.
    pub(super) async fn see(
        &mut self,
        pixels: &Pixels,
        hash: [u8; 32],
        cancel: &Cancel,
    ) -> Result<(ImageTokens, Looked)> {
        self.encoded_cold = false;
        let model = self.model.clone();
        let kept = self.store.clone().zip(model.picture_key(hash));
        if let Some((store, key)) = &kept
            && let Some(halves) = store.get(key, model.visual_len()).await
        {
            return Ok((model.restore(&halves).await?, Looked::default()));
        }
        let compiled = model.compiled();
        let (mut visual, looked) = model.look(pixels, cancel).await?;
        // Its time counts as the device's speed unless kernels compiled meanwhile.
        self.encoded_cold = model.compiled() != compiled;
        if !self.encoded_cold {
            self.speed.encoded(looked.vision_ms + looked.resample_ms);
        }
        if model.arithmetic() == Arithmetic::Fast {
            // Rounded on first use too, so that a question asked again has the same answer.
            let halves;
            (visual, halves) = model.round(visual).await?;
            if let (Some((store, key)), Some(halves)) = (&kept, halves) {
                store.put(key, &halves).await;
            }
        }
        Ok((visual, looked))
    }
}
