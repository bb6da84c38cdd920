//! A picture becomes image tokens, and what that took is measured.

use super::{Looked, Session};
use crate::cancel::Cancel;
use crate::error::Result;
use crate::image::Pixels;
use crate::model::ImageTokens;

impl Session {
    /// Encodes a picture. Its time counts as the device's speed unless kernels compiled meanwhile.
    pub(super) async fn see(
        &mut self,
        pixels: &Pixels,
        cancel: &Cancel,
    ) -> Result<(ImageTokens, Looked)> {
        let compiled = self.model.compiled();
        let (visual, looked) = self.model.look(pixels, cancel).await?;
        self.encoded_cold = self.model.compiled() != compiled;
        if !self.encoded_cold {
            self.speed.encoded(looked.vision_ms + looked.resample_ms);
        }
        Ok((visual, looked))
    }
}
