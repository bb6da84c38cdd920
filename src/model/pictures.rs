//! Image tokens that are kept beyond a conversation: rounded to f16, under a key of everything that
//! they depend on, in a store of the caller's.

use super::look::Visual;
use super::{Arithmetic, ImageTokens, Model, Network};
use crate::error::Result;
use crate::future::{Boxed, MaybeSend, MaybeSync};
use crate::image::tiles::Plan;
use half::f16;
use sha2::{Digest, Sha256};

/// Counts up whenever the same picture and model would give other numbers.
const FORMAT: u32 = 1;
/// How the tower computes: with floats, whatever the device. Others differ by rounding only.
const TOWER: &str = "float";

/// Everything that a picture's image tokens depend on.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct PictureKey {
    /// SHA-256 of the 8-bit pixels that the tower sees ([`crate::image::Pixels::hash`]); of the
    /// whole picture where it may be cut into several squares ([`crate::image::Picture::hash`]).
    pub pixels: [u8; 32],
    /// What identifies the model's weights ([`Model::identity`]).
    pub model: String,
    /// How the picture is cut, where the tower sees it in several squares: 0 is one square.
    pub tile: u32,
}

impl PictureKey {
    /// A key of these parts.
    pub fn new(pixels: [u8; 32], model: impl Into<String>, tile: u32) -> PictureKey {
        PictureKey { pixels, model: model.into(), tile }
    }

    /// A name of 64 lower-case hex digits, with the version of the stored form.
    pub fn name(&self) -> String {
        let mut hash = Sha256::new();
        hash.update(format!("{FORMAT}\n{TOWER}\n{}\n{}\n", self.model, self.tile));
        hash.update(self.pixels);
        hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

/// Where encoded pictures are kept. It may drop any of them at any time, and never fails: what
/// cannot be read counts as missing, what cannot be written is not kept.
pub trait PictureStore: MaybeSend + MaybeSync {
    /// The `len` halves kept under a key, or nothing.
    fn get<'a>(&'a self, key: &'a PictureKey, len: usize) -> Boxed<'a, Option<Vec<f16>>>;

    /// Keeps halves under a key.
    fn put<'a>(&'a self, key: &'a PictureKey, values: &'a [f16]) -> Boxed<'a, ()>;
}

/// Whose image tokens may be kept: `exact` computes everything itself, and a model without an
/// identity could be any.
pub(super) fn keeps(identity: Option<&str>, arithmetic: Arithmetic) -> Option<&str> {
    identity.filter(|_| arithmetic == Arithmetic::Fast)
}

/// The key of a picture's image tokens.
pub(super) fn key(model: &str, pixels: [u8; 32], plan: &Plan) -> PictureKey {
    let tile = u32::from(u16::from_be_bytes(plan.level.code()));
    PictureKey { pixels, model: model.to_owned(), tile }
}

impl Model {
    /// What identifies this model's weights: a pack's SHA-256; for a checkpoint the paths, sizes
    /// and modification times of its files. `None` where nothing does, as for random weights.
    pub fn identity(&self) -> Option<&str> {
        self.identity.as_deref()
    }

    /// The key of a picture's image tokens; `None` where they must not be kept.
    pub(crate) fn picture_key(&self, pixels: [u8; 32], plan: &Plan) -> Option<PictureKey> {
        Some(key(keeps(self.identity(), self.arithmetic)?, pixels, plan))
    }

    /// All image tokens as halves, and themselves rounded to those: what is kept and what is used
    /// are the same numbers. `None`, and unchanged, where a number is no half.
    pub(crate) async fn round(
        &self,
        visual: ImageTokens,
        plan: &Plan,
    ) -> Result<(ImageTokens, Option<Vec<f16>>)> {
        let values = self.read_visual(&visual, 0..self.config.rows(plan)).await?;
        let halves: Vec<f16> = values.iter().map(|&value| f16::from_f32(value)).collect();
        if !halves.iter().all(|half| half.is_finite()) {
            return Ok((visual, None));
        }
        Ok((self.restore(&halves, plan).await?, Some(halves)))
    }

    /// Image tokens of [`Model::visual_len`] halves.
    pub(crate) async fn restore(&self, halves: &[f16], plan: &Plan) -> Result<ImageTokens> {
        let values: Vec<f32> = halves.iter().map(|half| half.to_f32()).collect();
        Ok(ImageTokens(match &self.network {
            Network::Gpu(net) => {
                let (rows, hidden) = (self.config.rows(plan), self.config.language.hidden);
                Visual::Gpu(net.gpu.upload("image tokens", &values, rows, hidden).await?)
            }
            Network::Cpu(_) => Visual::Cpu(values),
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_depends_on_every_part_of_the_key() {
        let key = PictureKey { pixels: [1; 32], model: "a".into(), tile: 0 };
        let others = [
            PictureKey { pixels: [2; 32], ..key.clone() },
            PictureKey { model: "b".into(), ..key.clone() },
            PictureKey { tile: 1, ..key.clone() },
        ];
        assert_eq!((key.name(), key.name().len()), (key.clone().name(), 64));
        assert!(others.iter().all(|other| other.name() != key.name()));
    }
}
